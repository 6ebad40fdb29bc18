//! Any message, and any manifest: what the properties are about.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use vyoma_capabilities::control::{
    AheadOfTime, AppStatus, ControlError, DeviceEvent, DeviceInfo, ErrorKind, Execution,
    InstallOptions, LogLine, Request, Response, RolledBack, Stream, Upload, Versions,
};
use vyoma_capabilities::lifecycle::{Ending, Phase};
use vyoma_capabilities::manifest::{
    Adc, App, Declared, Direction, Gpio, I2c, Manifest, Pin, Realtime, Resources, RestartPolicy,
    Spi, Uart,
};
use vyoma_capabilities::profile::OptimizationLevel;

fn text() -> impl Strategy<Value = String> {
    // Long enough for lengths of two bytes, too.
    prop_oneof![4 => ".{0,12}", 1 => ".{120,140}"]
}

fn select<T: Clone + std::fmt::Debug + 'static>(items: &[T]) -> impl Strategy<Value = T> + use<T> {
    prop::sample::select(items.to_vec())
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let upload = (any::<u64>(), text()).prop_map(|(size, sha256)| Upload { size, sha256 });
    prop_oneof![
        any::<u32>().prop_map(|protocol| Request::Hello { protocol }),
        select(&[
            Request::Ps,
            Request::Info,
            Request::Shutdown,
            Request::Reboot
        ]),
        (
            of(text()),
            any::<bool>(),
            of(any::<u64>()),
            any::<bool>(),
            of(any::<u32>())
        )
            .prop_map(|(app, follow, since_ms, previous, tail)| Request::Logs {
                app,
                follow,
                since_ms,
                previous,
                tail
            }),
        (text(), any::<u64>(), text(), of(upload)).prop_map(
            |(manifest, component_size, sha256, ahead_of_time)| Request::Install {
                manifest,
                component_size,
                sha256,
                ahead_of_time,
                options: InstallOptions {
                    component_kept: component_size / 2,
                    code_kept: 0,
                    signature: None,
                    allow_downgrade: false,
                },
            }
        ),
        vec(text(), 0..4).prop_map(|sha256s| Request::Kept { sha256s }),
        text().prop_map(|app| Request::Rollback { app }),
        (vec(any::<u8>(), 0..200), any::<u64>(), text()).prop_map(
            |(manifest, component_size, sha256)| Request::InstallCompact {
                manifest,
                component_size,
                sha256
            }
        ),
        (text(), text(), any::<bool>()).prop_map(|(app, text, end)| Request::Send {
            app,
            text,
            end
        }),
        (text(), any::<bool>()).prop_map(|(app, keep_data)| Request::Remove { app, keep_data }),
        text().prop_map(|app| Request::Start { app }),
        text().prop_map(|app| Request::Stop { app }),
        text().prop_map(|app| Request::Restart { app }),
        any::<bool>().prop_map(|follow| Request::Events { follow }),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        any::<u8>().prop_map(Ending::Exited),
        text().prop_map(Ending::Trapped),
        select(&[Ending::Watchdog, Ending::OutOfMemory, Ending::Stopped]),
        any::<u8>().prop_map(Ending::Signal),
        text().prop_map(Ending::NotStarted),
    ]
}

fn status() -> impl Strategy<Value = AppStatus> {
    let phase = select(&[
        Phase::Starting,
        Phase::Running,
        Phase::Stopping,
        Phase::Backoff,
        Phase::Exited,
        Phase::Stopped,
        Phase::Quarantined,
    ]);
    let execution = select(&[
        Execution::Compiled,
        Execution::AheadOfTime,
        Execution::Interpreted,
    ]);
    (
        (text(), text(), text(), phase, of(ending()), any::<u32>()),
        (
            of(any::<u32>()),
            of(any::<u64>()),
            of(any::<u64>()),
            of(any::<u64>()),
        ),
        (
            any::<u64>(),
            any::<u64>(),
            vec(text(), 0..4),
            of(execution),
            of(versions()),
        ),
    )
        .prop_map(
            |(
                (name, version, sha256, phase, last_ending, restarts),
                (pid, uptime_ms, pss_kb, cpu_ms),
                (host_calls, dropped_lines, unavailable, execution, versions),
            )| AppStatus {
                name,
                version,
                sha256,
                phase,
                last_ending,
                restarts,
                pid,
                uptime_ms,
                pss_kb,
                cpu_ms,
                host_calls,
                dropped_lines,
                unavailable,
                execution,
                versions,
            },
        )
}

fn versions() -> impl Strategy<Value = Versions> {
    let rolled_back =
        (text(), text(), any::<u64>()).prop_map(|(version, reason, time_ms)| RolledBack {
            version,
            reason,
            time_ms,
        });
    (of(text()), any::<bool>(), of(rolled_back)).prop_map(|(previous, on_trial, rolled_back)| {
        Versions {
            previous,
            on_trial,
            rolled_back,
        }
    })
}

fn info() -> impl Strategy<Value = DeviceInfo> {
    let level = select(&[
        OptimizationLevel::None,
        OptimizationLevel::Balanced,
        OptimizationLevel::Speed,
        OptimizationLevel::Size,
    ]);
    let ahead_of_time =
        (text(), text(), text(), level).prop_map(|(engine, target, flags, optimization_level)| {
            AheadOfTime {
                engine,
                target,
                flags,
                optimization_level,
            }
        });
    (
        prop::array::uniform8(text()),
        prop::array::uniform3(any::<u32>()),
        prop::array::uniform4(any::<u64>()),
        (
            of(any::<u64>()),
            of(text()),
            vec(text(), 0..3),
            of(ahead_of_time),
        ),
    )
        .prop_map(|(texts, counts, sizes, rest)| {
            let [
                platform,
                version,
                engine,
                arch,
                hostname,
                kernel,
                mode,
                data,
            ] = texts;
            let [apps, running, max_apps] = counts;
            let [uptime_ms, time_ms, memory_total_kb, memory_available_kb] = sizes;
            let (daemon_pss_kb, last_epitaph, addresses, ahead_of_time) = rest;
            DeviceInfo {
                platform,
                version,
                engine,
                arch,
                hostname,
                kernel,
                mode,
                uptime_ms,
                time_ms,
                apps,
                running,
                max_apps,
                daemon_pss_kb,
                memory_total_kb,
                memory_available_kb,
                data,
                last_epitaph,
                addresses,
                ahead_of_time,
            }
        })
}

