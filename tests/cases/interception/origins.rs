//! 1.12 and 7.13: origins that ask for a client's certificate, and origins that vouch for themselves.

use std::collections::HashMap;
use std::sync::Arc;

use larder::proxy::Unreadable;
use larder::tls::{OriginTls, OwnRoots, Roots, Verification};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};

use super::{authority, get};
use crate::support::{Answer, Certificates, Origin, World, trusting};

/// A server with this version of TLS that does not do without its client's certificate.
fn requiring(certificates: &Certificates, version: &'static SupportedProtocolVersion) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificates.root()).unwrap();
    let required = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let (chain, key) = certificates.leaf("origin.example", |_| {});
    let builder = ServerConfig::builder_with_protocol_versions(&[version]);
    builder.with_client_cert_verifier(required).with_single_cert(chain, key).unwrap()
}

/// A client that trusts the origin's authority and has a certificate to show.
fn with_certificate(certificates: &Certificates) -> ClientConfig {
    let (chain, key) = certificates.leaf("client.example", |_| {});
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let shown = CertifiedKey::from_der(chain, key, &provider).unwrap();
    let mut config = trusting(certificates.root());
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(shown));
    config
}

#[test]
fn case_1_12_an_optional_certificate_changes_nothing() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept(&certificates);
        setup.access_toml("block = ['://origin\\.example(:[0-9]+)?/secret']");
    });
    let origin = Origin::start_tls(certificates.server_that_asks("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = authority(&origin);
    for _ in 0..3 {
        let mut client = world.inside(&authority);
        assert_eq!(get(&mut client, &authority, "/a").text(), "hello");
        assert_eq!(get(&mut client, &authority, "/secret").status(), 403);
    }
}

#[test]
fn case_1_12_one_that_is_needed_makes_a_tunnel_where_that_may_be() {
    for version in [&version::TLS12, &version::TLS13] {
        for refuses in [false, true] {
            let certificates = Certificates::new();
            let world = World::with(|setup| {
                setup.intercept(&certificates);
                if refuses {
                    setup.intercept.as_mut().unwrap().unreadable = Unreadable::Refuse;
                }
            });
            let origin = Origin::start_tls(requiring(&certificates, version).into());
            origin.otherwise(Answer::ok("hello"));
            let authority = authority(&origin);
            let mut client = world.inside(&authority);
            assert_eq!(get(&mut client, &authority, "/").status(), 502, "{version:?}");
            drop(client);
            if refuses {
                let mut client = world.client();
                client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
                let response = client.response();
                assert_eq!((response.status(), response.proxy_error()), (403, "http_request_denied"));
                continue;
            }
            let mut client = world.inside_with(&authority, with_certificate(&certificates));
            client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
            let head = client.head();
            assert!(head.status() == 200 && !head.has("Via"), "{version:?}: {head:?}");
        }
    }
}

/// A certificate that nobody else has signed, and what a server with it uses.
fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> (String, ServerConfig) {
    let mut params = CertificateParams::new(["origin.example".to_owned()]).unwrap();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    (certificate.pem(), config.with_single_cert(vec![certificate.der().clone()], secret).unwrap())
}

fn trusting_bundle(pem: &str) -> World {
    trusting_roots(Roots::from_pem(pem.as_bytes(), &OwnRoots::default()).unwrap())
}

fn trusting_roots(roots: Roots) -> World {
    World::with(|setup| {
        let own = OwnRoots::default();
        let verification = Verification { roots, own, pins: HashMap::new() };
        setup.origin_tls = Some(Arc::new(OriginTls::new(verification, setup.clock.clone())));
        setup.host("other.example", &["127.0.0.1"]);
    })
}

#[test]
fn case_7_13_a_certificate_among_the_trusted_roots_is_accepted_as_it_is() {
    let authority = |params: &mut CertificateParams| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let not_authority = |params: &mut CertificateParams| params.is_ca = IsCa::ExplicitNoCa;
    let changes: [fn(&mut CertificateParams); 3] = [|_| {}, authority, not_authority];
    for change in changes {
        let (pem, config) = self_signed(change);
        let world = trusting_bundle(&pem);
        let origin = Origin::start_tls(config.into());
        origin.otherwise(Answer::ok("hello"));
        let response = world.client().get(&origin.https_url("origin.example", "/"));
        assert_eq!((response.status(), response.text()), (200, "hello"));
        // For its own names alone.
        let response = world.client().get(&origin.https_url("other.example", "/"));
        assert_eq!((response.status(), response.proxy_error()), (502, "tls_certificate_error"));
    }
}

#[test]
fn case_7_13_so_is_one_of_the_extra_roots() {
    let ((others, _), (pem, config)) = (self_signed(|_| {}), self_signed(|_| {}));
    let extra = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec();
    let own = OwnRoots::default();
    let world = trusting_roots(Roots::from_pem(others.as_bytes(), &own).unwrap().and(vec![extra], &own));
    let origin = Origin::start_tls(config.into());
    origin.otherwise(Answer::ok("hello"));
    assert_eq!(world.client().get(&origin.https_url("origin.example", "/")).text(), "hello");
}

#[test]
fn case_7_13_in_its_time_and_for_servers_and_no_other() {
    let (pem, config) = self_signed(|params| params.not_after = rcgen::date_time_ymd(2024, 1, 1));
    let (clients_only, for_clients) = self_signed(|params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let (_, unknown) = self_signed(|params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "unknown");
    });
    let cases = [
        (&pem, config, "expired"),
        (&clients_only, for_clients, "purpose"),
        // The 502 says what can be done.
        (&pem, unknown, "add it to the trusted roots, or pin its key"),
    ];
    for (trusted, config, expected) in cases {
        let world = trusting_bundle(trusted);
        let origin = Origin::start_tls(config.into());
        let response = world.client().get(&origin.https_url("origin.example", "/"));
        assert_eq!(response.status(), 502, "{expected}");
        let text = response.text();
        assert!(expected == "purpose" || text.contains(expected), "{text}");
        assert!(origin.is_not_asked());
    }
}
