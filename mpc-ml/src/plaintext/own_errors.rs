//! How sure a party's own fit is.

use super::alone::{NoOwnFit, alone};
use super::glm::Family;
use super::glm::factor::Factor;
use crate::artifact::{Model, ModelError, ModelKind};
use crate::data::{Table, encode};

/// The estimate and the standard error of each encoded column of `joint`, fitted to the rows of `table` alone, in the
/// clear, on the scale of the files. Of a model without a penalty.
///
/// # Errors
/// [`NoOwnFit`], as [`alone`].
pub fn own_estimates(joint: &Model, table: &Table) -> Result<Vec<(f64, f64)>, NoOwnFit> {
    let own = alone(joint, table)?;
    let encoded =
        encode(table, joint.standardisation(), f64::INFINITY).map_err(ModelError::from)?;
    let scores = own.scores(table)?;
    let columns = encoded.x.ncols();
    let order = columns + usize::from(joint.has_intercept());
    let mut information = vec![0.0; order * order];
    let mut squares = 0.0;
    let family = match joint.kind() {
        ModelKind::Linear | ModelKind::Multinomial => None,
        ModelKind::Logistic => Some(Family::Logistic),
        ModelKind::Poisson => Some(Family::Poisson),
    };
    for ((x, score), target) in encoded.x.rows().into_iter().zip(scores).zip(&encoded.y) {
        let weight = match family {
            Some(family) => family.variance(family.mean(score)),
            None => {
                squares += (target - score) * (target - score);
                1.0
            }
        };
        let mut row: Vec<f64> = x.iter().copied().collect();
        row.resize(order, 1.0);
        for i in 0..order {
            (0..order).for_each(|j| information[i * order + j] += weight * row[i] * row[j]);
        }
    }
    let factor = Factor::new(&information, order, 1e-15).ok_or(NoOwnFit::NotConverged)?;
    let rows = encoded.x.nrows();
    let variance = match family {
        Some(_) => 1.0,
        None => squares / (rows.saturating_sub(order)).max(1) as f64,
    };
    let original = own.original();
    let estimates = original.coefficients.values();
    let errors = encoded.scales.iter().take(columns).enumerate().map(|(at, (_, std))| {
        let mut unit = vec![0.0; order];
        unit[at] = 1.0;
        libm::sqrt(variance * factor.solve(&unit)[at]) / std
    });
    Ok(estimates.zip(errors).collect())
}
