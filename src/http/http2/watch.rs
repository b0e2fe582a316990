//! What is seen of a connection's frames, for those who serve its streams: the peer's account, the
//! streams that it has given up, and requests whose fields were too large.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::meter::{Excess, Meter};

/// Streams that have not ended. More than the credit of a connection lets begin at once (`meter.rs`).
const OPEN_MAX: usize = 2048;

/// Of one connection; shared by its gate and its streams.
#[derive(Debug)]
pub struct Watch {
    pub(super) meter: RefCell<Meter>,
    excess: Cell<Option<Excess>>,
    /// Since when a field block has been open.
    block_since_ms: Cell<Option<u64>>,
    /// Streams that a peer has begun, until either side has ended them.
    open: RefCell<HashMap<u32, Rc<Fate>>>,
    too_large: RefCell<HashSet<u32>>,
}

/// Whether a stream's peer has given it up.
#[derive(Debug, Default)]
struct Fate {
    is_gone: Cell<bool>,
    /// The peer has said all that it had to.
    is_sent: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Fate {
    fn seal(&self) {
        self.is_gone.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

/// Tells when a stream's peer has given it up.
#[derive(Clone, Debug)]
pub struct GivenUp(Rc<Fate>);

impl GivenUp {
    /// Waits until the peer has reset the stream, or the connection has ended.
    pub async fn wait(&self) {
        poll_fn(|context| {
            if self.0.is_gone.get() {
                return Poll::Ready(());
            }
            *self.0.waker.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Watch {
    /// Of a connection that has just begun.
    pub fn new(now_ms: u64) -> Watch {
        Watch {
            meter: RefCell::new(Meter::new(now_ms)),
            excess: Cell::default(),
            block_since_ms: Cell::default(),
            open: RefCell::default(),
            too_large: RefCell::default(),
        }
    }

    /// What the peer has too much of, if anything: the connection has ended then.
    pub fn excess(&self) -> Option<Excess> {
        self.excess.get()
    }

    pub(super) fn exceeds(&self, excess: Excess) {
        self.excess.set(Some(excess));
    }

    /// Since when a field block has been open.
    pub fn open_since_ms(&self) -> Option<u64> {
        self.block_since_ms.get()
    }

    pub(super) fn block(&self, since_ms: Option<u64>) {
        self.block_since_ms.set(since_ms);
    }

    /// What tells that the peer has given up this stream; `None` where it has already.
    pub fn given_up(&self, stream: u32) -> Option<GivenUp> {
        self.open.borrow().get(&stream).cloned().map(GivenUp)
    }

    /// Whether the fields of this request were too large, and are not there; said once.
    pub fn is_too_large(&self, stream: u32) -> bool {
        self.too_large.borrow_mut().remove(&stream)
    }

    /// A peer has begun a stream. The crate passes over those that come behind its GOAWAY, and nobody ends
    /// them here.
    pub(super) fn begins(&self, stream: u32) -> Result<(), Excess> {
        let mut open = self.open.borrow_mut();
        if open.len() >= OPEN_MAX {
            return Err(Excess::Streams);
        }
        open.insert(stream, Rc::default());
        Ok(())
    }

    /// The peer has said all that it had to on a stream.
    pub(super) fn ends_sending(&self, stream: u32) {
        if let Some(fate) = self.open.borrow().get(&stream) {
            fate.is_sent.set(true);
        }
    }

    /// Whether more is to come on a stream.
    pub(super) fn is_receiving(&self, stream: u32) -> bool {
        self.open.borrow().get(&stream).is_some_and(|fate| !fate.is_sent.get())
    }

    pub(super) fn refuses_fields(&self, stream: u32) {
        self.too_large.borrow_mut().insert(stream);
    }

    /// A stream has ended, one way or the other.
    pub fn ends(&self, stream: u32) {
        if let Some(fate) = self.open.borrow_mut().remove(&stream) {
            fate.seal();
        }
        self.too_large.borrow_mut().remove(&stream);
    }

    /// The connection has ended, and all of its streams.
    pub fn ends_all(&self) {
        self.open.borrow_mut().drain().for_each(|(_, fate)| fate.seal());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_that_nobody_ends_are_bounded() {
        let watch = Watch::new(0);
        (1..=OPEN_MAX as u32).for_each(|stream| watch.begins(stream).expect("few"));
        assert_eq!(watch.begins(10_001), Err(Excess::Streams));
        watch.ends(7);
        assert_eq!(watch.begins(10_001), Ok(()));
    }
}
