//! Leaves in use: each host's certificate, made when it is first asked for, kept, renewed before
//! its end; and the `ServerConfig` that a connection is served with.
//!
//! Every host has its own session tickets, made in memory and rotated by rustls: what one host's
//! session was resumed with says nothing to another host's. A connection whose SNI is another
//! host's than its CONNECT gets no certificate.
//!
//! The lock is held for a look-up or to put one in, never while a signature is made.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Host, Timestamp};

use super::authority::Authority;
use super::leaf::{self, LeafKey};
use super::mint_limit::{Exceeded, MintLimit};
use super::tickets::Tickets;
use super::{Alpn, server_config};

/// Hosts with a leaf at a time. Each takes some 5 KiB with its tickets' keys.
const LEAVES_MAX: usize = 1000;

/// Between two tries of who waits for a new leaf; the rates of `mint_limit.rs` give some in it.
const RETRY: Duration = Duration::from_millis(50);

/// For whom a leaf is asked for, and what it may not outlive.
#[derive(Clone, Copy, Debug)]
pub struct MintRequest<'a> {
    pub host: &'a Host,
    pub alpn: Alpn,
    /// Who asks, for the limit on new leaves.
    pub client: IpAddr,
    /// The end of the origin's own certificate, where it is known.
    pub origin_not_after: Option<Timestamp>,
}

/// Why there is no leaf.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    #[error("the authority's name constraints don't permit {0}")]
    NotPermitted(String),
    #[error("this client requested too many new certificates; try again in a few seconds")]
    TooManyForClient,
    #[error("too many new certificates were requested; try again in a few seconds")]
    TooMany,
    #[error("the authority's or the origin's certificate has expired")]
    Expired,
    #[error("no certificate can be made: {0}")]
    Making(String),
}

/// The leaves of one authority.
pub struct Leaves {
    authority: Arc<Authority>,
    key: LeafKey,
    clock: Clock,
    base: ServerConfig,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    leaves: HashMap<Host, Leaf>,
    limit: MintLimit,
    /// Counts look-ups: the leaf with the lowest number is the one used longest ago.
    uses: u64,
}

struct Leaf {
    configs: Configs,
    not_after: Timestamp,
    /// From here on a new one is made, if that would last longer.
    renew_at: Timestamp,
    used: u64,
}

#[derive(Clone)]
struct Configs {
    http1: Arc<ServerConfig>,
    http2: Arc<ServerConfig>,
    without: Arc<ServerConfig>,
    ticketer: Arc<dyn ProducesTickets>,
}

impl Leaves {
    /// Leaves signed by this authority. Makes the key that all of them share.
    pub fn new(authority: impl Into<Arc<Authority>>, clock: Clock) -> Result<Leaves, MintError> {
        let base = server_config(clock.clone(), Arc::new(NoLeaf));
        let base = base.map_err(|error| MintError::Making(error.to_string()))?;
        let key = LeafKey::generate().map_err(MintError::Making)?;
        Ok(Leaves { authority: authority.into(), key, clock, base, kept: Mutex::default() })
    }

    /// The authority that signs.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// As [`Leaves::server_config`], but waits while too many new ones are asked for. Without a limit
    /// of its own.
    pub async fn server_config_in_time(
        &self,
        request: &MintRequest<'_>,
    ) -> Result<Arc<ServerConfig>, MintError> {
        loop {
            match self.server_config(request) {
                Err(MintError::TooManyForClient | MintError::TooMany) => self.clock.sleep(RETRY).await,
                answer => return answer,
            }
        }
    }

    /// What serves one host. Costs a look-up; for a new host, one signature.
    pub fn server_config(&self, request: &MintRequest<'_>) -> Result<Arc<ServerConfig>, MintError> {
        let now = self.clock.now();
        let not_after = leaf::end(&self.authority, request.origin_not_after, now);
        if not_after <= now {
            return Err(MintError::Expired);
        }
        if !self.authority.constraints().permit(request.host) {
            return Err(MintError::NotPermitted(request.host.to_string()));
        }
        let earlier = {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            match kept.find(request.host) {
                Some(leaf) if leaf.is_good(not_after, request.origin_not_after, now) => {
                    return Ok(leaf.configs.of(request.alpn));
                }
                found => {
                    let ticketer = found.map(|leaf| Arc::clone(&leaf.configs.ticketer));
                    kept.limit.take(request.client, self.clock.monotonic_ms()).map_err(MintError::from)?;
                    ticketer
                }
            }
        };
        let configs = self.make(request.host, not_after, now, earlier)?;
        let config = configs.of(request.alpn);
        // With a quarter of its life left: long before a client sees the end of it.
        let renew_at = now.plus(not_after.seconds_since(now) / 4 * 3);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put(request.host.detached(), Leaf { configs, not_after, renew_at, used: 0 });
        Ok(config)
    }

