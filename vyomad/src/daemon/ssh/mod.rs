//! SSH: listens, decides who may connect now (`gate`), and starts one `vyomad ssh` for each connection, which it gives the
//! client's socket and a control connection. Nothing of SSH itself is in this process, which never reads a byte of a client:
//! it accepts, counts, and waits for two things: the process's word that somebody has logged in, and its end.

mod gate;
mod keys;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;
use tokio::time::timeout;

use self::gate::{Gate, Refused};
use super::cgroup::meminfo;
use super::control::connection;
use super::install::blocking;
use super::process::{self, Process, Role};
use super::state::{Mode, Shared};
use super::uids;
use crate::spec::{KeyFile, SshReport, SshSpec, fd};

/// For a client to log in, and for the process to say which keys it would use. Generous: an emulated device takes seconds
/// for the mathematics of a log-in.
const GRACE: Duration = Duration::from_secs(20);
/// For a client to take what was said last, and to hang up, once the control connection has ended.
const FAREWELL: Duration = Duration::from_secs(10);
/// Connections: one for each so many KiB of memory that the machine has, since each is a process of 1 to 2 MiB ...
const KB_PER_CONNECTION: u64 = 4 * 1024;
/// ... but never fewer, so that operators who follow logs do not keep one out who wants to mend something ...
const FEWEST: u64 = 4;
/// ... and never more: as many as the control socket serves.
const MOST: u64 = 64;
/// Clients that are told why they are refused, at once; further ones are just hung up on.
const TOLD: usize = 32;
/// For those to take it.
const TELLING: Duration = Duration::from_secs(1);
/// Longest report of the process.
const REPORT_BYTES: u64 = 16 * 1024;
/// A log-in with the same key from the same address is told again after so long: whoever looks every second must not push
/// everything else out of the event log.
const TOLD_AGAIN_MS: u64 = 60 * 60 * 1_000;
/// Log-ins that are remembered for that; of more, all are forgotten.
const REMEMBERED: usize = 64;
/// Refusals are told at most so often.
const REFUSALS_TOLD_MS: u64 = 60 * 1_000;

/// Where to listen and whom to let in.
#[derive(Debug, Clone)]
pub(super) struct Listen {
    /// Where. Every address of IPv6 is every one of IPv4, too, and those alone on a kernel without IPv6.
    pub(super) address: SocketAddr,
    /// Files of authorised keys, besides the one in the state directory.
    pub(super) keys: Vec<PathBuf>,
}

/// The listener's state.
struct Ssh {
    daemon: Shared,
    seed: [u8; keys::SEED],
    files: Vec<PathBuf>,
    gate: RefCell<Gate>,
    telling: Arc<Semaphore>,
    /// Address and key of those that logged in lately, and when that was told.
    told: RefCell<BTreeMap<(IpAddr, String), u64>>,
    /// When refusals were told last, and how many there were since.
    refusals: RefCell<(Option<u64>, u64)>,
}

/// Listens for ever, if there is anybody to let in.
pub(super) async fn run(daemon: Shared) {
    let Some(listen) = daemon.settings.ssh.clone() else {
        return;
    };
    if let Err(why) = serve(&daemon, listen).await {
        daemon.event(None, "error", &format!("ssh: {why}"));
    }
}

