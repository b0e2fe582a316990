//! S4: however a client begins, TLS and HTTP are inspected.

use std::sync::Arc;
use std::time::Duration;

use larder::proxy::Unreadable;

use super::hello::{hello, message, record, sni};
use super::{alert, authority, get, secure_with};
use crate::support::{Answer, Client, World};

/// A rule that only inspection can apply, about the origin's host.
const RULE: &str = "block = ['^https?://origin\\.example(:[0-9]+)?/secret']";

/// A client whose tunnel has been silent for longer than anybody waits at first.
fn silent(world: &World, authority: &str) -> Client {
    let client = world.tunnel(authority);
    for _ in 0..4 {
        world.catch_up();
        world.clock.advance(Duration::from_millis(5600));
    }
    world.catch_up();
    client
}

#[test]
fn case_s4_a_silent_client_is_inspected_when_it_speaks() {
    for rule in [true, false] {
        let (world, origin) = secure_with(|setup| {
            if rule {
                setup.access_toml(RULE);
            }
        });
        let authority = authority(&origin);
        let mut client = silent(&world, &authority).within_tls(world.trusting(), "origin.example");
        assert_eq!(get(&mut client, &authority, "/a").text(), "hello");
        assert!(get(&mut client, &authority, "/a").is_hit());
        assert_eq!(get(&mut client, &authority, "/secret").status() == 403, rule);
    }
}

#[test]
fn case_s4_a_silent_client_is_inspected_where_nothing_can_be_dialled() {
    let (world, _origin) = secure_with(|_| {});
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let authority = format!("origin.example:{closed}");
    let mut client = silent(&world, &authority).within_tls(world.trusting(), "origin.example");
    assert_eq!(get(&mut client, &authority, "/").status(), 502);
}

#[test]
fn case_s4_a_silent_client_may_speak_http() {
    let (world, _origin) = secure_with(|_| {});
    world.origin.otherwise(Answer::fresh(60, "plain"));
    let authority = world.origin.authority();
    let mut client = silent(&world, &authority);
    assert_eq!(get(&mut client, &authority, "/a").text(), "plain");
    assert!(get(&mut client, &authority, "/a").is_hit());
}

