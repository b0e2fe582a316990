//! Which tunnels are looked into, and which are left alone (docs/https.md).
//!
//! A host is tunnelled as it is when the configuration says so, when the authority may not sign for
//! it, when its origin asks for a certificate of the client's, and, if exceptions are learned, when
//! this client has refused Larder's certificate for it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;

use super::Shared;
use crate::error::Failure;
use crate::http::{Authority, Host, Timestamp};
use crate::policy::HostSet;
use crate::tls::{Alpn, Leaves, MintRequest};

/// How HTTPS is looked into.
#[derive(Debug)]
pub struct Interception {
    pub leaves: Leaves,
    /// Hosts that are always tunnelled.
    pub except: HostSet,
    pub blocked: BlockedHost,
    pub exceptions: Exceptions,
    distrust: Mutex<Distrust>,
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
    /// Without anything learned yet.
    pub fn new(
        leaves: Leaves,
        except: HostSet,
        blocked: BlockedHost,
        exceptions: Exceptions,
    ) -> Interception {
        Interception { leaves, except, blocked, exceptions, distrust: Mutex::default() }
    }

    /// Why a tunnel is not looked into; `None` when it is.
    pub(super) fn leaves_alone(
        &self,
        shared: &Shared,
        client: IpAddr,
        authority: &Authority,
    ) -> Option<&'static str> {
        if self.except.contains(&authority.host) {
            return Some("the host is an exception");
        }
        if !self.leaves.authority().constraints().permit(&authority.host) {
            return Some("the authority may not sign for it");
        }
        let origins = shared.origin_tls.as_ref();
        if origins.is_some_and(|tls| tls.asks_for_certificate(&authority.host, authority.port)) {
            return Some("the server asks for a certificate of the client");
        }
        self.has_learned(client, &authority.host, shared.clock.now())
            .then_some("the client does not accept a certificate of Larder's")
    }

    /// What serves this host to a client.
    pub(super) fn server_config(&self, client: IpAddr, host: &Host) -> Result<Arc<ServerConfig>, Failure> {
        let request = MintRequest { host, alpn: Alpn::Http2, client, origin_not_after: None };
        Ok(self.leaves.server_config(&request)?)
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
