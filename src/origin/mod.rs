//! Connections to origins: resolve a host, judge the addresses, dial, pool.
//!
//! Invariant: every connection that leaves here goes to an address that the caller's judge has
//! admitted, at the moment it is handed out; a pooled one is judged again, because rules change. When the
//! machine's names have changed, no connection that was made before is handed out.
//! One instance per worker thread, so that a pooled connection lives where it is used.

mod dial;
mod dns;
mod http2;
mod lending;
mod name_files;
mod pool;
mod resolve;
mod tls;

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use dial::Candidates;
pub use lending::Lending;
pub use name_files::NameFiles;
pub use pool::PoolLimits;
pub use resolve::{Resolver, System};

use crate::budget::Budget;
use crate::clock::Clock;
use crate::error::Failure;
use crate::http::{Authority, Host, Reader, Scheme, Stream, TargetUri, WriteHalf};
use crate::tls::{Alpn, OriginTls};
use lending::{Loan, Opened};

/// Limits on reaching an origin.
#[derive(Clone, Copy, Debug)]
pub struct OriginLimits {
    /// For resolving a name; default 5 s.
    pub dns_timeout: Duration,
    /// For a connection to be made, over all addresses; default 5 s.
    pub connect_timeout: Duration,
    /// For the TLS handshake on a new connection; default 10 s.
    pub tls_timeout: Duration,
    /// Exchanges that ask an origin at once; default 16,384, less where descriptors are short.
    pub exchanges_max: usize,
    /// Of them, those of one client; default 4,096.
    pub exchanges_per_client_max: usize,
    /// Connections, in use and idle; default 16,384, less where descriptors are short.
    pub connections_max: usize,
    /// Of them, those to one origin; default 4,096.
    pub connections_per_origin_max: usize,
    /// For idle connections.
    pub pool: PoolLimits,
}

