//! The lines that an app hears on standard input, told apart. Any text is something; nothing here fails.

/// One line from standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// From another app, or a key (they carry no mark of their own): the line as it came.
    Line(&'a str),
    /// `REPLY:...`: the answer to a `@supervisor:` request, without the mark. [`crate::Inbox::request`] takes these.
    Reply(&'a str),
    /// `VYOMA_INPUT:...`: mouse or touch, without the mark.
    Input(&'a str),
    /// `VYOMA_SYSTEM:...`: news such as `screen:w,h` or `memory-pressure:warning`, without the mark.
    System(&'a str),
}

impl<'a> Incoming<'a> {
    /// Tells by the mark what a line (without its newline) is.
    pub fn parse(line: &'a str) -> Self {
        if let Some(payload) = line.strip_prefix("REPLY:") {
            Self::Reply(payload)
        } else if let Some(event) = line.strip_prefix("VYOMA_INPUT:") {
            Self::Input(event)
        } else if let Some(news) = line.strip_prefix("VYOMA_SYSTEM:") {
            Self::System(news)
        } else {
            Self::Line(line)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart_by_their_mark() {
        assert_eq!(
            Incoming::parse("REPLY:iot-edge"),
            Incoming::Reply("iot-edge")
        );
        assert_eq!(
            Incoming::parse("VYOMA_INPUT:mouse:move:1,2"),
            Incoming::Input("mouse:move:1,2")
        );
        assert_eq!(
            Incoming::parse("VYOMA_SYSTEM:screen:800,600"),
            Incoming::System("screen:800,600")
        );
        assert_eq!(Incoming::parse("ping 1"), Incoming::Line("ping 1"));
        assert_eq!(Incoming::parse(""), Incoming::Line(""));
        assert_eq!(Incoming::parse(" REPLY:x"), Incoming::Line(" REPLY:x"));
    }
}
