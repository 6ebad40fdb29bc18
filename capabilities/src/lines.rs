//! The text line protocols between an app and its supervisor (stdout, stdin, `@supervisor:`), parsed and printed.
//!
//! Source: the guide ("Writing platform-aware apps") and VyomaOS's fuller set. Nothing here trusts a line: any bytes parse to something.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use core::fmt::Write;

use crate::capability::Capability;
use crate::manifest::is_app_name;

mod splitter;

pub use splitter::LineSplitter;

/// Most bytes of one line; longer ones are cut there and the rest is dropped up to the next newline.
pub const MAX_LINE: usize = 16 * 1024;

/// One line of an app's stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// `VYOMA_DRAW:...`, without the prefix.
    Draw(&'a str),
    /// `VYOMA_AUDIO:...`, without the prefix.
    Audio(&'a str),
    /// `@supervisor: ...`
    Request(&'a str),
    /// `@broadcast: ...`: to every other app.
    Broadcast(&'a str),
    /// `@reply: ...`: to the app that last wrote to this one.
    Reply(&'a str),
    /// `@name: ...`
    Message {
        /// A syntactically possible app name.
        to: &'a str,
        /// Delivered as it is, without the sender's name.
        payload: &'a str,
    },
    /// Anything else.
    Log(&'a str),
}

/// A parsed `@supervisor:` request. Those that need a display, a window or sound join with those capabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SupervisorRequest<'a> {
    /// `platform`
    Platform,
    /// `ping`
    Ping,
    /// `version`
    Version,
    /// `uptime`
    Uptime,
    /// `list`
    List,
    /// `memory-info`
    MemoryInfo,
    /// `notify <title>|<msg>`
    Notify {
        /// Before the `|`.
        title: &'a str,
        /// After it.
        message: &'a str,
    },
    /// `clipboard-set <text>`
    ClipboardSet(&'a str),
    /// `clipboard-get`
    ClipboardGet,
    /// `clipboard-clear`
    ClipboardClear,
    /// `dns-resolve <host>`; needs network
    DnsResolve(&'a str),
    /// `http-get <url>`; needs network
    HttpGet(&'a str),
    /// `ps`; needs shell, like all that follow
    Ps,
    /// `ps-raw`
    PsRaw,
    /// `status`
    Status,
    /// `run <manifest>`
    Run(&'a str),
    /// `kill <app>`
    Kill(&'a str),
    /// `restart <app>`
    Restart(&'a str),
    /// `log <app>`
    Log(&'a str),
    /// `reload`
    Reload,
    /// `loglevel <level>`
    LogLevel(&'a str),
    /// `shutdown`
    Shutdown,
    /// `reboot`
    Reboot,
    /// A verb of VyomaOS that needs a display (`screen-size`, `win-info`, `focus`, ...): known, not served here.
    NeedsDisplay(&'a str),
    /// Nothing that we know.
    Unknown(&'a str),
}

impl SupervisorRequest<'_> {
    /// The capability without which the request is answered `REPLY:error: <verb> needs capability <c>`.
    pub fn needs(&self) -> Option<Capability> {
        match self {
            Self::DnsResolve(_) | Self::HttpGet(_) => Some(Capability::Network),
            Self::Ps
            | Self::PsRaw
            | Self::Status
            | Self::Run(_)
            | Self::Kill(_)
            | Self::Restart(_)
            | Self::Log(_)
            | Self::Reload
            | Self::LogLevel(_)
            | Self::Shutdown
            | Self::Reboot => Some(Capability::Shell),
            Self::NeedsDisplay(_) => Some(Capability::Display),
            _ => None,
        }
    }
}

/// Prints the answer to a request: `REPLY:<payload>` on one line.
pub fn reply(payload: &str) -> String {
    let mut line = String::from("REPLY:");
    line.extend(
        payload
            .chars()
            .map(|c| if c == '\n' || c == '\r' { ' ' } else { c }),
    );
    line
}

/// The answer to a request whose capability the app lacks.
pub fn refusal(verb: &str, needs: Capability) -> String {
    reply(&format!("error: {verb} needs capability {needs}"))
}

/// The answer to a request that nobody knows.
pub fn unknown(verb: &str) -> String {
    reply(&format!("error: unknown request {verb}"))
}

/// Tells what a line of stdout (without its end) is.
pub fn parse(line: &str) -> Line<'_> {
    if let Some(command) = line.strip_prefix("VYOMA_DRAW:") {
        return Line::Draw(command);
    }
    if let Some(command) = line.strip_prefix("VYOMA_AUDIO:") {
        return Line::Audio(command);
    }
    let Some((target, payload)) = line.strip_prefix('@').and_then(|rest| rest.split_once(':'))
    else {
        return Line::Log(line);
    };
    // One space after the colon is the guide's spelling; it is no part of the payload.
    let payload = payload.strip_prefix(' ').unwrap_or(payload);
    match target {
        "supervisor" => Line::Request(payload),
        "broadcast" => Line::Broadcast(payload),
        "reply" => Line::Reply(payload),
        to if is_app_name(to) => Line::Message { to, payload },
        _ => Line::Log(line),
    }
}

/// The first word of a request, for answers about it.
pub fn request_verb(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// Parses what follows `@supervisor:`. A missing argument is the empty string; words after a verb that takes none
/// are ignored, as VyomaOS does.
pub fn parse_request(text: &str) -> SupervisorRequest<'_> {
    use SupervisorRequest as R;
    let text = text.trim();
    let verb = request_verb(text);
    let argument = text[verb.len()..].trim_start();
    match verb {
        "platform" => R::Platform,
        "ping" => R::Ping,
        "version" => R::Version,
        "uptime" => R::Uptime,
        "list" => R::List,
        "memory-info" => R::MemoryInfo,
        "notify" => {
            let (title, message) = argument.split_once('|').unwrap_or((argument, ""));
            R::Notify { title, message }
        }
        "clipboard-set" => R::ClipboardSet(argument),
        "clipboard-get" => R::ClipboardGet,
        "clipboard-clear" => R::ClipboardClear,
        "dns-resolve" => R::DnsResolve(argument),
        "http-get" => R::HttpGet(argument),
        "ps" => R::Ps,
        "ps-raw" => R::PsRaw,
        "status" => R::Status,
        "run" => R::Run(argument),
        "kill" => R::Kill(argument),
        "restart" => R::Restart(argument),
        "log" => R::Log(argument),
        "reload" => R::Reload,
        "loglevel" => R::LogLevel(argument),
        "shutdown" => R::Shutdown,
        "reboot" => R::Reboot,
        "screen-size" | "win-info" | "focus" | "raise" | "lower" | "resize" | "screenshot"
        | "theme" => R::NeedsDisplay(verb),
        _ => R::Unknown(verb),
    }
}

/// Whether a terminal might act on `c` instead of showing it: C0 except tab, DEL, C1, the bidirectional overrides and
/// isolates (Unicode TR 36), and the two separators that some viewers break a line at.
pub fn is_harmful(c: char) -> bool {
    matches!(c,
        '\0'..='\x08' | '\x0a'..='\x1f' | '\x7f'..='\u{9f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Makes text of an app harmless for a console: what a terminal might act on is shown as `\x1b` or `\u{202e}`.
/// What is left is one line; a backslash that was there before stays as it is.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(is_harmful) else {
        return Cow::Borrowed(text);
    };
    let mut safe = String::with_capacity(text.len() + 8);
    safe.push_str(&text[..first]);
    for c in text[first..].chars() {
        // Writing to a String can't fail.
        let _ = match c {
            c if !is_harmful(c) => safe.write_char(c),
            c if u32::from(c) < 0x80 => write!(safe, "\\x{:02x}", u32::from(c)),
            c => write!(safe, "\\u{{{:x}}}", u32::from(c)),
        };
    }
    Cow::Owned(safe)
}
