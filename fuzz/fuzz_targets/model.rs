#![no_main]

use mpc_ml::artifact::Model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(model) = Model::from_json(bytes) {
        let text = model.to_json().expect("what was read can be written");
        let again = Model::from_json(text.as_bytes()).expect("what was written can be read");
        assert_eq!(again.to_json().expect("it was written before"), text);
    }
});
