//! One budget for all memory (S2, S3), fitted to the machine (7.8).

use larder::budget::{Budget, Use};
use larder::store::StoreSettings;

use crate::support::frames::{END_HEADERS, END_STREAM, HEADERS, OPENING, SETTINGS, fields, frame};
use crate::support::{Answer, Client, Folder, Gate, Process, Setup, World, eventually, noise, request};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * 1024;

fn with_budget(limit: u64, memory: u64) -> World {
    World::with(|setup| {
        setup.listen_within_tls();
        budget(setup, limit, memory);
    })
}

fn budget(setup: &mut Setup, limit: u64, memory: u64) {
    let budget = Budget::new(limit);
    setup.store = StoreSettings { memory, object_max: memory / 4, budget, ..StoreSettings::default() };
}

/// A connection with HTTP/2 whose streams take nothing, with GETs of these paths.
fn takes_nothing(world: &World, paths: impl Iterator<Item = String>) -> Client {
    let mut config = world.trusting();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let mut client = Client::connect(world.proxy_within_tls()).within_tls(config, "localhost");
    client.send(&OPENING[..24]);
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    client.send(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]));
    let authority = world.origin.authority();
    for (at, path) in paths.enumerate() {
        let block =
            fields(&[(":method", "GET"), (":scheme", "http"), (":authority", &authority), (":path", &path)]);
        let stream = u32::try_from(2 * at + 1).expect("few");
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, &block));
    }
    client
}

/// Octets of contents, wherever they are.
fn contents(budget: &Budget) -> u64 {
    [Use::Stored, Use::Pinned, Use::Fills, Use::Passing].map(|of| budget.used(of)).iter().sum()
}

fn everything_is_given_back(budget: &Budget) {
    let uses = [Use::Pinned, Use::Fills, Use::Passing, Use::Streams, Use::Tls, Use::Fields, Use::Connections];
    eventually("everything is given back", || uses.iter().all(|of| budget.used(*of) == 0));
}

#[test]
fn case_s2_what_slow_readers_hold_is_counted_and_the_slowest_go() {
    let world = with_budget(64 * MIB, 4 * MIB);
    world.origin.otherwise(Answer::fresh(60, noise(256 * KIB as usize)));
    let budget = &world.shared.budget;
    let mut clients = Vec::new();
    for number in 0..40 {
        let path = format!("/{number}");
        assert_eq!(world.get(&path).status(), 200);
        clients.push(takes_nothing(&world, [path].into_iter()));
        let served = || world.server().places().streams.used() as u64 + budget.readers().cuts();
        eventually("it is served", || served() > number);
    }
    eventually("the slowest readers have gone", || contents(budget) <= 5 * MIB);
    assert!(budget.readers().cuts() > 0);
    // At least half of the cache's memory is for what is stored.
    assert!(budget.used(Use::Stored) > MIB, "{:?}", world.shared.store.usage());
    assert_eq!(world.get("/good").status(), 200);
    drop(clients);
    everything_is_given_back(budget);
}

#[test]
fn case_s2_what_arrives_for_slow_readers_is_bounded() {
    let world = with_budget(128 * MIB, 4 * MIB);
    world.origin.otherwise(Answer::fresh(60, noise(MIB as usize)));
    let clients: Vec<_> = (0..4)
        .map(|client| takes_nothing(&world, (0..40).map(move |number| format!("/{client}/{number}"))))
        .collect();
    world.origin.has_requests(160);
    let budget = &world.shared.budget;
    assert!(budget.used(Use::Streams) > 0 && budget.used(Use::Tls) > 0);
    world.catch_up();
    // 160 MiB were asked for; each stream beyond the cache's memory has a small window.
    assert!(contents(budget) <= 40 * MIB, "{budget:?} {:?}", world.shared.store.usage());
    assert_eq!(world.get("/good").status(), 200);
    drop(clients);
    everything_is_given_back(budget);
}

#[test]
fn case_s2_what_arrives_takes_no_more_than_half_of_the_cache_from_what_is_stored() {
    let world = with_budget(128 * MIB, 8 * MIB);
    let gate = Gate::new();
    let content = [&b"100000\r\n"[..], &noise(MIB as usize), b"\r\n"].concat();
    let head = Answer::cached("max-age=60").field("Transfer-Encoding", "chunked").end_of_head();
    world.origin.otherwise(head.send(content).wait(&gate));
    for number in 0..100 {
        let path = format!("/used/{number}");
        world.origin.on_path(&path, Answer::fresh(60, noise(64 * KIB as usize)));
        assert_eq!(world.get(&path).status(), 200);
    }
    let stored = || world.shared.store.usage().stored_bytes;
    assert!(stored() > 6 * MIB);
    let ask = |number| {
        let mut client = world.client();
        client.send(request("GET", &world.url(&format!("/endless/{number}")), &[], ""));
        client
    };
    let clients: Vec<_> = (0..16).map(ask).collect();
    world.origin.has_requests(116);
    let budget = &world.shared.budget;
    let is_enough = || budget.used(Use::Fills) > 3 * MIB && budget.used(Use::Passing) > 0;
    eventually("what can't be kept passes", is_enough);
    // Half of the cache is not for what arrives.
    assert!(stored() > 3 * MIB, "{:?}", world.shared.store.usage());
    drop(clients);
    gate.open();
    everything_is_given_back(budget);
}

/// A response whose content never ends.
fn endless(control: &str) -> Answer {
    let head = format!("HTTP/1.1 200 OK\r\nCache-Control: {control}\r\nTransfer-Encoding: chunked\r\n\r\n");
    Answer::raw(head).run(|wire| {
        let chunk = [b"1000\r\n", &vec![b'x'; 0x1000][..], b"\r\n"].concat();
        while wire.send(&chunk) {}
    })
}

