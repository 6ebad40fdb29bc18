//! `wasi:cli@0.2`: environment, exit, the standard streams, terminals. No stream here is a terminal: on a device it is a pipe
//! of the supervisor's, and a guest must not behave otherwise when a developer runs it in one.

use alloc::string::String;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::handles::Own;
use crate::host::{Context, Interface};
use crate::services::Services;
use crate::trap::Trap;
use crate::{function, resource};

/// The interfaces over services `S`.
pub struct Cli<S>(PhantomData<S>);

/// `terminal-input`; none is ever made.
struct TerminalInput;

/// `terminal-output`; none is ever made.
struct TerminalOutput;

impl<S: Services> Cli<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] = &[
        Self::ENVIRONMENT,
        Self::EXIT,
        Self::STDIN,
        Self::STDOUT,
        Self::STDERR,
        Self::TERMINAL_INPUT,
        Self::TERMINAL_OUTPUT,
        Self::TERMINAL_STDIN,
        Self::TERMINAL_STDOUT,
        Self::TERMINAL_STDERR,
    ];

    /// `wasi:cli/environment`
    pub const ENVIRONMENT: &'static Interface<S> = &Interface {
        name: "wasi:cli/environment",
        functions: &[
            function!("get-environment", environment::<S>),
            function!("get-arguments", arguments::<S>),
            function!("initial-cwd", initial_cwd::<S>),
        ],
        resources: &[],
    };

    /// `wasi:cli/exit`
    pub const EXIT: &'static Interface<S> = &Interface {
        name: "wasi:cli/exit",
        functions: &[
            function!("exit", exit::<S>),
            function!("exit-with-code", exit_with_code::<S>),
        ],
        resources: &[],
    };

    /// `wasi:cli/stdin`
    pub const STDIN: &'static Interface<S> = &Interface {
        name: "wasi:cli/stdin",
        functions: &[function!("get-stdin", stdin::<S>)],
        resources: &[],
    };

    /// `wasi:cli/stdout`
    pub const STDOUT: &'static Interface<S> = &Interface {
        name: "wasi:cli/stdout",
        functions: &[function!("get-stdout", stdout::<S>)],
        resources: &[],
    };

    /// `wasi:cli/stderr`
    pub const STDERR: &'static Interface<S> = &Interface {
        name: "wasi:cli/stderr",
        functions: &[function!("get-stderr", stderr::<S>)],
        resources: &[],
    };

    /// `wasi:cli/terminal-input`
    pub const TERMINAL_INPUT: &'static Interface<S> = &Interface {
        name: "wasi:cli/terminal-input",
        functions: &[],
        resources: &[resource!("terminal-input", TerminalInput)],
    };

    /// `wasi:cli/terminal-output`
    pub const TERMINAL_OUTPUT: &'static Interface<S> = &Interface {
        name: "wasi:cli/terminal-output",
        functions: &[],
        resources: &[resource!("terminal-output", TerminalOutput)],
    };

    /// `wasi:cli/terminal-stdin`
    pub const TERMINAL_STDIN: &'static Interface<S> = &Interface {
        name: "wasi:cli/terminal-stdin",
        functions: &[function!(
            "get-terminal-stdin",
            no_terminal::<S, TerminalInput>
        )],
        resources: &[],
    };

    /// `wasi:cli/terminal-stdout`
    pub const TERMINAL_STDOUT: &'static Interface<S> = &Interface {
        name: "wasi:cli/terminal-stdout",
        functions: &[function!(
            "get-terminal-stdout",
            no_terminal::<S, TerminalOutput>
        )],
        resources: &[],
    };

    /// `wasi:cli/terminal-stderr`
    pub const TERMINAL_STDERR: &'static Interface<S> = &Interface {
        name: "wasi:cli/terminal-stderr",
        functions: &[function!(
            "get-terminal-stderr",
            no_terminal::<S, TerminalOutput>
        )],
        resources: &[],
    };
}

fn environment<S: Services>(
    cx: &mut Context<'_, S>,
    (): (),
) -> Result<Vec<(String, String)>, Trap> {
    Ok(cx.services.environment())
}

fn arguments<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<Vec<String>, Trap> {
    Ok(cx.services.arguments())
}

/// A guest has its preopens and no working folder.
fn initial_cwd<S: Services>(_: &mut Context<'_, S>, (): ()) -> Result<Option<String>, Trap> {
    Ok(None)
}

fn exit<S: Services>(_: &mut Context<'_, S>, (status,): (Result<(), ()>,)) -> Result<(), Trap> {
    Err(Trap::Exit(status.is_err().into()))
}

fn exit_with_code<S: Services>(_: &mut Context<'_, S>, (code,): (u8,)) -> Result<(), Trap> {
    Err(Trap::Exit(code))
}

fn stdin<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<Own<S::Input>, Trap> {
    let stream = cx.services.stdin();
    cx.handles.push(stream)
}

fn stdout<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<Own<S::Output>, Trap> {
    let stream = cx.services.stdout();
    cx.handles.push(stream)
}

fn stderr<S: Services>(cx: &mut Context<'_, S>, (): ()) -> Result<Own<S::Output>, Trap> {
    let stream = cx.services.stderr();
    cx.handles.push(stream)
}

fn no_terminal<S: Services, T>(_: &mut Context<'_, S>, (): ()) -> Result<Option<Own<T>>, Trap> {
    Ok(None)
}
