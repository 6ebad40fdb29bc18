//! `wasi:io@0.2`: error, poll, streams. Which bytes come and go is the platform's; here are the rules that hold for every
//! stream: blocking variants, their sizes, splicing, and errors as resources. The results, also for guests that break a
//! rule, are those of wasmtime-wasi.

use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::marker::PhantomData;

use crate::abi::{Buffer, Bytes};
use crate::handles::{Borrow, Handles, Own};
use crate::host::{Context, Interface};
use crate::services::{IoError, Pollable, Services, StreamError};
use crate::trap::Trap;
use crate::{function, resource, variant};

/// Most bytes of `blocking-write-and-flush` and `blocking-write-zeroes-and-flush` (WASI 0.2 io/streams).
const MAX_BLOCKING_WRITE: u64 = 4096;

/// How often a blocking call waits again for a stream that says it is ready and then has nothing, before that is called
/// a fault of the platform.
const MAX_WAITS: u32 = 11;

// The words of `vyoma_runtime::trap`.
const EMPTY_POLL: &str = "empty poll list";
const WRITE_BUDGET: &str = "write of more bytes than `check-write` permitted";
const WRITE_SIZE: &str = "write of more than 4096 bytes at once";

/// The interfaces over services `S`.
pub struct Io<S>(PhantomData<S>);

impl<S: Services> Io<S> {
    /// The package.
    pub const ALL: &'static [&'static Interface<S>] = &[Self::ERROR, Self::POLL, Self::STREAMS];

    /// `wasi:io/error`
    pub const ERROR: &'static Interface<S> = &Interface {
        name: "wasi:io/error",
        functions: &[function!(
            "[method]error.to-debug-string",
            debug_string::<S>
        )],
        resources: &[resource!("error", IoError)],
    };

    /// `wasi:io/poll`
    pub const POLL: &'static Interface<S> = &Interface {
        name: "wasi:io/poll",
        functions: &[
            function!("poll", poll::<S>),
            function!("[method]pollable.ready", ready::<S>),
            function!("[method]pollable.block", block::<S>),
        ],
        resources: &[resource!("pollable", Pollable<S::Wait>)],
    };

    /// `wasi:io/streams`
    pub const STREAMS: &'static Interface<S> = &Interface {
        name: "wasi:io/streams",
        functions: &[
            function!("[method]input-stream.read", read::<S>),
            function!("[method]input-stream.blocking-read", blocking_read::<S>),
            function!("[method]input-stream.skip", skip::<S>),
            function!("[method]input-stream.blocking-skip", blocking_skip::<S>),
            function!("[method]input-stream.subscribe", subscribe_input::<S>),
            function!("[method]output-stream.check-write", check_write::<S>),
            function!("[method]output-stream.write", write::<S>),
            function!(
                "[method]output-stream.blocking-write-and-flush",
                blocking_write_and_flush::<S>
            ),
            function!("[method]output-stream.flush", flush::<S>),
            function!("[method]output-stream.blocking-flush", blocking_flush::<S>),
            function!("[method]output-stream.subscribe", subscribe_output::<S>),
            function!("[method]output-stream.write-zeroes", write_zeroes::<S>),
            function!(
                "[method]output-stream.blocking-write-zeroes-and-flush",
                blocking_write_zeroes_and_flush::<S>
            ),
            function!("[method]output-stream.splice", splice::<S>),
            function!(
                "[method]output-stream.blocking-splice",
                blocking_splice::<S>
            ),
        ],
        resources: &[
            resource!("input-stream", S::Input),
            resource!("output-stream", S::Output),
        ],
    };
}

/// `stream-error`
#[derive(Debug)]
pub enum Failure {
    /// With the reason.
    LastOperationFailed(Own<IoError>),
    /// At its end, or closed.
    Closed,
}

variant!(Failure { 0 LastOperationFailed(Own<IoError>), 1 Closed });

/// What a stream's function gives to the guest, or why it does not return.
pub type Answer<T> = Result<Result<T, Failure>, Trap>;

/// Why an operation below stopped.
enum Stop {
    Error(StreamError),
    Trap(Trap),
}

impl From<StreamError> for Stop {
    fn from(error: StreamError) -> Self {
        Self::Error(error)
    }
}

