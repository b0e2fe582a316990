//! Following: a request that has waited for another's exchange with the origin is answered by what that
//! brought, if it may (RFC 9111 §4, "collapse requests").
//!
//! Invariant: who has waited asks the origin itself only where what came can't be shared with it.

use std::sync::Arc;

use super::collapse::{Course, Failed, Filling, Following, Joined, Keeping};
use super::fetch::{Plan, stand_in};
use super::{Exchange, Interrupted, Next, answer, rules, stored};
use crate::caching::{Decision, Handled, Outcome, RuleName};
use crate::origin::AddressJudge as _;
use crate::store::{Key, Object};

/// What came of following another exchange.
pub(super) enum Followed {
    Delivered(Next),
    /// What is stored has changed, or somebody else has to lead.
    LookAgain,
    /// The response is another variant: this request selects by the fields that it names, which make
    /// this selection.
    OtherVariant(Option<u64>),
    /// This request has to ask for itself.
    Alone,
}

/// Waits for the leader of a collapse, and shares what it gets if this request may.
pub(super) async fn follow(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    following: &Following,
    plan: &mut Plan,
) -> Result<Followed, Interrupted> {
    let shared = &exchange.proxy.shared;
    let waiting = shared.clock.timeout(exchange.waits().response, following.flight.course());
    match exchange.unless_gone(waiting).await? {
        Ok(Course::Filling(filling)) => follow_fill(exchange, &filling, following.joined, plan).await,
        Ok(Course::Validated(object)) => validated(exchange, key, &object, plan).await,
        Ok(Course::Failed(failed)) => after_failure(exchange, key, &failed, plan).await,
        Ok(Course::LookAgain | Course::Abandoned) => Ok(Followed::LookAgain),
        Ok(Course::AwaitingHead | Course::Dissolved) | Err(_) => Ok(Followed::Alone),
    }
}

/// The response that another request has brought, while it arrives.
async fn follow_fill(
    exchange: &mut Exchange<'_>,
    filling: &Arc<Filling>,
    joined: Joined,
    plan: &Plan,
) -> Result<Followed, Interrupted> {
    if !filling.head.selects(&exchange.request.fields) {
        return Ok(Followed::OtherVariant(filling.head.selection_of(&exchange.request.fields)));
    }
    let (ttl, rule) = answers(exchange, filling, joined);
    let Some(ttl) = ttl else {
        exchange.record.note("collapse", "the response under way does not answer this");
        // Who comes behind the head of what answers nobody later begins another flight.
        let waited = joined == Joined::BeforeHead;
        return Ok(if waited { Followed::Alone } else { Followed::LookAgain });
    };
    exchange.judge().judge(filling.origin)?;
    let outcome = Outcome { collapsed: true, ttl, rule, ..Outcome::new(Handled::Forwarded(plan.reason)) };
    match filling.fill.reader() {
        Some(reader) => {
            let sent = answer::from_fill(exchange, filling, (reader, &[]), outcome).await?;
            Ok(sent.map_or(Followed::LookAgain, Followed::Delivered))
        }
        // It has failed, or was too large to be kept.
        None => Ok(Followed::LookAgain),
    }
}

/// Whether what arrives answers this request, with its freshness left, as it is told.
fn answers(
    exchange: &Exchange<'_>,
    filling: &Filling,
    joined: Joined,
) -> (Option<Option<i64>>, Option<RuleName>) {
    let (shared, request) = (&exchange.proxy.shared, exchange.request);
    if joined == Joined::BeforeHead {
        // What is not stored is for those alone who are nobody in particular.
        let is_for_it = filling.keeping == Keeping::Stored || !shared.is_of_somebody(request);
        let (ttl, rule) = shared.decide_collapsed(request, &filling.head);
        let told = rules::ttl(exchange.proxy, request, &filling.head);
        return (ttl.filter(|_| is_for_it).map(|_ttl| told), rule);
    }
    match (filling.keeping, shared.decide(request, &[&filling.head])) {
        (Keeping::Stored, (Decision::Reuse { ttl, .. }, rule)) => (Some(Some(ttl)), rule),
        _ => (None, None),
    }
}

/// The stored response, which another request has had validated after this one asked.
async fn validated(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    object: &Arc<Object>,
    plan: &Plan,
) -> Result<Followed, Interrupted> {
    let shared = &exchange.proxy.shared;
    let (ttl, rule) = shared.decide_collapsed(exchange.request, &object.head);
    if ttl.is_none() {
        return Ok(match object.head.selects(&exchange.request.fields) {
            true => Followed::Alone,
            false => Followed::OtherVariant(object.head.selection_of(&exchange.request.fields)),
        });
    }
    exchange.judge().judge(object.origin)?;
    let outcome = Outcome {
        collapsed: true,
        fwd_status: Some(304),
        ttl: rules::ttl(exchange.proxy, exchange.request, &object.head),
        rule,
        ..Outcome::new(Handled::Forwarded(plan.reason))
    };
    let age = object.head.current_age(shared.clock.now());
    let delivered = stored::deliver(exchange, key, object, age, outcome).await?;
    Ok(delivered.map_or(Followed::Alone, Followed::Delivered))
}

/// The origin has failed another request, as it would have failed this one.
async fn after_failure(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    failed: &Failed,
    plan: &mut Plan,
) -> Result<Followed, Interrupted> {
    let status = if let Failed::Status(status) = failed { Some(*status) } else { None };
    if let Some(next) = stand_in(exchange, key, plan, status).await? {
        return Ok(Followed::Delivered(next));
    }
    match failed {
        Failed::NoAnswer(failure) => Err(failure.clone().into()),
        // What the error said was for its own client.
        Failed::Status(_) => Ok(Followed::Alone),
    }
}
