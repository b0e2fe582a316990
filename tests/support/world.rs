//! The world: an origin, the proxy in process, clients, and the one clock.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use larder::caching::CachePolicy;
use larder::clock::Clock;
use larder::http::{Host, Timestamp};
use larder::log::{AccessLog, Format, LogSettings, Target};
use larder::origin::{NameFiles, Resolver};
use larder::policy::{Config, HostSet, Pattern, Policy};
use larder::proxy::{BlockedHost, Counters, Exceptions, Interception, Limits, Parts, Shared};
use larder::server::{Listen, ResolverSource, Server, ServerLimits, bind};
use larder::store::{Store, StoreSettings};
use larder::tls::{Authority, Leaves, ListenerTls, NameConstraints, OriginTls};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;

use super::{Certificates, Client, Http2, Origin, Response, eventually, trusting};

/// Where a manual clock starts: Sunday, 2 June 2024, 08:00:00 GMT.
pub const START: Timestamp = Timestamp(1_717_315_200);

/// How a world differs from the default one.
pub struct Setup {
    pub limits: Limits,
    pub server: ServerLimits,
    /// The `[access]` table.
    pub access: Config,
    /// Block lists: name and text.
    pub lists: Vec<(String, String)>,
    pub cache_policy: CachePolicy,
    pub store: StoreSettings,
    /// Names and their addresses; all others do not exist.
    pub hosts: HashMap<String, Vec<IpAddr>>,
    /// The files that names are resolved by, instead of `hosts`.
    pub names: Option<NameFiles>,
    /// A manual one at [`START`] unless a test needs the system's.
    pub clock: Clock,
    pub workers: usize,
    /// What the proxy is bound to. An address that is no loopback one makes it an open listener.
    pub listen: SocketAddr,
    /// Format of an access log in a file of the world's own.
    pub access_log: Option<Format>,
    /// What TLS with origins trusts.
    pub origin_tls: Option<Arc<OriginTls>>,
    pub intercept: Option<Interception>,
    /// What a second listener, with TLS, shows.
    pub listener_tls: Option<ListenerTls>,
    /// Of the proxy's own, and made when it is first needed.
    authority: Option<Arc<Authority>>,
}

impl Setup {
    /// The `[access]` table as it stands in a configuration file.
    pub fn access_toml(&mut self, table: &str) {
        self.access = toml::from_str(table).expect("a valid [access] table");
    }

    /// Has the proxy trust origins that this authority vouches for.
    pub fn trust(&mut self, certificates: &Certificates) {
        self.origin_tls = Some(Arc::new(certificates.origins(&self.clock)));
    }

    /// Has the proxy intercept HTTPS, and trust origins that this authority vouches for.
    pub fn intercept(&mut self, certificates: &Certificates) {
        self.intercept_as(certificates, &[], BlockedHost::Refused, Exceptions::Configured);
    }

    /// As [`Setup::intercept`], with more to choose.
    pub fn intercept_as(
        &mut self,
        certificates: &Certificates,
        except: &[&str],
        blocked: BlockedHost,
        exceptions: Exceptions,
    ) {
        self.trust(certificates);
        let authority = self.authority();
        let patterns: Vec<Pattern> = except.iter().map(|text| text.parse().expect("a pattern")).collect();
        let except = HostSet::build(&patterns).expect("few patterns");
        let leaves = Leaves::new(authority, self.clock.clone()).expect("a key");
        self.intercept = Some(Interception::new(leaves, except, blocked, exceptions));
    }

    /// Has the proxy listen within TLS, too, with certificates of its own authority.
    pub fn listen_within_tls(&mut self) {
        let leaves = Leaves::new(self.authority(), self.clock.clone()).expect("a key");
        let names = vec![Host::parse_text("localhost").expect("a name")];
        self.listener_tls = Some(ListenerTls::own(leaves, names));
    }

    fn authority(&mut self) -> Arc<Authority> {
        let make = || {
            let folder = temporary("ca");
            let authority = Authority::open(&folder, &NameConstraints::default(), &self.clock);
            std::fs::remove_dir_all(&folder).expect("it was made");
            Arc::new(authority.expect("a new authority"))
        };
        self.authority.get_or_insert_with(make).clone()
    }

    /// Gives a name addresses.
    pub fn host(&mut self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().expect("an address")).collect();
        self.hosts.insert(name.to_owned(), addresses);
    }
}

impl Default for Setup {
    fn default() -> Setup {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Setup {
            limits: Limits::default(),
            server: ServerLimits::default(),
            access: Config::default(),
            lists: Vec::new(),
            cache_policy: CachePolicy::default(),
            store: StoreSettings { memory: 16 << 20, object_max: 4 << 20, ..StoreSettings::default() },
            hosts: HashMap::from([("origin.example".to_owned(), vec![loopback])]),
            names: None,
            clock: Clock::manual(START),
            workers: 1,
            listen: SocketAddr::new(loopback, 0),
            access_log: None,
            origin_tls: None,
            intercept: None,
            listener_tls: None,
            authority: None,
        }
    }
}

