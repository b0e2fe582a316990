//! What is done for a client ends with it (S6, S7).

use std::time::Duration;

use http::Request;

use crate::support::{Answer, Client, Gate, World, eventually, noise, request};

/// Moves the clock by seconds until all exchanges have come to their end.
fn has_ended(world: &World, exchanges: u64) {
    eventually("the exchange has ended", || {
        world.advance(1);
        world.count(|counters| &counters.requests) >= exchanges
    });
    lets_go(world);
}

/// Waits until no connection to an origin is open, and no exchange has a place for one.
pub(crate) fn lets_go(world: &World) {
    let lending = &world.server().places().lending;
    eventually("its connection and its place are free", || {
        (lending.connections.used(), lending.exchanges.used()) == (0, 0)
    });
}

pub(crate) fn reset(client: Client) {
    client.wire.reset_on_drop();
    drop(client);
}

/// How a client goes: by a reset, and by closing.
const WAYS: [fn(Client); 2] = [reset, drop::<Client>];

#[test]
fn case_s7_the_wait_for_a_head_ends_with_its_client() {
    for leave in WAYS {
        let world = World::new();
        let gate = Gate::new();
        world.origin.on_path("/", Answer::ok("hello").after(&gate));
        let mut client = world.client();
        client.send(request("GET", &world.url("/"), &[], ""));
        gate.is_reached();
        leave(client);
        has_ended(&world, 1);
        gate.open();
    }
}

#[test]
fn case_s7_content_that_drips_ends_with_its_client() {
    for leave in WAYS {
        let world = World::new();
        let gate = Gate::new();
        let answer = Answer::status(200).field("Content-Length", "100").end_of_head().send("drip");
        world.origin.on_path("/", answer.wait(&gate));
        let mut client = world.client();
        client.send(request("GET", &world.url("/"), &[], ""));
        assert_eq!(client.head().status(), 200);
        gate.is_reached();
        leave(client);
        has_ended(&world, 1);
        gate.open();
    }
}

#[test]
fn case_s7_a_request_with_content_ends_with_its_client() {
    for leave in WAYS {
        let world = World::new();
        let gate = Gate::new();
        world.origin.on_path("/", Answer::ok("hello").after(&gate));
        let mut client = world.client();
        client.send(request("POST", &world.url("/"), &[], "content"));
        gate.is_reached();
        leave(client);
        has_ended(&world, 1);
        gate.open();
    }
}

#[test]
fn case_s7_one_that_follows_another_ends_with_its_client() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/", Answer::fresh(60, "hello").after(&gate));
    let mut leader = world.client();
    leader.send(request("GET", &world.url("/"), &[], ""));
    gate.is_reached();
    let mut follower = world.client();
    follower.send(request("GET", &world.url("/"), &[], ""));
    world.catch_up();
    reset(follower);
    eventually("the follower has ended", || world.server().connections() == 1);
    gate.open();
    assert_eq!(leader.response().text(), "hello");
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn case_s7_a_leader_that_goes_sets_its_followers_free() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/", Answer::fresh(60, "hello").after(&gate));
    let mut leader = world.client();
    leader.send(request("GET", &world.url("/"), &[], ""));
    gate.is_reached();
    let mut follower = world.client();
    follower.send(request("GET", &world.url("/"), &[], ""));
    world.catch_up();
    reset(leader);
    world.origin.has_requests(2);
    gate.open();
    assert_eq!(follower.response().text(), "hello");
}

#[test]
fn case_s7_a_stream_that_is_reset_ends_its_exchange() {
    let world = World::with(crate::support::Setup::listen_within_tls);
    let gate = Gate::new();
    world.origin.on_path("/", Answer::ok("hello").after(&gate));
    let mut client = world.http2_within_tls();
    let waiting = client.begin(Request::get(world.url("/")).body(()).unwrap());
    gate.is_reached();
    client.reset(waiting);
    lets_go(&world);
    gate.open();
    eventually("its place is free", || world.server().places().streams.used() == 0);
}

#[test]
fn case_s7_within_tls_the_wait_ends_with_its_client() {
    for leave in WAYS {
        let world = World::with(crate::support::Setup::listen_within_tls);
        let gate = Gate::new();
        world.origin.on_path("/", Answer::ok("hello").after(&gate));
        let mut client = world.client_within_tls();
        client.send(request("GET", &world.url("/"), &[], ""));
        gate.is_reached();
        leave(client);
        has_ended(&world, 1);
        gate.open();
    }
}

#[test]
fn case_s7_a_client_that_half_closes_is_served_for_a_moment() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/", Answer::ok("hello").after(&gate));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], "")).half_close();
    gate.is_reached();
    world.catch_up();
    gate.open();
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn case_s7_a_client_that_sends_its_next_request_early_is_not_gone() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/1", Answer::ok("one").after(&gate)).on_path("/2", Answer::ok("two"));
    let mut client = world.client();
    client.send(request("GET", &world.url("/1"), &[], ""));
    gate.is_reached();
    client.send(request("GET", &world.url("/2"), &[], ""));
    world.catch_up();
    world.advance(5);
    world.catch_up();
    gate.open();
    assert_eq!((client.response().text(), client.response().text()), ("one", "two"));
}

