//! This organisation's side of a study: what a node can check before it meets the others.

use std::path::Path;

use mpc_ml::artifact::ModelPart;

use super::Aligned;
use super::order::read_aligned;
use super::own_input::own_place;
use super::part::read_part;
use super::receipt::now;
use crate::data_file::{DataFile, ReadOptions, read};
use crate::exit::{Exit, Failure};
use crate::settings::{DataSettings, Overrides, Settings};
use crate::store::DataEntry;
use crate::study::Study;

/// A study, the settings of this node, and the rows it would take part with.
#[derive(Debug)]
pub struct OwnSide {
    /// The study.
    pub study: Study,
    /// The settings of this node.
    pub settings: Settings,
    /// The place of this node among the parties of the study.
    pub place: usize,
    /// Where the rows are.
    pub source: DataSettings,
    /// The rows. Private.
    pub data: DataFile,
    /// How they came into their order, where the parties hold columns of the same records.
    pub aligned: Option<Aligned>,
    /// This party's part of the model that a study with `[predict]` applies.
    pub part: Option<ModelPart>,
}

/// The rows of a party, how they came into their order, and its part of the model that they are for.
pub type OwnRows = (DataFile, Option<Aligned>, Option<ModelPart>);

impl OwnSide {
    /// Reads study and settings, and sees to it that they belong together; gives the place of this
    /// party too.
    ///
    /// # Errors
    /// What does not fit, for a person.
    pub fn without_rows(
        study_path: &Path,
        config: &Path,
        overrides: &Overrides,
    ) -> Result<(Study, Settings, usize), Failure> {
        let study =
            Study::read(study_path).map_err(|error| Failure::from(error).in_file(study_path))?;
        let (settings, place) = own_place(study.terms(), study_path, config, overrides)?;
        Ok((study, settings, place))
    }

    /// Reads study, settings and rows, and sees to it that they belong together. Sends nothing.
    ///
    /// # Errors
    /// What does not fit, for a person.
    pub fn read(
        study_path: &Path,
        config: &Path,
        overrides: &Overrides,
        show_values: bool,
    ) -> Result<Self, Failure> {
        let (study, settings, place) = Self::without_rows(study_path, config, overrides)?;
        settings
            .limits
            .check_study(&study, &settings.identity.name)
            .map_err(|failure| failure.in_file(study_path))?;
        let (source, rows) = Self::rows((&study, &settings, place), config, show_values)?;
        let (data, aligned, part) = rows;
        Ok(Self { study, settings, place, source, data, aligned, part })
    }

    /// The rows of a party with this place in a study, and all that belongs to them.
    ///
    /// # Errors
    /// What does not fit, for a person.
    pub fn rows(
        (study, settings, place): (&Study, &Settings, usize),
        config: &Path,
        show_values: bool,
    ) -> Result<(DataSettings, OwnRows), Failure> {
        let source = own_data(settings, config)?;
        let (data, aligned) = match study.columns() {
            Some(columns) => {
                let own = (study, columns, place);
                let (data, aligned) = read_aligned(own, settings, &source, show_values)?;
                (data, Some(aligned))
            }
            None => {
                let id_column = source.id_column.clone();
                let with_target = true;
                let options = ReadOptions { id_column, with_target, show_values, lenient: false };
                let data = match study.expanded() {
                    None => read(&source.from, study.schema(), &options)?,
                    Some((expansion, schema)) => {
                        let read = read(&source.from, schema, &options)?;
                        // The limits are on the rows of the file.
                        settings.limits.check(&read.table, &source.from.path)?;
                        let expanded = expansion.expand(&read.table, study.schema());
                        let table = expanded
                            .map_err(|error| Failure::from(error).in_file(&source.from.path))?;
                        DataFile { table, ..read }
                    }
                };
                (data, None)
            }
        };
        let part = match study.scoring() {
            Some(scoring) => {
                settings.limits.check_rows(&data.table, &source.from.path)?;
                Some(read_part((study, scoring, place), &settings.state)?)
            }
            None => {
                settings.limits.check(&data.table, &source.from.path)?;
                None
            }
        };
        Ok((source, (data, aligned, part)))
    }

    /// The data as the store keeps them.
    pub(super) fn data_entry(&self) -> DataEntry {
        let rows = self.data.table.rows() as u64;
        DataEntry { rows, first_used: now(), ..DataEntry::of(&self.source) }
    }
}

impl DataEntry {
    /// A file that nothing is known of yet.
    pub(super) fn of(source: &DataSettings) -> Self {
        let path = &source.from.path;
        let name = || path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self {
            label: source.label.clone().unwrap_or_else(name),
            path: path.display().to_string(),
            rows: 0,
            first_used: 0,
        }
    }
}

/// Where this node's rows are.
pub(super) fn own_data(settings: &Settings, config: &Path) -> Result<DataSettings, Failure> {
    settings.data.clone().ok_or_else(|| {
        Failure::new(Exit::Configuration, "party.toml names no data")
            .in_file(config)
            .advise("add [data] with a path, or give --data FILE")
    })
}