/// An origin, a proxy and a clock. Dropping it stops everything and fails the test if a thread
/// of it has panicked.
pub struct World {
    pub origin: Origin,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    server: Option<Server>,
    proxy: SocketAddr,
    access_log: Option<PathBuf>,
    /// Where it listens within TLS, if it does.
    within_tls: Option<SocketAddr>,
    /// Of the proxy's own authority, when it has one.
    authority: Option<CertificateDer<'static>>,
    panics_before: usize,
}

impl World {
    /// The default world.
    pub fn new() -> World {
        World::with(|_| {})
    }

    /// A world that differs in what `change` does to its setup.
    pub fn with(change: impl FnOnce(&mut Setup)) -> World {
        let mut setup = Setup::default();
        change(&mut setup);
        let panics_before = panics_of_workers();
        let second = setup.listener_tls.as_ref().map(|_| Listen::https((setup.listen.ip(), 0).into()));
        let listen: Vec<_> = [Some(Listen::http(setup.listen)), second].into_iter().flatten().collect();
        let bound = bind(&listen, setup.workers).expect("a free port");
        let addresses: Vec<_> = bound.listening().iter().map(|listen| listen.address).collect();
        let listening = addresses[0];
        let ip = if listening.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { listening.ip() };
        let access_log = setup.access_log.map(|_| temporary("access.log"));
        let shared = Arc::new(Shared::new(Parts {
            clock: setup.clock.clone(),
            store: Store::new(setup.store, [1, 2, 3]),
            policy: Policy::build(&setup.access, setup.lists, &[]).expect("a valid policy").0,
            cache_policy: setup.cache_policy,
            log: AccessLog::open(&log_settings(setup.access_log, &access_log)).expect("a writable folder"),
            limits: setup.limits,
            instance: next_instance(),
            own: addresses.clone(),
            origin_tls: setup.origin_tls,
            intercept: setup.intercept,
            listener_tls: setup.listener_tls,
        }));
        let (hosts, names) = (Arc::new(setup.hosts), setup.names.map(Arc::new));
        let resolver: Arc<ResolverSource> = Arc::new(move || match &names {
            Some(names) => Resolver::system(names.clone()),
            None => Resolver::Table(hosts.clone()),
        });
        let server = Server::start(bound, &shared, setup.server, &resolver).expect("threads");
        World {
            origin: Origin::start(),
            clock: setup.clock,
            shared,
            server: Some(server),
            proxy: SocketAddr::new(ip, listening.port()),
            access_log,
            within_tls: addresses.get(1).copied(),
            authority: setup.authority.map(|authority| authority.certificate().clone()),
            panics_before,
        }
    }

