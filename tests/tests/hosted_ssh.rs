//! SSH against a hosted daemon, with the system's own OpenSSH client: who gets in, what for, and what is refused.

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use vyoma_system_tests::desk::Desk;
use vyoma_system_tests::guest;
use vyoma_system_tests::hosted::{HostedDaemon, SOON, Setup};
use vyoma_system_tests::operator::Operator;

/// A daemon with SSH, and a desk whose key may log in.
struct Place {
    desk: Desk,
    setup: Setup,
}

impl Place {
    fn new() -> Self {
        let desk = Desk::new();
        let keys = desk.file("id.pub").display().to_string();
        let setup =
            Setup::new("server-headless").arg(&["--ssh", "127.0.0.1:0", "--ssh-keys", &keys]);
        Self { desk, setup }
    }

    fn start(&self) -> Served<'_> {
        let daemon = self.setup.start();
        let port = daemon.until("an event about SSH", || {
            daemon.events().into_iter().find_map(|event| {
                let rest = event.detail.strip_prefix("at 127.0.0.1:")?;
                let (port, _) = rest.split_once(' ')?;
                (event.kind == "ssh").then(|| port.parse().expect("a port"))
            })
        });
        Served {
            place: self,
            daemon,
            port,
        }
    }
}

struct Served<'a> {
    place: &'a Place,
    daemon: HostedDaemon,
    port: u16,
}

impl Served<'_> {
    fn operator(&self) -> Operator {
        let target = format!("ssh://127.0.0.1:{}", self.port);
        let console = self.place.setup.scratch().join("console");
        self.place.desk.operator(&target, &console, SOON)
    }

    fn has_event(&self, needle: &str) -> bool {
        let events = self.daemon.events();
        events.iter().any(|event| event.detail.contains(needle))
    }

    /// Processes that serve SSH.
    fn sessions(&self) -> Vec<u32> {
        let is_ssh = |pid: &u32| {
            fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.starts_with("vyomad\0ssh\0"))
        };
        self.daemon
            .children()
            .into_iter()
            .map(|(pid, _)| pid)
            .filter(is_ssh)
            .collect()
    }

    fn wait_until_no_session_is_left(&self) {
        self.daemon.until("the end of all SSH processes", || {
            self.sessions().is_empty().then_some(())
        });
    }
}

#[test]
fn every_command_works_over_ssh_as_it_does_on_the_socket() {
    let place = Place::new();
    let served = place.start();
    let remote = served.operator();
    assert!(remote.ps().is_empty());
    let said = remote.ctl_ok(&["install", &guest("hello").display().to_string()]);
    assert!(said.contains("hello"), "{said}");
    remote.wait_for_log("hello", "");
    assert_eq!(remote.info().platform, "server-headless");
    let (code, said) = remote.ctl_fails(&["stop", "nobody"]);
    assert_eq!(code, 3, "{said}");
    served.wait_until_no_session_is_left();
    assert!(served.has_event("(id@desk)"), "who logged in is an event");
}
