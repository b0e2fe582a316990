//! The one place where a failure becomes a response: a status, a reason a person understands,
//! and the name of the rule, as HTML, problem+json or text. Internal detail goes to the log.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use super::html::{STYLE, escape};
use super::record::Record;
use super::render::via;
use super::{Client, Exchange, Interrupted, Next, Proxy, Shared, local};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::grammar::{Members, Split};
use crate::http::write::{field, field_line, status_line};
use crate::http::{
    BodyLength, FieldName, Fields, HeadError, Method, Request, Target, Version, reason_phrase,
};

/// Answers a request with a failure.
pub(super) async fn refuse(exchange: &mut Exchange<'_>, failure: Failure) -> Next {
    exchange.record.fails(&failure);
    let kind = Kind::preferred(&exchange.request.fields);
    let page = Page { failure: &failure, host: host(exchange.request), id: exchange.record.id() };
    let content = (kind.content_type(), page.write(kind).into_bytes());
    let mut head = Vec::with_capacity(512);
    status_line(&mut head, failure.status, b"");
    field(&mut head, FieldName::Date, exchange.proxy.shared.clock.now().to_http_date());
    field(&mut head, FieldName::CacheControl, "no-store");
    field(&mut head, FieldName::ProxyStatus, proxy_status(&failure));
    if failure.is_shortage() {
        field_line(&mut head, b"Retry-After", RETRY_AFTER_S);
        tell_shortage(&exchange.proxy.shared, &failure);
    }
    via(&mut head, Version::Http11, &exchange.proxy.shared);
    // A request that was refused for its form may be followed by anything.
    if failure.fault == Fault::Client && failure.error == ErrorType::HttpRequestError {
        exchange.client.last_request = true;
    }
    // RFC 9931: a client that did not wait for the answer to CONNECT has sent octets of its tunnel
    // behind it, which somebody else may have chosen. None of them is a request.
    if exchange.request.method == Method::Connect {
        exchange.client.last_request = true;
    }
    let code = failure.status;
    match local::send(exchange, code, head, content).await {
        Ok(next) => next,
        Err(Interrupted::ClientGone(error)) => exchange.record.client_gone(&error),
        Err(Interrupted::Cut(failure) | Interrupted::Failed(failure)) => exchange.record.cut(failure),
    }
}

/// Answers a connection whose request head was refused.
pub async fn refuse_head(proxy: &Proxy, client: &mut Client, error: HeadError) -> Next {
    let public = error.to_string();
    let failure =
        Failure::new(ErrorType::HttpRequestError, Fault::Client, error.status(), capitalised(&public));
    refuse_connection(proxy, client, failure).await
}

/// Answers a connection of which no request could be read.
pub async fn refuse_connection(proxy: &Proxy, client: &mut Client, failure: Failure) -> Next {
    let octets = client.reader.octets_without_head();
    let mut record = Record::of_connection(&proxy.shared, client, octets);
    let unread = Request {
        method: Method::Get,
        target: Target::Asterisk,
        version: Version::Http11,
        fields: Fields::default(),
        length: BodyLength::None,
        head_bytes: octets,
    };
    client.last_request = true;
    let mut exchange = Exchange { proxy, client, request: &unread, record: &mut record };
    let next = refuse(&mut exchange, failure).await;
    record.finish_unread(&proxy.shared);
    next
}

/// Says once in a while that something is short: the log of requests has each of them.
fn tell_shortage(shared: &Shared, failure: &Failure) {
    let now_ms = shared.clock.monotonic_ms().max(1);
    let is_due = |told: u64| (told == 0 || now_ms >= told + SHORTAGE_EVERY_MS).then_some(now_ms);
    if shared.shortage_told_ms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_due).is_ok() {
        tracing::warn!("requests are refused: {failure}");
    }
}

/// When a client may ask again that was refused because something is short, in seconds. Arbitrary.
const RETRY_AFTER_S: &[u8] = b"5";
/// How often the log says that requests are refused.
const SHORTAGE_EVERY_MS: u64 = 10_000;

/// RFC 9209: who, what kind, and more in words.
fn proxy_status(failure: &Failure) -> String {
    let mut out = format!("larder; error={}", failure.error.as_str());
    if let Some((name, value)) = &failure.parameter {
        // Writing to a String does not fail. The values are words of our own.
        let _infallible = write!(out, "; {name}=\"{value}\"");
    }
    if let Some(rule) = &failure.rule {
        let printable = rule.chars().filter(|c| (' '..='~').contains(c));
        let escaped: String =
            printable.flat_map(|c| matches!(c, '"' | '\\').then_some('\\').into_iter().chain([c])).collect();
        // Writing to a String does not fail.
        let _infallible = write!(out, "; details=\"rule {escaped}\"");
    }
    out
}

