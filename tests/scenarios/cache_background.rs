//! Stale responses that are served at once, and validated behind their client's back (RFC 5861 §3).

use crate::support::{Answer, Gate, Setup, World, eventually, request};

const WINDOW: &str = "max-age=60, stale-while-revalidate=30";

/// A response with an entity tag, for the window.
fn tagged(tag: &str, body: &str) -> Answer {
    Answer::cached(WINDOW).field("ETag", tag).body(body)
}

/// A world in which `/` was stored, and has been stale for three seconds.
fn stale_with(change: impl FnOnce(&mut Setup)) -> World {
    let world = World::with(change);
    world.origin.on_path("/", tagged("\"one\"", "old"));
    world.get("/");
    world.advance(63);
    world
}

fn stale() -> World {
    stale_with(|_| {})
}

/// Waits until `/` is served as fresh, and gives what it says.
fn once_fresh(world: &World) -> String {
    let is_fresh = || {
        let response = world.get("/");
        response.is_hit() && !response.cache_status().contains("ttl=-")
    };
    eventually("the validation's end", is_fresh);
    world.get("/").text().to_owned()
}

#[test]
fn who_comes_within_the_window_waits_for_nobody() {
    let world = stale();
    let gate = Gate::new();
    world.origin.now_on_path("/", tagged("\"two\"", "new").after(&gate));
    let hit = world.get("/");
    assert_eq!((hit.text(), hit.field("Age")), ("old", Some("63")));
    assert_eq!(hit.cache_status(), "larder; hit; ttl=-3; detail=stale-while-revalidate");
    gate.is_reached();
    assert_eq!(world.origin.requests("/")[1].head.field("If-None-Match"), Some("\"one\""));
    gate.open();
    assert_eq!(once_fresh(&world), "new");
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn a_304_in_the_background_freshens() {
    let world = stale();
    world.origin.now_on_path("/", Answer::status(304).field("ETag", "\"one\"").end_of_head());
    world.get("/");
    assert_eq!(once_fresh(&world), "old");
    assert_eq!(world.get("/").cache_status(), "larder; hit; ttl=60");
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn one_validation_at_a_time_serves_all() {
    let world = stale_with(|setup| setup.workers = 3);
    let gate = Gate::new();
    world.origin.now_on_path("/", tagged("\"two\"", "new").after(&gate));
    for _ in 0..10 {
        assert_eq!(world.get("/").text(), "old");
    }
    gate.is_reached();
    assert_eq!(world.origin.request_count(), 2);
    gate.open();
    assert_eq!(once_fresh(&world), "new");
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn who_comes_behind_the_window_waits_for_the_validation_under_way() {
    let world = stale();
    let gate = Gate::new();
    world.origin.now_on_path("/", tagged("\"two\"", "new").after(&gate));
    world.get("/");
    gate.is_reached();
    world.advance(28);
    let mut late = world.client();
    late.send(request("GET", &world.url("/"), &[], ""));
    world.catch_up();
    gate.open();
    assert_eq!(late.response().text(), "new");
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn behind_the_window_the_origin_is_waited_for() {
    let world = stale();
    world.origin.now_on_path("/", tagged("\"two\"", "new"));
    world.advance(28);
    let response = world.get("/");
    assert_eq!(response.text(), "new");
    assert_eq!(response.cache_status(), "larder; fwd=stale; fwd-status=200; stored; ttl=60");
}

#[test]
fn a_failure_in_the_background_leaves_the_window_open() {
    for failure in
        [Answer::nothing().close(), Answer::status(503).body("no"), Answer::raw("nonsense\r\n\r\n")]
    {
        let world = stale();
        world.origin.now_on_path("/", failure);
        for asked in 2..4 {
            assert_eq!(world.get("/").text(), "old");
            eventually("the validation's request", || world.origin.request_count() >= asked);
        }
        world.origin.now_on_path("/", tagged("\"two\"", "new"));
        assert_eq!(once_fresh(&world), "new");
    }
}

#[test]
fn an_answer_for_nobody_else_does_not_end_validations() {
    let world = stale();
    // Neither stored, nor a reason to drop what is stored.
    world.origin.now_on_path("/", Answer::status(403).body("no"));
    for asked in 2..5 {
        assert_eq!(world.get("/").text(), "old");
        let again = || world.origin.request_count() >= asked || world.get("/").text() != "old";
        eventually("the validation's request", again);
    }
    world.origin.now_on_path("/", tagged("\"two\"", "new"));
    assert_eq!(once_fresh(&world), "new");
}

#[test]
fn what_the_origin_does_not_want_shared_any_more_is_not_served_again() {
    let world = stale();
    world.origin.now_on_path("/", Answer::cached("no-store").body("mine"));
    assert_eq!(world.get("/").text(), "old");
    eventually("the removal", || world.shared.store.usage().objects == 0);
    assert_eq!(world.get("/").text(), "mine");
}

#[test]
fn the_validation_is_for_everybody_and_not_for_the_client() {
    let world = stale();
    world.origin.now_on_path("/", tagged("\"two\"", "new"));
    let fields = [
        ("Cache-Control", "only-if-cached"),
        ("Pragma", "x"),
        ("Range", "bytes=0-0"),
        ("If-Range", "\"one\""),
        ("If-None-Match", "\"zero\""),
        ("X-Mine", "1"),
    ];
    let part = world.request("GET", "/", &fields, "");
    assert_eq!((part.status(), part.text()), (206, "o"));
    assert_eq!(once_fresh(&world), "new");
    let asked = &world.origin.requests("/")[1].head;
    assert_eq!(asked.all("If-None-Match"), ["\"one\""]);
    assert_eq!(asked.field("X-Mine"), Some("1"));
    for name in ["Cache-Control", "Pragma", "Range", "If-Range", "Connection"] {
        assert!(!asked.has(name), "{name}");
    }
}

#[test]
fn head_is_served_too_and_the_content_is_validated() {
    let world = stale();
    world.origin.now_on_path("/", tagged("\"two\"", "new"));
    let head = world.request("HEAD", "/", &[], "");
    assert_eq!(head.cache_status(), "larder; hit; ttl=-3; detail=stale-while-revalidate");
    assert_eq!(once_fresh(&world), "new");
    assert_eq!(world.origin.requests("/")[1].head.part(0), "GET");
}

#[test]
fn large_content_is_fetched_whole_without_a_client() {
    let world = stale();
    let large = "0123456789".repeat(300_000);
    world.origin.now_on_path("/", tagged("\"two\"", &large));
    world.get("/");
    assert_eq!(once_fresh(&world), large);
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn a_304_for_something_else_is_asked_about_anew() {
    let world = stale();
    world.origin.now_on_path("/", Answer::status(304).field("ETag", "\"other\"").end_of_head());
    world.origin.on_path("/", tagged("\"two\"", "new"));
    world.get("/");
    assert_eq!(once_fresh(&world), "new");
    assert!(!world.origin.requests("/")[2].head.has("If-None-Match"));
}

#[test]
fn no_more_than_a_limit_run_on_one_worker() {
    const LIMIT: usize = 64;
    let world = World::new();
    let gate = Gate::new();
    let paths: Vec<_> = (0..LIMIT + 6).map(|number| format!("/{number}")).collect();
    for path in &paths {
        world
            .origin
            .on_path(path, tagged("\"one\"", "old"))
            .on_path(path, tagged("\"two\"", "new").after(&gate));
        world.get(path);
    }
    world.advance(63);
    for path in &paths {
        assert_eq!(world.get(path).text(), "old");
    }
    gate.is_reached_by(LIMIT);
    assert_eq!(world.origin.request_count(), paths.len() + LIMIT);
    gate.open();
}
