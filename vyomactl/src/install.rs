//! `install`: sends a checked package, shows how far it is, and says what the device made of it.

use std::io::{self, IsTerminal as _, Write as _};

use serde_json::json;
use vyoma_capabilities::control::{Request, Response, Upload};
use vyoma_capabilities::manifest::compact;

use crate::ahead_of_time::{self, Outcome};
use crate::cli::InstallArgs;
use crate::client::{Client, ManifestForm, Patience};
use crate::exit::{Exit, Failure};
use crate::microcontroller;
use crate::output::{Output, Style, clean};
use crate::package::Package;
use crate::units;

/// `install`
pub(crate) fn install(
    client: &mut Client,
    package: &Package,
    args: &InstallArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    let (code, without) = if args.no_aot {
        (None, None)
    } else {
        match ahead_of_time::make(client, &package.component)? {
            Outcome::Code(code) => (Some(code), None),
            Outcome::Without(why) => (None, Some(why)),
            Outcome::NotTaken => (None, None),
        }
    };
    if client.manifest_form() == ManifestForm::Compact {
        microcontroller::check(client, package)?;
    }
    let answer = send(client, package, code.as_deref(), out)?;
    let Response::Installed {
        app,
        sha256,
        replaced,
        mut warnings,
    } = answer
    else {
        return Err(client.unexpected(&answer));
    };
    if sha256 != package.sha256 {
        return Err(Failure::new(
            Exit::HashMismatch,
            format!(
                "{app}: the device installed {sha256}; expected {}, which was sent; install it again",
                package.sha256
            ),
        ));
    }
    warnings.splice(0..0, without.map(|why| format!("{app}: {why}")));
    if out.is_json() {
        return out.json(&json!({
            "done": "install",
            "app": app,
            "sha256": sha256,
            "replaced": replaced,
            "warnings": warnings,
            "component": package.component_path.display().to_string(),
            "machine_code": code.is_some(),
        }));
    }
    for warning in &warnings {
        let warning = out.paint(Style::Warn, &format!("warning: {}", clean(warning)));
        out.line(&warning)?;
    }
    let verb = if replaced { "replaced" } else { "installed" };
    out.line(&clean(&format!(
        "{app}: {verb}, sha256 {sha256}, from {}",
        package.component_path.display()
    )))
}

fn send(
    client: &mut Client,
    package: &Package,
    code: Option<&[u8]>,
    out: &Output,
) -> Result<Response, Failure> {
    let size = package.component.len();
    let total = size + code.map_or(0, <[u8]>::len);
    let mut bar = Bar::new(&package.manifest.app.name, total, out);
    client.send(&announcement(package, client.manifest_form(), code)?)?;
    client.upload(&package.component, |sent| bar.show(sent))?;
    if let Some(code) = code {
        client.upload(code, |sent| bar.show(size + sent))?;
    }
    bar.waiting();
    client.answer(Patience::Compiling)
}

/// What is said before the bytes.
fn announcement(
    package: &Package,
    form: ManifestForm,
    code: Option<&[u8]>,
) -> Result<Request, Failure> {
    let component_size = package.component.len() as u64;
    let sha256 = package.sha256.clone();
    Ok(match form {
        ManifestForm::Text => Request::Install {
            manifest: package.manifest_text.clone(),
            component_size,
            sha256,
            ahead_of_time: code.map(|code| Upload {
                size: code.len() as u64,
                sha256: vyoma_runtime::sha256_hex(code),
            }),
        },
        ManifestForm::Compact => Request::InstallCompact {
            manifest: compact::encode(&package.manifest).map_err(|error| {
                Failure::new(
                    Exit::Invalid,
                    format!("{}: {error}", package.manifest_path.display()),
                )
            })?,
            component_size,
            sha256,
        },
    })
}

/// How far an upload is, on standard error when that is a terminal; silent otherwise. Its line is gone when it is dropped.
struct Bar {
    name: String,
    total: usize,
    on: bool,
}

impl Bar {
    /// Characters between the brackets: fits 80 columns with the longest name.
    const WIDTH: usize = 24;

    fn new(name: &str, total: usize, out: &Output) -> Self {
        Self {
            name: clean(name),
            total: total.max(1),
            on: !out.is_json() && io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, sent: usize) {
        let full = sent * Self::WIDTH / self.total;
        let bar = format!(
            "sending {} [{}{}] {:>3}% of {}",
            self.name,
            "=".repeat(full),
            " ".repeat(Self::WIDTH - full),
            sent * 100 / self.total,
            units::kib((self.total as u64).div_ceil(1024)),
        );
        self.draw(&bar);
    }

    fn waiting(&mut self) {
        let text = format!("{}: the device checks and compiles it ...", self.name);
        self.draw(&text);
    }

    fn draw(&mut self, text: &str) {
        if self.on {
            // A progress line that can't be written is no reason to stop an install.
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.draw("");
    }
}
