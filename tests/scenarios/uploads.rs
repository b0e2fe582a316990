//! Uploads that take long: the origin's time begins when it has the whole request.

use crate::support::{Answer, Client, World};

/// Few octets may take long.
fn without_rate() -> World {
    World::with(|setup| setup.limits.rates.request = 0)
}

/// A client that has said that twenty octets follow.
fn uploading(world: &World, fields: &str) -> Client {
    let mut client = world.client();
    let (url, host) = (world.url("/"), world.origin.authority());
    client.send(format!("POST {url} HTTP/1.1\r\nHost: {host}\r\n{fields}Content-Length: 20\r\n\r\n"));
    world.origin.has_requests(1);
    client
}

/// Sends the twenty octets in 200 s, which is more than an origin has for its response.
fn send_slowly(world: &World, client: &mut Client) {
    for _ in 0..4 {
        client.send("piece");
        world.catch_up();
        world.advance(50);
        world.catch_up();
        assert!(!client.wire.is_answered(), "the upload was ended");
    }
}

#[test]
fn an_upload_may_take_longer_than_an_origin_may_for_its_answer() {
    let world = without_rate();
    world.origin.on_path(
        "/",
        Answer::raw("").early().run(|wire| {
            assert_eq!(wire.exactly(20).bytes, b"piecepiecepiecepiece");
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nthanks");
        }),
    );
    let mut client = uploading(&world, "");
    for _ in 0..3 {
        client.send("piece");
        world.catch_up();
        world.advance(50);
        world.catch_up();
        assert!(!client.wire.is_answered(), "the upload was ended");
    }
    client.send("piece");
    assert_eq!(client.response().text(), "thanks");
}

#[test]
fn an_origin_that_is_silent_after_a_long_upload_is_a_timeout() {
    let world = without_rate();
    world.origin.on_path("/", Answer::nothing().hold());
    let mut client = uploading(&world, "");
    send_slowly(&world, &mut client);
    assert!(world.origin.request("/").is_whole());
    world.advance_until_heard(world.shared.limits.response, &mut client);
    let response = client.response();
    assert_eq!((response.status(), response.proxy_error()), (504, "http_response_timeout"));
}

#[test]
fn a_switch_in_the_middle_of_an_upload_is_a_bad_gateway() {
    let world = World::new();
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n";
    world.origin.on_path("/", Answer::raw(switch).early().hold());
    let mut client = uploading(&world, "Connection: Upgrade\r\nUpgrade: chat\r\n");
    let response = client.send("piece").response();
    assert_eq!((response.status(), response.proxy_error()), (502, "http_upgrade_failed"));
    world.origin.has_ended(0);
}

#[test]
fn a_post_without_content_goes_only_over_a_connection_that_was_just_used() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    for (method, wait, connection) in [("GET", 0, 0), ("POST", 1, 0), ("GET", 10, 0), ("POST", 3, 1)] {
        world.advance(wait);
        let path = format!("/{method}{wait}");
        client.request(method, &world.url(&path), &[], "");
        assert_eq!(world.origin.request(&path).connection, connection, "{method} after {wait} s");
        client.settle();
    }
}
