//! `larder explain`: why a URL would be answered as it would be, and what became of a past request.
//!
//! Invariant: looking changes nothing: it is no use of what is stored, and asks no origin. The
//! decision is the one that a request would meet (`caching::explain`), the policy the one in force.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::messages::{
    ControlResponse, ExplainRequest, Explained, ExplainedLine, ExplainedStored, Gap, Outlook, Past, text,
};
use crate::caching::{
    Answer, ByteRange, CachePolicy, Decision, ExplainedVariant, Explanation, ForwardReason, Handled, Line,
    NotStored, RuleName, StoredHead, cacheable_request, explain, selected,
};
use crate::http::{BodyLength, Fields, Method, Request, Scheme, Target, TargetUri, Timestamp, Version};
use crate::policy::PortOf;
use crate::proxy::{Recalled, Shared};
use crate::store::Stored;

/// Field lines of a question, at the most.
const HEADERS_MAX: usize = 64;
/// Gaps that a line names.
const GAPS_SHOWN_MAX: usize = 8;

/// Answers a question.
pub async fn answer(shared: &Arc<Shared>, question: ExplainRequest) -> ControlResponse {
    let shared = shared.clone();
    // What is on disk is waited for on a thread of its own.
    let answered = tokio::task::spawn_blocking(move || explained(&shared, &question)).await;
    match answered {
        Ok(Ok(explained)) => ControlResponse::Explained(Box::new(explained)),
        Ok(Err(message)) => ControlResponse::Failed { message },
        Err(_not_run) => ControlResponse::Failed { message: "Larder is stopping".to_owned() },
    }
}

fn explained(shared: &Shared, question: &ExplainRequest) -> Result<Explained, String> {
    let Some(id) = request_number(&question.of) else {
        let request = request_of(&question.of, &question.method, &question.headers)?;
        return Ok(Explained { past: None, next: outlook(shared, &request) });
    };
    let recalled = shared.recent.recall(id).ok_or_else(|| {
        format!(
            "no request {id:016x} is remembered: it is too old, still running, or belongs to another Larder"
        )
    })?;
    let url = text(&recalled.url);
    // A tunnel's target is no URL, and a long one was cut.
    let request = request_of(&url, recalled.method.as_str(), &question.headers).ok();
    let next = request.and_then(|request| outlook(shared, &request));
    Ok(Explained { past: Some(past(&recalled)), next })
}

/// A request's number: sixteen hexadecimal digits.
fn request_number(of: &str) -> Option<u64> {
    (of.len() == 16).then(|| u64::from_str_radix(of, 16).ok()).flatten()
}

fn request_of(url: &str, method: &str, headers: &[(String, String)]) -> Result<Request, String> {
    if headers.len() > HEADERS_MAX {
        return Err(format!("at most {HEADERS_MAX} field lines"));
    }
    if method.is_empty() || !method.bytes().all(crate::http::grammar::is_tchar) {
        return Err(format!("{method:?} is not a method"));
    }
    let method = Method::of(Bytes::copy_from_slice(method.as_bytes()));
    let uri = super::cache::parse_url(url)?;
    let fields: Fields = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let target = Target::Absolute(uri);
    Ok(Request { method, target, version: Version::Http11, fields, length: BodyLength::None, head_bytes: 0 })
}

fn outlook(shared: &Shared, request: &Request) -> Option<Outlook> {
    let Target::Absolute(uri) = &request.target else { return None };
    let stored = shared.store.show(&shared.key_uri(uri));
    let heads: Vec<_> = stored.iter().map(|stored| &stored.head).collect();
    let never = shared.never(request);
    let explanation = explain(request, &heads, shared.clock.now(), &policy(shared, request, &heads, never));
    let (decision, verdict) = decided(shared, request, &heads, &explanation);
    let explained = |(stored, variant): (&Stored, &ExplainedVariant)| {
        explained_stored(stored, variant, shared.store.missing(stored), || {
            shared.explain_rules(request, &stored.head)
        })
    };
    let mut outlook = Outlook {
        method: request.method.as_str().to_owned(),
        url: uri.to_string(),
        decision: decision.to_owned(),
        verdict,
        request: request_lines(shared, request, uri, &explanation),
        stored: stored.iter().zip(&explanation.variants).map(explained).collect(),
        not_stored: shared.recent.last_for(uri, was_not_stored).as_ref().map(past),
    };
    let chosen = selected(request, &heads).and_then(|index| heads.get(index).zip(outlook.stored.get(index)));
    if let Some((head, stored)) = chosen
        && outlook.decision == "hit"
        && is_wanted(request, head, stored)
    {
        let text = "a hit with gaps: what is there answers, and the origin is asked for the rest";
        outlook.verdict = ExplainedLine { text: text.to_owned(), clause: "RFC 9111 §3.4".to_owned() };
        outlook.decision = "partial".to_owned();
    }
    Some(outlook)
}

