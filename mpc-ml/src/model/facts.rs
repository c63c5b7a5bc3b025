//! What is public before a share is sent.

use std::ops::Range;

use mpc_core::Recipients;
use mpc_core::correlations::Origin;
use serde::{Serialize, Serializer};

use super::{Model, divides, takes};
use crate::data::{Cut, Feature, Partition, Schema, Target, mean_squares, total_mean_square};
use crate::error::Error;

/// The public facts that a plan follows from, beside the settings: the same at every party.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts {
    /// Who holds which rows and columns.
    pub partition: Partition,
    /// Where the parties hold different columns of the same rows: the one that has what belongs to a
    /// whole row, the target, and offset, weight and group where there are any. None where each party has those
    /// of its own rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<usize>,
    /// For each column of the design matrix, without the intercept, a bound on the mean of its
    /// squares over all parties' rows: see [`mean_squares`]. **A condition of privacy.**
    pub mean_squares: Vec<f64>,
    /// A bound on their sum: see [`total_mean_square`]. **A condition of privacy.**
    pub total_mean_square: f64,
    /// The public range of the target, where the study names one; a target outside is cut to it.
    pub target: Option<(f64, f64)>,
    /// The public range of what is added to each score, where there is an offset.
    pub offset: Option<(f64, f64)>,
    /// The largest weight of a row, where rows are weighted.
    pub weights: Option<f64>,
    /// Whether rows belong to groups.
    pub groups: bool,
    /// How many levels the target has, where it is one of several classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub levels: Option<u32>,
    /// Who receives the result.
    #[serde(serialize_with = "recipients")]
    pub recipients: Recipients,
    /// Whether each party receives the coefficients of its own columns alone, and the holder of the target
    /// the intercept, so that nobody receives the model.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub own: bool,
    /// Where the correlated randomness comes from.
    pub origin: Origin,
    /// The features by name, in order, and how many columns each becomes. What follows from them is in
    /// the plan.
    #[serde(skip)]
    pub features: Vec<(String, u32)>,
    /// The names of the columns of the design matrix, in order.
    #[serde(skip)]
    pub names: Vec<String>,
}

/// The features of a schema by name, and how many columns each becomes.
#[must_use]
pub fn features(schema: &Schema) -> Vec<(String, u32)> {
    let columns = |feature: &Feature| feature.columns().len() as u32;
    schema.features().iter().map(|feature| (feature.name.clone(), columns(feature))).collect()
}

/// As a number: party j at 2^j, all parties as all ones.
fn recipients<S: Serializer>(recipients: &Recipients, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u64(match *recipients {
        Recipients::All => u64::MAX,
        Recipients::One(party) => 1u64.checked_shl(party as u32).unwrap_or(0),
        Recipients::Among(bits) => bits,
    })
}

impl Facts {
    /// Parties with `rows[j]` whole rows each, columns with these bounds on their mean squares, and
    /// a result for everybody. No range of the target, no offset, no weights, no groups.
    #[must_use]
    pub fn horizontal(rows: &[u64], mean_squares: Vec<f64>, origin: Origin) -> Self {
        // More columns than fit are refused by every plan.
        let columns = u32::try_from(mean_squares.len()).unwrap_or(u32::MAX);
        Self {
            partition: Partition::horizontal(rows, columns),
            holder: None,
            total_mean_square: mean_squares.iter().sum(),
            mean_squares,
            target: None,
            offset: None,
            weights: None,
            groups: false,
            levels: None,
            recipients: Recipients::All,
            own: false,
            origin,
            features: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Parties that hold different columns of the same `rows` rows, `columns[j]` of them party j (those of
    /// party 0 come first), of which the party `holder` has the target; else as [`horizontal`](Self::horizontal).
    #[must_use]
    pub fn vertical(
        rows: u64,
        columns: &[u32],
        holder: usize,
        mean_squares: Vec<f64>,
        origin: Origin,
    ) -> Self {
        let facts = Self::horizontal(&[], mean_squares, origin);
        facts.by_columns(rows, columns, holder)
    }

    /// The same for parties that hold different columns of the same `rows` rows, also of [`of`](Self::of) a
    /// study (whose rows are then counted here): `columns[j]` of the design matrix are at party j, those of party 0 first, and the party `holder` has the target.
    #[must_use]
    pub fn by_columns(self, rows: u64, columns: &[u32], holder: usize) -> Self {
        let partition = Partition::vertical(rows, columns);
        Self { partition, holder: Some(holder), ..self }
    }

    /// The facts of a study with this schema, whose encoded values are cut to `clip`, for parties
    /// with `rows[j]` whole rows each.
    #[must_use]
    pub fn of(
        schema: &Schema,
        clip: f64,
        rows: &[u64],
        recipients: Recipients,
        origin: Origin,
    ) -> Self {
        Self {
            total_mean_square: total_mean_square(schema, clip),
            target: match schema.target() {
                Target::Binary(_) => Some((0.0, 1.0)),
                Target::Numeric(target) => target.range,
                Target::Count(target) => Some(target.range),
                Target::Levels(target) => Some((0.0, target.levels.len() as f64 - 1.0)),
            },
            levels: match schema.target() {
                Target::Levels(target) => u32::try_from(target.levels.len()).ok(),
                _ => None,
            },
            offset: schema.offset().map(|offset| offset.range),
            weights: schema.weights().map(|weights| weights.range.1),
            groups: schema.groups().is_some(),
            recipients,
            features: features(schema),
            names: schema.columns(),
            ..Self::horizontal(rows, mean_squares(schema, clip), origin)
        }
    }

    /// The number of parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.partition.parties()
    }

    /// The number of columns of the design matrix, without the intercept.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.mean_squares.len()
    }

    /// The rows of all parties.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        self.partition.total_rows()
    }

