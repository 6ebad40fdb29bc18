//! The conversation with one client: log-in by public key, one channel, and on it the control protocol and nothing else.

use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use russh::keys::{Algorithm, EcdsaCurve, PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, PublicKeyOffer, Session,
    VerifiedPublicKey, run_stream,
};
use russh::{
    Channel, ChannelId, ChannelOpenFailure, MethodKind, MethodSet, Preferred, Pty, SshId, cipher,
    compression, kex, mac,
};
use tokio::io::{AsyncWriteExt, BufReader, copy_buf};
use tokio::net::{TcpStream, UnixStream};

use super::Reports;
use super::keys::{Authorized, named};
use crate::spec::SshReport;

/// What a client may ask for, as a command or as a subsystem.
const SERVICE: &str = "vyoma-control";
/// What a channel takes before the client has to wait: at 100 ms from here to there and back that is 2.5 MB a second.
const WINDOW: u32 = 256 * 1024;
/// Most bytes in one packet of a channel: OpenSSH's own.
const PACKET: u32 = 32 * 1024;
/// Packets of the client that wait for the daemon: all of a window.
const WAITING: usize = (WINDOW / PACKET) as usize;
/// A client that has gone without a word is noticed after three of these.
const KEEPALIVE: Duration = Duration::from_secs(30);
/// Signatures that are checked for one client. Keys that are offered and not known are not counted.
const ATTEMPTS: usize = 6;
/// Bytes carried at once from the daemon to the client.
const CARRIED: usize = 16 * 1024;

/// Serves the client to its end.
pub(super) async fn serve(
    client: OwnedFd,
    daemon: OwnedFd,
    host_key: PrivateKey,
    authorized: Authorized,
    reports: Reports,
) -> Result<(), String> {
    let named = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    let client = std::net::TcpStream::from(client);
    client.set_nonblocking(true).map_err(named("socket"))?;
    let client = TcpStream::from_std(client).map_err(named("socket"))?;
    let daemon = std::os::unix::net::UnixStream::from(daemon);
    daemon.set_nonblocking(true).map_err(named("control"))?;
    let daemon = UnixStream::from_std(daemon).map_err(named("control"))?;
    let door = Door {
        authorized,
        reports,
        daemon: Some(daemon),
        channel: None,
    };
    let session = run_stream(Arc::new(config(host_key)), client, door)
        .await
        .map_err(|error| error.to_string())?;
    session.await.map_err(|error| error.to_string())
}

fn config(host_key: PrivateKey) -> Config {
    Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-vyomad_",
            env!("CARGO_PKG_VERSION")
        ))),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // A public key can't be guessed, and no answer depends on more than whether it is known.
        auth_rejection_time: Duration::ZERO,
        keys: vec![host_key],
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: WAITING,
        preferred: algorithms(),
        max_auth_attempts: ATTEMPTS,
        // Who follows logs may be silent for days; the daemon ends who has not logged in.
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE),
        ..Config::default()
    }
}

/// What every OpenSSH since 7.3 has and nobody doubts: no finite-field groups, no CBC, no SHA-1, no RSA.
fn algorithms() -> Preferred {
    const KEX: &[kex::Name] = &[
        kex::MLKEM768X25519_SHA256,
        kex::CURVE25519,
        kex::CURVE25519_PRE_RFC_8731,
        kex::EXTENSION_SUPPORT_AS_SERVER,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
    ];
    const KEYS: &[Algorithm] = &[
        Algorithm::Ed25519,
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP256,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP384,
        },
        Algorithm::Ecdsa {
            curve: EcdsaCurve::NistP521,
        },
    ];
    Preferred {
        kex: Cow::Borrowed(KEX),
        key: Cow::Borrowed(KEYS),
        cipher: Cow::Borrowed(&[
            cipher::CHACHA20_POLY1305,
            cipher::AES_256_GCM,
            cipher::AES_128_GCM,
            cipher::AES_256_CTR,
        ]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM]),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::DEFAULT
    }
}

/// Lets in who has a key, and hands out the control protocol once.
struct Door {
    authorized: Authorized,
    reports: Reports,
    /// The connection to the daemon, until it is handed out.
    daemon: Option<UnixStream>,
    /// The channel that was opened, until it carries something.
    channel: Option<Channel<Msg>>,
}

impl Door {
    fn knows(&self, key: &PublicKey) -> Auth {
        if self.authorized.find(key).is_some() {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }

    /// Starts the control protocol on a channel, if it is the one and was asked for by name.
    fn start(
        &mut self,
        id: ChannelId,
        wanted: &[u8],
        session: &mut Session,
    ) -> Result<(), russh::Error> {
        let mine = self
            .channel
            .as_ref()
            .is_some_and(|channel| channel.id() == id);
        if wanted != SERVICE.as_bytes() || !mine {
            return session.channel_failure(id);
        }
        let (Some(channel), Some(daemon)) = (self.channel.take(), self.daemon.take()) else {
            return session.channel_failure(id);
        };
        session.channel_success(id)?;
        tokio::spawn(carry(channel, daemon, session.handle()));
        Ok(())
    }
}

impl Handler for Door {
    type Error = russh::Error;

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.knows(offer.public_key))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        if let Some(known) = self.authorized.find(key.public_key) {
            let report = SshReport::LoggedIn {
                user: user.chars().filter(|c| !c.is_control()).take(64).collect(),
                key: named(known),
            };
            self.reports.send(&report);
        }
        Ok(self.knows(key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if self.channel.is_some() || self.daemon.is_none() {
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
            return Ok(());
        }
        self.channel = Some(channel);
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, command, session)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        name: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.start(channel, name.as_bytes(), session)
    }

    // Everything else that a client may ask of a channel is refused, since without an answer it would wait. Channels for
    // forwarding, requests for forwarding and for an agent are refused by the library where nobody accepts them.

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _x11_auth_protocol: &str,
        _x11_auth_cookie: &str,
        _x11_screen_number: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _col_width: u32,
        _row_height: u32,
        _pix_width: u32,
        _pix_height: u32,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_failure(channel)
    }
}

/// Carries bytes both ways until the daemon hangs up; what the client says last reaches the daemon first, which then hangs up.
async fn carry(channel: Channel<Msg>, daemon: UnixStream, session: Handle) {
    let id = channel.id();
    let (from_client, to_client) = channel.split();
    let (from_daemon, mut to_daemon) = daemon.into_split();
    let upward = async {
        let mut from_client = from_client;
        let mut reader = from_client.make_reader();
        // One that breaks has nobody left to tell: the other direction ends by itself.
        let _ = tokio::io::copy(&mut reader, &mut to_daemon).await;
        let _ = to_daemon.shutdown().await;
        std::future::pending::<()>().await;
    };
    let downward = async {
        let mut writer = to_client.make_writer();
        let _ = copy_buf(
            &mut BufReader::with_capacity(CARRIED, from_daemon),
            &mut writer,
        )
        .await;
        let _ = writer.shutdown().await;
    };
    tokio::select! {
        () = downward => {}
        () = upward => {}
    }
    // The client ends with this status once it has shown everything, and hangs up. Told to disconnect, OpenSSH would throw away
    // what it has not shown yet; of one that stays, the daemon ends this process.
    let _ = session.exit_status_request(id, 0).await;
    let _ = session.close(id).await;
}
