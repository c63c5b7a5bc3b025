//! Joint linear regression against the references and the same fit in the clear.

// Helpers outside of test functions; a panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use crate::columns;
use crate::joint_linear as joint;

use mpc_core::Recipients;
use mpc_core::correlations::Origin;
use mpc_ml::data::STANDARDISED;
use mpc_ml::inference::{Contrast, Robust};
use mpc_ml::model::{Facts, OutputKind, ledger};
use mpc_ml::models::glm::CrossValidation;
use mpc_ml::models::linear::{CHECK, Linear, plaintext};
use mpc_ml::{LinearSettings, Model, Plan, Rows};

use joint::{
    close, combinations, facts, fit, fit_in_groups, fit_of, in_groups, largest, numbers, oracle,
    settings, study, synthetic, try_fit, try_fit_of,
};

/// Compares with the reference: coefficients to `tolerance` of the largest and to 2% of their
/// standard errors, standard errors to 1%.
fn compare(name: &str, target: (f64, f64), condition: f64, tolerance: f64) {
    let study = study(name);
    let coefficients = study.reference("unpenalised", "coef");
    let errors = study.reference("unpenalised", "se");
    for parties in [2, 3, 5] {
        let data = study.divided(parties);
        let facts = facts(&data, STANDARDISED, target);
        let plan = Linear::plan(&settings(condition), &facts).expect("the plan fits");
        let fit = fit(&plan, &data);
        let got = fit.std_errors.expect("asked for");
        let off: Vec<f64> =
            fit.coefficients.iter().zip(&coefficients).map(|(a, b)| a - b).collect();
        let beside = off.iter().zip(&errors).fold(0.0, |a: f64, (o, e)| a.max((o / e).abs()));
        let se = got.iter().zip(&errors).fold(0.0, |a: f64, (g, e)| a.max((g / e - 1.0).abs()));
        let sums = fit.statistics.expect("asked for");
        println!(
            "{name}, {parties} parties: {} rounds, off by {:.1e} of the largest and {beside:.1e} \
             standard errors; standard errors off by {se:.1e}; check {:.1e}",
            plan.cost(0).rounds,
            largest(&off) / largest(&coefficients[..study.columns.len()]),
            fit.check,
        );
        assert!(largest(&off) <= tolerance * largest(&coefficients[..study.columns.len()]));
        assert!(beside <= 0.02 && se <= 0.01);
        let expected = |key: &str| study.reference["unpenalised"][key].as_f64().unwrap();
        assert!((sums.residual_variance / expected("residual_variance") - 1.0).abs() < 1e-3);
        assert!((sums.r2.expect("it varies") - expected("train_r2")).abs() < 1e-4);

        // The penalised fit.
        let l2 = study.reference["l2"]["lambda"].as_f64().unwrap();
        let ridge = LinearSettings { l2, ..settings(condition) };
        let ridge = Linear::plan(&ridge, &facts).expect("the plan fits");
        let fit = fit_in_groups(&ridge, &data, &[]);
        assert!(fit.std_errors.is_none(), "a penalty leaves no standard errors");
        let expected = study.reference("l2", "coef");
        let off: Vec<f64> = fit.coefficients.iter().zip(&expected).map(|(a, b)| a - b).collect();
        println!("    with l2: off by {:.1e}", largest(&off) / largest(&expected[..off.len() - 1]));
        assert!(largest(&off) <= tolerance * largest(&expected[..off.len() - 1]));
    }
}

#[test]
fn diabetes_progression_is_the_reference() {
    compare("diabetes_progression", (0.0, 400.0), 100.0, 1e-4);
}

#[test]
fn concrete_strength_is_the_reference() {
    compare("concrete_strength", (0.0, 100.0), 50.0, 1e-4);
}

#[test]
fn longley_collinear_is_the_reference() {
    compare("longley_collinear", (50_000.0, 80_000.0), 500.0, 1e-4);
}

