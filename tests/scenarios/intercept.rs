//! HTTPS that is intercepted: requests inside a tunnel are served like others.

use larder::proxy::{BlockedHost, Exceptions};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::support::{Answer, Certificates, Client, Origin, Response, World, trusting};

/// A world that intercepts HTTPS, and an origin with TLS.
fn secure() -> (World, Origin) {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    (world, Origin::start_tls(certificates.server("origin.example").into()))
}

fn authority(origin: &Origin) -> String {
    format!("origin.example:{}", origin.address().port())
}

/// Asks for a path of the tunnel's host, in origin-form.
fn get(client: &mut Client, authority: &str, path: &str) -> Response {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    client.response()
}

#[test]
fn responses_inside_a_tunnel_are_stored_and_reused() {
    let (world, origin) = secure();
    origin.on_path("/a", Answer::fresh(60, "hello"));
    let authority = authority(&origin);
    let mut client = world.inside(&authority);
    assert_eq!(get(&mut client, &authority, "/a").text(), "hello");
    assert!(get(&mut client, &authority, "/a").is_hit());
    assert_eq!(origin.request("/a").head.field("Host"), Some(&authority[..]));
    // Who asks for the https URI without a tunnel gets the same.
    assert!(world.client().get(&format!("https://{authority}/a")).is_hit());
}

#[test]
fn a_request_for_another_authority_is_misdirected() {
    let (world, origin) = secure();
    let authority = authority(&origin);
    for head in [
        "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: origin.example:443\r\n\r\n".to_owned(),
        format!("GET https://other.example/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        format!("GET https://{authority}/ HTTP/1.1\r\nHost: other.example\r\n\r\n"),
    ] {
        let mut client = world.inside(&authority);
        client.send(&head);
        assert_eq!(client.response().status(), 421, "{head}");
    }
    assert!(origin.is_not_asked());
    let inside = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let mut client = world.inside(&authority);
    client.send(inside);
    assert_eq!(client.response().status(), 400);
}

#[test]
fn a_bad_certificate_of_the_origin_is_told_inside() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let expired = certificates.server_with("origin.example", |params| {
        params.not_after = rcgen::date_time_ymd(2024, 1, 1);
    });
    let origin = Origin::start_tls(expired.into());
    let authority = authority(&origin);
    let response = get(&mut world.inside(&authority), &authority, "/");
    assert_eq!((response.status(), response.proxy_error()), (502, "tls_certificate_error"));
    assert!(response.text().contains("expired"), "{}", response.text());
    assert!(origin.is_not_asked());
}

#[test]
fn an_offer_to_be_reached_elsewhere_does_not_arrive() {
    let (world, origin) = secure();
    origin.on_path("/passed", Answer::cached("no-store").field("Alt-Svc", "h3=\":443\"").body("x"));
    origin.on_path("/stored", Answer::cached("max-age=9").field("Alt-Svc", "h3=\":443\"").body("x"));
    let authority = authority(&origin);
    let mut client = world.inside(&authority);
    for path in ["/passed", "/stored", "/stored"] {
        let response = get(&mut client, &authority, path);
        assert_eq!((response.status(), response.has("Alt-Svc")), (200, false), "{path}");
    }
}

