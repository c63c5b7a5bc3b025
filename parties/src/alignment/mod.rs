//! `alignment.toml`: whose records are aligned, and by which ids (docs/protocols.md 11).
//!
//! The same bytes at every party; their digest is the alignment's name.

mod ids;
mod name;
mod rules;

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use mpc_core::align::Terms;
use serde::Deserialize;

use crate::exit::{Exit, Failure};
use crate::input;
use crate::name::PartyName;
use crate::study::place::{Field, line_at};

pub use ids::{OwnIds, read_ids};
pub use name::{AlignmentName, NoAlignment};
pub use rules::Rule;
use rules::{Encoder, IdColumn};

const VERSION: i64 = 1;

/// The largest file; far above any real one.
const MAX_BYTES: u64 = 1 << 20;

/// Parties that an alignment is for: the work of each grows with their square.
const MAX_PARTIES: usize = 7;

/// The most ids of a party: half of what a record's number counts to.
const MAX_IDS: u64 = 1 << 31;

/// What is done when an id comes twice in a party's file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplicates {
    /// The alignment is refused.
    #[default]
    Refuse,
    /// The first row counts.
    First,
    /// The last row counts.
    Last,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    version: i64,
    title: String,
    parties: Vec<PartyName>,
    most: Vec<u64>,
    least: u64,
    #[serde(default)]
    duplicates: Duplicates,
    #[serde(default)]
    test_ids: Vec<Vec<String>>,
    id: Vec<IdColumn>,
}

/// The terms of an alignment, checked.
#[derive(Clone)]
pub struct Alignment {
    name: AlignmentName,
    text: String,
    title: String,
    parties: Vec<PartyName>,
    terms: Terms,
    duplicates: Duplicates,
    encoder: Encoder,
    test_ids: Vec<Vec<String>>,
}

impl fmt::Debug for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alignment({})", self.name())
    }
}

impl Alignment {
    /// Reads the file.
    ///
    /// # Errors
    /// When it cannot be read, or breaks a rule; with the line.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let refused = |what: String| Failure::new(Exit::Configuration, what).in_file(path);
        let cannot = |error| refused(format!("the alignment cannot be read: {error}"));
        let mut bytes = Vec::new();
        let file = input::open(path).map_err(cannot)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(cannot)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(refused("the file is longer than any alignment".to_owned()));
        }
        Self::from_bytes(&bytes).map_err(refused)
    }

    /// From the bytes of its file.
    ///
    /// # Errors
    /// The rule that it breaks, with the line.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes)
            .map_err(|_| "the alignment is not UTF-8 text; save it as UTF-8".to_owned())?;
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| format!("line {}: ", line_at(text, span.start)));
            format!("{}{}", line.unwrap_or_default(), error.message())
        })?;
        Self::check(text, raw).map_err(|(field, rule)| {
            let line = field.line(text).map(|line| format!("line {line}: "));
            format!("{}{field} {rule}", line.unwrap_or_default())
        })
    }

    fn check(text: &str, raw: Raw) -> Result<Self, (Field, String)> {
        let refuse = |field: &str, rule: String| Err((Field::from(field), rule));
        if raw.version != VERSION {
            let rule = format!("is {}, and this program reads version {VERSION}", raw.version);
            return refuse("version", rule);
        }
        if raw.title.trim().is_empty() || raw.title.len() > 200 {
            return refuse("title", "must say in 1 to 200 bytes what is aligned".to_owned());
        }
        let parties = raw.parties.len();
        if !(2..=MAX_PARTIES).contains(&parties) {
            return refuse(
                "parties",
                format!("must be 2 to {MAX_PARTIES}, and there are {parties}"),
            );
        }
        let twice = (0..parties).find(|&at| raw.parties[..at].contains(&raw.parties[at]));
        if let Some(at) = twice {
            return Err((Field::from("parties").item(at), "is there twice".to_owned()));
        }
        if raw.most.len() != parties {
            let rule = format!(
                "must have a number for each of the {parties} parties in their order: the most ids that it \
                 may have"
            );
            return refuse("most", rule);
        }
        if let Some(at) = raw.most.iter().position(|most| !(1..=MAX_IDS).contains(most)) {
            return Err((Field::from("most").item(at), format!("must be from 1 to {MAX_IDS}")));
        }
        let smallest = raw.most.iter().min().copied().unwrap_or(0);
        if raw.least > smallest {
            let rule = format!("is {}, and a party may have {smallest} ids only", raw.least);
            return refuse("least", rule);
        }
        let encoder = Encoder::new(raw.id)?;
        let columns = encoder.columns().count();
        if let Some(at) = raw.test_ids.iter().position(|id| id.len() != columns) {
            let rule = format!("must have {columns} cells, one for each [[id]]");
            return Err((Field::from("test_ids").item(at), rule));
        }
        let written = encoder.of_file(&BTreeMap::new());
        for (at, id) in raw.test_ids.iter().enumerate() {
            let cells: Vec<&str> = id.iter().map(String::as_str).collect();
            if let Err((cell, rule)) = written.parts(&cells) {
                let field = Field::from("test_ids").item(at);
                return Err((field, format!("cannot be encoded: in place {}, {rule}", cell + 1)));
            }
        }
        Ok(Self {
            name: AlignmentName::of(text.as_bytes()),
            text: text.to_owned(),
            title: raw.title,
            parties: raw.parties,
            terms: Terms { bounds: raw.most, least: raw.least },
            duplicates: raw.duplicates,
            encoder,
            test_ids: raw.test_ids,
        })
    }

    /// The name: the digest of the file.
    #[must_use]
    pub fn name(&self) -> AlignmentName {
        self.name
    }

    /// The text of the file.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The columns that an id is made of.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.encoder.columns()
    }

    /// What is aligned.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Who takes part, in this order.
    #[must_use]
    pub fn parties(&self) -> &[PartyName] {
        &self.parties
    }

    /// Bounds and least size.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The place of a party.
    #[must_use]
    pub fn position(&self, name: &PartyName) -> Option<usize> {
        self.parties.iter().position(|party| party == name)
    }

    /// How the test ids are encoded here: parties whose programs encode differently would find nothing in
    /// common, so all compare it.
    #[must_use]
    pub fn encoded_test_ids(&self) -> Vec<u8> {
        let usual = rules::TEST_IDS.iter().map(|id| vec![*id; self.encoder.columns().count()]);
        let own = self.test_ids.iter().map(|id| id.iter().map(String::as_str).collect());
        let encoder = self.encoder.of_file(&BTreeMap::new());
        let mut all = Vec::new();
        for cells in usual.chain(own) {
            let encoded = encoder.encode(&cells);
            all.push(u8::from(encoded.is_some()));
            all.extend((encoded.as_ref().map_or(0, Vec::len) as u64).to_le_bytes());
            all.extend(encoded.unwrap_or_default());
        }
        all
    }
}

#[cfg(test)]
mod tests;
