//! A microcontroller on a serial line (docs/architecture.md, "Serial line"): each frame is repeated until it is answered.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use vyoma_capabilities::control::{Request, Response};
use vyoma_capabilities::link::{
    Caller, Kind, MAX_BODY, MAX_FRAME, MAX_RESPONSE, Receiver, VERSION, encode_request,
    take_response,
};

use super::port::{Port, Unplugged};
use super::transport::{ManifestForm, Transport, Waited, wait};
use crate::exit::{Exit, Failure};

/// How long a device may think about a frame, beside what the bytes take on the line: it may have to erase some sectors
/// of flash, of 20 ms or more each. A frame that is repeated too early does no harm.
const THINKING: Duration = Duration::from_millis(400);
/// The same once a frame was repeated in vain: a line that is busy with something else is given time.
const THINKING_MOST: Duration = Duration::from_secs(2);
/// First and longest pause before a device that has nothing to say yet is asked again.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_MOST: Duration = Duration::from_millis(100);
/// How much of what is no answer is quoted.
const QUOTED: usize = 32;

/// A session with a device.
pub(super) struct Serial {
    port: Port,
    path: PathBuf,
    baud: u32,
    caller: Caller,
    receiver: Receiver,
    /// Bytes that came in no frame that we waited for: how many, and the first of them.
    stray: usize,
    stray_start: Vec<u8>,
    /// Our own frames came back.
    echoed: bool,
    /// Frames were repeated.
    repeated: u32,
    /// Most bytes of a request that the device takes.
    max_request: usize,
    /// Answers, whole ones and the beginning of one.
    answers: Vec<u8>,
}

impl Serial {
    /// Opens the port, and a session with whatever is there.
    pub(super) fn open(path: &Path, baud: u32, deadline: Instant) -> Result<Self, Failure> {
        let mut serial = Self {
            port: Port::open(path, baud)?,
            path: path.to_owned(),
            baud,
            caller: Caller::new(session_number()),
            receiver: Receiver::new(),
            stray: 0,
            stray_start: Vec::new(),
            echoed: false,
            repeated: 0,
            max_request: 0,
            answers: Vec::new(),
        };
        let mut buffer = [0; MAX_FRAME];
        let frame = serial.caller.open(&mut buffer).to_vec();
        let Some((kind, body)) = serial.transmit(&frame, deadline)? else {
            return Err(serial.nobody());
        };
        match (kind, body.as_slice()) {
            (Kind::Opened, &[VERSION, low, high, ..]) => {
                serial.max_request = usize::from(u16::from_le_bytes([low, high]));
                Ok(serial)
            }
            (Kind::Opened, &[version, ..]) => Err(Failure::new(
                Exit::Protocol,
                format!(
                    "{}: the device speaks version {version} of the serial line, this vyomactl {VERSION}; use the vyomactl of the device's version",
                    path.display()
                ),
            )),
            _ => Err(serial.garbage("answered a greeting with something else")),
        }
    }

    /// Sends one frame and takes the answer to it. Bytes of answers are kept; the rest of what is said is in the kind.
    fn exchange(&mut self, kind: Kind, body: &[u8], deadline: Instant) -> Result<Kind, Failure> {
        let mut buffer = [0; MAX_FRAME];
        let frame = self.caller.next(kind, body, &mut buffer).to_vec();
        let Some((kind, body)) = self.transmit(&frame, deadline)? else {
            return Err(self.timed_out());
        };
        match kind {
            Kind::Answer => {
                self.answers.extend(body);
                if self.answers.len() > MAX_RESPONSE {
                    return Err(
                        self.garbage(&format!("sent an answer of more than {MAX_RESPONSE} bytes"))
                    );
                }
            }
            Kind::Taken | Kind::Wait => {}
            Kind::Lost => {
                return Err(Failure::new(
                    Exit::Lost,
                    format!(
                        "{}: the device was reset meanwhile, or another client talks to it; look at `vyomactl ps` and try again",
                        self.path.display()
                    ),
                ));
            }
            _ => return Err(self.garbage("answered out of turn")),
        }
        Ok(kind)
    }

    /// Sends a frame until its answer comes; `None` when the deadline comes first.
    fn transmit(
        &mut self,
        frame: &[u8],
        deadline: Instant,
    ) -> Result<Option<(Kind, Vec<u8>)>, Failure> {
        // Ten bits for a byte: start, eight, stop.
        let bytes = (frame.len() + MAX_FRAME) as u64;
        let on_the_line = Duration::from_millis(bytes * 10_000 / u64::from(self.baud));
        let mut thinking = THINKING;
        let mut first = true;
        while Instant::now() < deadline {
            self.repeated += u32::from(!first);
            first = false;
            match self.port.write(frame, deadline)? {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(Unplugged) => return Err(self.unplugged()),
            }
            let patience = (Instant::now() + on_the_line + thinking).min(deadline);
            if let Some(answer) = self.listen(patience)? {
                return Ok(Some(answer));
            }
            thinking = (thinking * 2).min(THINKING_MOST);
        }
        Ok(None)
    }

    /// Reads until the answer to the last frame comes, or the deadline.
    fn listen(&mut self, deadline: Instant) -> Result<Option<(Kind, Vec<u8>)>, Failure> {
        let mut buffer = [0; 1024];
        loop {
            let count = match self.port.read(&mut buffer, deadline)? {
                Ok(0) => return Ok(None),
                Ok(count) => count,
                Err(Unplugged) => return Err(self.unplugged()),
            };
            let mut answer = None;
            for byte in &buffer[..count] {
                if let Some(frame) = self.receiver.push(*byte) {
                    self.echoed |= !frame.kind.is_device();
                    if self.caller.is_answer(&frame) {
                        answer = Some((frame.kind, frame.body.to_vec()));
                    }
                }
            }
            if answer.is_some() {
                return Ok(answer);
            }
            self.stray += count;
            let room = QUOTED - self.stray_start.len();
            self.stray_start
                .extend_from_slice(&buffer[..count.min(room)]);
        }
    }

