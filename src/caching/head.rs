//! A stored response without its content, and the facts about it.
//!
//! Invariant: the facts are those of `fields`, parsed once, so that a hit parses nothing of the
//! response; and no field is there that RFC 9111 §3.1 keeps from being stored. `Age` is not
//! among the fields either: it is a fact, and whoever sends the response writes the current one.

use std::hash::{DefaultHasher, Hasher as _};

use bytes::Bytes;

use super::directives::DELTA_SECONDS_MAX;
use super::directives::ResponseDirectives;
use super::freshness::{
    SET_BACK_SECONDS_MAX, corrected_initial_age, date_value, expired_before, explicit_lifetime,
    is_heuristically_cacheable, parse_date,
};
use super::secret::SecretFields;
use super::stored_fields::{merge, storable_fields};
use super::vary::{Compared, Selecting};
use super::{CachePolicy, ETag, Ignorable, Lifetime, Targets, Times};
use crate::http::grammar::Members;
use crate::http::{FieldName, Fields, Method, Request, Response, Timestamp};

/// Everything a cache keeps of a response except its content.
#[derive(Clone, Debug)]
pub struct StoredHead {
    /// Of the request that the response answered: GET, or POST (RFC 9110 §9.3.3).
    pub method: Method,
    pub status: u16,
    pub reason: Bytes,
    /// In the origin's order and spelling, without `Age`, with `Date`.
    pub fields: Fields,
    /// Of the exchange that brought or last validated the response.
    pub times: Times,
    date: Timestamp,
    initial_age: u64,
    explicit_lifetime: Option<u64>,
    /// Seconds that an explicit lifetime is below zero.
    expired_before: u64,
    /// Seconds from `Last-Modified` to `Date`, where heuristics are allowed (§4.2.2).
    heuristic_basis: Option<u64>,
    pub(super) directives: ResponseDirectives,
    etag: Option<ETag>,
    last_modified: Option<Timestamp>,
    content_language: Option<Box<[u8]>>,
    selecting: Box<[Selecting]>,
    targets: Targets,
}

/// What a store that outlives the process writes down of a [`StoredHead`]: the rest is parsed
/// again by [`StoredHead::from_parts`].
#[derive(Clone, Debug)]
pub struct StoredParts {
    pub method: Method,
    /// 200 to 999.
    pub status: u16,
    pub reason: Bytes,
    /// As [`StoredHead::fields`].
    pub fields: Fields,
    pub times: Times,
    /// Seconds of age when the response was received (§4.2.3), at most 2^31.
    pub initial_age: u64,
    /// The names in `Vary`, in lower case, and what the original request had under them.
    pub selecting: Vec<(Bytes, Option<Bytes>)>,
    /// The targeted fields that were honoured when the response was stored (RFC 9213 §2.2).
    pub targets: Targets,
}

impl StoredHead {
    /// What is kept of `response`, which answered `request`.
    pub fn new(request: &Request, response: &Response, times: Times) -> StoredHead {
        StoredHead::with_targets(request, response, times, &Targets::default())
    }

    /// As [`StoredHead::new`], where these targeted fields are honoured.
    pub fn with_targets(
        request: &Request,
        response: &Response,
        times: Times,
        targets: &Targets,
    ) -> StoredHead {
        let fields = storable_fields(&response.fields, times.response_time, targets);
        let date = date_value(&fields, times.response_time).unwrap_or(times.response_time);
        let parts = StoredParts {
            method: request.method.clone(),
            status: response.status,
            // Not a slice of the buffer that it was read into, which it would keep alive.
            reason: Bytes::copy_from_slice(&response.reason),
            initial_age: corrected_initial_age(&response.fields, date, times),
            selecting: Vec::new(),
            targets: targets.clone(),
            fields,
            times,
        };
        let selecting = Selecting::all(&parts.fields, &request.fields);
        StoredHead::with_facts(parts, selecting)
    }

    /// The head that [`StoredHead::to_parts`] took apart.
    pub fn from_parts(mut parts: StoredParts) -> StoredHead {
        let selecting = std::mem::take(&mut parts.selecting);
        let selecting = selecting.into_iter().map(|(name, value)| Selecting::new(name, value)).collect();
        StoredHead::with_facts(parts, selecting)
    }

    /// The same with hashes in the place of the secret values that it was selected by: so it is written
    /// down and shown. It is selected by the same requests.
    #[must_use]
    pub fn hiding(mut self, secrets: &SecretFields) -> StoredHead {
        let selecting = std::mem::take(&mut self.selecting);
        self.selecting = selecting.into_iter().map(|selecting| selecting.hiding(secrets)).collect();
        self
    }

    /// What a store that outlives the process must write down.
    pub fn to_parts(&self) -> StoredParts {
        StoredParts {
            method: self.method.clone(),
            status: self.status,
            reason: self.reason.clone(),
            fields: self.fields.clone(),
            times: self.times,
            initial_age: self.initial_age,
            selecting: self.selecting.iter().map(|s| (s.name.clone(), s.value.clone())).collect(),
            targets: self.targets.clone(),
        }
    }

