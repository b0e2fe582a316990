//! What one key, one leader and one address may not do to the others.

use larder::store::StoreSettings;

use crate::support::{Answer, Gate, World, request};

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";

#[test]
fn the_variants_of_one_key_take_no_more_room_than_one_object_may() {
    let world = World::with(|setup| {
        setup.store = StoreSettings { memory: 1 << 20, object_max: 64 << 10, ..StoreSettings::default() };
    });
    let kind = Answer::cached("max-age=60").field("Vary", "X-Kind").body("x".repeat(25_000));
    world.origin.on_path("/", kind).on_path("/other", Answer::fresh(60, "other"));
    world.get("/other");
    for kind in ["a", "b", "c", "d", "e"] {
        world.get_with("/", &[("X-Kind", kind)]);
    }
    let stored = world.shared.store.usage().stored_bytes;
    assert!(stored < 64 << 10, "{stored}");
    assert!(world.get("/other").is_hit());
    for (kind, is_hit) in [("e", true), ("d", true), ("a", false)] {
        assert_eq!(world.get_with("/", &[("X-Kind", kind)]).is_hit(), is_hit, "{kind}");
    }
}

#[test]
fn a_follower_waits_for_its_leader_no_longer_than_for_an_origin() {
    let (world, gates) = (World::new(), [Gate::new(), Gate::new()]);
    let slow = Answer::raw(HINT).wait(&gates[0]).send(HINT).wait(&gates[1]);
    world.origin.on_path("/", slow.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow"));
    world.origin.on_path("/", Answer::ok("alone"));
    let (mut leader, mut follower) = (world.client(), world.client());
    leader.send(request("GET", &world.url("/"), &[], ""));
    assert_eq!(leader.head().status(), 103);
    follower.send(request("GET", &world.url("/"), &[], ""));
    world.catch_up();
    world.advance(100);
    // A sign of life gives the leader's origin its time anew, but not the follower's patience.
    gates[0].open();
    assert_eq!(leader.head().status(), 103);
    world.catch_up();
    assert_eq!(world.origin.request_count(), 1);
    world.advance(30);
    assert_eq!(follower.response().text(), "alone");
    gates[1].open();
    assert_eq!(leader.response().text(), "slow");
}

#[test]
fn what_came_from_an_address_that_is_refused_now_is_not_served_stale() {
    // A second address that is not refused, but where nobody listens, is an origin that is down.
    let names: [(&[&str], u16); 2] = [(&["127.0.0.1"], 403), (&["127.0.0.1", "127.0.0.2"], 502)];
    for (addresses, status) in names {
        let mut world = World::with(|setup| setup.host("moved.example", addresses));
        world.origin.on_path("/", Answer::fresh(60, "old"));
        let url = format!("http://moved.example:{}/", world.origin.address().port());
        assert_eq!(world.client().get(&url).text(), "old");
        world.origin.stop();
        world.advance(61);
        assert_eq!(world.client().get(&url).text(), "old", "stale while nothing is refused");
        world.swap_access("block = ['127.0.0.1']");
        assert_eq!(world.client().get(&url).status(), status, "{addresses:?}");
    }
}
