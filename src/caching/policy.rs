//! What the operator may choose where RFC 9111 leaves a choice to the cache.
//!
//! The defaults are the safe side of each choice. What overrules an origin is [`Overrides`] alone,
//! which come from rules that name what they overrule.

use super::{Overrides, Targets, UnkeyedFields};

/// Which responses with `Set-Cookie` are stored.
///
/// RFC 9111 §7.3: the field does not inhibit caching. An origin that marks a response fresh and
/// forgets its session cookie hands one user's session to the next, so the default asks for a
/// sign that the origin thought of shared caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SetCookie {
    /// Only those with `public` or `s-maxage`.
    #[default]
    Shared,
    /// All that RFC 9111 §3 allows.
    Rfc,
    /// None.
    Never,
}

/// The operator's choices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePolicy {
    /// Which responses with `Set-Cookie` are stored.
    pub set_cookie: SetCookie,
    /// Heuristic freshness in percent of the time since `Last-Modified` (RFC 9111 §4.2.2 names
    /// 10 as typical). 0 turns heuristics off.
    pub heuristic_percent: u64,
    /// The longest heuristic freshness, in seconds. A day: §4.2.2 lets longer ones be used, but
    /// an origin that says nothing should be asked daily.
    pub heuristic_seconds_max: u64,
    /// How long past its freshness a response is served when its origin can't be reached or
    /// fails and the origin did not say itself (RFC 9111 §4.2.4), in seconds. 0: never.
    pub stale_on_error_seconds: u64,
    /// How many names `Vary` may have; each multiplies the variants of one URI.
    pub vary_names_max: usize,
    /// The targeted fields that are honoured (RFC 9213).
    pub targets: Targets,
    /// Fields that origins build responses from, beside those that are known.
    pub unkeyed_fields: UnkeyedFields,
    /// What rules say of the response in question.
    pub overrides: Overrides,
}

impl Default for CachePolicy {
    fn default() -> CachePolicy {
        CachePolicy {
            set_cookie: SetCookie::default(),
            heuristic_percent: 10,
            heuristic_seconds_max: 86_400,
            stale_on_error_seconds: 86_400,
            vary_names_max: 8,
            targets: Targets::default(),
            unkeyed_fields: UnkeyedFields::default(),
            overrides: Overrides::default(),
        }
    }
}
