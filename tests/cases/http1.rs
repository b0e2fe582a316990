//! Group 5: HTTP/1 as real clients and origins speak it.

use std::time::Duration;

use larder::log::Format;

use crate::support::{Answer, Client, Gate, Response, World, request};

/// A GET with this target and these field lines, as they are.
fn get(client: &mut Client, target: &str, lines: &str) -> Response {
    client.send(format!("GET {target} HTTP/1.1\r\n{lines}\r\n"));
    client.response()
}

/// What the origin got on a path, to one field.
fn seen(world: &World, path: &str, name: &str) -> Option<String> {
    world.origin.requests(path).last().expect("it was asked").head.field(name).map(str::to_owned)
}

fn logged() -> World {
    World::with(|setup| setup.access_log = Some(Format::Json))
}

/// The one line of the log.
fn line(world: World) -> serde_json::Value {
    world.has_served(1);
    serde_json::from_str(&world.into_log()[0]).expect("JSON")
}

#[test]
fn case_5_1_userinfo_becomes_credentials() {
    let world = World::new();
    let authority = world.origin.authority();
    world.origin.otherwise(Answer::ok("hello"));
    let cases = [
        ("us:pw", Some("Basic dXM6cHc=")),
        ("us", Some("Basic dXM6")),
        ("us:p%40w%2F", Some("Basic dXM6cEB3Lw==")),
        ("", None),
    ];
    for (userinfo, expected) in cases {
        let host = format!("Host: {authority}\r\n");
        let response = get(&mut world.client(), &format!("http://{userinfo}@{authority}/u"), &host);
        assert_eq!(response.status(), 200, "{userinfo}");
        assert_eq!(seen(&world, "/u", "Authorization").as_deref(), expected, "{userinfo}");
        assert_eq!(seen(&world, "/u", "Host"), Some(authority.clone()));
    }
    // What the client says itself stays.
    let own = format!("Host: {authority}\r\nAuthorization: Bearer x\r\n");
    get(&mut world.client(), &format!("http://us:pw@{authority}/u"), &own);
    assert_eq!(seen(&world, "/u", "Authorization").as_deref(), Some("Bearer x"));
}

