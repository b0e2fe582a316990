//! S8, S14, S20: fields of one request that shape what others would get, and an origin that plays a
//! proxy.

use crate::support::{Answer, Certificates, Origin, World};
use larder::caching::UnkeyedField;

const FRESH: &str = "max-age=60";

#[test]
fn case_s8_what_was_offered_to_switch_is_for_who_offered() {
    for status in [200, 404, 426] {
        let world = World::new();
        let other = Answer::status(status).field("Cache-Control", FRESH).field("ETag", "\"b\"");
        world.origin.on_path("/rep", Answer::cached("max-age=1000").field("ETag", "\"a\"").body("good"));
        world.origin.on_path("/rep", other.clone().body("no websocket"));
        world.origin.on_path("/new", other.body("no websocket")).on_path("/new", Answer::fresh(60, "good"));
        world.get("/rep");
        let offer = [("Connection", "Upgrade"), ("Upgrade", "websocket")];
        for path in ["/rep", "/new"] {
            let response = world.get_with(path, &offer);
            assert_eq!((response.status(), response.text()), (status, "no websocket"));
            assert!(!response.cache_status().contains("stored"), "{}", response.cache_status());
            assert_eq!(world.get(path).text(), "good", "{status} {path}");
        }
        assert!(world.get("/rep").is_hit());
    }
}

#[test]
fn case_s14_what_an_origin_builds_from_such_a_field_reaches_nobody_else() {
    let fields = [
        "X-Forwarded-Server",
        "X-Forwarded-Prefix",
        "X-Forwarded-Path",
        "X-Forwarded-Ssl",
        "X-Original-Host",
        "X-Rewrite-Path",
        "X-Nextjs-Data",
        "RSC",
        "Next-Router-Prefetch",
        "Next-Url",
        "X-Middleware-Prefetch",
        "X-Invoke-Path",
        "X-Matched-Path",
        "X-HTTP-Host-Override",
        "X-Host",
        "X_Forwarded_Host",
        "Surrogate-Capability",
        "X-Method",
    ];
    let world = World::new();
    for (at, name) in fields.into_iter().enumerate() {
        let path = format!("/{at}");
        world.origin.on_path(&path, Answer::fresh(60, "evil")).on_path(&path, Answer::fresh(60, "clean"));
        let first = world.get_with(&path, &[(name, "evil")]);
        assert!(!first.cache_status().contains("stored"), "{name}: {}", first.cache_status());
        assert_eq!(world.get(&path).text(), "clean", "{name}");
        assert!(world.get_with(&path, &[(name, "evil")]).is_hit(), "{name}");
    }
}

#[test]
fn case_s14_a_field_that_vary_names_is_a_part_of_the_key() {
    let world = World::new();
    let answer = |text: &str| Answer::cached(FRESH).field("Vary", "RSC").body(text);
    world.origin.on_path("/", answer("parts")).on_path("/", answer("page"));
    assert_eq!(world.get_with("/", &[("RSC", "1")]).text(), "parts");
    assert_eq!(world.get("/").text(), "page");
    assert!(world.get_with("/", &[("RSC", "1")]).is_hit());
    assert_eq!(world.get_with("/", &[("RSC", "1")]).text(), "parts");
    // Of two such fields both have to be named.
    world.origin.now_on_path("/two", answer("parts")).on_path("/two", answer("page"));
    world.get_with("/two", &[("RSC", "1"), ("X-Forwarded-Host", "evil")]);
    assert_eq!(world.get_with("/two", &[("RSC", "1")]).text(), "page");
}

#[test]
fn case_s14_addresses_of_a_chain_of_proxies_are_no_reason() {
    let world = World::new();
    world.origin.otherwise(Answer::fresh(60, "hello"));
    world.get_with("/", &[("X-Forwarded-For", "192.0.2.1, 2001:db8::1")]);
    assert!(world.get("/").is_hit());
    world.get_with("/2", &[("X-Forwarded-For", "<script>")]);
    assert!(!world.get("/2").is_hit());
}

#[test]
fn case_s14_an_operator_names_more_of_them() {
    let world = World::with(|setup| {
        let named = ["X-Tenant", "X-Brand-*"].iter().map(|text| text.parse::<UnkeyedField>().unwrap());
        setup.cache_policy.unkeyed_fields = named.collect();
    });
    world.origin.otherwise(Answer::fresh(60, "hello"));
    for (at, (name, is_shared)) in
        [("X-Tenant", false), ("x-brand-color", false), ("X-Tenants", true)].into_iter().enumerate()
    {
        let path = format!("/{at}");
        world.get_with(&path, &[(name, "1")]);
        assert_eq!(world.get(&path).is_hit(), is_shared, "{name}");
    }
}

#[test]
fn case_s20_a_407_of_an_origin_is_a_502_that_says_so() {
    let world = World::new();
    let asks = Answer::status(407).field("Cache-Control", FRESH).field("Proxy-Authenticate", "Basic realm=x");
    world.origin.otherwise(asks.body("give me your password"));
    for (method, body) in [("GET", ""), ("HEAD", ""), ("POST", "x"), ("DELETE", "")] {
        let response = world.request(method, "/", &[], body);
        assert_eq!((response.status(), response.has("Proxy-Authenticate")), (502, false), "{method}");
        assert_eq!(response.proxy_error(), "http_protocol_error");
        assert!(method == "HEAD" || response.text().contains("407"), "{}", response.text());
    }
    world.origin.now_on_path("/", Answer::fresh(60, "good"));
    assert_eq!(world.get("/").text(), "good");
}

#[test]
fn case_s20_a_407_within_tls_and_behind_a_validation_as_well() {
    let certificates = Certificates::new();
    let world = World::with(|setup| setup.intercept(&certificates));
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.on_path("/", Answer::cached("max-age=1, must-revalidate").field("ETag", "\"a\"").body("good"));
    origin.on_path("/", Answer::status(407).field("Cache-Control", FRESH).body("no"));
    let authority = format!("origin.example:{}", origin.address().port());
    let mut client = world.inside(&authority);
    let mut get = || {
        client.send(format!("GET / HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        client.response()
    };
    assert_eq!(get().text(), "good");
    world.advance(2);
    assert_eq!(get().status(), 502);
}
