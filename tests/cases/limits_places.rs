//! Places of which each client, and each origin, may take a share (S5, S17).

use std::net::{Ipv4Addr, SocketAddr};

use larder::server::ServerLimits;
use socket2::{Domain, Socket, Type};

use crate::support::{Answer, Client, Gate, Origin, Process, Response, Wire, World, eventually, request};

/// A connection from another address of this machine.
pub(crate) fn from(last: u8, proxy: SocketAddr) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), 0)).into()).unwrap();
    socket.connect(&proxy.into()).unwrap();
    Client { wire: Wire::new(socket.into()) }
}

pub(crate) fn is_refused(response: &Response) -> bool {
    let has_reason = response.proxy_error() == "connection_limit_reached";
    response.status() == 503 && has_reason && response.field("Retry-After") == Some("5")
}

/// A world whose origin answers `/slow…` when the gate opens, and everything else at once.
fn slow(limits: impl FnOnce(&mut ServerLimits)) -> (World, Gate) {
    let world = World::with(|setup| limits(&mut setup.server));
    let gate = Gate::new();
    for number in 0..20 {
        world.origin.on_path(&format!("/slow{number}"), Answer::ok("at last").after(&gate));
    }
    world.origin.otherwise(Answer::fresh(60, "hello"));
    (world, gate)
}

/// Connections that wait for an answer to `/slow…`.
fn waiting(world: &World, count: usize) -> Vec<Client> {
    let ask = |number| {
        let mut client = world.client();
        client.send(request("GET", &world.url(&format!("/slow{number}")), &[], ""));
        client
    };
    let before = world.origin.request_count();
    let clients = (0..count).map(ask).collect();
    world.origin.has_requests(before + count);
    clients
}

#[test]
fn case_s17_one_address_can_not_take_all_connections() {
    let world = World::with(|setup| setup.server.connections_max = 6);
    world.origin.otherwise(Answer::ok("hello"));
    let served = |mut client: Client| {
        assert_eq!(client.get(&world.url("/")).status(), 200);
        client
    };
    let _greedy: Vec<_> = (0..3).map(|_| served(world.client())).collect();
    assert!(is_refused(&world.client().response()));
    // Each that comes new finds a place, until all are taken.
    let mut others: Vec<_> = (2..5).map(|last| served(from(last, world.proxy()))).collect();
    assert!(is_refused(&from(9, world.proxy()).response()));
    others.pop();
    eventually("a place is free", || world.server().connections() == 5);
    served(from(9, world.proxy()));
    let refused: u64 = world.server().places().connections.refusals().iter().map(|(_, count)| count).sum();
    assert_eq!(refused, 2);
}

#[test]
fn case_s5_one_client_can_not_take_all_exchanges() {
    let (world, gate) = slow(|limits| limits.origin.exchanges_max = 8);
    assert_eq!(world.get("/hit").status(), 200);
    let mut greedy = waiting(&world, 4);
    assert!(is_refused(&world.get("/miss")));
    // What is stored needs no place.
    assert_eq!(world.get("/hit").text(), "hello");
    // Another client is served beside it.
    assert_eq!(from(2, world.proxy()).get(&world.url("/miss")).text(), "hello");
    gate.open();
    assert!(greedy.iter_mut().all(|client| client.response().text() == "at last"));
    let lending = &world.server().places().lending;
    eventually("the places are free", || lending.exchanges.used() == 0);
    assert_eq!(world.get("/other").text(), "hello");
}

#[test]
fn case_s5_tunnels_and_uploads_take_places_too() {
    let (world, gate) = slow(|limits| limits.origin.exchanges_max = 4);
    let far = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let _tunnel = world.tunnel(&far.local_addr().unwrap().to_string());
    let mut upload = world.client();
    upload.send(request("POST", &world.url("/slow0"), &[], "content"));
    world.origin.has_requests(1);
    assert!(is_refused(&world.get("/")));
    assert!(is_refused(&world.request("POST", "/", &[], "content")));
    let authority = world.origin.authority();
    let mut second = world.client();
    second.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert!(is_refused(&second.response_to("CONNECT")));
    gate.open();
    assert_eq!(upload.response().text(), "at last");
}

