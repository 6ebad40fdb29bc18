//! Name look-up. The C library only does it blocking, so it is done on threads of its own, which are made when the first name
//! is asked for; addresses and what is no name are answered at once. The queue holds what a guest waits for and nothing
//! else: a look-up that is dropped leaves it.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, ToSocketAddrs};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use rustix::event::{EventfdFlags, eventfd};
use url::Host;
use vyoma_component::services::Pollable;
use vyoma_component::wasi::sockets::ErrorCode;

use super::inet::code;
use crate::linux::poll::{Event, Interest, Wait, Watch};

/// Look-ups at a time, as in the Wasmtime adapter: one name server that is silent does not hold up every other name.
const THREADS: usize = 2;

/// The C libraries' resolvers keep a few packets on the stack, 20 KiB in musl; glibc's modules want more.
const STACK: usize = 256 * 1024;

/// Bytes of the longest name that DNS can hold, with the dot of the root (RFC 1035, 2.3.4). Longer ones aren't asked for.
const MAX_NAME: usize = 254;

type Answer = Result<Vec<IpAddr>, ErrorCode>;

/// A question, and its answer when it is there.
struct Question {
    name: String,
    answer: OnceLock<Answer>,
    /// Readable from then on; none when the answer is there from the beginning.
    answered: Option<OwnedFd>,
}

impl Question {
    fn known(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            name: String::new(),
            answer: OnceLock::from(answer),
            answered: None,
        })
    }

    fn settle(&self, answer: Answer) {
        // Set once: by the thread that took the question out of the queue, or by the one that found no thread for it.
        let _ = self.answer.set(answer);
        if let Some(answered) = &self.answered {
            // An event counter takes a 1 unless it is nearly full; it was 0.
            let _ = rustix::io::write(answered, &1_u64.to_ne_bytes());
        }
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Arc<Question>>,
    threads: usize,
    /// Threads that wait for a question.
    idle: usize,
    over: bool,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    news: Condvar,
}

impl Queue {
    /// No code panics while it holds the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        let mut state = self.lock();
        while !state.over {
            if let Some(question) = state.waiting.pop_front() {
                drop(state);
                question.settle(ask(&question.name));
                state = self.lock();
            } else {
                state.idle += 1;
                state = self
                    .news
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

/// Asks the C library: hosts file, then name servers. Why it failed is not told, as in wasmtime-wasi.
fn ask(name: &str) -> Answer {
    let addresses = (name, 0)
        .to_socket_addrs()
        .map_err(|_| ErrorCode::NameUnresolvable)?;
    Ok(addresses
        .map(|address| address.ip().to_canonical())
        .collect())
}

/// Asks names on behalf of one run.
#[derive(Default)]
pub(super) struct Resolver(Arc<Queue>);

impl Resolver {
    /// Names are normalised as URLs' hosts are (WHATWG URL, host parsing: IDNA, numbers of any base as IPv4), which is what
    /// wasmtime-wasi does.
    pub(super) fn resolve(&self, name: &str) -> Result<Lookup, ErrorCode> {
        let question = match Host::parse(name) {
            Ok(Host::Domain(name)) if name.len() > MAX_NAME => {
                Question::known(Err(ErrorCode::NameUnresolvable))
            }
            Ok(Host::Domain(name)) => self.ask(name)?,
            Ok(Host::Ipv4(address)) => Question::known(Ok(vec![address.into()])),
            Ok(Host::Ipv6(address)) => Question::known(Ok(vec![address.into()])),
            // In URLs they have brackets.
            Err(_) => match name.parse::<Ipv6Addr>() {
                Ok(address) => Question::known(Ok(vec![address.into()])),
                Err(_) => return Err(ErrorCode::InvalidArgument),
            },
        };
        Ok(Lookup {
            question,
            next: 0,
            queue: Arc::clone(&self.0),
        })
    }

    fn ask(&self, name: String) -> Result<Arc<Question>, ErrorCode> {
        let answered = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(code)?;
        let question = Arc::new(Question {
            name,
            answer: OnceLock::new(),
            answered: Some(answered),
        });
        let mut state = self.0.lock();
        state.waiting.push_back(Arc::clone(&question));
        if state.idle < state.waiting.len() && state.threads < THREADS {
            let queue = Arc::clone(&self.0);
            let thread = thread::Builder::new()
                .name("lookup".to_owned())
                .stack_size(STACK)
                .spawn(move || queue.serve());
            match thread {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => {
                    state.waiting.pop_back();
                    question.settle(Err(ErrorCode::TemporaryResolverFailure));
                }
                // The other one serves it.
                Err(_) => {}
            }
        }
        drop(state);
        self.0.news.notify_one();
        Ok(question)
    }
}

/// Threads end; one that waits for a name server ends with the process.
impl Drop for Resolver {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.news.notify_all();
    }
}

/// A look-up under way, or its answer.
pub struct Lookup {
    question: Arc<Question>,
    /// Which address comes next.
    next: usize,
    queue: Arc<Queue>,
}

impl Lookup {
    /// See `Sockets::next_address`.
    pub(super) fn next(&mut self) -> Result<Option<IpAddr>, ErrorCode> {
        let answer = self.question.answer.get().ok_or(ErrorCode::WouldBlock)?;
        let addresses = answer.as_ref().map_err(|&error| error)?;
        let address = addresses.get(self.next).copied();
        self.next += usize::from(address.is_some());
        Ok(address)
    }

    /// See `Sockets::lookup_ready`.
    pub(super) fn ready(&self) -> Pollable<Wait> {
        Wait::pollable(Answered(Arc::clone(&self.question)))
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        self.queue
            .lock()
            .waiting
            .retain(|waiting| !Arc::ptr_eq(waiting, &self.question));
    }
}

struct Answered(Arc<Question>);

impl Event for Answered {
    fn watch(&self) -> Watch<'_> {
        match (&self.0.answered, self.0.answer.get()) {
            (Some(answered), None) => Watch::Descriptor(answered.as_fd(), Interest::Read),
            _ => Watch::Ready,
        }
    }
}
