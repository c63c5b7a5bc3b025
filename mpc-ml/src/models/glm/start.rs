//! How a fit begins: each owner fits its own rows in the clear, and what all must know of that for
//! rings and scales is revealed (docs/protocols.md 8.1 and 8.2). Two rounds.

use std::sync::Arc;

use mpc_core::correlations::OwnRows;
use mpc_core::{Fixed, Session, fixed, offload};
use zeroize::Zeroizing;

use super::family::Family;
use super::labels::{SIZES, TOTALS};
use super::link::E_FRACTION;
use super::own::Own;
use super::plan::{RowsPlan, X_FRACTION};
use super::scales::{Scales, weighed_fraction};
use crate::data::Dataset;
use crate::error::Error;
use crate::inference::{sizes, unit};
use crate::sums::Triangle;

/// Fractional bits of the revealed sums over rows.
const TOTALS_FRACTION: u32 = 10;
/// No owner's coefficient is larger where the fit starts from their mean.
pub(super) const LARGEST_OWN: f64 = 64.0;

/// What all parties know of all rows together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    /// The sum of the case weights: the number of rows where there are none.
    pub(super) weight: f64,
    /// The sum of the targets, by weight.
    pub(super) targets: f64,
    /// The score of the joint mean.
    pub(super) centre: f64,
    /// The variance of a target with the joint mean.
    pub(super) variance: f64,
}

/// A party's rows, and how many of its cells were beyond the clip.
pub(super) fn own_rows(plan: &RowsPlan, data: &Dataset, me: usize) -> Result<(Own, u64), Error> {
    let settings = &plan.settings;
    data.check(&plan.facts, me, plan.largest)?;
    let wrong = |what: &str| Err(Error::Data(what.to_owned()));
    let (rows, family) = (data.rows(), settings.family);
    if !rows.y().iter().all(|&y| family.admits(y)) {
        return wrong(match family {
            Family::Logistic => "a label is neither 0 nor 1",
            Family::Poisson => "a target is no count: it is below 0 or above 10^12",
        });
    }
    let given = |values: &[f64], due: bool, what: &str| {
        if values.len() != if due { rows.len() } else { 0 } {
            let rule = if due { "the plan has one for each row" } else { "the plan has none" };
            return Err(Error::Data(format!("{} {what} were given, and {rule}", values.len())));
        }
        Ok(())
    };
    given(data.offset(), plan.facts.offset.is_some(), "offsets")?;
    given(data.weights(), plan.facts.weights.is_some(), "case weights")?;
    if data.offset().iter().any(|offset| offset.is_nan() || offset.abs() > 64.0) {
        return wrong("an offset is beyond 64 in magnitude");
    }
    let most = plan.facts.weights.unwrap_or(1.0);
    if data.weights().iter().any(|weight| weight.is_nan() || *weight > most) {
        return wrong("a case weight is larger than the study declares");
    }
    let clip = plan.largest;
    let beyond = rows.x().iter().filter(|x| x.abs() > settings.clip).count() as u64;
    let beyond = beyond + data.clipped();
    let x = rows.x().iter().map(|x| x.clamp(-clip, clip)).collect();
    let copy = |values: &[f64]| Zeroizing::new(values.to_vec());
    let design = (Zeroizing::new(x), plan.facts.columns(), settings.intercept);
    let own = Own::new(family, design, copy(rows.y()), copy(data.offset()), copy(data.weights()));
    let groups = plan.facts.groups || !data.ids().is_empty();
    given_groups(data.ids().len(), if groups { rows.len() } else { 0 })?;
    Ok((own.with_groups(Zeroizing::new(data.ids().to_vec())), beyond))
}

fn given_groups(given: usize, due: usize) -> Result<(), Error> {
    if given == due {
        return Ok(());
    }
    Err(Error::Data(format!("{given} groups of rows were given, and there are {due} rows")))
}

