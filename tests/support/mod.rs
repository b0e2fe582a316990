//! The world that scenarios play in: an origin that follows a script, the proxy in process,
//! clients that see raw octets, and one clock that stands still until it is moved.
//!
//! A test sees all four faces of an exchange: what its client sends, what the origin got
//! ([`Origin::request`]), what the origin's [`Answer`] says, and what the client got back
//! ([`Response`]). Nothing here sleeps or uses Larder's own codec. Sockets block, with a deadline
//! that only guards against a test that hangs.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of the world")]

mod answer;
mod certificates;
mod client;
mod command;
pub mod frames;
mod gate;
mod http2;
mod http2_origin;
mod message;
pub mod name_server;
mod origin;
mod process;
mod transport;
mod unreachable;
mod wire;
mod world;

pub use answer::Answer;
pub use certificates::{Certificates, trusting, trusting_anybody};
pub use client::{Client, Response, request};
pub use command::{Ended, Folder, larder};
pub use gate::Gate;
pub use http2::{Answered, Http2, connect};
pub use http2_origin::{Http2Answer, Http2Origin};
pub use message::{Body, End, Framing, Head};
pub use origin::{Origin, Seen};
pub use process::Process;
pub use unreachable::Unreachable;
pub use wire::{Wire, in_flight_max};
pub use world::{START, Setup, World, temporary};

use std::time::Duration;

/// How long anything may take before the test that waits for it fails: far above what a busy
/// machine needs, and reached by no test that passes.
pub const HANG_GUARD: Duration = Duration::from_secs(30);

/// Waits until something has become so that nobody announces, such as a connection's end on the
/// other side of the proxy.
pub fn eventually(what: &str, so: impl Fn() -> bool) {
    const STEP: Duration = Duration::from_millis(2);
    for _ in 0..HANG_GUARD.as_millis() / STEP.as_millis() {
        if so() {
            return;
        }
        std::thread::park_timeout(STEP);
    }
    panic!("still not so: {what}");
}

/// So many octets, of which no two neighbourhoods are alike.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut octet = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| octet()).collect()
}
