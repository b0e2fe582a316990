//! Group 1, S8, S14, S20: no client harms the others. What one is answered with is stored for all only
//! where the cache key has all that shaped it; and what changes a stored response has to know it.

use crate::support::{Answer, Client, Folder, Gate, Origin, Process, World, eventually, larder, request};

const FRESH: &str = "max-age=60";

/// A world whose origin has answered `/` with a fresh `good`, and answers what comes next like this.
fn with_good_then(next: Answer) -> World {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=1000").field("ETag", "\"a\"").body("good"));
    world.origin.on_path("/", next);
    assert_eq!(world.get("/").text(), "good");
    world
}

fn asking(world: &World, method: &str, path: &str, fields: &[(&str, &str)]) -> Client {
    let mut client = world.client();
    client.send(request(method, &world.url(path), fields, ""));
    client
}

#[test]
fn case_1_1_a_failed_condition_is_for_who_asked() {
    let conditions = [("If-Match", "\"zz\""), ("If-Unmodified-Since", "Sun, 02 Jun 2024 07:00:00 GMT")];
    for condition in conditions {
        let world = with_good_then(Answer::status(412).field("Cache-Control", FRESH).body("no"));
        let failed = world.get_with("/", &[condition]);
        assert_eq!(failed.status(), 412);
        assert_eq!(failed.cache_status(), "larder; fwd=request; detail=unkeyed-status");
        let others = world.get("/");
        assert_eq!((others.status(), others.text(), others.is_hit()), (200, "good", true));
    }
}

#[test]
fn case_1_1_no_answer_to_a_requests_own_fields_is_stored() {
    for status in [226, 406, 408, 411, 412, 413, 415, 416, 417, 421, 425, 426, 428, 429, 431, 511] {
        let world = World::new();
        let answer = Answer::status(status).field("Cache-Control", "public, max-age=60").body("no");
        world.origin.on_path("/", answer).on_path("/", Answer::fresh(60, "good"));
        let asked = [("Accept", "a/b"), ("Accept-Encoding", "identity;q=0"), ("A-IM", "feed")];
        assert_eq!(world.get_with("/", &asked).status(), status);
        assert_eq!(world.get("/").text(), "good", "{status}");
    }
}

#[test]
fn case_1_2_a_range_beyond_the_end_is_for_who_asked() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(416).field("Cache-Control", FRESH).body("no"));
    world.origin.on_path("/", Answer::fresh(60, "good"));
    assert_eq!(world.get_with("/", &[("Range", "bytes=9999-")]).status(), 416);
    assert_eq!(world.get("/").text(), "good");
    assert!(world.get("/").is_hit());
}

#[test]
fn case_1_3_a_head_without_validators_freshens_nothing() {
    for said in [&[][..], &[("Content-Length", "3")], &[("Content-Type", "text/new")]] {
        let world = World::new();
        world.origin.on_path("/", Answer::fresh(1, "OLD"));
        let head = Answer::cached("max-age=100");
        let head = said.iter().fold(head, |head, (name, value)| head.field(name, value));
        world.origin.on_path("/", head).on_path("/", Answer::fresh(60, "new"));
        world.get("/");
        world.advance(2);
        assert_eq!(world.request("HEAD", "/", &[], "").status(), 200);
        let next = world.get("/");
        assert_eq!((next.is_hit(), next.text()), (false, "new"), "{said:?}");
    }
}

#[test]
fn case_1_3_a_head_with_a_validator_freshens_what_it_matches() {
    for (tag, is_fresh) in [("\"a\"", true), ("\"b\"", false)] {
        let world = World::new();
        world.origin.on_path("/", Answer::cached("max-age=1").field("ETag", "\"a\"").body("OLD"));
        world.origin.on_path("/", Answer::cached("max-age=100").field("ETag", tag));
        world.origin.on_path("/", Answer::fresh(60, "new"));
        world.get("/");
        world.advance(2);
        world.request("HEAD", "/", &[], "");
        assert_eq!(world.get("/").is_hit(), is_fresh, "{tag}");
    }
}

