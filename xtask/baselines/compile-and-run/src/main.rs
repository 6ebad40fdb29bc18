//! What `wasmtime run -C cache=n COMPONENT` does, and nothing more: read, compile with Cranelift, instantiate with WASI
//! 0.2, call `wasi:cli/run`. Installing the wasmtime command itself would compile for longer than everything else here;
//! this is the same engine, of the same version, called as that command calls it.

use std::process::ExitCode;

use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Result, Store};
use wasmtime_wasi::p2::bindings::sync::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

struct Host {
    context: WasiCtx,
    table: ResourceTable,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.context,
            table: &mut self.table,
        }
    }
}

fn main() -> Result<ExitCode> {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: compile-and-run COMPONENT");
        return Ok(ExitCode::from(2));
    };
    let engine = Engine::new(&Config::new())?;
    let component = Component::from_file(&engine, &path)?;
    let mut linker = Linker::new(&engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    let context = WasiCtx::builder().inherit_stdio().args(&[path]).build();
    let mut store = Store::new(
        &engine,
        Host {
            context,
            table: ResourceTable::new(),
        },
    );
    let command = Command::instantiate(&mut store, &component, &linker)?;
    let ended = command.wasi_cli_run().call_run(&mut store)?;
    Ok(if ended.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
