#![no_main]

use parties::study::Study;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(study) = Study::from_bytes(bytes) {
        // What is read has the digest of its bytes, whatever they are.
        assert_eq!(study.digest(), parties::study::StudyDigest::of(bytes));
    }
});
