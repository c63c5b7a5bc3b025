//! The smallest fits of each kind, run with all that a test of their views looks at.
#![allow(clippy::unwrap_used)]

use mpc_core::correlations::Origin;
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{CorrelationSource, MatrixShape, OwnRows};
use mpc_core::testing::{Opening, World, record_openings, take_openings};
use mpc_core::{Outputs, Recipients};
use mpc_ml::model::{Facts, Run as Running, ledger};
use mpc_ml::models::linear::Linear;
use mpc_ml::plan::optimum::{Family, GlmSettings, Method, OptimumPlan};
use mpc_ml::solvers::optimum;
use mpc_ml::{Agreed, Error, LinearPlan, LinearSettings, Model, Plan as _, Rows, synthetic};
use mpc_net::fault::View;
use mpc_net::memory::MemoryTransport;

use crate::recording::{Recording, Taken};

pub const PARTIES: usize = 3;

/// What a party ordered and received.
pub struct Source {
    pub taken: Vec<Taken>,
    pub matrices: Vec<(MatrixShape, std::sync::Arc<OwnRows>)>,
}

/// What a fit shows.
pub struct Run {
    /// Of all nodes, the dealer last.
    pub views: Vec<View>,
    pub openings: Vec<Opening>,
    /// Whether a model came of it.
    pub fitted: bool,
    /// Of the parties.
    pub sources: Vec<Source>,
}

enum Plan {
    Glm(Box<OptimumPlan>),
    Linear(Box<LinearPlan>),
}

/// A kind of fit.
pub struct Fit {
    pub name: &'static str,
    /// How often it is run: so that there are enough samples of everything.
    pub runs: usize,
    /// Whether own data, or sums of them, are shares of what is opened.
    pub opens_own_data: bool,
    plan: Plan,
    data: Vec<Rows>,
    offsets: Vec<Vec<f64>>,
}

/// A logistic and a Poisson fit by Newton's method, the one with inference, the other with a penalty
/// and offsets; a wide logistic one by gradients; a linear one with inference.
pub fn all() -> Vec<Fit> {
    vec![logistic(), poisson(), wide(), linear()]
}

fn settings(data: &[Rows], family: Family, l2: f64, inference: bool) -> GlmSettings {
    let columns = data[0].columns();
    GlmSettings {
        family,
        rows: data.iter().map(|rows| rows.len() as u64).collect(),
        columns: columns as u32,
        intercept: true,
        offset: false,
        l2,
        clip: 8.0,
        mean_square: 2.0,
        trace: 2.0 * columns as f64,
        condition: 20.0,
        tolerance: 0.1,
        largest_eigenvalue: None,
        inference,
        release_fraction: 20,
    }
}

fn logistic() -> Fit {
    let data = synthetic::logistic(PARTIES * 12, 5, PARTIES, 1);
    let plan = glm(&settings(&data, Family::logistic(0.5), 0.0, true), &Method::Newton);
    Fit { name: "logistic", runs: 20, opens_own_data: true, plan, data, offsets: Vec::new() }
}

fn poisson() -> Fit {
    let logistic = synthetic::logistic(PARTIES * 12, 5, PARTIES, 2).into_iter();
    let data: Vec<Rows> = logistic
        .map(|rows| {
            let counts = rows.y().iter().enumerate().map(|(i, y)| 1.0 + y + (i % 2) as f64);
            let small = rows.x().iter().map(|x| x / 4.0).collect();
            Rows::new(small, counts.collect(), rows.columns())
        })
        .collect();
    let offsets = vec![(0..12).map(|i| f64::from(i) / 64.0).collect(); PARTIES];
    let settings = settings(&data, Family::poisson(2.0, 3.0), 0.1, false);
    let plan = glm(&GlmSettings { offset: true, ..settings }, &Method::Newton);
    Fit { name: "Poisson", runs: 12, opens_own_data: false, plan, data, offsets }
}