impl From<Trap> for Stop {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

fn broken(rule: &str) -> Trap {
    Trap::Interface(rule.to_string())
}

fn answer<T>(handles: &mut Handles, outcome: Result<T, Stop>) -> Answer<T> {
    match outcome {
        Ok(value) => Ok(Ok(value)),
        Err(Stop::Error(StreamError::Closed)) => Ok(Err(Failure::Closed)),
        Err(Stop::Error(StreamError::Failed(error))) => handles
            .push(error)
            .map(|error| Err(Failure::LastOperationFailed(error))),
        Err(Stop::Error(StreamError::Trap(rule))) => Err(broken(rule)),
        Err(Stop::Trap(trap)) => Err(trap),
    }
}

fn debug_string<S: Services>(
    cx: &mut Context<'_, S>,
    (error,): (Borrow<IoError>,),
) -> Result<String, Trap> {
    cx.handles.get(error).map(|error| error.message.clone())
}

type Events<S> = Pollable<<S as Services>::Wait>;

fn poll<S: Services>(
    cx: &mut Context<'_, S>,
    (list,): (Vec<Borrow<Events<S>>>,),
) -> Result<Vec<u32>, Trap> {
    if list.is_empty() {
        return Err(broken(EMPTY_POLL));
    }
    let events = list
        .into_iter()
        .map(|pollable| cx.handles.get(pollable).cloned())
        .collect::<Result<Vec<_>, _>>()?;
    Ok(cx.services.poll(&events))
}

fn ready<S: Services>(
    cx: &mut Context<'_, S>,
    (pollable,): (Borrow<Events<S>>,),
) -> Result<bool, Trap> {
    let pollable = cx.handles.get(pollable)?;
    Ok(cx.services.is_ready(pollable))
}

fn block<S: Services>(
    cx: &mut Context<'_, S>,
    (pollable,): (Borrow<Events<S>>,),
) -> Result<(), Trap> {
    let pollable = cx.handles.get(pollable)?;
    cx.services.poll(core::slice::from_ref(pollable));
    Ok(())
}

fn read_now<S: Services>(
    cx: &mut Context<'_, S>,
    stream: Borrow<S::Input>,
    most: u64,
) -> Result<Vec<u8>, Stop> {
    let input = cx.handles.get(stream)?;
    Ok(cx.services.read(input, most)?)
}

fn read_waiting<S: Services>(
    cx: &mut Context<'_, S>,
    stream: Borrow<S::Input>,
    most: u64,
) -> Result<Vec<u8>, Stop> {
    let input = cx.handles.get(stream)?;
    for _ in 0..MAX_WAITS {
        let ready = cx.services.input_ready(input);
        cx.services.poll(&[ready]);
        let bytes = cx.services.read(input, most)?;
        if most == 0 || !bytes.is_empty() {
            return Ok(bytes);
        }
    }
    Err(broken("max blocking attempts exceeded").into())
}

type ReadArguments<S> = (Borrow<<S as Services>::Input>, u64);

fn read<S: Services>(cx: &mut Context<'_, S>, (stream, most): ReadArguments<S>) -> Answer<Buffer> {
    let outcome = read_now(cx, stream, most).map(Buffer);
    answer(cx.handles, outcome)
}

fn blocking_read<S: Services>(
    cx: &mut Context<'_, S>,
    (stream, most): ReadArguments<S>,
) -> Answer<Buffer> {
    let outcome = read_waiting(cx, stream, most).map(Buffer);
    answer(cx.handles, outcome)
}

fn skip<S: Services>(cx: &mut Context<'_, S>, (stream, most): ReadArguments<S>) -> Answer<u64> {
    let outcome = read_now(cx, stream, most).map(|bytes| bytes.len() as u64);
    answer(cx.handles, outcome)
}

fn blocking_skip<S: Services>(
    cx: &mut Context<'_, S>,
    (stream, most): ReadArguments<S>,
) -> Answer<u64> {
    let outcome = read_waiting(cx, stream, most).map(|bytes| bytes.len() as u64);
    answer(cx.handles, outcome)
}

/// The pollable is a child of the stream, which can't be dropped before it.
fn subscribe_input<S: Services>(
    cx: &mut Context<'_, S>,
    (stream,): (Borrow<S::Input>,),
) -> Result<Own<Events<S>>, Trap> {
    let ready = cx.services.input_ready(cx.handles.get(stream)?);
    cx.handles.push_child(ready, stream)
}

/// Likewise.
fn subscribe_output<S: Services>(
    cx: &mut Context<'_, S>,
    (stream,): (Borrow<S::Output>,),
) -> Result<Own<Events<S>>, Trap> {
    let ready = cx.services.output_ready(cx.handles.get(stream)?);
    cx.handles.push_child(ready, stream)
}

fn check_write<S: Services>(
    cx: &mut Context<'_, S>,
    (stream,): (Borrow<S::Output>,),
) -> Answer<u64> {
    let output = cx.handles.get(stream)?;
    let outcome = cx.services.check_write(output).map_err(Stop::Error);
    answer(cx.handles, outcome)
}

fn write<S: Services>(
    cx: &mut Context<'_, S>,
    (stream, bytes): (Borrow<S::Output>, Bytes),
) -> Answer<()> {
    let bytes = bytes.get(cx.guest)?;
    let output = cx.handles.get(stream)?;
    let outcome = cx.services.write(output, bytes).map_err(Stop::Error);
    answer(cx.handles, outcome)
}

fn flush<S: Services>(cx: &mut Context<'_, S>, (stream,): (Borrow<S::Output>,)) -> Answer<()> {
    let output = cx.handles.get(stream)?;
    let outcome = cx.services.flush(output).map_err(Stop::Error);
    answer(cx.handles, outcome)
}

/// Waits until `output` takes bytes, and gives how many.
fn write_ready<S: Services>(services: &mut S, output: &mut S::Output) -> Result<u64, Stop> {
    for _ in 0..MAX_WAITS {
        let ready = services.output_ready(output);
        services.poll(&[ready]);
        let permit = services.check_write(output)?;
        if permit > 0 {
            return Ok(permit);
        }
    }
    Err(broken("max blocking attempts exceeded").into())
}

fn write_all<S: Services>(
    services: &mut S,
    output: &mut S::Output,
    mut bytes: &[u8],
) -> Result<(), Stop> {
    let direct = services.is_unbuffered(output);
    if direct && bytes.is_empty() {
        return Ok(());
    }
    loop {
        let permit = write_ready(services, output)?;
        let (chunk, rest) = bytes.split_at(bytes.len().min(permit as usize));
        services.write(output, chunk)?;
        bytes = rest;
        if bytes.is_empty() {
            break;
        }
    }
    if direct {
        return Ok(());
    }
    // Everything was taken. That the stream closed since then is for the next operation to say.
    let flushed = match services.flush(output) {
        Err(StreamError::Closed) | Ok(()) => write_ready(services, output),
        Err(error) => return Err(error.into()),
    };
    match flushed {
        Ok(_) | Err(Stop::Error(StreamError::Closed)) => Ok(()),
        Err(stop) => Err(stop),
    }
}

fn blocking_write_and_flush<S: Services>(
    cx: &mut Context<'_, S>,
    (stream, bytes): (Borrow<S::Output>, Bytes),
) -> Answer<()> {
    if bytes.len() as u64 > MAX_BLOCKING_WRITE {
        return Err(broken(WRITE_SIZE));
    }
    let bytes = bytes.get(cx.guest)?;
    let outcome = write_all(cx.services, cx.handles.get(stream)?, bytes);
    answer(cx.handles, outcome)
}

fn blocking_write_zeroes_and_flush<S: Services>(
    cx: &mut Context<'_, S>,
    (stream, count): (Borrow<S::Output>, u64),
) -> Answer<()> {
    if count > MAX_BLOCKING_WRITE {
        return Err(broken(WRITE_SIZE));
    }
    let zeroes = vec![0; count as usize];
    let outcome = write_all(cx.services, cx.handles.get(stream)?, &zeroes);
    answer(cx.handles, outcome)
}

fn blocking_flush<S: Services>(
    cx: &mut Context<'_, S>,
    (stream,): (Borrow<S::Output>,),
) -> Answer<()> {
    let output = cx.handles.get(stream)?;
    let outcome = match cx.services.flush(output) {
        Ok(()) => write_ready(cx.services, output).map(drop),
        Err(error) => Err(error.into()),
    };
    answer(cx.handles, outcome)
}

fn write_zeroes<S: Services>(
    cx: &mut Context<'_, S>,
    (stream, count): (Borrow<S::Output>, u64),
) -> Answer<()> {
    let output = cx.handles.get(stream)?;
    let outcome = cx.services.check_write(output).and_then(|permit| {
        if count > permit {
            return Err(StreamError::Trap(WRITE_BUDGET));
        }
        cx.services.write(output, &vec![0; count as usize])
    });
    answer(cx.handles, outcome.map_err(Stop::Error))
}

type SpliceArguments<S> = (
    Borrow<<S as Services>::Output>,
    Borrow<<S as Services>::Input>,
    u64,
);

fn splice<S: Services>(
    cx: &mut Context<'_, S>,
    (to, from, most): SpliceArguments<S>,
) -> Answer<u64> {
    let outcome = splice_now(cx, to, from, most);
    answer(cx.handles, outcome)
}

fn splice_now<S: Services>(
    cx: &mut Context<'_, S>,
    to: Borrow<S::Output>,
    from: Borrow<S::Input>,
    most: u64,
) -> Result<u64, Stop> {
    let permit = cx.services.check_write(cx.handles.get(to)?)?;
    let most = most.min(permit);
    if most == 0 {
        return Ok(0);
    }
    let bytes = read_now(cx, from, most)?;
    if !bytes.is_empty() {
        cx.services.write(cx.handles.get(to)?, &bytes)?;
    }
    Ok(bytes.len() as u64)
}

fn blocking_splice<S: Services>(
    cx: &mut Context<'_, S>,
    (to, from, most): SpliceArguments<S>,
) -> Answer<u64> {
    let outcome = splice_waiting(cx, to, from, most);
    answer(cx.handles, outcome)
}

fn splice_waiting<S: Services>(
    cx: &mut Context<'_, S>,
    to: Borrow<S::Output>,
    from: Borrow<S::Input>,
    most: u64,
) -> Result<u64, Stop> {
    let permit = write_ready(cx.services, cx.handles.get(to)?)?;
    let most = most.min(permit);
    if most == 0 {
        return Ok(0);
    }
    let bytes = read_waiting(cx, from, most)?;
    write_all(cx.services, cx.handles.get(to)?, &bytes)?;
    Ok(bytes.len() as u64)
}
