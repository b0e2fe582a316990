//! Group 4: caching as origins and clients really behave.

use std::time::Duration;

use crate::support::{Answer, World, noise};
use larder::config::Config;

fn rules(world: &World, tables: &str) {
    let config: Config = toml::from_str(tables).expect("valid rules");
    world.shared.rules.replace(config.cache.rules);
}

#[test]
fn case_4_1_a_strong_tag_freshens_its_weak_form_by_the_date() {
    let world = World::new();
    let modified = world.date(-86_400);
    let whole = Answer::cached("max-age=9").field("ETag", "W/\"x\"").field("Last-Modified", &modified);
    let update = Answer::status(304).field("ETag", "\"x\"").field("Last-Modified", &modified);
    world.origin.on_path("/", whole.field("Content-Encoding", "gzip").body("zip"));
    world.origin.on_path("/", update.end_of_head());
    world.get("/");
    for turn in 1..4 {
        world.advance(10);
        let validated = world.get("/");
        assert_eq!(validated.text(), "zip");
        assert_eq!(validated.cache_status(), "larder; fwd=stale; fwd-status=304; stored; ttl=9");
        // The octets are those of the weak tag.
        assert_eq!(validated.field("ETag"), Some("W/\"x\""));
        assert!(world.get("/").is_hit());
        assert_eq!(world.origin.request_count(), 1 + turn);
    }
}

#[test]
fn case_4_1_a_date_that_may_be_of_the_same_second_freshens_nothing() {
    let world = World::new();
    let modified = world.date(-1);
    let whole = Answer::cached("max-age=1").field("ETag", "W/\"x\"").field("Last-Modified", &modified);
    let update = Answer::status(304).field("ETag", "\"x\"").field("Last-Modified", &modified);
    world.origin.on_path("/", whole.body("old")).on_path("/", update.end_of_head());
    world.origin.on_path("/", Answer::fresh(60, "new"));
    world.get("/");
    world.advance(2);
    assert_eq!(world.get("/").text(), "new");
}

#[test]
fn case_4_3_a_range_of_what_is_new_is_cut_from_it() {
    let content = noise(2 << 20);
    let changed = |control: &str| Answer::cached(control).field("ETag", "\"b\"").body(&content);
    for (control, is_stored) in [("max-age=60", true), ("no-store", false)] {
        let world = World::new();
        world.origin.on_path("/", Answer::cached("max-age=1").field("ETag", "\"a\"").body("old"));
        world.origin.on_path("/", changed(control));
        world.get("/");
        world.advance(2);
        let part = world.get_with("/", &[("Range", "bytes=100000-100099")]);
        assert_eq!(part.status(), 206);
        assert_eq!(part.field("Content-Range"), Some("bytes 100000-100099/2097152"));
        assert!(part.body.bytes == content[100_000..100_100]);
        assert_eq!(part.cache_status().contains("stored"), is_stored, "{}", part.cache_status());
    }
}

#[test]
fn case_4_3_conditions_and_other_ranges_of_what_is_new() {
    type Fields = &'static [(&'static str, &'static str)];
    let cases: &[(Fields, u16, &str)] = &[
        (&[("Range", "bytes=-3")], 206, "ent"),
        (&[("Range", "bytes=4-")], 206, "content"),
        (&[("Range", "bytes=99-")], 416, ""),
        (&[("Range", "bytes=0-0,4-5")], 200, "new content"),
        (&[("Range", "bytes=0-2"), ("If-Range", "\"a\"")], 200, "new content"),
        (&[("Range", "bytes=0-2"), ("If-Range", "\"b\"")], 206, "new"),
        (&[("If-None-Match", "\"b\"")], 304, ""),
        (&[("If-None-Match", "\"a\"")], 200, "new content"),
    ];
    for (fields, status, text) in cases {
        for control in ["max-age=60", "no-store"] {
            let world = World::new();
            world.origin.on_path("/", Answer::cached("max-age=1").field("ETag", "\"a\"").body("old"));
            world.origin.on_path("/", Answer::cached(control).field("ETag", "\"b\"").body("new content"));
            world.get("/");
            world.advance(2);
            let response = world.get_with("/", fields);
            assert_eq!((response.status(), response.text()), (*status, *text), "{fields:?} {control}");
        }
    }
}

#[test]
fn case_4_4_content_that_ends_with_the_connection_is_stored_when_that_was_closed_in_order() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").until_close("all of it"));
    assert_eq!(world.get("/").text(), "all of it");
    let hit = world.get("/");
    assert_eq!((hit.is_hit(), hit.text(), hit.field("Content-Length")), (true, "all of it", Some("9")));
    let cut = Answer::cached("max-age=60").end_of_head().send("half of").reset();
    world.origin.on_path("/cut", cut).on_path("/cut", Answer::fresh(60, "half of it"));
    assert!(!world.get("/cut").is_whole());
    assert_eq!(world.get("/cut").text(), "half of it");
}

