//! Hands the fuzzer's input to the body of `http2_gate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder_fuzz::targets::run("http2_gate", data));