/// The same tables with their columns at different parties: `widths` of them, the target at `holder`.
fn compare_columns(
    name: &str,
    (target, condition): ((f64, f64), f64),
    (widths, holder): (&[u32], usize),
    origin: Origin,
) {
    let study = study(name);
    let whole = study.divided(1).remove(0);
    let data = columns::at_parties(&whole, widths, holder);
    let squares = vec![STANDARDISED; whole.columns()];
    let facts = Facts::vertical(whole.len() as u64, widths, holder, squares, origin);
    let facts = Facts { target: Some(target), ..facts };
    let off = |got: &[f64], expected: &[f64]| -> Vec<f64> {
        got.iter().zip(expected).map(|(got, expected)| got - expected).collect()
    };
    let plan = Linear::plan(&settings(condition), &facts).expect("the plan fits");
    let fit = fit_of(&plan, &data);
    let (expected, errors) =
        (study.reference("unpenalised", "coef"), study.reference("unpenalised", "se"));
    let off_by = off(&fit.coefficients, &expected);
    let beside = off_by.iter().zip(&errors).fold(0.0, |a: f64, (o, e)| a.max((o / e).abs()));
    let got = fit.std_errors.expect("asked for");
    let se = got.iter().zip(&errors).fold(0.0, |a: f64, (g, e)| a.max((g / e - 1.0).abs()));
    println!(
        "{name}, {widths:?}, {origin:?}: off by {:.1e} of the largest and {beside:.1e} standard errors; \
         standard errors off by {se:.1e}",
        largest(&off_by) / largest(&expected[..study.columns.len()]),
    );
    assert!(largest(&off_by) <= 1e-3 * largest(&expected[..study.columns.len()]));
    assert!(beside <= 0.005 && se <= 0.01);
    let sums = fit.statistics.expect("asked for");
    let known = |key: &str| study.reference["unpenalised"][key].as_f64().unwrap();
    assert!((sums.residual_variance / known("residual_variance") - 1.0).abs() < 1e-3);
    assert!((sums.r2.expect("it varies") - known("train_r2")).abs() < 1e-4);
    assert!(fit.certificate.is_some());

    let l2 = study.reference["l2"]["lambda"].as_f64().unwrap();
    let ridge = LinearSettings { l2, ..settings(condition) };
    let fit = fit_of(&Linear::plan(&ridge, &facts).expect("the plan fits"), &data);
    assert!(fit.std_errors.is_none(), "a penalty leaves no standard errors");
    let expected = study.reference("l2", "coef");
    let off_by = off(&fit.coefficients, &expected);
    assert!(largest(&off_by) <= 1e-3 * largest(&expected[..study.columns.len()]));
}

/// A party may have no columns, also the one that has the target.
#[test]
fn columns_at_different_parties_give_the_reference() {
    let diabetes = ("diabetes_progression", ((0.0, 400.0), 100.0));
    let concrete = ("concrete_strength", ((0.0, 100.0), 50.0));
    let longley = ("longley_collinear", ((50_000.0, 80_000.0), 500.0));
    for origin in [Origin::Dealer, Origin::Pairwise] {
        compare_columns(diabetes.0, diabetes.1, (&[6, 4], 1), origin);
        compare_columns(concrete.0, concrete.1, (&[3, 0, 5], 1), origin);
        compare_columns(longley.0, longley.1, (&[2, 4], 0), origin);
    }
    compare_columns(concrete.0, concrete.1, (&[2, 1, 0, 3, 2], 0), Origin::Dealer);
    compare_columns(diabetes.0, diabetes.1, (&[10, 0], 0), Origin::Dealer);
}

