//! What the control socket answers about the cache, from the store.
//!
//! Invariant: what may take long (a look at the whole disk) runs on a thread of its own, so that
//! signals, pages and other commands don't wait for it. Texts for people say what was done;
//! everything else here is numbers and what is stored, for a program to lay out.

use std::sync::Arc;

use bytes::Bytes;

use super::messages::{
    CacheAnswer, CacheRequest, ControlResponse, DiskStats, LeftOutStats, Listed, MemoryStats, Scope,
    ShareStats, Shown, ShownRecord, text,
};
use super::numbers::counted;
use crate::caching::{HIDDEN, Lifetime};
use crate::http::{Host, TargetUri, Timestamp};
use crate::proxy::Shared;
use crate::store::disk::set::LeftOut;
use crate::store::disk::survey::{Lies, Share};
use crate::store::{PurgeScope, Store, Stored};

/// Responses in one listing, at the most: what an answer holds in memory.
pub const LIST_MAX: usize = 10_000;

/// Records on disk that are read to say how many a purge concerns. With more of them that would take
/// longer than the purge; a second's worth.
const COUNTED_RECORDS_MAX: u64 = 20_000;

/// Does what was asked.
pub async fn answer(shared: &Arc<Shared>, memory_bytes_max: u64, request: CacheRequest) -> ControlResponse {
    let answered = match request {
        CacheRequest::Stats => apart(shared, move |shared| Ok(stats(&shared.store, memory_bytes_max))).await,
        CacheRequest::List { host, prefix, limit } => list(shared, host, prefix, limit).await,
        CacheRequest::Show { url } => match parse_url(&url) {
            Ok(uri) => apart(shared, move |shared| Ok(show(shared, &uri))).await,
            Err(message) => Err(message),
        },
        CacheRequest::Purge { scope } => purge(shared, scope).await,
        CacheRequest::Online => apart(shared, |shared| online(&shared.store)).await,
    };
    answered.unwrap_or_else(|message| ControlResponse::Failed { message })
}

/// Runs what may wait for the disk away from the event loop.
async fn apart(
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) -> Result<ControlResponse, String> + Send + 'static,
) -> Result<ControlResponse, String> {
    let shared = shared.clone();
    let done = tokio::task::spawn_blocking(move || work(&shared)).await;
    done.unwrap_or_else(|_not_run| Err("Larder is stopping".to_owned()))
}

fn stats(store: &Store, memory_bytes_max: u64) -> ControlResponse {
    let usage = store.usage();
    let memory = MemoryStats {
        objects: usage.objects,
        stored_bytes: usage.stored_bytes,
        filling_bytes: usage.filling_bytes,
        limit_bytes: memory_bytes_max,
        evictions: usage.evictions,
    };
    let disks = store.disks().map(|disk| {
        let (usage, survey) = (disk.usage(), disk.survey());
        let share = |share: Share| ShareStats { records: share.records, bytes: share.bytes };
        DiskStats {
            folder: disk.folder().display().to_string(),
            state: if usage.read_only.is_none() { "online" } else { "read-only" }.to_owned(),
            reason: usage.read_only,
            limit_bytes: usage.size,
            used_bytes: survey.bytes,
            segments: survey.segments,
            responses: share(survey.responses),
            heads: share(survey.heads),
            removals: share(survey.removals),
            dead: share(survey.dead),
            rest_bytes: survey.rest_bytes,
            purges: disk.purges().all().len() as u64,
            reads: usage.reads,
            read_errors: usage.read_errors,
            damaged: usage.damaged,
            dropped: usage.dropped,
            scrubbed_bytes: usage.scrub.read_bytes,
            scrub_passes: usage.scrub.passes,
            scrubbed: usage.scrub.last_pass.map(|time| time.0),
            scrub_damaged: usage.scrub.damaged,
            written_bytes: usage.written_bytes,
            reclaimed_bytes: usage.reclaimed_bytes,
        }
    });
    let left_out = store.left_out().iter().map(|LeftOut { folder, why }| LeftOutStats {
        folder: folder.display().to_string(),
        reason: why.clone(),
    });
    let (disks, left_out) = (disks.collect(), left_out.collect());
    ControlResponse::Cache(CacheAnswer::Stats { memory, disks, left_out })
}

