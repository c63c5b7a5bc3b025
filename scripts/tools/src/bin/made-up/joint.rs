//! The joint fit of a made-up study: real sessions of all parties inside this process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::testing::World;
use mpc_core::{Outputs, Recipients};
use mpc_ml::plaintext::glm;
use mpc_ml::plan::optimum::{Family, GlmSettings, OptimumPlan};
use mpc_ml::solvers::optimum;
use mpc_ml::synthetic::studies::{Column, Study};
use mpc_ml::{Agreed, Error};

/// A study that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(1800);

/// What the parties learned.
#[derive(Clone, Debug, PartialEq)]
pub struct Joint {
    /// The coefficients, the intercept last.
    pub coefficients: Vec<f64>,
    /// Their standard errors.
    pub std_errors: Vec<f64>,
    /// The deviance.
    pub deviance: f64,
}

/// Why there is no fit.
#[derive(Debug)]
pub enum NoJoint {
    /// All parties refused, for this reason.
    Refused(String),
    /// The parties did not come to the same end, or one of them panicked.
    Fault(String),
}

/// Fits jointly.
pub fn fit(study: &Study, origin: Origin) -> Result<Joint, NoJoint> {
    let ended = catch_unwind(AssertUnwindSafe(|| run(study, origin)));
    let parties = match ended {
        Ok(Ok(parties)) => parties,
        Ok(Err(refused)) => return Err(NoJoint::Refused(refused.to_string())),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            return Err(NoJoint::Fault(format!("panicked: {}", text.unwrap_or_default())));
        }
    };
    let mut fits = Vec::new();
    let mut refusals = Vec::new();
    for party in parties {
        match party {
            Ok(fit) => fits.push(fit),
            Err(error) if error.seen_by_all() => refusals.push(error.to_string()),
            Err(error) => return Err(NoJoint::Fault(error.to_string())),
        }
    }
    match (fits.split_first(), refusals.first()) {
        (Some((first, others)), None) if others.iter().all(|other| other == first) => {
            Ok(first.clone())
        }
        (None, Some(first)) if refusals.iter().all(|other| other == first) => {
            Err(NoJoint::Refused(first.clone()))
        }
        _ => Err(NoJoint::Fault("the parties came to different ends".to_owned())),
    }
}

/// What every party came to; an error when the plan already refuses.
fn run(study: &Study, origin: Origin) -> Result<Vec<Result<Joint, Error>>, Error> {
    let plan = OptimumPlan::new(&settings(study), origin)?;
    let outputs = optimum::outputs(&plan, Outputs::none(), Recipients::All);
    let mut world = World::new(study.parties.len()).outputs(outputs).deadline(DEADLINE);
    if origin == Origin::Dealer {
        world = world.with_dealer();
    }
    Ok(world.run(async |mut session| {
        let mut source: Box<dyn CorrelationSource> = match origin {
            Origin::Dealer => Box::new(DealerSource::start(&mut session)?),
            Origin::Pairwise => Box::new(PairwiseSource::start(&mut session, Expansion::Fast)?),
        };
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let rows = &study.parties[session.me()];
        let fit = optimum::run(&plan, rows, &[], &mut *source, &mut session, |_, _| {}).await?;
        source.finish().await?;
        let lacks = || Error::Unusable("the fit was revealed without its inference".to_owned());
        let fit = fit.ok_or_else(lacks)?;
        Ok(Joint {
            coefficients: fit.coefficients,
            std_errors: fit.std_errors.ok_or_else(lacks)?,
            deviance: fit.deviance.ok_or_else(lacks)?,
        })
    }))
}

/// What an analyst could say who knows what is public and how common the target is.
fn settings(study: &Study) -> GlmSettings {
    let (x, y) = study.pooled();
    let rows = y.len() as f64;
    let mean = y.iter().sum::<f64>() / rows;
    let largest = |values: &[f64]| values.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    let indicators =
        study.columns.iter().filter(|law| matches!(law, Column::Rare | Column::Common)).count();
    let standardised = (study.columns.len() - indicators) as f64;
    GlmSettings {
        family: match study.family {
            glm::Family::Logistic => Family::logistic(mean.min(1.0 - mean).clamp(1e-3, 0.5)),
            glm::Family::Poisson => Family::poisson(mean.clamp(1e-4, 1e4), largest(&y).max(1.0)),
        },
        rows: study.parties.iter().map(|rows| rows.len() as u64).collect(),
        columns: study.columns.len() as u32,
        intercept: true,
        offset: false,
        l2: 0.0,
        clip: largest(&x).ceil(),
        mean_square: 1.0 + 1.0 / 16384.0,
        trace: standardised * (1.0 + 1.0 / 16384.0) + indicators as f64,
        condition: 50.0,
        tolerance: 0.005,
        largest_eigenvalue: None,
        inference: true,
        release_fraction: 20,
    }
}