#[test]
fn case_4_8_an_unsafe_method_goes_on_whatever_is_stored() {
    let world = World::new();
    world.origin.otherwise(Answer::status(204).end_of_head());
    let wish = [("Cache-Control", "only-if-cached")];
    for (method, body) in [("DELETE", ""), ("PUT", "x"), ("POST", "x"), ("POST", ""), ("PATCH", "x")] {
        assert_eq!(world.request(method, "/", &wish, body).status(), 204, "{method}");
    }
    for method in ["GET", "HEAD", "OPTIONS", "PROPFIND"] {
        assert_eq!(world.request(method, "/", &wish, "").status(), 504, "{method}");
    }
    assert_eq!(world.origin.request_count(), 5);
}

#[test]
fn case_4_9_immutable_takes_no_wish_from_a_client() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=100, immutable").body("hello"));
    world.get("/");
    world.advance(97);
    let cases =
        [("max-age=60", false), ("min-fresh=1000", false), ("max-age=97", true), ("min-fresh=3", true)];
    for (wish, is_hit) in cases {
        let response = world.get_with("/", &[("Cache-Control", wish), ("If-None-Match", "\"no\"")]);
        assert_eq!(response.is_hit(), is_hit, "{wish}");
        world.advance(if is_hit { 0 } else { 97 });
    }
}

#[test]
fn case_4_10_a_lifetime_below_zero_counts_from_there() {
    let expired = |world: &World| {
        let answer = Answer::status(200).field("Date", &world.date(0)).field("Expires", &world.date(-3600));
        answer.field("ETag", "\"a\"")
    };
    let world = World::new();
    world.origin.on_path("/", expired(&world).body("hello"));
    world.get("/");
    for (wish, is_hit) in [("max-stale=5", false), ("max-stale=3599", false), ("max-stale=3600", true)] {
        assert_eq!(world.get_with("/", &[("Cache-Control", wish)]).is_hit(), is_hit, "{wish}");
    }
    assert!(world.get_with("/", &[("Cache-Control", "max-stale")]).cache_status().contains("ttl=-3600"));
    for (window, status) in [(10, 502), (3600, 200)] {
        let world = World::new();
        let answer = expired(&world).field("Cache-Control", &format!("stale-if-error={window}"));
        world.origin.on_path("/", answer.body("hello")).on_path("/", Answer::nothing().close());
        world.get("/");
        assert_eq!(world.get("/").status(), status, "stale-if-error={window}");
    }
}

#[test]
fn case_4_11_a_304_to_a_clients_own_conditions_freshens() {
    for condition in [("If-Match", "\"a\""), ("If-Unmodified-Since", "Sun, 02 Jun 2024 09:00:00 GMT")] {
        let world = World::new();
        world.origin.on_path("/", Answer::cached("max-age=9").field("ETag", "\"a\"").body("hello"));
        let update = Answer::status(304).field("ETag", "\"a\"").field("X-New", "1");
        world.origin.on_path("/", update.end_of_head());
        world.get("/");
        world.advance(10);
        let fields = [condition, ("If-None-Match", "\"a\"")];
        let response = world.get_with("/", &fields);
        assert_eq!(response.status(), 304);
        assert_eq!(response.cache_status(), "larder; fwd=stale; fwd-status=304; stored");
        let next = world.get("/");
        assert_eq!((next.is_hit(), next.field("X-New")), (true, Some("1")));
    }
}

#[test]
fn case_4_11_a_304_for_something_else_freshens_nothing() {
    for said in [&[("ETag", "\"b\"")][..], &[]] {
        let world = World::new();
        world.origin.on_path("/", Answer::cached("max-age=9").field("ETag", "\"a\"").body("hello"));
        let update = said.iter().fold(Answer::status(304), |update, (name, value)| update.field(name, value));
        world.origin.on_path("/", update.end_of_head());
        world.origin.on_path("/", Answer::fresh(60, "new"));
        world.get("/");
        world.advance(10);
        let fields = [("If-Match", "\"b\""), ("If-None-Match", "\"b\"")];
        assert_eq!(world.get_with("/", &fields).status(), 304);
        assert_eq!(world.get("/").text(), "new", "{said:?}");
    }
}

