//! What a fit to the optimum tells its analyst: all that was revealed, by the names of the columns.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

mod support;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use mpc_ml::artifact::{ErrorKind, FitStatistics, Model};
use mpc_ml::data::encode;
use mpc_ml::plaintext::glm::{Data, Family, Robust, fit};
use parties::data_file::{ReadOptions, Source, read};
use parties::name::PartyName;
use parties::node::Event;
use parties::study::Study;
use serde_json::Value;
use support::{Nodes, Running, in_process, party};

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data/hospital_pancreatitis").join(file)
}

/// The trial of docs/study-logistic.md with robust errors and the covariance matrix.
fn trial() -> (String, Nodes) {
    let study = fs::read_to_string(data("small.toml")).unwrap();
    assert!(study.contains("inference = true"));
    let study =
        study.replace("inference = true", "robust = \"hc1\"\ncovariance = true\ninference = true");
    let rows: Vec<String> =
        (1..=3).map(|i| fs::read_to_string(data(&format!("party{i}.csv"))).unwrap()).collect();
    let names = Study::from_bytes(study.as_bytes()).unwrap();
    let names: Vec<&str> = names.parties().iter().map(PartyName::as_str).collect();
    let nodes = Nodes::new(&names, &study, &rows);
    (study, nodes)
}

/// The joint rows on the scale of the fit, with their target.
fn joint_rows(study: &str, model: &Model) -> (Vec<f64>, Vec<f64>) {
    let study = Study::from_bytes(study.as_bytes()).unwrap();
    let options = ReadOptions { with_target: true, ..ReadOptions::default() };
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for i in 1..=3 {
        let file =
            read(&Source::file(&data(&format!("party{i}.csv"))), study.schema(), &options).unwrap();
        let encoded = encode(&file.table, model.standardisation(), 1024.0).unwrap();
        x.extend(encoded.x.iter());
        y.extend(encoded.y);
    }
    (x, y)
}

#[track_caller]
fn close(got: f64, expected: f64, tolerance: f64) {
    assert!((got / expected - 1.0).abs() < tolerance, "{got} instead of {expected}");
}

#[test]
fn everything_that_a_study_asks_for_reaches_its_analyst() {
    let (study, nodes) = trial();
    let check = |json: &[&str]| {
        let name = &nodes.names[0];
        let path = |file: &str| nodes.dir(name).join(file).to_str().unwrap().to_owned();
        let (config, study, rows) = (nodes.config(name), path("study.toml"), path("rows.csv"));
        let common = ["--config", &config, "study", "check", &study, "--data", &rows];
        party(&[json, &common[..]].concat()).stdout
    };
    let told = String::from_utf8(check(&[])).unwrap();
    assert!(told.contains("Up to 40 passes over the rows") && !told.contains(" steps,"), "{told}");
    let told: Value = serde_json::from_slice(&check(&["--json"])).unwrap();
    assert_eq!(told["plan"]["iterations"], 40);
    assert_eq!(told["plan"]["iterations_are_at_most"], true);

    let ended = in_process(&nodes);
    let model = ended[0].0.model.as_ref().unwrap();
    let inference = model.inference().unwrap();
    let (x, y) = joint_rows(&study, model);
    let joint = Data {
        family: Family::Logistic,
        x: &x,
        columns: 9,
        intercept: true,
        target: &y,
        offsets: &[],
        weights: &[],
        l2: 0.0,
    };
    let expected = fit(&joint).unwrap();
    let robust = expected.robust(&joint, Robust::Hc1);
    let FitStatistics::Likelihood(told) = &inference.fit else { panic!("{inference:?}") };
    close(told.log_likelihood.unwrap(), expected.log_likelihood, 1e-6);
    close(told.aic.unwrap(), expected.aic, 1e-6);
    close(told.bic.unwrap(), 10.0 * (y.len() as f64).ln() - 2.0 * expected.log_likelihood, 1e-6);
    assert_eq!(told.certain_rows, Some(0));

    let (kind, _, common) = inference.tested();
    assert_eq!(kind, ErrorKind::Hc1);
    let usual = &inference.standardised_std_errors;
    let of = |errors: &mpc_ml::artifact::StandardErrors| -> Vec<f64> {
        errors.coefficients.values().chain(errors.intercept).collect()
    };
    let covariance = inference.standardised_covariance.as_ref().unwrap();
    for (j, (robust_error, error)) in of(common).into_iter().zip(of(usual)).enumerate() {
        close(robust_error, robust[j * 11].sqrt(), 1e-4);
        close(error, expected.std_errors[j], 1e-4);
        for k in 0..10 {
            let off = (covariance.values[j][k] - expected.covariance[j * 10 + k]).abs();
            assert!(off < 1e-3 * error * expected.std_errors[k], "{j}, {k}: {off}");
        }
    }
    // With covariances the intercept of the files has a standard error.
    assert!(inference.std_errors.intercept.is_some());

    for (finished, heard) in &ended {
        assert_eq!(finished.model.as_ref(), Some(model));
        let steps: Vec<(u64, u64)> = heard
            .iter()
            .filter_map(|event| match event {
                Event::Step { done, total, .. } => Some((*done, *total)),
                _ => None,
            })
            .collect();
        // The models in the clear go on where the passes ended, each one step.
        assert!(steps.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1), "{steps:?}");
        assert!(steps.last().is_some_and(|(done, total)| done == total && *done < 40), "{steps:?}");
        assert!(steps.iter().all(|(done, total)| done <= total), "{steps:?}");
        let ends = heard.iter().rposition(|event| matches!(event, Event::Step { .. })).unwrap();
        let fitted = |event: &&Event| matches!(event, Event::Fitted);
        assert_eq!(heard.iter().filter(fitted).count(), 1);
        assert!(heard.iter().position(|event| fitted(&event)).unwrap() > ends);

        // Passes that were made, and not as many as may be.
        let passes = steps.iter().filter(|(_, total)| *total == 40).count() as u64;
        let told = finished.receipt.iterations.unwrap();
        assert!(told == passes && passes > 0 && passes < 40, "{told} {steps:?}");
        assert_eq!(model.training().iterations, passes);
        let report = finished.report();
        assert_eq!(report.json["std_errors"], "hc1");
        let words = format!("482 rows of 3 parties, {passes} pass");
        for word in [&words, "robust: from squared residuals (HC1)", "Log-likelihood -17", "AIC "] {
            assert!(report.text.contains(word), "{word}: {}", report.text);
        }
        let table = report.text.split("Model:").next().unwrap();
        assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    }
}

