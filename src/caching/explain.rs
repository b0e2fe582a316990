//! Why a request is answered as it is: the facts that [`decide`] goes by, in the order of
//! RFC 9111 §4, each with its clause and its numbers.
//!
//! Invariant: nothing is decided here. The decision is [`decide`]'s own, on the same arguments, so
//! that an explanation can't say anything else than what is done.

use super::directives::RequestDirectives;
use super::freshness::{SET_BACK_SECONDS_MAX, parse_date};
use super::reuse::forbids_stale;
use super::vary::Compared;
use super::{
    CachePolicy, Decision, ForwardReason, Lifetime, StoredHead, cacheable_request, decide, storable_request,
    validation_fields,
};
use crate::http::{FieldName, Request, Timestamp};

/// A fact, and the clause that makes it matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    /// As `RFC 9111 §4.2.1`; empty where the fact stands for itself.
    pub clause: &'static str,
}

/// What is known of one stored response with regard to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedVariant {
    /// Whether the request selects it (§4.1).
    pub is_selected: bool,
    pub lines: Vec<Line>,
}

/// A decision with its reasons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What the request itself says.
    pub request: Vec<Line>,
    /// In the order that they were given.
    pub variants: Vec<ExplainedVariant>,
    pub decision: Decision,
    pub verdict: Line,
}

/// Why `request` would be answered as it would be, given what is stored under its cache key.
pub fn explain(
    request: &Request,
    stored: &[&StoredHead],
    now: Timestamp,
    policy: &CachePolicy,
) -> Explanation {
    let decision = decide(request, stored, now, policy);
    let wishes = RequestDirectives::of(&request.fields);
    let chosen = match decision {
        Decision::Reuse { index, .. }
        | Decision::ReuseAndValidate { index, .. }
        | Decision::Validate { index, .. } => Some(index),
        Decision::Forward(_) | Decision::GatewayTimeout => None,
    };
    let variant = |(index, head): (usize, &&StoredHead)| {
        let mut lines = selection(request, head);
        let is_selected = head.selects(&request.fields);
        if is_selected {
            lines.extend(arithmetic(head, now, policy));
            lines.extend(stale_use(head, now, policy));
            lines.extend(wanted(&wishes, head, now, policy));
            if chosen == Some(index) {
                lines.extend(validators(head));
            } else if chosen.is_some() {
                lines.push(line("another selected response is more recent", "RFC 9111 §4"));
            }
        }
        ExplainedVariant { is_selected, lines }
    };
    Explanation {
        request: of_request(request, &wishes, policy),
        variants: stored.iter().enumerate().map(variant).collect(),
        verdict: verdict(request, stored, &decision),
        decision,
    }
}

pub(super) fn line(text: impl Into<String>, clause: &'static str) -> Line {
    Line { text: text.into(), clause }
}

fn shown(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

fn of_request(request: &Request, wishes: &RequestDirectives, policy: &CachePolicy) -> Vec<Line> {
    let mut lines = Vec::new();
    let method = shown(request.method.as_str().as_bytes());
    match cacheable_request(request) {
        Ok(()) => lines.push(line(format!("{method}: stored responses can answer it"), "RFC 9111 §4")),
        Err(ForwardReason::Method) => {
            lines.push(line(format!("{method}: only the origin can answer it"), "RFC 9111 §4"));
        }
        Err(ForwardReason::Request) => {
            let text = "If-Match or If-Unmodified-Since: only the origin knows what is current";
            lines.push(line(text, "RFC 9111 §4.3.2"));
        }
        Err(_) => lines.push(line("it has content, which the cache key does not cover", "RFC 9110 §9.3.1")),
    }
    if let Err(reason) = storable_request(request, policy) {
        let (text, clause) = reason.because();
        lines.push(line(format!("what answers it is not stored: {text}"), clause));
    }
    let directives = [
        (wishes.no_cache, "no-cache: nothing stored is used without asking the origin", "RFC 9111 §5.2.1.4"),
        (wishes.only_if_cached, "only-if-cached: the origin is not asked", "RFC 9111 §5.2.1.7"),
    ];
    lines.extend(
        directives.iter().filter(|(is_there, ..)| *is_there).map(|(_, text, clause)| line(*text, clause)),
    );
    if let Some(seconds) = wishes.max_age {
        lines.push(line(format!("max-age={seconds}: no response older than that"), "RFC 9111 §5.2.1.1"));
    }
    match wishes.max_stale {
        Some(u64::MAX) => lines.push(line("max-stale: stale responses are welcome", "RFC 9111 §5.2.1.2")),
        Some(seconds) => {
            let text = format!("max-stale={seconds}: responses that are stale for so long are welcome");
            lines.push(line(text, "RFC 9111 §5.2.1.2"));
        }
        None => {}
    }
    if let Some(seconds) = wishes.min_fresh {
        lines.push(line(format!("min-fresh={seconds}: fresh for so long at least"), "RFC 9111 §5.2.1.3"));
    }
    lines
}

fn selection(request: &Request, head: &StoredHead) -> Vec<Line> {
    const CLAUSE: &str = "RFC 9111 §4.1";
    if !head.varies() {
        return vec![line("no Vary: every request for this URI selects it", CLAUSE)];
    }
    let compared = |Compared { name, stored, presented, matches }: Compared<'_>| {
        let value =
            |value: Option<&[u8]>| value.map_or("absent".to_owned(), |value| format!("{:?}", shown(value)));
        let (stored, presented) = (value(stored), value(presented.as_deref()));
        let how = if matches { "matches" } else { "DIFFERS" };
        line(format!("Vary: {} {how}: stored for {stored}, presented {presented}", shown(name)), CLAUSE)
    };
    head.compared(&request.fields).map(compared).collect()
}

