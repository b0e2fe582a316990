//! The two sides of this room against each other.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, Connection, HandshakeKind, ServerConfig, ServerConnection};

use crate::clock::Clock;
use crate::error::{ErrorType, Failure, Fault};
use crate::http::Host;

use super::super::authority::OwnRoots;
use super::super::leaf::{LeafKey, mint};
use super::super::verify::{HostVerifier, Trust};
use super::super::{
    Alpn, Authority, Leaves, MintRequest, NameConstraints, OriginTls, Roots, RootsError, Verification,
    handshake_failure, is_distrusted_by_client,
};
use super::{Folder, START, host, leaves};

/// A client that trusts the authority of these leaves, as a browser does in which it is installed.
fn trusting(leaves: &Leaves, clock: &Clock) -> OriginTls {
    let own = OwnRoots::default();
    let roots = Roots::from_pem(leaves.authority().pem().as_bytes(), &own).expect("a root");
    OriginTls::new(Verification { roots, own, pins: HashMap::new() }, clock.clone())
}

fn serve(leaves: &Leaves, host: &Host, alpn: Alpn) -> Arc<ServerConfig> {
    let client = [192, 0, 2, 1].into();
    leaves.server_config(&MintRequest { host, alpn, client, origin_not_after: None }).expect("a leaf")
}

/// Both sides until neither says more; how the client's and the server's handshakes ended.
struct Met {
    client: ClientConnection,
    server: ServerConnection,
    client_error: Option<std::io::Error>,
    server_error: Option<std::io::Error>,
}

fn meet(client: (Arc<ClientConfig>, ServerName<'static>), server: Arc<ServerConfig>) -> Met {
    let client = ClientConnection::new(client.0, client.1).expect("a client");
    let server = ServerConnection::new(server).expect("a server");
    let mut met = Met { client, server, client_error: None, server_error: None };
    while met.client.wants_write() || met.server.wants_write() {
        let mut flight = Vec::new();
        while met.client.wants_write() {
            met.client.write_tls(&mut flight).expect("memory");
        }
        met.server_error = met.server_error.or(deliver(&flight, &mut met.server));
        flight.clear();
        while met.server.wants_write() {
            met.server.write_tls(&mut flight).expect("memory");
        }
        met.client_error = met.client_error.or(deliver(&flight, &mut met.client));
    }
    met
}

fn deliver<D>(
    mut flight: &[u8],
    to: &mut (impl std::ops::DerefMut<Target = rustls::ConnectionCommon<D>> + Into<Connection>),
) -> Option<std::io::Error> {
    while !flight.is_empty() {
        to.read_tls(&mut flight).expect("memory");
        if let Err(error) = to.process_new_packets() {
            return Some(std::io::Error::other(error));
        }
    }
    None
}

impl Met {
    fn is_established(&self) -> bool {
        self.client_error.is_none() && !self.client.is_handshaking() && !self.server.is_handshaking()
    }

    fn failure(&self, host: &Host) -> Failure {
        handshake_failure(host, self.client_error.as_ref().expect("it fails"))
    }
}

#[test]
fn a_client_that_trusts_the_authority_accepts_a_leaf() {
    let clock = Clock::manual(START);
    let leaves = leaves(&clock);
    let origins = trusting(&leaves, &clock);
    for name in ["a.example", "bücher.example", "_x.a.example", "192.0.2.7", "2001:db8::7"] {
        for alpn in [Alpn::Http1, Alpn::Http2] {
            let host = host(name);
            let met = meet(origins.client(&host, 443, alpn).expect("a name"), serve(&leaves, &host, alpn));
            assert!(met.is_established(), "{name}: {:?}", met.client_error);
            assert_eq!(met.client.alpn_protocol(), alpn.protocols().first().map(Vec::as_slice), "{name}");
            assert_eq!(met.server.server_name(), host.ip().is_none().then_some(host.as_str()), "{name}");
        }
    }
}

#[test]
fn protocols_are_agreed_on() {
    let clock = Clock::manual(START);
    let (leaves, host) = (leaves(&clock), host("a.example"));
    let origins = trusting(&leaves, &clock);
    for (client, server) in [(Alpn::Http1, Alpn::Http2), (Alpn::Http2, Alpn::Http1)] {
        let met = meet(origins.client(&host, 443, client).expect("a name"), serve(&leaves, &host, server));
        assert_eq!(met.client.alpn_protocol(), Some(&b"http/1.1"[..]));
    }
}

#[test]
fn a_leaf_is_for_one_host() {
    let clock = Clock::manual(START);
    let leaves = leaves(&clock);
    let origins = trusting(&leaves, &clock);
    let (a, b) = (host("a.example"), host("b.example"));
    // An SNI that is not the host's gets no certificate at all.
    let met = meet(origins.client(&b, 443, Alpn::Http1).expect("a name"), serve(&leaves, &a, Alpn::Http1));
    assert_eq!(met.failure(&b).error, ErrorType::TlsAlertReceived);
    // Without SNI the certificate is sent, and is for another name.
    let ip = host("192.0.2.7");
    let met = meet(origins.client(&ip, 443, Alpn::Http1).expect("a name"), serve(&leaves, &a, Alpn::Http1));
    let failure = met.failure(&ip);
    assert_eq!((failure.error, failure.status), (ErrorType::TlsCertificateError, 502));
    assert_eq!(failure.fault, Fault::Origin);
    assert!(failure.public.ends_with("it is for other names: a.example"), "{}", failure.public);
}

#[test]
fn who_does_not_trust_the_authority_says_so() {
    let clock = Clock::manual(START);
    let (served, other, host) = (leaves(&clock), leaves(&clock), host("a.example"));
    let origins = trusting(&other, &clock);
    let met =
        meet(origins.client(&host, 443, Alpn::Http1).expect("a name"), serve(&served, &host, Alpn::Http1));
    let failure = met.failure(&host);
    assert!(failure.public.contains("unknown authority (Larder authority "), "{}", failure.public);
    assert!(is_distrusted_by_client(met.server_error.as_ref().expect("an alert")));
}

#[test]
fn sessions_are_resumed_for_one_host_and_port() {
    let clock = Clock::manual(START);
    let leaves = leaves(&clock);
    let origins = trusting(&leaves, &clock);
    let kind = |name: &str, port| {
        let host = host(name);
        let client = origins.client(&host, port, Alpn::Http2).expect("a name");
        let met = meet(client, serve(&leaves, &host, Alpn::Http2));
        assert!(met.is_established(), "{name}: {:?}", met.client_error);
        met.client.handshake_kind().expect("it is done")
    };
    assert_eq!(kind("a.example", 443), HandshakeKind::Full);
    assert_eq!(kind("a.example", 443), HandshakeKind::Resumed);
    assert_eq!(kind("a.example", 444), HandshakeKind::Full, "another port");
    assert_eq!(kind("192.0.2.7", 443), HandshakeKind::Full, "another host");
    assert_eq!(kind("192.0.2.8", 443), HandshakeKind::Full, "and without SNI");
    clock.advance(std::time::Duration::from_secs(86_400));
    assert_eq!(kind("a.example", 443), HandshakeKind::Full, "a day later it is verified again");
}

#[test]
fn a_session_is_not_resumed_for_ever() {
    let clock = Clock::manual(START);
    let leaves = leaves(&clock);
    let origins = trusting(&leaves, &clock);
    let config = || origins.client(&host("a.example"), 443, Alpn::Http1).expect("a name").0;
    let first = config();
    clock.advance(std::time::Duration::from_secs(86_399));
    assert!(Arc::ptr_eq(&first, &config()));
    clock.advance(std::time::Duration::from_secs(1));
    assert!(!Arc::ptr_eq(&first, &config()), "with its sessions, whatever their origin allows");
}

#[test]
fn clients_refuse_what_a_root_may_not_sign_for() {
    let clock = Clock::manual(START);
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, bool)]);
    let cases: &[Case<'_>] = &[
        (&["a.example"], &[("b.a.example", true), ("b.example", false), ("192.0.2.1", false)]),
        (&["192.0.2.0/24"], &[("192.0.2.1", true), ("192.0.3.1", false), ("a.example", false)]),
        (&["192.0.2.0/24"], &[("2001:db8::1", false)]),
        (&["2001:db8::/32"], &[("2001:db8::1", true), ("192.0.2.1", false)]),
    ];
    for (texts, hosts) in cases {
        let folder = Folder::new();
        let constraints = NameConstraints::parse(texts).expect("good ones");
        let authority = Authority::open(&folder.0, &constraints, &clock).expect("a new one");
        let own = OwnRoots::default();
        let roots = Roots::from_pem(authority.pem().as_bytes(), &own).expect("a root");
        let algorithms = super::super::provider().signature_verification_algorithms;
        let verifier = HostVerifier { trust: Arc::new(Trust { roots, own, algorithms }), pin: None };
        let (key, end) = (LeafKey::generate().expect("a key"), START.plus(86_400));
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(START.0));
        for (name, permitted) in *hosts {
            // Below the check that keeps Larder from making such a leaf.
            let leaf = mint(&authority, &key, &host(name), end, START).expect("a leaf");
            let name: ServerName<'_> = (*name).try_into().expect("a name");
            let verified = verifier.verify_server_cert(&leaf.cert[0], &[], &name, &[], now);
            assert_eq!(verified.is_ok(), *permitted, "{texts:?} {name:?}: {verified:?}");
        }
    }
}

