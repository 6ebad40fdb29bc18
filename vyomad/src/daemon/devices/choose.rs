//! Which board this machine is: what it was told, else what the device tree says, else the generic one.

use std::path::Path;

use vyoma_capabilities::board::{self, Board};

use crate::daemon::files;

/// Where the kernel shows the device tree's root.
const COMPATIBLE: &str = "/sys/firmware/devicetree/base/compatible";
/// What the root is compatible with, and the board's name here.
const KNOWN: [(&str, &str); 3] = [
    ("raspberrypi,4-model-b", "raspberry-pi-4"),
    ("raspberrypi,model-zero-2-w", "raspberry-pi-zero-2-w"),
    ("linux,dummy-virt", "qemu-virt"),
];
/// The board of a machine that has no file of its own.
const GENERIC: &str = "generic";
/// Longest board file.
const BOARD_BYTES: usize = 64 * 1024;

/// The board of that name, or in that file.
pub(crate) fn named(wanted: &str) -> Result<Board, String> {
    if let Some((name, text)) = board::BUILTIN.iter().find(|(name, _)| *name == wanted) {
        return board::parse(&format!("{name}.toml"), text).map_err(|error| error.to_string());
    }
    let path = Path::new(wanted);
    if !path.exists() {
        let names: Vec<&str> = board::BUILTIN.iter().map(|(name, _)| *name).collect();
        return Err(format!(
            "found {wanted:?}; expected {} or a board file",
            names.join(", ")
        ));
    }
    let text = files::read_text(path, BOARD_BYTES).map_err(|error| format!("{wanted}: {error}"))?;
    board::parse(wanted, &text).map_err(|error| error.to_string())
}

/// The board that this machine says it is.
pub(crate) fn of_this_machine() -> &'static str {
    let compatible = std::fs::read(COMPATIBLE).unwrap_or_default();
    known(&compatible)
}

fn known(compatible: &[u8]) -> &'static str {
    let is = |name: &str| {
        compatible
            .split(|byte| *byte == 0)
            .any(|word| word == name.as_bytes())
    };
    let found = KNOWN.iter().find(|(name, _)| is(name));
    found.map_or(GENERIC, |(_, board)| board)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_is_known_by_its_device_tree() {
        assert_eq!(
            known(b"raspberrypi,4-model-b\0brcm,bcm2711\0"),
            "raspberry-pi-4"
        );
        assert_eq!(known(b"linux,dummy-virt\0"), "qemu-virt");
        assert_eq!(known(b"acme,thing\0"), "generic");
        assert_eq!(known(b""), "generic");
        for (_, name) in KNOWN {
            named(name).unwrap();
        }
    }

    #[test]
    fn a_board_that_is_not_there_is_named_with_those_that_are() {
        let why = named("raspberry").unwrap_err();
        assert!(why.contains("\"raspberry\""), "{why}");
        assert!(why.contains("raspberry-pi-4"), "{why}");
    }
}
