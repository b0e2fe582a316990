//! Validation in the background: a stale response has answered its client, and the origin is asked
//! whether it is still good (RFC 5861 §3).
//!
//! Invariant: at most one runs for a key, as the leader of a flight that others may follow (also where
//! the last answer could not be shared: nobody waits here that could wait in vain), and at most
//! [`VALIDATIONS_MAX`] on one worker. One that does not start is no loss: the next request within the
//! window asks for it again, and the first behind the window waits for the origin.
//!
//! The request is Larder's own: a GET with the client's fields, but without its conditions, its
//! range and its cache directives.

use std::net::IpAddr;
use std::sync::Arc;

use super::collapse::{Failed, Keeping, Lead, Place, lead, under_way};
use super::fetch::{Patience, Plan, Validated, validated};
use super::follow::{Followed, follow};
use super::forward::{self, Extra, Reply, request_head};
use super::partial::Asking;
use super::record::tell;
use super::rules::{target, ttl};
use super::update::Update;
use super::{Exchange, Interrupted, Proxy, fill, stored, update};
use crate::caching::{
    Handled, NotStored, Outcome, REPLACED_BY_VALIDATION, StoredHead, is_error_for_stale, supersedes,
    validation_fields,
};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::{BodyLength, FieldName, Method, Persistence, Request, TargetUri};
use crate::policy::ListenerScope;
use crate::store::{Generation, Key, Object};

/// Validations in the background of one worker; arbitrary. More than these wait for a request that
/// comes when there is room.
const VALIDATIONS_MAX: usize = 64;

/// One validation.
struct Validation {
    /// The number of the request that was answered, for the diagnostics.
    id: u64,
    proxy: Proxy,
    scope: ListenerScope,
    client: IpAddr,
    uri: TargetUri,
    request: Request,
    object: Arc<Object>,
    lead: Lead,
    /// Of the key, before the origin is asked.
    asked: Generation,
}

/// Starts the validation of `object`, unless one is under way or too many are.
pub(super) fn validate(exchange: &Exchange<'_>, key: Key<'_>, object: &Arc<Object>) {
    let proxy = exchange.proxy;
    if proxy.validations.get() >= VALIDATIONS_MAX {
        return exchange.record.note("validation", "not now: too many are under way");
    }
    let asked = proxy.shared.store.generation(key);
    let place = place(exchange, key, object);
    let Some(lead) = lead(&proxy.shared, place) else {
        return exchange.record.note("validation", "another exchange for this key is under way");
    };
    let validation = Validation {
        id: exchange.record.id(),
        proxy: proxy.clone(),
        scope: exchange.client.scope,
        client: exchange.client.peer.ip(),
        uri: key.uri.clone(),
        request: own_request(exchange.request),
        object: object.clone(),
        lead,
        asked,
    };
    proxy.validations.set(proxy.validations.get() + 1);
    tokio::task::spawn_local(async move {
        let (id, validations) = (validation.id, validation.proxy.validations.clone());
        match validation.run().await {
            Ok(done) => tell(id, "validation", done),
            // Nobody waits for the answer, so that the log is the one place where this shows.
            Err(failure) => tracing::warn!("{id:016x} the validation in the background failed: {failure}"),
        }
        validations.set(validations.get() - 1);
    });
}

/// Where others follow the validation of `object`.
fn place<'a>(exchange: &Exchange<'_>, key: Key<'a>, object: &Object) -> Place<'a> {
    Place { key, selection: object.head.selection_of(&exchange.request.fields) }
}

/// The detail of a hit by a stale response, while the origin is slow.
const SERVE_STALE_AFTER: &str = "serve-stale-after";

/// Starts a validation, or finds the exchange that is under way, and answers with what it brings;
/// and if that takes too long, with the stale response.
pub(super) async fn answer_in_time(
    exchange: &mut Exchange<'_>,
    key: Key<'_>,
    plan: &mut Plan,
    patience: Patience,
) -> Result<Followed, Interrupted> {
    let shared = &exchange.proxy.shared;
    let Patience { after, rule, object } = patience;
    validate(exchange, key, &object);
    let place = place(exchange, key, &object);
    let Some(following) = under_way(shared, place) else { return Ok(Followed::Alone) };
    let waiting = shared.clock.timeout(after, following.flight.course());
    if exchange.unless_gone(waiting).await?.is_ok() {
        return follow(exchange, key, &following, plan).await;
    }
    exchange.record.note("reuse", "the origin is slow; the stale response is served");
    let outcome = Outcome {
        ttl: ttl(exchange.proxy, exchange.request, &object.head),
        detail: Some(SERVE_STALE_AFTER),
        rule: Some(rule),
        ..Outcome::new(Handled::Hit)
    };
    let age = object.head.current_age(shared.clock.now());
    let delivered = stored::deliver(exchange, key, &object, age, outcome).await?;
    Ok(delivered.map_or(Followed::Alone, Followed::Delivered))
}

