//! Every kind of model in every format, and that a wrong export would be noticed.

use mpc_ml::artifact::{
    FitStatistics, InferenceParts, LeastSquares, Likelihood, ModelKind, ModelParts, SecurityRecord,
    SolverRecord, TrainingRecord,
};
use mpc_ml::data::{
    BinaryTarget, Categorical, CategoricalMissing, CountTarget, Feature, FeatureKind, Numeric,
    NumericMissing, NumericTarget, Offset, Scaling, Schema, Standardisation, Target,
};

use super::*;

const PREDICTING: [Form; 4] = [Form::Tidy, Form::Sklearn, Form::Pmml, Form::Onnx];

fn numeric(name: &str, missing: NumericMissing, indicator: bool, scale: Scaling) -> Feature {
    let kind = Numeric { range: Some((-1e3, 1e3)), missing, indicator, scale };
    Feature { name: name.into(), kind: FeatureKind::Numeric(kind) }
}

fn words(name: &str, levels: &[&str], base: &str, missing: CategoricalMissing) -> Feature {
    let levels = levels.iter().map(ToString::to_string).collect();
    let kind = Categorical { levels, base: base.into(), missing };
    Feature { name: name.into(), kind: FeatureKind::Categorical(kind) }
}

/// A model of this kind with these features, the n-th term of which weighs 0.1 n less 0.35.
fn model(kind: ModelKind, features: Vec<Feature>, inference: Option<FitStatistics>) -> Model {
    let column = "out <come>".to_owned();
    let (target, offset) = match kind {
        ModelKind::Logistic => {
            let (positive, negative) = ("ja & \"nein\"".to_owned(), "no".to_owned());
            (Target::Binary(BinaryTarget { column, positive, negative }), None)
        }
        ModelKind::Poisson => {
            let offset = Offset { column: "log days".into(), range: (-3.0, 5.0) };
            (Target::Count(CountTarget { column, range: (0.0, 99.0) }), Some(offset))
        }
        _ => (Target::Numeric(NumericTarget { column, range: Some((-9.0, 9.0)) }), None),
    };
    let schema = Schema::with_offset(features, target, offset).unwrap();
    let standardisation = schema.joint_features().map(|feature| Standardisation {
        name: feature.name.clone(),
        mean: 37.1,
        std: 10.9,
        present: 99,
    });
    let coefficients: Vec<f64> =
        (0..schema.columns().len()).map(|n| 0.1 * n as f64 - 0.35).collect();
    let inference = inference.map(|fit| InferenceParts {
        coefficients: coefficients.iter().map(|_| 0.25).collect(),
        intercept: Some(0.5),
        robust: None,
        covariance: None,
        tests: Vec::new(),
        contrasts: Vec::new(),
        fit,
    });
    Model::new(ModelParts {
        kind,
        title: "A <b>title</b>, \"\"\"quoted\"\"\" and \\u0041".into(),
        study: "study:00".into(),
        standardisation: standardisation.collect(),
        schema,
        intercept: Some(-1.25),
        coefficients,
        l2: 0.0,
        inference,
        training: TrainingRecord {
            solver: SolverRecord::of("exact", &serde_json::json!({})),
            iterations: 0,
            rows_used: 99,
            rows_dropped: 0,
            clip: 1024.0,
            checks: Vec::new(),
            security: SecurityRecord { parties: Vec::new(), correlations: "pairwise".into() },
            release_bits: 24,
        },
    })
    .unwrap()
}

/// Every rule for missing cells and every way to scale; names that a text format has to escape.
fn features() -> Vec<Feature> {
    vec![
        numeric("Alter, in \"Jahren\" \\ <é>", NumericMissing::Mean, true, Scaling::Joint),
        numeric(
            "debt",
            NumericMissing::Value(7.5),
            true,
            Scaling::Constants { mean: 3.0, std: 0.1 },
        ),
        numeric("t1", NumericMissing::Refuse, false, Scaling::None),
        numeric("prediction", NumericMissing::Refuse, false, Scaling::Joint),
        words("sex", &["F", "M", "it's <x> & \"\"\"y\"\"\" \\n"], "F", CategoricalMissing::Refuse),
        words("home", &["own", "rent"], "rent", CategoricalMissing::Base),
        words("ward", &["1", "2", "3"], "2", CategoricalMissing::Level),
    ]
}

