//! Larder, a shared caching proxy for HTTP and HTTPS.
//!
//! The rooms below import only rooms with a lower number (see ARCHITECTURE.md and
//! `tests/tidy.rs`). A request's whole story is the function `proxy::exchange`.

pub mod admin;
pub mod budget;
pub mod caching;
pub mod cli;
pub mod clock;
pub mod config;
pub mod error;
pub mod http;
pub mod log;
pub mod origin;
pub mod policy;
pub mod proxy;
pub mod server;
pub mod store;
pub mod tls;
