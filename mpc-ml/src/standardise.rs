//! Joint standardisation: count, mean and standard deviation of each column over all parties'
//! rows (docs/protocols.md 7). These are named outputs, learned by everybody.
//!
//! A party's own sums are its additive shares of the joint sums, so nothing is shared first and
//! nothing is truncated: what is opened is the exact sum of the parties' own sums, each computed in
//! float64 and rounded once, at a scale that the declared range of the column and the number of
//! rows allow.

use mpc_core::ring::{Ring, Z128};
use mpc_core::{Cost, Session, Shared, fixed};

use crate::data::{JointColumn, Standardisation};
use crate::error::Error;
use crate::model::Output;

/// The output of the first round: how many cells are there, and their mean, for each column.
pub const MEANS: &str = "column counts and means";
/// The output of the second round: the standard deviation of each column.
pub const DEVIATIONS: &str = "column standard deviations";

/// The range that is assumed where the study declares none: +-2^31.
const DEFAULT_MAGNITUDE: u32 = 31;
/// Columns are summed at 2^100 at most.
const MOST_FRACTION: u32 = 100;
/// No sum has more bits.
const SUM_BITS: i32 = 126;

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
         all parties' rows"
    );
    let deviations = "of each of these columns: the standard deviation over all parties' rows";
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

/// The scales at which a column is summed, from public facts.
struct Scales {
    /// No value is larger than 2^magnitude.
    magnitude: i32,
    sum: u32,
    squares: u32,
}

impl Scales {
    fn new(range: Option<(f64, f64)>, rows: u64) -> Self {
        let magnitude = range.map_or(f64::from(DEFAULT_MAGNITUDE), |(low, high)| {
            libm::ceil(libm::log2(low.abs().max(high.abs()).max(f64::MIN_POSITIVE)))
        });
        let rows = rows.max(1).next_power_of_two().ilog2() as i32;
        // A narrow range needs no more than 2^-50 of it. In a wide one values are refused whose
        // squares would not fit: a sum that wraps would pass for a small deviation, and the encoded
        // column would be larger than the plans of all fits rely on.
        let most = ((SUM_BITS - rows) / 2 - 1).clamp(-50, 50);
        let magnitude = magnitude.clamp(-50.0, f64::from(most)) as i32;
        let scale = |bits: i32| (SUM_BITS - bits).clamp(0, MOST_FRACTION as i32) as u32;
        Self { magnitude, sum: scale(magnitude + rows), squares: scale(2 * (magnitude + 1) + rows) }
    }
}

/// Count, mean and standard deviation of each column over the rows of all parties, `rows` in
/// number. Two rounds; reveals [`MEANS`] and [`DEVIATIONS`]. All parties give the same columns.
///
/// # Errors
/// [`Error::Data`] when an own value is outside the range, before anything is sent;
/// [`Error::Unusable`] when a column is constant, or its spread is too small for its range.
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
        let bound = libm::ldexp(1.0, scales.magnitude);
        if column.values().flatten().any(|v| !v.is_finite() || v.abs() > bound) {
            return Err(Error::Data(format!(
                "column {}: a value is beyond +-{bound}; declare a `range` for it that holds all \
                 values, or give the column in larger units if there is one",
                column.name
            )));
        }
    }

    let mut share = Vec::with_capacity(2 * columns.len());
    for (column, scales) in columns.iter().zip(&scales) {
        let present = column.values().flatten();
        share.push(Z128(present.clone().count() as u128));
        share.push(Z128::from_i128(fixed::encode(present.sum(), scales.sum, 126)?));
    }
    let sums = reveal(MEANS, share, session).await?;
    let mut statistics: Vec<_> = sums
        .chunks_exact(2)
        .zip(columns.iter().zip(&scales))
        .map(|(pair, (column, scales))| {
            let present = u64::try_from(pair[0]).unwrap_or(0);
            let mean = fixed::decode(pair[1], scales.sum) / present as f64;
            Standardisation { name: column.name.clone(), mean, std: 0.0, present }
        })
        .collect();
    for (column, statistics) in columns.iter().zip(&statistics) {
        if statistics.present == 0 || statistics.present > rows {
            return Err(Error::Unusable(format!(
                "column {}: {} cells are there in {rows} rows; it cannot be standardised",
                column.name, statistics.present
            )));
        }
    }

    let mut share = Vec::with_capacity(columns.len());
    for ((column, scales), statistics) in columns.iter().zip(&scales).zip(&statistics) {
        let squares = column.values().flatten().map(|v| (v - statistics.mean).powi(2)).sum();
        share.push(Z128::from_i128(fixed::encode(squares, scales.squares, 126)?));
    }
    let squares = reveal(DEVIATIONS, share, session).await?;
    for (((statistics, &squares), scales), column) in
        statistics.iter_mut().zip(&squares).zip(&scales).zip(columns)
    {
        // Each party's rounding is half a unit, so this leaves the deviation good to 2^-18.
        if squares < 1 << 20 {
            return Err(Error::Unusable(format!(
                "column {} is constant over all parties, or varies too little for its range: \
                 leave it out, declare a narrower `range`, or do not scale it",
                column.name
            )));
        }
        statistics.std = (fixed::decode(squares, scales.squares) / rows as f64).sqrt();
    }
    Ok(statistics)
}

async fn reveal(label: &str, share: Vec<Z128>, session: &mut Session) -> Result<Vec<i128>, Error> {
    let share = Shared::column(share);
    let revealed = session.reveal(label, &share, 128, 0).await?;
    revealed.ok_or_else(|| Error::untold(label))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value moves by at most twice the magnitude from the mean.
    #[test]
    fn no_sum_wraps() {
        for exponent in -80..=200 {
            let end = libm::ldexp(1.0, exponent);
            for rows in [1, 2, 1000, 1 << 24, 1 << 25, 1_000_000_000, 1 << 40] {
                for range in [None, Some((-end, end)), Some((0.0, end))] {
                    let scales = Scales::new(range, rows);
                    let (largest, rows) = (f64::from(scales.magnitude), (rows as f64).log2());
                    let sum = largest + rows + f64::from(scales.sum);
                    let squares = 2.0 * (largest + 1.0) + rows + f64::from(scales.squares);
                    assert!(sum <= 126.0 && squares <= 126.0, "{range:?}, 2^{rows} rows");
                }
            }
        }
    }
}
