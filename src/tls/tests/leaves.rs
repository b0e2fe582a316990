//! What a leaf looks like, when it is made anew, and how many there are.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use x509_parser::extensions::{GeneralName, ParsedExtension};

use crate::clock::Clock;
use crate::http::Timestamp;

use super::super::certificate::{not_after, parse};
use super::super::leaf::{LeafKey, mint};
use super::super::{Alpn, Leaves, MintError, MintRequest};
use super::{Folder, START, authority, host, leaves};

const DAY: u64 = 86_400;

fn ask(leaves: &Leaves, name: &str, client: u8, end: Option<u64>) -> Result<Arc<ServerConfig>, MintError> {
    let (host, client) = (host(name), [192, 0, 2, client].into());
    let origin_not_after = end.map(|end| START.plus(end));
    leaves.server_config(&MintRequest { host: &host, alpn: Alpn::Http1, client, origin_not_after })
}

#[test]
fn a_leaf_is_what_it_should_be() {
    let (folder, clock) = (Folder::new(), Clock::manual(START));
    let authority = authority(&folder, &clock);
    let key = LeafKey::generate().expect("a key");
    let mut serials = Vec::new();
    for name in ["a.example", "192.0.2.7", "2001:db8::7"] {
        let host = host(name);
        let leaf = mint(&authority, &key, &host, START.plus(30 * DAY), START).expect("a leaf");
        let der = leaf.cert.first().expect("one certificate");
        let parsed = parse(der).expect("a certificate");
        assert_eq!(parsed.issuer(), parse(authority.certificate()).expect("good").subject());
        assert_eq!(parsed.subject().iter().count(), 0);
        assert_eq!(parsed.validity().not_before.timestamp(), 1_790_000_000 - 86_400);
        assert_eq!(not_after(der), Some(START.plus(30 * DAY)));
        assert!(parsed.raw_serial().len() == 16 && parsed.raw_serial()[0] & 0x80 == 0);
        serials.push(parsed.raw_serial().to_vec());
        let names = parsed.subject_alternative_name().expect("once").expect("there");
        assert!(names.critical);
        let octets: &[u8] = match names.value.general_names.as_slice() {
            [GeneralName::DNSName(name)] => name.as_bytes(),
            [GeneralName::IPAddress(octets)] => octets,
            other => panic!("{other:?}"),
        };
        let expected = match host.ip() {
            None => name.as_bytes().to_vec(),
            Some(std::net::IpAddr::V4(ip)) => ip.octets().to_vec(),
            Some(std::net::IpAddr::V6(ip)) => ip.octets().to_vec(),
        };
        assert_eq!(octets, expected);
        let usage = parsed.key_usage().expect("once").expect("there");
        assert_eq!(usage.value.flags, 1, "digitalSignature alone");
        let purposes = parsed.extended_key_usage().expect("once").expect("there");
        assert!(purposes.value.server_auth && !purposes.value.client_auth && !purposes.value.any);
        assert!(!parsed.is_ca());
        let kinds: Vec<String> =
            parsed.extensions().iter().map(|extension| extension.oid.to_id_string()).collect();
        // AKI, SAN, KU, EKU, SKI, basic constraints, and nothing copied.
        let expected = ["2.5.29.35", "2.5.29.17", "2.5.29.15", "2.5.29.37", "2.5.29.14", "2.5.29.19"];
        assert_eq!(kinds, expected);
        let root = parse(authority.certificate()).expect("good");
        let root_id = root.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let signer_id = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
            _ => None,
        });
        assert!(root_id.is_some() && root_id == signer_id);
    }
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 3, "none is used twice");
}

#[test]
fn a_leaf_is_kept_and_renewed_before_its_end() {
    let clock = Clock::manual(START);
    let leaves = leaves(&clock);
    let first = ask(&leaves, "a.example", 1, None).expect("a leaf");
    assert!(Arc::ptr_eq(&first, &ask(&leaves, "a.example", 2, None).expect("a leaf")));
    clock.advance(Duration::from_secs(22 * DAY));
    assert!(Arc::ptr_eq(&first, &ask(&leaves, "a.example", 1, None).expect("a leaf")));
    clock.advance(Duration::from_secs(DAY));
    let second = ask(&leaves, "a.example", 1, None).expect("a leaf");
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(Arc::ptr_eq(&first.ticketer, &second.ticketer), "sessions go on");
    assert!(Arc::ptr_eq(&second, &ask(&leaves, "a.example", 1, None).expect("a leaf")));
    assert_eq!(leaves.count(), 1);
}

#[test]
fn a_leaf_does_not_outlive_the_origins_certificate() {
    let clock = Clock::manual(START);
    let leaves = leaves(&clock);
    let free = ask(&leaves, "a.example", 1, None).expect("a leaf");
    let bound = ask(&leaves, "a.example", 1, Some(DAY)).expect("a leaf");
    assert!(!Arc::ptr_eq(&free, &bound), "the first would outlive it");
    // In its last quarter, and still good: another one would not last longer.
    clock.advance(Duration::from_secs(DAY - 10));
    assert!(Arc::ptr_eq(&bound, &ask(&leaves, "a.example", 1, Some(DAY)).expect("a leaf")));
    let renewed = ask(&leaves, "a.example", 1, Some(90 * DAY)).expect("a leaf");
    assert!(!Arc::ptr_eq(&bound, &renewed), "the origin has a new one");
    clock.advance(Duration::from_secs(10));
    assert_eq!(ask(&leaves, "b.example", 1, Some(DAY)).err(), Some(MintError::Expired));
}

#[test]
fn a_leaf_does_not_outlive_the_root() {
    let clock = Clock::manual(START);
    let leaves = leaves(&clock);
    let end = leaves.authority().not_after();
    clock.advance(Duration::from_secs(end.seconds_since(START) - 5));
    ask(&leaves, "a.example", 1, None).expect("a leaf");
    clock.advance(Duration::from_secs(5));
    assert_eq!(ask(&leaves, "a.example", 1, None).err(), Some(MintError::Expired));
    assert!(end > Timestamp(0));
}

#[test]
fn those_used_longest_ago_go_and_a_client_has_a_limit() {
    let clock = Clock::manual(START);
    let leaves = leaves(&clock);
    let first = ask(&leaves, "first.example", 1, None).expect("a leaf");
    for number in 0..1000 {
        // A client for each hundred, and time for all of them together.
        clock.advance(Duration::from_millis(2));
        let client = 2 + u8::try_from(number / 100).expect("few");
        ask(&leaves, &format!("{number}.example"), client, None).expect("a leaf");
        ask(&leaves, "first.example", 1, None).expect("the one that is used");
    }
    assert_eq!(leaves.count(), 1000);
    assert!(Arc::ptr_eq(&first, &ask(&leaves, "first.example", 1, None).expect("a leaf")));
    for number in 0..2000 {
        ask(&leaves, &format!("x{number}.example"), 99, None).expect("a whole network's hosts");
    }
    let refused = ask(&leaves, "one-more.example", 99, None);
    assert_eq!(refused.err(), Some(MintError::TooManyForClient));
    assert!(ask(&leaves, "x1999.example", 99, None).is_ok(), "what is there costs nothing");
}
