//! What keeps one client's response from another who must not get it, and a poisoned one from
//! everybody: line by line, what other caches got wrong.

use rustix::process::Signal;

use crate::support::{Answer, Folder, Gate, Origin, Process, World, eventually, request};

#[test]
fn nothing_of_the_origins_connection_is_replayed() {
    const HOP: [&str; 9] = [
        "Connection",
        "Keep-Alive",
        "Proxy-Authenticate",
        "Proxy-Authentication-Info",
        "Proxy-Connection",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    ];
    let world = World::new();
    let mut answer =
        Answer::cached("max-age=60").field("Connection", "keep-alive, X-One, x-two").field("X-End", "2");
    for name in HOP.iter().filter(|name| !matches!(**name, "Connection" | "Transfer-Encoding")) {
        answer = answer.field(name, "h2c");
    }
    for name in ["X-One", "X-Two"] {
        answer = answer.field(name, "1");
    }
    world.origin.on_path("/", answer.field("ETag", "\"a\"").chunked(&["hello"]));
    world.get("/");
    for fields in [&[][..], &[("Range", "bytes=0-0")], &[("If-None-Match", "\"a\"")]] {
        let hit = world.get_with("/", fields);
        assert!(hit.is_hit(), "{}", hit.cache_status());
        for name in HOP.iter().chain(&["X-One", "X-Two"]) {
            assert!(!hit.has(name), "{name} in {}", hit.status());
        }
        assert_eq!(hit.field("X-End"), Some("2"));
    }
}

#[test]
fn a_cookie_that_is_shared_is_shared_whole() {
    let world = World::new();
    let cookies = ["a=1; Path=/; HttpOnly", "b=\"x, y\"; Expires=Sun, 02 Jun 2024 09:00:00 GMT", "c="];
    let answer = cookies
        .iter()
        .fold(Answer::cached("public, max-age=60"), |answer, cookie| answer.field("Set-Cookie", cookie));
    world.origin.on_path("/", answer.body("hello"));
    world.get("/");
    let hit = world.get("/");
    assert!(hit.is_hit());
    assert_eq!(hit.head.all("Set-Cookie"), cookies);
}

#[test]
fn paths_are_told_apart_by_every_octet() {
    let world = World::new();
    let paths = [
        "/a",
        "/A",
        "/%61",
        "/a/",
        "//a",
        "/a;x",
        "/./a",
        "/b/../a",
        "/a?",
        "/a?x=1&y=2",
        "/a?y=2&x=1",
        "/a?x=%31",
    ];
    for path in paths {
        world.origin.on_path(path, Answer::fresh(60, path));
        assert!(!world.get(path).is_hit(), "{path}");
    }
    for path in paths {
        let hit = world.get(path);
        assert_eq!((hit.is_hit(), hit.text()), (true, path));
    }
}

#[test]
fn what_was_built_from_a_field_that_the_key_leaves_out_reaches_nobody_else() {
    let fields = [
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Scheme",
        "X-Forwarded-Port",
        "X-Host",
        "X-Original-URL",
        "X-Rewrite-URL",
        "Forwarded",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
    ];
    for name in fields {
        let world = World::new();
        world.origin.on_path("/", Answer::fresh(60, "poisoned")).on_path("/", Answer::fresh(60, "clean"));
        world.get_with("/", &[(name, "evil")]);
        assert_eq!(world.get("/").text(), "clean", "{name}");
        // What is stored answers such a request, too: it was built without the field.
        assert!(world.get_with("/", &[(name, "evil")]).is_hit(), "{name}");
    }
}

#[test]
fn a_validation_that_carries_such_a_field_changes_nothing_for_others() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").field("ETag", "\"a\"").body("clean"));
    let evil = Answer::status(304).field("ETag", "\"a\"").field("Cache-Control", "max-age=9000");
    world.origin.on_path("/", evil.field("Location", "http://evil.example/").end_of_head());
    world.get("/");
    world.advance(61);
    world.get_with("/", &[("X-Forwarded-Host", "evil.example")]);
    world.origin.now_on_path("/", Answer::status(304).field("ETag", "\"a\"").end_of_head());
    let response = world.get("/");
    assert!(!response.has("Location"));
    assert!(response.cache_status().contains("fwd=stale"), "{}", response.cache_status());
}

#[test]
fn an_error_is_stored_only_as_long_as_its_origin_says() {
    for status in [400, 401, 403, 500, 502, 503, 504] {
        let world = World::new();
        let answer =
            Answer::status(status).field("Last-Modified", &world.date(-100_000)).field("ETag", "\"a\"");
        world.origin.on_path("/", answer.body("error"));
        world.get("/");
        assert!(!world.get("/").is_hit(), "{status}");
        let said = Answer::status(status).field("Cache-Control", "max-age=60").body("error");
        world.origin.now_on_path("/said", said);
        world.get("/said");
        assert!(world.get("/said").is_hit(), "{status}");
    }
}

#[test]
fn an_error_whose_age_is_known_is_stored_by_estimate() {
    for status in [404, 405, 410, 414, 501] {
        let world = World::new();
        let answer = Answer::status(status).field("Last-Modified", &world.date(-1000));
        world.origin.on_path("/", answer.body("error"));
        world.get("/");
        world.advance(99);
        assert!(world.get("/").is_hit(), "{status}");
        world.advance(1);
        assert!(!world.get("/").is_hit(), "{status}");
    }
}

#[test]
fn one_key_has_no_more_than_sixteen_variants() {
    let world = World::new();
    let answer = Answer::cached("max-age=60").field("Vary", "X-Kind").body("hello");
    world.origin.on_path("/", answer);
    let kinds: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    for kind in &kinds {
        world.get_with("/", &[("X-Kind", kind)]);
    }
    assert_eq!(world.shared.store.usage().objects, 16);
    for kind in &kinds[4..] {
        assert!(world.get_with("/", &[("X-Kind", kind)]).is_hit(), "{kind}");
    }
    assert!(!world.get_with("/", &[("X-Kind", "0")]).is_hit());
}

