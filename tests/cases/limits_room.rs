//! What has no end of its own goes first when places are short (S5), and has the ends of a tunnel (S16).

use std::net::TcpListener;
use std::time::Duration;

use larder::server::ServerLimits;

use super::limits_places::{from, is_refused};
use crate::support::{Answer, Client, Gate, Origin, Unreachable, Wire, World, eventually, request};

fn far() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).unwrap()
}

/// A client at another address of this machine that asks for a tunnel.
fn asks_for_tunnel(world: &World, last: u8, far: &TcpListener) -> Client {
    let address = far.local_addr().unwrap();
    let mut client = from(last, world.proxy());
    client.send(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    client
}

/// Its tunnel: the near end and the far one.
fn tunnel(world: &World, last: u8, far: &TcpListener) -> (Client, Wire) {
    let mut client = asks_for_tunnel(world, last, far);
    assert_eq!(client.response_to("CONNECT").status(), 200);
    (client, Wire::new(far.accept().unwrap().0))
}

/// A client at another address that asks for this path.
fn asks(world: &World, last: u8, path: &str) -> Client {
    let mut client = from(last, world.proxy());
    client.send(request("GET", &world.url(path), &[], ""));
    client
}

/// Each limit that a tunnel counts for.
const LIMITS: [fn(&mut ServerLimits); 3] = [
    |limits| limits.connections_max = 4,
    |limits| limits.origin.exchanges_max = 4,
    |limits| limits.origin.connections_max = 4,
];

#[test]
fn case_s5_the_slowest_tunnel_of_who_has_most_makes_room() {
    for limit in LIMITS {
        let world = World::with(|setup| limit(&mut setup.server));
        let (one, another) = (far(), far());
        // The oldest of all is another client's only one.
        let mut only = tunnel(&world, 3, &one);
        world.advance(10);
        let (mut slowest, _far) = tunnel(&world, 2, &one);
        world.advance(10);
        let mut second = tunnel(&world, 2, &one);
        world.advance(70);
        let mut last = tunnel(&world, 4, &another);
        assert!(slowest.is_closed());
        assert_eq!(world.shared.budget.open_ended().cuts(), 1);
        for (near, far) in [&mut only, &mut second, &mut last] {
            near.send("goes on");
            assert_eq!(far.exactly(7).bytes, b"goes on");
        }
    }
}

#[test]
fn case_s5_a_tunnel_in_use_is_not_closed_for_others() {
    let world = World::with(|setup| setup.server.origin.exchanges_max = 2);
    let far = far();
    let (mut used, mut used_far) = tunnel(&world, 2, &far);
    world.advance(120);
    used.send("x".repeat(12_000));
    used_far.exactly(12_000);
    let _fresh = tunnel(&world, 3, &far);
    assert!(is_refused(&asks_for_tunnel(&world, 4, &far).response_to("CONNECT")));
    used.send("goes on");
    assert_eq!(used_far.exactly(7).bytes, b"goes on");
    assert_eq!(world.shared.budget.open_ended().cuts(), 0);
}

#[test]
fn case_s5_responses_and_requests_without_an_end_make_room() {
    const DRIPS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    const STORED: &str =
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    for answer in [Some(DRIPS), Some(STORED), None] {
        let world = World::with(|setup| setup.server.origin.exchanges_max = 2);
        world.origin.otherwise(Answer::ok("hello"));
        let mut endless = match answer {
            Some(answer) => {
                world.origin.on_path("/endless", Answer::raw(answer).hold());
                let mut client = asks(&world, 2, "/endless");
                assert_eq!(client.head().status(), 200);
                client.wire.exactly(b"5\r\nhello\r\n".len());
                client
            }
            None => {
                let mut client = from(2, world.proxy());
                let head = request("POST", &world.url("/"), &[("Transfer-Encoding", "chunked")], "");
                client.send([&head[..], b"5\r\nhello\r\n"].concat());
                world.origin.has_requests(1);
                client
            }
        };
        // It drips: it is never silent for as long as it may be.
        world.catch_up();
        world.advance(50);
        if answer.is_some() {
            world.origin.blurt(0, b"1\r\nx\r\n");
            endless.wire.exactly(b"1\r\nx\r\n".len());
        } else {
            endless.send("1\r\nx\r\n");
        }
        world.catch_up();
        world.advance(50);
        assert_eq!(world.shared.budget.open_ended().cuts(), 0);
        assert_eq!(asks(&world, 3, "/").response().text(), "hello");
        assert!(endless.is_closed());
        assert_eq!(world.shared.budget.open_ended().cuts(), 1);
        let lending = &world.server().places().lending;
        eventually("its place is free", || lending.exchanges.used() == 0);
    }
}

#[test]
fn case_s16_a_server_that_drips_to_a_silent_client_has_the_ends_of_a_tunnel() {
    let world = World::with(|setup| {
        setup.limits.tunnel_time = Some(Duration::from_secs(300));
        setup.server.origin.exchanges_max = 2;
    });
    let far = far();
    // It is open for too long.
    let (mut client, mut dripping) = tunnel(&world, 2, &far);
    for _ in 0..10 {
        dripping.send("x");
        world.catch_up();
        world.advance(55);
    }
    assert!(client.wire.until_close().bytes.len() < 10);
    // Its place is needed.
    let (mut client, mut dripping) = tunnel(&world, 2, &far);
    dripping.send("x");
    world.catch_up();
    world.advance(70);
    let _other = tunnel(&world, 3, &far);
    assert_eq!(client.wire.until_close().bytes, b"x");
}

/// A world in which a name has two addresses: nobody answers at the first, an origin does at the second.
fn two_addresses(first: Option<()>, connections_max: usize) -> (World, String, Option<Unreachable>) {
    let world = World::with(|setup| {
        setup.host("two.example", &["127.0.0.2", "127.0.0.1"]);
        setup.server.origin.connections_max = connections_max;
    });
    world.origin.otherwise(Answer::ok("hello"));
    let port = world.origin.address().port();
    let first = first.map(|()| Unreachable::on(([127, 0, 0, 2], port).into()));
    (world, format!("http://two.example:{port}/"), first)
}

#[test]
fn case_s5_each_attempt_to_connect_has_a_place() {
    // A second attempt takes a second place, if there is one.
    let (world, url, _first) = two_addresses(Some(()), 4);
    let lending = &world.server().places().lending;
    let mut client = world.client();
    client.send(request("GET", &url, &[], ""));
    eventually("the first attempt", || lending.connections.used() == 1);
    world.catch_up();
    world.advance(1);
    assert_eq!(client.response().text(), "hello");
    eventually("the first has ended", || lending.connections.used() == 1);
    // Without one, attempts follow each other: none is made while the first waits.
    let (world, url, _first) = two_addresses(Some(()), 1);
    let lending = &world.server().places().lending;
    let mut client = world.client();
    client.send(request("GET", &url, &[], ""));
    eventually("the first attempt", || lending.connections.used() == 1);
    for _ in 0..4 {
        world.catch_up();
        world.advance(1);
    }
    world.catch_up();
    assert_eq!((world.origin.connection_count(), lending.connections.used()), (0, 1));
    world.advance_until_heard(Duration::from_secs(5), &mut client);
    assert_eq!(client.response().proxy_error(), "connection_timeout");
    // One that has failed leaves its place to the next, and nobody was refused.
    let (world, url, _first) = two_addresses(None, 1);
    assert_eq!(world.client().get(&url).text(), "hello");
    let refusals = world.server().places().lending.connections.refusals();
    assert!(refusals.iter().all(|(_, count)| *count == 0));
}

#[test]
fn case_s5_a_refusal_is_counted_once() {
    let world = World::with(|setup| setup.server.origin.connections_max = 1);
    let (gate, other) = (Gate::new(), Origin::start());
    world.origin.on_path("/", Answer::ok("at last").after(&gate));
    other.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    gate.is_reached();
    assert!(is_refused(&world.client().get(&other.url("/"))));
    let lending = &world.server().places().lending;
    assert_eq!(lending.connections.refusals().iter().map(|(_, count)| count).sum::<u64>(), 1);
    gate.open();
    assert_eq!(client.response().text(), "at last");
    // The idle connection makes room: nobody is refused.
    assert_eq!(world.client().get(&other.url("/")).text(), "hello");
    assert_eq!(lending.connections.refusals().iter().map(|(_, count)| count).sum::<u64>(), 1);
}
