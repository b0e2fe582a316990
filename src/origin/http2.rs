//! Connections with HTTP/2 to origins, each shared by all requests of a worker: one for an origin, and
//! more where those that are there have all the streams that the origin takes.
//!
//! Invariant: a stream that leaves here is of a connection whose address the caller's judge admits,
//! and that has neither ended nor been told to go away (RFC 9113 §6.8).

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;

use super::lending::Opened;
use super::{AddressJudge, Connection, Far, OriginKey, PoolLimits};
use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Gate, ReadHalf, Reader, SECTION_MAX, Stream, Usage, Watch, WriteHalf, ask};

/// Octets of a stream that may come before they are taken, and of a connection: enough for all
/// streams, so that a slow reader of one does not stop the others.
const WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 64 * WINDOW;
/// Streams before the origin has said how many it takes.
const STREAMS: usize = 100;
/// Connections to one origin; arbitrary. When each has all its streams, requests wait for one.
const CONNECTIONS: usize = 16;
/// Octets of a stream that may wait for the origin.
const SEND_BUFFER: usize = 256 * 1024;
/// Origins that are remembered to want HTTP/1.1; arbitrary.
const REMEMBERED: usize = 1000;

/// The connections of one worker.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_origin: RefCell<HashMap<OriginKey, Vec<Session>>>,
    http1: RefCell<HashSet<OriginKey>>,
}

#[derive(Debug)]
struct Session {
    send: SendRequest<Bytes>,
    far: Far,
    used_ms: u64,
    has_ended: Rc<Cell<bool>>,
    usage: Rc<Usage>,
}

impl Sessions {
    /// A stream to this origin, if a connection is there that has room, and that is in use, or was
    /// used at most `idle_max` ago. When there may be no more connections, one without room.
    pub(super) fn take(
        &self,
        key: &OriginKey,
        judge: &impl AddressJudge,
        idle_max: Duration,
        now_ms: u64,
    ) -> Option<Connection> {
        let mut by_origin = self.by_origin.borrow_mut();
        let sessions = by_origin.get_mut(key)?;
        if sessions.iter().any(|session| session.usage.wants_http1()) {
            let mut http1 = self.http1.borrow_mut();
            if http1.len() < REMEMBERED {
                http1.insert(key.clone());
            }
        }
        sessions.retain_mut(|session| session.is_usable());
        if sessions.is_empty() {
            by_origin.remove(key);
            return None;
        }
        let count = sessions.len();
        let admitted = sessions.iter_mut().filter(|session| {
            (!session.is_idle() || session.idle(now_ms) <= idle_max) && session.far.judge(judge).is_ok()
        });
        let session = admitted.min_by_key(|session| (!session.has_room(), session.usage.in_use()))?;
        if !session.has_room() && count < CONNECTIONS {
            return None;
        }
        let idle = session.idle(now_ms);
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
        (stream, far, opened): (Stream, Far, Opened),
        clock: &Clock,
    ) -> Result<Connection, Failure> {
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_max_send_streams(STREAMS)
            .max_header_list_size(SECTION_MAX as u32)
            // What an origin has Larder reset is paid for in its account.
            .max_local_error_reset_streams(None)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buffer_size(SEND_BUFFER);
        let watch = Rc::new(Watch::new(clock.monotonic_ms()));
        let time = clock.clone();
        let gate = Gate::to_origin(stream, watch.clone(), move || time.monotonic_ms());
        let (send, connection) = builder.handshake(gate).await.map_err(|error| {
            let public = "The server does not speak HTTP/2 as it should";
            Failure::new(ErrorType::HttpProtocolError, Fault::Origin, 502, public).with_internal(error)
        })?;
        let (has_ended, peer) = (Rc::new(Cell::new(false)), far.peer);
        let session = Session {
            send,
            far,
            used_ms: clock.monotonic_ms(),
            has_ended: has_ended.clone(),
            usage: Rc::default(),
        };
        tokio::task::spawn_local(async move {
            match (connection.await, watch.excess()) {
                (_, Some(excess)) => tracing::info!("an origin of HTTP/2 ({peer}) is cut off: {excess}"),
                (Err(error), None) => {
                    tracing::debug!("a connection with HTTP/2 to {peer} has ended: {error}");
                }
                (Ok(()), None) => {}
            }
            has_ended.set(true);
            drop(opened);
        });
        let stream = session.stream(None);
        self.by_origin.borrow_mut().entry(key).or_default().push(session);
        Ok(stream)
    }

    /// Lets go of connections that have ended, or that nobody has used for a while.
    pub(super) fn expire(&self, limits: &PoolLimits, now_ms: u64) {
        self.retain(|session| {
            session.is_usable() && !(session.is_idle() && session.idle(now_ms) > limits.idle)
        });
    }

    /// Lets go of all that nobody uses.
    pub(super) fn close_idle(&self) {
        self.retain(|session| !session.is_idle());
    }

    /// Gives no more streams of the connections that are there; those in use go on.
    pub(super) fn retire_all(&self) {
        self.by_origin.borrow_mut().clear();
    }

    fn retain(&self, keeps: impl Fn(&mut Session) -> bool) {
        self.by_origin.borrow_mut().retain(|_, sessions| {
            sessions.retain_mut(&keeps);
            !sessions.is_empty()
        });
    }
}

impl Session {
    fn is_idle(&self) -> bool {
        self.usage.in_use() == 0
    }

    /// How long nobody has asked for a stream.
    fn idle(&self, now_ms: u64) -> Duration {
        Duration::from_millis(now_ms.saturating_sub(self.used_ms))
    }

    /// Whether the origin takes another stream at once (RFC 9113 §5.1.2).
    fn has_room(&self) -> bool {
        self.usage.in_use() < self.usage.limit().min(self.send.current_max_send_streams())
    }

    fn is_usable(&mut self) -> bool {
        if self.has_ended.get() || self.usage.wants_http1() {
            return false;
        }
        // An error is an end that was seen, or a GOAWAY.
        let ready = self.send.clone().poll_ready(&mut Context::from_waker(Waker::noop()));
        !matches!(ready, Poll::Ready(Err(_)))
    }

    fn stream(&self, idle: Option<Duration>) -> Connection {
        let (reader, writer) = ask(self.send.clone(), &self.usage);
        Connection {
            reader: Reader::new(ReadHalf::Http2(Box::new(reader))),
            writer: WriteHalf::Http2(Box::new(writer)),
            peer: self.far.peer,
            idle,
            qualified: self.far.qualified.clone(),
            loan: None,
            _opened: None,
        }
    }
}