#[test]
fn case_1_4_a_head_that_was_asked_before_changes_nothing() {
    for tag in ["\"2\"", "\"1\""] {
        let (world, gate) = (World::new(), Gate::new());
        let head = Answer::cached("max-age=9000").field("ETag", tag).field("X-Of", "v1");
        world.origin.on_path("/", head.end_of_head().after(&gate));
        world.origin.on_path("/", Answer::status(204).end_of_head());
        world.origin.on_path("/", Answer::cached(FRESH).field("ETag", "\"2\"").body("v2"));
        let mut slow = asking(&world, "HEAD", "/", &[]);
        world.origin.has_requests(1);
        assert_eq!(world.request("POST", "/", &[], "change").status(), 204);
        assert_eq!(world.get("/").text(), "v2");
        gate.open();
        assert_eq!(slow.response_to("HEAD").field("X-Of"), Some("v1"));
        let next = world.get("/");
        assert_eq!((next.is_hit(), next.text(), next.has("X-Of")), (true, "v2", false), "{tag}");
    }
}

#[test]
fn case_1_4_a_304_that_was_asked_before_changes_nothing() {
    let (world, gate) = (World::new(), Gate::new());
    let old = Answer::status(304).field("ETag", "\"a\"").field("X-Of", "v1").end_of_head();
    world.origin.on_path("/", old.after(&gate));
    world.origin.on_path("/", Answer::cached(FRESH).field("ETag", "\"a\"").body("v2"));
    // A condition of the client's own, so that nothing is asked about.
    let mut slow = asking(&world, "GET", "/", &[("If-Match", "\"a\""), ("If-None-Match", "\"a\"")]);
    world.origin.has_requests(1);
    assert_eq!(world.get("/").text(), "v2");
    gate.open();
    assert_eq!(slow.response().status(), 304);
    assert!(!world.get("/").has("X-Of"));
}

#[test]
fn case_1_5_a_head_does_not_grow_by_updates() {
    let world = World::new();
    let first = Answer::cached("no-cache").field("ETag", "\"a\"");
    world.origin.on_path("/", first.clone().body("good"));
    world.get("/");
    let limits = world.shared.limits.response_head;
    for turn in 0..limits.fields {
        let update = (0..60).fold(Answer::status(304).field("ETag", "\"a\""), |update, line| {
            update.field(&format!("X-{turn}-{line}"), &"y".repeat(470))
        });
        world.origin.now_on_path("/", update.end_of_head());
        // Once it is too large with what it has, it is dropped, and had anew.
        world.origin.on_path("/", first.clone().body("anew"));
        let response = world.get("/");
        let lines = response.head.names().len();
        assert!(lines <= limits.fields + 8, "{turn}: {lines} field lines");
        if response.text() == "anew" {
            assert!(turn > 0 && !response.has("X-0-1") && !response.has(&format!("X-{turn}-1")));
            return;
        }
        assert_eq!(response.text(), "good");
        assert!(response.has(&format!("X-{turn}-1")));
    }
    panic!("it grows without end");
}

#[test]
fn case_1_5_a_head_request_makes_no_stored_head_grow() {
    let world = World::new();
    let fields = |turn: usize, answer: Answer| {
        (0..200).fold(answer, |answer, line| answer.field(&format!("X-{turn}-{line}"), "y"))
    };
    let first = Answer::cached("max-age=1").field("ETag", "\"a\"");
    world.origin.on_path("/", fields(0, first.clone()).body("good"));
    world.origin.on_path("/", fields(1, Answer::cached("max-age=9").field("ETag", "\"a\"")));
    world.origin.on_path("/", first.body("anew"));
    world.get("/");
    world.advance(2);
    world.request("HEAD", "/", &[], "");
    assert_eq!(world.get("/").text(), "anew");
}

