//! What Larder answers itself: TRACE and OPTIONS at the last hop, and its pages at
//! `http://larder.proxy/` (`own_pages.rs`).

use bytes::Bytes;

use super::render::{Framing, Tail, via};
use super::sender::More;
use super::{Exchange, Interrupted, Next, own_pages};
use crate::caching::{Handled, Outcome};
use crate::error::{ErrorType, Failure, Fault};
use crate::http::write::{field, field_line, status_line};
use crate::http::{FieldName, Fields, Method, Request, Target, Version};

/// An answer of Larder's own.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// What methods there are.
    Options,
    /// The request as it arrived.
    Trace,
    /// A page under `http://larder.proxy`.
    OwnPage(Bytes),
}

impl Answer {
    /// The answer at the last hop (RFC 9110 §7.6.2).
    pub(super) fn last_hop(method: &Method) -> Answer {
        if *method == Method::Trace { Answer::Trace } else { Answer::Options }
    }
}

/// Sends the answer.
pub(super) async fn respond(exchange: &mut Exchange<'_>, answer: Answer) -> Result<Next, Interrupted> {
    let (content_type, content) = match &answer {
        Answer::Options => ("", Vec::new()),
        Answer::Trace => ("message/http", received(exchange.request)),
        Answer::OwnPage(path) => own_page(exchange, path)?,
    };
    let mut head = Vec::new();
    status_line(&mut head, 200, b"");
    field(&mut head, FieldName::Date, exchange.proxy.shared.clock.now().to_http_date());
    if matches!(answer, Answer::Options) {
        field(&mut head, FieldName::Allow, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE, CONNECT");
    }
    if !content_type.is_empty() {
        field(&mut head, FieldName::CacheControl, "no-store");
    }
    via(&mut head, Version::Http11, &exchange.proxy.shared);
    send(exchange, 200, head, (content_type, content)).await
}

/// Ends a head of Larder's own and sends it with its content. The connection stays open only
/// when nothing of the request is left to read.
pub(super) async fn send(
    exchange: &mut Exchange<'_>,
    status: u16,
    mut head: Vec<u8>,
    (content_type, content): (&str, Vec<u8>),
) -> Result<Next, Interrupted> {
    let keep_open = exchange.client.keeps_open(exchange.request);
    let framing = Framing::Length(content.len() as u64);
    if !content_type.is_empty() {
        field(&mut head, FieldName::ContentType, content_type);
    }
    let outcome = Outcome::new(Handled::Local);
    Tail { framing, age: None, outcome: &outcome, keep_open }.write(&mut head);
    exchange.record.responds(status, outcome, Some(content_type.as_bytes()).filter(|text| !text.is_empty()));
    let mut pieces =
        if exchange.request.method == Method::Head { Vec::new() } else { vec![Bytes::from(content)] };
    exchange.sender(&mut head, framing).send(&mut pieces, More::No, &Fields::default()).await?;
    Ok(if keep_open { Next::KeepOpen } else { Next::Close })
}

/// RFC 9110 §9.3.8: the request as received, without fields "that are likely to contain
/// sensitive data".
fn received(request: &Request) -> Vec<u8> {
    let mut out = format!("{} ", request.method.as_str()).into_bytes();
    if let Target::Absolute(uri) = &request.target {
        out.extend_from_slice(uri.to_string().as_bytes());
    }
    out.extend_from_slice(format!(" HTTP/{}\r\n", request.version.as_str()).as_bytes());
    for line in request.fields.iter() {
        let secret =
            matches!(line.id, FieldName::Authorization | FieldName::ProxyAuthorization | FieldName::Cookie);
        if !secret {
            field_line(&mut out, line.name, line.value);
        }
    }
    out.extend_from_slice(b"\r\n");
    out
}

fn own_page(exchange: &Exchange<'_>, path: &Bytes) -> Result<(&'static str, Vec<u8>), Failure> {
    if !matches!(exchange.request.method, Method::Get | Method::Head) {
        let public = "This page can only be read";
        return Err(Failure::new(ErrorType::ProxyInternalResponse, Fault::Client, 405, public));
    }
    let interception = exchange.proxy.shared.intercept.as_ref();
    own_pages::page(path, interception.map(|interception| interception.leaves.authority())).ok_or_else(|| {
        Failure::new(ErrorType::ProxyInternalResponse, Fault::Client, 404, "Larder has no such page")
    })
}
