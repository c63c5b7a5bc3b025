//! The models that a study can name, and one way through all of them.
//!
//! A model of `mpc-ml` has types of its own for settings, plan and shares; a node that reads which one
//! it is from a file goes through the same steps with them behind these traits, in this order:
//! [`Registered`], [`Chosen`], [`Planned`], [`Ready`], [`Shares`]. Each step gives the next one.

pub(crate) mod entry;

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;

use mpc_core::{Against, Cost, Recipients, Session};
use mpc_ml::artifact::{ModelKind, SolverRecord};
use mpc_ml::data::{Cut, Dataset, Schema};
use mpc_ml::federated::Federated;
use mpc_ml::model::{Facts, Figures, Output, Run, Summary};
use mpc_ml::models::glm::Glm;
use mpc_ml::models::linear::Linear;
use mpc_ml::models::mean::Mean;
use mpc_ml::models::private::Private;
use mpc_ml::models::sgd::Sgd;
use mpc_ml::{Error, Model};
use serde::Serialize;
use serde_json::Value;
use toml::de::ValueDeserializer;

use entry::Entry;

/// The models. One line each.
pub const MODELS: &[&dyn Registered] = &[
    // linear
    &Entry::<Linear>::NEW,
    &Entry::<Mean>::NEW,
    // logistic, Poisson
    &Entry::<Glm>::NEW,
    &Entry::<Sgd>::NEW,
    // all of them, with differential privacy
    &Entry::<Private>::NEW,
    // linear, logistic, multinomial, on sums of what parties compute in the clear
    &Entry::<Federated>::NEW,
];

/// Work of one node, on the one thread that a session lives on.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + 'a>>;

/// A model that a study can name.
pub trait Registered: Sync {
    /// The word for it.
    fn name(&self) -> &'static str;

    /// Which predictions it can make.
    fn kinds(&self) -> &'static [ModelKind];

    /// The names of its settings.
    fn settings(&self) -> &'static [&'static str];

    /// Settings that it once had.
    fn retired(&self) -> &'static [&'static str];

    /// Reads its settings, and checks each by itself.
    ///
    /// # Errors
    /// When they are not its settings; the inner error when one breaks a rule.
    fn read(
        &self,
        settings: ValueDeserializer<'_>,
    ) -> Result<Result<Box<dyn Chosen>, Error>, toml::de::Error>;
}

/// A model with its settings.
pub trait Chosen: fmt::Debug + Send + Sync {
    /// The word for the model.
    fn name(&self) -> &'static str;

    /// The settings by their names.
    fn settings(&self) -> Value;

    /// The settings themselves, for who knows their type.
    fn as_any(&self) -> &dyn Any;

    /// The bound to which encoded values are cut.
    fn clip(&self) -> f64;

    /// What the model file tells of it.
    fn record(&self) -> SolverRecord;

    /// Whether it takes a table that is cut this way, and gives each party its own coefficients where that
    /// is wanted; see [`Model::suits`] for the rest.
    ///
    /// # Errors
    /// With the field that does not fit.
    fn suits(&self, how: (Cut, bool), schema: &Schema, recipients: Recipients)
    -> Result<(), Error>;

    /// See [`Model::plan`].
    ///
    /// # Errors
    /// With the field or the numbers that do not fit.
    fn plan(&self, facts: &Facts) -> Result<Box<dyn Planned>, Error>;
}

/// A plan.
pub trait Planned {
    /// The one list of what it reveals.
    fn outputs(&self) -> Vec<Output>;

    /// Its figures.
    fn figures(&self) -> Figures;

    /// What it costs the party in this place.
    fn cost(&self, me: usize) -> Cost;

    /// How often the state of its fit is kept.
    fn checkpoints(&self) -> u64 {
        0
    }

    /// Compares it with the other parties. One round.
    fn agree<'a>(self: Box<Self>, session: &'a mut Session) -> Work<'a, Box<dyn Ready>>;
}

/// A plan that all parties agreed on.
pub trait Ready {
    /// A digest of what was agreed on.
    fn digest(&self) -> [u8; 32];

    /// See [`Model::fit`].
    fn fit<'a>(
        self: Box<Self>,
        data: &'a Dataset,
        run: &'a mut Run<'_>,
    ) -> Work<'a, Box<dyn Shares>>;
}

/// A fit that was not revealed yet.
pub trait Shares {
    /// See [`Model::release`].
    fn release<'a>(
        self: Box<Self>,
        data: &'a Dataset,
        run: &'a mut Run<'_>,
    ) -> Work<'a, Option<Summary>>;
}

/// What a party sends to each other one when the state of a fit is kept: a commitment.
const STATE_BYTES: u64 = 32;

/// The public figures of a plan, for a party of a study.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// What the plan says.
    #[serde(flatten)]
    pub figures: Figures,
    /// Rounds from the first to the last message of the method.
    pub rounds: u64,
    /// Bytes that a party sends in them, if all receive the model; what the making of correlated
    /// randomness needs is not among them.
    pub bytes_sent: u64,
}

impl Account {
    /// The figures for the party in this place, in a session that protects `against` these.
    #[must_use]
    pub fn of(plan: &dyn Planned, me: usize, against: Against) -> Self {
        let cost = plan.cost(me);
        // A node keeps the states of its fits.
        let states = Cost::to_all(me, cost.bytes.len(), 1, STATE_BYTES) * plan.checkpoints();
        let cost = (cost + states).under(against, me);
        Self { figures: plan.figures(), rounds: cost.rounds, bytes_sent: cost.sent() }
    }
}

/// The model of this kind and name.
#[must_use]
pub fn find(kind: ModelKind, name: &str) -> Option<&'static dyn Registered> {
    let mut all = MODELS.iter().copied();
    all.find(|model| model.name() == name && model.kinds().contains(&kind))
}

/// The settings of a model as its own type, if it is that one.
#[must_use]
pub fn settings_of<M: Model>(chosen: &dyn Chosen) -> Option<&M::Settings> {
    chosen.as_any().downcast_ref()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_model_has_words_and_settings_of_its_own() {
        let names: BTreeSet<_> = MODELS
            .iter()
            .flat_map(|model| model.kinds().iter().map(|kind| format!("{kind:?} {}", model.name())))
            .collect();
        let count: usize = MODELS.iter().map(|model| model.kinds().len()).sum();
        assert_eq!(names.len(), count, "a pair of words is taken twice: {names:?}");
        for model in MODELS {
            assert!(!model.settings().is_empty(), "{} has no settings", model.name());
            assert!(model.kinds().iter().all(|&kind| find(kind, model.name()).is_some()));
        }
        assert!(find(ModelKind::Linear, "sgd").is_none());
        let sgd = find(ModelKind::Logistic, "sgd").unwrap();
        assert!(sgd.settings().contains(&"learning_rate"));
    }
}
