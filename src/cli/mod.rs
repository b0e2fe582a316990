//! The command line: what was typed becomes a [`Command`], and each command but `serve` is a
//! function here.
//!
//! Exit codes: 0, 1 for a failure, 2 for bad usage, 78 for a bad configuration.

mod args;
mod cache;
mod commands;
mod control_client;
mod explain;
mod open_store;
mod running;
mod serve;
mod verify;
mod warm;

pub use args::{Args, CacheCommand, ClientArgs, Command, ExplainArgs, PatternArgs, ServeArgs};
pub use cache::cache;
pub use commands::{bad_config, block, blocked, check, failed, reload, unblock};
pub use explain::explain;
pub use serve::serve;
