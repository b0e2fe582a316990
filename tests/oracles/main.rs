//! Larder's caching beside others' reading of the same RFCs: a small reference cache that was
//! written from the prose ([`reference`]), and the library http-cache-semantics. Random exchanges go
//! through the functions of `caching/`, and fewer of them through the whole proxy over sockets. All
//! that is served without the origin must have been sent by it, for that key, and still be
//! permitted; and what is permitted must be served, but for the reasons that stand beside it.
#![allow(clippy::disallowed_methods, reason = "clients and origins of tests block, and touch files")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a panic is how a test fails"
)]
#![allow(unreachable_pub, reason = "a test has no other crates to be reached from")]

#[path = "../support/mod.rs"]
mod support;

mod functions;
mod random;
mod reference;
mod semantics;
mod sockets;
