//! How well a model predicts test records whose columns are at different parties (docs/protocols.md 17.5).
//!
//! Each party computes what its own part of the model adds to the score of each record. These numbers *are* shares of
//! the scores, of which no function is opened row by row: sums over all records are, made on shares.
//!
//! ```text
//! ColumnsPlan::new   what is revealed, and what it costs: public facts alone
//! compute            how large and how small a score may be (REVEALED); then the sums, on shares
//! release            the sums (REVEALED)
//! ```

mod classes;
mod numbers;
mod own;
mod results;
mod smooth;

#[cfg(test)]
mod tests;

use mpc_core::correlations::{Correlations, Origin};
use mpc_core::{Cost, Fixed, Recipients};
use zeroize::Zeroizing;

pub use results::{
    ClassFigures, ColumnsEvaluation, ColumnsFigures, CountFigures, CurveFigures, NumberFigures,
};

use crate::artifact::{ModelKind, ModelPart};
use crate::data::{Schema, Table, Target};
use crate::error::Error;
use crate::model::{Output, Run};
use classes::Classes;
use numbers::{Counts, Numbers};
use own::{FRACTION, Own};

/// How large and how small a score can be.
pub const RANGE: &str = "evaluate/range of the scores";
/// The result.
pub const SUMS: &str = "evaluate/sums over the records";

/// Fractional bits of the bounds of scores, and the largest that is told.
const RANGE_FRACTION: u32 = 3;
const LARGEST: f64 = 65_536.0;
/// Fractional bits of placed scores.
const PLACED: u32 = 40;
/// Records at least, and at most.
const LEAST: u64 = 30;
const MOST: u64 = 1 << 21;
/// What costs are told for, before the bounds are known.
const USUAL: (f64, f64) = (-8.0, 8.0);

/// An evaluation, planned.
#[derive(Clone, Debug)]
pub struct ColumnsPlan {
    kind: ModelKind,
    /// The range of the target, of numbers.
    range: (f64, f64),
    records: u64,
    of: (Origin, usize),
}

/// How the sums are made.
enum How {
    Classes(Box<Classes>),
    Numbers(Numbers),
    Counts(Box<Counts>),
}

/// This party's share of the sums.
pub struct ColumnsTested {
    how: How,
    /// Between what scores may be.
    scores: (f64, f64),
    study: String,
    share: Fixed,
}

impl ColumnsPlan {
    /// For a study with this kind and these columns, and so many records.
    ///
    /// # Errors
    /// [`Error::Field`] or [`Error::Settings`] with what does not fit.
    pub fn new(
        (kind, schema): (ModelKind, &Schema),
        records: u64,
        (origin, parties): (Origin, usize),
    ) -> Result<Self, Error> {
        let range = match schema.target() {
            Target::Numeric(target) => target.range.ok_or_else(|| {
                let rule = "is missing: squared errors are summed in units of it";
                Error::field("target.range", rule)
            })?,
            _ => (0.0, 1.0),
        };
        if kind == ModelKind::Multinomial {
            let rule = "has no model by columns to be evaluated";
            return Err(Error::field("kind", rule));
        }
        if !(LEAST..=MOST).contains(&records) {
            return Err(Error::Settings(format!(
                "{records} test records; sums over fewer than {LEAST} would tell of single ones, and more than \
                 {MOST} do not fit"
            )));
        }
        Ok(Self { kind, range, records, of: (origin, parties) })
    }

    /// What is revealed.
    #[must_use]
    pub fn outputs(&self) -> Vec<Output> {
        let mut list = Vec::new();
        if self.kind != ModelKind::Linear {
            list.push(Output::figure(
                RANGE,
                "how large and how small the score of a test record can be at most: the sum over the parties of \
                 the largest part that its columns have in one, and of the smallest, in steps of 1/8",
                "functions of scores are computed as series that are right between two bounds. Between two parties \
                 each learns the other's largest and smallest part",
            ));
        }
        let (what, why) = match self.kind {
            ModelKind::Linear | ModelKind::Multinomial => (
                "the sums over all test records of the errors and of the squared errors, and of the squared \
                 deviations of the targets from their mean",
                "R2 and the mean squared error follow from them. The last is a figure of the party that has the \
                 target",
            ),
            ModelKind::Logistic => (
                "how many test records are positive, and how many are on their side of the probability 1/2; the \
                 sums over all test records of the log loss and of the squared error of the probability; the area \
                 under the ROC curve",
                "they are the purpose of the evaluation. How many are positive is a figure of the party that has \
                 the target",
            ),
            ModelKind::Poisson => (
                "the sums over all test records of the counts, of the expected counts and of the deviance, and the \
                 deviance of one rate for all",
                "they are the purpose of the evaluation. The counts and the deviance of one rate are figures of \
                 the party that has the target",
            ),
        };
        list.push(Output::result(
            SUMS,
            Recipients::All,
            what,
            format!("{why}. Sums over few records tell of each, so there are {LEAST} at least"),
        ));
        list
    }

