//! Origins that speak HTTP/2.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use tokio::sync::Notify;

use crate::support::{Certificates, Http2Answer, Http2Origin, World, noise, request};

fn secure() -> (World, Http2Origin) {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    (world, Http2Origin::start(certificates.server("origin.example")))
}

fn text(content: &'static str) -> Http2Answer {
    Http2Answer::Whole(Vec::new(), vec![Bytes::from(content)], None)
}

#[test]
fn responses_are_stored_and_reused() {
    let (world, origin) = secure();
    let fields = vec![("cache-control", "max-age=60"), ("content-length", "5")];
    origin.on_path("/a", Http2Answer::Whole(fields, vec![Bytes::from("hello")], None));
    let mut client = world.client();
    let first = client.get(&origin.url("/a"));
    assert_eq!((first.status(), first.text()), (200, "hello"));
    assert!(first.field("Via").is_some_and(|via| via.starts_with("2.0 ")), "{first:?}");
    assert!(client.get(&origin.url("/a")).is_hit());
    let seen = &origin.requests(1)[0];
    assert_eq!(seen.head.uri.authority().map(|authority| authority.as_str()), Some(&origin.authority()[..]));
    assert!(!seen.head.headers.contains_key("host"));
}

#[test]
fn requests_of_all_clients_share_one_connection() {
    let (world, origin) = secure();
    let held = Arc::new(Notify::new());
    origin.on_path("/held", Http2Answer::Held(held.clone(), "late"));
    origin.on_path("/b", text("b"));
    let mut waiting = world.client();
    waiting.send(request("GET", &origin.url("/held"), &[], ""));
    origin.requests(1);
    assert_eq!(world.client().get(&origin.url("/b")).text(), "b");
    assert_eq!(world.http2(&origin.authority()).get(&origin.url("/b")).text(), "b");
    held.notify_one();
    assert_eq!(waiting.response().text(), "late");
    assert_eq!(origin.connection_count(), 1);
}

#[test]
fn content_goes_both_ways() {
    let (world, origin) = secure();
    let content = Bytes::from(noise(1 << 20));
    let pieces = content.chunks(100_000).map(Bytes::copy_from_slice).collect();
    origin.on_path("/", Http2Answer::Whole(Vec::new(), pieces, Some(("x-sum", "5"))));
    let mut client = world.client();
    let response = client.request("POST", &origin.url("/"), &[], &content);
    assert!(response.is_whole() && response.body.bytes == content);
    assert_eq!(response.trailers(), &vec![("x-sum".to_owned(), "5".to_owned())]);
    // Chunks are an affair of HTTP/1.
    client.send(request("POST", &origin.url("/"), &[("Transfer-Encoding", "chunked")], ""));
    client.send("5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n");
    assert!(client.response().is_whole());
    let seen = origin.requests(2);
    assert!(seen[0].content == content);
    assert_eq!((&seen[1].content[..], seen[1].head.headers.len()), (&b"hello"[..], 1));
    assert_eq!(seen[1].trailers.as_ref().expect("trailers")["x-trailer"], "1");
}

#[test]
fn trailers_pass_from_one_stream_to_another() {
    let (world, origin) = secure();
    origin.on_path("/", Http2Answer::Whole(Vec::new(), vec![Bytes::from("x")], Some(("grpc-status", "0"))));
    let mut client = world.http2(&origin.authority());
    let post = Request::post(origin.url("/")).body(()).expect("valid");
    let answered = client.request(post, Some(b"ask")).expect("a response");
    assert_eq!(answered.trailers.expect("trailers")["grpc-status"], "0");
    assert_eq!(origin.requests(1)[0].content, b"ask");
}

#[test]
fn a_response_that_breaks_off_is_not_whole() {
    let (world, origin) = secure();
    origin.on_path("/", Http2Answer::Broken);
    assert!(!world.client().get(&origin.url("/")).is_whole());
    origin.on_path("/", text("again"));
    assert_eq!(world.client().get(&origin.url("/")).text(), "again");
    assert_eq!(origin.connection_count(), 1);
}

#[test]
fn a_connection_that_goes_away_is_not_used_again() {
    let (world, origin) = secure();
    origin.on_path("/last", Http2Answer::GoAway("last"));
    origin.on_path("/next", text("next"));
    let mut client = world.client();
    assert_eq!(client.get(&origin.url("/last")).text(), "last");
    world.catch_up();
    assert_eq!(client.get(&origin.url("/next")).text(), "next");
    assert_eq!(origin.connection_count(), 2);
}

#[test]
fn an_origin_that_wants_http_1_gets_it() {
    let (world, origin) = secure();
    origin.on_path("/", Http2Answer::Reset(h2::Reason::HTTP_1_1_REQUIRED));
    assert_eq!(world.client().get(&origin.url("/")).text(), "http1");
    assert_eq!(world.client().get(&origin.url("/")).text(), "http1");
    assert_eq!(origin.requests(1).len(), 1);
}

#[test]
fn a_switch_of_protocols_is_asked_for_over_http_1() {
    let (world, origin) = secure();
    let fields = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
    assert_eq!(world.client().get_with(&origin.url("/"), &fields).text(), "http1");
}