#[test]
fn case_4_13_a_stored_401_is_not_for_who_brings_credentials() {
    for status in [401, 403] {
        for credentials in [("Authorization", "Basic eDp5"), ("Cookie", "session=1")] {
            let world = World::new();
            let refusal = Answer::status(status).field("Cache-Control", "public, max-age=60");
            world.origin.on_path("/", refusal.body("who are you?")).on_path("/", Answer::ok("welcome"));
            assert_eq!(world.get("/").status(), status);
            assert!(world.get("/").is_hit());
            let known = world.get_with("/", &[credentials]);
            assert_eq!((known.status(), known.text()), (200, "welcome"));
            assert!(known.cache_status().starts_with("larder; fwd=request"), "{}", known.cache_status());
            let cached = [credentials, ("Cache-Control", "only-if-cached")];
            assert_eq!(world.get_with("/", &cached).status(), 504);
            assert_eq!((world.get("/").status(), world.get("/").is_hit()), (status, true));
        }
    }
}

#[test]
fn case_4_14_a_cookie_of_a_304_is_for_who_asked() {
    for control in ["max-age=9", "max-age=9, public"] {
        let world = World::new();
        world.origin.on_path("/", Answer::cached(control).field("ETag", "\"a\"").body("hello"));
        let update = Answer::status(304).field("ETag", "\"a\"").field("Set-Cookie", "session=1");
        world.origin.on_path("/", update.field("X-New", "1").end_of_head());
        world.get("/");
        world.advance(10);
        let validated = world.get("/");
        assert_eq!((validated.text(), validated.field("Set-Cookie")), ("hello", Some("session=1")));
        assert!(validated.cache_status().contains("fwd-status=304; stored"), "{}", validated.cache_status());
        let next = world.get("/");
        assert_eq!((next.is_hit(), next.has("Set-Cookie"), next.field("X-New")), (true, false, Some("1")));
    }
}

#[test]
fn case_4_14_so_is_one_of_a_response_to_head() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=9").field("ETag", "\"a\"").body("hello"));
    world.origin.on_path("/", Answer::cached("max-age=9").field("ETag", "\"a\"").field("Set-Cookie", "s=1"));
    world.get("/");
    world.advance(10);
    assert_eq!(world.request("HEAD", "/", &[], "").field("Set-Cookie"), Some("s=1"));
    let next = world.get("/");
    assert_eq!((next.is_hit(), next.has("Set-Cookie")), (true, false));
}

#[test]
fn case_4_14_a_field_that_may_not_be_stored_reaches_who_asked() {
    for control in ["max-age=60, no-cache=\"Set-Cookie\"", "max-age=60, private=\"Set-Cookie, X-Own\""] {
        let world = World::new();
        let answer = Answer::cached(control).field("Set-Cookie", "a=1").field("Set-Cookie", "b=2");
        world.origin.on_path("/", answer.body("hello"));
        let first = world.get("/");
        assert!(first.cache_status().contains("; stored"), "{}", first.cache_status());
        assert_eq!(first.field("Set-Cookie"), Some("a=1"), "{control}");
        let next = world.get("/");
        assert_eq!((next.is_hit(), next.has("Set-Cookie")), (true, false));
    }
}

#[test]
fn case_4_15_safe_methods_of_the_registry_invalidate_nothing() {
    for (method, is_kept) in [
        ("PROPFIND", true),
        ("REPORT", true),
        ("SEARCH", true),
        ("QUERY", true),
        ("PROPPATCH", false),
        ("MKCOL", false),
        ("propfind", false),
        ("M-SEARCH", false),
    ] {
        for body in ["", "<a/>"] {
            let world = World::new();
            world.origin.on_path("/", Answer::fresh(60, "hello")).on_path("/", Answer::ok("done"));
            world.get("/");
            assert_eq!(world.request(method, "/", &[], body).status(), 200);
            assert_eq!(world.get("/").is_hit(), is_kept, "{method} {body:?}");
        }
    }
}

#[test]
fn case_4_16_what_forbids_stale_use_is_told_and_a_rule_allows_it() {
    let control = "s-maxage=1, stale-while-revalidate=60";
    let world = World::new();
    world.origin.on_path("/", Answer::cached(control).field("ETag", "\"a\"").body("hello"));
    world.origin.on_path("/", Answer::status(304).field("ETag", "\"a\"").end_of_head());
    world.get("/");
    world.advance(5);
    let told = world.get("/").cache_status().to_owned();
    assert_eq!(told, "larder; fwd=stale; fwd-status=304; stored; ttl=1; detail=s-maxage-forbids-stale");
    rules(&world, "[[cache.rule]]\nname = 'swr'\nignore = 'must-revalidate'");
    world.advance(5);
    let hit = world.get("/").cache_status().to_owned();
    assert_eq!(hit, "larder; hit; ttl=-4; detail=stale-while-revalidate/rule:swr");
    world.clock.advance(Duration::from_secs(1));
}
