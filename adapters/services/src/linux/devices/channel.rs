//! The app's end of a simulated device: a question and its answer, with changes of a pin in between. Only `read` and
//! `write`, which every app's sandbox allows.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use vyoma_sim::wire::{MAX_MESSAGE, Message, Request};

/// A change of a pin's level: whether it is high, when by the kernel's clock, and how many were lost before it.
pub(super) struct Changed {
    pub(super) high: bool,
    pub(super) at: u64,
    pub(super) lost: u64,
}

/// Room for a message, made when the first one comes.
#[derive(Default)]
pub(super) struct Channel(RefCell<Vec<u8>>);

impl Channel {
    /// Asks and waits for the answer; none when nobody answers. Changes that come first go to `changed`.
    pub(super) fn ask(
        &self,
        socket: impl AsFd,
        request: &Request,
        mut changed: impl FnMut(Changed),
    ) -> Option<Message> {
        let bytes = postcard::to_allocvec(request).ok()?;
        rustix::io::retry_on_intr(|| rustix::io::write(&socket, &bytes)).ok()?;
        loop {
            match self.receive(&socket)? {
                Message::Changed { high, at, lost } => changed(Changed {
                    high,
                    at,
                    lost: lost.into(),
                }),
                answer => return Some(answer),
            }
        }
    }

    /// Gives the changes that have come to `changed`. Whether more may come: the board is still there.
    pub(super) fn drain(&self, socket: impl AsFd, mut changed: impl FnMut(Changed)) -> bool {
        while is_readable(socket.as_fd()) {
            match self.receive(&socket) {
                Some(Message::Changed { high, at, lost }) => changed(Changed {
                    high,
                    at,
                    lost: lost.into(),
                }),
                // Nobody asked for anything.
                Some(_) => {}
                None => return false,
            }
        }
        true
    }

    fn receive(&self, socket: impl AsFd) -> Option<Message> {
        let mut buffer = self.0.borrow_mut();
        buffer.resize(MAX_MESSAGE, 0);
        let length = rustix::io::retry_on_intr(|| rustix::io::read(&socket, &mut *buffer)).ok()?;
        postcard::from_bytes(buffer.get(..length)?).ok()
    }
}

/// Whether a read would not wait.
pub(super) fn is_readable(descriptor: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)];
    matches!(
        rustix::event::poll(&mut fds, Some(&Timespec::default())),
        Ok(1..)
    )
}
