//! Builds the firmware, which is a workspace of its own, and reads from the built file what the linker decided: where the
//! regions of its memory are. So an address stands in the linker script and nowhere else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use object::{Object as _, ObjectSymbol as _};

use super::Board;
use crate::context::{Context, call, say, which};

/// Its package, and the name of the built file.
const PACKAGE: &str = "vyoma-firmware";
/// The same, measuring itself.
const BENCH: &str = "vyoma-firmware-bench";
/// Its folder.
const FOLDER: &str = "mcu-firmware/firmware";
/// Compiles wasm3's C.
const C_COMPILER: &str = "arm-none-eabi-gcc";

/// A built firmware.
#[derive(Debug, Clone)]
pub(crate) struct Firmware {
    /// Which board it is for.
    pub(crate) board: Board,
    /// The ELF file.
    pub(crate) elf: PathBuf,
    /// The linker's map: what it put where, and out of which object.
    pub(crate) map: PathBuf,
    /// Symbols of the linker scripts (memory/*.x), whose names begin with `_`, with their addresses.
    symbols: BTreeMap<String, u32>,
}

/// `cargo` in the firmware's workspace.
pub(crate) fn cargo(context: &Context) -> std::process::Command {
    let mut cargo = context.cargo();
    // Its .cargo/config.toml, found from there, has the linker's arguments.
    cargo
        .current_dir(context.root.join(FOLDER))
        .env("CARGO_TARGET_DIR", &context.target)
        .env_remove("RUSTC_WRAPPER");
    cargo
}

/// The arguments of cargo that choose a board.
pub(crate) fn selection(board: Board) -> [&'static str; 5] {
    [
        "--no-default-features",
        "--features",
        board.name(),
        "--target",
        board.rust_target(),
    ]
}

/// Builds the firmware of `board`.
pub(crate) fn build(context: &Context, board: Board) -> anyhow::Result<Firmware> {
    build_as(context, board, PACKAGE, &[])
}

/// Builds the one that measures itself.
pub(super) fn build_bench(context: &Context, board: Board) -> anyhow::Result<Firmware> {
    build_as(context, board, BENCH, &["--features", "bench"])
}

fn build_as(
    context: &Context,
    board: Board,
    program: &str,
    features: &[&str],
) -> anyhow::Result<Firmware> {
    ensure!(
        which(C_COMPILER).is_some(),
        "{C_COMPILER} is not installed; run `make setup`"
    );
    say(format_args!("building {program} for {}", board.name()));
    let map = context
        .out
        .join("firmware")
        .join(format!("{program}-{}.map", board.name()));
    if let Some(folder) = map.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    call(
        cargo(context)
            .args(["rustc", "--quiet", "--locked", "--release"])
            .args(selection(board))
            .args(features)
            .args(["--bin", program, "--"])
            .arg(format!("-Clink-arg=-Map={}", map.display())),
    )?;
    let elf = context
        .target
        .join(board.rust_target())
        .join("release")
        .join(program);
    ensure!(elf.is_file(), "cargo built no {}", elf.display());
    Firmware::read(board, elf, map)
}

impl Firmware {
    fn read(board: Board, elf: PathBuf, map: PathBuf) -> anyhow::Result<Self> {
        let bytes =
            std::fs::read(&elf).with_context(|| format!("cannot read {}", elf.display()))?;
        let file = object::File::parse(&*bytes)
            .with_context(|| format!("{} is no ELF file", elf.display()))?;
        let symbols = file
            .symbols()
            .filter_map(|symbol| Some((symbol.name().ok()?.to_owned(), symbol.address() as u32)))
            .filter(|(name, _)| name.starts_with('_'))
            .collect();
        Ok(Self {
            board,
            elf,
            map,
            symbols,
        })
    }

    /// The value of a symbol of the linker scripts.
    pub(crate) fn symbol(&self, name: &str) -> anyhow::Result<u32> {
        self.symbols.get(name).copied().with_context(|| {
            format!(
                "{}: no symbol {name}; expected it from {FOLDER}/memory",
                self.elf.display()
            )
        })
    }

    /// From `__NAME_start` to `__NAME_end`.
    pub(crate) fn region(&self, name: &str) -> anyhow::Result<Range<u32>> {
        let start = self.symbol(&format!("__{name}_start"))?;
        let end = self.symbol(&format!("__{name}_end"))?;
        ensure!(
            start < end,
            "{}: __{name}_start {start:#x} is not below __{name}_end {end:#x}",
            self.elf.display()
        );
        Ok(start..end)
    }
}

/// Bytes of the file that are loaded into the board's flash.
pub(crate) fn flash_bytes(elf: &Path) -> anyhow::Result<u64> {
    use object::ObjectSegment as _;
    let bytes = std::fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let file = object::File::parse(&*bytes)
        .with_context(|| format!("{} is no ELF file", elf.display()))?;
    // In a file, an initialised static stands once; in flash, too: it is copied at the start.
    Ok(file.segments().map(|segment| segment.file_range().1).sum())
}
