//! Clients that take their time: it is silence that is limited, not duration.

use crate::support::{Answer, Client, World, eventually, noise, request};
use larder::proxy::Rates;
use larder::store::StoreSettings;

const MIB: usize = 1024 * 1024;
/// More than the kernel's buffers on the way to a client hold.
const LENGTH: usize = 32 * MIB;

/// A world that has a large response stored, and a client that has the head of it.
fn asked() -> (World, Client, Vec<u8>) {
    asked_with(Rates::default())
}

fn asked_with(rates: Rates) -> (World, Client, Vec<u8>) {
    let world = World::with(|setup| {
        setup.limits.rates = rates;
        setup.store = StoreSettings { memory: 128 << 20, object_max: 64 << 20, ..StoreSettings::default() };
    });
    let content = noise(LENGTH);
    world.origin.on_path("/", Answer::fresh(86_400, &content));
    assert!(world.get("/").is_whole());
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[], ""));
    assert_eq!(client.head().status(), 200);
    (world, client, content)
}

#[test]
fn a_client_that_takes_some_within_each_idle_time_gets_it_whole() {
    let (world, mut client, content) = asked();
    let mut taken = Vec::new();
    for _ in 0..LENGTH / (4 * MIB) {
        world.catch_up();
        world.advance(50);
        taken.extend(client.wire.exactly(4 * MIB).bytes);
    }
    assert!(taken == content);
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn a_client_that_takes_nothing_of_what_is_stored_is_cut() {
    let (world, mut client, _content) = asked();
    eventually("the client is cut", || {
        world.advance(61);
        world.server().connections() == 0
    });
    assert!(client.wire.exactly(LENGTH).bytes.len() < LENGTH);
}

#[test]
fn a_client_that_takes_less_than_the_least_rate_is_cut() {
    // Less than a second's octets every 50 seconds: it is never silent for a minute.
    let rate = 10 * MIB as u64;
    for (rate, is_cut) in [(rate, true), (0, false)] {
        let (world, mut client, content) = asked_with(Rates { reading: rate, ..Rates::default() });
        let mut taken = Vec::new();
        for _ in 0..LENGTH / (4 * MIB) {
            world.catch_up();
            world.advance(50);
            taken.extend(client.wire.exactly(4 * MIB).bytes);
        }
        assert_eq!(taken.len() < LENGTH, is_cut, "{rate}");
        assert!(taken == content[..taken.len()]);
    }
}
