#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts")
}

fn json(path: &str) -> Value {
    serde_json::from_slice(&fs::read(scripts().join(path)).unwrap()).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map_or_else(Vec::new, |all| all.iter().map(|v| v.as_f64().unwrap()).collect())
}

/// Within `most` of the largest entry.
fn close(what: &str, got: &[f64], expected: &[f64], most: f64) {
    assert_eq!(got.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0f64, |largest, v| largest.max(v.abs()));
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() <= most * largest, "{what}: {got} instead of {expected}");
    }
}

/// The data of a case of scripts/oracles/glm.json.
struct Case {
    family: Family,
    x: Vec<f64>,
    columns: usize,
    intercept: bool,
    target: Vec<f64>,
    offsets: Vec<f64>,
    weights: Vec<f64>,
    clusters: Vec<usize>,
    l2: f64,
}

impl Case {
    fn new(case: &Value) -> Self {
        Self {
            family: if case["family"] == "poisson" { Family::Poisson } else { Family::Logistic },
            x: numbers(&case["x"]),
            columns: case["columns"].as_u64().unwrap() as usize,
            intercept: case["intercept"].as_bool().unwrap(),
            target: numbers(&case["y"]),
            offsets: numbers(&case["offsets"]),
            weights: numbers(&case["weights"]),
            clusters: numbers(&case["clusters"]).into_iter().map(|id| id as usize).collect(),
            l2: case["l2"].as_f64().unwrap(),
        }
    }

    fn data(&self) -> Data<'_> {
        Data {
            family: self.family,
            x: &self.x,
            columns: self.columns,
            intercept: self.intercept,
            target: &self.target,
            offsets: &self.offsets,
            weights: &self.weights,
            l2: self.l2,
        }
    }
}

#[test]
fn fits_are_those_of_statsmodels_and_scipy() {
    let cases = json("oracles/glm.json")["cases"].clone();
    let cases = cases.as_object().unwrap();
    assert_eq!(cases.len(), 9);
    for (name, case) in cases {
        let expected = &case["fit"];
        let case = Case::new(case);
        let fit = fit(&case.data()).unwrap();
        assert_eq!(fit.extreme, 0);
        close(name, &fit.coefficients, &numbers(&expected["coefficients"]), 1e-10);
        close(name, &fit.std_errors, &numbers(&expected["std_errors"]), 1e-9);
        close(name, &fit.covariance, &numbers(&expected["covariances"]["model"]), 1e-9);
        let sums = [
            ("deviance", fit.deviance),
            ("null_deviance", fit.null_deviance),
            ("log_likelihood", fit.log_likelihood),
            ("aic", fit.aic),
            ("pearson", fit.pearson),
        ];
        for (sum, got) in sums.into_iter().filter(|_| case.l2 == 0.0) {
            let expected = expected[sum].as_f64().unwrap();
            close(&format!("{name}: {sum}"), &[got], &[expected], 1e-10);
        }
    }
}

#[test]
fn robust_covariances_and_wald_statistics_are_those_of_statsmodels() {
    let cases = json("oracles/glm.json")["cases"].clone();
    let with_covariances = cases.as_object().unwrap().iter().filter(|(_, case)| case["l2"] == 0);
    let mut seen = 0;
    for (name, case) in with_covariances {
        let expected = &case["fit"];
        let case = Case::new(case);
        let data = case.data();
        let fit = fit(&data).unwrap();
        let kinds = [
            ("hc0", Robust::Hc0),
            ("hc1", Robust::Hc1),
            ("cluster0", Robust::Cluster0(&case.clusters)),
            ("cluster1", Robust::Cluster1(&case.clusters)),
        ];
        for (kind, robust) in kinds {
            let expected = numbers(&expected["covariances"][kind]);
            close(&format!("{name}: {kind}"), &fit.robust(&data, robust), &expected, 1e-9);
        }
        let set: Vec<usize> = numbers(&expected["set"]).into_iter().map(|at| at as usize).collect();
        let contrasts = numbers(&expected["contrasts"]);
        let values = numbers(&expected["values"]);
        for (kind, covariance) in
            [("model", fit.covariance.clone()), ("hc1", fit.robust(&data, Robust::Hc1))]
        {
            let expected = &expected["wald"][kind];
            let got = fit.wald(&covariance, &set).unwrap();
            close(name, &[got], &[expected["set"].as_f64().unwrap()], 1e-8);
            let got = fit.wald_of_contrasts(&covariance, &contrasts, &values).unwrap();
            close(name, &[got], &[expected["contrasts"].as_f64().unwrap()], 1e-8);
            assert_eq!(fit.wald(&covariance, &[0, 0]), None, "a coefficient beside itself");
        }
        seen += 1;
    }
    assert_eq!(seen, 7);
}

