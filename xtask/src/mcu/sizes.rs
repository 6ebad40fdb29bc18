//! What the firmware's flash is made of, by the linker's map: for each input section, the object that it came from. C is
//! wasm3; Rust is told apart by the crates' names inside the symbols.

use std::path::Path;

use anyhow::{Context as _, ensure};

/// Bytes of flash, by part.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Parts {
    /// wasm3's C.
    pub(crate) wasm3: u64,
    /// The component reader, the canonical ABI and the host functions.
    pub(crate) components: u64,
    /// What the compilers bring: floating point in software, 64-bit division, copying.
    pub(crate) compilers: u64,
    /// The rest of the firmware, with Embassy and Rust's core.
    pub(crate) firmware: u64,
}

impl Parts {
    /// All of them.
    pub(crate) fn sum(self) -> u64 {
        self.wasm3 + self.components + self.compilers + self.firmware
    }
}

/// Sections of the ELF file that take room in flash.
const IN_FLASH: [&str; 6] = [
    ".vector_table",
    ".text",
    ".rodata",
    ".data",
    ".gnu.sgstubs",
    ".ARM.exidx",
];

/// Reads the map that lld wrote.
pub(crate) fn of(map: &Path) -> anyhow::Result<Parts> {
    let text =
        std::fs::read_to_string(map).with_context(|| format!("cannot read {}", map.display()))?;
    let parts = parse(&text);
    ensure!(
        parts.wasm3 > 0 && parts.firmware > 0,
        "{}: found no input section of wasm3 or none of the firmware; expected a map as lld writes it",
        map.display()
    );
    Ok(parts)
}

fn parse(map: &str) -> Parts {
    let mut parts = Parts::default();
    let mut in_flash = false;
    for line in map.lines() {
        let Some((size, indent, text)) = fields(line) else {
            continue;
        };
        if indent == 0 {
            in_flash = IN_FLASH.contains(&text);
        } else if in_flash && indent == 8 {
            *part(&mut parts, text) += size;
        }
    }
    parts
}

/// Size, indentation and text of `VMA LMA Size Align Out/In/Symbol`; numbers are in base 16 but the alignment.
fn fields(line: &str) -> Option<(u64, usize, &str)> {
    let mut rest = line;
    let mut numbers = [""; 4];
    for number in &mut numbers {
        rest = rest.trim_start();
        let end = rest.find(' ')?;
        (*number, rest) = rest.split_at(end);
    }
    let size = u64::from_str_radix(numbers[2], 16).ok()?;
    // One space ends the number.
    let rest = rest.strip_prefix(' ')?;
    let text = rest.trim_start();
    Some((size, rest.len() - text.len(), text))
}

/// Where an input section, `FILE:(SECTION)`, is counted.
fn part<'a>(parts: &'a mut Parts, section: &str) -> &'a mut u64 {
    if section.contains("wasm3_sys") || section.contains("wasm3-sys") {
        &mut parts.wasm3
    } else if section.contains("compiler_builtins") || section.contains("libgcc") {
        &mut parts.compilers
    } else if section.contains("vyoma_component") {
        &mut parts.components
    } else {
        &mut parts.firmware
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
     VMA      LMA     Size Align Out     In      Symbol
       0        0      400     4 .vector_table
       0        0      400     4         /t/deps/firmware.o:(.vector_table)
     400      400      300     4 .text
     400      400      100     4         /t/deps/libvyoma_wasm3_sys-1.rlib(m3_exec.o):(.text.op_Loop)
     400      400      100     1                 op_Loop
     500      500      180     4         /t/deps/firmware.lto.o:(.text._ZN15vyoma_component4host4link17h0E)
     680      680       80     4         /t/libcompiler_builtins-2.rlib(x.o):(.text.__udivdi3)
20000000      700       10     4 .data
20000000      700       10     4         /t/deps/firmware.lto.o:(.data.x)
20000010 20000010     4000     4 .bss
20000010 20000010     4000     4         /t/deps/firmware.lto.o:(.bss.y)
       0        0     9999     1 .debug_info
       0        0     9999     1         /t/deps/firmware.lto.o:(.debug_info)
";

    #[test]
    fn each_byte_of_flash_is_counted_once_and_where_it_came_from() {
        let parts = parse(MAP);
        let expected = Parts {
            wasm3: 0x100,
            components: 0x180,
            compilers: 0x80,
            firmware: 0x400 + 0x10,
        };
        assert_eq!(parts, expected);
        assert_eq!(parts.sum(), 0x400 + 0x300 + 0x10);
    }
}