#[test]
fn case_1_6_a_vary_that_nobody_can_read_matches_nothing() {
    for vary in ["Accept-Encoding User-Agent", "Accept-Encoding; Origin", "\"Accept-Encoding\"", "X-A, b c"] {
        let world = World::new();
        let zipped = Answer::cached(FRESH).field("Vary", vary).field("Content-Encoding", "gzip");
        world.origin.on_path("/", zipped.body("zip")).on_path("/", Answer::fresh(60, "plain"));
        let first = world.get_with("/", &[("Accept-Encoding", "gzip")]);
        assert!(first.cache_status().contains("detail=vary-star"), "{}", first.cache_status());
        assert_eq!(world.get("/").text(), "plain", "{vary}");
    }
}

#[test]
fn case_1_6_nor_does_one_that_a_304_brings() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=1").field("ETag", "\"a\"").body("old"));
    let update = Answer::status(304).field("Cache-Control", "max-age=99").field("Vary", "X-A; X-B");
    world.origin.on_path("/", update.end_of_head()).on_path("/", Answer::fresh(60, "new"));
    world.get("/");
    world.advance(2);
    assert_eq!(world.get("/").text(), "old");
    assert_eq!(world.get("/").text(), "new");
}

#[test]
fn case_1_7_an_error_does_not_replace_what_is_of_use() {
    let validations = [("Cache-Control", "max-age=0"), ("Cache-Control", "no-cache"), ("Pragma", "no-cache")];
    for status in [500, 501, 502, 503, 504, 599] {
        for control in ["max-age=60", "max-age=60, stale-if-error=9"] {
            for (at, wish) in validations.into_iter().enumerate() {
                let error = Answer::status(status).field("Cache-Control", control);
                let error = if at == 0 { error.field("Age", "100") } else { error };
                let world = with_good_then(error.body("down"));
                let failed = world.get_with("/", &[wish]);
                assert_eq!((failed.status(), failed.text()), (status, "down"));
                assert!(!failed.cache_status().contains("stored"), "{}", failed.cache_status());
                let others = world.get("/");
                assert_eq!((others.text(), others.is_hit()), ("good", true), "{status} {control}");
            }
        }
    }
}

#[test]
fn case_1_7_nor_by_way_of_a_post_or_another_variant() {
    let world = with_good_then(
        Answer::status(503).field("Cache-Control", FRESH).field("Content-Location", "/").body("down"),
    );
    assert_eq!(world.request("POST", "/", &[], "x").status(), 503);
    assert!(world.get("/").is_hit());
    // Where nothing of use is stored, an error is kept as its origin says.
    let world = World::new();
    world.origin.on_path("/", Answer::status(503).field("Cache-Control", FRESH).body("down"));
    world.get("/");
    assert!(world.get("/").is_hit());
    // What is stale may still be of use: who does not ask for more gets it.
    let world = with_good_then(Answer::status(501).field("Cache-Control", FRESH).body("down"));
    world.advance(1001);
    assert_eq!(world.get("/").status(), 501);
    world.origin.now_on_path("/", Answer::status(304).field("ETag", "\"a\"").end_of_head());
    assert_eq!(world.get("/").text(), "good");
}

#[test]
fn case_1_8_parts_of_two_codings_are_not_put_together() {
    let world = World::new();
    let whole = Answer::cached(FRESH).field("ETag", "\"a\"").field("Content-Encoding", "gzip");
    let cut = whole.field("Content-Length", "10").end_of_head().send("zipzi").close();
    let part = Answer::status(206).field("ETag", "\"a\"").field("Cache-Control", FRESH);
    world.origin.on_path("/", cut).on_path("/", part.field("Content-Range", "bytes 5-9/10").body("plain"));
    world.origin.on_path("/", Answer::fresh(60, "plainplain"));
    let first = world.get("/");
    assert!(!first.is_whole(), "a mixture: {:?}", first.text());
    assert_eq!(world.get("/").text(), "plainplain");
}

