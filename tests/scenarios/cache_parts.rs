//! Parts that come first: stored, put together, completed, and never taken for the whole
//! (RFC 9111 §3.3, §3.4; RFC 9110 §14, §15.3.7).

use rustix::process::Signal;

use crate::support::{Answer, Client, Folder, Gate, Origin, Process, World, eventually, noise, request};

const DIGITS: &str = "0123456789";
const MIB: usize = 1 << 20;

/// The part of `DIGITS` from `first` to `last`, with this entity tag.
fn part(tag: &str, first: usize, last: usize) -> Answer {
    let answer = Answer::status(206).field("Cache-Control", "max-age=60").field("ETag", tag);
    answer.field("Content-Range", &format!("bytes {first}-{last}/10")).body(&DIGITS[first..=last])
}

/// A world in which octets 2 to 5 of `/` are stored.
fn stored() -> World {
    let world = World::new();
    world.origin.on_path("/", part("\"a\"", 2, 5));
    let response = world.get_with("/", &[("Range", "bytes=2-5")]);
    assert_eq!((response.status(), response.text()), (206, "2345"));
    assert_eq!(response.cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    world
}

/// Asks for a range of `/`: status, content and `Cache-Status`.
fn range(world: &World, range: &str) -> (u16, String, String) {
    let response = world.get_with("/", &[("Range", range)]);
    (response.status(), response.text().to_owned(), response.cache_status().to_owned())
}

#[test]
fn what_lies_within_a_part_is_a_hit() {
    let world = stored();
    world.advance(7);
    for (asked, content_range, text) in
        [("bytes=2-5", "bytes 2-5/10", "2345"), ("bytes=3-3", "bytes 3-3/10", "3")]
    {
        let response = world.get_with("/", &[("Range", asked)]);
        assert_eq!((response.status(), response.text()), (206, text));
        assert_eq!(response.head.all("Content-Range"), [content_range]);
        assert_eq!((response.field("Age"), response.is_hit()), (Some("7"), true));
    }
    let many = world.get_with("/", &[("Range", "bytes=2-2,4-5")]);
    assert_eq!((many.status(), many.is_hit()), (206, true));
    assert!(many.text().contains("bytes 4-5/10\r\n\r\n45\r\n"));
    assert_eq!(range(&world, "bytes=10-").0, 416);
    let not_modified = world.get_with("/", &[("If-None-Match", "\"a\"")]);
    assert_eq!((not_modified.status(), not_modified.is_hit()), (304, true));
    let head = world.request("HEAD", "/", &[], "");
    assert_eq!((head.status(), head.field("Content-Length"), head.is_hit()), (200, Some("10"), true));
    assert!(!head.has("Content-Range"));
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn what_is_missing_alone_is_asked_for() {
    let world = stored();
    world.origin.now_on_path("/", part("\"a\"", 6, 7));
    let (status, text, cache_status) = range(&world, "bytes=4-7");
    assert_eq!((status, text.as_str()), (206, "4567"));
    assert_eq!(cache_status, "larder; fwd=partial; fwd-status=206; stored; ttl=60");
    let asked = world.origin.requests("/").pop().expect("a request");
    assert_eq!(asked.head.all("Range"), ["bytes=6-7"]);
    assert_eq!(asked.head.all("If-Range"), ["\"a\""]);
    world.origin.now_on_path("/", part("\"a\"", 0, 1)).on_path("/", part("\"a\"", 8, 9));
    let whole = world.get("/");
    assert_eq!((whole.status(), whole.text()), (200, DIGITS));
    assert_eq!(world.origin.request_count(), 4);
    assert!(world.get("/").is_hit());
    assert_eq!(range(&world, "bytes=-3").1, "789");
    assert_eq!(world.origin.request_count(), 4);
}

#[test]
fn those_who_miss_the_same_octets_ask_for_them_once() {
    let world = stored();
    let gate = Gate::new();
    world.origin.now_on_path("/", part("\"a\"", 6, 9).after(&gate));
    let mut clients: Vec<_> = (0..4).map(|_| world.client()).collect();
    for client in &mut clients {
        client.send(request("GET", &world.url("/"), &[("Range", "bytes=4-9")], ""));
    }
    world.origin.has_requests(2);
    world.catch_up();
    gate.open();
    for mut client in clients {
        let response = client.response();
        assert_eq!((response.status(), response.text()), (206, "456789"));
    }
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn a_part_brings_newer_fields() {
    let world = stored();
    let newer =
        Answer::status(206).field("Cache-Control", "max-age=90").field("ETag", "\"a\"").field("X", "new");
    world.origin.now_on_path("/", newer.field("Content-Range", "bytes 6-9/10").body("6789"));
    assert_eq!(range(&world, "bytes=2-9").1, "23456789");
    let response = world.get_with("/", &[("Range", "bytes=2-9")]);
    assert_eq!((response.field("X"), response.is_hit()), (Some("new"), true));
    assert_eq!(response.cache_status(), "larder; hit; ttl=90");
}

#[test]
fn another_representation_takes_the_place_of_the_part() {
    for tag in ["\"b\"", "W/\"a\""] {
        let world = stored();
        world.origin.now_on_path("/", part(tag, 6, 7));
        // The first answer completes nothing, and the second is the client's own.
        assert_eq!(range(&world, "bytes=6-7").1, "67");
        assert_eq!(range(&world, "bytes=6-7").2, "larder; hit; ttl=60", "{tag}");
        assert_eq!(range(&world, "bytes=2-3").0, 206);
    }
    let world = stored();
    world.origin.now_on_path("/", Answer::cached("max-age=60").field("ETag", "\"c\"").body("abcdefghij"));
    assert_eq!(world.get("/").text(), "abcdefghij");
    assert_eq!(range(&world, "bytes=2-5").1, "cdef");
}

#[test]
fn parts_of_two_representations_that_arrive_at_once_stay_apart() {
    for is_first_first in [true, false] {
        let (world, gates) = (World::new(), [Gate::new(), Gate::new()]);
        world.origin.on_path("/", part("\"a\"", 0, 1).after(&gates[0]));
        world.origin.on_path("/", part("\"b\"", 2, 3).after(&gates[1]));
        let mut clients = [world.client(), world.client()];
        for (number, asked) in ["bytes=0-1", "bytes=2-3"].into_iter().enumerate() {
            clients[number].send(request("GET", &world.url("/"), &[("Range", asked)], ""));
            world.origin.has_requests(number + 1);
        }
        for number in if is_first_first { [0, 1] } else { [1, 0] } {
            gates[number].open();
            assert_eq!(clients[number].response().status(), 206);
        }
        // What was asked for last is what the representation is now.
        assert_eq!(range(&world, "bytes=2-3").2, "larder; hit; ttl=60");
        world.origin.now_on_path("/", part("\"b\"", 0, 1));
        assert_eq!(range(&world, "bytes=0-3").2, "larder; fwd=partial; fwd-status=206; stored; ttl=60");
    }
}

#[test]
fn without_a_strong_tag_a_part_answers_for_itself_alone() {
    let world = World::new();
    let bare = Answer::status(206).field("Cache-Control", "max-age=60");
    world.origin.on_path("/", bare.field("Content-Range", "bytes 0-4/10").body("01234"));
    world.origin.on_path("/", Answer::fresh(60, DIGITS));
    assert_eq!(range(&world, "bytes=0-4").1, "01234");
    assert_eq!(range(&world, "bytes=1-3").2, "larder; hit; ttl=60");
    let whole = world.get("/");
    assert_eq!((whole.text(), whole.cache_status()), (DIGITS, "larder; fwd=partial; stored; ttl=60"));
    assert!(world.origin.requests("/").pop().is_some_and(|asked| !asked.head.has("Range")));
    assert!(world.get("/").is_hit());
}

#[test]
fn what_can_not_be_placed_is_passed_and_not_stored() {
    let cases = [
        "bytes 0-1/*",
        "bytes */10",
        "bytes */1",
        "bytes 1-0/10",
        "bytes 0-1/1",
        "bytes 0-2/10",
        "items 0-1/10",
        "bytes 0-18446744073709551615/18446744073709551616",
        "bytes 18446744073709551614-18446744073709551615/*",
    ];
    for content_range in cases {
        let world = World::new();
        let answer = Answer::status(206).field("Cache-Control", "max-age=60").field("ETag", "\"a\"");
        world.origin.on_path("/", answer.field("Content-Range", content_range).body("01"));
        for _ in 0..2 {
            let (status, text, cache_status) = range(&world, "bytes=0-1");
            assert_eq!((status, text.as_str()), (206, "01"), "{content_range}");
            assert_eq!(cache_status, "larder; fwd=uri-miss; detail=partial", "{content_range}");
        }
    }
}

#[test]
fn content_that_is_not_as_long_as_it_said_is_not_kept() {
    for content in ["01", "01234"] {
        let world = World::new();
        let answer = Answer::status(206).field("Cache-Control", "max-age=60").field("ETag", "\"a\"");
        world.origin.on_path("/", answer.field("Content-Range", "bytes 0-3/10").chunked(&[content]));
        range(&world, "bytes=0-3");
        assert_eq!(range(&world, "bytes=0-1").2, "larder; fwd=uri-miss; stored; ttl=60", "{content}");
    }
}

#[test]
fn only_if_cached_never_asks_for_the_rest() {
    let world = stored();
    let only = [("Range", "bytes=2-3"), ("Cache-Control", "only-if-cached")];
    assert_eq!(world.get_with("/", &only).status(), 206);
    assert_eq!(world.get_with("/", &[("Cache-Control", "only-if-cached")]).status(), 504);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn an_answer_under_if_range_begins_nothing() {
    let world = World::new();
    world.origin.on_path("/", part("\"a\"", 0, 1));
    for _ in 0..2 {
        let response = world.get_with("/", &[("Range", "bytes=0-1"), ("If-Range", "\"a\"")]);
        assert_eq!((response.text(), response.is_hit()), ("01", false));
    }
}

#[test]
fn an_invalidated_part_does_not_come_back() {
    let world = stored();
    world.origin.now_on_path("/", Answer::ok(""));
    world.request("POST", "/", &[], "x");
    world.origin.now_on_path("/", part("\"a\"", 2, 3));
    assert!(!range(&world, "bytes=2-3").2.contains("hit"));
}

#[test]
fn what_is_there_of_a_small_cut_response_is_completed() {
    let world = World::new();
    let begun =
        Answer::cached("max-age=60").field("ETag", "\"a\"").field("Content-Length", "10").end_of_head();
    world.origin.on_path("/", begun.send("01234").close()).on_path("/", Answer::status(503));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    assert!(!client.response().is_whole());
    // The client sees the cut before what has arrived is stored.
    eventually("it is stored", || world.request("HEAD", "/", &[], "").is_hit());
    world.origin.now_on_path("/", part("\"a\"", 5, 9));
    let response = world.get("/");
    assert_eq!(response.text(), DIGITS);
    assert_eq!(world.origin.requests("/").pop().expect("several").head.field("range"), Some("bytes=5-9"));
    assert!(world.get("/").is_hit());
}

/// Asks for a range of megabytes through a process.
fn big(client: &mut Client, url: &str, first: usize, end: usize) -> (Vec<u8>, String) {
    let response = client.get_with(url, &[("Range", &format!("bytes={first}-{}", end - 1))]);
    let status = response.cache_status().to_owned();
    (response.body.bytes, status)
}

#[test]
fn parts_outlive_the_process_small_and_large() {
    let (folder, origin) = (Folder::new(), Origin::start());
    let body = noise(3 * MIB + 99);
    let of = |body: &[u8], first: usize, end: usize| {
        let answer = Answer::status(206).field("Cache-Control", "max-age=600").field("ETag", "\"a\"");
        let range = format!("bytes {first}-{}/{}", end - 1, body.len());
        answer.field("Content-Range", &range).body(&body[first..end])
    };
    origin.on_path("/small", of(&body[..1000], 100, 200)).on_path("/small", of(&body[..1000], 500, 600));
    origin.on_path("/large", of(&body, 100, 2 * MIB + 7)).on_path("/large", of(&body, 2 * MIB, body.len()));
    let start = || Process::start_in(&folder, &["--disk", "64MiB", "--memory", "8MiB"]);
    let mut process = start();
    let mut client = process.client();
    for (first, end) in [(100, 200), (500, 600)] {
        assert_eq!(big(&mut client, &origin.url("/small"), first, end).0, body[first..end]);
    }
    assert!(big(&mut client, &origin.url("/large"), 100, 2 * MIB + 7).0 == body[100..2 * MIB + 7]);
    process.signal(Signal::TERM);
    process.wait();
    let process = start();
    let mut client = process.client();
    for (first, end) in [(100, 200), (150, 160), (500, 600)] {
        let (octets, status) = big(&mut client, &origin.url("/small"), first, end);
        assert_eq!((&octets[..], status.contains("; hit")), (&body[first..end], true), "{status}");
    }
    let (octets, status) = big(&mut client, &origin.url("/large"), MIB, 2 * MIB);
    assert!(octets == body[MIB..2 * MIB] && status.contains("; hit"), "{status}");
    // The same tag brings the rest to the same stored response.
    let (octets, status) = big(&mut client, &origin.url("/large"), 2 * MIB, body.len());
    assert!(octets == body[2 * MIB..] && status.contains("fwd=partial"), "{status}");
    let asked = origin.requests("/large");
    assert_eq!(asked[1].head.field("if-range"), Some("\"a\""));
    assert_eq!(asked.len(), 2);
}
