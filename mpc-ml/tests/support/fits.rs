//! The smallest fits of each kind, run with all that a test of their views looks at.
#![allow(clippy::unwrap_used)]

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::rand::MaskSite;
use mpc_core::testing::{World, record_openings, take_openings};
use mpc_core::{Outputs, Session};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Run as Running, ledger};
use mpc_ml::models::glm::{Family, Finish, Glm, GlmPlan, GlmSettings, Iterates, Robust};
use mpc_ml::models::linear::Linear;
use mpc_ml::models::sgd::{Sgd, Sigmoid, SigmoidFit};
use mpc_ml::{Agreed, Error, LinearPlan, LinearSettings, Model, Plan as _, Rows, synthetic};
use mpc_ml::{SgdPlan, SgdSettings};
use mpc_net::memory::MemoryTransport;

use crate::columns;
use crate::looks::{Party, Run, zero_shares};
use crate::recording::Recording;

pub const PARTIES: usize = 3;
pub const LOGISTIC: &str = "logistic";
pub const PENALISED: &str = "penalised";
pub const WIDE: &str = "wide";
pub const LINEAR: &str = "linear";
pub const DESCENT: &str = "gradient descent";
pub const MOMENTUM: &str = "gradient descent with momentum";
pub const LINEAR_COLUMNS: &str = "linear on columns";
pub const LINEAR_ELIMINATED: &str = "linear on columns, the widest eliminated";
pub const OPTIMUM_COLUMNS: &str = "optimum on columns";
pub const COLUMNS: &str = "gradient descent on columns";
pub const COLUMNS_MOMENTUM: &str = "gradient descent on columns with momentum";

/// Runs that can be compared.
pub const LEAST: usize = 2;

enum Plan {
    Glm(Box<GlmPlan>),
    Linear(Box<LinearPlan>),
    Sgd(Box<SgdPlan>),
}

/// A kind of fit.
pub struct Fit {
    pub name: &'static str,
    pub origin: Origin,
    /// How often it is run with all masks: so that there are enough samples of everything.
    pub runs: usize,
    plan: Plan,
    data: Vec<Dataset>,
    offsets: Vec<Vec<f64>>,
}

/// A logistic fit with inference, whose residuals are opened under uniform masks and whose last steps
/// are made in the clear; a penalised one, whose residuals and steps are lifted; a Poisson one with
/// offsets; hundreds of columns, with the owners' own inverses; revealed iterates; a linear one; gradient descent under
/// uniform masks, and with momentum, which lifts the weights; both also on columns of the same rows, as a linear
/// fit, with and without its widest block, and a logistic one to the optimum with standard errors are.
pub fn all(origin: Origin) -> Vec<Fit> {
    let mut all = vec![
        logistic(origin),
        penalised(origin),
        poisson(origin),
        wide(origin),
        revealed(origin),
        linear(origin),
        descent((DESCENT, origin), 0.0),
        descent((MOMENTUM, origin), 0.5),
        descent_on_columns((COLUMNS, origin), 0.0),
        linear_on_columns((LINEAR_COLUMNS, origin), true),
        linear_on_columns((LINEAR_ELIMINATED, origin), false),
        optimum_on_columns(origin),
    ];
    if origin == Origin::Dealer {
        all.push(descent_on_columns((COLUMNS_MOMENTUM, origin), 0.5));
    }
    all
}

