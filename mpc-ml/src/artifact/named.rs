//! Numbers by name, in order, written as a JSON object.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ModelError;

/// Numbers by name, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedValues(Vec<(String, f64)>);

impl NamedValues {
    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// The values, in order.
    pub fn values(&self) -> impl Iterator<Item = f64> {
        self.0.iter().map(|(_, value)| *value)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// The value called `name`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<f64> {
        self.iter().find(|(each, _)| *each == name).map(|(_, value)| value)
    }

    /// The sum of an encoded row, each entry times the value of its column.
    pub(super) fn times(&self, row: &ndarray::ArrayView1<'_, f64>) -> f64 {
        row.iter().zip(self.values()).map(|(x, w)| x * w).sum()
    }

    /// Refuses what are not finite numbers for these columns, in their order; `what` is their name.
    pub(super) fn check(&self, what: &'static str, columns: &[String]) -> Result<(), ModelError> {
        if !self.names().eq(columns.iter().map(String::as_str)) {
            return Err(ModelError::Columns { what });
        }
        if !self.values().all(f64::is_finite) {
            return Err(ModelError::NotFinite { what });
        }
        Ok(())
    }
}

impl FromIterator<(String, f64)> for NamedValues {
    fn from_iter<I: IntoIterator<Item = (String, f64)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Serialize for NamedValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for NamedValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = NamedValues;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of numbers, each name once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NamedValues, A::Error> {
        let mut seen = HashSet::new();
        let mut values = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, f64>()? {
            if !seen.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("{name:?} stands there twice")));
            }
            values.push((name, value));
        }
        Ok(NamedValues(values))
    }
}
