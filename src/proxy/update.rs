//! What an exchange says about responses that are stored already: freshening and invalidation
//! (RFC 9111 §3.2, §4.3.4, §4.3.5, §4.4).
//!
//! Invariants: what was asked for before a stored head was does not change it; what an update makes
//! stays within the limits on heads; a cookie that comes with an update is for who asked.

use std::borrow::Cow;
use std::sync::Arc;

use super::record::Record;
use super::rules::target;
use super::{Proxy, Shared};
use crate::caching::{
    CachePolicy, HeadEffect, Ignorable, NotStored, SetCookie, StoredHead, Times, freshened_by_answer,
    freshened_by_head, freshens_as_well, has_unkeyed_fields, invalidated, invalidated_groups,
    is_same_representation, is_unchanged, is_usable_for_others, may_keep, supersedes,
};
use crate::http::{FieldName, HeadLimits, Method, Request, Response};
use crate::store::{Generation, Key, Object, Store, StoredContent};

/// A response that says something about what is stored, and the exchange that brought it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update<'a> {
    pub shared: &'a Shared,
    pub request: &'a Request,
    pub key: Key<'a>,
    pub response: &'a Response,
    pub times: Times,
    /// Of the key, before the origin was asked.
    pub asked: Generation,
}

/// A stored response as an update leaves it.
#[derive(Debug)]
pub(super) struct Freshened {
    /// For who asked.
    pub asker: Arc<Object>,
    /// What is stored from now on, or why that is not.
    pub kept: Result<Arc<Object>, NotStored>,
}

impl Update<'_> {
    /// RFC 9111 §3.2: puts the updated response in place of the stored one, unless the update itself
    /// forbids that.
    pub(super) async fn freshen(&self, object: &Arc<Object>) -> Freshened {
        let mut gone = Vec::new();
        let freshened = self.put_fresh(object, &mut gone).await;
        self.shared.store.remove_all(self.key, &gone).await;
        freshened
    }

    /// The same, but leaves it to the caller to remove what is `gone` by it, with one wait for all.
    async fn put_fresh(&self, object: &Arc<Object>, gone: &mut Vec<Arc<Object>>) -> Freshened {
        let Update { shared, key, .. } = *self;
        let mut asker = self.object(object, object.head.freshen(self.response, self.times));
        let own = super::render::withheld(shared, self.response);
        if !own.is_empty() {
            asker.rendered = [&asker.rendered[..], &own].concat().into();
        }
        let asker = Arc::new(asker);
        let head = match object.head_generation > self.asked.seq() {
            true => Err(NotStored::Outdated),
            false => self.head(&object.head),
        };
        let kept = head.map(|head| Arc::new(self.object(object, head)));
        match &kept {
            Ok(fresh) => shared.store.replace(key, object, fresh.clone()).await,
            // It says nothing about what others may get.
            Err(reason) if reason.is_about_request() => {}
            Err(_) => gone.push(object.clone()),
        }
        Freshened { asker, kept }
    }

    /// The stored head as the update leaves it, for others.
    pub(super) fn head(&self, stored: &StoredHead) -> Result<StoredHead, NotStored> {
        let Update { shared, request, .. } = *self;
        let head = stored.freshen(self.response, self.times);
        let policy = shared.policy_for(request, &head);
        let head = match self.response.fields.contains(FieldName::SetCookie) && !keeps_cookies(&policy) {
            true => stored.freshen(&without_cookies(self.response), self.times),
            false => head,
        };
        if !is_within(&shared.limits.response_head, &head) {
            return Err(NotStored::HeadSize);
        }
        may_keep(request, &head, &policy).map(|()| head)
    }

    fn object(&self, old: &Object, head: StoredHead) -> Object {
        let rendered = super::render::stored_head(&self.shared.pseudonym, &head, self.response.version);
        Object {
            head,
            rendered,
            content: old.content.clone(),
            origin: old.origin,
            received: self.response.version,
            generation: old.generation,
            head_generation: self.asked.seq(),
        }
    }

    fn stale(&self, old: &Object) -> Object {
        Object {
            head: old.head.as_stale(),
            rendered: old.rendered.clone(),
            content: old.content.clone(),
            origin: old.origin,
            received: old.received,
            generation: old.generation,
            head_generation: self.asked.seq(),
        }
    }

    /// RFC 9111 §4.3.4: the response that was asked about, as a 304 leaves it; and what else that 304
    /// is about is updated with it.
    pub(super) async fn unmodified(&self, object: &Arc<Object>) -> Freshened {
        let mut gone = Vec::new();
        let freshened = self.put_fresh(object, &mut gone).await;
        let variants = self.shared.store.look_up(self.key).await;
        for other in variants.iter().flat_map(|variants| variants.iter()) {
            let is_other = other.generation != object.generation;
            if is_other && freshens_as_well(self.request, self.response, &other.head) {
                let _other = self.put_fresh(other, &mut gone).await;
            }
        }
        self.shared.store.remove_all(self.key, &gone).await;
        freshened
    }

    /// A 304 to a client's own conditions updates what it names; whether that is anything.
    pub(super) async fn answered(&self) -> bool {
        let variants = self.shared.store.look_up(self.key).await;
        let objects = variants.as_deref().unwrap_or_default();
        let heads: Vec<_> = objects.iter().map(|object| &object.head).collect();
        let named = freshened_by_answer(self.request, self.response, self.times.response_time, &heads);
        let (mut is_kept, mut gone) = (false, Vec::new());
        for object in named.into_iter().filter_map(|at| objects.get(at)) {
            is_kept |= self.put_fresh(object, &mut gone).await.kept.is_ok();
        }
        self.shared.store.remove_all(self.key, &gone).await;
        is_kept
    }

    /// RFC 9111 §4.3.5: what a response to HEAD says of what is stored of GET.
    async fn head_answered(&self, record: &Record) {
        let Update { shared, request, key, response, .. } = *self;
        if has_unkeyed_fields(request, &shared.cache_policy.unkeyed_fields) {
            return;
        }
        for object in shared.store.look_up(key).await.iter().flat_map(|variants| variants.iter()) {
            if !object.head.selects(&request.fields) || object.head_generation > self.asked.seq() {
                continue;
            }
            match freshened_by_head(&object.head, response, object.content.length()) {
                HeadEffect::Freshen => {
                    let kept = self.freshen(object).await.kept.map(|_object| ());
                    record.note("store", format_args!("freshened by HEAD: {kept:?}"));
                }
                // What somebody is shown who has said who he is says nothing about what others get.
                HeadEffect::Stale if request.fields.contains(FieldName::Authorization) => {}
                HeadEffect::Stale => {
                    record.note("store", "a HEAD disagrees: what is stored is stale until it is validated");
                    shared.store.replace(key, object, Arc::new(self.stale(object))).await;
                }
                HeadEffect::None => {}
            }
        }
    }
}

