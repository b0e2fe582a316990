//! One worker: an event loop that accepts and serves.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use super::{Phase, ResolverSource, ServerLimits, ServerPlaces, connection, tell_panic};
use crate::budget::{Full, Place, Share, Use, client_of};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{Scheme, Stream};
use crate::origin::Origins;
use crate::policy::ListenerScope;
use crate::proxy::{Client, Proxy, Shared, refuse_connection};

/// Threads of a worker that may wait for the disk; arbitrary. More reads than these wait.
const BLOCKING_THREADS: usize = 4;

/// Memory of a client connection: its task, its first buffers and its heads. Measured at 12 to 20 KiB.
const CONNECTION_BYTES: u64 = 16 * 1024;

/// What a worker thread is started with.
pub(super) struct Worker {
    pub listeners: Vec<(Scheme, TcpListener)>,
    pub shared: Arc<Shared>,
    pub limits: ServerLimits,
    pub places: ServerPlaces,
    pub phase: watch::Receiver<Phase>,
    pub resolver: Arc<ResolverSource>,
}

impl Worker {
    /// Serves until the server stops.
    pub(super) fn run(self) {
        let runtime =
            match Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    tracing::error!("a worker can't start its event loop: {error}");
                    return;
                }
            };
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            let origins = Origins::new(
                self.shared.clock.clone(),
                (self.resolver)(),
                self.limits.origin,
                self.shared.origin_tls.clone(),
                (self.places.lending.clone(), self.shared.budget.clone()),
            );
            let proxy = Proxy {
                shared: self.shared.clone(),
                origins: Rc::new(origins),
                fills: Rc::default(),
                validations: Rc::default(),
            };
            let (fills, phase) = (proxy.fills.clone(), self.phase.clone());
            let mut accepting = JoinSet::new();
            let worker = Rc::new(Accepting {
                proxy: proxy.clone(),
                limits: self.limits,
                places: self.places,
                phase: self.phase,
            });
            for (scheme, listener) in self.listeners {
                accepting.spawn_local(worker.clone().accept(scheme, listener));
            }
            let housekeeping = tokio::task::spawn_local(close_idle(proxy));
            while let Some(ended) = accepting.join_next().await {
                tell_panic(ended);
            }
            finish_fills(&fills, phase).await;
            housekeeping.abort();
        });
    }
}