/// Numbers between 0 and 1, the same in each run.
fn draws() -> impl FnMut() -> f64 {
    let mut state = 1_u64;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / 16_777_216.0
    }
}

/// Rows count as often as the study's column says, and errors are those of the wards' sums.
#[test]
fn case_weights_and_groups_are_read_from_their_columns() {
    let study = "version = 1\ntitle = \"Falls by ward\"\n\
        parties = [\"north\", \"south\", \"west\"]\npartition = \"horizontal\"\n\
        [model]\nkind = \"poisson\"\ntarget = { column = \"falls\", range = [0, 50] }\n\
        weights = { column = \"copies\", range = [0, 4] }\ngroups = \"ward\"\n\
        intercept = true\nl2 = 0.0\n\
        [[features]]\nname = \"dose\"\ntype = \"numeric\"\nmissing = \"refuse\"\n\
        indicator = false\nscale = \"none\"\nrange = [-2, 2]\n\
        [training]\nsolver = \"optimum\"\n[security]\ncorrelations = \"pairwise\"\n\
        [output]\nmodel = \"all\"\nrelease_bits = 24\ninference = true\nrobust = \"cluster\"\n";
    let mut draw = draws();
    let (mut x, mut y, mut weights, mut clusters) = (vec![], vec![], vec![], vec![]);
    let mut files = Vec::new();
    for party in 0..3 {
        let mut text = "ward,dose,copies,falls\n".to_owned();
        for row in 0..90 {
            let ward = row * 7 % 11;
            let (dose, weight) = (2.0 * draw() - 1.0, [0.5, 1.0, 2.0, 4.0][row % 4]);
            let falls = (draw() * 3.0 * (0.5 * dose).exp() + (ward % 3) as f64 * draw()).floor();
            // The same word at two parties is two wards.
            let _ = writeln!(text, "ward {ward},{dose},{weight},{falls}");
            x.push(dose);
            y.push(falls);
            weights.push(weight);
            clusters.push(100 * party + ward);
        }
        files.push(text);
    }
    let nodes = Nodes::new(&["north", "south", "west"], study, &files);
    let ended = in_process(&nodes);
    let joint = Data {
        family: Family::Poisson,
        x: &x,
        columns: 1,
        intercept: true,
        target: &y,
        offsets: &[],
        weights: &weights,
        l2: 0.0,
    };
    let expected = fit(&joint).unwrap();
    let robust = expected.robust(&joint, Robust::Cluster1(&clusters));
    let unweighted = fit(&Data { weights: &[], ..joint }).unwrap();
    let model = ended[2].0.model.as_ref().unwrap();
    let inference = model.inference().unwrap();
    let dose = model.original().coefficients.value("dose").unwrap();
    let error = expected.std_errors[0];
    assert!((dose - expected.coefficients[0]).abs() < 0.005 * error, "{dose}");
    assert!((dose - unweighted.coefficients[0]).abs() > 0.1 * error, "{dose}");
    close(inference.std_errors.coefficients.value("dose").unwrap(), error, 1e-4);
    let (kind, errors, _) = inference.tested();
    assert_eq!(kind, ErrorKind::Cluster);
    close(errors.coefficients.value("dose").unwrap(), robust[0].sqrt(), 1e-3);
    close(errors.intercept.unwrap(), robust[3].sqrt(), 1e-3);
    let text = ended[0].0.report().text;
    assert!(text.contains("robust: from residuals summed over groups of rows"), "{text}");
    let json: Value = serde_json::from_str(&model.to_json().unwrap()).unwrap();
    assert_eq!(json["weights"]["column"], "copies");
    assert_eq!(json["groups"], "ward");

    // New rows have neither a weight nor a ward.
    let file = nodes.dir("north").join("new.csv");
    fs::write(&file, "dose\n0\n").unwrap();
    let out = nodes.dir("north").join("predicted.csv");
    let path = nodes.results("north").join("model.json");
    let paths = [&path, &file, &out].map(|path| path.to_str().unwrap().to_owned());
    party(&["predict", "--model", &paths[0], "--data", &paths[1], "--out", &paths[2]]);
    let told = fs::read_to_string(&out).unwrap();
    let told: f64 = told.lines().nth(1).unwrap().split(',').nth(1).unwrap().parse().unwrap();
    close(told, model.original().intercept.exp(), 1e-6);

    // A weight above what all agreed on stops its owner before anything is sent.
    let line = files[0].lines().nth(1).unwrap();
    fs::write(nodes.dir("north").join("rows.csv"), files[0].replace(line, "ward 0,0,5,1")).unwrap();
    let refused = nodes.start("north").end();
    refused.expect(3, &["line 2", "copies", "outside the study's range, 0 to 4"]);
}

