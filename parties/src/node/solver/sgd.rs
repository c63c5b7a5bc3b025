//! `solver = "sgd"`: logistic regression by mini-batch gradient descent.

use mpc_core::Session;
use mpc_core::correlations::CorrelationSource;
use mpc_core::protocols::fit::Weighting;
use mpc_ml::artifact::{SgdRecord, SigmoidRecord, SolverRecord};
use mpc_ml::data::Encoded;
use mpc_ml::solvers::sgd::{self, COEFFICIENTS, Training};
use mpc_ml::{Agreed, Rows, SgdPlan, SgdSettings, plaintext};

use super::{Account, Fitted, Output, rows_of};
use crate::exit::{Exit, Failure};
use crate::node::phases::Phases;
use crate::node::progress::Progress;
use crate::study::{Sgd, SigmoidFit, Study};

pub(super) fn outputs() -> Vec<Output> {
    vec![Output { label: COEFFICIENTS, to_everybody: false }]
}

pub(super) fn account(plan: &SgdPlan, me: usize) -> Account {
    let cost = plan.training_cost(me) + plan.release_cost(me);
    let sigmoid = plan.sigmoid();
    Account {
        iterations: plan.iterations(),
        rows_dropped: plan.schedule().dropped(),
        sigma: plan.sigma(),
        sigmoid_error: Some((sigmoid.error_near, sigmoid.error_window)),
        rounds: cost.rounds,
        bytes_sent: cost.sent(),
        precision: vec![format!(
            "the logistic function is off by at most {:.1e} near zero and {:.1e} in its window",
            sigmoid.error_near, sigmoid.error_window
        )],
    }
}

/// The settings of the training that a study describes, for parties with these numbers of rows.
///
/// # Errors
/// When the study has too many columns.
pub fn settings(study: &Study, training: &Sgd, rows: Vec<u64>) -> Result<SgdSettings, Failure> {
    let model = study.model();
    let columns = study.schema().columns().len();
    let columns = u32::try_from(columns)
        .map_err(|_| Failure::new(Exit::Configuration, "the study has too many columns"))?;
    Ok(SgdSettings {
        origin: study.security().correlations.origin(),
        rows,
        columns,
        intercept: model.intercept,
        l2: model.l2,
        clip: model.clip,
        epochs: training.epochs.into(),
        batch: training.batch.into(),
        learning_rate: training.learning_rate,
        decay: training.decay,
        momentum: training.momentum,
        seed: training.seed,
        window: training.sigmoid.window.ilog2(),
        terms: training.sigmoid.terms,
        weighting: match training.sigmoid.fit {
            SigmoidFit::Weighted => Weighting::Weighted,
            SigmoidFit::Plain => Weighting::Plain,
        },
        release_fraction: study.output().release_bits,
    })
}

/// Fits and reveals.
pub(super) async fn fit(
    plan: &Agreed<SgdPlan>,
    encoded: Encoded,
    source: &mut dyn CorrelationSource,
    session: &mut Session,
    phases: &mut Phases,
) -> Result<Fitted, Failure> {
    let own = rows_of(encoded).ordered(&plan.schedule().own_order(session.me()));
    let training = Training::begin(plan, &own, source, session).await?;

    phases.enter("training", session);
    let mut progress = Progress::new(plan.iterations(), "training");
    let weights = training.run(session, |done, production| progress.at(done, production)).await?;
    progress.finish();

    phases.enter("release", session);
    let coefficients = sgd::release(plan, &weights, session).await?;
    let window = coefficients.as_ref().and_then(|all| window_warning(plan, &own, all));
    Ok(Fitted {
        coefficients,
        inference: None,
        checks: Vec::new(),
        warnings: Vec::new(),
        own_warnings: window.into_iter().collect(),
    })
}

pub(super) fn record(training: &Sgd) -> SolverRecord {
    SolverRecord::Sgd(SgdRecord {
        epochs: training.epochs,
        batch: training.batch,
        learning_rate: training.learning_rate,
        decay: training.decay,
        momentum: training.momentum,
        seed: training.seed,
        sigmoid: Some(SigmoidRecord {
            window: training.sigmoid.window,
            terms: training.sigmoid.terms,
            fit: training.sigmoid.fit.to_string(),
        }),
    })
}

/// Outside its window the sigmoid bends back; only the owner of a row may know that it left.
fn window_warning(plan: &SgdPlan, own: &Rows, coefficients: &[f64]) -> Option<String> {
    let edge = libm::ldexp(1.0, plan.settings().window as i32 - 2);
    let outside = (0..own.len())
        .filter(|&row| plaintext::score(coefficients, own.row(row)).abs() > edge)
        .count();
    (outside > 0).then(|| {
        format!(
            "{outside} of this party's {} rows have scores beyond +-{edge}, where the sigmoid of \
             this study is not exact: use a larger training.sigmoid.window",
            own.len()
        )
    })
}
