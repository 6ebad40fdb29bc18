//! What the first bytes of a block device say about it.
//!
//! Pure: bytes in, verdict out. It recognises a data disk of ours and tells apart what else a disk can hold, so that
//! the report names it; it does not check a file system (that is e2fsck's work) and follows no pointer in it. Layout:
//! Linux, Documentation/filesystems/ext4/super.rst. Called by `disk`.

/// Where ext4 keeps its superblock, and how long it is.
pub(super) const OFFSET: usize = 1024;
/// Length of the superblock.
pub(super) const SIZE: usize = 1024;
/// How much of a device is looked at: enough for every mark below (btrfs' is the farthest, at 64 KiB).
pub(super) const HEAD: usize = 68 * 1024;
/// Where ext4 keeps the first copy of its superblock, for blocks of 1, 2 and 4 KiB.
pub(super) const COPIES: [u64; 3] = [8193 * 1024, 16384 * 2048, 32768 * 4096];

const MAGIC: u16 = 0xEF53;
const STATE_ERRORS: u16 = 0x0002;
const INCOMPAT_64BIT: u32 = 0x80;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_JOURNAL_DEV: u32 = 0x8;
const RO_COMPAT_METADATA_CSUM: u32 = 0x400;
const CHECKSUM_CRC32C: u8 = 1;
/// Where the checksum is: it covers all before it.
const CHECKSUM_AT: usize = 0x3FC;

/// What a device holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    /// A sound ext4 superblock.
    Ext4 {
        /// Its volume label, made harmless.
        label: String,
        /// It was unmounted in good order: its journal holds nothing.
        clean: bool,
    },
    /// An ext4 superblock that can't be trusted.
    DamagedExt4 {
        /// Its volume label, as far as one can tell.
        label: String,
        /// What is wrong with it.
        why: String,
    },
    /// Something else that has a name.
    Other(&'static str),
    /// Nothing but zeros where anything would begin.
    Blank,
    /// Bytes without a known mark.
    Unknown,
}

/// Judges a device by its first [`HEAD`] bytes (or all, if it is smaller).
pub(super) fn judge(head: &[u8], device_bytes: u64) -> Content {
    if let Some(block) = head.get(OFFSET..OFFSET + SIZE)
        && u16_at(block, 0x38) == MAGIC
    {
        return ext4(block, device_bytes);
    }
    if let Some(name) = other(head) {
        return Content::Other(name);
    }
    if head.iter().all(|byte| *byte == 0) {
        Content::Blank
    } else {
        Content::Unknown
    }
}

/// The label of a superblock copy, when it is one: evidence that a disk with a destroyed beginning was ext4.
pub(super) fn label_of_copy(block: &[u8]) -> Option<String> {
    (block.len() == SIZE && u16_at(block, 0x38) == MAGIC).then(|| label(block))
}

fn ext4(block: &[u8], device_bytes: u64) -> Content {
    let label = label(block);
    match flaw(block, device_bytes) {
        Some(why) => Content::DamagedExt4 { label, why },
        None if u32_at(block, 0x60) & INCOMPAT_JOURNAL_DEV != 0 => {
            Content::Other("an external ext4 journal")
        }
        None => Content::Ext4 {
            label,
            clean: u32_at(block, 0x60) & INCOMPAT_RECOVER == 0,
        },
    }
}

fn flaw(block: &[u8], device_bytes: u64) -> Option<String> {
    if u32_at(block, 0x64) & RO_COMPAT_METADATA_CSUM != 0 {
        if block[0x175] != CHECKSUM_CRC32C {
            return Some(format!(
                "its superblock has the unknown checksum type {}",
                block[0x175]
            ));
        }
        let (found, expected) = (u32_at(block, CHECKSUM_AT), crc32c(&block[..CHECKSUM_AT]));
        if found != expected {
            return Some(format!(
                "its superblock has the checksum {found:08x}, its bytes make {expected:08x}"
            ));
        }
    }
    let log_block = u32_at(block, 0x18);
    if log_block > 6 {
        return Some(format!(
            "its superblock claims blocks of 2^{log_block} KiB, at most 64 KiB are possible"
        ));
    }
    let high = if u32_at(block, 0x60) & INCOMPAT_64BIT == 0 {
        0
    } else {
        u32_at(block, 0x150)
    };
    let blocks = u64::from(high) << 32 | u64::from(u32_at(block, 0x4));
    let bytes = blocks.checked_mul(1024 << log_block);
    if blocks == 0 || bytes.is_none_or(|bytes| bytes > device_bytes) {
        return Some(format!(
            "its superblock claims {blocks} blocks of {} bytes, the device has {device_bytes} bytes",
            1024 << log_block
        ));
    }
    if u16_at(block, 0x3A) & STATE_ERRORS != 0 {
        return Some("the kernel has recorded errors in it".to_owned());
    }
    None
}

/// The volume label up to its first NUL, with anything that is not printable ASCII as `?`.
fn label(block: &[u8]) -> String {
    let field = &block[0x78..0x88];
    field
        .iter()
        .take_while(|b| **b != 0)
        .map(|b| {
            if (b' '..=b'~').contains(b) {
                *b as char
            } else {
                '?'
            }
        })
        .collect()
}

