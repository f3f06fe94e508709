//! A file of any format, read by any engine: the first byte chooses. Panics are caught as they are in
//! the child; what ends the process, hangs or takes too much memory is found.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| reader::fuzz::file(bytes));