/// Columns of a CSV of three parties, by name, and the target.
fn pooled(
    set: &str,
    columns: &[String],
    target: impl Fn(&str) -> f64,
    name: &str,
) -> Vec<Vec<f64>> {
    let mut rows = Vec::new();
    for party in 1..=3 {
        let path = scripts().join(format!("data/{set}/party{party}.csv"));
        let mut reader = csv::Reader::from_path(path).unwrap();
        let header = reader.headers().unwrap().clone();
        for record in reader.records() {
            let record = record.unwrap();
            let cell = |name: &str| {
                let at = header.iter().position(|column| column == name).unwrap();
                record.get(at).unwrap().to_owned()
            };
            let mut row: Vec<f64> = columns
                .iter()
                .map(|column| match column.split_once('=') {
                    // Encoded files have the columns as they are.
                    Some((name, level)) if !header.iter().any(|at| at == column) => {
                        f64::from(u8::from(cell(name) == level))
                    }
                    _ => cell(column).parse().unwrap(),
                })
                .collect();
            row.push(target(&cell(name)));
            rows.push(row);
        }
    }
    rows
}

/// Fits the task as its reference says it is encoded, and compares.
fn compare(set: &str, task: &str, folder: &str, name: &str, target: impl Fn(&str) -> f64) {
    let reference = json(&format!("data/{set}/reference.json"))["tasks"][task].clone();
    let columns: Vec<String> =
        serde_json::from_value(reference["encoding"]["order_of_columns"].clone()).unwrap();
    let rows = pooled(&format!("{set}{folder}"), &columns, target, name);
    // Rows that are encoded already have no mean to be taken off.
    let numeric = &reference["encoding"]["numeric"];
    let scale = |column: &str, x: f64| match numeric.get(column) {
        Some(by) if folder.is_empty() => {
            (x - by["mean"].as_f64().unwrap()) / by["std_ddof0"].as_f64().unwrap()
        }
        _ => x,
    };
    let x: Vec<f64> = rows
        .iter()
        .flat_map(|row| columns.iter().zip(row).map(|(column, &x)| scale(column, x)))
        .collect();
    let y: Vec<f64> = rows.iter().map(|row| *row.last().unwrap()).collect();
    let family = if reference["kind"] == "poisson" { Family::Poisson } else { Family::Logistic };
    for penalty in ["unpenalised", "l2"] {
        let reference = &reference[penalty];
        if reference.get("coef").is_none() {
            continue;
        }
        let data = Data {
            family,
            x: &x,
            columns: columns.len(),
            intercept: true,
            target: &y,
            offsets: &[],
            weights: &[],
            l2: reference["lambda"].as_f64().unwrap_or(0.0),
        };
        let fit = fit(&data).unwrap();
        let named = |key: &str, intercept: &str| -> Vec<f64> {
            let slopes = columns.iter().map(|column| reference[key][column].as_f64().unwrap());
            slopes.chain([reference[intercept].as_f64().unwrap()]).collect()
        };
        close(set, &fit.coefficients, &named("coef", "intercept"), 1e-9);
        if penalty == "unpenalised" {
            close(set, &fit.std_errors, &named("se", "se_intercept"), 1e-8);
            let sum = |key: &str| reference[key].as_f64().unwrap();
            close(set, &[fit.deviance], &[sum("train_deviance")], 1e-11);
            close(set, &[fit.log_likelihood], &[sum("log_likelihood")], 1e-11);
            let free = y.len() as f64 - data.order() as f64;
            close(set, &[fit.pearson / free], &[sum("pearson_dispersion")], 1e-9);
        }
    }
}

#[test]
fn the_public_data_have_the_fits_of_their_references() {
    let number = |cell: &str| cell.parse().unwrap();
    compare("credit_status", "bad", "/encoded", "y", number);
    compare("doctor_visits_count", "mdvis", "", "mdvis", number);
    let positive = |cell: &str| f64::from(u8::from(cell == "1_yes"));
    compare("hospital_pancreatitis", "pancreatitis_small", "", "outcome", positive);
    compare("hospital_pancreatitis", "pancreatitis", "", "outcome", positive);
}

