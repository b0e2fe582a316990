//! First octets of tunnels, good and hostile.

use std::sync::Arc;

use rustls::ClientConnection;

use crate::clock::Clock;

use super::super::{Alpn, CLIENT_HELLO_MAX, ClientHello, Hello, OriginTls, Roots, Verification};
use super::{START, host, leaves};

/// A ClientHello as rustls sends it: with a post-quantum key share, and larger than a packet.
fn real(name: &str, alpn: Alpn) -> Vec<u8> {
    let clock = Clock::manual(START);
    let own = super::super::authority::OwnRoots::default();
    let pem = leaves(&clock).authority().pem().to_owned();
    let roots = Roots::from_pem(pem.as_bytes(), &own).expect("a root");
    let origins = OriginTls::new(Verification { roots, own, pins: Default::default() }, clock);
    let (config, name) = origins.client(&host(name), 443, alpn).expect("a name");
    let mut client = ClientConnection::new(Arc::clone(&config), name).expect("a client");
    let mut octets = Vec::new();
    client.write_tls(&mut octets).expect("memory");
    octets
}

fn vector16(content: &[u8]) -> Vec<u8> {
    let mut vector = u16::try_from(content.len()).expect("short").to_be_bytes().to_vec();
    vector.extend_from_slice(content);
    vector
}

fn vector8(content: &[u8]) -> Vec<u8> {
    let mut vector = vec![u8::try_from(content.len()).expect("short")];
    vector.extend_from_slice(content);
    vector
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector16(content)].concat()
}

fn sni(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[&[0][..], &vector16(name)].concat()))
}

fn body(extensions: &[u8]) -> Vec<u8> {
    let head = [&[3, 3][..], &[7; 32], &vector8(&[]), &vector16(&[0x13, 0x01]), &vector8(&[0])].concat();
    [head, vector16(extensions)].concat()
}

fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&[1][..], &length[1..], body].concat()
}

fn record(fragment: &[u8]) -> Vec<u8> {
    [&[22, 3, 1][..], &vector16(fragment)].concat()
}

fn hello(extensions: &[u8]) -> Hello {
    Hello::read(&record(&message(&body(extensions))))
}

