//! The line protocols.

use vyoma_capabilities::capability::Capability;
use vyoma_capabilities::lines::{
    Line, LineSplitter, MAX_LINE, SupervisorRequest as R, parse, parse_request, refusal, reply,
    request_verb, sanitize, unknown,
};

#[test]
fn lines_are_told_apart() {
    for (line, expected) in [
        (
            "VYOMA_DRAW:fill_rect:0,0,4,3,255",
            Line::Draw("fill_rect:0,0,4,3,255"),
        ),
        ("VYOMA_AUDIO:beep", Line::Audio("beep")),
        ("@supervisor: platform", Line::Request("platform")),
        ("@supervisor:platform", Line::Request("platform")),
        ("@broadcast: a: b", Line::Broadcast("a: b")),
        ("@reply: ", Line::Reply("")),
        (
            "@pong:",
            Line::Message {
                to: "pong",
                payload: "",
            },
        ),
        (
            "@pong:  two spaces",
            Line::Message {
                to: "pong",
                payload: " two spaces",
            },
        ),
        (
            "@Pong: no app can be called that",
            Line::Log("@Pong: no app can be called that"),
        ),
        ("@pong without a colon", Line::Log("@pong without a colon")),
        ("@: nobody", Line::Log("@: nobody")),
        (
            " @pong: not at the start",
            Line::Log(" @pong: not at the start"),
        ),
        ("VYOMA_DRAW", Line::Log("VYOMA_DRAW")),
        ("", Line::Log("")),
    ] {
        assert_eq!(parse(line), expected);
    }
}

#[test]
fn every_verb_is_known_with_its_argument_and_its_capability() {
    let shell = Some(Capability::Shell);
    let network = Some(Capability::Network);
    let display = Some(Capability::Display);
    for (text, expected, needs) in [
        ("platform", R::Platform, None),
        ("ping", R::Ping, None),
        ("version", R::Version, None),
        ("uptime", R::Uptime, None),
        ("list", R::List, None),
        ("memory-info", R::MemoryInfo, None),
        (
            "notify Door|is open|now",
            R::Notify {
                title: "Door",
                message: "is open|now",
            },
            None,
        ),
        (
            "notify Door",
            R::Notify {
                title: "Door",
                message: "",
            },
            None,
        ),
        (
            "clipboard-set two words",
            R::ClipboardSet("two words"),
            None,
        ),
        ("clipboard-get", R::ClipboardGet, None),
        ("clipboard-clear", R::ClipboardClear, None),
        (
            "dns-resolve example.org",
            R::DnsResolve("example.org"),
            network,
        ),
        ("http-get http://a/b c", R::HttpGet("http://a/b c"), network),
        ("ps", R::Ps, shell),
        ("ps-raw", R::PsRaw, shell),
        ("status", R::Status, shell),
        ("run apps/a/vyoma.toml", R::Run("apps/a/vyoma.toml"), shell),
        ("kill a", R::Kill("a"), shell),
        ("kill", R::Kill(""), shell),
        ("restart a", R::Restart("a"), shell),
        ("log a", R::Log("a"), shell),
        ("reload", R::Reload, shell),
        ("loglevel debug", R::LogLevel("debug"), shell),
        ("shutdown", R::Shutdown, shell),
        ("reboot", R::Reboot, shell),
        ("screen-size", R::NeedsDisplay("screen-size"), display),
        ("win-info a", R::NeedsDisplay("win-info"), display),
        ("focus a", R::NeedsDisplay("focus"), display),
        ("raise a", R::NeedsDisplay("raise"), display),
        ("lower a", R::NeedsDisplay("lower"), display),
        ("resize 1,2", R::NeedsDisplay("resize"), display),
        ("screenshot", R::NeedsDisplay("screenshot"), display),
        ("theme dark", R::NeedsDisplay("theme"), display),
        ("  ping  ", R::Ping, None),
        ("PING", R::Unknown("PING"), None),
        ("make coffee", R::Unknown("make"), None),
        ("", R::Unknown(""), None),
    ] {
        let parsed = parse_request(text);
        assert_eq!(parsed, expected);
        assert_eq!(parsed.needs(), needs, "{text}");
        assert_eq!(
            request_verb(text),
            text.split_whitespace().next().unwrap_or("")
        );
    }
}

