//! `study.toml`: what the parties have agreed to compute.
//!
//! The same bytes at every party; their digest is the study's name. Everything is explicit:
//! a field that is missing is an error, and so is one that this version does not know.

mod digest;
mod disclosure;
mod error;
mod features;
mod model;
mod output;
mod place;
mod raw;
mod security;
mod training;

use std::io::Read;
use std::path::Path;

use mpc_ml::data::Schema;

use crate::input;
use crate::name::PartyName;
pub use digest::StudyDigest;
pub use disclosure::Disclosure;
pub use error::StudyError;
pub use model::ModelSettings;
pub use output::Output;
use place::Field;
use raw::RawStudy;
pub use security::{Correlations, Security};
pub use training::{Exact, Link, Optimum, Rate, Series, Sgd, Sigmoid, SigmoidFit, Training};

/// The version of the format that this program reads.
const VERSION: i64 = 1;

/// The largest study file; far above any real one.
const MAX_BYTES: u64 = 1 << 20;

/// The most parties in one study.
const MAX_PARTIES: usize = 64;

/// A study, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    digest: StudyDigest,
    title: String,
    parties: Vec<PartyName>,
    model: ModelSettings,
    schema: Schema,
    training: Training,
    security: Security,
    output: Output,
}

impl Study {
    /// Reads a study from a file.
    ///
    /// # Errors
    /// When the file cannot be read or is not a study that this version can run.
    pub fn read(path: &Path) -> Result<Self, StudyError> {
        let failed = |source| StudyError::Read { path: path.to_owned(), source };
        let mut file = input::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length > MAX_BYTES {
            return Err(StudyError::TooLarge { path: path.to_owned(), length });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        Self::from_bytes(&bytes)
    }

    /// Reads a study from the bytes of its file.
    ///
    /// # Errors
    /// When the bytes are not a study that this version can run.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StudyError> {
        let text = std::str::from_utf8(bytes).map_err(|_| StudyError::NotText)?;
        // The version first, so that a later one is named and its fields are not called unknown.
        raw::version(text)?;
        let raw: RawStudy = toml::from_str(text).map_err(|error| StudyError::toml(text, &error))?;
        Self::check(StudyDigest::of(bytes), raw).map_err(|error| error.located(text))
    }

    fn check(digest: StudyDigest, raw: RawStudy) -> Result<Self, StudyError> {
        let title = title(raw.title)?;
        let parties = parties(&raw.parties)?;
        match raw.partition.as_str() {
            "horizontal" => {}
            "vertical" => return Err(StudyError::not_yet("partition", "vertically divided data")),
            _ => {
                return Err(StudyError::rule(
                    "partition",
                    "must be \"horizontal\" or \"vertical\"",
                ));
            }
        }
        let (model, target, offset) = model::check(raw.model)?;
        let schema = features::check(raw.features, target, offset)?;
        let training = training::check(&raw.training, model.kind)?;
        let security = security::check(&raw.security)?;
        let output = output::check(raw.output, &parties)?;
        if output.inference {
            let to_all = output.model.len() == parties.len();
            output::inference_makes_sense(&model, &training, to_all)?;
        }
        Ok(Self { digest, title, parties, model, schema, training, security, output })
    }

    /// The digest of the file: the study's name in logs and between nodes.
    #[must_use]
    pub fn digest(&self) -> StudyDigest {
        self.digest
    }

    /// The title, for people.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The parties, in the order that all of them use.
    #[must_use]
    pub fn parties(&self) -> &[PartyName] {
        &self.parties
    }

    /// The place of a party in that order.
    #[must_use]
    pub fn position(&self, name: &PartyName) -> Option<usize> {
        self.parties.iter().position(|party| party == name)
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &ModelSettings {
        &self.model
    }

    /// The features and the target.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How the model is trained.
    #[must_use]
    pub fn training(&self) -> &Training {
        &self.training
    }

    /// How the computation is protected.
    #[must_use]
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Who learns what.
    #[must_use]
    pub fn output(&self) -> &Output {
        &self.output
    }

    /// Everything that anyone learns from the study, in plain words.
    #[must_use]
    pub fn disclosure(&self) -> Vec<Disclosure> {
        disclosure::of(self)
    }
}

fn title(title: String) -> Result<String, StudyError> {
    if title.trim().is_empty() || title.chars().count() > 200 || title.chars().any(char::is_control)
    {
        return Err(StudyError::rule("title", "must be one line of 1 to 200 characters"));
    }
    Ok(title)
}

fn parties(raw: &[String]) -> Result<Vec<PartyName>, StudyError> {
    if !(2..=MAX_PARTIES).contains(&raw.len()) {
        return Err(StudyError::rule("parties", format!("must name 2 to {MAX_PARTIES} parties")));
    }
    let mut parties = Vec::with_capacity(raw.len());
    for (index, name) in raw.iter().enumerate() {
        let field = || Field::from("parties").item(index);
        let name: PartyName = name
            .parse()
            .map_err(|error| StudyError::rule(field(), format!("is wrong: {error}")))?;
        if parties.contains(&name) {
            return Err(StudyError::rule(field(), format!("names {name} a second time")));
        }
        parties.push(name);
    }
    Ok(parties)
}

#[cfg(test)]
mod tests;
