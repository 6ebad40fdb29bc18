//! The functions of WASI 0.2 that this crate calls, as the canonical ABI lowers them. Those that take no addresses are safe: a
//! handle that is none, or of something else, ends the app and harms nothing.

/// `result<_, stream-error>`: the tag, then the error's tag and handle.
#[repr(C)]
#[derive(Default)]
pub(super) struct StreamResult {
    tag: u8,
    error: [u32; 2],
}

impl StreamResult {
    pub(super) fn is_err(&self) -> bool {
        self.tag != 0
    }
}

/// `list<T>`: address and length.
#[repr(C)]
#[derive(Default, Clone, Copy)]
pub(super) struct List {
    pub(super) start: usize,
    pub(super) length: usize,
}

/// `result<list<u8>, stream-error>`: the tag, then the list.
#[repr(C)]
#[derive(Default)]
pub(super) struct ListResult {
    tag: u8,
    list: List,
}

impl ListResult {
    pub(super) fn list(&self) -> Option<List> {
        (self.tag == 0).then_some(self.list)
    }

    /// After an error: whether it is `closed` (`stream-error` begins where the list would, with a tag of one byte).
    pub(super) fn is_closed(&self) -> bool {
        self.list.start & 0xff == 1
    }
}

/// `datetime`
#[repr(C)]
#[derive(Default)]
pub(super) struct Datetime {
    pub(super) seconds: u64,
    pub(super) nanoseconds: u32,
}

#[link(wasm_import_module = "wasi:cli/stdout@0.2.0")]
unsafe extern "C" {
    #[link_name = "get-stdout"]
    pub(super) safe fn get_stdout() -> u32;
}

#[link(wasm_import_module = "wasi:cli/stderr@0.2.0")]
unsafe extern "C" {
    #[link_name = "get-stderr"]
    pub(super) safe fn get_stderr() -> u32;
}

#[link(wasm_import_module = "wasi:cli/stdin@0.2.0")]
unsafe extern "C" {
    #[link_name = "get-stdin"]
    pub(super) safe fn get_stdin() -> u32;
}

#[link(wasm_import_module = "wasi:cli/exit@0.2.0")]
unsafe extern "C" {
    #[link_name = "exit"]
    pub(super) safe fn exit(failed: u32);
}

#[link(wasm_import_module = "wasi:cli/environment@0.2.0")]
unsafe extern "C" {
    #[link_name = "get-arguments"]
    pub(super) fn get_arguments(result: *mut List);
    #[link_name = "get-environment"]
    pub(super) fn get_environment(result: *mut List);
}

#[link(wasm_import_module = "wasi:io/streams@0.2.0")]
unsafe extern "C" {
    #[link_name = "[method]output-stream.blocking-write-and-flush"]
    pub(super) fn write_and_flush(
        stream: u32,
        bytes: *const u8,
        length: usize,
        result: *mut StreamResult,
    );
    #[link_name = "[method]input-stream.blocking-read"]
    pub(super) fn blocking_read(stream: u32, most: u64, result: *mut ListResult);
    #[link_name = "[method]input-stream.subscribe"]
    pub(super) safe fn subscribe_input(stream: u32) -> u32;
}

#[link(wasm_import_module = "wasi:io/poll@0.2.0")]
unsafe extern "C" {
    #[link_name = "poll"]
    pub(super) fn poll(pollables: *const u32, length: usize, result: *mut List);
    #[link_name = "[method]pollable.block"]
    pub(super) safe fn block(pollable: u32);
    #[link_name = "[resource-drop]pollable"]
    pub(super) safe fn drop_pollable(pollable: u32);
}

#[link(wasm_import_module = "wasi:clocks/monotonic-clock@0.2.0")]
unsafe extern "C" {
    #[link_name = "now"]
    pub(super) safe fn monotonic_now() -> u64;
    #[link_name = "subscribe-instant"]
    pub(super) safe fn subscribe_instant(when: u64) -> u32;
    #[link_name = "subscribe-duration"]
    pub(super) safe fn subscribe_duration(nanoseconds: u64) -> u32;
}

#[link(wasm_import_module = "wasi:clocks/wall-clock@0.2.0")]
unsafe extern "C" {
    #[link_name = "now"]
    pub(super) fn wall_now(result: *mut Datetime);
}
