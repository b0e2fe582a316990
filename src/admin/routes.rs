//! What is served under which path, and the guard that every request passes first.
//!
//! Everything here can be read by whoever reaches the listener, and nothing can be changed. What
//! the guard keeps out is other people's pages in the user's own browser: a name that they point
//! to this address (DNS rebinding) is not an address and not `localhost`, and is refused. There
//! are no CORS fields, so that a page of another origin can't read an answer.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, VIA,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Router, body::Body};
use bytes::Bytes;

use super::exposition::Exposition;
use super::status::Status;
use super::{pac, page};
use crate::http::{Authority, Host};

/// On every response, whatever it is.
const FIELDS: [(HeaderName, &str); 3] = [
    (CACHE_CONTROL, "no-store"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
];

/// All pages.
pub(super) fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/", get(dashboard))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .route("/proxy.pac", get(script))
        .route("/wpad.dat", get(script))
        .fallback(async || (StatusCode::NOT_FOUND, "there is no such page\n"))
        .layer(from_fn_with_state(status.clone(), guard))
        .with_state(status)
}

async fn dashboard(State(status): State<Arc<Status>>) -> Response {
    typed("text/html; charset=utf-8", page::html(&status.read(), status.listening()))
}

async fn ready(State(status): State<Arc<Status>>) -> (StatusCode, &'static str) {
    match status.is_draining() {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        false => (StatusCode::OK, "ready\n"),
    }
}

async fn numbers(State(status): State<Arc<Status>>, headers: HeaderMap) -> Response {
    let accept: Vec<&[u8]> = headers.get_all(ACCEPT).iter().map(HeaderValue::as_bytes).collect();
    let format = Exposition::preferred(&accept);
    match format.write(status.read()) {
        Ok(text) => typed(format.content_type(), text),
        Err(error) => {
            tracing::error!("the metrics can't be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn script(State(status): State<Arc<Status>>, Extension(asked): Extension<Asked>) -> Response {
    match pac::script(status.listening(), &asked.0) {
        Some(script) => typed(pac::CONTENT_TYPE, script),
        None => (StatusCode::NOT_FOUND, pac::unreachable(status.listening(), &asked.0)).into_response(),
    }
}

fn typed(content_type: &'static str, content: String) -> Response {
    ([(CONTENT_TYPE, content_type)], content).into_response()
}

/// The host that a request names: an address or `localhost`.
#[derive(Clone, Debug)]
struct Asked(Host);

async fn guard(State(status): State<Arc<Status>>, mut request: Request<Body>, next: Next) -> Response {
    let mut response = match admit(&status, &request) {
        Ok(asked) => {
            request.extensions_mut().insert(asked);
            next.run(request).await
        }
        Err((StatusCode::METHOD_NOT_ALLOWED, text)) => {
            (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET,HEAD")], text).into_response()
        }
        Err(refused) => refused.into_response(),
    };
    for (name, value) in FIELDS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn admit(status: &Status, request: &Request<Body>) -> Result<Asked, (StatusCode, &'static str)> {
    // It names a host of the client's choice that is not this one's.
    if *request.method() == Method::CONNECT {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "this is not the proxy's port\n"));
    }
    let asked = host(request.uri(), request.headers())?;
    if asked.ip().is_none() && asked.as_str() != "localhost" {
        let text = "ask for this page under an IP address or localhost\n";
        return Err((StatusCode::MISDIRECTED_REQUEST, text));
    }
    // Policy keeps the proxy from coming here. Where it can't know an address of this machine for
    // one, the proxy's own name tells.
    let came_through = |via: &HeaderValue| via.to_str().is_ok_and(|via| via.contains(status.pseudonym()));
    if request.headers().get_all(VIA).iter().any(came_through) {
        return Err((StatusCode::MISDIRECTED_REQUEST, "these pages are not served through the proxy\n"));
    }
    if request.headers().get_all(ORIGIN).iter().any(|origin| !is_own_origin(origin, &asked)) {
        return Err((StatusCode::FORBIDDEN, "this is not for pages of other sites\n"));
    }
    Ok(Asked(asked))
}

/// RFC 9112 §3.2: a server answers 400 to a request without a Host field or with two. §3.2.2:
/// with an absolute-form target it "MUST ignore the received Host header field".
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Host, (StatusCode, &'static str)> {
    let bad = (StatusCode::BAD_REQUEST, "a request names one host\n");
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(field), None) = (hosts.next(), hosts.next()) else { return Err(bad) };
    let raw = match uri.authority() {
        Some(authority) => Bytes::copy_from_slice(authority.as_str().as_bytes()),
        None => Bytes::copy_from_slice(field.as_bytes()),
    };
    Authority::parse(&raw, Some(80)).map(|authority| authority.host).map_err(|_malformed| bad)
}

/// Whether a page of this host asks. The port is not compared: what else runs on this host is
/// no stranger, and a port is often forwarded from another one.
fn is_own_origin(origin: &HeaderValue, asked: &Host) -> bool {
    let Some(raw) = origin.as_bytes().strip_prefix(b"http://") else { return false };
    Authority::parse(&Bytes::copy_from_slice(raw), Some(80)).is_ok_and(|origin| origin.host == *asked)
}
