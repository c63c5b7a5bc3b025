//! How a model was trained, as its file tells.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// How a model was trained: public facts, and the checks that its parties saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingRecord {
    /// The method with its settings.
    pub solver: SolverRecord,
    /// Steps that were made.
    pub iterations: u64,
    /// Rows that took part, over all parties.
    pub rows_used: u64,
    /// Rows that did not fill a batch and were left out, over all parties.
    pub rows_dropped: u64,
    /// The bound on encoded values.
    pub clip: f64,
    /// What was checked before the model was revealed.
    pub checks: Vec<CheckRecord>,
    /// Who computed, and where the correlated randomness came from.
    pub security: SecurityRecord,
    /// Binary digits after the point of the released coefficients.
    pub release_bits: u32,
}

/// A model with the settings that the file has no other place for: `{"NAME": {..}}`.
#[derive(Clone, Debug, PartialEq)]
pub struct SolverRecord {
    /// The word that chose the model.
    pub name: String,
    /// Its settings by their names.
    pub settings: Map<String, Value>,
}

/// Settings that have a place of their own in the file.
const ELSEWHERE: [&str; 6] = ["kind", "intercept", "l2", "clip", "release_bits", "inference"];

impl SolverRecord {
    /// The settings of the model `name`, without those that stand elsewhere in the file.
    #[must_use]
    pub fn of<T: Serialize>(name: &str, settings: &T) -> Self {
        let mut settings = match serde_json::to_value(settings) {
            Ok(Value::Object(settings)) => settings,
            _ => Map::new(),
        };
        settings.retain(|key, value| !(ELSEWHERE.contains(&key.as_str()) || value.is_null()));
        Self { name: name.to_owned(), settings }
    }
}

impl Serialize for SolverRecord {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(1))?;
        map.serialize_entry(&self.name, &self.settings)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for SolverRecord {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let map = BTreeMap::<String, Map<String, Value>>::deserialize(from)?;
        let mut entries = map.into_iter();
        match (entries.next(), entries.next()) {
            (Some((name, settings)), None) => Ok(Self { name, settings }),
            _ => Err(D::Error::custom("a solver has one name and its settings")),
        }
    }
}

/// A figure that all parties saw, and the bound that it had to keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRecord {
    /// What was checked, in words.
    pub what: String,
    /// The figure.
    pub value: f64,
    /// The largest that was allowed.
    pub bound: f64,
}

/// Who computed, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityRecord {
    /// The parties, in the study's order.
    pub parties: Vec<String>,
    /// The source of correlated randomness, for example `dealer`.
    pub correlations: String,
}
