//! Connections to origins: resolve a host, judge the addresses, dial, pool.
//!
//! Invariant: every connection that leaves here goes to an address that the caller's judge has
//! admitted, at the moment it is handed out; a pooled one is judged again, because rules change.
//! One instance per worker thread, so that a pooled connection lives where it is used.

mod dial;
mod pool;
mod resolve;
mod tls;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::net::TcpStream;

pub use pool::PoolLimits;
pub use resolve::Resolver;

use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Authority, Reader, Scheme, Stream, TargetUri, WriteHalf};

/// Limits on reaching an origin.
#[derive(Clone, Copy, Debug)]
pub struct OriginLimits {
    /// For resolving a name; default 5 s.
    pub dns_timeout: Duration,
    /// For a connection to be made, over all addresses; default 5 s.
    pub connect_timeout: Duration,
    /// For the TLS handshake on a new connection; default 10 s.
    pub tls_timeout: Duration,
    /// For idle connections.
    pub pool: PoolLimits,
}

impl Default for OriginLimits {
    fn default() -> OriginLimits {
        OriginLimits {
            dns_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            tls_timeout: Duration::from_secs(10),
            pool: PoolLimits::default(),
        }
    }
}

/// A connection to an origin.
#[derive(Debug)]
pub struct Connection {
    pub reader: Reader,
    pub writer: WriteHalf,
    pub peer: SocketAddr,
    /// How long it lay idle in the pool; `None` for a new one.
    pub idle: Option<Duration>,
}

impl Connection {
    fn new(stream: Stream, peer: SocketAddr) -> Connection {
        let (reader, writer) = stream.into_split();
        Connection { reader: Reader::new(reader), writer, peer, idle: None }
    }

    /// Whether another exchange went over it before.
    pub fn is_reused(&self) -> bool {
        self.idle.is_some()
    }
}

/// What says whether an address may be dialled.
pub trait AddressJudge {
    /// `Err` tells the client why not.
    fn judge(&self, address: SocketAddr) -> Result<(), Failure>;
}

/// The way to origins of one worker.
#[derive(Debug)]
pub struct Origins {
    clock: Clock,
    resolver: Resolver,
    limits: OriginLimits,
    /// What TLS with origins trusts; without it there is none.
    tls: Option<Arc<ClientConfig>>,
    pool: RefCell<pool::Pool>,
}

impl Origins {
    /// Without any connection yet.
    pub fn new(
        clock: Clock,
        resolver: Resolver,
        limits: OriginLimits,
        tls: Option<Arc<ClientConfig>>,
    ) -> Origins {
        Origins { clock, resolver, limits, tls, pool: RefCell::new(pool::Pool::new(limits.pool)) }
    }

    /// An idle connection to this URI's origin that is at most `idle_max` old and still open.
    pub fn idle_connection(
        &self,
        uri: &TargetUri,
        judge: &impl AddressJudge,
        idle_max: Duration,
    ) -> Option<Connection> {
        let now_ms = self.clock.monotonic_ms();
        let mut pool = self.pool.borrow_mut();
        while let Some(connection) = pool.take(uri, now_ms, idle_max) {
            if judge.judge(connection.peer).is_ok() {
                return Some(connection);
            }
        }
        None
    }

    /// A new connection to this URI's origin, by TLS where the scheme says so.
    pub async fn connect(&self, uri: &TargetUri, judge: &impl AddressJudge) -> Result<Connection, Failure> {
        match uri.scheme {
            Scheme::Http => self.connect_tunnel(&uri.authority, judge).await,
            Scheme::Https => {
                // Known before anything is dialled.
                let config = self.tls.as_ref().ok_or_else(tls::unavailable)?;
                let (stream, peer) = self.dial(&uri.authority, judge).await?;
                let shaking_hands = tls::handshake(config, &uri.authority.host, stream);
                let shaken = self.clock.timeout(self.limits.tls_timeout, shaking_hands).await;
                let stream = shaken.unwrap_or_else(|_timed_out| Err(tls::timeout()))?;
                Ok(Connection::new(stream, peer))
            }
        }
    }

    /// A new connection to this host and port, for octets as they are.
    pub async fn connect_tunnel(
        &self,
        authority: &Authority,
        judge: &impl AddressJudge,
    ) -> Result<Connection, Failure> {
        let (stream, peer) = self.dial(authority, judge).await?;
        Ok(Connection::new(Stream::Tcp(stream), peer))
    }

    /// Keeps a connection for the next request to this URI's origin. Nothing may be unread.
    pub fn keep(&self, uri: &TargetUri, mut connection: Connection) {
        if connection.reader.buffered().is_empty() {
            connection.reader.rest();
            self.pool.borrow_mut().put(uri, connection, self.clock.monotonic_ms());
        }
    }

    /// Closes connections that have been idle too long; to be called now and then.
    pub fn close_idle(&self) {
        self.pool.borrow_mut().expire(self.clock.monotonic_ms());
    }

    /// Closes all idle connections: descriptors are short.
    pub fn close_all_idle(&self) {
        *self.pool.borrow_mut() = pool::Pool::new(self.limits.pool);
    }

    async fn dial(
        &self,
        authority: &Authority,
        judge: &impl AddressJudge,
    ) -> Result<(TcpStream, SocketAddr), Failure> {
        let resolving = self.clock.timeout(self.limits.dns_timeout, self.resolver.addresses(&authority.host));
        let addresses = resolving.await.unwrap_or_else(|_| Err(dns_timeout()))?;
        let mut admitted = Vec::with_capacity(addresses.len());
        let mut refused = None;
        for ip in addresses {
            let address = SocketAddr::new(ip, authority.port);
            match judge.judge(address) {
                Ok(()) => admitted.push(address),
                Err(failure) => refused = Some(failure),
            }
        }
        match (admitted.is_empty(), refused) {
            (true, Some(failure)) => Err(failure),
            (true, None) => Err(no_address()),
            (false, _) => dial::first_to_connect(&self.clock, &admitted, self.limits.connect_timeout).await,
        }
    }
}

/// What the pool sorts connections by. With the scheme and the host it says by whose name a
/// certificate was judged.
type OriginKey = (Scheme, Authority);

fn dns_timeout() -> Failure {
    Failure::new(ErrorType::DnsTimeout, Fault::Origin, 504, "The host's name could not be resolved in time")
}

fn no_address() -> Failure {
    Failure::new(ErrorType::DnsError, Fault::Origin, 502, "The host's name has no address")
}
