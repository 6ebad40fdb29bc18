//! `vyomad control`: the control socket on standard input and output. For a device whose image has an SSH server of its own,
//! as the forced command of an operator's key; also for any other way to run a program there. It understands nothing of
//! what it carries, and ends when the daemon hangs up.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

/// Main function of the process. Exit status: 0 after the daemon has hung up, 1 when it can't be reached.
pub(crate) fn main(socket: &Path) -> ExitCode {
    match run(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vyomad control: {}: {error}", socket.display());
            ExitCode::FAILURE
        }
    }
}

fn run(socket: &Path) -> io::Result<()> {
    let mut daemon = UnixStream::connect(socket)?;
    let mut upward = daemon.try_clone()?;
    // Ends with the process, whatever it waits for.
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut upward);
        let _ = upward.shutdown(Shutdown::Write);
    });
    let mut stdout = io::stdout().lock();
    match carry(&mut daemon, &mut stdout) {
        // The client has gone: nobody is left to tell.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// As [`io::copy`], but every piece goes out at once: standard output holds back what has no line end.
fn carry(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<()> {
    // Dozens of log lines at once.
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..count])?;
        to.flush()?;
    }
}
