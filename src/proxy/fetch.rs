//! Fetching: the origin is asked, and what its answer means for the store and for the client is
//! decided once its head is here (RFC 9111 §3, §4.3).

use std::sync::Arc;
use std::time::Duration;

use super::collapse::{Failed, Keeping, Lead};
use super::forward::{self, Extra, Reply};
use super::keep::Keeper;
use super::record::STALE_IF_ERROR;
use super::rules::{target, ttl};
use super::update::{Freshened, Update};
use super::{Exchange, Interrupted, Next, Shared, answer, deliver, fill, render, stored, update};
use crate::caching::{
    ForwardReason, Handled, NotStored, Outcome, RuleName, StoredHead, freshened_by, insists_on_validation,
    is_error_for_stale, storable_request, supersedes, validation_fields,
};
use crate::error::{Failure, Fault};
use crate::http::{FieldName, Method, Persistence, Request};
use crate::store::{FillWriter, Generation, Key, Object};

/// Why and how the origin is asked.
#[derive(Debug)]
pub(super) struct Plan {
    pub reason: ForwardReason,
    /// The rule of the operator by which the origin is asked.
    pub rule: Option<RuleName>,
    /// The stored response that is asked about.
    validating: Option<Arc<Object>>,
    lead: Option<Lead>,
    /// The stored response that was asked about, and that the answer may replace.
    asked_about: Option<Arc<Object>>,
    /// Of the key, before the origin is asked.
    asked: Generation,
    /// What the request selects by, if variants are stored.
    pub selection: Option<u64>,
    /// Why what is stored was not used, in a word.
    detail: Option<&'static str>,
}

impl Plan {
    /// Asks for the response.
    pub(super) fn forward(reason: ForwardReason) -> Plan {
        Plan {
            reason,
            rule: None,
            validating: None,
            lead: None,
            asked_about: None,
            asked: Generation::default(),
            selection: None,
            detail: None,
        }
    }

    /// Asks whether this stored response is still good.
    pub(super) fn validate(reason: ForwardReason, object: Arc<Object>) -> Plan {
        Plan { validating: Some(object), ..Plan::forward(reason) }
    }

    /// As a rule of the operator has it.
    pub(super) fn by(self, rule: Option<RuleName>) -> Plan {
        Plan { rule, ..self }
    }

    /// With what the request selects by.
    pub(super) fn selecting(self, selection: Option<u64>) -> Plan {
        Plan { selection, ..self }
    }

    /// With why what is stored was not used.
    pub(super) fn unused(self, detail: Option<&'static str>) -> Plan {
        Plan { detail, ..self }
    }

    /// With others waiting for the answer.
    pub(super) fn leading(self, lead: Lead) -> Plan {
        Plan { lead: Some(lead), ..self }
    }

    /// What the answer to it says about what is stored.
    fn update<'a>(&self, exchange: &'a Exchange<'_>, key: Key<'a>, reply: &'a Reply) -> Update<'a> {
        let (shared, request) = (&*exchange.proxy.shared, exchange.request);
        Update { shared, request, key, response: &reply.response, times: reply.times, asked: self.asked }
    }

    /// How long the request waits for the origin before what is stored answers it, by which rule.
    pub(super) fn patience(&self, exchange: &Exchange<'_>) -> Option<Patience> {
        let object = self.validating.as_ref()?;
        let shared = &exchange.proxy.shared;
        let (after, rule) = shared.stale_after(exchange.request, &object.head)?;
        let (may_be_stale, _) = shared.may_serve_stale(exchange.request, &object.head);
        may_be_stale.then(|| Patience { after, rule, object: object.clone() })
    }

    /// Whether others may wait for what this request brings home: what answers a condition of its own is
    /// for itself alone.
    pub(super) fn may_lead(&self, request: &Request) -> bool {
        let own = [FieldName::IfNoneMatch, FieldName::IfModifiedSince];
        // A validation takes the place of the client's conditions.
        let is_replaced = self.validating.as_ref().is_some_and(|object| object.head.has_validator());
        is_replaced || !own.into_iter().any(|condition| request.fields.contains(condition))
    }

    /// Whether this request may share its exchange with others: what it brings home has to be
    /// of use to them, and what others bring home to it.
    pub(super) fn may_collapse(&self, shared: &Shared, request: &Request) -> bool {
        request.method == Method::Get
            && self.reason != ForwardReason::Request
            && !insists_on_validation(request)
            && storable_request(request, &shared.cache_policy).is_ok()
            && !request.fields.iter().any(|field| {
                matches!(field.id, FieldName::Range | FieldName::Authorization | FieldName::Upgrade)
            })
    }
}

/// How long a request waits for a validation, and what answers it then.
#[derive(Debug)]
pub(super) struct Patience {
    pub after: Duration,
    pub rule: RuleName,
    pub object: Arc<Object>,
}

