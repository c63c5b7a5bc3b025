use proptest::prelude::*;

use super::*;
use crate::data::testing::{categorical, numeric, schema};
use crate::data::{CountTarget, NumericMissing, Offset, Scaling, Target};

fn record() -> TrainingRecord {
    TrainingRecord {
        solver: SolverRecord::of(
            "sgd",
            &serde_json::json!({
                "epochs": 5,
                "batch": 128,
                "learning_rate": 0.5,
                "decay": 0.0,
                "momentum": 0.0,
                "seed": 1,
                "sigmoid": { "window": 128, "terms": 12, "fit": "weighted" },
            }),
        ),
        iterations: 50,
        rows_used: 1280,
        rows_dropped: 3,
        clip: 32.0,
        checks: Vec::new(),
        security: SecurityRecord {
            parties: vec!["a".into(), "b".into()],
            correlations: "dealer".into(),
        },
        release_bits: 16,
    }
}

fn parts() -> ModelParts {
    let features = vec![
        numeric("Age", NumericMissing::Mean, Scaling::Joint),
        numeric("Debt", NumericMissing::Value(1.0), Scaling::Constants { mean: 3.0, std: 0.1 }),
        categorical("Home", &["own", "rent"], "own"),
    ];
    let age = Standardisation { name: "Age".into(), mean: 37.1, std: 10.9, present: 99 };
    ModelParts {
        kind: ModelKind::Logistic,
        title: "A study".into(),
        study: "study:00".into(),
        schema: schema(features).unwrap(),
        standardisation: vec![age],
        intercept: Some(-1.25),
        coefficients: vec![0.3, -0.7, 0.1],
        l2: 0.01,
        inference: None,
        training: record(),
    }
}

fn inference() -> InferenceParts {
    InferenceParts {
        coefficients: vec![0.2, 0.1, 0.4],
        intercept: Some(0.25),
        robust: None,
        covariance: None,
        tests: Vec::new(),
        contrasts: Vec::new(),
        fit: FitStatistics::Likelihood(Likelihood::new(1280, 3, true, 800.0, 900.0).unwrap()),
    }
}

fn model() -> Model {
    Model::new(parts()).unwrap()
}

#[test]
fn a_model_survives_its_file() {
    let model = model();
    let text = model.to_json().unwrap();
    assert_eq!(Model::from_json(text.as_bytes()).unwrap(), model);
    assert!(text.starts_with("{\n  \"format\": \"mpc-model\",\n  \"version\": 6,"));
}

#[test]
fn a_file_of_the_first_version_is_read() {
    let text = include_str!("version1.json");
    let model = Model::from_json(text.as_bytes()).unwrap();
    assert_eq!(model.original().coefficients.names().count(), 3);
    assert_eq!(model, self::model());
    // It is written again in the present version.
    let again = model.to_json().unwrap();
    assert!(again.contains("\"version\": 6") && again.contains("\"sgd\": {"), "{again}");
    assert_eq!(Model::from_json(again.as_bytes()).unwrap(), model);
    let other = text.replace("\"solver\": \"sgd\"", "\"solver\": \"adam\"");
    let error = Model::from_json(other.as_bytes()).unwrap_err();
    assert!(matches!(error, ModelError::UnknownSolver { .. }), "{error}");
}

/// A file that the program wrote when its version was 2.
#[test]
fn a_file_of_the_second_version_is_read() {
    let text = include_str!("version2.json");
    let model = Model::from_json(text.as_bytes()).unwrap();
    let expected = Model::new(ModelParts { inference: Some(inference()), ..parts() }).unwrap();
    assert_eq!(model, expected);
    let Some(FitStatistics::Likelihood(fit)) = model.inference().map(|all| &all.fit) else {
        panic!("{:?}", model.inference());
    };
    assert_eq!((fit.deviance, fit.log_likelihood, fit.certain_rows), (800.0, None, None));
    let again = model.to_json().unwrap();
    assert!(again.contains("\"version\": 6"), "{again}");
    assert_eq!(Model::from_json(again.as_bytes()).unwrap(), model);
}

