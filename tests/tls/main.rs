//! Origins with good and with bad certificates, over loopback: what `tls::OriginTls` accepts, what
//! it says of the rest, and that nothing is sent to those.
//!
//! Most chains are made here, at a fixed time; what no library makes is in `fixtures/`.
#![allow(clippy::disallowed_methods, reason = "clients and origins of tests block")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test fails"
)]
#![allow(unreachable_pub, reason = "a test has no other crates to be reached from")]

mod algorithms;
mod authorities;
mod chain;
mod good;
mod names;
mod own;
mod purposes;
mod trust;
mod wire;
mod world;