pub(crate) fn response() -> impl Strategy<Value = Response> {
    let kind = select(&[
        ErrorKind::Protocol,
        ErrorKind::NoSuchApp,
        ErrorKind::Invalid,
        ErrorKind::HashMismatch,
        ErrorKind::Limit,
        ErrorKind::State,
        ErrorKind::Device,
    ]);
    let stream = select(&[Stream::Out, Stream::Err, Stream::System]);
    prop_oneof![
        (any::<u32>(), text(), text()).prop_map(|(protocol, version, platform)| {
            Response::Hello {
                protocol,
                version,
                platform,
            }
        }),
        vec(status(), 0..5).prop_map(Response::Apps),
        (text(), any::<u64>(), stream, text()).prop_map(|(app, time_ms, stream, text)| {
            Response::LogLine(LogLine {
                app,
                time_ms,
                stream,
                text,
            })
        }),
        (any::<u64>(), of(text()), text(), text()).prop_map(|(time_ms, app, kind, detail)| {
            Response::Event(DeviceEvent {
                time_ms,
                app,
                kind,
                detail,
            })
        }),
        info().prop_map(Response::Info),
        (text(), text(), any::<bool>(), vec(text(), 0..3)).prop_map(
            |(app, sha256, replaced, warnings)| Response::Installed {
                app,
                sha256,
                replaced,
                warnings
            }
        ),
        Just(Response::Done),
        vec(any::<u64>(), 0..4).prop_map(Response::Kept),
        (text(), text(), text()).prop_map(|(app, version, from)| Response::RolledBack {
            app,
            version,
            from
        }),
        (kind, text()).prop_map(|(kind, message)| Response::Error(ControlError { kind, message })),
    ]
}

/// A manifest that a microcontroller takes, without what the compact form leaves out.
pub(crate) fn manifest() -> impl Strategy<Value = Manifest> {
    let word = "[ -~äöü]{0,20}";
    let index = || of(0..1024_u32);
    let pin = prop_oneof![
        (0..1024_u32).prop_map(Pin::Number),
        "[A-Z0-9_]{1,32}".prop_map(Pin::Label)
    ];
    let restart = select(&[
        RestartPolicy::Never,
        RestartPolicy::OnFailure,
        RestartPolicy::Always,
    ]);
    let gpio = (
        vec(pin, 0..8),
        of(select(&[Direction::Input, Direction::Output])),
    )
        .prop_map(|(pins, direction)| Gpio { pins, direction });
    let app = (
        "[a-z][a-z0-9-]{0,31}",
        "[!-~]{1,32}",
        of("[0-9a-f]{64}"),
        restart,
        vec(word, 0..8),
        btree_map("[A-Z]{1,8}", word, 0..8),
    )
        .prop_filter("reserved", |(name, ..)| {
            !["supervisor", "broadcast", "reply"].contains(&name.as_str())
        })
        .prop_map(
            |(name, version, wasm_sha256, restart, args, env): (_, _, _, _, _, BTreeMap<_, _>)| {
                App {
                    name,
                    version,
                    wasm: String::from("app.wasm"),
                    wasm_sha256,
                    icon: None,
                    restart,
                    health_secs: None,
                    args,
                    env,
                }
            },
        );
    let declared = (
        prop::array::uniform8(any::<bool>()),
        of(1..=u16::MAX),
        of(any::<u32>()),
        of(gpio),
        of((index(), of(0..128_u8)).prop_map(|(bus, address)| I2c { bus, address })),
        of((index(), index()).prop_map(|(bus, cs_pin)| Spi { bus, cs_pin })),
        of((index(), of(50..=4_000_000_u32)).prop_map(|(port, baud)| Uart { port, baud })),
        of(vec(0..1024_u32, 0..8).prop_map(|channels| Adc { channels })),
    )
        .prop_map(
            |(switches, network_port, watchdog_secs, gpio, i2c, spi, uart, adc)| {
                let [
                    stdio,
                    filesystem,
                    network,
                    display,
                    shell,
                    mouse,
                    touch,
                    audio,
                ] = switches;
                Declared {
                    stdio,
                    filesystem,
                    network,
                    display,
                    shell,
                    mouse,
                    touch,
                    audio,
                    network_port,
                    watchdog_secs,
                    gpio,
                    i2c,
                    spi,
                    uart,
                    adc,
                }
            },
        );
    let resources = (of(64..=4_194_304_u32), of(1..=6400_u32), of(1..=u32::MAX)).prop_map(
        |(memory_kb, cpu_percent, storage_kb)| Resources {
            memory_kb,
            cpu_percent,
            storage_kb,
        },
    );
    let realtime = of((1..=98_u8).prop_map(|priority| Realtime { priority }));
    (app, declared, resources, realtime).prop_map(|(app, capabilities, resources, realtime)| {
        Manifest {
            app,
            capabilities,
            resources,
            realtime,
            window: None,
            menu_items: Vec::new(),
        }
    })
}
