//! Waits that end with their client (S7), and least rates of what is waited for (S16).

use super::limits_ends::{drips, lets_go, reset};
use crate::support::{Answer, Certificates, Client, Gate, Unreachable, World, eventually, request};

/// A client that has asked for a range of what was stored and has changed since. Of the new response, a
/// few octets come.
fn waits_for_a_range(world: &World, control: &str, gate: &Gate) -> Client {
    let new = Answer::cached(control).field("Content-Length", "100").end_of_head().send("a few");
    world.origin.on_path("/", Answer::cached("max-age=1").field("ETag", "\"1\"").body("x".repeat(100)));
    world.origin.on_path("/", new.wait(gate));
    assert_eq!(world.get("/").status(), 200);
    world.advance(2);
    let mut client = world.client();
    client.send(request("GET", &world.url("/"), &[("Range", "bytes=50-59")], ""));
    gate.is_reached();
    world.catch_up();
    client
}

#[test]
fn case_s7_the_wait_for_a_range_of_what_arrives_ends_with_its_client() {
    for control in ["max-age=60", "no-store"] {
        let world = World::with(|setup| setup.limits.unread_fills = 0);
        let gate = Gate::new();
        reset(waits_for_a_range(&world, control, &gate));
        // The clock stands still: no wait of an exchange ends by itself.
        eventually("the exchange has ended", || world.server().connections() == 0);
        lets_go(&world);
        gate.open();
    }
}

#[test]
fn case_s16_what_drips_in_front_of_a_range_is_cut_off() {
    let world = World::new();
    let gate = Gate::new();
    let mut client = waits_for_a_range(&world, "no-store", &gate);
    drips(&world, &mut client, |_| _ = world.origin.drip(0, b"x"));
    assert_eq!(client.response().status(), 502);
    lets_go(&world);
    gate.open();
}

#[test]
fn case_s7_dialling_for_a_tunnel_ends_with_its_client() {
    for intercepts in [false, true] {
        let world = World::with(|setup| {
            if intercepts {
                setup.intercept(&Certificates::new());
            }
        });
        let far = Unreachable::start();
        let mut client = world.client();
        client.send(format!("CONNECT {} HTTP/1.1\r\nHost: x\r\n\r\n", far.address));
        if intercepts {
            assert_eq!(client.response_to("CONNECT").status(), 200);
            // Neither TLS nor HTTP: it is dialled for.
            client.send("SSH-2.0-client\r\n");
        }
        let lending = &world.server().places().lending;
        eventually("it is dialled", || lending.connections.used() == 1);
        reset(client);
        world.has_served(1);
        lets_go(&world);
    }
}
