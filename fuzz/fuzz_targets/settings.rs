#![no_main]

use std::path::Path;

use parties::settings::Settings;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = Settings::from_text(text, Path::new("."));
});
