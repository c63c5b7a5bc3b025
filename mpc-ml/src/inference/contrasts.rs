//! Linear combinations of coefficients that a study declares: their variances, and nothing else of the
//! covariances (docs/protocols.md 8.6, Contrasts).

use std::collections::BTreeMap;

use mpc_core::ring::{Ring, Z128};
use mpc_core::{Fixed, Shared};
use serde::{Deserialize, Serialize};

use super::{Inverse, labels};
use crate::error::Error;
use crate::model::Run;

/// What the intercept is called.
const INTERCEPT: &str = "(intercept)";
/// Characters of a name, at most.
const LONGEST_NAME: usize = 60;
/// The largest weight is at most so many times the smallest.
const MOST_RATIO: f64 = 1e9;
/// Bits of public weights, where they fit, and with how few they are still used.
const WEIGHT_FRACTION: u32 = 40;
const LEAST_WEIGHT_FRACTION: u32 = 16;
/// The same for the correction of the inverse, which is small beside it.
const CORRECTION_FRACTION: u32 = 12;
const LEAST_CORRECTION_FRACTION: u32 = 6;
/// Bits of a revealed variance, in units in which it is not below 1/64.
const VARIANCE_FRACTION: u32 = 22;
/// The part of a variance that rounding may take, at most.
const MOST_ROUNDING: f64 = 2e-3;

/// A linear combination of coefficients that a study asks about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contrast {
    /// What it is called.
    pub name: String,
    /// What each coefficient on the scale of the data files is multiplied by: by the name of the
    /// encoded column, or `(intercept)`. The others have no part in it.
    pub weights: BTreeMap<String, f64>,
}

/// A combination, planned.
#[derive(Clone, Debug)]
pub(crate) struct ContrastPlan {
    pub(crate) name: String,
    /// A weight for each coefficient on the scale of the files, the intercept last.
    weights: Vec<f64>,
}

/// A combination of revealed coefficients.
#[derive(Clone, Debug, PartialEq)]
pub struct ContrastFit {
    /// What it is called.
    pub name: String,
    /// Its value.
    pub estimate: f64,
    /// Its standard error; none where rounding would show in it.
    pub std_error: Option<f64>,
}

fn wrong<T>(at: usize, rule: impl Into<String>) -> Result<T, Error> {
    Err(Error::field(format!("contrasts.{at}"), rule))
}

impl Contrast {
    /// Refuses combinations that say nothing, or the same twice.
    ///
    /// # Errors
    /// [`Error::Field`] of `contrasts.` and the place.
    pub(crate) fn validate(all: &[Self]) -> Result<(), Error> {
        for (at, own) in all.iter().enumerate() {
            let name = &own.name;
            if name.trim().is_empty() || name.chars().count() > LONGEST_NAME {
                return wrong(at, format!("needs a name of 1 to {LONGEST_NAME} characters"));
            }
            if name.chars().any(char::is_control) {
                return wrong(at, "has a name with a character that cannot be printed");
            }
            if all[..at].iter().any(|before| before.name == *name) {
                return wrong(at, format!("has the name {name:?} a second time"));
            }
            let sizes = || own.weights.values().map(|weight| weight.abs());
            if !sizes().all(f64::is_finite) {
                return wrong(at, "has a weight that is no finite number");
            }
            let largest = sizes().fold(0.0, f64::max);
            if largest == 0.0 {
                return wrong(at, "is nothing: all its weights are 0, or there are none");
            }
            if let Some((column, _)) = own.weights.iter().find(|(_, weight)| **weight == 0.0) {
                return wrong(at, format!("has the weight 0 for {column:?}: leave the column out"));
            }
            if largest > MOST_RATIO * sizes().fold(f64::INFINITY, f64::min) {
                let rule = format!("has a weight more than {MOST_RATIO:e} times another one");
                return wrong(at, rule);
            }
            if let Some(before) = all[..at].iter().find(|before| before.is_multiple_of(own)) {
                let rule = format!(
                    "is a multiple of {:?}, whose test is the same: leave one of them out",
                    before.name
                );
                return wrong(at, rule);
            }
        }
        Ok(())
    }

    fn is_multiple_of(&self, other: &Self) -> bool {
        let mut pairs = self.weights.values().zip(other.weights.values());
        let ratio = pairs.clone().next().map_or(0.0, |(own, other)| own / other);
        self.weights.keys().eq(other.weights.keys())
            && pairs.all(|(own, other)| (own - ratio * other).abs() <= 1e-12 * own.abs())
    }

