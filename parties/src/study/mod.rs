//! `study.toml`: what the parties have agreed to compute.
//!
//! The same bytes at every party; their digest is the study's name. A setting that is left out has a value that
//! changes nothing but how long a fit takes, or is the strict one; a field that this version does not know is an
//! error.

mod agreement;
mod columns;
mod consent;
mod determined;
mod digest;
mod disclosure;
mod error;
mod expansion;
mod features;
mod federated;
mod interactions;
mod model;
mod named;
mod output;
pub(crate) mod place;
mod privacy;
mod raw;
mod scoring;
mod security;
mod settings;
mod terms;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mpc_core::Recipients;
use mpc_ml::Model;
use mpc_ml::artifact::ModelKind;
use mpc_ml::data::{Cut, Schema};
use mpc_ml::evaluate::columns::ColumnsPlan;
use mpc_ml::federated::Federated;
use mpc_ml::model::{Facts, Output};
use mpc_ml::models::private::{Private, PrivateSettings};
use mpc_ml::survival::expand::Expansion;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::exit::Failure;
use crate::limits;
use crate::models::{self, Chosen, Planned};
use crate::name::PartyName;
use agreement::are_agreement;
pub(crate) use agreement::is_name;
pub use agreement::{Agreement, is_agreement};
pub use columns::Columns;
pub(crate) use consent::is_kind;
pub use consent::{Approvals, Consent, Controller};
pub use digest::StudyDigest;
pub use disclosure::Disclosure;
pub use error::StudyError;
use output::Receivers;
use raw::{RawStudy, read_bytes};
pub use scoring::Scoring;
pub use security::{Correlations, Security};
pub(crate) use settings::{INFERENCE, OUTPUT};
pub use terms::Terms;

/// The version of the format that this program reads.
const VERSION: i64 = 1;

