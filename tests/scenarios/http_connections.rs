//! Connections: kept, shared and closed on both sides (RFC 9112 §9.3).

use crate::support::{Answer, Gate, Origin, World, eventually, request};

#[test]
fn one_connection_on_each_side_serves_many_requests() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    for path in ["/1", "/2", "/3"] {
        let response = client.get(&world.url(path));
        assert_eq!((response.status(), response.text()), (200, "hello"));
    }
    assert_eq!(world.origin.request_count(), 3);
    assert_eq!(world.origin.connection_count(), 1);
}

#[test]
fn clients_take_over_each_others_origin_connections() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    for path in ["/1", "/2", "/3"] {
        assert_eq!(world.get(path).status(), 200);
    }
    assert_eq!(world.origin.connection_count(), 1);
}

#[test]
fn origins_that_differ_in_port_share_no_connection() {
    let world = World::new();
    let other = Origin::start();
    world.origin.otherwise(Answer::ok("one"));
    other.otherwise(Answer::ok("other"));
    let mut client = world.client();
    for path in ["/1", "/2"] {
        assert_eq!(client.get(&world.url(path)).text(), "one");
        assert_eq!(client.get(&other.url(path)).text(), "other");
    }
    assert_eq!((world.origin.connection_count(), other.connection_count()), (1, 1));
}

#[test]
fn origins_that_differ_in_name_share_no_connection() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let by_name = format!("http://origin.example:{}/", world.origin.address().port());
    let mut client = world.client();
    for _ in 0..2 {
        assert_eq!(client.get(&world.url("/")).status(), 200);
        assert_eq!(client.get(&by_name).status(), 200);
    }
    assert_eq!(world.origin.connection_count(), 2);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/slow", Answer::ok("slow").after(&gate));
    world.origin.on_path("/quick", Answer::ok("quick"));
    let mut client = world.client();
    let ask = |path| request("GET", &world.url(path), &[], "");
    client.send([ask("/slow"), ask("/quick"), ask("/slow")].concat());
    gate.is_reached();
    gate.open();
    let texts: Vec<_> = (0..3).map(|_| client.response().text().to_owned()).collect();
    assert_eq!(texts, ["slow", "quick", "slow"]);
}

#[test]
fn a_pipelined_request_behind_content_begins_where_the_content_ends() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let post = request("POST", &world.url("/post"), &[], "GET /smuggled HTTP/1.1\r\n\r\n");
    let get = request("GET", &world.url("/get"), &[], "");
    let mut client = world.client();
    client.send([post, get].concat());
    assert_eq!((client.response().status(), client.response().status()), (200, 200));
    let paths: Vec<_> =
        world.origin.all_requests().iter().map(|seen| seen.head.target().to_owned()).collect();
    assert_eq!(paths, ["/post", "/get"]);
}

#[test]
fn a_client_that_says_close_is_closed_and_the_origin_is_not() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    let response = client.get_with(&world.url("/1"), &[("Connection", "close")]);
    assert_eq!(response.field("Connection"), Some("close"));
    assert!(client.is_closed());
    assert_eq!(world.get("/2").status(), 200);
    assert_eq!(world.origin.connection_count(), 1);
    assert!(!world.origin.request("/1").head.has("Connection"));
}

#[test]
fn an_origin_that_says_close_is_closed_and_the_client_is_not() {
    let world = World::new();
    world.origin.otherwise(Answer::status(200).field("Connection", "close").body("hello").hold());
    let mut client = world.client();
    for path in ["/1", "/2"] {
        let response = client.get(&world.url(path));
        assert_eq!((response.text(), response.field("Connection")), ("hello", None));
    }
    assert_eq!(world.origin.connection_count(), 2);
    world.origin.has_ended(0);
}

#[test]
fn a_client_that_half_closes_gets_its_answers_first() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/", Answer::ok("hello").after(&gate));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], "")).half_close();
    gate.is_reached();
    gate.open();
    assert_eq!(client.response().text(), "hello");
    assert!(client.is_closed());
}

#[test]
fn a_hundred_pipelined_requests_get_a_hundred_responses() {
    let world = World::new();
    let mut client = world.client();
    for number in 0..100 {
        world.origin.on_path(&format!("/{number}"), Answer::ok(number.to_string()));
    }
    let all: Vec<_> =
        (0..100).flat_map(|number| request("GET", &world.url(&format!("/{number}")), &[], "")).collect();
    client.send(all);
    for number in 0..100 {
        assert_eq!(client.response().text(), number.to_string());
    }
    assert_eq!(world.origin.connection_count(), 1);
}

#[test]
fn clients_are_served_at_once_by_all_workers() {
    let world = World::with(|setup| setup.workers = 4);
    let gate = Gate::new();
    world.origin.otherwise(Answer::ok("hello").after(&gate));
    let mut clients: Vec<_> = (0..64).map(|_| world.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(request("GET", &world.url(&format!("/{number}")), &[], ""));
    }
    // All are with the origin before any is answered.
    gate.is_reached_by(64);
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "hello"));
}

#[test]
fn a_tunnel_may_follow_a_request_on_its_connection() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = world.client();
    assert_eq!(client.get(&world.url("/")).text(), "hello");
    let authority = world.origin.authority();
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(client.response_to("CONNECT").status(), 200);
    // What is not HTTP passes as it is.
    world.origin.otherwise(Answer::nothing().send("as it is").close());
    client.send("\x01\x02\r\n\r\n");
    assert_eq!(client.wire.until_close().bytes, b"as it is");
}

#[test]
fn a_drain_lets_requests_finish_and_closes_their_connections() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/slow", Answer::ok("slow").after(&gate));
    let mut idle = world.client();
    idle.settle();
    let mut client = world.client();
    client.send(request("GET", &world.url("/slow"), &[], ""));
    gate.is_reached();
    world.server().drain();
    assert!(idle.is_closed());
    gate.open();
    assert_eq!(client.response().text(), "slow");
    assert!(client.is_closed());
    drop((idle, client));
    eventually("all workers have ended", || world.server().is_finished());
}
