//! How tunnels end while octets are still under way.

use std::net::TcpListener;
use std::time::Duration;

use crate::support::{Wire, World, noise};

const MIB: usize = 1024 * 1024;

#[test]
fn the_last_octets_of_an_origin_arrive_while_the_client_still_sends() {
    let world = World::new();
    let (up, last) = (noise(32 * MIB), noise(20_000));
    // Few octets are copied, many are spliced.
    for read in [1_000, 2 * MIB] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = world.client();
        client.send(format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        assert_eq!(client.response_to("CONNECT").status(), 200);
        let mut far = Wire::new(listener.accept().unwrap().0);
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
