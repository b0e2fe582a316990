//! Stale responses in place of an origin that fails (RFC 9111 §4.2.4, RFC 5861 §4).

use crate::support::{Answer, Response, World};

const DAY: u64 = 86_400;

/// A world in which `/` was stored with this `Cache-Control`, and whose origin is gone.
fn without_origin(control: &str) -> World {
    let mut world = World::new();
    world.origin.on_path("/", Answer::cached(control).field("ETag", "\"one\"").body("old"));
    world.get("/");
    world.origin.stop();
    world
}

fn served(response: &Response) -> bool {
    match response.status() {
        200 => response.text() == "old",
        status => {
            assert_eq!(status, 502);
            assert_eq!(response.proxy_error(), "connection_refused");
            false
        }
    }
}

#[test]
fn an_origin_that_is_down_is_stood_in_for() {
    let world = without_origin("max-age=60");
    world.advance(100);
    let stale = world.get("/");
    assert_eq!((stale.status(), stale.text(), stale.field("Age")), (200, "old", Some("100")));
    assert_eq!(stale.cache_status(), "larder; fwd=stale; ttl=-40; detail=stale-if-error");
}

#[test]
fn an_origin_that_closes_without_an_answer_is_stood_in_for() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "old")).on_path("/", Answer::nothing().close());
    world.get("/");
    world.advance(61);
    assert_eq!(world.get("/").text(), "old");
}

#[test]
fn an_origin_that_says_it_fails_is_stood_in_for() {
    for status in [500, 502, 503, 504] {
        let world = World::new();
        world.origin.on_path("/", Answer::fresh(60, "old"));
        world.origin.on_path("/", Answer::status(status).body("failed"));
        world.get("/");
        world.advance(61);
        let stale = world.get("/");
        assert_eq!((stale.status(), stale.text()), (200, "old"));
        let expected = format!("larder; fwd=stale; fwd-status={status}; ttl=-1; detail=stale-if-error");
        assert_eq!(stale.cache_status(), expected);
    }
}

#[test]
fn when_the_origin_is_back_it_is_asked_again() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "old")).on_path("/", Answer::status(503).body(""));
    world.origin.on_path("/", Answer::fresh(60, "new"));
    world.get("/");
    world.advance(61);
    assert_eq!(world.get("/").text(), "old");
    assert_eq!(world.get("/").text(), "new");
}

#[test]
fn the_operators_limit_ends_it() {
    for (age, is_served) in [(60 + DAY, true), (61 + DAY, false)] {
        let world = without_origin("max-age=60");
        world.advance(age);
        assert_eq!(served(&world.get("/")), is_served, "{age}");
    }
}

#[test]
fn the_origins_own_limit_goes_before() {
    for (age, is_served) in [(90, true), (91, false)] {
        let world = without_origin("max-age=60, stale-if-error=30");
        world.advance(age);
        assert_eq!(served(&world.get("/")), is_served, "{age}");
    }
}

#[test]
fn the_clients_limit_goes_before() {
    for (age, is_served) in [(90, true), (91, false)] {
        let world = without_origin("max-age=60");
        world.advance(age);
        let response = world.get_with("/", &[("Cache-Control", "stale-if-error=30")]);
        assert_eq!(served(&response), is_served, "{age}");
    }
}

#[test]
fn what_must_be_validated_is_not_served_stale() {
    for control in ["max-age=60, must-revalidate", "max-age=60, proxy-revalidate", "s-maxage=60", "no-cache"]
    {
        let world = without_origin(control);
        world.advance(61);
        assert!(!served(&world.get("/")), "{control}");
    }
}

#[test]
fn a_client_that_wants_validation_is_told_of_the_failure() {
    let world = without_origin("max-age=60");
    assert!(!served(&world.get_with("/", &[("Cache-Control", "no-cache")])));
    assert!(served(&world.get("/")), "it is still stored");
}

#[test]
fn a_fresh_response_needs_no_origin() {
    let world = without_origin("max-age=60, must-revalidate");
    assert!(world.get("/").is_hit());
}
