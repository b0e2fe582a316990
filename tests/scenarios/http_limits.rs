//! Limits: times, connections, sizes. Each has a number and an answer.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::support::{Answer, Client, Wire, World, eventually, noise, request};

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn a_head_that_does_not_end_is_a_timeout() {
    let world = World::new();
    let mut client = world.client();
    client.send("GET http://origin.example/ HTTP/1.1\r\nHost: origin");
    world.advance_until_heard(seconds(10), &mut client);
    assert_eq!(client.response().status(), 408);
    assert!(client.is_closed());
    assert!(world.origin.is_not_asked());
}

#[test]
fn a_head_that_trickles_in_has_no_more_time() {
    let world = World::new();
    let mut client = world.client();
    client.send("GET http://origin.example/ HTTP/1.1\r\n");
    for _ in 0..120 {
        client.send("X: y\r\n");
        world.advance(1);
        if client.wire.is_answered_within(Duration::from_millis(20)) {
            assert_eq!(client.response().status(), 408);
            return;
        }
    }
    panic!("a head may come line by line for two minutes");
}

#[test]
fn a_client_that_says_nothing_is_closed_in_silence() {
    let world = World::new();
    let mut client = world.client();
    world.advance_until_heard(seconds(60), &mut client);
    assert!(client.is_closed());
}

#[test]
fn a_client_that_has_nothing_more_to_say_is_closed() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = world.client();
    client.get(&world.url("/"));
    world.advance_until_heard(seconds(60), &mut client);
    assert!(client.is_closed());
}

#[test]
fn an_origin_that_does_not_answer_is_a_timeout() {
    let world = World::new();
    world.origin.on_path("/", Answer::nothing().hold());
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    world.origin.has_requests(1);
    world.advance_until_heard(seconds(120), &mut client);
    let response = client.response();
    assert_eq!((response.status(), response.proxy_error()), (504, "http_response_timeout"));
    world.origin.has_ended(0);
}

#[test]
fn an_origin_that_falls_silent_is_cut() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").hold());
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    client.head();
    assert_eq!(client.wire.exactly(5).bytes, b"hello");
    world.advance_until_heard(seconds(60), &mut client);
    assert_ne!(client.wire.exactly(5).end, crate::support::End::Clean);
    world.origin.has_ended(0);
}

#[test]
fn a_client_that_falls_silent_within_its_content_is_a_timeout() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("thanks"));
    let mut client = world.client();
    let url = world.url("/");
    client.send(format!("POST {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello"));
    world.origin.has_requests(1);
    world.advance_until_heard(seconds(60), &mut client);
    assert_eq!(client.response().status(), 408);
    assert!(!world.origin.request("/").is_whole());
}

/// A listener whose queue is full: a further connection to it is neither made nor refused.
fn deaf_listener() -> (Socket, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
    (socket, (0..8).map_while(connect).collect())
}

#[test]
fn an_origin_that_does_not_accept_is_a_timeout() {
    let world = World::new();
    let (deaf, _queue) = deaf_listener();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let mut client = world.client();
    client.send(request("GET", &format!("http://{address}/"), &[], ""));
    world.advance_until_heard(seconds(5), &mut client);
    let response = client.response();
    assert_eq!((response.status(), response.proxy_error()), (504, "connection_timeout"));
}

/// A client that has been served once, so that the proxy counts it.
fn served(world: &World) -> Client {
    let mut client = world.client();
    assert_eq!(client.get(&world.url("/")).status(), 200);
    client
}

#[test]
fn one_connection_too_many_is_told_so() {
    // One client may have as many as are still free.
    let world = World::with(|setup| setup.server.connections_max = 3);
    world.origin.on_path("/", Answer::ok("hello"));
    let (mut one, two) = (served(&world), served(&world));
    let mut third = world.client();
    let response = third.response();
    assert_eq!((response.status(), response.proxy_error()), (503, "connection_limit_reached"));
    assert!(third.is_closed());
    assert_eq!(one.get(&world.url("/")).status(), 200);
    drop(two);
    eventually("a place is free", || world.server().connections() < 2);
    served(&world);
}

#[test]
fn one_client_can_not_take_every_place() {
    let world = World::with(|setup| setup.server.connections_per_client_max = 1);
    world.origin.on_path("/", Answer::ok("hello"));
    let _one = served(&world);
    let refused = world.client().response();
    assert_eq!((refused.status(), refused.proxy_error()), (503, "connection_limit_reached"));
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    other.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 2), 0)).into()).unwrap();
    other.connect(&world.proxy().into()).unwrap();
    let mut other = Client { wire: Wire::new(other.into()) };
    assert_eq!(other.get(&world.url("/")).status(), 200);
}

#[test]
fn sizes_of_a_request_have_limits() {
    let long = "x".repeat(9000);
    let line = "x".repeat(17_000);
    let many = "X: y\r\n".repeat(129);
    let large = format!("X: {}\r\n", "x".repeat(15_000)).repeat(5);
    for (target, fields, status) in
        [(&*long, "", 414), ("", &*format!("X: {line}\r\n"), 431), ("", &many, 431), ("", &large, 431)]
    {
        let world = World::new();
        let mut client = world.client();
        let url = world.url("/");
        client.send(format!("GET {url}{target} HTTP/1.1\r\nHost: x\r\n{fields}\r\n"));
        assert_eq!(client.response().status(), status);
        assert!(client.is_closed());
        assert!(world.origin.is_not_asked());
    }
}

#[test]
fn a_response_head_that_is_too_large_is_a_bad_gateway() {
    let world = World::new();
    let large = format!("X: {}\r\n", "x".repeat(15_000)).repeat(9);
    world.origin.on_path("/", Answer::raw(format!("HTTP/1.1 200 OK\r\n{large}Content-Length: 0\r\n\r\n")));
    assert_eq!(world.get("/").status(), 502);
    world.origin.has_ended(0);
}

#[test]
fn a_response_larger_than_the_store_takes_is_delivered_and_not_stored() {
    let world = World::new();
    let content = noise(5 * 1024 * 1024);
    world.origin.on_path("/", Answer::status(200).field("Cache-Control", "max-age=60").body(&content));
    for _ in 0..2 {
        assert!(world.get("/").body.bytes == content);
    }
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn a_client_that_takes_nothing_is_cut() {
    let world = World::new();
    let answer = Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let endless = answer.run(|wire| {
        let chunk = [b"10000\r\n", &vec![b'x'; 0x10000][..], b"\r\n"].concat();
        while wire.send(&chunk) {}
    });
    world.origin.on_path("/", endless);
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    client.head();
    eventually("the client is cut", || {
        world.advance(61);
        world.server().connections() == 0
    });
    world.origin.has_ended(0);
}
