//! Golden vectors: values in `tests/vectors/*.json` that must not change, because nodes of two
//! versions would no longer fit together. The failing assertion prints the new value; whoever means
//! the change puts it into the file, and raises the version of what it belongs to.
#![allow(clippy::unwrap_used)]

use serde_json::Value;

/// Compares `now` with what stands under `name` in the vectors `file`.
pub fn check(file: &str, text: &str, name: &str, now: &Value) {
    let stored: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{file}: {e}"));
    assert!(
        stored[name] == *now,
        "{file}: `{name}` has changed. It was\n{}\nand is now\n{}",
        stored[name],
        serde_json::to_string(now).unwrap()
    );
}
