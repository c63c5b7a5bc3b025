//! Linear fits in one process, and what they are compared with.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mpc_core::Outputs;
use mpc_core::correlations::Origin;
use mpc_core::testing::{self, World};
use mpc_ml::data::{Dataset, STANDARDISED};
use mpc_ml::inference::Contrast;
use mpc_ml::model::{Facts, Run, ledger};
use mpc_ml::models::linear::{Linear, LinearFit};
use mpc_ml::{Agreed, Error, LinearPlan, LinearSettings, Model, Plan, Rows};
use serde_json::Value;

pub struct Study {
    /// All training rows, standardised.
    pub x: Vec<Vec<f64>>,
    pub y: Vec<f64>,
    pub columns: Vec<String>,
    pub reference: Value,
}

/// Reads a data set and standardises it by its reference's mean and deviation.
pub fn study(name: &str) -> Study {
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
    pub fn divided(&self, parties: usize) -> Vec<Rows> {
        self.divided_by(parties, |row| (row + row * row / 3) % parties)
    }

    pub fn divided_by(&self, parties: usize, owner: impl Fn(usize) -> usize) -> Vec<Rows> {
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
    pub fn reference(&self, fit: &str, what: &str) -> Vec<f64> {
        let fit = &self.reference[fit];
        let mut all: Vec<f64> =
            self.columns.iter().map(|column| fit[what][column].as_f64().unwrap()).collect();
        let intercept = if what == "se" { "se_intercept" } else { "intercept" };
        all.push(fit[intercept].as_f64().unwrap());
        all
    }
}

pub fn settings(condition: f64) -> LinearSettings {
    LinearSettings {
        intercept: true,
        l2: 0.0,
        clip: 8.0,
        condition: Some(condition),
        release_bits: 20,
        inference: true,
        ..LinearSettings::default()
    }
}

pub fn facts(data: &[Rows], square: f64, target: (f64, f64)) -> Facts {
    let rows: Vec<u64> = data.iter().map(|rows| rows.len() as u64).collect();
    let facts = Facts::horizontal(&rows, vec![square; data[0].columns()], Origin::Dealer);
    Facts { target: Some(target), ..facts }
}

/// Fits jointly, checks rounds and bytes against the plan, and gives what every party learned.
pub fn try_fit(
    plan: &LinearPlan,
    data: &[Rows],
    outputs: Outputs,
) -> Vec<Result<LinearFit, Error>> {
    try_fit_in_groups(plan, data, &[], outputs)
}

/// The same where each party's rows belong to groups, if any are given.
pub fn try_fit_in_groups(
    plan: &LinearPlan,
    data: &[Rows],
    groups: &[Vec<u64>],
    outputs: Outputs,
) -> Vec<Result<LinearFit, Error>> {
    let of = |(me, rows): (usize, &Rows)| {
        let mut data = Dataset::from(rows.clone());
        if let Some(groups) = groups.get(me) {
            data = data.with_ids(groups.as_slice().into()).unwrap();
        }
        if !plan.settings().contrasts.is_empty() {
            data = data.with_scales(&scales()).unwrap();
        }
        data
    };
    try_fit_of(plan, &data.iter().enumerate().map(of).collect::<Vec<_>>(), outputs)
}

/// The same of what each party has, with correlations from where the plan says.
pub fn try_fit_of(
    plan: &LinearPlan,
    data: &[Dataset],
    outputs: Outputs,
) -> Vec<Result<LinearFit, Error>> {
    let origin = plan.facts().origin;
    let world = World::new(data.len()).origin(origin).outputs(outputs);
    world.run(async |mut session| {
        let me = session.me();
        let data = data[me].clone();
        let mut source = testing::source(&mut session, origin)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        session.meter().enter("fit");
        let progress = &mut |_| {};
        let mut run = Run { session: &mut session, source: &mut *source, progress };
        let fitted = Linear::fit(&plan, &data, &mut run).await?;
        let fit = Linear::release(&plan, fitted, &data, &mut run).await?;
        let phase = run.session.meter().phase("fit");
        let cost = plan.cost(me).under(run.session.against(), me);
        assert_eq!(phase.rounds, cost.rounds);
        // Of what goes to one party alone the others are sent no nonce.
        let spared = if plan.facts().own { cost.sent() - phase.sent() } else { 0 };
        assert_eq!(phase.sent() + spared, cost.sent());
        assert!(spared < 1 << 10);
        run.source.finish().await?;
        Ok::<_, Error>(fit.expect("everybody receives the model"))
    })
}

pub fn fit(plan: &LinearPlan, data: &[Rows]) -> LinearFit {
    fit_in_groups(plan, data, &[])
}

pub fn fit_in_groups(plan: &LinearPlan, data: &[Rows], groups: &[Vec<u64>]) -> LinearFit {
    let outputs = ledger(&plan.outputs());
    let fits = try_fit_in_groups(plan, data, groups, outputs);
    let mut fits: Vec<_> = fits.into_iter().map(|fit| fit.expect("fits")).collect();
    assert!(fits.windows(2).all(|pair| pair[0] == pair[1]), "all parties learn the same");
    fits.remove(0)
}

/// What all parties learn of a table whose columns they hold.
pub fn fit_of(plan: &LinearPlan, data: &[Dataset]) -> LinearFit {
    let fits = try_fit_of(plan, data, ledger(&plan.outputs()));
    let mut fits: Vec<_> = fits.into_iter().map(|fit| fit.expect("fits")).collect();
    assert!(fits.windows(2).all(|pair| pair[0] == pair[1]), "all parties learn the same");
    fits.remove(0)
}

pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |a, v| a.max(v.abs()))
}

/// What statsmodels makes of the pooled rows (scripts/oracles).
pub fn oracle() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/oracles/linear.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// What the columns of the oracle were scaled by.
fn scales() -> Vec<(f64, f64)> {
    let oracle = oracle();
    let deviations = numbers(&oracle["deviations"]);
    numbers(&oracle["means"]).into_iter().zip(deviations).collect()
}

/// The combinations of the oracle.
pub fn combinations() -> Vec<Contrast> {
    let oracle = oracle();
    let all = oracle["combinations"].as_object().unwrap().iter();
    let weights = |of: &Value| -> BTreeMap<String, f64> {
        let all = of.as_object().unwrap().iter();
        all.map(|(name, weight)| (name.clone(), weight.as_f64().unwrap())).collect()
    };
    all.map(|(name, of)| Contrast { name: name.clone(), weights: weights(of) }).collect()
}

pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[track_caller]
pub fn close(got: f64, expected: f64, tolerance: f64) {
    assert!((got / expected - 1.0).abs() < tolerance, "{got} instead of {expected}");
}

/// Rows of which seven in a row are a group, which belongs to one party.
pub fn in_groups(study: &Study, parties: usize) -> (Vec<Rows>, Vec<Vec<u64>>, Facts) {
    let owner = |row: usize| row / 7 % parties;
    let data = study.divided_by(parties, owner);
    let groups = |party| {
        let mine = (0..study.y.len()).filter(move |&row| owner(row) == party);
        mine.map(|row| row as u64 / 7).collect()
    };
    let mut facts = facts(&data, STANDARDISED, (0.0, 100.0));
    facts.names.clone_from(&study.columns);
    facts.features = [("mixture", 3), ("rest", 4), ("age", 1)].map(|(n, k)| (n.into(), k)).into();
    (data, (0..parties).map(groups).collect(), facts)
}

/// Deterministic rows of `columns` standardised columns.
pub fn synthetic(rows: usize, columns: usize, parties: usize) -> Vec<Rows> {
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
