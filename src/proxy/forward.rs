//! Asking an origin: the request head that leaves, the connection it leaves on, and the head
//! that comes back.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use bytes::Bytes;

use super::origin_failure::{
    malformed, malformed_head, no_answer, no_response_in_time, proxy_credentials_wanted, too_many_interim,
    truncated_head, unasked_switch,
};
use super::presence::unless_gone;
use super::record::Record;
use super::render::interim_head;
use super::waits::Waits;
use super::{Exchange, Interrupted, Proxy, Shared};
use crate::caching::{REPLACED_BY_VALIDATION, Times};
use crate::error::Failure;
use crate::http::grammar::exact_decimal;
use crate::http::write::{field, field_line, number_field};
use crate::http::{
    Authority, BodyLength, ConnectionOptions, FieldName, Host, Method, Persistence, ReadHeadError, Reader,
    Request, Response, Target, TargetUri, Version, WriteHalf, is_unprocessed, is_violation,
};
use crate::origin::{AddressJudge, Connection};
use crate::policy::ListenerScope;

/// An origin's answer, its content still to be read.
#[derive(Debug)]
pub(super) struct Reply {
    pub response: Response,
    pub connection: Connection,
    pub times: Times,
    /// How long the origin may be silent within the content.
    pub idle: Duration,
}

/// How long a pooled connection may have been idle to get a request that can't be repeated:
/// far less than any server's keep-alive time.
pub(super) const JUST_USED: Duration = Duration::from_secs(2);

/// Judges addresses by the policy in force, for a client of this listener.
pub(super) struct Judge<'a> {
    pub shared: &'a Shared,
    pub scope: ListenerScope,
    pub client: IpAddr,
    pub target: &'a Target,
}

impl AddressJudge for Judge<'_> {
    fn client(&self) -> IpAddr {
        self.client
    }

    fn judge(&self, address: SocketAddr) -> Result<(), Failure> {
        let own = &self.shared.own;
        let policy = self.shared.policy.load();
        if own.iter().any(|own| own.port() == address.port() && own.ip().is_unspecified())
            && is_local(address)
        {
            // Larder listens on all addresses of the machine, and this is one of them.
            let with_this: Vec<_> = own.iter().copied().chain([SocketAddr::new(address.ip(), 0)]).collect();
            return Ok(policy.judge_address(address, self.scope, &with_this)?);
        }
        Ok(policy.judge_address(address, self.scope, own)?)
    }

    fn judge_name(&self, name: &Host) -> Result<(), Failure> {
        let policy = self.shared.policy.load();
        match self.target {
            Target::Absolute(uri) => {
                let authority = Authority { host: name.clone(), port: uri.authority.port };
                Ok(policy.judge_target(&TargetUri { authority, ..uri.clone() })?)
            }
            Target::Authority(authority) => {
                Ok(policy.judge_connect(&Authority { host: name.clone(), port: authority.port })?)
            }
            Target::Origin(_) | Target::Asterisk => Ok(policy.judge_host(name)?),
        }
    }
}

/// Whether an address is the machine's own: the kernel then talks to it from that very address.
/// Connecting a datagram socket sends nothing.
fn is_local(address: SocketAddr) -> bool {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let local = UdpSocket::bind(any).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    // Without a descriptor to find out with, the answer is the safe one.
    local.map_or(true, |local| local.ip() == address.ip())
}

/// What a request head to the origin has beyond the client's fields.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Conditions on a stored response; they replace the client's own.
    pub validation: Vec<(FieldName, Bytes)>,
    /// The protocols that the client wants to switch to, and that Larder lets through.
    pub upgrade: Option<Vec<u8>>,
}

/// The head that goes to the origin (RFC 9112 §3.2.1: origin-form, Host from the target URI).
pub(super) fn request_head(shared: &Shared, request: &Request, uri: &TargetUri, extra: &Extra) -> Vec<u8> {
    use std::io::Write as _;
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(&uri.path_and_query);
    // Writing to a Vec does not fail.
    let _infallible = write!(out, " HTTP/1.1\r\nHost: {}\r\n", uri.host_field());
    let options = ConnectionOptions::of(&request.fields);
    let validating = !extra.validation.is_empty();
    for line in request.fields.iter() {
        let replaced = validating && REPLACED_BY_VALIDATION.contains(&line.id);
        match line.id {
            FieldName::Host | FieldName::ContentLength => {}
            FieldName::MaxForwards => max_forwards(&mut out, request, line.value),
            _ if replaced || options.ends_request_field(&line) => {}
            _ => field_line(&mut out, line.name, line.value),
        }
    }
    for (name, value) in &extra.validation {
        field(&mut out, *name, value);
    }
    match request.length {
        BodyLength::Exact(length) => number_field(&mut out, FieldName::ContentLength, length),
        BodyLength::Chunked | BodyLength::UntilClose | BodyLength::UntilEnd => {
            field(&mut out, FieldName::TransferEncoding, "chunked");
        }
        BodyLength::None => {}
    }
    if let Some(protocols) = &extra.upgrade {
        field(&mut out, FieldName::Connection, "Upgrade");
        field(&mut out, FieldName::Upgrade, protocols);
    }
    super::render::via(&mut out, request.version, shared);
    out.extend_from_slice(b"\r\n");
    out
}

