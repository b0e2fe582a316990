//! What the policy refuses is not had from the store either.

use crate::support::{Answer, Setup, World};

/// A world in which a page of shop.example is stored.
fn stored(change: impl FnOnce(&mut Setup)) -> (World, String) {
    let world = World::with(|setup| {
        setup.host("shop.example", &["127.0.0.1"]);
        change(setup);
    });
    world.origin.on_path("/", Answer::fresh(60, "hello"));
    let url = format!("http://shop.example:{}/", world.origin.address().port());
    assert_eq!(world.client().get(&url).text(), "hello");
    (world, url)
}

#[test]
fn a_block_of_the_address_covers_what_came_from_there() {
    let (world, url) = stored(|_| {});
    world.swap_access("block = ['127.0.0.1']");
    let refused = world.client().get(&url);
    assert_eq!((refused.status(), refused.proxy_error()), (403, "destination_ip_prohibited"));
    assert!(!refused.text().contains("hello"));
}

#[test]
fn a_block_of_the_name_covers_what_is_stored() {
    let (world, url) = stored(|_| {});
    world.swap_access("block = ['shop.example']");
    assert_eq!(world.client().get(&url).status(), 403);
}

#[test]
fn when_the_block_is_gone_the_stored_response_is_back() {
    let (world, url) = stored(|_| {});
    world.swap_access("block = ['127.0.0.1']");
    assert_eq!(world.client().get(&url).status(), 403);
    world.swap_access("");
    assert!(world.client().get(&url).is_hit());
    assert_eq!(world.origin.request_count(), 1);
}

#[test]
fn an_open_listener_does_not_serve_what_came_from_a_private_address() {
    let (world, url) = stored(|setup| {
        setup.listen = "0.0.0.0:0".parse().unwrap();
        setup.access_toml("allow_destinations = ['127.0.0.0/8']");
    });
    world.swap_access("");
    let refused = world.client().get(&url);
    assert_eq!((refused.status(), refused.proxy_error()), (403, "destination_ip_prohibited"));
}

#[test]
fn a_stale_response_does_not_stand_in_for_a_refused_origin() {
    let (world, url) = stored(|_| {});
    world.advance(61);
    world.swap_access("block = ['127.0.0.1']");
    assert_eq!(world.client().get(&url).status(), 403);
}
