//! Storing: which responses may be shared, and what is said about the others (RFC 9111 §3).

use larder::caching::SetCookie;

use crate::support::{Answer, World};

type Line = (&'static str, &'static str);

/// Asks twice with this field; what the first `Cache-Status` says, and whether the second was a hit.
fn twice(world: &World, path: &str, asked: &[Line]) -> (String, bool) {
    let first = world.get_with(path, asked).cache_status().to_owned();
    (first, world.get_with(path, asked).is_hit())
}

fn answer(fields: &[Line]) -> Answer {
    fields.iter().fold(Answer::status(200), |answer, (name, value)| answer.field(name, value)).body("hello")
}

#[test]
fn what_may_not_be_stored_is_not_and_says_why() {
    const FRESH: Line = ("Cache-Control", "max-age=60");
    let cases: &[(&[Line], &[Line], &str)] = &[
        (&[], &[("Cache-Control", "max-age=60, no-store")], "no-store"),
        (&[], &[("Cache-Control", "max-age=60, private")], "private"),
        (&[("Cache-Control", "no-store")], &[FRESH], "request-no-store"),
        (&[("Authorization", "Basic eDp5")], &[FRESH], "authorization"),
        (&[], &[FRESH, ("Set-Cookie", "id=1")], "set-cookie"),
        (&[], &[FRESH, ("Vary", "*")], "vary-star"),
        (&[], &[FRESH, ("Vary", "Cookie")], "vary-secret"),
        (&[], &[], "no-freshness"),
        (&[], &[("Cache-Control", "no-cache")], "no-validator"),
        (&[("X-Forwarded-Host", "evil.example")], &[FRESH], "unkeyed-field"),
        (&[("X-Original-URL", "/admin")], &[FRESH], "unkeyed-field"),
        (&[("Forwarded", "host=evil.example")], &[FRESH], "unkeyed-field"),
        (&[("X-HTTP-Method-Override", "DELETE")], &[FRESH], "method-override"),
    ];
    let world = World::new();
    for (number, (asked, said, detail)) in cases.iter().enumerate() {
        let path = format!("/{number}");
        world.origin.on_path(&path, answer(said));
        let expected = (format!("larder; fwd=uri-miss; detail={detail}"), false);
        assert_eq!(twice(&world, &path, asked), expected, "{asked:?} {said:?}");
        assert_eq!(world.origin.requests(&path).len(), 2);
    }
    assert_eq!(world.shared.store.usage().objects, 0);
}

#[test]
fn what_an_authorised_request_got_is_shared_when_the_origin_says_so() {
    let world = World::new();
    for control in ["public, max-age=60", "s-maxage=60", "max-age=60, must-revalidate"] {
        let path = format!("/{}", control.len());
        world.origin.on_path(&path, Answer::cached(control).body("hello"));
        world.get_with(&path, &[("Authorization", "Basic eDp5")]);
        assert!(world.get(&path).is_hit(), "{control}");
    }
}

#[test]
fn a_cookie_is_shared_as_the_operator_chose() {
    let cases = [
        (SetCookie::Shared, "max-age=60", false),
        (SetCookie::Shared, "public, max-age=60", true),
        (SetCookie::Shared, "s-maxage=60", true),
        (SetCookie::Rfc, "max-age=60", true),
        (SetCookie::Never, "max-age=60", false),
        (SetCookie::Never, "public, max-age=60", false),
    ];
    for (set_cookie, control, hit) in cases {
        let world = World::with(|setup| setup.cache_policy.set_cookie = set_cookie);
        world.origin.on_path("/", answer(&[("Cache-Control", control), ("Set-Cookie", "id=1")]));
        assert_eq!(twice(&world, "/", &[]).1, hit, "{set_cookie:?} {control}");
    }
}

#[test]
fn a_cookie_that_the_origin_withholds_is_given_to_the_first_client_alone() {
    let world = World::new();
    let control = "max-age=60, no-cache=\"Set-Cookie\"";
    world.origin.on_path("/", answer(&[("Cache-Control", control), ("Set-Cookie", "id=1")]));
    world.get("/");
    let hit = world.get("/");
    assert!(hit.is_hit() && !hit.has("Set-Cookie"));
}

#[test]
fn the_lifetime_for_shared_caches_goes_first() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=1000, s-maxage=60").body("hello"));
    assert_eq!(world.get("/").cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    world.advance(60);
    assert!(!world.get("/").is_hit());
}

#[test]
fn expires_says_how_long_a_response_is_fresh() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(200).field("Expires", &world.date(60)).body("hello"));
    world.get("/");
    world.advance(59);
    assert_eq!(world.get("/").cache_status(), "larder; hit; ttl=1");
    world.advance(1);
    assert!(!world.get("/").is_hit());
}

#[test]
fn a_validator_lets_freshness_be_guessed() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(200).field("Last-Modified", &world.date(-1000)).body("hello"));
    world.get("/");
    world.advance(99);
    assert_eq!(world.get("/").cache_status(), "larder; hit; ttl=1");
    world.advance(1);
    assert!(!world.get("/").is_hit());
}

#[test]
fn what_the_store_refused_once_is_stored_when_the_origin_changes_its_mind() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("no-store").body("one"));
    world.origin.on_path("/", Answer::fresh(60, "two"));
    assert_eq!(world.get("/").text(), "one");
    assert_eq!(world.get("/").text(), "two");
    assert!(world.get("/").is_hit());
}

#[test]
fn a_post_is_not_answered_from_the_store() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "hello"));
    world.get("/");
    let response = world.request("POST", "/", &[], "content");
    assert_eq!((response.status(), response.cache_status()), (200, "larder; fwd=method"));
    assert_eq!(world.origin.request_count(), 2);
}
