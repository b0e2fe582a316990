//! `larder serve`: puts the rooms together, and runs until told to stop.
//!
//! The main thread has an event loop of its own, for signals, the control socket and the admin
//! pages; clients are the workers' business.

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::args::ServeArgs;
use super::cache_folder::make_folder;
use super::fit::fit;
use super::open_store::open_store;
use super::open_tls::open_tls;
use super::output::bad_config;
use super::running::{Running, answer, apply_live, of_scheme};
use crate::admin::control::{SOCKET_NAME, bind_control, serve_control};
use crate::admin::numbers::Size;
use crate::admin::{AdminListener, Status, bind_admin};
use crate::budget::Budget;
use crate::caching::{CachePolicy, SetCookie, Targets};
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::http::{ChunkLimits, FIELDS_MAX, HeadLimits, RESPONSE_FIELDS_MAX, Scheme};
use crate::log::{AccessLog, Format, LogSettings, Target};
use crate::origin::{NameFiles, OriginLimits, PoolLimits, Resolver};
use crate::policy::{ListenerScope, Policy, RuntimeBlocks};
use crate::proxy::{Limits, Parts, Rates, Shared};
use crate::server::{Listen, Server, ServerLimits, bind, raise_descriptor_limit};
use crate::store::Store;
use crate::store::disk::Disk;

/// The access log of a Larder that `larder run` has started; some thirty thousand requests.
const RUN_LOG_BYTES_MAX: u64 = 16 << 20;

/// Serves until SIGTERM or SIGINT.
pub fn serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let mut settings = match args.load() {
        Ok(settings) => settings,
        Err(error) => return Ok(bad_config(&error)),
    };
    super::diagnostics::begin(settings.log.level.as_str());
    let (budget, too_large) = fit(&mut settings);
    too_large.iter().for_each(|warning| warn!("{warning}"));
    let folder = &settings.cache_dir;
    make_folder(folder).with_context(|| format!("the cache folder {} can't be used", folder.display()))?;
    let (blocks, warnings) = RuntimeBlocks::load(folder)?;
    let built = Policy::build(&settings.access, settings.lists.clone(), &blocks.patterns());
    let (policy, more) = match built {
        Ok(built) => built,
        Err(error) => return Ok(bad_config(&error)),
    };
    warnings.iter().chain(&more).for_each(|warning| warn!("{warning}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before anything listens: who sees it listen may tell it to stop.
    let signals = runtime.block_on(async { Signals::new() })?;
    let descriptors = raise_descriptor_limit();
    let bound = bind(&settings.server.listen, workers(&settings))?;
    let admin = bind_admin_pages(&settings)?;
    let own = own_addresses(bound.listening(), admin.as_ref());
    // Its one line says the cause already; the chain would say it again.
    let log = AccessLog::open(&log_settings(&settings, args)).map_err(|error| anyhow::anyhow!("{error}"))?;
    let instance = random::<1>()?[0] as u32;
    let clock = Clock::system();
    let tls = open_tls(&settings, &clock)?;
    let store = open_store(&settings, Budget::new(budget), instance, random)?;
    let descriptors = Descriptors::of(descriptors, &store);
    let parts = Parts {
        clock,
        store,
        policy,
        cache_policy: cache_policy(&settings),
        log,
        limits: limits(&settings, &descriptors),
        instance,
        own,
        origin_tls: tls.origins,
        intercept: tls.intercept,
        listener_tls: tls.listener,
    };
    let shared = Arc::new(Shared::new(parts));
    apply_live(&shared, &settings.cache);
    let local = tokio::task::LocalSet::new();
    let result = local.block_on(&runtime, async {
        // Before the first client: who else uses this folder?
        let control = bind_control(&folder.join(SOCKET_NAME))?;
        let resolver = resolver();
        let server = Server::start(bound, &shared, server_limits(&settings, &descriptors), &resolver)?;
        welcome(&server, admin.as_ref(), &settings);
        let status = Arc::new(status(&server, &shared, &settings));
        let admin = serve_admin_pages(admin, status.clone());
        let running = Running::new(args.clone(), settings.clone(), blocks, shared.clone(), &server);
        let running = Rc::new(RefCell::new(running));
        let serving = serve_commands(control, running.clone());
        let stopped = until_told_to_stop(signals, &server, &running, &status, settings.server.drain).await;
        serving.abort();
        admin.abort();
        server.stop();
        stopped
    });
    shared.store.close();
    shared.log.close();
    result.map(|()| ExitCode::SUCCESS)
}

struct Signals {
    hangup: Signal,
    usr1: Signal,
    term: Signal,
    int: Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }
}

