//! What can be changed while Larder runs: the run-time blocks, the access rules, the log file.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tracing::{info, warn};

use super::args::ServeArgs;
use super::open_tls::configured_listener;
use crate::admin::messages::{ControlRequest, ControlResponse, Counts, RunningStatus};
use crate::admin::numbers::counted;
use crate::admin::{cache, explain};
use crate::config::{CacheSettings, Settings};
use crate::http::Scheme;
use crate::policy::{Pattern, Policy, Refusal, RuntimeBlocks, RuntimeError};
use crate::proxy::Shared;
use crate::server::{Listen, Server, ServerPlaces};

/// The running Larder, as the control socket and signals see it.
pub(super) struct Running {
    args: ServeArgs,
    settings: Settings,
    blocks: RuntimeBlocks,
    shared: Arc<Shared>,
    /// Where clients connect that speak no TLS with the proxy.
    listening: Vec<SocketAddr>,
    /// Where those connect that do.
    within_tls: Vec<SocketAddr>,
    places: ServerPlaces,
}

/// Puts in force what of `[cache]` can change while Larder runs.
pub(super) fn apply_live(shared: &Shared, cache: &CacheSettings) {
    shared.rules.replace(cache.rules.clone());
    shared.searches.enable(cache.no_vary_search);
    shared.set_offline(cache.offline);
}

pub(super) fn of_scheme(listening: &[Listen], scheme: Scheme) -> Vec<SocketAddr> {
    listening.iter().filter(|listen| listen.scheme == scheme).map(|listen| listen.address).collect()
}

/// Does what the control socket asks for.
pub(super) async fn answer(running: &RefCell<Running>, request: ControlRequest) -> ControlResponse {
    let result = match request {
        ControlRequest::Block { patterns } => running.borrow_mut().block(&patterns),
        ControlRequest::Unblock { patterns } => running.borrow_mut().unblock(&patterns),
        ControlRequest::Blocked => Ok((String::new(), running.borrow().blocks.patterns())),
        ControlRequest::Reload => running.borrow_mut().reload().map(|message| (message, Vec::new())),
        ControlRequest::Cache(request) => {
            let (shared, memory) = running.borrow().for_cache();
            return cache::answer(&shared, memory, request).await;
        }
        ControlRequest::Status => return ControlResponse::Status(running.borrow().status()),
        ControlRequest::Explain(question) => {
            let shared = running.borrow().shared.clone();
            return explain::answer(&shared, question).await;
        }
    };
    match result {
        Ok((message, patterns)) => ControlResponse::Done { message, patterns },
        Err(message) => ControlResponse::Failed { message },
    }
}

impl Running {
    pub(super) fn new(
        args: ServeArgs,
        settings: Settings,
        blocks: RuntimeBlocks,
        shared: Arc<Shared>,
        server: &Server,
    ) -> Running {
        let listening = server.listening();
        let (within_tls, listening) =
            (of_scheme(listening, Scheme::Https), of_scheme(listening, Scheme::Http));
        Running { args, settings, blocks, shared, listening, within_tls, places: server.places().clone() }
    }

    /// What questions about the cache are answered from, without holding on to the rest.
    fn for_cache(&self) -> (Arc<Shared>, u64) {
        (self.shared.clone(), self.settings.cache.memory)
    }

    fn signs_for_listeners(&self) -> bool {
        !self.within_tls.is_empty() && self.settings.tls.certificate.is_none()
    }

    fn status(&self) -> RunningStatus {
        let counters = &self.shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RunningStatus {
            pid: std::process::id(),
            addresses: self.listening.clone(),
            within_tls: self.within_tls.clone(),
            listener_ca_dir: self.signs_for_listeners().then(|| absolute(&self.settings.ca_dir)),
            ca_dir: self.settings.intercept.enabled.then(|| absolute(&self.settings.ca_dir)),
            is_for_run: self.args.for_run,
            connections: self.places.connections.used() as u64,
            counts: Counts {
                requests: read(&counters.requests),
                hits: read(&counters.hits),
                forwarded: read(&counters.forwarded),
                failed: read(&counters.failed),
                tunnels: read(&counters.tunnels),
                denied: read(&counters.denied),
                bytes_to_clients: read(&counters.bytes_to_clients),
                bytes_from_origins: read(&counters.bytes_from_origins),
            },
        }
    }

    /// Blocks patterns at run time; of those that are new, the canonical spellings.
    fn block(&mut self, patterns: &[String]) -> Result<(String, Vec<String>), String> {
        let added = self.change("blocked", |blocks| blocks.block(patterns))?;
        let message = match added.is_empty() {
            true => format!("nothing to change: already blocked {}", patterns.join(", ")),
            false => format!("blocked {}", added.join(", ")),
        };
        Ok((message, added))
    }