#[test]
fn case_s5_one_origin_can_not_take_all_connections() {
    let (world, gate) = slow(|limits| limits.origin.connections_max = 4);
    let other = Origin::start();
    other.otherwise(Answer::ok("other"));
    let mut clients = waiting(&world, 3);
    assert!(is_refused(&world.get("/")));
    assert_eq!(world.client().get(&other.url("/")).text(), "other");
    // The idle one of another origin makes room.
    gate.open();
    assert!(clients.iter_mut().all(|client| client.response().text() == "at last"));
    for _ in 0..4 {
        let another = Origin::start();
        another.otherwise(Answer::ok("another"));
        assert_eq!(world.client().get(&another.url("/")).text(), "another");
    }
    assert!(world.server().places().lending.connections.used() <= 4);
}

#[test]
fn case_s5_one_client_can_not_keep_others_from_an_origin() {
    let (world, gate) = slow(|limits| {
        limits.origin.connections_max = 8;
        limits.origin.exchanges_max = 8;
    });
    let mut greedy = waiting(&world, 4);
    assert!(is_refused(&world.get("/")));
    assert_eq!(from(2, world.proxy()).get(&world.url("/")).text(), "hello");
    gate.open();
    assert!(greedy.iter_mut().all(|client| client.response().text() == "at last"));
}

#[test]
fn case_s5_streams_are_counted_over_all_connections_of_a_client() {
    let world = World::with(|setup| {
        setup.listen_within_tls();
        setup.server.streams_max = 4;
    });
    let gate = Gate::new();
    world.origin.on_path("/slow", Answer::ok("at last").after(&gate));
    world.origin.otherwise(Answer::ok("hello"));
    let (mut one, mut two) = (world.http2_within_tls(), world.http2_within_tls());
    let get = |path: &str| http::Request::get(world.url(path)).body(()).unwrap();
    let first = one.begin(get("/slow"));
    let second = two.begin(get("/slow"));
    gate.is_reached();
    eventually("both are served", || world.server().places().streams.used() == 2);
    let refused = two.get(&world.url("/"));
    assert_eq!((refused.status(), refused.field("Retry-After")), (503, "5"));
    assert!(refused.field("Proxy-Status").contains("connection_limit_reached"));
    gate.open();
    assert_eq!(one.finish(first).unwrap().text(), "at last");
    assert_eq!(two.finish(second).unwrap().text(), "at last");
    eventually("the places are free", || world.server().places().streams.used() == 0);
    assert_eq!(two.get(&world.url("/")).text(), "hello");
}

#[test]
fn case_s5_descriptors_are_reserved_for_what_is_admitted() {
    let process = Process::start_with_descriptors(160, &["--disk", "0"]);
    let (origin, gate) = (Origin::start(), Gate::new());
    origin.on_path("/slow", Answer::ok("at last").after(&gate));
    origin.otherwise(Answer::ok("hello"));
    let url = origin.url("/slow");
    // Each of them needs an origin; far more than there are descriptors.
    let ask = |_| {
        let mut client = process.client();
        client.send(request("GET", &url, &[("Cache-Control", "no-store")], ""));
        client
    };
    let mut greedy: Vec<_> = (0..200).map(ask).collect();
    let patience = std::time::Duration::from_millis(50);
    let refused = greedy.iter_mut().map(|client| client.wire.is_answered_within(patience));
    assert!(refused.filter(|is_refused| *is_refused).count() > 100);
    let mut other = from(2, process.address());
    assert_eq!(other.get(&origin.url("/")).text(), "hello");
    gate.open();
    drop(greedy);
    let said = process.into_said();
    assert!(!said.iter().any(|line| line.contains("out of file descriptors")), "{said:#?}");
    // Told once in a while, not for each.
    assert!(said.iter().filter(|line| line.contains("requests are refused")).count() < 5, "{said:#?}");
}
