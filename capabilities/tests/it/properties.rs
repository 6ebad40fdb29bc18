//! The bodies of the fuzz targets on stable: random bytes, random TOML, and the corpus with random damage.
//! What goes on for hours with coverage feedback is `capabilities/fuzz`.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::bodies::{control_body, lines_body, link_body, manifest_body, profile_body};

macro_rules! corpus {
    ($($file:literal),* $(,)?) => { [$(include_bytes!(concat!("../../fuzz/corpus/", $file)) as &[u8]),*] };
}

const MANIFESTS: [&[u8]; 4] = corpus![
    "manifest/full.toml",
    "manifest/short.toml",
    "manifest/broken.toml",
    "manifest/deep.toml"
];
const PROFILES: [&[u8]; 6] = corpus![
    "profile/desktop-full.toml",
    "profile/mobile.toml",
    "profile/iot-edge.toml",
    "profile/robotics-rt.toml",
    "profile/server-headless.toml",
    "profile/mcu-minimal.toml",
];
const LINES: [&[u8]; 2] = corpus!["lines/session.txt", "lines/escapes.txt"];
const LINK: [&[u8]; 3] = corpus!["link/session.bin", "link/install.bin", "link/manifest.bin"];
const CONTROL: [&[u8]; 4] = corpus![
    "control/hello.bin",
    "control/upload.bin",
    "control/bad.bin",
    "control/requests.bin"
];

/// One damage: at a place, take some bytes out and put some in.
type Damage = (prop::sample::Index, usize, Vec<u8>);

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    // Pieces of grammar find more than random bytes do.
    let piece = prop_oneof![
        vec(any::<u8>(), 0..6),
        prop::sample::select(vec![
            "\"",
            "'''",
            "[",
            "]",
            "[[",
            "{",
            "}",
            "=",
            ".",
            ",",
            "\n",
            "\r\n",
            "#",
            "true",
            "-1",
            "0x7f",
            "1e400",
            "99999999999999999999",
            "nan",
            "1979-05-27",
            "..",
            "/",
            "\\u0000",
            "\\\\",
            "\u{202e}",
            "\x1b[2J",
            "@",
            ":",
            "ä",
            "漢",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    vec((any::<prop::sample::Index>(), 0usize..12, piece), 0..8)
}

fn damaged(bytes: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, out, piece) in damage {
        let start = place.index(bytes.len() + 1);
        let end = (start + out).min(bytes.len());
        bytes.splice(start..end, piece.iter().copied());
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_text_breaks_the_manifest_parser(seed in prop::sample::select(MANIFESTS.to_vec()), damage in damage()) {
        manifest_body(&damaged(seed, &damage));
    }

    #[test]
    fn no_text_breaks_the_profile_parser(seed in prop::sample::select(PROFILES.to_vec()), damage in damage()) {
        profile_body(&damaged(seed, &damage));
    }

    #[test]
    fn no_bytes_break_the_line_parsers(seed in prop::sample::select(LINES.to_vec()), damage in damage()) {
        lines_body(&damaged(seed, &damage));
    }

    #[test]
    fn no_bytes_break_the_frame_decoder(seed in prop::sample::select(CONTROL.to_vec()), damage in damage()) {
        control_body(&damaged(seed, &damage));
    }

    #[test]
    fn no_bytes_break_the_serial_line_and_the_compact_manifest(seed in prop::sample::select(LINK.to_vec()), damage in damage()) {
        link_body(&damaged(seed, &damage));
    }

    #[test]
    fn random_bytes_break_nothing(bytes in vec(any::<u8>(), 0..600)) {
        manifest_body(&bytes);
        profile_body(&bytes);
        lines_body(&bytes);
        control_body(&bytes);
        link_body(&bytes);
    }

    #[test]
    fn lines_of_few_kinds_of_bytes_split_alike(bytes in vec(prop::sample::select(b"a\r\n\xc3\xa4\xe2\xf0\x9f\x98\x80".to_vec()), 0..200)) {
        lines_body(&bytes);
    }

    #[test]
    fn any_key_and_value_give_one_line(key in any::<String>(), value in any::<String>()) {
        let text = format!("[app]\n{key:?} = {value:?}\nname = {value:?}\nversion = {value:?}\nwasm = {key:?}");
        manifest_body(text.as_bytes());
    }
}

/// Nesting as deep as a manifest's size allows is an error like any other, whatever the stack.
#[test]
fn nesting_without_end_is_refused_not_followed() {
    for text in [
        format!("{}a = 1", "a.".repeat(30_000)),
        format!("[{}a]", "a.".repeat(30_000)),
        format!("[{}a]", "a . ".repeat(15_000)),
        format!("a = {{ {}a = 1 }}", "a.".repeat(30_000)),
        format!("a = {}", "[".repeat(60_000)),
        format!("a = {}", "{a=".repeat(20_000)),
        "[a]\n[a.a]\n[a.a.a]\n".repeat(3_000),
    ] {
        manifest_body(text.as_bytes());
        profile_body(text.as_bytes());
    }
}
