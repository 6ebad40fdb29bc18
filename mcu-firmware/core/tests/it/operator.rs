//! A client at the other end of a line that may lose and change bytes.

use vyoma_capabilities::control::{PROTOCOL, Request, Response};
use vyoma_capabilities::link::{
    Caller, Kind, MAX_BODY, MAX_FRAME, Receiver, encode_request, take_response,
};
use vyoma_mcu_core::session::Session;

use crate::played::Played;

/// What becomes of what is sent: towards the device (true) or back, the how-manieth transmission it is, and its bytes.
pub(crate) type Line = Box<dyn FnMut(bool, u32, &mut Vec<u8>)>;

/// A client, the line and the device.
pub(crate) struct Operator {
    pub(crate) session: Session,
    pub(crate) device: Played,
    line: Line,
    caller: Caller,
    receiver: Receiver,
    /// Transmissions so far, both ways.
    pub(crate) sent: u32,
    /// Bytes of answers that are no whole message yet.
    answers: Vec<u8>,
    /// The device resends and the client repeats: how often at most.
    pub(crate) patience: u32,
    pub(crate) now_ms: u64,
}

impl Operator {
    /// A line that changes nothing, and nobody who has opened a session yet.
    pub(crate) fn new(device: Played) -> Self {
        Self {
            session: Session::new(),
            device,
            line: Box::new(|_, _, _| {}),
            caller: Caller::new(0),
            receiver: Receiver::new(),
            sent: 0,
            answers: Vec::new(),
            patience: 20,
            now_ms: 1000,
        }
    }

    /// Greeted.
    pub(crate) fn greeted(device: Played) -> Self {
        let mut operator = Self::new(device);
        operator.open(7);
        operator
    }

    /// What becomes of what is sent from now on.
    pub(crate) fn over(mut self, line: impl FnMut(bool, u32, &mut Vec<u8>) + 'static) -> Self {
        self.line = Box::new(line);
        self
    }

    /// A new client: opens a session and says Hello.
    pub(crate) fn open(&mut self, session: u16) {
        self.caller = Caller::new(session);
        self.answers.clear();
        let mut buffer = [0; MAX_FRAME];
        let frame = self.caller.open(&mut buffer).to_vec();
        let (kind, body) = self.transmit(&frame).expect("an answer to Open");
        assert_eq!(kind, Kind::Opened);
        assert_eq!(body[0], vyoma_capabilities::link::VERSION);
        let hello = self.call(&Request::Hello { protocol: PROTOCOL });
        assert!(matches!(hello, Response::Hello { .. }), "{hello:?}");
    }

    /// Asks, and waits for one answer.
    pub(crate) fn call(&mut self, request: &Request) -> Response {
        self.ask(request).expect("an answer");
        self.response().expect("an answer")
    }

    /// Asks; what the last frame of the request was answered with.
    pub(crate) fn ask(&mut self, request: &Request) -> Option<Kind> {
        let bytes = encode_request(request);
        let (last, parts) = match bytes.len().checked_sub(1) {
            Some(end) => bytes.split_at(end / MAX_BODY * MAX_BODY),
            None => (&bytes[..], &bytes[..]),
        };
        let (parts, last) = (last, parts);
        for part in parts.chunks(MAX_BODY) {
            assert_eq!(self.exchange(Kind::Part, part)?, Kind::Taken);
        }
        self.exchange(Kind::Last, last)
    }

    /// The next answer, however often it has to be asked for.
    pub(crate) fn response(&mut self) -> Option<Response> {
        for _ in 0..200 {
            if let Some(response) = self.message() {
                return Some(response);
            }
            self.exchange(Kind::Next, &[])?;
        }
        None
    }

    /// The next answer, if all of it has come.
    pub(crate) fn message(&mut self) -> Option<Response> {
        let (response, length) = take_response(&self.answers).unwrap()?;
        self.answers.drain(..length);
        Some(response)
    }

    /// The answers up to Done.
    pub(crate) fn stream(&mut self, request: &Request) -> Vec<Response> {
        self.ask(request).unwrap();
        let mut responses = Vec::new();
        loop {
            match self.response().unwrap() {
                Response::Done => return responses,
                other => responses.push(other),
            }
        }
    }

    /// Sends a component in pieces of `size`; ends early when something is said about it.
    pub(crate) fn upload(&mut self, component: &[u8], size: usize) -> Option<()> {
        for piece in component.chunks(size) {
            if self.exchange(Kind::Upload, piece)? != Kind::Taken {
                break;
            }
        }
        Some(())
    }

    /// One frame and what it is answered with; the bytes of an answer are kept. `None`: nothing came back.
    pub(crate) fn exchange(&mut self, kind: Kind, body: &[u8]) -> Option<Kind> {
        let mut buffer = [0; MAX_FRAME];
        let frame = self.caller.next(kind, body, &mut buffer).to_vec();
        let (kind, body) = self.transmit(&frame)?;
        if kind == Kind::Answer {
            self.answers.extend(body);
        }
        Some(kind)
    }

    /// Sends bytes until the answer comes, as often as patience lasts.
    fn transmit(&mut self, frame: &[u8]) -> Option<(Kind, Vec<u8>)> {
        for _ in 0..self.patience {
            for bytes in self.raw(frame) {
                if let Some(answer) = self.receiver.push(bytes)
                    && self.caller.is_answer(&answer)
                {
                    return Some((answer.kind, answer.body.to_vec()));
                }
            }
        }
        None
    }

    /// Bytes over the line and back, whatever they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.now_ms += 10;
        self.device.now_ms = self.now_ms;
        let mut there = bytes.to_vec();
        (self.line)(true, self.sent, &mut there);
        let mut back = self
            .session
            .receive(self.now_ms, &there, &mut self.device)
            .to_vec();
        (self.line)(false, self.sent + 1, &mut back);
        self.sent += 2;
        back
    }
}