#[test]
fn a_ticket_of_one_host_is_of_no_use_at_another() {
    let clock = Clock::manual(START);
    let leaves = leaves(&clock);
    let origins = trusting(&leaves, &clock);
    let (a, b) = (host("192.0.2.7"), host("192.0.2.8"));
    // A client that mixes its sessions up: one configuration, told that both hosts are the first.
    let client = origins.client(&a, 443, Alpn::Http1).expect("a name");
    assert!(meet(client.clone(), serve(&leaves, &a, Alpn::Http1)).is_established());
    let met = meet(client, serve(&leaves, &b, Alpn::Http1));
    let failure = met.failure(&a);
    assert!(failure.public.contains("it is for other names: 192.0.2.8"), "{}", failure.public);
}

#[test]
fn no_origin_may_lead_to_our_own_root() {
    let clock = Clock::manual(START);
    let (leaves, host) = (leaves(&clock), host("a.example"));
    let own = leaves.authority().own_roots().clone();
    let alone = Roots::from_pem(leaves.authority().pem().as_bytes(), &own);
    assert!(matches!(alone, Err(RootsError::NoneInBundle)), "it is trusted by clients, not by us");
    // Beside another root, as in a machine's store.
    let other = super::leaves(&clock);
    let bundle = leaves.authority().pem().to_owned() + other.authority().pem();
    let roots = Roots::from_pem(bundle.as_bytes(), &own).expect("the other root");
    let origins = OriginTls::new(Verification { roots, own, pins: HashMap::new() }, clock.clone());
    let met =
        meet(origins.client(&host, 443, Alpn::Http1).expect("a name"), serve(&leaves, &host, Alpn::Http1));
    assert!(met.failure(&host).public.contains("this Larder's own authority"));
    let met =
        meet(origins.client(&host, 443, Alpn::Http1).expect("a name"), serve(&other, &host, Alpn::Http1));
    assert!(met.is_established(), "{:?}", met.client_error);
}