/// Lifetime, age, and the comparison of both.
fn arithmetic(head: &StoredHead, now: Timestamp, policy: &CachePolicy) -> Vec<Line> {
    let lifetime = head.freshness_lifetime(policy);
    let age = head.current_age(now);
    let resident = now.seconds_since(head.times.response_time);
    let seconds = lifetime.seconds();
    let compared = if seconds > age {
        format!("fresh: {seconds} > {age}, for {} s more", seconds - age)
    } else {
        format!("stale: {seconds} <= {age}, since {} s", age - seconds)
    };
    let mut lines = vec![
        lifetime_line(head, lifetime, policy),
        line(
            format!(
                "corrected_initial_age = {} s, when it was received at {}",
                head.initial_age(),
                head.times.response_time.to_http_date()
            ),
            "RFC 9111 §4.2.3",
        ),
        line(format!("resident_time = {resident} s"), "RFC 9111 §4.2.3"),
    ];
    lines.extend(set_back(head, now));
    lines
        .extend([line(format!("current_age = {age} s"), "RFC 9111 §4.2.3"), line(compared, "RFC 9111 §4.2")]);
    lines
}

/// What a clock does that is behind the moment when the response was received.
fn set_back(head: &StoredHead, now: Timestamp) -> Option<Line> {
    let text = match head.times.response_time.seconds_since(now) {
        0 => return None,
        seconds if seconds > SET_BACK_SECONDS_MAX => format!(
            "the clock was set back: it is {seconds} s behind that moment, so that nobody knows the age, and it counts as stale"
        ),
        seconds => format!("the clock was set back a little: it is {seconds} s behind that moment"),
    };
    Some(line(text, "RFC 9111 §4.2.3"))
}

fn lifetime_line(head: &StoredHead, lifetime: Lifetime, policy: &CachePolicy) -> Line {
    let directives = &head.directives;
    let (text, clause) = match lifetime {
        Lifetime::Explicit(seconds) => match (directives.s_maxage, directives.max_age) {
            (Some(_), _) => (format!("freshness_lifetime = {seconds} s: s-maxage"), "RFC 9111 §5.2.2.10"),
            (None, Some(_)) => (format!("freshness_lifetime = {seconds} s: max-age"), "RFC 9111 §5.2.2.1"),
            (None, None) => {
                let expires = head.fields.first(FieldName::Expires).unwrap_or_default();
                let why = match parse_date(expires, head.times.response_time) {
                    Some(_) => {
                        format!("Expires ({}) less Date ({})", shown(expires), head.date().to_http_date())
                    }
                    None => format!("Expires ({}) is not a date, which means in the past", shown(expires)),
                };
                (format!("freshness_lifetime = {seconds} s: {why}"), "RFC 9111 §5.3")
            }
        },
        Lifetime::Heuristic(seconds) => {
            let unmodified = head.last_modified().map_or(0, |modified| head.date().seconds_since(modified));
            let text = format!(
                "freshness_lifetime = {seconds} s, estimated: {} % of the {unmodified} s from Last-Modified to Date, at most {} s",
                policy.heuristic_percent, policy.heuristic_seconds_max
            );
            (text, "RFC 9111 §4.2.2")
        }
        Lifetime::Rule(seconds) => {
            (format!("freshness_lifetime = {seconds} s, as a rule of the operator says"), "cache.rule")
        }
        Lifetime::None => {
            ("freshness_lifetime = 0 s: nothing says how long it is fresh".to_owned(), "RFC 9111 §4.2.1")
        }
    };
    line(text, clause)
}

