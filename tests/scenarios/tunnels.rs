//! CONNECT: octets both ways, unseen and unchanged (RFC 9110 §9.3.6).

use std::net::TcpListener;
use std::time::Duration;

use larder::log::Format;

use crate::support::{Client, End, Wire, World, in_flight_max, noise};

const MIB: usize = 1024 * 1024;

/// A tunnel: its two ends, and the listener that the far one came from.
struct Tunnel {
    client: Client,
    far: Wire,
}

/// A peer that accepts when it is asked to.
fn listener() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).unwrap()
}

fn ask(listener: &TcpListener) -> String {
    let address = listener.local_addr().unwrap();
    format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n")
}

fn open(world: &World) -> Tunnel {
    let listener = listener();
    let mut client = world.client();
    let response = client.send(ask(&listener)).response_to("CONNECT");
    assert_eq!(response.status(), 200);
    assert!(!response.has("Content-Length") && !response.has("Transfer-Encoding"));
    let far = Wire::new(listener.accept().unwrap().0);
    Tunnel { client, far }
}

#[test]
fn octets_go_both_ways_at_once_and_unchanged() {
    // With pipes for both directions, for one of them, and without.
    for pipes in [2, 1, 0] {
        let world = World::with(|setup| setup.limits.pipes = pipes);
        go_both_ways(open(&world));
    }
}

fn go_both_ways(Tunnel { mut client, mut far }: Tunnel) {
    let (up, down) = (noise(3 * MIB), noise(4 * MIB));
    let mut sending = Wire::new(client.wire.stream().try_clone().unwrap());
    let mut answering = Wire::new(far.stream().try_clone().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| sending.send(&up));
        scope.spawn(|| answering.send(&down));
        let received = scope.spawn(|| far.exactly(up.len()).bytes);
        assert!(client.wire.exactly(down.len()).bytes == down);
        assert!(received.join().unwrap() == up);
    });
}

#[test]
fn small_octets_are_not_held_back() {
    let world = World::new();
    let Tunnel { mut client, mut far } = open(&world);
    for turn in 0..100u8 {
        client.send([turn]);
        assert_eq!(far.exactly(1).bytes, [turn]);
        far.send([turn, turn]);
        assert_eq!(client.wire.exactly(2).bytes, [turn, turn]);
    }
}

#[test]
fn a_client_that_has_said_all_still_hears() {
    let world = World::new();
    for length in [10, 2 * MIB] {
        let Tunnel { mut client, mut far } = open(&world);
        client.send("question").half_close();
        assert_eq!(far.until_close().bytes, b"question");
        let answer = noise(length);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                far.send(&answer);
                far.half_close();
            });
            let heard = client.wire.until_close();
            assert!(heard.bytes == answer && heard.end == End::Clean);
        });
    }
}

#[test]
fn an_origin_that_has_said_all_still_hears() {
    let world = World::new();
    for length in [10, 2 * MIB] {
        let Tunnel { mut client, mut far } = open(&world);
        far.send("greeting");
        far.half_close();
        assert_eq!(client.wire.until_close().bytes, b"greeting");
        let request = noise(length);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                client.send(&request).half_close();
            });
            let heard = far.until_close();
            assert!(heard.bytes == request && heard.end == End::Clean);
        });
    }
}

#[test]
fn octets_that_come_with_the_request_are_kept() {
    let world = World::new();
    let listener = listener();
    let mut client = world.client();
    client.send(ask(&listener) + "early");
    let mut far = Wire::new(listener.accept().unwrap().0);
    far.send("as early");
    assert_eq!(far.exactly(5).bytes, b"early");
    assert_eq!(client.response_to("CONNECT").status(), 200);
    assert_eq!(client.wire.exactly(8).bytes, b"as early");
}

#[test]
fn many_octets_that_come_with_the_request_are_kept() {
    let world = World::new();
    let listener = listener();
    let early = noise(2 * MIB);
    let mut client = world.client();
    let mut sending = Wire::new(client.wire.stream().try_clone().unwrap());
    let message = [ask(&listener).as_bytes(), &early].concat();
    std::thread::scope(|scope| {
        scope.spawn(|| sending.send(&message));
        let mut far = Wire::new(listener.accept().unwrap().0);
        assert!(far.exactly(early.len()).bytes == early);
    });
    assert_eq!(client.response_to("CONNECT").status(), 200);
}

