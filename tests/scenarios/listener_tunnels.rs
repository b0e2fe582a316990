//! Tunnels of every kind of connection with the proxy: plain, within TLS, and on a stream of HTTP/2.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use http::Request;
use larder::log::Format;

use crate::support::{Client, End, Http2, Setup, Wire, World, connect, noise};

const MIB: usize = 1024 * 1024;

/// How a client is connected with the proxy.
#[derive(Clone, Copy, Debug)]
enum Way {
    Plain,
    WithinTls,
    Http2,
}

const WAYS: [Way; 3] = [Way::Plain, Way::WithinTls, Way::Http2];

fn world() -> World {
    World::with(Setup::listen_within_tls)
}

/// A tunnel, and the connection that it is a stream of.
struct Tunnel {
    client: Client,
    far: Wire,
    _http2: Option<Http2>,
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn open(world: &World, way: Way) -> Tunnel {
    let (listener, address) = listener();
    let (client, http2) = match way {
        Way::Plain => (world.tunnel(&address.to_string()), None),
        Way::WithinTls => (tunnel_within_tls(world, address), None),
        Way::Http2 => {
            let mut http2 = world.http2_within_tls();
            (http2.tunnel(&address.to_string()), Some(http2))
        }
    };
    Tunnel { client, far: Wire::new(listener.accept().unwrap().0), _http2: http2 }
}

fn tunnel_within_tls(world: &World, to: SocketAddr) -> Client {
    let mut client = world.client_within_tls();
    client.send(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
    assert_eq!(client.response_to("CONNECT").status(), 200);
    client
}

#[test]
fn octets_go_both_ways_unchanged() {
    let world = world();
    let (up, down) = (noise(3 * MIB), noise(4 * MIB));
    for way in WAYS {
        let Tunnel { mut client, mut far, _http2 } = open(&world, way);
        let mut answering = Wire::new(far.stream().try_clone().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| answering.send(&down));
            let received = scope.spawn(|| far.exactly(up.len()).bytes);
            client.send(&up);
            assert!(client.wire.exactly(down.len()).bytes == down, "{way:?}");
            assert!(received.join().unwrap() == up, "{way:?}");
        });
    }
}