/// The client's request as Larder's own.
fn own_request(request: &Request) -> Request {
    let mut fields = request.fields.without(|line| {
        REPLACED_BY_VALIDATION.contains(&line.id)
            || matches!(line.id, FieldName::CacheControl | FieldName::Pragma)
    });
    Request { method: Method::Get, fields: fields.build(), length: BodyLength::None, ..request.clone() }
}

impl Validation {
    /// Asks, and does what the answer says (RFC 9111 §4.3.3); what was done, or why not.
    async fn run(self) -> Result<&'static str, String> {
        let mut extra = Extra { validation: validation_fields(&[&self.object.head]), upgrade: None };
        loop {
            let reply = match self.ask(&extra).await {
                Ok(reply) => reply,
                Err(error) => return Err(self.fails(&error)),
            };
            match validated(&self.object.head, &reply, extra.validation.is_empty()) {
                Validated::Unmodified => return Ok(self.freshen(reply).await),
                Validated::Modified => return self.replace(reply).await,
                Validated::OfAnother => extra.validation.clear(),
            }
        }
    }

    async fn ask(&self, extra: &Extra) -> Result<Reply, String> {
        let Validation { proxy, scope, client, uri, request, .. } = self;
        let uri = target(request, proxy.shared.store.key(uri));
        let head = request_head(&proxy.shared, request, uri, extra);
        let asking = Asking { proxy, scope: *scope, client: *client, request, uri };
        asking.ask(&head).await.map_err(|error| error.to_string())
    }

    /// Who follows is told that the origin has not answered.
    fn fails(self, error: &str) -> String {
        let public = "The server could not be reached, or gave no answer";
        let failure = Failure::new(ErrorType::DestinationUnavailable, Fault::Origin, 502, public);
        self.lead.fails(Failed::NoAnswer(failure.with_internal(error)));
        error.to_owned()
    }

    async fn freshen(self, reply: Reply) -> &'static str {
        let Validation { proxy, uri, request, object, lead, asked, .. } = self;
        let key = proxy.shared.store.key(&uri);
        let Reply { response, connection, times, .. } = reply;
        let shared = &proxy.shared;
        let update = Update { shared, request: &request, key, response: &response, times, asked };
        let kept = update.unmodified(&object).await.kept;
        forward::keep(&proxy, target(&request, key), Persistence::of(&response), connection);
        match kept {
            Ok(fresh) => {
                lead.validated(fresh);
                "the 304 has freshened the stored response"
            }
            Err(reason) => {
                lead.look_again();
                reason.as_str()
            }
        }
    }

    /// A full response: it takes the stored one's place, or at least ends its use.
    async fn replace(self, reply: Reply) -> Result<&'static str, String> {
        let Validation { id, proxy, scope, client, uri, request, object, lead, asked } = self;
        let shared = &proxy.shared;
        let key = shared.store.key(&uri);
        let status = reply.response.status;
        let targets = &shared.cache_policy.targets;
        let head = StoredHead::with_targets(&request, &reply.response, reply.times, targets);
        let replaces = update::may_replace(shared, &request, key, &head, asked).await;
        if is_error_for_stale(status) || replaces == Err(NotStored::OriginFails) {
            lead.fails(Failed::Status(status));
            return Err(format!("the origin answers {status}"));
        }
        if let Some(told) = update::companions(shared, &request, key, Some(&object), &head).await {
            tell(id, "validation", told);
        }
        let (storing, _rule) = shared.may_store(&request, &reply.response, &head, reply.times);
        let storing = storing.and(replaces);
        let length = fill::known_length(reply.response.length);
        let writer =
            storing.map_err(NotStored::as_str).and_then(|()| shared.store.fill(key, &head, length, asked));
        let writer = match writer {
            Ok(writer) => writer,
            // It says nothing about what others may get.
            Err(reason) if storing.is_err_and(NotStored::is_about_request) => {
                lead.look_again();
                return Ok(reason);
            }
            Err(reason) => {
                if supersedes(status) {
                    shared.store.remove(key, &object).await;
                }
                lead.dissolve();
                return Ok(reason);
            }
        };
        let start = fill::Start {
            id,
            key,
            request: &request,
            scope,
            client,
            head,
            reply,
            lead: Some(lead),
            keeping: Keeping::Stored,
            writer,
            asked,
        };
        let filling = fill::start(&proxy, start);
        // A fill that nobody reads may be given up: this one is wanted whole.
        let Some(mut reader) = filling.fill.reader() else { return Err("it ended at once".to_owned()) };
        let mut pieces = Vec::new();
        while reader.next(&mut pieces).await.map_err(|error| error.to_string())?
            != crate::store::Arrived::Last
        {
            pieces.clear();
        }
        Ok("a new response takes the place of the stored one")
    }
}
