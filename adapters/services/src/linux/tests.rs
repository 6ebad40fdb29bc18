use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::pipe::pipe;
use vyoma_capabilities::resolve::Grants;
use vyoma_component::services::{Pollable, Services, StreamError};
use vyoma_runtime::{RunConfig, Unwatched};

use super::poll::{Event, Interest, Wait, Watch};
use super::stdio::Standard;
use super::{Input, Linux, Output};

fn linux() -> Linux {
    Linux::new(RunConfig {
        name: "app".to_owned(),
        args: vec!["one".to_owned()],
        env: vec![("KEY".to_owned(), "value".to_owned())],
        grants: Grants::default(),
        memory_bytes: None,
        data: None,
        devices: vyoma_runtime::devices::Devices::default(),
        activity: Arc::new(Unwatched),
    })
    .unwrap()
}

/// The plainest event: one descriptor, one interest.
struct Descriptor(Rc<OwnedFd>, Interest);

impl Event for Descriptor {
    fn watch(&self) -> Watch<'_> {
        Watch::Descriptor(self.0.as_fd(), self.1)
    }
}

fn watch(fd: &Rc<OwnedFd>, interest: Interest) -> Pollable<Wait> {
    Wait::pollable(Descriptor(Rc::clone(fd), interest))
}

fn rc_pipe() -> (Rc<OwnedFd>, Rc<OwnedFd>) {
    let (reader, writer) = pipe().unwrap();
    (Rc::new(reader), Rc::new(writer))
}

/// A descriptor that stays open, as 0, 1 and 2 do.
fn forever(fd: OwnedFd) -> BorrowedFd<'static> {
    let fd: &'static OwnedFd = Box::leak(Box::new(fd));
    fd.as_fd()
}

fn input(fd: BorrowedFd<'static>) -> Input {
    Input::new(Standard::new(fd, Interest::Read))
}

fn output(fd: BorrowedFd<'static>) -> Output {
    Output::new(Standard::new(fd, Interest::Write))
}

