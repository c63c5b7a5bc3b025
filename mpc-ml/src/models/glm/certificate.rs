//! Whether a revealed model is the optimum of the parties' rows: each party's own gradient there, in
//! the clear, is its share of the joint one (docs/protocols.md 8.5, The certificate).

use mpc_core::{Fixed, Session};
use zeroize::Zeroizing;

use super::family::Family;
use super::labels::CERTIFICATE;
use super::plan::RowsPlan;
use super::start::Totals;
use crate::error::Error;

/// A gradient is bounded from a distance that was revealed with some rounding.
const ABOVE: f64 = 1.25;
/// Bits of a bound of an entry.
const BOUND_BITS: i32 = 4;
/// Fractional bits of a party's own entry, in units of what is revealed.
const OWN_FRACTION: u32 = 20;

/// What the entries of the joint gradient are at most at an optimum.
pub(super) struct Certificate {
    bounds: Vec<f64>,
    /// The pull of the penalty at the model, which all parties know.
    pulls: Vec<f64>,
}

impl Certificate {
    /// At a `model` that was found to be within the tolerance, by an inverse over 2^`exponent`: in the
    /// metric of a curvature H no entry of a gradient is longer than the distance times the root of
    /// H_jj, and that is below 15/16 2^`exponent`, and below what public bounds of the columns make it.
    pub(super) fn new(plan: &RowsPlan, totals: &Totals, model: &[f64], exponent: u32) -> Self {
        let facts = &plan.facts;
        let pull = totals.weight * plan.settings.l2;
        let rows = plan.total_rows() as f64 * facts.weights.unwrap_or(1.0);
        let whole = libm::ldexp(15.0 / 16.0, exponent as i32);
        let bound = |j: usize| {
            let square = facts.mean_squares.get(j).copied().unwrap_or(1.0);
            let pull = if j < facts.columns() { pull } else { 0.0 };
            let curvature = match plan.settings.family {
                Family::Logistic => whole.min(1.01 * (0.25 * rows * square + pull)),
                Family::Poisson => whole,
            };
            ABOVE * plan.settings.tolerance * libm::sqrt(curvature)
        };
        let pulls = |(j, w): (usize, &f64)| if j < facts.columns() { pull * w } else { 0.0 };
        Self {
            bounds: (0..model.len()).map(bound).collect(),
            pulls: model.iter().enumerate().map(pulls).collect(),
        }
    }

    /// The unit of each entry: a small part of its bound, and no less than what two parties' sums of
    /// doubles are good to.
    fn units(&self) -> impl Iterator<Item = i32> + '_ {
        self.bounds.iter().map(|bound| libm::ilogb(*bound) - BOUND_BITS)
    }

    /// Reveals the joint gradient of the likelihood at the model, from the parties' `own`: the largest
    /// entry, its penalty taken off, in units of its bound. One round.
    ///
    /// # Errors
    /// [`Error::Uncertified`] when it is above 1: the same at all parties.
    pub(super) async fn check(&self, own: &[f64], session: &mut Session) -> Result<f64, Error> {
        let scaled = own.iter().zip(self.units()).map(|(g, unit)| libm::ldexp(*g, -unit));
        let own = Zeroizing::new(scaled.collect::<Vec<f64>>());
        let share = Fixed::own_part(&own, own.len(), 1, OWN_FRACTION)?;
        let revealed = session.reveal_integers(CERTIFICATE, &share, 0).await?;
        let revealed = revealed.ok_or_else(|| Error::untold(CERTIFICATE))?;
        self.largest(&revealed, session.parties())
    }

    /// The largest entry of a revealed gradient, in units of its bound.
    fn largest(&self, revealed: &[i128], parties: usize) -> Result<f64, Error> {
        let mut largest = 0.0f64;
        for (((&got, unit), bound), pull) in
            revealed.iter().zip(self.units()).zip(&self.bounds).zip(&self.pulls)
        {
            // Truncation is off by less than a unit a party.
            let rounding = libm::ldexp(parties as f64, unit);
            let entry = (libm::ldexp(got as f64, unit) - pull).abs();
            largest = largest.max((entry - rounding) / bound);
        }
        if largest <= 1.0 {
            return Ok(largest.max(0.0));
        }
        Err(Error::Uncertified(format!(
            "the revealed model is not the optimum of the parties' rows: the joint gradient there is \
             {largest:.1} times as large as the tolerance allows. A number was changed on the way, or a \
             party computed with other rows than before. The models that were shown may tell of a \
             party's rows; they are not kept. Have the run audited before these rows are used again"
        )))
    }
}

#[cfg(test)]
mod tests {
    use mpc_core::correlations::Origin;
    use mpc_core::testing::World;

    use super::*;
    use crate::model::{Facts, Plan, ledger};
    use crate::models::glm::GlmSettings;
    use crate::synthetic;

    /// At the optimum parties agree; a tenth of a standard error from it they do not.
    #[test]
    fn a_model_is_the_optimum_or_refused_by_all() {
        for l2 in [0.0, 0.05] {
            let data = synthetic::logistic(900, 4, 3, 1);
            let facts = Facts::horizontal(&[300; 3], vec![1.1; 4], Origin::Dealer);
            let inference = l2 == 0.0;
            let settings = GlmSettings { l2, inference, ..GlmSettings::new(Family::Logistic) };
            let plan = RowsPlan::new(&settings, &facts).expect("fits");
            let (x, y): (Vec<f64>, Vec<f64>) = (
                data.iter().flat_map(|rows| rows.x().to_vec()).collect(),
                data.iter().flat_map(|rows| rows.y().to_vec()).collect(),
            );
            let pooled = crate::plaintext::glm::Data {
                family: Family::Logistic,
                x: &x,
                columns: 4,
                intercept: true,
                target: &y,
                offsets: &[],
                weights: &[],
                l2,
            };
            let exact = crate::plaintext::glm::fit(&pooled).expect("there is one");
            let totals =
                Totals { weight: 900.0, targets: y.iter().sum(), centre: 0.0, variance: 0.25 };
            for (moved, ends_well) in [(0.0, true), (0.1, false), (-0.02, false)] {
                let mut model = exact.coefficients.clone();
                model[1] += moved * exact.std_errors[1];
                let world = World::new(3).outputs(ledger(&plan.outputs()));
                let ends = world.run(async |mut session| {
                    let rows = &data[session.me()];
                    let mut own = vec![0.0; 5];
                    for row in 0..rows.len() {
                        let entries: Vec<f64> =
                            rows.row(row).iter().copied().chain([1.0]).collect();
                        let score: f64 = entries.iter().zip(&model).map(|(x, w)| x * w).sum();
                        let residual = rows.y()[row] - Family::Logistic.mean(score);
                        own.iter_mut().zip(&entries).for_each(|(g, x)| *g += residual * x);
                    }
                    Certificate::new(&plan, &totals, &model, 12).check(&own, &mut session).await
                });
                for end in ends {
                    match end {
                        Ok(largest) => assert!(ends_well && largest < 0.1, "{moved}: {largest}"),
                        Err(Error::Uncertified(_)) => assert!(!ends_well),
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        }
    }
}
