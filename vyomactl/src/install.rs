//! `install`: sends a checked package, shows how far it is, and says what the device made of it.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use serde_json::json;
use vyoma_capabilities::control::{InstallOptions, Request, Response, Upload};
use vyoma_capabilities::manifest::compact;

use crate::ahead_of_time::{self, Outcome};
use crate::cli::InstallArgs;
use crate::client::{Client, ManifestForm, Patience};
use crate::exit::{Exit, Failure};
use crate::microcontroller;
use crate::output::{Output, Style, clean};
use crate::package::Package;
use crate::secret::Secret;
use crate::units;
use crate::versions;

/// From so many bytes on, the device is asked first what it has kept of an upload that was cut: below that, asking takes as long
/// as sending.
const WORTH_ASKING: usize = 256 * 1024;
/// Times that a connection that was cut is made anew, each time to go on where the last one ended.
const MORE_TRIES: u32 = 3;
/// Pause before that.
const PAUSE: Duration = Duration::from_secs(1);

/// `install`; `connect` makes the connection anew when it is cut.
pub(crate) fn install(
    client: &mut Client,
    connect: &dyn Fn() -> Result<Client, Failure>,
    package: &Package,
    args: &InstallArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    let (code, without) = if args.no_aot {
        (None, None)
    } else {
        match ahead_of_time::make(client, &package.component, &package.machine_code)? {
            Outcome::Code(code) => (Some(code), None),
            Outcome::Without(why) => (None, Some(why)),
            Outcome::NotTaken => (None, None),
        }
    };
    if client.manifest_form() == ManifestForm::Compact {
        microcontroller::check(client, package)?;
    }
    let signature = match &args.key {
        // What the device would refuse, nobody has to be asked to sign.
        Some(path) => {
            let secret = Secret::load(path)?;
            let codes: Vec<&[u8]> = code.as_deref().into_iter().collect();
            Some(package.sign(&secret, &codes))
        }
        None => package.signature.clone(),
    };
    let order = Order {
        package,
        code: code.as_deref(),
        code_sha256: code
            .as_deref()
            .map(vyoma_runtime::sha256_hex)
            .unwrap_or_default(),
        signature,
        allow_downgrade: args.allow_downgrade,
    };
    let answer = order.send_to(client, connect, out)?;
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
    if args.wait {
        versions::wait_for_health(client, &app)?;
    }
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

/// What is sent.
struct Order<'a> {
    package: &'a Package,
    code: Option<&'a [u8]>,
    code_sha256: String,
    signature: Option<String>,
    allow_downgrade: bool,
}

impl<'a> Order<'a> {
    fn code(&self) -> &'a [u8] {
        self.code.unwrap_or_default()
    }

    fn total(&self) -> usize {
        self.package.component.len() + self.code().len()
    }

    /// Sends all of it, and goes on with a new connection where one was cut.
    fn send_to(
        &self,
        client: &mut Client,
        connect: &dyn Fn() -> Result<Client, Failure>,
        out: &Output,
    ) -> Result<Response, Failure> {
        let mut bar = Bar::new(&self.package.manifest.app.name, self.total(), out);
        let resumable =
            client.manifest_form() == ManifestForm::Text && self.total() >= WORTH_ASKING;
        let mut tries = if resumable { MORE_TRIES } else { 0 };
        loop {
            let kept = if resumable {
                self.kept(client)?
            } else {
                self.options()
            };
            let (failure, cut) = match self.send(client, &kept, &mut bar) {
                Ok(answer) => return Ok(answer),
                Err(sent) => sent,
            };
            // What was kept turned out to be other bytes; the device has forgotten them.
            let misled =
                failure.exit() == Exit::HashMismatch && kept.component_kept + kept.code_kept > 0;
            if !(cut || misled) {
                return Err(failure);
            }
            *client = loop {
                if tries == 0 {
                    // Why it was cut says more than that it still is.
                    return Err(failure);
                }
                tries -= 1;
                bar.cut();
                std::thread::sleep(PAUSE);
                if let Ok(client) = connect() {
                    break client;
                }
            };
        }
    }

    /// What is said beside the bytes, of which the device has none yet.
    fn options(&self) -> InstallOptions {
        InstallOptions {
            signature: self.signature.clone(),
            allow_downgrade: self.allow_downgrade,
            ..InstallOptions::default()
        }
    }

    /// What the device has of it.
    fn kept(&self, client: &mut Client) -> Result<InstallOptions, Failure> {
        let mut sha256s = vec![self.package.sha256.clone()];
        if self.code.is_some() {
            sha256s.push(self.code_sha256.clone());
        }
        let answer = client.call(&Request::Kept { sha256s }, Patience::Prompt)?;
        let Response::Kept(kept) = answer else {
            return Err(client.unexpected(&answer));
        };
        // More than there is would be another file's; less than nothing was kept then.
        let at = |index: usize, size: usize| {
            let kept = kept.get(index).copied().unwrap_or(0);
            if kept <= size as u64 { kept } else { 0 }
        };
        Ok(InstallOptions {
            component_kept: at(0, self.package.component.len()),
            code_kept: at(1, self.code().len()),
            ..self.options()
        })
    }

    /// One try. A failure comes with whether it was the connection that was cut, before all had been sent.
    fn send(
        &self,
        client: &mut Client,
        kept: &InstallOptions,
        bar: &mut Bar,
    ) -> Result<Response, (Failure, bool)> {
        let uploading = |failure: Failure| {
            let cut = failure.exit() == Exit::Lost;
            (failure, cut)
        };
        let announcement = self
            .announcement(client.manifest_form(), kept)
            .map_err(|failure| (failure, false))?;
        client.send(&announcement).map_err(uploading)?;
        let mut before = 0;
        let parts = [
            (&self.package.component[..], kept.component_kept),
            (self.code(), kept.code_kept),
        ];
        let mut whole = true;
        for (bytes, kept) in parts {
            let kept = usize::try_from(kept).unwrap_or(bytes.len());
            let sent = client
                .upload(&bytes[kept..], |sent| bar.show(before + kept + sent))
                .map_err(uploading)?;
            whole &= sent;
            before += bytes.len();
        }
        bar.waiting();
        client.answer(Patience::Compiling).map_err(|failure| {
            // Once it has everything, a device goes on without a client: sending it again would only be in its way.
            let cut = !whole && failure.exit() == Exit::Lost;
            (failure, cut)
        })
    }

    /// What is said before the bytes.
    fn announcement(&self, form: ManifestForm, kept: &InstallOptions) -> Result<Request, Failure> {
        let package = self.package;
        let component_size = package.component.len() as u64;
        let sha256 = package.sha256.clone();
        Ok(match form {
            ManifestForm::Text => Request::Install {
                manifest: package.manifest_text.clone(),
                component_size,
                sha256,
                ahead_of_time: self.code.map(|code| Upload {
                    size: code.len() as u64,
                    sha256: self.code_sha256.clone(),
                }),
                options: kept.clone(),
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

    fn cut(&mut self) {
        let text = format!("{}: the connection was cut; it is made anew ...", self.name);
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
