//! The encoding, the metrics and the model file against the project's own credit data.

// Helpers outside of test functions; a panic is how a test fails.
#![allow(clippy::unwrap_used)]
use std::fs;
use std::path::{Path, PathBuf};

use mpc_ml::artifact::{
    Model, ModelKind, ModelParts, SecurityRecord, SolverRecord, TrainingRecord,
};
use mpc_ml::data::{
    BinaryTarget, Categorical, CategoricalMissing, Encoded, Feature, FeatureKind, Numeric,
    NumericMissing, Scaling, Schema, Standardisation, Table, Target, encode, joint_statistics,
};
use mpc_ml::metrics::Scores;
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data/credit_status")
}

fn reference() -> Value {
    let text = fs::read(folder().join("reference.json")).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["tasks"]["bad"].clone()
}

fn numeric(name: &str, indicator: bool) -> Feature {
    let missing = NumericMissing::Mean;
    let kind = Numeric { range: None, missing, indicator, scale: Scaling::Joint };
    Feature { name: name.into(), kind: FeatureKind::Numeric(kind) }
}

fn categorical(name: &str, base: &str, others: &[&str]) -> Feature {
    let levels = [&[base], others].concat().iter().map(ToString::to_string).collect();
    let kind = Categorical { levels, base: base.into(), missing: CategoricalMissing::Base };
    Feature { name: name.into(), kind: FeatureKind::Categorical(kind) }
}

fn schema() -> Schema {
    let mut features: Vec<Feature> = ["Seniority", "Time", "Age", "Expenses", "Income", "Assets"]
        .into_iter()
        .map(|name| numeric(name, name == "Income" || name == "Assets"))
        .collect();
    features.extend(["Debt", "Amount", "Price"].map(|name| numeric(name, false)));
    features.extend([
        categorical("Home", "ignore", &["other", "owner", "parents", "priv", "rent"]),
        categorical("Marital", "divorced", &["married", "separated", "single", "widow"]),
        categorical("Records", "no", &["yes"]),
        categorical("Job", "fixed", &["freelance", "others", "partime"]),
    ]);
    let target =
        BinaryTarget { column: "Status".into(), positive: "bad".into(), negative: "good".into() };
    Schema::new(features, Target::Binary(target)).unwrap()
}

fn read(schema: &Schema, file: &str) -> Table {
    let mut reader = csv::Reader::from_path(folder().join(file)).unwrap();
    let header = reader.headers().unwrap().clone();
    let names = schema.features().iter().map(|feature| feature.name.as_str());
    let at: Vec<usize> = names
        .chain([schema.target().column()])
        .map(|name| header.iter().position(|column| column == name).unwrap())
        .collect();
    let mut builder = Table::builder(schema.clone());
    for record in reader.records() {
        let record = record.unwrap();
        let cells: Vec<&str> = at.iter().map(|&at| &record[at]).collect();
        builder.push_row(&cells).unwrap();
    }
    builder.finish()
}

fn joint(schema: &Schema) -> Vec<Standardisation> {
    let tables = ["party1.csv", "party2.csv", "party3.csv"].map(|file| read(schema, file));
    joint_statistics(&tables.each_ref()).unwrap()
}

fn assert_close(got: f64, expected: f64, tolerance: f64, what: &str) {
    assert!((got - expected).abs() <= tolerance, "{what}: {got} instead of {expected}");
}

fn assert_encoded(encoded: &Encoded, file: &str) {
    let mut reader = csv::Reader::from_path(folder().join("encoded").join(file)).unwrap();
    let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header[0], "y");
    assert_eq!(header[1..], encoded.columns);
    let mut rows = 0;
    for (row, record) in reader.records().enumerate() {
        let record: Vec<f64> = record.unwrap().iter().map(|cell| cell.parse().unwrap()).collect();
        assert_eq!(encoded.y[row], record[0]);
        for (column, expected) in record[1..].iter().enumerate() {
            let what = format!("{file}, row {row}, {}", encoded.columns[column]);
            assert_close(encoded.x[[row, column]], *expected, 1e-12, &what);
        }
        rows += 1;
    }
    assert_eq!(rows, encoded.x.nrows());
}

#[test]
fn the_encoding_is_the_reference_encoding() {
    let schema = schema();
    let joint = joint(&schema);
    let numeric = &reference()["encoding"]["numeric"];
    for entry in &joint {
        let expected = &numeric[&entry.name];
        let (mean, std) = (&expected["mean"], &expected["std_ddof0"]);
        assert_close(entry.mean / mean.as_f64().unwrap(), 1.0, 1e-14, &entry.name);
        assert_close(entry.std / std.as_f64().unwrap(), 1.0, 1e-14, &entry.name);
    }
    for file in ["party1.csv", "party2.csv", "party3.csv", "test.csv"] {
        let encoded = encode(&read(&schema, file), &joint, 32.0).unwrap();
        assert_eq!(encoded.clipped, 0);
        assert_encoded(&encoded, file);
    }
}

/// The model with the coefficients of one of the reference fits.
fn reference_model(fit: &Value) -> Model {
    let schema = schema();
    let coefficient = |column: &String| fit["coef"][column].as_f64().unwrap();
    Model::new(ModelParts {
        kind: ModelKind::Logistic,
        title: "credit_status".into(),
        study: "study:reference".into(),
        standardisation: joint(&schema),
        intercept: fit["intercept"].as_f64(),
        coefficients: schema.columns().iter().map(coefficient).collect(),
        schema,
        l2: fit["lambda"].as_f64().unwrap_or(0.0),
        inference: None,
        training: TrainingRecord {
            solver: SolverRecord::of("exact", &serde_json::json!({ "condition": 1.0 })),
            iterations: 0,
            rows_used: 3563,
            rows_dropped: 0,
            clip: 32.0,
            checks: Vec::new(),
            security: SecurityRecord { parties: Vec::new(), correlations: "none".into() },
            release_bits: 24,
        },
    })
    .unwrap()
}

#[test]
fn the_reference_model_scores_as_the_reference_says() {
    let mut predictions = csv::Reader::from_path(folder().join("test_predictions.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = predictions.records().map(Result::unwrap).collect();
    for (at, fit) in ["unpenalised", "l2"].into_iter().enumerate() {
        let fit = &reference()[fit];
        let text = reference_model(fit).to_json().unwrap();
        let model = Model::from_json(text.as_bytes()).unwrap();
        let test = read(model.schema(), "test.csv");
        let predicted = model.predict(&test).unwrap();
        assert_eq!(predicted.len(), rows.len());
        for (row, got) in rows.iter().zip(&predicted) {
            assert_close(*got, row[at + 1].parse().unwrap(), 1e-12, &row[0]);
        }
        let scores = Scores::new(&predicted, test.target().unwrap()).unwrap();
        let expected = |name: &str| fit["test"][name].as_f64().unwrap();
        assert_eq!(
            (scores.rows as f64, scores.positives as f64),
            (expected("n"), expected("positives"))
        );
        assert_close(scores.accuracy, expected("accuracy_at_0.5"), 1e-12, "accuracy");
        assert_close(scores.auc.unwrap(), expected("auc"), 1e-12, "AUC");
        assert_close(scores.log_loss, expected("log_loss"), 1e-12, "log-loss");
    }
}
