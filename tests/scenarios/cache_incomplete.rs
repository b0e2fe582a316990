//! Responses whose end is not certain: never stored, and never served as if they were whole
//! (RFC 9111 §3.3, RFC 9112 §8).

use crate::support::{Answer, End, World, request};

/// The head of a response that could be stored, with this framing.
fn head(framing: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n{framing}\r\n")
}

/// Responses that end before they should.
fn truncated() -> Vec<(&'static str, Answer)> {
    vec![
        ("short", Answer::raw(head("Content-Length: 10\r\n") + "hello").close()),
        ("reset", Answer::raw(head("Content-Length: 10\r\n") + "hello").reset()),
        ("no last chunk", Answer::raw(head("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n").close()),
        ("within a chunk", Answer::raw(head("Transfer-Encoding: chunked\r\n") + "5\r\nhel").close()),
        (
            "no end of trailers",
            Answer::raw(head("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n0\r\n").close(),
        ),
        ("bad chunk", Answer::raw(head("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\nx\r\n\r\n")),
    ]
}

/// Asks for `/`, and says whether what came looks like a whole response of the origin's.
fn looks_whole(world: &World) -> bool {
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    // Cutting the connection before the head deceives nobody either.
    let Ok(head) = client.wire.head() else { return false };
    head.status() == 200 && client.body(&head).end == End::Clean
}

#[test]
fn nobody_takes_a_truncated_response_for_whole() {
    for (what, answer) in truncated() {
        let world = World::new();
        world.origin.on_path("/", answer);
        assert!(!looks_whole(&world), "{what}");
    }
}

#[test]
fn a_truncated_response_is_not_stored() {
    for (what, answer) in truncated() {
        let world = World::new();
        world.origin.on_path("/", answer).on_path("/", Answer::fresh(60, "hello and all"));
        looks_whole(&world);
        let again = world.get("/");
        assert_eq!((again.is_hit(), again.text()), (false, "hello and all"), "{what}");
    }
}

#[test]
fn a_client_of_http_1_0_sees_a_reset_where_chunks_are_missing() {
    let world = World::new();
    world.origin.on_path("/", Answer::raw(head("Transfer-Encoding: chunked\r\n") + "5\r\nhello\r\n").close());
    let mut client = world.client();
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", world.url("/")));
    let response = client.wire.until_close();
    assert_eq!(response.end, End::Reset);
}

#[test]
fn a_truncated_validation_leaves_nothing_behind() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").field("ETag", "\"one\"").body("old"));
    world.origin.on_path("/", Answer::raw(head("Content-Length: 10\r\n") + "hello").close());
    world.origin.on_path("/", Answer::ok("new"));
    world.get("/");
    world.advance(61);
    assert!(!looks_whole(&world));
    assert_eq!(world.get("/").text(), "new");
}

#[test]
fn what_ends_with_its_connection_is_stored_unless_that_is_reset() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").end_of_head().send("hel").reset());
    world.origin.on_path("/", Answer::cached("max-age=60").until_close("hello"));
    assert!(!world.get("/").is_whole());
    let response = world.get("/");
    assert_eq!((response.text(), response.is_whole()), ("hello", true));
    assert_eq!(response.cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    assert!(world.get("/").is_hit());
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn an_origin_of_http_1_0_is_stored_with_a_length_and_without() {
    let world = World::new();
    let answer = |fields: &str| format!("HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n{fields}\r\nhello");
    world.origin.on_path("/with", Answer::raw(answer("Content-Length: 5\r\n")).close());
    world.origin.on_path("/without", Answer::raw(answer("")).close());
    for path in ["/with", "/without"] {
        assert_eq!(world.get(path).text(), "hello");
        assert_eq!(world.get(path).text(), "hello");
        assert!(world.get(path).is_hit(), "{path}");
    }
}
