use super::*;
use crate::data::testing::{categorical, numeric, schema};
use crate::data::{CountTarget, Offset};

#[test]
fn each_rule_has_its_error() {
    let joint = |name: &str| numeric(name, NumericMissing::Mean, Scaling::Joint);
    // Whether a model needs features is for the model to say.
    assert!(schema(vec![]).is_ok());
    assert!(matches!(schema(vec![joint("")]), Err(SchemaError::BadName { .. })));
    assert!(matches!(
        schema(vec![joint("a"), joint("a")]),
        Err(SchemaError::DuplicateColumn { column }) if column == "a"
    ));
    assert!(matches!(
        schema(vec![joint("Status")]),
        Err(SchemaError::DuplicateColumn { column }) if column == "Status"
    ));
    assert!(matches!(
        schema(vec![categorical("H", &["a"], "a")]),
        Err(SchemaError::LevelCount { count: 1, .. })
    ));
    assert!(matches!(
        schema(vec![categorical("H", &["a", "a"], "a")]),
        Err(SchemaError::DuplicateLevel { .. })
    ));
    assert!(matches!(
        schema(vec![categorical("H", &["a", "b"], "c")]),
        Err(SchemaError::BaseNotALevel { .. })
    ));
    assert!(matches!(
        schema(vec![numeric("a", NumericMissing::Mean, Scaling::None)]),
        Err(SchemaError::MeanWithoutScale { .. })
    ));
    let constants = Scaling::Constants { mean: 0.0, std: 0.0 };
    assert!(matches!(
        schema(vec![numeric("a", NumericMissing::Mean, constants)]),
        Err(SchemaError::BadConstant { positive: true, .. })
    ));
    assert!(matches!(
        schema(vec![numeric("a", NumericMissing::Value(f64::NAN), Scaling::None)]),
        Err(SchemaError::BadConstant { positive: false, .. })
    ));
}

#[test]
fn a_name_in_a_model_belongs_to_one_feature() {
    let joint = |name: &str| numeric(name, NumericMissing::Mean, Scaling::Joint);
    let indicated = |name: &str| {
        let mut feature = joint(name);
        if let FeatureKind::Numeric(numeric) = &mut feature.kind {
            numeric.indicator = true;
        }
        feature
    };
    let levels = |name: &str| categorical(name, &["a", "b"], "a");
    for (features, column) in [
        (vec![joint("H=b"), levels("H")], "H=b"),
        // The base level has no column, but its name belongs to the feature.
        (vec![levels("H"), joint("H=a")], "H=a"),
        (vec![joint("dose__missing"), indicated("dose")], "dose__missing"),
        (vec![indicated("dose"), levels("dose__missing")], "dose__missing"),
        (vec![levels("H"), categorical("H=b", &["x", "y"], "x")], "H=b"),
        (vec![categorical("H", &["a", "b=x"], "a"), categorical("H=b", &["x", "y"], "y")], "H=b=x"),
    ] {
        let names = [features[0].name.clone(), features[1].name.clone()];
        let error = schema(features).unwrap_err();
        let text = error.to_string();
        assert!(names.iter().all(|name| text.contains(&format!("{name:?}"))), "{text}");
        assert_eq!(error.column(), Some(names[1].as_str()));
        assert!(
            matches!(&error, SchemaError::DuplicateEncodedColumn { column: c, .. } if c == column),
            "{error}"
        );
    }
    for name in ["(intercept)", "(intercept, standardised)"] {
        let error = schema(vec![joint("a"), joint(name)]).unwrap_err();
        assert!(matches!(error, SchemaError::ReservedColumn { .. }), "{error}");
    }
    // The same words in different features are different names.
    assert!(schema(vec![levels("H"), levels("G"), indicated("dose")]).is_ok());
}

#[test]
fn target_and_offset_have_ranges_and_names_of_their_own() {
    let new = |low: f64, offset: &str, range| {
        let feature = numeric("a", NumericMissing::Mean, Scaling::Joint);
        let target = Target::Count(CountTarget { column: "y".into(), range: (low, 9.0) });
        let offset = Offset { column: offset.into(), range };
        Schema::with_offset(vec![feature], target, Some(offset)).map(drop)
    };
    assert_eq!(new(0.0, "b", (-1.0, 1.0)), Ok(()));
    assert_eq!(
        new(-1.0, "b", (-1.0, 1.0)),
        Err(SchemaError::NegativeCounts { column: "y".into() })
    );
    assert!(matches!(new(9.0, "b", (-1.0, 1.0)), Err(SchemaError::BadRange { .. })));
    assert!(matches!(new(0.0, "b", (1.0, 1.0)), Err(SchemaError::BadRange { .. })));
    for column in ["a", "y"] {
        let duplicate = SchemaError::DuplicateColumn { column: column.into() };
        assert_eq!(new(0.0, column, (-1.0, 1.0)), Err(duplicate));
    }
    assert!(matches!(new(0.0, " b", (-1.0, 1.0)), Err(SchemaError::BadName { .. })));
}

#[test]
fn numeric_rules_must_fit_together() {
    let with = |range, missing, indicator| Feature {
        name: "a".into(),
        kind: FeatureKind::Numeric(Numeric { range, missing, indicator, scale: Scaling::Joint }),
    };
    for range in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        assert!(matches!(
            schema(vec![with(Some(range), NumericMissing::Mean, false)]),
            Err(SchemaError::BadRange { .. })
        ));
    }
    assert!(matches!(
        schema(vec![with(Some((0.0, 1.0)), NumericMissing::Value(-1.0), false)]),
        Err(SchemaError::FillOutsideRange { .. })
    ));
    assert!(matches!(
        schema(vec![with(None, NumericMissing::Refuse, true)]),
        Err(SchemaError::IndicatorWithoutMissing { .. })
    ));
}
