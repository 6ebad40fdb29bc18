//! Pages of the program's own file.
//!
//! A page fault on one page of it maps the fifteen around it too, so after a start most of the program is mapped into each of
//! its processes, although waiting and serving take little of it. What is given back here comes again, page by page, when
//! it is needed.

unsafe extern "C" {
    /// Where the linker put the beginning of the program, and the end of its code. Nothing between them can be written to.
    #[link_name = "__executable_start"]
    static START: u8;
    #[link_name = "etext"]
    static END: u8;
}

/// Gives the program's pages back; whoever runs on finds each again at its next use. Without effect on locked memory.
pub(crate) fn release() {
    const PAGE: usize = 4096;
    let start = (&raw const START as usize).next_multiple_of(PAGE);
    let end = (&raw const END as usize) / PAGE * PAGE;
    let Some(length) = end.checked_sub(start) else {
        return;
    };
    // SAFETY: read-only pages of a private mapping of a file that is not written to: the kernel reads them again from there. A hole
    // between two segments is passed over (ENOMEM). On a kernel with larger pages an odd start is refused as a whole (EINVAL).
    let _ = unsafe {
        libc::madvise(
            std::ptr::with_exposed_provenance_mut(start),
            length,
            libc::MADV_DONTNEED,
        )
    };
}

#[cfg(test)]
mod tests {
    use std::fs;

    /// KiB of this program's code that are mapped here now.
    fn mapped_kb() -> u64 {
        let text = fs::read_to_string("/proc/self/smaps").unwrap();
        let code = text
            .split_once(" r-xp ")
            .and_then(|(_, rest)| rest.split_once("Rss:"));
        let word = code.unwrap().1.split_whitespace().next().unwrap();
        word.parse().unwrap()
    }

    #[test]
    fn pages_that_are_given_back_are_not_mapped_and_the_program_runs_on() {
        // Other tests run meanwhile, and map pages of their own.
        let fell = (0..20).any(|_| {
            let before = mapped_kb();
            super::release();
            mapped_kb() < before
        });
        assert!(fell);
    }
}
