//! What a platform lacks, in one line: opening says "not supported", and nothing else can ever be called.

/// The open device of a platform that has none.
#[derive(Debug, Clone, Copy)]
pub enum Absent {}

/// Implements traits of devices for a platform that does not have them: `absent!(Firmware: I2cBuses, SpiBuses);`
#[macro_export]
macro_rules! absent {
    ($platform:ty: $($which:ident),+ $(,)?) => {
        $($crate::absent!(@ $which $platform);)+
    };
    (@ Pins $platform:ty) => {
        impl $crate::services::Pins for $platform {
            type Pin = $crate::services::Absent;

            fn open_pin(
                &mut self,
                _: &str,
                _: $crate::services::PinSetup,
            ) -> Result<Self::Pin, $crate::services::GpioError> {
                Err($crate::services::GpioError::OperationNotSupported)
            }

            fn pin_config(&mut self, pin: &Self::Pin) -> $crate::services::DigitalConfig {
                match *pin {}
            }

            fn set_pin(
                &mut self,
                pin: &mut Self::Pin,
                _: $crate::services::PinState,
            ) -> Result<(), $crate::services::GpioError> {
                match *pin {}
            }

            fn pin_state(
                &mut self,
                pin: &mut Self::Pin,
            ) -> Result<$crate::services::PinState, $crate::services::GpioError> {
                match *pin {}
            }

            fn watch_pin(
                &mut self,
                pin: &mut Self::Pin,
                _: $crate::services::PinEvent,
            ) -> Result<$crate::services::Pollable<Self::Wait>, $crate::services::GpioError> {
                match *pin {}
            }

            fn next_edge(
                &mut self,
                pin: &mut Self::Pin,
            ) -> Result<Option<$crate::services::Edge>, $crate::services::GpioError> {
                match *pin {}
            }

            fn lost_edges(&mut self, pin: &mut Self::Pin) -> u64 {
                match *pin {}
            }
        }
    };
    (@ I2cBuses $platform:ty) => {
        impl $crate::services::I2cBuses for $platform {
            type I2cBus = $crate::services::Absent;

            fn open_i2c(&mut self, _: &str) -> Result<Self::I2cBus, $crate::services::DeviceError> {
                Err($crate::services::DeviceError::NotSupported)
            }

            fn i2c_transaction(
                &mut self,
                bus: &mut Self::I2cBus,
                _: u16,
                _: &mut [$crate::services::I2cOperation<'_>],
            ) -> Result<(), $crate::services::I2cError> {
                match *bus {}
            }
        }
    };
    (@ SpiBuses $platform:ty) => {
        impl $crate::services::SpiBuses for $platform {
            type SpiDevice = $crate::services::Absent;

            fn open_spi(
                &mut self,
                _: &str,
            ) -> Result<Self::SpiDevice, $crate::services::DeviceError> {
                Err($crate::services::DeviceError::NotSupported)
            }

            fn spi_transaction(
                &mut self,
                device: &mut Self::SpiDevice,
                _: &mut [$crate::services::SpiOperation<'_>],
            ) -> Result<(), $crate::services::SpiError> {
                match *device {}
            }
        }
    };
    (@ Uarts $platform:ty) => {
        impl $crate::services::Uarts for $platform {
            type Port = $crate::services::Absent;

            fn open_uart(
                &mut self,
                _: &str,
                _: Option<$crate::services::UartConfig>,
            ) -> Result<$crate::services::OpenPort<Self>, $crate::services::DeviceError> {
                Err($crate::services::DeviceError::NotSupported)
            }

            fn uart_config(&mut self, port: &Self::Port) -> $crate::services::UartConfig {
                match *port {}
            }

            fn uart_lost(&mut self, port: &mut Self::Port) -> u64 {
                match *port {}
            }
        }
    };
    (@ Converters $platform:ty) => {
        impl $crate::services::Converters for $platform {
            type Channel = $crate::services::Absent;

            fn open_channel(
                &mut self,
                _: &str,
            ) -> Result<Self::Channel, $crate::services::DeviceError> {
                Err($crate::services::DeviceError::NotSupported)
            }

            fn channel_label(&mut self, channel: &Self::Channel) -> $crate::services::Text {
                match *channel {}
            }

            fn channel_range(&mut self, channel: &Self::Channel) -> $crate::services::Range {
                match *channel {}
            }

            fn sample(
                &mut self,
                channel: &mut Self::Channel,
            ) -> Result<u32, $crate::services::DeviceError> {
                match *channel {}
            }
        }
    };
}