    fn with_facts(parts: StoredParts, selecting: Box<[Selecting]>) -> StoredHead {
        let StoredParts { method, status, reason, fields, times, initial_age, selecting: _, targets } = parts;
        let mut directives = targets.directives(&fields);
        // They have been taken out of the fields, and freshening reads the directives anew.
        directives.withheld = Vec::new();
        let received = times.response_time;
        let date = date_value(&fields, received).unwrap_or(received);
        let last_modified = fields.only(FieldName::LastModified).and_then(|text| parse_date(text, received));
        // §4.2.2: "heuristics can only be used on responses without explicit freshness whose status
        // codes are defined as heuristically cacheable […] and on responses without explicit
        // freshness that have been marked as explicitly cacheable (e.g., with a public response
        // directive)."
        let heuristics_allowed = is_heuristically_cacheable(status) || directives.public;
        StoredHead {
            explicit_lifetime: explicit_lifetime(&directives, &fields, (date, received)),
            expired_before: expired_before(&directives, &fields, (date, received)),
            heuristic_basis: last_modified
                .filter(|_| heuristics_allowed)
                .map(|modified| date.seconds_since(modified)),
            etag: fields.only(FieldName::ETag).and_then(ETag::parse),
            initial_age: initial_age.min(DELTA_SECONDS_MAX),
            content_language: only_language(&fields),
            last_modified,
            date,
            directives,
            selecting,
            targets,
            method,
            status,
            reason,
            times,
            fields,
        }
    }

    /// Seconds since the origin made or last validated the response (§4.2.3), at most 2^31.
    pub fn current_age(&self, now: Timestamp) -> u64 {
        // A clock that was set back tells nothing about the time since: what was received "later"
        // could stay fresh for as long as the clock was wrong.
        if self.times.response_time.seconds_since(now) > SET_BACK_SECONDS_MAX {
            return DELTA_SECONDS_MAX;
        }
        // "resident_time = now - response_time; current_age = corrected_initial_age + resident_time;"
        let resident_time = now.seconds_since(self.times.response_time);
        self.initial_age.saturating_add(resident_time).min(DELTA_SECONDS_MAX)
    }

    /// How long the response is fresh (§4.2.1).
    pub fn freshness_lifetime(&self, policy: &CachePolicy) -> Lifetime {
        let said = self.lifetime_without_rules(policy);
        let overrides = &policy.overrides;
        let seconds = match said {
            Lifetime::None | Lifetime::Heuristic(_) => overrides.negative_lifetime(self.status),
            Lifetime::Explicit(_) | Lifetime::Rule(_) => None,
        };
        let seconds = seconds.or((said != Lifetime::None).then_some(said.seconds()));
        match overrides.bounded(seconds) {
            Some(seconds) if seconds != said.seconds() || said == Lifetime::None => Lifetime::Rule(seconds),
            _ => said,
        }
    }

    /// Seconds of freshness left; negative when stale. No side of it is above 2^32.
    pub fn ttl(&self, now: Timestamp, policy: &CachePolicy) -> i64 {
        let lifetime = self.freshness_lifetime(policy);
        let seconds = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        seconds(lifetime.seconds()) - seconds(self.current_age(now)) - seconds(self.behind(lifetime))
    }

    /// Seconds since the response became stale; 0 when it is fresh.
    pub fn staleness(&self, now: Timestamp, policy: &CachePolicy) -> u64 {
        let lifetime = self.freshness_lifetime(policy);
        (self.current_age(now) + self.behind(lifetime)).saturating_sub(lifetime.seconds())
    }

    /// Whether each use needs a validation, however fresh the response is.
    pub fn is_always_validated(&self, policy: &CachePolicy) -> bool {
        self.directives.no_cache && !policy.overrides.ignore.has(Ignorable::NoCache)
    }

    /// What an explicit lifetime is below zero, which [`Lifetime`] can't say.
    fn behind(&self, lifetime: Lifetime) -> u64 {
        if matches!(lifetime, Lifetime::Explicit(_)) { self.expired_before } else { 0 }
    }

    fn lifetime_without_rules(&self, policy: &CachePolicy) -> Lifetime {
        match (self.explicit_lifetime, self.heuristic_basis) {
            (Some(seconds), _) => Lifetime::Explicit(seconds),
            (None, Some(unmodified)) => {
                let part = unmodified.saturating_mul(policy.heuristic_percent) / 100;
                Lifetime::Heuristic(part.min(policy.heuristic_seconds_max).min(DELTA_SECONDS_MAX))
            }
            (None, None) => Lifetime::None,
        }
    }

    /// When the origin made the response, or last validated it.
    pub fn date(&self) -> Timestamp {
        self.date
    }

    /// The entity tag, when there is exactly one and it is well-formed.
    pub fn etag(&self) -> Option<&ETag> {
        self.etag.as_ref()
    }

    /// `Last-Modified`, when there is exactly one and it is a date.
    pub fn last_modified(&self) -> Option<Timestamp> {
        self.last_modified
    }