    /// No longer blocks patterns at run time. It is a failure where the configuration, a list or
    /// another pattern blocks one of them all the same.
    fn unblock(&mut self, patterns: &[String]) -> Result<(String, Vec<String>), String> {
        let removed = self.change("unblocked", |blocks| blocks.unblock(patterns))?;
        let policy = self.shared.policy.load();
        let parsed = || patterns.iter().filter_map(|pattern| pattern.parse::<Pattern>().ok());
        let still_blocked: Vec<String> = parsed()
            .filter_map(|pattern| {
                Some(format!("{pattern} is blocked by {}", by(&pattern, &policy.blocks(&pattern)?)))
            })
            .collect();
        let mut told = Vec::new();
        if !removed.is_empty() {
            told.push(format!("unblocked {}", removed.join(", ")));
        }
        if !still_blocked.is_empty() {
            told.extend(still_blocked);
            return Err(told.join("; "));
        }
        if removed.is_empty() {
            let all: Vec<String> = parsed().map(|pattern| pattern.to_string()).collect();
            told.push(format!("not blocked at run time: {}", all.join(", ")));
        }
        Ok((told.join("; "), removed))
    }

    /// Changes the run-time blocks: in force at once, and on disk before the answer.
    fn change(
        &mut self,
        verb: &str,
        change: impl FnOnce(&mut RuntimeBlocks) -> Result<Vec<String>, RuntimeError>,
    ) -> Result<Vec<String>, String> {
        let mut blocks = self.blocks.clone();
        let changed = change(&mut blocks).map_err(|error| error.to_string())?;
        let policy = self.shared.policy.load().with_runtime(&blocks.patterns());
        let (policy, warnings) = policy.map_err(|error| error.to_string())?;
        self.shared.policy.store(Arc::new(policy));
        self.blocks = blocks;
        for warning in warnings {
            warn!("{warning}");
        }
        self.blocks.save().map_err(|error| format!("{verb}, but only until the next start: {error}"))?;
        if !changed.is_empty() {
            info!("{verb} {}", changed.join(", "));
        }
        Ok(changed)
    }

    /// Reads the configuration and the lists again. What is wrong with them leaves the old ones
    /// in force.
    pub(super) fn reload(&mut self) -> Result<String, String> {
        let settings = self.args.load().map_err(|error| not_reloaded(&error))?;
        let built = Policy::build(&settings.access, settings.lists.clone(), &self.blocks.patterns());
        let (policy, warnings) = built.map_err(|error| not_reloaded(&error))?;
        self.show_certificate(&settings)?;
        for warning in warnings {
            warn!("{warning}");
        }
        let (rules, cache_rules) = (policy.rule_count(), settings.cache.rules.len());
        self.shared.policy.store(Arc::new(policy));
        apply_live(&self.shared, &settings.cache);
        let mut message = format!("reloaded: {}", counted(rules as u64, "block rule"));
        if cache_rules > 0 {
            message = format!("{message}, {}", counted(cache_rules as u64, "cache rule"));
        }
        if settings.cache.offline {
            message.push_str(", offline");
        }
        let waiting = self.waiting(&settings);
        if !waiting.is_empty() {
            message = format!("{message}; changes of {} take effect at the next start", waiting.join(", "));
        }
        self.settings.access = settings.access;
        self.settings.lists = settings.lists;
        self.settings.cache = with_live(&self.settings.cache, &settings.cache);
        Ok(message)
    }

    /// Has listeners show the certificate that the settings name, as it is in its file now.
    fn show_certificate(&mut self, settings: &Settings) -> Result<(), String> {
        let Some(listener) = &self.shared.listener_tls else { return Ok(()) };
        let configured = configured_listener(settings, &self.shared.clock);
        if let Some(configured) = configured.map_err(|error| not_reloaded(&format_args!("{error:#}")))? {
            listener.replace(configured);
            self.settings.tls = settings.tls.clone();
        }
        Ok(())
    }

    /// The tables that differ from what Larder was started with, and can't change while it runs.
    fn waiting(&self, new: &Settings) -> Vec<&'static str> {
        let old = &self.settings;
        let changed = [
            ("[server]", old.server != new.server),
            ("[limits]", old.limits != new.limits),
            ("[cache]", with_live(&old.cache, &new.cache) != new.cache || old.cache_dir != new.cache_dir),
            ("[log]", old.log != new.log),
            ("[tls]", old.tls != new.tls),
            ("[intercept]", old.intercept != new.intercept || old.ca_dir != new.ca_dir),
        ];
        changed.into_iter().filter_map(|(table, changed)| changed.then_some(table)).collect()
    }

    /// Opens the access log anew.
    pub(super) fn reopen_log(&self) {
        self.shared.log.reopen();
        info!("the access log was reopened");
    }
}

/// Where the rule is that blocks a pattern; its own name where it is another one.
fn by(pattern: &Pattern, refusal: &Refusal) -> String {
    let Refusal { rule, list, .. } = refusal;
    match list {
        Some(list) if *rule == pattern.to_string() => list.clone(),
        Some(list) => format!("{list} ({rule})"),
        None => rule.clone(),
    }
}

/// As who asks finds it, who may be in another folder.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_no_current_folder| path.to_owned())
}

/// `[cache]` as it is in force after a reload: what can't change while Larder runs is the old one's.
fn with_live(old: &CacheSettings, new: &CacheSettings) -> CacheSettings {
    let CacheSettings { no_vary_search, offline, .. } = *new;
    CacheSettings { no_vary_search, offline, rules: new.rules.clone(), ..old.clone() }
}

fn not_reloaded(error: &dyn std::fmt::Display) -> String {
    format!("not reloaded, the old configuration stays in force: {error}")
}