/// A study, checked.
#[derive(Clone, Debug)]
pub struct Study {
    terms: Terms,
    kind: ModelKind,
    schema: Schema,
    /// How rows of follow-up times become those of the schema, and what they are read by.
    expanded: Option<(Expansion, Schema)>,
    columns: Option<Columns>,
    scoring: Option<Scoring>,
    own: bool,
    model: Arc<dyn Chosen>,
    recipients: Vec<PartyName>,
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
        Self::from_bytes(&read_bytes(path)?)
    }

    /// What a node has to know of it that has nothing to do with the model.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// What it is for, and whose approval it needs.
    #[must_use]
    pub fn consent(&self) -> &Consent {
        self.terms.consent()
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

        let title = named::title(raw.title)?;
        let parties = named::parties(&raw.parties)?;
        let mut raw_model = raw.model;
        let mut raw_features = interactions::check(&raw_model.interactions, raw.features)?;
        let expansion = expansion::check(&mut raw_model, &mut raw_features, raw.partition)?;
        let of_whom = |it: &raw::RawFeature| (it.name.clone(), it.party.clone(), it.field.clone());
        let target = raw_model.target.as_ref();
        let said = columns::Said {
            cut: raw.partition,
            alignment: raw.alignment,
            features: raw_features.iter().map(of_whom).collect(),
            target: target.and_then(|target| target.party.clone()),
        };
        let places = said.check(&parties)?;
        let word = raw_model.kind.clone();
        let (kind, target, mut extra) = model::check(raw_model)?;
        let security = security::check(&raw.security)?;
        let asked = (raw.predict, raw.evaluate);
        let scoring = scoring::check(asked, &parties, places.is_some(), &security)?;
        if scoring.is_some() {
            // New records have neither.
            (extra.weights, extra.groups) = (None, None);
        }
        let held = places.as_ref().map(|places| &places.features[..]);
        let (schema, names) = features::check(raw_features, target, extra, held)?;
        let expanded =
            expansion.map(|expansion| expansion::reading(expansion, &schema)).transpose()?;
        let columns = places.map(|places| places.columns(parties.len(), &schema, &names));
        let columns = columns.transpose()?;
        let how = (raw.privacy.is_some(), columns.is_some());
        let solver = federated::solver(&raw.training, kind, how)?;
        let model = settings::read(gathered, (kind, word), solver, &lines)?;
        let (recipients, own) = match output::check(raw.output, &parties, columns.is_some())? {
            Receivers::Whole(recipients) => (recipients, false),
            Receivers::Own => (parties.clone(), true),
        };
        let consent = consent::check(raw.consent, &parties)?;
        let terms = Terms {
            digest,
            title,
            text: Arc::clone(&lines.text),
            parties,
            security,
            consent,
            kind: limits::word(kind).to_owned(),
            protocol: None,
            alignment: columns.as_ref().map(|columns| columns.alignment().to_string()),
        };
        let mut study =
            Self { terms, kind, schema, expanded, columns, scoring, own, model, recipients, lines };
        let cut = if study.columns.is_some() { Cut::Vertical } else { Cut::Horizontal };
        privacy::check(&study)?;
        federated::check(&study)?;
        let suits = study.model.suits((cut, study.own), &study.schema, study.recipients());
        suits.map_err(|error| study.lines.refusal(error))?;
        if let Some(scoring) = &study.scoring {
            study.recipients = scoring.recipients().to_vec();
        }
        Ok(study)
    }

    /// The digest of the file: the study's name in logs and between nodes.
    #[must_use]
    pub fn digest(&self) -> StudyDigest {
        self.terms.digest()
    }

    /// The title, for people.
    #[must_use]
    pub fn title(&self) -> &str {
        self.terms.title()
    }

    /// The parties, in the order that all of them use.
    #[must_use]
    pub fn parties(&self) -> &[PartyName] {
        self.terms.parties()
    }

    /// The place of a party in that order.
    #[must_use]
    pub fn position(&self, name: &PartyName) -> Option<usize> {
        self.terms.position(name)
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

    /// What its model keeps to itself about rows, where it is one with differential privacy.
    #[must_use]
    pub fn privacy(&self) -> Option<&PrivateSettings> {
        self.settings_of::<Private>()
    }

    /// Whether it asks for federated averaging, whose joint model all see after each round.
    #[must_use]
    pub fn is_federated(&self) -> bool {
        self.settings_of::<Federated>().is_some()
    }

    /// The features and the target.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// How rows of follow-up times become rows of [`schema`](Self::schema), and the schema of the rows in the files;
    /// none where they are the same.
    #[must_use]
    pub fn expanded(&self) -> Option<&(Expansion, Schema)> {
        self.expanded.as_ref()
    }

    /// Who holds which columns; none where each party has whole rows.
    #[must_use]
    pub fn columns(&self) -> Option<&Columns> {
        self.columns.as_ref()
    }

    /// The scores of new records that it asks for in place of a fit, if it does.
    #[must_use]
    pub fn scoring(&self) -> Option<&Scoring> {
        self.scoring.as_ref()
    }

    /// Whether each party receives the coefficients of its own columns alone.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.own
    }

    /// What the party in this place reads from its file.
    #[must_use]
    pub fn schema_of(&self, place: usize) -> &Schema {
        self.columns().and_then(|columns| columns.schema_of(place)).unwrap_or(&self.schema)
    }

    /// Whether the party in this place has the target: each where they have whole rows, nobody of records
    /// that are to be scored.
    #[must_use]
    pub fn has_target(&self, place: usize) -> bool {
        self.scoring.as_ref().is_none_or(Scoring::evaluates) && self.is_holder(place)
    }

    /// How an evaluation of so many records is made.
    ///
    /// # Errors
    /// What does not fit.
    pub(crate) fn evaluation(&self, records: u64) -> Result<ColumnsPlan, mpc_ml::Error> {
        let origin = self.security().correlations.origin();
        let of = (origin, self.parties().len());
        ColumnsPlan::new((self.kind, &self.schema), records, of)
    }

    /// Whether the party in this place holds what belongs to whole rows.
    #[must_use]
    pub fn is_holder(&self, place: usize) -> bool {
        self.columns().is_none_or(|columns| columns.holder() == place)
    }

    /// How many rows the model is of, if the parties have these.
    #[must_use]
    pub fn rows_in_all(&self, rows: &[u64]) -> u64 {
        if self.columns.is_some() { rows.first().copied().unwrap_or(0) } else { rows.iter().sum() }
    }

    /// How the computation is protected.
    #[must_use]
    pub fn security(&self) -> &Security {
        self.terms.security()
    }

    /// Who receives the model, in the order of the parties.
    #[must_use]
    pub fn receivers(&self) -> &[PartyName] {
        &self.recipients
    }

    /// The same, by their places.
    #[must_use]
    pub fn recipients(&self) -> Recipients {
        if self.recipients.len() == self.parties().len() {
            return Recipients::All;
        }
        let places = self.recipients.iter().filter_map(|name| self.position(name));
        Recipients::Among(places.fold(0, |bits, place| bits | 1 << place))
    }

    /// What is public if the parties have these numbers of rows: all of them the same, where they hold
    /// columns.
    #[must_use]
    pub fn facts(&self, rows: &[u64]) -> Facts {
        let origin = self.security().correlations.origin();
        let facts = Facts::of(&self.schema, self.model.clip(), rows, self.recipients(), origin);
        match &self.columns {
            None => facts,
            Some(columns) => {
                let records = rows.first().copied().unwrap_or_default();
                let facts = facts.by_columns(records, &columns.widths(), columns.holder());
                Facts { own: self.own, ..facts }
            }
        }
    }

    /// Plans the study for parties with these numbers of rows.
    ///
    /// # Errors
    /// When something does not fit together, with the field or the numbers.
    pub fn plan(&self, rows: &[u64]) -> Result<Box<dyn Planned>, StudyError> {
        if let Some(scoring) = &self.scoring {
            let records = self.rows_in_all(rows);
            if scoring.evaluates() {
                let plan = self.evaluation(records);
                let refused = |error| self.lines.refusal(error).located(self.lines.text());
                return Ok(Box::new(plan.map_err(refused)?));
            }
            return Ok(Box::new(scoring.plan(records, self.parties().len(), self.recipients())));
        }
        let enough = self.columns.as_ref().map_or(Ok(()), |columns| columns.enough(rows));
        let plan = enough
            .and_then(|()| self.model.plan(&self.facts(rows)))
            .map_err(|error| self.lines.refusal(error).located(self.lines.text()))?;
        privacy::nothing_else(self, &*plan)?;
        Ok(plan)
    }

    /// What a fit or its release failed by, with the names of the columns that it is about.
    #[must_use]
    pub fn failure(&self, error: mpc_ml::Error) -> Failure {
        let named = match &error {
            mpc_ml::Error::Determined { columns } => {
                Some(determined::in_words(&self.schema, columns))
            }
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

#[cfg(test)]
mod tests;
