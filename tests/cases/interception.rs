//! S4, S19, 1.11 to 1.13, 6.9 to 6.15, 7.13: interception that cannot be walked around, and clients that
//! still work.

mod clients;
mod hello;
mod listeners;
mod names;
mod openings;
mod origins;
mod unreadable;

use crate::support::{Answer, Certificates, Client, Origin, Response, Setup, World};

/// A world that intercepts, and differs in what `change` does to its setup; and an origin with TLS.
fn secure_with(change: impl FnOnce(&mut Setup)) -> (World, Origin) {
    let certificates = Certificates::new();
    let world = World::with(|setup| {
        setup.intercept(&certificates);
        change(setup);
    });
    let origin = Origin::start_tls(certificates.server("origin.example").into());
    origin.otherwise(Answer::fresh(60, "hello"));
    (world, origin)
}

fn authority(origin: &Origin) -> String {
    format!("origin.example:{}", origin.address().port())
}

/// Asks for a path of the tunnel's host, in origin-form.
fn get(client: &mut Client, authority: &str, path: &str) -> Response {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    client.response()
}

/// The description in a fatal alert that a tunnel ends with; anything else fails.
fn alert(client: &mut Client) -> u8 {
    let octets = client.wire.until_close().bytes;
    match octets[..] {
        [21, 3, _, 0, 2, 2, description] => description,
        _ => panic!("no alert: {octets:?}"),
    }
}
