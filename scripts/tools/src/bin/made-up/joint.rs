//! The joint fit of a made-up study: real sessions of all parties inside this process.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use mpc_core::correlations::Origin;
use mpc_core::testing::{self, World};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Plan, Run, ledger};
use mpc_ml::models::glm::{Glm, GlmPlan, GlmSettings};
use mpc_ml::synthetic::studies::Study;
use mpc_ml::{Agreed, Error, Model};

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
    let plan = GlmPlan::new(&settings(study), &facts(study, origin))?;
    let world = World::new(study.parties.len())
        .origin(origin)
        .outputs(ledger(&plan.outputs()))
        .deadline(DEADLINE);
    Ok(world.run(async |mut session| {
        let mut source = testing::source(&mut session, origin)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let data = Dataset::from(study.parties[session.me()].clone());
        let mut progress = |_| {};
        let mut run = Run { session: &mut session, source: &mut *source, progress: &mut progress };
        let shares = Glm::fit(&plan, &data, &mut run).await?;
        let fit = Glm::release(&plan, shares, &data, &mut run).await?;
        source.finish().await?;
        let lacks = || Error::Unusable("the fit was revealed without its inference".to_owned());
        let fit = fit.ok_or_else(lacks)?.fit;
        let inference = fit.inference.ok_or_else(lacks)?;
        Ok(Joint {
            coefficients: fit.coefficients,
            std_errors: inference.std_errors,
            deviance: inference.deviance,
        })
    }))
}

/// Nothing is declared but the family.
fn settings(study: &Study) -> GlmSettings {
    GlmSettings::new(study.family)
}

/// What is public: rows, and columns that are standardised jointly or 0 and 1.
fn facts(study: &Study, origin: Origin) -> Facts {
    let rows: Vec<u64> = study.parties.iter().map(|rows| rows.len() as u64).collect();
    Facts::horizontal(&rows, vec![1.0 + 1.0 / 16384.0; study.columns.len()], origin)
}
