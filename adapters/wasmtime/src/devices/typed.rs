//! The calls that apps make again and again (a pin set or read, a transfer, a sample) with types that Wasmtime knows when it is
//! compiled. What any call costs through [`values`](super::values), which asks for the types of each value each time, is
//! several times what the kernel needs for it. The host functions behind both are the same.

use vyoma_capabilities::capability::Capability;
use vyoma_component::host::Function;
use vyoma_services::Linux;
use wasmtime::component::{
    ComponentNamedList, ComponentType, Lift, LinkerInstance, Lower, ResourceDynamic, WasmList,
};
use wasmtime::{Error, Result, StoreContextMut};

use super::invoke;
use super::values::Scratch;
use crate::host::Host;

/// Most core values of a call here.
const SLOTS: usize = 8;

/// Links `function` of `interface`, if it is one of those; `used` is what a call of it shows to be used.
pub(super) fn add(
    instance: &mut LinkerInstance<'_, Host>,
    interface: &str,
    function: &'static Function<Linux>,
    used: Option<Capability>,
) -> Result<bool> {
    use ResourceDynamic as Own;
    type Pin<T> = Result<T, GpioError>;
    type Bus<T> = Result<T, I2cError>;
    type Spi<T> = Result<T, SpiError>;
    type Bytes = WasmList<u8>;
    let (package, _) = interface.split_once('@').unwrap_or((interface, ""));
    let (_, method) = function.name.split_once('.').unwrap_or_default();
    match (package, method) {
        ("wasi:gpio/digital", "set-active" | "set-inactive" | "toggle") => {
            link::<(Own,), Pin<()>>(instance, function, used)
        }
        ("wasi:gpio/digital", "set-state") => {
            link::<(Own, PinState), Pin<()>>(instance, function, used)
        }
        ("wasi:gpio/digital", "read") => link::<(Own,), Pin<PinState>>(instance, function, used),
        ("wasi:gpio/digital", "is-active" | "is-inactive") => {
            link::<(Own,), Pin<bool>>(instance, function, used)
        }
        ("wasi:i2c/i2c", "read") => link::<(Own, u16, u64), Bus<Vec<u8>>>(instance, function, used),
        ("wasi:i2c/i2c", "write") => link::<(Own, u16, Bytes), Bus<()>>(instance, function, used),
        ("wasi:i2c/i2c", "write-read") => {
            link::<(Own, u16, Bytes, u64), Bus<Vec<u8>>>(instance, function, used)
        }
        ("wasi:spi/spi", "read") => link::<(Own, u64), Spi<Vec<u8>>>(instance, function, used),
        ("wasi:spi/spi", "write") => link::<(Own, Bytes), Spi<()>>(instance, function, used),
        ("wasi:spi/spi", "transfer") => {
            link::<(Own, Bytes), Spi<Vec<u8>>>(instance, function, used)
        }
        ("vyoma:adc/adc", "read-raw" | "read-microvolts") => {
            link::<(Own,), Result<u32, ErrorCode>>(instance, function, used)
        }
        _ => return Ok(false),
    }?;
    Ok(true)
}

fn link<P, R>(
    instance: &mut LinkerInstance<'_, Host>,
    function: &'static Function<Linux>,
    used: Option<Capability>,
) -> Result<()>
where
    P: Arguments + ComponentNamedList + Lift + 'static,
    R: Load + Send + Sync + 'static,
    (R,): ComponentNamedList + Lower,
{
    instance.func_wrap(function.name, move |mut store, arguments: P| {
        if let Some(capability) = used {
            store.data().activity.used(capability);
        }
        call::<P, R>(&mut store, function, &arguments).map(|result| (result,))
    })
}

fn call<P: Arguments, R: Load>(
    store: &mut StoreContextMut<'_, Host>,
    function: &'static Function<Linux>,
    arguments: &P,
) -> Result<R> {
    // Its room stays from call to call.
    let mut scratch = std::mem::take(&mut store.data_mut().devices.scratch);
    scratch.clear();
    let mut slots = [0; SLOTS];
    let mut count = arguments.put(store, &mut slots, &mut scratch);
    // Every result here is a choice that has more than one core value.
    let place = scratch.allocate(R::SIZE, R::ALIGN);
    slots[count] = place.into();
    count += 1;
    let devices = &mut store.data_mut().devices;
    let result = invoke(
        &mut devices.state,
        function,
        &mut slots[..count],
        &mut scratch,
    )
    .and_then(|()| R::load(&scratch, place));
    devices.scratch = scratch;
    result
}