/// With its own coefficients alone, each party has those of the whole model, and nobody the rest.
#[test]
fn each_party_may_receive_the_coefficients_of_its_own_columns() {
    let study = study("concrete_strength");
    let whole = study.divided(1).remove(0);
    let (widths, holder) = ([3, 0, 5], 1);
    let data = columns::at_parties(&whole, &widths, holder);
    let squares = vec![STANDARDISED; whole.columns()];
    for origin in [Origin::Dealer, Origin::Pairwise] {
        let facts = Facts::vertical(whole.len() as u64, &widths, holder, squares.clone(), origin);
        let facts = Facts { target: Some((0.0, 100.0)), own: true, ..facts };
        let own = LinearSettings { inference: false, ..settings(50.0) };
        let plan = Linear::plan(&own, &facts).expect("fits");
        let outputs = ledger(&plan.outputs());
        let fits: Vec<_> =
            try_fit_of(&plan, &data, outputs).into_iter().map(|fit| fit.expect("fits")).collect();
        let expected = study.reference("unpenalised", "coef");
        let places = [vec![0, 1, 2], vec![8], vec![3, 4, 5, 6, 7]];
        for (me, (fit, places)) in fits.iter().zip(places).enumerate() {
            assert_eq!(fit.intercept, me == holder);
            assert_eq!(fit.coefficients.len(), places.len());
            for (got, place) in fit.coefficients.iter().zip(places) {
                let expected = expected[place];
                assert!(
                    (got - expected).abs()
                        < 1e-3 * largest(&study.reference("unpenalised", "coef")[..8])
                );
            }
            assert!(fit.certificate.is_none() && fit.statistics.is_none());
        }
        let error = Linear::plan(&LinearSettings { inference: true, ..own }, &facts);
        let error = error.expect_err("refused").to_string();
        assert!(error.contains("set inference = false"), "{error}");
    }
}

/// Standard errors that trust no variance, joint tests of features and covariances are those of
/// another program on the pooled rows.
#[test]
fn robust_errors_tests_and_covariances_are_those_of_statsmodels() {
    let (study, oracle) = (study("concrete_strength"), oracle());
    for (kind, name, parties) in [
        (Robust::None, "usual", 3),
        (Robust::Hc0, "hc0", 2),
        (Robust::Hc1, "hc1", 5),
        (Robust::Cluster, "cluster", 3),
    ] {
        let (data, groups, mut facts) = in_groups(&study, parties);
        let (usual, expected) = (&oracle["fits"]["usual"], &oracle["fits"][name]);
        let mut settings = LinearSettings { robust: kind, ..settings(20.0) };
        if kind == Robust::None {
            (settings.covariance, settings.tests) = (true, vec!["mixture".into(), "age".into()]);
            settings.contrasts = combinations();
        }
        facts.groups = kind == Robust::Cluster;
        let groups = if facts.groups { groups } else { Vec::new() };
        let plan = Linear::plan(&settings, &facts).expect("fits");
        let fit = fit_in_groups(&plan, &data, &groups);
        let usual_errors = numbers(&usual["std_errors"]);
        for (got, expected) in fit.std_errors.iter().flatten().zip(&usual_errors) {
            close(*got, *expected, 1e-4);
        }
        let summary = Linear::summary(&plan, fit.clone());
        assert_eq!(summary.warnings, Vec::<String>::new());
        let inference = summary.inference.expect("asked for");
        if kind == Robust::None {
            let free = fit.statistics.as_ref().expect("asked for").degrees_of_freedom;
            assert_eq!((fit.robust, free), (None, 815));
            let [mixture, age] = &inference.tests[..] else { panic!("two tests") };
            close(mixture.joint.statistic, usual["first_three"]["F"].as_f64().unwrap(), 1e-4);
            close(mixture.joint.p_value, usual["first_three"]["p"].as_f64().unwrap(), 1e-2);
            let t = fit.coefficients[7] / usual_errors[7];
            close(age.joint.statistic, t * t, 1e-3);
            assert_eq!(inference.contrasts.len(), 3);
            for contrast in &inference.contrasts {
                let expected = &usual["contrasts"][&contrast.name];
                println!("{}: {} for {expected}", contrast.name, contrast.std_error);
                let error = expected["std_error"].as_f64().unwrap();
                close(contrast.std_error, error, 1e-4);
                let off = contrast.estimate - expected["estimate"].as_f64().unwrap();
                assert!(off.abs() < 1e-3 * error, "{off}");
            }
            let covariance = fit.covariance.expect("asked for");
            let deviations = numbers(&oracle["deviations"]);
            let at = |i: usize, j: usize| covariance[9 * i + j] / deviations[i] / deviations[j];
            let error = usual["contrasts"]["cement beside slag"]["std_error"].as_f64().unwrap();
            close(at(0, 0) + at(1, 1) - at(0, 1) - at(1, 0), error * error, 1e-4);
        } else {
            let robust = fit.robust.expect("asked for");
            for (got, expected) in robust.iter().zip(&numbers(&expected["std_errors"])) {
                println!("{name}: {got} for {expected}");
                close(*got, *expected, 1e-4);
            }
            let told = inference.robust.expect("asked for");
            assert_eq!(told.coefficients, robust[..8]);
            assert_eq!(told.intercept, Some(robust[8]));
        }
    }
}

