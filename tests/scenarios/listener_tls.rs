//! Clients that connect with the proxy itself within TLS.

use std::time::Duration;

use http::Request;
use larder::proxy::{BlockedHost, Exceptions};

use crate::support::{
    Answer, Certificates, Client, Gate, Http2Answer, Http2Origin, Origin, Setup, World, trusting,
};

/// A proxy that listens within TLS and intercepts HTTPS, and an origin with TLS.
fn secure() -> (World, Origin) {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept(&certificates);
        setup.listen_within_tls();
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::fresh(60, "hello"));
    (world, origin)
}

fn authority(origin: &Origin) -> String {
    format!("origin.example:{}", origin.address().port())
}

#[test]
fn requests_in_absolute_form_are_served_as_ever() {
    let (world, origin) = secure();
    world.origin.otherwise(Answer::fresh(60, "plain"));
    let url = origin.https_url("origin.example", "/a");
    let mut client = world.client_within_tls();
    assert_eq!(client.get(&world.url("/a")).text(), "plain");
    assert!(client.get(&world.url("/a")).is_hit());
    assert_eq!(client.get(&url).text(), "hello");
    let mut client = world.http2_within_tls();
    let answered = client.get(&world.url("/a"));
    assert!(answered.is_hit() && answered.text() == "plain", "{answered:?}");
    let answered = client.get(&url);
    assert!(answered.is_hit() && answered.text() == "hello", "{answered:?}");
    assert_eq!(client.get("http://origin.example:1024/").status(), 502);
}

#[test]
fn an_address_has_a_certificate_and_an_unknown_name_none() {
    let world = World::with(Setup::listen_within_tls);
    let at = world.proxy_within_tls();
    let mut client = Client::connect(at).within_tls(world.trusting(), "127.0.0.1");
    client.settle();
    let mut client = Client::connect(at).within_tls(world.trusting(), "other.example");
    client.send("OPTIONS * HTTP/1.1\r\nHost: larder.proxy\r\n\r\n");
    assert!(client.is_closed());
}

#[test]
fn a_tunnel_is_intercepted_on_every_kind_of_connection() {
    let (world, origin) = secure();
    let authority = authority(&origin);
    let request = format!("GET /a HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let within = |client: Client| client.within_tls(world.trusting(), "origin.example");

    let mut outer = world.client_within_tls();
    outer.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(outer.response_to("CONNECT").status(), 200);
    let response = within(outer).send(&request).response();
    assert_eq!((response.text(), response.is_hit()), ("hello", false));

    let mut outer = world.http2_within_tls();
    let mut inner = within(outer.tunnel(&authority));
    for _ in 0..2 {
        let response = inner.send(&request).response();
        assert_eq!((response.text(), response.is_hit()), ("hello", true));
    }
    inner.send("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_eq!(inner.response().status(), 421);

    // HTTP/2 within TLS on a stream of HTTP/2 within TLS.
    let tunnel = outer.tunnel(&authority).wire.stream().try_clone().expect("a descriptor");
    let mut inner = crate::support::Http2::within_tls(tunnel, world.trusting(), "origin.example");
    assert!(inner.get(&origin.https_url("origin.example", "/a")).is_hit());
    assert_eq!(inner.get("https://other.example/").status(), 421);
}

#[test]
fn plain_http_in_a_tunnel_to_port_80_is_served_on_a_stream() {
    let (world, _origin) = secure();
    let mut outer = world.http2_within_tls();
    let mut inner = outer.tunnel("larder.proxy:80");
    inner.send("GET / HTTP/1.1\r\nHost: larder.proxy\r\n\r\n");
    assert!(inner.response().text().contains("Larder works"));
}

#[test]
fn a_blocked_host_shows_its_page_on_a_stream() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept_as(&certificates, &[], BlockedHost::Page, Exceptions::Configured);
        setup.listen_within_tls();
        setup.access_toml("block = [\"origin.example\"]");
    });
    let mut outer = world.http2_within_tls();
    let mut inner = outer.tunnel("origin.example:443").within_tls(world.trusting(), "origin.example");
    inner.send("GET / HTTP/1.1\r\nHost: origin.example\r\n\r\n");
    assert_eq!(inner.response().status(), 403);
}

#[test]
fn an_exception_is_tunnelled_on_a_stream() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept_as(&certificates, &["origin.example"], BlockedHost::Refused, Exceptions::Configured);
        setup.listen_within_tls();
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = authority(&origin);
    let mut outer = world.http2_within_tls();
    let config = trusting(certificates.root());
    let mut inner = outer.tunnel(&authority).within_tls(config, "origin.example");
    inner.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(inner.response().text(), "hello");
}

