//! The lines that an app prints. Only text: printing them is [`crate::log`]'s and [`crate::send`]'s work.

extern crate alloc;

use alloc::string::String;

/// Starts of a line that the supervisor takes for something else than log text.
const MARKS: [&str; 3] = ["@", "VYOMA_DRAW:", "VYOMA_AUDIO:"];

/// `text` as log lines, each with its newline; a line that would be taken for a message is indented by one space.
pub fn log(text: &str) -> String {
    let mut lines = String::with_capacity(text.len() + 1);
    for line in text.split('\n') {
        if MARKS.iter().any(|mark| line.starts_with(mark)) {
            lines.push(' ');
        }
        lines.push_str(line);
        lines.push('\n');
    }
    lines
}

/// `@target: message` and a newline. Line ends inside the message become spaces: one message is one line.
pub fn message(target: &str, message: &str) -> String {
    let mut line = String::with_capacity(target.len() + message.len() + 4);
    line.push('@');
    line.push_str(target);
    line.push_str(": ");
    line.extend(
        message
            .chars()
            .map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }),
    );
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_always_one_line() {
        assert_eq!(message("pong", "a\nb\r\n@c: d"), "@pong: a b  @c: d\n");
    }

    #[test]
    fn log_text_is_never_taken_for_a_message() {
        assert_eq!(log("plain"), "plain\n");
        assert_eq!(
            log("first\n@supervisor: reboot"),
            "first\n @supervisor: reboot\n"
        );
        assert_eq!(log("VYOMA_DRAW:flush"), " VYOMA_DRAW:flush\n");
    }
}