async fn serve(daemon: &Shared, listen: Listen) -> Result<(), String> {
    let state = daemon.settings.state.clone();
    let folder =
        keys::folder(&state).map_err(|error| format!("{}/ssh: {error}", state.display()))?;
    let mut files = listen.keys;
    files.push(folder.join("authorized_keys"));
    let (authorized, problems) = keys::authorized(&files);
    for problem in problems {
        daemon.event(None, "warning", &format!("ssh: {problem}"));
    }
    if authorized.is_empty() {
        let names: Vec<_> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let names = names.join(" or ");
        daemon.event(
            None,
            "ssh",
            &format!("off: nobody could log in, there is no {names}"),
        );
        return Ok(());
    }
    let place = folder.clone();
    let (seed, new) = blocking(move || keys::host_key(&place))
        .await
        .map_err(|error| format!("{}: {error}", folder.join("host_key").display()))?;
    let listener = bind(listen.address)
        .await
        .map_err(|error| format!("can't listen at {}: {error}", listen.address))?;
    let address = listener.local_addr().unwrap_or(listen.address);
    let memory = meminfo("MemTotal:").unwrap_or(0);
    let most = (memory / KB_PER_CONNECTION).clamp(FEWEST, MOST) as usize;
    let ssh = Rc::new(Ssh {
        daemon: Rc::clone(daemon),
        seed,
        files,
        gate: Gate::new(most).into(),
        telling: Semaphore::new(TOLD).into(),
        told: RefCell::default(),
        refusals: RefCell::default(),
    });
    match ssh.describe(authorized).await {
        Ok(SshReport::Keys {
            host_key,
            fingerprint,
            authorized,
            problems,
        }) => {
            for problem in problems {
                daemon.event(None, "warning", &format!("ssh: {problem}"));
            }
            if let Err(error) = keys::keep_public(&folder, &host_key) {
                daemon.event(
                    None,
                    "warning",
                    &format!("ssh: {}: {error}", folder.display()),
                );
            }
            let made = if new { ", made now" } else { "" };
            let detail = format!(
                "at {address} for {authorized} keys, at most {most} connections; host key {fingerprint}{made}"
            );
            daemon.event(None, "ssh", &detail);
        }
        Ok(other) => return Err(format!("found {other:?}; expected its keys")),
        Err(why) => return Err(why),
    }
    loop {
        match listener.accept().await {
            Ok((client, from)) => {
                // An address of IPv4 looks like one of IPv6 to a socket for both.
                let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                ssh.connects(client, from);
            }
            // Out of descriptors, most likely: they come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let bound = TcpListener::bind(address).await;
    if bound.is_err() && address.ip() == Ipv6Addr::UNSPECIFIED {
        return TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await;
    }
    bound
}

impl Ssh {
    fn connects(self: &Rc<Self>, client: TcpStream, from: SocketAddr) {
        let decided = self
            .gate
            .borrow_mut()
            .connects(from.ip(), self.daemon.now_ms());
        match decided {
            Ok(()) => {
                let ssh = Rc::clone(self);
                spawn_local(async move {
                    let mut logged_in = false;
                    if let Err(error) = ssh.connection(client, from, &mut logged_in).await {
                        let detail = format!("ssh: {from}: {error}");
                        ssh.daemon.event(None, "warning", &detail);
                    }
                    ssh.ended(from, logged_in);
                });
            }
            Err(why) => self.refuse(client, from, why),
        }
    }

    /// One connection, to its end. Dropping the process kills it.
    async fn connection(
        &self,
        client: TcpStream,
        from: SocketAddr,
        logged_in: &mut bool,
    ) -> io::Result<()> {
        // Each answer is a packet of its own, and nobody gains by waiting for more.
        client.set_nodelay(true)?;
        let client = client.into_std()?;
        let (control, theirs) = std::os::unix::net::UnixStream::pair()?;
        control.set_nonblocking(true)?;
        // Read anew: a key that was added or taken away counts from the next connection on.
        let (authorized, _) = keys::authorized(&self.files);
        let descriptors = vec![
            (OwnedFd::from(client), fd::CLIENT),
            (OwnedFd::from(theirs), fd::DAEMON),
        ];
        let name = from.to_string();
        let (mut process, reports) = self.start(&name, authorized, true, descriptors)?;
        let mut reports = BufReader::new(reports.take(REPORT_BYTES));
        let Ok(report) = timeout(GRACE, read_report(&mut reports)).await else {
            return Ok(());
        };
        let Some(SshReport::LoggedIn { user, key }) = report else {
            return Ok(());
        };
        *logged_in = true;
        self.gate.borrow_mut().logged_in(from.ip());
        self.tell_log_in(from.ip(), &user, key);
        // A client that is gone has nobody left to tell.
        let _ = connection::serve(&self.daemon, UnixStream::from_std(control)?).await;
        let _ = timeout(FAREWELL, process.wait()).await;
        Ok(())
    }

    fn ended(&self, from: SocketAddr, logged_in: bool) {
        let now = self.daemon.now_ms();
        let failures = self.gate.borrow_mut().ended(from.ip(), logged_in, now);
        // 5, 10, 100, 1000: enough to be seen, too few to push everything else out of the log.
        if let Some(count @ (5 | 10 | 100 | 1_000 | 10_000)) = failures {
            let detail = format!("{} failed to log in {count} times", from.ip());
            self.daemon.event(None, "ssh", &detail);
        }
    }

    fn tell_log_in(&self, from: IpAddr, user: &str, key: String) {
        let now = self.daemon.now_ms();
        let detail = format!("{from} logged in as {user:?} with {key}");
        let mut told = self.told.borrow_mut();
        let known = told.get(&(from, key.clone())).copied();
        if known.is_some_and(|last| now.saturating_sub(last) < TOLD_AGAIN_MS) {
            return;
        }
        if told.len() >= REMEMBERED {
            told.clear();
        }
        told.insert((from, key), now);
        self.daemon.event(None, "ssh", &detail);
    }

    /// Says why, in a line before the protocol begins (RFC 4253, 4.2), and hangs up.
    fn refuse(&self, mut client: TcpStream, from: SocketAddr, why: Refused) {
        let now = self.daemon.now_ms();
        let mut refusals = self.refusals.borrow_mut();
        refusals.1 += 1;
        if refusals
            .0
            .is_none_or(|last| now.saturating_sub(last) >= REFUSALS_TOLD_MS)
        {
            let detail = format!(
                "{} refused since the last such event, this one {from}: {why}",
                refusals.1
            );
            self.daemon.event(None, "ssh", &detail);
            *refusals = (Some(now), 0);
        }
        let Ok(turn) = Arc::clone(&self.telling).try_acquire_owned() else {
            return;
        };
        spawn_local(async move {
            let tell = async {
                client
                    .write_all(format!("vyomad: {why}\r\n").as_bytes())
                    .await?;
                client.shutdown().await?;
                // Closing with its greeting unread would throw the line away.
                let mut rest = [0; 256];
                while client.read(&mut rest).await? > 0 {}
                Ok::<(), io::Error>(())
            };
            let _ = timeout(TELLING, tell).await;
            drop(turn);
        });
    }

    /// Lets a process without a client say which keys it would use.
    async fn describe(&self, authorized: Vec<KeyFile>) -> Result<SshReport, String> {
        let (mut process, reports) = self
            .start("keys", authorized, false, Vec::new())
            .map_err(|error| error.to_string())?;
        let mut reports = BufReader::new(reports.take(4 * REPORT_BYTES));
        let both = async {
            let report = read_report(&mut reports).await;
            process.wait().await;
            report
        };
        timeout(GRACE, both)
            .await
            .ok()
            .flatten()
            .ok_or_else(|| "the process for SSH did not start".to_owned())
    }

    fn start(
        &self,
        name: &str,
        authorized: Vec<KeyFile>,
        serve: bool,
        mut descriptors: Vec<(OwnedFd, i32)>,
    ) -> io::Result<(Process, UnixStream)> {
        let daemon = &self.daemon;
        let spec = SshSpec {
            host_key: self.seed,
            authorized,
            uid: daemon.settings.root.then_some(uids::SSH),
            sandbox_required: daemon.settings.mode == Mode::Pid1,
            serve,
        };
        let (reports, theirs) = process::control(&spec)?;
        descriptors.push((theirs, fd::CONTROL));
        let cgroup = match &daemon.cgroups {
            Some(groups) => Some(groups.ssh().map_err(io::Error::other)?),
            None => None,
        };
        let role = Role {
            kind: "ssh",
            more: 0,
            name,
            stdio: [Stdio::null(), Stdio::null(), Stdio::null()],
            descriptors,
            cgroup,
        };
        let process = process::start(&daemon.binary, &daemon.reaper, role)?;
        Ok((process, UnixStream::from_std(reports)?))
    }
}

/// The next line, if it is one that this daemon knows.
async fn read_report(reports: &mut (impl AsyncBufReadExt + Unpin)) -> Option<SshReport> {
    let mut line = Vec::new();
    reports.read_until(b'\n', &mut line).await.ok()?;
    serde_json::from_slice(&line).ok()
}
