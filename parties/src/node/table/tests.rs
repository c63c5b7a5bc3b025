use mpc_ml::artifact::{
    Contrast, FeatureTest, InferenceParts, JointTest, LeastSquares, Likelihood, ModelKind,
    ModelParts, RobustParts, SecurityRecord, SolverRecord, TrainingRecord,
};
use mpc_ml::data::{
    BinaryTarget, Feature, FeatureKind, Numeric, NumericMissing, Scaling, Schema, Standardisation,
    Target,
};

use super::*;

#[test]
fn figures_have_the_digits_that_matter() {
    for (value, text) in [
        (0.0, "0.000000"),
        (12.345_678_9, "12.34568"),
        (-1_234_567.8, "-1234568"),
        (0.000_123_4, "0.000123"),
        (0.000_012_34, "1.2340e-5"),
        (3.5e9, "3.5000e9"),
    ] {
        assert_eq!(figure(value), text);
    }
    assert_eq!((probability(0.049_9), stars(0.049_9)), ("0.0499".into(), "*"));
    assert_eq!((probability(1e-9), stars(1e-9)), ("< 1e-4".into(), "***"));
}

#[test]
fn cells_of_the_table_keep_their_width() {
    for exponent in -40..40 {
        for digits in [1.0, -1.234_567_89, -9.999_999_9, 9.999_999_9] {
            let value: f64 = digits * 10_f64.powi(exponent);
            let text = short(value);
            assert!(text.len() <= 9, "{value}: {text}");
            let read: f64 = text.parse().unwrap();
            let most = if (-9..10).contains(&exponent) { 6e-4 } else { 6e-3 };
            assert!((read / value - 1.0).abs() < most, "{value}: {text}");
            assert!(score(value).len() <= 7, "{value}: {}", score(value));
        }
    }
    assert_eq!(
        (short(-0.011_339), short(0.0), score(201.152)),
        ("-0.011339".into(), "0.000000".into(), "201.2".into())
    );
}

fn model(robust: bool) -> Model {
    let names = ["Age", "the_pressure_of_the_blood_in_mm_of_mercury"];
    let features = names.map(|name| Feature {
        name: name.to_owned(),
        kind: FeatureKind::Numeric(Numeric {
            range: None,
            missing: NumericMissing::Refuse,
            indicator: false,
            scale: Scaling::Joint,
        }),
    });
    let target = BinaryTarget { column: "y".into(), positive: "1".into(), negative: "0".into() };
    let scale = |name: &str| Standardisation {
        name: name.into(),
        mean: 12_345.6,
        std: 0.000_012,
        present: 99,
    };
    let robust = robust.then(|| RobustParts {
        kind: ErrorKind::Hc1,
        coefficients: vec![0.25, 0.5],
        intercept: Some(0.75),
    });
    let fit = Likelihood::new(123_456_789, 2, true, 61_234_567.8, 91_234_567.8).unwrap();
    Model::new(ModelParts {
        kind: ModelKind::Logistic,
        title: "A study".into(),
        study: "study:00".into(),
        schema: Schema::new(features.into(), Target::Binary(target)).unwrap(),
        standardisation: names.map(scale).into(),
        intercept: Some(-123.456),
        coefficients: vec![-12.0, 0.000_034],
        l2: 0.0,
        inference: Some(InferenceParts {
            coefficients: vec![0.125, 0.0625],
            intercept: Some(0.5),
            robust,
            covariance: None,
            tests: vec![FeatureTest {
                feature: "ward".into(),
                joint: JointTest::chi_squared(12.5, 4),
            }],
            contrasts: vec![Contrast {
                name: "one beside the other".into(),
                weights: [("Age".to_owned(), 1.0)].into_iter().collect(),
                estimate: -3.5,
                std_error: 0.5,
            }],
            fit: FitStatistics::Likelihood(fit.with_likelihood(-30_617_283.9, 17)),
        }),
        training: TrainingRecord {
            solver: SolverRecord::of("optimum", &()),
            iterations: 3,
            rows_used: 123_456_789,
            rows_dropped: 0,
            clip: 1024.0,
            checks: Vec::new(),
            security: SecurityRecord { parties: vec![], correlations: "pairwise".into() },
            release_bits: 20,
        },
    })
    .unwrap()
}

#[test]
fn standard_errors_with_noise_say_so() {
    let mut json: serde_json::Value =
        serde_json::from_str(&model(false).to_json().unwrap()).unwrap();
    json["inference"]["fit"] =
        serde_json::json!({ "noisy": { "rows": 1800, "degrees_of_freedom": 1797 } });
    let noisy = Model::from_json(json.to_string().as_bytes()).unwrap();
    assert_eq!(noisy.inference().unwrap().tested().0, ErrorKind::Noise);
    let text = coefficients(&noisy);
    assert!(text.contains("Standard errors, z, p and intervals count the noise"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80 || line.contains("_pressure_")));
    assert!(!text.contains("Deviance"), "{text}");
}

#[test]
fn joint_tests_of_a_linear_model_have_the_law_of_f() {
    let fit = LeastSquares::new(824, 8, true, 86_000.0, 234_000.0).unwrap();
    let test = FeatureTest { feature: "ward".into(), joint: JointTest::f(12.5, 3, 815) };
    let text = joint(&[test], &FitStatistics::LeastSquares(fit));
    let line = "  ward           F 12.50000 on 3 and 815 degrees of freedom, p < 1e-4\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn the_table_fits_80_columns_and_says_which_errors_it_shows() {
    let usual = coefficients(&model(false));
    let robust = coefficients(&model(true));
    for text in [&usual, &robust] {
        for line in text.lines() {
            let length = line.chars().count();
            assert!(length <= 80 || line.contains("_pressure_"), "{length}: {line}");
        }
        assert!(
            text.contains("ward           chi2 12.50000 on 4 degrees of freedom, p 0.0140"),
            "{text}"
        );
        assert!(text.contains("  Contrasts:\n  one beside the other\n"), "{text}");
        assert!(text.contains(" -3.50000  0.500000  -7.000 < 1e-4 *** "), "{text}");
        let ratio = "  one beside the other                       0.030197   0.011334   0.080458\n";
        assert!(text.contains("odds ratio") && text.contains(ratio), "{text}");
        assert!(text.contains("Log-likelihood -3.0617e7, AIC 6.1235e7, BIC"), "{text}");
        assert!(text.contains("Rows that are all but certain: 17 of 123456789"), "{text}");
        // A long name stands alone, and its numbers below it.
        let (_, below) = text.split_once("  the_pressure_of_the_blood_in_mm_of_mercury\n").unwrap();
        assert!(below.starts_with("                 "), "{text}");
    }
    assert!(!usual.contains("robust") && usual.contains(" -96.000 "), "{usual}");
    assert!(robust.contains("robust: from squared residuals (HC1)"), "{robust}");
    assert!(robust.contains(" -48.000 ") && !robust.contains(" -96.000 "), "{robust}");
}