/// Answers a request with the origin's help.
pub(super) async fn fetch(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    mut plan: Plan,
) -> Result<Next, Interrupted> {
    exchange.proxy.shared.online()?;
    plan.asked = exchange.proxy.shared.store.generation(key);
    let uri = target(exchange.request, key);
    loop {
        let heads: Vec<_> = plan.validating.iter().map(|object| &object.head).collect();
        let extra = Extra { validation: validation_fields(&heads), upgrade: None };
        let reply = match forward::ask(exchange, uri, &extra).await {
            Ok(reply) => reply,
            Err(Interrupted::Failed(failure)) => {
                return after_failure(exchange, key, plan, failure).await;
            }
            Err(interrupted) => return Err(interrupted),
        };
        let Some(object) = plan.validating.take() else {
            return Box::pin(after_reply(exchange, key, plan, reply)).await;
        };
        plan.asked_about = Some(object.clone());
        match validated(&object.head, &reply, extra.validation.is_empty()) {
            Validated::Unmodified => {
                let freshened = Box::pin(freshen(exchange, key, &mut plan, &object, reply)).await?;
                if let Some(next) = freshened {
                    return Ok(next);
                }
            }
            Validated::Modified => {
                let failed = is_error_for_stale(reply.response.status);
                if failed && may_be_stale(exchange, &mut plan, &object) {
                    exchange.record.note("reuse", "the origin failed; the stale response is served");
                    let fwd_status = Some(reply.response.status);
                    if let Some(lead) = plan.lead.take() {
                        lead.fails(Failed::Status(reply.response.status));
                    }
                    if let Some(next) = serve_stale(exchange, key, &plan, &object, fwd_status).await? {
                        return Ok(next);
                    }
                }
                return Box::pin(after_reply(exchange, key, plan, reply)).await;
            }
            Validated::OfAnother => {
                exchange.record.note("reuse", "the 304 is for another representation; asks anew")
            }
        }
    }
}

/// What an answer says about the stored response that was asked about (RFC 9111 §4.3.3).
pub(super) enum Validated {
    Unmodified,
    Modified,
    /// A 304 for something that is not stored (RFC 9111 §4.3.4).
    OfAnother,
}

pub(super) fn validated(head: &StoredHead, reply: &Reply, unconditional: bool) -> Validated {
    if reply.response.status != 304 || unconditional {
        return Validated::Modified;
    }
    if freshened_by(&reply.response, reply.times.response_time, &[head]).is_some() {
        Validated::Unmodified
    } else {
        Validated::OfAnother
    }
}

/// RFC 9111 §4.3.4: the stored response is updated, and answers; `None` when it has gaps that stay.
async fn freshen(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    plan: &mut Plan,
    object: &Arc<Object>,
    reply: Reply,
) -> Result<Option<Next>, Interrupted> {
    let shared = &exchange.proxy.shared;
    let Freshened { asker: fresh, kept } = plan.update(exchange, key, &reply).unmodified(object).await;
    let lead = plan.lead.take();
    match &kept {
        Ok(stored) => {
            exchange.record.note("store", "the 304 has freshened the stored response");
            if let Some(lead) = lead {
                lead.validated(stored.clone());
            }
        }
        Err(reason) => {
            exchange.record.note("store", format_args!("the 304 forbids to keep it: {reason}"));
            if let Some(lead) = lead {
                lead.look_again();
            }
            // Nobody is sent a head that grows without end: the whole comes anew.
            if *reason == NotStored::HeadSize {
                return Ok(None);
            }
        }
    }
    let persistence = Persistence::of(&reply.response);
    forward::keep(exchange.proxy, target(exchange.request, key), persistence, reply.connection);
    let outcome = Outcome {
        fwd_status: Some(304),
        stored: kept.is_ok(),
        detail: kept.err().map(NotStored::as_str).or(plan.detail),
        rule: plan.rule,
        ttl: ttl(exchange.proxy, exchange.request, &fresh.head),
        ..Outcome::new(Handled::Forwarded(plan.reason))
    };
    let age = fresh.head.current_age(shared.clock.now());
    stored::deliver(exchange, key, &fresh, age, outcome).await
}

/// No answer at all: a stale response may stand in (RFC 9111 §4.2.4).
async fn after_failure(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    mut plan: Plan,
    failure: Failure,
) -> Result<Next, Interrupted> {
    // A refusal is not a failure of the origin's.
    if failure.fault != Fault::Origin {
        return Err(failure.into());
    }
    if let Some(lead) = plan.lead.take() {
        lead.fails(Failed::NoAnswer(failure.clone()));
    }
    match plan.validating.clone() {
        Some(object) if may_be_stale(exchange, &mut plan, &object) => {
            exchange.record.note("reuse", format_args!("{failure}; the stale response is served"));
            let stale = serve_stale(exchange, key, &plan, &object, None).await?;
            stale.ok_or(Interrupted::Failed(failure))
        }
        _ => Err(failure.into()),
    }
}