#[test]
fn tests_rest_on_robust_errors_where_there_are_some() {
    let robust = RobustParts {
        kind: ErrorKind::Hc1,
        coefficients: vec![0.3, 0.2, 0.5],
        intercept: Some(0.5),
    };
    let parts = |robust| ModelParts {
        inference: Some(InferenceParts { robust: Some(robust), ..inference() }),
        ..parts()
    };
    let model = Model::new(parts(robust.clone())).unwrap();
    let text = model.to_json().unwrap();
    assert_eq!(Model::from_json(text.as_bytes()).unwrap(), model);
    let tests = model.tests(0.95).unwrap();
    assert_eq!((tests[0].std_error, tests[0].statistic), (0.5, -2.5));
    assert_eq!((tests[1].std_error, tests[3].std_error), (0.3 / 10.9, 0.5));
    // The usual ones stand beside them.
    let all = model.inference().unwrap();
    assert_eq!(all.tested().0, ErrorKind::Hc1);
    assert_eq!(all.std_errors.coefficients.value("Home=rent"), Some(0.4));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["inference"]["robust"]["kind"], "hc1");
    assert_eq!(json["inference"]["robust"]["std_errors"]["coefficients"]["Home=rent"], 0.5);

    let changed = text.replacen("\"Home=rent\": 0.5", "\"Home=rent\": 0.6", 1);
    assert!(matches!(Model::from_json(changed.as_bytes()), Err(ModelError::Inconsistent)));
    let wrong = RobustParts { coefficients: vec![0.3, 0.0, 0.5], ..robust.clone() };
    let error = Model::new(parts(wrong)).unwrap_err();
    assert!(matches!(&error, ModelError::StandardError { name } if name == "Debt"), "{error}");
    let wrong = RobustParts { coefficients: vec![0.3], ..robust };
    assert!(matches!(Model::new(parts(wrong)), Err(ModelError::Columns { .. })));
}

/// With covariances the standard error of the intercept is known on the scale of the files.
#[test]
fn covariances_stand_in_the_file_with_their_names() {
    // Columns Age, Debt, Home=rent, intercept; the halves differ by rounding.
    #[rustfmt::skip]
    let covariance = vec![
         0.04,  0.004,       0.01,  -0.02,
         0.004, 0.010000001, 0.0,    0.002,
         0.01,  0.0,         0.16,  -0.03,
        -0.02,  0.002000002, -0.03,  0.0625,
    ];
    let with = |covariance| ModelParts {
        inference: Some(InferenceParts { covariance: Some(covariance), ..inference() }),
        ..parts()
    };
    let model = Model::new(with(covariance.clone())).unwrap();
    let text = model.to_json().unwrap();
    assert_eq!(Model::from_json(text.as_bytes()).unwrap(), model);
    let all = model.inference().unwrap();
    let common = all.standardised_covariance.as_ref().unwrap();
    assert_eq!(common.names, ["Age", "Debt", "Home=rent", "(intercept)"]);
    assert_eq!(common.values[1][1], 0.1 * 0.1);
    assert_eq!((common.values[1][3], common.values[3][1]), (0.002000001, 0.002000001));

    // b = (w_age / 10.9, w_debt / 0.1, w_rent, w_0 - w_age 37.1 / 10.9 - w_debt 3 / 0.1)
    let original = all.covariance.as_ref().unwrap();
    let close = |got: f64, expected: f64| {
        assert!((got - expected).abs() < 1e-12 * expected.abs(), "{got} instead of {expected}");
    };
    close(original.values[0][0], 0.04 / (10.9 * 10.9));
    close(original.values[0][1], 0.004 / 1.09);
    close(original.values[2][2], 0.16);
    let (a, b) = (37.1 / 10.9, 30.0);
    close(original.values[0][3], (-0.02 - a * 0.04 - b * 0.004) / 10.9);
    let variance = 0.0625 + a * a * 0.04 + b * b * 0.01 + 2.0 * a * b * 0.004
        - 2.0 * (a * -0.02 + b * 0.002000001);
    close(original.values[3][3], variance);
    close(all.std_errors.intercept.unwrap(), variance.sqrt());
    let tests = model.tests(0.95).unwrap();
    assert_eq!(
        (tests[0].name.as_str(), tests[0].estimate),
        ("(intercept)", model.original().intercept)
    );

    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let inference = &json["inference"];
    assert_eq!(inference["covariance"]["names"][3], "(intercept)");
    for (from, to) in [("0.004", "0.005"), ("\"Debt\",", "\"debt\",")] {
        assert!(text.contains(from), "{from}");
        assert!(Model::from_json(text.replace(from, to).as_bytes()).is_err(), "{from}");
    }
    let error = Model::new(with(covariance[..9].to_vec())).unwrap_err();
    assert!(matches!(error, ModelError::Columns { what: "covariances" }), "{error}");
}

