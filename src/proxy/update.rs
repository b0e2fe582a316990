//! What an exchange says about responses that are stored already: freshening and invalidation
//! (RFC 9111 §3.2, §4.3.4, §4.3.5, §4.4).

use std::sync::Arc;

use super::record::Record;
use super::rules::target;
use super::{Proxy, Shared};
use crate::caching::{
    HeadEffect, NotStored, Times, freshened_by_head, freshens_as_well, invalidated, invalidated_groups,
    may_keep,
};
use crate::http::{Method, Request, Response};
use crate::store::{Generation, Key, Object, Store};

/// RFC 9111 §3.2: puts the updated response in place of the stored one, unless the update itself
/// forbids that.
pub(super) async fn freshen(
    shared: &Shared,
    request: &Request,
    key: Key<'_>,
    object: &Arc<Object>,
    response: &Response,
    times: Times,
) -> (Arc<Object>, Result<(), NotStored>) {
    let head = object.head.freshen(response, request, times);
    let kept = may_keep(request, &head, &shared.policy_for(request, &head));
    let rendered = super::render::stored_head(&shared.pseudonym, &head, response.version);
    let fresh = Arc::new(Object {
        head,
        rendered,
        content: object.content.clone(),
        origin: object.origin,
        received: response.version,
        generation: object.generation,
    });
    match kept {
        Ok(()) => shared.store.replace(key, object, fresh.clone()),
        // It says nothing about what others may get.
        Err(reason) if reason.is_about_request() => {}
        Err(_) => shared.store.remove(key, object).await,
    }
    (fresh, kept)
}

/// RFC 9111 §4.3.4: the response that was asked about, as a 304 leaves it; and what else that 304 is
/// about is updated with it.
pub(super) async fn unmodified(
    shared: &Shared,
    request: &Request,
    key: Key<'_>,
    object: &Arc<Object>,
    response: &Response,
    times: Times,
) -> (Arc<Object>, Result<(), NotStored>) {
    let freshened = freshen(shared, request, key, object, response, times).await;
    let variants = shared.store.look_up(key).await;
    for other in variants.iter().flat_map(|variants| variants.iter()) {
        let is_other = other.generation != object.generation;
        if is_other && freshens_as_well(request, response, &other.head) {
            let (_fresh, _kept) = freshen(shared, request, key, other, response, times).await;
        }
    }
    freshened
}

/// Since when the response of an exchange has to be valid that was begun at `before`, after
/// [`others`]: what the exchange has invalidated itself does not speak against its own response
/// (RFC 9110 §9.3.3 has one to POST stored), and what another has done meanwhile does.
pub(super) fn asked_since(store: &Store, key: Key<'_>, request: &Request, before: Generation) -> Generation {
    if request.method.is_safe() {
        return before;
    }
    let after = store.generation(key);
    if after.is_one_invalidation_after(before) { after } else { before }
}

/// What this exchange says about other stored responses (RFC 9111 §4.3.5, §4.4).
pub(super) async fn others(
    proxy: &Proxy,
    request: &Request,
    key: Key<'_>,
    response: &Response,
    times: Times,
    record: &Record,
) {
    let store = &proxy.shared.store;
    for uri in invalidated(&request.method, target(request, key), response) {
        record.note("store", format_args!("invalidates {uri}"));
        proxy.shared.invalidate(&uri).await;
    }
    let groups = invalidated_groups(&request.method, key.uri, response);
    if !groups.is_empty() {
        record.note("store", format_args!("invalidates groups: {}", groups.len()));
        store.purge_groups(key.uri, groups).await;
    }
    if request.method != Method::Head {
        return;
    }
    for object in store.look_up(key).await.iter().flat_map(|variants| variants.iter()) {
        if !object.head.selects(&request.fields) {
            continue;
        }
        match freshened_by_head(&object.head, response, object.content.length()) {
            HeadEffect::Freshen => {
                let (_fresh, kept) = freshen(&proxy.shared, request, key, object, response, times).await;
                record.note("store", format_args!("freshened by HEAD: {kept:?}"));
            }
            HeadEffect::Invalidate => store.invalidate(key).await,
            HeadEffect::None => {}
        }
    }
}
