//! Origin connections that lay idle: which of them are used again, and what happens when one
//! turns out to be closed (RFC 9112 §9.3.1, §9.6).

use crate::support::{Answer, Gate, World, request};

#[test]
fn a_connection_that_the_origin_has_closed_is_not_used() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    client.get(&world.url("/1"));
    world.origin.hang_up(0);
    // A POST is never repeated: it can only succeed on a connection that is open.
    assert_eq!(client.request("POST", &world.url("/2"), &[], "content").text(), "hello");
    assert_eq!(world.origin.request("/2").connection, 1);
}

#[test]
fn a_connection_on_which_the_origin_has_written_is_not_used() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    client.get(&world.url("/1"));
    world.origin.blurt(0, b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL");
    assert_eq!(client.get(&world.url("/2")).text(), "hello");
    assert_eq!(world.origin.request("/2").connection, 1);
}

#[test]
fn surplus_octets_behind_a_response_end_the_connection() {
    let world = World::new();
    world.origin.on_path("/1", Answer::ok("hello").send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"));
    world.origin.on_path("/2", Answer::ok("good"));
    let mut client = world.client();
    assert_eq!(client.get(&world.url("/1")).text(), "hello");
    assert_eq!(client.get(&world.url("/2")).text(), "good");
    assert_eq!(world.origin.request("/2").connection, 1);
}

#[test]
fn an_idle_connection_is_closed_in_time() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    client.get(&world.url("/1"));
    client.settle();
    world.advance(31);
    assert_eq!(client.get(&world.url("/2")).text(), "hello");
    assert_eq!(world.origin.request("/2").connection, 1);
}

#[test]
fn a_get_that_met_a_closing_connection_is_sent_once_more() {
    for closing in [Answer::nothing().close(), Answer::nothing().reset()] {
        let world = World::new();
        world.origin.on_path("/1", Answer::ok("hello"));
        world.origin.on_path("/2", closing).on_path("/2", Answer::ok("again"));
        let mut client = world.client();
        client.get(&world.url("/1"));
        assert_eq!(client.get(&world.url("/2")).text(), "again");
        let connections: Vec<_> = world.origin.requests("/2").iter().map(|seen| seen.connection).collect();
        assert_eq!(connections, [0, 1]);
    }
}

#[test]
fn a_get_is_not_sent_a_third_time() {
    let world = World::new();
    world.origin.on_path("/1", Answer::ok("hello")).on_path("/2", Answer::nothing().close());
    let mut client = world.client();
    client.get(&world.url("/1"));
    let response = client.get(&world.url("/2"));
    assert_eq!((response.status(), response.proxy_error()), (502, "connection_terminated"));
    assert_eq!(world.origin.requests("/2").len(), 2);
}

#[test]
fn a_get_on_a_new_connection_is_sent_once() {
    let world = World::new();
    world.origin.on_path("/", Answer::nothing().close());
    assert_eq!(world.get("/").status(), 502);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn a_get_is_not_repeated_once_an_octet_has_come() {
    let world = World::new();
    world.origin.on_path("/1", Answer::ok("hello")).on_path("/2", Answer::raw("HTTP/1.1 2").close());
    let mut client = world.client();
    client.get(&world.url("/1"));
    assert_eq!(client.get(&world.url("/2")).status(), 502);
    assert_eq!(world.origin.requests("/2").len(), 1);
}

#[test]
fn a_post_is_never_repeated() {
    for body in ["", "content"] {
        let world = World::new();
        world.origin.on_path("/1", Answer::ok("hello")).on_path("/2", Answer::nothing().close());
        let mut client = world.client();
        client.get(&world.url("/1"));
        let response = client.request("POST", &world.url("/2"), &[], body);
        assert_eq!((response.status(), response.proxy_error()), (502, "connection_terminated"));
        assert_eq!(world.origin.requests("/2").len(), 1, "with the content {body:?}");
    }
}

#[test]
fn an_unknown_method_is_never_repeated() {
    let world = World::new();
    world.origin.on_path("/1", Answer::ok("hello")).on_path("/2", Answer::nothing().close());
    let mut client = world.client();
    client.get(&world.url("/1"));
    assert_eq!(client.request("BREW", &world.url("/2"), &[], "").status(), 502);
    assert_eq!(world.origin.requests("/2").len(), 1);
}

#[test]
fn content_goes_only_over_a_connection_that_was_just_used() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    for (method, wait, connection) in [("GET", 0, 0), ("POST", 1, 0), ("POST", 10, 1)] {
        world.advance(wait);
        let path = format!("/{method}{wait}");
        let body = if method == "POST" { "content" } else { "" };
        client.request(method, &world.url(&path), &[], body);
        assert_eq!(world.origin.request(&path).connection, connection, "{method} after {wait} s");
        client.settle();
    }
}

#[test]
fn a_response_that_nobody_read_to_its_end_leaves_no_connection() {
    let world = World::new();
    let gate = Gate::new();
    let answer = Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    world.origin.on_path("/half", answer.wait(&gate).send("world"));
    world.origin.on_path("/next", Answer::ok("next"));
    let mut client = world.client();
    client.send(request("GET", &world.url("/half"), &[], ""));
    client.head();
    client.reset();
    assert_eq!(world.get("/next").text(), "next");
    assert_eq!(world.origin.request("/next").connection, 1);
    gate.open();
}
