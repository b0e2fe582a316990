//! Invalidation: what unsafe requests do to stored responses (RFC 9111 §4.4).

use crate::support::{Answer, Gate, Origin, World, request};

/// A world in which `/` and `/other` are stored, and fresh for an hour.
fn stored() -> World {
    let world = World::new();
    for path in ["/", "/other"] {
        world.origin.on_path(path, Answer::fresh(3600, "stored"));
        world.get(path);
        world.origin.now_on_path(path, Answer::fresh(3600, "new"));
    }
    world
}

#[test]
fn an_unsafe_request_that_succeeds_invalidates_its_target() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "MERGE"] {
        let world = stored();
        assert_eq!(world.request(method, "/", &[], "content").status(), 200);
        assert_eq!(world.get("/").text(), "new", "{method}");
        assert_eq!(world.get("/other").text(), "stored", "{method}");
    }
}

#[test]
fn a_redirect_counts_as_success() {
    let world = stored();
    world.origin.now_on_path("/", Answer::status(303).field("Location", "/done").body(""));
    world.request("POST", "/", &[], "content");
    world.origin.now_on_path("/", Answer::ok("new"));
    assert_eq!(world.get("/").text(), "new");
}

#[test]
fn an_unsafe_request_that_fails_invalidates_nothing() {
    for status in [400, 404, 500] {
        let world = stored();
        world.origin.now_on_path("/", Answer::status(status).body(""));
        world.request("POST", "/", &[], "content");
        assert_eq!(world.get("/").text(), "stored", "{status}");
    }
}

#[test]
fn a_safe_request_invalidates_nothing() {
    for method in ["OPTIONS", "TRACE", "PROPFIND", "FIND"] {
        let world = stored();
        world.request(method, "/", &[], "");
        let kept = world.get("/").text() == "stored";
        // A method whose safety Larder does not know counts as unsafe.
        assert_eq!(kept, method != "FIND", "{method}");
    }
}

#[test]
fn the_places_that_the_response_names_are_invalidated_too() {
    for name in ["Location", "Content-Location"] {
        let world = stored();
        world.origin.on_path("/form", Answer::status(201).field(name, "/other").body(""));
        world.request("POST", "/form", &[], "content");
        assert_eq!(world.get("/other").text(), "new", "{name}");
        assert_eq!(world.get("/").text(), "stored", "{name}");
    }
}

#[test]
fn nobody_invalidates_what_belongs_to_another_origin() {
    for name in ["Location", "Content-Location"] {
        let (world, attacker) = (stored(), Origin::start());
        let place = world.url("/other");
        attacker.on_path("/form", Answer::status(201).field(name, &place).body(""));
        world.client().request("POST", &attacker.url("/form"), &[], "content");
        assert_eq!(world.get("/other").text(), "stored", "{name}");
    }
}

#[test]
fn all_variants_go_at_once() {
    let world = World::new();
    let answer = |text: &str| Answer::cached("max-age=60").field("Vary", "X-Kind").body(text);
    world.origin.on_path("/", answer("a")).on_path("/", answer("b")).on_path("/", answer("new"));
    world.get_with("/", &[("X-Kind", "a")]);
    world.get_with("/", &[("X-Kind", "b")]);
    world.request("DELETE", "/", &[("X-Kind", "a")], "");
    for kind in ["a", "b"] {
        assert_eq!(world.get_with("/", &[("X-Kind", kind)]).text(), "new");
    }
}

#[test]
fn the_response_to_a_delete_is_not_stored() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "deleted")).on_path("/", Answer::ok("hello"));
    world.request("DELETE", "/", &[], "");
    assert_eq!(world.get("/").text(), "hello");
}

#[test]
fn a_response_that_is_still_arriving_is_invalidated_too() {
    let (world, gate) = (World::new(), Gate::new());
    let half = Answer::cached("max-age=60").field("Content-Length", "6").end_of_head().send("old");
    world.origin.on_path("/", half.wait(&gate).send("old"));
    world.origin.on_path("/", Answer::ok("changed")).on_path("/", Answer::ok("new"));
    let mut reading = world.client();
    reading.send(request("GET", &world.url("/"), &[], ""));
    reading.head();
    assert_eq!(world.request("PUT", "/", &[], "content").text(), "changed");
    gate.open();
    assert_eq!(reading.wire.exactly(6).bytes, b"oldold");
    // Who asks after the change was confirmed must not get what was there before it.
    assert_eq!(world.get("/").text(), "new");
}