    /// How precise it is, in words.
    #[must_use]
    pub fn precision(&self) -> Vec<String> {
        vec![match self.kind {
            ModelKind::Linear | ModelKind::Multinomial => {
                "squared errors are exact but for the rounding of residuals to 2^-30 of half the target's range"
            }
            ModelKind::Logistic => {
                "losses are right to some 10^-4 a record, with noise that the result names; the area under the \
                 curve tells scores apart that are a twentieth of their range from each other"
            }
            ModelKind::Poisson => "the deviance has noise, which the result names",
        }
        .to_owned()]
    }

    /// What it costs, but for the making of correlations: for scores from -8 to 8, as far as that makes a difference.
    #[must_use]
    pub fn cost(&self, me: usize) -> Cost {
        self.cost_at(me, USUAL)
    }

    /// The same for scores between these bounds.
    fn cost_at(&self, me: usize, scores: (f64, f64)) -> Cost {
        let Ok(how) = self.how(scores) else { return Cost::to_all(me, self.of.1, 0, 0) };
        let range = u64::from(self.kind != ModelKind::Linear);
        let parties = self.of.1;
        let own = match &how {
            How::Classes(how) => how.cost(me, parties),
            How::Numbers(how) => how.cost(me, parties),
            How::Counts(how) => how.cost(me, parties),
        };
        own + Cost::to_all(me, parties, range, 32 * range).results(range)
    }

    fn how(&self, scores: (f64, f64)) -> Result<How, Error> {
        let rows = self.records as usize;
        Ok(match self.kind {
            ModelKind::Linear | ModelKind::Multinomial => {
                How::Numbers(Numbers::new(rows, self.range))
            }
            ModelKind::Logistic => How::Classes(Box::new(Classes::new(rows, scores, self.of)?)),
            ModelKind::Poisson => How::Counts(Box::new(Counts::new(rows, scores, self.of)?)),
        })
    }
}

/// The sums on shares. Reveals [`RANGE`], but for a linear model. `part` is this party's part of the model, and `table` has its columns of the
/// test records, with the target at its holder.
///
/// Nothing else may have been ordered from the source of `run` before.
///
/// # Errors
/// [`Error::Data`] when the own rows do not fit, before anything of them is sent; network errors.
pub async fn compute(
    plan: &ColumnsPlan,
    part: &ModelPart,
    table: &Table,
    run: &mut Run<'_>,
) -> Result<ColumnsTested, Error> {
    if table.rows() as u64 != plan.records || part.kind() != plan.kind {
        return Err(Error::Data("the test records are not those of the plan".to_owned()));
    }
    let own = Own::new(part, table)?;
    let mut scores = USUAL;
    if plan.kind != ModelKind::Linear {
        // Upwards, so that the sum is a bound.
        let steps = libm::ldexp(1.0, RANGE_FRACTION as i32);
        let up = |part: f64| libm::ceil(part.clamp(-LARGEST, LARGEST) * steps) / steps;
        let most =
            |sign: f64| own.scores.iter().map(|z| sign * z).fold(f64::NEG_INFINITY, f64::max);
        let ends = Zeroizing::new([up(most(1.0)), up(most(-1.0))]);
        let share = Fixed::own_part(&ends[..], 2, 1, RANGE_FRACTION)?;
        let told = run.session.reveal_fixed(RANGE, &share, RANGE_FRACTION).await?;
        let told = told.ok_or_else(|| Error::untold(RANGE))?;
        scores = (-told[1], told[0]);
    }
    let how = plan.how(scores)?;
    let from = &mut Correlations::new(&mut *run.source)?;
    let share = match &how {
        How::Classes(how) => how.shares(&own, from, run.session).await?,
        How::Numbers(how) => how.shares(&own, from, run.session).await?,
        How::Counts(how) => how.shares(&own, from, run.session).await?,
    };
    Ok(ColumnsTested { how, scores, study: part.study().to_owned(), share })
}

/// Reveals [`SUMS`].
///
/// # Errors
/// Network errors.
pub async fn release(
    plan: &ColumnsPlan,
    tested: ColumnsTested,
    run: &mut Run<'_>,
) -> Result<ColumnsEvaluation, Error> {
    let ColumnsTested { how, scores: (low, high), study, share } = tested;
    let told = run.session.reveal_fixed(SUMS, &share, FRACTION).await?;
    let told = told.ok_or_else(|| Error::untold(SUMS))?;
    let records = plan.records as f64;
    let figures = match how {
        How::Classes(how) => {
            let curves = how.noise().map(|noise| (noise, smooth::resolution(high - low)));
            ColumnsFigures::Logistic(ClassFigures::new(&told, records, curves))
        }
        How::Numbers(how) => ColumnsFigures::Linear(NumberFigures::new(&told, records, how.unit)),
        How::Counts(how) => ColumnsFigures::Poisson(CountFigures::new(&told, records, how.noise())),
    };
    Ok(ColumnsEvaluation { kind: plan.kind, study, records: plan.records, figures })
}
