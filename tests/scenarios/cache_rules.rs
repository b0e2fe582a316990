//! Rules of the operator: what they change, for whom, and that they say so.

use std::time::Duration;

use larder::config::Config;

use crate::support::{Answer, Gate, World};

/// A world with these rules, each a table of `[[cache.rule]]`.
fn world(rules: &[&str]) -> World {
    let world = World::new();
    world.swap_rules(rules);
    world
}

trait Rules {
    fn swap_rules(&self, rules: &[&str]);
}

impl Rules for World {
    fn swap_rules(&self, rules: &[&str]) {
        let tables: String = rules.iter().map(|rule| format!("[[cache.rule]]\n{rule}\n")).collect();
        let config: Config = toml::from_str(&tables).expect("valid rules");
        self.shared.rules.replace(config.cache.rules);
    }
}

fn counts(world: &World) -> Vec<(String, u64)> {
    world.has_served(world.count(|counters| &counters.requests));
    let counts = world.shared.rules.counts();
    counts.into_iter().map(|(name, count)| (name.to_string(), count)).collect()
}

#[test]
fn what_the_origin_forbids_is_stored_where_a_rule_names_it_and_that_is_told() {
    let world = world(&["name = 'builds'\npath = '/builds/*'\nignore = ['no-store', 'private']"]);
    for path in ["/builds/1", "/other"] {
        world.origin.now_on_path(path, Answer::cached("no-store, private, max-age=60").body("hello"));
    }
    assert_eq!(
        world.get("/builds/1").cache_status(),
        "larder; fwd=uri-miss; stored; ttl=60; detail=rule:builds"
    );
    assert!(world.get("/builds/1").is_hit());
    assert_eq!(world.get("/other").cache_status(), "larder; fwd=uri-miss; detail=no-store");
    world.has_served(3);
    assert_eq!(counts(&world), [("builds".to_owned(), 1)]);
}

#[test]
fn authorised_requests_cookies_and_private_stay_closed_without_their_names() {
    let world = world(&["fresh_for = '1h'\nnegative = '1h'\nstale_if_error = '1h'"]);
    world
        .origin
        .now_on_path("/cookie", Answer::cached("max-age=60").field("Set-Cookie", "id=1").body("hello"));
    world.origin.now_on_path("/private", Answer::cached("private").body("hello"));
    world.origin.now_on_path("/auth", Answer::fresh(60, "hello"));
    assert_eq!(world.get("/cookie").cache_status(), "larder; fwd=uri-miss; detail=set-cookie");
    assert_eq!(world.get("/private").cache_status(), "larder; fwd=uri-miss; detail=private");
    let authorised = world.get_with("/auth", &[("Authorization", "Basic eDp5")]);
    assert_eq!(authorised.cache_status(), "larder; fwd=uri-miss; detail=authorization");
}

#[test]
fn freshness_has_bounds_and_a_reload_moves_them_for_what_is_stored() {
    let world = world(&["name = 'long'\nfresh = { min = '10m' }"]);
    world.origin.now_on_path("/x", Answer::fresh(60, "hello"));
    assert_eq!(world.get("/x").cache_status(), "larder; fwd=uri-miss; stored; ttl=600; detail=rule:long");
    world.advance(100);
    assert_eq!(world.get("/x").cache_status(), "larder; hit; ttl=500; detail=rule:long");
    world.swap_rules(&["name = 'short'\nfresh = { max = '10s' }"]);
    let again = world.get("/x");
    assert!(
        again.cache_status().starts_with("larder; fwd=stale; fwd-status=200; stored; ttl=10"),
        "{again:?}"
    );
    assert!(again.cache_status().ends_with("detail=rule:short"), "{again:?}");
    world.swap_rules(&[]);
    assert_eq!(world.get("/x").cache_status(), "larder; hit; ttl=60");
}

#[test]
fn never_is_a_bypass_both_ways() {
    let world = world(&["name = 'live'\npath = '/live/*'\nnever = true"]);
    world.origin.now_on_path("/live/x", Answer::fresh(60, "hello"));
    for _ in 0..2 {
        assert_eq!(world.get("/live/x").cache_status(), "larder; fwd=bypass; detail=rule:live");
    }
    world.swap_rules(&[]);
    world.get("/live/x");
    world.swap_rules(&["name = 'html'\ntype = 'text/html'\nnever = true"]);
    world
        .origin
        .on_path("/page", Answer::cached("max-age=60").field("Content-Type", "text/html").body("hello"));
    assert_eq!(world.get("/page").cache_status(), "larder; fwd=uri-miss; detail=rule:html");
    assert!(world.get("/live/x").is_hit());
}

