//! Interim responses and switches to another protocol (RFC 9110 §15.2, §7.8).

use crate::support::{Answer, Client, Gate, World, request};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n";

/// Sends the head of a request for content that the client keeps back.
fn expecting(world: &World, path: &str) -> Client {
    let mut client = world.client();
    let (url, host) = (world.url(path), world.origin.authority());
    let head =
        format!("POST {url} HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n");
    client.send(head + "\r\n");
    client
}

#[test]
fn a_client_waits_for_100_continue_and_gets_it() {
    let world = World::new();
    let answer = Answer::raw("HTTP/1.1 100 Continue\r\n\r\n").early().run(|wire| {
        let content = wire.exactly(5).bytes;
        wire.send([b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &content[..]].concat());
    });
    world.origin.on_path("/", answer);
    let mut client = expecting(&world, "/");
    assert_eq!(client.head().status(), 100);
    client.send("12345");
    assert_eq!(client.response().text(), "12345");
    assert_eq!(world.origin.requests("/")[0].head.field("Expect"), Some("100-continue"));
}

#[test]
fn a_client_that_waits_for_100_may_get_its_final_response() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(417).body("no").early().hold());
    let mut client = expecting(&world, "/");
    let response = client.response();
    assert_eq!((response.status(), response.text(), response.interim.len()), (417, "no", 0));
    // The content that was not sent leaves the connection out of step.
    assert!(client.is_closed());
}

#[test]
fn early_hints_reach_the_client_before_the_response() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/", Answer::raw(HINT).wait(&gate).send(OK));
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    let hint = client.head();
    assert_eq!((hint.status(), hint.field("Link")), (103, Some("</style.css>")));
    gate.open();
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn sixteen_interim_responses_are_forwarded() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw(HINT.repeat(16)).send(OK));
    let response = world.get("/");
    assert_eq!((response.status(), response.interim.len()), (200, 16));
}

#[test]
fn a_seventeenth_interim_response_is_one_too_many() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw(HINT.repeat(17)).send(OK));
    let response = world.get("/");
    assert_eq!((response.status(), response.interim.len()), (502, 16));
    world.origin.has_ended(0);
}

#[test]
fn an_http_1_0_client_gets_no_interim_response() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw(HINT).send(OK));
    let mut client = world.client();
    let response = client.send(format!("GET {} HTTP/1.0\r\n\r\n", world.url("/"))).response();
    assert_eq!((response.text(), response.interim.len()), ("hello", 0));
}

/// Asks for another protocol, with first octets of it right behind the head.
fn switching(world: &World, first: &str) -> Client {
    let mut client = world.client();
    let fields = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "chat"), ("Sec-Chat-Key", "1")];
    let head = request("GET", &world.url("/"), &fields, "");
    client.send([&head, first.as_bytes()].concat());
    client
}

#[test]
fn a_switch_becomes_a_tunnel_that_loses_no_octet() {
    let world = World::new();
    let answer = Answer::raw(SWITCH).send("welcome").run(|wire| {
        let said = wire.exactly(10).bytes;
        wire.send([b"you said ", &said[..]].concat());
    });
    world.origin.on_path("/", answer.close());
    let mut client = switching(&world, "early");
    let response = client.response();
    assert_eq!((response.status(), response.field("Upgrade")), (101, Some("chat")));
    assert!(response.field("Connection").is_some_and(|option| option.eq_ignore_ascii_case("upgrade")));
    client.send("later");
    assert_eq!(client.wire.exactly(7).bytes, b"welcome");
    assert_eq!(client.wire.until_close().bytes, b"you said earlylater");
    let head = world.origin.request("/").head;
    assert_eq!((head.field("Upgrade"), head.field("Sec-Chat-Key")), (Some("chat"), Some("1")));
    assert!(head.field("Connection").is_some_and(|option| option.eq_ignore_ascii_case("upgrade")));
}

#[test]
fn an_origin_may_ignore_the_wish_to_switch() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = switching(&world, "");
    assert_eq!(client.response().text(), "hello");
    assert_eq!(client.get(&world.url("/")).text(), "hello");
}

#[test]
fn a_switch_that_nobody_asked_for_is_an_error() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw(SWITCH).hold());
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    let head = client.head();
    assert_eq!(head.status(), 502);
    client.body(&head);
    world.origin.has_ended(0);
}

#[test]
fn http_2_is_no_protocol_to_switch_to() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let fields = [
        ("Connection", "Upgrade, HTTP2-Settings"),
        ("Upgrade", "h2c"),
        ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
    ];
    assert_eq!(world.get_with("/", &fields).text(), "hello");
    assert_eq!(world.origin.request("/").head.names(), ["Host", "Via"]);
}

#[test]
fn an_end_of_one_direction_passes_through_a_switch() {
    let world = World::new();
    let answer = Answer::raw(SWITCH).run(|wire| {
        assert_eq!(wire.until_close().bytes, b"that is all");
        wire.send("goodbye");
    });
    world.origin.on_path("/", answer.close());
    let mut client = switching(&world, "");
    assert_eq!(client.response().status(), 101);
    client.send("that is all").half_close();
    assert_eq!(client.wire.until_close().bytes, b"goodbye");
}