/// Whether the operator has cookies of updates stored.
fn keeps_cookies(policy: &CachePolicy) -> bool {
    policy.set_cookie == SetCookie::Rfc || policy.overrides.ignore.has(Ignorable::SetCookie)
}

fn without_cookies(response: &Response) -> Response {
    let is_cookie = |id| matches!(id, FieldName::SetCookie | FieldName::SetCookie2);
    let fields = response.fields.without(|field| is_cookie(field.id)).build();
    Response { fields, ..response.clone() }
}

/// Whether a head is one that an origin could have sent.
fn is_within(limits: &HeadLimits, head: &StoredHead) -> bool {
    // Each line has a colon, a space and its end beside name and value.
    let octets: usize = head.fields.iter().map(|field| field.name.len() + field.value.len() + 4).sum();
    // Larder adds `Date` where there is none.
    octets <= limits.head && head.fields.len() <= limits.fields + 1
}

/// Whether a response with this head, which was asked for at `asked`, may take the place of what its
/// request selects.
pub(super) async fn may_replace(
    shared: &Shared,
    request: &Request,
    key: Key<'_>,
    new: &StoredHead,
    asked: Generation,
) -> Result<(), NotStored> {
    let variants = shared.store.look_up(key).await;
    let mut objects = variants.iter().flat_map(|variants| variants.iter());
    objects.try_for_each(|object| withstood(shared, request, object, (new, asked)))
}

/// Whether a stored response stays where another one would take its place. What was asked for later, or
/// validated later, knows better what the resource is now (RFC 9111 §4); and a 5xx goes to who asked, while
/// what is stored is of use (§4.2.4).
pub(super) fn withstood(
    shared: &Shared,
    request: &Request,
    object: &Object,
    (new, asked): (&StoredHead, Generation),
) -> Result<(), NotStored> {
    if !object.head.selects(&request.fields) {
        return Ok(());
    }
    // A part that came while the whole was on its way does not keep it out.
    let is_part_of_it =
        !matches!(object.content, StoredContent::Memory { .. }) && is_same_representation(&object.head, new);
    if object.head_generation > asked.seq() && !is_part_of_it {
        return Err(NotStored::Outdated);
    }
    let policy: Cow<'_, CachePolicy> = shared.policy_for(request, &object.head);
    match new.status >= 500 && is_usable_for_others(&object.head, shared.clock.now(), &policy) {
        true => Err(NotStored::OriginFails),
        false => Ok(()),
    }
}

/// A new response has come: if it has changed since what is stored of it, the files that belong together
/// with it count no more. `stored` is what was asked about; without it, what the request selects.
pub(super) async fn companions(
    shared: &Shared,
    request: &Request,
    key: Key<'_>,
    stored: Option<&Arc<Object>>,
    new: &StoredHead,
) -> Option<String> {
    let is_about_all = request.method == Method::Get && supersedes(new.status);
    if !is_about_all || !shared.has_companions(target(request, key)) {
        return None;
    }
    let variants = shared.store.look_up(key).await;
    let mut selected = variants.iter().flat_map(|variants| variants.iter());
    let stored = stored.or_else(|| selected.find(|object| object.head.selects(&request.fields)))?;
    if is_unchanged(&stored.head, new) {
        return None;
    }
    let (rule, companions) = shared.invalidate_companions(target(request, key)).await?;
    Some(format!("it has changed, and by rule {rule} so have {} others", companions.len()))
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
    (response, times): (&Response, Times),
    asked: Generation,
    record: &Record,
) {
    let store = &proxy.shared.store;
    let uris = invalidated(&request.method, target(request, key), response);
    uris.iter().for_each(|uri| record.note("store", format_args!("invalidates {uri}")));
    proxy.shared.invalidate(&uris).await;
    let groups = invalidated_groups(&request.method, key.uri, response);
    if !groups.is_empty() {
        record.note("store", format_args!("invalidates groups: {}", groups.len()));
        store.purge_groups(key.uri, groups).await;
    }
    if request.method == Method::Head {
        Update { shared: &proxy.shared, request, key, response, times, asked }.head_answered(record).await;
    }
}
