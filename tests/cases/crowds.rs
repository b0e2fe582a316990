//! Row 4.2: many who want the same at once. Who has waited shares what came, or has not waited.

use crate::support::{Answer, Client, Gate, World, request};

fn asking(world: &World, fields: &[(&str, &str)]) -> Client {
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), fields, ""));
    client
}

/// So many clients that have asked, while the origin has the first of their requests.
fn crowd(world: &World, clients: usize, fields: &[(&str, &str)]) -> Vec<Client> {
    let before = world.origin.request_count();
    let mut all = vec![asking(world, fields)];
    world.origin.has_requests(before + 1);
    all.extend((1..clients).map(|_| asking(world, fields)));
    world.catch_up();
    all
}

/// What each of them gets: status, text, and how many of them shared another's exchange.
fn answers(clients: Vec<Client>) -> (Vec<(u16, String)>, usize) {
    let responses: Vec<_> = clients.into_iter().map(|mut client| client.response()).collect();
    let collapsed = responses.iter().filter(|response| response.cache_status().contains("; collapsed"));
    let collapsed = collapsed.count();
    (responses.into_iter().map(|r| (r.status(), r.text().to_owned())).collect(), collapsed)
}

fn each(clients: usize, status: u16, text: &str) -> Vec<(u16, String)> {
    vec![(status, text.to_owned()); clients]
}

/// Responses that are validated for each use.
const VALIDATED: [&str; 5] =
    ["max-age=0", "no-cache", "no-cache, max-age=60", "max-age=0, must-revalidate", "s-maxage=0"];

#[test]
fn case_4_2_a_crowd_shares_one_validation() {
    for control in VALIDATED.into_iter().chain(["x"]) {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", Answer::cached(control).field("ETag", "\"a\"").body("hello"));
        let update = Answer::status(304).field("ETag", "\"a\"").end_of_head();
        world.origin.on_path("/", update.after(&gate));
        world.get("/");
        for turn in 1..3 {
            let clients = crowd(&world, 4, &[]);
            gate.open();
            assert_eq!(answers(clients), (each(4, 200, "hello"), 3), "{control}");
            assert_eq!(world.origin.request_count(), 1 + turn, "{control}");
            if turn == 1 {
                // Once open, a gate stays so: who comes now has to be validated by itself.
                world.get("/");
                assert_eq!(world.origin.request_count(), 3, "{control}");
                break;
            }
        }
    }
}

#[test]
fn case_4_2_a_crowd_shares_what_takes_the_place_of_the_stored_response() {
    for control in VALIDATED {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", Answer::cached(control).field("ETag", "\"a\"").body("old"));
        let new = Answer::cached(control).field("ETag", "\"b\"").body("new");
        world.origin.on_path("/", new.after(&gate));
        world.get("/");
        let clients = crowd(&world, 4, &[]);
        gate.open();
        assert_eq!(answers(clients), (each(4, 200, "new"), 3), "{control}");
        assert_eq!(world.origin.request_count(), 2, "{control}");
    }
}

#[test]
fn case_4_2_a_crowd_shares_a_miss_that_is_stale_from_the_start() {
    let past = "Expires";
    for (name, value) in [("Cache-Control", "max-age=0"), ("Cache-Control", "no-cache"), (past, "0")] {
        for tag in [None, Some("\"a\"")] {
            let (world, gate) = (World::new(), Gate::new());
            let answer = Answer::status(200).field(name, value);
            let answer = tag.into_iter().fold(answer, |answer, tag| answer.field("ETag", tag));
            world.origin.on_path("/", answer.body("hello").after(&gate));
            let clients = crowd(&world, 4, &[]);
            gate.open();
            assert_eq!(answers(clients), (each(4, 200, "hello"), 3), "{value} {tag:?}");
            assert_eq!(world.origin.request_count(), 1);
            // Who comes later was not answered before.
            world.get("/");
            assert_eq!(world.origin.request_count(), 2);
        }
    }
}

