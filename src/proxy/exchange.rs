//! A request's whole story on one page.

use super::admit::{Admitted, admit};
use super::collapse::{MayLead, Place, Role, join};
use super::fetch::Plan;
use super::follow::{Followed, follow};
use super::offline::OFFLINE;
use super::record::{Record, STALE_WHILE_REVALIDATE};
use super::rules::decide_among;
use super::{
    Client, Exchange, Interrupted, Next, Proxy, Shared, background, connect, fetch, local, refuse, searches,
    stored, upload,
};
use crate::budget::{Share, Spent, Use};
use crate::caching::{Decision, ForwardReason, Handled, Outcome, cacheable_request, wants_stored_only};
use crate::error::Failure;
use crate::http::{Request, Version};
use crate::origin::AddressJudge as _;
use crate::store::Key;

/// Answers one request, and logs what became of it.
pub async fn exchange(proxy: &Proxy, client: &mut Client, mut request: Request) -> Next {
    let located = client.inside.as_ref().map_or(Ok(()), |inside| inside.locate(&mut request));
    // Kept until the exchange is over, as the fields are.
    let fields = charge_fields(&proxy.shared, &request);
    let record = Record::begin(&proxy.shared, client, &request);
    client.has_read_content = false;
    let given_up = client.is_given_up();
    let mut told = Told { shared: &proxy.shared, request: &request, record, ended: false };
    let mut exchange = Exchange { proxy, client, request: &request, record: &mut told.record };
    let ended = match located.and(fields.as_ref().map(drop).map_err(|spent| Failure::from(*spent))) {
        Ok(()) => tokio::select! {
            biased;
            ended = story(&mut exchange) => ended,
            () = given_up => Err(Interrupted::ClientGone(std::io::ErrorKind::ConnectionReset.into())),
        },
        Err(failure) => Err(failure.into()),
    };
    let next = match ended {
        Ok(next) => next,
        Err(Interrupted::Failed(failure)) => refuse::refuse(&mut exchange, failure).await,
        Err(Interrupted::Cut(failure)) => exchange.record.cut(failure),
        Err(Interrupted::ClientGone(error)) => exchange.record.client_gone(&error),
    };
    told.ended = true;
    next
}

/// Memory for the fields of a request, where they are more than the first buffer of a connection.
fn charge_fields(shared: &Shared, request: &Request) -> Result<Option<Share>, Spent> {
    let is_stream = request.version == Version::Http2;
    let bytes = request.fields.memory_bytes() as u64;
    let is_charged = is_stream || bytes > FIELDS_FREE;
    is_charged.then(|| shared.budget.take(Use::Fields, bytes)).transpose()
}

/// Bytes of fields that a connection's own charge is for.
const FIELDS_FREE: u64 = 4096;

/// Logs an exchange when it is over, and also when it is cut off at a shutdown.
struct Told<'a> {
    shared: &'a Shared,
    request: &'a Request,
    record: Record,
    ended: bool,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.record.abandoned();
        }
        self.record.finish(self.shared, self.request);
    }
}

async fn story(exchange: &mut Exchange<'_>) -> Result<Next, Interrupted> {
    let uri = match admit(exchange)? {
        Admitted::Forward(uri) => uri,
        Admitted::Tunnel(authority, blocked) => {
            return connect::connect(exchange, &authority, blocked).await;
        }
        Admitted::Local(answer) => return local::respond(exchange, answer).await,
    };
    let key_uri = exchange.proxy.shared.key_uri(&uri);
    let key = exchange.proxy.shared.store.key(&key_uri);
    // Content, or a switch of protocols, is for the origin to see, whatever is stored.
    let is_upload = upload::is_needed(exchange.request);
    let bypass = cacheable_request(exchange.request).err().or(is_upload.then_some(ForwardReason::Bypass));
    if let Some(reason) = bypass {
        if wants_stored_only(exchange.request) {
            return Err(stored::nothing_stored().into());
        }
        return match is_upload {
            true => Box::pin(upload::exchange(exchange, key, reason)).await,
            false => {
                let reason = told_reason(exchange, key, reason).await;
                ask_origin(exchange, key, Plan::forward(reason)).await
            }
        };
    }
    if let Some(rule) = exchange.proxy.shared.never(exchange.request) {
        if wants_stored_only(exchange.request) {
            return Err(stored::nothing_stored().into());
        }
        return ask_origin(exchange, key, Plan::forward(ForwardReason::Bypass).by(Some(rule))).await;
    }
    turns(exchange, key).await
}

/// How often a request follows another, before it asks alone: once to learn by what its variant is
/// selected, once for that variant, and when a leader has gone. Arbitrary.
const TURNS_MAX: usize = 4;