#[test]
fn case_5_1_a_disguised_host_is_refused() {
    let world = World::new();
    let authority = world.origin.authority();
    let targets = [
        format!("http://good.example@evil.example@{authority}/"),
        format!("http://good.example\\@{authority}/"),
        format!("http://us:%0d%0aX-Evil:1@{authority}/"),
        format!("http://us:%zz@{authority}/"),
        format!("http://us\u{e4}:pw@{authority}/"),
        format!("https://us:pw@{authority}/"),
        "http://us:pw@/".to_owned(),
        "http://us:pw@ /".to_owned(),
    ];
    for target in targets {
        let response = get(&mut world.client(), &target, &format!("Host: {authority}\r\n"));
        assert_eq!((response.status(), response.proxy_error()), (400, "http_request_error"), "{target}");
    }
    let mut client = world.client();
    client.send(format!("CONNECT us:pw@{authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    assert_eq!(client.response_to("CONNECT").status(), 400);
    assert!(world.origin.is_not_asked());
}

#[test]
fn case_5_1_rules_keys_and_logs_see_the_host_alone() {
    let world = World::with(|setup| {
        setup.access_log = Some(Format::Json);
        setup.access_toml("block = ['blocked.example', '://[^/]*pw']");
    });
    let authority = world.origin.authority();
    world.origin.otherwise(Answer::fresh(60, "hello"));
    let blocked = get(&mut world.client(), "http://us:pw@blocked.example/", "Host: x\r\n");
    assert_eq!(blocked.status(), 403);
    let open = get(&mut world.client(), &format!("http://blocked.example:pw@{authority}/"), "Host: x\r\n");
    assert_eq!(open.status(), 200);
    world.has_served(2);
    let log = world.into_log().join("\n");
    assert!(!log.contains("pw") && !log.contains("blocked.example:"), "{log}");
}

#[test]
fn case_5_1_an_answer_to_credentials_is_nobody_elses() {
    let world = World::new();
    let authority = world.origin.authority();
    world.origin.on_path("/mine", Answer::fresh(60, "mine")).on_path("/mine", Answer::fresh(60, "yours"));
    let mine = get(&mut world.client(), &format!("http://us:pw@{authority}/mine"), "Host: x\r\n");
    assert_eq!((mine.text(), mine.cache_status().contains("stored")), ("mine", false));
    assert_eq!(world.get("/mine").text(), "yours");
    // Which is one resource for all.
    assert!(world.get("/mine").is_hit());
}

#[test]
fn case_5_2_a_fragment_is_dropped() {
    let world = World::new();
    let authority = world.origin.authority();
    world.origin.otherwise(Answer::fresh(60, "hello"));
    let targets = [
        (format!("http://{authority}/f?a#frag"), "/f?a"),
        (format!("http://{authority}/f?a#"), "/f?a"),
        (format!("http://{authority}/g#a?b/c#d"), "/g"),
        (format!("http://{authority}#frag"), "/"),
        (format!("http://{authority}#@evil.example/"), "/"),
    ];
    for (target, path) in &targets {
        let response = get(&mut world.client(), target, "Host: x\r\n");
        assert_eq!(response.status(), 200, "{target}");
        assert_eq!(world.origin.requests(path).len(), 1, "{target}");
    }
    // It is no part of the key either.
    assert!(get(&mut world.client(), &format!("http://{authority}/f?a#other"), "Host: x\r\n").is_hit());
    assert_eq!(world.origin.request_count(), 3);
    assert_eq!(get(&mut world.client(), "#frag", "Host: x\r\n").status(), 400);
}

#[test]
fn case_5_3_host_is_ignored_beside_an_absolute_target() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    for lines in ["Host:\r\n", "Host: \t\r\n", "Host: other.example\r\n", "Host: other.example:81\r\n"] {
        let response = get(&mut world.client(), &world.url("/"), lines);
        assert_eq!(response.status(), 200, "{lines:?}");
        assert_eq!(seen(&world, "/", "Host"), Some(world.origin.authority()), "{lines:?}");
    }
    // RFC 9112 §3.2: none, several, and what no host can be are a 400 whatever the target is.
    for lines in ["", "Host: a\r\nHost: a\r\n", "Host:\r\nHost:\r\n", "Host: a b\r\n", "Host: a@b\r\n"] {
        assert_eq!(get(&mut world.client(), &world.url("/"), lines).status(), 400, "{lines:?}");
    }
}

#[test]
fn case_5_3_so_is_it_beside_connect() {
    let world = World::new();
    let mut client = world.client();
    client.send(format!("CONNECT {} HTTP/1.1\r\nHost:\r\n\r\n", world.origin.authority()));
    assert_eq!(client.response_to("CONNECT").status(), 200);
    assert_eq!(get(&mut world.client(), "/", "Host:\r\n").status(), 400);
}

/// Connections that the origin has seen when it is asked again after a while.
fn connections_after(keep_alive: &str, wait: Duration, method: &str) -> usize {
    let world = World::new();
    world.origin.otherwise(Answer::status(200).field("Keep-Alive", keep_alive).body("hello"));
    world.get("/first");
    world.client().settle();
    world.clock.advance(wait);
    let content = if method == "POST" { "hello" } else { "" };
    assert_eq!(world.request(method, "/second", &[], content).status(), 200);
    world.origin.connection_count()
}

#[test]
fn case_5_4_an_origins_keep_alive_is_heeded() {
    let millis = Duration::from_millis;
    let cases = [
        ("timeout=1", millis(1500), "POST", 2),
        ("timeout=1", millis(1500), "GET", 2),
        ("timeout=1", millis(400), "POST", 1),
        ("timeout=5, max=100", millis(4500), "GET", 2),
        ("timeout=5, max=100", millis(1500), "POST", 1),
        ("max=0", millis(0), "GET", 2),
        ("timeout=0", millis(0), "GET", 2),
        ("nonsense", millis(1500), "POST", 1),
        ("", millis(29_000), "GET", 1),
    ];
    for (keep_alive, wait, method, connections) in cases {
        assert_eq!(
            connections_after(keep_alive, wait, method),
            connections,
            "{keep_alive} {wait:?} {method}"
        );
    }
}

/// An answer that is malformed in a way, and what it says.
const MALFORMED: &[(&str, &str)] = &[
    ("HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", "LF alone"),
    ("HTTP/1.1 200 OK\r\nA: b\nContent-Length: 5\r\n\r\nhello", "LF in one line"),
    ("ICY 200 OK\r\nicy-name: radio\r\n\r\nhello", "ICY"),
    ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "chunked in 1.0"),
    ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\nContent-Length: 5\r\n\r\nhello", "folded"),
    ("\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "empty line in front"),
];

#[test]
fn case_5_5_malformed_heads_are_refused_by_default() {
    let world = World::new();
    for (octets, what) in MALFORMED {
        world.origin.now_on_path("/", Answer::raw(octets).close());
        assert_eq!(world.get("/").status(), 502, "{what}");
    }
}

#[test]
fn case_5_5_and_repaired_for_origins_that_the_operator_names() {
    let world = World::with(|setup| setup.access_toml("lenient_origins = ['127.0.0.0/8']"));
    for (octets, what) in MALFORMED {
        world.origin.now_on_path("/", Answer::raw(octets).close());
        let response = world.get("/");
        assert_eq!((response.status(), response.text()), (200, "hello"), "{what}");
        assert!(response.head.start.starts_with("HTTP/1.1 200"), "{what}: {}", response.head.start);
    }
    // Another host is another matter, and so is what has two readings.
    let world = World::with(|setup| {
        setup.access_toml("lenient_origins = ['*.radio.example']");
        setup.host("a.radio.example", &["127.0.0.1"]);
    });
    let port = world.origin.address().port();
    world.origin.otherwise(Answer::raw(MALFORMED[0].0).close());
    assert_eq!(world.client().get(&format!("http://a.radio.example:{port}/")).status(), 200);
    assert_eq!(world.client().get(&format!("http://origin.example:{port}/")).status(), 502);
    for octets in [
        "HTTP/1.1 200 OK\nContent-Length: 5\nContent-Length: 6\n\nhello",
        "<html>hello",
        "HTTP/1.1 200 OK\nA: b\rC: d\n\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    ] {
        world.origin.otherwise(Answer::raw(octets).close());
        let response = world.client().get(&format!("http://a.radio.example:{port}/"));
        assert!(response.status() == 502, "{octets:?}: {response:?}");
    }
}

#[test]
fn case_5_5_responses_may_have_larger_heads_than_requests() {
    let world = World::new();
    let long = "x".repeat(60 << 10);
    let many = (0..250).fold(Answer::status(200), |answer, n| answer.field(&format!("X-{n}"), "y"));
    world.origin.on_path("/long", Answer::status(200).field("X-Long", &long).body("hello"));
    world.origin.on_path("/many", many.body("hello"));
    assert_eq!(world.get("/long").field("X-Long"), Some(long.as_str()));
    assert_eq!(world.get("/many").field("X-249"), Some("y"));
    // They are stored like others.
    world.origin.on_path("/stored", Answer::cached("max-age=60").field("X-Long", &long).body("hello"));
    world.get("/stored");
    assert_eq!(world.get("/stored").field("X-Long"), Some(long.as_str()));
    // A request has its own limits.
    assert_eq!(world.get_with("/long", &[("X-Long", &long)]).status(), 431);
}

#[test]
fn case_5_5_the_limits_of_responses_are_the_operators_choice() {
    let world = World::with(|setup| {
        let limits = &mut setup.limits.response_head;
        (limits.head, limits.line, limits.fields) = (4096, 1024, 4);
    });
    world.origin.on_path("/line", Answer::status(200).field("X", &"x".repeat(1100)).body(""));
    let many = (0..5).fold(Answer::status(200), |answer, n| answer.field(&format!("X-{n}"), "y"));
    world.origin.on_path("/many", many.body(""));
    assert_eq!(world.get("/line").proxy_error(), "http_response_header_size");
    assert_eq!(world.get("/many").proxy_error(), "http_response_header_section_size");
}

#[test]
fn case_5_6_a_bad_head_has_its_type_and_its_octets() {
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\n");
    let many: String = (0..257).map(|n| format!("X-{n}: y\r\n")).collect();
    let cases = [
        (head(&many), "http_response_header_section_size"),
        (head(&format!("X: {}\r\n", "x".repeat(65 << 10))), "http_response_header_size"),
        (head("Transfer-Encoding: gzip\r\n"), "http_response_transfer_coding"),
        (head("Transfer-Encoding: chunked, chunked\r\n"), "http_response_transfer_coding"),
        (head("Content-Length: x\r\n"), "http_protocol_error"),
        (head("no colon\r\n"), "http_protocol_error"),
        ("SSH-2.0-OpenSSH_9\r\n".to_owned(), "http_response_incomplete"),
        ("HTTP/1.1 200 OK\r\nX: y".to_owned(), "http_response_incomplete"),
    ];
    for (octets, kind) in cases {
        let world = logged();
        world.origin.otherwise(Answer::raw(&octets).close());
        let response = world.get("/");
        assert_eq!((response.status(), response.proxy_error()), (502, kind), "{octets:.60?}");
        let line = line(world);
        assert_eq!((&line["error"], &line["cache_code"]), (&kind.into(), &"TCP_MISS".into()), "{line}");
        let received = line["bytes_from_origin"].as_u64().unwrap();
        // What is too large is not read to its end.
        let is_whole = octets.len() < 10_000;
        assert!(received > 0 && (!is_whole || received == octets.len() as u64), "{octets:.60?} {line}");
    }
}

#[test]
fn case_5_6_bad_content_has_its_type() {
    let trailers: String = (0..200).map(|n| format!("X-{n}: y\r\n")).collect();
    let chunked = |control: &str, chunks: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{control}Transfer-Encoding: chunked\r\n\r\n");
        Answer::raw(head + chunks).hold()
    };
    for control in ["", "Cache-Control: max-age=60\r\n"] {
        let cases = [
            ("zz\r\nhello", "http_response_transfer_coding"),
            ("5\r\nhello\nzz", "http_response_transfer_coding"),
            ("5;a=\"b\r\nhello\r\n0\r\n\r\n", "http_response_transfer_coding"),
        ];
        for (chunks, kind) in cases {
            let world = logged();
            world.origin.otherwise(chunked(control, chunks));
            let mut client = world.client();
            client.send(request("GET", &world.url("/"), &[], ""));
            // It may have begun, and is cut off then.
            let whole = client.wire.head().is_ok_and(|head| {
                let response_is_error = head.status() == 502;
                response_is_error || client.body(&head).end == crate::support::End::Clean
            });
            let line = line(world);
            assert_eq!(line["error"], kind, "{control}{chunks:?} {whole} {line}");
        }
        let world = logged();
        world.origin.otherwise(chunked(control, &format!("5\r\nhello\r\n0\r\n{trailers}\r\n")));
        let response = world.get("/");
        assert!(!response.is_whole() || response.status() == 502);
        assert_eq!(line(world)["error"], "http_response_trailer_section_size");
    }
}

