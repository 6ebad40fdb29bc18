//! What each fuzz target does with its input, and what must hold. Included by the targets and by the property tests.

use vyoma_capabilities::manifest::compact;
use vyoma_capabilities::{control, lines, link, manifest, profile};

/// An error about any text is one line that names the file and does nothing to a terminal.
fn check_error(error: &vyoma_capabilities::error::ConfigError) {
    let text = error.to_string();
    assert!(text.starts_with("input.toml"), "{text}");
    assert!(
        !text.chars().any(lines::is_harmful) && !text.contains('\t'),
        "{text:?}"
    );
    assert!(text.len() < 4096, "an error of {} bytes", text.len());
}

/// Any bytes are a manifest that holds what its type promises, or a one-line error.
pub(crate) fn manifest_body(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match manifest::parse("input.toml", &text) {
        Err(error) => check_error(&error),
        Ok(manifest) => {
            let app = &manifest.app;
            assert!(manifest::is_app_name(&app.name));
            for path in std::iter::once(&app.wasm).chain(&app.icon) {
                let path = std::path::Path::new(path);
                let inside = |part| {
                    matches!(
                        part,
                        std::path::Component::Normal(_) | std::path::Component::CurDir
                    )
                };
                assert!(path.components().all(inside), "{}", path.display());
                assert!(path.file_name().is_some(), "{}", path.display());
            }
            assert!(app.args.len() <= 64 && app.env.len() <= 64);
            assert!(
                app.env
                    .keys()
                    .all(|key| !key.is_empty() && !key.contains(['=', '\0']))
            );
            assert!(
                app.args
                    .iter()
                    .chain(app.env.values())
                    .all(|word| !word.contains('\0') && word.len() <= 4096)
            );
            if let Some(gpio) = &manifest.capabilities.gpio {
                let mut pins = gpio.pins.clone();
                pins.sort();
                pins.dedup();
                assert_eq!(pins.len(), gpio.pins.len());
            }
        }
    }
}

/// Any bytes are a profile that holds what its type promises, or a one-line error.
pub(crate) fn profile_body(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match profile::parse("input.toml", &text) {
        Err(error) => check_error(&error),
        Ok(profile) => {
            assert!(profile::PLATFORMS.contains(&profile.name.as_str()));
            assert!(profile.ram_kb > 0 && profile.max_apps > 0);
            let cortex = profile.arch == profile::Arch::CortexM4;
            assert!(!cortex || profile.engine == profile::Engine::Wasm3);
        }
    }
}

fn split(data: &[u8], chunk: usize, limit: usize) -> Vec<(String, bool)> {
    let mut splitter = lines::LineSplitter::with_limit(limit);
    let mut found = Vec::new();
    for piece in data.chunks(chunk.max(1)) {
        splitter.feed(piece, |line, cut| found.push((line.to_owned(), cut)));
    }
    splitter.finish(|line, cut| found.push((line.to_owned(), cut)));
    found
}

/// Any bytes split into the same bounded lines however they are chunked, and each line parses and can be shown.
pub(crate) fn lines_body(data: &[u8]) {
    let limit = 1 + data.first().map_or(15, |byte| usize::from(*byte) % 64);
    let whole = split(data, data.len(), limit);
    for chunk in [1, 2, 3, 7, 64] {
        assert_eq!(
            split(data, chunk, limit),
            whole,
            "chunks of {chunk}, limit {limit}"
        );
    }
    for (line, _) in &whole {
        assert!(!line.contains('\n') && line.len() <= 3 * limit, "{line:?}");
        assert!(!lines::sanitize(line).chars().any(lines::is_harmful));
        if let lines::Line::Request(request) = lines::parse(line) {
            let parsed = lines::parse_request(request);
            let verb = lines::request_verb(request);
            assert!(!lines::unknown(verb).contains('\n'));
            if let Some(capability) = parsed.needs() {
                assert!(!lines::refusal(verb, capability).contains('\n'));
            }
        }
    }
}

/// Any bytes are frames of a bounded size or an error, and what a body says round-trips.
pub(crate) fn control_body(mut data: &[u8]) {
    while let Some((header, rest)) = data.split_first_chunk::<{ control::FRAME_HEADER }>() {
        match control::decode_header(*header) {
            Err(error) => {
                assert_eq!(error.kind, control::ErrorKind::Protocol);
                assert!(!error.to_string().contains('\n'));
                return;
            }
            Ok((kind, body)) => {
                assert!(body <= control::MAX_FRAME_BODY);
                assert_eq!(control::encode_header(kind, body), Some(*header));
                let (body, rest) = rest.split_at(body.min(rest.len()));
                if let Ok(request) = serde_json::from_slice::<control::Request>(body) {
                    let again = serde_json::to_vec(&request).expect("a request is JSON");
                    assert_eq!(
                        serde_json::from_slice::<control::Request>(&again).expect("its own JSON"),
                        request
                    );
                }
                let _ = serde_json::from_slice::<control::Response>(body);
                data = rest;
            }
        }
    }
}

/// What comes over a serial line, and what lies in a microcontroller's flash.
pub(crate) fn link_body(data: &[u8]) {
    let mut receiver = link::Receiver::new();
    for byte in data {
        if let Some(frame) = receiver.push(*byte) {
            assert!(frame.body.len() <= link::MAX_BODY);
            let mut buffer = [0; link::MAX_FRAME];
            let again = link::encode(&frame, &mut buffer);
            assert!(again.len() <= link::MAX_FRAME);
        }
    }
    if let Ok(request) = link::decode_request(data) {
        let again = link::encode_request(&request);
        assert_eq!(link::decode_request(&again), Ok(request));
    }
    if let Ok(Some((response, length))) = link::take_response(data) {
        assert!(length <= data.len());
        let again = link::encode_response(&response);
        assert_eq!(
            link::take_response(&again),
            Ok(Some((response, again.len())))
        );
    }
    if let Ok(manifest) = compact::decode(data) {
        assert!(manifest::is_app_name(&manifest.app.name));
        let again = compact::encode(&manifest).expect("it was one");
        assert_eq!(compact::decode(&again), Ok(manifest));
    }
}
