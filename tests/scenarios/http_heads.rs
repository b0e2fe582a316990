//! What a head loses, keeps and gains on its way (RFC 9110 §7.6, RFC 9112 §3.2).

use crate::support::{Answer, World, request};

#[test]
fn fields_for_the_connection_do_not_reach_the_origin() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let fields = [
        ("Connection", "X-Named, keep-alive"),
        ("connection", "x-other"),
        ("X-Named", "1"),
        ("X-Other", "2"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic eDp5"),
        ("Proxy-Anything", "1"),
        ("TE", "trailers"),
        ("Upgrade", "websocket"),
        ("X-Kept", "3"),
    ];
    assert_eq!(world.get_with("/", &fields).status(), 200);
    assert_eq!(world.origin.request("/").head.names(), ["Host", "X-Kept", "Via"]);
}

#[test]
fn fields_for_the_connection_do_not_reach_the_client() {
    let world = World::new();
    let answer = Answer::status(200)
        .field("Connection", "X-Named, keep-alive")
        .field("X-Named", "1")
        .field("Keep-Alive", "timeout=5")
        .field("Proxy-Connection", "keep-alive")
        .field("Proxy-Authenticate", "Basic")
        .field("Upgrade", "h2c")
        .field("X-Kept", "2");
    world.origin.on_path("/", answer.body("hello"));
    let response = world.get("/");
    let gone = ["X-Named", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Upgrade", "Connection"];
    for name in gone {
        assert!(!response.has(name), "{name} reached the client");
    }
    assert_eq!(response.field("X-Kept"), Some("2"));
}

#[test]
fn a_connection_option_takes_no_protected_field_away() {
    let world = World::new();
    let answer = Answer::status(200)
        .field("Connection", "Cache-Control, Set-Cookie, Content-Length, Date")
        .field("Cache-Control", "private")
        .field("Set-Cookie", "a=b");
    world.origin.on_path("/", answer.body("hello"));
    let fields = [("Connection", "Host, Authorization, Cookie"), ("Authorization", "x"), ("Cookie", "y")];
    let response = world.get_with("/", &fields);
    assert_eq!(response.text(), "hello");
    assert_eq!(response.field("Cache-Control"), Some("private"));
    assert_eq!(response.field("Set-Cookie"), Some("a=b"));
    let head = world.origin.request("/").head;
    assert_eq!(head.field("Host"), Some(&*world.origin.authority()));
    assert_eq!((head.field("Authorization"), head.field("Cookie")), (Some("x"), Some("y")));
}

#[test]
fn names_keep_their_case_and_lines_their_order() {
    let world = World::new();
    let answer = Answer::status(200).field("x-FIRST", "1").field("Z", "2").field("x-First", "3");
    world.origin.on_path("/", answer.field("a", "4").body("hello"));
    let response = world.get_with("/", &[("aCCept", "*/*"), ("X-b", "2"), ("X-A", "1"), ("x-B", "3")]);
    assert_eq!(world.origin.request("/").head.names()[1..5], ["aCCept", "X-b", "X-A", "x-B"]);
    let names = response.head.names();
    assert_eq!(names[..4], ["x-FIRST", "Z", "x-First", "a"]);
    assert_eq!(response.head.all("x-first"), ["1", "3"]);
}

#[test]
fn host_comes_from_the_target_uri() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let url = world.url("/");
    world.client().send(format!("GET {url} HTTP/1.1\r\nHost: evil.example\r\n\r\n")).response();
    let head = world.origin.request("/").head;
    assert_eq!(head.all("Host"), [world.origin.authority()]);
    assert_eq!(head.start, "GET / HTTP/1.1");
}

#[test]
fn via_grows_on_both_ways() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(200).field("Via", "1.1 near-origin").body("hello"));
    let response = world.get_with("/", &[("Via", "1.0 near-client")]);
    let own = format!("1.1 {}", world.shared.pseudonym);
    let via = |head: &crate::support::Head| head.all("Via").join(", ");
    assert_eq!(via(&world.origin.request("/").head), format!("1.0 near-client, {own}"));
    assert_eq!(via(&response.head), format!("1.1 near-origin, {own}"));
}

