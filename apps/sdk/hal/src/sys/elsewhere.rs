//! A developer's machine, where only tests run: nothing can be opened. Tests of drivers use mocks.

use core::convert::Infallible;

use embedded_hal::i2c::Operation as I2cOperation;
use embedded_hal::spi::Operation as SpiOperation;
use vyoma::wait::Handle;

use crate::uart::Config;
use crate::{OpenError, gpio, i2c, spi, uart};

type Pin<T> = Result<T, gpio::Error>;

/// Defines what can't be opened, so that none of its methods is ever called.
macro_rules! never {
    ($($name:ident { $(fn $method:ident(&self $(, $argument:ident: $type:ty)*) -> $result:ty;)* })*) => {$(
        #[derive(Debug)]
        pub(crate) struct $name(Infallible);

        impl $name {
            $(pub(crate) fn $method(&self $(, $argument: $type)*) -> $result {
                $(let _ = $argument;)*
                match self.0 {}
            })*
        }
    )*};
}

never! {
    Pollable {
        fn handle(&self) -> Handle;
    }
    OutputPin {
        fn set(&self, active: bool) -> Pin<()>;
    }
    InputPin {
        fn is_active(&self) -> Pin<bool>;
        fn watch(&self, rising: bool) -> Pin<Pollable>;
        fn next_edge(&self) -> Pin<Option<(bool, u64)>>;
        fn lost_edges(&self) -> u64;
    }
    InOutPin {
        fn is_active(&self) -> Pin<bool>;
        fn set(&self, active: bool) -> Pin<()>;
    }
    I2c {
        fn read(&self, address: u16, read: &mut [u8]) -> Result<(), i2c::Error>;
        fn write(&self, address: u16, write: &[u8]) -> Result<(), i2c::Error>;
        fn write_read(&self, address: u16, write: &[u8], read: &mut [u8]) -> Result<(), i2c::Error>;
        fn transaction(&self, address: u16, operations: &mut [I2cOperation<'_>]) -> Result<(), i2c::Error>;
    }
    Spi {
        fn read(&self, read: &mut [u8]) -> Result<(), spi::Error>;
        fn write(&self, write: &[u8]) -> Result<(), spi::Error>;
        fn transfer(&self, read: &mut [u8], write: &[u8]) -> Result<(), spi::Error>;
        fn transfer_in_place(&self, buffer: &mut [u8]) -> Result<(), spi::Error>;
        fn transaction(&self, operations: &mut [SpiOperation<'_, u8>]) -> Result<(), spi::Error>;
    }
    Port {
        fn config(&self) -> Config;
        fn lost(&self) -> u64;
        fn readable(&self) -> Handle;
        fn is_readable(&self) -> bool;
        fn read(&self, buffer: &mut [u8]) -> Result<usize, uart::Error>;
        fn write(&self, bytes: &[u8]) -> Result<(), uart::Error>;
    }
    Channel {
        fn range(&self) -> (u32, u32);
        fn read_raw(&self) -> Result<u32, OpenError>;
        fn read_microvolts(&self) -> Result<u32, OpenError>;
    }
}

impl OutputPin {
    pub(crate) fn open(_label: &str, _flags: u32) -> Pin<Self> {
        Err(gpio::Error::NotSupported)
    }
}

impl InputPin {
    pub(crate) fn open(_label: &str, _flags: u32) -> Pin<Self> {
        Err(gpio::Error::NotSupported)
    }
}

impl InOutPin {
    pub(crate) fn open(_label: &str, _flags: u32) -> Pin<Self> {
        Err(gpio::Error::NotSupported)
    }
}

impl I2c {
    pub(crate) fn open(_bus: &str) -> Result<Self, OpenError> {
        Err(OpenError::NotSupported)
    }
}

impl Spi {
    pub(crate) fn open(_device: &str) -> Result<Self, OpenError> {
        Err(OpenError::NotSupported)
    }
}

impl Port {
    pub(crate) fn open(_name: &str, _config: Option<Config>) -> Result<Self, OpenError> {
        Err(OpenError::NotSupported)
    }
}

impl Channel {
    pub(crate) fn open(_name: &str) -> Result<Self, OpenError> {
        Err(OpenError::NotSupported)
    }
}
