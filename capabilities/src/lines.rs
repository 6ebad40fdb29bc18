//! The text line protocols between an app and its supervisor (stdout, stdin, `@supervisor:`), parsed and printed.
//!
//! Source: the guide ("Writing platform-aware apps") and VyomaOS's fuller set. Nothing here trusts a line: any bytes parse to something.

use alloc::string::String;

use crate::capability::Capability;

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
    line.extend(payload.chars().map(|c| if c == '\n' || c == '\r' { ' ' } else { c }));
    line
}
