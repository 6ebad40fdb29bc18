//! The client's side of a serial line, frame by frame, for tests that do what no `vyomactl` does: stop in the middle, say
//! what is not true.

use std::fs::File;
use std::io::{Read as _, Write as _};

use vyoma_capabilities::control::{PROTOCOL, Request, Response};
use vyoma_capabilities::link::{
    Caller, Frame, Kind, MAX_BODY, MAX_FRAME, Receiver, encode_request, take_response,
};

/// A session on a line.
pub struct Wire {
    line: File,
    caller: Caller,
    receiver: Receiver,
}

impl Wire {
    /// Opens a session of that number on a line that nobody else uses.
    pub fn open(line: File, session: u16) -> Self {
        let mut wire = Self {
            line,
            caller: Caller::new(session),
            receiver: Receiver::new(),
        };
        let mut buffer = [0; MAX_FRAME];
        let frame = wire.caller.open(&mut buffer).to_vec();
        let (kind, _) = wire.exchange(&frame);
        assert_eq!(kind, Kind::Opened);
        let greeting = wire.ask(&Request::Hello { protocol: PROTOCOL });
        assert!(
            matches!(
                greeting,
                Some(Response::Hello {
                    protocol: PROTOCOL,
                    ..
                })
            ),
            "{greeting:?}"
        );
        wire
    }

    /// Asks, and gives the first answer; `None`: the device wants the component that was announced.
    pub fn ask(&mut self, request: &Request) -> Option<Response> {
        let bytes = encode_request(request);
        let mut parts = bytes.chunks(MAX_BODY).peekable();
        let mut answer = (Kind::Taken, Vec::new());
        while let Some(part) = parts.next() {
            let kind = if parts.peek().is_some() {
                Kind::Part
            } else {
                Kind::Last
            };
            answer = self.send(kind, part);
        }
        self.answer(answer)
    }

    /// Sends bytes of a component.
    pub fn upload(&mut self, bytes: &[u8]) -> Option<Response> {
        let mut last = None;
        for part in bytes.chunks(MAX_BODY) {
            let answer = self.send(Kind::Upload, part);
            last = self.answer(answer);
        }
        last
    }

    /// Collects answers until there is a whole one, or the device waits for something.
    fn answer(&mut self, (mut kind, body): (Kind, Vec<u8>)) -> Option<Response> {
        let mut collected = body;
        loop {
            match kind {
                Kind::Taken => return None,
                Kind::Wait | Kind::Answer => {}
                other => panic!("the device said {other:?}"),
            }
            if let Some((response, _)) = take_response(&collected).expect("an answer") {
                return Some(response);
            }
            let (next, body) = self.send(Kind::Next, &[]);
            kind = next;
            collected.extend(body);
        }
    }

    fn send(&mut self, kind: Kind, body: &[u8]) -> (Kind, Vec<u8>) {
        let mut buffer = [0; MAX_FRAME];
        let frame = self.caller.next(kind, body, &mut buffer).to_vec();
        self.exchange(&frame)
    }

    /// Sends a frame and waits for the one that answers it.
    fn exchange(&mut self, frame: &[u8]) -> (Kind, Vec<u8>) {
        self.line.write_all(frame).expect("write to the line");
        let mut byte = [0];
        loop {
            self.line.read_exact(&mut byte).expect("read the line");
            let Some(frame) = self.receiver.push(byte[0]) else {
                continue;
            };
            if self.caller.is_answer(&frame) {
                let Frame { kind, body, .. } = frame;
                return (kind, body.to_vec());
            }
        }
    }
}
