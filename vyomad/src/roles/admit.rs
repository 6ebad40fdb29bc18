//! `vyomad admit NAME`: reads one component, checks its hash before anything else looks at it, locks itself in, and only
//! then lets the engine parse, validate and compile it. Short-lived, so that nothing of one component is left when the
//! next one comes, and a bug of the compiler ends this process only. The daemon puts the artefact in the store.

use std::fs::File;
use std::io::{Read, Write};

use vyoma_capabilities::control::{MAX_ARTEFACT, MAX_COMPONENT};

use super::app::one_line;
use super::control::{Control, take};
use crate::sandbox::{self, Role, Sandbox, Terms};
use crate::spec::{AdmitReport, AdmitSpec, fd, level};

/// Exit status when there was nobody to report to.
const NO_REPORT: i32 = 70;

/// Main function of the process. Its exit status is 0 whenever it reported, whatever the report says.
pub(crate) fn main() -> ! {
    let begun = sandbox::close_inherited(fd::DATA + 1)
        .map_err(|error| error.to_string())
        .and_then(|()| Control::open());
    let (control, spec) = match begun {
        Ok(begun) => begun,
        Err(why) => {
            eprintln!("vyomad admit: {why}");
            std::process::exit(NO_REPORT);
        }
    };
    let report = admit(&spec).unwrap_or_else(|why| AdmitReport::Refused(one_line(&why)));
    control.report(&report);
    std::process::exit(0)
}

fn admit(spec: &AdmitSpec) -> Result<AdmitReport, String> {
    let component = read(take(fd::CODE, "component")?, MAX_COMPONENT)?;
    // Hash first: from here on it is known which bytes the report is about.
    let sha256 = vyoma_runtime::sha256_hex(&component);
    if let Some(expected) = spec
        .expected_sha256
        .as_ref()
        .filter(|expected| **expected != sha256)
    {
        return Ok(AdmitReport::HashMismatch {
            expected: expected.clone(),
            found: sha256,
        });
    }
    let mut artefact_file = take(fd::SHARED, "artefact file")?;
    let machine_code = take(fd::DATA, "machine code").ok();
    let engine = super::engine::runtime(&spec.profile)?;
    let artefact_key = engine.key(&sha256, level(&spec.profile)).file_name();

    let terms = Terms {
        role: Role::Admit,
        uid: spec.uid,
        required: spec.sandbox_required,
    };
    Sandbox::prepare(&terms)
        .and_then(Sandbox::lock)
        .map_err(|error| error.to_string())?;

    engine
        .validate(&component)
        .map_err(|error| error.to_string())?;
    if spec.machine_code {
        let code = machine_code.ok_or("the machine code is missing")?;
        super::engine::check_ahead_of_time(&spec.profile, &sha256, &read(code, MAX_ARTEFACT)?)
            .map_err(|why| {
                format!("its machine code: {why}; make it anew, or install without it (--no-aot)")
            })?;
    }
    let mut artefact_size = 0;
    if spec.compile {
        let artefact = engine
            .compile(&component, level(&spec.profile))
            .map_err(|error| error.to_string())?;
        artefact_file
            .write_all(&artefact)
            .map_err(|error| format!("can't write the compiled artefact: {error}"))?;
        artefact_size = artefact.len() as u64;
    }
    Ok(AdmitReport::Admitted {
        sha256,
        artefact_key,
        artefact_size,
    })
}

fn read(file: File, most: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("can't read what was sent: {error}"))?;
    if bytes.len() as u64 > most {
        return Err(format!("found more than {most} bytes"));
    }
    Ok(bytes)
}