fn plain<'a>(family: Family, x: &'a [f64], columns: usize, target: &'a [f64]) -> Data<'a> {
    let none: &[f64] = &[];
    Data { family, x, columns, intercept: true, target, offsets: none, weights: none, l2: 0.0 }
}

#[test]
fn rows_that_a_column_separates_have_no_fit() {
    let x: Vec<f64> = (0..40).map(|i| f64::from(i) / 10.0 - 2.0).collect();
    let y: Vec<f64> = x.iter().map(|&x| f64::from(u8::from(x > 0.25))).collect();
    let data = plain(Family::Logistic, &x, 1, &y);
    assert!(matches!(fit(&data), Err(NoFit::Separated { extreme }) if extreme > 30));
    // A penalty gives it an optimum.
    assert_eq!(fit(&Data { l2: 0.01, ..data }).unwrap().extreme, 0);
    // One row on the wrong side does so too.
    let mut almost = y.clone();
    almost[3] = 1.0;
    assert!(!fit(&plain(Family::Logistic, &x, 1, &almost)).unwrap().separated());
    let one_class = vec![1.0; 40];
    assert!(matches!(
        fit(&plain(Family::Logistic, &x, 1, &one_class)),
        Err(NoFit::Separated { .. })
    ));
}

#[test]
fn a_group_without_events_has_no_fit() {
    let group = |i: u32| f64::from(u8::from(i.is_multiple_of(5)));
    let x: Vec<f64> = (0..60).flat_map(|i| [group(i), f64::from(i % 7)]).collect();
    let counts: Vec<f64> = (0..60).map(|i| (1.0 - group(i)) * f64::from(i % 3)).collect();
    let data = plain(Family::Poisson, &x, 2, &counts);
    assert!(matches!(fit(&data), Err(NoFit::Separated { extreme: 12 })), "{:?}", fit(&data));
    let labels: Vec<f64> = counts.iter().map(|y| y.min(1.0)).collect();
    let data = plain(Family::Logistic, &x, 2, &labels);
    assert!(matches!(fit(&data), Err(NoFit::Separated { extreme: 12 })), "{:?}", fit(&data));
}

#[test]
fn columns_that_determine_each_other_are_named_with_the_intercept() {
    // A dummy for each of two groups beside the intercept; a column apart.
    let x: Vec<f64> = (0..30)
        .flat_map(|i| [f64::from(i % 2), f64::from(i % 5), f64::from((i + 1) % 2)])
        .collect();
    let y: Vec<f64> = (0..30).map(|i| f64::from(i * i % 3)).collect();
    let data = plain(Family::Poisson, &x, 3, &y);
    assert_eq!(fit(&data).unwrap_err(), NoFit::Dependent(vec![vec![0, 2, 3]]));
    assert!(fit(&Data { intercept: false, ..data }).is_ok());
    assert!(fit(&Data { l2: 0.1, ..data }).is_ok());
    // Rows that do not count leave a column of zeros.
    let weights: Vec<f64> = (0..30).map(|i| f64::from(i % 2)).collect();
    let data = Data { weights: &weights, ..data };
    assert_eq!(fit(&data).unwrap_err(), NoFit::Dependent(vec![vec![0, 3], vec![2]]));
}

#[test]
fn a_weight_is_so_many_copies() {
    let case = json("oracles/glm.json")["cases"]["poisson, offsets, weights"].clone();
    let mut case = Case::new(&case);
    case.l2 = 0.02;
    let weighted = fit(&case.data()).unwrap();
    let robust = weighted.robust(&case.data(), Robust::Cluster1(&case.clusters));
    let (mut rows, mut kept) = (Vec::new(), Vec::new());
    for (row, &weight) in case.weights.iter().enumerate() {
        rows.extend(std::iter::repeat_n(row, weight as usize));
    }
    kept.extend(rows.iter().flat_map(|&row| &case.x[row * case.columns..][..case.columns]));
    let pick = |of: &[f64]| rows.iter().map(|&row| of[row]).collect::<Vec<_>>();
    let copies = Case {
        x: kept,
        target: pick(&case.target),
        offsets: pick(&case.offsets),
        clusters: rows.iter().map(|&row| case.clusters[row]).collect(),
        weights: Vec::new(),
        ..case
    };
    let fit = fit(&copies.data()).unwrap();
    close("coefficients", &weighted.coefficients, &fit.coefficients, 1e-12);
    close("null", &[weighted.null_deviance], &[fit.null_deviance], 1e-12);
    let expected = fit.robust(&copies.data(), Robust::Cluster1(&copies.clusters));
    close("cluster", &robust, &expected, 1e-11);
}