#[test]
fn what_is_for_one_client_is_not_shared_while_it_arrives() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("private, max-age=60", &[]),
        ("no-store", &[]),
        ("max-age=60", &[("Authorization", "Basic eDp5")]),
    ];
    for (control, fields) in cases {
        let world = World::new();
        let gate = Gate::new();
        world.origin.on_path("/", Answer::cached(control).body("mine").after(&gate));
        world.origin.on_path("/", Answer::cached(control).body("yours"));
        let mut first = world.client();
        first.send(request("GET", &world.url("/"), fields, ""));
        gate.is_reached();
        let mut second = world.client();
        second.send(request("GET", &world.url("/"), &[], ""));
        world.catch_up();
        gate.open();
        assert_eq!((first.response().text(), second.response().text()), ("mine", "yours"), "{control}");
    }
}

#[test]
fn content_of_a_get_is_read_and_answered_by_the_origin() {
    let world = World::new();
    world
        .origin
        .on_path("/", Answer::fresh(60, "stored"))
        .on_path("/", Answer::fresh(60, "about the content"));
    world.get("/");
    let mut client = world.client();
    let with_content =
        client.request("GET", &world.url("/"), &[], "GET http://evil.example/ HTTP/1.1\r\n\r\n");
    assert_eq!(with_content.text(), "about the content");
    // The next request on the connection begins behind it, and what was stored is as it was.
    assert_eq!(client.get(&world.url("/")).text(), "stored");
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn a_304_changes_nothing_that_the_stored_octets_depend_on() {
    let world = World::new();
    let stored = Answer::cached("max-age=60").field("ETag", "\"a\"").field("Content-Encoding", "gzip");
    world.origin.on_path("/", stored.field("Content-Type", "text/plain").body("hello"));
    let update = Answer::status(304)
        .field("ETag", "\"a\"")
        .field("Content-Length", "3")
        .field("Content-Encoding", "br")
        .field("Content-Range", "bytes 0-2/3")
        .field("Content-Type", "text/html")
        .field("X-New", "1");
    world.origin.on_path("/", update.end_of_head());
    world.get("/");
    world.advance(61);
    world.get("/");
    let hit = world.get("/");
    assert_eq!((hit.is_hit(), hit.text(), hit.field("Content-Length")), (true, "hello", Some("5")));
    assert_eq!(hit.field("Content-Encoding"), Some("gzip"));
    assert!(!hit.has("Content-Range") && !hit.has("Transfer-Encoding"));
    // RFC 9111 §3.2 has all others updated.
    assert_eq!((hit.field("Content-Type"), hit.field("X-New")), (Some("text/html"), Some("1")));
}

#[test]
fn a_clock_that_is_set_back_keeps_nothing_fresh() {
    let world = World::new();
    // As after a restart with the right time: the response came ten years later.
    world.advance(10 * 365 * 86_400);
    world.origin.on_path("/", Answer::fresh(60, "old"));
    world.get("/");
    let ten_years = std::time::Duration::from_secs(10 * 365 * 86_400);
    world.clock.set_back(ten_years);
    world.origin.now_on_path("/", Answer::fresh(60, "new"));
    assert_eq!(world.get("/").text(), "new");
    assert!(world.get("/").is_hit());
}

#[test]
fn what_may_not_be_stored_never_touches_the_disk() {
    let (folder, origin) = (Folder::new(), Origin::start());
    origin.on_path("/secret", Answer::cached("no-store").body("the secret of the no-store response"));
    origin.on_path("/mine", Answer::cached("private, max-age=60").body("the secret of the private response"));
    origin.on_path("/open", Answer::fresh(600, "what everybody may have"));
    let mut process = Process::start_in(&folder, &[]);
    for path in ["/secret", "/mine", "/open"] {
        process.client().get(&origin.url(path));
    }
    process.signal(Signal::TERM);
    process.wait();
    let store = folder.path("cache").join("store");
    let files: Vec<_> = std::fs::read_dir(&store).unwrap().map(|file| file.unwrap().path()).collect();
    let octets: Vec<u8> = files.iter().flat_map(|path| std::fs::read(path).unwrap()).collect();
    let has = |text: &str| octets.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has("what everybody may have"), "else this test reads the wrong files");
    assert!(!has("the secret of"));
    // No name comes from a URL, and nobody else may read them.
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&store), 0o700);
    for path in &files {
        assert_eq!(mode(path), 0o600, "{path:?}");
        let name = path.file_name().unwrap().to_string_lossy();
        assert!(!name.contains("open") && !name.contains("127"), "{name}");
    }
}

#[test]
fn what_is_not_whole_by_its_framing_is_never_published() {
    let truncated = [
        Answer::cached("max-age=60").field("Content-Length", "10").end_of_head().send("hello").close(),
        Answer::cached("max-age=60")
            .field("Transfer-Encoding", "chunked")
            .end_of_head()
            .send("5\r\nhello\r\n")
            .close(),
        Answer::cached("max-age=60").end_of_head().send("hello").reset(),
    ];
    for answer in truncated {
        let world = World::new();
        world.origin.on_path("/", answer).on_path("/", Answer::ok("whole"));
        let mut client = world.client();
        client.send(request("GET", &world.url("/"), &[], ""));
        let head = client.head();
        client.body(&head);
        world.catch_up();
        eventually("the fill's end", || world.shared.store.usage().filling_bytes == 0);
        assert_eq!(world.get("/").text(), "whole");
    }
}
