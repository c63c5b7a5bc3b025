//! What a plan of a linear regression refuses, in words.

use super::LinearSettings;
use super::encoding::Encoding;
use crate::data::Cut;
use crate::error::Error;
use crate::inference::Robust;
use crate::model::{Facts, in_range};

/// Each party computes its own part of the sums of squares from the coefficients, so it must have
/// them.
pub(super) fn sums_for_all(settings: &LinearSettings, for_all: bool) -> Result<(), Error> {
    if settings.inference && !for_all {
        let rule = "are not all parties, and with inference they must be: each party computes its \
                    own part of the sums of squares from the coefficients";
        return Err(Error::field("recipients", rule));
    }
    Ok(())
}

/// Refuses what needs whole rows, for parties that hold columns.
fn check_columns(settings: &LinearSettings, facts: &Facts) -> Result<(), Error> {
    if facts.cut() != Cut::Vertical {
        return Ok(());
    }
    if settings.robust != Robust::None {
        let rule = "needs the residual of each row beside all its columns, which no party has where the \
                    parties hold different columns: set robust = \"none\"";
        return Err(Error::field("robust", rule));
    }
    if !settings.contrasts.is_empty() {
        let rule = "need the scales of all columns, and where the parties hold different columns each \
                    knows those of its own alone: remove them";
        return Err(Error::field("contrasts", rule));
    }
    if facts.groups {
        let rule = "are for robust standard errors, which there are not where the parties hold different \
                    columns: remove them";
        return Err(Error::field("groups", rule));
    }
    Ok(())
}

pub(super) fn check(
    settings: &LinearSettings,
    facts: &Facts,
    encoding: &Encoding,
) -> Result<(), Error> {
    check_columns(settings, facts)?;
    in_range("features", facts.columns() as f64, 1.0, 2000.0)?;
    for &square in &facts.mean_squares {
        in_range("mean_squares", square, 0.0, settings.clip * settings.clip)?;
    }
    let (low, high) = encoding.target;
    in_range("target.range", low, -1e15, 1e15)?;
    in_range("target.range", high, -1e15, 1e15)?;
    if encoding.target_scale().1 <= 0.0 || low >= high {
        return Err(Error::field("target.range", format!("is from {low} to {high}")));
    }
    if facts.offset.is_some() || facts.weights.is_some() {
        let rule = "have offsets or weights, for which a linear model has no place";
        return Err(Error::field("rows", rule));
    }
    settings.asked().fits(facts)?;
    if facts.own && settings.inference {
        let rule = "needs coefficients that all parties have, and with model = \"own\" each has those of \
                    its own columns: set inference = false, or model = \"all\"";
        return Err(Error::field("inference", rule));
    }
    sums_for_all(settings, facts.for_all())?;
    let (rows, weights) = (facts.total_rows(), encoding.weights());
    if settings.inference && rows <= weights as u64 {
        let rule = format!(
            "are {rows}, which leaves nothing to estimate the variance of {weights} coefficients from"
        );
        return Err(Error::field("rows", rule));
    }
    Ok(())
}