    /// How many hosts have a leaf.
    pub fn count(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).leaves.len()
    }

    fn make(
        &self,
        host: &Host,
        not_after: Timestamp,
        now: Timestamp,
        earlier: Option<Arc<dyn ProducesTickets>>,
    ) -> Result<Configs, MintError> {
        let leaf = leaf::mint(&self.authority, &self.key, host, not_after, now).map_err(MintError::Making)?;
        let ticketer = match earlier {
            Some(ticketer) => ticketer,
            None => {
                let tickets = Tickets::new(self.clock.clone());
                Arc::new(tickets.map_err(|error| MintError::Making(error.to_string()))?)
            }
        };
        let mut config = self.base.clone();
        config.cert_resolver = Arc::new(LeafOf { host: host.detached(), leaf });
        config.ticketer = Arc::clone(&ticketer);
        let with = |alpn: Alpn| {
            let mut config = config.clone();
            config.alpn_protocols = alpn.protocols();
            Arc::new(config)
        };
        let [http1, http2, without] = [Alpn::Http1, Alpn::Http2, Alpn::None].map(with);
        Ok(Configs { http1, http2, without, ticketer })
    }
}

impl std::fmt::Debug for Leaves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaves").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Kept {
    fn find(&mut self, host: &Host) -> Option<&Leaf> {
        self.uses += 1;
        let leaf = self.leaves.get_mut(host)?;
        leaf.used = self.uses;
        Some(leaf)
    }

    fn put(&mut self, host: Host, mut leaf: Leaf) {
        leaf.used = self.uses;
        if self.leaves.len() >= LEAVES_MAX && !self.leaves.contains_key(&host) {
            // A look at each of a thousand costs less than the signature before it.
            let oldest = self.leaves.iter().min_by_key(|(_, leaf)| leaf.used).map(|(host, _)| host.clone());
            if let Some(oldest) = oldest {
                self.leaves.remove(&oldest);
            }
        }
        self.leaves.insert(host, leaf);
    }
}

impl Leaf {
    /// Whether it may still be used, where one made now would end at `not_after`.
    fn is_good(&self, not_after: Timestamp, origin: Option<Timestamp>, now: Timestamp) -> bool {
        let outlives_origin = origin.is_some_and(|origin| self.not_after > origin);
        let renewal_helps = not_after > self.not_after;
        now < self.not_after && !outlives_origin && (now < self.renew_at || !renewal_helps)
    }
}

impl Configs {
    fn of(&self, alpn: Alpn) -> Arc<ServerConfig> {
        Arc::clone(match alpn {
            Alpn::Http1 => &self.http1,
            Alpn::Http2 => &self.http2,
            Alpn::None => &self.without,
        })
    }
}

/// What stands in the base that all hosts' configurations are copies of.
#[derive(Debug)]
struct NoLeaf;

impl ResolvesServerCert for NoLeaf {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// One host's leaf, for that host alone.
#[derive(Debug)]
struct LeafOf {
    host: Host,
    leaf: Arc<CertifiedKey>,
}

impl ResolvesServerCert for LeafOf {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // RFC 6066 §3: no addresses in SNI, so that it is absent there, as with old clients; rustls says
        // the same of an address that is in it.
        let is_ours = match hello.server_name() {
            None => true,
            Some(name) => Host::parse_text(name).is_ok_and(|name| name == self.host),
        };
        is_ours.then(|| Arc::clone(&self.leaf))
    }
}

impl From<Exceeded> for MintError {
    fn from(exceeded: Exceeded) -> MintError {
        match exceeded {
            Exceeded::ByClient => MintError::TooManyForClient,
            Exceeded::Overall => MintError::TooMany,
        }
    }
}

impl From<MintError> for Failure {
    fn from(error: MintError) -> Failure {
        match error {
            MintError::TooManyForClient => {
                Failure::new(ErrorType::ConnectionLimitReached, Fault::Client, 429, error.to_string())
            }
            MintError::TooMany => {
                Failure::new(ErrorType::ConnectionLimitReached, Fault::Proxy, 503, error.to_string())
            }
            MintError::NotPermitted(_) | MintError::Expired | MintError::Making(_) => {
                let public = "This host's HTTPS can't be intercepted";
                Failure::new(ErrorType::ProxyInternalError, Fault::Proxy, 500, public).with_internal(error)
            }
        }
    }
}
