//! What Wasmtime's component model alone takes for a call of a device's shape: a handle lent, an enum, a result whose error may
//! hold a string, and a host function that does nothing. None of our code is in the way: it is why components with devices run
//! as core modules.

use std::error::Error;
use std::time::Instant;

use wasmtime::component::{
    Component, ComponentType, Lift, Linker, Lower, ResourceDynamic, ResourceType,
};
use wasmtime::{Engine, Store};

/// Of the only resource.
const TAG: u32 = 1;

#[allow(dead_code, reason = "Wasmtime makes them of what the guest says")]
#[derive(ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
enum PinState {
    #[component(name = "active")]
    Active,
    #[component(name = "inactive")]
    Inactive,
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum GpioError {
    #[component(name = "other")]
    Other(String),
}

/// So many calls; nanoseconds, and a checksum of nothing.
pub(crate) fn calls(rounds: u32) -> Result<String, Box<dyn Error>> {
    let engine = Engine::default();
    let component = Component::new(&engine, wat::parse_str(include_str!("bare.wat"))?)?;
    let mut linker = Linker::<()>::new(&engine);
    let mut host = linker.instance("host")?;
    host.resource("pin", ResourceType::host_dynamic(TAG), |_, _| Ok(()))?;
    host.func_wrap("open", |_, (): ()| Ok((ResourceDynamic::new_own(0, TAG),)))?;
    host.func_wrap("set", |_, (_, _): (ResourceDynamic, PinState)| {
        // Never; but the compiler is not to know.
        let fails = std::hint::black_box(false);
        let answer = if fails {
            Err(GpioError::Other(String::new()))
        } else {
            Ok(())
        };
        Ok((answer,))
    })?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &component)?;
    let run = instance.get_typed_func::<(u32,), ()>(&mut store, "run")?;
    // What happens once does not count.
    run.call(&mut store, (1,))?;
    let begun = Instant::now();
    run.call(&mut store, (rounds,))?;
    Ok(format!("{} {:016x}", begun.elapsed().as_nanos(), 0))
}
