//! What is known of a connection to an origin beside its frames: how many streams are in use, and
//! what the origin has said of them. Shared by the connection's owner and its streams.

use std::cell::Cell;
use std::rc::Rc;

/// The streams of one connection, counted.
#[derive(Debug)]
pub struct Usage {
    in_use: Cell<usize>,
    /// Streams that the origin took when it last refused one.
    limit: Cell<usize>,
    wants_http1: Cell<bool>,
}

impl Default for Usage {
    fn default() -> Usage {
        Usage { in_use: Cell::new(0), limit: Cell::new(usize::MAX), wants_http1: Cell::new(false) }
    }
}

impl Usage {
    /// Streams in use, and those that wait for their turn.
    pub fn in_use(&self) -> usize {
        self.in_use.get()
    }

    /// How many streams the origin is known to take; unlimited until it refuses one.
    pub fn limit(&self) -> usize {
        self.limit.get()
    }

    /// Whether the origin wants its requests over HTTP/1.1 (RFC 9113 §7, HTTP_1_1_REQUIRED).
    pub fn wants_http1(&self) -> bool {
        self.wants_http1.get()
    }

    /// The origin wants HTTP/1.1.
    pub(super) fn prefers_http1(&self) {
        self.wants_http1.set(true);
    }

    /// The origin has refused a stream (RFC 9113 §7, REFUSED_STREAM).
    pub(super) fn refuses(&self) {
        self.limit.set(self.in_use.get().saturating_sub(1).max(1));
    }
}

/// One stream that counts until it is dropped.
#[derive(Debug)]
pub(super) struct InUse(Rc<Usage>);

impl InUse {
    pub(super) fn new(usage: &Rc<Usage>) -> InUse {
        usage.in_use.set(usage.in_use.get() + 1);
        InUse(usage.clone())
    }

    pub(super) fn usage(&self) -> &Usage {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let left = self.0.in_use.get().saturating_sub(1);
        self.0.in_use.set(left);
        if left == 0 {
            // What was refused once may be taken by now.
            self.0.limit.set(usize::MAX);
        }
    }
}