/// Both levels of a category together: from the covariance where it is there, and not twice.
#[test]
fn a_released_covariance_tells_the_joint_tests_of_features() {
    let schema = schema(vec![categorical("Home", &["own", "rent", "free"], "own")]).unwrap();
    let made = InferenceParts {
        coefficients: vec![0.4, 0.2],
        covariance: Some(vec![0.16, 0.02, -0.01, 0.02, 0.04, -0.02, -0.01, -0.02, 0.0625]),
        intercept: Some(0.25),
        ..inference()
    };
    let with = |inference| {
        Model::new(ModelParts {
            schema: schema.clone(),
            standardisation: Vec::new(),
            coefficients: vec![0.1, -0.3],
            inference: Some(inference),
            ..parts()
        })
        .unwrap()
    };
    let tests = with(made.clone()).joint_tests();
    let [FeatureTest { feature, joint }] = &tests[..] else { panic!("{tests:?}") };
    assert_eq!((feature.as_str(), joint.degrees_of_freedom), ("Home", 2));
    // (0.04 u^2 - 2 0.02 u v + 0.16 v^2) / (0.16 0.04 - 0.02^2), as by hand.
    let statistic = (0.04 * 0.01 + 0.04 * 0.03 + 0.16 * 0.09) / 0.006;
    assert!((joint.statistic - statistic).abs() < 1e-12, "{joint:?}");
    assert!((joint.p_value - (-statistic / 2.0).exp()).abs() < 1e-12, "{joint:?}");
    let asked = FeatureTest { feature: "Home".into(), joint: JointTest::chi_squared(2.5, 2) };
    let told = with(InferenceParts { tests: vec![asked.clone()], ..made.clone() });
    assert_eq!(told.joint_tests(), [asked]);
    // It is that of the usual standard errors, and tests rest on robust ones here.
    let robust =
        RobustParts { kind: ErrorKind::Hc1, coefficients: vec![0.5, 0.3], intercept: Some(0.3) };
    let robust = InferenceParts { robust: Some(robust), ..made.clone() };
    assert_eq!(with(robust).joint_tests(), []);
    assert_eq!(with(InferenceParts { covariance: None, ..made }).joint_tests(), []);
}

#[test]
fn ratios_are_exponentials_of_coefficients_and_of_their_ends() {
    let with = |kind| Model::new(ModelParts { kind, inference: Some(inference()), ..parts() });
    let tests = with(ModelKind::Logistic).unwrap().tests(0.95).unwrap();
    assert_eq!(tests[0].ratio, None, "of the intercept there is none");
    let (rent, ratio) = (&tests[3], tests[3].ratio.expect("an odds ratio"));
    assert_eq!(ratio.estimate, 0.1_f64.exp());
    assert_eq!((ratio.low, ratio.high), (rent.low.exp(), rent.high.exp()));
    let tests = with(ModelKind::Linear).unwrap().tests(0.95).unwrap();
    assert!(tests.iter().all(|test| test.ratio.is_none()));
}