/// Groups that the one column makes up: their residuals sum to nothing, and what rounding leaves of it
/// is no standard error.
#[test]
fn robust_errors_of_nothing_are_not_told() {
    let mut data = synthetic(200, 1, 2);
    let of = |row: usize| (row % 2) as u64;
    for rows in &mut data {
        let x = (0..rows.len()).map(|row| of(row) as f64).collect();
        *rows = Rows::new(x, rows.y().to_vec(), 1);
    }
    let groups: Vec<Vec<u64>> = data.iter().map(|rows| (0..rows.len()).map(of).collect()).collect();
    let own = LinearSettings { robust: Robust::Cluster, ..settings(50.0) };
    let facts = facts(&data, 1.0, (-20.0, 20.0));
    let fitted = |parties: &[Rows], groups: &[Vec<u64>]| {
        let mut facts = Facts { groups: true, ..facts.clone() };
        facts.partition = Facts::horizontal(&[100, 100], vec![1.0], Origin::Dealer).partition;
        let plan = Linear::plan(&own, &facts).expect("fits");
        let fit = fit_in_groups(&plan, parties, groups);
        assert!(fit.std_errors.is_some());
        (fit.robust.clone(), Linear::summary(&plan, fit))
    };
    // The same word at two parties is two groups, whose residuals do not sum to nothing each.
    let (robust, summary) = fitted(&data, &groups);
    assert!(robust.is_some() && summary.warnings.is_empty());
    // Each party's rows fit as well as the other's.
    let alike = [data[0].clone(), data[0].clone()];
    let (robust, summary) = fitted(&alike, &groups);
    assert_eq!(robust, None);
    assert!(summary.warnings[0].contains("robust standard errors are not told"));
    assert!(summary.inference.expect("asked for").robust.is_none());
}

#[test]
fn without_an_intercept_it_is_the_plaintext_twin() {
    for (parties, intercept, l2) in [(2, false, 0.0), (3, false, 0.1), (2, true, 0.0)] {
        let data = synthetic(300, 4, parties);
        let own = LinearSettings { intercept, l2, clip: 0.75, ..settings(10.0) };
        let plan = Linear::plan(&own, &facts(&data, 0.5625, (-3.0, 9.0))).expect("fits");
        let joint = fit(&plan, &data);
        let (clear, diagonal) = plaintext::least_squares(&plan, &data);
        for (a, b) in joint.coefficients.iter().zip(&clear) {
            assert!((a - b).abs() < 1e-4, "{a} against {b}");
        }
        let sums = joint.statistics.expect("asked for");
        assert!(sums.residual_sum_of_squares > 0.0);
        assert!(sums.residual_sum_of_squares < sums.total_sum_of_squares);
        for (got, d) in joint.std_errors.iter().flatten().zip(&diagonal) {
            assert!((got / (d * sums.residual_variance).sqrt() - 1.0).abs() < 1e-3);
        }
    }
}

