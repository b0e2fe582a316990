//! The command line: what was typed becomes a [`Command`], and each command but `serve` is a
//! function here.
//!
//! Exit codes: 0, 1 for a failure, 2 for bad usage, 78 for a bad configuration.

mod args;
mod ca;
mod cache;
mod cache_folder;
mod commands;
mod control_client;
mod diagnostics;
mod environment;
mod explain;
mod fit;
mod open_store;
mod open_tls;
mod output;
mod run;
mod running;
mod serve;
mod trust;
mod verify;
mod warm;

pub use args::{
    Args, CaArgs, CaCommand, CacheCommand, ClientArgs, Command, EnvArgs, ExplainArgs, ExportArgs,
    InstallArgs, PatternArgs, RunArgs, ServeArgs,
};
pub use ca::ca;
pub use cache::cache;
pub use commands::{block, blocked, check, reload, unblock};
pub use environment::{EnvFormat, ProxyAddress, env};
pub use explain::explain;
pub use output::{bad_config, failed};
pub use run::run;
pub use serve::serve;
pub use trust::StoreKind;
