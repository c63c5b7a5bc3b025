use proptest::prelude::*;

use super::*;
use crate::data::testing::{categorical, numeric, schema};
use crate::data::{NumericMissing, Scaling};

fn record() -> TrainingRecord {
    TrainingRecord {
        solver: "sgd".into(),
        epochs: 5,
        batch: 128,
        iterations: 50,
        rows_used: 1280,
        rows_dropped: 3,
        learning_rate: 0.5,
        decay: 0.0,
        momentum: 0.0,
        seed: 1,
        clip: 32.0,
        sigmoid: Some(SigmoidRecord { window: 128, terms: 12, fit: "weighted".into() }),
        security: SecurityRecord {
            parties: vec!["a".into(), "b".into()],
            correlations: "dealer".into(),
        },
        release_bits: 16,
    }
}

fn model() -> Model {
    let features = vec![
        numeric("Age", NumericMissing::Mean, Scaling::Joint),
        numeric("Debt", NumericMissing::Value(1.0), Scaling::Constants { mean: 3.0, std: 0.1 }),
        categorical("Home", &["own", "rent"], "own"),
    ];
    let age = Standardisation { name: "Age".into(), mean: 37.1, std: 10.9, present: 99 };
    Model::new(ModelParts {
        kind: ModelKind::Logistic,
        title: "A study".into(),
        study: "study:00".into(),
        schema: schema(features).unwrap(),
        standardisation: vec![age],
        intercept: Some(-1.25),
        coefficients: vec![0.3, -0.7, 0.1],
        l2: 0.01,
        std_errors: None,
        training: record(),
    })
    .unwrap()
}

#[test]
fn a_model_survives_its_file() {
    let model = model();
    let text = model.to_json().unwrap();
    assert_eq!(Model::from_json(text.as_bytes()).unwrap(), model);
    assert!(text.starts_with("{\n  \"format\": \"mpc-model\",\n  \"version\": 1,"));
}

#[test]
fn both_scales_predict_the_same() {
    let model = model();
    let mut builder = Table::builder(model.schema().clone());
    builder.push_row(&["55", "2.9", "rent", "bad"]).unwrap();
    builder.push_row(&["", "", "", "good"]).unwrap();
    let predicted = model.predict(&builder.finish()).unwrap();
    let original = model.original();
    let raw = [[55.0, 2.9, 1.0], [37.1, 1.0, 0.0]];
    for (row, predicted) in raw.iter().zip(predicted) {
        let sum: f64 = row.iter().zip(original.coefficients.values()).map(|(x, w)| x * w).sum();
        assert!((logistic(original.intercept + sum) - predicted).abs() < 1e-12);
    }
    assert_eq!(original.coefficients.value("Home=rent"), Some(0.1));
}

#[test]
fn rows_of_another_schema_are_refused() {
    let other = schema(vec![categorical("Home", &["own", "rent"], "own")]).unwrap();
    let table = Table::builder(other).finish();
    assert!(matches!(model().predict(&table), Err(ModelError::OtherSchema)));
}

#[test]
fn files_that_do_not_fit_are_refused_by_name() {
    let text = model().to_json().unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Model::from_json(text.replacen(from, to, 1).as_bytes())
    };
    assert!(matches!(
        changed("\"version\": 1", "\"version\": 2"),
        Err(ModelError::OtherVersion { got: 2 })
    ));
    assert!(matches!(changed("mpc-model", "mpc-receipt"), Err(ModelError::OtherFormat { .. })));
    assert!(matches!(changed("\"title\"", "\"titel\""), Err(ModelError::Malformed(_))));
    assert!(matches!(changed("-0.7", "-0.8"), Err(ModelError::Inconsistent)));
    assert!(matches!(changed("\"base\": \"own\"", "\"base\": \"x\""), Err(ModelError::Schema(_))));
    assert!(matches!(changed("\"Home=rent\"", "\"Age\""), Err(ModelError::Malformed(_))));
    assert!(matches!(changed("\"Home=rent\"", "\"Home=x\""), Err(ModelError::Columns { .. })));
    assert!(matches!(changed("\"std\": 10.9", "\"std\": 0.0"), Err(ModelError::Encoding(_))));
}

#[test]
fn coefficients_must_be_as_many_as_columns() {
    let schema = schema(vec![categorical("Home", &["own", "rent"], "own")]).unwrap();
    let parts = |coefficients| ModelParts {
        kind: ModelKind::Logistic,
        title: String::new(),
        study: String::new(),
        schema: schema.clone(),
        standardisation: Vec::new(),
        intercept: None,
        coefficients,
        l2: 0.0,
        std_errors: None,
        training: record(),
    };
    assert!(Model::new(parts(vec![1.0])).is_ok());
    assert!(matches!(Model::new(parts(vec![])), Err(ModelError::Columns { .. })));
    assert!(matches!(Model::new(parts(vec![f64::NAN])), Err(ModelError::NotFinite { .. })));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Model::from_json(&bytes);
    }

    #[test]
    fn changed_files_are_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = model().to_json().unwrap().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Model::from_json(&bytes);
        bytes.truncate(at);
        prop_assert!(Model::from_json(&bytes).is_err());
    }
}