const KINDS: [ModelKind; 3] = [ModelKind::Linear, ModelKind::Logistic, ModelKind::Poisson];

#[test]
fn every_kind_of_model_is_written_in_every_format() {
    for kind in KINDS {
        let model = model(kind, features(), None);
        let rows = invented(&model).unwrap();
        let missing = rows.missing();
        assert!(missing[0] > 0 && missing[1] > 0 && missing[5] > 0 && missing[6] > 0);
        for form in PREDICTING {
            let exported = export(&model, form, Some(&rows));
            let exported = exported.unwrap_or_else(|error| panic!("{kind:?} {form}: {error}"));
            let tested = exported.tested.unwrap();
            assert!(tested.invented >= 64 && tested.rows == tested.invented, "{tested:?}");
            assert!(tested.largest_difference < 1e-12, "{kind:?} {form}: {tested:?}");
        }
    }
}

/// Were one coefficient, mean or fill of an export another, the self-test would say so.
#[test]
fn an_export_of_another_model_is_noticed() {
    let right = model(ModelKind::Logistic, features(), None);
    let formula = Formula::of(&right).unwrap();
    let read = |form, bytes: &[u8]| -> Box<dyn Evaluate> {
        match form {
            Form::Sklearn => Box::new(python::read(bytes).unwrap()),
            Form::Pmml => Box::new(pmml::read(bytes).unwrap()),
            _ => Box::new(onnx::read(bytes).unwrap()),
        }
    };
    let rows = invented(&right).unwrap();
    for changed in 0..formula.terms.len() {
        let mut wrong = Formula::of(&right).unwrap();
        wrong.terms[changed].weight += 1e-6;
        let fill = Formula::of(&right).unwrap();
        let mut variants = vec![wrong, fill];
        let reads = &mut variants[1].terms[changed].reads;
        match reads {
            formula::Reads::Number { mean, .. } => *mean += 1e-4,
            formula::Reads::Missing => *reads = formula::Reads::Level("1".into()),
            formula::Reads::Level(_) => *reads = formula::Reads::Missing,
        }
        for formula in variants {
            for (form, bytes) in [
                (Form::Sklearn, python::write(&formula)),
                (Form::Pmml, pmml::write(&formula)),
                (Form::Onnx, onnx::write(&formula)),
            ] {
                // A level of a number is not even written as ONNX.
                let Ok(bytes) = bytes else { continue };
                let error = difference(&right, read(form, &bytes).as_ref(), &rows);
                assert!(
                    matches!(error, Err(ExportError::SelfTest { .. })),
                    "{form}, term {changed}: {error:?}"
                );
            }
        }
    }
}

/// What the rules of the study refuse has no prediction in ONNX either; it is not read as the base level.
#[test]
fn what_is_refused_is_not_scored() {
    let model = model(ModelKind::Linear, features(), None);
    let read = onnx::read(&export(&model, Form::Onnx, None).unwrap().bytes).unwrap();
    let table = invented(&model).unwrap();
    for (column, cells) in [
        ("t1", rows::Cells::Numbers(vec![f64::NAN, 1.0])),
        ("sex", rows::Cells::Words(vec!["", "F"])),
        ("home", rows::Cells::Words(vec!["hotel", ""])),
    ] {
        let mut rows = Rows::of(&table, 0..2);
        let place = rows.columns.iter().position(|(name, _)| *name == column).unwrap();
        rows.columns[place].1 = cells;
        let scores = read.predict(&rows).unwrap();
        assert!(scores[0].is_nan() && scores[1].is_finite(), "{column}: {scores:?}");
    }
}

