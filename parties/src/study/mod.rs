//! `study.toml`: what the parties have agreed to compute.
//!
//! The same bytes at every party; their digest is the study's name. Everything is explicit:
//! a field that is missing is an error, and so is one that this version does not know.

mod consent;
mod digest;
mod disclosure;
mod error;
mod features;
mod model;
mod output;
pub(crate) mod place;
mod raw;
mod security;
mod settings;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use mpc_core::Recipients;
use mpc_ml::Model;
use mpc_ml::artifact::ModelKind;
use mpc_ml::data::{Cut, Schema};
use mpc_ml::model::{Facts, Output};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::exit::Failure;
use crate::input;
use crate::models::{self, Chosen, Planned};
use crate::name::PartyName;
use crate::output::is_plain;
pub(crate) use consent::is_kind;
pub use consent::{Approvals, Consent, Controller};
pub use digest::StudyDigest;
pub use disclosure::Disclosure;
pub use error::StudyError;
use place::Field;
use raw::RawStudy;
pub use security::{Correlations, Security};

/// The version of the format that this program reads.
const VERSION: i64 = 1;

/// The largest study file; far above any real one.
const MAX_BYTES: u64 = 1 << 20;

/// The most parties in one study.
const MAX_PARTIES: usize = 64;

/// A study, checked.
#[derive(Clone, Debug)]
pub struct Study {
    digest: StudyDigest,
    title: String,
    parties: Vec<PartyName>,
    kind: ModelKind,
    schema: Schema,
    model: Arc<dyn Chosen>,
    security: Security,
    recipients: Vec<PartyName>,
    consent: Consent,
    lines: Lines,
}

/// The text of a study, and in which table of it each setting of the model stands.
#[derive(Clone)]
struct Lines {
    text: Arc<str>,
    tables: BTreeMap<String, &'static str>,
}

impl Lines {
    fn text(&self) -> &str {
        &self.text
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lines({} bytes)", self.text.len())
    }
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

    /// What it is for, and whose approval it needs.
    #[must_use]
    pub fn consent(&self) -> &Consent {
        &self.consent
    }

    /// The text of its file.
    #[must_use]
    pub fn text(&self) -> &str {
        self.lines.text()
    }

