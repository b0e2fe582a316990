//! Reuse: what a fresh stored response answers, and what of it leaves (RFC 9111 §3.1, §4, §5.1).

use crate::support::{Answer, World, request};

#[test]
fn a_fresh_response_is_reused_without_asking() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "hello"));
    assert_eq!(world.get("/").cache_status(), "larder; fwd=uri-miss; stored; ttl=60");
    world.advance(10);
    let hit = world.get("/");
    assert_eq!((hit.status(), hit.text()), (200, "hello"));
    assert_eq!(hit.field("Age"), Some("10"));
    assert_eq!(hit.cache_status(), "larder; hit; ttl=50");
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn the_age_that_another_cache_told_counts() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").field("Age", "30").body("hello"));
    assert_eq!(world.get("/").field("Age"), Some("30"));
    world.advance(10);
    let hit = world.get("/");
    assert_eq!((hit.field("Age"), hit.cache_status()), (Some("40"), "larder; hit; ttl=20"));
}

#[test]
fn the_origins_own_date_counts() {
    let world = World::new();
    let date = world.date(-20);
    world.origin.on_path("/", Answer::cached("max-age=60").field("Date", &date).body("hello"));
    world.get("/");
    let hit = world.get("/");
    assert_eq!((hit.field("Date"), hit.field("Age")), (Some(&date[..]), Some("20")));
}

#[test]
fn a_hit_is_what_the_origin_said() {
    let world = World::new();
    let answer = Answer::cached("max-age=60").field("X-Thing", "one").field("x-thing", "two");
    world.origin.on_path("/", answer.field("Content-Type", "text/plain").body("hello"));
    world.get("/");
    let hit = world.get("/");
    assert!(hit.is_hit());
    assert_eq!(hit.head.all("X-Thing"), ["one", "two"]);
    assert_eq!(hit.field("Content-Type"), Some("text/plain"));
    assert_eq!(hit.field("Content-Length"), Some("5"));
    assert_eq!(hit.head.all("Via").len(), 1);
}

#[test]
fn a_chunked_response_is_reused_with_its_length() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").chunked(&["hel", "lo"]));
    assert!(world.get("/").has("Transfer-Encoding"));
    let hit = world.get("/");
    assert_eq!((hit.is_hit(), hit.text()), (true, "hello"));
    assert_eq!(hit.field("Content-Length"), Some("5"));
    assert!(!hit.has("Transfer-Encoding"));
}

#[test]
fn fields_of_the_origins_connection_are_not_replayed() {
    let world = World::new();
    let answer = Answer::cached("max-age=60")
        .field("Connection", "keep-alive, X-Hop")
        .field("Keep-Alive", "timeout=5")
        .field("X-Hop", "1")
        .field("Proxy-Authenticate", "Basic")
        .field("X-End", "2");
    world.origin.on_path("/", answer.body("hello"));
    world.get("/");
    let hit = world.get("/");
    assert!(hit.is_hit());
    for name in ["Connection", "Keep-Alive", "X-Hop", "Proxy-Authenticate"] {
        assert!(!hit.has(name), "{name}");
    }
    assert_eq!(hit.field("X-End"), Some("2"));
}

#[test]
fn head_is_answered_from_a_stored_get() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "hello"));
    world.get("/");
    let mut client = world.client();
    let hit = client.request("HEAD", &world.url("/"), &[], "");
    assert_eq!((hit.status(), hit.is_hit()), (200, true));
    assert_eq!(hit.field("Content-Length"), Some("5"));
    // The next response on the connection shows that no content came.
    assert_eq!(client.get(&world.url("/")).text(), "hello");
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn a_response_to_head_answers_no_get() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "hello"));
    assert_eq!(world.request("HEAD", "/", &[], "").status(), 200);
    let response = world.get("/");
    assert_eq!((response.is_hit(), response.text()), (false, "hello"));
}

#[test]
fn errors_and_redirects_with_explicit_freshness_are_reused() {
    let world = World::new();
    for status in [301, 302, 404, 410, 500] {
        let path = format!("/{status}");
        let answer = Answer::status(status).field("Cache-Control", "max-age=60").field("Location", "/x");
        world.origin.on_path(&path, answer.body("told"));
        world.get(&path);
        let hit = world.get(&path);
        assert_eq!((hit.status(), hit.is_hit(), hit.text()), (status, true, "told"), "{status}");
    }
}

#[test]
fn a_response_without_content_is_reused() {
    let world = World::new();
    world.origin.on_path("/", Answer::status(204).field("Cache-Control", "max-age=60").end_of_head());
    for hit in [false, true] {
        let response = world.get("/");
        assert_eq!((response.status(), response.is_hit()), (204, hit));
        assert!(!response.has("Content-Length"));
    }
}

#[test]
fn a_client_of_http_1_0_gets_a_hit_until_the_end() {
    let world = World::new();
    world.origin.on_path("/", Answer::cached("max-age=60").chunked(&["hel", "lo"]));
    world.get("/");
    let mut client = world.client();
    let hit = client.send(format!("GET {} HTTP/1.0\r\n\r\n", world.url("/"))).response();
    assert_eq!((hit.is_hit(), hit.text()), (true, "hello"));
    assert_eq!(hit.field("Content-Length"), Some("5"));
    assert!(!hit.has("Transfer-Encoding"));
    assert!(client.is_closed());
}

#[test]
fn a_client_of_http_1_0_gets_hits() {
    let world = World::new();
    world.origin.on_path("/", Answer::fresh(60, "hello"));
    world.get("/");
    let mut client = world.client();
    let hit = client.send(format!("GET {} HTTP/1.0\r\n\r\n", world.url("/"))).response();
    assert_eq!((hit.is_hit(), hit.text()), (true, "hello"));
    assert!(client.is_closed());
}

#[test]
fn pipelined_hits_and_misses_come_in_order() {
    let world = World::new();
    world.origin.on_path("/stored", Answer::fresh(60, "stored"));
    world.origin.on_path("/other", Answer::ok("other"));
    world.get("/stored");
    let mut client = world.client();
    for path in ["/stored", "/other", "/stored"] {
        client.send(request("GET", &world.url(path), &[], ""));
    }
    for text in ["stored", "other", "stored"] {
        assert_eq!(client.response().text(), text);
    }
}

#[test]
fn content_of_a_request_is_never_read_as_the_next_request() {
    let world = World::new();
    // Without content, so that the origin answers HEAD like GET.
    world.origin.on_path("/", Answer::fresh(60, "")).on_path("/next", Answer::ok("next"));
    world.get("/");
    let smuggled = request("GET", &world.url("/smuggled"), &[], "");
    let text = String::from_utf8(smuggled.clone()).unwrap();
    let chunked = format!("{:x}\r\n{text}\r\n0\r\n\r\n", text.len());
    for method in ["GET", "HEAD"] {
        let head = request(method, &world.url("/"), &[("Transfer-Encoding", "chunked")], "");
        for message in
            [request(method, &world.url("/"), &[], &smuggled), [&head, chunked.as_bytes()].concat()]
        {
            let mut client = world.client();
            client.send(message).send(request("GET", &world.url("/next"), &[], ""));
            assert_eq!(client.response_to(method).status(), 200, "{method}");
            // It may close instead of reading what is left.
            if let Ok(head) = client.wire.head() {
                assert_eq!(client.body(&head).bytes, b"next", "{method}");
            }
        }
    }
    assert!(world.origin.requests("/smuggled").is_empty());
}
