//! What each fuzz target does with its input: a plain function of octets that panics when what it
//! claims does not hold. `fuzz/` gives them to libFuzzer, `tests/fuzz_seeds.rs` to `cargo test`.
//!
//! Besides "no panic" each target claims something: a round trip, that the division into pieces
//! means nothing, an order that must hold, or what an oracle written from the RFC says.

pub mod caching;
pub mod caching_range;
pub mod caching_storing;
pub mod gate;
pub mod heads;
pub mod http;
pub mod http2;
pub mod input;
pub mod memory_files;
pub mod opening;
pub mod operating;
pub mod policy;
pub mod recovery;
pub mod store;
pub mod structured;
pub mod tls;

/// A fuzz target.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Inputs to begin with: `fuzz/corpus/` has them as files.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const ALL: &[Target] = &[
    Target { name: "record", run: store::record, seeds: store::record_seeds },
    Target { name: "footer", run: store::footer, seeds: store::footer_seeds },
    Target { name: "checkpoint", run: store::checkpoint, seeds: store::checkpoint_seeds },
    Target { name: "superblock", run: store::superblock, seeds: store::superblock_seeds },
    Target { name: "heads", run: heads::heads, seeds: heads::seeds },
    Target { name: "recovery", run: recovery::recovery, seeds: recovery::seeds },
    Target { name: "request_head", run: http::request_head, seeds: http::request_seeds },
    Target { name: "response_head", run: http::response_head, seeds: http::response_seeds },
    Target { name: "chunked", run: http::chunked, seeds: http::chunked_seeds },
    Target { name: "uri", run: http::uri, seeds: http::uri_seeds },
    Target { name: "cache_control", run: caching::cache_control, seeds: caching::cache_control_seeds },
    Target { name: "age_and_dates", run: caching::age_and_dates, seeds: caching::age_and_dates_seeds },
    Target { name: "etag", run: caching::etag, seeds: caching::etag_seeds },
    Target { name: "range", run: caching_range::range, seeds: caching_range::seeds },
    Target { name: "decision", run: caching::decision, seeds: caching::decision_seeds },
    Target { name: "vary", run: caching_storing::vary, seeds: caching_storing::vary_seeds },
    Target { name: "storing", run: caching_storing::storing, seeds: caching_storing::storing_seeds },
    Target { name: "http2_request", run: http2::request, seeds: http2::request_seeds },
    Target { name: "http2_gate", run: gate::gate, seeds: gate::gate_seeds },
    Target { name: "opening", run: opening::opening, seeds: opening::opening_seeds },
    Target { name: "client_hello", run: tls::client_hello, seeds: tls::client_hello_seeds },
    Target { name: "rules", run: policy::rules, seeds: policy::rules_seeds },
    Target { name: "list_file", run: policy::list_file, seeds: policy::list_file_seeds },
    Target { name: "structured", run: structured::structured, seeds: structured::structured_seeds },
    Target { name: "members", run: structured::members, seeds: structured::members_seeds },
    Target { name: "control", run: operating::control, seeds: operating::control_seeds },
    Target { name: "configuration", run: operating::configuration, seeds: operating::configuration_seeds },
];

/// Gives an input to the target of this name.
pub fn run(name: &str, data: &[u8]) {
    let target = ALL.iter().find(|target| target.name == name).expect("a target of this name");
    (target.run)(data);
}
