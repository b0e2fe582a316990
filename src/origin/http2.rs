//! Connections with HTTP/2 to origins: one for each origin, shared by all requests of a worker.
//!
//! Invariant: a stream that leaves here is of a connection whose address the caller's judge admits,
//! and that has neither ended nor been told to go away (RFC 9113 §6.8).

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;

use super::{AddressJudge, Connection, OriginKey, PoolLimits};
use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Meter, Metered, ReadHalf, Reader, Stream, WriteHalf, ask};

/// Octets of a response's fields, as RFC 9113 §6.5.2 counts them.
const FIELD_SECTION: u32 = 64 * 1024;
/// Octets of a stream that may come before they are taken, and of a connection: enough for all
/// streams, so that a slow reader of one does not stop the others.
const WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 64 * WINDOW;
/// Streams before the origin has said how many it takes.
const STREAMS: usize = 100;
/// Octets of a stream that may wait for the origin.
const SEND_BUFFER: usize = 256 * 1024;
/// Origins that are remembered to want HTTP/1.1; arbitrary.
const REMEMBERED: usize = 1000;

/// The connections of one worker.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_origin: RefCell<HashMap<OriginKey, Session>>,
    http1: RefCell<HashSet<OriginKey>>,
}

#[derive(Debug)]
struct Session {
    send: SendRequest<Bytes>,
    peer: SocketAddr,
    used_ms: u64,
    has_ended: Rc<Cell<bool>>,
    wants_http1: Rc<Cell<bool>>,
}

impl Sessions {
    /// A stream to this origin, if a connection is there that is in use, or was used at most
    /// `idle_max` ago.
    pub(super) fn take(
        &self,
        key: &OriginKey,
        judge: &impl AddressJudge,
        idle_max: Duration,
        now_ms: u64,
    ) -> Option<Connection> {
        let mut by_origin = self.by_origin.borrow_mut();
        let session = by_origin.get_mut(key)?;
        if session.wants_http1.get() {
            let mut http1 = self.http1.borrow_mut();
            if http1.len() < REMEMBERED {
                http1.insert(key.clone());
            }
        }
        if !session.is_usable() {
            by_origin.remove(key);
            return None;
        }
        let idle = Duration::from_millis(now_ms.saturating_sub(session.used_ms));
        if (session.is_idle() && idle > idle_max) || judge.judge(session.peer).is_err() {
            return None;
        }
        session.used_ms = now_ms;
        Some(session.stream(Some(idle)))
    }

    /// Whether this origin wants HTTP/1.1, as far as is known.
    pub(super) fn wants_http1(&self, key: &OriginKey) -> bool {
        self.http1.borrow().contains(key)
    }

    /// Begins HTTP/2 on a new connection, and gives its first stream.
    pub(super) async fn establish(
        &self,
        key: OriginKey,
        stream: Stream,
        peer: SocketAddr,
        clock: &Clock,
    ) -> Result<Connection, Failure> {
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(STREAMS)
            .max_header_list_size(FIELD_SECTION)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER);
        let meter = Rc::new(RefCell::new(Meter::of_server(clock.monotonic_ms())));
        let time = clock.clone();
        let metered = Metered::new(stream, meter, move || time.monotonic_ms());
        let (send, connection) = builder.handshake(metered).await.map_err(|error| {
            let public = "The server does not speak HTTP/2 as it should";
            Failure::new(ErrorType::HttpProtocolError, Fault::Origin, 502, public).with_internal(error)
        })?;
        let has_ended = Rc::new(Cell::new(false));
        let session = Session {
            send,
            peer,
            used_ms: clock.monotonic_ms(),
            has_ended: has_ended.clone(),
            wants_http1: Rc::default(),
        };
        tokio::task::spawn_local(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection with HTTP/2 to {peer} has ended: {error}");
            }
            has_ended.set(true);
        });
        let stream = session.stream(None);
        self.by_origin.borrow_mut().insert(key, session);
        Ok(stream)
    }

    /// Lets go of connections that have ended, or that nobody has used for a while.
    pub(super) fn expire(&self, limits: &PoolLimits, now_ms: u64) {
        self.by_origin.borrow_mut().retain(|_, session| {
            let idle = Duration::from_millis(now_ms.saturating_sub(session.used_ms));
            session.is_usable() && !(session.is_idle() && idle > limits.idle)
        });
    }

    /// Lets go of all that nobody uses.
    pub(super) fn close_idle(&self) {
        self.by_origin.borrow_mut().retain(|_, session| !session.is_idle());
    }
}

impl Session {
    fn is_idle(&self) -> bool {
        // Each stream in use holds it, too.
        Rc::strong_count(&self.wants_http1) == 1
    }

    fn is_usable(&mut self) -> bool {
        if self.has_ended.get() || self.wants_http1.get() {
            return false;
        }
        // An error is an end that was seen, or a GOAWAY.
        let ready = self.send.clone().poll_ready(&mut Context::from_waker(Waker::noop()));
        !matches!(ready, Poll::Ready(Err(_)))
    }

    fn stream(&self, idle: Option<Duration>) -> Connection {
        let (reader, writer) = ask(self.send.clone(), self.wants_http1.clone());
        Connection {
            reader: Reader::new(ReadHalf::Http2(Box::new(reader))),
            writer: WriteHalf::Http2(Box::new(writer)),
            peer: self.peer,
            idle,
        }
    }
}
