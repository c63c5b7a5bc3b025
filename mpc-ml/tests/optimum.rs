//! Joint fits to the optimum against the same optimum in the clear.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin, PhasorMethod};
use mpc_core::testing::World;
use mpc_core::{Outputs, Recipients};
use mpc_ml::plaintext::optimum::{self as clear, Optimum};
use mpc_ml::plan::optimum::{Family, GlmSettings, Method, OptimumPlan};
use mpc_ml::solvers::optimum::{self, GlmFit};
use mpc_ml::{Agreed, Error, Rows, plaintext, synthetic};
use serde_json::Value;

fn settings(data: &[Rows], family: Family) -> GlmSettings {
    GlmSettings {
        family,
        rows: data.iter().map(|rows| rows.len() as u64).collect(),
        columns: data[0].columns() as u32,
        intercept: true,
        offset: false,
        l2: 0.0,
        clip: 8.0,
        mean_square: 1.2,
        trace: 1.2 * data[0].columns() as f64,
        condition: 20.0,
        tolerance: 0.01,
        largest_eigenvalue: None,
        inference: true,
        release_fraction: 24,
    }
}

fn plan(settings: &GlmSettings) -> OptimumPlan {
    OptimumPlan::new(settings, Origin::Dealer).expect("the plan fits")
}

/// Fits jointly with a dealer, checks rounds and bytes against the plan.
fn joint(
    plan: &OptimumPlan,
    data: &[Rows],
    offsets: &[Vec<f64>],
) -> Vec<Result<Option<GlmFit>, Error>> {
    joint_from(Origin::Dealer, plan, data, offsets)
}

/// The same with correlations from anywhere.
fn joint_from(
    origin: Origin,
    plan: &OptimumPlan,
    data: &[Rows],
    offsets: &[Vec<f64>],
) -> Vec<Result<Option<GlmFit>, Error>> {
    let outputs = optimum::outputs(plan, Outputs::none(), Recipients::All);
    let mut world = World::new(data.len()).outputs(outputs).deadline(Duration::from_secs(600));
    if origin == Origin::Dealer {
        world = world.with_dealer();
    }
    world.run(async |mut session| {
        let me = session.me();
        let mut source: Box<dyn CorrelationSource> = match origin {
            Origin::Dealer => Box::new(DealerSource::start(&mut session)?),
            Origin::Pairwise => Box::new(PairwiseSource::start(&mut session, Expansion::Fast)?),
        };
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        session.meter().enter("fit");
        let none = Vec::new();
        let offsets = offsets.get(me).unwrap_or(&none);
        let mut passes = 0;
        let fit =
            optimum::run(&plan, &data[me], offsets, &mut *source, &mut session, |p, _| passes = p)
                .await?;
        let phase = session.meter().phase("fit");
        let cost = plan.cost(me);
        assert_eq!(phase.rounds, cost.rounds);
        for peer in 0..data.len() {
            assert_eq!(phase.peers[peer].sent, cost.bytes[peer], "bytes to {peer}");
        }
        assert_eq!(passes, plan.passes() as u64);
        source.finish().await?;
        Ok::<_, Error>(fit)
    })
}

fn fitted(plan: &OptimumPlan, data: &[Rows], offsets: &[Vec<f64>]) -> GlmFit {
    same_for_all(joint(plan, data, offsets))
}

fn same_for_all(fits: Vec<Result<Option<GlmFit>, Error>>) -> GlmFit {
    let fits: Vec<_> = fits.into_iter().map(|fit| fit.unwrap().unwrap()).collect();
    assert!(fits.windows(2).all(|pair| pair[0] == pair[1]), "all parties learn the same model");
    fits[0].clone()
}

/// The largest difference of a coefficient in standard errors.
fn distance(fit: &GlmFit, exact: &Optimum) -> f64 {
    fit.coefficients
        .iter()
        .zip(&exact.coefficients)
        .zip(&exact.std_errors)
        .map(|((a, b), se)| (a - b).abs() / se)
        .fold(0.0, f64::max)
}

fn compare(fit: &GlmFit, exact: &Optimum, in_std_errors: f64) {
    compare_with(fit, exact, in_std_errors, 1e-3 * exact.deviance);
}