#[test]
fn case_5_6_silence_in_content_is_a_time_out() {
    for control in ["no-store", "max-age=60"] {
        let world = logged();
        let head = format!("HTTP/1.1 200 OK\r\nCache-Control: {control}\r\nContent-Length: 10\r\n\r\nhello");
        world.origin.otherwise(Answer::raw(head).hold());
        let mut client = world.client();
        client.send(request("GET", &world.url("/"), &[], ""));
        assert_eq!(client.head().status(), 200);
        assert_eq!(client.wire.exactly(5).bytes, b"hello");
        world.advance_until_closed(Duration::from_secs(60), &mut client);
        let line = line(world);
        let found = (&line["error"], &line["ending"]);
        assert_eq!(found, (&"connection_read_timeout".into(), &"timed_out".into()), "{control} {line}");
    }
}

#[test]
fn case_5_6_silence_before_any_content_is_a_504() {
    let world = logged();
    // Nothing of the response has left where the first octets are still awaited: here it has.
    world.origin.otherwise(Answer::raw("HTTP/1.1 200 OK\r\nConte").hold());
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    world.advance_until_heard(Duration::from_secs(120), &mut client);
    let response = client.response();
    assert_eq!((response.status(), response.proxy_error()), (504, "http_response_timeout"));
    let line = line(world);
    assert_eq!(line["bytes_from_origin"], 22, "{line}");
}