#[test]
fn only_if_cached_asks_nobody_where_a_rule_stores_nothing() {
    let only = [("Cache-Control", "only-if-cached")];
    let world = world(&["path = '/live/*'\nnever = true", "name = 'html'\ntype = 'text/html'\nnever = true"]);
    world.origin.now_on_path("/live/x", Answer::fresh(60, "hello"));
    assert_eq!(world.get_with("/live/x", &only).status(), 504);
    world.swap_rules(&[]);
    world
        .origin
        .now_on_path("/page", Answer::cached("max-age=60").field("Content-Type", "text/html").body("hello"));
    world.get("/page");
    world.swap_rules(&["type = 'text/html'\nnever = true"]);
    assert_eq!(world.get_with("/page", &only).status(), 504);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn errors_are_kept_for_so_long_when_the_origin_says_nothing() {
    let world = world(&["name = 'errors'\nnegative = '30s'"]);
    world.origin.now_on_path("/gone", Answer::status(404).body("no"));
    world.origin.now_on_path("/down", Answer::status(503).body("no"));
    for path in ["/gone", "/down"] {
        assert_eq!(
            world.get(path).cache_status(),
            "larder; fwd=uri-miss; stored; ttl=30; detail=rule:errors"
        );
        assert!(world.get(path).is_hit(), "{path}");
        world.advance(30);
        assert!(!world.get(path).is_hit(), "{path}");
    }
}

#[test]
fn tracking_parameters_are_no_part_of_the_key_and_the_origin_sees_them() {
    let world = world(&["drop_query = ['utm_*', 'fbclid']"]);
    world.origin.now_on_path("/x?a=1&utm_source=mail", Answer::fresh(60, "hello"));
    world.get("/x?a=1&utm_source=mail");
    assert!(world.get("/x?a=1").is_hit());
    assert!(world.get("/x?fbclid=1&a=1&utm_medium=2").is_hit());
    assert_eq!(world.origin.requests("/x?a=1&utm_source=mail").len(), 1);
    world.origin.now_on_path("/x?a=2", Answer::fresh(60, "other"));
    assert_eq!(world.get("/x?a=2").text(), "other");
}

#[test]
fn mirrors_share_what_is_stored_and_each_is_asked_under_its_own_name() {
    let world = World::with(|setup| {
        setup.host("de.mirror.example", &["127.0.0.1"]);
        setup.host("us.mirror.example", &["127.0.0.1"]);
    });
    world.swap_rules(&["host = '*.mirror.example'\nkey = { from = 'http://[^/]+/debian/(.*)', to = 'http://debian.example/$1' }"]);
    let port = world.url("/").rsplit(':').next().expect("a port").trim_end_matches('/').to_owned();
    let at = |host: &str| format!("http://{host}.mirror.example:{port}/debian/a.deb");
    world
        .origin
        .now_on_path("/debian/a.deb", Answer::cached("max-age=60").field("ETag", "\"a\"").body("hello"));
    assert!(!world.client().get(&at("de")).is_hit());
    assert!(world.client().get(&at("us")).is_hit());
    let asked = world.origin.requests("/debian/a.deb");
    assert_eq!(asked[0].head.field("Host"), Some(&*format!("de.mirror.example:{port}")));
    world.advance(60);
    world.origin.now_on_path(
        "/debian/a.deb",
        Answer::status(304).field("ETag", "\"a\"").field("Cache-Control", "max-age=60"),
    );
    let validated = world.client().get(&at("us"));
    assert!(validated.cache_status().contains("fwd-status=304"), "{validated:?}");
    let asked = world.origin.requests("/debian/a.deb");
    assert_eq!(asked[1].head.field("Host"), Some(&*format!("us.mirror.example:{port}")));
    // What changes one of them changes all.
    world.origin.now_on_path("/debian/a.deb", Answer::status(204));
    world.client().request("DELETE", &at("us"), &[], "");
    world.origin.now_on_path("/debian/a.deb", Answer::fresh(60, "new"));
    assert_eq!(world.client().get(&at("de")).text(), "new");
}

#[test]
fn a_mirror_that_is_blocked_stays_blocked() {
    let world = World::with(|setup| {
        setup.host("de.mirror.example", &["127.0.0.1"]);
        setup.access_toml("block = ['us.mirror.example']");
    });
    world.swap_rules(&["key = { from = 'http://[^/]+/debian/(.*)', to = 'http://debian.example/$1' }"]);
    let port = world.url("/").rsplit(':').next().expect("a port").trim_end_matches('/').to_owned();
    world.origin.now_on_path("/debian/a.deb", Answer::fresh(60, "hello"));
    world.client().get(&format!("http://de.mirror.example:{port}/debian/a.deb"));
    let refused = world.client().get(&format!("http://us.mirror.example:{port}/debian/a.deb"));
    assert_eq!(refused.status(), 403);
}

#[test]
fn a_reload_by_the_client_is_not_heard_where_a_rule_says_so() {
    let world = world(&["name = 'calm'\nignore = 'request-no-cache'"]);
    world.origin.now_on_path("/x", Answer::fresh(60, "hello"));
    world.get("/x");
    let reload = world.get_with("/x", &[("Cache-Control", "no-cache")]);
    assert_eq!(reload.cache_status(), "larder; hit; ttl=60; detail=rule:calm");
}

#[test]
fn stale_answers_for_an_origin_that_fails_as_long_as_a_rule_says() {
    let world = world(&["name = 'patient'\nstale_if_error = '7d'"]);
    world.origin.now_on_path("/x", Answer::fresh(60, "hello"));
    world.get("/x");
    world.origin.now_on_path("/x", Answer::status(503));
    world.advance(3 * 86_400);
    let stale = world.get("/x");
    assert_eq!((stale.status(), stale.text()), (200, "hello"));
    assert!(stale.cache_status().ends_with("detail=stale-if-error/rule:patient"), "{stale:?}");
    world.advance(5 * 86_400);
    assert_eq!(world.get("/x").status(), 503);
}

#[test]
fn stale_while_it_is_validated_as_a_rule_says() {
    let world = world(&["name = 'swift'\nstale_while_revalidate = '1h'"]);
    world.origin.now_on_path("/x", Answer::fresh(60, "old"));
    world.get("/x");
    world.advance(100);
    world.origin.now_on_path("/x", Answer::fresh(60, "new"));
    let stale = world.get("/x");
    assert_eq!(stale.text(), "old");
    assert_eq!(stale.cache_status(), "larder; hit; ttl=-40; detail=stale-while-revalidate/rule:swift");
}

#[test]
fn a_slow_origin_is_not_waited_for_where_a_rule_says_so() {
    let world = world(&["name = 'swift'\nserve_stale_after = '500ms'"]);
    world.origin.now_on_path("/x", Answer::fresh(60, "old"));
    world.get("/x");
    world.advance(60);
    let gate = Gate::new();
    world.origin.now_on_path("/x", Answer::fresh(60, "new").after(&gate));
    let mut client = world.client();
    client.send(crate::support::request("GET", &world.url("/x"), &[], ""));
    gate.is_reached();
    world.advance_until_heard(Duration::from_millis(500), &mut client);
    let stale = client.response();
    assert_eq!(stale.text(), "old");
    assert!(stale.cache_status().starts_with("larder; hit; ttl="), "{stale:?}");
    assert!(stale.cache_status().ends_with("detail=serve-stale-after/rule:swift"), "{stale:?}");
    // What the origin brings in the end is there for the next one.
    gate.open();
    crate::support::eventually("the new response", || world.get("/x").text() == "new");
}

#[test]
fn an_origin_in_time_is_waited_for() {
    let world = world(&["serve_stale_after = '10s'"]);
    world.origin.now_on_path("/x", Answer::fresh(60, "old"));
    world.get("/x");
    world.advance(60);
    world.origin.now_on_path("/x", Answer::fresh(60, "new"));
    let new = world.get("/x");
    assert_eq!(new.text(), "new");
    assert!(new.cache_status().starts_with("larder; fwd=stale;"), "{new:?}");
}