fn compare_with(fit: &GlmFit, exact: &Optimum, in_std_errors: f64, deviance: f64) {
    let got = distance(fit, exact);
    assert!(got <= in_std_errors, "{got} standard errors");
    assert!(fit.checks.converged, "{:?}", fit.checks);
    if let Some(std_errors) = &fit.std_errors {
        for (got, exact) in std_errors.iter().zip(&exact.std_errors) {
            assert!((got / exact - 1.0).abs() < 0.01, "{got} instead of {exact}");
        }
        let got = fit.deviance.unwrap();
        assert!((got - exact.deviance).abs() < deviance, "{got} {}", exact.deviance);
    }
}

#[test]
fn a_logistic_fit_is_the_maximum_likelihood_fit() {
    for parties in [2, 3, 5] {
        let data = synthetic::logistic(1500, 6, parties, 1);
        let settings = settings(&data, Family::logistic(0.5));
        let plan = plan(&settings);
        assert_eq!(*plan.method(), Method::Newton);
        let fit = fitted(&plan, &data, &[]);
        compare(&fit, &clear::fit(&settings, &data, &[]).unwrap(), 2e-3);
    }
}

/// Counts whose rate follows the first columns of normal data; offsets where `offset`.
fn counts(rows: usize, parties: usize, offset: bool) -> (Vec<Rows>, Vec<Vec<f64>>) {
    let data = synthetic::logistic(rows, 4, parties, 7);
    let mut state = 1u64;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut offsets = Vec::new();
    let data = data
        .iter()
        .map(|rows| {
            let own: Vec<f64> =
                (0..rows.len()).map(|i| if offset { (i % 5) as f64 * 0.2 } else { 0.0 }).collect();
            let y = (0..rows.len())
                .map(|i| {
                    let row = rows.row(i);
                    let rate = (0.8 + 0.4 * row[0] - 0.2 * row[1] + own[i]).exp();
                    // Arrivals until the time is over.
                    let (mut left, mut count) = (1.0f64, -1.0);
                    while left > (-rate).exp() {
                        left *= uniform();
                        count += 1.0;
                    }
                    count
                })
                .collect();
            offsets.push(own);
            Rows::new(rows.x().to_vec(), y, rows.columns())
        })
        .collect();
    if !offset {
        offsets.clear();
    }
    (data, offsets)
}

#[test]
fn a_poisson_fit_is_the_maximum_likelihood_fit() {
    for (parties, offset) in [(2, false), (3, true)] {
        let (data, offsets) = counts(2000, parties, offset);
        let settings = GlmSettings { offset, ..settings(&data, Family::poisson(3.0, 64.0)) };
        let plan = plan(&settings);
        let fit = fitted(&plan, &data, &offsets);
        compare(&fit, &clear::fit(&settings, &data, &offsets).unwrap(), 1e-2);
    }
}

#[test]
fn a_penalised_fit_is_the_penalised_optimum() {
    let data = synthetic::logistic(600, 6, 3, 2);
    for l2 in [0.01, 0.3] {
        let settings =
            GlmSettings { l2, inference: false, ..settings(&data, Family::logistic(0.4)) };
        let fit = fitted(&plan(&settings), &data, &[]);
        compare(&fit, &clear::fit(&settings, &data, &[]).unwrap(), 2e-3);
    }
}

#[test]
fn wide_data_are_fitted_by_accelerated_gradient_steps() {
    let data = synthetic::logistic(500, 260, 2, 3);
    let settings = GlmSettings {
        l2: 0.05,
        inference: false,
        largest_eigenvalue: Some(4.0),
        ..settings(&data, Family::logistic(0.5))
    };
    let plan = plan(&settings);
    assert!(matches!(plan.method(), Method::Gradient { .. }));
    let fit = fitted(&plan, &data, &[]);
    let exact = clear::fit(&settings, &data, &[]).unwrap();
    let largest = exact.coefficients.iter().fold(0.0f64, |m, w| m.max(w.abs()));
    for (got, exact) in fit.coefficients.iter().zip(&exact.coefficients) {
        assert!((got - exact).abs() < 1e-3 * largest, "{got} instead of {exact}");
    }
    assert!(fit.checks.converged);
}