#[test]
fn the_cost_does_not_depend_on_the_rows() {
    let costs = [100, 100_000].map(|rows| {
        let data = synthetic(rows, 5, 3);
        let own = LinearSettings { inference: false, ..settings(10.0) };
        let plan = Linear::plan(&own, &facts(&data, 1.0, (-20.0, 20.0))).expect("fits");
        // `try_fit` compares the cost with the meter.
        let fit = fit(&plan, &data);
        assert!(fit.statistics.is_none() && fit.std_errors.is_none());
        (0..3).map(|me| plan.cost(me)).collect::<Vec<_>>()
    });
    assert_eq!(costs[0], costs[1]);
}

#[test]
fn collinear_designs_are_refused_and_nothing_is_revealed() {
    for parties in [2, 3] {
        let mut data = synthetic(200, 3, parties);
        for rows in &mut data {
            // The third column is the sum of the others.
            let x = rows.x().chunks(3).flat_map(|x| [x[0], x[1], (x[0] + x[1]) / 2.0]).collect();
            *rows = Rows::new(x, rows.y().to_vec(), 3);
        }
        let facts = facts(&data, 1.0, (-20.0, 20.0));
        let plan = Linear::plan(&settings(100.0), &facts).expect("fits");
        // Nothing but the check may be revealed: an attempt would be another error.
        let checks: Vec<_> =
            plan.outputs().into_iter().filter(|output| output.kind == OutputKind::Check).collect();
        assert!(matches!(checks.as_slice(), [check] if check.label == CHECK));
        let check = ledger(&checks);
        for result in try_fit(&plan, &data, check) {
            let error = result.expect_err("refused").to_string();
            assert!(error.contains("too ill-conditioned for condition 100"), "{error}");
        }
        let own = LinearSettings { l2: 0.01, ..settings(100.0) };
        let ridge = Linear::plan(&own, &facts).expect("fits");
        let (clear, _) = plaintext::least_squares(&ridge, &data);
        for (a, b) in fit(&ridge, &data).coefficients.iter().zip(&clear) {
            assert!((a - b).abs() < 1e-4, "{a} against {b}");
        }
    }
}

