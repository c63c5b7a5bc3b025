//! What is public before a share is sent.

use mpc_core::Recipients;
use mpc_core::correlations::Origin;
use serde::{Serialize, Serializer};

use crate::data::{Feature, Partition, Schema, Target, mean_squares, total_mean_square};
use crate::error::Error;

/// The public facts that a plan follows from, beside the settings: the same at every party.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Facts {
    /// Who holds which rows and columns.
    pub partition: Partition,
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
    /// Who receives the result.
    #[serde(serialize_with = "recipients")]
    pub recipients: Recipients,
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
            total_mean_square: mean_squares.iter().sum(),
            mean_squares,
            target: None,
            offset: None,
            weights: None,
            groups: false,
            recipients: Recipients::All,
            origin,
            features: Vec::new(),
            names: Vec::new(),
        }
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

    /// The rows of each party, as a plan begins: whole rows, of at least two parties, no more than
    /// 10^9 of them, with columns that are bounded.
    ///
    /// # Errors
    /// [`Error::Field`] of `partition`, `parties`, `rows` or `features`.
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
        if self.partition.columns() as usize != self.columns() {
            return Err(Error::field(
                "features",
                format!(
                    "have {} encoded columns, and bounds for {}",
                    self.partition.columns(),
                    self.columns()
                ),
            ));
        }
        Ok(rows)
    }

    /// Whether every party receives the result.
    #[must_use]
    pub fn for_all(&self) -> bool {
        (0..self.parties()).all(|party| self.recipients.include(party))
    }
}