/// The host that was asked for; the only thing of a request that a page repeats.
fn host(request: &Request) -> Option<String> {
    match &request.target {
        Target::Absolute(uri) => Some(uri.authority.host.to_string()),
        Target::Authority(authority) => Some(authority.to_string()),
        Target::Origin(_) | Target::Asterisk => None,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Html,
    Problem,
    Text,
}

impl Kind {
    /// What the client's `Accept` prefers (RFC 9110 §12.5.1). A client that takes anything is a
    /// program: it gets text.
    fn preferred(fields: &Fields) -> Kind {
        let mut best = (Kind::Text, 0);
        for member in fields.all(FieldName::Accept).flat_map(Members::of) {
            let mut parts = Split::of(member, b';');
            let kind = match parts.next().unwrap_or_default().to_ascii_lowercase().as_slice() {
                b"text/html" | b"application/xhtml+xml" => Kind::Html,
                b"application/problem+json" | b"application/json" => Kind::Problem,
                b"text/plain" => Kind::Text,
                _ => continue,
            };
            let weight = parts.find_map(quality).unwrap_or(1000);
            if weight > best.1 {
                best = (kind, weight);
            }
        }
        best.0
    }

    const fn content_type(self) -> &'static str {
        match self {
            Kind::Html => "text/html; charset=utf-8",
            Kind::Problem => "application/problem+json",
            Kind::Text => "text/plain; charset=utf-8",
        }
    }
}

/// The thousandths of a `q=` parameter.
fn quality(parameter: &[u8]) -> Option<u32> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let number: f32 = std::str::from_utf8(value).ok()?.parse().ok()?;
    // Weights lie between 0 and 1; anything else is no weight.
    (0.0..=1.0).contains(&number).then_some((number * 1000.0) as u32)
}

struct Page<'a> {
    failure: &'a Failure,
    host: Option<String>,
    id: u64,
}

impl Page<'_> {
    fn write(&self, kind: Kind) -> String {
        match kind {
            Kind::Html => self.html(),
            Kind::Problem => self.problem(),
            Kind::Text => self.text(),
        }
    }

    fn title(&self) -> &'static str {
        match (self.failure.fault, self.failure.status) {
            (Fault::Policy, _) => "Blocked",
            (Fault::Origin, _) => "The site can't be reached",
            (_, status) => reason_phrase(status),
        }
    }

    fn sentence(&self) -> String {
        format!("{}.", self.failure.public.trim_end_matches('.'))
    }

    fn html(&self) -> String {
        let Failure { status, .. } = self.failure;
        let row = |name: &str, value: &str| format!("<dt>{name}<dd>{}", escape(value));
        let host = self.host.as_deref().map(|host| row("Site", host)).unwrap_or_default();
        let rule = self.failure.rule.as_deref().map(|rule| row("Rule", rule)).unwrap_or_default();
        let title = self.title();
        format!(
            "<!doctype html><html lang=en><meta charset=utf-8>\
             <meta name=viewport content='width=device-width'><title>{title}</title><style>{STYLE}</style>\
             <h1>{title}</h1><p>{}</p><dl class=facts>{host}{rule}{}{}</dl>\
             <p><small>This page was sent by Larder, your proxy.</small></html>\n",
            escape(&self.sentence()),
            row("Status", &status.to_string()),
            row("Request", &format!("{:016x}", self.id)),
        )
    }

    /// RFC 9457.
    fn problem(&self) -> String {
        let mut problem = serde_json::json!({
            "type": "about:blank",
            "title": self.title(),
            "status": self.failure.status,
            "detail": self.sentence(),
            "error": self.failure.error.as_str(),
            "request": format!("{:016x}", self.id),
        });
        if let Some(members) = problem.as_object_mut() {
            members.extend(self.host.clone().map(|host| ("host".to_owned(), host.into())));
            members.extend(self.failure.rule.clone().map(|rule| ("rule".to_owned(), rule.into())));
        }
        format!("{problem}\n")
    }

    fn text(&self) -> String {
        let host = self.host.as_deref().map(|host| format!("Site: {host}\n")).unwrap_or_default();
        let rule = self.failure.rule.as_deref().map(|rule| format!("Rule: {rule}\n")).unwrap_or_default();
        let (title, status, id) = (self.title(), self.failure.status, self.id);
        format!("Larder: {title} ({status})\n{}\n{host}{rule}Request: {id:016x}\n", self.sentence())
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
