//! How tunnels end while octets are still under way.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::{Client, Wire, World, noise};

const MIB: usize = 1024 * 1024;

/// A tunnel: its near end and its far one.
fn open(world: &World) -> (Client, Wire) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = world.client();
    client.send(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert_eq!(client.response_to("CONNECT").status(), 200);
    (client, Wire::new(listener.accept().unwrap().0))
}

#[test]
fn the_last_octets_of_an_origin_arrive_while_the_client_still_sends() {
    let world = World::new();
    let (up, last) = (noise(32 * MIB), noise(20_000));
    // Few octets are copied, many are spliced.
    for read in [1_000, 2 * MIB] {
        let (mut client, mut far) = open(&world);
        let mut sending = Wire::new(client.wire.stream().try_clone().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| sending.send_while_taken(&up, Duration::from_millis(300)));
            far.exactly(read);
            far.send(&last);
            drop(far);
            assert!(client.wire.until_close().bytes == last, "behind {read} octets");
        });
    }
}

#[test]
fn what_an_origin_has_sent_arrives_when_it_takes_no_more() {
    let world = World::new();
    let (mut client, mut far) = open(&world);
    // What the far end could not hand over itself would be lost with it.
    socket2::SockRef::from(far.stream()).set_send_buffer_size(64 * 1024).unwrap();
    let offered = noise(64 * MIB);
    let taken = far.send_while_taken(&offered, Duration::from_millis(300));
    assert!(taken > 2 * MIB, "{taken}");
    let begin = client.wire.exactly(MIB).bytes;
    world.catch_up();
    drop(far);
    for _ in 0..5 {
        client.send("still talking");
        world.catch_up();
    }
    let rest = client.wire.until_close().bytes;
    assert_eq!(begin.len() + rest.len(), taken);
    assert!([begin, rest].concat() == offered[..taken]);
}
