//! Bringing a response into the store while clients read it.
//!
//! The fill runs in a task of its own, so that no client's pace or departure is the fill's.

use std::sync::Arc;

use super::Proxy;
use super::collapse::{Filling, Lead};
use super::deliver;
use super::forward::Reply;
use super::record::tell;
use crate::caching::StoredHead;
use crate::http::{BodyLength, Content, Fields, TargetUri};
use crate::store::{Aborted, FillWriter, Finished, Generation, Key, Object, StoredContent};

/// Why a fill ended early; for the diagnostics.
#[derive(Debug, thiserror::Error)]
enum FillError {
    #[error("{0}")]
    Content(#[from] crate::http::ContentError),
    #[error("nobody reads it any more")]
    Unread(#[from] Aborted),
    #[error("the origin was silent for too long")]
    Silent(#[from] crate::clock::TimedOut),
}

/// A response that is to be stored.
#[derive(Debug)]
pub(super) struct Start<'a> {
    /// The number of the request, for the diagnostics.
    pub id: u64,
    pub key: Key<'a>,
    /// Of the request, to tell which stored responses the new one replaces.
    pub request: &'a Fields,
    pub head: StoredHead,
    pub reply: Reply,
    pub lead: Option<Lead>,
    pub writer: FillWriter,
    /// Of the key, before the origin was asked.
    pub asked: Generation,
}

/// Octets of content, when the head told.
pub(super) fn known_length(length: BodyLength) -> Option<u64> {
    match length {
        BodyLength::None => Some(0),
        BodyLength::Exact(length) => Some(length),
        BodyLength::Chunked | BodyLength::UntilClose => None,
    }
}

/// Starts to bring a reply into the store.
pub(super) fn start(proxy: &Proxy, start: Start<'_>) -> Arc<Filling> {
    let Start { id, key, request, head, reply, mut lead, writer, asked } = start;
    let length = known_length(reply.response.length);
    let rendered = super::render::stored_head(&proxy.shared.pseudonym, &head, reply.response.version);
    let filling = Arc::new(Filling {
        head,
        rendered,
        length,
        fill: writer.fill().clone(),
        origin: reply.connection.peer,
        received: reply.response.version,
    });
    if let Some(lead) = &mut lead {
        lead.share(filling.clone());
    }
    let (proxy, uri, request, of_task) = (proxy.clone(), key.uri.clone(), request.clone(), filling.clone());
    proxy.fills.set(proxy.fills.get() + 1);
    tokio::task::spawn_local(async move {
        let keep_alive = reply.response.keep_alive;
        let mut content = Content::new(reply.response.length, &proxy.shared.limits.chunks);
        let mut connection = reply.connection;
        match run(&proxy, &mut connection, &mut content, writer).await {
            Ok(Finished::Kept(pieces)) => {
                let content = StoredContent::new(pieces);
                tell(id, "store", format_args!("stored, {} octets of content", content.length()));
                store(&proxy, &uri, &request, &of_task, content, asked);
                deliver::keep(&proxy, &uri, keep_alive, connection);
            }
            Ok(Finished::Passed) => {
                tell(id, "store", "not stored: too-large");
                deliver::keep(&proxy, &uri, keep_alive, connection);
            }
            Err(error) => tell(id, "store", format_args!("not stored: {error}")),
        }
        // The store has it before the flight ends: who comes now finds one or the other.
        drop(lead);
        proxy.fills.set(proxy.fills.get() - 1);
    });
    filling
}

async fn run(
    proxy: &Proxy,
    connection: &mut crate::origin::Connection,
    content: &mut Content,
    mut writer: FillWriter,
) -> Result<Finished, FillError> {
    let mut pieces = Vec::new();
    while !content.is_done() {
        let next = content.next(&mut connection.reader, &mut pieces);
        proxy.shared.clock.timeout(proxy.shared.limits.idle, next).await??;
        writer.push(&pieces);
        pieces.clear();
        // Readers that take nothing for the whole idle time have held the others long enough.
        loop {
            match proxy.shared.clock.timeout(proxy.shared.limits.idle, writer.room()).await {
                Ok(room) => break room?,
                Err(_timed_out) => writer.leave_behind(),
            }
        }
    }
    Ok(writer.finish(content.trailers().clone()))
}

fn store(
    proxy: &Proxy,
    uri: &TargetUri,
    request: &Fields,
    filling: &Filling,
    content: StoredContent,
    asked: Generation,
) {
    let object = Object {
        head: filling.head.clone(),
        rendered: filling.rendered.clone(),
        content,
        origin: filling.origin,
        received: filling.received,
        generation: asked.seq(),
    };
    // What this request selected before, the new response answers from now on.
    proxy
        .shared
        .store
        .insert(proxy.shared.store.key(uri), object, asked, |other| other.head.selects(request));
}
