//! Which tunnels are intercepted, and which are left alone (docs/https.md).
//!
//! A host is tunnelled as it is when the configuration says so, when the authority may not sign for
//! it, when its origin does not do without a certificate of the client's, and, if exceptions are
//! learned, when this client has refused Larder's certificate for it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Shared;
use crate::http::{Authority, Host, Timestamp};
use crate::policy::HostSet;
use crate::tls::Leaves;

/// What becomes of a tunnel whose content can't be inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its octets pass unseen.
    Tunnel,
    Refuse,
}

/// How HTTPS is intercepted.
#[derive(Debug)]
pub struct Interception {
    pub leaves: Leaves,
    /// Hosts that are always tunnelled.
    pub except: HostSet,
    pub blocked: BlockedHost,
    pub exceptions: Exceptions,
    pub intercepted: Intercepted,
    /// What becomes of tunnels that can't be inspected.
    pub unreadable: Unreadable,
    distrust: Mutex<Distrust>,
}

/// Whose HTTPS is intercepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intercepted {
    All,
    /// Blocked hosts alone, to show why.
    Blocked,
}

/// Why a tunnel is not intercepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftAlone {
    /// The configuration names it.
    Exception,
    /// Only blocked hosts are intercepted.
    NotBlocked,
    NotPermitted,
    NeedsCertificate,
    Distrusted,
}

impl LeftAlone {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            LeftAlone::Exception => "the host is an exception",
            LeftAlone::NotBlocked => "only blocked hosts are intercepted",
            LeftAlone::NotPermitted => "the authority may not sign for it",
            LeftAlone::NeedsCertificate => "the server wants a certificate of the client",
            LeftAlone::Distrusted => "the client does not accept Larder's certificate",
        }
    }
}

/// What a client gets that opens a tunnel to a blocked host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedHost {
    /// A refusal of the CONNECT, which browsers show as a broken connection.
    Refused,
    /// The page that says so, within TLS.
    Page,
}

/// Whether a client that does not accept Larder's certificate for a host is given a tunnel to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceptions {
    Configured,
    Learned,
}

/// Refusals of one host's certificate by one client before it is given a tunnel: one may be a
/// person who looks at the warning of a browser. Arbitrary.
const REFUSALS: u32 = 2;
/// How long such a tunnel is given, in seconds, and within which time the refusals count. Arbitrary.
const LEARNED_S: u64 = 3600;
/// Clients and hosts that are remembered; arbitrary.
const REMEMBERED: usize = 4096;

/// Who has refused Larder's certificate.
#[derive(Debug, Default)]
struct Distrust {
    by: HashMap<(IpAddr, Host), Refusals>,
    /// Hosts of which the diagnostics have told.
    told: HashSet<Host>,
}

#[derive(Debug)]
struct Refusals {
    count: u32,
    since: Timestamp,
}

impl Interception {
    /// Of all hosts, without anything learned yet. What can't be inspected is tunnelled.
    pub fn new(
        leaves: Leaves,
        except: HostSet,
        blocked: BlockedHost,
        exceptions: Exceptions,
    ) -> Interception {
        let (intercepted, unreadable) = (Intercepted::All, Unreadable::Tunnel);
        let distrust = Mutex::default();
        Interception { leaves, except, blocked, exceptions, intercepted, unreadable, distrust }
    }

    /// Why a tunnel is not intercepted; `None` when it is.
    pub(super) fn leaves_alone(
        &self,
        shared: &Shared,
        client: IpAddr,
        authority: &Authority,
        is_blocked: bool,
    ) -> Option<LeftAlone> {
        if self.intercepted == Intercepted::Blocked && !is_blocked {
            return Some(LeftAlone::NotBlocked);
        }
        if self.except.contains(&authority.host) {
            return Some(LeftAlone::Exception);
        }
        if !self.leaves.authority().constraints().permit(&authority.host) {
            return Some(LeftAlone::NotPermitted);
        }
        let origins = shared.origin_tls.as_ref();
        if origins.is_some_and(|tls| tls.needs_certificate(&authority.host, authority.port)) {
            return Some(LeftAlone::NeedsCertificate);
        }
        self.has_learned(client, &authority.host, shared.clock.now()).then_some(LeftAlone::Distrusted)
    }

    /// Remembers that a client has refused the certificate for a host, and says so once for each host.
    pub(super) fn refused_by(&self, client: IpAddr, host: &Host, now: Timestamp) {
        let mut distrust = self.lock();
        if distrust.told.len() < REMEMBERED && distrust.told.insert(host.detached()) {
            tracing::warn!(
                "{host}: a client ({client}) does not accept Larder's certificate: either the authority is \
                 not installed there, or the program pins its own; then \"{host}\" belongs into \
                 intercept.except"
            );
        }
        if self.exceptions == Exceptions::Configured {
            return;
        }
        if distrust.by.len() >= REMEMBERED {
            distrust.by.retain(|_, refusals| !refusals.is_over(now));
        }
        if distrust.by.len() < REMEMBERED {
            let refusals = distrust.by.entry((client, host.detached()));
            let refusals = refusals.or_insert(Refusals { count: 0, since: now });
            if refusals.is_over(now) {
                *refusals = Refusals { count: 0, since: now };
            }
            refusals.count += 1;
            // The tunnel is given for the whole time, from the last refusal on.
            refusals.since = now;
        }
    }

    fn has_learned(&self, client: IpAddr, host: &Host, now: Timestamp) -> bool {
        if self.exceptions == Exceptions::Configured {
            return false;
        }
        let distrust = self.lock();
        let refusals = distrust.by.get(&(client, host.clone()));
        refusals.is_some_and(|refusals| refusals.count >= REFUSALS && !refusals.is_over(now))
    }

    fn lock(&self) -> MutexGuard<'_, Distrust> {
        // Numbers and names that are changed together without a panic between them.
        self.distrust.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Refusals {
    fn is_over(&self, now: Timestamp) -> bool {
        now.seconds_since(self.since) >= LEARNED_S
    }
}
