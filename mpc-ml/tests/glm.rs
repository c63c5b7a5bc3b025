//! Joint fits to the optimum against the same optimum in the clear.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use crate::joint;

use mpc_core::correlations::Origin;
use mpc_ml::inference::Contrast;
use mpc_ml::model::Output;
use mpc_ml::models::glm::{
    CrossValidation, Family, Finish, GlmPlan, GlmSettings, Iterates, Robust,
};
use mpc_ml::plaintext::glm as clear;
use mpc_ml::{Error, Rows, synthetic};

use joint::{Joint, compare, reference, robust};

#[test]
fn a_logistic_fit_is_the_maximum_likelihood_fit() {
    for parties in [2, 3, 5] {
        let data = synthetic::logistic(1500, 6, parties, 1);
        let joint = Joint::new(GlmSettings::new(Family::Logistic), data);
        let fit = joint.fit(Origin::Dealer).unwrap();
        compare(&fit, &reference(&joint), 1e-3);
    }
}

#[test]
fn a_logistic_fit_without_a_dealer() {
    let data = synthetic::logistic(900, 5, 3, 1);
    let joint = Joint::new(GlmSettings::new(Family::Logistic), data);
    let fit = joint.fit(Origin::Pairwise).unwrap();
    compare(&fit, &reference(&joint), 1e-3);
}

