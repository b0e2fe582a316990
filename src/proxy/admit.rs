//! The first questions about a request: is it for Larder itself, does it run in a circle, and
//! does the policy admit it?

use super::local::Answer;
use super::{BlockedHost, Exchange, Interception, Shared};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::grammar::exact_decimal;
use crate::http::{Authority, FieldName, Method, Request, Scheme, Target, TargetUri};
use crate::policy::{PortOf, Refusal, RefusalReason};

/// Where an admitted request goes.
pub(super) enum Admitted {
    /// To its origin, or to what is stored.
    Forward(TargetUri),
    /// A tunnel; or a look into one that says why there is none.
    Tunnel(Authority, Option<Failure>),
    /// Nowhere: Larder answers itself.
    Local(Answer),
}

/// More intermediaries than this in `Via` are a circle, whatever they call themselves.
const VIA_MAX: usize = 16;

/// The name under which Larder answers itself, through the proxy.
pub(super) const OWN_NAME: &str = "larder.proxy";

/// Says where the request goes, or why nowhere.
pub(super) fn admit(exchange: &Exchange<'_>) -> Result<Admitted, Failure> {
    let Exchange { proxy, client, request, record } = exchange;
    let shared = &proxy.shared;
    let policy = shared.policy.load();
    policy.admit_client(client.peer.ip(), client.scope)?;
    refuse_loop(shared, request)?;
    let admitted = match &request.target {
        Target::Origin(_) => return Err(not_an_origin()),
        Target::Asterisk => Admitted::Local(Answer::Options),
        // Some clients open a tunnel for plain HTTP, too.
        Target::Authority(authority)
            if authority.host.as_str() == OWN_NAME && authority.port != Scheme::Http.default_port() =>
        {
            return Err(own_name_in_tunnel());
        }
        Target::Authority(authority) => {
            let blocked = match policy.judge_connect(authority) {
                Ok(()) => None,
                Err(refusal) if shows_page(shared, &refusal) => Some(refusal.into()),
                Err(refusal) => return Err(refusal.into()),
            };
            Admitted::Tunnel(authority.clone(), blocked)
        }
        Target::Absolute(uri) => {
            if is_last_hop(request)? {
                return Ok(Admitted::Local(Answer::last_hop(&request.method)));
            }
            if uri.authority.host.as_str() == OWN_NAME {
                return Ok(Admitted::Local(Answer::OwnPage(uri.path_and_query.clone())));
            }
            policy.judge_target(uri)?;
            let of = if client.inside.is_some() { PortOf::Tunnel } else { PortOf::Request };
            policy.judge_port(uri.authority.port, of)?;
            Admitted::Forward(uri.clone())
        }
    };
    record.note("policy", "admitted");
    Ok(admitted)
}

/// Whether a page within TLS says why a host is blocked. A closed port is no host.
fn shows_page(shared: &Shared, refusal: &Refusal) -> bool {
    let shows = |interception: &Interception| interception.blocked == BlockedHost::Page;
    refusal.reason != RefusalReason::Port && shared.intercept.as_ref().is_some_and(shows)
}

/// RFC 9110 §7.6.2: with `Max-Forwards: 0` the recipient is the last one. The field means
/// something on TRACE and OPTIONS only.
fn is_last_hop(request: &Request) -> Result<bool, Failure> {
    if !matches!(request.method, Method::Trace | Method::Options) {
        return Ok(false);
    }
    let mut values = request.fields.all(FieldName::MaxForwards);
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(value), None) => exact_decimal(value).map(|left| left == 0).ok_or_else(bad_max_forwards),
        _ => Err(bad_max_forwards()),
    }
}

/// RFC 9110 §7.6.3: a received `Via` with one's own name in it is a loop.
fn refuse_loop(shared: &Shared, request: &Request) -> Result<(), Failure> {
    if !request.fields.contains(FieldName::Via) {
        return Ok(());
    }
    let mut hops = 0;
    for member in request.fields.members(FieldName::Via) {
        hops += 1;
        let received_by =
            member.split(|byte| byte.is_ascii_whitespace()).filter(|part| !part.is_empty()).nth(1);
        if received_by.is_some_and(|name| name.eq_ignore_ascii_case(shared.pseudonym.as_bytes()))
            || hops > VIA_MAX
        {
            let public = "The request has come back to this proxy";
            return Err(Failure::new(ErrorType::ProxyLoopDetected, Fault::Client, 508, public));
        }
    }
    Ok(())
}

fn not_an_origin() -> Failure {
    let public = "This is a proxy, not a web server: enter its address in the proxy settings of your program";
    Failure::new(ErrorType::HttpRequestError, Fault::Client, 400, public)
}

fn own_name_in_tunnel() -> Failure {
    let public = "Larder's own page is http://larder.proxy/, without https";
    Failure::new(ErrorType::HttpRequestDenied, Fault::Client, 404, public)
}

fn bad_max_forwards() -> Failure {
    Failure::new(ErrorType::HttpRequestError, Fault::Client, 400, "Max-Forwards is not one number")
}
