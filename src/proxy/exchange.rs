//! A request's whole story on one page.

use super::admit::{Admitted, admit};
use super::collapse::{Role, join};
use super::fetch::{Plan, fetch};
use super::record::{Record, STALE_WHILE_REVALIDATE};
use super::{
    Client, Exchange, Interrupted, Next, Proxy, Shared, background, deliver, local, refuse, stored, tunnel,
    upload,
};
use crate::caching::{
    Decision, ForwardReason, Handled, Outcome, cacheable_request, decide, wants_stored_only,
};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::Request;
use crate::origin::AddressJudge as _;
use crate::store::Key;

/// Answers one request, and logs what became of it.
pub async fn exchange(proxy: &Proxy, client: &mut Client, request: Request) -> Next {
    let record = Record::begin(&proxy.shared, client, &request);
    client.has_read_content = false;
    let mut told = Told { shared: &proxy.shared, request: &request, record, ended: false };
    let mut exchange = Exchange { proxy, client, request: &request, record: &mut told.record };
    let next = match story(&mut exchange).await {
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
        Admitted::Tunnel(authority) => {
            return tunnel::connect(exchange, &authority).await;
        }
        Admitted::Local(answer) => return local::respond(exchange, answer).await,
    };
    let key = exchange.proxy.shared.store.key(&uri);
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
    let decision = match objects {
        [only] => decide(exchange.request, &[&only.head], shared.clock.now(), &shared.cache_policy),
        _ => {
            let heads: Vec<_> = objects.iter().map(|object| &object.head).collect();
            decide(exchange.request, &heads, shared.clock.now(), &shared.cache_policy)
        }
    };
    exchange.record.note("key", format_args!("{}, variants stored: {}", key.uri, objects.len()));
    exchange.record.decided(&decision);
    match decision {
        Decision::Reuse { index, age, ttl } | Decision::ReuseAndValidate { index, age, ttl } => {
            let Some(object) = objects.get(index) else {
                return Ok(Looked::Forward(Plan::forward(ForwardReason::Miss)));
            };
            // What may not be dialled may not be had from the store either.
            exchange.judge().judge(object.origin)?;
            let mut outcome = Outcome { ttl: Some(ttl), ..Outcome::new(Handled::Hit) };
            if matches!(decision, Decision::ReuseAndValidate { .. }) {
                outcome.detail = Some(STALE_WHILE_REVALIDATE);
                background::validate(exchange, key, object);
            }
            Ok(match stored::deliver(exchange, key, object, age, outcome).await? {
                Some(next) => Looked::Answered(next),
                None => Looked::Forward(Plan::forward(ForwardReason::Miss)),
            })
        }
        // What may not be reused is not asked about either: a failure would serve it stale.
        Decision::Validate { index, reason } => {
            let object = objects.get(index).filter(|object| exchange.judge().judge(object.origin).is_ok());
            Ok(Looked::Forward(match object {
                Some(object) => Plan::validate(reason, object.clone()),
                None => Plan::forward(reason),
            }))
        }
        Decision::Forward(reason) => Ok(Looked::Forward(Plan::forward(reason))),
        Decision::GatewayTimeout => Err(nothing_stored().into()),
    }
}

/// RFC 9111 §5.2.1.7: "Caches that honor this request directive SHOULD, upon receiving it, respond
/// with either a stored response consistent with the other constraints of the request or a 504".
fn nothing_stored() -> Failure {
    let public = "The request asked for a stored response only, and none can be used";
    Failure::new(ErrorType::ProxyInternalResponse, Fault::Client, 504, public)
}
