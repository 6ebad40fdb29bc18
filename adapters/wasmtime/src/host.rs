//! What a guest sees of its host: WASI 0.2, each part as the grants allow.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::resolve::{Grants, Network};
use vyoma_runtime::network::may_bind;
use vyoma_runtime::{Activity, RunConfig};
use wasmtime::component::{Linker, Resource, ResourceTable};
use wasmtime::error::Context;
use wasmtime::{CallHook, Engine, Result, Store, StoreContextMut};
use wasmtime_wasi::p2::Network as NetworkHandle;
use wasmtime_wasi::p2::bindings::sockets::ip_name_lookup::ResolveAddressStream;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

use crate::limits::Limits;
use crate::stdio::{Descriptor, Refused};

/// Handles (files, sockets, streams, pollables) that one guest may hold. Far above what the descriptor limit of a process
/// leaves for files and sockets; what is bounded by it are pollables, which cost the host memory only.
const MAX_HANDLES: usize = 8192;

/// Name look-up, as wasmtime-wasi links it. A test with a real look-up notices when its version moves on.
const NAME_LOOKUP: &str = "wasi:sockets/ip-name-lookup@0.2.12";

/// The data of a store: what host functions work on.
pub(crate) struct Host {
    wasi: WasiCtx,
    table: ResourceTable,
    pub(crate) limits: Limits,
    pub(crate) activity: Arc<dyn Activity>,
    pub(crate) grants: Grants,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Makes the store of one run. Call it within the event loop's context.
pub(crate) fn store(engine: &Engine, config: &RunConfig) -> Result<Store<Host>> {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MAX_HANDLES);
    let host = Host {
        wasi: wasi(config)?,
        table,
        limits: Limits::new(config.memory_bytes),
        activity: Arc::clone(&config.activity),
        grants: config.grants.clone(),
    };
    let mut store = Store::new(engine, host);
    store.limiter(|host| &mut host.limits);
    let activity: Arc<dyn Activity> = Arc::clone(&config.activity);
    store.call_hook(move |_, hook| {
        match hook {
            CallHook::CallingHost => activity.enter(),
            CallHook::ReturningFromHost => activity.leave(),
            CallHook::CallingWasm | CallHook::ReturningFromWasm => {}
        }
        Ok(())
    });
    Ok(store)
}

fn wasi(config: &RunConfig) -> Result<WasiCtx> {
    // What a new context has: no argument, no variable, no folder, no network.
    let mut wasi = WasiCtx::builder();
    wasi.arg(&config.name).args(&config.args).envs(&config.env);
    // Disk I/O happens on this thread, the only one.
    wasi.allow_blocking_current_thread(true);
    if config.grants.stdio {
        wasi.stdin(Descriptor::stdin(&config.activity).context("stdin")?);
        wasi.stdout(Descriptor::stdout(&config.activity).context("stdout")?);
        wasi.stderr(Descriptor::stderr(&config.activity).context("stderr")?);
    } else {
        wasi.stdin(Refused::new(&config.activity));
        wasi.stdout(Refused::new(&config.activity));
        wasi.stderr(Refused::new(&config.activity));
    }
    if config.grants.filesystem {
        let folder = config
            .data
            .as_ref()
            .context("the filesystem grant needs the data folder")?;
        // wasmtime-wasi opens folders by name only; the descriptor's name in /proc is the folder that was handed in.
        let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
        wasi.preopened_dir(path, "/", FsPerms::ReadWrite)
            .context("the data folder")?;
    }
    if let Some(network) = config.grants.network {
        wasi.allow_tcp(true)
            .allow_udp(true)
            .allow_ip_name_lookup(true);
        let activity = Arc::clone(&config.activity);
        wasi.socket_addr_check(move |address, purpose| {
            let allowed = may_use(network, address, purpose);
            if !allowed {
                activity.refused(Capability::Network);
            }
            Box::pin(async move { allowed })
        });
    } else {
        wasi.allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false);
    }
    Ok(wasi.build())
}

/// Only binding is restricted. (A listener is bound before it listens.)
fn may_use(network: Network, address: SocketAddr, purpose: SocketAddrUse) -> bool {
    match purpose {
        SocketAddrUse::TcpBind | SocketAddrUse::UdpBind => may_bind(network, address),
        _ => true,
    }
}

/// All of WASI 0.2. Everything is there whatever the grants are: what is not granted answers with an error.
pub(crate) fn linker(engine: &Engine, config: &RunConfig) -> Result<Linker<Host>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    crate::uses::add_to_linker(&mut linker)?;
    if config.grants.network.is_none() {
        // wasmtime-wasi would answer "permanent resolver failure"; the reason is that it isn't allowed.
        linker.instance(NAME_LOOKUP)?.func_wrap(
            "resolve-addresses",
            |store: StoreContextMut<'_, Host>, (_, _): (Resource<NetworkHandle>, String)| {
                let host = store.data();
                host.activity.used(Capability::Network);
                crate::uses::refuse_without_network(host);
                Ok((Err::<Resource<ResolveAddressStream>, _>(
                    ErrorCode::AccessDenied,
                ),))
            },
        )?;
    }
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(port: Option<u16>, purpose: SocketAddrUse, address: &str) -> bool {
        may_use(Network { port }, address.parse().unwrap(), purpose)
    }

    #[test]
    fn the_rule_for_ports_holds_for_binding() {
        for bind in [SocketAddrUse::TcpBind, SocketAddrUse::UdpBind] {
            assert!(may(Some(80), bind, "0.0.0.0:80"));
            assert!(!may(Some(80), bind, "0.0.0.0:81"));
            assert!(!may(None, bind, "0.0.0.0:1023"));
        }
    }

    #[test]
    fn other_uses_of_an_address_are_free() {
        assert!(may(Some(80), SocketAddrUse::TcpConnect, "10.0.0.1:443"));
        assert!(may(Some(80), SocketAddrUse::TcpListen, "0.0.0.0:49152"));
        assert!(may(None, SocketAddrUse::UdpSend, "10.0.0.1:53"));
    }
}
