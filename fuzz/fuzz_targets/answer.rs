//! What a child says that a file has taken over.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reader::fuzz::answer(bytes));
