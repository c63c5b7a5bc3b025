//! JSON Schemas of `study.toml`, `party.toml` and `alignment.toml`, by which editors complete and check them. The program itself
//! checks more: the schema says which words there are and what they mean.

use serde_json::Value;

use crate::models::MODELS;
use crate::study::{INFERENCE, OUTPUT};

const STUDY: &str = include_str!("schema/study.json");
const PARTY: &str = include_str!("schema/party.json");
const ALIGNMENT: &str = include_str!("schema/alignment.json");
/// The settings of all models.
const SETTINGS: &str = include_str!("schema/settings.json");

/// The model whose settings stand in a table of their own.
const PRIVATE: &str = "private";

/// The tables of a study in which settings of its model may stand.
const TABLES: [&str; 3] = ["model", "training", "output"];

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// That of `party.toml`.
#[must_use]
pub fn party() -> Value {
    parsed(PARTY)
}

/// That of `alignment.toml`.
#[must_use]
pub fn alignment() -> Value {
    parsed(ALIGNMENT)
}

/// That of `study.toml`: with the settings of all models that there are.
#[must_use]
pub fn study() -> Value {
    let (mut schema, settings) = (parsed(STUDY), parsed(SETTINGS));
    for model in MODELS {
        // The kind is the study's own word.
        for name in model.settings().iter().filter(|name| **name != "kind") {
            let tables = match (model.name(), *name) {
                (PRIVATE, INFERENCE) => &[OUTPUT][..],
                (PRIVATE, _) => &["privacy"],
                _ => &TABLES,
            };
            for table in tables {
                let properties = &mut schema["properties"][*table]["properties"];
                properties[*name] = settings[*name].clone();
            }
        }
    }
    schema
}

#[cfg(test)]
pub(crate) mod testing {
    use std::collections::BTreeSet;

    use serde::Deserialize;
    use serde_json::Value;

    use crate::models::entry::fields_of;

    /// The fields of a structure are the properties at this place of a schema.
    pub(crate) fn same_fields<T: for<'de> Deserialize<'de>>(schema: &Value, place: &str) {
        let names = fields_of::<T>();
        assert!(!names.is_empty(), "{place}");
        let own: BTreeSet<&str> = names.iter().copied().collect();
        let properties = schema.pointer(place).unwrap_or_else(|| panic!("{place}"));
        let there = properties["properties"].as_object().unwrap_or_else(|| panic!("{place}"));
        let there: BTreeSet<&str> = there.keys().map(String::as_str).collect();
        assert_eq!(there, own, "{place}");
    }

    /// What of a value the schema does not allow: as much of JSON Schema as these schemas use.
    pub(crate) fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let mut all = Vec::new();
        let mut wrong = |what: &str| all.push(format!("{at}: {what}"));
        for key in schema.as_object().into_iter().flat_map(|object| object.keys()) {
            let known = [
                "$schema",
                "$defs",
                "$ref",
                "title",
                "description",
                "default",
                "type",
                "enum",
                "minimum",
                "maximum",
                "minItems",
                "maxItems",
                "items",
                "anyOf",
                "properties",
                "required",
                "additionalProperties",
                "pattern",
            ];
            if !known.contains(&key.as_str()) {
                wrong(&format!("the schema has {key}, which this test does not know"));
            }
        }
        match schema["type"].as_str() {
            Some("object") if !value.is_object() => wrong("no table"),
            Some("array") if !value.is_array() => wrong("no list"),
            Some("string") if !value.is_string() => wrong("no text"),
            Some("boolean") if !value.is_boolean() => wrong("not true or false"),
            Some("number") if !value.is_number() => wrong("no number"),
            Some("integer") if !value.is_i64() && !value.is_u64() => wrong("no whole number"),
            _ => {}
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            wrong("none of the words");
        }
        let number = value.as_f64().unwrap_or_default();
        if schema["minimum"].as_f64().is_some_and(|least| number < least)
            || schema["maximum"].as_f64().is_some_and(|most| number > most)
        {
            wrong("out of range");
        }
        let length = value.as_array().map_or(0, Vec::len) as u64;
        if schema["minItems"].as_u64().is_some_and(|least| length < least)
            || schema["maxItems"].as_u64().is_some_and(|most| length > most)
        {
            wrong("too few or too many");
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                wrong(&format!("{name} is missing"));
            }
        }
        if let Some(place) = schema["$ref"].as_str() {
            let Some(definition) = root.pointer(place.trim_start_matches('#')) else {
                panic!("{place}")
            };
            all.extend(faults(root, definition, value, at));
        }
        if let Some(ways) = schema["anyOf"].as_array()
            && !ways.iter().any(|way| faults(root, way, value, at).is_empty())
        {
            all.push(format!("{at}: fits in no way"));
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            all.extend(faults(root, &schema["items"], item, &format!("{at}[{index}]")));
        }
        for (key, entry) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{key}");
            match (schema["properties"].get(key), schema.get("additionalProperties")) {
                (Some(own), _) => all.extend(faults(root, own, entry, &at)),
                (None, Some(Value::Bool(false))) => all.push(format!("{at}: unknown")),
                (None, Some(rest)) => all.extend(faults(root, rest, entry, &at)),
                (None, None) => {}
            }
        }
        all
    }

    /// The faults of a text of TOML.
    pub(crate) fn of_toml(schema: &Value, text: &str) -> Vec<String> {
        let value: Value = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
        faults(schema, schema, &value, "")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_setting_of_a_model_is_described() {
        let settings = parsed(SETTINGS);
        let described: BTreeSet<&str> =
            settings.as_object().unwrap().keys().map(String::as_str).collect();
        let mut there: BTreeSet<&str> =
            MODELS.iter().flat_map(|model| model.settings()).copied().collect();
        there.remove("kind");
        assert_eq!(described, there);
        let solvers: BTreeSet<&str> = MODELS.iter().map(|model| model.name()).collect();
        let words = &study()["properties"]["training"]["properties"]["solver"]["enum"];
        let words: BTreeSet<&str> =
            words.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let modes = &study()["properties"]["training"]["properties"]["mode"]["enum"];
        let modes = modes.as_array().unwrap().iter().filter_map(Value::as_str);
        assert_eq!(modes.chain(words).collect::<BTreeSet<&str>>(), solvers);
    }
}