    /// Whether the origin can be asked if the response is still good (§4.3).
    pub fn has_validator(&self) -> bool {
        self.etag.is_some() || self.last_modified.is_some()
    }

    /// Whether the response has `Vary`.
    pub fn varies(&self) -> bool {
        !self.selecting.is_empty()
    }

    /// Whether a request with these fields selects this response among the variants (§4.1).
    pub fn selects(&self, request: &Fields) -> bool {
        self.selecting.iter().all(|selecting| selecting.matches(request, self.content_language.as_deref()))
    }

    // §3.2: "the cache MUST add each header field in the provided response to the stored
    // response, replacing field values that are already present, with the following exceptions".
    /// This response as a 304 (§4.3.4), or a 200 to HEAD (§4.3.5), leaves it.
    pub fn freshen(&self, response: &Response, times: Times) -> StoredHead {
        let mut updates = storable_fields(&response.fields, times.response_time, &self.targets);
        if self.is_weaker_than(&updates) {
            updates = updates.without(|field| field.id == FieldName::ETag).build();
        }
        let date = date_value(&updates, times.response_time).unwrap_or(times.response_time);
        let merged = merge(&self.fields, &updates);
        let mut parts = StoredParts {
            initial_age: corrected_initial_age(&response.fields, date, times),
            fields: storable_fields(&merged, times.response_time, &self.targets),
            times,
            ..self.to_parts()
        };
        parts.selecting = Vec::new();
        // §4.1: "the original request (i.e., the request that caused the cached response to be
        // stored)" selects, whoever had it validated.
        let selecting = match same_names(&self.selecting, &parts.fields) {
            true => self.selecting.clone(),
            false => Selecting::renamed(&parts.fields, &self.selecting),
        };
        StoredHead::with_facts(parts, selecting)
    }

    // §4.3.5: "otherwise, the cache SHOULD consider the stored response to be stale." §4.2 has no lifetime
    // above 2^31 seconds.
    /// This response as stale as one can be, until a validation says otherwise.
    #[must_use]
    pub fn as_stale(&self) -> StoredHead {
        StoredHead { initial_age: DELTA_SECONDS_MAX, ..self.clone() }
    }

    /// Whether an update has the strong form of the entity tag that this response has weak. A server
    /// that encodes on the fly weakens the tag of a 200, and not that of the 304: the octets that are
    /// stored are not those that the strong one stands for.
    fn is_weaker_than(&self, updates: &Fields) -> bool {
        let updated = updates.only(FieldName::ETag).and_then(ETag::parse);
        let known = self.etag.as_ref().filter(|tag| tag.is_weak());
        known.zip(updated).is_some_and(|(known, updated)| !updated.is_weak() && known.weak_eq(&updated))
    }

    /// How many fields select this response.
    pub fn selecting_names(&self) -> usize {
        self.selecting.len()
    }

    /// What a request with these fields presents of those that select this response, as a number that is
    /// the same for all requests that select one variant; none where nothing selects.
    pub fn selection_of(&self, request: &Fields) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        self.selecting.iter().for_each(|selecting| selecting.hash_presented(request, &mut hasher));
        self.varies().then(|| hasher.finish())
    }

    /// Whether `Vary` names a field for which nobody knows what the original request had.
    pub(super) fn varies_by_unknown(&self) -> bool {
        self.selecting.iter().any(Selecting::is_unknown)
    }

    /// The age at the moment when it was received (§4.2.3), in seconds.
    pub(super) fn initial_age(&self) -> u64 {
        self.initial_age
    }

    /// What the request was selected by, beside what another one with these fields presents: name,
    /// both values, and whether they match.
    pub(super) fn compared<'a>(&'a self, request: &'a Fields) -> impl Iterator<Item = Compared<'a>> {
        self.selecting.iter().map(|selecting| Compared {
            name: &selecting.name,
            stored: selecting.shown(),
            presented: selecting.shown_of(request),
            matches: selecting.matches(request, self.content_language.as_deref()),
        })
    }

    /// Bytes of memory, for accounting.
    pub fn memory_bytes(&self) -> usize {
        size_of::<StoredHead>()
            + self.reason.len()
            + self.fields.memory_bytes()
            + self.etag.as_ref().map_or(0, |etag| etag.as_bytes().len())
            + self.content_language.as_ref().map_or(0, |language| language.len())
            + self.selecting.iter().map(Selecting::memory_bytes).sum::<usize>()
    }
}

/// The language of the content, when it is exactly one.
fn only_language(fields: &Fields) -> Option<Box<[u8]>> {
    let mut languages = fields.all_named(b"Content-Language").flat_map(Members::of);
    let language = languages.next()?;
    languages.next().is_none().then(|| Box::from(language))
}

fn same_names(selecting: &[Selecting], fields: &Fields) -> bool {
    let names = || fields.members(FieldName::Vary);
    names().count() == selecting.len()
        && names().zip(selecting).all(|(name, selecting)| name.eq_ignore_ascii_case(&selecting.name))
}
