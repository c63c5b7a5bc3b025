#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mpc_core::fuzzing::aggregate(bytes));
