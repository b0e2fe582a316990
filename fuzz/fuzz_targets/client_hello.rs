//! Hands the fuzzer's input to the body of `client_hello`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder_fuzz::targets::run("client_hello", data));