/// The policy that the decision goes by.
fn policy<'a>(
    shared: &'a Shared,
    request: &Request,
    heads: &[&StoredHead],
    never: Option<RuleName>,
) -> Cow<'a, CachePolicy> {
    let head = selected(request, heads).and_then(|index| heads.get(index));
    let policy = head.map_or(Cow::Borrowed(&shared.cache_policy), |head| shared.policy_for(request, head));
    match never {
        Some(_rule) => {
            let mut policy = policy.into_owned();
            policy.overrides.never = true;
            Cow::Owned(policy)
        }
        None => policy,
    }
}

/// The decision in a word, and in a sentence.
fn decided(
    shared: &Shared,
    request: &Request,
    heads: &[&StoredHead],
    explanation: &Explanation,
) -> (&'static str, ExplainedLine) {
    let line = |text: String, clause: &str| ExplainedLine { text, clause: clause.to_owned() };
    let Target::Absolute(uri) = &request.target else { return ("forward", line(String::new(), "")) };
    let policy = shared.policy.load();
    // An https URI is asked for inside a tunnel.
    let of = if uri.scheme == Scheme::Https { PortOf::Tunnel } else { PortOf::Request };
    if let Err(refusal) = policy.judge_target(uri).and_then(|()| policy.judge_port(uri.authority.port, of)) {
        let text = format!("blocked: {}", crate::error::Failure::from(refusal));
        return ("blocked", line(text, ""));
    }
    if !shared.is_offline() {
        return (decision_word(&explanation.decision), explained_line(&explanation.verdict));
    }
    match shared.decide_offline(request, heads) {
        Decision::Reuse { age, .. } if cacheable_request(request).is_ok() => (
            "hit",
            line(format!("a hit: offline, the stored response answers, {age} s old"), "cache.offline"),
        ),
        _ => ("504", line("504: offline, and nothing stored answers this".to_owned(), "cache.offline")),
    }
}

/// Whether the request wants some of what is not there of a response.
fn is_wanted(request: &Request, head: &StoredHead, stored: &ExplainedStored) -> bool {
    let meets = |range: &ByteRange| {
        stored.missing.iter().any(|gap| gap.first <= range.last && range.first <= gap.last)
    };
    match crate::caching::answer(request, head, stored.length) {
        Answer::Whole => request.method == Method::Get && !stored.missing.is_empty(),
        Answer::Range(range) => meets(&range),
        Answer::MultiRange(ranges) => ranges.iter().any(meets),
        Answer::NotModified | Answer::RangeNotSatisfiable => false,
    }
}

fn request_lines(
    shared: &Shared,
    request: &Request,
    uri: &TargetUri,
    explanation: &Explanation,
) -> Vec<ExplainedLine> {
    let key_uri = shared.key_uri(uri);
    let key = shared.store.key(&key_uri);
    let line = |text, clause: &str| ExplainedLine { text, clause: clause.to_owned() };
    let mut lines = vec![line(format!("cache key {:032x}, of {key_uri}", key.hash), "RFC 9111 §2")];
    for rule in shared.keyed_by(uri) {
        lines.push(line(format!("rule {rule}: the key is not that of {uri}"), "cache.rule"));
    }
    match shared.never(request) {
        Some(rule) => {
            let text = format!("rule {rule}: neither stored nor reused, and the origin is asked");
            lines.push(line(text, "cache.rule.never"));
        }
        None => lines.extend(shared.rules_about(request).into_iter().map(|(rule, is_about_response)| {
            let some = if is_about_response { ", if the response is of its kind" } else { "" };
            line(format!("rule {rule}: is about this request{some}"), "cache.rule")
        })),
    }
    if shared.is_offline() {
        let text = "offline: whatever is stored and selected answers, and no origin is asked";
        lines.push(line(text.to_owned(), "cache.offline"));
    }
    lines.extend(explanation.request.iter().map(explained_line));
    lines
}

fn explained_stored(
    stored: &Stored,
    variant: &ExplainedVariant,
    missing: Vec<ByteRange>,
    rules: impl Fn() -> Vec<Line>,
) -> ExplainedStored {
    let mut lines: Vec<ExplainedLine> = variant.lines.iter().map(explained_line).collect();
    if variant.is_selected {
        lines.extend(rules().iter().map(explained_line));
    }
    lines.extend(incomplete(stored.length, &missing));
    ExplainedStored {
        status: stored.head.status,
        length: stored.length,
        in_memory: stored.in_memory.is_some(),
        on_disk: stored.on_disk.is_some(),
        is_selected: variant.is_selected,
        missing: missing.iter().map(|gap| Gap { first: gap.first, last: gap.last }).collect(),
        lines,
    }
}

/// What is not there of a response.
fn incomplete(length: u64, missing: &[ByteRange]) -> Option<ExplainedLine> {
    if missing.is_empty() {
        return None;
    }
    let away: u64 = missing.iter().map(|gap| gap.length()).sum();
    let gaps = missing.iter().take(GAPS_SHOWN_MAX).map(|gap| format!("{}-{}", gap.first, gap.last));
    let mut gaps = gaps.collect::<Vec<_>>().join(", ");
    if missing.len() > GAPS_SHOWN_MAX {
        gaps.push_str(&format!(" and {} more gaps", missing.len() - GAPS_SHOWN_MAX));
    }
    let text = format!("{} of {length} octets are there; missing are {gaps}", length - away);
    Some(ExplainedLine { text, clause: "RFC 9111 §3.3".to_owned() })
}

