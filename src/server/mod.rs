//! Listeners, connections and their limits, and the way to stop.
//!
//! One thread per worker, each with its own event loop, its own listening sockets
//! (SO_REUSEPORT) and its own origin connections: a request is served by one thread from accept
//! to end, and threads meet only in the store, the policy and the log.

mod connection;
mod http2;
mod listen;
mod worker;

use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

pub use listen::{BindError, Bound, Listen, bind, raise_descriptor_limit};

use crate::budget::Places;
use crate::origin::{Lending, OriginLimits, Resolver};
use crate::proxy::Shared;

/// How connections are served.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Client connections in all; default 16,384, less where descriptors are short.
    pub connections_max: usize,
    /// Client connections from one address; default 4,096.
    pub connections_per_client_max: usize,
    /// Streams of HTTP/2 that are served, of all connections; default 16,384.
    pub streams_max: usize,
    /// Of them, those of one client address; default 2,048.
    pub streams_per_client_max: usize,
    /// For a whole request head, from its first octet; default 10 s.
    pub header_timeout: Duration,
    /// Between requests; default 60 s.
    pub idle_timeout: Duration,
    pub origin: OriginLimits,
}

impl Default for ServerLimits {
    fn default() -> ServerLimits {
        ServerLimits {
            connections_max: 16_384,
            connections_per_client_max: 4_096,
            streams_max: 16_384,
            streams_per_client_max: 2_048,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            origin: OriginLimits::default(),
        }
    }
}

/// The places of which each client, or each origin, may take a share. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct ServerPlaces {
    /// Client connections.
    pub connections: Arc<Places<IpAddr>>,
    /// Streams of client connections with HTTP/2.
    pub streams: Arc<Places<IpAddr>>,
    /// Exchanges that ask an origin, and connections to origins.
    pub lending: Lending,
    /// Connections that are told that there is no place for them.
    pub refusals: Arc<Places<IpAddr>>,
}

/// Connections that are told so at once, by all workers: each has a descriptor until its client has read
/// the answer. Arbitrary; others are closed without a word.
const REFUSALS: usize = 32;

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    /// No new connections; those there finish their request.
    Draining,
    /// Connections are cut.
    Stopped,
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    listening: Vec<Listen>,
    phase: watch::Sender<Phase>,
    places: ServerPlaces,
    workers: Vec<JoinHandle<()>>,
}

/// Where workers get their resolver from: each makes its own, on its own event loop.
pub type ResolverSource = dyn Fn() -> Resolver + Send + Sync;

impl Server {
    /// Starts to serve on bound listeners, one worker for each set of them.
    pub fn start(
        bound: Bound,
        shared: &Arc<Shared>,
        limits: ServerLimits,
        resolver: &Arc<ResolverSource>,
    ) -> std::io::Result<Server> {
        let (phase, watching) = watch::channel(Phase::Serving);
        let places = ServerPlaces {
            connections: Places::new(limits.connections_max, limits.connections_per_client_max),
            streams: Places::new(limits.streams_max, limits.streams_per_client_max),
            lending: Lending::new(&limits.origin, &shared.budget, &shared.clock),
            refusals: Places::new(REFUSALS, REFUSALS),
        };
        let mut workers = Vec::new();
        for (number, listeners) in bound.by_worker.into_iter().enumerate() {
            let worker = worker::Worker {
                listeners,
                shared: shared.clone(),
                limits,
                places: places.clone(),
                phase: watching.clone(),
                resolver: resolver.clone(),
            };
            let thread = std::thread::Builder::new().name(format!("worker-{number}"));
            workers.push(thread.spawn(move || worker.run())?);
        }
        Ok(Server { listening: bound.listening, phase, places, workers })
    }

    /// Where it listens.
    pub fn listening(&self) -> &[Listen] {
        &self.listening
    }

    /// Client connections that are open.
    pub fn connections(&self) -> usize {
        self.places.connections.used()
    }

    /// The places there are, to be counted.
    pub fn places(&self) -> &ServerPlaces {
        &self.places
    }

    /// Stops accepting, lets running requests finish, and then ends the workers.
    pub fn drain(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Whether all workers have ended.
    pub fn is_finished(&self) -> bool {
        self.workers.iter().all(JoinHandle::is_finished)
    }

    /// Cuts what still runs and waits for the workers. A worker that has panicked makes this
    /// panic, so that a test sees it.
    pub fn stop(self) {
        self.phase.send_replace(Phase::Stopped);
        for worker in self.workers {
            if let Err(panic) = worker.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

/// A panic in a task is a defect: it ends one connection and is told, and the others go on.
fn tell_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection ended by a defect in Larder: {error}");
    }
}
