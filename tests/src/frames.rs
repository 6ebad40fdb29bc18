//! A control conversation, frame by frame, for tests that say what no `vyomactl` would: over a socket, or over the standard input and
//! output of a program.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use vyoma_capabilities::control::{
    FRAME_HEADER, FrameKind, PROTOCOL, Request, Response, decode_header, encode_header,
};

/// The conversation. Dropping it hangs up, and ends the program.
pub struct Frames {
    input: Option<Box<dyn Write>>,
    output: Box<dyn Read>,
    child: Option<Child>,
}

impl Frames {
    /// Starts the program and exchanges greetings.
    pub fn over(mut program: Command) -> Self {
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("start a program");
        let input = child.stdin.take().expect("a pipe");
        let output = child.stdout.take().expect("a pipe");
        Self::greeted(input, output, Some(child))
    }

    /// Connects to a control socket and exchanges greetings.
    pub fn at(socket: &Path) -> Self {
        let input = UnixStream::connect(socket).expect("a control socket");
        let output = input.try_clone().expect("a second handle");
        Self::greeted(input, output, None)
    }

    fn greeted(
        input: impl Write + 'static,
        output: impl Read + 'static,
        child: Option<Child>,
    ) -> Self {
        let mut frames = Self {
            input: Some(Box::new(input)),
            output: Box::new(output),
            child,
        };
        let answer = frames.ask(&Request::Hello { protocol: PROTOCOL });
        assert!(matches!(answer, Some(Response::Hello { .. })), "{answer:?}");
        frames
    }

    /// Sends a request; what is answered, `None` when the other side hung up.
    pub fn ask(&mut self, request: &Request) -> Option<Response> {
        self.say(request);
        self.answer()
    }

    /// Sends a request.
    pub fn say(&mut self, request: &Request) {
        let body = serde_json::to_vec(request).expect("JSON");
        self.send(FrameKind::Json, &body);
    }

    /// Sends a frame. A side that has hung up takes it nowhere.
    pub fn send(&mut self, kind: FrameKind, body: &[u8]) {
        let header = encode_header(kind, body.len()).expect("a frame");
        if let Some(input) = &mut self.input {
            let _ = input
                .write_all(&[&header, body].concat())
                .and_then(|()| input.flush());
        }
    }

    /// The next answer, `None` when there is none any more.
    pub fn answer(&mut self) -> Option<Response> {
        let mut header = [0; FRAME_HEADER];
        self.output.read_exact(&mut header).ok()?;
        let (kind, length) = decode_header(header).expect("a header");
        assert_eq!(kind, FrameKind::Json);
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).ok()?;
        Some(serde_json::from_slice(&body).expect("a response"))
    }

    /// The program's process.
    ///
    /// # Panics
    /// When it is no program.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("a program").id()
    }

    /// Ends our side and waits for the program.
    ///
    /// # Panics
    /// When it is no program.
    pub fn finish(mut self) -> ExitStatus {
        drop(self.input.take());
        let child = self.child.as_mut().expect("a program");
        child.wait().expect("wait")
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
