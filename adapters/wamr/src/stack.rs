//! The native stack: how far a guest may go down on it.
//!
//! Machine code of a guest runs on the stack of the thread that calls it and compares its stack pointer with a boundary.
//! The boundary must leave room for the host functions that the guest calls, and must be above what the kernel maps.

use std::mem::MaybeUninit;

use vyoma_runtime::EngineError;
use vyoma_wamr_sys as sys;

use crate::engine_error;

/// Most bytes for the guest: as many as under Wasmtime's adapter. Rust's own stack, in linear memory, is one page to 1 MiB,
/// and native frames are about as large.
const GUEST: usize = 1 << 20;

/// Bytes below the guest's that host functions have: name look-up is the hungriest, with well under 64 KiB.
const HOST: usize = 256 << 10;

/// Fewer bytes than this for the guest are no stack that programs run on.
const LEAST: usize = 64 << 10;

/// Taken for a limit of "unlimited": Linux's default for the main thread.
const UNLIMITED: usize = 8 << 20;

/// The lowest address that this thread's stack may reach. Reads /proc with some C libraries: call it before the process
/// is locked in.
pub(crate) fn lowest() -> Result<usize, EngineError> {
    let failed = |what: &str| engine_error(format!("{what}: {}", std::io::Error::last_os_error()));
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut size, mut guard) = (std::ptr::null_mut(), 0_usize, 0_usize);
    // SAFETY: the attributes are written by the first call, read by the next two and given back by the last.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return Err(failed("the thread's stack"));
        }
        libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size);
        libc::pthread_attr_getguardsize(attributes.as_ptr(), &raw mut guard);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
    }
    let start = start as usize;
    // SAFETY: both only tell numbers.
    let main_thread =
        unsafe { libc::c_long::from(libc::getpid()) == libc::syscall(libc::SYS_gettid) };
    if !main_thread {
        return Ok(start + guard);
    }
    // The main thread's stack grows down to its limit; C libraries differ in whether they tell that or what is mapped by now.
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: a place to write the limit to.
    if unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) } != 0 {
        return Err(failed("the stack's limit"));
    }
    let limit = if limit.rlim_cur == libc::RLIM_INFINITY {
        UNLIMITED
    } else {
        usize::try_from(limit.rlim_cur).unwrap_or(UNLIMITED)
    };
    Ok((start + size).saturating_sub(limit))
}

/// Sets the boundary for what runs on this thread from here on; `lowest` is of this thread.
pub(crate) fn set_boundary(lowest: usize) -> Result<(), EngineError> {
    let marker = 0_u8;
    let here = &raw const marker as usize;
    let boundary = here.saturating_sub(GUEST).max(lowest + HOST);
    if here.saturating_sub(boundary) < LEAST {
        return Err(engine_error(format!(
            "{} KiB of stack are left, {} are needed; raise the stack's limit",
            here.saturating_sub(lowest) / 1024,
            (HOST + LEAST) / 1024
        )));
    }
    // SAFETY: a number, kept for this thread and compared with stack pointers.
    unsafe { sys::vyoma_wamr_set_stack_boundary(boundary as *mut u8) };
    Ok(())
}