#[test]
fn via_names_the_version_that_was_received() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello").close());
    let url = world.url("/");
    let response = world.client().send(format!("GET {url} HTTP/1.0\r\n\r\n")).response();
    let own = format!("1.0 {}", world.shared.pseudonym);
    assert_eq!(world.origin.request("/").head.field("Via"), Some(&*own));
    assert_eq!(response.field("Via"), Some(&*own));
}

#[test]
fn a_request_that_comes_back_is_a_loop() {
    let world = World::new();
    let via = format!("1.1 other, 1.1 {} (larder)", world.shared.pseudonym.to_uppercase());
    let response = world.get_with("/", &[("Via", &via)]);
    assert_eq!((response.status(), response.proxy_error()), (508, "proxy_loop_detected"));
    assert!(world.origin.is_not_asked());
}

#[test]
fn two_larders_in_a_row_are_no_loop() {
    let (first, second) = (World::new(), World::new());
    first.origin.on_path("/", Answer::ok("hello"));
    first.get("/");
    let via = first.origin.request("/").head.field("Via").map(str::to_owned).expect("it adds Via");
    second.origin.on_path("/", Answer::ok("hello"));
    assert_eq!(second.get_with("/", &[("Via", &via)]).status(), 200);
}

#[test]
fn the_proxy_itself_is_no_destination() {
    let world = World::new();
    let mut client = world.client();
    assert_eq!(client.get(&format!("http://{}/", world.proxy())).status(), 403);
    client.settle();
    assert_eq!(world.count(|counters| &counters.denied), 1);
}

#[test]
fn methods_go_on_as_they_are() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = world.client();
    for method in ["GET", "OPTIONS", "DELETE", "PROPFIND", "brew"] {
        let response = client.request(method, &world.url("/"), &[], "");
        assert_eq!((response.status(), response.text()), (200, "hello"), "{method}");
    }
    for method in ["POST", "PUT", "PATCH", "REPORT"] {
        assert_eq!(client.request(method, &world.url("/"), &[], "content").text(), "hello", "{method}");
    }
    let seen = world.origin.all_requests();
    let methods: Vec<_> = seen.iter().map(|seen| seen.head.part(0)).collect();
    assert_eq!(methods, ["GET", "OPTIONS", "DELETE", "PROPFIND", "brew", "POST", "PUT", "PATCH", "REPORT"]);
    assert!(seen[5..].iter().all(|seen| seen.text() == "content"));
}

#[test]
fn head_has_the_length_and_no_content() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
    let mut client = world.client();
    for _ in 0..2 {
        let response = client.request("HEAD", &world.url("/"), &[], "");
        assert_eq!((response.status(), response.field("Content-Length")), (200, Some("5")));
    }
    assert_eq!(world.origin.request_count(), 2);
    assert_eq!(world.origin.connection_count(), 1);
}

#[test]
fn max_forwards_counts_down_and_ends_here() {
    let world = World::new();
    world.origin.on_path("/", Answer::ok("hello"));
    let mut client = world.client();
    client.request("OPTIONS", &world.url("/"), &[("Max-Forwards", "2")], "");
    assert_eq!(world.origin.request("/").head.field("Max-Forwards"), Some("1"));
    let last = client.request("OPTIONS", &world.url("/"), &[("Max-Forwards", "0")], "");
    assert_eq!((last.status(), last.has("Allow")), (200, true));
    let trace = request("TRACE", &world.url("/"), &[("Max-Forwards", "0"), ("Cookie", "a=b")], "");
    let echo = client.send(&trace).response();
    assert_eq!(echo.field("Content-Type"), Some("message/http"));
    assert!(echo.text().starts_with("TRACE http://") && !echo.text().contains("a=b"));
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn a_request_as_to_a_web_server_is_refused() {
    let world = World::new();
    let mut client = world.client();
    let response = client.send("GET / HTTP/1.1\r\nHost: origin.example\r\n\r\n").response();
    assert_eq!(response.status(), 400);
    assert!(client.is_closed());
    assert!(world.origin.is_not_asked());
}
