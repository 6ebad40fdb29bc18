//! The control socket: `vyomactl`'s side of the daemon. Each connection is a task of its own; a client that is slow,
//! silent or wrong costs its own connection and nothing else.

pub(crate) mod connection;
mod diagnose;
mod status;
mod stream;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::Semaphore;

use super::state::Shared;

/// Most connections at once; a further one waits in the kernel's queue until one of them ends.
const CONNECTIONS: usize = 64;

/// Makes the socket. Only its owner may connect.
pub(crate) fn bind(path: &Path) -> io::Result<UnixListener> {
    // Left behind by a daemon that was killed; whoever runs now holds the lock of the state directory.
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves the socket for ever.
pub(crate) async fn serve(daemon: Shared, listener: UnixListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let daemon = Rc::clone(&daemon);
                tokio::task::spawn_local(async move {
                    // A connection that breaks has nobody left to tell.
                    let _ = connection::serve(&daemon, stream).await;
                    drop(place);
                });
            }
            // Out of descriptors, most likely: they come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