/// SIGHUP reloads, SIGUSR1 reopens the log, SIGTERM and SIGINT drain, a second one ends at once.
async fn until_told_to_stop(
    signals: Signals,
    server: &Server,
    running: &Rc<RefCell<Running>>,
    status: &Status,
    drain: Duration,
) -> anyhow::Result<()> {
    let Signals { mut hangup, mut usr1, mut term, mut int } = signals;
    loop {
        tokio::select! {
            _ = hangup.recv() => match running.borrow_mut().reload() {
                Ok(message) => info!("{message}"),
                Err(message) => error!("{message}"),
            },
            _ = usr1.recv() => running.borrow().reopen_log(),
            () = either(&mut term, &mut int) => break,
        }
    }
    info!("stopping: open connections: {}, and {} s to finish", server.connections(), drain.as_secs());
    status.drain();
    server.drain();
    let finished = async {
        while !server.is_finished() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = finished => info!("stopped"),
        () = tokio::time::sleep(drain) => warn!("stopped; open connections: {}", server.connections()),
        () = either(&mut term, &mut int) => warn!("stopped at once; open connections: {}", server.connections()),
    }
    Ok(())
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}

/// Says where it listens and how to use it.
fn welcome(server: &Server, admin: Option<&AdminListener>, settings: &Settings) {
    let mut out = io::stderr().lock();
    let listening: Vec<_> = server.listening().iter().map(ToString::to_string).collect();
    let addresses: Vec<_> = server.listening().iter().map(|listen| listen.address).collect();
    let pages =
        admin.map_or("off".to_owned(), |admin| format!("http://{}/", example_address(&[admin.address()])));
    let file = settings.file.as_ref().map_or("none".to_owned(), |file| file.display().to_string());
    let text = format!(
        "Larder {} listens on {}\n\
         \x20 memory  {}    configuration  {file}    folder  {}\n\
         \x20 admin   {pages}\n\
         {}{}{}",
        env!("CARGO_PKG_VERSION"),
        listening.join(", "),
        Size(settings.cache.memory),
        settings.cache_dir.display(),
        examples(server.listening(), settings),
        if settings.cache.offline { "  offline: no origin is asked\n" } else { "" },
        admitted(&addresses, settings),
    );
    // Where the standard error is closed there is nobody to welcome.
    let _unread = out.write_all(text.as_bytes());
}

/// What a person can begin with. A listener without TLS asks nothing of its clients.
fn examples(listening: &[Listen], settings: &Settings) -> String {
    let (plain, within_tls) = (of_scheme(listening, Scheme::Http), of_scheme(listening, Scheme::Https));
    let (proxy, trusting) = match plain.is_empty() {
        false => (format!("http://{}", example_address(&plain)), ""),
        true => {
            // What the operator's own certificate leads to is the operator's to know.
            let is_own = settings.tls.certificate.is_none();
            let trusting = if is_own { " --proxy-cacert \"$(larder ca path)\"" } else { "" };
            (format!("https://{}", example_address(&within_tls)), trusting)
        }
    };
    format!(
        "\x20 try     curl -x {proxy}{trusting} http://example.com/\n\
         \x20 use     export http_proxy={proxy} https_proxy={proxy}\n"
    )
}

/// An address that a client can be given: an unspecified one is none.
fn example_address(addresses: &[SocketAddr]) -> String {
    let loopback = |address: &&SocketAddr| ListenerScope::of(**address) == ListenerScope::Loopback;
    match addresses.iter().find(loopback).or(addresses.first()) {
        Some(address) if address.ip().is_unspecified() => format!("THIS-MACHINE:{}", address.port()),
        Some(address) => address.to_string(),
        None => String::new(),
    }
}

/// Who may use a listener that others can reach.
fn admitted(addresses: &[SocketAddr], settings: &Settings) -> String {
    if addresses.iter().all(|address| ListenerScope::of(*address) == ListenerScope::Loopback) {
        return String::new();
    }
    match settings.access.clients {
        Some(_) => "  clients as [access] clients says\n".to_owned(),
        None => "  clients of private networks are admitted; [access] clients changes that\n".to_owned(),
    }
}

/// The addresses that are never destinations: the proxy's and the admin pages'.
fn own_addresses(listening: &[Listen], admin: Option<&AdminListener>) -> Vec<SocketAddr> {
    listening.iter().map(|listen| listen.address).chain(admin.map(AdminListener::address)).collect()
}

fn bind_admin_pages(settings: &Settings) -> anyhow::Result<Option<AdminListener>> {
    let config::Admin::At(address) = settings.server.admin else { return Ok(None) };
    if ListenerScope::of(address) == ListenerScope::Open {
        warn!("the admin pages on {address} can be read by anybody who reaches that address");
    }
    // The error's one line says the cause already.
    bind_admin(address).map(Some).map_err(|error| anyhow::anyhow!("{error}"))
}

fn status(server: &Server, shared: &Arc<Shared>, settings: &Settings) -> Status {
    let listening = server.listening().to_vec();
    Status::new(shared.clone(), listening, settings.cache.memory, server.places().clone())
}

/// Serves the admin pages, if there are any, until the task is aborted.
fn serve_commands(control: UnixListener, running: Rc<RefCell<Running>>) -> tokio::task::JoinHandle<()> {
    let handler = move |request| {
        let running = running.clone();
        async move { answer(&running, request).await }
    };
    tokio::task::spawn_local(serve_control(control, handler))
}

fn serve_admin_pages(admin: Option<AdminListener>, status: Arc<Status>) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_local(async move {
        let Some(admin) = admin else { return };
        if let Err(error) = admin.serve(status).await {
            error!("the admin pages can't be served: {error}");
        }
    })
}

