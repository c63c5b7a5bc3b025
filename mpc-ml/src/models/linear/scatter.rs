//! What a party's own rows say about how sure the revealed coefficients are: the scatter of the rows'
//! parts of the gradient.

use zeroize::Zeroizing;

use super::moments::{ROWS_A_TURN, pause};
use super::plan::LinearPlan;
use crate::data::Dataset;
use crate::inference::Scatter;
use crate::plaintext::score;
use crate::sums::Triangle;

/// The own rows as the fit sees them, one after the other: entries, and the residual at the revealed
/// coefficients in units of half the target's range.
pub(super) struct Residuals<'a> {
    plan: &'a LinearPlan,
    data: &'a Dataset,
    coefficients: &'a [f64],
    /// The entries of a row, the one of the intercept last.
    entries: Zeroizing<Vec<f64>>,
}

impl<'a> Residuals<'a> {
    pub(super) fn new(plan: &'a LinearPlan, data: &'a Dataset, coefficients: &'a [f64]) -> Self {
        let mut entries = Zeroizing::new(vec![0.0; plan.weights()]);
        if plan.settings().intercept {
            entries[plan.encoding().columns] = 1.0;
        }
        Self { plan, data, coefficients, entries }
    }

    /// The entries of a row, its target as it is cut to the range, and its residual.
    pub(super) fn row(&mut self, row: usize) -> (&[f64], f64, f64) {
        let (clip, encoding) = (self.plan.settings().clip, self.plan.encoding());
        let rows = self.data.rows();
        for (entry, x) in self.entries.iter_mut().zip(rows.row(row)) {
            *entry = x.clamp(-clip, clip);
        }
        let y = rows.y()[row].clamp(encoding.target.0, encoding.target.1);
        let fitted = score(self.coefficients, &self.entries[..encoding.columns]);
        (&self.entries, y, (y - fitted) / encoding.target_scale().1)
    }
}

/// The scatter of the own rows, and the number of their groups. Lets other tasks run meanwhile.
pub(super) async fn scatter(
    plan: &LinearPlan,
    data: &Dataset,
    coefficients: &[f64],
) -> (Triangle, u64) {
    let mut scatter = Scatter::new(plan.weights(), plan.settings().robust);
    let mut rows = Residuals::new(plan, data, coefficients);
    for row in 0..data.len() {
        let (entries, _, residual) = rows.row(row);
        scatter.add(residual, 1.0, entries, data.ids().get(row));
        if row % ROWS_A_TURN == 0 {
            pause().await;
        }
    }
    scatter.finish()
}