/// Marks of what else people put on disks, each at its place.
fn other(head: &[u8]) -> Option<&'static str> {
    const MARKS: [(usize, &[u8], &str); 13] = [
        (0, b"LUKS\xba\xbe", "an encrypted LUKS volume"),
        (0, b"XFSB", "an XFS file system"),
        (0, b"hsqs", "a squashfs image"),
        (0, b"\xeb\x52\x90NTFS", "an NTFS file system"),
        (3, b"EXFAT   ", "an exFAT file system"),
        (54, b"FAT", "a FAT file system"),
        (82, b"FAT32", "a FAT32 file system"),
        (536, b"LVM2 001", "an LVM volume"),
        (1024, b"\x10\x20\xf5\xf2", "an F2FS file system"),
        (4086, b"SWAPSPACE2", "swap space"),
        (32769, b"CD001", "an ISO 9660 image"),
        (65600, b"_BHRfS_M", "a btrfs file system"),
        (512, b"EFI PART", "a GPT partition table"),
    ];
    let found = MARKS
        .iter()
        .find(|(at, mark, _)| head.get(*at..*at + mark.len()) == Some(*mark));
    match found {
        Some((_, _, name)) => Some(name),
        None if head.get(510..512) == Some(&[0x55, 0xAA]) => {
            Some("an MBR partition table or boot sector")
        }
        None => None,
    }
}

fn u16_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

/// CRC-32C (Castagnoli) as ext4 uses it: starts at all ones, not inverted at the end. 1 KiB is summed once per boot,
/// so bit by bit is fast enough, and less than any crate.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 0 {
                crc >> 1
            } else {
                crc >> 1 ^ 0x82F6_3B78
            };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::Command;

    const BYTES: u64 = 8 << 20;

    /// The first bytes of a file system that mke2fs made, so that the layout is checked against its authors'.
    fn made(label: &str, options: &[&str]) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(BYTES).unwrap();
        let done = Command::new("mke2fs")
            .args(["-q", "-t", "ext4", "-L", label])
            .args(options)
            .arg(file.path())
            .env(
                "PATH",
                format!(
                    "{}:/sbin:/usr/sbin",
                    std::env::var("PATH").unwrap_or_default()
                ),
            )
            .output()
            .expect("mke2fs is missing: install e2fsprogs");
        assert!(done.status.success(), "{done:?}");
        let mut bytes = std::fs::read(file.path()).unwrap();
        bytes.truncate(HEAD);
        bytes
    }

    fn damaged(head: &[u8]) -> String {
        match judge(head, BYTES) {
            Content::DamagedExt4 { why, .. } => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_system_of_mke2fs_is_recognised_by_its_label() {
        for options in [
            &[][..],
            &["-O", "^metadata_csum,^64bit"],
            &["-b", "4096"],
            &["-O", "metadata_csum,64bit"],
        ] {
            assert_eq!(
                judge(&made("vyoma-data", options), BYTES),
                Content::Ext4 {
                    label: "vyoma-data".into(),
                    clean: true
                }
            );
        }
        assert!(
            matches!(judge(&made("sixteen-letters-", &[]), BYTES), Content::Ext4 { label, .. } if label == "sixteen-letters-")
        );
        assert_eq!(
            judge(&made("", &[]), BYTES),
            Content::Ext4 {
                label: String::new(),
                clean: true
            }
        );
    }

    #[test]
    fn one_flipped_bit_in_the_superblock_is_damage() {
        let mut head = made("vyoma-data", &["-O", "metadata_csum"]);
        head[OFFSET + 0x200] ^= 1;
        assert!(damaged(&head).contains("checksum"));
    }

    #[test]
    fn a_file_system_larger_than_its_device_is_damage() {
        let head = made("vyoma-data", &["-O", "^metadata_csum"]);
        let Content::DamagedExt4 { label, why } = judge(&head, BYTES / 2) else {
            panic!()
        };
        assert_eq!(label, "vyoma-data");
        assert!(why.contains("the device has 4194304 bytes"), "{why}");
    }

    #[test]
    fn recorded_errors_are_damage() {
        let mut head = made("vyoma-data", &["-O", "^metadata_csum"]);
        head[OFFSET + 0x3A] |= 2;
        assert!(damaged(&head).contains("recorded errors"));
    }

    #[test]
    fn other_contents_are_named() {
        let with = |at: usize, mark: &[u8]| {
            let mut head = vec![0; HEAD];
            head[at..at + mark.len()].copy_from_slice(mark);
            judge(&head, BYTES)
        };
        assert_eq!(with(0, b"XFSB"), Content::Other("an XFS file system"));
        assert_eq!(
            with(65600, b"_BHRfS_M"),
            Content::Other("a btrfs file system")
        );
        assert_eq!(
            with(510, &[0x55, 0xAA]),
            Content::Other("an MBR partition table or boot sector")
        );
        assert_eq!(with(9, b"x"), Content::Unknown);
        assert_eq!(judge(&vec![0; HEAD], BYTES), Content::Blank);
        assert_eq!(judge(&[], 0), Content::Blank);
    }

    #[test]
    fn a_label_cannot_draw_on_the_console() {
        let mut block = vec![0; SIZE];
        block[0x38..0x3A].copy_from_slice(&MAGIC.to_le_bytes());
        block[0x78..0x7D].copy_from_slice(b"a\x1b[2J");
        assert_eq!(label_of_copy(&block).as_deref(), Some("a?[2J"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_fail(mut head in proptest::collection::vec(any::<u8>(), 0..4096), ext4: bool, device: u64) {
            if ext4 && head.len() >= OFFSET + SIZE {
                head[OFFSET + 0x38..OFFSET + 0x3A].copy_from_slice(&MAGIC.to_le_bytes());
            }
            judge(&head, device);
        }
    }
}
