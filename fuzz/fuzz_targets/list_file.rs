//! Hands the fuzzer's input to the body of `list_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder_fuzz::targets::run("list_file", data));