/// Penalties by the squared errors of rows that were not fitted, beside the same in the clear.
#[test]
fn cross_validation_finds_the_penalty_that_predicts_best() {
    for (parties, origin) in [(2, Origin::Dealer), (3, Origin::Pairwise)] {
        let data = study("diabetes_progression").divided(parties);
        let facts = Facts { origin, ..facts(&data, STANDARDISED, (0.0, 400.0)) };
        // The first is the best, and a fit with it costs the most.
        let cross = CrossValidation { l2: vec![0.02, 0.3, 2.0], folds: 3, seed: 1 };
        let with = |l2: f64| LinearSettings { l2, inference: false, ..settings(50.0) };
        let asked = LinearSettings { cross_validation: Some(cross.clone()), ..with(0.0) };
        let plan = Linear::plan(&asked, &facts).expect("the plan fits");
        let labels: Vec<String> = plan.outputs().into_iter().map(|it| it.label).collect();
        assert_eq!(labels.iter().filter(|label| label.ends_with(CHECK)).count(), 10);
        assert_eq!(labels.iter().filter(|label| label.contains("coefficients")).count(), 2);
        let fit = fit(&plan, &data);
        let found = fit.crossed.clone().expect("asked for");

        let pooled = |fold: u32, held: bool| -> Vec<Rows> {
            let of = |(party, rows): (usize, &Rows)| {
                let (fitted, other) = cross.divide(party, rows.len(), fold);
                let chosen = if held { other } else { fitted };
                let x = chosen.iter().flat_map(|&row| rows.row(row).to_vec()).collect();
                let y = chosen.iter().map(|&row| rows.y()[row]).collect();
                Rows::new(x, y, rows.columns())
            };
            data.iter().enumerate().map(of).collect()
        };
        let rows: usize = data.iter().map(Rows::len).sum();
        let mut least = (0.0, f64::INFINITY);
        for (l2, told) in &found.compared {
            let plain = Linear::plan(&with(*l2), &facts).expect("fits");
            let mut squares = 0.0;
            for fold in 0..3 {
                let (w, _) = plaintext::least_squares(&plain, &pooled(fold, false));
                for rows in pooled(fold, true) {
                    for (row, y) in rows.y().iter().enumerate() {
                        let pairs = rows.row(row).iter().zip(&w);
                        let score: f64 = pairs.map(|(x, w)| x * w).sum::<f64>() + w[w.len() - 1];
                        squares += (y - score) * (y - score);
                    }
                }
            }
            let due = squares / rows as f64;
            println!("{parties} parties, l2 {l2}: {told} beside {due}");
            assert!((told / due - 1.0).abs() < 1e-4, "l2 {l2}: {told} instead of {due}");
            if due < least.1 {
                least = (*l2, due);
            }
        }
        assert_eq!((found.l2, found.folds), (least.0, 3));
        let (w, _) =
            plaintext::least_squares(&Linear::plan(&with(found.l2), &facts).unwrap(), &data);
        let off: Vec<f64> = fit.coefficients.iter().zip(&w).map(|(a, b)| a - b).collect();
        assert!(
            largest(&off) <= 1e-3 * largest(&w[..10]),
            "{:?} instead of {w:?}",
            fit.coefficients
        );
    }
}

#[test]
fn cross_validation_that_does_not_fit_is_refused() {
    let data = study("diabetes_progression").divided(3);
    let facts = facts(&data, STANDARDISED, (0.0, 400.0));
    let refused = |settings: &LinearSettings, facts: &Facts| {
        Linear::plan(settings, facts).expect_err("refused").to_string()
    };
    let cross = |l2: &[f64]| Some(CrossValidation { l2: l2.to_vec(), folds: 5, seed: 0 });
    let plain = LinearSettings { inference: false, ..settings(50.0) };
    let asked = LinearSettings { cross_validation: cross(&[0.1, 1.0]), ..plain.clone() };
    assert!(
        refused(&LinearSettings { l2: 0.1, ..asked.clone() }, &facts)
            .contains("leave model.l2 out")
    );
    assert!(
        refused(&LinearSettings { inference: true, ..asked.clone() }, &facts).contains("inference")
    );
    let one = LinearSettings { cross_validation: cross(&[0.1]), ..plain };
    assert!(refused(&one, &facts).contains("2 to 12"));
    let few = Facts {
        target: Some((0.0, 400.0)),
        ..Facts::horizontal(&[40, 900], vec![STANDARDISED; 10], Origin::Dealer)
    };
    assert!(refused(&asked, &few).contains("at least 50 rows of each party"));
    let columns = Facts::vertical(400, &[6, 4], 0, vec![STANDARDISED; 10], Origin::Dealer);
    let columns = Facts { target: Some((0.0, 400.0)), ..columns };
    assert!(refused(&asked, &columns).contains("whole rows"));
}