/// Hazards that are constant within intervals, of times that each node expands by itself: those of a Poisson fit that
/// statsmodels made of the expanded rows of all (`scripts/oracles/survival.py`).
#[test]
fn hazard_ratios_of_all_parties_are_those_of_the_expanded_rows() {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/oracles/survival.json");
    let oracle: Value = serde_json::from_slice(&fs::read(oracle).unwrap()).unwrap();
    let (rows, due) = (&oracle["made up"]["rows"], &oracle["hazards"]);
    assert_eq!(due["cuts"].to_string(), "[120,300,500]");
    let study = "version = 1\ntitle = \"Hazard of failure by arm\"\n\
        parties = [\"north\", \"south\", \"west\"]\n\
        features = [{ name = \"arm\", levels = [\"a\", \"b\", \"c\"] }]\n\
        [model]\nkind = \"poisson\"\nsurvival = { time = \"days\", longest = 1000, event = \"status\", \
        happened = \"1\", other = \"0\", cuts = [120, 300, 500] }\n\
        [security]\ncorrelations = \"pairwise\"\n[output]\ninference = true\nrelease_bits = 30\n";
    let mut files = vec!["arm,days,status\n".to_owned(); 3];
    for (at, row) in rows.as_array().unwrap().iter().enumerate() {
        let cells = [0, 1, 2].map(|cell| row[cell].as_str().unwrap());
        files[at % 3] += &(cells.join(",") + "\n");
    }
    let nodes = Nodes::new(&["north", "south", "west"], study, &files);
    for (finished, _) in in_process(&nodes) {
        let model = finished.model.as_ref().unwrap();
        assert_eq!(Some(model.training().rows_used), due["rows"].as_u64());
        let errors = &model.inference().unwrap().std_errors.coefficients;
        let columns =
            ["arm=b", "arm=c", "interval=120 to 300", "interval=300 to 500", "interval=500 on"];
        for (at, column) in columns.into_iter().enumerate() {
            let got = model.original().coefficients.value(column).unwrap();
            let (expected, error) =
                (due["coefficients"][at].as_f64().unwrap(), due["errors"][at].as_f64().unwrap());
            assert!((got - expected).abs() < 2e-3 * error, "{column}: {got}, expected {expected}");
            close(errors.value(column).unwrap(), error, 1e-4);
        }
    }
}