#[test]
fn standard_errors_are_known_on_both_scales_where_they_follow() {
    let model = Model::new(ModelParts { inference: Some(inference()), ..parts() }).unwrap();
    let text = model.to_json().unwrap();
    assert_eq!(Model::from_json(text.as_bytes()).unwrap(), model);
    let errors = &model.inference().unwrap().std_errors;
    assert_eq!(errors.coefficients.value("Age"), Some(0.2 / 10.9));
    assert_eq!(errors.coefficients.value("Home=rent"), Some(0.4));
    // The intercept of the files is a sum over coefficients whose covariances nobody knows.
    assert_eq!(errors.intercept, None);

    let tests = model.tests(0.95).unwrap();
    assert_eq!(tests[0].name, "(intercept, standardised)");
    assert_eq!((tests[0].estimate, tests[0].statistic), (-1.25, -5.0));
    assert!((tests[0].p_value / 5.733_031e-7 - 1.0).abs() < 1e-6);
    let (rent, z) = (&tests[3], 1.959_963_984_540_054);
    assert_eq!(rent.name, "Home=rent");
    assert!((rent.low - (0.1 - 0.4 * z)).abs() < 1e-9, "{rent:?}");
    assert!((rent.high - (0.1 + 0.4 * z)).abs() < 1e-9, "{rent:?}");
    // A test does not depend on the scale.
    assert!((tests[1].statistic - 0.3 / 0.2).abs() < 1e-12);
    assert!(self::model().tests(0.95).is_none());

    // Without a mean that is taken off the intercept is the same on both scales.
    let schema = schema(vec![categorical("Home", &["own", "rent"], "own")]).unwrap();
    let inference = InferenceParts { coefficients: vec![0.4], ..inference() };
    let plain = Model::new(ModelParts {
        schema,
        standardisation: Vec::new(),
        coefficients: vec![0.1],
        inference: Some(inference),
        ..parts()
    });
    assert_eq!(plain.unwrap().tests(0.95).unwrap()[0].name, "(intercept)");
}

#[test]
fn standard_errors_that_cannot_be_are_refused() {
    let with = |change: &dyn Fn(&mut InferenceParts)| {
        let mut inference = inference();
        change(&mut inference);
        Model::new(ModelParts { inference: Some(inference), ..parts() })
    };
    for wrong in [0.0, -0.1, f64::INFINITY] {
        let error = with(&|parts| parts.coefficients[1] = wrong).unwrap_err();
        assert!(error.to_string().contains("Debt") || wrong.is_infinite(), "{error}");
    }
    let error = with(&|parts| parts.intercept = Some(0.0)).unwrap_err();
    assert!(matches!(error, ModelError::StandardError { .. }), "{error}");
    let error = with(&|parts| parts.coefficients = vec![0.1]).unwrap_err();
    assert!(matches!(error, ModelError::Columns { .. }), "{error}");
    let text = with(&|_| {}).unwrap().to_json().unwrap();
    let changed = text.replacen("\"Home=rent\": 0.4", "\"Home=rent\": 0.5", 1);
    assert!(matches!(Model::from_json(changed.as_bytes()), Err(ModelError::Inconsistent)));
}

#[test]
fn counts_are_predicted_with_their_offset() {
    let feature = numeric("a", NumericMissing::Refuse, Scaling::None);
    let target = Target::Count(CountTarget { column: "y".into(), range: (0.0, 99.0) });
    let offset = Offset { column: "exposure".into(), range: (-5.0, 5.0) };
    let schema = Schema::with_offset(vec![feature], target, Some(offset)).unwrap();
    let model = Model::new(ModelParts {
        kind: ModelKind::Poisson,
        schema: schema.clone(),
        standardisation: Vec::new(),
        coefficients: vec![0.5],
        intercept: Some(1.0),
        ..parts()
    })
    .unwrap();
    let model = Model::from_json(model.to_json().unwrap().as_bytes()).unwrap();
    let mut builder = Table::builder_without_target(schema);
    builder.push_row(&["2", "-1.5"]).unwrap();
    builder.push_row(&["-1", "0"]).unwrap();
    let table = builder.finish();
    let predicted = model.predict(&table).unwrap();
    assert!((predicted[0] - 0.5_f64.exp()).abs() < 1e-15, "{predicted:?}");
    assert!((predicted[1] - 0.5_f64.exp()).abs() < 1e-15, "{predicted:?}");
    let mut encoded = encode(&table, &[], 9.0).unwrap();
    encoded.offset.clear();
    assert!(matches!(model.predict_encoded(&encoded), Err(ModelError::OtherSchema)));
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
        assert!(
            (ModelKind::Logistic.prediction(original.intercept + sum) - predicted).abs() < 1e-12
        );
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
        changed("\"version\": 6", "\"version\": 7"),
        Err(ModelError::OtherVersion { got: 7 })
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
        inference: None,
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
        // Without the line break at its end: what lacks that alone is whole.
        let mut bytes = model().to_json().unwrap().trim_end().as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Model::from_json(&bytes);
        bytes.truncate(at);
        prop_assert!(Model::from_json(&bytes).is_err());
    }
}
