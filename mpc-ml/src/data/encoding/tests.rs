use super::*;
use crate::data::testing::{categorical, numeric, schema};
use crate::data::{CategoricalMissing, Feature, Schema};

fn table(schema: &Schema, rows: &[&[&str]]) -> Table {
    let mut builder = Table::builder(schema.clone());
    for row in rows {
        builder.push_row(row).unwrap();
    }
    builder.finish()
}

fn with_indicator(mut feature: Feature) -> Feature {
    if let FeatureKind::Numeric(numeric) = &mut feature.kind {
        numeric.indicator = true;
    }
    feature
}

#[test]
fn missing_cells_take_the_joint_mean() {
    let income = with_indicator(numeric("Income", NumericMissing::Mean, Scaling::Joint));
    let schema = schema(vec![income]).unwrap();
    let a = table(&schema, &[&["1", "bad"], &["", "good"]]);
    let b = table(&schema, &[&["4", "good"], &["7", "bad"]]);
    let joint = joint_statistics(&[&a, &b]).unwrap();
    // Mean of 1, 4, 7; the filled row counts for the divisor of the variance.
    let std = (18.0_f64 / 4.0).sqrt();
    assert_eq!(joint, [Standardisation { name: "Income".into(), mean: 4.0, std, present: 3 }]);
    let encoded = encode(&a, &joint, 32.0).unwrap();
    assert_eq!(encoded.columns, ["Income", "Income__missing"]);
    assert_eq!(encoded.x, ndarray::array![[-3.0 / std, 0.0], [0.0, 1.0]]);
    assert_eq!(encoded.y, [1.0, 0.0]);
}

#[test]
fn a_named_value_counts_like_a_cell() {
    let debt = numeric("Debt", NumericMissing::Value(0.0), Scaling::Joint);
    let table = table(&schema(vec![debt]).unwrap(), &[&["2", "bad"], &["", "good"]]);
    assert!(table.joint_columns()[0].values().eq([Some(2.0), Some(0.0)]));
    let joint = joint_statistics(&[&table]).unwrap();
    assert_eq!((joint[0].mean, joint[0].std, joint[0].present), (1.0, 1.0, 2));
    assert_eq!(encode(&table, &joint, 32.0).unwrap().x, ndarray::array![[1.0], [-1.0]]);
}

#[test]
fn constants_need_no_joint_statistics() {
    let scale = Scaling::Constants { mean: 10.0, std: 2.0 };
    let features = vec![
        numeric("a", NumericMissing::Mean, scale),
        numeric("b", NumericMissing::Refuse, Scaling::None),
    ];
    let table = table(&schema(features).unwrap(), &[&["14", "3", "bad"], &["", "-4", "good"]]);
    assert!(table.joint_columns().is_empty());
    let encoded = encode(&table, &[], 3.5).unwrap();
    assert_eq!(encoded.x, ndarray::array![[2.0, 3.0], [0.0, -3.5]]);
    assert_eq!(encoded.clipped, 1);
}

#[test]
fn categories_become_columns_without_the_base() {
    let mut job = categorical("Job", &["x", "base", "y"], "base");
    let home = categorical("Home", &["own", "rent"], "own");
    if let FeatureKind::Categorical(categorical) = &mut job.kind {
        categorical.missing = CategoricalMissing::Level;
    }
    let schema = schema(vec![job, home]).unwrap();
    let rows: [&[&str]; 4] =
        [&["x", "own", "bad"], &["base", "rent", "bad"], &["y", "", "bad"], &["", "rent", "bad"]];
    let encoded = encode(&table(&schema, &rows), &[], 32.0).unwrap();
    assert_eq!(encoded.columns, ["Job=x", "Job=y", "Job=__missing__", "Home=rent"]);
    let expected = ndarray::array![
        [1.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0],
        [0.0, 1.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 1.0]
    ];
    assert_eq!(encoded.x, expected);
}

#[test]
fn constant_and_empty_columns_are_errors() {
    let schema = schema(vec![numeric("a", NumericMissing::Mean, Scaling::Joint)]).unwrap();
    let constant = table(&schema, &[&["3", "bad"], &["3", "good"]]);
    assert_eq!(joint_statistics(&[&constant]), Err(EncodingError::Constant { column: "a".into() }));
    let empty = table(&schema, &[&["", "bad"]]);
    assert_eq!(joint_statistics(&[&empty]), Err(EncodingError::NoValues { column: "a".into() }));

    let with = |std| [Standardisation { name: "a".into(), mean: 3.0, std, present: 2 }];
    assert!(matches!(encode(&constant, &with(0.0), 32.0), Err(EncodingError::Constant { .. })));
    for std in [f64::NAN, -1.0, f64::INFINITY, f64::MIN_POSITIVE / 2.0] {
        assert!(matches!(
            encode(&constant, &with(std), 32.0),
            Err(EncodingError::NoStandardisation { .. })
        ));
    }
    assert!(matches!(encode(&constant, &[], 32.0), Err(EncodingError::NoStandardisation { .. })));
}

#[test]
fn formatting_shows_no_value() {
    let schema = schema(vec![numeric("a", NumericMissing::Mean, Scaling::Joint)]).unwrap();
    let table = table(&schema, &[&["777", "bad"], &["778", "good"]]);
    let joint = joint_statistics(&[&table]).unwrap();
    let encoded = encode(&table, &joint, 32.0).unwrap();
    assert_eq!(format!("{encoded:?}"), "Encoded([2 x 1 values, redacted])");
    assert_eq!(
        format!("{:?}", table.joint_columns()),
        "[JointColumn(\"a\", [2 values, redacted])]"
    );
}
