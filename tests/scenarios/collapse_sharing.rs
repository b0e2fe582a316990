//! Collapsing: concurrent requests for one key share one exchange with the origin (RFC 9111 §4).

use crate::support::{Answer, Client, Gate, World, noise, request};

const HALF: usize = 100_000;

/// An answer that stops in its middle until the gate opens.
fn in_halves(content: &[u8], gate: &Gate) -> Answer {
    let head = Answer::cached("max-age=60").field("Content-Length", &content.len().to_string());
    head.end_of_head().send(&content[..HALF]).wait(gate).send(&content[HALF..])
}

fn asking(world: &World, fields: &[(&str, &str)]) -> Client {
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), fields, ""));
    client
}

/// Reads a head and the first half behind it; gives what `Cache-Status` says.
fn first_half(client: &mut Client, content: &[u8]) -> String {
    let head = client.head();
    assert_eq!(head.status(), 200);
    assert!(client.wire.exactly(HALF).bytes == content[..HALF]);
    head.field("Cache-Status").unwrap_or_default().to_owned()
}

fn twenty_share_one_exchange(workers: usize) {
    let world = World::with(|setup| setup.workers = workers);
    let (gate, content) = (Gate::new(), noise(2 * HALF));
    world.origin.on_path("/", in_halves(&content, &gate));
    let mut clients: Vec<_> = (0..20).map(|_| asking(&world, &[])).collect();
    // All have the first half while the second is not there yet.
    let statuses: Vec<_> = clients.iter_mut().map(|client| first_half(client, &content)).collect();
    gate.open();
    for client in &mut clients {
        assert!(client.wire.exactly(HALF).bytes == content[HALF..]);
    }
    assert_eq!(world.origin.request_count(), 1);
    let collapsed = statuses.iter().filter(|status| status.contains("; collapsed")).count();
    let stored = statuses.iter().filter(|status| status.contains("; stored")).count();
    assert_eq!((collapsed, stored), (19, 1), "{statuses:?}");
    assert!(world.get("/").is_hit());
}

#[test]
fn twenty_clients_share_one_exchange() {
    twenty_share_one_exchange(1);
}

#[test]
fn clients_of_different_workers_share_one_exchange() {
    twenty_share_one_exchange(4);
}