/// What the response says of its use without validation.
fn stale_use(head: &StoredHead, now: Timestamp, policy: &CachePolicy) -> Vec<Line> {
    let directives = &head.directives;
    let told = [
        (directives.no_cache, "no-cache: each use is validated", "RFC 9111 §5.2.2.4"),
        (directives.must_revalidate, "must-revalidate: never used stale", "RFC 9111 §5.2.2.2"),
        (directives.proxy_revalidate, "proxy-revalidate: never used stale", "RFC 9111 §5.2.2.8"),
        (directives.s_maxage.is_some(), "s-maxage: never used stale", "RFC 9111 §5.2.2.10"),
    ];
    let mut lines: Vec<Line> =
        told.iter().filter(|(is_there, ..)| *is_there).map(|(_, text, clause)| line(*text, clause)).collect();
    let overrides = &policy.overrides;
    let while_validated = overrides.stale_while_revalidate.or(directives.stale_while_revalidate);
    if forbids_stale(head, policy) {
        lines.extend(while_validated.map(|seconds| {
            let text = format!(
                "stale-while-revalidate={seconds} is not used beside it; a rule with ignore = [\"must-revalidate\"] lets it"
            );
            line(text, "RFC 9111 §4.2.4")
        }));
        return lines;
    }
    let stale = head.staleness(now, policy);
    let mut window = |name: &str, seconds: u64, clause: &'static str| {
        let left = seconds.saturating_sub(stale);
        lines.push(line(format!("{name}: {seconds} s past its freshness, {left} s of them left"), clause));
    };
    if let Some(seconds) = while_validated {
        window("stale while it is validated", seconds, "RFC 5861 §3");
    }
    let (seconds, clause) = match overrides.stale_if_error.or(directives.stale_if_error) {
        Some(seconds) => (seconds, "RFC 5861 §4"),
        None => (policy.stale_on_error_seconds, "RFC 9111 §4.2.4"),
    };
    window("stale if the origin fails", seconds, clause);
    lines
}

/// How the request's wishes compare with the response's numbers.
fn wanted(wishes: &RequestDirectives, head: &StoredHead, now: Timestamp, policy: &CachePolicy) -> Vec<Line> {
    let (age, lifetime) = (head.current_age(now), head.freshness_lifetime(policy).seconds());
    let mut lines = Vec::new();
    if let Some(limit) = wishes.max_age {
        let how = if limit > 0 && age <= limit { "within" } else { "NOT within" };
        lines.push(line(format!("age {age} s is {how} the request's max-age={limit}"), "RFC 9111 §5.2.1.1"));
    }
    if let Some(least) = wishes.min_fresh {
        let left = lifetime.saturating_sub(age);
        let how = if lifetime >= age.saturating_add(least) { "enough" } else { "NOT enough" };
        lines.push(line(
            format!("{left} s of freshness are {how} for min-fresh={least}"),
            "RFC 9111 §5.2.1.3",
        ));
    }
    lines
}

fn validators(head: &StoredHead) -> Vec<Line> {
    let fields = validation_fields(&[head]);
    if fields.is_empty() {
        return vec![line("no validator: it can only be fetched anew", "RFC 9111 §4.3.1")];
    }
    let conditions: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}: {}", name.as_str(), shown(value))).collect();
    vec![line(format!("a validation asks with {}", conditions.join(" and ")), "RFC 9111 §4.3.1")]
}

fn verdict(request: &Request, stored: &[&StoredHead], decision: &Decision) -> Line {
    match decision {
        Decision::Reuse { age, ttl, .. } if *ttl > 0 => line(
            format!("a hit: the stored response answers, {age} s old and fresh for {ttl} s"),
            "RFC 9111 §4",
        ),
        Decision::Reuse { age, .. } => {
            line(format!("a hit: the stored response answers stale, {age} s old"), "RFC 9111 §4.2.4")
        }
        Decision::ReuseAndValidate { age, .. } => {
            let text =
                format!("a hit: the stored response answers stale, {age} s old, and is validated afterwards");
            line(text, "RFC 5861 §3")
        }
        Decision::Validate { reason: ForwardReason::Stale, .. } => line(
            "a validation: the origin is asked whether the stored response is still good",
            "RFC 9111 §4.3",
        ),
        Decision::Validate { .. } => {
            line("a validation: the request does not take the stored response unasked", "RFC 9111 §5.2.1")
        }
        Decision::Forward(ForwardReason::UriMiss) => {
            line("a miss: nothing is stored for this key", "RFC 9111 §4")
        }
        Decision::Forward(ForwardReason::VaryMiss) => {
            let text =
                format!("a miss: {} stored, none of which this request selects", counted(stored.len()));
            line(text, "RFC 9111 §4.1")
        }
        Decision::Forward(_) => {
            let method = shown(request.method.as_str().as_bytes());
            line(format!("forwarded: {method} or what it says is for the origin to answer"), "RFC 9111 §4")
        }
        Decision::GatewayTimeout => {
            line("504: the request wants a stored response only, and none can be used", "RFC 9111 §5.2.1.7")
        }
    }
}

fn counted(responses: usize) -> String {
    if responses == 1 { "one response is".to_owned() } else { format!("{responses} responses are") }
}