/// Waits for fills that a client of another worker may still read, unless the server stops.
async fn finish_fills(fills: &Cell<usize>, phase: watch::Receiver<Phase>) {
    while fills.get() > 0 && *phase.borrow() < Phase::Stopped {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn close_idle(proxy: Proxy) {
    loop {
        proxy.shared.clock.sleep(Duration::from_secs(5)).await;
        proxy.origins.close_idle();
        proxy.shared.store.count_index();
    }
}

/// What becomes of a connection, and what it has meanwhile.
enum Admitted {
    Served(Place<IpAddr>, Share),
    /// It is told that there is no place for it.
    Refused(Place<IpAddr>, Failure),
}

struct Accepting {
    proxy: Proxy,
    limits: ServerLimits,
    places: ServerPlaces,
    phase: watch::Receiver<Phase>,
}

impl Accepting {
    /// Accepts on one listener until the server drains, then waits for its connections.
    async fn accept(self: Rc<Accepting>, scheme: Scheme, listener: TcpListener) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!("a listener can't be used: {error}"),
        };
        let scope = listener.local_addr().map_or(ListenerScope::Open, ListenerScope::of);
        let mut phase = self.phase.clone();
        let mut connections = JoinSet::new();
        let mut reserve = Reserve::new();
        while *phase.borrow_and_update() == Phase::Serving {
            tokio::select! {
                biased;
                _changed = phase.changed() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        let client = Client::new(Stream::Tcp(stream), peer, scope);
                        // Before a task is made: many are accepted before the first task runs, and each of
                        // them has a descriptor.
                        match self.admit(scheme, &client) {
                            Some(admitted) => {
                                connections.spawn_local(self.clone().serve(scheme, client, admitted));
                            }
                            None => connection::cut(client),
                        }
                    }
                    Err(error) => self.accept_failed(&error, &mut reserve, &listener).await,
                },
                // Finished connections are taken off the set as they end.
                Some(ended) = connections.join_next(), if !connections.is_empty() => tell_panic(ended),
            }
        }
        drop(listener);
        while *phase.borrow_and_update() < Phase::Stopped && !connections.is_empty() {
            tokio::select! {
                _changed = phase.changed() => {}
                Some(ended) = connections.join_next() => tell_panic(ended),
            }
        }
    }

    async fn serve(self: Rc<Accepting>, scheme: Scheme, mut client: Client, admitted: Admitted) {
        match admitted {
            Admitted::Served(_place, _memory) => {
                client.charge_to(&self.proxy.shared.budget);
                let streams = self.places.streams.clone();
                let serving = connection::Serving { limits: self.limits, streams, phase: self.phase.clone() };
                connection::serve(&self.proxy, scheme, client, serving).await;
            }
            Admitted::Refused(_place, failure) => {
                let next = refuse_connection(&self.proxy, &mut client, failure).await;
                connection::close(client, next, &self.proxy.shared.clock).await;
            }
        }
    }

    /// What becomes of a connection; `None` when there is no place to say anything.
    fn admit(&self, scheme: Scheme, client: &Client) -> Option<Admitted> {
        let failure = match self.place(client) {
            Ok((place, memory)) => return Some(Admitted::Served(place, memory)),
            Err(failure) => failure,
        };
        tracing::debug!("no place for a connection from {}: {failure}", client.peer);
        // Nothing can be said before a handshake, and that is what there is no room for.
        let is_told = scheme == Scheme::Http;
        let place = is_told.then(|| self.places.refusals.take(&client_of(client.peer.ip())).ok()).flatten();
        place.map(|place| Admitted::Refused(place, failure))
    }

    /// A place for a connection, and the memory that one takes.
    fn place(&self, client: &Client) -> Result<(Place<IpAddr>, Share), Failure> {
        let connections = &self.places.connections;
        let shared = &self.proxy.shared;
        let client = client_of(client.peer.ip());
        let place = shared.budget.place(connections, &client, || shared.clock.monotonic_ms());
        let place = place.map_err(|full| {
            let public = match full {
                Full::Total => "The proxy has too many connections",
                Full::Share => "This client has too many connections to the proxy",
            };
            let failure = Failure::new(ErrorType::ConnectionLimitReached, Fault::Proxy, 503, public);
            failure.with_internal(format_args!("client connections: {full} of {}", connections.max()))
        })?;
        Ok((place, shared.budget.take(Use::Connections, CONNECTION_BYTES)?))
    }

    /// Out of descriptors: the waiting client is turned away on a descriptor kept for that, idle
    /// origin connections are given up, and accepting pauses. Otherwise the kernel would hand
    /// out the same failure in a circle.
    async fn accept_failed(
        &self,
        error: &io::Error,
        reserve: &mut Reserve,
        listener: &tokio::net::TcpListener,
    ) {
        let out_of_descriptors = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        if out_of_descriptors.contains(&error.raw_os_error()) {
            reserve.turn_away(listener);
            self.proxy.origins.close_all_idle();
            tracing::warn!("out of file descriptors: a client was turned away");
        } else {
            tracing::debug!("accept: {error}");
        }
        self.proxy.shared.clock.sleep(Duration::from_millis(20)).await;
    }
}

/// A descriptor that is given up when there is no other.
struct Reserve(Option<File>);

impl Reserve {
    fn new() -> Reserve {
        Reserve(spare())
    }

    fn turn_away(&mut self, listener: &tokio::net::TcpListener) {
        drop(self.0.take());
        if let Ok(accepted) = rustix::net::accept(listener) {
            drop(accepted);
        }
        self.0 = spare();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a descriptor that stands for nothing, not a file that is read"
)]
fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}
