//! What stands behind the machine code in an artefact of a core module: the program's description, found from the file's end.
//!
//! Wasmtime maps an artefact as it is, an ELF image from byte 0 on, which no bytes behind it disturb. So the description (the
//! header of `vyoma_services::artefact`, with an empty payload) follows the image, and then
//!
//! ```text
//! 0  length of the description, u64, little-endian
//! 8  magic, 8 bytes: the file ends here
//! ```
//!
//! An artefact of a component has none of this: it ends with its image.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use vyoma_component::program::Program;
use vyoma_runtime::{ArtefactKey, EngineError};
use vyoma_services::artefact::{self, Kind};

/// The last bytes of a file that has a description.
const MAGIC: [u8; 8] = *b"VYOMAcm\x7f";

/// Bytes of length and magic.
const LENGTH: u64 = 16;

/// Puts the description of `program` behind its machine code.
pub(crate) fn append(image: &mut Vec<u8>, key: &ArtefactKey, program: &Program<'_>) {
    let description = artefact::encode(key, Kind::MachineCode, program, &[]);
    image.extend_from_slice(&description);
    image.extend_from_slice(&(description.len() as u64).to_le_bytes());
    image.extend_from_slice(&MAGIC);
}

/// Reads the description, to be decoded by `vyoma_services::artefact`; none when the artefact is of a component.
pub(crate) fn read(file: &File) -> Result<Option<Vec<u8>>, EngineError> {
    let unreadable = |error: io::Error| EngineError::Artefact(error.to_string());
    let Some(end) = file
        .metadata()
        .map_err(unreadable)?
        .len()
        .checked_sub(LENGTH)
    else {
        return Ok(None);
    };
    let mut last = [0; LENGTH as usize];
    file.read_exact_at(&mut last, end).map_err(unreadable)?;
    let [length, magic] = [&last[..8], &last[8..]];
    if magic != MAGIC {
        return Ok(None);
    }
    let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
    // The file's size bounds what is set aside.
    let Some(start) = end.checked_sub(length) else {
        return Err(EngineError::Artefact(format!(
            "its description would have {length} bytes, there are {end} before its end"
        )));
    };
    let mut description = vec![0; length as usize];
    file.read_exact_at(&mut description, start)
        .map_err(unreadable)?;
    Ok(Some(description))
}
