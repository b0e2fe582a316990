//! A refusal: which rule, what kind of reason, and where the rule stands. A decision until it
//! ends a request; then the one conversion below makes it a [`Failure`].
//!
//! What the client reads is the rule's name and one sentence. Where the rule stands is a path or
//! an internal range, and goes to the log alone.

use std::fmt;

use crate::error::{ErrorType, Failure, Fault};

/// Why the policy refuses a client or a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The pattern in its canonical spelling, or the name of a built-in rule.
    pub rule: String,
    pub reason: RefusalReason,
    /// Where the rule stands: `FILE:LINE`, `[access] block`, `larder block`, or the built-in range.
    pub list: Option<String>,
}

/// The kinds of refusals; what the log, the metrics and the tests count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// The host or a name above it is blocked.
    BlockedHost,
    /// An expression was found in the target URI.
    BlockedUrl,
    /// The destination's address is blocked.
    BlockedAddress,
    /// The client's address is blocked.
    BlockedClient,
    /// The client is none of those that the listener admits.
    ClientNotAdmitted,
    /// CONNECT to a port that is not open to tunnels.
    Port,
    /// Any other request to a port that is not open.
    RequestPort,
    /// Larder itself.
    OwnAddress,
    /// A cloud's metadata service.
    Metadata,
    /// A private, loopback or otherwise special address, from a listener that is open to others.
    PrivateAddress,
}

impl RefusalReason {
    /// One token, for logs and labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            RefusalReason::BlockedHost => "blocked-host",
            RefusalReason::BlockedUrl => "blocked-url",
            RefusalReason::BlockedAddress => "blocked-address",
            RefusalReason::BlockedClient => "blocked-client",
            RefusalReason::ClientNotAdmitted => "client-not-admitted",
            RefusalReason::Port => "connect-port",
            RefusalReason::RequestPort => "port",
            RefusalReason::OwnAddress => "own-address",
            RefusalReason::Metadata => "metadata-address",
            RefusalReason::PrivateAddress => "private-destination",
        }
    }

    /// The sentence for the client.
    const fn public(self) -> &'static str {
        match self {
            RefusalReason::BlockedHost => "This site is blocked.",
            RefusalReason::BlockedUrl => "This address is blocked.",
            RefusalReason::BlockedAddress => "The network of this site is blocked.",
            RefusalReason::BlockedClient => "This client is blocked.",
            RefusalReason::ClientNotAdmitted => "This client is not admitted.",
            RefusalReason::Port => "Tunnels to this port are not allowed.",
            RefusalReason::RequestPort => "Requests to this port are not allowed.",
            RefusalReason::OwnAddress => "The proxy itself is not a destination.",
            RefusalReason::Metadata => "Metadata services are not a destination.",
            RefusalReason::PrivateAddress => "Private and reserved networks are not a destination here.",
        }
    }

    const fn error(self) -> ErrorType {
        match self {
            RefusalReason::BlockedAddress
            | RefusalReason::OwnAddress
            | RefusalReason::Metadata
            | RefusalReason::PrivateAddress => ErrorType::DestinationIpProhibited,
            RefusalReason::BlockedHost
            | RefusalReason::BlockedUrl
            | RefusalReason::BlockedClient
            | RefusalReason::ClientNotAdmitted
            | RefusalReason::Port
            | RefusalReason::RequestPort => ErrorType::HttpRequestDenied,
        }
    }
}

impl Refusal {
    /// A refusal by a rule that nobody wrote; its name is its reason.
    pub(super) fn built_in(reason: RefusalReason, detail: Option<String>) -> Refusal {
        Refusal { rule: reason.as_str().to_owned(), reason, list: detail }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}", self.reason.as_str(), self.rule)?;
        match &self.list {
            Some(list) => write!(f, " ({list})"),
            None => Ok(()),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let reason = refusal.reason;
        Failure::new(reason.error(), Fault::Policy, 403, reason.public())
            .with_internal(&refusal)
            .with_rule(refusal.rule)
    }
}