/// Reveals the sums that the fit starts from. One round.
pub(super) async fn totals(
    plan: &RowsPlan,
    own: &Own,
    beyond: u64,
    session: &mut Session,
) -> Result<Totals, Error> {
    let family = plan.settings.family;
    let weight = own.sum(|_| 1.0);
    let exposure = match family {
        Family::Logistic => weight,
        Family::Poisson => own.sum(|row| libm::exp(own.offset(row))),
    };
    let sums = [own.sum(|row| own.target(row)), exposure, weight, beyond as f64];
    let sums = Fixed::own_part(&Zeroizing::new(sums)[..], 4, 1, TOTALS_FRACTION)?;
    let sums = session.reveal_fixed(TOTALS, &sums, TOTALS_FRACTION).await?;
    let [targets, exposure, weight, beyond] = sums.unwrap_or_default()[..] else {
        return Err(Error::untold(TOTALS));
    };
    if beyond > plan.settings.most_cut as f64 {
        return Err(Error::Unusable(format!(
            "{beyond:.0} cells of all parties together are beyond clip = {} on the common scale, and \
             {} may be cut: set a larger clip, transform the column, or allow as many with most_cut",
            plan.settings.clip, plan.settings.most_cut
        )));
    }
    let mean = targets / exposure.max(f64::MIN_POSITIVE);
    let usable = match family {
        Family::Logistic => targets > 0.0 && targets < weight,
        Family::Poisson => targets > 0.0,
    };
    if !usable {
        return Err(Error::Unusable(
            "all targets of all parties together are alike: there is nothing to fit".to_owned(),
        ));
    }
    let average = match family {
        Family::Logistic => mean,
        Family::Poisson => targets / weight,
    };
    let (centre, variance) = (family.score(mean), family.variance(average));
    Ok(Totals { weight, targets, centre, variance })
}

/// What an owner expects of its own rows, and what of that are shares of joint sums.
pub(super) struct Expected {
    /// The own fit.
    pub(super) coefficients: Zeroizing<Vec<f64>>,
    /// The curvature of the own rows there.
    pub(super) curvature: Triangle,
    /// What each own row weighs in it.
    pub(super) slopes: Zeroizing<Vec<f64>>,
    /// X^T (v x w + y - p): where the joint fit starts.
    pub(super) right: Zeroizing<Vec<f64>>,
    /// For each row, what its argument of the series is less than its part in X w.
    pub(super) shifts: Zeroizing<Vec<f64>>,
    /// The design matrix in fixed point.
    pub(super) design: Arc<OwnRows>,
    /// Rows times what their owner expects; none where that is the design matrix.
    pub(super) weighed: Option<Arc<OwnRows>>,
    /// X^T y less what the constant of the series takes, at the scale of gradients.
    pub(super) linear: Zeroizing<Vec<f64>>,
    /// The sum of the squared weighed entries.
    squares: f64,
}

/// Fits the own rows, on another thread.
pub(super) async fn expect(
    plan: &RowsPlan,
    own: &Arc<Own>,
    totals: Totals,
) -> Result<Expected, Error> {
    let (plan, own) = (plan.clone(), Arc::clone(own));
    offload(move || expected(&plan, &own, totals)).await?
}

