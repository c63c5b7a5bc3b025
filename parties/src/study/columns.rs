//! Which party holds which columns, in a study whose parties hold different columns of the same records.

use mpc_ml::Error;
use mpc_ml::data::{Cut, Feature, RowColumns, Schema, Target};

use super::StudyError;
use super::features::located;
use super::place::Field;
use crate::alignment::AlignmentName;
use crate::name::PartyName;

/// The least number of records for each coefficient.
pub(super) const RECORDS: u64 = 5;

/// Who holds which columns, and how the records were brought into one order.
#[derive(Clone, Debug)]
pub struct Columns {
    alignment: AlignmentName,
    /// What each party reads: its own columns, and the target and what else belongs to a row at its holder.
    schemas: Vec<Schema>,
    holder: usize,
}

/// What the study says about it.
pub(super) struct Said {
    pub cut: Cut,
    pub alignment: Option<String>,
    /// The name of each feature, its party, and the field that asks for it.
    pub features: Vec<(String, Option<String>, Field)>,
    /// The party of the target.
    pub target: Option<String>,
}

/// The places of the parties that hold each feature, and of the one that holds the target.
pub(super) struct Places {
    alignment: AlignmentName,
    pub features: Vec<usize>,
    holder: usize,
}

impl Said {
    /// Reads it against the names of the parties; none where they hold whole rows.
    pub(super) fn check(self, parties: &[PartyName]) -> Result<Option<Places>, StudyError> {
        match self.cut {
            Cut::Horizontal => self.nobody().map(|()| None),
            Cut::Vertical => self.places(parties).map(Some),
            Cut::Mixed => {
                let rule = "is \"mixed\": some parties would hold some columns of some rows, which no model \
                            takes; it must be \"horizontal\" (each party has rows of its own, with the same \
                            columns) or \"vertical\" (each has columns of its own, of the same records)";
                Err(StudyError::rule("partition", rule))
            }
        }
    }

    /// Whole rows are nobody's column.
    fn nobody(&self) -> Result<(), StudyError> {
        let rule = "has no place here: with partition = \"horizontal\" each party has all columns of its own \
                    rows";
        if self.alignment.is_some() {
            return Err(StudyError::rule("alignment", rule));
        }
        if let Some((.., field)) = self.features.iter().find(|(_, party, _)| party.is_some()) {
            return Err(StudyError::rule(field.clone().key("party"), rule));
        }
        match self.target {
            Some(_) => Err(StudyError::rule("model.target.party", rule)),
            None => Ok(()),
        }
    }

    fn places(self, parties: &[PartyName]) -> Result<Places, StudyError> {
        let place = |field: Field, party: &str| {
            parties.iter().position(|name| name.as_str() == party).ok_or_else(|| {
                let rule = format!("names {party:?}, who is not among the parties of the study");
                StudyError::rule(field, rule)
            })
        };
        let alignment = self.alignment.ok_or_else(|| {
            let rule = "is \"vertical\", and the study names no alignment that brought the records of all \
                        parties into one order: alignment = \"alignment:..\" as `party align` prints it";
            StudyError::rule("partition", rule)
        })?;
        let alignment = alignment.parse().map_err(|_| {
            let rule = "must be the name of an alignment as `party align` prints it: \"alignment:\" and 64 \
                        digits and letters a to f";
            StudyError::rule("alignment", rule)
        })?;
        let mut features = Vec::with_capacity(self.features.len());
        for (name, party, field) in self.features {
            let field = field.key("party");
            let Some(party) = party else {
                let rule = format!(
                    "(of {name:?}) is missing: with partition = \"vertical\" each feature names the party \
                     that holds the column"
                );
                return Err(StudyError::rule(field, rule));
            };
            features.push(place(field, &party)?);
        }
        let target = self.target.ok_or_else(|| {
            let rule = "is missing: with partition = \"vertical\" one party holds the target (and offset, \
                        weights and groups, where there are any), target = { column = .., party = .. }";
            StudyError::rule("model.target.party", rule)
        })?;
        let holder = place(Field::from("model.target.party"), &target)?;
        let idle = (0..parties.len()).find(|place| *place != holder && !features.contains(place));
        if let Some(idle) = idle {
            let rule = "holds no column of this study: name its features, or leave it out";
            return Err(StudyError::rule(Field::from("parties").item(idle), rule));
        }
        Ok(Places { alignment, features, holder })
    }
}

impl Places {
    /// What each of so many parties reads, of features that stand in the order of the parties.
    pub(super) fn columns(
        self,
        parties: usize,
        schema: &Schema,
        names: &[(String, Field)],
    ) -> Result<Columns, StudyError> {
        let Self { alignment, features: mut places, holder } = self;
        places.sort_unstable();
        let all = schema.features().iter().zip(&places);
        let own = |party: usize| -> Vec<Feature> {
            let own = all.clone().filter(|(_, place)| **place == party);
            own.map(|(feature, _)| feature.clone()).collect()
        };
        let rest = RowColumns {
            offset: schema.offset().cloned(),
            weights: schema.weights().cloned(),
            groups: schema.groups().map(str::to_owned),
        };
        let schemas = (0..parties).map(|party| {
            let rest = if party == holder { rest.clone() } else { RowColumns::default() };
            let target: Target = schema.target().clone();
            Schema::with_columns(own(party), target, rest)
                .map_err(|source| located(names, &[], source))
        });
        Ok(Columns { alignment, schemas: schemas.collect::<Result<_, _>>()?, holder })
    }
}

impl Columns {
    /// The alignment that brought the records into one order.
    #[must_use]
    pub fn alignment(&self) -> &AlignmentName {
        &self.alignment
    }

    /// What the party in this place reads. It has a target only if it [holds](Self::holder) it.
    #[must_use]
    pub fn schema_of(&self, place: usize) -> Option<&Schema> {
        self.schemas.get(place)
    }

    /// The place of the party that holds the target, and offset, weights and groups.
    #[must_use]
    pub fn holder(&self) -> usize {
        self.holder
    }

    /// Refuses too few records for so many columns: at its optimum a model tells all who know it, and their
    /// own columns, an equation about the target for each of these columns (docs/threat-model.md).
    ///
    /// # Errors
    /// [`Error::Field`] of `features`, with the numbers.
    pub(super) fn enough(&self, rows: &[u64]) -> Result<(), Error> {
        let records = rows.first().copied().unwrap_or_default();
        let coefficients = self.widths().iter().map(|&width| u64::from(width)).sum::<u64>() + 1;
        let least = RECORDS * coefficients;
        if records >= least {
            return Ok(());
        }
        let rule = format!(
            "are too many for the aligned records: with the intercept there are {coefficients} coefficients, \
             and {records} records. Where the parties hold columns, a model tells those who know it an \
             equation about the target for each of their columns, so at least {RECORDS} records a \
             coefficient are needed, which is {least}"
        );
        Err(Error::field("features", rule))
    }

    /// How many encoded columns each party has.
    #[must_use]
    pub fn widths(&self) -> Vec<u32> {
        self.schemas.iter().map(|schema| schema.columns().len() as u32).collect()
    }
}

#[cfg(test)]
mod tests;
