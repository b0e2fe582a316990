//! HTTP caching (RFC 9111) as pure functions of a request, the stored responses and the time.
//!
//! The room answers five questions: may this response be stored ([`may_store`]), may a stored
//! one be used ([`decide`]), how is it validated ([`validation_fields`], [`freshened_by`]), what
//! of it answers this request ([`answer`]), and what does a request invalidate ([`invalidated`]).
//! [`Outcome`] is what is told about it afterwards.
//!
//! No answer is an error: each is an enum with its reason. Nothing here sees a socket, a file, a
//! runtime or a clock; `now` is passed. The cache key is a matter of the store, because the
//! target URI that `http/` hands over is canonical already; variants below one key are told
//! apart here ([`StoredHead::selects`]). A 206 is judged as the 200 that it is a part of
//! ([`part_of_whole`]), and completes what is stored already ([`is_part`]).

mod answer;
mod directives;
mod etag;
mod explain;
mod freshness;
mod groups;
mod head;
mod invalidation;
mod not_stored;
mod outcome;
mod part;
mod partial;
mod policy;
mod range;
mod reuse;
mod rules;
mod search_params;
mod secret;
mod stored_fields;
mod storing;
mod targeted;
mod unkeyed;
mod validation;
mod vary;

#[cfg(test)]
mod tests;

pub use answer::{Answer, answer};
pub use directives::DELTA_SECONDS_MAX;
pub use etag::ETag;
pub use explain::{ExplainedVariant, Explanation, Line, explain};
pub use freshness::{Lifetime, Times};
pub use groups::{group_tags, groups_of, invalidated_groups};
pub use head::{StoredHead, StoredParts};
pub use invalidation::invalidated;
pub use not_stored::NotStored;
pub use outcome::{ForwardReason, Handled, Outcome};
pub use part::{PartOfWhole, is_same_representation, may_begin_with_part, part_of_whole};
pub use partial::{NoPart, is_part, range_fields};
pub use policy::{CachePolicy, SetCookie};
pub use range::ByteRange;
pub use reuse::{
    Decision, cacheable_request, decide, decide_collapsed, insists_on_validation, is_error_for_stale,
    is_usable_for_others, may_serve_stale_on_error, selected, stale_use_forbidden, wants_stored_only,
};
pub use rules::{
    Actions, Applied, Conditions, DropQuery, Facts, HostPattern, Ignorable, Ignored, KeyRewrite, Overrides,
    PathPattern, Rule, RuleError, RuleName, RuleSet, StatusRange, Together, TypePattern,
};
pub use search_params::NoVarySearch;
pub use secret::{HIDDEN, SecretFields};
pub use stored_fields::withheld_fields;
pub use storing::{may_keep, may_share_unstored, may_store, storable_request};
pub use targeted::Targets;
pub use unkeyed::{UnkeyedField, UnkeyedFields, has_unkeyed_fields};
pub use validation::{
    HeadEffect, REPLACED_BY_VALIDATION, freshened_by, freshened_by_answer, freshened_by_head,
    freshens_as_well, is_unchanged, supersedes, validation_fields,
};