/// 10,000 x 100: the fixed Hessian, since the products of all entries would be many.
#[test]
fn the_study_of_the_design() {
    let data = synthetic::logistic(10_000, 100, 3, 1);
    let settings = GlmSettings { inference: false, ..settings(&data, Family::logistic(0.5)) };
    let plan = plan(&settings);
    assert!(matches!(plan.method(), Method::FixedHessian { .. }));
    let rounds = plan.cost(0).rounds;
    assert!(rounds <= 290, "{rounds}");
    let fit = fitted(&plan, &data, &[]);
    let exact = clear::fit(&settings, &data, &[]).unwrap();
    compare(&fit, &exact, 0.02);
    let log_loss = |w: &[f64]| -> f64 {
        let rows = data.iter().flat_map(|rows| (0..rows.len()).map(move |i| (rows, i)));
        let loss = |(rows, i): (&Rows, usize)| {
            let z = plaintext::score(w, rows.row(i));
            (1.0 + z.exp()).ln() - rows.y()[i] * z
        };
        rows.map(loss).sum::<f64>() / 10_000.0
    };
    assert!((log_loss(&fit.coefficients) - log_loss(&exact.coefficients)).abs() < 1e-4);
}

/// Targets and columns of a file with a header, by the name of the target.
fn columns(path: &str, target: &str) -> (Vec<String>, Vec<Vec<f64>>, Vec<f64>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data");
    let mut reader = csv::Reader::from_path(folder.join(path)).unwrap();
    let names: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let at = names.iter().position(|name| name == target).unwrap();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for record in reader.records() {
        let mut row: Vec<f64> = record.unwrap().iter().map(|cell| cell.parse().unwrap()).collect();
        y.push(row.remove(at));
        x.push(row);
    }
    (names.into_iter().filter(|name| name != target).collect(), x, y)
}

fn reference(path: &str, task: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data");
    let text = std::fs::read(folder.join(path)).unwrap();
    serde_json::from_slice::<Value>(&text).unwrap()["tasks"][task].clone()
}

/// What a reference fit says, in the order of the columns, the intercept last.
fn published(fit: &Value, names: &[String]) -> Optimum {
    let all = |columns: &str, intercept: &str| -> Vec<f64> {
        let column = |name: &String| fit[columns][name].as_f64().unwrap();
        names.iter().map(column).chain([fit[intercept].as_f64().unwrap()]).collect()
    };
    Optimum {
        coefficients: all("coef", "intercept"),
        std_errors: all("se", "se_intercept"),
        deviance: fit["train_deviance"].as_f64().unwrap(),
    }
}

fn within_the_limits(fit: &GlmFit, exact: &Optimum, in_std_errors: f64) {
    compare(fit, exact, in_std_errors);
    let largest = exact.coefficients.iter().fold(0.0f64, |m, w| m.max(w.abs()));
    for (got, exact) in fit.coefficients.iter().zip(&exact.coefficients) {
        assert!((got - exact).abs() <= 1e-3 * largest, "{got} instead of {exact}");
    }
}

#[test]
fn the_credit_study_is_fitted_as_the_reference_says() {
    let reference = reference("credit_status/reference.json", "bad");
    let mut names = Vec::new();
    let data = ["party1.csv", "party2.csv", "party3.csv"].map(|file| {
        let (columns, x, y) = columns(&format!("credit_status/encoded/{file}"), "y");
        names = columns;
        Rows::new(x.concat(), y, names.len())
    });
    let indicators = names.iter().filter(|name| name.contains('=')).count();
    let settings = GlmSettings {
        clip: 32.0,
        mean_square: 1.001,
        // Four features have indicators, and the rest is scaled.
        trace: 1.001 * (names.len() - indicators + 4) as f64,
        condition: 60.0,
        ..settings(&data, Family::logistic(0.3))
    };
    let fit = fitted(&plan(&settings), &data, &[]);
    let exact = published(&reference["unpenalised"], &names);
    within_the_limits(&fit, &exact, 0.02);
    let (_, test, _) = columns("credit_status/encoded/test.csv", "y");
    for row in test {
        let p = |w: &[f64]| plaintext::sigmoid(plaintext::score(w, &row));
        assert!((p(&fit.coefficients) - p(&exact.coefficients)).abs() < 2e-3);
    }
}

