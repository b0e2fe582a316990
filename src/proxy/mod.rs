//! One request's story: from a head that was read to an outcome that was logged.
//!
//! [`exchange`] is the table of contents; each step it names is a file beside it. No step keeps
//! state between requests: what outlives a request is in [`Shared`] (all threads) or in the
//! origin connections of a worker.

mod admit;
mod answer;
mod background;
mod beginning;
mod client;
mod collapse;
mod complete;
mod connect;
mod deliver;
mod exchange;
mod fetch;
mod fill;
mod follow;
mod forward;
mod handshake;
mod html;
mod inside;
mod interception;
mod keep;
mod lease;
mod local;
mod offline;
mod opening;
mod origin_failure;
mod outgoing;
mod own_pages;
mod pace;
mod partial;
mod parts;
mod presence;
mod recent;
mod record;
mod refuse;
mod render;
mod rules;
mod searches;
mod sender;
mod splice;
mod stored;
mod tunnel;
mod unreadable;
mod update;
mod upload;
mod waits;
mod within_tls;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

pub use client::{Client, Next};
pub use exchange::exchange;
pub use handshake::greet;
pub use html::escape;
pub use interception::{BlockedHost, Exceptions, Intercepted, Interception, Unreadable};
use record::Record;

pub use opening::Opening;
pub use pace::Rates;
pub use recent::{Recalled, Recent};
pub use record::Counters;
pub use refuse::{refuse_connection, refuse_head};
pub use rules::Rules;
pub use searches::Searches;

use crate::budget::{Budget, Places};
use crate::caching::CachePolicy;
use crate::clock::Clock;
use crate::error::Failure;
use crate::http::{ChunkLimits, HeadLimits, Reading, Request, TargetUri};
use crate::log::AccessLog;
use crate::origin::Origins;
use crate::policy::Policy;
use crate::store::{Render, Store};
use crate::tls::{ListenerTls, OriginTls};

/// What all requests on all threads share.
#[derive(Debug)]
pub struct Shared {
    pub clock: Clock,
    pub store: Store,
    /// For all memory; the store's is a part of it.
    pub budget: Budget,
    /// Swapped whole when the configuration or the run-time blocks change.
    pub policy: ArcSwap<Policy>,
    pub cache_policy: CachePolicy,
    pub log: AccessLog,
    pub limits: Limits,
    /// The pseudonym that this instance has in `Via` (RFC 9110 §7.6.3).
    pub pseudonym: String,
    /// Larder's own listeners, which are never destinations.
    pub own: Vec<SocketAddr>,
    /// What TLS with origins trusts; without it no `https` URI is fetched.
    pub origin_tls: Option<Arc<OriginTls>>,
    /// How HTTPS is intercepted; without it, it is tunnelled.
    pub intercept: Option<Interception>,
    /// What listeners with TLS show; without it there are none.
    pub listener_tls: Option<ListenerTls>,
    pub counters: Counters,
    /// The operator's rules for caching, swapped whole.
    pub rules: Rules,
    pub searches: Searches,
    offline: AtomicBool,
    pub recent: Recent,
    flights: collapse::Flights,
    /// Of fills that go on without a reader, by the client that each was begun for.
    pub unread_fills: Arc<Places<IpAddr>>,
    /// Pipes that there may still be.
    pipes: Arc<Semaphore>,
    /// When the log said last that requests are refused.
    shortage_told_ms: AtomicU64,
    requests: AtomicU64,
}

/// Limits on an exchange, each with its default in [`Limits::default`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of requests.
    pub head: HeadLimits,
    /// Of responses.
    pub response_head: HeadLimits,
    pub chunks: ChunkLimits,
    /// Interim responses to one request; default 16.
    pub interim: usize,
    /// Silence of a peer within a message; default 60 s.
    pub idle: Duration,
    /// Between a request and the head of its response; default 120 s.
    pub response: Duration,
    /// A client's TLS handshake; default 10 s.
    pub handshake: Duration,
    /// Silence in both directions of a tunnel; default 10 min.
    pub tunnel_idle: Duration,
    /// How long a tunnel may be open in all; default: as long as it likes.
    pub tunnel_time: Option<Duration>,
    pub rates: Rates,
    /// Fills that go on without a reader; default 64.
    pub unread_fills: usize,
    /// How long each of them may; default 30 s.
    pub unread_fill: Duration,
    /// Pipes for tunnels and files; default 1,024, less where descriptors are short.
    pub pipes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head: HeadLimits::default(),
            response_head: HeadLimits::of_responses(),
            chunks: ChunkLimits::default(),
            interim: 16,
            idle: Duration::from_secs(60),
            response: Duration::from_secs(120),
            handshake: Duration::from_secs(10),
            tunnel_idle: Duration::from_secs(600),
            tunnel_time: None,
            rates: Rates::default(),
            unread_fills: 64,
            unread_fill: Duration::from_secs(30),
            pipes: 1024,
        }
    }
}

