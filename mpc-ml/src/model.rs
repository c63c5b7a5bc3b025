//! What every joint model has in common: settings, a plan from public facts, a fit on shares, a
//! release.
//!
//! A model is a folder of [`models`] and one type that implements [`Model`]. What
//! happens, in order, at every party alike:
//!
//! 1. [`Settings::validate`] and [`Model::suits`]: what the study says is in range and belongs
//!    together. Nothing is sent.
//! 2. [`Model::plan`]: every scale, ring, bound and step follows from the settings and the
//!    [`Facts`], and what could wrap or be seen through is refused. Nothing is sent.
//! 3. [`Agreed::among`]: all parties hold the same plan, or learn which field differs. One round.
//! 4. The ledger of the session is made from [`Plan::outputs`], the one list of what is revealed:
//!    checks and figures before the fit, the result after it.
//! 5. [`Model::fit`] gives shares of the result; [`Model::release`] reveals them. Between the two a
//!    caller may compute with the shares, or keep them.

mod agreed;
mod canonical;
mod facts;
mod orders;
mod output;
mod owners;
mod run;
mod summary;

use std::fmt;

use mpc_core::{Cost, Recipients};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use agreed::Agreed;
pub use canonical::Canonical;
pub use facts::{Facts, features};
pub(crate) use orders::Orders;
pub use output::{Output, OutputKind, ledger, steps};
pub(crate) use owners::Owners;
pub use run::{Progress, Run, Watched};
pub use summary::Summary;

use crate::artifact::{ModelKind, SolverRecord};
use crate::data::{Cut, Dataset, Schema};
use crate::error::Error;
use crate::models;

/// Masks have a place in the streams that is made for more than 64 bits; small studies are masked
/// by a few bits more than they need.
pub(crate) const LEAST_SIGMA: u32 = 53;

/// What a study says about a model: the only owner of these settings, of their defaults and of
/// their ranges. They are read by serde from whatever holds them.
pub trait Settings:
    Serialize + DeserializeOwned + Clone + fmt::Debug + PartialEq + Send + Sync + 'static
{
    /// Checks each setting by itself and those that must fit together.
    ///
    /// # Errors
    /// [`Error::Field`] with the setting and the rule.
    fn validate(&self) -> Result<(), Error>;

    /// The bound on the magnitude of encoded values; what is beyond is cut to it.
    fn clip(&self) -> f64;
}

/// A computation that is fixed from public facts before a share is sent. The fit takes no decision
/// from anywhere else, but from what it reveals to everybody.
pub trait Plan {
    /// Everything that may be revealed, in the order in which it is: the one list for the ledger of
    /// the session, the receipt, the words for those who approve a study, and the tests.
    fn outputs(&self) -> Vec<Output>;

    /// Everything that the parties must agree on: settings, facts, the version of the arithmetic.
    ///
    /// # Errors
    /// [`Error::Settings`] when a part cannot be written as bytes; not for plans of this crate.
    fn canonical(&self) -> Result<Canonical, Error>;

    /// What fit and release cost `me`, if every party receives all outputs: rounds, and bytes to
    /// each other party. What the making of correlations needs is not among them.
    fn cost(&self, me: usize) -> Cost;

    /// The figures of the plan, for people.
    fn figures(&self) -> Figures;

    /// How many times a fit offers its state ([`Run::checkpoint`]), if it takes as many steps as [`cost`](Self::cost)
    /// says: each is a round and 32 bytes to each other party where checkpoints are kept. None where a fit has
    /// no state worth keeping.
    fn checkpoints(&self) -> u64 {
        0
    }
}

/// What is said where a result cannot be checked against the rows that it was made of.
pub(crate) const UNCHECKED: &str = "not all parties receive the model, so they cannot check together that it is the model of their \
     rows: whoever receives it trusts that all kept to the protocol";