#[test]
fn an_end_that_does_not_read_holds_the_other() {
    let world = World::new();
    let Tunnel { mut client, mut far } = open(&world);
    let most = in_flight_max();
    let offered = vec![b'x'; most + 8 * MIB];
    let taken = client.wire.send_while_taken(&offered, Duration::from_millis(300));
    assert!(taken < most, "the proxy took {taken} octets that nobody read");
    assert_eq!(far.exactly(taken).bytes.len(), taken);
    client.send("and on").half_close();
    assert_eq!(far.until_close().bytes, b"and on");
}

#[test]
fn a_tunnel_leads_to_the_address_of_a_name() {
    let world = World::new();
    let listener = listener();
    let target = format!("origin.example:{}", listener.local_addr().unwrap().port());
    let mut client = world.client();
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    assert_eq!(client.response_to("CONNECT").status(), 200);
    assert!(listener.accept().is_ok());
}

#[test]
fn an_http_1_0_client_gets_a_tunnel_too() {
    let world = World::new();
    let listener = listener();
    let mut client = world.client();
    client.send(ask(&listener).replace("HTTP/1.1", "HTTP/1.0"));
    assert_eq!(client.response_to("CONNECT").status(), 200);
    let mut far = Wire::new(listener.accept().unwrap().0);
    client.send("hello");
    assert_eq!(far.exactly(5).bytes, b"hello");
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed() {
    let world = World::new();
    let Tunnel { mut client, mut far } = open(&world);
    client.send("hello");
    assert_eq!(far.exactly(5).bytes, b"hello");
    world.advance_until_heard(Duration::from_secs(600), &mut client);
    assert!(client.is_closed());
    assert!(far.is_closed());
}

#[test]
fn a_tunnel_in_which_one_side_talks_stays() {
    let world = World::new();
    let Tunnel { client, mut far } = open(&world);
    let mut client = client;
    for _ in 0..20 {
        far.send("news");
        assert_eq!(client.wire.exactly(4).bytes, b"news");
        world.advance(100);
        // A turn of the proxy's event loop, so that it sees the clock before the next news.
        assert_eq!(world.client().send("GET * HTTP/1.1\r\n\r\n").response().status(), 400);
    }
}

#[test]
fn an_end_that_is_reset_ends_the_other() {
    let world = World::new();
    let Tunnel { mut client, far } = open(&world);
    far.reset_on_drop();
    drop(far);
    assert!(client.is_closed());
    let Tunnel { client, mut far } = open(&world);
    client.reset();
    assert!(far.is_closed());
}

#[test]
fn ports_of_other_services_are_closed() {
    let world = World::new();
    for port in [0, 22, 25, 79, 465, 587, 993, 3306, 5432, 6379, 11211] {
        let mut client = world.client();
        let request = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: x\r\n\r\n");
        let response = client.send(request).response_to("CONNECT");
        let expected = if port == 0 { 400 } else { 403 };
        assert_eq!(response.status(), expected, "port {port}");
    }
}

#[test]
fn the_proxy_itself_is_no_end_of_a_tunnel() {
    let world = World::new();
    let address = world.proxy();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        let target = format!("{host}:{}", address.port());
        let mut client = world.client();
        client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
        assert_eq!(client.response_to("CONNECT").status(), 403, "{target}");
    }
}

#[test]
fn a_tunnel_to_nowhere_is_a_bad_gateway() {
    let world = World::new();
    let closed = listener().local_addr().unwrap();
    let cases = [("nowhere.example:443".to_owned(), "dns_error"), (closed.to_string(), "connection_refused")];
    for (target, error) in cases {
        let mut client = world.client();
        client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
        let response = client.response_to("CONNECT");
        assert_eq!((response.status(), response.proxy_error()), (502, error));
    }
}

#[test]
fn a_tunnel_is_counted_and_logged_with_its_octets() {
    let world = World::with(|setup| setup.access_log = Some(Format::Json));
    let Tunnel { mut client, mut far } = open(&world);
    client.send("four").half_close();
    assert_eq!(far.until_close().bytes, b"four");
    far.send("and seven");
    far.half_close();
    assert_eq!(client.wire.until_close().bytes, b"and seven");
    crate::support::eventually("the tunnel is counted", || world.count(|counters| &counters.tunnels) == 1);
    let lines = world.into_log();
    let [line] = &lines[..] else { panic!("one line, not {lines:?}") };
    assert!(line.contains("\"CONNECT\""), "{line}");
    assert!(line.contains(":9,") || line.contains(":9}"), "nine octets from the origin: {line}");
}
