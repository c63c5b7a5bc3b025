//! This organisation's side of a protocol: the agreement, the settings, and the bytes or rows it takes part with.

use std::path::Path;
use std::sync::Arc;

use mpc_ml::data::{Feature, FeatureKind, Schema, Table};
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use super::BoundRows;
use super::own_side::own_data;
use super::receipt::now;
use crate::data_file::{DataFile, FileDigest, OTHER, ReadOptions, Reading, read};
use crate::exit::{Exit, Failure};
use crate::input;
use crate::settings::{DataSettings, Overrides, Settings};
use crate::store::DataEntry;
use crate::study::{Agreement, Terms};
use crate::tabled;

/// What a party takes part with. Private.
#[derive(Clone)]
pub enum Input {
    /// The bytes of a file.
    Bytes(Zeroizing<Vec<u8>>),
    /// Rows, as a study has them.
    Rows(Arc<Table>),
}

impl Input {
    /// To be told from other inputs.
    #[must_use]
    pub fn bound(&self) -> BoundRows<'_> {
        match self {
            Self::Bytes(bytes) => BoundRows::of_bytes(bytes),
            Self::Rows(table) => BoundRows::new(table),
        }
    }
}

/// This party's input to a protocol: the bytes of its data file, or its rows. Private.
pub struct OwnInput {
    /// Where it is.
    pub source: DataSettings,
    /// What is in it.
    pub input: Input,
    /// The digest of the file.
    pub digest: FileDigest,
}

/// Whether an agreement is on rows, and on which columns of them.
pub type RowsOf<'a> = &'a dyn Fn(&Agreement, &Settings) -> Result<Option<Schema>, Failure>;

impl OwnInput {
    /// Reads the agreement, the settings and the input, and sees to it that they belong together; gives the
    /// place of this party too.
    ///
    /// # Errors
    /// What does not fit, for a person.
    pub fn read(
        agreement: &Path,
        config: &Path,
        overrides: &Overrides,
        rows_of: RowsOf<'_>,
    ) -> Result<(Agreement, Settings, usize, Self), Failure> {
        let path = agreement;
        let agreement =
            Agreement::read(path).map_err(|error| Failure::from(error).in_file(path))?;
        let (settings, place) = own_place(agreement.terms(), path, config, overrides)?;
        let limits = settings.limits.check_terms(agreement.terms(), &settings.identity.name);
        limits.map_err(|failure| failure.in_file(path))?;
        let schema = rows_of(&agreement, &settings).map_err(|failure| match failure.place {
            None => failure.in_file(path),
            Some(_) => failure,
        })?;
        let source = own_data(&settings, config)?;
        if let Some(schema) = schema {
            let id_column = source.id_column.clone();
            let with_target = tabled::has_target(&schema);
            let options = ReadOptions { id_column, with_target, ..ReadOptions::default() };
            // A level for the rest is one that no file has.
            let rest = |feature: &&Feature| match &feature.kind {
                FeatureKind::Categorical(kind) => kind.levels.iter().any(|level| level == OTHER),
                FeatureKind::Numeric(_) => false,
            };
            let other = schema.features().iter().filter(rest).map(|it| it.name.clone()).collect();
            let from = source.from.clone();
            let from = from.with(Reading { other, ..source.from.reading.clone() });
            let DataFile { table, digest, .. } = read(&from, &schema, &options)?;
            settings.limits.check_rows(&table, &source.from.path)?;
            let input = Input::Rows(Arc::new(table));
            return Ok((agreement, settings, place, Self { source, input, digest }));
        }
        if source.from.command.is_some() {
            let what = "data.command gives rows, and this protocol takes a file";
            return Err(Failure::new(Exit::Configuration, what)
                .in_file(config)
                .advise("name the file: data.path in party.toml, or --data"));
        }
        let bytes = input::read(&source.from.path).map(Zeroizing::new).map_err(|error| {
            let what = format!("the input cannot be read: {error}");
            Failure::new(Exit::LocalInput, what).in_file(&source.from.path)
        })?;
        let digest = FileDigest::of(&bytes);
        Ok((agreement, settings, place, Self { source, input: Input::Bytes(bytes), digest }))
    }

    pub(super) fn entry(&self, records: Option<u64>) -> DataEntry {
        let rows = records.unwrap_or_default();
        DataEntry { rows, first_used: now(), ..DataEntry::of(&self.source) }
    }
}

/// The settings of this node, and its place among the parties.
pub(super) fn own_place(
    terms: &Terms,
    path: &Path,
    config: &Path,
    overrides: &Overrides,
) -> Result<(Settings, usize), Failure> {
    let settings =
        Settings::read(config, overrides).map_err(|error| Failure::from(error).in_file(config))?;
    let own = &settings.identity.name;
    let place = terms.position(own).ok_or_else(|| {
        let what = format!("this node is {own}, who is not among the parties of the study");
        Failure::new(Exit::Configuration, what)
            .in_file(path)
            .advise("use the same name in the study and in party.toml")
    })?;
    Ok((settings, place))
}

impl FileDigest {
    /// Of a file that was read as a whole.
    fn of(bytes: &[u8]) -> Self {
        let mut own = [0; 32];
        own.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self::from_bytes(own)
    }
}