#[test]
fn case_s2_slow_readers_of_endless_content_hold_little_and_go_first() {
    const READERS: u64 = 8;
    for control in ["max-age=60", "no-store"] {
        let world = with_budget(64 * MIB, 4 * MIB);
        world.origin.on_path("/good", Answer::ok("hello"));
        world.origin.otherwise(endless(control));
        let budget = &world.shared.budget;
        let ask = |number| {
            let mut client = world.client();
            client.send(request("GET", &world.url(&format!("/{number}")), &[], ""));
            assert_eq!(client.head().status(), 200);
            client
        };
        let slow: Vec<_> = (0..READERS).map(ask).collect();
        let fast = std::cell::RefCell::new(world.client());
        fast.borrow_mut().send(request("GET", &world.url("/fast"), &[], ""));
        let most = std::cell::Cell::new(0);
        eventually("all that wait for their clients are cut off", || {
            most.set(budget.total().max(most.get()));
            assert_eq!(fast.borrow_mut().wire.exactly(64 * KIB as usize).bytes.len(), 64 * KIB as usize);
            drop(budget.take(Use::Buffers, budget.limit()));
            budget.readers().cuts() >= READERS
        });
        assert!(most.get() <= 24 * MIB, "{}", most.get());
        assert_eq!(world.get("/good").text(), "hello");
        drop((slow, fast));
        everything_is_given_back(budget);
    }
}

#[test]
fn case_s2_when_the_budget_is_spent_new_work_is_refused_and_hits_are_not() {
    let world = with_budget(MIB, 256 * KIB);
    world.origin.on_path("/hit", Answer::fresh(60, "hello"));
    assert_eq!(world.get("/hit").status(), 200);
    eventually("its connection has ended", || world.server().connections() == 0);
    // All but what a connection takes.
    let budget = &world.shared.budget;
    let held = budget.take(Use::Buffers, budget.limit() - budget.total() - 40 * KIB).expect("it fits");
    let mut client = world.client();
    let refused = client.get(&world.url("/miss"));
    assert_eq!((refused.status(), refused.proxy_error()), (503, "proxy_internal_error"));
    assert_eq!(refused.field("Retry-After"), Some("5"));
    assert_eq!(budget.refusals(Use::Buffers), 1);
    // Stored responses went first.
    assert_eq!(world.shared.store.usage().objects, 0);
    drop(held);
    assert_eq!(client.get(&world.url("/hit")).status(), 200);
    assert_eq!(world.origin.request_count(), 2);
}

#[test]
fn case_s2_a_new_connection_is_refused_when_the_budget_is_spent() {
    let world = with_budget(MIB, 256 * KIB);
    let budget = &world.shared.budget;
    let held = budget.take(Use::Buffers, budget.limit() - budget.total()).expect("it fits");
    let refused = world.client().response();
    assert_eq!((refused.status(), refused.proxy_error()), (503, "proxy_internal_error"));
    drop(held);
    world.origin.on_path("/", Answer::ok("hello"));
    assert_eq!(world.get("/").text(), "hello");
}

#[test]
fn case_s2_what_is_passed_on_while_memory_is_short_is_held_in_small_windows() {
    const LENGTH: usize = 3 * MIB as usize;
    let world = with_budget(4 * MIB, 512 * KIB);
    let content = noise(LENGTH);
    world.origin.on_path("/", Answer::fresh(60, &content));
    let budget = &world.shared.budget;
    let held = budget.take(Use::Buffers, budget.limit() - budget.total() - 120 * KIB).expect("it fits");
    assert!(world.get("/").body.bytes == content);
    assert!(budget.total() <= budget.limit() + MIB / 2);
    drop(held);
}

#[test]
fn case_s3_fields_count_for_as_long_as_their_request_waits() {
    let world = with_budget(16 * MIB, MIB);
    let gate = Gate::new();
    world.origin.on_path("/", Answer::ok("hello").after(&gate));
    let large = "x".repeat(12_000);
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[("X-Large", &large)], ""));
    gate.is_reached();
    assert!(world.shared.budget.used(Use::Fields) >= 12_000);
    gate.open();
    assert_eq!(client.response().text(), "hello");
    eventually("they are given back", || world.shared.budget.used(Use::Fields) == 0);
}

#[test]
fn case_s3_fields_that_do_not_fit_are_refused() {
    let world = with_budget(MIB, 256 * KIB);
    let budget = &world.shared.budget;
    let _held = budget.take(Use::Buffers, budget.limit() - budget.total() - 20 * KIB).expect("it fits");
    let refused = world.get_with("/", &[("X-Large", &"x".repeat(12_000))]);
    assert_eq!((refused.status(), refused.proxy_error()), (503, "proxy_internal_error"));
    assert!(world.origin.is_not_asked());
}

#[test]
fn case_7_8_sizes_beyond_the_machine_are_reduced_with_a_warning() {
    let folder = Folder::new();
    let config = folder.write("larder.toml", "[cache]\nmemory = \"900GiB\"\ndisk = 0\n");
    let process = Process::start_in(&folder, &["--config", &config]);
    process.says("cache.memory is 900 GiB, which does not fit");
}

#[test]
fn case_7_8_a_budget_beyond_the_machine_is_reduced_with_a_warning() {
    let folder = Folder::new();
    let config = folder.write("larder.toml", "[cache]\ndisk = 0\n[limits]\nmemory = \"900GiB\"\n");
    let process = Process::start_in(&folder, &["--config", &config]);
    process.says("limits.memory is 900 GiB, but");
}
