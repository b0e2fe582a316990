//! Hands the fuzzer's input to the body of `opening`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder_fuzz::targets::run("opening", data));
