#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cigan_fuzz::model(bytes));