async fn list(
    shared: &Arc<Shared>,
    host: Option<String>,
    prefix: Option<String>,
    limit: usize,
) -> Result<ControlResponse, String> {
    if limit > LIST_MAX {
        return Err(format!("at most {LIST_MAX} at once; --host and --prefix narrow what is listed"));
    }
    let host = host.map(|host| parse_host(&host)).transpose()?;
    let prefix = prefix.map(|prefix| parse_prefix(&prefix)).transpose()?;
    apart(shared, move |shared| {
        let wanted = |uri: &TargetUri| {
            host.as_ref().is_none_or(|host| uri.authority.host == *host)
                && prefix.as_ref().is_none_or(|prefix| uri.to_string().starts_with(prefix))
        };
        let listing = shared.store.list(&wanted, limit);
        let responses = listing.stored.iter().map(|stored| listed(shared, stored)).collect();
        Ok(ControlResponse::Cache(CacheAnswer::Listing { responses, total: listing.total }))
    })
    .await
}

fn show(shared: &Shared, uri: &TargetUri) -> ControlResponse {
    let responses =
        shared.store.show(&shared.key_uri(uri)).iter().map(|stored| shown(shared, stored)).collect();
    ControlResponse::Cache(CacheAnswer::Shown { responses })
}

fn listed(shared: &Shared, stored: &Stored) -> Listed {
    let age = stored.head.current_age(shared.clock.now());
    let lifetime = stored.head.freshness_lifetime(&shared.policy_of(&stored.uri, &stored.head)).seconds();
    let modified = || stored.head.last_modified().map(Timestamp::to_http_date);
    Listed {
        url: stored.uri.to_string(),
        status: stored.head.status,
        length: stored.length,
        in_memory: stored.in_memory.is_some(),
        on_disk: stored.on_disk.is_some(),
        age,
        // Both are at most 2^31.
        ttl: lifetime as i64 - age as i64,
        validator: stored.head.etag().map(|etag| text(etag.as_bytes())).or_else(modified),
    }
}

fn shown(shared: &Shared, stored: &Stored) -> Shown {
    let head = &stored.head;
    let parts = head.to_parts();
    let lifetime = head.freshness_lifetime(&shared.policy_of(&stored.uri, head));
    let lifetime_by = match lifetime {
        Lifetime::Explicit(_) => "explicit",
        Lifetime::Heuristic(_) => "heuristic",
        Lifetime::Rule(_) => "rule",
        Lifetime::None => "none",
    };
    let secrets = shared.store.secrets();
    let value = |name: &[u8], value: &[u8]| if secrets.has(name) { HIDDEN.to_owned() } else { text(value) };
    let record = |lies: &Lies| ShownRecord {
        segment: lies.segment.clone(),
        at: lies.at,
        bytes_max: lies.length_max,
        uses: lies.uses,
    };
    Shown {
        listed: listed(shared, stored),
        reason: text(&head.reason),
        fields: head.fields.iter().map(|line| (text(line.name), value(line.name, line.value))).collect(),
        selecting: parts
            .selecting
            .iter()
            .map(|(name, selected)| (text(name), selected.as_deref().map(|selected| value(name, selected))))
            .collect(),
        origin: stored.origin,
        received: head.times.response_time.0,
        lifetime: lifetime.seconds(),
        lifetime_by: lifetime_by.to_owned(),
        generation: stored.generation,
        memory_uses: stored.in_memory,
        record: stored.on_disk.as_ref().map(record),
    }
}

