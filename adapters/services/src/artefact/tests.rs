//! An artefact reads back as it was written, and no bytes are taken for one that are not.

use proptest::prelude::*;

use super::*;

fn key() -> ArtefactKey {
    ArtefactKey {
        component: "ab".repeat(32),
        engine: "wamr 2.4.3".to_owned(),
        target: "aarch64-unknown-linux-musl+v8".to_owned(),
        flags: "opt=speed".to_owned(),
    }
}

fn program() -> Program<'static> {
    let function = |field: &'static str, params: &[CoreType], result, realloc| Import {
        module: "wasi:io/streams@0.2.6".into(),
        field: field.into(),
        signature: Signature {
            params: params.to_vec(),
            result,
        },
        target: Target::Function {
            interface: "wasi:io/streams@0.2.6".into(),
            function: field.into(),
        },
        realloc,
    };
    Program {
        module: Cow::Borrowed(b"\0asm\x01\0\0\0"),
        imports: vec![
            function(
                "[method]input-stream.read",
                &[CoreType::I32, CoreType::I64, CoreType::I32],
                None,
                Some(Realloc(1)),
            ),
            function(
                "f",
                &[CoreType::F32, CoreType::F64],
                Some(CoreType::I64),
                None,
            ),
            Import {
                module: "wasi:io/streams@0.2.6".into(),
                field: "[resource-drop]output-stream".into(),
                signature: Signature {
                    params: vec![CoreType::I32],
                    result: None,
                },
                target: Target::Drop {
                    interface: "wasi:io/streams@0.2.6".into(),
                    resource: "output-stream".into(),
                },
                realloc: None,
            },
        ],
        run: "wasi:cli/run@0.2.6#run".into(),
        reallocs: vec!["cabi_realloc".into(), "cabi_import_realloc".into()],
        needs: Needs {
            memory_pages: 17,
            memory_max_pages: None,
            heap_base: Some(1_048_576),
            table_entries: 3,
            functions: 40,
            code_bytes: 5000,
            globals: 2,
        },
    }
}

/// Makes the digest right again, so that what comes after it is reached.
fn seal(bytes: &mut [u8]) {
    if bytes.len() >= DIGEST.end {
        let digest = digest(bytes);
        bytes[DIGEST].copy_from_slice(&digest);
    }
}

#[test]
fn what_was_written_reads_back() {
    for (kind, payload) in [
        (Kind::CoreModule, &b"\0asm\x01\0\0\0"[..]),
        (Kind::MachineCode, &[7; 1000][..]),
        (Kind::MachineCode, &[][..]),
    ] {
        let bytes = encode(&key(), kind, &program(), payload);
        let artefact = decode(&bytes).unwrap();
        assert_eq!(artefact.key, key());
        assert_eq!(artefact.kind, kind);
        assert_eq!(artefact.payload, payload);
        assert_eq!(artefact.imports, program().imports);
        assert_eq!(artefact.run, program().run);
        assert_eq!(artefact.reallocs, program().reallocs);
        assert_eq!(artefact.needs, program().needs);
        let offset = artefact.payload.as_ptr() as usize - bytes.as_ptr() as usize;
        assert!(offset.is_multiple_of(64), "{offset}");
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let once = encode(&key(), Kind::CoreModule, &program(), b"x");
    assert_eq!(once, encode(&key(), Kind::CoreModule, &program(), b"x"));
}

#[test]
fn a_key_that_differs_is_refused_with_the_part_that_does() {
    let bytes = encode(&key(), Kind::MachineCode, &program(), b"code");
    let artefact = decode(&bytes).unwrap();
    artefact.check(&key()).unwrap();
    let other = |change: fn(&mut ArtefactKey)| {
        let mut other = key();
        change(&mut other);
        artefact.check(&other).unwrap_err().to_string()
    };
    let error = other(|key| key.component = "cd".repeat(32));
    assert!(
        error.contains("made of component abab") && error.contains("expected cdcd"),
        "{error}"
    );
    let error = other(|key| key.engine = "wamr 3".to_owned());
    assert!(
        error.contains("made for engine `wamr 2.4.3`, expected `wamr 3`"),
        "{error}"
    );
    let error = other(|key| key.target = "x86_64".to_owned());
    assert!(
        error.contains("target `aarch64-unknown-linux-musl+v8`"),
        "{error}"
    );
    let error = other(|key| key.flags = "opt=size".to_owned());
    assert!(
        error.contains("flags `opt=speed`, expected `opt=size`"),
        "{error}"
    );
}

#[test]
fn every_changed_byte_is_noticed() {
    let bytes = encode(&key(), Kind::MachineCode, &program(), b"code");
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        let error = decode(&changed)
            .expect_err(&format!("byte {at}"))
            .to_string();
        assert!(!error.contains('\n'), "{error}");
    }
    for length in 0..bytes.len() {
        assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decode(&bytes);
        if bytes.len() >= 16 {
            bytes[..8].copy_from_slice(&MAGIC);
            bytes[8..16].copy_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0]);
            seal(&mut bytes);
            let _ = decode(&bytes);
        }
    }

    #[test]
    fn a_changed_header_with_a_right_digest_reads_or_is_refused(
        changes in proptest::collection::vec((48_usize..640, any::<u8>()), 1..4)
    ) {
        let mut bytes = encode(&key(), Kind::MachineCode, &program(), b"code");
        for (at, value) in changes {
            let at = at.min(bytes.len() - 1);
            bytes[at] = value;
        }
        seal(&mut bytes);
        let _ = decode(&bytes);
    }
}
