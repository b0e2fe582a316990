//! Larder, a shared caching proxy for HTTP and HTTPS.
//!
//! The rooms below import only rooms with a lower number (see ARCHITECTURE.md and
//! `tests/tidy.rs`). A request's whole story is the function `proxy::exchange`.

pub mod admin;
pub mod cli;
pub mod config;
pub mod error;
pub mod http;
pub mod policy;
