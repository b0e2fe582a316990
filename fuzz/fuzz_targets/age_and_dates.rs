//! Hands the fuzzer's input to the body of `age_and_dates`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| larder_fuzz::targets::run("age_and_dates", data));
