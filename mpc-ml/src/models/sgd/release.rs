//! From shares of the weights to a model.

use mpc_core::Session;

use super::outputs::COEFFICIENTS;
use super::plan::SgdPlan;
use super::{SgdShares, certificate};
use crate::data::{Cut, Dataset};
use crate::error::Error;
use crate::plaintext;

/// What a training reveals, and what this party sees by it in its own rows.
#[derive(Clone, Debug, PartialEq)]
pub struct SgdFit {
    /// The coefficients, the intercept last where there is one: all of them, or those that this party
    /// receives.
    pub coefficients: Vec<f64>,
    /// Whether the last of them is the intercept.
    pub intercept: bool,
    /// The mean log-loss of all parties' training rows, where all parties receive the model: what
    /// shows that it is the model of these rows.
    pub loss: Option<f64>,
    /// This party's rows.
    pub rows: usize,
    /// How many of them have scores outside the window of the logistic function, where the series
    /// bends back. **Private**: only the owner of a row may know that it left. Not known where the
    /// parties hold columns: nobody can compute a score.
    pub outside: Option<usize>,
}

/// Reveals the coefficients at the study's release precision to those whom the session allows;
/// `None` to the others; then, where all parties receive them and hold whole rows, the loss of all rows. One round, or two;
/// [`SgdPlan::release_cost`].
///
/// # Errors
/// When an output is not allowed, and network errors; [`Error::Misfit`] and [`Error::Contradicted`]
/// when the model is not one of the parties' rows.
pub(super) async fn release(
    plan: &SgdPlan,
    shares: &SgdShares,
    data: &Dataset,
    session: &mut Session,
) -> Result<Option<SgdFit>, Error> {
    let bits = plan.settings().release_bits;
    // No more of the ring than the bound of a weight needs.
    let weights = shares.weights().clone().narrow(plan.model_ring())?;
    let rows = data.len();
    if let Some(owners) = plan.owners()? {
        let coefficients = owners.reveal(&weights, bits, session).await?;
        let intercept = owners.has_intercept(session.me());
        return Ok(Some(SgdFit { coefficients, intercept, loss: None, rows, outside: None }));
    }
    let revealed = session.reveal_fixed(COEFFICIENTS, &weights, bits).await?;
    let loss = match &revealed {
        Some(coefficients) if plan.is_certified() => {
            Some(certificate::certify(plan, coefficients, data, session).await?)
        }
        _ => None,
    };
    Ok(revealed.map(|coefficients| {
        let (own, edge) = (data.rows(), plan.edge());
        let beyond = |&row: &usize| plaintext::score(&coefficients, own.row(row)).abs() > edge;
        let whole = plan.facts().cut() == Cut::Horizontal;
        let outside = whole.then(|| (0..own.len()).filter(beyond).count());
        let intercept = plan.settings().intercept;
        SgdFit { coefficients, intercept, loss, rows, outside }
    }))
}