/// What a [`Shared`] is made of.
#[derive(Debug)]
pub struct Parts {
    pub clock: Clock,
    pub store: Store,
    pub policy: Policy,
    pub cache_policy: CachePolicy,
    pub log: AccessLog,
    pub limits: Limits,
    /// Random; tells instances apart in `Via`.
    pub instance: u32,
    pub own: Vec<SocketAddr>,
    pub origin_tls: Option<Arc<OriginTls>>,
    pub intercept: Option<Interception>,
    pub listener_tls: Option<ListenerTls>,
}

/// The name of an instance in `Via`.
fn pseudonym(instance: u32) -> String {
    format!("larder-{instance:08x}")
}

/// What the store renders heads with that it has read from disk.
pub fn renderer(instance: u32) -> Arc<Render> {
    let pseudonym = pseudonym(instance);
    Arc::new(move |head, received| render::stored_head(&pseudonym, head, received))
}

impl Shared {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Shared {
        Shared {
            clock: parts.clock,
            budget: parts.store.budget().clone(),
            store: parts.store,
            policy: ArcSwap::from_pointee(parts.policy),
            cache_policy: parts.cache_policy,
            log: parts.log,
            limits: parts.limits,
            pseudonym: pseudonym(parts.instance),
            own: parts.own,
            origin_tls: parts.origin_tls,
            intercept: parts.intercept,
            listener_tls: parts.listener_tls,
            counters: Counters::default(),
            rules: Rules::default(),
            searches: Searches::default(),
            offline: AtomicBool::new(false),
            recent: Recent::default(),
            flights: collapse::Flights::default(),
            unread_fills: Places::new(parts.limits.unread_fills, parts.limits.unread_fills),
            shortage_told_ms: AtomicU64::new(0),
            pipes: Arc::new(Semaphore::new(parts.limits.pipes)),
            requests: AtomicU64::new(u64::from(parts.instance) << 32),
        }
    }

    /// How strictly the heads of this URI's origin are read.
    fn reading(&self, uri: &TargetUri) -> Reading {
        if self.policy.load().is_lenient(&uri.authority.host) { Reading::Lenient } else { Reading::Strict }
    }

    /// A number for the next request, unique within this instance.
    pub fn next_request_id(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}

/// A worker's view: what it shares, and its own origin connections.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub shared: Arc<Shared>,
    pub origins: Rc<Origins>,
    /// Fills that run on this worker; their readers may be on another one.
    pub fills: Rc<Cell<usize>>,
    /// Validations in the background that run on this worker.
    pub validations: Rc<Cell<usize>>,
}

/// One exchange under way: whose it is, what is asked, and what is remembered of it.
#[derive(Debug)]
struct Exchange<'a> {
    proxy: &'a Proxy,
    client: &'a mut Client,
    request: &'a Request,
    record: &'a mut Record,
}

impl<'a> Exchange<'a> {
    /// What says whether an address may be dialled for this exchange's client.
    fn judge(&self) -> forward::Judge<'a> {
        let client = self.client.peer.ip();
        let target = &self.request.target;
        forward::Judge { shared: &self.proxy.shared, scope: self.client.scope, client, target }
    }
}

/// Why an exchange ended before its end.
#[derive(Debug)]
enum Interrupted {
    /// Nothing of a response was sent: an error response tells the client.
    Failed(Failure),
    /// A response was under way: only cutting the connection tells the client.
    Cut(Failure),
    /// The client is gone: nobody is left to be told.
    ClientGone(std::io::Error),
}

impl From<Failure> for Interrupted {
    fn from(failure: Failure) -> Interrupted {
        Interrupted::Failed(failure)
    }
}
