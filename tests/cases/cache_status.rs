//! Row 4.12: `Cache-Status` says what is true (RFC 9211 §2.2).

use crate::support::{Answer, World, noise, request};

#[test]
fn case_4_12_fwd_request_is_for_what_a_fresh_response_is_stored_for() {
    let world = World::new();
    let varied = Answer::cached("max-age=60").field("ETag", "\"a\"").field("Vary", "X-A");
    world.origin.otherwise(varied.body("hello"));
    for condition in [("If-Match", "\"a\""), ("If-Unmodified-Since", "Sun, 02 Jun 2024 09:00:00 GMT")] {
        let path = format!("/{}", condition.0);
        let fwd = |fields: &[(&str, &str)]| {
            let status = world.get_with(&path, fields).cache_status().to_owned();
            status.split("; ").nth(1).unwrap().to_owned()
        };
        assert_eq!(fwd(&[condition]), "fwd=uri-miss");
        assert_eq!(fwd(&[condition]), "fwd=request");
        assert_eq!(fwd(&[condition, ("X-A", "1")]), "fwd=vary-miss");
        world.advance(61);
        assert_eq!(fwd(&[condition]), "fwd=stale");
    }
}

#[test]
fn case_4_12_a_wish_for_validation_where_nothing_is_stored_is_a_miss() {
    let world = World::new();
    world.origin.otherwise(Answer::fresh(60, "hello"));
    for (at, wish) in ["no-cache", "max-age=0", "min-fresh=9"].into_iter().enumerate() {
        let (path, wish) = (format!("/{at}"), [("Cache-Control", wish)]);
        assert_eq!(world.get_with(&path, &wish).cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    }
    assert_eq!(
        world.get_with("/0", &[("Cache-Control", "no-cache")]).cache_status(),
        "larder; fwd=request; stored; ttl=60"
    );
}

#[test]
fn case_4_12_a_part_that_is_stored_says_so() {
    let world = World::new();
    let part = |range: &str, text: &str| {
        let part = Answer::status(206).field("ETag", "\"a\"").field("Cache-Control", "max-age=60");
        part.field("Content-Range", &format!("bytes {range}/10")).body(text)
    };
    world.origin.on_path("/", part("0-4", "01234")).on_path("/", part("5-9", "56789"));
    let first = world.get_with("/", &[("Range", "bytes=0-4")]);
    assert_eq!(first.cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    let rest = world.get_with("/", &[("Range", "bytes=3-9")]);
    assert_eq!((rest.status(), rest.text()), (206, "3456789"));
    assert_eq!(rest.cache_status(), "larder; fwd=partial; fwd-status=206; stored; ttl=60");
    assert_eq!(world.get("/").cache_status(), "larder; hit; ttl=60");
}

#[test]
fn case_4_12_what_is_validated_each_time_has_no_freshness() {
    let world = World::new();
    let modified = world.date(-10_000_000);
    let answer = Answer::cached("no-cache").field("Last-Modified", &modified).field("ETag", "\"a\"");
    world.origin.on_path("/", answer.body("hello"));
    world.origin.on_path("/", Answer::status(304).field("ETag", "\"a\"").end_of_head());
    assert_eq!(world.get("/").cache_status(), "larder; fwd=uri-miss; stored");
    assert_eq!(world.get("/").cache_status(), "larder; fwd=stale; fwd-status=304; stored");
}

#[test]
fn case_4_12_an_error_of_larders_own_has_no_detail_of_a_response() {
    let world = World::new();
    let cut = Answer::cached("max-age=60").field("Content-Length", "9").end_of_head();
    world.origin.on_path("/", cut.clone().close()).on_path("/", cut.reset());
    world.origin.on_path("/no-store", Answer::cached("no-store").field("Content-Length", "9").end_of_head());
    for _ in 0..2 {
        let mut client = world.client();
        client.send(request("GET", &world.url("/"), &[], ""));
        if let Ok(head) = client.wire.head() {
            let status = head.field("Cache-Status").unwrap_or_default().to_owned();
            assert!(head.status() != 502 || status == "larder", "{status}");
        }
    }
    world.origin.now_on_path("/407", Answer::status(407).body("no"));
    assert_eq!(world.get("/407").cache_status(), "larder");
}

#[test]
fn case_4_12_a_large_part_that_goes_to_nobody_is_not_called_stored() {
    // Without a disk, what is larger than an object in memory is kept nowhere.
    let world = World::with(|setup| setup.store.object_max = 64 << 10);
    let content = noise(300 << 10);
    world.origin.otherwise(Answer::fresh(60, &content));
    let first = world.get("/");
    assert!(first.body.bytes == content);
    assert!(!first.cache_status().contains("stored"), "{}", first.cache_status());
}