#[test]
fn case_4_2_what_is_not_stored_is_not_shared_with_who_is_somebody() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", Answer::cached("max-age=0").body("yours").after(&gate));
    let mut clients = crowd(&world, 2, &[("Cookie", "session=1")]);
    clients.extend([asking(&world, &[("Cookie", "session=2")]), asking(&world, &[])]);
    world.catch_up();
    gate.open();
    assert_eq!(answers(clients).0, each(4, 200, "yours"));
    let seen = world.origin.requests("/");
    let sessions = seen.iter().filter_map(|seen| seen.head.field("Cookie")).count();
    assert_eq!(sessions, 3, "one for each session");
}

#[test]
fn case_4_2_an_origin_that_fails_fails_for_all_who_wait() {
    for (answer, status) in [(Answer::nothing().close(), 502), (Answer::raw("nonsense\r\n\r\n").close(), 502)]
    {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", answer.after(&gate));
        let clients = crowd(&world, 6, &[]);
        gate.open();
        let got: Vec<u16> = answers(clients).0.into_iter().map(|(status, _)| status).collect();
        assert_eq!(got, [status; 6]);
        assert_eq!(world.origin.request_count(), 1);
    }
}

#[test]
fn case_4_2_an_error_of_the_origin_is_for_all_who_wait() {
    for status in [500, 503] {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", Answer::status(status).body("down").after(&gate));
        let clients = crowd(&world, 4, &[]);
        gate.open();
        assert_eq!(answers(clients), (each(4, status, "down"), 3));
        assert_eq!(world.origin.request_count(), 1);
        world.get("/");
        assert_eq!(world.origin.request_count(), 2, "nobody gets it later");
    }
}

#[test]
fn case_4_2_what_is_stale_stands_in_for_all_who_wait() {
    for failure in [Answer::nothing().close(), Answer::status(503).body("down")] {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", Answer::cached("max-age=1").field("ETag", "\"a\"").body("old"));
        world.origin.on_path("/", failure.after(&gate));
        // Its connection is used, so that closing it can't be mistaken for an old one.
        world.get("/");
        world.origin.hang_up(0);
        world.advance(2);
        let clients = crowd(&world, 4, &[]);
        gate.open();
        assert_eq!(answers(clients), (each(4, 200, "old"), 3));
        assert_eq!(world.origin.request_count(), 2);
    }
}

#[test]
fn case_4_2_each_of_four_variants_is_fetched_once_by_twelve_clients() {
    for control in ["max-age=60", "max-age=0"] {
        let (world, gate) = (World::new(), Gate::new());
        let answer = Answer::cached(control).field("Vary", "X-Kind").field("ETag", "\"a\"").body("hello");
        world.origin.on_path("/", answer.after(&gate));
        let kinds = ["a", "b", "c", "d"];
        let mut clients = vec![asking(&world, &[("X-Kind", "a")])];
        world.origin.has_requests(1);
        clients.extend((1..12).map(|at| asking(&world, &[("X-Kind", kinds[at % 4])])));
        world.catch_up();
        gate.open();
        assert_eq!(answers(clients).0, each(12, 200, "hello"));
        let seen = world.origin.requests("/");
        let mut asked: Vec<_> = seen.iter().filter_map(|seen| seen.head.field("X-Kind")).collect();
        asked.sort_unstable();
        assert_eq!(asked, kinds, "{control}");
    }
}

#[test]
fn case_4_2_stale_variants_are_validated_beside_each_other() {
    let (world, gate) = (World::new(), Gate::new());
    let answer = Answer::cached("max-age=1").field("Vary", "X-Kind").field("ETag", "\"a\"");
    world.origin.on_path("/", answer.body("hello"));
    let kinds = ["a", "b", "c", "d"];
    for kind in kinds {
        world.get_with("/", &[("X-Kind", kind)]);
    }
    world.advance(2);
    let update = Answer::status(304).field("ETag", "\"a\"").end_of_head();
    world.origin.now_on_path("/", update.after(&gate));
    let clients: Vec<_> = (0..12).map(|at| asking(&world, &[("X-Kind", kinds[at % 4])])).collect();
    // No variant waits for another one.
    gate.is_reached_by(4);
    world.catch_up();
    gate.open();
    assert_eq!(answers(clients), (each(12, 200, "hello"), 8));
    assert_eq!(world.origin.request_count(), 8);
}