#[test]
fn who_comes_in_the_middle_gets_it_from_the_start() {
    let world = World::new();
    let (gate, content) = (Gate::new(), noise(2 * HALF));
    world.origin.on_path("/", in_halves(&content, &gate));
    let mut first = asking(&world, &[]);
    first_half(&mut first, &content);
    let mut late = asking(&world, &[]);
    first_half(&mut late, &content);
    gate.open();
    for client in [&mut first, &mut late] {
        assert!(client.wire.exactly(HALF).bytes == content[HALF..]);
    }
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn chunked_content_is_shared_too() {
    let world = World::new();
    let gate = Gate::new();
    let head = Answer::cached("max-age=60").field("Transfer-Encoding", "chunked").end_of_head();
    world.origin.on_path("/", head.send("5\r\nhello\r\n").wait(&gate).send("6\r\n world\r\n0\r\n\r\n"));
    let mut clients: Vec<_> = (0..5).map(|_| asking(&world, &[])).collect();
    let heads: Vec<_> = clients.iter_mut().map(Client::head).collect();
    gate.open();
    for (client, head) in clients.iter_mut().zip(&heads) {
        assert_eq!(client.body(head).bytes, b"hello world");
    }
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn a_follower_of_http_1_0_gets_it_until_the_end() {
    let world = World::new();
    let gate = Gate::new();
    let head = Answer::cached("max-age=60").field("Transfer-Encoding", "chunked").end_of_head();
    world.origin.on_path("/", head.send("5\r\nhello\r\n").wait(&gate).send("6\r\n world\r\n0\r\n\r\n"));
    let mut leader = asking(&world, &[]);
    leader.head();
    let mut follower = world.client();
    follower.send(format!("GET {} HTTP/1.0\r\n\r\n", world.url("/")));
    let head = follower.head();
    gate.open();
    assert!(!head.has("Transfer-Encoding"));
    assert_eq!(follower.body(&head).bytes, b"hello world");
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn who_comes_too_late_for_what_is_not_kept_asks_alone() {
    let world = World::with(|setup| setup.store.object_max = 64 << 10);
    let (gate, content) = (Gate::new(), "0123456789".repeat(300_000));
    let chunk = format!("{:x}\r\n{content}\r\n", content.len());
    let head = Answer::cached("max-age=60").field("Transfer-Encoding", "chunked").end_of_head();
    world.origin.on_path("/", head.send(&chunk).wait(&gate).send("0\r\n\r\n"));
    let mut first = asking(&world, &[]);
    let head = first.head();
    let mut reading = first.wire.stream().try_clone().map(crate::support::Wire::new).unwrap();
    assert_eq!(reading.exactly(content.len() / 2).bytes.len(), content.len() / 2);
    let mut late = asking(&world, &[]);
    world.origin.has_requests(2);
    gate.open();
    drop((head, reading, first));
    assert!(late.response().text() == content);
}

#[test]
fn a_slow_reader_holds_nobody_back() {
    let world = World::new();
    let (gate, content) = (Gate::new(), noise(3 << 20));
    world.origin.on_path("/", Answer::fresh(60, &content).after(&gate));
    let mut slow = asking(&world, &[]);
    world.catch_up();
    let mut quick = asking(&world, &[]);
    world.catch_up();
    gate.open();
    assert!(quick.response().body.bytes == content);
    assert!(world.get("/").is_hit());
    assert!(slow.response().body.bytes == content);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn the_followers_own_condition_is_answered() {
    let world = World::new();
    let gate = Gate::new();
    let answer = Answer::cached("max-age=60").field("ETag", "\"one\"").body("hello");
    world.origin.on_path("/", answer.after(&gate));
    let mut leader = asking(&world, &[]);
    world.origin.has_requests(1);
    let mut follower = asking(&world, &[("If-None-Match", "\"one\"")]);
    world.catch_up();
    gate.open();
    assert_eq!(leader.response().text(), "hello");
    assert_eq!(follower.response().status(), 304);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn a_stale_response_is_validated_once_for_all() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/", Answer::cached("max-age=60").field("ETag", "\"one\"").body("hello"));
    world.origin.on_path("/", Answer::status(304).end_of_head().after(&gate));
    world.get("/");
    world.advance(61);
    let mut clients: Vec<_> = (0..10).map(|_| asking(&world, &[])).collect();
    world.origin.has_requests(2);
    world.catch_up();
    gate.open();
    for client in &mut clients {
        let response = client.response();
        assert_eq!((response.status(), response.text()), (200, "hello"));
    }
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn a_stale_response_is_replaced_once_for_all() {
    let world = World::new();
    let gate = Gate::new();
    world.origin.on_path("/", Answer::fresh(60, "old")).on_path("/", Answer::fresh(60, "new").after(&gate));
    world.get("/");
    world.advance(61);
    let mut clients: Vec<_> = (0..10).map(|_| asking(&world, &[])).collect();
    world.origin.has_requests(2);
    world.catch_up();
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response().text(), "new");
    }
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn nobody_gets_what_another_asked_for() {
    let world = World::with(|setup| {
        setup.workers = 4;
        setup.store = larder::store::StoreSettings {
            memory: 256 << 10,
            object_max: 64 << 10,
            ..larder::store::StoreSettings::default()
        };
    });
    let content = |key: usize| format!("{key} ").repeat(8_000 + key);
    for key in 0..10 {
        // Fresh, always stale, and not to be shared.
        let control = ["max-age=60", "max-age=0, stale-if-error=1", "no-store"][key % 3];
        world.origin.on_path(&format!("/{key}"), Answer::cached(control).body(content(key)));
    }
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (world, content) = (&world, &content);
            scope.spawn(move || {
                let mut client = world.client();
                for turn in 0..50 {
                    let key = (turn * 7 + thread * turn) % 10;
                    let response = client.get(&world.url(&format!("/{key}")));
                    assert!(response.is_whole() && response.text() == content(key), "{key}");
                }
            });
        }
    });
}
