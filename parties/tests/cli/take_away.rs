//! `party export`: what is written, what is said of it, and what is refused.

use std::fs;

use serde_json::Value;

use super::{data, fails, ok, reference_model};

#[test]
fn a_model_is_taken_to_other_programs() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(at.join("model.json"), reference_model().to_json().unwrap()).unwrap();
    let test = data("test.csv");
    let test = test.to_str().unwrap();
    let base = ["export", "--model", "model.json", "--as"];
    for (form, file, words) in [
        ("tidy", "tidy.csv", "term,estimate,std.error,statistic,p.value,conf.low,conf.high\n"),
        ("sklearn", "model.py", "\"\"\"A model of several parties as a scikit-learn pipeline."),
        ("pmml", "model.pmml", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PMML version=\"4.4\""),
        ("onnx", "model.onnx", "\u{8}\u{9}\u{12}\u{5}party"),
    ] {
        let text = ok(at, &[&base[..], &[form, "--out", file, "--data", test]].concat());
        assert!(
            text.contains("Self-test passed") && text.contains("891 rows of the data"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let bytes = fs::read(at.join(file)).unwrap();
        assert!(bytes.starts_with(words.as_bytes()), "{form}");
        // Nothing is overwritten.
        fails(at, 8, &[&base[..], &[form, "--out", file]].concat());
    }
    let json = ok(at, &[&base[..], &["onnx", "--out", "again.onnx", "--json"]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["as"], &json["self_test"]["rows"]), (&Value::from("onnx"), &Value::from(0)));
    assert!(json["self_test"]["largest_difference"].as_f64().unwrap() < 1e-9, "{json}");
    // The model of this test has no inference.
    let error = fails(at, 3, &[&base[..], &["glance", "--out", "glance.csv"]].concat());
    assert!(error.contains("inference = true") && error.contains("docs/export.md"), "{error}");
    assert!(!at.join("glance.csv").exists());
    fs::write(at.join("bad.csv"), "Seniority\nmany\n").unwrap();
    fails(at, 3, &[&base[..], &["onnx", "--out", "bad.onnx", "--data", "bad.csv"]].concat());
    assert!(!at.join("bad.onnx").exists());
}
