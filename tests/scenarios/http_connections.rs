//! Connections: kept, shared, pooled and closed on both sides (RFC 9112 §9).

use crate::support::{Answer, World};

#[test]
fn one_connection_on_each_side_serves_many_requests() {
    let world = World::new();
    world.origin.otherwise(Answer::ok("hello"));
    let mut client = world.client();
    for path in ["/1", "/2", "/3"] {
        let response = client.get(&world.url(path));
        assert_eq!((response.status(), response.text()), (200, "hello"));
    }
    assert_eq!(world.origin.request_count(), 3);
    assert_eq!(world.origin.connection_count(), 1);
}
