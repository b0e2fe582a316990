//! Responses to POST that answer later requests for what they are about (RFC 9110 §9.3.3).

use crate::support::{Answer, Gate, World, request};

fn of_itself(body: &str) -> Answer {
    Answer::cached("max-age=60").field("Content-Location", "/").body(body)
}

#[test]
fn a_response_about_its_own_target_answers_get_and_head() {
    for content in ["", "question"] {
        let world = World::new();
        world.origin.on_path("/", of_itself("answer"));
        let posted = world.request("POST", "/", &[], content);
        assert_eq!((posted.status(), posted.text()), (200, "answer"));
        assert_eq!(posted.cache_status(), "larder; fwd=method; stored; ttl=60");
        let hit = world.get("/");
        assert_eq!((hit.is_hit(), hit.text()), (true, "answer"));
        assert!(world.request("HEAD", "/", &[], "").is_hit());
        assert!(!world.request("POST", "/", &[], content).is_hit());
        assert_eq!(world.origin.request_count(), 2);
    }
}

#[test]
fn without_one_of_the_conditions_it_is_not_stored() {
    let cases = [
        Answer::fresh(60, "answer"),
        Answer::cached("max-age=60").field("Content-Location", "/other").body("answer"),
        Answer::cached("max-age=60").field("Content-Location", "http://other.example/").body("answer"),
        Answer::status(200).field("Content-Location", "/").field("ETag", "\"a\"").body("answer"),
        Answer::cached("max-age=60, no-store").field("Content-Location", "/").body("answer"),
    ];
    for answer in cases {
        let world = World::new();
        world.origin.on_path("/", answer);
        assert_eq!(world.request("POST", "/", &[], "question").text(), "answer");
        assert!(!world.get("/").is_hit());
    }
}

#[test]
fn it_takes_the_place_of_what_the_request_has_invalidated() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "old")).on_path("/", of_itself("new"));
    world.get("/");
    world.request("POST", "/", &[], "question");
    assert_eq!(world.get("/").text(), "new");
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn the_connection_stays_open_behind_it() {
    let world = World::new();
    world.origin.on_path("/", of_itself("answer"));
    let mut client = world.client();
    let posted = client.request("POST", &world.url("/"), &[], "question");
    assert!(!posted.has("Connection"));
    assert!(client.get(&world.url("/")).is_hit());
}

#[test]
fn an_answer_that_came_before_the_whole_question_is_not_stored() {
    let world = World::new();
    world.origin.on_path("/", of_itself("early").early().close());
    let mut client = world.client();
    let head = request("POST", &world.url("/"), &[("Content-Length", "8")], "");
    client.send(head);
    assert_eq!(client.response().text(), "early");
    assert_eq!(world.shared.store.usage().objects, 0);
}

#[test]
fn what_another_has_invalidated_meanwhile_is_not_stored() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/", of_itself("one").after(&gate)).on_path("/", Answer::ok("done"));
    let mut slow = world.client();
    slow.send(request("POST", &world.url("/"), &[], "question"));
    gate.is_reached();
    world.request("PUT", "/", &[], "other");
    gate.open();
    assert_eq!(slow.response().text(), "one");
    assert!(!world.get("/").is_hit());
}