#[test]
fn case_5_6_a_408_took_as_long_as_it_took() {
    for begun in ["GET http://origin.example/ HTTP/1.1\r\nHost: origin", "G"] {
        let world = logged();
        let mut client = world.client();
        client.send(begun);
        world.advance_until_heard(Duration::from_secs(10), &mut client);
        assert_eq!(client.response().status(), 408);
        let line = line(world);
        assert!(line["duration_ms"].as_u64().unwrap() >= 10_000, "{line}");
        assert_eq!((&line["ending"], &line["bytes_from_client"]), (&"timed_out".into(), &begun.len().into()));
    }
}

#[test]
fn case_5_6_so_has_a_request_whose_head_came_slowly() {
    let world = logged();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    client.send("GET ");
    world.catch_up();
    world.advance(2);
    client.send(format!("{} HTTP/1.1\r\nHost: x\r\n\r\n", world.url("/")));
    assert_eq!(client.response().status(), 200);
    world.has_served(4);
    let log = world.into_log();
    let mut lines = log.iter().filter(|line| line.contains("\"GET\""));
    let line: serde_json::Value = serde_json::from_str(lines.next_back().unwrap()).unwrap();
    assert_eq!(line["duration_ms"], 2000, "{line}");
}

#[test]
fn case_5_7_names_that_servers_take_for_others_are_dropped() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let disguised = [
        ("Transfer_Encoding", "chunked"),
        ("Content_Length", "0"),
        ("content_type", "text/html"),
        ("X_Forwarded_For", "127.0.0.1"),
        ("X-Forwarded_Proto", "https"),
        ("X_Real_IP", "127.0.0.1"),
        ("X_Original_URL", "/admin"),
        ("Proxy", "http://evil.example"),
        ("Proxy_Authorization", "Basic x"),
        ("Authorization_", "Basic x"),
        ("Transfer~Encoding", "chunked"),
        ("Content.Length", "0"),
    ];
    let passes = [("X_Api_Key", "1"), ("api_key", "2"), ("X-Forwarded-For", "192.0.2.1")];
    let fields: Vec<_> = disguised.iter().chain(&passes).copied().collect();
    for method in ["GET", "POST"] {
        let content = if method == "POST" { "hello" } else { "" };
        assert_eq!(world.request(method, "/", &fields, content).status(), 200);
        let seen = world.origin.requests("/").pop().unwrap();
        for (name, _) in disguised.iter().filter(|(name, _)| *name != "Authorization_") {
            assert!(!seen.head.has(name), "{name}");
        }
        for (name, value) in passes {
            assert_eq!(seen.head.field(name), Some(value), "{name}");
        }
    }
}

#[test]
fn case_5_7_in_trailers_too() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    let url = world.url("/");
    client.send(format!("POST {url} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"));
    client.send("5\r\nhello\r\n0\r\nContent_Length: 0\r\nX_Checksum: 1\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let seen = world.origin.request("/");
    let names: Vec<_> = seen.body.unwrap().trailers.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["X_Checksum"]);
}

#[test]
fn case_5_4_a_connection_that_was_closed_unannounced_costs_no_post() {
    // The origin's end is there before its next use: it is seen without any hint.
    let world = World::new();
    let gate = Gate::new();
    gate.open();
    world.origin.otherwise(Answer::ok("hello").after(&gate));
    world.get("/first");
    world.client().settle();
    world.origin.hang_up(0);
    assert_eq!(world.request("POST", "/second", &[], "hello").status(), 200);
}