/// RFC 9110 §7.6.2: forwarded by one less for TRACE and OPTIONS, ignored otherwise.
fn max_forwards(out: &mut Vec<u8>, request: &Request, value: &[u8]) {
    match exact_decimal(value) {
        Some(left) if matches!(request.method, Method::Trace | Method::Options) => {
            number_field(out, FieldName::MaxForwards, left.saturating_sub(1));
        }
        _ => field(out, FieldName::MaxForwards, value),
    }
}

/// How often a request is sent again that its origin has certainly not processed; arbitrary. A
/// connection that ends behind so many requests may end for many of them at once.
pub(super) const REPEATS_MAX: usize = 3;

/// Sends a request without content, with what its head has beyond the client's fields, and waits for the
/// head of the final response; interim ones go to the client. What the origin has not processed is sent again (RFC 9113 §8.7), and so is an
/// idempotent request whose connection was closed, once (RFC 9112 §9.3.1).
pub(super) async fn ask(
    exchange: &mut Exchange<'_>,
    uri: &TargetUri,
    extra: &Extra,
) -> Result<Reply, Interrupted> {
    let request_time = exchange.proxy.shared.clock.now();
    let mut repeats = Repeats::of(&exchange.request.method);
    // What can't be sent twice goes over a connection that is hardly about to be closed.
    let idle_max = if repeats.is_idempotent { Duration::MAX } else { JUST_USED };
    let (origins, judge) = (&exchange.proxy.origins, exchange.judge());
    let mut idle = origins.idle_connection(uri, &judge, idle_max)?;
    loop {
        let mut connection = match idle.take() {
            Some(connection) => connection,
            None => exchange.unless_gone(Box::pin(origins.connect(uri, &judge))).await??,
        };
        exchange.record.asks(&connection);
        // Rendered for each try: nobody holds it while the origin thinks.
        let head = request_head(&exchange.proxy.shared, exchange.request, uri, extra);
        let error = match send_and_wait(exchange, &mut connection, uri, head).await {
            Ok(response) => {
                let times = Times { request_time, response_time: exchange.proxy.shared.clock.now() };
                return Ok(Reply { response, connection, times, idle: exchange.waits().idle });
            }
            Err(Unanswered::Stale(error)) => error,
            Err(Unanswered::Interrupted(interrupted)) => return Err(interrupted),
        };
        if !repeats.may_repeat(&error, &connection) {
            return Err(no_answer(&error).into());
        }
        exchange.record.note("origin", format_args!("the request had no answer ({error}); asks once more"));
    }
}

/// How often a request was sent again that had no answer.
#[derive(Debug)]
pub(super) struct Repeats {
    is_idempotent: bool,
    unprocessed: usize,
    closed: usize,
}

impl Repeats {
    /// Of a request with this method: never so far.
    pub(super) fn of(method: &Method) -> Repeats {
        Repeats { is_idempotent: method.is_idempotent(), unprocessed: 0, closed: 0 }
    }

    /// Whether a request may be sent again whose connection has ended with `error` before the first octet
    /// of an answer; counts that.
    pub(super) fn may_repeat(&mut self, error: &io::Error, connection: &Connection) -> bool {
        if is_unprocessed(error) && self.unprocessed < REPEATS_MAX {
            self.unprocessed += 1;
            return true;
        }
        // The connection may have been about to go away, or the origin wants HTTP/1.1, which is known
        // by now (RFC 9113 §6.8; §7, HTTP_1_1_REQUIRED).
        let may = self.is_idempotent && self.closed < closed_max(connection);
        self.closed += usize::from(may);
        may
    }
}

/// How often an idempotent request is repeated whose connection has ended without an answer: one that was
/// new and its own says something about the origin.
fn closed_max(connection: &Connection) -> usize {
    match (connection.is_shared(), connection.is_reused()) {
        (true, _) => 2,
        (false, true) => 1,
        (false, false) => 0,
    }
}

/// Passes to an origin with HTTP/2 what a head that is rendered for both versions does not have. It says
/// `TE: trailers` where the client did (RFC 9113 §8.2.2): calls of gRPC are refused without it, and with
/// HTTP/1 the field ends at each connection. And what the client wanted in no table gets into none: an
/// intermediary "MUST" send such a field in the same way (RFC 7541 §6.2.3).
pub(super) fn pass_marks(request: &Request, connection: &mut Connection) {
    connection.writer.never_index(request.fields.never_indexed());
    let mut codings = request.fields.members(FieldName::Te);
    if codings.any(|coding| coding.eq_ignore_ascii_case(b"trailers")) {
        connection.writer.welcome_trailers();
    }
}

enum Unanswered {
    /// The connection ended before the first octet of an answer: the request may not have been
    /// seen at all.
    Stale(io::Error),
    Interrupted(Interrupted),
}