/// What is said where the parties hold columns, and nobody can compute anything of the model alone.
pub(crate) const UNCHECKED_COLUMNS: &str = "the parties hold different columns, so none of them can compute on its own how well the model fits \
     the rows: nothing checks that it is the model of these rows, and whoever receives it trusts that \
     all kept to the protocol";

/// The public figures of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Steps of the fit.
    #[serde(rename = "iterations")]
    pub steps: u64,
    /// Whether they are passes over all rows, of which there are at most so many: how many is found
    /// from what is revealed on the way.
    #[serde(rename = "iterations_are_at_most")]
    pub passes: bool,
    /// Rows of all parties that take no part.
    pub rows_dropped: u64,
    /// Bits of statistical masking of each opening that is not masked in its whole ring.
    pub sigma: u32,
    /// The largest error of the logistic function near zero and in its window, for models that
    /// compute it as a series.
    pub sigmoid_error: Option<(f64, f64)>,
    /// What the computation may do to the result, in sentences.
    pub precision: Vec<String>,
    /// What all parties know of the computation beside settings and numbers of rows, in words that
    /// continue a list.
    #[serde(skip)]
    pub public: Vec<String>,
    /// The settings that the accuracy follows from, in words that continue a list.
    #[serde(skip)]
    pub accuracy: Vec<String>,
}

/// A joint model. `Self` is a name without a value.
// A session lives on one thread, and so do the futures that use it.
#[allow(async_fn_in_trait)]
pub trait Model: 'static {
    /// What a study says.
    type Settings: Settings;
    /// What follows from it and from public facts.
    type Plan: Plan;
    /// This party's shares of the result.
    type Fitted;
    /// The result, as a party learns it that receives it.
    type Fit;

    /// The word that chooses the model, for example `sgd`. Unique among the models.
    const NAME: &'static str;
    /// Which predictions the model can make.
    const KINDS: &'static [ModelKind];

    /// Settings that the model once had and finds out by itself now, so that a study of then is told.
    const RETIRED: &'static [&'static str] = &[];

    /// The ways in which a table may be cut between the parties.
    const CUTS: &'static [Cut] = &[Cut::Horizontal];

    /// Whether each party can be given the coefficients of its own columns alone.
    const DIVIDES: bool = false;

    /// Whether it looks at case weights; a study that names them is refused else.
    const WEIGHS_ROWS: bool = false;

    /// Whether it looks at groups of rows; a study that names them is refused else.
    const GROUPS_ROWS: bool = false;

    /// Whether the columns of a study and the parties that receive the result suit the model, as
    /// far as that is known before there are rows. By itself: there are features and no offset, and
    /// no indicator would be cut.
    ///
    /// # Errors
    /// [`Error::Field`] with a setting, or with `features`, `target`, `offset` or `recipients`.
    fn suits(
        settings: &Self::Settings,
        schema: &Schema,
        _recipients: Recipients,
    ) -> Result<(), Error> {
        has_features(schema)?;
        if schema.offset().is_some() {
            return Err(Error::field("offset", "belongs to a Poisson model: remove it"));
        }
        passes_indicators(schema, settings.clip())
    }

    /// Plans the computation: scales, rings, bounds, steps. No round.
    ///
    /// # Errors
    /// [`Error::Field`] or [`Error::Settings`] with the rule and the numbers when something does
    /// not fit.
    fn plan(settings: &Self::Settings, facts: &Facts) -> Result<Self::Plan, Error>;

    /// Fits on shares. Reveals checks and figures of [`Plan::outputs`], and no part of the result: a
    /// run that ends in it may be repeated on the same rows.
    ///
    /// # Errors
    /// [`Error::Data`] when the rows do not fit the plan, before anything is sent;
    /// [`Error::NotConverged`] when a check fails, alike at all parties; network errors. After an
    /// error the source is dropped and not finished.
    async fn fit(
        plan: &Agreed<Self::Plan>,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Self::Fitted, Error>;

    /// Reveals the result to those who receive it; `None` to the others. `data` are the rows that
    /// were fitted.
    ///
    /// # Errors
    /// [`Error::NotConverged`] when a check fails, alike at all parties; network errors.
    async fn release(
        plan: &Agreed<Self::Plan>,
        fitted: Self::Fitted,
        data: &Dataset,
        run: &mut Run<'_>,
    ) -> Result<Option<Self::Fit>, Error>;

    /// What of a result is kept in a file and told to people.
    fn summary(plan: &Self::Plan, fit: Self::Fit) -> Summary;

    /// The model with its settings, as its file tells. By itself: the settings that the file has
    /// no other place for.
    fn record(settings: &Self::Settings) -> SolverRecord {
        SolverRecord::of(Self::NAME, settings)
    }
}

