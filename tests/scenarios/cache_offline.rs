//! Offline: what is stored answers, and nobody is dialled.

use crate::support::{Answer, World};

#[test]
fn what_is_stored_answers_however_old_it_is_and_says_so() {
    let world = World::new();
    for (path, control) in [("/x", "max-age=60"), ("/strict", "max-age=60, must-revalidate")] {
        world.origin.now_on_path(path, Answer::cached(control).body("hello"));
        world.get(path);
    }
    world.has_served(2);
    world.shared.set_offline(true);
    world.advance(100_000);
    for path in ["/x", "/strict"] {
        let stale = world.get_with(path, &[("Cache-Control", "no-cache")]);
        assert_eq!(
            (stale.status(), stale.text(), stale.field("Age")),
            (200, "hello", Some("100000")),
            "{path}"
        );
        assert_eq!(stale.cache_status(), "larder; hit; ttl=-99940; detail=offline");
    }
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn what_is_not_stored_is_a_504_that_says_why() {
    let world = World::new();
    world.shared.set_offline(true);
    type Asked<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let requests: [Asked<'_>; 4] =
        [("GET", &[], ""), ("GET", &[("If-Match", "\"a\"")], ""), ("POST", &[], "x"), ("DELETE", &[], "")];
    for (method, fields, body) in requests {
        let refused = world.request(method, "/x", fields, body);
        assert_eq!(refused.status(), 504, "{method}");
        assert_eq!(refused.proxy_error(), "destination_unavailable", "{method}");
        assert!(refused.text().contains("offline"), "{method}: {}", refused.text());
    }
    let mut client = world.client();
    client.send("CONNECT origin.example:443 HTTP/1.1\r\nHost: origin.example:443\r\n\r\n");
    let refused = client.response();
    assert_eq!(refused.status(), 504);
    assert!(refused.text().contains("offline"));
    assert!(world.origin.is_not_asked());
    assert_eq!(world.origin.connection_count(), 0);
}

#[test]
fn online_again_the_origin_is_asked() {
    let world = World::new();
    world.origin.now_on_path("/x", Answer::fresh(60, "hello"));
    world.get("/x");
    world.shared.set_offline(true);
    world.advance(60);
    assert_eq!(world.get("/x").cache_status(), "larder; hit; ttl=0; detail=offline");
    world.shared.set_offline(false);
    assert!(!world.get("/x").is_hit());
}

#[test]
fn offline_a_client_has_its_conditions_and_ranges() {
    let world = World::new();
    world.origin.now_on_path("/x", Answer::cached("max-age=60").field("ETag", "\"a\"").body("hello"));
    world.get("/x");
    world.shared.set_offline(true);
    world.advance(100);
    assert_eq!(world.get_with("/x", &[("If-None-Match", "\"a\"")]).status(), 304);
    assert_eq!(world.get_with("/x", &[("Range", "bytes=1-2")]).text(), "el");
}
