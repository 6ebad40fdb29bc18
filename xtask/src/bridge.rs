//! The way into a booted device for figures and the matrix: an image has none from outside yet, so a small program stands
//! beside vyomad and hands out the control socket (`tests/src/bin/bridge.rs` says what that changes: nothing of
//! vyomad). Images that ship never hold it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use crate::artefacts;
use crate::context::Context;
use crate::control::Control;
use crate::platforms::Arch;

/// Where the bridge listens; it knows the number as well.
pub(crate) const PORT: u16 = 7;
/// Its path in an image.
pub(crate) const PATH: &str = "bridge";
/// The word for the kernel's command line that starts it.
pub(crate) const START: &str = "rdinit=/bridge";

/// Builds it into `folder`.
pub(crate) fn build(context: &Context, arch: Arch, folder: &Path) -> anyhow::Result<PathBuf> {
    let program = folder.join(PATH);
    artefacts::standalone(context, "tests/src/bin/bridge.rs", arch, &program)?;
    Ok(program)
}

/// The control socket of the device whose bridge is behind `port` of this machine.
pub(crate) fn connect(port: u16) -> anyhow::Result<Control> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(b"control\n")?;
    Control::greet(stream)
}

/// What the bridge answers to `read PATH` or `list PATH`; empty when there is no such thing.
pub(crate) fn ask(port: u16, words: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.write_all(format!("{words}\n").as_bytes())?;
    let mut said = Vec::new();
    stream.read_to_end(&mut said)?;
    Ok(String::from_utf8_lossy(&said).into_owned())
}
