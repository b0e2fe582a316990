//! Keys and variants: which request a stored response answers (RFC 9111 §2, §4.1).

use crate::support::{Answer, World};

/// A response in a language that was chosen by the request.
fn in_language(language: &str) -> Answer {
    let answer = Answer::cached("max-age=60").field("Vary", "Accept-Language");
    answer.field("Content-Language", language).body(language)
}

#[test]
fn variants_are_stored_side_by_side() {
    let world = World::new();
    world.origin.on_path("/", in_language("en")).on_path("/", in_language("de"));
    let accept = |language| [("Accept-Language", language)];
    assert!(world.get_with("/", &accept("en")).cache_status().contains("fwd=uri-miss"));
    assert!(world.get_with("/", &accept("de")).cache_status().contains("fwd=vary-miss"));
    for language in ["en", "de", "en"] {
        let hit = world.get_with("/", &accept(language));
        assert_eq!((hit.is_hit(), hit.text()), (true, language));
    }
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn a_request_without_the_field_is_a_variant_of_its_own() {
    let world = World::new();
    world.origin.on_path("/", in_language("en")).on_path("/", in_language("fr"));
    world.get_with("/", &[("Accept-Language", "en")]);
    assert_eq!(world.get("/").text(), "fr");
    assert_eq!(world.get_with("/", &[("Accept-Language", "en")]).text(), "en");
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn spelling_that_means_nothing_makes_no_variant() {
    let world = World::new();
    world.origin.on_path("/", in_language("en"));
    world.get_with("/", &[("Accept-Language", "en, de;q=0.5")]);
    for same in ["en,de;q=0.5", "EN , de;q=0.500"] {
        assert!(world.get_with("/", &[("accept-language", same)]).is_hit(), "{same}");
    }
    let parted = [("Accept-Language", "en"), ("Accept-Language", "de;q=0.5")];
    assert!(world.get_with("/", &parted).is_hit());
}

#[test]
fn stale_variants_are_validated_each_by_its_own_tag() {
    let world = World::new();
    let answer =
        |tag: &str| Answer::cached("max-age=60").field("Vary", "X-Kind").field("ETag", tag).body(tag);
    world.origin.on_path("/", answer("\"a\"")).on_path("/", answer("\"b\""));
    world.origin.on_path("/", Answer::status(304).end_of_head());
    world.get_with("/", &[("X-Kind", "a")]);
    world.get_with("/", &[("X-Kind", "b")]);
    world.advance(61);
    assert_eq!(world.get_with("/", &[("X-Kind", "a")]).text(), "\"a\"");
    assert_eq!(world.origin.requests("/")[2].head.all("If-None-Match"), ["\"a\""]);
}

#[test]
fn keys_that_differ_in_the_query_alone_are_two() {
    let world = World::new();
    for path in ["/p", "/p?", "/p?a=1", "/p?a=2"] {
        world.origin.on_path(path, Answer::fresh(60, path));
        assert_eq!(world.get(path).text(), path);
    }
    for path in ["/p", "/p?", "/p?a=1", "/p?a=2"] {
        let hit = world.get(path);
        assert_eq!((hit.is_hit(), hit.text()), (true, path));
    }
}

#[test]
fn one_host_in_two_spellings_is_one_key() {
    let world = World::with(|setup| setup.host("shop.example", &["127.0.0.1"]));
    world.origin.on_path("/", Answer::fresh(60, "hello"));
    let port = world.origin.address().port();
    let mut client = world.client();
    assert!(!client.get(&format!("http://shop.example:{port}/")).is_hit());
    assert!(client.get(&format!("HTTP://SHOP.Example.:{port}/")).is_hit());
}

#[test]
fn the_host_field_is_no_part_of_the_key() {
    let world = World::with(|setup| setup.host("evil.example", &["127.0.0.1"]));
    world.origin.otherwise(Answer::fresh(60, "hello"));
    let asked = format!("GET {} HTTP/1.1\r\nHost: evil.example\r\n\r\n", world.url("/"));
    let response = world.client().send(asked).response();
    // Refusing it is as good as RFC 9112 §3.2.2: "MUST ignore the received Host".
    if response.status() == 200 {
        assert_eq!(world.origin.request("/").head.all("Host"), [world.origin.authority()]);
        assert!(world.get("/").is_hit());
    } else {
        assert_eq!(response.status(), 400);
        assert!(world.origin.is_not_asked());
    }
    let port = world.origin.address().port();
    assert!(!world.client().get(&format!("http://evil.example:{port}/")).is_hit());
}

#[test]
fn two_ports_are_two_keys() {
    let (world, other) = (World::new(), crate::support::Origin::start());
    world.origin.on_path("/", Answer::fresh(60, "one"));
    other.on_path("/", Answer::fresh(60, "other"));
    assert_eq!(world.get("/").text(), "one");
    assert_eq!(world.client().get(&other.url("/")).text(), "other");
}
