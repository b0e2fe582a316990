//! HTTP/1.0 on either side (RFC 9112 App. C, RFC 9110 §2.5).

use crate::support::{Answer, World};

fn ask(url: &str, fields: &str) -> String {
    format!("GET {url} HTTP/1.0\r\n{fields}\r\n")
}

#[test]
fn an_http_1_0_client_gets_no_chunks_and_a_close() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(200).chunked(&["hello", " world"]));
    let mut client = world.client();
    let response = client.send(ask(&world.url("/"), "")).response();
    assert_eq!((response.text(), response.is_whole()), ("hello world", true));
    assert!(!response.has("Transfer-Encoding"));
    assert!(client.is_closed());
    assert_eq!(world.origin.request("/").head.part(2), "HTTP/1.1");
}

#[test]
fn an_http_1_0_client_is_not_kept_even_if_it_asks_for_it() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    // RFC 9112 §9.3: a proxy must not keep a connection with an HTTP/1.0 client open.
    let response = client.send(ask(&world.url("/"), "Connection: keep-alive\r\n")).response();
    assert_eq!((response.text(), response.field("Connection")), ("hello", Some("close")));
    assert!(client.is_closed());
}

#[test]
fn an_http_1_0_client_is_closed_where_only_that_ends_the_content() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(200).chunked(&["hello"]));
    let mut client = world.client();
    let response = client.send(ask(&world.url("/"), "Connection: keep-alive\r\n")).response();
    assert_eq!((response.text(), response.is_whole()), ("hello", true));
    assert_ne!(response.field("Connection"), Some("keep-alive"));
}

#[test]
fn an_http_1_0_origin_that_closes_ends_its_content_so() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw("HTTP/1.0 200 OK\r\n\r\nhello").close());
    let mut client = world.client();
    let response = client.get(&world.url("/"));
    assert_eq!((response.text(), response.is_whole()), ("hello", true));
    assert_eq!(response.head.part(0), "HTTP/1.1");
    // The end of the origin's connection is not the end of the client's.
    assert_eq!(response.field("Transfer-Encoding"), Some("chunked"));
    assert_eq!(client.get(&world.url("/")).text(), "hello");
}

#[test]
fn an_http_1_0_origin_is_kept_only_if_it_says_so() {
    let world = World::new();
    world.origin.on_path("/short", Answer::raw("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello").hold());
    let kept = "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello";
    world.origin.on_path("/kept", Answer::raw(kept));
    let mut client = world.client();
    for path in ["/short", "/kept", "/kept"] {
        assert_eq!(client.get(&world.url(path)).text(), "hello");
    }
    let connections: Vec<_> = world.origin.all_requests().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1, 1]);
}

#[test]
fn a_higher_minor_version_is_read_as_1_1() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw("HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
    let mut client = world.client();
    let url = world.url("/");
    let response = client.send(format!("GET {url} HTTP/1.9\r\nHost: x\r\n\r\n")).response();
    assert_eq!((response.text(), response.head.part(0)), ("hello", "HTTP/1.1"));
    assert_eq!(world.origin.request("/").head.part(2), "HTTP/1.1");
}

#[test]
fn an_http_1_0_client_gets_no_trailers() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(200).chunked_with_trailers(&["hello"], &[("X-Sum", "1")]));
    let response = world.client().send(ask(&world.url("/"), "")).response();
    assert_eq!((response.text(), response.is_whole()), ("hello", true));
}
