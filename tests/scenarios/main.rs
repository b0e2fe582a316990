//! Scenarios over real sockets, in process: one behaviour each, told as a story. The modules are
//! sorted by what they are about; the world that they play in is `tests/support`.
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

mod block_page;
mod block_rules;
mod block_targets;
mod cache_background;
mod cache_conditions;
mod cache_extensions;
mod cache_hits;
mod cache_incomplete;
mod cache_invalidation;
mod cache_keys;
mod cache_large;
mod cache_limits;
mod cache_offline;
mod cache_parts;
mod cache_parts_random;
mod cache_post;
mod cache_ranges;
mod cache_refused;
mod cache_restart;
mod cache_room;
mod cache_rules;
mod cache_safety;
mod cache_stale;
mod cache_storing;
mod cache_validation;
mod cli_ca;
mod cli_cache;
mod cli_config;
mod cli_explain;
mod cli_run;
mod cli_running;
mod cli_start;
mod collapse_ending;
mod collapse_sharing;
mod http2_client;
mod http2_frames;
mod http2_hostile;
mod http2_hostile_origin;
mod http2_never_indexed;
mod http2_origin;
mod http_connections;
mod http_content;
mod http_failures;
mod http_fields;
mod http_heads;
mod http_interim;
mod http_limits;
mod http_options;
mod http_pool;
mod http_shared;
mod http_versions;
mod intercept;
mod intercept_process;
mod intercept_tunnels;
mod listener_process;
mod listener_tls;
mod listener_tunnels;
mod log_access;
mod log_process;
mod process;
mod slow_clients;
mod tls_origin;
mod tunnel_ends;
mod tunnels;
mod uploads;