    /// The combinations of these columns.
    ///
    /// # Errors
    /// [`Error::Field`] of `contrasts.` and the place, when a weight is for no column.
    pub(crate) fn plan(
        all: &[Self],
        columns: &[String],
        intercept: bool,
    ) -> Result<Vec<ContrastPlan>, Error> {
        let mut plans = Vec::with_capacity(all.len());
        for (at, own) in all.iter().enumerate() {
            let mut weights = vec![0.0; columns.len() + usize::from(intercept)];
            for (name, &weight) in &own.weights {
                let place = columns.iter().position(|column| column == name);
                let place = place.or((intercept && name == INTERCEPT).then_some(columns.len()));
                let Some(place) = place else { return wrong(at, unknown(name, columns)) };
                weights[place] = weight;
            }
            plans.push(ContrastPlan { name: own.name.clone(), weights });
        }
        Ok(plans)
    }
}

/// Why a name is no column.
fn unknown(name: &str, columns: &[String]) -> String {
    if name == INTERCEPT {
        return "has a weight for the intercept, and the model has none".to_owned();
    }
    let feature = name.split_once('=').map_or(name, |(feature, _)| feature);
    let levels: Vec<String> = columns
        .iter()
        .filter(|column| column.split_once('=').is_some_and(|(before, _)| before == feature))
        .map(|column| format!("{column:?}"))
        .collect();
    if levels.is_empty() {
        return format!("has a weight for {name:?}, which is no encoded column of the study");
    }
    format!(
        "has a weight for {name:?}, which has no coefficient: {feature:?} has {}. The coefficient of \
         its base is 0, so leave that out",
        levels.join(", ")
    )
}

impl ContrastPlan {
    /// The weights of the coefficients on the common scale, for columns with these means and standard
    /// deviations: those of the intercept on the scale of the files too.
    fn standardised(&self, scales: &[(f64, f64)]) -> Vec<f64> {
        let columns = scales.len().min(self.weights.len());
        let at_zero = self.weights.get(scales.len()).copied().unwrap_or(0.0);
        let slopes = self.weights.iter().zip(scales);
        let slopes = slopes.map(|(weight, (mean, std))| (weight - at_zero * mean) / std);
        slopes.chain(self.weights[columns..].iter().copied()).collect()
    }
}

/// a^T X a for public weights that are rounded to so many bits.
fn form(x: &Fixed, weights: &[f64], bits: u32) -> Result<Fixed, Error> {
    let (share, ring, fraction) = x.parts();
    let rounded: Vec<i128> =
        weights.iter().map(|a| libm::rint(libm::ldexp(*a, bits as i32)) as i128).collect();
    let mut sum = Z128::ZERO;
    for (row, a) in share.as_slice().chunks(rounded.len().max(1)).zip(&rounded) {
        for (entry, b) in row.iter().zip(&rounded).filter(|_| *a != 0) {
            sum += *entry * Z128::from_i128(a * b);
        }
    }
    Ok(Fixed::new(Shared::column(vec![sum]), ring, fraction + 2 * bits)?)
}

/// Bits that are dropped of a variance where it is revealed, for an inverse with so many.
pub(super) fn dropped(inverse_fraction: u32) -> u32 {
    inverse_fraction + 2 * WEIGHT_FRACTION - VARIANCE_FRACTION
}

/// Reveals the variance of each combination of the coefficients `w`: one round each. Columns have
/// these `scales`; covariances are those of the inverse's unit times `dispersion`.
pub(crate) async fn reveal(
    plans: &[ContrastPlan],
    inverse: &Inverse<'_>,
    (w, dispersion): (&[f64], f64),
    scales: &[(f64, f64)],
    run: &mut Run<'_>,
) -> Result<Vec<ContrastFit>, Error> {
    let mut found = Vec::with_capacity(plans.len());
    for plan in plans {
        let weights = plan.standardised(scales);
        let estimate = weights.iter().zip(w).map(|(a, w)| a * w).sum();
        let variance = variance(&plan.name, &weights, inverse, run).await?;
        let std_error = variance.map(|v| libm::sqrt(v / inverse.unit * dispersion));
        found.push(ContrastFit { name: plan.name.clone(), estimate, std_error });
    }
    Ok(found)
}

