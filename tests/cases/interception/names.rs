//! 1.11 and 6.9: names inside a tunnel are judged, and the tunnel's own is recognised.

use std::time::Duration;

use larder::log::Format;
use larder::proxy::{BlockedHost, Exceptions};

use super::hello::{hello, sni};
use super::{alert, authority, get, secure_with};
use crate::support::{Answer, Certificates, Origin, World, eventually, trusting};

const BLOCKED: &str = "block = ['b.test', '^https://c\\.test(:[0-9]+)?/$']";

#[test]
fn case_1_11_a_blind_tunnel_is_judged_by_its_sni() {
    let world = World::with(|setup| {
        setup.access_toml(BLOCKED);
        setup.access_log = Some(Format::Json);
    });
    let authority = format!("origin.example:{}", world.origin.address().port());
    for name in ["b.test", "www.b.test", "B.Test", "b.test.", "c.test"] {
        let mut client = world.tunnel(&authority);
        client.send_bytewise(hello(&[sni(name)]));
        assert_eq!(alert(&mut client), 49, "{name}");
    }
    // What would hide the name is not passed on either.
    let mut client = world.tunnel(&authority);
    client.send(hello(&[sni("a.test"), sni("b.test")]));
    assert_eq!(alert(&mut client), 50);
    let mut client = world.tunnel(&authority);
    client.send(hello(&[sni("b.test..")]));
    assert_eq!(alert(&mut client), 112);
    assert!(world.origin.is_not_asked());
    eventually("seven lines", || world.count(|counters| &counters.denied) == 7);
    let lines = world.into_log();
    assert!(lines[0].contains("b.test") && lines[0].contains("\"rule\""), "{lines:?}");
}

#[test]
fn case_1_11_a_silent_client_is_judged_when_it_speaks() {
    let world = World::with(|setup| setup.access_toml(BLOCKED));
    let mut client = world.tunnel(&format!("origin.example:{}", world.origin.address().port()));
    for _ in 0..3 {
        world.catch_up();
        world.clock.advance(Duration::from_secs(60));
    }
    client.send(hello(&[sni("b.test")]));
    assert_eq!(alert(&mut client), 49);
    assert!(world.origin.is_not_asked());
}

#[test]
fn case_1_11_rules_of_the_moment_count() {
    let certificates = Certificates::new();
    let world = World::new();
    let origin = Origin::start_tls(certificates.server("b.test").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = authority(&origin);
    let ask = |name: &str| {
        let mut client = world.tunnel(&authority).within_tls(trusting(certificates.root()), name);
        client.send("GET / HTTP/1.1\r\nHost: b.test\r\n\r\n");
        client.wire.head().is_ok()
    };
    assert!(ask("b.test"), "another name is no harm by itself");
    world.swap_access("block = ['b.test']");
    assert!(!ask("b.test"));
}

#[test]
fn case_1_11_an_exception_of_interception_is_judged_too() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept_as(&certificates, &["origin.example"], BlockedHost::Refused, Exceptions::Configured);
        setup.access_toml("block = ['b.test', '^https://d\\.test(:[0-9]+)?/secret']");
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    for (name, expected) in [("b.test", 49), ("d.test", 112)] {
        let mut client = world.tunnel(&authority(&origin));
        client.send(hello(&[sni(name)]));
        assert_eq!(alert(&mut client), expected, "{name}");
    }
    assert!(origin.is_not_asked());
}

#[test]
fn case_1_11_the_host_inside_a_plain_tunnel_is_the_tunnels() {
    let world = World::with(|setup| setup.access_toml(BLOCKED));
    let authority = format!("origin.example:{}", world.origin.address().port());
    let mut client = world.tunnel(&authority);
    assert_eq!(get(&mut client, "b.test", "/").status(), 421);
    let mut client = world.tunnel("origin.example:80");
    assert_eq!(get(&mut client, "b.test", "/").status(), 421);
    assert!(world.origin.is_not_asked());
}

#[test]
fn case_6_9_the_tunnels_authority_may_come_without_its_port() {
    let (world, origin) = secure_with(|_| {});
    let authority = authority(&origin);
    let port = origin.address().port();
    let cases = [
        ("origin.example".to_owned(), 200),
        ("Origin.Example".to_owned(), 200),
        ("origin.example.".to_owned(), 200),
        ("origin.example:".to_owned(), 200),
        (authority.clone(), 200),
        (format!("ORIGIN.example.:{port}"), 200),
        ("origin.example:443".to_owned(), 421),
        ("origin.example:80".to_owned(), 421),
        ("other.example".to_owned(), 421),
        (format!("other.example:{port}"), 421),
        ("www.origin.example".to_owned(), 421),
    ];
    for (host, expected) in cases {
        let mut client = world.inside(&authority);
        assert_eq!(get(&mut client, &host, "/a").status(), expected, "{host}");
    }
    assert_eq!(origin.request("/a").head.field("Host"), Some(&authority[..]));
    // In absolute form, and in the pseudo-field of HTTP/2.
    let mut client = world.inside(&authority);
    client.send("GET https://origin.example/a HTTP/1.1\r\nHost: origin.example\r\n\r\n");
    assert!(client.response().is_hit());
    let mut client = world.http2(&authority);
    for (url, expected) in [
        ("https://origin.example/a".to_owned(), 200),
        (format!("https://{authority}/a"), 200),
        ("https://other.example/a".to_owned(), 421),
        ("https://origin.example:8443/a".to_owned(), 421),
    ] {
        assert_eq!(client.get(&url).status(), expected, "{url}");
    }
}

#[test]
fn case_6_9_in_plain_tunnels_as_well() {
    let world = World::new();
    world.origin.otherwise(Answer::fresh(60, "plain"));
    let authority = format!("origin.example:{}", world.origin.address().port());
    let mut client = world.tunnel(&authority);
    assert_eq!(get(&mut client, "origin.example", "/a").text(), "plain");
    assert!(world.client().get(&format!("http://{authority}/a")).is_hit());
    assert_eq!(get(&mut client, "origin.example:80", "/a").status(), 421);
}
