//! The export section of a core module, read in place: which function has a name.
//!
//! wasm3 remembers a few names of each function only, and compares them up to a zero byte; this forgets none and allocates
//! nothing. No bytes make it panic.

/// Section number of exports (WebAssembly core specification, 5.5.10).
const EXPORTS: u8 = 7;

/// Kind of an exported function.
const FUNCTION: u8 = 0;

/// Index of the function that `module` exports as `name`.
pub(crate) fn function(module: &[u8], name: &str) -> Option<u32> {
    let mut sections = Reader(module.get(8..)?);
    while !sections.0.is_empty() {
        let id = sections.byte()?;
        let length = sections.number()?;
        let mut section = Reader(sections.take(length)?);
        if id != EXPORTS {
            continue;
        }
        for _ in 0..section.number()? {
            let length = section.number()?;
            let found = section.take(length)?;
            let kind = section.byte()?;
            let index = section.number()?;
            if kind == FUNCTION && found == name.as_bytes() {
                return Some(index);
            }
        }
    }
    None
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn take(&mut self, count: u32) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    /// An unsigned LEB128 of at most 32 bits.
    fn number(&mut self) -> Option<u32> {
        let mut number = 0_u64;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(number).ok();
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODULE: &str = r#"(module
        (memory (export "memory") 1)
        (func (export "first") (export "second"))
        (func (export "third\00x")))"#;

    #[test]
    fn every_name_of_a_function_is_found_and_only_functions_are() {
        let module = wat::parse_str(MODULE).unwrap();
        assert_eq!(function(&module, "first"), Some(0));
        assert_eq!(function(&module, "second"), Some(0));
        assert_eq!(function(&module, "third\0x"), Some(1));
        assert_eq!(function(&module, "third"), None);
        assert_eq!(function(&module, "memory"), None);
    }

    #[test]
    fn a_truncated_module_has_no_export() {
        let module = wat::parse_str(MODULE).unwrap();
        let end = module
            .windows(5)
            .position(|window| window == b"third")
            .unwrap();
        for length in 0..end {
            assert_eq!(function(&module[..length], "third\0x"), None);
        }
        assert_eq!(
            function(b"\0asm\x01\0\0\0\x07\xff\xff\xff\xff\xff\xff", "a"),
            None
        );
    }
}