fn explained_line(line: &Line) -> ExplainedLine {
    ExplainedLine { text: line.text.clone(), clause: line.clause.to_owned() }
}

const fn decision_word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Reuse { .. } | Decision::ReuseAndValidate { .. } => "hit",
        Decision::Validate { .. } => "validation",
        Decision::Forward(ForwardReason::UriMiss | ForwardReason::VaryMiss | ForwardReason::Miss) => "miss",
        Decision::Forward(_) => "forward",
        Decision::GatewayTimeout => "504",
    }
}

fn was_not_stored(recalled: &Recalled) -> bool {
    let outcome = recalled.outcome;
    let is_told = outcome.detail.is_some() || outcome.rule.is_some();
    matches!(outcome.result, Handled::Forwarded(_)) && !outcome.stored && is_told
}

fn past(recalled: &Recalled) -> Past {
    let mut cache_status = Vec::new();
    recalled.outcome.write_cache_status(&mut cache_status);
    Past {
        request: format!("{:016x}", recalled.id),
        finished_ms: recalled.finished_ms,
        took_ms: recalled.took_ms,
        client: recalled.client.to_string(),
        method: recalled.method.as_str().to_owned(),
        url: text(&recalled.url),
        status: recalled.status,
        cache_status: text(&cache_status),
        why: why(recalled),
    }
}

/// What an outcome means, in words.
fn why(recalled: &Recalled) -> Vec<ExplainedLine> {
    let mut lines = Vec::new();
    let mut line = |text: String, clause: &str| lines.push(ExplainedLine { text, clause: clause.to_owned() });
    let outcome = &recalled.outcome;
    if let Some(rule) = &recalled.rule {
        line(format!("blocked by {rule}"), "");
    }
    if let Some(error) = recalled.error {
        let detail = recalled.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
        line(format!("{}{detail}", error.as_str()), "RFC 9209 §2.3");
    }
    match outcome.result {
        Handled::Hit => line("a stored response answered".to_owned(), "RFC 9111 §4"),
        Handled::Forwarded(reason) => {
            let (text, clause) = forwarded(reason);
            line(text.to_owned(), clause);
        }
        Handled::Local => {}
    }
    if let Some(rule) = outcome.rule {
        line(format!("rule {rule} made the difference"), "cache.rule");
    }
    if outcome.collapsed {
        line("another request for it was under way, and its answer was shared".to_owned(), "RFC 9111 §4");
    }
    if outcome.stored {
        line("the answer was stored".to_owned(), "RFC 9111 §3");
    } else if let Some(detail) = outcome.detail {
        match NotStored::of_token(detail) {
            Some(reason) => {
                let (text, clause) = reason.because();
                line(format!("the answer was not stored: {text}"), clause);
            }
            None => line(in_words(detail), ""),
        }
    }
    let when = Timestamp(recalled.finished_ms / 1000).to_http_date();
    line(format!("it ended at {when}, after {} ms", recalled.took_ms), "");
    lines
}

pub(super) const fn forwarded(reason: ForwardReason) -> (&'static str, &'static str) {
    match reason {
        ForwardReason::Bypass => {
            ("the origin was asked: Larder does not handle such a request", "RFC 9211 §2.2")
        }
        ForwardReason::Method => ("the origin was asked: only it can answer this method", "RFC 9111 §4"),
        ForwardReason::UriMiss => ("the origin was asked: nothing was stored for the URI", "RFC 9111 §4"),
        ForwardReason::VaryMiss => ("the origin was asked: only other variants were stored", "RFC 9111 §4.1"),
        ForwardReason::Miss => ("the origin was asked: nothing that was stored could be used", "RFC 9111 §4"),
        ForwardReason::Request => ("the origin was asked: the request wanted that", "RFC 9111 §5.2.1"),
        ForwardReason::Stale => ("the origin was asked: what was stored was stale", "RFC 9111 §4.3"),
        ForwardReason::Partial => ("the origin was asked for the part that was missing", "RFC 9111 §3.3"),
    }
}

/// The store's reasons, which have no clause.
pub(super) fn in_words(detail: &str) -> String {
    match detail {
        "too-large" => {
            "the answer was not stored: it is larger than one may be (cache.max_object)".to_owned()
        }
        "disk-once" => {
            "the answer was not stored: it is large, the disk is nearly full, and it came for the first time"
                .to_owned()
        }
        "disk-read-only" => "the answer was not stored: the disk can't be written to".to_owned(),
        "no-disk" => {
            "the answer was not stored: it is larger than memory takes, and there is no disk".to_owned()
        }
        other => other.to_owned(),
    }
}
