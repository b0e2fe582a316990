//! Content: streamed both ways as it is, at the pace of the slower side (RFC 9112 §6, §7).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{Answer, Gate, World, in_flight_max, noise, request};

const MIB: usize = 1024 * 1024;
/// Nothing was taken for so long: the other side has stopped.
const STOPPED: Duration = Duration::from_millis(300);

/// What is offered to a proxy that nobody takes anything from: more than can be under way.
fn offered() -> Vec<u8> {
    vec![b'x'; in_flight_max() + 8 * MIB]
}

#[test]
fn five_megabytes_reach_the_client_unchanged() {
    let world = World::new();
    let content = noise(5 * MIB);
    world.origin.on_path("/", Answer::ok(&content));
    let response = world.get("/");
    assert!(response.body.bytes == content);
    assert_eq!(response.field("Content-Length"), Some(&*content.len().to_string()));
}

#[test]
fn five_megabytes_reach_the_origin_unchanged() {
    let world = World::new();
    let content = noise(5 * MIB);
    world.origin.on_path("/", Answer::ok("thanks"));
    assert_eq!(world.request("PUT", "/", &[], &content).text(), "thanks");
    let seen = world.origin.request("/");
    assert!(seen.body.as_ref().is_some_and(|body| body.bytes == content));
    assert_eq!(seen.head.field("Content-Length"), Some(&*content.len().to_string()));
}

#[test]
fn chunked_content_reaches_the_origin() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("thanks"));
    let mut client = world.client();
    let head = request("POST", &world.url("/"), &[("Transfer-Encoding", "chunked")], "");
    client.send(
        [&head[..], b"5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\nX-Sum: 42\r\nHost: evil\r\n\r\n"].concat(),
    );
    assert_eq!(client.response().text(), "thanks");
    let seen = world.origin.request("/");
    assert_eq!((seen.text(), seen.is_whole()), ("hello world".to_owned(), true));
    assert!(!seen.head.has("Content-Length"));
    assert_eq!(seen.body.expect("it is whole").trailers, [("X-Sum".to_owned(), "42".to_owned())]);
}

#[test]
fn chunked_content_reaches_the_client() {
    let world = World::new();
    let trailers = [("X-Sum", "42"), ("Content-Length", "1"), ("Set-Cookie", "a=b")];
    let answer = Answer::status(200).chunked_with_trailers(&["hello", " world"], &trailers);
    world.origin.on_path("/", answer);
    let response = world.get("/");
    assert_eq!((response.text(), response.is_whole()), ("hello world", true));
    assert!(!response.has("Content-Length"));
    assert_eq!(*response.trailers(), [("X-Sum".to_owned(), "42".to_owned())]);
}

/// Each part of a response reaches the client before the origin has sent the next.
fn check_streamed(fields: &str) {
    let world = World::new();
    let (head, half) = (Gate::new(), Gate::new());
    let answer = Answer::raw(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 10\r\n\r\n"));
    world.origin.on_path("/", answer.wait(&head).send("hello").wait(&half).send("world"));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    assert_eq!(client.head().status(), 200);
    head.open();
    assert_eq!(client.wire.exactly(5).bytes, b"hello");
    half.open();
    assert_eq!(client.wire.exactly(5).bytes, b"world");
}

#[test]
fn content_reaches_the_client_as_it_comes() {
    check_streamed("");
}

#[test]
fn content_that_is_stored_reaches_the_client_as_it_comes() {
    check_streamed("Cache-Control: max-age=60\r\n");
}

#[test]
fn content_reaches_the_origin_as_it_comes() {
    let world = World::new();
    let half = Gate::new();
    let reached = half.clone();
    let answer = Answer::nothing().early().run(move |wire| {
        assert_eq!(wire.exactly(5).bytes, b"hello");
        reached.open();
        assert_eq!(wire.exactly(5).bytes, b"world");
    });
    world.origin.on_path("/", answer.send("HTTP/1.1 204 Done\r\n\r\n"));
    let mut client = world.client();
    let url = world.url("/");
    client.send(format!("POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello"));
    half.pass();
    client.send("world");
    assert_eq!(client.response().status(), 204);
}

#[test]
fn a_client_that_does_not_read_holds_the_origin() {
    for fields in ["", "Cache-Control: max-age=60\r\n"] {
        let world = World::new();
        let (stopped, taken) = (Gate::new(), Arc::new(AtomicUsize::new(0)));
        let (count, full) = (taken.clone(), stopped.clone());
        let content = offered();
        let length = content.len();
        let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n\r\n");
        let answer = Answer::raw(head).run(move |wire| {
            let sent = wire.send_while_taken(&content, STOPPED);
            count.store(sent, Ordering::Relaxed);
            full.open();
            wire.send(&content[sent..]);
        });
        world.origin.on_path("/", answer);
        let mut client = world.client();
        client.send(request("GET", &world.url("/"), &[], ""));
        stopped.pass();
        let taken = taken.load(Ordering::Relaxed);
        let most = in_flight_max();
        assert!(taken < most, "the proxy took {taken} octets that nobody read ({fields:?})");
        assert_eq!(client.response().body.bytes.len(), length);
    }
}

#[test]
fn an_origin_that_does_not_read_holds_the_client() {
    let world = World::new();
    let gate = Gate::new();
    let content = offered();
    let length = content.len();
    let answer = Answer::nothing().early().wait(&gate).run(move |wire| {
        assert_eq!(wire.exactly(length).bytes.len(), length);
    });
    world.origin.on_path("/", answer.send("HTTP/1.1 204 Done\r\n\r\n"));
    let mut client = world.client();
    let url = world.url("/");
    client.send(format!("POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"));
    gate.is_reached();
    let sent = client.wire.send_while_taken(&content, STOPPED);
    assert!(sent < in_flight_max(), "the proxy took {sent} octets that nobody read");
    gate.open();
    client.send(&content[sent..]);
    assert_eq!(client.response().status(), 204);
}

#[test]
fn an_answer_may_come_before_the_content_is_sent() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(413).body("too much").early().hold());
    let mut client = world.client();
    let url = world.url("/");
    client.send(format!("POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nhello"));
    let response = client.response();
    assert_eq!((response.status(), response.text()), (413, "too much"));
    assert_eq!(response.field("Connection"), Some("close"));
    assert!(client.is_closed());
    world.origin.has_ended(0);
}

#[test]
fn responses_without_content_leave_the_connections_in_step() {
    let world = World::new();
    let heads = [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    let mut client = world.client();
    for (number, head) in heads.iter().enumerate() {
        let path = format!("/{number}");
        world.origin.on_path(&path, Answer::raw(head));
        let response = client.get(&world.url(&path));
        assert_eq!((response.text(), response.is_whole()), ("", true), "{head}");
    }
    assert_eq!(world.origin.connection_count(), 1);
}

#[test]
fn a_response_to_a_request_with_content_keeps_both_connections() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("thanks"));
    let mut client = world.client();
    for path in ["/1", "/2", "/3"] {
        assert_eq!(client.request("POST", &world.url(path), &[], "content").text(), "thanks");
    }
    assert_eq!(world.origin.connection_count(), 1);
}

#[test]
fn a_client_that_half_closes_behind_its_content_gets_the_response() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/", Answer::ok("thanks").after(&gate));
    let mut client = world.client();
    client.send(request("POST", &world.url("/"), &[], "content")).half_close();
    gate.is_reached();
    gate.open();
    assert_eq!(client.response().text(), "thanks");
    assert!(world.origin.request("/").is_whole());
}