async fn variance(
    name: &str,
    weights: &[f64],
    inverse: &Inverse<'_>,
    run: &mut Run<'_>,
) -> Result<Option<f64>, Error> {
    let Inverse { x, correction, diagonal, .. } = inverse;
    let parties = run.session.parties();
    // The largest weight is from 1/2 to 1.
    let largest = weights.iter().fold(0.0f64, |most, a| most.max(a.abs()));
    if !(largest > 0.0 && largest.is_finite() && diagonal.iter().all(|entry| *entry > 0.0)) {
        return Ok(None);
    }
    let exponent = libm::ilogb(largest) + 1;
    let weights: Vec<f64> = weights.iter().map(|a| libm::ldexp(*a, -exponent)).collect();
    let above = inverse.above(parties);
    let roots = || diagonal.iter().map(|entry| libm::sqrt(entry + above));
    // By Cauchy and Schwarz the variance is at most the square of this.
    let reach: f64 = weights.iter().zip(roots()).map(|(a, root)| a.abs() * root).sum();
    let size = libm::ceil(2.0 * libm::log2(reach)).max(0.0) as i64;
    let fits = |value: &Fixed, most: u32| {
        let room = i64::from(value.ring()) - 2 - i64::from(value.fraction()) - size;
        u32::try_from(room / 2).unwrap_or(0).min(most)
    };
    let bits = fits(x, WEIGHT_FRACTION);
    let finer = correction.as_ref().map(|part| fits(part, CORRECTION_FRACTION));
    if bits < LEAST_WEIGHT_FRACTION || finer.is_some_and(|bits| bits < LEAST_CORRECTION_FRACTION) {
        return Ok(None);
    }
    let mut total = form(x, &weights, bits)?.truncate(VARIANCE_FRACTION, run.session)?;
    if let (Some(part), Some(bits)) = (correction, finer) {
        let part = form(part, &weights, bits)?.truncate(VARIANCE_FRACTION, run.session)?;
        total = total.plus(&part)?;
    }
    let label = labels::contrast(name);
    let told = run.session.reveal_fixed(&label, &total, VARIANCE_FRACTION).await?;
    let told = told.and_then(|values| values.first().copied());
    let told = told.ok_or_else(|| Error::untold(&label))?;
    // The rounding of weights, of entries and of sums.
    let moved: f64 = libm::ldexp(roots().sum(), -(bits as i32) - 1);
    let sum: f64 = weights.iter().map(|a| a.abs()).sum();
    let parties = parties as f64;
    let entries = parties * sum * sum * libm::ldexp(1.0, -(x.fraction() as i32));
    let sums = 3.0 * parties * libm::ldexp(1.0, -(VARIANCE_FRACTION as i32));
    let rounding = 2.0 * moved * libm::sqrt(told.max(0.0)) + entries + sums;
    Ok((rounding <= MOST_ROUNDING * told).then(|| libm::ldexp(told, 2 * exponent)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contrast(name: &str, weights: &[(&str, f64)]) -> Contrast {
        let weights = weights.iter().map(|(column, weight)| ((*column).to_owned(), *weight));
        Contrast { name: name.to_owned(), weights: weights.collect() }
    }

    #[test]
    fn what_says_nothing_is_refused_with_its_place() {
        let good = contrast("b beside c", &[("ward=b", 1.0), ("ward=c", -1.0)]);
        for (bad, why) in [
            (contrast("", &[("age", 1.0)]), "contrasts.1 needs a name"),
            (contrast("b beside c", &[("age", 1.0)]), "a second time"),
            (contrast("none", &[]), "contrasts.1 is nothing"),
            (contrast("zero", &[("age", 0.0)]), "is nothing"),
            (contrast("a zero", &[("age", 0.0), ("ward=b", 1.0)]), "leave the column out"),
            (contrast("no number", &[("age", f64::NAN)]), "no finite number"),
            (contrast("far", &[("age", 1e-9), ("ward=b", 3.0)]), "times another one"),
            (
                contrast("the same", &[("ward=b", -2.0), ("ward=c", 2.0)]),
                "is a multiple of \"b beside c\"",
            ),
        ] {
            let all = [good.clone(), bad];
            let error = Contrast::validate(&all).expect_err(why).to_string();
            assert!(error.contains(why), "{error}");
        }
        let other = contrast("c alone", &[("ward=c", 1.0)]);
        assert!(Contrast::validate(&[good, other]).is_ok());
    }

    #[test]
    fn names_that_are_no_columns_are_told_what_there_is() {
        let columns = ["age", "ward=b", "ward=c"].map(str::to_owned);
        for (name, why) in [
            ("height", "which is no encoded column"),
            ("ward", "\"ward\" has \"ward=b\", \"ward=c\""),
            ("ward=a", "The coefficient of its base is 0"),
            ("(intercept)", "the model has none"),
        ] {
            let own = [contrast("one", &[(name, 1.0)])];
            let error = Contrast::plan(&own, &columns, false).expect_err(why).to_string();
            assert!(error.starts_with("contrasts.0 ") && error.contains(why), "{error}");
        }
        let own = [contrast("at 50", &[("age", 50.0), ("(intercept)", 1.0)])];
        let plans = Contrast::plan(&own, &columns, true).expect("are columns");
        // 1 + 50 (w / 4) + (b - w 30 / 4): what the intercept on the scale of the files takes off.
        let weights = plans[0].standardised(&[(30.0, 4.0), (0.0, 1.0), (0.0, 1.0)]);
        assert_eq!(weights, [5.0, 0.0, 0.0, 1.0]);
    }
}
