//! Collapsing when something goes away: the leader, the origin, or the reason to share.

use crate::support::{Answer, Client, End, Gate, World, eventually, request};

fn asking(world: &World, path: &str, fields: &[(&str, &str)]) -> Client {
    let mut client = world.client();
    client.send(request("GET", &world.url(path), fields, ""));
    client
}

/// A leader whose request has reached the origin, and followers that wait with it.
fn waiting(world: &World, followers: usize) -> (Client, Vec<Client>) {
    let leader = asking(world, "/", &[]);
    world.origin.has_requests(1);
    let followers = (0..followers).map(|_| asking(world, "/", &[])).collect();
    world.catch_up();
    (leader, followers)
}

/// The first five octets of `hello world`, then a wait.
fn half(gate: &Gate) -> Answer {
    let head = Answer::cached("max-age=60").field("Content-Length", "11").end_of_head();
    head.send("hello").wait(gate)
}

#[test]
fn a_leader_that_leaves_before_the_head_takes_nobody_with_it() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", Answer::fresh(60, "hello").after(&gate));
    let (leader, followers) = waiting(&world, 3);
    leader.reset();
    world.catch_up();
    gate.open();
    for mut follower in followers {
        assert_eq!(follower.response().text(), "hello");
    }
}

#[test]
fn a_leader_that_leaves_after_the_head_takes_nobody_with_it() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", half(&gate).send(" world"));
    let (mut leader, followers) = waiting(&world, 3);
    leader.head();
    leader.reset();
    world.catch_up();
    gate.open();
    for mut follower in followers {
        assert_eq!(follower.response().text(), "hello world");
    }
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn a_response_that_is_nearly_there_is_finished_for_the_store() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", half(&gate).send(" world"));
    let (mut only, _) = waiting(&world, 0);
    only.head();
    only.reset();
    world.catch_up();
    gate.open();
    eventually("the response is stored", || world.shared.store.usage().objects == 1);
    assert_eq!(world.get("/").text(), "hello world");
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn an_origin_that_dies_in_the_middle_deceives_nobody() {
    for answer in
        [|half: Answer| half.close(), |half: Answer| half.reset(), |half: Answer| half.send("").close()]
    {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", answer(half(&gate))).on_path("/", Answer::fresh(60, "all of it"));
        let (mut leader, mut followers) = waiting(&world, 4);
        let heads: Vec<_> = followers.iter_mut().map(Client::head).collect();
        gate.open();
        for (follower, head) in followers.iter_mut().zip(&heads) {
            assert_ne!(follower.body(head).end, End::Clean);
        }
        assert!(!leader.response().is_whole());
        let again = world.get("/");
        assert_eq!((again.is_hit(), again.text()), (false, "all of it"));
    }
}

#[test]
fn an_origin_that_falls_silent_in_the_middle_deceives_nobody() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", half(&gate)).on_path("/", Answer::fresh(60, "all of it"));
    let (mut leader, mut followers) = waiting(&world, 2);
    let head = leader.head();
    leader.wire.exactly(5);
    world.advance_until_heard(world.shared.limits.idle, &mut leader);
    assert_ne!(leader.body(&head).end, End::Clean);
    for follower in &mut followers {
        assert!(!follower.response().is_whole());
    }
    gate.open();
    assert_eq!(world.get("/").text(), "all of it");
}

#[test]
fn an_origin_that_does_not_answer_leaves_nobody_waiting() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", Answer::nothing().wait(&gate).close());
    let (mut leader, followers) = waiting(&world, 4);
    gate.open();
    assert_eq!(leader.response().status(), 502);
    for mut follower in followers {
        assert_eq!(follower.response().status(), 502);
    }
}

#[test]
fn what_cannot_be_shared_is_asked_for_by_each() {
    for control in ["no-store", "private", "max-age=60, private"] {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", Answer::cached(control).body("yours").after(&gate));
        let (mut leader, followers) = waiting(&world, 4);
        gate.open();
        assert_eq!(leader.response().text(), "yours");
        for mut follower in followers {
            let response = follower.response();
            assert_eq!(response.text(), "yours");
            assert!(!response.cache_status().contains("collapsed"), "{}", response.cache_status());
        }
        assert_eq!(world.origin.request_count(), 5, "{control}");
    }
}

#[test]
fn what_could_not_be_shared_is_not_waited_for_again() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", Answer::cached("no-store").body("first"));
    world.origin.on_path("/", Answer::cached("no-store").body("later").after(&gate));
    assert_eq!(world.get("/").text(), "first");
    let mut clients: Vec<_> = (0..5).map(|_| asking(&world, "/", &[])).collect();
    // All are with the origin while none of them has an answer.
    gate.is_reached_by(5);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "later");
    }
}

#[test]
fn a_follower_of_another_variant_asks_for_itself() {
    let (world, gate) = (World::new(), Gate::new());
    let answer = |text: &str| Answer::cached("max-age=60").field("Vary", "X-Kind").body(text);
    world.origin.on_path("/", answer("a").after(&gate)).on_path("/", answer("b"));
    let mut leader = asking(&world, "/", &[("X-Kind", "a")]);
    world.origin.has_requests(1);
    let mut same = asking(&world, "/", &[("X-Kind", "a")]);
    let mut other = asking(&world, "/", &[("X-Kind", "b")]);
    world.catch_up();
    gate.open();
    assert_eq!(leader.response().text(), "a");
    assert_eq!(same.response().text(), "a");
    assert_eq!(other.response().text(), "b");
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn requests_that_cannot_share_do_not_wait_for_each_other() {
    let kinds: &[&[(&str, &str)]] = &[
        &[("Authorization", "Basic eDp5")],
        &[("Cache-Control", "no-store")],
        &[("Range", "bytes=0-1")],
        &[("X-Forwarded-Host", "evil.example")],
    ];
    for fields in kinds {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", Answer::fresh(60, "hello").after(&gate));
        let mut clients = [asking(&world, "/", fields), asking(&world, "/", fields)];
        gate.is_reached_by(2);
        gate.open();
        for client in &mut clients {
            assert_eq!(client.response().text(), "hello", "{fields:?}");
        }
    }
}

#[test]
fn two_keys_do_not_wait_for_each_other() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/slow", Answer::fresh(60, "slow").after(&gate));
    world.origin.on_path("/quick", Answer::fresh(60, "quick"));
    let mut slow = asking(&world, "/slow", &[]);
    world.origin.has_requests(1);
    assert_eq!(world.get("/quick").text(), "quick");
    gate.open();
    assert_eq!(slow.response().text(), "slow");
}

#[test]
fn a_follower_is_judged_by_the_policy_in_force() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", half(&gate).send(" world"));
    let mut leader = asking(&world, "/", &[]);
    let head = leader.head();
    world.swap_access("block = ['127.0.0.1']");
    assert_eq!(world.get("/").status(), 403);
    gate.open();
    assert_eq!(leader.body(&head).bytes, b"hello world");
}

#[test]
fn a_304_to_a_clients_own_condition_does_not_end_sharing() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", Answer::status(304).field("ETag", "\"one\"").end_of_head());
    world.origin.on_path("/", Answer::fresh(60, "hello").after(&gate));
    assert_eq!(world.get_with("/", &[("If-None-Match", "\"one\"")]).status(), 304);
    let mut clients: Vec<_> = (0..3).map(|_| asking(&world, "/", &[])).collect();
    world.origin.has_requests(2);
    world.catch_up();
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "hello");
    }
    assert_eq!(world.origin.request_count(), 2);
}
