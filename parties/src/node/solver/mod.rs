//! The step of a run that differs from method to method: from encoded rows to coefficients.

mod exact;
mod optimum;
mod sgd;

use mpc_core::Session;
use mpc_core::correlations::CorrelationSource;
use mpc_ml::artifact::{CheckRecord, InferenceParts, SolverRecord};
use mpc_ml::data::Encoded;
use mpc_ml::plan::optimum::OptimumPlan;
use mpc_ml::{Agreed, LinearPlan, Rows, SgdPlan};

use super::phases::Phases;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::study::{Study, Training};
pub use sgd::settings as sgd_settings;

/// One output of a method.
pub(super) struct Output {
    /// The label under which it is revealed.
    pub label: &'static str,
    /// Whether all parties learn it, and not the recipients of the model alone.
    pub to_everybody: bool,
}

/// What a study reveals beside the joint statistics.
pub(super) fn outputs(study: &Study) -> Vec<Output> {
    match study.training() {
        Training::Sgd(_) => sgd::outputs(),
        Training::Exact(_) => exact::outputs(study),
        Training::Optimum(training) => optimum::outputs(study, training),
    }
}

/// The method of a study, for its model file.
pub(super) fn record(study: &Study) -> SolverRecord {
    match study.training() {
        Training::Sgd(training) => sgd::record(training),
        Training::Exact(training) => exact::record(training),
        Training::Optimum(training) => optimum::record(training),
    }
}

/// The plan of a study's method, made from public facts alone.
pub(super) enum Planned {
    Sgd(SgdPlan),
    Exact(LinearPlan),
    Optimum(Box<OptimumPlan>),
}

/// The public figures of a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// Steps of the training.
    pub iterations: u64,
    /// Rows of all parties that take no part.
    pub rows_dropped: u64,
    /// Bits of statistical masking.
    pub sigma: u32,
    /// The largest error of the sigmoid near zero and in its window, for methods that use one.
    pub sigmoid_error: Option<(f64, f64)>,
    /// Rounds from the first to the last message of the method.
    pub rounds: u64,
    /// Bytes that a party sends in them, if all receive the model; what the making of correlated
    /// randomness needs is not among them.
    pub bytes_sent: u64,
    /// What the computation may do to the result, in sentences.
    pub precision: Vec<String>,
}

impl Planned {
    /// Plans the study for parties with these numbers of rows.
    ///
    /// # Errors
    /// When the settings do not fit together, with the numbers.
    pub(super) fn new(study: &Study, rows: Vec<u64>) -> Result<Self, Failure> {
        // Whatever does not fit here are the settings: nothing else goes into a plan.
        Self::of(study, rows).map_err(|failure| match failure.exit {
            Exit::Internal => failure,
            _ => Failure { exit: Exit::Configuration, ..failure },
        })
    }

    fn of(study: &Study, rows: Vec<u64>) -> Result<Self, Failure> {
        match study.training() {
            Training::Sgd(training) => {
                Ok(Self::Sgd(SgdPlan::new(sgd::settings(study, training, rows)?)?))
            }
            Training::Exact(training) => Ok(Self::Exact(exact::plan(study, training, rows)?)),
            Training::Optimum(training) => {
                Ok(Self::Optimum(Box::new(optimum::plan(study, training, rows)?)))
            }
        }
    }

    /// The figures of the plan, for the party in this place.
    pub(super) fn account(&self, me: usize) -> Account {
        match self {
            Self::Sgd(plan) => sgd::account(plan, me),
            Self::Exact(plan) => exact::account(plan, me),
            Self::Optimum(plan) => optimum::account(plan, me),
        }
    }

    /// Compares the plan with the other parties. One round.
    ///
    /// # Errors
    /// With the first party that planned something else.
    pub(super) async fn agree(self, session: &mut Session) -> Result<Solver, Failure> {
        Ok(match self {
            Self::Sgd(plan) => Solver::Sgd(Agreed::among(plan, session).await?),
            Self::Exact(plan) => Solver::Exact(Agreed::among(plan, session).await?),
            Self::Optimum(plan) => Solver::Optimum(Box::new(Agreed::among(*plan, session).await?)),
        })
    }
}

/// A method that all parties agreed on.
pub(super) enum Solver {
    Sgd(Agreed<SgdPlan>),
    Exact(Agreed<LinearPlan>),
    Optimum(Box<Agreed<OptimumPlan>>),
}

/// What the method gives; nothing to a party that does not receive the model.
#[derive(Default)]
pub(super) struct Fitted {
    /// The coefficients on the standardised scale, the intercept last; for those who receive them.
    pub coefficients: Option<Vec<f64>>,
    /// How sure they are, where the study asks for it; for those who receive them.
    pub inference: Option<InferenceParts>,
    /// What all parties saw before.
    pub checks: Vec<CheckRecord>,
    /// What all recipients of the model should know about it.
    pub warnings: Vec<String>,
    /// What concerns this party alone.
    pub own_warnings: Vec<String>,
}

impl Solver {
    /// Fits the model and reveals it to its recipients.
    ///
    /// # Errors
    /// What went wrong, for a person.
    pub(super) async fn fit(
        &self,
        encoded: Encoded,
        source: &mut dyn CorrelationSource,
        session: &mut Session,
        phases: &mut Phases,
    ) -> Result<Fitted, Failure> {
        match self {
            Self::Sgd(plan) => sgd::fit(plan, encoded, source, session, phases).await,
            Self::Exact(plan) => exact::fit(plan, encoded, source, session, phases).await,
            Self::Optimum(plan) => optimum::fit(plan, encoded, source, session, phases).await,
        }
    }
}

/// What the plan of a study says without the other parties, if they have these numbers of rows.
///
/// # Errors
/// When the settings do not fit together, with the numbers.
pub fn plan_alone(study: &Study, me: usize, rows: Vec<u64>) -> Result<Account, Failure> {
    Ok(Planned::new(study, rows)?.account(me))
}

/// Encoded rows as a model takes them: the same memory, row by row.
#[must_use]
pub fn rows_of(encoded: Encoded) -> Rows {
    let columns = encoded.columns.len();
    Rows::new(encoded.x.into_raw_vec_and_offset().0, encoded.y, columns)
}