fn workers(settings: &Settings) -> usize {
    match settings.server.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

fn log_settings(settings: &Settings, args: &ServeArgs) -> LogSettings {
    let access = match &settings.log.access {
        // Nobody is there to rotate it.
        config::AccessLog::File(path) if args.for_run => Target::Bounded(path.clone(), RUN_LOG_BYTES_MAX),
        config::AccessLog::Off => Target::None,
        config::AccessLog::Stdout => Target::Stdout,
        config::AccessLog::File(path) => Target::File(path.clone()),
    };
    LogSettings { access, format: Format::of(settings.log.format.as_str()).unwrap_or(Format::Squid) }
}

fn cache_policy(settings: &Settings) -> CachePolicy {
    let set_cookie = match settings.cache.set_cookie {
        config::SetCookie::Shared => SetCookie::Shared,
        config::SetCookie::Rfc => SetCookie::Rfc,
        config::SetCookie::Never => SetCookie::Never,
    };
    let targets = Targets::new(&settings.cache.targeted);
    let unkeyed_fields = settings.cache.unkeyed_fields.iter().cloned().collect();
    CachePolicy { set_cookie, targets, unkeyed_fields, ..CachePolicy::default() }
}

fn limits(settings: &Settings, descriptors: &Descriptors) -> Limits {
    let size = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX);
    let of = &settings.limits;
    Limits {
        head: HeadLimits {
            head: size(of.head),
            line: size(of.line),
            uri: size(of.uri),
            fields: of.fields.min(FIELDS_MAX),
        },
        response_head: HeadLimits {
            head: size(of.response_head),
            line: size(of.response_line),
            uri: 0,
            fields: of.response_fields.min(RESPONSE_FIELDS_MAX),
        },
        chunks: ChunkLimits { extensions: size(of.chunk_extensions), trailers: size(of.trailers) },
        interim: of.interim,
        idle: settings.server.idle_timeout,
        response: settings.server.origin_timeout,
        handshake: settings.server.header_timeout,
        tunnel_idle: settings.server.tunnel_idle_timeout,
        tunnel_time: Some(settings.server.tunnel_time).filter(|time| !time.is_zero()),
        rates: Rates {
            request: of.request_rate,
            response: of.response_rate,
            reading: of.reading_rate,
            behind: of.behind_max,
            stream: of.stream_behind_max,
        },
        unread_fills: settings.server.unread_fills_max,
        unread_fill: settings.server.unread_fill_time,
        pipes: descriptors.pipes.min(Limits::default().pipes),
    }
}

/// How many descriptors each use may take. What is admitted has its own reserved: a client may need an
/// origin, and a tunnel two pipes.
struct Descriptors {
    connections: usize,
    origins: usize,
    /// Of two descriptors each.
    pipes: usize,
}

impl Descriptors {
    /// Of `all` that the process may have, without Larder's own: the store's files, listeners, logs, and
    /// connections that are told that there is no place for them.
    fn of(all: u64, store: &Store) -> Descriptors {
        let files = |disk: &Disk| disk.settings().size / disk.settings().segment_size + 16;
        let own = 96 + store.disks().map(files).sum::<u64>();
        let left = usize::try_from(all.saturating_sub(own)).unwrap_or(usize::MAX).max(16);
        let part = left / 16 * 7;
        Descriptors { connections: part, origins: part, pipes: (left - 2 * part) / 2 }
    }
}

fn server_limits(settings: &Settings, descriptors: &Descriptors) -> ServerLimits {
    let server = &settings.server;
    let connections_max = server.origin_connections_max.min(descriptors.origins);
    let idle_max = (connections_max / 4 / workers(settings)).max(1);
    let pool = PoolLimits::default();
    ServerLimits {
        connections_max: server.connections_max.min(descriptors.connections),
        connections_per_client_max: server.connections_per_client_max,
        streams_max: server.streams_max,
        streams_per_client_max: server.streams_per_client_max,
        header_timeout: server.header_timeout,
        idle_timeout: server.idle_timeout,
        origin: OriginLimits {
            dns_timeout: server.dns_timeout,
            connect_timeout: server.connect_timeout,
            tls_timeout: OriginLimits::default().tls_timeout,
            exchanges_max: server.exchanges_max.min(descriptors.origins),
            exchanges_per_client_max: server.exchanges_per_client_max,
            connections_max,
            connections_per_origin_max: server.origin_connections_per_origin_max,
            pool: PoolLimits { total: pool.total.min(idle_max), ..pool },
        },
    }
}

/// As this machine resolves names; each worker asks for itself.
fn resolver() -> Arc<crate::server::ResolverSource> {
    let files = Arc::new(NameFiles::of_system());
    Arc::new(move || Resolver::system(files.clone()))
}

/// Random numbers from the system.
fn random<const N: usize>() -> anyhow::Result<[u64; N]> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        let mut octets = [0; 8];
        rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::empty())?;
        *number = u64::from_ne_bytes(octets);
    }
    Ok(numbers)
}
