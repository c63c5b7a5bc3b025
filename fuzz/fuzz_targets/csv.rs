#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use parties::data_file::{ReadOptions, read_csv};
use parties::study::Study;

static STUDY: LazyLock<Study> =
    LazyLock::new(|| Study::from_bytes(include_bytes!("../seeds/study/every-type.toml")).expect("a study"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for with_target in [true, false] {
        let options =
            ReadOptions { id_column: Some("id".to_owned()), with_target, show_values: true, lenient: false };
        if let Ok(file) = read_csv(bytes, Path::new("rows.csv"), STUDY.schema(), &options) {
            assert!(file.table.rows() > 0);
        }
    }
});
