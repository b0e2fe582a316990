//! 1.13 and 6.10: what can't be inspected passes where that may be, and nowhere else.

use std::net::TcpListener;
use std::time::Duration;

use larder::proxy::Unreadable;

use super::hello::{ech, ech_with, hello, sni};
use super::{alert, authority, get, secure_with};
use crate::support::{Answer, Certificates, Origin, Setup, Wire, World, trusting};

/// What makes a tunnel to the origin's host refuse what can't be inspected.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Because {
    /// Nothing does.
    Passes,
    TheSwitch,
    AUrlRule,
    APathRule,
    AMethodRule,
    /// A rule about another host does not.
    AnotherHostsRules,
    /// Nor one about whole hosts.
    ACacheRuleForTheHost,
}

use Because::*;

const ALL: [Because; 7] =
    [Passes, TheSwitch, AUrlRule, APathRule, AMethodRule, AnotherHostsRules, ACacheRuleForTheHost];

impl Because {
    fn refuses(self) -> bool {
        !matches!(self, Passes | AnotherHostsRules | ACacheRuleForTheHost)
    }

    fn set_up(self, setup: &mut Setup) {
        match self {
            TheSwitch => {
                setup.intercept.as_mut().expect("it intercepts").unreadable = Unreadable::Refuse;
            }
            AUrlRule => setup.access_toml("block = ['://origin\\.example(:[0-9]+)?/secret']"),
            AnotherHostsRules => setup.access_toml("block = ['://other\\.example/secret', 'third.example']"),
            _ => {}
        }
    }

    fn rules(self, world: &World) {
        let rule = match self {
            APathRule => "host = 'origin.example'\npath = '/x/*'\nfresh = { min = '1d' }",
            AMethodRule => "host = '*.example'\nmethod = 'GET'\nnever = true",
            AnotherHostsRules => "host = 'other.example'\npath = '/x/*'\nnever = true",
            ACacheRuleForTheHost => "host = 'origin.example'\nfresh = { min = '1d' }",
            _ => return,
        };
        let text = format!("[[cache.rule]]\n{rule}\n");
        let config: larder::config::Config = toml::from_str(&text).expect("a rule");
        world.shared.rules.replace(config.cache.rules);
    }
}

#[test]
fn case_s4_what_is_neither_tls_nor_http_passes_unless_a_rule_needs_it() {
    for because in ALL {
        let certificates = Certificates::new();
        let world = World::with(|setup| {
            setup.intercept(&certificates);
            because.set_up(setup);
        });
        because.rules(&world);
        world.origin.otherwise(Answer::nothing().send("hello").close());
        let mut client = world.tunnel(&format!("origin.example:{}", world.origin.address().port()));
        client.send("SSH-2.0-OpenSSH_9.2 x\r\n\r\n");
        let heard = client.wire.until_close().bytes;
        assert_eq!(heard == b"hello", !because.refuses(), "{because:?}: {heard:?}");
        assert_eq!(world.origin.is_not_asked(), because.refuses(), "{because:?}");
    }
}

#[test]
fn case_s4_http2_without_tls_is_unreadable() {
    for because in [Passes, AUrlRule] {
        let certificates = Certificates::new();
        let world = World::with(|setup| {
            setup.intercept(&certificates);
            because.set_up(setup);
        });
        world.origin.otherwise(Answer::nothing().send("frames").close());
        let mut client = world.tunnel(&format!("origin.example:{}", world.origin.address().port()));
        client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let heard = client.wire.until_close().bytes;
        assert_eq!(heard == b"frames", !because.refuses(), "{because:?}: {heard:?}");
    }
}

#[test]
fn case_1_13_a_name_that_is_encrypted_is_unreadable_and_the_outer_one_is_judged() {
    for because in ALL {
        let (world, _tls) = secure_with(|setup| because.set_up(setup));
        because.rules(&world);
        let authority = format!("origin.example:{}", world.origin.address().port());
        world.origin.otherwise(Answer::nothing().close());
        let mut client = world.tunnel(&authority);
        // The outer name's rules count, and those of the tunnel's host.
        client.send([&hello(&[sni("public.example"), ech()])[..], b"\r\n\r\n"].concat());
        let refused = because.refuses();
        let heard = client.wire.until_close().bytes;
        assert_eq!(!heard.is_empty() || world.origin.is_not_asked(), refused, "{because:?}: {heard:?}");
    }
    let (world, origin) = secure_with(|setup| {
        setup.access_toml("block = ['b.test', '^https://c\\.test(:[0-9]+)?/secret']");
    });
    for (name, expected) in [("b.test", 49), ("www.b.test", 49), ("c.test", 112)] {
        let mut client = world.tunnel(&authority(&origin));
        client.send(hello(&[sni(name), ech()]));
        assert_eq!(alert(&mut client), expected, "{name}");
    }
    assert_eq!(origin.connection_count(), 0);
}

