//! What is not intercepted though HTTPS is: exceptions, other protocols, other names.

use larder::proxy::{BlockedHost, Exceptions};

use crate::support::{Answer, Certificates, Origin, Wire, World, trusting};

fn authority(origin: &Origin) -> String {
    format!("origin.example:{}", origin.address().port())
}

/// Whether a client that trusts the origin's authority, and not the proxy's, gets an answer.
fn is_tunnelled(world: &World, certificates: &Certificates, origin: &Origin) -> bool {
    let authority = authority(origin);
    let mut client = world.inside_with(&authority, trusting(certificates.root()));
    client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    client.wire.head().is_ok_and(|head| head.status() == 200 && !head.has("Via"))
}

#[test]
fn an_exception_is_tunnelled() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        let except = ["*.other.example", "origin.example"];
        setup.intercept_as(&certificates, &except, BlockedHost::Page, Exceptions::Configured);
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    assert!(is_tunnelled(&world, &certificates, &origin));
}

#[test]
fn a_client_that_refuses_the_certificate_is_tunnelled_after_a_while_if_that_is_wanted() {
    for (exceptions, expected) in [(Exceptions::Configured, false), (Exceptions::Learned, true)] {
        let certificates = Certificates::new();
        let world = World::with(|setup| {
            setup.intercept_as(&certificates, &[], BlockedHost::Refused, exceptions);
        });
        let origin = Origin::start_tls(certificates.server("origin.example").into());
        origin.otherwise(Answer::ok("hello"));
        for attempt in 1..=2 {
            assert!(!is_tunnelled(&world, &certificates, &origin));
            world.has_served(attempt);
        }
        assert_eq!(is_tunnelled(&world, &certificates, &origin), expected);
        // For an hour.
        world.advance(3600);
        assert!(!is_tunnelled(&world, &certificates, &origin));
    }
}

#[test]
fn another_protocol_goes_through_with_its_first_octets() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    world.origin.otherwise(Answer::nothing().send("hello").close());
    let authority = world.origin.authority();
    let mut client = world.tunnel(&authority);
    // A line that is no HTTP; the origin of a test reads up to an empty one.
    client.send_bytewise("\x01\x02 some protocol\r\n\r\n");
    assert_eq!(client.wire.until_close().bytes, b"hello");
    assert_eq!(world.origin.all_requests()[0].head.raw, b"\x01\x02 some protocol\r\n\r\n");
}

#[test]
fn a_client_that_waits_for_the_server_is_tunnelled_in_the_end() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let authority = listener.local_addr().expect("it is bound").to_string();
    let greets = std::thread::spawn(move || {
        Wire::new(listener.accept().expect("a connection").0).send("220 hello\r\n");
    });
    let mut client = world.tunnel(&authority);
    world.advance_until_heard(std::time::Duration::from_secs(5), &mut client);
    assert_eq!(client.wire.until_close().bytes, b"220 hello\r\n");
    greets.join().expect("it greets");
}

#[test]
fn a_protocol_within_tls_that_is_not_http_goes_on_within_tls() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let mut config = certificates.server("origin.example");
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    let origin = Origin::start_tls(config.into());
    origin.otherwise(Answer::nothing().send("hello").close());
    let mut config = world.trusting();
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    let mut client = world.inside_with(&authority(&origin), config);
    client.send("\x01\x02 some protocol\r\n\r\n");
    assert_eq!(client.wire.until_close().bytes, b"hello");
}

#[test]
fn a_name_within_tls_that_is_not_the_tunnels_gets_no_certificate() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    let mut client = world.tunnel(&authority(&origin)).within_tls(world.trusting(), "other.example");
    client.send("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert!(client.is_closed());
    assert!(origin.is_not_asked());
}

#[test]
fn an_address_has_no_name_and_gets_a_certificate() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let origin = Origin::start_tls(certificates.server("127.0.0.1").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = origin.authority();
    let mut client = world.inside(&authority);
    client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn an_origin_that_asks_for_a_certificate_and_does_without_is_intercepted() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let origin = Origin::start_tls(certificates.server_that_asks("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = authority(&origin);
    for _ in 0..2 {
        let mut client = world.inside(&authority);
        client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn a_client_hello_that_does_not_end_is_cut_off() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let mut client = world.tunnel("origin.example:443");
    client.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    world.advance_until_heard(std::time::Duration::from_secs(5), &mut client);
    assert!(client.is_closed());
}

#[test]
fn a_client_hello_may_arrive_octet_by_octet() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = authority(&origin);
    let mut client = world.tunnel(&authority).within_tls(world.trusting(), "origin.example");
    client.wire.hand_over_octet_by_octet();
    client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(client.response().text(), "hello");
}