/// Runs `wait` on a thread of its own, and gives its line of /proc/.../syscall once it sleeps in the kernel.
fn syscall_while(wait: impl FnOnce() + Send + 'static) -> String {
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        tell.send(rustix::thread::gettid()).unwrap();
        wait();
    });
    let id = told.recv().unwrap().as_raw_nonzero();
    let end = Instant::now() + Duration::from_secs(10);
    let line = loop {
        let line = std::fs::read_to_string(format!("/proc/self/task/{id}/syscall")).unwrap();
        let waits = [CLOCK_NANOSLEEP, PPOLL]
            .iter()
            .any(|call| line.starts_with(&format!("{call} ")));
        if waits || Instant::now() > end {
            break line;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    thread.join().unwrap();
    line
}

#[cfg(target_arch = "x86_64")]
const CLOCK_NANOSLEEP: u32 = 230;
#[cfg(target_arch = "x86_64")]
const PPOLL: u32 = 271;
#[cfg(target_arch = "aarch64")]
const CLOCK_NANOSLEEP: u32 = 115;
#[cfg(target_arch = "aarch64")]
const PPOLL: u32 = 73;

#[test]
fn a_wait_for_the_clock_alone_is_an_absolute_sleep_on_the_monotonic_clock() {
    let line = syscall_while(|| {
        let mut linux = linux();
        let at = linux.monotonic_now() + 300_000_000;
        let ready = linux.poll(&[Pollable::At(at + 1_000_000_000), Pollable::At(at)]);
        assert_eq!(ready, [1]);
        assert!(linux.monotonic_now() >= at);
    });
    let words: Vec<&str> = line.split_whitespace().collect();
    // CLOCK_MONOTONIC, TIMER_ABSTIME.
    assert_eq!(words[..3], [&CLOCK_NANOSLEEP.to_string(), "0x1", "0x1"]);
}

#[test]
fn a_wait_for_a_descriptor_and_the_clock_is_one_wait_in_the_kernel() {
    let line = syscall_while(|| {
        let (reader, _writer) = rc_pipe();
        let mut linux = linux();
        let at = linux.monotonic_now() + 300_000_000;
        let ready = linux.poll(&[watch(&reader, Interest::Read), Pollable::At(at)]);
        assert_eq!(ready, [1]);
        assert!(linux.monotonic_now() >= at);
    });
    assert!(line.starts_with(&format!("{PPOLL} ")), "{line}");
}

#[test]
fn the_monotonic_clock_starts_at_the_start_of_the_run_and_counts_nanoseconds() {
    let mut linux = linux();
    let first = linux.monotonic_now();
    assert!(first < 1_000_000_000, "{first}");
    let before = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    let passed = linux.monotonic_now() - first;
    assert!(passed >= 20_000_000, "{passed}");
    assert!(passed <= before.elapsed().as_nanos() as u64 + 10_000_000);
    assert!((1..=100_000_000).contains(&linux.monotonic_resolution()));
}

#[test]
fn the_wall_clock_is_the_systems() {
    let mut linux = linux();
    let system = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let seconds = linux.wall_now().seconds;
    assert!((system.as_secs()..=system.as_secs() + 2).contains(&seconds));
    assert!(linux.wall_now().nanoseconds < 1_000_000_000);
    assert_eq!(linux.wall_resolution().seconds, 0);
}

#[test]
fn a_poll_tells_everything_that_is_ready_in_order() {
    let (empty, _open) = rc_pipe();
    let (full, writer) = rc_pipe();
    rustix::io::write(&*writer, b"x").unwrap();
    let mut linux = linux();
    let now = linux.monotonic_now();
    let ready = linux.poll(&[
        watch(&empty, Interest::Read),
        watch(&writer, Interest::Write),
        Pollable::At(u64::MAX),
        Pollable::Ready,
        watch(&full, Interest::Read),
        Pollable::At(now),
        watch(&full, Interest::Read),
    ]);
    assert_eq!(ready, [1, 3, 4, 5, 6]);
}

#[test]
fn one_descriptor_is_watched_for_reading_and_writing_apart() {
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let one = Rc::new(OwnedFd::from(one));
    let mut linux = linux();
    let both = [watch(&one, Interest::Read), watch(&one, Interest::Write)];
    assert_eq!(linux.poll(&both), [1]);
    rustix::io::write(&other, b"x").unwrap();
    assert_eq!(linux.poll(&both), [0, 1]);
    assert!(linux.is_ready(&both[0]));
}

#[test]
fn a_closed_other_end_is_ready() {
    let (reader, writer) = rc_pipe();
    let mut linux = linux();
    let pollable = watch(&reader, Interest::Read);
    assert!(!linux.is_ready(&pollable));
    drop(writer);
    assert!(linux.is_ready(&pollable));
    let (reader, writer) = rc_pipe();
    drop(reader);
    assert_eq!(linux.poll(&[watch(&writer, Interest::Write)]), [0]);
}

#[test]
fn more_pollables_than_a_process_may_have_descriptors_are_no_matter() {
    let (reader, _writer) = rc_pipe();
    let mut linux = linux();
    let mut pollables = vec![watch(&reader, Interest::Read); 60_000];
    pollables.push(Pollable::At(linux.monotonic_now() + 5_000_000));
    assert_eq!(linux.poll(&pollables), [60_000]);
}

#[test]
fn the_longest_durations_are_no_matter() {
    let (reader, writer) = rc_pipe();
    rustix::io::write(&*writer, b"x").unwrap();
    let mut linux = linux();
    let far = Pollable::At(u64::MAX);
    assert!(!linux.is_ready(&far));
    assert_eq!(linux.poll(&[far, watch(&reader, Interest::Read)]), [1]);
}

#[test]
fn what_an_event_waits_for_is_asked_anew_for_every_wait() {
    struct Changing(std::cell::Cell<bool>, OwnedFd);
    impl Event for Rc<Changing> {
        fn watch(&self) -> Watch<'_> {
            if self.0.get() {
                Watch::Ready
            } else {
                Watch::Descriptor(self.1.as_fd(), Interest::Read)
            }
        }
    }
    let (reader, _writer) = pipe().unwrap();
    let changing = Rc::new(Changing(false.into(), reader));
    let pollable = Wait::pollable(Rc::clone(&changing));
    let mut linux = linux();
    assert!(!linux.is_ready(&pollable));
    changing.0.set(true);
    assert!(linux.is_ready(&pollable));
    assert_eq!(linux.poll(&[Pollable::At(u64::MAX), pollable]), [1]);
}

#[test]
fn stdin_gives_what_is_there_nothing_and_the_end() {
    let (reader, writer) = pipe().unwrap();
    let mut linux = linux();
    let mut stdin = input(forever(reader));
    assert_eq!(linux.read(&mut stdin, 9).unwrap(), b"");
    let ready = linux.input_ready(&stdin);
    assert!(!linux.is_ready(&ready));
    rustix::io::write(&writer, b"hello").unwrap();
    assert!(linux.is_ready(&ready));
    assert_eq!(linux.read(&mut stdin, 0).unwrap(), b"");
    assert_eq!(linux.read(&mut stdin, 4).unwrap(), b"hell");
    assert_eq!(linux.read(&mut stdin, u64::MAX).unwrap(), b"o");
    drop(writer);
    assert!(linux.is_ready(&ready));
    for _ in 0..2 {
        assert!(matches!(
            linux.read(&mut stdin, 1),
            Err(StreamError::Closed)
        ));
    }
}

#[test]
fn one_read_hands_over_at_most_64_kib() {
    let mut linux = linux();
    let zeroes = std::fs::File::open("/dev/zero").unwrap();
    let mut stdin = input(forever(zeroes.into()));
    assert_eq!(linux.read(&mut stdin, u64::MAX).unwrap().len(), 65536);
}