/// One study file finds the penalty and the model; no fit of a fold leaves its nodes.
#[test]
fn a_study_finds_its_penalty_by_cross_validation() {
    let study = "version = 1\ntitle = \"Relapse by dose\"\nparties = [\"north\", \"south\", \"west\"]\n\
        features = [{ name = \"dose\", range = [-1, 1] }, { name = \"noise\", range = [-1, 1] }]\n\
        [model]\nkind = \"logistic\"\n\
        target = { column = \"relapse\", positive = \"yes\", negative = \"no\" }\n\
        [training]\ncross_validation = { l2 = [0.01, 2.0], folds = 2 }\n\
        [security]\ncorrelations = \"pairwise\"\n[output]\nrelease_bits = 24\n";
    let mut draw = draws();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let files: Vec<String> = (0..3)
        .map(|_| {
            let mut text = "dose,noise,relapse\n".to_owned();
            for _ in 0..60 {
                let (dose, noise) = (2.0 * draw() - 1.0, 2.0 * draw() - 1.0);
                let relapse = draw() < 1.0 / (1.0 + (-3.0 * dose).exp());
                let _ = writeln!(text, "{dose},{noise},{}", if relapse { "yes" } else { "no" });
                x.extend([dose, noise]);
                y.push(f64::from(u8::from(relapse)));
            }
            text
        })
        .collect();
    let nodes = Nodes::new(&["north", "south", "west"], study, &files);
    let ended = in_process(&nodes);
    let (model, told) = (ended[0].0.model.clone().unwrap(), ended[1].0.report().text);
    drop(ended);
    // So strong an effect is hidden by a penalty of 2.
    assert!((model.l2() - 0.01).abs() < 1e-12, "{}", model.l2());
    let check =
        model.training().checks.iter().find(|check| check.what.contains("held-out")).unwrap();
    assert!(check.value < check.bound && check.what.contains("with l2 2"), "{check:?}");
    assert!(told.contains("chosen was l2 0.01"), "{told}");

    // It is the fit of all rows with this penalty, on the common scale of the study.
    let scale = |at: usize| {
        let of = &model.standardisation()[at];
        (of.mean, of.std)
    };
    let (dose, noise) = (scale(0), scale(1));
    let scaled = |(at, value): (usize, &f64)| {
        let (mean, std) = if at % 2 == 0 { dose } else { noise };
        (value - mean) / std
    };
    let x: Vec<f64> = x.iter().enumerate().map(scaled).collect();
    let joint = Data {
        family: Family::Logistic,
        x: &x,
        columns: 2,
        intercept: true,
        target: &y,
        offsets: &[],
        weights: &[],
        l2: 0.01,
    };
    let expected = fit(&joint).unwrap();
    for (at, got) in model.standardised().coefficients.values().enumerate() {
        let off = (got - expected.coefficients[at]) / expected.std_errors[at];
        assert!(off.abs() < 5e-3, "{at}: {got} is off by {off} standard errors");
    }

    // What was revealed of the fits of folds are figures, and no coefficients.
    let (figures, results) = nodes.revealed("north");
    let folds: Vec<&String> = figures.iter().filter(|label| label.starts_with("fold ")).collect();
    assert!(folds.iter().any(|label| *label == "fold 2, l2 2: totals"), "{figures:?}");
    assert!(folds.iter().all(|label| !label.contains("coefficients") && !label.contains("model")));
    assert!(figures.iter().any(|label| label == "held-out losses"));
    assert!(results.iter().all(|label| !label.starts_with("fold ")), "{results:?}");
}

/// Between two parties, a column that follows from another one: both operators read their names.
#[test]
fn columns_that_determine_each_other_are_named_to_the_operators() {
    let feature = |name: &str| {
        format!(
            "[[features]]\nname = \"{name}\"\ntype = \"numeric\"\nmissing = \"refuse\"\n\
             indicator = false\nscale = \"joint\"\nrange = [-1000, 1000]\n"
        )
    };
    let features: String = ["Amount", "Age", "Price"].map(feature).concat();
    let study = format!(
        "version = 1\ntitle = \"Price and amount\"\nparties = [\"shop-a\", \"shop-b\"]\n\
         partition = \"horizontal\"\n[model]\nkind = \"logistic\"\n\
         target = {{ column = \"bought\", positive = \"yes\", negative = \"no\" }}\n\
         intercept = true\nl2 = 0.0\n{features}[training]\nsolver = \"optimum\"\n\
         [security]\ncorrelations = \"pairwise\"\n[output]\nmodel = \"all\"\n\
         release_bits = 20\ninference = true\n"
    );
    let mut draw = draws();
    let mut rows = |rows: usize| {
        let mut text = "Amount,Age,Price,bought\n".to_owned();
        for _ in 0..rows {
            let (amount, age, luck) = (draw() * 100.0, draw() * 60.0, draw());
            let bought = if amount / 100.0 + luck > 1.0 { "yes" } else { "no" };
            // The price is the amount in another currency.
            let _ = writeln!(text, "{amount:.4},{age:.2},{:.4},{bought}", 3.0 * amount + 7.0);
        }
        text
    };
    let rows = [rows(150), rows(120)];
    let nodes = Nodes::new(&["shop-a", "shop-b"], &study, &rows);
    let running: Vec<Running> = nodes.parties().iter().map(|name| nodes.start(name)).collect();
    for ended in running.into_iter().map(Running::end) {
        ended.expect(4, &["configuration", "`Amount` and `Price` nearly determine each other"]);
        let all = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!all.contains("Age") && !all.contains("counted from 0"), "{all}");
        assert!(!nodes.results(&ended.name).join("model.json").exists());
    }
}
