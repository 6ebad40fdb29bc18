//! The way into a device under test: an image has no shell and no network service, so this small program stands beside
//! vyomad in a test's image (and in no other) and hands out the control socket and files over TCP. It changes nothing
//! of what is tested: vyomad is PID 1 from the same bytes, and finds one more child that is none of its own.
//!
//! The kernel starts it as `rdinit=/bridge`; it starts itself once more to serve, and becomes `/init`. A connection says
//! one line: `control` (then it is the control socket), `read PATH` or `threads GROUP`. `booted.rs` is the other end.
#![allow(
    clippy::print_stdout,
    reason = "what it counts goes to the process that asked, by a pipe"
)]

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
/// More threads than any app may have.
const MANY: usize = 200;
/// Longest first line of a connection.
const LINE: usize = 4096;

fn main() -> io::Result<()> {
    if std::process::id() == 1 {
        Command::new(SELF).arg("serve").spawn()?;
        return Err(Command::new(INIT).exec());
    }
    match std::env::args().collect::<Vec<_>>().as_slice() {
        [_, role] if role == "serve" => serve(),
        [_, role, group] if role == "threads" => threads(Path::new(group)),
        _ => Err(io::Error::other("expected `serve` or `threads GROUP`")),
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
        Some(("read", path)) => stream.write_all(&std::fs::read(path)?)?,
        Some(("threads", group)) => {
            let output = Command::new(SELF).args(["threads", group]).output()?;
            stream.write_all(&output.stdout)?;
            stream.write_all(&output.stderr)?;
        }
        _ => stream.write_all(b"expected control, read PATH or threads GROUP")?,
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
    std::fs::write(group.join("cgroup.procs"), "0")?;
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