    /// No answer to the first frame: what can be told from what came instead.
    fn nobody(&self) -> Failure {
        let (port, baud) = (self.path.display(), self.baud);
        if self.echoed {
            return Failure::new(
                Exit::Protocol,
                format!(
                    "{port}: what is sent comes back and nothing else: the line is looped, or a terminal is there and no device; check the port"
                ),
            );
        }
        if self.stray == 0 {
            return Failure::new(
                Exit::Timeout,
                format!(
                    "{port}: nothing answers at {baud} bits a second; check that the board is on and runs Vyoma's firmware, that this is its control port, and its speed (?baud=RATE)"
                ),
            );
        }
        let start = String::from_utf8_lossy(&self.stray_start);
        Failure::new(
            Exit::Protocol,
            format!(
                "{port}: {} bytes came and no answer among them, the first are {start:?}; check that this is the board's control port, and its speed ({baud} bits a second, ?baud=RATE)",
                self.stray
            ),
        )
    }

    fn timed_out(&self) -> Failure {
        Failure::new(
            Exit::Timeout,
            format!(
                "{}: no answer any more, after {} frames were sent again; check the cable and the board, then do it once more: an installation that was interrupted has changed nothing",
                self.path.display(),
                self.repeated
            ),
        )
    }

    fn unplugged(&self) -> Failure {
        Failure::new(
            Exit::Lost,
            format!(
                "{}: the port has gone; plug the board in again, then do it once more: an installation that was interrupted has changed nothing",
                self.path.display()
            ),
        )
    }

    /// Takes the first answer of those that have come.
    fn take(&mut self) -> Result<Option<Response>, Failure> {
        match take_response(&self.answers) {
            Ok(None) => Ok(None),
            Ok(Some((response, length))) => {
                self.answers.drain(..length);
                Ok(Some(response))
            }
            Err(error) => {
                Err(self.garbage(&format!("sent an answer that can't be read ({error})")))
            }
        }
    }
}

impl Transport for Serial {
    fn send(&mut self, request: &Request, deadline: Instant) -> Result<bool, Failure> {
        let bytes = encode_request(request);
        if bytes.len() > self.max_request {
            return Err(Failure::new(
                Exit::Limit,
                format!(
                    "{}: the request is {} bytes; the device takes at most {}; send it in parts",
                    self.path.display(),
                    bytes.len(),
                    self.max_request
                ),
            ));
        }
        // What is left of a stream that we don't want any more.
        self.answers.clear();
        let last = bytes.len().saturating_sub(1) / MAX_BODY * MAX_BODY;
        let (parts, last) = bytes.split_at(last);
        for part in parts.chunks(MAX_BODY) {
            self.exchange(Kind::Part, part, deadline)?;
        }
        let mut kind = self.exchange(Kind::Last, last, deadline)?;
        if matches!(request, Request::InstallCompact { .. }) {
            // It is ready for the component when it says Taken, or it has something against it.
            let mut pause = PAUSE;
            while kind == Kind::Wait {
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSE_MOST);
                kind = self.exchange(Kind::Next, &[], deadline)?;
            }
        }
        Ok(true)
    }

    fn upload(&mut self, bytes: &[u8], deadline: Instant) -> Result<bool, Failure> {
        if !self.answers.is_empty() {
            return Ok(false);
        }
        let kind = self.exchange(Kind::Upload, bytes, deadline)?;
        Ok(kind != Kind::Answer)
    }

    fn chunk(&self) -> usize {
        MAX_BODY
    }

    fn answer(&mut self, deadline: Instant) -> Result<Response, Failure> {
        let mut pause = PAUSE;
        loop {
            if let Some(response) = self.take()? {
                return Ok(response);
            }
            if self.exchange(Kind::Next, &[], deadline)? == Kind::Wait {
                std::thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
                pause = (pause * 2).min(PAUSE_MOST);
            }
        }
    }

    fn stir(&mut self) -> Result<bool, Failure> {
        while self.answers.is_empty() {
            let now = Instant::now();
            if self.exchange(Kind::Next, &[], now + super::PROMPT)? == Kind::Answer {
                continue;
            }
            // Asked again after a pause, unless nobody reads what we print any more.
            match wait(
                &io::stdout(),
                PollFlags::empty(),
                Some(now + PAUSE_MOST),
                true,
            )? {
                Waited::TimedOut => {}
                Waited::Ready(_) | Waited::OutputGone => return Ok(false),
            }
        }
        Ok(true)
    }

    fn has_more(&self) -> bool {
        !self.answers.is_empty()
    }

    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn manifest_form(&self) -> ManifestForm {
        ManifestForm::Compact
    }

    fn garbage(&self, what: &str) -> Failure {
        Failure::new(
            Exit::Protocol,
            format!(
                "{}: the other side {what}; use the vyomactl of the device's version",
                self.path.display()
            ),
        )
    }
}

/// A number that the last client has hardly had.
fn session_number() -> u16 {
    let mut bytes = [0; 2];
    // Without randomness in the first instants of a machine, the process's number will do.
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::NONBLOCK) {
        Ok(2) => u16::from_le_bytes(bytes),
        _ => std::process::id() as u16,
    }
}
