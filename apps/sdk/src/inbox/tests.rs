//! An inbox over a script of what is read, and over a socket.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use super::*;
use crate::MAX_LINE;

/// What each read finds. After the last one nothing more comes.
struct Script(Vec<Read>, Vec<u8>);

impl Script {
    /// One read for each piece; `None` is one that finds nothing in its time.
    fn of(pieces: &[Option<&str>]) -> Self {
        let reads = pieces
            .iter()
            .rev()
            .map(|piece| piece.map_or(Read::TimedOut, |piece| Read::Bytes(piece.len())));
        let bytes = pieces.iter().flatten().copied().collect::<String>();
        Self(reads.collect(), bytes.into_bytes())
    }
}

impl Source for Script {
    fn read(&mut self, room: &mut [u8], deadline: Option<Instant>) -> Read {
        match self.0.pop() {
            Some(Read::Bytes(count)) => {
                let now = count.min(room.len());
                for (place, byte) in room.iter_mut().zip(self.1.drain(..now)) {
                    *place = byte;
                }
                if now < count {
                    self.0.push(Read::Bytes(count - now));
                }
                Read::Bytes(now)
            }
            Some(Read::TimedOut) if deadline.is_none() => self.read(room, deadline),
            Some(other) => other,
            None => Read::Closed,
        }
    }
}

fn inbox(pieces: &[Option<&str>]) -> Inbox<Script, [u8; 32]> {
    Inbox::over(Script::of(pieces), [0; 32])
}

/// That line, received.
macro_rules! line {
    ($text:expr) => {
        Ok(Some(Incoming::Line($text)))
    };
}

const LIMIT: Duration = Duration::from_millis(1);

#[test]
fn lines_come_in_order_and_a_last_one_needs_no_line_end() {
    let mut inbox = inbox(&[Some("one\n\nVYOMA_SYS"), Some("TEM:copy\nla"), Some("st")]);
    assert_eq!(inbox.receive(), line!("one"));
    assert_eq!(inbox.receive(), line!(""));
    assert_eq!(inbox.receive(), Ok(Some(Incoming::System("copy"))));
    assert_eq!(inbox.receive(), line!("last"));
    assert_eq!(inbox.receive(), Ok(None));
    assert_eq!(inbox.receive(), Ok(None));
}

#[test]
fn waiting_ends_when_the_time_is_over_and_half_a_line_is_kept() {
    let mut inbox = inbox(&[None, Some("half"), None, Some(" whole\n"), None]);
    assert_eq!(inbox.receive_within(LIMIT), Ok(Received::Nothing));
    assert_eq!(inbox.receive_within(LIMIT), Ok(Received::Nothing));
    assert_eq!(
        inbox.receive_within(LIMIT),
        Ok(Received::Incoming(Incoming::Line("half whole")))
    );
    assert_eq!(inbox.receive_within(LIMIT), Ok(Received::Nothing));
    assert_eq!(inbox.receive_within(LIMIT), Ok(Received::Closed));
}

#[test]
fn a_request_keeps_the_lines_that_come_before_its_answer() {
    let mut inbox = inbox(&[Some("early\nearlier?\nREPLY:iot-edge\nlate\n")]);
    assert_eq!(inbox.request("platform"), Ok("iot-edge"));
    assert_eq!(inbox.receive(), line!("early"));
    assert_eq!(inbox.receive(), line!("earlier?"));
    assert_eq!(inbox.receive(), line!("late"));
    assert_eq!(inbox.receive(), Ok(None));
}

#[test]
fn a_refused_request_says_why() {
    let mut inbox: Inbox<_, [u8; 64]> = Inbox::over(
        Script::of(&[Some("REPLY:error: ps needs capability shell\n")]),
        [0; 64],
    );
    let refused = inbox.request("ps").unwrap_err();
    assert_eq!(refused, RequestError::Refused("ps needs capability shell"));
    assert_eq!(refused.to_string(), "ps needs capability shell");
}

