//! A request's whole story on one page.

use std::sync::Arc;

use super::admit::{Admitted, admit};
use super::collapse::{Role, join};
use super::fetch::{Plan, fetch};
use super::offline::OFFLINE;
use super::record::{Record, STALE_WHILE_REVALIDATE};
use super::{
    Client, Exchange, Interrupted, Next, Proxy, Shared, background, connect, deliver, local, refuse,
    searches, stored, upload,
};
use crate::caching::{
    Decision, ForwardReason, Handled, Outcome, RuleName, StoredHead, cacheable_request, wants_stored_only,
};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::Request;
use crate::origin::AddressJudge as _;
use crate::store::{Key, Object};

/// Answers one request, and logs what became of it.
pub async fn exchange(proxy: &Proxy, client: &mut Client, mut request: Request) -> Next {
    let located = client.inside.as_ref().map_or(Ok(()), |inside| inside.locate(&mut request));
    let record = Record::begin(&proxy.shared, client, &request);
    client.has_read_content = false;
    let given_up = client.is_given_up();
    let mut told = Told { shared: &proxy.shared, request: &request, record, ended: false };
    let mut exchange = Exchange { proxy, client, request: &request, record: &mut told.record };
    let ended = match located {
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
            return Err(nothing_stored().into());
        }
        return match is_upload {
            true => upload::exchange(exchange, key, reason).await,
            false => fetch(exchange, key, Plan::forward(reason)).await,
        };
    }
    if let Some(rule) = exchange.proxy.shared.never(exchange.request) {
        if wants_stored_only(exchange.request) {
            return Err(nothing_stored().into());
        }
        return fetch(exchange, key, Plan::forward(ForwardReason::Bypass).by(Some(rule))).await;
    }
    // The first turn may follow another exchange for the same resource; after that, asking alone
    // is quicker than waiting again.
    for may_follow in [true, false] {
        let plan = match look_up(exchange, key).await? {
            Looked::Answered(next) => return Ok(next),
            Looked::Forward(plan) => plan,
        };
        if !may_follow || !plan.may_collapse(exchange.request) {
            return fetch(exchange, key, plan).await;
        }
        if let Some(patience) = plan.patience(exchange) {
            match background::answer_in_time(exchange, key, &plan, patience).await? {
                deliver::Followed::Delivered(next) => return Ok(next),
                deliver::Followed::LookAgain => continue,
                deliver::Followed::Alone => return fetch(exchange, key, plan).await,
            }
        }
        match join(&exchange.proxy.shared, key) {
            Role::Alone => return fetch(exchange, key, plan).await,
            Role::Lead(lead) => return fetch(exchange, key, plan.leading(lead)).await,
            Role::Follow(flight) => {
                exchange.record.note("collapse", "waits for the exchange that is under way");
                match deliver::follow(exchange, &flight, plan.reason).await? {
                    deliver::Followed::Delivered(next) => return Ok(next),
                    deliver::Followed::LookAgain => {}
                    deliver::Followed::Alone => {
                        return fetch(exchange, key, plan).await;
                    }
                }
            }
        }
    }
    fetch(exchange, key, Plan::forward(ForwardReason::Miss)).await
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
                Some(object) => Plan::validate(reason, object.clone()).by(rule),
                None => Plan::forward(reason),
            }))
        }
        Decision::Forward(reason) => Ok(Looked::Forward(Plan::forward(reason).by(rule))),
        Decision::GatewayTimeout => {
            shared.online()?;
            Err(nothing_stored().into())
        }
    }
}

/// What to do with a request, given the responses that are stored under one key.
pub(super) fn decide_among(
    shared: &Shared,
    request: &Request,
    objects: &[Arc<Object>],
) -> (Decision, Option<RuleName>) {
    let ask = |heads: &[&StoredHead]| match shared.is_offline() {
        true => (shared.decide_offline(request, heads), None),
        false => shared.decide(request, heads),
    };
    match objects {
        [only] => ask(&[&only.head]),
        _ => ask(&objects.iter().map(|object| &object.head).collect::<Vec<_>>()),
    }
}

/// RFC 9111 §5.2.1.7: "Caches that honor this request directive SHOULD, upon receiving it, respond
/// with either a stored response consistent with the other constraints of the request or a 504".
pub(super) fn nothing_stored() -> Failure {
    let public = "The request asked for a stored response only, and none can be used";
    Failure::new(ErrorType::ProxyInternalResponse, Fault::Client, 504, public)
}
