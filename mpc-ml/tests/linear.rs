//! Joint linear regression against the references and the same fit in the clear.

// Helpers outside of test functions; a panic is how a test fails.
#![allow(clippy::unwrap_used, clippy::print_stdout)]
use std::fs;
use std::path::Path;

use mpc_core::correlations::Origin;
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::testing::World;
use mpc_core::{Outputs, Recipients};
use mpc_ml::data::STANDARDISED;
use mpc_ml::model::{Facts, OutputKind, Run, ledger};
use mpc_ml::models::linear::{CHECK, Linear, LinearFit, plaintext};
use mpc_ml::{Agreed, Error, LinearPlan, LinearSettings, Model, Plan, Rows};
use serde_json::Value;

struct Study {
    /// All training rows, standardised.
    x: Vec<Vec<f64>>,
    y: Vec<f64>,
    columns: Vec<String>,
    reference: Value,
}

/// Reads a data set and standardises it by its reference's mean and deviation.
fn study(name: &str) -> Study {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data").join(name);
    let text = fs::read(folder.join("reference.json")).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    let reference = all["tasks"].as_object().unwrap().values().next().unwrap().clone();
    let strings = |value: &Value| -> Vec<String> {
        value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    let columns = strings(&reference["encoding"]["order_of_columns"]);
    let target = reference["target"].as_str().unwrap().to_owned();
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for party in 1..=3 {
        let mut reader = csv::Reader::from_path(folder.join(format!("party{party}.csv"))).unwrap();
        let header = reader.headers().unwrap().clone();
        let at = |name: &String| header.iter().position(|column| column == name).unwrap();
        for record in reader.records() {
            let record = record.unwrap();
            let cell = |name: &String| -> f64 { record[at(name)].parse().unwrap() };
            y.push(cell(&target));
            let standardised = columns.iter().map(|column| {
                let numeric = &reference["encoding"]["numeric"][column];
                let of = |key: &str| numeric[key].as_f64().unwrap();
                (cell(column) - of("mean")) / of("std_ddof0")
            });
            x.push(standardised.collect());
        }
    }
    Study { x, y, columns, reference }
}

impl Study {
    /// The rows dealt out to `parties` parties, unevenly.
    fn divided(&self, parties: usize) -> Vec<Rows> {
        let owner = |row: usize| (row + row * row / 3) % parties;
        (0..parties)
            .map(|party| {
                let mine: Vec<_> = (0..self.y.len()).filter(|&row| owner(row) == party).collect();
                let x = mine.iter().flat_map(|&row| self.x[row].clone()).collect();
                let y = mine.iter().map(|&row| self.y[row]).collect();
                Rows::new(x, y, self.columns.len())
            })
            .collect()
    }

    /// A reference fit in the order of the fit: the intercept last.
    fn reference(&self, fit: &str, what: &str) -> Vec<f64> {
        let fit = &self.reference[fit];
        let mut all: Vec<f64> =
            self.columns.iter().map(|column| fit[what][column].as_f64().unwrap()).collect();
        let intercept = if what == "se" { "se_intercept" } else { "intercept" };
        all.push(fit[intercept].as_f64().unwrap());
        all
    }
}

fn settings(condition: f64) -> LinearSettings {
    LinearSettings {
        intercept: true,
        l2: 0.0,
        clip: 8.0,
        condition,
        release_bits: 20,
        inference: true,
    }
}

fn facts(data: &[Rows], square: f64, target: (f64, f64)) -> Facts {
    let rows: Vec<u64> = data.iter().map(|rows| rows.len() as u64).collect();
    let facts = Facts::horizontal(&rows, vec![square; data[0].columns()], Origin::Dealer);
    Facts { target: Some(target), ..facts }
}

/// Fits jointly, checks rounds and bytes against the plan, and gives what every party learned.
fn try_fit(plan: &LinearPlan, data: &[Rows], outputs: Outputs) -> Vec<Result<LinearFit, Error>> {
    let world = World::new(data.len()).with_dealer().outputs(outputs);
    world.run(async |mut session| {
        let me = session.me();
        let mut source = DealerSource::start(&mut session)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        session.meter().enter("fit");
        let data = data[me].clone().into();
        let (source, progress) = (&mut source, &mut |_| {});
        let mut run = Run { session: &mut session, source, progress };
        let fitted = Linear::fit(&plan, &data, &mut run).await?;
        let fit = Linear::release(&plan, fitted, &data, &mut run).await?;
        let phase = run.session.meter().phase("fit");
        let cost = plan.cost(me).under(run.session.against(), me);
        assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
        run.source.finish().await?;
        Ok::<_, Error>(fit.expect("everybody receives the model"))
    })
}

fn fit(plan: &LinearPlan, data: &[Rows]) -> LinearFit {
    let outputs = ledger(&plan.outputs());
    let mut fits: Vec<_> =
        try_fit(plan, data, outputs).into_iter().map(|fit| fit.expect("fits")).collect();
    assert!(fits.windows(2).all(|pair| pair[0] == pair[1]), "all parties learn the same");
    fits.remove(0)
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |a, v| a.max(v.abs()))
}

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
        let fit = self::fit(&ridge, &data);
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

/// Deterministic rows of `columns` standardised columns.
fn synthetic(rows: usize, columns: usize, parties: usize) -> Vec<Rows> {
    let mut state = 1u64;
    let mut next = move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 23) as f64 - 1.0
    };
    (0..parties)
        .map(|party| {
            let count = rows / parties + usize::from(party < rows % parties);
            let x: Vec<f64> = (0..count * columns).map(|_| next()).collect();
            let y = x
                .chunks(columns)
                .map(|x| x.iter().enumerate().map(|(j, x)| (j as f64 - 1.0) * x).sum::<f64>())
                .map(|score| score + next() + 2.0)
                .collect();
            Rows::new(x, y, columns)
        })
        .collect()
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
    assert!(refused(&|s, _| s.condition = 1e8).contains("condition is 100000000"));
    assert!(refused(&|s, _| s.condition = 1e6).contains("condition 1000000"));
    assert!(refused(&|_, f| f.target = Some((1.0, 1.0))).contains("from 1 to 1"));
    assert!(refused(&|_, f| f.target = None).contains("target"));
    assert!(refused(&|_, f| *f = Facts { target, ..rows(&[2, 2]) }).contains("rows are 4"));
    assert!(refused(&|_, f| f.mean_squares[0] = 100.0).contains("mean_squares"));
    assert!(refused(&|s, _| s.l2 = f64::NAN).contains("l2"));
    assert!(refused(&|_, f| *f = Facts { target, ..rows(&[5]) }).contains("two parties"));
    assert!(refused(&|_, f| f.recipients = Recipients::One(0)).contains("recipients"));
    assert!(refused(&|_, f| f.offset = Some((0.0, 1.0))).contains("offsets"));
}
