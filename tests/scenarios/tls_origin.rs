//! Origins that are spoken to within TLS: `https` URIs asked for without a tunnel.

use std::sync::Arc;

use larder::origin::OriginLimits;

use crate::support::{Answer, Certificates, Origin, World, noise, request};

/// An origin with TLS and a world that trusts its authority.
fn secure() -> (World, Origin) {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.origin_tls = Some(Arc::new(certificates.client())));
    (world, Origin::start_tls(Arc::new(certificates.server("origin.example"))))
}

#[test]
fn an_https_uri_is_fetched_and_stored_as_its_own() {
    let (world, origin) = secure();
    origin.on_path("/", Answer::fresh(60, "secret"));
    let url = origin.https_url("origin.example", "/");
    let mut client = world.client();
    let first = client.get(&url);
    assert_eq!((first.status(), first.text()), (200, "secret"));
    assert!(client.get(&url).is_hit());
    assert_eq!(
        origin.request("/").head.field("Host").map(str::to_owned),
        url.split('/').nth(2).map(str::to_owned)
    );
    // The same authority under another scheme is another resource, and speaks no TLS.
    let plain = client.get(&url.replace("https:", "http:"));
    assert!(!plain.is_hit(), "{plain:?}");
}

#[test]
fn a_connection_within_tls_is_used_again() {
    let (world, origin) = secure();
    origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    for path in ["/a", "/b", "/c"] {
        assert_eq!(client.get(&origin.https_url("origin.example", path)).text(), "hello");
    }
    assert_eq!((origin.request_count(), origin.connection_count()), (3, 1));
}

#[test]
fn a_connection_within_tls_that_the_origin_has_closed_is_not_used() {
    let (world, origin) = secure();
    origin.otherwise(Answer::ok("hello").close());
    let mut client = world.client();
    client.get(&origin.https_url("origin.example", "/a"));
    origin.has_ended(0);
    assert_eq!(client.get(&origin.https_url("origin.example", "/b")).text(), "hello");
    assert_eq!(origin.connection_count(), 2);
}

#[test]
fn large_content_goes_both_ways_within_tls() {
    let (world, origin) = secure();
    let content = noise(3 << 20);
    origin.on_path("/", Answer::ok(&content));
    let response = world.client().request("POST", &origin.https_url("origin.example", "/"), &[], &content);
    assert!(response.is_whole());
    assert!(response.body.bytes == content);
    assert!(origin.request("/").body.expect("it was read").bytes == content);
}

#[test]
fn a_certificate_for_another_name_is_refused_and_said_so() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.origin_tls = Some(Arc::new(certificates.client())));
    let origin = Origin::start_tls(Arc::new(certificates.server("other.example")));
    let response = world.client().get(&origin.https_url("origin.example", "/"));
    assert_eq!((response.status(), response.proxy_error()), (502, "tls_certificate_error"));
    assert!(response.text().contains("for another name"), "{}", response.text());
    assert!(origin.is_not_asked());
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused() {
    let world = World::with(|setup| setup.origin_tls = Some(Arc::new(Certificates::new().client())));
    let origin = Origin::start_tls(Arc::new(Certificates::new().server("origin.example")));
    let response = world.client().get(&origin.https_url("origin.example", "/"));
    assert_eq!((response.status(), response.proxy_error()), (502, "tls_certificate_error"));
}

#[test]
fn an_origin_that_speaks_no_tls_is_given_up_in_time() {
    let world = World::with(|setup| setup.origin_tls = Some(Arc::new(Certificates::new().client())));
    let mut client = world.client();
    client.send(request("GET", &world.origin.https_url("origin.example", "/"), &[], ""));
    world.advance_until_heard(OriginLimits::default().tls_timeout, &mut client);
    let response = client.response();
    assert_eq!((response.status(), response.proxy_error()), (504, "connection_timeout"));
    assert!(world.origin.is_not_asked());
}
