//! The bodies of the fuzz targets. They stand in `targets/`, so that `tests/fuzz_seeds.rs` runs
//! the same functions with a stable toolchain.

#[path = "../targets/mod.rs"]
pub mod targets;