fn expected(plan: &RowsPlan, own: &Own, totals: Totals) -> Result<Expected, Error> {
    let (family, order) = (own.family, own.order());
    let share = own.sum(|_| 1.0);
    let ridge = (share * plan.settings.l2).max(1.0);
    let mut coefficients = own.fit(totals.centre, ridge);
    for coefficient in coefficients.iter_mut() {
        *coefficient = coefficient.clamp(-LARGEST_OWN, LARGEST_OWN);
    }
    let scores = own.scores(&coefficients);
    let slopes = own.slopes(&scores);
    let curvature = own.curvature(&slopes);
    let residuals = own.residuals(&scores);
    let pulled = |row| slopes[row] * (scores[row] - own.offset(row)) + residuals[row];
    let pulled = Zeroizing::new((0..own.rows()).map(pulled).collect::<Vec<f64>>());
    let right = own.transposed(&pulled);

    let bits = plan.entry_bits();
    let mut design = Zeroizing::new(Vec::with_capacity(own.rows() * order));
    for row in 0..own.rows() {
        for x in own.entries(row) {
            design.push(fixed::encode(x, X_FRACTION, bits)? as i32);
        }
    }
    let fraction = weighed_fraction(plan, totals.variance);
    let largest = libm::ldexp(1.0, plan.weighed_bits() as i32 - fraction as i32) * 0.999;
    // A rate that does not fit the matrix is cut: its row is then seen from another one.
    let rate = |row: usize| {
        if family == Family::Logistic {
            return 1.0;
        }
        let entry = own.entries(row).fold(1.0f64, |most, x| most.max(x.abs()));
        family
            .mean(scores[row])
            .clamp(f64::MIN_POSITIVE, largest / (entry * own.weight(row).max(1.0)))
    };
    let rates: Zeroizing<Vec<f64>> = Zeroizing::new((0..own.rows()).map(rate).collect());
    let shift = |row: usize| match family {
        Family::Logistic => own.offset(row),
        Family::Poisson => own.offset(row) - libm::log(rates[row]),
    };
    let shifts = Zeroizing::new((0..own.rows()).map(shift).collect());
    let mut squares = 0.0;
    let mut sums = Zeroizing::new(vec![0i64; order]);
    let mut weighed = plan.weighs_rows().then(|| Zeroizing::new(Vec::with_capacity(design.len())));
    for row in 0..own.rows() {
        let factor = own.weight(row) * rates[row];
        for (j, x) in own.entries(row).enumerate() {
            squares += factor * factor * x * x;
            let entry = match &mut weighed {
                Some(weighed) => {
                    let entry = fixed::encode(factor * x, fraction, plan.weighed_bits())? as i32;
                    weighed.push(entry);
                    entry
                }
                None => design[row * order + j],
            };
            sums[j] += i64::from(entry);
        }
    }
    let targets = (0..own.rows()).map(|row| own.weight(row) * own.target(row));
    let targets = Zeroizing::new(targets.collect::<Vec<f64>>());
    let constant = libm::ldexp(plan.link.constant as f64, -(E_FRACTION as i32));
    let linear = own
        .transposed(&targets)
        .iter()
        .zip(sums.iter())
        .map(|(target, &sum)| target - constant * libm::ldexp(sum as f64, -(fraction as i32)))
        .collect();
    Ok(Expected {
        coefficients,
        curvature,
        slopes,
        right,
        shifts,
        design: Arc::new(OwnRows::new(std::mem::take(&mut *design))),
        weighed: weighed.map(|mut rows| Arc::new(OwnRows::new(std::mem::take(&mut *rows)))),
        linear: Zeroizing::new(linear),
        squares,
    })
}

/// Reveals how large the joint curvature is, and chooses rings and scales. One round.
pub(super) async fn scales(
    plan: &RowsPlan,
    totals: Totals,
    expected: &Expected,
    session: &mut Session,
) -> Result<(Scales, f64), Error> {
    let rows = totals.weight * plan.order() as f64;
    let spread = match plan.settings.family {
        Family::Logistic => 1.0,
        Family::Poisson => totals.variance * totals.variance,
    };
    let units = [unit(rows * totals.variance), unit(rows * spread)];
    let own = Zeroizing::new([expected.curvature.trace(), expected.squares]);
    let sizes = sizes(SIZES, &own[..], &units, session).await?;
    let weight = (totals.weight, totals.variance);
    let scales = Scales::new(plan, weight, sizes[0], sizes[1]);
    Ok((scales.map_err(alike)?, sizes[1]))
}

/// A refusal that follows from what all parties know.
pub(super) fn alike(error: Error) -> Error {
    match error {
        Error::Settings(why) => Error::Unusable(why),
        Error::Protocol(mpc_core::Error::Range(why)) => Error::Unusable(why),
        other => other,
    }
}
