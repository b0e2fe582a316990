//! A client's wishes: its own conditions and its cache directives (RFC 9111 §4.3.2, §5.2.1).

use crate::support::{Answer, World};

const MODIFIED: &str = "Sun, 02 Jun 2024 07:00:00 GMT";

/// A world in which `/` is stored and fresh for 60 s.
fn stored() -> World {
    let world = World::new();
    let answer = Answer::cached("max-age=60").field("ETag", "\"one\"").field("Last-Modified", MODIFIED);
    world.origin.on_path("/", answer.body("hello"));
    world.get("/");
    world
}

#[test]
fn a_condition_of_the_client_is_answered_from_the_store() {
    let world = stored();
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[("If-None-Match", "\"one\"")], 304),
        (&[("If-None-Match", "W/\"one\"")], 304),
        (&[("If-None-Match", "\"zero\", \"one\"")], 304),
        (&[("If-None-Match", "*")], 304),
        (&[("If-None-Match", "\"two\"")], 200),
        (&[("If-Modified-Since", MODIFIED)], 304),
        (&[("If-Modified-Since", "Sun, 02 Jun 2024 06:59:59 GMT")], 200),
        (&[("If-Modified-Since", "yesterday")], 200),
        (&[("If-None-Match", "\"two\""), ("If-Modified-Since", MODIFIED)], 200),
    ];
    for (fields, status) in cases {
        let response = world.get_with("/", fields);
        assert_eq!((response.status(), response.is_hit()), (*status, true), "{fields:?}");
    }
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn a_304_has_the_fields_that_a_200_would_have_had() {
    let world = stored();
    world.advance(5);
    let mut client = world.client();
    let response = client.get_with(&world.url("/"), &[("If-None-Match", "\"one\"")]);
    assert_eq!((response.field("ETag"), response.field("Age")), (Some("\"one\""), Some("5")));
    assert_eq!(response.field("Cache-Control"), Some("max-age=60"));
    assert!(response.has("Date") && response.has("Via"));
    assert_eq!(response.cache_status(), "larder; hit; ttl=55");
    // The next response on the connection shows that no content came.
    assert_eq!(client.get(&world.url("/")).text(), "hello");
}

#[test]
fn a_condition_that_only_the_origin_can_judge_goes_there() {
    let world = stored();
    world.origin.now_on_path("/", Answer::status(412).body(""));
    let response = world.get_with("/", &[("If-Match", "\"two\"")]);
    assert_eq!(response.status(), 412);
    assert!(response.cache_status().starts_with("larder; fwd=request"), "{}", response.cache_status());
    assert_eq!(world.origin.requests("/")[1].head.field("If-Match"), Some("\"two\""));
    assert_eq!(world.get("/").text(), "hello");
}

#[test]
fn a_condition_on_what_is_not_stored_goes_to_the_origin() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(304).field("ETag", "\"one\"").end_of_head());
    let response = world.get_with("/", &[("If-None-Match", "\"one\"")]);
    assert_eq!(response.status(), 304);
    assert_eq!(world.origin.request("/").head.field("If-None-Match"), Some("\"one\""));
    assert_eq!(world.shared.store.usage().objects, 0);
}

#[test]
fn only_if_cached_asks_nobody() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "hello"));
    let wish = [("Cache-Control", "only-if-cached")];
    let refused = world.get_with("/", &wish);
    assert_eq!(refused.status(), 504);
    assert!(world.origin.is_not_asked());
    world.get("/");
    assert!(world.get_with("/", &wish).is_hit());
    world.advance(61);
    assert_eq!(world.get_with("/", &wish).status(), 504);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn only_if_cached_asks_nobody_where_only_the_origin_could_answer() {
    let world = stored();
    type Fields = &'static [(&'static str, &'static str)];
    let cases: &[(&str, Fields, &str)] = &[
        ("GET", &[("If-Match", "*")], ""),
        ("GET", &[("If-Unmodified-Since", MODIFIED)], ""),
        ("GET", &[], "content"),
        ("GET", &[("Connection", "Upgrade"), ("Upgrade", "websocket")], ""),
        ("OPTIONS", &[], ""),
    ];
    for (method, fields, content) in cases {
        let fields = [&[("Cache-Control", "only-if-cached")], *fields].concat();
        let refused = world.request(method, "/", &fields, content);
        assert_eq!(refused.status(), 504, "{method} {fields:?} {content:?}");
    }
    assert_eq!(world.origin.request_count(), 1);
    assert!(world.get("/").is_hit(), "nothing of it was carried out");
}

#[test]
fn a_stale_response_is_served_to_who_takes_it() {
    let world = stored();
    world.origin.now_on_path("/", Answer::fresh(60, "new"));
    world.advance(70);
    let stale = world.get_with("/", &[("Cache-Control", "max-stale=10")]);
    assert_eq!((stale.text(), stale.cache_status()), ("hello", "larder; hit; ttl=-10"));
    assert_eq!(world.get_with("/", &[("Cache-Control", "max-stale")]).text(), "hello");
    assert_eq!(world.get_with("/", &[("Cache-Control", "max-stale=9")]).text(), "new");
}

#[test]
fn a_stale_response_that_must_be_validated_is_served_to_nobody() {
    for control in ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60"] {
        let world = World::new();
        world.origin.on_path("/", Answer::cached(control).body("old"));
        world.origin.on_path("/", Answer::ok("new"));
        world.get("/");
        world.advance(61);
        let response = world.get_with("/", &[("Cache-Control", "max-stale")]);
        assert_eq!(response.text(), "new", "{control}");
    }
}

#[test]
fn a_client_may_want_it_fresher_than_the_origin_says() {
    let cases = [("min-fresh=50", true), ("min-fresh=51", false), ("max-age=10", true), ("max-age=9", false)];
    for (wish, hit) in cases {
        let world = stored();
        world.advance(10);
        let response = world.get_with("/", &[("Cache-Control", wish)]);
        assert_eq!(response.is_hit(), hit, "{wish}: {}", response.cache_status());
        assert_eq!(response.text(), "hello");
    }
}
