//! One side fails in the middle: the other one sees it, and nobody else does (RFC 9112 §8).

use crate::support::{Answer, End, Gate, World, eventually, request};

const FRESH: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";

/// The client sees that the response is not whole, and the store has not kept it.
fn check_cut(framing: &str, content: &str, reset: bool) {
    for (version, fresh) in [("1.1", FRESH), ("1.1", "HTTP/1.1 200 OK\r\n"), ("1.0", FRESH)] {
        let world = World::new();
        let answer = Answer::raw(format!("{fresh}{framing}\r\n{content}"));
        world.origin.on_path("/", if reset { answer.reset() } else { answer.close() });
        let mut client = world.client();
        client.send(format!("GET {} HTTP/{version}\r\nHost: x\r\n\r\n", world.url("/")));
        let response = client.response();
        assert!(!response.is_whole(), "HTTP/{version} {framing:?} was cut off and looks whole");
        world.origin.now_on_path("/", Answer::ok("again"));
        assert_eq!(world.get("/").text(), "again", "a response that was cut off was stored");
    }
}

#[test]
fn a_cut_length_is_seen() {
    check_cut("Content-Length: 10\r\n", "hello", false);
    check_cut("Content-Length: 10\r\n", "hello", true);
}

#[test]
fn a_cut_chunked_coding_is_seen() {
    check_cut("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n", false);
    check_cut("Transfer-Encoding: chunked\r\n", "a\r\nhello", false);
    check_cut("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n", false);
    check_cut("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n", true);
}

#[test]
fn a_reset_where_the_close_is_the_end_is_seen() {
    check_cut("", "hello", true);
}

#[test]
fn an_http_1_0_client_sees_a_reset_where_nothing_else_tells() {
    let world = World::new();
    let answer = Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    world.origin.on_path("/", answer.close());
    let mut client = world.client();
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", world.url("/")));
    assert_eq!(client.response().body.end, End::Reset);
}

#[test]
fn a_leader_that_leaves_takes_nobody_with_it() {
    let world = World::new();
    let rest = Gate::new();
    let answer = Answer::raw(format!("{FRESH}Content-Length: 10\r\n\r\nhello"));
    world.origin.on_path("/", answer.wait(&rest).send("world"));
    let mut leader = world.client();
    leader.send(request("GET", &world.url("/"), &[], ""));
    leader.head();
    let mut follower = world.client();
    follower.send(request("GET", &world.url("/"), &[], ""));
    follower.head();
    leader.wire.exactly(5);
    leader.reset();
    rest.open();
    assert_eq!(follower.wire.exactly(10).bytes, b"helloworld");
    assert!(world.get("/").is_hit());
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn a_client_that_leaves_ends_what_nobody_else_wants() {
    let world = World::new();
    let answer = Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\nhello");
    world.origin.on_path("/", answer.hold());
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    client.head();
    client.reset();
    // The proxy learns it when it next writes; until then silence has a limit.
    eventually("the origin's connection has ended", || {
        world.advance(61);
        world.server().connections() == 0
    });
    world.origin.has_ended(0);
}

#[test]
fn an_upload_that_ends_early_is_not_whole_at_the_origin() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("thanks"));
    let mut client = world.client();
    let url = world.url("/");
    client.send(format!("POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello")).half_close();
    assert!(!world.origin.request("/").is_whole());
    world.origin.has_ended(0);
}

#[test]
fn a_bad_chunk_is_not_whole_at_the_origin() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("thanks"));
    let mut client = world.client();
    let head = request("POST", &world.url("/"), &[("Transfer-Encoding", "chunked")], "");
    client.send([&head[..], b"5\r\nhello\r\n"].concat());
    world.origin.has_requests(1);
    client.send("zz\r\n");
    assert_eq!(client.response().status(), 400);
    assert!(client.is_closed());
    assert!(!world.origin.request("/").is_whole());
}

#[test]
fn a_name_without_address_is_a_bad_gateway() {
    let world = World::new();
    let response = world.client().get("http://nowhere.example/");
    assert_eq!((response.status(), response.proxy_error()), (502, "dns_error"));
    assert!(!response.text().contains("127.0.0.1"));
}

#[test]
fn a_refused_connection_is_a_bad_gateway() {
    let world = World::new();
    let gone = crate::support::Origin::start().url("/");
    let response = world.client().get(&gone);
    assert_eq!((response.status(), response.proxy_error()), (502, "connection_refused"));
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    let world = World::with(|setup| setup.host("two.example", &["127.0.0.9", "127.0.0.1"]));
    world.origin.on_path("/", Answer::ok("hello"));
    let url = format!("http://two.example:{}/", world.origin.address().port());
    assert_eq!(world.client().get(&url).text(), "hello");
}
