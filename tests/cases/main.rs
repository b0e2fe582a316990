//! Cases from the field: small inputs on which a Larder was wrong once, each with the right value. A
//! row is the smallest member of a kind, and its neighbours stand beside it.
//!
//! The name of a test begins with the number of its row: `case_1_3_…` is row 1.3, `case_s8_…` row S8. `rows.txt` has all
//! the numbers, and `rows.rs` looks for their tests.
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

mod cache_status;
mod caching;
mod content_gone;
mod crowds;
mod destinations;
mod harm;
mod harm_fields;
mod http1;
mod http2;
mod http2_frames;
mod http2_gate;
mod interception;
mod limits;
mod limits_ends;
mod limits_gone;
mod limits_places;
mod limits_room;
mod names;
mod order;
mod pages;
mod people;
mod rows;
mod run;
mod store;
mod together;