#[test]
fn case_1_13_a_dummy_changes_nothing_and_an_extension_alone_hides_nothing() {
    let (world, origin) = secure_with(|_| {});
    let authority = authority(&origin);
    // What browsers send to everybody: answered here.
    let mut client = world.tunnel(&authority);
    client.send(hello(&[sni("origin.example"), ech()]));
    assert_eq!(client.wire.exactly(1).bytes, [22]);
    // Another name, and an extension in which no server finds one.
    for content in [&b""[..], &[1], &[0], &[0, 1, 2], &[9; 40]] {
        let mut client = world.tunnel(&authority);
        client.send(hello(&[sni("other.example"), ech_with(content)]));
        assert_eq!(alert(&mut client), 112, "{content:?}");
    }
    let mut client = world.tunnel(&authority);
    client.send(hello(&[sni("other.example")]));
    assert_eq!(alert(&mut client), 112);
    assert_eq!(origin.connection_count(), 0);
}

#[test]
fn case_6_10_another_protocol_within_tls_goes_on_within_tls() {
    for because in ALL {
        let (world, origin) = secure_with(|setup| because.set_up(setup));
        because.rules(&world);
        origin.otherwise(Answer::nothing().send("hello").close());
        let mut client = world.inside(&authority(&origin));
        client.send("\x01\x02 some protocol\r\n\r\n");
        if because.refuses() {
            assert_eq!(client.response().status(), 400, "{because:?}");
            assert!(origin.is_not_asked());
        } else {
            assert_eq!(client.wire.until_close().bytes, b"hello", "{because:?}");
            assert_eq!(origin.all_requests()[0].head.raw, b"\x01\x02 some protocol\r\n\r\n");
        }
    }
}

#[test]
fn case_6_10_a_server_within_tls_may_speak_first() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let authority = format!("origin.example:{}", listener.local_addr().unwrap().port());
    let server = certificates.server("origin.example");
    let greets = std::thread::spawn(move || {
        let mut wire = Wire::new(listener.accept().unwrap().0).accept_tls(server.into());
        wire.send("* OK ready\r\n");
        let asked = wire.exactly(9).bytes;
        wire.send("a1 OK bye\r\n");
        asked
    });
    let mut client = world.inside(&authority);
    client.wire.shake_hands();
    world.catch_up();
    world.advance_until_heard(Duration::from_secs(5), &mut client);
    assert_eq!(client.wire.exactly(12).bytes, b"* OK ready\r\n");
    client.send("a1 BYE x\n");
    assert_eq!(client.wire.exactly(11).bytes, b"a1 OK bye\r\n");
    assert_eq!(greets.join().unwrap(), b"a1 BYE x\n");
}

#[test]
fn case_6_10_requests_that_come_late_within_tls_are_served() {
    let (world, origin) = secure_with(|_| {});
    let authority = authority(&origin);
    let mut client = world.inside(&authority);
    client.wire.shake_hands();
    for _ in 0..3 {
        world.catch_up();
        world.clock.advance(Duration::from_secs(6));
    }
    assert_eq!(get(&mut client, &authority, "/a").text(), "hello");
    assert!(get(&mut client, &authority, "/a").is_hit());
}

#[test]
fn case_6_10_the_far_end_is_verified() {
    let (world, _origin) = secure_with(|_| {});
    let impostor = Origin::start_tls(Certificates::new().server("origin.example").into());
    impostor.otherwise(Answer::nothing().send("hello").close());
    let mut client = world.inside(&authority(&impostor));
    client.send("\x01\x02\r\n\r\n");
    assert!(client.wire.until_close().bytes.is_empty());
    assert!(impostor.is_not_asked());
}

#[test]
fn case_6_10_the_protocols_of_a_client_are_offered_to_the_origin() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let mut server = certificates.server("origin.example");
    server.alpn_protocols = vec![b"xmpp-client".to_vec()];
    let origin = Origin::start_tls(server.into());
    origin.otherwise(Answer::nothing().send("<stream>").close());
    let mut config = world.trusting();
    config.alpn_protocols = vec![b"xmpp-client".to_vec()];
    let mut client = world.inside_with(&authority(&origin), config);
    client.send("<stream to='origin.example'>\r\n\r\n");
    assert_eq!(client.wire.until_close().bytes, b"<stream>");
}

#[test]
fn case_s4_without_interception_tls_passes_as_it_is() {
    let certificates = Certificates::new();
    let world = World::new();
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = authority(&origin);
    let mut client = world.inside_with(&authority, trusting(certificates.root()));
    client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let head = client.head();
    assert!(head.status() == 200 && !head.has("Via"));
}