async fn purge(shared: &Shared, scope: Scope) -> Result<ControlResponse, String> {
    let (what, scope) = match scope {
        Scope::Url(url) => return purge_url(shared, &parse_url(&url)?).await,
        Scope::Host(host) => {
            let host = parse_host(&host)?.to_string();
            (format!("of {host}"), PurgeScope::Host(host))
        }
        Scope::Prefix(prefix) => {
            let prefix = parse_prefix(&prefix)?;
            (format!("below {prefix}"), PurgeScope::Prefix(prefix))
        }
        Scope::Tag(tag) if tag.is_empty() || tag.contains([' ', ',']) => {
            return Err("a tag is a word without spaces and commas".to_owned());
        }
        Scope::Tag(tag) => (format!("with the tag {tag}"), PurgeScope::Tag(Bytes::from(tag))),
        Scope::All => ("at all".to_owned(), PurgeScope::All),
    };
    let (store, wanted) = (shared.store.clone(), scope.clone());
    let stored = tokio::task::spawn_blocking(move || store.count(&wanted, COUNTED_RECORDS_MAX)).await;
    let stored = stored.map_err(|_not_run| "Larder is stopping".to_owned())?;
    let purged = shared.store.purge(scope).await.map_err(|refused| refused.to_string())?;
    let message = match (purged.in_memory, stored) {
        (0, Some(0)) => format!("nothing {what} was stored"),
        (count, Some(stored)) => format!("purged all {what}: {}", counted(stored.max(count), "response")),
        (0, None) => format!("purged all {what}: nothing in memory, and whatever is on disk"),
        (count, None) => {
            format!("purged all {what}: {} in memory, and whatever is on disk", counted(count, "response"))
        }
    }
    .replace("all at all", "all")
    .replace("nothing at all", "nothing");
    if purged.is_written {
        return Ok(done(message));
    }
    Ok(done(format!("{message}; it may come back at the next start, because the disk has not written it")))
}

async fn purge_url(shared: &Shared, uri: &TargetUri) -> Result<ControlResponse, String> {
    let (of_thread, wanted) = (shared.store.clone(), shared.key_uri(uri).into_owned());
    let stored = tokio::task::spawn_blocking(move || of_thread.show(&wanted).len() as u64).await;
    shared.remove(uri).await;
    match stored {
        Ok(0) => Ok(done(format!("nothing was stored of {uri}"))),
        Ok(count) => Ok(done(format!("purged {uri}: {}", counted(count, "response")))),
        Err(_not_run) => Err("Larder is stopping".to_owned()),
    }
}

fn online(store: &Store) -> Result<ControlResponse, String> {
    if store.disks().len() == 0 {
        return Err("there is no cache on disk: it is off, or could not be opened at the start".to_owned());
    }
    let (mut lines, mut has_failed) = (Vec::new(), false);
    for disk in store.disks() {
        let folder = disk.folder().display();
        let state = match disk.online() {
            Ok(true) => {
                tracing::info!("the cache on disk in {folder} can be written again");
                "online again".to_owned()
            }
            Ok(false) => "online, as before".to_owned(),
            Err(error) => {
                has_failed = true;
                format!("still read-only: {error}")
            }
        };
        lines.push(format!("{folder}  {state}"));
    }
    let message = lines.join("\n");
    if has_failed { Err(message) } else { Ok(done(message)) }
}

fn done(message: String) -> ControlResponse {
    ControlResponse::Done { message, patterns: Vec::new() }
}

pub(super) fn parse_url(url: &str) -> Result<TargetUri, String> {
    url.parse().map_err(|error| format!("{url:?} is not a URL: {error}"))
}

fn parse_host(host: &str) -> Result<Host, String> {
    Host::parse_text(host).map_err(|error| format!("{host:?} is not a host: {error}"))
}

/// A prefix as URIs are rendered; one that ends in its host has the whole host.
fn parse_prefix(prefix: &str) -> Result<String, String> {
    let uri =
        parse_url(prefix).map_err(|error| format!("{error}; a prefix is written as http://host/path"))?;
    Ok(uri.to_string())
}
