//! What log and event followers read from: one bounded queue per follower, so that a slow one loses lines (counted)
//! and never slows the daemon or anyone else.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use tokio::sync::Notify;

/// Most bytes that wait for one follower: about a second of an app that prints as fast as it may.
const FOLLOWER_BYTES: usize = 256 * 1024;

/// Something that followers get; [`Item::cost`] bounds their queues.
pub(crate) trait Item {
    /// Bytes of memory, roughly.
    fn cost(&self) -> usize;
}

/// All followers of one kind of item.
#[derive(Debug)]
pub(crate) struct Feed<T> {
    followers: RefCell<Vec<Weak<Follower<T>>>>,
}

/// One follower's queue.
#[derive(Debug)]
pub(crate) struct Follower<T> {
    queue: RefCell<VecDeque<Rc<T>>>,
    bytes: Cell<usize>,
    dropped: Cell<u64>,
    filled: Notify,
}

/// What [`Follower::next`] gives.
pub(crate) enum Next<T> {
    /// The oldest waiting item.
    Item(Rc<T>),
    /// So many items were lost here.
    Dropped(u64),
}

impl<T: Item> Feed<T> {
    pub(crate) const fn new() -> Self {
        Self {
            followers: RefCell::new(Vec::new()),
        }
    }

    /// A new follower; it gets everything published from now on, until it is dropped.
    pub(crate) fn follow(&self) -> Rc<Follower<T>> {
        let follower = Rc::new(Follower {
            queue: RefCell::default(),
            bytes: Cell::new(0),
            dropped: Cell::new(0),
            filled: Notify::new(),
        });
        self.followers.borrow_mut().push(Rc::downgrade(&follower));
        follower
    }

    /// Hands `item` to every follower.
    pub(crate) fn publish(&self, item: &Rc<T>) {
        self.followers.borrow_mut().retain(|weak| {
            weak.upgrade()
                .inspect(|follower| follower.push(Rc::clone(item)))
                .is_some()
        });
    }
}

impl<T: Item> Follower<T> {
    fn push(&self, item: Rc<T>) {
        let mut queue = self.queue.borrow_mut();
        let mut bytes = self.bytes.get() + item.cost();
        queue.push_back(item);
        while bytes > FOLLOWER_BYTES {
            let Some(oldest) = queue.pop_front() else {
                break;
            };
            bytes -= oldest.cost();
            self.dropped.set(self.dropped.get() + 1);
        }
        self.bytes.set(bytes);
        self.filled.notify_one();
    }

    /// Waits for the next item, or tells first how many were lost.
    pub(crate) async fn next(&self) -> Next<T> {
        loop {
            let dropped = self.dropped.take();
            if dropped > 0 {
                return Next::Dropped(dropped);
            }
            let oldest = self.queue.borrow_mut().pop_front();
            if let Some(item) = oldest {
                self.bytes.set(self.bytes.get() - item.cost());
                return Next::Item(item);
            }
            self.filled.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Item for Vec<u8> {
        fn cost(&self) -> usize {
            self.len()
        }
    }

    #[tokio::test]
    async fn a_slow_follower_loses_the_oldest_items_and_is_told_how_many() {
        let feed = Feed::new();
        let follower = feed.follow();
        for n in 0..10u8 {
            feed.publish(&Rc::new(vec![n; FOLLOWER_BYTES / 4]));
        }
        assert!(matches!(follower.next().await, Next::Dropped(6)));
        assert!(matches!(follower.next().await, Next::Item(item) if item[0] == 6));
    }

    #[test]
    fn a_follower_that_is_gone_is_forgotten() {
        let feed: Feed<Vec<u8>> = Feed::new();
        drop(feed.follow());
        feed.publish(&Rc::new(vec![1]));
        assert!(feed.followers.borrow().is_empty());
    }
}
