//! What listeners show, and what can't be shown.

use std::net::IpAddr;

use rcgen::{CertificateParams, KeyPair};

use super::super::{Alpn, ListenerTls, ListenerTlsError};
use super::{START, host, leaves};
use crate::clock::Clock;

/// A certificate that its own key has signed, and the key.
fn pair(name: &str) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("a name");
    (params.self_signed(&key).expect("a certificate").pem(), key.serialize_pem())
}

const REACHED: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

#[test]
fn a_certificate_is_read_with_its_key() {
    let clock = Clock::manual(START);
    let ((chain, key), (other, _)) = (pair("proxy.example"), pair("proxy.example"));
    let configured = |chain: &str, key: &str| {
        let listener = ListenerTls::configured(chain.as_bytes(), key.as_bytes(), clock.clone())?;
        // It is shown to everybody, whatever is asked for.
        for name in [None, Some("proxy.example"), Some("other.example"), Some("no name")] {
            let config = listener.server_config(name, REACHED, REACHED).expect("always");
            assert_eq!(config.alpn_protocols, [&b"h2"[..], b"http/1.1"]);
            assert_eq!(config.max_early_data_size, 0);
        }
        Ok::<_, ListenerTlsError>(())
    };
    assert!(configured(&chain, &key).is_ok());
    assert!(configured(&format!("{chain}{other}"), &key).is_ok(), "a chain");
    assert!(configured(&format!("{chain}{key}"), &format!("{chain}{key}")).is_ok(), "one file for both");
    let cases = [
        (configured("", &key), "it contains no PEM certificate"),
        (configured(&key, &key), "it contains no PEM certificate"),
        (configured("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", &key), "is damaged"),
        (configured(&chain, ""), "no PEM private key"),
        (configured(&chain, &chain), "no PEM private key"),
        (configured(&other, &key), "it can't be used"),
    ];
    for (found, expected) in cases {
        let error = found.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn the_authority_signs_for_known_names_and_for_addresses() {
    let clock = Clock::manual(START);
    let listener = ListenerTls::own(leaves(&clock), vec![host("localhost"), host("build-7")]);
    for name in [None, Some("localhost"), Some("LOCALHOST"), Some("build-7")] {
        assert!(listener.server_config(name, REACHED, REACHED).is_ok(), "{name:?}");
    }
    // An address is not a name: such a client gets the certificate for the address that it has reached.
    let addressed = listener.server_config(Some("192.0.2.1"), REACHED, REACHED).expect("the listener's");
    let unnamed = listener.server_config(None, REACHED, REACHED).expect("the listener's");
    assert!(std::sync::Arc::ptr_eq(&addressed, &unnamed));
    for name in ["bank.example", "", "a b"] {
        let refused = listener.server_config(Some(name), REACHED, REACHED);
        assert!(matches!(refused, Err(ListenerTlsError::UnknownName(_))), "{name}");
    }
}

#[test]
fn what_is_shown_can_be_replaced() {
    let clock = Clock::manual(START);
    let (chain, key) = pair("proxy.example");
    let configured = || ListenerTls::configured(chain.as_bytes(), key.as_bytes(), clock.clone());
    let listener = configured().expect("a pair");
    let before = listener.server_config(None, REACHED, REACHED).expect("always");
    listener.replace(configured().expect("a pair"));
    let after = listener.server_config(None, REACHED, REACHED).expect("always");
    assert!(!std::sync::Arc::ptr_eq(&before, &after));
}

#[test]
fn http_2_can_be_left_out() {
    let clock = Clock::manual(START);
    let (chain, key) = pair("proxy.example");
    let configured = ListenerTls::configured(chain.as_bytes(), key.as_bytes(), clock.clone());
    for listener in [configured.expect("a pair"), ListenerTls::own(leaves(&clock), Vec::new())] {
        let offered = |listener: &ListenerTls| {
            listener.server_config(None, REACHED, REACHED).expect("always").alpn_protocols.clone()
        };
        assert_eq!(offered(&listener), [b"h2".to_vec(), b"http/1.1".to_vec()]);
        assert_eq!(offered(&listener.offering(Alpn::Http1)), [b"http/1.1".to_vec()]);
    }
}
