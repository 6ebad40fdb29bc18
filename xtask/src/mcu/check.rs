//! What CI asks of the firmware before anything boots: formatting, lints, a build for each board, and no more flash than its
//! budget. It is a workspace of its own, which the checks of the other ones don't see.

use anyhow::ensure;

use super::Board;
use super::budget::FLASH_KB;
use super::firmware::{self, cargo, selection};
use super::sizes;
use crate::context::{Context, call, say};

/// Formatting and lints, for each board.
pub(crate) fn style(context: &Context) -> anyhow::Result<()> {
    call(cargo(context).args(["fmt", "--all", "--check"]))?;
    let clippy = |board, features: &[&str]| {
        // In release, as it is built: wasm3's C is compiled once.
        call(
            cargo(context)
                .args(["clippy", "--quiet", "--locked", "--release"])
                .args(selection(board))
                .args(features)
                .args(["--", "-D", "warnings"]),
        )
    };
    for board in Board::ALL {
        clippy(board, &[])?;
    }
    clippy(Board::DEFAULT, &["--features", "bench"])
}

/// Builds it for each board, and looks at its size.
pub(crate) fn boards(context: &Context) -> anyhow::Result<()> {
    for board in Board::ALL {
        let firmware = firmware::build(context, board)?;
        let parts = sizes::of(&firmware.map)?;
        say(format_args!(
            "firmware for {}: {} bytes of flash; at most {} KB",
            board.name(),
            parts.sum(),
            FLASH_KB
        ));
        ensure!(
            parts.sum() <= FLASH_KB * 1024,
            "the firmware for {} takes {} bytes of flash: {parts:?}; expected at most {FLASH_KB} KB",
            board.name(),
            parts.sum()
        );
    }
    Ok(())
}