/// Arguments as core values.
trait Arguments {
    /// Returns how many there are.
    fn put(
        &self,
        store: &StoreContextMut<'_, Host>,
        slots: &mut [u64; SLOTS],
        scratch: &mut Scratch,
    ) -> usize;
}

/// One of them; returns how many core values it was.
trait Argument {
    fn put(
        &self,
        store: &StoreContextMut<'_, Host>,
        slots: &mut [u64],
        scratch: &mut Scratch,
    ) -> usize;
}

impl Argument for ResourceDynamic {
    fn put(&self, _: &StoreContextMut<'_, Host>, slots: &mut [u64], _: &mut Scratch) -> usize {
        slots[0] = self.rep().into();
        1
    }
}

impl Argument for PinState {
    fn put(&self, _: &StoreContextMut<'_, Host>, slots: &mut [u64], _: &mut Scratch) -> usize {
        slots[0] = *self as u64;
        1
    }
}

impl Argument for u16 {
    fn put(&self, _: &StoreContextMut<'_, Host>, slots: &mut [u64], _: &mut Scratch) -> usize {
        slots[0] = (*self).into();
        1
    }
}

impl Argument for u64 {
    fn put(&self, _: &StoreContextMut<'_, Host>, slots: &mut [u64], _: &mut Scratch) -> usize {
        slots[0] = *self;
        1
    }
}

impl Argument for WasmList<u8> {
    fn put(
        &self,
        store: &StoreContextMut<'_, Host>,
        slots: &mut [u64],
        scratch: &mut Scratch,
    ) -> usize {
        let bytes = self.as_le_slice(store);
        slots[0] = scratch.put(bytes).into();
        slots[1] = bytes.len() as u64;
        2
    }
}

macro_rules! arguments {
    ($($name:ident),+) => {
        impl<$($name: Argument),+> Arguments for ($($name,)+) {
            fn put(
                &self,
                store: &StoreContextMut<'_, Host>,
                slots: &mut [u64; SLOTS],
                scratch: &mut Scratch,
            ) -> usize {
                #[allow(non_snake_case, reason = "named after their types")]
                let ($($name,)+) = self;
                let mut count = 0;
                $(count += $name.put(store, &mut slots[count..], scratch);)+
                count
            }
        }
    };
}

arguments!(A);
arguments!(A, B);
arguments!(A, B, C);
arguments!(A, B, C, D);

/// What a host function leaves in memory, after the canonical ABI.
trait Load: Sized {
    const SIZE: u32;
    const ALIGN: u32;

    fn load(scratch: &Scratch, at: u32) -> Result<Self>;
}

const fn larger(one: u32, other: u32) -> u32 {
    if one > other { one } else { other }
}

fn no_such_case() -> Error {
    Error::msg("no such case")
}

impl Load for () {
    const SIZE: u32 = 0;
    const ALIGN: u32 = 1;

    fn load(_: &Scratch, _: u32) -> Result<Self> {
        Ok(())
    }
}

impl Load for bool {
    const SIZE: u32 = 1;
    const ALIGN: u32 = 1;

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        Ok(scratch.byte(at)? != 0)
    }
}

impl Load for u32 {
    const SIZE: u32 = 4;
    const ALIGN: u32 = 4;

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        scratch.bytes(at).map(Self::from_le_bytes)
    }
}

impl Load for Vec<u8> {
    const SIZE: u32 = 8;
    const ALIGN: u32 = 4;

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        let (place, length) = (u32::load(scratch, at)?, u32::load(scratch, at + 4)?);
        scratch.slice(place, length).map(<[u8]>::to_vec)
    }
}

impl Load for String {
    const SIZE: u32 = 8;
    const ALIGN: u32 = 4;

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        Ok(Self::from_utf8(Vec::load(scratch, at)?)?)
    }
}

impl<T: Load, E: Load> Load for std::result::Result<T, E> {
    const SIZE: u32 = (Self::ALIGN + larger(T::SIZE, E::SIZE)).next_multiple_of(Self::ALIGN);
    const ALIGN: u32 = larger(T::ALIGN, E::ALIGN);

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        let payload = at + Self::ALIGN;
        match scratch.byte(at)? {
            0 => T::load(scratch, payload).map(Ok),
            _ => E::load(scratch, payload).map(Err),
        }
    }
}

/// `wasi:gpio/digital` `pin-state`
#[derive(Debug, Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum PinState {
    #[component(name = "active")]
    Active,
    #[component(name = "inactive")]
    Inactive,
}