#[test]
fn either_end_may_say_that_it_has_said_all() {
    let world = world();
    for way in WAYS {
        let Tunnel { mut client, mut far, _http2 } = open(&world, way);
        client.send("question").half_close();
        assert_eq!(far.until_close().bytes, b"question", "{way:?}");
        far.send("answer");
        drop(far);
        let heard = client.wire.until_close();
        assert_eq!((&heard.bytes[..], heard.end), (&b"answer"[..], End::Clean), "{way:?}");

        let Tunnel { mut client, mut far, _http2 } = open(&world, way);
        far.send("greeting");
        far.half_close();
        assert_eq!(client.wire.until_close().bytes, b"greeting", "{way:?}");
        client.send("still there").half_close();
        assert_eq!(far.until_close().bytes, b"still there", "{way:?}");
    }
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_closed() {
    let world = world();
    for way in WAYS {
        let Tunnel { mut client, mut far, _http2 } = open(&world, way);
        client.send("hello");
        assert_eq!(far.exactly(5).bytes, b"hello");
        world.advance_until_heard(Duration::from_secs(600), &mut client);
        assert!(client.is_closed(), "{way:?}");
        assert!(far.is_closed(), "{way:?}");
    }
}

#[test]
fn a_stream_says_that_the_far_end_has_broken_off() {
    let world = world();
    let (listener, address) = listener();
    let mut client = world.http2_within_tls();
    let (head, mut stream) = client.open(connect(&address.to_string())).expect("an answer");
    assert_eq!(head.status(), 200);
    assert!(!head.headers().contains_key("content-length"));
    let far = Wire::new(listener.accept().unwrap().0);
    far.reset_on_drop();
    drop(far);
    assert_eq!(stream.reset_reason(), Some(h2::Reason::CONNECT_ERROR));
}

#[test]
fn the_far_end_sees_that_a_stream_was_reset() {
    let world = world();
    let (listener, address) = listener();
    let mut client = world.http2_within_tls();
    let (_, mut stream) = client.open(connect(&address.to_string())).expect("an answer");
    let mut far = Wire::new(listener.accept().unwrap().0);
    stream.send(b"hello");
    assert_eq!(far.exactly(5).bytes, b"hello");
    stream.reset();
    assert_eq!(far.until_close().end, End::Reset);
}

#[test]
fn a_tunnel_has_no_trailers() {
    let world = world();
    let (listener, address) = listener();
    let mut client = world.http2_within_tls();
    let (_, mut stream) = client.open(connect(&address.to_string())).expect("an answer");
    let mut far = Wire::new(listener.accept().unwrap().0);
    stream.end_with_trailers();
    assert_eq!(far.until_close().end, End::Reset);
    assert_eq!(stream.reset_reason(), Some(h2::Reason::CONNECT_ERROR));
}

#[test]
fn streams_whose_far_ends_read_nothing_do_not_stop_the_others() {
    let world = world();
    let (listener, address) = listener();
    // What the kernel takes for an end that doesn't read is little.
    socket2::SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
    let mut client = world.http2_within_tls();
    let (mut held, offered) = (Vec::new(), noise(8 * MIB));
    for _ in 0..12 {
        let mut near = client.tunnel(&address.to_string());
        let far = listener.accept().unwrap().0;
        near.wire.send_while_taken(&offered, Duration::from_millis(100));
        held.push((near, far));
    }
    let mut near = client.tunnel(&address.to_string());
    let mut far = Wire::new(listener.accept().unwrap().0);
    near.send("hello");
    assert_eq!(far.exactly(5).bytes, b"hello");
}

#[test]
fn what_is_refused_is_refused_on_a_stream_alike() {
    let world = World::with(|setup| {
        setup.listen_within_tls();
        setup.access_toml("block = [\"blocked.example\"]");
    });
    let closed = listener().1.to_string();
    let own = world.proxy_within_tls().to_string();
    let cases = [
        ("blocked.example:443", 403, "http_request_denied"),
        ("origin.example:25", 403, "http_request_denied"),
        (&own[..], 403, "destination_ip_prohibited"),
        (&closed[..], 502, "connection_refused"),
        ("nowhere.example:443", 502, "dns_error"),
        ("larder.proxy:443", 404, "http_request_denied"),
    ];
    for (target, status, error) in cases {
        let mut plain = world.client();
        let plain =
            plain.send(format!("CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n")).response_to("CONNECT");
        assert_eq!((plain.status(), plain.proxy_error()), (status, error), "{target}");
        let mut client = world.http2_within_tls();
        let answered = client.request(connect(target), None).expect("a response");
        assert_eq!(answered.status(), status, "{target}");
        assert!(answered.field("proxy-status").contains(&format!("error={error}")), "{answered:?}");
    }
}

#[test]
fn each_tunnel_has_a_line_that_differs_in_its_version_alone() {
    let world = World::with(|setup| {
        setup.listen_within_tls();
        setup.access_log = Some(Format::Combined);
    });
    for way in WAYS {
        let Tunnel { mut client, mut far, _http2 } = open(&world, way);
        client.send("four").half_close();
        assert_eq!(far.until_close().bytes, b"four");
        far.send("and seven");
        drop(far);
        assert_eq!(client.wire.until_close().bytes, b"and seven");
    }
    world.has_served(3);
    let lines = world.into_log();
    let of_ways = lines.iter().zip(["HTTP/1.1\" 200", "HTTP/1.1\" 200", "HTTP/2.0\" 200"]);
    for (line, expected) in of_ways {
        assert!(line.contains("\"CONNECT 127.0.0.1:") && line.contains(expected), "{line}");
    }
    let sizes: Vec<_> = lines.iter().map(|line| line.split("\" 200 ").nth(1).unwrap_or_default()).collect();
    assert!(sizes.len() == 3 && sizes.windows(2).all(|pair| pair[0] == pair[1]), "{sizes:?}");
}

#[test]
fn a_connection_with_http_2_has_other_streams_beside_a_tunnel() {
    let world = world();
    world.origin.otherwise(crate::support::Answer::ok("hello"));
    let (listener, address) = listener();
    let mut client = world.http2_within_tls();
    let mut near = client.tunnel(&address.to_string());
    let mut far = Wire::new(listener.accept().unwrap().0);
    let request = Request::get(world.url("/")).body(()).expect("a request");
    assert_eq!(client.request(request, None).expect("a response").text(), "hello");
    near.send("hello");
    assert_eq!(far.exactly(5).bytes, b"hello");
}
