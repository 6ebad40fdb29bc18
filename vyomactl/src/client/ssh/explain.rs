//! What ssh said when it failed, told in one line with what to do about it. The messages are those of OpenSSH 7 to 10; of one
//! that is not known, its last line is quoted.

use super::identities;
use crate::exit::{Exit, Failure};
use crate::target::Remote;

/// The failure behind what ssh said; `None` when it said nothing.
pub(super) fn explain(remote: &Remote, said: &str) -> Option<Failure> {
    let has = |needle: &str| said.contains(needle);
    let by_hand = remote.by_hand();
    let (exit, what) = if has("REMOTE HOST IDENTIFICATION HAS CHANGED") {
        let known = remote.known_as();
        (
            Exit::HostKey,
            format!(
                "the host key is another one than before; if the device has a new data disk, forget the old key with `ssh-keygen -R '{known}'` and compare the new one with its console; else somebody may stand between"
            ),
        )
    } else if has("Host key verification failed") || has("host key is known for") {
        (
            Exit::HostKey,
            format!(
                "the host key is not known here; connect once in a terminal with `{by_hand}` and compare the fingerprint with the one on the device's console (`vyomactl events` shows it, too)"
            ),
        )
    } else if has("Permission denied") || has("Too many authentication failures") {
        (
            Exit::Denied,
            format!(
                "no key here may log in; {}",
                match identities(remote) {
                    Some(keys) if keys.is_empty() =>
                        "ssh has no key to show: make one with `ssh-keygen -t ed25519`, and put ~/.ssh/id_ed25519.pub among the device's authorised keys".to_owned(),
                    Some(keys) => format!(
                        "put {} among the device's authorised keys (ssh/authorized_keys in its state directory, or `xtask image --ssh-key FILE`), or name another key with IdentityFile in ~/.ssh/config",
                        keys.join(" or ")
                    ),
                    None => "put your public key among the device's authorised keys".to_owned(),
                }
            ),
        )
    } else if has("Could not resolve hostname") {
        (
            Exit::Unreachable,
            "no such host; check the name in --target, or its Host entry in ~/.ssh/config"
                .to_owned(),
        )
    } else if has("Connection refused") {
        (
            Exit::Unreachable,
            "connection refused; is it on, is the port right, and does it have authorised keys (without any, a device has no SSH)".to_owned(),
        )
    } else if has("Connection timed out") || has("Operation timed out") || has("Timeout, server") {
        (
            Exit::Timeout,
            "no answer in time; is it on and in this network; wait longer with --timeout SECS"
                .to_owned(),
        )
    } else if has("No route to host") || has("Network is unreachable") {
        (
            Exit::Unreachable,
            "there is no way to it in the network; check its address and this machine's network"
                .to_owned(),
        )
    } else if has("kex_exchange_identification")
        || has("Not allowed at this time")
        || has("banner exchange")
    {
        (
            Exit::Unreachable,
            "it hung up before the log-in: it has as many connections as it takes, or this address failed to log in too often; wait a minute and try again".to_owned(),
        )
    } else if has("exec request failed") || has("open failed: resource shortage") {
        (
            Exit::Protocol,
            "its SSH server does not serve `vyoma-control`; give this key the forced command `vyomad control` there".to_owned(),
        )
    } else if has("no matching") || has("Unable to negotiate") {
        (
            Exit::Protocol,
            "ssh and the device have no method in common; use OpenSSH 7.3 or later, with an ed25519 or ECDSA key".to_owned(),
        )
    } else if has("closed by remote host") || has("Broken pipe") || has("Connection reset") {
        (
            Exit::Lost,
            "the connection broke off before it had answered; if it is restarting, try again in a while, and look at `vyomactl events`".to_owned(),
        )
    } else {
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty())?;
        (
            Exit::Lost,
            format!("ssh says: {last}; `{by_hand}` in a terminal may tell more"),
        )
    };
    Some(Failure::new(exit, format!("{remote}: {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(said: &str) -> (Exit, String) {
        let mut remote = Remote::new("device.lan");
        remote.port = Some(2222);
        let failure = explain(&remote, said).expect("a failure");
        (failure.exit(), failure.message().to_owned())
    }

    #[test]
    fn what_openssh_says_becomes_one_line_with_a_remedy_and_a_code_of_its_kind() {
        for (said, exit, remedy) in [
            (
                "ssh: connect to host device.lan port 2222: Connection refused\r\n",
                Exit::Unreachable,
                "is it on",
            ),
            (
                "ssh: connect to host device.lan port 2222: Connection timed out",
                Exit::Timeout,
                "--timeout",
            ),
            (
                "Timeout, server device.lan not responding.",
                Exit::Timeout,
                "--timeout",
            ),
            (
                "ssh: Could not resolve hostname device.lan: Name or service not known",
                Exit::Unreachable,
                "check the name",
            ),
            (
                "@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@\nHost key verification failed.",
                Exit::HostKey,
                "ssh-keygen -R '[device.lan]:2222'",
            ),
            (
                "No ED25519 host key is known for [device.lan]:2222 and you have requested strict checking.\nHost key verification failed.",
                Exit::HostKey,
                "`ssh -p 2222 device.lan`",
            ),
            (
                "uwe@device.lan: Permission denied (publickey).",
                Exit::Denied,
                "authorised keys",
            ),
            (
                "kex_exchange_identification: Connection closed by remote host",
                Exit::Unreachable,
                "wait a minute",
            ),
            (
                "exec request failed on channel 0",
                Exit::Protocol,
                "vyomad control",
            ),
            (
                "Connection to device.lan closed by remote host.",
                Exit::Lost,
                "try again in a while",
            ),
            ("ssh: something new\n\n", Exit::Lost, "ssh: something new"),
        ] {
            let (found, message) = told(said);
            assert_eq!(found, exit, "{said}");
            assert!(message.contains(remedy), "{message}");
            assert!(
                message.starts_with("ssh://device.lan:2222: ") && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn an_ssh_that_said_nothing_explains_nothing() {
        assert!(explain(&Remote::new("device"), " \n").is_none());
    }
}