    /// Reads a study from the bytes of its file.
    ///
    /// # Errors
    /// When the bytes are not a study that this version can run.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StudyError> {
        let text = std::str::from_utf8(bytes).map_err(|_| StudyError::NotText)?;
        // The version first, so that a later one is named and its fields are not called unknown.
        raw::version(text)?;
        let parsed = DeTable::parse(text).map_err(|error| StudyError::toml(text, &error))?;
        Self::check(StudyDigest::of(bytes), text, parsed).map_err(|error| error.located(text))
    }

    fn check(
        digest: StudyDigest,
        text: &str,
        parsed: Spanned<DeTable<'_>>,
    ) -> Result<Self, StudyError> {
        let (span, mut table) = (parsed.span(), parsed.into_inner());
        let gathered = settings::gather(&mut table)?;
        let rest = Spanned::new(span, DeValue::Table(table));
        let raw = RawStudy::deserialize(ValueDeserializer::from(rest))
            .map_err(|error| StudyError::toml(text, &error))?;
        let lines = Lines { text: text.into(), tables: gathered.tables.clone() };

        let title = title(raw.title)?;
        let parties = parties(&raw.parties)?;
        if raw.partition != Cut::Horizontal {
            let rule = "gives the parties different columns of the same rows, which is not supported yet: \
                        each party must hold whole rows";
            return Err(lines.refusal(mpc_ml::Error::field("partition", rule)));
        }
        let word = raw.model.kind.clone();
        let (kind, target, extra) = model::check(raw.model)?;
        let schema = features::check(raw.features, target, extra)?;
        let model = settings::read(gathered, (kind, word), &raw.training.solver, &lines)?;
        let security = security::check(&raw.security)?;
        let recipients = output::check(raw.output, &parties)?;
        let consent = consent::check(raw.consent, &parties)?;
        let study = Self {
            digest,
            title,
            parties,
            kind,
            schema,
            model,
            security,
            recipients,
            consent,
            lines,
        };
        let suits = study.model.suits(&study.schema, study.recipients());
        suits.map_err(|error| study.lines.refusal(error))?;
        Ok(study)
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

    /// How a score becomes a prediction.
    #[must_use]
    pub fn kind(&self) -> ModelKind {
        self.kind
    }

    /// The model with its settings.
    #[must_use]
    pub fn model(&self) -> &dyn Chosen {
        &*self.model
    }

    /// The settings of the model, if it is this one.
    #[must_use]
    pub fn settings_of<M: Model>(&self) -> Option<&M::Settings> {
        models::settings_of::<M>(self.model())
    }

    /// The features and the target.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How the computation is protected.
    #[must_use]
    pub fn security(&self) -> &Security {
        &self.security
    }

    /// Who receives the model, in the order of the parties.
    #[must_use]
    pub fn receivers(&self) -> &[PartyName] {
        &self.recipients
    }

    /// The same, by their places.
    #[must_use]
    pub fn recipients(&self) -> Recipients {
        if self.recipients.len() == self.parties.len() {
            return Recipients::All;
        }
        let places = self.recipients.iter().filter_map(|name| self.position(name));
        Recipients::Among(places.fold(0, |bits, place| bits | 1 << place))
    }

    /// What is public if the parties have these numbers of rows.
    #[must_use]
    pub fn facts(&self, rows: &[u64]) -> Facts {
        let origin = self.security.correlations.origin();
        Facts::of(&self.schema, self.model.clip(), rows, self.recipients(), origin)
    }

    /// Plans the study for parties with these numbers of rows.
    ///
    /// # Errors
    /// When something does not fit together, with the field or the numbers.
    pub fn plan(&self, rows: &[u64]) -> Result<Box<dyn Planned>, StudyError> {
        self.model
            .plan(&self.facts(rows))
            .map_err(|error| self.lines.refusal(error).located(self.lines.text()))
    }

    /// What a fit or its release failed by, with the names of the columns that it is about.
    #[must_use]
    pub fn failure(&self, error: mpc_ml::Error) -> Failure {
        let named = match &error {
            mpc_ml::Error::Determined { columns } => Some(determined(&self.schema, columns)),
            _ => None,
        };
        let failure = Failure::from(error);
        match named {
            Some(what) => Failure { what, ..failure },
            None => failure,
        }
    }

    /// Everything that a plan of the study reveals, the joint statistics first: the one list for the
    /// ledger of the session, the receipt and the words for people.
    #[must_use]
    pub fn outputs(&self, plan: &dyn Planned) -> Vec<Output> {
        disclosure::outputs(self, plan)
    }

    /// The digest of [`outputs`](Self::outputs): what an approval is about. The same for all numbers of
    /// rows that reveal the same.
    #[must_use]
    pub fn disclosure_digest(&self, outputs: &[Output]) -> [u8; 32] {
        disclosure::digest(self, outputs)
    }

    /// Everything that anyone learns from the study if it is planned so, in plain words.
    #[must_use]
    pub fn disclosure(&self, plan: &dyn Planned) -> Vec<Disclosure> {
        disclosure::of(self, plan)
    }
}

/// How many names a sentence holds.
const MOST_NAMES: usize = 12;

/// Columns of the design matrix by their names; the intercept is the one after the last.
fn determined(schema: &Schema, places: &[usize]) -> String {
    let columns = schema.columns();
    let name = |&place: &usize| {
        let name = columns.get(place).map_or("(intercept)", String::as_str);
        format!("`{name}`")
    };
    let names: Vec<String> = places.iter().take(MOST_NAMES).map(name).collect();
    let advice = "leave one of them out, merge levels that are rare, or set l2";
    match &names[..] {
        [] => format!("some columns nearly determine each other: {advice}"),
        [only] => format!(
            "{only} is nearly determined by other columns, or decides the target by itself: leave it \
             out, merge levels that are rare, or set l2"
        ),
        [first @ .., last] => {
            let list = match places.len() - names.len() {
                0 => format!("{} and {last}", first.join(", ")),
                more => format!("{}, {last} and {more} more", first.join(", ")),
            };
            format!(
                "{list} nearly determine each other, or decide the target by themselves: {advice}"
            )
        }
    }
}

fn title(title: String) -> Result<String, StudyError> {
    if !is_plain(&title, 200) {
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
