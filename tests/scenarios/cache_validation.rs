//! Validation: the origin is asked whether a stored response is still good (RFC 9111 §4.3).

use crate::support::{Answer, Response, World};

const MODIFIED: &str = "Sun, 02 Jun 2024 07:00:00 GMT";

/// A 304, its head still open.
fn not_modified() -> Answer {
    Answer::status(304)
}

/// A world in which `/` is stored with an entity tag, was fresh for 60 s and is stale by now;
/// the origin will answer like this.
fn stale_world(then: Answer) -> World {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").field("ETag", "\"one\"").body("first"));
    world.origin.on_path("/", then);
    world.get("/");
    world.advance(61);
    world
}

fn told(response: &Response) -> (u16, &str, &str) {
    (response.status(), response.text(), response.cache_status())
}

#[test]
fn an_expired_response_is_validated_as_the_origin_described_it() {
    let world = World::new();
    let answer = Answer::cached("max-age=60").field("ETag", "W/\"v.1\"").field("Last-Modified", MODIFIED);
    world.origin.on_path("/", answer.body("hello"));
    world.origin.on_path("/", not_modified().end_of_head());
    world.get("/");
    world.advance(59);
    assert!(world.get("/").is_hit());
    world.advance(1);
    assert_eq!(world.get("/").status(), 200);
    let asked = &world.origin.requests("/")[1].head;
    assert_eq!(asked.all("If-None-Match"), ["W/\"v.1\""]);
    assert_eq!(asked.all("If-Modified-Since"), [MODIFIED]);
}

#[test]
fn a_304_freshens_and_updates_what_is_stored() {
    let then = not_modified().field("Cache-Control", "max-age=100").field("X-Edition", "2");
    let world = stale_world(then.end_of_head());
    let validated = world.get("/");
    assert_eq!(told(&validated), (200, "first", "larder; fwd=stale; fwd-status=304; stored; ttl=100"));
    assert_eq!(validated.field("X-Edition"), Some("2"));
    world.advance(99);
    let hit = world.get("/");
    assert_eq!(told(&hit), (200, "first", "larder; hit; ttl=1"));
    assert_eq!((hit.field("X-Edition"), hit.field("Age")), (Some("2"), Some("99")));
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn a_200_replaces_what_is_stored() {
    let world = stale_world(Answer::fresh(60, "second"));
    let replaced = world.get("/");
    assert_eq!(told(&replaced), (200, "second", "larder; fwd=stale; fwd-status=200; stored; ttl=60"));
    assert_eq!(world.get("/").text(), "second");
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn a_404_replaces_what_is_stored() {
    let world = stale_world(Answer::status(404).body("gone"));
    assert_eq!(told(&world.get("/")).0, 404);
    assert_eq!(told(&world.get("/")).0, 404);
}

#[test]
fn a_request_that_wants_validation_gets_it() {
    for (name, value) in
        [("Cache-Control", "no-cache"), ("Cache-Control", "max-age=0"), ("Pragma", "no-cache")]
    {
        let world = World::new();
        world.origin.on_path("/", Answer::cached("max-age=60").field("ETag", "\"one\"").body("first"));
        world.origin.on_path("/", not_modified().end_of_head());
        world.get("/");
        world.advance(1);
        let response = world.get_with("/", &[(name, value)]);
        assert_eq!((response.status(), response.text()), (200, "first"), "{name}: {value}");
        assert!(response.cache_status().contains("fwd=request"), "{}", response.cache_status());
        assert_eq!(world.origin.requests("/")[1].head.field("If-None-Match"), Some("\"one\""));
    }
}

#[test]
fn a_response_with_no_cache_is_validated_each_time() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("no-cache").field("ETag", "\"one\"").body("first"));
    world.origin.on_path("/", not_modified().end_of_head());
    for _ in 0..3 {
        assert_eq!(world.get("/").text(), "first");
    }
    let tags: Vec<_> = world.origin.requests("/").iter().map(|seen| seen.head.has("If-None-Match")).collect();
    assert_eq!(tags, [false, true, true]);
}

#[test]
fn the_clients_own_condition_is_answered_after_the_validation() {
    for (tag, status) in [("\"old\"", 200), ("\"one\"", 304)] {
        let world = stale_world(not_modified().end_of_head());
        let response = world.get_with("/", &[("If-None-Match", tag)]);
        assert_eq!(response.status(), status, "{tag}");
        assert_eq!(world.origin.requests("/")[1].head.all("If-None-Match"), ["\"one\""]);
    }
}