#[test]
fn what_a_format_cannot_hold_is_refused_with_the_reason() {
    let refused = |model: &Model, form, words: &str| {
        let error = export(model, form, None).unwrap_err();
        assert!(matches!(error, ExportError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    };
    let constant = model(ModelKind::Linear, Vec::new(), None);
    refused(&constant, Form::Onnx, "nothing says how many rows");
    refused(&constant, Form::Sklearn, "no features");
    refused(&constant, Form::Glance, "inference = true");
    export(&constant, Form::Pmml, None).unwrap();
    let level = words("x", &["a", "b\u{ffff}"], "a", CategoricalMissing::Base);
    let control = model(ModelKind::Linear, vec![level], None);
    refused(&control, Form::Pmml, "a character that XML cannot hold");
    export(&control, Form::Sklearn, None).unwrap();
    export(&control, Form::Onnx, None).unwrap();
}

/// The certified values of Longley's data (NIST); statsmodels prints the log-likelihood -109.62 of it. In R the
/// variance is a parameter too, so that its criteria count eight.
#[test]
fn statistics_are_those_of_broom() {
    let scaled: Vec<Feature> = (0..6)
        .map(|n| numeric(&format!("x{n}"), NumericMissing::Refuse, false, Scaling::None))
        .collect();
    let rss = 836_424.055_505_915;
    let fit = LeastSquares::new(16, 6, true, rss, 184_172_401.944_494 + rss).unwrap();
    let linear = model(ModelKind::Linear, scaled.clone(), Some(FitStatistics::LeastSquares(fit)));
    let exported = export(&linear, Form::Glance, None).unwrap();
    let text = String::from_utf8(exported.bytes).unwrap();
    let (names, values) = text.trim_end().split_once('\n').unwrap();
    let values: Vec<f64> = values.split(',').map(|value| value.parse().unwrap()).collect();
    assert_eq!(
        names,
        "r.squared,adj.r.squared,sigma,statistic,p.value,df,logLik,AIC,BIC,deviance,df.residual,nobs"
    );
    for (name, expected) in [
        ("r.squared", 0.995_479_004_577_296),
        ("sigma", 304.854_073_561_965),
        ("statistic", 330.285_339_234_588),
        ("logLik", -109.62),
        ("AIC", 2.0 * 8.0 + 2.0 * 109.62),
        ("BIC", 8.0 * 16_f64.ln() + 2.0 * 109.62),
        ("df.residual", 9.0),
    ] {
        let at = names.split(',').position(|each| each == name).unwrap();
        let printed = ["logLik", "AIC", "BIC"].contains(&name);
        let tolerance = if printed { 5e-5 } else { 1e-9 };
        assert!((values[at] / expected - 1.0).abs() < tolerance, "{name}: {}", values[at]);
    }
    let fit = Likelihood::new(1000, 6, true, 800.0, 1400.0).unwrap().with_likelihood(-400.0, 0);
    let logistic = model(ModelKind::Logistic, scaled, Some(FitStatistics::Likelihood(fit)));
    let exported = export(&logistic, Form::Glance, None).unwrap();
    let text = String::from_utf8(exported.bytes).unwrap();
    assert_eq!(
        text.lines().next(),
        Some("null.deviance,df.null,logLik,AIC,BIC,deviance,df.residual,nobs")
    );
    assert!(text.contains("\n1400,999,-400,814,848."), "{text}");
    let exported = export(&logistic, Form::Tidy, None).unwrap();
    let text = String::from_utf8(exported.bytes).unwrap();
    let lines: Vec<&str> = text.lines().take(3).collect();
    assert_eq!(lines[0], "term,estimate,std.error,statistic,p.value,conf.low,conf.high");
    // No column has a mean taken off, so the intercept has its standard error on the scale of the files.
    assert!(lines[1].starts_with("(Intercept),-1.25,0.5,-2.5,0.0124193"), "{text}");
    assert!(lines[2].starts_with("x0,-0.35,0.25,-1.4,0.161513"), "{text}");
    let ends: Vec<f64> = lines[2].split(',').skip(5).map(|end| end.parse().unwrap()).collect();
    for (end, expected) in ends.iter().zip([-0.839_990_996_135, 0.139_990_996_135]) {
        assert!((end - expected).abs() < 1e-9, "{text}");
    }
}

/// A constant remains on the scale of the files where columns are scaled and the model has no intercept; where its
/// standard error is not known there is none, and a remark.
#[test]
fn an_intercept_without_a_standard_error_is_said() {
    let fit = Likelihood::new(1000, 2, true, 800.0, 1400.0).unwrap();
    let features = vec![numeric("x", NumericMissing::Mean, true, Scaling::Joint)];
    let model = model(ModelKind::Poisson, features, Some(FitStatistics::Likelihood(fit)));
    let exported = export(&model, Form::Tidy, None).unwrap();
    let text = String::from_utf8(exported.bytes).unwrap();
    assert!(text.lines().nth(1).unwrap().ends_with(",,,,,"), "{text}");
    assert!(exported.remarks[0].contains("output.covariance"), "{:?}", exported.remarks);
}
