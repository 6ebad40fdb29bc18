//! How far down the guest may use the native stack of the thread that runs it.
//!
//! wasm3 takes about 100 bytes of native stack for a call of the guest and 64 for a loop, and checks at each call that it
//! has not come too far. No thread with a stack of its own is started for it, since the sandbox forbids threads.

/// What the guest's calls get at most: room for about 40,000, which is what Wasmtime's 1 MiB gives to small functions.
pub(super) const NATIVE: usize = 4 << 20;

/// What stays free below: up to 256 KiB for host functions (name look-up is the deepest), and 128 for the nested loops of the
/// innermost function, of which 2000 are admitted.
const RESERVE: usize = 384 << 10;

/// What is too little for calls. With the reserve it is enough to compile a function of as many nested blocks as are
/// admitted: 2000, 300 bytes each.
const LEAST: usize = 512 << 10;

/// The depth that a stack without a limit is taken to have.
const UNLIMITED: usize = 64 << 20;

/// The address below which the guest may not call, for the calling thread. Errors are one line, for people.
pub(super) fn lowest() -> Result<usize, String> {
    let marker = 0_u8;
    limit(std::hint::black_box(&raw const marker).addr(), bottom()?)
}

fn limit(here: usize, bottom: usize) -> Result<usize, String> {
    let free = here.saturating_sub(bottom);
    if free < RESERVE + LEAST {
        return Err(format!(
            "{} KiB of native stack are free, expected at least {}; raise the stack limit (ulimit -s)",
            free / 1024,
            (RESERVE + LEAST) / 1024
        ));
    }
    Ok((bottom + RESERVE).max(here.saturating_sub(NATIVE)))
}

/// The lowest address that the calling thread's stack can reach.
fn bottom() -> Result<usize, String> {
    // SAFETY: take no pointer and always succeed.
    let main_thread = unsafe { libc::getpid() == libc::gettid() };
    if main_thread {
        main_bottom()
    } else {
        thread_bottom()
    }
}

/// The main thread's stack grows down to its resource limit. The C libraries disagree about what they tell of it (musl: as
/// far as it has grown), so the kernel is asked.
fn main_bottom() -> Result<usize, String> {
    // SAFETY: takes no pointer. 0: not there.
    let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
    if name == 0 {
        return Err("the kernel does not tell where the stack is (AT_EXECFN)".to_owned());
    }
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a `rlimit`.
    if unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) } != 0 {
        return Err(format!("stack limit: {}", std::io::Error::last_os_error()));
    }
    let depth = usize::try_from(limit.rlim_cur).map_or(UNLIMITED, |depth| depth.min(UNLIMITED));
    // The program's name is the last string on the stack: its top, but for at most PATH_MAX bytes, which RESERVE covers.
    Ok(name.saturating_sub(depth))
}

/// Another thread's stack is a mapping of fixed size.
fn thread_bottom() -> Result<usize, String> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let mut start = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: the attributes are initialised by the first call, if it succeeds, and destroyed once.
    let failed = unsafe {
        let mut failed = libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr());
        if failed == 0 {
            failed =
                libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
        }
        failed
    };
    if failed != 0 {
        return Err(format!(
            "the thread's stack: {}",
            std::io::Error::from_raw_os_error(failed)
        ));
    }
    Ok(start.addr())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOP: usize = 1 << 40;

    #[test]
    fn a_large_stack_is_not_used_up_and_a_small_one_keeps_its_reserve() {
        assert_eq!(limit(TOP, TOP - UNLIMITED), Ok(TOP - NATIVE));
        let bottom = TOP - (1 << 20);
        assert_eq!(limit(TOP, bottom), Ok(bottom + RESERVE));
    }

    #[test]
    fn too_small_a_stack_is_an_error_with_both_numbers() {
        let error = limit(TOP, TOP - (700 << 10)).unwrap_err();
        assert!(
            error.contains("700 KiB") && error.contains("896"),
            "{error}"
        );
    }

    #[test]
    fn the_stack_of_a_thread_is_found() {
        let size = 2 << 20;
        let (here, bottom) = std::thread::Builder::new()
            .stack_size(size)
            .spawn(|| {
                let marker = 0_u8;
                (std::ptr::from_ref(&marker).addr(), thread_bottom().unwrap())
            })
            .unwrap()
            .join()
            .unwrap();
        assert!(
            bottom < here && here - bottom <= size + (64 << 10),
            "{here:#x} {bottom:#x}"
        );
    }

    #[test]
    fn the_main_threads_stack_is_above_its_limit() {
        // The stack is the last mapping below the kernel's own; its end is known from /proc.
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let stack = maps.lines().find(|line| line.ends_with("[stack]")).unwrap();
        let end = stack.split(['-', ' ']).nth(1).unwrap();
        let end = usize::from_str_radix(end, 16).unwrap();
        // SAFETY: takes no pointer.
        let name = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
        assert!(name < end && end - name < 8192, "{name:#x} {end:#x}");
        assert!(main_bottom().unwrap() < end - (1 << 20));
    }
}