/// Refuses a study without features.
///
/// # Errors
/// [`Error::Field`] of `features`.
pub fn has_features(schema: &Schema) -> Result<(), Error> {
    if schema.features().is_empty() {
        return Err(Error::field("features", "are missing: this model has at least one"));
    }
    Ok(())
}

/// Refuses a table that is cut in a way that the model does not take, and says which models do.
///
/// # Errors
/// [`Error::Field`] of `partition`.
pub fn takes<M: Model>(cut: Cut) -> Result<(), Error> {
    if M::CUTS.contains(&cut) {
        return Ok(());
    }
    let takers = models::takers(cut);
    let instead = match takers.as_slice() {
        [] => "; no model takes such a table: each party must hold whole rows".to_owned(),
        takers => format!(", as those of {} may", takers.join(" and of ")),
    };
    let (name, how) = (M::NAME, cut.in_words());
    let rule = format!("is {cut}: the parties of a model by {name:?} cannot {how}{instead}");
    Err(Error::field("partition", rule))
}

/// Refuses to give each party its own coefficients for a model that reveals more than coefficients.
///
/// # Errors
/// [`Error::Field`] of `recipients`.
pub fn divides<M: Model>() -> Result<(), Error> {
    if M::DIVIDES {
        return Ok(());
    }
    let rule = format!(
        "cannot be \"own\" with the solver {:?}, which is only known to give the whole model: write \"all\" or \
         a list of parties, or use a solver that gives each party its own coefficients ({})",
        M::NAME,
        models::dividers().join(", ")
    );
    Err(Error::field("recipients", rule))
}

/// Refuses case weights and groups of rows for a model that does not look at them.
///
/// # Errors
/// [`Error::Field`] of `weights` or `groups`.
pub fn weighs_rows<M: Model>(schema: &Schema) -> Result<(), Error> {
    let given = [
        ("weights", schema.weights().is_some() && !M::WEIGHS_ROWS),
        ("groups", schema.groups().is_some() && !M::GROUPS_ROWS),
    ];
    match given.into_iter().find(|(_, refused)| *refused) {
        Some((field, _)) => {
            let rule = format!("have no place in a model by the solver {:?}: remove them", M::NAME);
            Err(Error::field(field, rule))
        }
        None => Ok(()),
    }
}

/// Refuses a bound that would cut levels and indicators, which are 0 or 1.
///
/// # Errors
/// [`Error::Field`] of `clip`.
pub fn passes_indicators(schema: &Schema, clip: f64) -> Result<(), Error> {
    let indicators = schema.features().iter().any(crate::data::Feature::has_indicators);
    if clip < 1.0 && indicators {
        let rule = "must be at least 1: levels and indicators are 0 or 1 and must pass uncut";
        return Err(Error::field("clip", rule));
    }
    Ok(())
}

/// Refuses a setting that is outside its range, or no number.
///
/// # Errors
/// [`Error::Field`] with the field and the range.
pub fn in_range(field: &str, value: f64, from: f64, to: f64) -> Result<(), Error> {
    if value.is_finite() && value >= from && value <= to {
        return Ok(());
    }
    Err(Error::field(field, format!("is {value}, and must be from {from} to {to}")))
}