/// What is stored stands in for an answer that another request did not get, if it may.
pub(super) async fn stand_in(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    plan: &mut Plan,
    fwd_status: Option<u16>,
) -> Result<Option<Next>, Interrupted> {
    match plan.validating.clone() {
        Some(object) if may_be_stale(exchange, plan, &object) => {
            let outcome = Outcome { collapsed: true, ..stale_outcome(exchange, plan, &object, fwd_status) };
            let age = object.head.current_age(exchange.proxy.shared.clock.now());
            stored::deliver(exchange, key, &object, age, outcome).await
        }
        _ => Ok(None),
    }
}

fn may_be_stale(exchange: &Exchange<'_>, plan: &mut Plan, object: &Object) -> bool {
    let (may, rule) = exchange.proxy.shared.may_serve_stale(exchange.request, &object.head);
    plan.rule = plan.rule.or(rule);
    may
}

async fn serve_stale(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    plan: &Plan,
    object: &Arc<Object>,
    fwd_status: Option<u16>,
) -> Result<Option<Next>, Interrupted> {
    let outcome = stale_outcome(exchange, plan, object, fwd_status);
    let age = object.head.current_age(exchange.proxy.shared.clock.now());
    stored::deliver(exchange, key, object, age, outcome).await
}

fn stale_outcome(exchange: &Exchange<'_>, plan: &Plan, object: &Object, fwd_status: Option<u16>) -> Outcome {
    Outcome {
        fwd_status,
        ttl: ttl(exchange.proxy, exchange.request, &object.head),
        detail: Some(STALE_IF_ERROR),
        rule: plan.rule,
        ..Outcome::new(Handled::Forwarded(plan.reason))
    }
}

/// A response that is new: it is stored while it is delivered, or only delivered.
async fn after_reply(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    plan: Plan,
    reply: Reply,
) -> Result<Next, Interrupted> {
    let shared = &exchange.proxy.shared;
    let said = (&reply.response, reply.times);
    update::others(exchange.proxy, exchange.request, key, said, plan.asked, exchange.record).await;
    let mut outcome = Outcome { detail: plan.detail, ..Outcome::new(Handled::Forwarded(plan.reason)) };
    outcome.fwd_status = (plan.reason == ForwardReason::Stale).then_some(reply.response.status);
    if reply.response.status == 206 && exchange.request.method == Method::Get {
        // A part is of the request that asked for it: it says nothing to others that wait.
        drop(plan.lead);
        return deliver_part(exchange, key, plan.asked, reply, outcome).await;
    }
    if reply.response.status == 304 && plan.update(exchange, key, &reply).answered().await {
        exchange.record.note("store", "the 304 to the client's condition has freshened what is stored");
        outcome.stored = true;
        outcome.fwd_status = Some(304);
        return deliver::pass(exchange, target(exchange.request, key), reply, outcome, None).await;
    }
    let targets = &shared.cache_policy.targets;
    let head = StoredHead::with_targets(exchange.request, &reply.response, reply.times, targets);
    let about = plan.asked_about.as_ref();
    if let Some(told) = update::companions(shared, exchange.request, key, about, &head).await {
        exchange.record.note("store", told);
    }
    let (storing, rule) = shared.may_store(exchange.request, &reply.response, &head, reply.times);
    outcome.rule = plan.rule.or(rule);
    let asked = update::asked_since(&shared.store, key, exchange.request, plan.asked);
    let storing = match storing {
        Ok(()) => update::may_replace(shared, exchange.request, key, &head, asked).await,
        storing => storing,
    };
    let shares = |reason| shared.may_share_unstored(exchange.request, &reply.response, reason, reply.times);
    let keeping = match storing {
        Ok(()) => Ok(Keeping::Stored),
        // It is of use to those who wait for it.
        Err(reason) if plan.lead.as_ref().is_some_and(Lead::has_followers) && shares(reason) => {
            outcome.detail = Some(reason.as_str());
            Ok(Keeping::Shared)
        }
        Err(reason) => Err(reason.as_str()),
    };
    let length = fill::known_length(reply.response.length);
    let filled = keeping.and_then(|keeping| Ok((keeping, shared.store.fill(key, &head, length, asked)?)));
    let (keeping, writer) = match filled {
        Ok(filled) => filled,
        Err(reason) => return unstored(exchange, key, plan, (reply, head), (reason, storing), outcome).await,
    };
    if keeping == Keeping::Stored {
        outcome.ttl = ttl(exchange.proxy, exchange.request, &head);
        outcome.stored = true;
        let lifetime = head.freshness_lifetime(&shared.policy_for(exchange.request, &head));
        exchange.record.note("store", format_args!("stores {} with {lifetime:?}", key.uri));
    }
    deliver_filling(exchange, key, plan, (reply, head), (keeping, writer, asked), outcome).await
}