#[test]
fn the_study_of_doctor_visits_is_fitted_as_the_reference_says() {
    let reference = reference("doctor_visits_count/reference.json", "mdvis");
    let numeric = &reference["encoding"]["numeric"];
    let mut names = Vec::new();
    let data = ["party1.csv", "party2.csv", "party3.csv"].map(|file| {
        let (columns, mut x, y) = columns(&format!("doctor_visits_count/{file}"), "mdvis");
        names = columns;
        for row in &mut x {
            for (value, name) in row.iter_mut().zip(&names) {
                let by = |key: &str| numeric[name][key].as_f64().unwrap();
                *value = (*value - by("mean")) / by("std_ddof0");
            }
        }
        Rows::new(x.concat(), y, names.len())
    });
    let settings = GlmSettings {
        clip: 16.0,
        mean_square: 1.001,
        trace: 1.001 * names.len() as f64,
        condition: 10.0,
        ..settings(&data, Family::poisson(3.0, 100.0))
    };
    let fit = fitted(&plan(&settings), &data, &[]);
    within_the_limits(&fit, &published(&reference["unpenalised"], &names), 0.02);
}

/// What ends a fit before its coefficients are revealed, in words for its users: the same at all
/// parties, though much is still on order.
fn refusal(origin: Origin, settings: &GlmSettings, data: &[Rows]) -> String {
    let plan = OptimumPlan::new(settings, origin).expect("the plan fits");
    let texts: Vec<String> = joint_from(origin, &plan, data, &[])
        .into_iter()
        .map(|result| match result {
            Err(Error::NotConverged(why)) => why,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(texts.windows(2).all(|pair| pair[0] == pair[1]));
    texts[0].clone()
}

/// Another row and target for each.
type Change = dyn Fn(&[f64], f64) -> (Vec<f64>, f64);

#[test]
fn fits_without_an_optimum_are_refused() {
    let data = synthetic::logistic(400, 3, 2, 5);
    let changed = |change: &Change| -> Vec<Rows> {
        data.iter()
            .map(|rows| {
                let all: Vec<_> =
                    (0..rows.len()).map(|i| change(rows.row(i), rows.y()[i])).collect();
                let x = all.iter().flat_map(|(x, _)| x.clone()).collect();
                Rows::new(x, all.iter().map(|(_, y)| *y).collect(), rows.columns())
            })
            .collect()
    };
    let base = settings(&data, Family::logistic(0.5));
    // Classes that a line separates.
    let separable = changed(&|x, _| (x.to_vec(), f64::from(u8::from(x[0] > 0.0))));
    let why =
        refusal(Origin::Dealer, &GlmSettings { inference: false, ..base.clone() }, &separable);
    assert!(why.contains("separable"), "{why}");
    // A column that is the sum of the others.
    let collinear = changed(&|x, y| (vec![x[0] / 2.0, x[1] / 2.0, (x[0] + x[1]) / 2.0], y));
    for origin in [Origin::Dealer, Origin::Pairwise] {
        let why = refusal(origin, &base, &collinear);
        assert!(why.contains("collinear") && why.contains("20"), "{why}");
    }
}

#[test]
fn plans_that_cannot_be_are_refused_with_the_numbers() {
    let data = synthetic::logistic(400, 3, 2, 5);
    let base = settings(&data, Family::logistic(0.5));
    let refused = |settings: GlmSettings, origin| -> String {
        OptimumPlan::new(&settings, origin).expect_err("refused").to_string()
    };
    for (settings, word) in [
        (GlmSettings { l2: 0.1, ..base.clone() }, "inference"),
        (GlmSettings { columns: 300, trace: 300.0, rows: vec![500; 2], ..base.clone() }, "256"),
        (GlmSettings { rows: vec![2, 1], ..base.clone() }, "3 rows"),
        (GlmSettings { condition: 1e5, ..base.clone() }, "128 bits"),
        (GlmSettings { tolerance: 1e-5, ..base.clone() }, "tolerance"),
        (GlmSettings { rows: vec![8_000_000; 2], ..base.clone() }, "16000000 rows"),
        (GlmSettings { family: Family::poisson(1e5, 1e6), ..base.clone() }, "rate.mean"),
    ] {
        let text = refused(settings, Origin::Dealer);
        assert!(text.contains(word), "{text} names {word}");
    }
}

/// Rates up to 20 times above and below 3: the noise is in relation to the largest.
fn rates(most: f64) -> Family {
    let (centre, halfwidth) = (3f64.ln(), 3.0);
    Family::Poisson { mean: 3.0, centre, halfwidth, terms: 24, most }
}

/// Phasors that the parties make are as exact as the tolerance asks, by the cheapest way to that.
#[test]
fn pairwise_phasors_are_planned_within_the_ring() {
    let plan = |parties: usize, family: Family, inference: bool| {
        let data = synthetic::logistic(2000, 6, parties, 1);
        let settings = GlmSettings { inference, ..settings(&data, family) };
        OptimumPlan::new(&settings, Origin::Pairwise)
    };
    let bits = Some(PhasorMethod::Bits);
    for (parties, of_counts) in [(2, bits), (3, bits), (5, None)] {
        let logistic = plan(parties, Family::logistic(0.3), false).expect("fits");
        let noise = logistic.precision().phasors;
        assert!(noise > 1e-4 && noise <= 8e-3, "{noise}");
        for inference in [false, true] {
            // The coefficients of an exponential are large, and so is the noise on them.
            match (plan(parties, rates(100.0), inference), of_counts) {
                (Ok(counts), Some(_)) => {
                    assert_eq!(counts.phasor_method(), of_counts);
                    assert!(counts.precision().phasors <= 8e-3, "{:?}", counts.precision());
                }
                (Err(why), None) => assert!(why.to_string().contains("noise"), "{why}"),
                (other, _) => panic!("{parties} {inference}: {:?}", other.map(|p| p.precision())),
            }
        }
        // The noise lifts the weights of the Hessian, five parties' the most.
        let inferred = plan(parties, Family::logistic(0.3), true).expect("fits");
        assert!(inferred.precision().std_errors <= 0.004, "{:?}", inferred.precision());
    }
    // All passes but the last have coarser functions.
    let many = GlmSettings {
        rows: vec![60_000; 3],
        ..settings(&synthetic::logistic(30, 6, 3, 1), Family::logistic(0.3))
    };
    let many = OptimumPlan::new(&many, Origin::Pairwise).expect("fits");
    assert_eq!(many.coarse_passes() + 1, many.passes());
}

/// Fits with correlations that the parties make themselves.
fn without_a_dealer(settings: &GlmSettings, data: &[Rows], offsets: &[Vec<f64>]) {
    let plan = OptimumPlan::new(settings, Origin::Pairwise).expect("the plan fits");
    let fit = same_for_all(joint_from(Origin::Pairwise, &plan, data, offsets));
    let exact = clear::fit(settings, data, offsets).unwrap();
    let deviance = 1e-4 * exact.deviance + 4.0 * plan.precision().deviance;
    compare_with(&fit, &exact, 2.0 * settings.tolerance, deviance);
}

#[test]
fn logistic_fits_without_a_dealer() {
    for parties in [2, 3, 5] {
        let data = synthetic::logistic(700, 4, parties, 1);
        without_a_dealer(&settings(&data, Family::logistic(0.5)), &data, &[]);
    }
}

#[test]
fn a_penalised_fit_without_a_dealer() {
    let data = synthetic::logistic(600, 6, 3, 2);
    let l2 = 0.05;
    let settings = GlmSettings { l2, inference: false, ..settings(&data, Family::logistic(0.4)) };
    without_a_dealer(&settings, &data, &[]);
}

#[test]
fn poisson_fits_without_a_dealer() {
    for (parties, offset) in [(2, false), (3, true)] {
        let (data, offsets) = counts(700, parties, offset);
        let settings = GlmSettings { offset, ..settings(&data, rates(64.0)) };
        without_a_dealer(&settings, &data, &offsets);
    }
}
