//! What must be accepted.

use rcgen::{DistinguishedName, KeyPair, RsaKeySize};

use super::chain::{Ca, Leaf};
use super::world::{Client, ONE_VERSION_EACH};

#[test]
fn chains_in_any_order_with_more_in_them() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let upper = root.authority("upper");
    let lower = upper.authority("lower");
    let leaf = lower.leaf(&["a.example"]);
    let other = Ca::root("other");
    let chains = [
        ("in order", vec![lower.der(), upper.der()]),
        ("reversed", vec![upper.der(), lower.der()]),
        ("with the root", vec![lower.der(), upper.der(), root.der()]),
        ("twice", vec![lower.der(), upper.der(), lower.der(), upper.der()]),
        ("with others", vec![other.der(), lower.der(), other.authority("x").der(), upper.der()]),
    ];
    for (what, chain) in chains {
        client.ask("a.example", leaf.with(&chain)).is_accepted(what);
    }
    // Two authorities of one name, of which one has signed.
    let impostor = upper.impostor();
    let shown = leaf.with(&[lower.der(), impostor.der(), upper.der()]);
    client.ask("a.example", shown).is_accepted("the second of one name");
}

#[test]
fn keys_of_all_kinds() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let mut leaves: Vec<(String, Leaf)> = vec![
        ("P-256".into(), root.leaf_by(&rcgen::PKCS_ECDSA_P256_SHA256)),
        ("P-384".into(), root.leaf_by(&rcgen::PKCS_ECDSA_P384_SHA384)),
        ("P-521".into(), root.leaf_by(&rcgen::PKCS_ECDSA_P521_SHA512)),
        ("Ed25519".into(), root.leaf_by(&rcgen::PKCS_ED25519)),
    ];
    for size in [RsaKeySize::_2048, RsaKeySize::_3072, RsaKeySize::_4096] {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size).expect("a key");
        leaves.push((format!("{size:?}"), root.leaf_of(&["a.example"], &key, |_| ())));
    }
    for (what, leaf) in leaves {
        for versions in ONE_VERSION_EACH {
            client.ask_with("a.example", leaf.with(&[]), versions).is_accepted(&what);
        }
    }
}

#[test]
fn names_of_all_kinds() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let cases: &[(&str, &[&str])] = &[
        ("a.example", &["b.example", "a.example"]),
        ("a.example", &["A.Example"]),
        ("A.EXAMPLE.", &["a.example"]),
        ("a.b.example", &["*.b.example"]),
        ("bücher.example", &["xn--bcher-kva.example"]),
        ("xn--bcher-kva.example", &["XN--BCHER-KVA.example"]),
        ("a_b.example", &["a_b.example"]),
        ("127.0.0.1", &["a.example", "127.0.0.1"]),
        ("2001:db8::1", &["2001:db8::1"]),
    ];
    for (host, names) in cases {
        client.ask(host, root.leaf(names).with(&[])).is_accepted(&format!("{host} {names:?}"));
    }
    let leaf = root.leaf_with(&["a.example"], |params| params.distinguished_name = DistinguishedName::new());
    client.ask("a.example", leaf.with(&[])).is_accepted("an empty subject");
}

#[test]
fn a_thousand_names_but_not_ten_thousand() {
    let root = Ca::root("root");
    let client = Client::trusting(&[root.der()]);
    let names =
        |count: usize| (0..count).map(|number| format!("host-{number}.a.example")).collect::<Vec<_>>();
    let leaf = |names: &[String]| root.leaf(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let thousand = leaf(&names(1000)).with(&[]);
    client.ask("host-999.a.example", thousand).is_accepted("a thousand");
    let many = client.ask("host-9999.a.example", leaf(&names(10_000)).with(&[]));
    let failure = many.result.expect_err("more than a handshake may hold");
    assert_eq!(failure.error, larder::error::ErrorType::TlsProtocolError, "{failure}");
    assert!(many.received.is_empty());
}