fn complete(hello: Hello) -> ClientHello {
    match hello {
        Hello::Complete(hello) => hello,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_real_one_says_all_at_any_cut() {
    let octets = real("a.example", Alpn::Http2);
    assert!(octets.len() > 1200, "post-quantum: {}", octets.len());
    for length in 0..octets.len() {
        assert_eq!(Hello::read(&octets[..length]), Hello::Incomplete, "{length}");
    }
    let hello = complete(Hello::read(&octets));
    assert_eq!(hello.server_name.as_deref(), Some("a.example"));
    assert_eq!(hello.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
    assert!(hello.has_modern_version && !hello.has_ech);
    assert_eq!(complete(Hello::read(&real("192.0.2.1", Alpn::Http1))).server_name, None);
    // What comes behind it does not matter.
    let more = [&octets[..], b"\x17\x03\x03anything"].concat();
    assert_eq!(complete(Hello::read(&more)), hello);
}

#[test]
fn it_may_come_in_any_number_of_records() {
    let octets = real("a.example", Alpn::Http1);
    let expected = Hello::read(&octets);
    for size in [1, 2, 3, 4, 5, 100, 1000] {
        let cut: Vec<u8> = octets[5..].chunks(size).flat_map(record).collect();
        assert_eq!(Hello::read(&cut), expected, "{size}");
    }
}

#[test]
fn extensions_are_read() {
    assert_eq!(complete(hello(&[])), ClientHello { has_modern_version: true, ..ClientHello::default() });
    let outer = [&[0, 0, 1, 0, 1, 9][..], &vector16(&[7; 32]), &vector16(&[7; 144])].concat();
    assert!(complete(hello(&extension(0xfe0d, &outer))).has_ech);
    let inner = extension(0xfe0d, &[1]);
    let cut = extension(0xfe0d, &outer[..20]);
    let longer = extension(0xfe0d, &[&outer[..], &[0]].concat());
    for other in [extension(0xfe0d, &[]), extension(0xfe0d, &[0, 1, 2]), inner, cut, longer] {
        assert!(!complete(hello(&other)).has_ech, "{other:?}");
    }
    let versions = |list: &[u8]| complete(hello(&extension(43, &vector8(list)))).has_modern_version;
    assert!(versions(&[0x0a, 0x0a, 3, 4]));
    assert!(versions(&[3, 3]));
    assert!(!versions(&[3, 2, 3, 1]));
    let mut old = body(&[]);
    old[1] = 1;
    assert!(!complete(Hello::read(&record(&message(&old)))).has_modern_version);
    old.truncate(old.len() - 2);
    assert!(!complete(Hello::read(&record(&message(&old)))).has_modern_version, "no extensions at all");
    assert_eq!(complete(hello(&sni(b"A.Example."))).server_name.as_deref(), Some("A.Example."));
    assert_eq!(complete(hello(&sni(&[0xff, 0xfe]))).server_name, None, "no name that could be meant");
}

#[test]
fn what_is_not_tls_is_seen_early() {
    let cases: &[&[u8]] = &[
        b"G",
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0",
        b"SSH-2.0-x",
        b"\x00",
        b"\x16\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\x40\x01",
        b"\x16\x03\x01\x00\x05\x02",
        b"\x15\x03\x01\x00\x02\x01\x00",
        b"\x80\x2e\x01\x00\x02",
        b"\x17\x03\x03\x00\x10",
        b"\x16\x03\x01\x00\x04\x01\x01\x00\x00",
        b"\x16\x03\x01\x00\x01\x01\x17",
    ];
    for case in cases {
        assert!(matches!(Hello::read(case), Hello::NotTls(_)), "{case:?}: {:?}", Hello::read(case));
    }
    for case in [&b""[..], b"\x16", b"\x16\x03", b"\x16\x03\x01\x00", b"\x16\x03\x01\x00\x05\x01\x00"] {
        assert_eq!(Hello::read(case), Hello::Incomplete, "{case:?}");
    }
}

#[test]
fn what_is_malformed_is_refused() {
    let two_names = [&[0][..], &vector16(b"a.example"), &[0], &vector16(b"b.example")].concat();
    let mut trailing = body(&[]);
    trailing.push(0);
    let mut odd_suites = body(&[]);
    odd_suites[36] = 1;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("no body", vec![]),
        ("a cut body", body(&[])[..30].to_vec()),
        ("octets behind the extensions", trailing),
        ("suites of an odd length", odd_suites),
        ("two SNI extensions", body(&[sni(b"a.example"), sni(b"b.example")].concat())),
        ("two names", body(&extension(0, &vector16(&two_names)))),
        ("an empty name", body(&sni(b""))),
        ("a name of another type", body(&extension(0, &vector16(&[&[1][..], &vector16(b"x")].concat())))),
        ("a name longer than its list", body(&extension(0, &[0, 5, 0, 0, 200, 1, 1]))),
        ("an extension longer than the rest", body(&[0, 16, 0xff, 0xff, 1])),
        ("half an extension", body(&[0, 16, 0])),
        ("an empty protocol", body(&extension(16, &vector16(&[0])))),
        ("half a version", body(&extension(43, &vector8(&[3, 4, 3])))),
    ];
    for (what, body) in cases {
        let read = Hello::read(&record(&message(&body)));
        assert_eq!(read, Hello::NotTls("a malformed ClientHello"), "{what}");
    }
}

#[test]
fn it_has_a_limit() {
    let padded = |length| record(&message(&body(&extension(21, &vec![0; length]))));
    assert!(matches!(Hello::read(&padded(16_000)), Hello::Complete(_)));
    let cases =
        [message(&body(&extension(21, &vec![0; 17_000]))), [&[1, 0xff, 0xff, 0xff][..], &[0; 100]].concat()];
    for message in cases {
        let octets: Vec<u8> = message.chunks(1000).flat_map(record).collect();
        assert_eq!(Hello::read(&octets), Hello::NotTls("a ClientHello over 16 KiB"));
    }
    // So small records that their headers alone are too many.
    let slow: Vec<u8> = message(&body(&extension(21, &[0; 8000]))).chunks(1).flat_map(record).collect();
    let read = Hello::read(&slow[..CLIENT_HELLO_MAX]);
    assert_eq!(read, Hello::NotTls("a ClientHello over 16 KiB"));
}

#[test]
fn no_octets_are_without_an_answer() {
    let octets = real("a.example", Alpn::Http2);
    // Every octet changed to a few others: no panic, and an answer.
    for at in 0..octets.len().min(300) {
        for value in [0, 1, 0x7f, 0xff] {
            let mut changed = octets.clone();
            changed[at] = value;
            let _any = Hello::read(&changed);
        }
    }
}