#[test]
fn case_1_9_the_request_that_was_stored_selects() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=1").field("ETag", "\"a\"").body("of one"));
    let update = Answer::status(304).field("ETag", "\"a\"").field("Cache-Control", "max-age=99");
    world.origin.on_path("/", update.field("Vary", "X-A").end_of_head());
    world.origin.on_path("/", Answer::cached(FRESH).field("Vary", "X-A").body("of nobody"));
    assert_eq!(world.get_with("/", &[("X-A", "1")]).text(), "of one");
    world.advance(2);
    world.get("/");
    let next = world.get("/");
    assert_eq!((next.is_hit(), next.text()), (false, "of nobody"));
}

#[test]
fn case_1_10_a_prefix_that_one_client_chose_is_not_shared() {
    let world = World::new();
    world
        .origin
        .on_path("/", Answer::fresh(60, "<a href=/p/>"))
        .on_path("/", Answer::fresh(60, "<a href=/>"));
    let first = world.get_with("/", &[("X-Forwarded-Prefix", "/p")]);
    assert_eq!(first.cache_status(), "larder; fwd=uri-miss; detail=unkeyed-field");
    assert_eq!(world.get("/").text(), "<a href=/>");
    assert!(world.get_with("/", &[("X-Forwarded-Prefix", "/p")]).is_hit());
    eventually("both were asked for", || world.origin.request_count() == 2);
}

/// The octets of all files below a folder.
fn octets_below(folder: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.path() {
            path if path.is_dir() => all.extend(octets_below(&path)),
            path if path.is_file() => all.extend(std::fs::read(path).unwrap()),
            _ => {}
        }
    }
    all
}

fn has(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn case_s21_secret_selecting_fields_are_neither_written_nor_shown() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let names = ["X-Api-Key", "X-Session-Id", "X-Auth-Token", "X-CSRF-Token", "X-Tenant"];
    for (number, name) in names.iter().enumerate() {
        let answer = |body: &str| Answer::cached("max-age=600").field("Vary", name).body(body);
        let path = format!("/{number}");
        origin.on_path(&path, answer("one")).on_path(&path, answer("two")).on_path(&path, answer("none"));
    }
    let config = folder.write("larder.toml", "[cache]\nsecret_fields = [\"X-Tenant\"]\ndisk = \"64MiB\"\n");
    let (one, two) = ("hunter2-correct-horse", "battery-staple-9000");
    let mut process = Process::start_in(&folder, &["--config", &config]);
    for restarted in [false, true] {
        for (number, name) in names.iter().enumerate() {
            let url = origin.url(&format!("/{number}"));
            let get = |value: &str| process.client().get_with(&url, &[(name, value)]);
            for (value, body) in [(one, "one"), (two, "two")] {
                assert_eq!(get(value).text(), body, "{name}");
                // One that follows the fetch under way is no hit.
                eventually("it is a hit", || get(value).is_hit());
                assert_eq!(get(value).text(), body, "{name}");
            }
            // Its absence is one of its values.
            assert_eq!(process.client().get(&url).text(), "none", "{name}");
            let header = format!("{name}: {one}");
            for arguments in [&["explain", "--header", &header, &url][..], &["cache", "show", &url]] {
                let said = larder(&folder, arguments, &[]);
                let said = format!("{}{}", said.out, said.err);
                assert!(said.contains("(hidden)") && !said.contains(one) && !said.contains(two), "{said}");
            }
            let explained = larder(&folder, &["explain", "--header", &header, &url], &[]).out;
            assert!(explained.contains("a hit"), "{explained}");
        }
        process.signal(rustix::process::Signal::TERM);
        process.wait();
        let written = octets_below(&folder.path("cache"));
        assert!(has(&written, "max-age=600") && !has(&written, one) && !has(&written, two));
        process = Process::start_in(&folder, &["--config", &config]);
        assert_eq!(origin.request_count(), names.len() * 3, "restarted: {restarted}");
    }
}