    /// Where the proxy is reached.
    pub fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// The server, for its drain and its connections.
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("the server runs until the world ends")
    }

    /// A new client connection.
    pub fn client(&self) -> Client {
        Client::connect(self.proxy)
    }

    /// What a client uses that trusts the proxy's own authority, and nobody else.
    pub fn trusting(&self) -> ClientConfig {
        trusting(self.authority.clone().expect("the proxy has an authority"))
    }

    /// Where the proxy is reached within TLS.
    pub fn proxy_within_tls(&self) -> SocketAddr {
        self.within_tls.expect("the proxy listens within TLS")
    }

    /// A new connection with HTTP/1 within TLS.
    pub fn client_within_tls(&self) -> Client {
        let mut config = self.trusting();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Client::connect(self.proxy_within_tls()).within_tls(config, "localhost")
    }

    /// A new connection with HTTP/2 within TLS.
    pub fn http2_within_tls(&self) -> Http2 {
        let socket = TcpStream::connect(self.proxy_within_tls()).expect("it listens");
        Http2::within_tls(socket, self.trusting(), "localhost")
    }

    /// A client with a tunnel to this host and port, and TLS with the proxy in it.
    pub fn inside(&self, authority: &str) -> Client {
        self.inside_with(authority, self.trusting())
    }

    /// As [`World::inside`], with TLS as configured.
    pub fn inside_with(&self, authority: &str, config: ClientConfig) -> Client {
        let name = authority.rsplit_once(':').expect("host and port").0;
        self.tunnel(authority).within_tls(config, name)
    }

    /// A client with a tunnel to this host and port, and HTTP/2 with the proxy in it.
    pub fn http2(&self, authority: &str) -> Http2 {
        let name = authority.rsplit_once(':').expect("host and port").0;
        let socket = self.tunnel(authority).wire.stream().try_clone().expect("a descriptor");
        Http2::within_tls(socket, self.trusting(), name)
    }

    /// A client with a tunnel to this host and port.
    pub fn tunnel(&self, authority: &str) -> Client {
        let mut client = self.client();
        client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        let response = client.response_to("CONNECT");
        assert_eq!(response.status(), 200, "{response:?}");
        client
    }

    /// Waits until the proxy has looked at all that was sent to it before. It serves what arrives
    /// in turn, so that a few questions of its own overtake nothing.
    pub fn catch_up(&self) {
        for _ in 0..3 {
            self.client().settle();
        }
    }

    /// Waits until so many exchanges have come to their end, with their lines in the log.
    pub fn has_served(&self, exchanges: u64) {
        eventually("the end of all exchanges", || self.count(|counters| &counters.requests) >= exchanges);
    }

    /// Puts another `[access]` table in force.
    pub fn swap_access(&self, table: &str) {
        let config = toml::from_str(table).expect("a valid [access] table");
        let (policy, _warnings) = Policy::build(&config, Vec::new(), &[]).expect("a valid policy");
        self.shared.policy.store(Arc::new(policy));
    }

    /// The origin's URI of a path.
    pub fn url(&self, path: &str) -> String {
        self.origin.url(path)
    }

    /// One request for a path of the origin on a connection of its own.
    pub fn get(&self, path: &str) -> Response {
        self.get_with(path, &[])
    }

    /// As [`World::get`], with these fields.
    pub fn get_with(&self, path: &str, fields: &[(&str, &str)]) -> Response {
        self.client().get_with(&self.url(path), fields)
    }

    /// One request with any method on a connection of its own.
    pub fn request(
        &self,
        method: &str,
        path: &str,
        fields: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Response {
        self.client().request(method, &self.url(path), fields, body)
    }

    /// Moves the clock.
    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The clock's time, with so many seconds added, as in a `Date` field.
    pub fn date(&self, offset: i64) -> String {
        Timestamp(self.clock.now().0.checked_add_signed(offset).expect("a time since 1970")).to_http_date()
    }

    /// Moves the clock by `limit` until a client hears something or is closed. The limit may not
    /// be running yet when the clock moves first, so that it may take a few moves.
    pub fn advance_until_heard(&self, limit: Duration, client: &mut Client) {
        for _ in 0..500 {
            self.clock.advance(limit);
            if client.wire.is_answered_within(Duration::from_millis(20)) {
                return;
            }
        }
        panic!("the client heard nothing after {limit:?}, however often it passed");
    }

    /// Moves the clock in steps until a client is closed, whatever it hears before.
    pub fn advance_until_closed(&self, step: Duration, client: &mut Client) {
        for _ in 0..500 {
            self.clock.advance(step);
            if client.wire.is_closed_within(Duration::from_millis(20)) {
                return;
            }
        }
        panic!("the client is not closed, however often {step:?} passed");
    }

    /// The counters of the proxy.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// What one counter says: `world.count(|counters| &counters.hits)`.
    pub fn count(&self, counter: impl FnOnce(&Counters) -> &AtomicU64) -> u64 {
        counter(&self.shared.counters).load(Ordering::Relaxed)
    }

    /// Stops the proxy in order and gives the lines of its access log.
    pub fn into_log(mut self) -> Vec<String> {
        self.stop();
        self.shared.log.close();
        let path = self.access_log.clone().expect("the setup has an access log");
        let text = std::fs::read_to_string(path).expect("the log was written");
        text.lines().map(str::to_owned).collect()
    }

    fn stop(&mut self) {
        let Some(server) = self.server.take() else { return };
        if std::thread::panicking() {
            drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| server.stop())));
            return;
        }
        server.stop();
        assert_eq!(panics_of_workers(), self.panics_before, "a worker of the proxy has panicked");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop();
        if let Some(path) = &self.access_log {
            // It may never have been written.
            drop(std::fs::remove_file(path));
        }
    }
}

fn log_settings(format: Option<Format>, path: &Option<PathBuf>) -> LogSettings {
    LogSettings {
        access: path.clone().map_or(Target::None, Target::File),
        format: format.unwrap_or(Format::Squid),
    }
}

/// A path in the system's temporary folder that no other test uses.
pub fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("larder-{}-{}-{name}", std::process::id(), next_instance()))
}

fn next_instance() -> u32 {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    u32::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).expect("few worlds")
}

/// How often a thread of any proxy in this process has panicked. A task that nobody joins would
/// panic in silence; with this the world that ends next fails.
fn panics_of_workers() -> usize {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let current = std::thread::current();
            if current.name().is_some_and(|name| name.starts_with("worker-")) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            before(panic);
        }));
    });
    PANICS.load(Ordering::Relaxed)
}