/// Counts whose rate follows normal columns, for the rows of `parties` parties.
fn counts(rows: usize, parties: usize, level: f64) -> Vec<Rows> {
    let mut state = 1u64;
    let mut uniform = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let data = synthetic::logistic(rows, 4, parties, 7);
    let count = |row: &[f64], uniform: &mut dyn FnMut() -> f64| {
        let rate: f64 = level * (0.4 * row[0] - 0.2 * row[1]).exp();
        // Close to Poisson for every rate: the square of a shifted normal, rounded.
        let normal =
            (-2.0 * (1.0 - uniform()).ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos();
        (rate.sqrt() + normal / 2.0).max(0.0).powi(2).round()
    };
    data.iter()
        .map(|rows| {
            let y = (0..rows.len()).map(|i| count(rows.row(i), &mut uniform)).collect();
            Rows::new(rows.x().to_vec(), y, rows.columns())
        })
        .collect()
}

#[test]
fn a_poisson_fit_is_the_maximum_likelihood_fit() {
    for (parties, level, origin) in [
        (2, 3.0, Origin::Dealer),
        (3, 0.4, Origin::Dealer),
        (3, 5.0, Origin::Pairwise),
        (3, 1e6, Origin::Pairwise),
    ] {
        let joint = Joint::new(GlmSettings::new(Family::Poisson), counts(900, parties, level));
        let fit = joint.fit(origin).unwrap();
        compare(&fit, &reference(&joint), 2e-3);
    }
}

#[test]
fn a_penalised_fit_is_the_penalised_optimum() {
    for (l2, origin) in [(0.01, Origin::Dealer), (0.3, Origin::Dealer), (0.01, Origin::Pairwise)] {
        let mut settings = GlmSettings::new(Family::Logistic);
        (settings.l2, settings.inference) = (l2, false);
        let joint = Joint::new(settings, synthetic::logistic(600, 6, 3, 2));
        let fit = joint.fit(origin).unwrap();
        compare(&fit, &reference(&joint), 2e-3);
    }
}

/// Penalties by the loss of rows that were not fitted, beside the same in the clear.
#[test]
fn cross_validation_finds_the_penalty_that_predicts_best() {
    let cross = CrossValidation { l2: vec![0.002, 0.05, 0.8], folds: 3, seed: 1 };
    let mut settings = GlmSettings::new(Family::Logistic);
    settings.inference = false;
    settings.cross_validation = Some(cross.clone());
    let mut joint = Joint::new(settings, synthetic::logistic(240, 5, 3, 4));
    let found = joint.result(Origin::Dealer).unwrap();
    let crossed = found.crossed.unwrap();
    assert_eq!((crossed.folds, crossed.compared.len()), (3, 3));

    let pooled = |fold: u32, held: bool| {
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for (party, rows) in joint.data.iter().enumerate() {
            let (fitted, other) = cross.divide(party, rows.len(), fold);
            for row in if held { other } else { fitted } {
                x.extend_from_slice(rows.row(row));
                y.push(rows.y()[row]);
            }
        }
        (x, y)
    };
    let mut best = (0.0, f64::INFINITY);
    for (l2, told) in crossed.compared {
        let mut deviance = 0.0;
        for fold in 0..3 {
            let (x, y) = pooled(fold, false);
            let data = clear::Data {
                family: Family::Logistic,
                x: &x,
                columns: 5,
                intercept: true,
                target: &y,
                offsets: &[],
                weights: &[],
                l2,
            };
            let fit = clear::fit(&data).unwrap();
            let (x, y) = pooled(fold, true);
            for (row, target) in x.chunks(5).zip(y) {
                let score: f64 = row.iter().zip(&fit.coefficients).map(|(x, w)| x * w).sum();
                deviance += Family::Logistic.deviance(target, score + fit.coefficients[5]);
            }
        }
        let due = deviance / 240.0;
        println!("l2 {l2}: {told} beside {due}");
        assert!((told - due).abs() < 2e-3, "l2 {l2}: {told} instead of {due}");
        if due < best.1 {
            best = (l2, due);
        }
    }
    assert!((crossed.l2 - best.0).abs() < 1e-12, "{} instead of {}", crossed.l2, best.0);
    joint.settings.cross_validation = None;
    joint.settings.l2 = crossed.l2;
    compare(&found.fit, &reference(&joint), 2e-3);
}

#[test]
fn what_cross_validation_cannot_do_is_refused_with_its_rule() {
    let refused = |change: &dyn Fn(&mut GlmSettings), rows: usize| {
        let mut settings = GlmSettings::new(Family::Logistic);
        settings.inference = false;
        let l2 = vec![0.01, 0.1];
        settings.cross_validation = Some(CrossValidation { l2, folds: 5, seed: 0 });
        change(&mut settings);
        let joint = Joint::new(settings, synthetic::logistic(rows, 3, 2, 4));
        let plan = GlmPlan::new(&joint.settings, &joint.facts(Origin::Dealer));
        plan.err().map(|error| error.to_string()).unwrap_or_default()
    };
    let cross = |settings: &mut GlmSettings, l2: &[f64], folds: u32| {
        settings.cross_validation = Some(CrossValidation { l2: l2.to_vec(), folds, seed: 0 });
    };
    assert_eq!(refused(&|_| {}, 200), "");
    for (said, says) in [
        (refused(&|it| it.l2 = 0.1, 200), "leave model.l2 out"),
        (refused(&|it| it.inference = true, 200), "inference"),
        (refused(&|it| it.family = Family::Poisson, 200), "logistic"),
        (refused(&|it| cross(it, &[0.1], 5), 200), "2 to 12"),
        (refused(&|it| cross(it, &[0.1, 0.01], 5), 200), "ascending"),
        (refused(&|it| cross(it, &[0.0, 0.01], 5), 200), "1e-6"),
        (refused(&|it| cross(it, &[0.01, 0.1], 1), 200), "1 folds"),
        (refused(&|_| {}, 80), "at least 50 rows of each party"),
    ] {
        assert!(said.contains("cross_validation") && said.contains(says), "{says}: {said}");
    }
}

/// A hidden finish, models for one party alone, and hundreds of columns: nothing but the model is seen.
#[test]
fn hidden_fits_come_as_near() {
    let mut settings = GlmSettings::new(Family::Logistic);
    (settings.finish, settings.inference) = (Finish::Hidden, false);
    let joint = Joint::new(settings.clone(), synthetic::logistic(900, 5, 3, 1));
    for origin in [Origin::Dealer, Origin::Pairwise] {
        let fit = joint.fit(origin).unwrap();
        compare(&fit, &reference(&joint), 2e-2);
    }
    settings.l2 = 0.05;
    let joint = Joint::new(settings.clone(), synthetic::logistic(900, 5, 3, 1));
    compare(&joint.fit(Origin::Dealer).unwrap(), &reference(&joint), 2e-2);
    settings.finish = Finish::Auto;
    // Where a party has hardly more than twice as many rows as columns, the mean of the inverses is a
    // coarse one, and some twenty passes are needed.
    let joint = Joint::new(settings, synthetic::logistic(1800, 270, 3, 1));
    compare(&joint.fit(Origin::Dealer).unwrap(), &reference(&joint), 2e-2);
}

#[test]
fn revealed_iterates_take_no_passes_on_shares() {
    let mut settings = GlmSettings::new(Family::Logistic);
    settings.iterates = Iterates::Revealed;
    let joint = Joint::new(settings, synthetic::logistic(3000, 6, 3, 1));
    let fit = joint.fit(Origin::Pairwise).unwrap();
    assert_eq!(fit.passes, 0);
    assert!((2..=6).contains(&fit.revealed));
    compare(&fit, &reference(&joint), 2e-3);
}

/// Columns that determine each other are named.
#[test]
fn columns_that_determine_each_other_are_named() {
    let data: Vec<Rows> = synthetic::logistic(600, 4, 2, 5)
        .iter()
        .map(|rows| {
            let x = (0..rows.len()).flat_map(|i| {
                let row = rows.row(i);
                [row[0], row[1], row[0] - row[1], row[2]].map(|x| x / 1.5)
            });
            Rows::new(x.collect(), rows.y().to_vec(), 4)
        })
        .collect();
    let joint = Joint::new(GlmSettings::new(Family::Logistic), data);
    match joint.fit(Origin::Dealer) {
        Err(Error::Determined { columns }) => assert_eq!(columns, [0, 1, 2]),
        other => panic!("{other:?}"),
    }
}

/// Case weights count copies of a row; robust standard errors are those of R's sandwich.
#[test]
fn weights_and_robust_standard_errors() {
    for (family, kind) in [
        (Family::Logistic, Robust::Hc0),
        (Family::Poisson, Robust::Hc1),
        (Family::Logistic, Robust::Cluster),
    ] {
        let mut settings = GlmSettings::new(family);
        settings.robust = kind;
        let data = match family {
            Family::Logistic => synthetic::logistic(900, 4, 3, 9),
            Family::Poisson => counts(900, 3, 2.0),
        };
        let mut joint = Joint::new(settings, data);
        if kind == Robust::Cluster {
            let groups = |rows: &Rows| (0..rows.len()).map(|i| i as u64 / 7).collect();
            joint.groups = joint.data.iter().map(groups).collect();
        } else {
            let weights = |rows: &Rows| (0..rows.len()).map(|i| (1 + i % 3) as f64).collect();
            joint.weights = joint.data.iter().map(weights).collect();
        }
        let exact = reference(&joint);
        let clusters: Vec<usize> = joint
            .groups
            .iter()
            .enumerate()
            .flat_map(|(party, ids)| ids.iter().map(move |&id| party * 1000 + id as usize))
            .collect();
        let expected = match kind {
            Robust::Hc1 => robust(&joint, &exact, clear::Robust::Hc1),
            Robust::Cluster => robust(&joint, &exact, clear::Robust::Cluster1(&clusters)),
            _ => robust(&joint, &exact, clear::Robust::Hc0),
        };
        let fit = joint.fit(Origin::Dealer).unwrap();
        compare(&fit, &exact, 2e-3);
        let got = fit.inference.unwrap().robust.unwrap();
        for (got, expected) in got.iter().zip(&expected) {
            assert!((got / expected - 1.0).abs() < 1e-3, "{got} instead of {expected}");
        }
    }
}

/// Weights of the columns x0, x1, .. and of the intercept, the last one.
fn contrast(at: usize, row: &[f64]) -> Contrast {
    let name = |j: usize| if j + 1 < row.len() { format!("x{j}") } else { "(intercept)".into() };
    let weights = row.iter().enumerate().filter(|(_, weight)| **weight != 0.0);
    let weights = weights.map(|(j, weight)| (name(j), *weight)).collect();
    Contrast { name: format!("contrast {at}"), weights }
}

/// Tests of whole features, from covariances that nobody sees, are those of the pooled rows.
#[test]
fn joint_tests_of_features_are_those_of_the_pooled_rows() {
    for (parties, origin) in [(2, Origin::Dealer), (3, Origin::Pairwise)] {
        // Three numbers, and a word of five levels, some of them rare.
        let levels = [3, 40, 47, 50];
        let data: Vec<Rows> = synthetic::logistic(900, 3, parties, 3)
            .iter()
            .map(|rows| {
                let x = (0..rows.len()).flat_map(|i| {
                    let level = levels.iter().position(|&end| i * 7 % 60 < end);
                    let words = (0..4).map(move |at| f64::from(u8::from(level == Some(at))));
                    rows.row(i).iter().copied().chain(words).collect::<Vec<_>>()
                });
                Rows::new(x.collect(), rows.y().to_vec(), 7)
            })
            .collect();
        let mut settings = GlmSettings::new(Family::Logistic);
        settings.tests = ["ward", "age", "pair"].map(str::to_owned).into();
        // Two rare levels beside each other, a level beside the mean of two, a value of the score.
        let rows: [&[f64]; 3] = [
            &[0.0, 0.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0],
            &[0.0, 0.0, 0.0, 0.0, 1.0, -0.5, -0.5, 0.0],
            &[0.3, -1.7, 55.5, 0.0, 1.0, 0.0, 0.0, 1.0],
        ];
        settings.contrasts = rows.iter().enumerate().map(|(at, row)| contrast(at, row)).collect();
        let mut joint = Joint::new(settings, data);
        joint.features =
            [("pair", 2), ("age", 1), ("ward", 4)].map(|(n, k)| (n.to_owned(), k)).into();
        let exact = reference(&joint);
        let fit = joint.fit(origin).unwrap();
        compare(&fit, &exact, 1e-3);
        let inference = fit.inference.unwrap();
        for (found, row) in inference.contrasts.iter().zip(rows) {
            let at = |i: usize, j: usize| exact.covariance[8 * i + j] * row[i] * row[j];
            let variance: f64 = (0..64).map(|at_ij| at(at_ij / 8, at_ij % 8)).sum();
            let estimate: f64 = row.iter().zip(&exact.coefficients).map(|(a, w)| a * w).sum();
            let (got, error) = (found.std_error.unwrap(), variance.sqrt());
            println!("{}: {} +- {got} for {estimate} +- {error}", found.name, found.estimate);
            assert!((got / error - 1.0).abs() < 1e-4, "{got} for {error}");
            assert!((found.estimate - estimate).abs() < 1e-3 * error);
        }
        let tests = inference.tests;
        let sets: [&[usize]; 3] = [&[3, 4, 5, 6], &[2], &[0, 1]];
        assert_eq!(tests.len(), 3);
        for ((test, set), name) in tests.iter().zip(sets).zip(["ward", "age", "pair"]) {
            let expected = exact.wald(&exact.covariance, set).unwrap();
            let got = test.statistic.unwrap();
            println!("{name}: {got} for {expected}");
            assert_eq!((test.feature.as_str(), test.degrees_of_freedom), (name, set.len() as u64));
            assert!((got - expected).abs() < 1e-3 * expected + 2e-3, "{name}: {got}, {expected}");
        }
        joint.settings.tests = vec!["wards".into()];
        let error = GlmPlan::new(&joint.settings, &joint.facts(origin)).unwrap_err().to_string();
        assert!(error.contains("no feature"), "{error}");
    }
}

/// Columns of the same rows at different parties, `widths[j]` of them party j.
fn on_columns(joint: &Joint, widths: &[u32], holder: usize, origin: Origin) -> clear::Fit {
    let whole = &joint.data[0];
    let fit = joint.fit_on_columns(widths, holder, origin).unwrap();
    let exact = reference(joint);
    let largest = exact.coefficients.iter().fold(0.0f64, |most, w| most.max(w.abs()));
    let off = fit.coefficients.iter().zip(&exact.coefficients);
    let off = off.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    println!("{} rows, off by {:.1e} of the largest", whole.len(), off / largest);
    assert!(off < 1e-3 * largest, "{off} beside {largest}");
    for (got, exact) in fit.std_errors.iter().flatten().zip(&exact.std_errors) {
        println!("standard error {got} for {exact}");
        assert!((got / exact - 1.0).abs() < 0.01, "{got} instead of {exact}");
    }
    assert_eq!(fit.std_errors.is_some(), joint.settings.inference);
    assert_eq!(fit.inference.is_some(), joint.settings.inference);
    if let Some(found) = &fit.inference {
        println!("deviance {} for {}", found.deviance, exact.deviance);
        for (got, exact, off) in [
            (found.deviance, exact.deviance, 1e-4),
            (found.log_likelihood, exact.log_likelihood, 1e-4),
            (found.aic, exact.aic, 1e-4),
            (found.null_deviance, exact.null_deviance, 1e-6),
        ] {
            assert!((got / exact - 1.0).abs() < off, "{got} instead of {exact}");
        }
    }
    exact
}

/// Whoever holds which columns, the fit is that of the whole rows.
#[test]
fn columns_at_different_parties_give_the_fit_of_whole_rows() {
    let mut settings = GlmSettings::new(Family::Logistic);
    settings.inference = false;
    for (widths, holder, origin, l2) in [
        (&[3, 3][..], 0, Origin::Dealer, 0.0),
        (&[2, 0, 4], 1, Origin::Dealer, 0.01),
        (&[2, 1, 3], 2, Origin::Pairwise, 0.0),
        (&[1, 1, 2, 1, 1], 4, Origin::Dealer, 0.0),
    ] {
        (settings.l2, settings.inference) = (l2, l2 == 0.0);
        let joint = Joint::new(settings.clone(), synthetic::logistic(600, 6, 1, 2));
        on_columns(&joint, widths, holder, origin);
    }
}

#[test]
fn counts_by_columns() {
    let mut settings = GlmSettings::new(Family::Poisson);
    settings.inference = false;
    for (widths, origin, l2, level) in [
        (&[2, 2][..], Origin::Dealer, 0.0, 3.0),
        (&[2, 1, 1], Origin::Dealer, 0.05, 0.4),
        (&[1, 3], Origin::Pairwise, 0.0, 2.0),
    ] {
        (settings.l2, settings.inference) = (l2, l2 == 0.0);
        let mut joint = Joint::new(settings.clone(), counts(900, 1, level));
        joint.offsets = vec![(0..900).map(|i| f64::from(i % 7) / 16.0).collect()];
        on_columns(&joint, widths, 1, origin);
    }
}

/// A record whose expected count is far above the mean makes the series wrong there: each party learns the
/// coefficients of its own columns, and nobody those of others.
#[test]
fn counts_beyond_the_window_by_columns_end_before_coefficients_are_told_to_all() {
    let mut joint = Joint::new(GlmSettings::new(Family::Poisson), counts(300, 1, 1.0));
    joint.offsets = vec![(0..300).map(|i| if i == 7 { 6.0 } else { 0.0 }).collect()];
    let may = |output: &Output| output.label != "coefficients";
    let error = joint.fit_on_columns_revealing(&[2, 2], 1, Origin::Dealer, may).unwrap_err();
    assert!(matches!(&error, Error::NotConverged(why) if why.contains("scores may be")), "{error}");
}

/// For figures: MPC_ROWS, MPC_COLUMNS, MPC_FAMILY=poisson.
#[test]
#[ignore = "minutes; for figures"]
fn a_large_fit() {
    let number = |name: &str, or: usize| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(or)
    };
    let (rows, columns) = (number("MPC_ROWS", 50_000), number("MPC_COLUMNS", 34));
    let joint =
        Joint::new(GlmSettings::new(Family::Logistic), synthetic::logistic(rows, columns, 3, 1));
    let began = std::time::Instant::now();
    let fit = joint.fit(Origin::Pairwise).unwrap();
    println!("{rows} x {columns}: {:.1} s", began.elapsed().as_secs_f64());
    compare(&fit, &reference(&joint), 5e-3);
}