async fn send_and_wait(
    exchange: &mut Exchange<'_>,
    connection: &mut Connection,
    uri: &TargetUri,
    head: Vec<u8>,
) -> Result<Response, Unanswered> {
    let waits = exchange.waits();
    pass_marks(exchange.request, connection);
    match exchange.proxy.shared.clock.timeout(waits.idle, connection.writer.write_all(&head)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(Unanswered::Stale(error)),
        Err(_timed_out) => return Err(Unanswered::Interrupted(no_response_in_time().into())),
    }
    drop(head);
    // Interim responses are forwarded (RFC 9110 §15.2) until a final one comes.
    let mut seen = 0;
    loop {
        let (clock, asked) = (&exchange.proxy.shared.clock, (uri, &exchange.request.method));
        let head = response_head(exchange.proxy, &mut connection.reader, asked, waits, exchange.record);
        let head = unless_gone(clock, &mut exchange.client.writer, head).await;
        let response = match head.map_err(Unanswered::Interrupted)? {
            Ok(response) => response,
            Err(HeadFailure::NoOctet(error)) if seen == 0 => return Err(Unanswered::Stale(error)),
            Err(failure) => return Err(Unanswered::Interrupted(failure.into_failure().into())),
        };
        exchange.client.writer.never_index(response.fields.never_indexed());
        if response.status >= 200 {
            return Ok(response);
        }
        if response.status == 101 {
            return Err(Unanswered::Interrupted(unasked_switch().into()));
        }
        seen += 1;
        if seen > exchange.proxy.shared.limits.interim {
            return Err(Unanswered::Interrupted(too_many_interim().into()));
        }
        forward_interim(
            exchange.proxy,
            &mut exchange.client.writer,
            exchange.request.version,
            &response,
            exchange.record,
        )
        .await
        .map_err(Unanswered::Interrupted)?;
    }
}

/// Sends an interim response on, unless the client speaks HTTP/1.0, which has none.
pub(super) async fn forward_interim(
    proxy: &Proxy,
    writer: &mut WriteHalf,
    client: Version,
    response: &Response,
    record: &mut Record,
) -> Result<(), Interrupted> {
    if client == Version::Http10 {
        return Ok(());
    }
    let head = interim_head(&proxy.shared, response);
    record.sent(head.len() as u64);
    let writing = proxy.shared.clock.timeout(proxy.shared.limits.idle, writer.write_all(&head));
    match writing.await {
        Ok(written) => written.map_err(Interrupted::ClientGone),
        Err(_timed_out) => Err(Interrupted::ClientGone(io::ErrorKind::TimedOut.into())),
    }
}

/// Why there is no response head.
pub(super) enum HeadFailure {
    /// Nothing came in time.
    TimedOut,
    /// The connection ended before the first octet.
    NoOctet(io::Error),
    Failed(Failure),
}

impl HeadFailure {
    /// As what the client is told.
    pub(super) fn into_failure(self) -> Failure {
        match self {
            HeadFailure::TimedOut => no_response_in_time(),
            HeadFailure::NoOctet(error) => no_answer(&error),
            HeadFailure::Failed(failure) => failure,
        }
    }
}

/// Reads one response head within the time that an origin has for it.
pub(super) async fn response_head(
    proxy: &Proxy,
    reader: &mut Reader,
    (uri, method): (&TargetUri, &Method),
    waits: Waits,
    record: &mut Record,
) -> Result<Response, HeadFailure> {
    let limits = &proxy.shared.limits;
    let how = proxy.shared.reading(uri);
    let reading = reader.response_head(method, &limits.response_head, how);
    let error = match proxy.shared.clock.timeout(waits.response, reading).await {
        Ok(Ok(response)) => {
            record.received_from_origin(response.head_bytes);
            return match response.status {
                407 => Err(HeadFailure::Failed(proxy_credentials_wanted())),
                _ => Ok(response),
            };
        }
        Ok(Err(error)) => error,
        Err(_timed_out) => {
            record.received_from_origin(reader.octets_without_head());
            return Err(HeadFailure::TimedOut);
        }
    };
    record.received_from_origin(reader.octets_without_head());
    Err(match error {
        ReadHeadError::Closed => HeadFailure::NoOctet(io::ErrorKind::UnexpectedEof.into()),
        // That was an answer, and asking again would get another one like it.
        ReadHeadError::Io(error) if is_violation(&error) => HeadFailure::Failed(malformed(error)),
        ReadHeadError::Io(error) if reader.buffered().is_empty() => HeadFailure::NoOctet(error),
        ReadHeadError::Io(error) => HeadFailure::Failed(no_answer(&error)),
        ReadHeadError::Truncated => HeadFailure::Failed(truncated_head()),
        ReadHeadError::Malformed(error) => HeadFailure::Failed(malformed_head(error)),
    })
}

/// Puts a connection back into the pool, if its state is certain.
pub(super) fn keep(proxy: &Proxy, uri: &TargetUri, persistence: Persistence, connection: Connection) {
    if let Persistence::Open(open_max) = persistence {
        proxy.origins.keep(uri, connection, open_max);
    }
}