/// Answers a request from the store, from another's exchange with the origin, or from its own.
async fn turns(exchange: &mut Exchange<'_>, key: Key<'_>) -> Result<Next, Interrupted> {
    let (mut passed, mut selection) = (None, None);
    let mut turn = 0;
    loop {
        let mut plan = match look_up(exchange, key).await? {
            Looked::Answered(next) => return Ok(next),
            Looked::Forward(plan) => plan,
        };
        if turn == TURNS_MAX || !plan.may_collapse(&exchange.proxy.shared, exchange.request) {
            return ask_origin(exchange, key, plan).await;
        }
        let followed = if let Some(patience) = plan.patience(exchange) {
            background::answer_in_time(exchange, key, &mut plan, patience).await?
        } else {
            let place = Place { key, selection: plan.selection.or(selection) };
            let may_lead = if plan.may_lead(exchange.request) { MayLead::Yes } else { MayLead::No };
            match join(&exchange.proxy.shared, place, passed.as_ref(), may_lead) {
                Role::Alone => return ask_origin(exchange, key, plan).await,
                Role::Lead(lead) => return ask_origin(exchange, key, plan.leading(lead)).await,
                Role::Follow(following) => {
                    exchange.record.note("collapse", "waits for the exchange that is under way");
                    let followed = follow(exchange, key, &following, &mut plan).await?;
                    passed = Some(following);
                    followed
                }
            }
        };
        turn += 1;
        match followed {
            Followed::Delivered(next) => return Ok(next),
            Followed::LookAgain => {}
            Followed::OtherVariant(other) => selection = other,
            Followed::Alone => return ask_origin(exchange, key, plan).await,
        }
    }
}

/// As [`fetch::fetch`], in a box: a hit needs none of its state.
fn ask_origin<'a>(
    exchange: &'a mut Exchange<'_>,
    key: Key<'a>,
    plan: Plan,
) -> impl Future<Output = Result<Next, Interrupted>> {
    Box::pin(fetch::fetch(exchange, key, plan))
}

enum Looked {
    Answered(Next),
    Forward(Plan),
}

/// What the store has for this request (RFC 9111 §4).
async fn look_up(exchange: &mut Exchange<'_>, key: Key<'_>) -> Result<Looked, Interrupted> {
    let shared = &exchange.proxy.shared;
    let variants = shared.store.look_up(key).await;
    let objects = variants.as_deref().unwrap_or_default();
    let (decision, rule) = decide_among(shared, exchange.request, objects);
    exchange.record.note("key", format_args!("{}, variants stored: {}", key.uri, objects.len()));
    exchange.record.decided(&decision);
    // By the variant that names most, if there are several kinds.
    let varying = objects.iter().max_by_key(|object| object.head.selecting_names());
    let selection = varying.and_then(|object| object.head.selection_of(&exchange.request.fields));
    let is_missing = matches!(
        decision,
        Decision::Forward(ForwardReason::UriMiss | ForwardReason::VaryMiss) | Decision::GatewayTimeout
    );
    if is_missing && let Some(next) = searches::answer(exchange, key).await? {
        return Ok(Looked::Answered(next));
    }
    match decision {
        Decision::Reuse { index, age, ttl } | Decision::ReuseAndValidate { index, age, ttl } => {
            let Some(object) = objects.get(index) else {
                return Ok(Looked::Forward(Plan::forward(ForwardReason::Miss)));
            };
            // What may not be dialled may not be had from the store either.
            exchange.judge().judge(object.origin)?;
            let detail = shared.is_offline().then_some(OFFLINE);
            let mut outcome = Outcome { ttl: Some(ttl), detail, rule, ..Outcome::new(Handled::Hit) };
            if matches!(decision, Decision::ReuseAndValidate { .. }) {
                outcome.detail = Some(STALE_WHILE_REVALIDATE);
                background::validate(exchange, key, object);
            }
            Ok(match stored::deliver(exchange, key, object, age, outcome).await? {
                Some(next) => Looked::Answered(next),
                None => Looked::Forward(Plan::forward(ForwardReason::Partial)),
            })
        }
        // What may not be reused is not asked about either: a failure would serve it stale.
        Decision::Validate { index, reason } => {
            let object = objects.get(index).filter(|object| exchange.judge().judge(object.origin).is_ok());
            Ok(Looked::Forward(match object {
                Some(object) => Plan::validate(reason, object.clone())
                    .by(rule)
                    .selecting(selection)
                    .unused(shared.stale_use_forbidden(exchange.request, &object.head)),
                None => Plan::forward(reason),
            }))
        }
        Decision::Forward(reason) => Ok(Looked::Forward(Plan::forward(reason).by(rule).selecting(selection))),
        Decision::GatewayTimeout => {
            shared.online()?;
            Err(stored::nothing_stored().into())
        }
    }
}

/// Why a request is forwarded that only the origin can judge, in the words of RFC 9211 §2.2: `request`
/// is for one that a fresh response is stored for.
async fn told_reason(exchange: &Exchange<'_>, key: Key<'_>, reason: ForwardReason) -> ForwardReason {
    if reason != ForwardReason::Request {
        return reason;
    }
    let (shared, request) = (&exchange.proxy.shared, exchange.request);
    let variants = shared.store.look_up(key).await;
    let objects = variants.as_deref().unwrap_or_default();
    match objects.iter().find(|object| object.head.selects(&request.fields)) {
        None if objects.is_empty() => ForwardReason::UriMiss,
        None => ForwardReason::VaryMiss,
        Some(object) => {
            let policy = shared.policy_for(request, &object.head);
            let is_fresh = object.head.ttl(shared.clock.now(), &policy) > 0;
            if is_fresh { ForwardReason::Request } else { ForwardReason::Stale }
        }
    }
}
