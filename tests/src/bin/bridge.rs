//! The way into a device under test: an image has no shell and no network service, so this small program stands beside
//! vyomad in a test's image (and in no other) and hands out the control socket and files over TCP. It changes nothing
//! of what is tested: vyomad is PID 1 from the same bytes, and finds one more child that is none of its own.
//!
//! The kernel starts it as `rdinit=/bridge`; it starts itself once more to serve, and becomes `/init`. A connection says
//! one line: `control` (then it is the control socket), `read PATH`, `write PATH TEXT`, `list PATH` or `threads GROUP`.
//! `booted.rs` is the other end. In an image with simulated devices (`--devices`) it makes them before anything else.
#![allow(
    clippy::print_stdout,
    reason = "what it counts goes to the process that asked, by a pipe"
)]

use std::ffi::{CString, c_char, c_int, c_ulong, c_void};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

/// Where an image has it.
const SELF: &str = "/bridge";
/// Where vyomad is, and where its control socket.
const INIT: &str = "/init";
const SOCKET: &str = "/run/vyoma/control.sock";
/// Where it listens; `booted.rs` knows the number as well.
const PORT: u16 = 7;
/// The kernel module of simulated devices, where an image has it.
const MODULE: &str = "/vyoma-sim.ko";
/// Where it mounts the kernel's configfs for itself.
const CONFIG: &str = "/config";
/// More threads than any app may have.
const MANY: usize = 200;
/// Longest first line of a connection.
const LINE: usize = 4096;

fn main() -> io::Result<()> {
    if std::process::id() == 1 {
        // Said on the console; the test that wanted them fails on what it does not find.
        if Path::new(MODULE).exists()
            && let Err(error) = make_devices()
        {
            eprintln!("bridge: no simulated devices: {error}");
        }
        Command::new(SELF).arg("serve").spawn()?;
        return Err(Command::new(INIT).exec());
    }
    match std::env::args().collect::<Vec<_>>().as_slice() {
        [_, role] if role == "serve" => serve(),
        [_, role, group] if role == "threads" => threads(Path::new(group)),
        _ => Err(io::Error::other("expected `serve` or `threads GROUP`")),
    }
}

unsafe extern "C" {
    /// mount(2)
    fn mount(
        from: *const c_char,
        to: *const c_char,
        kind: *const c_char,
        flags: c_ulong,
        options: *const c_void,
    ) -> c_int;
    /// init_module(2)
    fn init_module(image: *const c_void, length: c_ulong, parameters: *const c_char) -> c_int;
}

/// Loads the module, and makes a chip of gpio-sim (Documentation/admin-guide/gpio/gpio-sim) with the lines of
/// boards/qemu-virt.toml.
fn make_devices() -> io::Result<()> {
    let module = fs::read(MODULE)?;
    // SAFETY: the kernel copies so many bytes and a string that ends.
    outcome(unsafe {
        init_module(
            module.as_ptr().cast(),
            module.len() as c_ulong,
            c"".as_ptr(),
        )
    })?;
    fs::create_dir_all(CONFIG)?;
    let kind = c"configfs".as_ptr();
    let to = CString::new(CONFIG)?;
    // SAFETY: strings that end, and a file system that takes no options.
    outcome(unsafe { mount(kind, to.as_ptr(), kind, 0, std::ptr::null()) })?;
    let chip = Path::new(CONFIG).join("gpio-sim/vyoma");
    fs::create_dir(&chip)?;
    fs::create_dir(chip.join("bank"))?;
    fs::write(chip.join("bank/num_lines"), "8")?;
    fs::write(chip.join("bank/label"), "vyoma-gpio")?;
    fs::write(chip.join("live"), "1")
}

fn outcome(status: c_int) -> io::Result<()> {
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

fn serve() -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PORT))?;
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || answer(stream));
    }
    Ok(())
}

/// One connection. What goes wrong is said to the other side, or the connection just ends.
fn answer(mut stream: TcpStream) -> io::Result<()> {
    let line = first_line(&mut stream)?;
    match line.split_once(' ') {
        None if line == "control" => return splice(stream, UnixStream::connect(SOCKET)?),
        Some(("read", path)) => stream.write_all(&fs::read(path)?)?,
        Some(("write", what)) => {
            let (path, text) = what.split_once(' ').unwrap_or((what, ""));
            let done = fs::write(path, text);
            stream.write_all(
                done.map_or_else(|error| error.to_string(), |()| "done".into())
                    .as_bytes(),
            )?;
        }
        Some(("list", path)) => {
            for entry in fs::read_dir(path)?.flatten() {
                writeln!(stream, "{}", entry.file_name().display())?;
            }
        }
        Some(("threads", group)) => {
            let output = Command::new(SELF).args(["threads", group]).output()?;
            stream.write_all(&output.stdout)?;
            stream.write_all(&output.stderr)?;
        }
        _ => stream.write_all(
            b"expected control, read PATH, write PATH TEXT, list PATH or threads GROUP",
        )?,
    }
    Ok(())
}

/// Byte by byte: what follows belongs to someone else.
fn first_line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LINE && stream.read(&mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    String::from_utf8(line).map_err(io::Error::other)
}

fn splice(tcp: TcpStream, unix: UnixStream) -> io::Result<()> {
    let (mut from, mut to) = (tcp.try_clone()?, unix.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (unix, tcp);
    let _ = io::copy(&mut from, &mut to);
    to.shutdown(Shutdown::Both)
}

/// Steps into a control group and starts threads until the kernel refuses one; says how many there are with it.
fn threads(group: &Path) -> io::Result<()> {
    fs::write(group.join("cgroup.procs"), "0")?;
    let wait = || thread::sleep(Duration::from_mins(1));
    let more = (0..MANY).take_while(|_| {
        thread::Builder::new()
            .stack_size(16 << 10)
            .spawn(wait)
            .is_ok()
    });
    println!("{}", more.count() + 1);
    Ok(())
}