#[test]
fn without_a_validator_the_origin_is_asked_for_the_whole() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "first")).on_path("/", Answer::fresh(60, "second"));
    world.get("/");
    world.advance(61);
    assert_eq!(world.get("/").text(), "second");
    let asked = &world.origin.requests("/")[1].head;
    assert!(!asked.has("If-None-Match") && !asked.has("If-Modified-Since"));
}

#[test]
fn a_304_for_another_representation_is_not_believed() {
    let world = stale_world(not_modified().field("ETag", "\"other\"").end_of_head());
    world.origin.on_path("/", Answer::fresh(60, "second"));
    assert_eq!(world.get("/").text(), "second");
    let asked = world.origin.requests("/");
    assert_eq!(
        asked.iter().map(|seen| seen.head.has("If-None-Match")).collect::<Vec<_>>(),
        [false, true, false]
    );
}

#[test]
fn a_304_that_takes_permission_back_empties_the_shared_cache() {
    let fields = [("Cache-Control", "no-store", "no-store"), ("Cache-Control", "private", "private")];
    for (name, value, detail) in fields {
        let world = stale_world(not_modified().field(name, value).end_of_head());
        world.origin.on_path("/", Answer::ok("second"));
        let validated = world.get("/");
        assert_eq!((validated.status(), validated.text()), (200, "first"), "{name}: {value}");
        let expected = format!("detail={detail}");
        assert!(validated.cache_status().ends_with(&expected), "{}", validated.cache_status());
        assert!(!validated.cache_status().contains("stored"));
        assert_eq!(world.get("/").text(), "second");
        assert!(!world.origin.requests("/")[2].head.has("If-None-Match"), "{name}: {value}");
    }
}

#[test]
fn a_304_freshens_all_that_its_request_selects_by_a_strong_tag() {
    for (tag, is_strong) in [("\"one\"", true), ("W/\"one\"", false)] {
        let world = World::new();
        let answer =
            |vary: &str| Answer::cached("max-age=60").field("ETag", tag).field("Vary", vary).body(vary);
        world.origin.on_path("/", answer("X")).on_path("/", answer("X")).on_path("/", answer("Y"));
        world.get_with("/", &[("X", "2")]);
        world.get_with("/", &[("X", "1")]);
        world.advance(1);
        world.get_with("/", &[("Y", "1")]);
        world.advance(61);
        world.origin.now_on_path("/", Answer::status(304).field("ETag", tag).end_of_head());
        // It selects two of the three, and asks about the one that came last.
        let both = world.get_with("/", &[("X", "1"), ("Y", "1")]);
        assert!(both.cache_status().contains("fwd-status=304"), "{tag}: {both:?}");
        assert_eq!(both.text(), "Y", "{tag}");
        assert!(world.get_with("/", &[("Y", "1")]).is_hit(), "{tag}");
        assert_eq!(world.get_with("/", &[("X", "1")]).is_hit(), is_strong, "{tag}");
        assert!(!world.get_with("/", &[("X", "2")]).is_hit(), "{tag}");
    }
}

#[test]
fn a_head_request_freshens_what_is_stored() {
    let world = World::new();
    let answer = Answer::cached("max-age=60").field("ETag", "\"one\"");
    world.origin.on_path("/", answer.clone().body("first")).on_path("/", answer.field("Content-Length", "5"));
    world.get("/");
    world.advance(61);
    assert_eq!(world.request("HEAD", "/", &[], "").status(), 200);
    let hit = world.get("/");
    assert_eq!((hit.is_hit(), hit.text()), (true, "first"));
}

#[test]
fn a_head_request_that_finds_another_representation_invalidates() {
    let world = World::new();
    let answer = |tag: &str| Answer::cached("max-age=60").field("ETag", tag);
    world.origin.on_path("/", answer("\"one\"").body("first")).on_path("/", answer("\"two\""));
    world.origin.on_path("/", answer("\"two\"").body("second"));
    world.get("/");
    world.advance(61);
    world.request("HEAD", "/", &[], "");
    assert_eq!(world.get("/").text(), "second");
}

#[test]
fn an_argument_of_immutable_means_nothing() {
    let world = World::new();
    let answer = Answer::cached("max-age=60, immutable=\"no-store\"").field("ETag", "\"a\"");
    world.origin.on_path("/", answer.body("hello"));
    world.get("/");
    assert!(world.get("/").is_hit());
    world.advance(61);
    assert!(!world.get("/").is_hit());
    assert_eq!(world.origin.requests("/")[1].head.field("If-None-Match"), Some("\"a\""));
}
