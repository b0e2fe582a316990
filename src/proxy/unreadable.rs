//! What can't be inspected in a tunnel: whether it passes, and how a tunnel is refused that is open
//! already.
//!
//! It passes if `[intercept] unreadable` says so, but never to a host that a rule for URLs, paths or
//! methods is about: such a rule could not be applied.

use super::{Exchange, Interception, Next, Shared, Unreadable};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Authority, Host, Scheme, TargetUri};

/// Alerts of TLS that end a tunnel (RFC 8446 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    AccessDenied = 49,
    DecodeError = 50,
    InternalError = 80,
    UnrecognizedName = 112,
}

impl Alert {
    /// A fatal alert as it goes out before any handshake: in the clear.
    const fn record(self) -> [u8; 7] {
        const FATAL: u8 = 2;
        [21, 3, 3, 0, 2, FATAL, self as u8]
    }
}

/// Whether what can't be inspected is refused for this destination.
pub(super) fn is_refused(shared: &Shared, interception: &Interception, authority: &Authority) -> bool {
    interception.unreadable == Unreadable::Refuse || has_rule_about(shared, authority)
}

/// Whether some rule is about URLs, paths or methods of this destination.
pub(super) fn has_rule_about(shared: &Shared, authority: &Authority) -> bool {
    shared.policy.load().has_url_rule_about(authority) || shared.has_path_rule_about(&authority.host)
}

/// Why such a tunnel is refused.
pub(super) fn refusal(why: &'static str) -> Failure {
    let public = "What this tunnel carries can't be inspected, which a rule for this host needs";
    let failure = Failure::new(ErrorType::HttpRequestDenied, Fault::Policy, 403, public);
    failure.with_internal(why).with_rule("intercept.unreadable")
}

/// Judges the name in a ClientHello as the destination that it is for the server at the other end.
pub(super) fn judge_name(shared: &Shared, name: &Host, port: u16) -> Result<(), Failure> {
    let authority = Authority { host: name.clone(), port };
    let path_and_query = bytes::Bytes::from_static(b"/");
    let uri = TargetUri { scheme: Scheme::Https, authority, path_and_query };
    Ok(shared.policy.load().judge_target(&uri)?)
}

/// Refuses a tunnel in which the client has begun TLS: by an alert, which arrives because the
/// connection is closed in order.
pub(super) async fn refuse_tls(exchange: &mut Exchange<'_>, alert: Alert, failure: Failure) -> Next {
    let rule = failure.rule.as_deref().unwrap_or("none");
    tracing::info!("a tunnel of {} is refused (rule {rule}): {failure}", exchange.client.peer);
    send_alert(exchange.client, alert).await;
    exchange.record.cut(failure);
    Next::Close
}

/// Sends an alert to a client that has not begun a handshake. It fits any socket's buffer.
pub(super) async fn send_alert(client: &mut super::Client, alert: Alert) {
    // Who is gone is not told.
    let _best_effort = client.writer.write_all(&alert.record()).await;
}
