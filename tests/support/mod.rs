//! The world that scenarios play in: an origin that follows a script, the proxy in process,
//! clients that see raw octets, and one clock that stands still until it is moved.
//!
//! A test sees all four faces of an exchange: what its client sends, what the origin got
//! ([`Origin::request`]), what the origin's [`Answer`] says, and what the client got back
//! ([`Response`]). Nothing here sleeps or uses Larder's own codec. Sockets block, with a deadline
//! that only guards against a test that hangs.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part of the world")]

mod answer;
mod client;
mod gate;
mod message;
mod origin;
mod process;
mod wire;
mod world;

pub use answer::Answer;
pub use client::{Client, Response, request};
pub use gate::Gate;
pub use message::{Body, End, Head};
pub use origin::{Origin, Seen};
pub use process::Process;
pub use wire::Wire;
pub use world::{START, Setup, World};

use std::time::Duration;

/// How long anything may take before the test that waits for it fails: far above what a busy
/// machine needs, and reached by no test that passes.
pub const HANG_GUARD: Duration = Duration::from_secs(10);