#[test]
fn case_4_2_a_leader_that_leaves_leaves_one_in_its_place() {
    let (world, gate) = (World::new(), Gate::new());
    world.origin.on_path("/", Answer::cached("max-age=0").field("ETag", "\"a\"").body("hello").after(&gate));
    let mut clients = crowd(&world, 5, &[]);
    let leader = clients.remove(0);
    leader.reset();
    world.catch_up();
    gate.open();
    assert_eq!(answers(clients).0, each(4, 200, "hello"));
    assert!(world.origin.request_count() <= 2, "{}", world.origin.request_count());
}

#[test]
fn case_4_2_who_comes_behind_the_head_waits_for_nobody() {
    let (world, gate) = (World::new(), Gate::new());
    let head = Answer::cached("max-age=0").field("ETag", "\"a\"").field("Content-Length", "11").end_of_head();
    world.origin.on_path("/", head.send("hello").wait(&gate).send(" world"));
    world.origin.on_path("/", Answer::cached("max-age=0").field("ETag", "\"b\"").body("later"));
    let mut first = asking(&world, &[]);
    let head = first.head();
    assert_eq!(world.get("/").text(), "later");
    gate.open();
    assert_eq!(first.body(&head).bytes, b"hello world");
}

#[test]
fn case_4_2_who_has_a_condition_of_his_own_leads_nobody() {
    let conditions = [("If-None-Match", "\"a\""), ("If-Modified-Since", "Sun, 02 Jun 2024 09:00:00 GMT")];
    for condition in conditions {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", Answer::status(304).field("ETag", "\"a\"").end_of_head().after(&gate));
        // What comes is for each of them alone: none of them waits for another.
        let clients: Vec<_> = (0..6).map(|_| asking(&world, &[condition])).collect();
        gate.is_reached_by(6);
        gate.open();
        assert_eq!(answers(clients), (each(6, 304, ""), 0), "{condition:?}");
        assert_eq!(world.origin.request_count(), 6);
    }
}

#[test]
fn case_4_2_who_has_a_condition_of_his_own_shares_what_others_get() {
    let (world, gate) = (World::new(), Gate::new());
    let answer = Answer::cached("max-age=60").field("ETag", "\"a\"").body("hello");
    world.origin.on_path("/", answer.after(&gate));
    let mut clients = crowd(&world, 2, &[]);
    let conditions = [("If-None-Match", "\"a\""), ("If-None-Match", "\"b\"")];
    clients.extend(conditions.map(|condition| asking(&world, &[condition])));
    world.catch_up();
    gate.open();
    let (got, collapsed) = answers(clients);
    assert_eq!(collapsed, 3);
    let statuses: Vec<u16> = got.into_iter().map(|(status, _)| status).collect();
    assert_eq!(statuses, [200, 200, 304, 200]);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn case_4_2_nor_with_who_has_a_key_of_an_interface() {
    for name in ["X-Api-Key", "X-Auth-Token", "X-Session-Id"] {
        let (world, gate) = (World::new(), Gate::new());
        world.origin.on_path("/", Answer::cached("max-age=0").body("yours").after(&gate));
        let mut clients = crowd(&world, 2, &[(name, "one")]);
        clients.extend([asking(&world, &[(name, "two")]), asking(&world, &[])]);
        world.catch_up();
        gate.open();
        assert_eq!(answers(clients).0, each(4, 200, "yours"));
        let seen = world.origin.requests("/");
        assert_eq!(seen.iter().filter_map(|seen| seen.head.field(name)).count(), 3, "{name}");
    }
}