    /// How the table is cut.
    #[must_use]
    pub fn cut(&self) -> Cut {
        self.partition.cut()
    }

    /// The columns of the design matrix that a party has: all of them where it holds whole rows.
    ///
    /// # Errors
    /// As [`Partition::columns_of`], and when there are not bounds for so many.
    pub fn columns_of(&self, party: usize) -> Result<Range<usize>, Error> {
        let own = self.partition.columns_of(party)?;
        self.check_bounds()?;
        Ok(own.start as usize..own.end as usize)
    }

    /// The rows of each party, as the plan of the model `M` begins: as [`rows`](Self::rows), of a table that
    /// is cut in a way that the model takes.
    ///
    /// # Errors
    /// As [`rows`](Self::rows) and [`takes`].
    pub fn rows_for<M: Model>(&self) -> Result<Vec<u64>, Error> {
        takes::<M>(self.cut())?;
        if self.own {
            divides::<M>()?;
        }
        self.rows()
    }

    /// The rows of which each party has something, as a plan begins: of at least two parties, no more than
    /// 10^9 of them, with columns that are bounded, and with a target at every party that has whole rows or
    /// at one of those that have columns.
    ///
    /// # Errors
    /// [`Error::Field`] of `partition`, `parties`, `rows`, `target` or `features`.
    pub fn rows(&self) -> Result<Vec<u64>, Error> {
        let rows = self.partition.rows()?;
        if rows.len() < 2 {
            return Err(Error::field(
                "parties",
                "are too few: a joint study has at least two parties",
            ));
        }
        if !(1..=1_000_000_000).contains(&self.total_rows()) {
            let rule = format!("are {} in all, and must be from 1 to 10^9", self.total_rows());
            return Err(Error::field("rows", rule));
        }
        self.check_bounds()?;
        match (self.cut(), self.holder) {
            (Cut::Vertical, Some(holder)) if holder < rows.len() => {
                (0..rows.len()).try_for_each(|party| self.columns_of(party).map(drop))?;
            }
            (Cut::Vertical, _) => {
                let rule =
                    "is at nobody: where the parties hold columns, one of them has the target";
                return Err(Error::field("target", rule));
            }
            (_, Some(_)) => {
                let rule = "is at one party alone, though each holds whole rows";
                return Err(Error::field("target", rule));
            }
            (_, None) => {}
        }
        Ok(rows)
    }

    fn check_bounds(&self) -> Result<(), Error> {
        if self.partition.columns() as usize == self.columns() {
            return Ok(());
        }
        Err(Error::field(
            "features",
            format!(
                "have {} encoded columns, and bounds for {}",
                self.partition.columns(),
                self.columns()
            ),
        ))
    }

    /// Whether every party receives the whole result.
    #[must_use]
    pub fn for_all(&self) -> bool {
        !self.own && (0..self.parties()).all(|party| self.recipients.include(party))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::glm::Glm;

    #[test]
    fn a_plan_begins_with_rows_that_have_a_target() {
        let facts = Facts::vertical(9, &[2, 0, 1], 1, vec![1.0; 3], Origin::Dealer);
        assert_eq!(facts.rows().expect("fits"), [9; 3]);
        let of = |party| facts.columns_of(party).expect("fits");
        assert_eq!([of(0), of(1), of(2)], [0..2, 2..2, 2..3]);
        let refused = |facts: &Facts| facts.rows().expect_err("refused").to_string();
        for holder in [None, Some(3)] {
            assert!(refused(&Facts { holder, ..facts.clone() }).contains("target is at nobody"));
        }
        assert!(
            refused(&Facts { mean_squares: vec![1.0; 2], ..facts.clone() })
                .contains("bounds for 2")
        );
        assert!(refused(&facts.clone().by_columns(9, &[3], 0)).contains("two parties"));
        let whole = Facts::horizontal(&[4, 5], vec![1.0; 3], Origin::Dealer);
        assert_eq!(whole.columns_of(1).expect("all of them"), 0..3);
        assert!(
            refused(&Facts { holder: Some(0), ..whole.clone() }).contains("each holds whole rows")
        );
        assert_eq!(whole.by_columns(9, &[2, 0, 1], 1), facts);
    }

    /// Plans of parties with whole rows are those of versions that know nothing else.
    #[test]
    fn who_has_the_target_is_compared_where_there_is_a_choice() {
        let fields = |facts: &Facts| {
            let canonical = super::super::Canonical::new("any", 1).with(facts).expect("has a form");
            canonical.fields().map(|(name, _)| name).collect::<Vec<_>>()
        };
        let whole = Facts::horizontal(&[4, 5], vec![1.0; 3], Origin::Dealer);
        assert!(!fields(&whole).contains(&"holder"));
        assert!(fields(&whole.by_columns(9, &[1, 2], 0)).contains(&"holder"));
    }

    #[test]
    fn a_model_takes_what_it_says() {
        let mixed = takes::<Glm>(Cut::Mixed).expect_err("refused").to_string();
        assert!(
            mixed.contains("partition is mixed") && mixed.contains("no model takes"),
            "{mixed}"
        );
        assert!(takes::<Glm>(Cut::Horizontal).is_ok());
    }
}
