//! Extensions of RFC 9111: targeted cache control, groups, queries that mean the same.

use larder::caching::Targets;

use crate::support::{Answer, World};

#[test]
fn a_targeted_field_governs_and_reaches_the_client_as_it_is() {
    let world = World::new();
    let answer = Answer::cached("no-store").field("Larder-Cache-Control", "max-age=60");
    world.origin.now_on_path("/x", answer.body("hello"));
    assert_eq!(world.get("/x").cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    let hit = world.get("/x");
    assert!(hit.is_hit());
    assert_eq!(hit.field("Cache-Control"), Some("no-store"));
    assert_eq!(hit.field("Larder-Cache-Control"), Some("max-age=60"));
}

#[test]
fn the_field_of_another_kind_of_cache_is_honoured_when_it_is_listed() {
    let answer = || Answer::cached("max-age=60").field("CDN-Cache-Control", "no-store").body("hello");
    let world = World::new();
    world.origin.now_on_path("/x", answer());
    world.get("/x");
    assert!(world.get("/x").is_hit());
    let world = World::with(|setup| setup.cache_policy.targets = Targets::new(["CDN-Cache-Control"]));
    world.origin.now_on_path("/x", answer());
    assert_eq!(world.get("/x").cache_status(), "larder; fwd=uri-miss; detail=no-store");
}

#[test]
fn a_group_is_invalidated_by_name() {
    let world = World::new();
    for (path, groups) in [("/a", "\"news\", \"front\""), ("/b", "\"news\""), ("/c", "\"sports\"")] {
        let answer = Answer::cached("max-age=60").field("Cache-Groups", groups);
        world.origin.now_on_path(path, answer.body(path));
        world.get(path);
    }
    world.origin.now_on_path("/edit", Answer::status(204).field("Cache-Group-Invalidation", "\"news\""));
    // A safe method changes nothing, and neither does a failure.
    world.get("/edit");
    assert!(world.get("/a").is_hit() && world.get("/b").is_hit());
    world.origin.now_on_path("/fails", Answer::status(500).field("Cache-Group-Invalidation", "\"news\""));
    world.request("POST", "/fails", &[], "x");
    assert!(world.get("/a").is_hit());
    world.request("POST", "/edit", &[], "x");
    assert_eq!(
        [world.get("/a").is_hit(), world.get("/b").is_hit(), world.get("/c").is_hit()],
        [false, false, true]
    );
    // What came afterwards is fresh.
    assert!(world.get("/a").is_hit());
}

#[test]
fn what_is_in_one_group_with_the_target_goes_with_it() {
    let world = World::new();
    for path in ["/list", "/item"] {
        world
            .origin
            .now_on_path(path, Answer::cached("max-age=60").field("Cache-Groups", "\"shop\"").body("x"));
        world.get(path);
    }
    world.origin.now_on_path("/item", Answer::status(204));
    world.request("DELETE", "/item", &[], "");
    assert!(!world.get("/list").is_hit());
}

#[test]
fn a_group_of_another_origin_is_another_group() {
    let world = World::new();
    let other = crate::support::Origin::start();
    world.origin.now_on_path("/x", Answer::cached("max-age=60").field("Cache-Groups", "\"g\"").body("x"));
    world.get("/x");
    other.on_path("/edit", Answer::status(204).field("Cache-Group-Invalidation", "\"g\""));
    assert_eq!(world.client().request("POST", &other.url("/edit"), &[], "x").status(), 204);
    assert!(world.get("/x").is_hit());
}

/// An answer that says that its query's order and its `utm` mean nothing.
fn search(body: &str) -> Answer {
    Answer::cached("max-age=60").field("No-Vary-Search", "key-order, params=(\"utm\")").body(body)
}

#[test]
fn queries_that_mean_the_same_are_answered_by_one_response() {
    let world = World::new();
    world.origin.now_on_path("/s?a=1&b=2", search("one"));
    world.get("/s?a=1&b=2");
    let same = world.get("/s?utm=x&b=2&a=1");
    assert_eq!(same.text(), "one");
    assert_eq!(same.cache_status(), "larder; hit; ttl=60; detail=no-vary-search");
    world.origin.now_on_path("/s?a=2", Answer::fresh(60, "two"));
    assert_eq!(world.get("/s?a=2").text(), "two");
    world.origin.now_on_path("/t?a=1&b=2", Answer::fresh(60, "other"));
    assert_eq!(world.get("/t?a=1&b=2").text(), "other");
}

#[test]
fn a_response_to_another_query_answers_only_while_it_is_fresh() {
    let world = World::new();
    world.origin.now_on_path("/s?a=1", search("old"));
    world.get("/s?a=1");
    world.advance(60);
    world.origin.now_on_path("/s?a=1&utm=x", Answer::fresh(60, "new"));
    assert_eq!(world.get("/s?a=1&utm=x").text(), "new");
    let asked = world.origin.request("/s?a=1&utm=x");
    assert_eq!(asked.head.field("If-None-Match"), None);
}

#[test]
fn a_change_of_one_query_is_a_change_of_what_answers_it() {
    let world = World::new();
    world.origin.now_on_path("/s?a=1", search("old"));
    world.get("/s?a=1");
    world.origin.now_on_path("/s?a=1&utm=x", Answer::status(204));
    world.request("PUT", "/s?a=1&utm=x", &[], "new");
    world.origin.now_on_path("/s?a=1&utm=y", Answer::ok("new"));
    assert_eq!(world.get("/s?a=1&utm=y").text(), "new");
    assert!(!world.get("/s?a=1").is_hit());
}

#[test]
fn no_vary_search_can_be_switched_off() {
    let world = World::new();
    world.shared.searches.enable(false);
    world.origin.now_on_path("/s?a=1", search("one"));
    world.origin.now_on_path("/s?a=1&utm=x", Answer::fresh(60, "two"));
    world.get("/s?a=1");
    assert_eq!(world.get("/s?a=1&utm=x").text(), "two");
}