#[test]
fn a_read_that_fails_says_why() {
    let mut linux = linux();
    let folder = std::fs::File::open("/").unwrap();
    let mut stdin = input(forever(folder.into()));
    let Err(StreamError::Failed(error)) = linux.read(&mut stdin, 1) else {
        panic!("a folder was read");
    };
    assert_eq!(error.message, "Is a directory (os error 21)");
}

#[test]
fn stdout_takes_4096_bytes_at_a_time_until_the_pipe_is_full() {
    let (reader, writer) = pipe().unwrap();
    let mut linux = linux();
    let mut stdout = output(forever(writer));
    let ready = linux.output_ready(&stdout);
    let mut written = 0;
    while linux.check_write(&mut stdout).unwrap() > 0 {
        assert_eq!(linux.check_write(&mut stdout).unwrap(), 4096);
        linux.write(&mut stdout, &[7; 4096]).unwrap();
        linux.flush(&mut stdout).unwrap();
        written += 4096;
        assert!(written <= 1 << 20, "a pipe never fills");
    }
    assert!(!linux.is_ready(&ready));
    let mut some = [0; 4096];
    rustix::io::read(&reader, &mut some).unwrap();
    assert_eq!(some, [7; 4096]);
    assert!(linux.is_ready(&ready));
    assert_eq!(linux.check_write(&mut stdout).unwrap(), 4096);
}

#[test]
fn more_than_4096_bytes_at_once_break_the_rule() {
    let (_reader, writer) = pipe().unwrap();
    let mut linux = linux();
    let mut stdout = output(forever(writer));
    assert!(matches!(
        linux.write(&mut stdout, &[0; 4097]),
        Err(StreamError::Trap(vyoma_runtime::trap::WRITE_BUDGET))
    ));
}

#[test]
fn a_stdout_that_nobody_reads_any_more_is_closed() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut linux = linux();
    let mut stdout = output(forever(writer));
    assert_eq!(linux.check_write(&mut stdout).unwrap(), 4096);
    for _ in 0..2 {
        assert!(matches!(
            linux.write(&mut stdout, b"x"),
            Err(StreamError::Closed)
        ));
    }
}

#[test]
fn a_write_to_a_non_blocking_pipe_waits_and_loses_nothing() {
    let (reader, writer) = pipe().unwrap();
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    let reading = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        let mut bytes = vec![0; 9000];
        std::io::Read::read_exact(&mut std::fs::File::from(reader), &mut bytes).unwrap();
        bytes
    });
    let mut linux = linux();
    let mut stdout = output(forever(writer));
    for _ in 0..3 {
        linux.write(&mut stdout, &[b'x'; 3000]).unwrap();
    }
    assert_eq!(reading.join().unwrap(), [b'x'; 9000]);
}

#[test]
fn without_the_grant_stdin_is_at_its_end_and_output_goes_nowhere() {
    let mut linux = linux();
    let mut stdin = linux.stdin();
    let ready = linux.input_ready(&stdin);
    assert!(linux.is_ready(&ready));
    assert!(matches!(
        linux.read(&mut stdin, 1),
        Err(StreamError::Closed)
    ));
    for mut sink in [linux.stdout(), linux.stderr()] {
        assert_eq!(linux.check_write(&mut sink).unwrap(), 65536);
        linux.write(&mut sink, b"nobody reads this").unwrap();
        linux.flush(&mut sink).unwrap();
        let ready = linux.output_ready(&sink);
        assert_eq!(linux.poll(&[ready]), [0]);
    }
}

#[test]
fn arguments_begin_with_the_apps_name() {
    let mut linux = linux();
    assert_eq!(linux.arguments(), ["app", "one"]);
    let variable = ("KEY".to_owned(), "value".to_owned());
    assert_eq!(linux.environment(), [variable]);
}

#[test]
fn randomness_differs_and_the_seed_stays() {
    let mut linux = linux();
    let (mut one, mut two) = ([0; 1000], [0; 1000]);
    linux.random(&mut one);
    linux.random(&mut two);
    assert_ne!(one, two);
    assert!(one[900..].iter().any(|byte| *byte != 0));
    linux.random(&mut []);
    assert_eq!(linux.insecure_seed(), linux.insecure_seed());
    assert_ne!(linux.insecure_seed(), self::linux().insecure_seed());
}

#[test]
fn the_filesystem_grant_without_a_folder_is_refused() {
    let config = RunConfig {
        grants: Grants {
            filesystem: true,
            ..Grants::default()
        },
        ..linux().config
    };
    let refusal = Linux::new(config).err().unwrap().to_string();
    assert_eq!(
        refusal,
        "services: the filesystem grant needs the data folder"
    );
}
