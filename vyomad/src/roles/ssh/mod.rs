//! `vyomad ssh ADDRESS`: one SSH connection, in a process of its own without privileges. It gets the connected socket and a
//! connection to the control protocol from the daemon, locks itself in, speaks SSH with the client, and once that has shown
//! an authorised key carries bytes between the two. It ends with the connection.
//!
//! It deliberately has nothing else: no shell, no terminal, no forwarding, no agent, no files, and no say in what the
//! bytes mean, which is the daemon's. Started without a client it only says which keys it would use.

mod keys;
mod session;

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use russh::keys::PrivateKey;
use russh::keys::ssh_key::private::{Ed25519Keypair, KeypairData};

use self::keys::{Authorized, fingerprint};
use super::control::{Control, take};
use crate::sandbox::{self, Role, Sandbox, Terms};
use crate::spec::{SshReport, SshSpec, fd};

/// Exit status when the connection could not be served; the daemon goes by the reports.
const FAILED: i32 = 70;

/// Main function of the process.
pub(crate) fn main() -> ! {
    let code = match run() {
        Ok(()) => 0,
        Err(why) => {
            // The daemon keeps stderr for its event log; by hand it is a terminal.
            eprintln!("vyomad ssh: {why}");
            FAILED
        }
    };
    std::process::exit(code)
}

fn run() -> Result<(), String> {
    sandbox::close_inherited(fd::DAEMON + 1).map_err(|error| error.to_string())?;
    let (control, spec): (Control, SshSpec) = Control::open()?;
    let mut reports = Reports(control.into_file());
    let host_key = host_key(&spec)?;
    let authorized = Authorized::parse(&spec.authorized);
    if !spec.serve {
        lock(&spec)?;
        let public = host_key.public_key();
        reports.send(&SshReport::Keys {
            host_key: public.to_openssh().map_err(|error| error.to_string())?,
            fingerprint: fingerprint(public),
            authorized: authorized.len(),
            problems: authorized.problems,
        });
        return Ok(());
    }
    let client = take(fd::CLIENT, "client's socket")?;
    let daemon = take(fd::DAEMON, "control connection")?;
    // Made before the lock, which allows no new socket: the runtime has a pair of its own.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("runtime: {error}"))?;
    lock(&spec)?;
    runtime.block_on(session::serve(
        OwnedFd::from(client),
        OwnedFd::from(daemon),
        host_key,
        authorized,
        reports,
    ))
}

fn lock(spec: &SshSpec) -> Result<(), String> {
    let terms = Terms {
        role: Role::Ssh,
        uid: spec.uid,
        required: spec.sandbox_required,
    };
    Sandbox::prepare(&terms)
        .and_then(Sandbox::lock)
        .map(drop)
        .map_err(|error| error.to_string())
}

fn host_key(spec: &SshSpec) -> Result<PrivateKey, String> {
    let pair = Ed25519Keypair::from_seed(&spec.host_key);
    PrivateKey::new(KeypairData::Ed25519(pair), "vyoma").map_err(|error| error.to_string())
}

/// What is said to the daemon, a line each.
struct Reports(File);

impl Reports {
    fn send(&mut self, report: &SshReport) {
        // A daemon that is gone can't be told, and ends this process anyway.
        if let Ok(mut line) = serde_json::to_vec(report) {
            line.push(b'\n');
            let _ = self.0.write_all(&line);
        }
    }
}
