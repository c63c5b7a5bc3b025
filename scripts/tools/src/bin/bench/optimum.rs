//! Logistic fits to the optimum of very many rows, which each node draws in memory: from key
//! agreement to the model.

use std::path::Path;

use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::{Session, SessionOptions};
use mpc_ml::data::{Dataset, STANDARDISED};
use mpc_ml::model::{Facts, Run, ledger};
use mpc_ml::models::glm::{Family, Glm, GlmPlan, GlmSettings, Iterates};
use mpc_ml::{Agreed, Model, Plan, Rows};
use mpc_net::Transport;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::mesh::{self, Nodes, meet};
use crate::shapes::Part;
use crate::usage::{Since, Used, forget_memory, memory_mb};

/// A fit to measure.
#[derive(Clone, Copy)]
pub struct Shape {
    name: &'static str,
    rows: usize,
    columns: usize,
    iterates: Iterates,
    /// Seconds, and MB sent by a party, that it may take at most.
    aim: Option<(f64, f64)>,
}

const PARTIES: usize = 3;

const MANY: Shape = Shape {
    name: "optimum, many columns",
    rows: 1_000_000,
    columns: 100,
    iterates: Iterates::Hidden,
    aim: Some((240.0, 4000.0)),
};

const TALL: Shape = Shape {
    name: "optimum, revealed iterates",
    rows: 10_000_000,
    columns: 20,
    iterates: Iterates::Revealed,
    aim: Some((60.0, 150.0)),
};

const SMOKE: Shape = Shape { name: "smoke, optimum", rows: 3_000, columns: 5, aim: None, ..MANY };

/// The fits of these parts, or that of a smoke run.
pub fn of(smoke: bool, parts: &[Part]) -> Vec<Shape> {
    if smoke {
        return vec![SMOKE];
    }
    if parts.contains(&Part::Optimum) { vec![MANY, TALL] } else { Vec::new() }
}

/// The fit of this name.
pub fn find(name: &str) -> Outcome<Shape> {
    let shape = [MANY, TALL, SMOKE].into_iter().find(|shape| shape.name == name);
    shape.ok_or_else(|| format!("there is no fit called {name}").into())
}

/// What a node has to tell.
#[derive(Serialize, Deserialize)]
struct Report {
    used: Used,
    memory_mb: Option<f64>,
    /// The largest distance of a coefficient from the law of the data, in standard errors.
    distance: f64,
}

impl Shape {
    fn mesh(&self) -> Nodes {
        Nodes { role: ["--optimum", self.name], parties: PARTIES, dealer: false, line: None }
    }

    fn rows_of(&self, party: usize) -> usize {
        self.rows / PARTIES + usize::from(party < self.rows % PARTIES)
    }

    fn plan(&self) -> Outcome<GlmPlan> {
        let rows: Vec<u64> = (0..PARTIES).map(|party| self.rows_of(party) as u64).collect();
        let facts = Facts::horizontal(&rows, vec![STANDARDISED; self.columns], Origin::Pairwise);
        let iterates = self.iterates;
        let settings = GlmSettings { iterates, ..GlmSettings::new(Family::Logistic) };
        Ok(GlmPlan::new(&settings, &facts)?)
    }

    /// The law of the data: scores with a deviation of about 1, the intercept last.
    fn coefficients(&self) -> Vec<f64> {
        let scale = 1.6 / (self.columns as f64).sqrt();
        let slopes = (0..self.columns).map(|j| ((j % 7) as f64 - 3.0) / 3.0 * scale);
        slopes.chain([-0.5]).collect()
    }

    /// A party's rows: uniform entries of variance 1, less what keeps their mean squares below the
    /// bound that the plan rests on.
    fn own(&self, party: usize) -> Rows {
        let mut state = 1 + party as u64;
        let mut uniform = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        };
        let (law, rows) = (self.coefficients(), self.rows_of(party));
        let half = 3.0f64.sqrt() * 0.98;
        let (mut x, mut y) = (Vec::with_capacity(rows * self.columns), Vec::with_capacity(rows));
        for _ in 0..rows {
            let mut score = law[self.columns];
            for w in &law[..self.columns] {
                let entry = half * (2.0 * uniform() - 1.0);
                score += w * entry;
                x.push(entry);
            }
            y.push(f64::from(uniform() < 1.0 / (1.0 + (-score).exp())));
        }
        Rows::new(x, y, self.columns)
    }

    /// How far a model is from the law, in standard errors.
    fn distance(&self, coefficients: &[f64], errors: &[f64]) -> Outcome<f64> {
        let law = self.coefficients();
        let all = coefficients.iter().zip(errors).zip(&law);
        let distance =
            all.map(|((got, error), law)| ((got - law) / error).abs()).fold(0.0, f64::max);
        if coefficients.len() == law.len() && distance.is_finite() && distance < 6.0 {
            return Ok(distance);
        }
        Err(format!("a coefficient is {distance} standard errors from the law of the data").into())
    }
}

/// One node.
pub async fn run(shape: &Shape, me: usize, folder: &Path) -> Outcome<()> {
    let data = Dataset::from(shape.own(me));
    let root = meet(&shape.mesh(), me, folder).await?;
    forget_memory();
    let channel = root.fork("fit")?;
    let since = Since::now(channel.meter())?;
    let plan = shape.plan()?;
    let options = SessionOptions::new(PARTIES, [1; 32]).outputs(ledger(&plan.outputs()));
    let mut session = Session::establish(channel, options).await?;
    let plan = Agreed::among(plan, &mut session).await?;
    let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
    let progress = &mut |_| {};
    let mut fit = Run { session: &mut session, source: &mut source, progress };
    let shares = Glm::fit(&plan, &data, &mut fit).await?;
    let fit = Glm::release(&plan, shares, &data, &mut fit).await?.ok_or("no model")?.fit;
    source.finish().await?;
    let used = since.used(session.meter())?;
    let errors = fit.inference.ok_or("no standard errors")?.std_errors;
    let distance = shape.distance(&fit.coefficients, &errors)?;
    drop(session);
    root.finish().await?;
    println!("{}", serde_json::to_string(&Report { used, memory_mb: memory_mb(), distance })?);
    Ok(())
}

/// Runs a fit and works out its figures: of the slowest node, and of the one that sends the most.
pub fn figures(shape: &Shape) -> Outcome<Value> {
    let (reports, _): (Vec<Report>, u64) = mesh::run(&shape.mesh())?;
    let Shape { name, rows, columns, aim, .. } = shape;
    let mut figures = Map::new();
    let mut put = |name: &str, value: Value| figures.insert(name.to_owned(), value);
    put("title", json!(format!("{name}: {rows} x {columns}, {PARTIES} parties, rows to model")));
    let most = |of: &dyn Fn(&Report) -> f64| reports.iter().map(of).fold(0.0, f64::max);
    put("seconds", json!(most(&|report| report.used.seconds)));
    put("cpu_s", json!(reports.iter().map(|report| report.used.cpu).sum::<f64>()));
    let sent = |report: &Report| report.used.sent.values().flatten().sum::<u64>() as f64 / 1e6;
    put("sent_mb", json!(most(&sent)));
    let rounds = |report: &Report| report.used.rounds.values().sum::<u64>() as f64;
    put("rounds", json!(most(&rounds)));
    put("memory_mb", json!(reports.iter().map(|report| report.memory_mb).collect::<Vec<_>>()));
    put("distance", json!(most(&|report| report.distance)));
    if let Some((seconds, sent)) = aim {
        put("aim_s", json!(seconds));
        put("aim_mb", json!(sent));
    }
    Ok(Value::Object(figures))
}
