//! Bringing a response into the store while clients read it.
//!
//! The fill runs in a task of its own, so that no client's pace or departure is the fill's.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::collapse::{Filling, Keeping, Lead};
use super::forward::{self, Reply};
use super::origin_failure::{bad_content, incomplete, silent};
use super::pace::{Pace, TooSlow};
use super::partial::{Asking, RESUMES_MAX};
use super::record::tell;
use super::rules::target;
use super::{Proxy, Shared, update};
use crate::budget::{Place, client_of};
use crate::caching::{ByteRange, StoredHead, is_same_representation};
use crate::clock::TimedOut;
use crate::error::Failure;
use crate::http::{BodyLength, Content, ContentError, Fields, Method, Persistence, Request};
use crate::policy::ListenerScope;
use crate::store::{
    Aborted, Beside, ContentId, FillWriter, Finished, Generation, Key, Object, Part, Span, Spans,
    StoredContent,
};

/// What a fill that has failed leaves of a small content is kept from this part of it on. Arbitrary:
/// asking for the rest costs as much as asking for all of it, except for the octets.
const WORTH_KEEPING: u64 = 4;
/// How long a fill waits for the disk, before it gives it up. Arbitrary: long beside a disk that
/// is busy, short beside the patience of clients.
const DISK_PATIENCE: Duration = Duration::from_secs(5);

