//! 6.12 to 6.14: listeners within TLS, and pages for blocked hosts alone.

use larder::proxy::{BlockedHost, Exceptions, Intercepted};

use super::hello::{hello, record, sni};
use super::{alert, authority, get};
use crate::support::{Answer, Certificates, Client, Folder, Origin, Setup, World, larder, trusting};

#[test]
fn case_6_12_an_address_is_not_a_name() {
    let world = World::with(Setup::listen_within_tls);
    for name in ["127.0.0.1", "192.0.2.1", "::1", "localhost", "LocalHost."] {
        let mut client = Client::connect(world.proxy_within_tls());
        client.send(hello(&[sni(name)]));
        assert_eq!(client.wire.exactly(1).bytes, [22], "{name} gets a ServerHello");
    }
}

#[test]
fn case_6_12_a_tunnel_takes_an_address_for_no_name_either() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    for name in ["127.0.0.1", "192.0.2.1", "::1"] {
        let mut client = world.tunnel("origin.example:443");
        client.send(hello(&[sni(name)]));
        assert_eq!(client.wire.exactly(1).bytes, [22], "{name} gets a ServerHello");
    }
}

#[test]
fn case_6_12_nobody_is_closed_without_an_alert() {
    let world = World::with(Setup::listen_within_tls);
    let cases = [
        ("an unknown name", hello(&[sni("other.example")]), 112),
        ("two names", hello(&[sni("localhost"), sni("localhost")]), 50),
        ("an empty record", record(1, &[]), 50),
        ("SSL 2", [&[0x80, 0x2e, 1, 3, 1][..], &[0; 43]].concat(), 50),
    ];
    for (what, octets, expected) in cases {
        let mut client = Client::connect(world.proxy_within_tls());
        client.send(octets);
        assert_eq!(alert(&mut client), expected, "{what}");
    }
}

#[test]
fn case_6_13_a_client_may_agree_on_h2_and_speak_http_1() {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept(&certificates);
        setup.listen_within_tls();
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::fresh(60, "hello"));
    world.origin.otherwise(Answer::fresh(60, "plain"));
    let authority = authority(&origin);
    let both = || {
        let mut config = world.trusting();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config
    };
    // As Go's client does towards an https:// proxy.
    let mut outer = Client::connect(world.proxy_within_tls()).within_tls(both(), "localhost");
    assert_eq!(outer.get(&world.url("/a")).text(), "plain");
    outer.send_bytewise(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(outer.response_to("CONNECT").status(), 200);
    // POST and PRI begin alike.
    let mut outer = Client::connect(world.proxy_within_tls()).within_tls(both(), "localhost");
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\r\n",
        world.url("/b"),
        world.origin.authority()
    );
    assert_eq!(outer.send_bytewise(request).response().status(), 200);
    let mut inner = world.inside(&authority);
    assert_eq!(get(&mut inner, &authority, "/a").text(), "hello");
    // An origin is not asked by HTTP/1.1 where HTTP/2 was agreed on.
    let mut outer = Client::connect(world.proxy_within_tls()).within_tls(both(), "localhost");
    outer.send("GET / HTTP/1.1\r\nHost: larder.proxy\r\n\r\n");
    let heard = outer.wire.until_close().bytes;
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
    // And who speaks it is served as ever.
    assert!(world.http2_within_tls().get(&world.url("/a")).is_hit());
    assert!(world.http2(&authority).get(&format!("https://{authority}/a")).is_hit());
}

#[test]
fn case_6_13_http2_can_be_left_out() {
    let world = World::with(|setup| {
        setup.listen_within_tls();
        let listener = setup.listener_tls.take().expect("it listens");
        setup.listener_tls = Some(listener.offering(larder::tls::Alpn::Http1));
    });
    let mut config = world.trusting();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Client::connect(world.proxy_within_tls()).within_tls(config, "localhost");
    assert!(client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").is_closed(), "h2 alone is refused");
    world.client_within_tls().settle();
    let folder = Folder::new();
    for (value, code) in [("false", Some(0)), ("true", Some(0)), ("'no'", Some(2))] {
        let config = folder.write("larder.toml", &format!("[server]\nhttp2 = {value}\n"));
        let checked = larder(&folder, &["check", "--config", &config], &[]);
        assert_eq!(checked.code == Some(0), code == Some(0), "{value}: {checked:?}");
    }
}

/// A world that shows pages of blocked hosts, and intercepts nothing else.
fn for_blocked_hosts(access: &str) -> (World, Certificates) {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept_as(&certificates, &[], BlockedHost::Page, Exceptions::Configured);
        setup.intercept.as_mut().expect("it is set").intercepted = Intercepted::Blocked;
        setup.access_toml(access);
    });
    (world, certificates)
}

#[test]
fn case_6_14_a_page_for_blocked_hosts_alone() {
    let (world, certificates) = for_blocked_hosts("block = ['ads.example']");
    let mut client = world.inside("www.ads.example:443");
    let response = get(&mut client, "www.ads.example", "/any");
    assert_eq!(response.status(), 403);
    assert!(response.text().contains("ads.example"), "{}", response.text());
    // All others are tunnelled as they are.
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::ok("hello"));
    let authority = authority(&origin);
    let mut client = world.inside_with(&authority, trusting(certificates.root()));
    client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let head = client.head();
    assert!(head.status() == 200 && !head.has("Via"), "{head:?}");
    // A rule for URLs does not make what can't be inspected anyway a refusal.
    world.swap_access("block = ['://origin\\.example(:[0-9]+)?/secret']");
    let mut client = world.inside_with(&authority, trusting(certificates.root()));
    client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(client.head().status(), 200);
}

#[test]
fn case_6_14_the_configuration_alone_is_enough() {
    let folder = Folder::new();
    let text = "[intercept]\nblock_page = 'intercept'\nca_dir = 'ca'\n[access]\nblock = ['ads.example']\n";
    let config = folder.write("larder.toml", text);
    let process = crate::support::Process::start(&["--config", &config]);
    process.says("only blocked hosts are intercepted");
    let mut client = process.client();
    client.send("CONNECT ads.example:443 HTTP/1.1\r\nHost: ads.example\r\n\r\n");
    assert_eq!(client.response_to("CONNECT").status(), 200);
    let mut client = client.within_tls(crate::support::trusting_anybody(), "ads.example");
    assert_eq!(get(&mut client, "ads.example", "/").status(), 403);
}

#[test]
fn case_6_15_the_environment_of_a_listener_within_tls_alone() {
    let folder = Folder::new();
    let config = folder.write("larder.toml", "[intercept]\nca_dir = 'ca'\n");
    let process = crate::support::Process::start_at(&folder, "https://127.0.0.1:0", &["--config", &config]);
    let ended = larder(&folder, &["env", "--config", &config], &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let url = format!("https://{}", process.address());
    for name in ["http_proxy", "https_proxy", "HTTPS_PROXY"] {
        assert!(ended.out.contains(&format!("export {name}='{url}'")), "{ended:?}");
    }
    // What signs for the listener is in the files that replace what is trusted.
    assert!(ended.out.contains("SSL_CERT_FILE"), "{ended:?}");
    assert!(!ended.out.contains("JAVA_TOOL_OPTIONS"), "{ended:?}");
    let ended = larder(&folder, &["env", "--config", &config, "--format", "maven"], &[]);
    assert!(ended.code != Some(0) && ended.err.contains("Java can't use a proxy over TLS"), "{ended:?}");
}
