//! What is seen of a connection's frames, for those who serve its streams: the peer's account, the
//! streams that it has given up, and what its requests hold of fields.
//!
//! Invariant: what a stream holds of fields counts from the moment its section is let through until both
//! the crate and the stream's task have let it go, so that a connection never has more than its part.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::meter::{Excess, Meter};

/// Streams that have not ended. More than the credit of a connection lets begin at once (`meter.rs`).
const OPEN_MAX: usize = 2048;
/// Octets of the fields of all requests that a connection has under way, as RFC 9113 §6.5.2 counts them.
/// References to a table make much of little: further requests are refused before their fields are written
/// for the crate.
const FIELDS_HELD: usize = 1024 * 1024;

/// Of one connection; shared by its gate and its streams.
#[derive(Debug)]
pub struct Watch {
    pub(super) meter: RefCell<Meter>,
    excess: Cell<Option<Excess>>,
    /// Since when a field block has been open.
    block_since_ms: Cell<Option<u64>>,
    /// Streams that a peer has begun, until either side has ended them.
    open: RefCell<HashMap<u32, Rc<Fate>>>,
    /// Octets of the fields of all streams.
    fields: Rc<Cell<usize>>,
}

/// What the gate has let through of a request's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFields {
    Whole,
    /// They are over the limit for one request: its control data alone.
    TooLarge,
    /// The connection has too many under way: nothing of them. The stream is to be refused.
    NoRoom,
}

/// Whether a stream's peer has given it up.
#[derive(Debug)]
struct Fate {
    is_gone: Cell<bool>,
    /// The peer has said all that it had to.
    is_sent: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    fields: RequestFields,
    /// Octets of fields that the stream holds, of all that its connection's do.
    held: Cell<usize>,
    all: Rc<Cell<usize>>,
}

impl Fate {
    /// Counts more fields, if there is room for them.
    fn hold(&self, octets: usize) -> bool {
        let all = self.all.get() + octets;
        if all > FIELDS_HELD {
            return false;
        }
        self.all.set(all);
        self.held.set(self.held.get() + octets);
        true
    }

    fn seal(&self) {
        self.is_gone.set(true);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Drop for Fate {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.held.get());
    }
}

/// Tells when a stream's peer has given it up. What the stream holds of fields counts while this is there.
#[derive(Clone, Debug)]
pub struct GivenUp(Rc<Fate>);

impl GivenUp {
    /// What was let through of the request's fields.
    pub fn fields(&self) -> RequestFields {
        self.0.fields
    }

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
            fields: Rc::default(),
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
        self.open.borrow().get(&stream).filter(|fate| !fate.is_gone.get()).cloned().map(GivenUp)
    }

    /// Whether a request of so many octets of fields has room beside those under way.
    pub(super) fn has_room(&self, octets: usize) -> bool {
        self.fields.get() + octets <= FIELDS_HELD
    }

    /// A peer has begun a stream, of whose fields so many octets were let through. The crate passes over
    /// those that come behind its GOAWAY, and nobody ends them here.
    pub(super) fn begins(&self, stream: u32, fields: RequestFields, octets: usize) -> Result<(), Excess> {
        let mut open = self.open.borrow_mut();
        if open.len() >= OPEN_MAX {
            return Err(Excess::Streams);
        }
        self.fields.set(self.fields.get() + octets);
        let fate = Fate {
            is_gone: Cell::default(),
            is_sent: Cell::default(),
            waker: RefCell::default(),
            fields,
            held: Cell::new(octets),
            all: self.fields.clone(),
        };
        open.insert(stream, Rc::new(fate));
        Ok(())
    }

    /// Counts the trailer fields of a stream with its others, if there is room for them.
    pub(super) fn holds_trailers(&self, stream: u32, octets: usize) -> bool {
        self.open.borrow().get(&stream).is_some_and(|fate| fate.hold(octets))
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

    /// The peer has reset a stream. The crate holds its fields until it is accepted all the same, so that
    /// they count until somebody has ended it here.
    pub(super) fn resets(&self, stream: u32) {
        if let Some(fate) = self.open.borrow().get(&stream) {
            fate.is_sent.set(true);
            fate.seal();
        }
    }

    /// Larder has ended a stream, one way or the other.
    pub fn ends(&self, stream: u32) {
        if let Some(fate) = self.open.borrow_mut().remove(&stream) {
            fate.seal();
        }
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
        let begins = |stream| watch.begins(stream, RequestFields::Whole, 1);
        (1..=OPEN_MAX as u32).for_each(|stream| begins(stream).expect("few"));
        assert_eq!(begins(10_001), Err(Excess::Streams));
        watch.ends(7);
        assert_eq!(begins(10_001), Ok(()));
    }

    #[test]
    fn fields_count_until_nobody_holds_them() {
        let watch = Watch::new(0);
        watch.begins(1, RequestFields::Whole, FIELDS_HELD - 100).expect("few");
        let given_up = watch.given_up(1).expect("open");
        assert!(watch.has_room(100) && !watch.has_room(101));
        assert!(!watch.holds_trailers(1, 101) && watch.holds_trailers(1, 100));
        assert!(!watch.has_room(1));
        watch.resets(1);
        assert!(watch.given_up(1).is_none() && !watch.is_receiving(1));
        assert!(!watch.has_room(1), "the crate may still have them");
        watch.ends(1);
        assert!(!watch.has_room(1), "its task has them");
        drop(given_up);
        assert!(watch.has_room(FIELDS_HELD));
    }
}