/// Why a fill ended early; for the diagnostics.
#[derive(Debug, thiserror::Error)]
enum FillError {
    #[error("{0}")]
    Content(#[from] ContentError),
    #[error("no client reads it any more")]
    Unread(#[from] Aborted),
    #[error("no client reads it any more, and too many other downloads without a client are under way")]
    TooMany,
    #[error("the origin was {0}")]
    Slow(#[from] TooSlow),
    #[error("the origin was silent for too long")]
    Silent(#[from] TimedOut),
}

impl FillError {
    /// As what its readers are told.
    fn failure(&self) -> Failure {
        match self {
            FillError::Content(error) => bad_content(error),
            FillError::Unread(_) | FillError::TooMany | FillError::Slow(_) => incomplete(self),
            FillError::Silent(timed_out) => silent(*timed_out),
        }
    }
}

/// A response that is to be stored.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// The number of the request, for the diagnostics.
    pub id: u64,
    pub key: Key<'a>,
    /// To ask again with, and to tell which stored responses the new one replaces.
    pub request: &'a Request,
    /// Of the listener that it came by.
    pub scope: ListenerScope,
    /// The client that it is brought for.
    pub client: IpAddr,
    pub head: StoredHead,
    pub reply: Reply,
    pub lead: Option<Lead>,
    pub keeping: Keeping,
    pub writer: FillWriter,
    /// Of the key, before the origin was asked.
    pub asked: Generation,
}

/// Octets of content, when the head told.
pub(super) fn known_length(length: BodyLength) -> Option<u64> {
    match length {
        BodyLength::None => Some(0),
        BodyLength::Exact(length) => Some(length),
        BodyLength::Chunked | BodyLength::UntilClose | BodyLength::UntilEnd => None,
    }
}

/// Starts to bring a reply into the store.
pub(super) fn start(proxy: &Proxy, start: Start<'_>) -> Arc<Filling> {
    let Start { id, key, request, scope, client, head, reply, mut lead, keeping, writer, asked } = start;
    let length = known_length(reply.response.length);
    let rendered = super::render::stored_head(&proxy.shared.pseudonym, &head, reply.response.version);
    let filling = Arc::new(Filling {
        head,
        rendered,
        length,
        fill: writer.fill().clone(),
        uri: key.uri.detached(),
        id: ContentId { key: key.hash, generation: asked.seq() },
        origin: reply.connection.peer,
        received: reply.response.version,
        failure: OnceLock::new(),
        keeping,
    });
    if let Some(lead) = &mut lead {
        lead.share(filling.clone());
    }
    let (proxy, uri, request, of_task) =
        (proxy.clone(), key.uri.detached(), request.clone(), filling.clone());
    proxy.fills.set(proxy.fills.get() + 1);
    tokio::task::spawn_local(async move {
        let key = proxy.shared.store.key(&uri);
        let asking = Asking { proxy: &proxy, scope, client, request: &request, uri: target(&request, key) };
        let filled = Source { id, asking, filling: &of_task, reply, resumes: 0 }.run(writer).await;
        match keeping {
            Keeping::Stored => store(&asking, key, id, &of_task, filled, asked).await,
            Keeping::Shared => tell(id, "store", "shared, and not stored"),
        }
        // The store has it before the flight ends: who comes now finds one or the other.
        drop(lead);
        proxy.fills.set(proxy.fills.get() - 1);
    });
    filling
}

/// A fill that nobody reads.
struct Alone {
    _place: Place<IpAddr>,
    since_ms: u64,
}

impl Alone {
    /// How long it may still go on.
    fn left(&self, shared: &Shared) -> Duration {
        let spent = shared.clock.monotonic_ms().saturating_sub(self.since_ms);
        shared.limits.unread_fill.saturating_sub(Duration::from_millis(spent))
    }
}

/// Where the content comes from.
struct Source<'a> {
    id: u64,
    asking: Asking<'a>,
    filling: &'a Filling,
    reply: Reply,
    resumes: usize,
}

impl Source<'_> {
    async fn run(mut self, mut writer: FillWriter) -> Result<Finished, FillError> {
        match self.fill(&mut writer).await {
            Ok(trailers) => {
                let finished = writer.finish(trailers);
                let persistence = Persistence::of(&self.reply.response);
                forward::keep(self.asking.proxy, self.asking.uri, persistence, self.reply.connection);
                Ok(finished)
            }
            Err(error) => {
                // Before the writer goes: its readers ask why.
                self.filling.failure.get_or_init(|| error.failure());
                Err(error)
            }
        }
    }

    /// Takes all of the content; the trailers behind it.
    async fn fill(&mut self, writer: &mut FillWriter) -> Result<Fields, FillError> {
        let shared = &self.asking.proxy.shared;
        let mut content = Content::new(self.reply.response.length, &shared.limits.chunks);
        let (mut pieces, mut alone) = (Vec::new(), None);
        let mut pace = Pace::of_response(shared, self.reply.response.length, self.reply.idle);
        while !content.is_done() {
            self.goes_on(writer, &mut alone)?;
            let patience = alone.as_ref().map_or(self.reply.idle, |alone| alone.left(shared));
            let next = content.next(&mut self.reply.connection.reader, &mut pieces);
            let next = Pace::timed(&shared.clock, shared.clock.timeout(patience, next));
            let (next, waited_ms) = tokio::select! {
                biased;
                next = next => next,
                // What it is for has gone: the next turn decides.
                () = writer.unread(), if alone.is_none() => continue,
            };
            if let Err(error) = next.map_err(FillError::from).and_then(|read| Ok(read?)) {
                if alone.is_some() {
                    return Err(error);
                }
                self.resume(writer, error).await?;
                // They come again: what goes on begins behind what was pushed.
                pieces.clear();
                content = Content::new(self.reply.response.length, &shared.limits.chunks);
            }
            pace.moved(waited_ms, pieces.iter().map(|piece| piece.len() as u64).sum())?;
            writer.push(&pieces);
            pieces.clear();
            if writer.is_cramped() {
                // What was read at once would all be held.
                self.reply.connection.reader.rest();
            }
            // Readers that take nothing for the whole idle time have held the others long enough.
            loop {
                let waits_for_disk = writer.waits_for_disk();
                let patience = if waits_for_disk { DISK_PATIENCE } else { shared.limits.idle };
                match shared.clock.timeout(patience, writer.room()).await {
                    Ok(room) => break room?,
                    Err(_timed_out) if waits_for_disk || writer.waits_for_readers() => writer.stop_keeping(),
                    Err(_timed_out) => writer.leave_behind(),
                }
            }
        }
        Ok(content.trailers().clone())
    }

    /// Decides whether a fill without readers goes on: one that is worth it, in one of a few places and
    /// for a short time.
    fn goes_on(&self, writer: &FillWriter, alone: &mut Option<Alone>) -> Result<(), FillError> {
        if writer.has_readers() {
            *alone = None;
            return Ok(());
        }
        let shared = &self.asking.proxy.shared;
        match alone {
            Some(alone) if alone.left(shared).is_zero() => Err(FillError::Unread(Aborted)),
            Some(_) => Ok(()),
            None if !writer.is_worth_finishing() => Err(FillError::Unread(Aborted)),
            None => {
                let client = client_of(self.asking.client);
                let place = shared.unread_fills.take(&client).map_err(|_full| FillError::TooMany)?;
                *alone = Some(Alone { _place: place, since_ms: shared.clock.monotonic_ms() });
                Ok(())
            }
        }
    }

    /// Asks the origin for the rest, after `error`: which remains the reason if it can't be had.
    async fn resume(&mut self, writer: &FillWriter, error: FillError) -> Result<(), FillError> {
        let (filling, at) = (self.filling, writer.written());
        let is_whole = filling.head.status == 200 && self.asking.request.method == Method::Get;
        if self.resumes == RESUMES_MAX || !is_whole || filling.length == Some(at) {
            return Err(error);
        }
        self.resumes += 1;
        let last = filling.length.and_then(|length| length.checked_sub(1));
        let asking = self.asking.part(&filling.head, (at, last), filling.length);
        let part = tokio::select! {
            biased;
            part = Box::pin(asking) => part,
            // Nobody waits for it.
            () = writer.unread() => return Err(error),
        };
        match part {
            Ok(reply) => {
                tell(self.id, "store", format_args!("{error}; goes on at octet {at}"));
                self.reply = reply;
                Ok(())
            }
            Err(unsupplied) => {
                tell(self.id, "store", format_args!("it can't go on at octet {at}: {unsupplied}"));
                Err(error)
            }
        }
    }
}

/// Stores what was filled, and what of it a fill that has failed has brought to the disk.
async fn store(
    asking: &Asking<'_>,
    key: Key<'_>,
    id: u64,
    filling: &Filling,
    filled: Result<Finished, FillError>,
    asked: Generation,
) {
    let content = match filled {
        Ok(Finished::Kept(content)) => content,
        Ok(Finished::Chunks(length)) if on_disk(asking, filling).await >= length => {
            StoredContent::Chunks { length }
        }
        Ok(Finished::Chunks(length) | Finished::Passed(length)) => {
            let on_disk = on_disk(asking, filling).await;
            let Some(content) = of_use(asking, filling, length, on_disk) else {
                tell(id, "store", "not stored: too-large");
                return remove_replaced(asking, key, filling, asked).await;
            };
            if has_more(asking, key, filling, on_disk).await {
                return tell(id, "store", "not stored: more of it is there");
            }
            tell(id, "store", format_args!("{on_disk} octets of {length} came to the disk"));
            content
        }
        Err(error) => {
            let is_strong = filling.head.etag().is_some_and(|tag| !tag.is_weak());
            let is_whole = filling.head.status == 200 && asking.request.method == Method::Get;
            let arrived = filling.fill.in_memory();
            if let Some(content) = filling.length.filter(|_| is_strong && is_whole).and_then(|length| {
                let is_small = asking.proxy.shared.store.keeps_spans(length);
                arrived
                    .filter(|octets| is_small && octets.len() as u64 >= length / WORTH_KEEPING)
                    .map(|octets| StoredContent::of_spans(Spans::of([Span { first: 0, octets }]), length))
            }) {
                tell(id, "store", format_args!("{error}: what has arrived is stored"));
                return insert(asking, key, filling, content, asked);
            }
            let on_disk = on_disk(asking, filling).await;
            let content = filling.length.and_then(|length| of_use(asking, filling, length, on_disk));
            let Some(content) = content else {
                return tell(id, "store", format_args!("not stored: {error}"));
            };
            if has_more(asking, key, filling, on_disk).await {
                return tell(id, "store", format_args!("{error}: more than that is stored"));
            }
            tell(id, "store", format_args!("{error}: {on_disk} octets of {} are stored", content.length()));
            content
        }
    };
    tell(id, "store", format_args!("stored, {} octets of content", content.length()));
    insert(asking, key, filling, content, asked);
}

/// The octets of a content that are on disk, when the rest of it is there, too, or the disk has had its
/// time: those who wait for this exchange don't wait for a disk that is behind.
async fn on_disk(asking: &Asking<'_>, filling: &Filling) -> u64 {
    let settled = asking.proxy.shared.clock.timeout(DISK_PATIENCE, filling.fill.settled()).await;
    settled.unwrap_or_else(|_timed_out| filling.fill.on_disk())
}

/// What is on disk of a content, from its first octet on, if it is of use: when the rest can be asked for.
fn of_use(asking: &Asking<'_>, filling: &Filling, length: u64, on_disk: u64) -> Option<StoredContent> {
    let is_strong = filling.head.etag().is_some_and(|tag| !tag.is_weak());
    let is_whole = filling.head.status == 200 && asking.request.method == Method::Get;
    (is_strong && is_whole && on_disk > 0).then_some(StoredContent::Chunks { length })
}

/// Whether more than `on_disk` octets are stored of the same representation: a try that has failed
/// earlier does not cost what an earlier one has brought.
async fn has_more(asking: &Asking<'_>, key: Key<'_>, filling: &Filling, on_disk: u64) -> bool {
    let store = &asking.proxy.shared.store;
    let is_same = |other: &&Arc<Object>| {
        other.head.selects(&asking.request.fields)
            && is_same_representation(&other.head, &filling.head)
            && Some(other.content.length()) == filling.length
    };
    let Some(stored) = store.look_up(key).await else { return false };
    let Some(other) = stored.iter().find(is_same) else { return false };
    let Some(last) = other.content.length().checked_sub(1) else { return false };
    let parts = store.parts(key, other, ByteRange { first: 0, last });
    let there = parts.iter().filter(|part| !matches!(part, Part::Missing(_)));
    there.map(Part::length).sum::<u64>() >= on_disk
}

/// Removes what a response that could not be stored replaces: it is older.
async fn remove_replaced(asking: &Asking<'_>, key: Key<'_>, filling: &Filling, asked: Generation) {
    let store = &asking.proxy.shared.store;
    for other in store.look_up(key).await.iter().flat_map(|stored| stored.iter()) {
        let is_older = other.generation < asked.seq() && other.head.selects(&asking.request.fields);
        if is_older && !is_same_representation(&other.head, &filling.head) {
            store.remove(key, other).await;
        }
    }
}

fn insert(asking: &Asking<'_>, key: Key<'_>, filling: &Filling, content: StoredContent, asked: Generation) {
    let object = Object {
        head: filling.head.clone(),
        rendered: filling.rendered.clone(),
        content,
        origin: filling.origin,
        received: filling.received,
        generation: asked.seq(),
        head_generation: asked.seq(),
    };
    // What this request selected before, the new response answers from now on.
    let shared = &asking.proxy.shared;
    let Shared { store, searches, .. } = &**shared;
    let new = (&filling.head, asked);
    store.join(key, Some(object), asked, |other| match other.head.selects(&asking.request.fields) {
        true if update::withstood(shared, asking.request, other, new).is_err() => Beside::Forbids,
        true => Beside::Goes,
        false => Beside::Stays,
    });
    searches.stored(key.uri, &filling.head, asked.seq());
}