#[test]
fn case_s4_alpn_does_not_decide() {
    let offers: [&[&str]; 4] = [&["x"], &["http/1.0"], &["xmpp-client", "x"], &[]];
    let (world, origin) = secure_with(|setup| setup.access_toml(RULE));
    let authority = authority(&origin);
    for offer in offers {
        let mut config = world.trusting();
        config.alpn_protocols = offer.iter().map(|name| name.as_bytes().to_vec()).collect();
        let mut client = world.inside_with(&authority, config);
        assert_eq!(get(&mut client, &authority, "/a").text(), "hello", "{offer:?}");
        assert_eq!(get(&mut client, &authority, "/secret").status(), 403, "{offer:?}");
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn case_s4_http_is_http_on_any_port() {
    let (world, _origin) = secure_with(|setup| setup.access_toml(RULE));
    world.origin.otherwise(Answer::fresh(60, "plain"));
    let authority = format!("origin.example:{}", world.origin.address().port());
    let mut client = world.tunnel(&authority);
    assert_eq!(get(&mut client, &authority, "/a").text(), "plain");
    assert!(get(&mut client, &authority, "/a").is_hit());
    assert_eq!(get(&mut client, &authority, "/secret").status(), 403);
    assert_eq!(get(&mut client, "other.example", "/").status(), 421);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn case_s4_http_is_http_without_interception_too() {
    let world = World::with(|setup| setup.access_toml(RULE));
    world.origin.otherwise(Answer::fresh(60, "plain"));
    let authority = format!("origin.example:{}", world.origin.address().port());
    let mut client = world.tunnel(&authority);
    assert_eq!(get(&mut client, &authority, "/a").text(), "plain");
    assert!(world.client().get(&format!("http://{authority}/a")).is_hit());
    assert_eq!(get(&mut client, &authority, "/secret").status(), 403);
    assert_eq!((world.origin.request_count(), world.origin.connection_count()), (1, 1), "one connection");
}

#[test]
fn case_s4_a_request_in_pieces_is_a_request() {
    let world = World::with(|setup| setup.access_toml(RULE));
    world.origin.otherwise(Answer::ok("reached"));
    let authority = format!("origin.example:{}", world.origin.address().port());
    let rest = " /secret HTTP/1.1\r\nHost: origin.example\r\n\r\n";
    for pieces in [
        ["PROPF", &format!("IND{rest}")],
        ["M", &format!("Y_METHOD{rest}")],
        ["get", rest],
        ["\r\n", &format!("REPORT{rest}")],
        ["QUERY\x0b", rest],
        [&"\r\n".repeat(9 << 10), &format!("GET{rest}")],
        [&format!("QUERY /{}", "x".repeat(17 << 10)), rest],
    ] {
        let mut client = world.tunnel(&authority);
        for piece in pieces {
            client.send(piece);
            world.catch_up();
        }
        let status = client.response().status();
        let what: String = pieces[0].chars().take(10).collect();
        assert!(matches!(status, 400 | 403 | 414 | 431), "{what:?}: {status}");
    }
    assert!(world.origin.is_not_asked());
}

#[test]
fn case_s4_a_short_greeting_passes_where_no_rule_is_about_the_host() {
    for (rule, passes) in [("", true), ("block = ['://other\\.example/secret']", true), (RULE, false)] {
        let world = World::with(|setup| setup.access_toml(rule));
        world.origin.otherwise(Answer::nothing().send("hello").close());
        let mut client = world.tunnel(&format!("origin.example:{}", world.origin.address().port()));
        client.send("hi");
        if passes {
            // The origin of the tests answers a head.
            world.catch_up();
            client.send("\r\n\r\n");
            assert_eq!(client.wire.until_close().bytes, b"hello", "{rule}");
        } else {
            world.advance_until_heard(Duration::from_secs(5), &mut client);
            assert!(client.is_closed());
            assert!(world.origin.is_not_asked());
        }
    }
}

#[test]
fn case_s4_http2_and_tunnels_in_a_blind_tunnel_do_not_walk_around_a_rule() {
    for opening in ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CONNECT a.example:443 HTTP/1.1\r\n\r\n"] {
        for rule in [true, false] {
            let world = World::with(|setup| setup.access_toml(if rule { RULE } else { "" }));
            world.origin.otherwise(Answer::nothing().send("hello").close());
            let mut client = world.tunnel(&format!("origin.example:{}", world.origin.address().port()));
            client.send(opening);
            assert_eq!(client.wire.until_close().bytes == b"hello", !rule, "{opening:?}");
            assert_eq!(world.origin.is_not_asked(), rule, "{opening:?}");
        }
    }
}

#[test]
fn case_s4_a_connection_on_which_the_server_spoke_first_gets_no_request() {
    let world = World::with(|_| {});
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = format!("origin.example:{}", listener.local_addr().unwrap().port());
    let accepting = std::thread::spawn(move || {
        let mut first = crate::support::Wire::new(listener.accept().unwrap().0);
        first.send("HTTP/1.1 200 OK\r\nContent-Le");
        let mut second = crate::support::Wire::new(listener.accept().unwrap().0);
        second.head().expect("a request");
        second.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        first.until_close().bytes
    });
    let mut client = world.tunnel(&authority);
    client.wire.exactly(27);
    assert_eq!(get(&mut client, &authority, "/").text(), "ok");
    assert!(accepting.join().unwrap().is_empty());
}

#[test]
fn case_s4_odd_requests_are_requests() {
    let (world, _origin) = secure_with(|setup| setup.access_toml(RULE));
    world.origin.otherwise(Answer::ok("reached"));
    let authority = format!("origin.example:{}", world.origin.address().port());
    for head in [
        "GET /secret\r\n",
        "GET /secret\n\n",
        "get /secret HTTP/1.1\r\nHost: origin.example\r\n\r\n",
        "GET\t/secret HTTP/1.1\r\nHost: origin.example\r\n\r\n",
        "\r\nGET /secret HTTP/1.1\r\nHost: origin.example\r\n\r\n",
        "\nPROPFIND /secret HTTP/1.1\r\nHost: origin.example\r\n\r\n",
        "GET /secret HTTP/1.0\r\n\r\n",
        "GET /secret HTTP/9.9\r\nHost: origin.example\r\n\r\n",
        "CONNECT origin.example:443 HTTP/1.1\r\nHost: origin.example\r\n\r\n",
    ] {
        let mut client = world.tunnel(&authority);
        let status = client.send(head).response().status();
        assert!(matches!(status, 400 | 403 | 501 | 505), "{head:?}: {status}");
    }
    assert!(world.origin.is_not_asked());
}

#[test]
fn case_s4_a_client_hello_may_come_in_any_pieces() {
    let (world, origin) = secure_with(|_| {});
    let authority = authority(&origin);
    // Records of a few octets, and those octet by octet.
    let mut config = world.trusting();
    config.max_fragment_size = Some(32);
    let mut client = world.tunnel(&authority).within_tls(config, "origin.example");
    client.wire.hand_over_octet_by_octet();
    assert_eq!(get(&mut client, &authority, "/a").text(), "hello");
}

#[test]
fn case_s4_a_first_octet_may_come_long_before_the_others() {
    let (world, origin) = secure_with(|_| {});
    let whole = hello(&[sni("origin.example")]);
    let mut client = world.tunnel(&authority(&origin));
    client.send(&whole[..1]);
    world.catch_up();
    world.clock.advance(Duration::from_secs(4));
    world.catch_up();
    client.send(&whole[1..]);
    assert_eq!(client.wire.exactly(1).bytes, [22], "a ServerHello");
    // And if they come too late, nothing has gone to the origin.
    let mut client = world.tunnel(&authority(&origin));
    client.send(&whole[..1]);
    world.advance_until_heard(Duration::from_secs(5), &mut client);
    assert!(client.is_closed());
    assert_eq!(origin.connection_count(), 0);
}

#[test]
fn case_s4_tls_in_odd_clothes_does_not_pass() {
    let (world, origin) = secure_with(|_| {});
    let authority = authority(&origin);
    for minor in [0, 1, 2, 3, 4, 9] {
        let mut client = world.tunnel(&authority);
        client.send(record(minor, &message(&[sni("origin.example")])));
        assert_eq!(client.wire.exactly(1).bytes, [22], "of TLS 1.{minor}: answered");
    }
    let whole = hello(&[sni("origin.example")]);
    let sslv2 = [&[0x80, 0x2e, 1, 3, 1, 0, 21, 0, 0, 0, 16][..], &[0; 40]].concat();
    for (what, octets) in [
        ("an empty record first", [&record(1, &[])[..], &whole].concat()),
        ("a warning first", [&[21, 3, 1, 0, 2, 1, 0][..], &whole].concat()),
        ("a change of ciphers first", [&[20, 3, 1, 0, 1, 1][..], &whole].concat()),
        ("in the form of SSL 2", sslv2),
        ("two names", hello(&[sni("origin.example"), sni("other.example")])),
    ] {
        let mut client = world.tunnel(&authority);
        client.send(octets);
        assert_eq!(alert(&mut client), 50, "{what}");
    }
    world.catch_up();
    assert_eq!(origin.connection_count(), 0);
}

#[test]
fn case_s4_a_server_that_speaks_first_hides_nothing() {
    let certificates = crate::support::Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let authority = format!("origin.example:{port}");
    let accepting = std::thread::spawn(move || {
        let mut wire = crate::support::Wire::new(listener.accept().unwrap().0);
        wire.send("!");
        let passed = wire.until_close().bytes;
        // The requests inside come over a connection of their own.
        let served = crate::support::Wire::new(listener.accept().unwrap().0);
        let server = Arc::new(certificates.server("origin.example"));
        let mut served = served.accept_tls(server);
        let head = served.head().expect("a request");
        served.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        (passed, head)
    });
    let mut client = world.tunnel(&authority);
    world.advance_until_heard(Duration::from_secs(5), &mut client);
    assert_eq!(client.wire.exactly(1).bytes, b"!");
    let mut client = client.within_tls(world.trusting(), "origin.example");
    assert_eq!(get(&mut client, &authority, "/").text(), "ok");
    let (passed, head) = accepting.join().unwrap();
    assert!(passed.is_empty(), "the ClientHello has not passed: {passed:?}");
    assert!(head.has("Via"));
}

#[test]
fn case_s4_a_silent_client_of_a_host_under_a_rule_is_not_dialled_for() {
    let (world, origin) = secure_with(|setup| {
        if let Some(interception) = &mut setup.intercept {
            interception.unreadable = Unreadable::Refuse;
        }
    });
    let _silent = silent(&world, &authority(&origin));
    assert_eq!(origin.connection_count(), 0);
}