#[test]
fn an_upgrade_inside_a_tunnel_opens_one_within_tls() {
    let (world, origin) = secure();
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    origin.on_path(
        "/",
        Answer::raw(switch)
            .run(|wire| {
                let said = wire.exactly(4).bytes;
                wire.send([&b"you said "[..], &said].concat());
            })
            .close(),
    );
    let authority = authority(&origin);
    let mut client = world.inside(&authority);
    client.send(format!(
        "GET / HTTP/1.1\r\nHost: {authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    ));
    assert_eq!(client.response().status(), 101);
    client.send("ping");
    assert_eq!(client.wire.until_close().bytes, b"you said ping");
}

#[test]
fn the_server_as_a_whole_is_asked_for_its_options() {
    let (world, origin) = secure();
    origin.on_path("*", Answer::status(204).end_of_head());
    let authority = authority(&origin);
    let mut client = world.inside(&authority);
    client.send(format!("OPTIONS * HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(client.response().status(), 204);
    assert_eq!(origin.request("*").head.start, "OPTIONS * HTTP/1.1");
}

#[test]
fn rules_see_the_uris_inside() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept(&certificates);
        setup.access_toml("block = ['^https://origin\\.example:[0-9]+/secret']");
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = authority(&origin);
    let mut client = world.inside(&authority);
    assert_eq!(get(&mut client, &authority, "/open").status(), 200);
    assert_eq!(get(&mut client, &authority, "/secret").status(), 403);
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn an_address_that_may_not_be_dialled_is_refused_inside_too() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept(&certificates);
        setup.listen = "0.0.0.0:0".parse().expect("an address");
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    let authority = authority(&origin);
    let response = get(&mut world.inside(&authority), &authority, "/");
    assert_eq!((response.status(), response.proxy_error()), (403, "destination_ip_prohibited"));
    assert!(origin.is_not_asked());
}

#[test]
fn a_blocked_host_is_refused_before_tls_unless_a_page_is_wanted() {
    for (blocked, expected) in [(BlockedHost::Refused, false), (BlockedHost::Page, true)] {
        let certificates = Certificates::new();
        let world = World::with(|setup| {
            setup.intercept_as(&certificates, &[], blocked, Exceptions::Configured);
            setup.access_toml("block = ['origin.example']");
        });
        let authority = "origin.example:443";
        if !expected {
            let mut client = world.client();
            client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
            assert_eq!(client.response().status(), 403);
            continue;
        }
        let response = get(&mut world.inside(authority), "origin.example", "/any");
        assert_eq!((response.status(), response.proxy_error()), (403, "http_request_denied"));
        assert!(response.text().contains("Rule: origin.example"), "{}", response.text());
    }
}

#[test]
fn plain_http_in_a_tunnel_to_port_80_is_served() {
    let world = World::new();
    let mut client = world.tunnel("larder.proxy:80");
    let response = get(&mut client, "larder.proxy", "/");
    assert_eq!(response.status(), 200);
    assert!(response.text().contains("Larder works"), "{}", response.text());
    assert_eq!(get(&mut client, "other.example", "/").status(), 421);
}

#[test]
fn the_authority_is_offered_where_https_is_intercepted() {
    let (world, origin) = secure();
    origin.on_path("/", Answer::fresh(60, "hello"));
    let page = world.client().get("http://larder.proxy/");
    for text in ["larder-ca.crt", "larder-ca.pem", "SHA-256", "Firefox", "Windows", "macOS", "Android"] {
        assert!(page.text().contains(text), "{text}");
    }
    for path in ["/larder-ca.crt", "/larder-ca.pem"] {
        let response = world.client().get(&format!("http://larder.proxy{path}"));
        assert_eq!(response.field("Content-Type"), Some("application/x-x509-ca-cert"), "{path}");
        let octets = &response.body.bytes;
        let certificate = match CertificateDer::from_pem_slice(octets) {
            Ok(certificate) => certificate,
            Err(_no_pem) => CertificateDer::from(octets.clone()),
        };
        // Who trusts it, and nobody else, is served.
        let authority = authority(&origin);
        let mut client = world.inside_with(&authority, trusting(certificate));
        assert_eq!(get(&mut client, &authority, "/").text(), "hello", "{path}");
    }
    let world = World::new();
    assert!(world.client().get("http://larder.proxy/").text().contains("HTTPS is tunnelled"));
    assert_eq!(world.client().get("http://larder.proxy/larder-ca.crt").status(), 404);
}

#[test]
fn requests_inside_have_their_own_lines_in_the_log() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept(&certificates);
        setup.access_log = Some(larder::log::Format::Squid);
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = authority(&origin);
    get(&mut world.inside(&authority), &authority, "/a?b");
    world.has_served(2);
    let lines = world.into_log();
    assert!(
        lines[0].contains("NONE/200") && lines[0].contains(&format!("CONNECT {authority} ")),
        "{lines:?}"
    );
    assert!(lines[1].contains("TCP_MISS/200"), "{lines:?}");
    assert!(lines[1].contains(&format!("GET https://{authority}/a?b ")), "{lines:?}");
}

#[test]
fn a_client_that_does_not_trust_the_authority_gets_nothing() {
    let (world, origin) = secure();
    let authority = authority(&origin);
    let mut client = world.inside_with(&authority, trusting(Certificates::new().root()));
    client.send("GET / HTTP/1.1\r\n\r\n");
    assert!(client.is_closed());
    assert!(origin.is_not_asked());
}