impl Load for PinState {
    const SIZE: u32 = 1;
    const ALIGN: u32 = 1;

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        match scratch.byte(at)? {
            0 => Ok(Self::Active),
            1 => Ok(Self::Inactive),
            _ => Err(no_such_case()),
        }
    }
}

/// `wasi:gpio/general` `gpio-error`
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
enum GpioError {
    #[component(name = "hardware-fault")]
    HardwareFault,
    #[component(name = "already-in-use")]
    AlreadyInUse,
    #[component(name = "pin-not-allowed")]
    PinNotAllowed,
    #[component(name = "pin-mode-not-allowed")]
    PinModeNotAllowed,
    #[component(name = "undefined-pin-label")]
    UndefinedPinLabel,
    #[component(name = "pin-mode-not-available")]
    PinModeNotAvailable,
    #[component(name = "would-block")]
    WouldBlock,
    #[component(name = "operation-not-supported")]
    OperationNotSupported,
    #[component(name = "other")]
    Other(String),
}

impl Load for GpioError {
    const SIZE: u32 = 12;
    const ALIGN: u32 = 4;

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        Ok(match scratch.byte(at)? {
            0 => Self::HardwareFault,
            1 => Self::AlreadyInUse,
            2 => Self::PinNotAllowed,
            3 => Self::PinModeNotAllowed,
            4 => Self::UndefinedPinLabel,
            5 => Self::PinModeNotAvailable,
            6 => Self::WouldBlock,
            7 => Self::OperationNotSupported,
            8 => Self::Other(String::load(scratch, at + 4)?),
            _ => return Err(no_such_case()),
        })
    }
}

/// `wasi:i2c/i2c` `no-acknowledge-source`
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
enum Source {
    #[component(name = "address")]
    Address,
    #[component(name = "data")]
    Data,
    #[component(name = "unknown")]
    Unknown,
}

/// `wasi:i2c/i2c` `error-code`
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
enum I2cError {
    #[component(name = "bus")]
    Bus,
    #[component(name = "arbitration-loss")]
    ArbitrationLoss,
    #[component(name = "no-acknowledge")]
    NoAcknowledge(Source),
    #[component(name = "overrun")]
    Overrun,
    #[component(name = "other")]
    Other,
}

impl Load for I2cError {
    const SIZE: u32 = 2;
    const ALIGN: u32 = 1;

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        Ok(match scratch.byte(at)? {
            0 => Self::Bus,
            1 => Self::ArbitrationLoss,
            2 => Self::NoAcknowledge(match scratch.byte(at + 1)? {
                0 => Source::Address,
                1 => Source::Data,
                2 => Source::Unknown,
                _ => return Err(no_such_case()),
            }),
            3 => Self::Overrun,
            4 => Self::Other,
            _ => return Err(no_such_case()),
        })
    }
}

/// `wasi:spi/spi` `error`
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
enum SpiError {
    #[component(name = "overrun")]
    Overrun,
    #[component(name = "mode-fault")]
    ModeFault,
    #[component(name = "frame-format")]
    FrameFormat,
    #[component(name = "chip-select-fault")]
    ChipSelectFault,
    #[component(name = "other")]
    Other(String),
}

impl Load for SpiError {
    const SIZE: u32 = 12;
    const ALIGN: u32 = 4;

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        Ok(match scratch.byte(at)? {
            0 => Self::Overrun,
            1 => Self::ModeFault,
            2 => Self::FrameFormat,
            3 => Self::ChipSelectFault,
            4 => Self::Other(String::load(scratch, at + 4)?),
            _ => return Err(no_such_case()),
        })
    }
}

/// `vyoma:device/types` `error-code`
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(enum)]
#[repr(u8)]
enum ErrorCode {
    #[component(name = "not-allowed")]
    NotAllowed,
    #[component(name = "not-supported")]
    NotSupported,
    #[component(name = "already-in-use")]
    AlreadyInUse,
    #[component(name = "no-such-device")]
    NoSuchDevice,
    #[component(name = "invalid-argument")]
    InvalidArgument,
    #[component(name = "hardware-fault")]
    HardwareFault,
}

impl Load for ErrorCode {
    const SIZE: u32 = 1;
    const ALIGN: u32 = 1;

    fn load(scratch: &Scratch, at: u32) -> Result<Self> {
        Ok(match scratch.byte(at)? {
            0 => Self::NotAllowed,
            1 => Self::NotSupported,
            2 => Self::AlreadyInUse,
            3 => Self::NoSuchDevice,
            4 => Self::InvalidArgument,
            5 => Self::HardwareFault,
            _ => return Err(no_such_case()),
        })
    }
}