#[test]
fn what_does_not_fit_is_refused_with_the_numbers() {
    let data = synthetic(200, 3, 2);
    let refused = |change: &dyn Fn(&mut LinearSettings, &mut Facts)| {
        let (mut own, mut facts) = (settings(10.0), facts(&data, STANDARDISED, (0.0, 1.0)));
        change(&mut own, &mut facts);
        Linear::plan(&own, &facts).expect_err("refused").to_string()
    };
    let rows = |rows: &[u64]| Facts::horizontal(rows, vec![STANDARDISED; 3], Origin::Dealer);
    let target = Some((0.0, 1.0));
    assert!(refused(&|s, _| s.condition = Some(1e8)).contains("condition is 100000000"));
    assert!(refused(&|s, _| s.condition = Some(1e6)).contains("condition 1000000"));
    assert!(refused(&|_, f| f.target = Some((1.0, 1.0))).contains("from 1 to 1"));
    assert!(refused(&|_, f| f.target = None).contains("target"));
    assert!(refused(&|_, f| *f = Facts { target, ..rows(&[2, 2]) }).contains("rows are 4"));
    assert!(refused(&|_, f| f.mean_squares[0] = 100.0).contains("mean_squares"));
    assert!(refused(&|s, _| s.l2 = f64::NAN).contains("l2"));
    assert!(refused(&|_, f| *f = Facts { target, ..rows(&[5]) }).contains("two parties"));
    assert!(refused(&|_, f| f.recipients = Recipients::One(0)).contains("recipients"));
    assert!(refused(&|_, f| f.offset = Some((0.0, 1.0))).contains("offsets"));
    assert!(refused(&|s, _| s.covariance = true).contains("between two parties"));
    assert!(refused(&|s, _| s.robust = Robust::Cluster).contains("groups"));
    assert!(refused(&|s, _| s.tests = vec!["age".into()]).contains("no feature"));
    let penalised = |s: &mut LinearSettings| (s.robust, s.l2) = (Robust::Hc0, 0.1);
    assert!(refused(&|s, _| penalised(s)).contains("not possible with a penalty"));
    let contrast = |names: [&str; 2]| Contrast {
        name: names.join(" and "),
        weights: names.map(|name| (name.to_owned(), 1.0)).into(),
    };
    let contrasts = |f: &mut Facts| f.names = ["a", "b", "c"].map(str::to_owned).into();
    let four = [["a", "b"], ["a", "c"], ["b", "c"], ["a", "(intercept)"]];
    let few = |s: &mut LinearSettings, f: &mut Facts, count: usize| {
        contrasts(f);
        s.contrasts = four[..count].iter().map(|names| contrast(*names)).collect();
    };
    let error = refused(&|s, f| few(s, f, 4));
    assert!(
        error.contains("contrasts and the variances") && error.contains("at most 3"),
        "{error}"
    );
    let error = refused(&|s, f| {
        few(s, f, 3);
        (s.tests, f.features) = (vec!["a".into()], vec![("a".into(), 3)]);
    });
    assert!(error.contains("at most 3 contrasts and joint tests"), "{error}");
    assert!(
        refused(&|s, _| s.contrasts = vec![contrast(["a", "b"])]).contains("no encoded column")
    );
    let robust = |s: &mut LinearSettings, f: &mut Facts| {
        few(s, f, 1);
        s.robust = Robust::Hc1;
    };
    assert!(refused(&|s, f| robust(s, f)).contains("contrasts rest on the usual covariances"));
    let penalised = |s: &mut LinearSettings, f: &mut Facts| {
        few(s, f, 1);
        (s.inference, s.l2) = (false, 0.1);
    };
    assert!(refused(&|s, f| penalised(s, f)).contains("contrasts is not possible with a penalty"));
    let both = |s: &mut LinearSettings| (s.robust, s.tests) = (Robust::Hc0, vec!["age".into()]);
    assert!(refused(&|s, _| both(s)).contains("usual covariances"));
    // Nobody has whole rows.
    let columns = |f: &mut Facts| *f = f.clone().by_columns(200, &[1, 2], 0);
    let robust = refused(&|s, f| (columns(f), s.robust = Robust::Hc0).0);
    assert!(robust.contains("robust needs the residual of each row"), "{robust}");
    let grouped = refused(&|_, f| (columns(f), f.groups = true).0);
    assert!(grouped.contains("groups are for robust standard errors"), "{grouped}");
    let combined = refused(&|s, f| (few(s, f, 1), columns(f)).1);
    assert!(combined.contains("contrasts need the scales of all columns"), "{combined}");
}
