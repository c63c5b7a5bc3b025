#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = parties::node::verify(text);
});
