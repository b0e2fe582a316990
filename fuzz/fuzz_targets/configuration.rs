//! Hands the fuzzer's input to the body of `configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder_fuzz::targets::run("configuration", data));