#[test]
fn answers_are_one_line() {
    assert_eq!(reply("pong"), "REPLY:pong");
    assert_eq!(reply("a\nREPLY:b\r\n"), "REPLY:a REPLY:b  ");
    assert_eq!(
        refusal("ps", Capability::Shell),
        "REPLY:error: ps needs capability shell"
    );
    assert_eq!(unknown("coffee"), "REPLY:error: unknown request coffee");
}

#[test]
fn what_a_terminal_would_act_on_is_shown_instead() {
    assert!(matches!(
        sanitize("plain ä \t 漢字 \\x1b"),
        std::borrow::Cow::Borrowed("plain ä \t 漢字 \\x1b")
    ));
    assert_eq!(sanitize("a\x1b[2Jb"), "a\\x1b[2Jb");
    assert_eq!(sanitize("\x07\x00\x7f\r\n"), "\\x07\\x00\\x7f\\x0d\\x0a");
    assert_eq!(sanitize("\u{9b}31m"), "\\u{9b}31m");
    assert_eq!(sanitize("x\u{202e}y\u{2066}z"), "x\\u{202e}y\\u{2066}z");
}

fn split(limit: usize, pieces: &[&[u8]]) -> Vec<(String, bool)> {
    let mut splitter = LineSplitter::with_limit(limit);
    let mut lines = Vec::new();
    for piece in pieces {
        splitter.feed(piece, |line, cut| lines.push((line.to_owned(), cut)));
    }
    splitter.finish(|line, cut| lines.push((line.to_owned(), cut)));
    lines
}

fn whole(lines: &[&str]) -> Vec<(String, bool)> {
    lines
        .iter()
        .map(|line| ((*line).to_owned(), false))
        .collect()
}

#[test]
fn lines_come_out_whole_however_they_come_in() {
    assert_eq!(
        split(16, &[b"one\ntwo\r\n\nth", b"ree"]),
        whole(&["one", "two", "", "three"])
    );
    assert_eq!(split(16, &[b"a\r", b"\nb\r"]), whole(&["a", "b"]));
    assert_eq!(split(16, &[]), whole(&[]));
}

#[test]
fn a_line_that_is_too_long_comes_once_cut_and_the_next_is_whole() {
    assert_eq!(
        split(4, &[b"abcdefgh", b"ijkl\nnext\n"]),
        [(String::from("abcd"), true), (String::from("next"), false)]
    );
    assert_eq!(
        split(4, &[b"abcd\nabcd\r\n"]),
        whole(&["abcd", "abcd"]),
        "exactly as long as allowed is not cut"
    );
    assert_eq!(
        split(4, &[b"abcde"]),
        [(String::from("abcd"), true)],
        "its end is not needed to say so"
    );
    assert_eq!(
        split(4, &[b"abc\xc3\xa4\n"]),
        [(String::from("abc"), true)],
        "never through a character"
    );
}

#[test]
fn a_cut_line_is_handed_out_before_its_end_comes() {
    let mut splitter = LineSplitter::new();
    let mut seen = Vec::new();
    splitter.feed(&vec![b'x'; 3 * MAX_LINE], |line, cut| {
        seen.push((line.len(), cut));
    });
    assert_eq!(seen, [(MAX_LINE, true)]);
}

#[test]
fn invalid_utf8_is_replaced() {
    assert_eq!(
        split(16, &[b"a\xff\xfeb\n"]),
        whole(&["a\u{fffd}\u{fffd}b"])
    );
}