fn wide() -> Fit {
    let data = synthetic::logistic(PARTIES * 8, 260, PARTIES, 3);
    let settings = settings(&data, Family::logistic(0.5), 1.0, false);
    let settings = GlmSettings { largest_eigenvalue: Some(2.0), ..settings };
    let plan = OptimumPlan::new(&settings, Origin::Dealer).unwrap();
    assert!(matches!(plan.method(), Method::Gradient { .. }));
    let plan = Plan::Glm(Box::new(plan));
    let offsets = Vec::new();
    Fit { name: "wide logistic", runs: 24, opens_own_data: false, plan, data, offsets }
}

fn glm(settings: &GlmSettings, method: &Method) -> Plan {
    let plan = OptimumPlan::new(settings, Origin::Dealer).unwrap();
    assert_eq!(plan.method(), method);
    Plan::Glm(Box::new(plan))
}

fn linear() -> Fit {
    let data: Vec<Rows> = synthetic::logistic(PARTIES * 12, 10, PARTIES, 4);
    let rows: Vec<u64> = data.iter().map(|rows| rows.len() as u64).collect();
    let facts = Facts::horizontal(&rows, vec![2.0; 10], Origin::Dealer);
    let facts = Facts { target: Some((0.0, 1.0)), ..facts };
    let settings = LinearSettings {
        intercept: true,
        l2: 0.0,
        clip: 8.0,
        condition: 20.0,
        release_bits: 20,
        inference: true,
    };
    let plan = Linear::plan(&settings, &facts);
    let plan = Plan::Linear(Box::new(plan.unwrap()));
    Fit { name: "linear", runs: 40, opens_own_data: true, plan, data, offsets: Vec::new() }
}

impl Fit {
    /// Fits once.
    pub fn run(&self) -> Run {
        let (none, all) = (Outputs::none(), Recipients::All);
        let outputs = match &self.plan {
            Plan::Glm(plan) => optimum::outputs(plan, none, all),
            Plan::Linear(plan) => ledger(&plan.outputs()),
        };
        let world = World::new(PARTIES).with_dealer().outputs(outputs);
        let mesh = world.mesh();
        let views = mesh.iter().map(MemoryTransport::record).collect();
        record_openings();
        let sources = world.run_on(mesh, async |mut session| {
            let me = session.me();
            let mut source = Recording::of(DealerSource::start(&mut session)?);
            let none = Vec::new();
            let offsets = self.offsets.get(me).unwrap_or(&none);
            let rows = &self.data[me];
            let fit = match &self.plan {
                Plan::Glm(plan) => {
                    let plan = Agreed::among((**plan).clone(), &mut session).await?;
                    optimum::run(&plan, rows, offsets, &mut source, &mut session, |_, _| {})
                        .await
                        .map(|fit| fit.is_some())
                }
                Plan::Linear(plan) => {
                    let plan = Agreed::among((**plan).clone(), &mut session).await?;
                    let (source, progress) = (&mut source, &mut |_| {});
                    let mut run = Running { session: &mut session, source, progress };
                    let data = rows.clone().into();
                    match Linear::fit(&plan, &data, &mut run).await {
                        Ok(fitted) => {
                            let fit = Linear::release(&plan, fitted, &data, &mut run).await;
                            fit.map(|fit| fit.is_some())
                        }
                        Err(error) => Err(error),
                    }
                }
            };
            let fitted = match fit {
                // A mask that is missing on one side makes fits wrong, and they are refused: what
                // was seen until then is looked at all the same.
                Err(Error::NotConverged(_)) => false,
                fit => fit?,
            };
            if fitted {
                source.finish().await?;
            }
            Ok::<_, Error>((fitted, Source { taken: source.taken, matrices: source.matrices }))
        });
        let all = sources.into_iter().map(Result::unwrap);
        let (fitted, sources): (Vec<_>, Vec<_>) = all.unzip();
        let fitted = fitted.into_iter().all(|fitted| fitted);
        Run { views, openings: take_openings(), fitted, sources }
    }
}