#[test]
fn an_answer_that_comes_too_late_answers_no_other_request() {
    let mut inbox = inbox(&[None, Some("REPLY:late\nREPLY:right\n")]);
    assert_eq!(inbox.request("uptime"), Err(RequestError::TimedOut));
    assert_eq!(inbox.request("platform"), Ok("right"));
}

#[test]
fn an_answer_that_comes_too_late_is_no_line() {
    let mut inbox = inbox(&[None, Some("REPLY:late\nline\n")]);
    assert_eq!(inbox.request("uptime"), Err(RequestError::TimedOut));
    assert_eq!(inbox.receive(), line!("line"));
}

#[test]
fn a_flood_before_the_answer_drops_the_oldest_lines() {
    let flood: Vec<String> = (10..40).map(|number| format!("{number}\n")).collect();
    let flood = flood.concat();
    let mut inbox = inbox(&[Some(&flood), Some("REPLY:ok\n")]);
    assert_eq!(inbox.request("ping"), Ok("ok"));
    // 32 bytes hold the answer and the end of the flood.
    let mut kept = Vec::new();
    while let Ok(Some(Incoming::Line(text))) = inbox.receive() {
        kept.push(text.to_owned());
    }
    assert!((5..10).contains(&kept.len()), "{kept:?}");
    assert_eq!(kept.last().map(String::as_str), Some("39"));
    assert!(kept.is_sorted(), "{kept:?}");
}

#[test]
fn a_line_that_is_too_long_is_cut_and_the_next_is_whole() {
    let long = "x".repeat(100);
    let mut inbox = inbox(&[Some("first\n"), Some(&long), Some("xx\nnext\n")]);
    assert_eq!(inbox.receive(), line!("first"));
    assert_eq!(inbox.receive(), line!(&long[..32]));
    assert_eq!(inbox.receive(), line!("next"));
    assert_eq!(inbox.receive(), Ok(None));
}

#[test]
fn a_line_that_fills_its_room_exactly_is_whole_without_its_line_end() {
    let full = "y".repeat(32);
    let mut inbox = inbox(&[Some(&full), Some("\nnext")]);
    assert_eq!(inbox.receive(), line!(&full));
    assert_eq!(inbox.receive(), line!("next"));
}

#[test]
fn a_room_that_grows_takes_the_longest_line_and_no_more() {
    let script = [
        Some("x".repeat(MAX_LINE * 2)),
        Some(format!("\n{}\nlast", "y".repeat(MAX_LINE))),
    ];
    let script: Vec<Option<&str>> = script.iter().map(Option::as_deref).collect();
    let mut inbox = Inbox::over(Script::of(&script), Vec::new());
    assert_eq!(inbox.receive(), line!(&"x".repeat(MAX_LINE)));
    assert_eq!(inbox.receive(), line!(&"y".repeat(MAX_LINE)));
    assert_eq!(inbox.receive(), line!("last"));
    assert_eq!(inbox.receive(), Ok(None));
}

#[test]
fn input_that_fails_is_an_error_and_not_the_end() {
    let mut inbox = Inbox::over(Script(vec![Read::Failed], Vec::new()), [0; 32]);
    assert_eq!(inbox.receive(), Err(Error));
    assert_eq!(inbox.receive(), Ok(None));
}

#[test]
fn a_socket_is_a_source_too() {
    let (mut supervisor, app) = UnixStream::pair().expect("a socket pair");
    let mut inbox = Inbox::over(app, Vec::new());
    assert_eq!(inbox.receive_within(LIMIT), Ok(Received::Nothing));
    supervisor.write_all(b"a\xffb\nhalf").unwrap();
    assert_eq!(inbox.receive(), line!("a?b"));
    assert_eq!(inbox.receive_within(LIMIT), Ok(Received::Nothing));
    drop(supervisor);
    assert_eq!(inbox.receive(), line!("half"));
    assert_eq!(inbox.receive_within(LIMIT), Ok(Received::Closed));
}