fn glm(
    (name, origin, runs): (&'static str, Origin, usize),
    settings: &GlmSettings,
    data: Vec<Rows>,
    offsets: Vec<Vec<f64>>,
) -> Fit {
    let rows: Vec<u64> = data.iter().map(|rows| rows.len() as u64).collect();
    let mut facts = Facts::horizontal(&rows, vec![2.0; data[0].columns()], origin);
    if !offsets.is_empty() {
        facts.offset = Some((-64.0, 64.0));
    }
    let plan = Plan::Glm(Box::new(GlmPlan::new(settings, &facts).unwrap()));
    let data = data.into_iter().map(Dataset::from).collect();
    Fit { name, origin, runs, plan, data, offsets }
}

fn few(origin: Origin, dealer: usize, pairwise: usize) -> usize {
    if origin == Origin::Dealer { dealer } else { pairwise }
}

/// Rows of which the first party's own fit tells nothing of the joint one, so that there are passes.
fn rows(columns: usize, seed: u64) -> Vec<Rows> {
    let mut all = synthetic::logistic(PARTIES * 40, columns, PARTIES, seed);
    let turned = all[0].y().iter().enumerate().map(|(i, y)| if i % 2 == 0 { 1.0 - y } else { *y });
    all[0] = Rows::new(all[0].x().to_vec(), turned.collect(), columns);
    all
}

fn logistic(origin: Origin) -> Fit {
    let settings = GlmSettings { robust: Robust::Hc1, ..GlmSettings::new(Family::Logistic) };
    glm((LOGISTIC, origin, few(origin, 12, 5)), &settings, rows(8, 1), Vec::new())
}

fn penalised(origin: Origin) -> Fit {
    let settings = GlmSettings { l2: 0.05, inference: false, ..GlmSettings::new(Family::Logistic) };
    glm((PENALISED, origin, few(origin, 12, 5)), &settings, rows(8, 2), Vec::new())
}

fn poisson(origin: Origin) -> Fit {
    let data = rows(8, 3).into_iter().enumerate().map(|(party, rows)| {
        let counts = rows.y().iter().enumerate().map(|(i, y)| 1.0 + 3.0 * y + (i % 2) as f64);
        // Effects at the first party are those of the others with another sign.
        let turned = if party == 0 { -2.0 } else { 2.0 };
        let x = rows.x().iter().map(|x| x / turned).collect();
        Rows::new(x, counts.collect(), rows.columns())
    });
    let offsets = vec![(0..40).map(|i| f64::from(i) / 64.0).collect(); PARTIES];
    let settings = GlmSettings::new(Family::Poisson);
    glm(("Poisson", origin, few(origin, 12, 5)), &settings, data.collect(), offsets)
}

fn wide(origin: Origin) -> Fit {
    let settings = GlmSettings { l2: 0.5, inference: false, ..GlmSettings::new(Family::Logistic) };
    let data = synthetic::logistic(PARTIES * 514, 256, PARTIES, 4);
    let fit = glm((WIDE, origin, LEAST), &settings, data, Vec::new());
    let Plan::Glm(plan) = &fit.plan else { unreachable!("it is one") };
    assert_eq!(plan.finish(), Finish::Hidden);
    fit
}

fn revealed(origin: Origin) -> Fit {
    let settings =
        GlmSettings { iterates: Iterates::Revealed, ..GlmSettings::new(Family::Logistic) };
    let data = synthetic::logistic(PARTIES * 400, 3, PARTIES, 5);
    glm(("revealed iterates", origin, few(origin, 16, 4)), &settings, data, Vec::new())
}

fn linear(origin: Origin) -> Fit {
    let data: Vec<Rows> = synthetic::logistic(PARTIES * 12, 10, PARTIES, 6);
    let rows: Vec<u64> = data.iter().map(|rows| rows.len() as u64).collect();
    let facts = Facts::horizontal(&rows, vec![2.0; 10], origin);
    let facts = Facts { target: Some((0.0, 1.0)), ..facts };
    let settings = LinearSettings {
        intercept: true,
        l2: 0.0,
        clip: 8.0,
        condition: Some(20.0),
        release_bits: 20,
        inference: true,
        robust: Robust::Hc1,
        ..LinearSettings::default()
    };
    let plan = Plan::Linear(Box::new(Linear::plan(&settings, &facts).unwrap()));
    let (runs, offsets) = (few(origin, 12, 4), Vec::new());
    let data = data.into_iter().map(Dataset::from).collect();
    Fit { name: LINEAR, origin, runs, plan, data, offsets }
}

/// With the inverse in one piece, which the whole covariance needs, or without the widest block.
fn linear_on_columns((name, origin): (&'static str, Origin), covariance: bool) -> Fit {
    // Party 0 is looked at: it has a block that is multiplied, or the widest.
    let widths: [u32; PARTIES] = if covariance { [3, 4, 1] } else { [4, 3, 1] };
    let whole = synthetic::logistic(40, 8, 1, 6).remove(0);
    let data = columns::at_parties(&whole, &widths, 2);
    let facts = Facts::vertical(40, &widths, 2, vec![2.0; 8], origin);
    let facts = Facts { target: Some((0.0, 1.0)), ..facts };
    let settings = LinearSettings {
        condition: Some(20.0),
        inference: true,
        covariance,
        ..LinearSettings::default()
    };
    let plan = Linear::plan(&settings, &facts).unwrap();
    let fields = plan.canonical().unwrap();
    let eliminated = fields.fields().any(|field| field.0 == "elimination that follows");
    assert_eq!(eliminated, !covariance);
    let plan = Plan::Linear(Box::new(plan));
    let (runs, offsets) = (few(origin, 12, 4), Vec::new());
    Fit { name, origin, runs, plan, data, offsets }
}

fn optimum_on_columns(origin: Origin) -> Fit {
    const WIDTHS: [u32; PARTIES] = [3, 4, 1];
    let whole = synthetic::logistic(120, 8, 1, 7).remove(0);
    let data = columns::at_parties(&whole, &WIDTHS, 1);
    let facts = Facts::vertical(120, &WIDTHS, 1, vec![2.0; 8], origin);
    let settings = GlmSettings::new(Family::Logistic);
    let plan = Plan::Glm(Box::new(GlmPlan::new(&settings, &facts).unwrap()));
    let (runs, offsets) = (few(origin, 12, 4), Vec::new());
    Fit { name: OPTIMUM_COLUMNS, origin, runs, plan, data, offsets }
}

fn descent_settings(momentum: f64) -> SgdSettings {
    SgdSettings {
        intercept: true,
        l2: 0.01,
        clip: 8.0,
        epochs: 2,
        batch: 60,
        learning_rate: 0.5,
        decay: 0.1,
        momentum,
        seed: 1,
        sigmoid: Sigmoid { window: 128, terms: 12, fit: SigmoidFit::Weighted },
        release_bits: 16,
    }
}

fn descent((name, origin): (&'static str, Origin), momentum: f64) -> Fit {
    let data = rows(8, 7).into_iter().map(Dataset::from).collect();
    let facts = Facts::horizontal(&[40; PARTIES], vec![1.0; 8], origin);
    let plan = Sgd::plan(&descent_settings(momentum), &facts).unwrap();
    let plan = Plan::Sgd(Box::new(plan));
    Fit { name, origin, runs: few(origin, 12, 8), plan, data, offsets: Vec::new() }
}

fn descent_on_columns((name, origin): (&'static str, Origin), momentum: f64) -> Fit {
    const WIDTHS: [u32; PARTIES] = [3, 4, 1];
    let whole = synthetic::logistic(120, 8, 1, 7).remove(0);
    let data = columns::at_parties(&whole, &WIDTHS, 1);
    let facts = Facts::vertical(120, &WIDTHS, 1, vec![2.0; 8], origin);
    let plan = Sgd::plan(&descent_settings(momentum), &facts).unwrap();
    let plan = Plan::Sgd(Box::new(plan));
    Fit { name, origin, runs: few(origin, 12, 6), plan, data, offsets: Vec::new() }
}

impl Fit {
    /// Fits `count` times without a mask, on both processors of a small machine.
    pub fn run(&self, count: usize, off: Option<MaskSite>) -> Vec<Run> {
        let halves = [count / 2, count - count / 2];
        std::thread::scope(|scope| {
            let work = |n: usize| scope.spawn(move || (0..n).map(|_| self.once(off)).collect());
            let both: Vec<Vec<Run>> =
                halves.map(work).into_iter().map(|half| half.join().unwrap()).collect();
            both.into_iter().flatten().collect()
        })
    }

    fn outputs(&self) -> Outputs {
        match &self.plan {
            Plan::Glm(plan) => ledger(&plan.outputs()),
            Plan::Linear(plan) => ledger(&plan.outputs()),
            Plan::Sgd(plan) => ledger(&plan.outputs()),
        }
    }

    fn once(&self, off: Option<MaskSite>) -> Run {
        let world = World::new(PARTIES).outputs(self.outputs()).insecure_without(off);
        let world = if self.origin == Origin::Dealer { world.with_dealer() } else { world };
        let mesh = world.mesh();
        let views = mesh.iter().map(MemoryTransport::record).collect();
        record_openings();
        let ended = world.run_on(mesh, async |mut session| match self.origin {
            Origin::Dealer => {
                let source = DealerSource::start(&mut session)?;
                self.party(source, &mut session).await
            }
            Origin::Pairwise => {
                let source = PairwiseSource::start(&mut session, Expansion::Fast)?;
                self.party(source, &mut session).await
            }
        });
        let (refused, parties): (Vec<_>, Vec<_>) = ended.into_iter().map(Result::unwrap).unzip();
        let refused = refused.into_iter().flatten().next();
        Run { views, openings: take_openings(), refused, parties }
    }

    /// One party. A mask that is missing on one side makes fits wrong, and they are refused: what was
    /// seen until then is looked at all the same.
    async fn party<S: CorrelationSource>(
        &self,
        source: S,
        session: &mut Session,
    ) -> Result<(Option<String>, Party), Error> {
        let results = zero_shares(session, MaskSite::ZeroShareResult);
        let bounded = zero_shares(session, MaskSite::ZeroShareBounded);
        let mut source = Recording::of(source);
        let fitted = self.fit(&mut source, session).await;
        let refused = match fitted {
            Ok(()) => {
                source.finish().await?;
                None
            }
            Err(Error::Protocol(error)) => return Err(error.into()),
            Err(error) => Some(error.to_string()),
        };
        let (taken, matrices) = (source.taken, source.matrices);
        Ok((refused, Party { taken, matrices, results, bounded }))
    }

    async fn fit(
        &self,
        source: &mut dyn CorrelationSource,
        session: &mut Session,
    ) -> Result<(), Error> {
        let me = session.me();
        let mut data = self.data[me].clone();
        if let Some(offsets) = self.offsets.get(me) {
            data = data.with_offset(offsets.as_slice().into())?;
        }
        let progress = &mut |_| {};
        match &self.plan {
            Plan::Glm(plan) => {
                let plan = Agreed::among((**plan).clone(), session).await?;
                let mut run = Running { session, source, progress };
                let fitted = Glm::fit(&plan, &data, &mut run).await?;
                Glm::release(&plan, fitted, &data, &mut run).await?.unwrap();
            }
            Plan::Linear(plan) => {
                let plan = Agreed::among((**plan).clone(), session).await?;
                let mut run = Running { session, source, progress };
                let fitted = Linear::fit(&plan, &data, &mut run).await?;
                Linear::release(&plan, fitted, &data, &mut run).await?.unwrap();
            }
            Plan::Sgd(plan) => {
                let plan = Agreed::among((**plan).clone(), session).await?;
                let mut run = Running { session, source, progress };
                let fitted = Sgd::fit(&plan, &data, &mut run).await?;
                Sgd::release(&plan, fitted, &data, &mut run).await?.unwrap();
            }
        }
        Ok(())
    }
}