#[test]
fn case_s6_an_endless_response_ends_with_its_last_reader() {
    for leave in WAYS {
        let world = World::new();
        world.origin.on_path("/", Answer::endless());
        let mut client = world.client();
        client.send(request("GET", &world.url("/"), &[], ""));
        client.head();
        leave(client);
        has_ended(&world, 1);
        world.origin.has_ended(0);
        assert_eq!(world.shared.store.usage().objects, 0);
    }
}

#[test]
fn case_s6_content_of_unknown_length_ends_with_its_last_reader() {
    let world = World::new();
    let gate = Gate::new();
    let head =
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    world.origin.on_path("/", Answer::raw(head).wait(&gate));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    client.head();
    gate.is_reached();
    reset(client);
    has_ended(&world, 1);
    gate.open();
}

/// A response of which all but a little has arrived, and the client that has left it.
fn nearly_done(world: &World, gate: &Gate) {
    let content = noise(100_000);
    let answer = Answer::cached("max-age=60").field("Content-Length", "100000").end_of_head();
    world.origin.on_path("/", answer.send(&content[..90_000]).wait(gate).send(&content[90_000..]));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    client.head();
    gate.is_reached();
    reset(client);
    world.has_served(1);
}

#[test]
fn case_s6_a_response_that_is_nearly_there_is_finished_without_its_client() {
    let world = World::new();
    let gate = Gate::new();
    let content = noise(100_000);
    let answer = Answer::cached("max-age=60").field("Content-Length", "100000").end_of_head();
    world.origin.on_path("/", answer.send(&content[..90_000]).wait(&gate).send(&content[90_000..]));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    client.head();
    gate.is_reached();
    reset(client);
    world.has_served(1);
    eventually("it goes on alone", || world.shared.unread_fills.used() == 1);
    gate.open();
    eventually("it is stored", || world.shared.store.usage().objects == 1);
    assert_eq!(world.shared.unread_fills.used(), 0);
    assert_eq!(world.get("/").body.bytes, content);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn case_s6_a_fill_without_readers_has_an_end_and_a_number() {
    // It drips for too long.
    let world = World::with(|setup| setup.limits.unread_fill = Duration::from_secs(7));
    let gate = Gate::new();
    nearly_done(&world, &gate);
    eventually("its time is over", || {
        world.advance(1);
        world.shared.unread_fills.used() == 0
    });
    lets_go(&world);
    gate.open();
    // There may be none at all.
    let world = World::with(|setup| setup.limits.unread_fills = 0);
    let gate = Gate::new();
    nearly_done(&world, &gate);
    lets_go(&world);
    gate.open();
    assert_eq!(world.shared.store.usage().objects, 0);
}

/// Moves the clock by less than the silence that is allowed, and has `act` send one octet each time,
/// until the client is answered or closed.
pub(crate) fn drips(world: &World, client: &mut Client, mut act: impl FnMut(&mut Client)) {
    for _ in 0..20 {
        world.catch_up();
        world.advance(55);
        act(client);
        if client.wire.is_answered_within(Duration::from_millis(50)) {
            return;
        }
    }
    panic!("an octet a minute goes on");
}

#[test]
fn case_s16_content_of_a_request_that_drips_is_refused() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = world.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", world.url("/")));
    drips(&world, &mut client, |client| {
        client.send("x");
    });
    assert_eq!(client.response().status(), 408);
    world.origin.has_ended(0);
}

#[test]
fn case_s16_content_of_a_response_that_drips_is_cut_off() {
    for head in ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n"] {
        let world = World::new();
        world.origin.on_path("/", Answer::raw(format!("{head}Content-Length: 1000\r\n\r\nx")).hold());
        let mut client = world.client();
        client.send(request("GET", &world.url("/"), &[], ""));
        assert_eq!(client.head().status(), 200);
        let mut octets = 1;
        for _ in 0..20 {
            world.catch_up();
            world.advance(55);
            // A connection that was cut off takes nothing.
            if !world.origin.drip(0, b"x") {
                break;
            }
            octets += 1;
        }
        assert!(octets < 10, "an octet a minute goes on");
        assert!(client.wire.until_close().bytes.len() < 10);
    }
}

#[test]
fn case_s16_what_keeps_its_rate_goes_on() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = world.client();
    client.send(format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", world.url("/")));
    for _ in 0..10 {
        world.catch_up();
        world.advance(55);
        client.send("x".repeat(6000));
    }
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn case_s16_a_stream_of_events_goes_on() {
    let world = World::new();
    let answer = Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").hold();
    world.origin.on_path("/", answer);
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    assert_eq!(client.head().status(), 200);
    client.wire.exactly(b"5\r\nhello\r\n".len());
    for _ in 0..30 {
        world.catch_up();
        world.advance(55);
        world.origin.blurt(0, b"1\r\nx\r\n");
        assert_eq!(client.wire.exactly(6).bytes, b"1\r\nx\r\n");
    }
}

#[test]
fn case_s16_a_tunnel_has_a_total_time_where_one_is_configured() {
    for (limit, goes_on) in [(None, true), (Some(Duration::from_secs(300)), false)] {
        let world = World::with(|setup| setup.limits.tunnel_time = limit);
        let far = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut client = world.tunnel(&far.local_addr().unwrap().to_string());
        let mut far = crate::support::Wire::new(far.accept().unwrap().0);
        for _ in 0..10 {
            client.send("x");
            world.catch_up();
            world.advance(55);
        }
        assert_eq!(
            far.exactly(10).bytes.len() == 10 && !client.wire.is_closed_within(Duration::from_millis(300)),
            goes_on
        );
    }
}
