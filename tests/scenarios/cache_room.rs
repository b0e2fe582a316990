//! Room: the store keeps within its budget, and the proxy goes on when there is none.

use larder::store::StoreSettings;

use crate::support::{Answer, World, noise};

const KIB: u64 = 1024;

fn with_store(memory: u64, object_max: u64) -> World {
    World::with(|setup| setup.store = StoreSettings { memory, object_max, ..StoreSettings::default() })
}

#[test]
fn a_full_store_evicts_and_goes_on() {
    let world = with_store(256 * KIB, 64 * KIB);
    let content = noise(10_000);
    world.origin.otherwise(Answer::fresh(3600, &content));
    let mut client = world.client();
    for number in 0..100 {
        let response = client.get(&world.url(&format!("/{number}")));
        assert!(response.is_whole() && response.body.bytes == content, "/{number}");
        let usage = world.shared.store.usage();
        assert!(usage.stored_bytes + usage.filling_bytes <= 256 * KIB, "{usage:?}");
    }
    let usage = world.shared.store.usage();
    assert!(usage.evictions > 50 && usage.objects > 10, "{usage:?}");
}

#[test]
fn what_is_asked_for_often_stays_however_long_it_goes_on() {
    let world = with_store(512 * KIB, 64 * KIB);
    world.origin.otherwise(Answer::fresh(3600, noise(2_000)));
    let mut client = world.client();
    for number in 0..3000 {
        client.get(&world.url("/popular"));
        client.get(&world.url(&format!("/{number}")));
    }
    assert!(world.shared.store.usage().evictions > 2000);
    assert_eq!(world.origin.requests("/popular").len(), 1);
}

#[test]
fn an_object_that_is_too_large_is_passed_and_not_stored() {
    let world = with_store(1024 * KIB, 64 * KIB);
    let content = noise(200_000);
    world.origin.on_path("/", Answer::fresh(60, &content));
    for _ in 0..2 {
        let response = world.get("/");
        assert!(response.is_whole() && response.body.bytes == content);
        assert_eq!(response.cache_status(), "larder; fwd=uri-miss; detail=too-large");
    }
    assert_eq!(world.shared.store.usage().stored_bytes, 0);
}

#[test]
fn an_object_that_turns_out_too_large_is_passed_and_not_stored() {
    let world = with_store(1024 * KIB, 64 * KIB);
    let text = "0123456789".repeat(20_000);
    world.origin.on_path("/", Answer::cached("max-age=60").chunked(&[&text]));
    for _ in 0..2 {
        let response = world.get("/");
        assert!(response.is_whole() && response.text() == text);
        assert!(!response.is_hit());
    }
    let usage = world.shared.store.usage();
    assert_eq!((usage.stored_bytes, usage.filling_bytes), (0, 0));
}

#[test]
fn an_object_larger_than_all_memory_passes() {
    let world = with_store(256 * KIB, 256 * KIB);
    let text = "0123456789".repeat(300_000);
    world.origin.on_path("/", Answer::cached("max-age=60").chunked(&[&text]));
    let response = world.get("/");
    assert!(response.is_whole() && response.text() == text);
    let usage = world.shared.store.usage();
    assert_eq!((usage.stored_bytes, usage.filling_bytes), (0, 0));
}

#[test]
fn an_object_of_exactly_the_limit_is_stored() {
    let world = with_store(1024 * KIB, 64 * KIB);
    world.origin.on_path("/", Answer::fresh(60, noise(65_536)));
    world.get("/");
    assert!(world.get("/").is_hit());
}

#[test]
fn a_store_without_any_room_is_a_proxy_that_passes() {
    let world = with_store(0, 0);
    world.origin.on_path("/", Answer::fresh(60, "hello"));
    for _ in 0..2 {
        let response = world.get("/");
        assert_eq!((response.text(), response.is_hit()), ("hello", false));
    }
}