impl Default for OriginLimits {
    fn default() -> OriginLimits {
        OriginLimits {
            dns_timeout: Duration::from_secs(5),
            connect_timeout: Duration::from_secs(5),
            tls_timeout: Duration::from_secs(10),
            exchanges_max: 16_384,
            exchanges_per_client_max: 4_096,
            connections_max: 16_384,
            connections_per_origin_max: 4_096,
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
    // Boxed: connections are moved about, and these lie still.
    loan: Option<Box<Loan>>,
    _opened: Option<Box<Opened>>,
    /// The name that a search domain made of the host's.
    qualified: Option<Host>,
}

/// The address that a connection was made to, and the name that a search domain made of the host's.
#[derive(Clone, Debug)]
struct Far {
    peer: SocketAddr,
    qualified: Option<Host>,
}

impl Far {
    fn judge(&self, judge: &impl AddressJudge) -> Result<(), Failure> {
        self.qualified.as_ref().map_or(Ok(()), |name| judge.judge_name(name))?;
        judge.judge(self.peer)
    }
}

impl Connection {
    fn new(stream: Stream, far: Far, opened: Opened) -> Connection {
        let (reader, writer) = stream.into_split();
        let (reader, opened) = (Reader::new(reader), Some(Box::new(opened)));
        let Far { peer, qualified } = far;
        Connection { reader, writer, peer, idle: None, loan: None, _opened: opened, qualified }
    }

    fn far(&self) -> Far {
        Far { peer: self.peer, qualified: self.qualified.clone() }
    }

    fn lent(self, loan: Loan, budget: &Budget) -> Connection {
        let mut lent = Connection { loan: Some(Box::new(loan)), ..self };
        lent.reader.charge_to(budget);
        lent
    }

    /// Whether it is one stream of a connection that others use, too: HTTP/2.
    pub fn is_shared(&self) -> bool {
        self.writer.frames_content()
    }

    /// Whether another exchange went over it before.
    pub fn is_reused(&self) -> bool {
        self.idle.is_some()
    }
}

/// Who asks, and what says whether an address may be dialled.
pub trait AddressJudge {
    /// The client that a connection is for.
    fn client(&self) -> IpAddr;

    /// `Err` tells the client why not.
    fn judge(&self, address: SocketAddr) -> Result<(), Failure>;

    /// The same of the name that a search domain made of the one that was asked for: whether what is asked
    /// may be asked of it, too.
    fn judge_name(&self, name: &Host) -> Result<(), Failure>;
}

/// The way to origins of one worker.
#[derive(Debug)]
pub struct Origins {
    clock: Clock,
    resolver: Resolver,
    limits: OriginLimits,
    /// What TLS with origins trusts; without it there is none.
    tls: Option<Arc<OriginTls>>,
    lending: Lending,
    budget: Budget,
    pool: RefCell<pool::Pool>,
    http2: http2::Sessions,
}

impl Origins {
    /// Without any connection yet.
    pub fn new(
        clock: Clock,
        resolver: Resolver,
        limits: OriginLimits,
        tls: Option<Arc<OriginTls>>,
        (lending, budget): (Lending, Budget),
    ) -> Origins {
        Origins {
            clock,
            resolver,
            limits,
            tls,
            lending,
            budget,
            pool: RefCell::new(pool::Pool::new(limits.pool)),
            http2: http2::Sessions::default(),
        }
    }

    /// An idle connection to this URI's origin that is at most `idle_max` old and still open.
    pub fn idle_connection(
        &self,
        uri: &TargetUri,
        judge: &impl AddressJudge,
        idle_max: Duration,
    ) -> Result<Option<Connection>, Failure> {
        let loan = self.lending.lend(judge.client())?;
        let found = self.take_idle(uri, judge, idle_max);
        Ok(found.map(|connection| connection.lent(loan, &self.budget)))
    }

    fn take_idle(
        &self,
        uri: &TargetUri,
        judge: &impl AddressJudge,
        idle_max: Duration,
    ) -> Option<Connection> {
        if self.resolver.has_changed(&self.clock) {
            *self.pool.borrow_mut() = pool::Pool::new(self.limits.pool);
            self.http2.retire_all();
        }
        let now_ms = self.clock.monotonic_ms();
        if uri.scheme == Scheme::Https {
            let idle_max = idle_max.min(self.limits.pool.idle);
            if let Some(stream) = self.http2.take(&key(uri), judge, idle_max, now_ms) {
                return Some(stream);
            }
        }
        let mut pool = self.pool.borrow_mut();
        while let Some(connection) = pool.take(uri, now_ms, idle_max) {
            if connection.far().judge(judge).is_ok() {
                return Some(connection);
            }
        }
        None
    }

    /// A new connection to this URI's origin, by TLS where the scheme says so.
    pub async fn connect(&self, uri: &TargetUri, judge: &impl AddressJudge) -> Result<Connection, Failure> {
        let loan = self.lending.lend(judge.client())?;
        Ok(self.connect_any(uri, judge).await?.lent(loan, &self.budget))
    }

    async fn connect_any(&self, uri: &TargetUri, judge: &impl AddressJudge) -> Result<Connection, Failure> {
        match uri.scheme {
            Scheme::Http => self.connect_plain(&uri.authority, judge).await,
            Scheme::Https => {
                let key = key(uri);
                if let Some(stream) = self.http2.take(&key, judge, JUST_USED, self.clock.monotonic_ms()) {
                    return Ok(stream);
                }
                let alpn = if self.http2.wants_http1(&key) { Alpn::Http1 } else { Alpn::Http2 };
                let (stream, far, opened) = self.connect_tls(&uri.authority, judge, alpn).await?;
                if stream.protocol() != b"h2" {
                    return Ok(Connection::new(stream, far, opened));
                }
                // Another request may have made one meanwhile.
                match self.http2.take(&key, judge, JUST_USED, self.clock.monotonic_ms()) {
                    Some(stream) => Ok(stream),
                    None => self.http2.establish(key, (stream, far, opened), &self.clock).await,
                }
            }
        }
    }

    /// As [`Origins::connect`], for a connection that is not shared: one of HTTP/1.
    pub async fn connect_http1(
        &self,
        uri: &TargetUri,
        judge: &impl AddressJudge,
    ) -> Result<Connection, Failure> {
        let loan = self.lending.lend(judge.client())?;
        let connection = match uri.scheme {
            Scheme::Http => self.connect_plain(&uri.authority, judge).await?,
            Scheme::Https => {
                let (stream, far, opened) = self.connect_tls(&uri.authority, judge, Alpn::Http1).await?;
                Connection::new(stream, far, opened)
            }
        };
        Ok(connection.lent(loan, &self.budget))
    }

    async fn connect_tls(
        &self,
        authority: &Authority,
        judge: &impl AddressJudge,
        alpn: Alpn,
    ) -> Result<(Stream, Far, Opened), Failure> {
        // Known before anything is dialled.
        let tls = self.tls.as_ref().ok_or_else(tls::unavailable)?;
        let (stream, far, mut opened) = self.dial((Scheme::Https, authority), judge).await?;
        self.lending.begin_tls(&mut opened)?;
        let shaking_hands = tls::handshake(tls, authority, stream, alpn);
        let shaken = self.clock.timeout(self.limits.tls_timeout, shaking_hands).await;
        let stream = shaken.unwrap_or_else(|_timed_out| Err(tls::timeout()))?;
        Ok((stream, far, opened))
    }

    /// A new connection to this host and port, for octets as they are.
    pub async fn connect_tunnel(
        &self,
        authority: &Authority,
        judge: &impl AddressJudge,
    ) -> Result<Connection, Failure> {
        let loan = self.lending.lend(judge.client())?;
        Ok(self.connect_plain(authority, judge).await?.lent(loan, &self.budget))
    }

    async fn connect_plain(
        &self,
        authority: &Authority,
        judge: &impl AddressJudge,
    ) -> Result<Connection, Failure> {
        let (stream, far, opened) = self.dial((Scheme::Http, authority), judge).await?;
        Ok(Connection::new(Stream::Tcp(stream), far, opened))
    }

    /// A new connection to this host and port within TLS, for octets of another protocol than HTTP, of
    /// which these are offered by ALPN.
    pub async fn connect_tls_tunnel(
        &self,
        authority: &Authority,
        judge: &impl AddressJudge,
        offered: &[Vec<u8>],
    ) -> Result<Connection, Failure> {
        let tls = self.tls.as_ref().ok_or_else(tls::unavailable)?;
        let loan = self.lending.lend(judge.client())?;
        let (stream, far, mut opened) = self.dial((Scheme::Https, authority), judge).await?;
        self.lending.begin_tls(&mut opened)?;
        let shaking_hands = tls::handshake_offering(tls, authority, stream, offered);
        let shaken = self.clock.timeout(self.limits.tls_timeout, shaking_hands).await;
        let stream = shaken.unwrap_or_else(|_timed_out| Err(tls::timeout()))?;
        Ok(Connection::new(stream, far, opened).lent(loan, &self.budget))
    }

    /// Keeps a connection for the next request to this URI's origin, which says that it keeps it for
    /// `open_max`. Nothing may be unread.
    pub fn keep(&self, uri: &TargetUri, mut connection: Connection, open_max: Option<Duration>) {
        // A stream of HTTP/2 is used once; its connection is shared.
        if connection.reader.buffered().is_empty() && !connection.is_shared() {
            connection.loan = None;
            connection.reader.rest();
            let idle = pool::Idle::new(connection, self.clock.monotonic_ms(), open_max);
            self.pool.borrow_mut().put(uri, idle);
        }
    }

    /// Closes connections that have been idle too long; to be called now and then.
    pub fn close_idle(&self) {
        let now_ms = self.clock.monotonic_ms();
        self.pool.borrow_mut().expire(now_ms);
        self.http2.expire(&self.limits.pool, now_ms);
    }

    /// Closes all idle connections: descriptors are short.
    pub fn close_all_idle(&self) {
        *self.pool.borrow_mut() = pool::Pool::new(self.limits.pool);
        self.http2.close_idle();
    }

    async fn dial(
        &self,
        (scheme, authority): (Scheme, &Authority),
        judge: &impl AddressJudge,
    ) -> Result<(TcpStream, Far, Opened), Failure> {
        let key = (scheme, authority.clone());
        let opened = match self.lending.spare(&key) {
            Some(opened) => opened,
            None => {
                // Idle ones are worth less than this one.
                self.close_all_idle();
                self.lending.open(&key).map_err(|full| self.lending.refused(full))?
            }
        };
        let (candidates, qualified) = self.candidates(authority, judge).await?;
        let limit = self.limits.connect_timeout;
        let places = dial::Reserved { first: opened, more: &|| self.lending.spare(&key) };
        let dial::Connected { stream, peer, place } =
            dial::first_to_connect(&self.clock, candidates, limit, places).await?;
        Ok((stream, Far { peer, qualified }, place))
    }

    /// The addresses of a host that may be dialled, as far as they are known now; there is at least one.
    pub async fn admitted(
        &self,
        authority: &Authority,
        judge: &impl AddressJudge,
    ) -> Result<Vec<SocketAddr>, Failure> {
        self.candidates(authority, judge).await.map(|(candidates, _)| candidates.now)
    }

    async fn candidates<'a>(
        &self,
        authority: &Authority,
        judge: &'a impl AddressJudge,
    ) -> Result<(Candidates<'a>, Option<Host>), Failure> {
        let resolving = self.clock.timeout(self.limits.dns_timeout, self.resolve(authority, judge));
        resolving.await.unwrap_or_else(|_timed_out| Err(dns::timed_out(authority.host.as_str())))
    }

    /// Resolves a host, and judges what was found: the name that it is short for, and each address.
    async fn resolve<'a>(
        &self,
        authority: &Authority,
        judge: &'a impl AddressJudge,
    ) -> Result<(Candidates<'a>, Option<Host>), Failure> {
        let port = authority.port;
        let mut found = self.resolver.find(&self.clock, &authority.host).await?;
        if let Some(qualified) = &found.qualified {
            judge.judge_name(qualified)?;
        }
        let mut judged = judge_all(std::mem::take(&mut found.addresses), port, judge);
        if judged.is_err()
            && let Some(later) = found.later.take()
        {
            // The family that came first is closed; the other one may be open.
            let addresses = later.await;
            judged = if addresses.is_empty() { judged } else { judge_all(addresses, port, judge) };
        }
        let later = found.later.map(|later| -> Pin<Box<dyn Future<Output = Vec<SocketAddr>> + 'a>> {
            Box::pin(async move { judge_all(later.await, port, judge).unwrap_or_default() })
        });
        Ok((Candidates { now: judged?, later }, found.qualified))
    }
}

/// Those of the addresses that may be dialled, of which there is at least one; or why not the last one.
fn judge_all(
    addresses: Vec<IpAddr>,
    port: u16,
    judge: &impl AddressJudge,
) -> Result<Vec<SocketAddr>, Failure> {
    let mut admitted = Vec::with_capacity(addresses.len());
    let mut refused = None;
    for address in addresses.into_iter().map(|ip| SocketAddr::new(ip, port)) {
        match judge.judge(address) {
            Ok(()) => admitted.push(address),
            Err(failure) => refused = Some(failure),
        }
    }
    match (admitted.is_empty(), refused) {
        (true, Some(failure)) => Err(failure),
        (true, None) => Err(dns::Unresolved::NoAddress.failure("")),
        (false, _) => Ok(admitted),
    }
}

/// What the pool sorts connections by. With the scheme and the host it says by whose name a
/// certificate was judged.
pub type OriginKey = (Scheme, Authority);

fn key(uri: &TargetUri) -> OriginKey {
    (uri.scheme, uri.authority.clone())
}

/// How long a connection with HTTP/2 may have been idle to be used where another could be made:
/// far less than any server's keep-alive time.
const JUST_USED: Duration = Duration::from_secs(2);
