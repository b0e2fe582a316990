//! Responses that several clients get at once, or that the store gives up on: everybody gets
//! the whole of it, whatever the others do.

use crate::support::{Answer, Client, Gate, World, noise, request};

const MIB: usize = 1024 * 1024;
const FRESH: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";

/// A leader and a follower of one exchange, which has got as far as the head.
fn two_clients(world: &World, head_sent: &Gate) -> [Client; 2] {
    let ask = || {
        let mut client = world.client();
        client.send(request("GET", &world.url("/"), &[], ""));
        client
    };
    let mut clients = [ask(), ask()];
    for client in &mut clients {
        assert_eq!(client.head().status(), 200);
    }
    assert_eq!(world.origin.request_count(), 1);
    head_sent.open();
    clients
}

#[test]
fn a_response_that_grows_too_large_to_store_reaches_all_clients_whole() {
    let world = World::new();
    let gate = Gate::new();
    let content = noise(6 * MIB);
    let chunk = [format!("{:x}\r\n", content.len()).as_bytes(), &content, b"\r\n0\r\n\r\n"].concat();
    let head = format!("{FRESH}Transfer-Encoding: chunked\r\n\r\n");
    world.origin.on_path("/", Answer::raw(head).wait(&gate).send(chunk));
    let clients = two_clients(&world, &gate);
    std::thread::scope(|scope| {
        for mut client in clients {
            let content = &content;
            scope.spawn(move || {
                let body = client.wire.body(crate::support::Framing::Chunked);
                assert!(body.bytes == *content && body.end == crate::support::End::Clean);
            });
        }
    });
    assert!(!world.get("/").is_hit());
}

#[test]
fn a_client_that_does_not_read_holds_nobody_else() {
    let world = World::with(|setup| {
        setup.store.memory = 256 << 20;
        setup.store.object_max = 64 << 20;
    });
    let gate = Gate::new();
    let content = vec![b'x'; 40 * MIB];
    let head = format!("{FRESH}Content-Length: {}\r\n\r\n", content.len());
    world.origin.on_path("/", Answer::raw(head).wait(&gate).send(&content));
    let [mut leader, mut follower] = two_clients(&world, &gate);
    // The leader reads nothing before the follower has all.
    assert!(follower.wire.exactly(content.len()).bytes == content);
    assert!(leader.wire.exactly(content.len()).bytes == content);
    assert!(world.get("/").is_hit());
}

#[test]
fn a_stored_response_does_not_wait_for_a_slow_client() {
    let world = World::with(|setup| {
        setup.store.memory = 256 << 20;
        setup.store.object_max = 64 << 20;
    });
    let content = vec![b'x'; 40 * MIB];
    world.origin.on_path("/", Answer::status(200).field("Cache-Control", "max-age=60").body(&content));
    assert_eq!(world.get("/").body.bytes.len(), content.len());
    let mut slow = world.client();
    slow.send(request("GET", &world.url("/"), &[], ""));
    slow.head();
    let quick = world.get("/");
    assert!(quick.is_hit() && quick.body.bytes == content);
    assert!(slow.wire.exactly(content.len()).bytes == content);
}

#[test]
fn content_of_a_request_that_is_answered_from_the_store_is_no_request() {
    let world = World::new();
    let fresh = Answer::status(200).field("Cache-Control", "max-age=60");
    world.origin.on_path("/", fresh.body("hello"));
    assert_eq!(world.get("/").text(), "hello");
    let smuggled = request("GET", &world.url("/smuggled"), &[], "");
    // A GET with content is the origin's to answer, which only-if-cached does not want to be asked.
    let cases = [("GET", "max-age=9", 200), ("HEAD", "max-age=9", 200), ("GET", "only-if-cached", 504)];
    for (method, directive, status) in cases {
        let mut client = world.client();
        client.send(request(method, &world.url("/"), &[("Cache-Control", directive)], &smuggled));
        assert_eq!(client.response_to(method).status(), status);
        client.half_close();
        assert!(client.is_closed(), "{method} ({directive}) was answered twice");
    }
    assert!(world.origin.requests("/smuggled").is_empty());
}

#[test]
fn content_of_a_request_that_shares_a_response_is_no_request() {
    let world = World::new();
    let gate = Gate::new();
    let head = format!("{FRESH}Content-Length: 5\r\n\r\n");
    world.origin.on_path("/", Answer::raw(head).wait(&gate).send("hello"));
    let mut leader = world.client();
    leader.send(request("GET", &world.url("/"), &[], ""));
    gate.is_reached();
    let smuggled = request("GET", &world.url("/smuggled"), &[], "");
    let mut follower = world.client();
    follower.send(request("GET", &world.url("/"), &[], &smuggled)).half_close();
    gate.open();
    assert_eq!((leader.response().text(), follower.response().text()), ("hello", "hello"));
    assert!(follower.is_closed(), "the follower was answered twice");
    assert!(world.origin.requests("/smuggled").is_empty());
}

#[test]
fn content_of_a_request_that_is_answered_here_is_no_request() {
    let world = World::new();
    let smuggled = request("GET", &world.url("/smuggled"), &[], "");
    let length = smuggled.len();
    for line in ["OPTIONS *", "OPTIONS http://x.example/", "GET http://larder.proxy/"] {
        let mut client = world.client();
        let fields = format!("Host: x.example\r\nMax-Forwards: 0\r\nContent-Length: {length}\r\n\r\n");
        client.send([format!("{line} HTTP/1.1\r\n{fields}").as_bytes(), &smuggled].concat());
        assert_eq!(client.response().status(), 200, "{line}");
        client.half_close();
        assert!(client.is_closed(), "{line} was answered twice");
    }
    assert!(world.origin.is_not_asked());
}

#[test]
fn content_of_a_request_that_is_blocked_is_no_request() {
    let world = World::with(|setup| setup.access_toml("block = [\"bad.example\"]"));
    let smuggled = request("GET", &world.url("/smuggled"), &[], "");
    let mut client = world.client();
    client.send(request("POST", "http://bad.example/", &[], &smuggled));
    assert_eq!(client.response().status(), 403);
    client.half_close();
    assert!(client.is_closed());
    assert!(world.origin.is_not_asked());
}
