//! Rows 1.3 and 1.4 again: what is stored follows the order in which origins were asked, and a HEAD that
//! disagrees has what is stored validated.

use crate::support::{Answer, Client, Gate, World, request};

const FRESH: &str = "max-age=60";

fn asking(world: &World, fields: &[(&str, &str)]) -> Client {
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), fields, ""));
    client
}

/// A world whose first GET has this answer, behind the gate, while a later one gets `v2`.
fn with_slow(first: Answer) -> (World, Client) {
    let world = World::new();
    world.origin.on_path("/", first).on_path("/", Answer::cached(FRESH).field("ETag", "\"2\"").body("v2"));
    let slow = asking(&world, &[]);
    world.origin.has_requests(1);
    assert_eq!(world.get_with("/", &[("Cache-Control", "no-cache")]).text(), "v2");
    assert!(world.get("/").is_hit());
    (world, slow)
}

#[test]
fn case_1_4_a_response_that_was_asked_for_before_takes_no_newer_ones_place() {
    for (status, control) in [(200, FRESH), (404, FRESH), (301, "max-age=9000")] {
        let gate = Gate::new();
        let first = Answer::status(status).field("Cache-Control", control).field("ETag", "\"1\"").body("v1");
        let (world, mut slow) = with_slow(first.after(&gate));
        gate.open();
        let old = slow.response();
        assert_eq!((old.status(), old.text()), (status, "v1"));
        assert_eq!(old.cache_status(), "larder; fwd=uri-miss; detail=outdated");
        let next = world.get("/");
        assert_eq!((next.is_hit(), next.text()), (true, "v2"));
    }
}

#[test]
fn case_1_4_nor_does_one_whose_content_comes_late() {
    let gate = Gate::new();
    let first = Answer::cached(FRESH).field("Content-Length", "2").end_of_head();
    let (world, mut slow) = with_slow(first.wait(&gate).send("v1"));
    gate.open();
    assert_eq!(slow.response().text(), "v1");
    world.catch_up();
    let next = world.get("/");
    assert_eq!((next.is_hit(), next.text()), (true, "v2"));
}

#[test]
fn case_1_4_nor_one_that_was_validated_meanwhile() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", Answer::cached("max-age=1").field("ETag", "\"2\"").body("v2"));
    world.origin.on_path("/", Answer::cached(FRESH).field("ETag", "\"1\"").body("v1").after(&gate));
    let update = Answer::status(304).field("ETag", "\"2\"").field("Cache-Control", FRESH);
    world.origin.on_path("/", update.end_of_head());
    world.get("/");
    world.advance(2);
    let mut slow = asking(&world, &[("Cache-Control", "no-cache")]);
    world.origin.has_requests(2);
    assert_eq!(world.get("/").text(), "v2");
    gate.open();
    assert_eq!(slow.response().text(), "v1");
    let next = world.get("/");
    assert_eq!((next.is_hit(), next.text()), (true, "v2"));
}

#[test]
fn case_1_3_a_head_that_disagrees_has_what_is_stored_validated() {
    for said in [&[("ETag", "\"b\"")][..], &[("ETag", "\"a\""), ("Content-Length", "4")], &[]] {
        let world = World::new();
        world.origin.on_path("/", Answer::cached("max-age=1000").field("ETag", "\"a\"").body("OLD"));
        let head = Answer::cached("max-age=1000");
        let head = said.iter().fold(head, |head, (name, value)| head.field(name, value));
        let update = Answer::status(304).field("ETag", "\"a\"").field("Cache-Control", "max-age=1000");
        world.origin.on_path("/", head).on_path("/", update.end_of_head());
        world.get("/");
        assert_eq!(world.request("HEAD", "/", &[("Cache-Control", "no-cache")], "").status(), 200);
        let patient = [("Cache-Control", "max-stale=9000, only-if-cached")];
        assert_eq!(world.get_with("/", &patient).status(), 504, "{said:?}");
        let next = world.get("/");
        assert_eq!(next.text(), "OLD");
        assert_eq!(next.cache_status(), "larder; fwd=stale; fwd-status=304; stored; ttl=1000", "{said:?}");
        assert_eq!(world.origin.requests("/")[2].head.field("If-None-Match"), Some("\"a\""));
        let hit = world.get("/");
        assert_eq!((hit.is_hit(), hit.cache_status()), (true, "larder; hit; ttl=1000"));
    }
}

#[test]
fn case_1_3_and_does_not_stand_in_for_an_origin_that_fails() {
    let world = World::new();
    let whole = Answer::cached("max-age=1000, stale-if-error=1000").field("ETag", "\"a\"");
    world.origin.on_path("/", whole.body("OLD")).on_path("/", Answer::cached(FRESH).field("ETag", "\"b\""));
    world.origin.on_path("/", Answer::status(503).body("down"));
    world.get("/");
    world.request("HEAD", "/", &[("Cache-Control", "no-cache")], "");
    assert_eq!(world.get("/").status(), 503);
}

#[test]
fn case_1_4_a_part_that_came_meanwhile_keeps_no_whole_out() {
    let (world, gate) = (World::new(), Gate::new());
    let whole = Answer::cached(FRESH).field("ETag", "\"a\"").field("Content-Length", "10").end_of_head();
    world.origin.on_path("/", whole.send("01234").wait(&gate).send("56789"));
    let part = Answer::status(206).field("ETag", "\"a\"").field("Cache-Control", FRESH);
    world.origin.on_path("/", part.field("Content-Range", "bytes 0-4/10").body("01234"));
    let mut first = asking(&world, &[]);
    let head = first.head();
    assert_eq!(world.get_with("/", &[("Range", "bytes=0-4")]).text(), "01234");
    gate.open();
    assert_eq!(first.body(&head).bytes, b"0123456789");
    world.catch_up();
    let next = world.get("/");
    assert_eq!((next.is_hit(), next.text()), (true, "0123456789"));
    assert_eq!(world.origin.request_count(), 2);
}