/// A response that is stored, or shared, goes to who asked while it arrives.
async fn deliver_filling(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    plan: Plan,
    (reply, head): (Reply, StoredHead),
    (keeping, writer, asked): (Keeping, FillWriter, Generation),
    outcome: Outcome,
) -> Result<Next, Interrupted> {
    let (request, scope, lead) = (exchange.request, exchange.client.scope, plan.lead);
    let (id, client) = (exchange.record.id(), exchange.client.peer.ip());
    let own = render::withheld(&exchange.proxy.shared, &reply.response);
    let start = fill::Start { id, key, request, scope, client, head, reply, lead, keeping, writer, asked };
    let filling = fill::start(exchange.proxy, start);
    let sent = match (filling.fill.reader(), plan.asked_about) {
        // Larder has left out the client's own conditions and range: they are answered here.
        (Some(reader), Some(_)) => answer::from_fill(exchange, &filling, (reader, &own), outcome).await?,
        (Some(reader), None) => deliver::from_fill(exchange, &filling, (reader, &own), outcome).await?,
        (None, _) => None,
    };
    match sent {
        Some(next) => Ok(next),
        None => anew(exchange, key, outcome).await,
    }
}

/// Asks once more, for this client alone: what has arrived left memory and the disk before any of it
/// was sent. It only passes this time, so that this can't happen again.
async fn anew(exchange: &mut Exchange<'_>, key: Key<'_>, outcome: Outcome) -> Result<Next, Interrupted> {
    if !exchange.request.method.is_safe() {
        return Err(deliver::ended_early());
    }
    exchange.record.note("reuse", "what arrived was gone before any of it was sent; asks anew");
    let uri = target(exchange.request, key);
    let reply = forward::ask(exchange, uri, &Extra::default()).await?;
    let outcome = Outcome { stored: false, ttl: None, ..outcome };
    deliver::pass(exchange, uri, reply, outcome, None).await
}

/// A response that is not stored goes to who asked, and may end the use of what is stored.
async fn unstored(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    plan: Plan,
    (reply, head): (Reply, StoredHead),
    (reason, storing): (&'static str, Result<(), NotStored>),
    mut outcome: Outcome,
) -> Result<Next, Interrupted> {
    let (shared, status) = (&exchange.proxy.shared, reply.response.status);
    exchange.record.note("store", format_args!("not stored: {reason}"));
    // fwd=method says it already.
    outcome.detail = Some(reason)
        .filter(|reason| *reason != NotStored::Rule.as_str())
        .filter(|_| plan.reason != ForwardReason::Method && exchange.request.method != Method::Head)
        .or(outcome.detail);
    // What speaks of this request alone says nothing about others that wait.
    let of_this_request = matches!(status, 206 | 304) || storing.is_err_and(NotStored::is_about_request);
    if let Some(object) =
        plan.asked_about.as_ref().filter(|_| !of_this_request && supersedes(reply.response.status))
    {
        exchange.record.note("store", "what was stored is not suitable any more");
        shared.store.remove(key, object).await;
    }
    let could_be_shared = storing.is_err_and(|reason| {
        shared.may_share_unstored(exchange.request, &reply.response, reason, reply.times)
    });
    match plan.lead {
        Some(lead) if storing == Err(NotStored::OriginFails) => lead.fails(Failed::Status(status)),
        Some(lead) if !of_this_request && !could_be_shared => lead.dissolve(),
        lead => drop(lead),
    }
    let passing = plan.asked_about.is_some().then(|| answer::of_passing(exchange, &reply, &head)).flatten();
    match passing {
        Some(passing) => answer::pass(exchange, reply, &head, passing, outcome).await,
        None => deliver::pass(exchange, target(exchange.request, key), reply, outcome, None).await,
    }
}

/// Delivers a 206 that came for the client's own request, and keeps what may be kept of it.
async fn deliver_part(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    asked: Generation,
    reply: Reply,
    mut outcome: Outcome,
) -> Result<Next, Interrupted> {
    let keeper = match Keeper::begin(exchange.proxy, exchange.request, key, &reply, asked).await {
        Ok((keeper, head)) => {
            exchange.record.note("store", format_args!("stores a part of {}", key.uri));
            outcome.stored = true;
            outcome.ttl = ttl(exchange.proxy, exchange.request, &head);
            Some(keeper)
        }
        Err(reason) => {
            exchange.record.note("store", format_args!("not stored: {reason}"));
            outcome.detail = Some(reason);
            None
        }
    };
    deliver::pass(exchange, target(exchange.request, key), reply, outcome, keeper).await
}
