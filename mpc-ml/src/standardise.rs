//! Joint standardisation: count, mean and standard deviation of each column over all parties'
//! rows (docs/protocols.md 7.1). These are named outputs, learned by everybody.
//!
//! A party's own sums are its additive shares of the joint sums, so nothing is shared first and
//! nothing is truncated: what is opened is the sum of the parties' own sums, each computed in
//! float64 and rounded once, at a scale that follows from the declared range of the column and the
//! number of rows. Each party then holds what came out against its own rows.

mod own;
mod plausible;
mod scales;

use mpc_core::ring::{Ring, Z128};
use mpc_core::{Cost, Session, Shared};
use zeroize::Zeroizing;

use crate::data::{JointColumn, Standardisation};
use crate::error::Error;
use crate::model::Output;
pub use own::{HELD, held_outputs, tell};
use plausible::Plausible;
use scales::Scales;

/// The output of the first round: how many cells are there, and their mean, for each column.
pub const MEANS: &str = "column counts and means";
/// The output of the second round: the standard deviation of each column.
pub const DEVIATIONS: &str = "column standard deviations";

/// The least joint sum of squares, in its units. Each party rounds up to a unit, so this leaves the
/// deviation good to a part of N in 2^11.
const LEAST_SQUARES: i128 = 1 << 10;

/// What [`joint`] reveals of these columns among `parties` parties; nothing of no columns.
#[must_use]
pub fn outputs(columns: &[&str], parties: usize) -> Vec<Output> {
    if columns.is_empty() {
        return Vec::new();
    }
    let names = columns.join(", ");
    let mut why = "numeric columns are brought to a common scale; the model file holds these \
                   figures, so that new rows can be scaled in the same way"
        .to_owned();
    why += if parties == 2 {
        ". WARNING: with two parties, each can subtract its own part and learns the other's count, \
         mean and standard deviation of these columns exactly; give constants in the study (scale \
         = { mean = .., std = .. }) to avoid this"
    } else {
        ". The parties who work together learn the figures of the remaining ones taken together; \
         if all but one do, exactly those of that one"
    };
    let means = format!(
        "of each jointly scaled column ({names}): the number of cells present and their mean over \
         all parties' rows, to some 30 bits of its `range`, or exactly where the study gives none"
    );
    let deviations = "of each of these columns: the standard deviation over all parties' rows, to \
                      some 40 bits of the square of its `range`, or exactly where the study gives none";
    vec![
        Output::figure(MEANS, means, why),
        Output::figure(DEVIATIONS, deviations, "as for their means"),
    ]
}

/// What [`joint`] costs `me` for `columns` columns: two rounds.
#[must_use]
pub fn cost(me: usize, parties: usize, columns: usize) -> Cost {
    if columns == 0 {
        return Cost::default();
    }
    Cost::to_all(me, parties, 2, 3 * 16 * columns as u64).results(2)
}

/// Count, mean and standard deviation of each column over the rows of all parties, `rows` in
/// number. Two rounds; reveals [`MEANS`] and [`DEVIATIONS`]. All parties give the same columns.
///
/// # Errors
/// [`Error::Data`] when an own value is outside the range, before anything is sent;
/// [`Error::Unusable`] when a column is constant, or its spread is too small for its range;
/// [`Error::Implausible`] when what came out cannot be, given the own rows.
///
/// # Security
/// The bounds on mean squares, on which privacy rests in all fits, hold for the rows of who is
/// told no such error, whatever the others sent.
pub async fn joint(
    columns: &[JointColumn<'_>],
    rows: u64,
    session: &mut Session,
) -> Result<Vec<Standardisation>, Error> {
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let scales: Vec<_> = columns.iter().map(|column| Scales::new(column.range, rows)).collect();
    for (column, scales) in columns.iter().zip(&scales) {
        let bound = scales.largest();
        if column.values().flatten().any(|v| !v.is_finite() || v.abs() > bound) {
            return Err(Error::Data(format!(
                "column {}: a value is beyond +-{bound}; declare a `range` for it that holds all \
                 values, or give the column in larger units if there is one",
                column.name
            )));
        }
    }
    let plausible = Plausible::new(rows, session);

    let mut own = Zeroizing::new(Vec::with_capacity(2 * columns.len()));
    for (column, scales) in columns.iter().zip(&scales) {
        let present = column.values().flatten();
        own.push(present.clone().count() as i128);
        own.push(scales.round_sum(present.sum())?);
    }
    let sums = reveal(MEANS, &own, session).await?;
    let pairs = || own.chunks_exact(2).zip(sums.chunks_exact(2));
    let mut statistics = Vec::with_capacity(columns.len());
    for ((own, joint), (column, scales)) in pairs().zip(columns.iter().zip(&scales)) {
        // Where there are own cells, such a count is implausible, and not all see it.
        if joint[0] == 0 && own[0] == 0 {
            return Err(Error::Unusable(format!(
                "column {}: nobody has a cell in it; it cannot be standardised",
                column.name
            )));
        }
        let present = plausible.count(column, own[0], joint[0])?;
        plausible.sum(column, scales, (own, joint))?;
        let mean = scales.sum(joint[1]) / present as f64;
        statistics.push(Standardisation { name: column.name.clone(), mean, std: 0.0, present });
    }

    let mut own_squares = Zeroizing::new(Vec::with_capacity(columns.len()));
    for ((column, scales), statistics) in columns.iter().zip(&scales).zip(&statistics) {
        let squares = column.values().flatten().map(|v| (v - statistics.mean).powi(2)).sum();
        own_squares.push(scales.round_squares(squares)?);
    }
    let squares = reveal(DEVIATIONS, &own_squares, session).await?;
    for (index, (column, scales)) in columns.iter().zip(&scales).enumerate() {
        let joint = squares[index];
        let others = sums[2 * index] - own[2 * index];
        plausible.squares(column, scales, (own_squares[index], joint), others)?;
        if joint < LEAST_SQUARES {
            return Err(Error::Unusable(format!(
                "column {} is constant over all parties, or varies too little for its range: \
                 leave it out, declare a narrower `range`, or do not scale it",
                column.name
            )));
        }
        statistics[index].std = (scales.squares(joint) / rows as f64).sqrt();
    }
    Ok(statistics)
}

async fn reveal(label: &str, own: &[i128], session: &mut Session) -> Result<Vec<i128>, Error> {
    let share = Shared::column(own.iter().map(|&own| Z128::from_i128(own)).collect());
    let revealed = session.reveal(label, &share, 128, 0).await?;
    revealed.ok_or_else(|| Error::untold(label))
}
