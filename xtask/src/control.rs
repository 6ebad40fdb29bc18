//! The least of a control client: asks a hosted daemon for what figures need. Operators have `vyomactl`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use vyoma_capabilities::control::{
    FRAME_HEADER, FrameKind, PROTOCOL, Request, Response, decode_header, encode_header,
};

/// Longer than anything that is measured.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connection to a daemon.
pub(crate) struct Control(Box<dyn Stream>);

/// What a connection may run over: the socket itself, or TCP to the bridge that a test's image has.
trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

impl Control {
    /// Connects and greets.
    pub(crate) fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot reach {}", socket.display()))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Self::begin(Box::new(stream))
    }

    /// Greets over a connection that leads to a control socket.
    pub(crate) fn greet(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_read_timeout(Some(TIMEOUT))?;
        Self::begin(Box::new(stream))
    }

    fn begin(stream: Box<dyn Stream>) -> anyhow::Result<Self> {
        let mut control = Self(stream);
        match control.ask(&Request::Hello { protocol: PROTOCOL })? {
            Response::Hello { .. } => Ok(control),
            other => bail!("the daemon answered {other:?} to a greeting"),
        }
    }

    /// One request, one answer; a refusal is an error.
    pub(crate) fn ask(&mut self, request: &Request) -> anyhow::Result<Response> {
        self.send(request)?;
        self.next()
    }

    /// A request whose answers are a stream.
    pub(crate) fn send(&mut self, request: &Request) -> anyhow::Result<()> {
        let body = serde_json::to_vec(request)?;
        let header =
            encode_header(FrameKind::Json, body.len()).context("a request fits into a frame")?;
        self.0.write_all(&[&header, body.as_slice()].concat())?;
        Ok(())
    }

    /// The bytes of an upload that was announced.
    pub(crate) fn upload(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        // Half of what a frame may hold.
        for part in bytes.chunks(128 * 1024) {
            let header =
                encode_header(FrameKind::Bytes, part.len()).context("a part fits into a frame")?;
            self.0.write_all(&[&header, part].concat())?;
        }
        Ok(())
    }

    /// The next message of a stream.
    pub(crate) fn next(&mut self) -> anyhow::Result<Response> {
        let mut header = [0; FRAME_HEADER];
        self.0
            .read_exact(&mut header)
            .context("the daemon sent nothing more")?;
        let (kind, size) = decode_header(header)?;
        ensure!(
            kind == FrameKind::Json,
            "the daemon sent raw bytes; expected a message"
        );
        let mut body = vec![0; size];
        self.0.read_exact(&mut body)?;
        match serde_json::from_slice(&body)? {
            Response::Error(error) => bail!("the daemon refused: {error}"),
            response => Ok(response),
        }
    }
}

/// How long a daemon, or a device, may take to end in order.
const ORDERLY_END: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(50);

/// Ends a daemon or a device in order, so that it takes its apps along; should it not listen, the hard way.
pub(crate) fn end(child: &mut Child, control: anyhow::Result<Control>) {
    let asked = control.and_then(|mut control| control.ask(&Request::Shutdown));
    let deadline = Instant::now() + ORDERLY_END;
    while asked.is_ok() && Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(LOOK);
    }
    let _ = child.kill();
    let _ = child.wait();
}