fn websocket(url: &str) -> Request<()> {
    let request = Request::connect(url).header("sec-websocket-version", "13");
    let mut request = request.body(()).expect("a request");
    request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
    request
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: x\r\n\r\n";

#[test]
fn a_websocket_is_opened_by_an_extended_connect() {
    let (world, origin) = secure();
    let echo = || {
        Answer::raw(SWITCH).run(|wire| {
            let said = wire.exactly(4).bytes;
            wire.send([&b"you said "[..], &said].concat());
        })
    };
    origin.on_path("/chat", echo().close());
    world.origin.on_path("/chat", echo().close());
    let mut client = world.http2_within_tls();
    assert_eq!(client.get("http://larder.proxy/").status(), 200);
    assert!(client.has_extended_connect());
    for url in [origin.https_url("origin.example", "/chat"), world.url("/chat")] {
        let (head, mut stream) = client.open(websocket(&url)).expect("a tunnel");
        assert_eq!(head.status(), 200, "{url}");
        stream.send(b"ping");
        let mut said = Vec::new();
        while let Some(octets) = stream.receive() {
            said.extend(octets);
        }
        assert_eq!(said, b"you said ping", "{url}");
    }
}

#[test]
fn an_origin_that_does_not_switch_opens_no_websocket() {
    let (world, _origin) = secure();
    world.origin.on_path("/plain", Answer::ok("a page"));
    world.origin.on_path("/refused", Answer::status(403).body("no"));
    let mut client = world.http2_within_tls();
    assert_eq!(client.get("http://larder.proxy/").status(), 200);
    // What is a 2xx in HTTP/1 would be an open stream here.
    let plain = client.request(websocket(&world.url("/plain")), None).expect("a response");
    assert_eq!(plain.status(), 502);
    assert!(plain.field("proxy-status").contains("http_upgrade_failed"), "{plain:?}");
    let refused = client.request(websocket(&world.url("/refused")), None).expect("a response");
    assert_eq!((refused.status(), refused.text()), (403, "no"));
}

#[test]
fn a_request_without_tls_is_told_so() {
    let world = World::with(Setup::listen_within_tls);
    let mut client = Client::connect(world.proxy_within_tls());
    let response = client.get("http://origin.example/");
    assert_eq!(response.status(), 400);
    assert!(response.text().contains("https://"), "{}", response.text());
    assert!(client.is_closed());
    let mut client = Client::connect(world.proxy_within_tls());
    assert!(client.send(b"\x05\x01\x00").is_closed(), "what is neither hears nothing");
}

#[test]
fn a_handshake_that_does_not_end_is_cut_off() {
    let world = World::with(Setup::listen_within_tls);
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
        let mut client = Client::connect(world.proxy_within_tls());
        client.send(beginning);
        world.catch_up();
        world.advance_until_heard(Duration::from_secs(10), &mut client);
        assert!(client.is_closed());
    }
}

#[test]
fn a_handshake_may_come_octet_by_octet_and_not_without_end() {
    let world = World::with(Setup::listen_within_tls);
    let mut client = Client::connect(world.proxy_within_tls()).within_tls(world.trusting(), "localhost");
    client.wire.hand_over_octet_by_octet();
    client.settle();
    let mut client = Client::connect(world.proxy_within_tls());
    // A ClientHello that announces more than 16 KiB.
    client.send([&b"\x16\x03\x01\x40\x00\x01\x00\xff\xff\x03\x03"[..], &[0; 17 << 10]].concat());
    assert!(client.wire.until_close().bytes.len() < 100);
}

#[test]
fn a_connection_beyond_the_limit_is_closed_before_its_handshake() {
    let world = World::with(|setup| {
        setup.listen_within_tls();
        setup.server.connections_max = 1;
    });
    let mut first = world.client_within_tls();
    first.settle();
    assert!(Client::connect(world.proxy_within_tls()).is_closed());
    first.settle();
    drop(first);
    crate::support::eventually("its place is free", || world.server().connections() == 0);
    world.client_within_tls().settle();
}

#[test]
fn a_draining_proxy_lets_streams_finish() {
    let (world, origin) = secure();
    let gate = Gate::new();
    origin.on_path("/slow", Answer::ok("late").after(&gate));
    let mut client = world.http2_within_tls();
    let request = Request::get(origin.https_url("origin.example", "/slow")).body(()).expect("a request");
    let waiting = client.begin(request);
    gate.is_reached();
    world.server().drain();
    gate.open();
    assert_eq!(client.finish(waiting).expect("a response").text(), "late");
}

#[test]
fn streams_towards_clients_and_origins_meet() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.trust(&certificates);
        setup.listen_within_tls();
    });
    let origin = Http2Origin::start(certificates.server("origin.example"));
    let fields = vec![("cache-control", "max-age=60"), ("content-length", "5")];
    origin.on_path("/a", Http2Answer::Whole(fields, vec!["hello".into()], None));
    let mut client = world.http2_within_tls();
    assert_eq!(client.get(&origin.url("/a")).text(), "hello");
    assert!(client.get(&origin.url("/a")).is_hit());
    assert_eq!(origin.requests(1).len(), 1);
}
