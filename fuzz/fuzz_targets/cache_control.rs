//! Hands the fuzzer's input to the body of `cache_control`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder_fuzz::targets::run("cache_control", data));
