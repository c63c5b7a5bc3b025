//! Scores of records whose columns are at different parties (docs/protocols.md 13).
//!
//! Each party computes what its own part of the model adds to the score of each record. These numbers *are*
//! its additive shares of the scores, which are revealed to the parties that the study names.

use mpc_core::ring::{Ring, Z64};
use mpc_core::{Cost, Recipients, Session, Shared, fixed};
use zeroize::Zeroizing;

use crate::artifact::ModelPart;
use crate::data::Table;
use crate::error::Error;
use crate::model::{Output, steps};

/// The output: the score of each record.
pub const SCORES: &str = "scores";

/// Binary digits after the point of a score.
pub const FRACTION: u32 = 24;

/// What a part adds is below 2^this.
const MAGNITUDE: u32 = 32;

/// What [`score`] reveals, among `parties` parties, to `recipients`.
#[must_use]
pub fn outputs(recipients: Recipients, parties: usize) -> Vec<Output> {
    let what = format!(
        "the score of each record, in {}: the sum of what the parties' parts of the model make of their columns \
         of it",
        steps(FRACTION)
    );
    let mut why =
        "it is the purpose of the study. Who learns a score knows its own part of it".to_owned();
    why += if parties == 2 {
        ". WARNING: with two parties it knows the other's part of each record by subtraction: a weighted sum \
         of the other's columns. With as many records as columns of which it knows the cells, it could find \
         the weights"
    } else {
        ", and so the sum of all other parts: a weighted sum of the others' columns of each record. Parties \
         who work together know that of the remaining ones"
    };
    vec![Output::result(SCORES, recipients, what, why)]
}

/// What [`score`] costs `me` for so many records, if all receive the scores: one round.
#[must_use]
pub fn cost(me: usize, parties: usize, records: u64) -> Cost {
    Cost::to_all(me, parties, 1, 8 * records).results(1)
}

/// The score of each record, in the order of the rows of `table`, which holds this party's columns of them.
/// One round; reveals [`SCORES`]. `None` to who does not receive it.
///
/// # Errors
/// [`Error::Data`] when the rows are not those of the part, or what it adds is 2^32 or more, before anything
/// is sent; network errors.
pub async fn score(
    part: &ModelPart,
    table: &Table,
    session: &mut Session,
) -> Result<Option<Vec<f64>>, Error> {
    let own = part.scores(table).map_err(|error| Error::Data(error.to_string()))?;
    let own = Zeroizing::new(own);
    let mut share = Vec::with_capacity(own.len());
    for &own in own.iter() {
        let unit = fixed::encode(own, FRACTION, FRACTION + MAGNITUDE).map_err(|_| {
            let rule = "what this party's part of the model adds to a score is too large, or no number: is a \
                        cell far outside of what the model was fitted to?";
            Error::Data(rule.to_owned())
        })?;
        share.push(Z64::from_i128(unit));
    }
    let scores = session.reveal(SCORES, &Shared::column(share), Z64::BITS, 0).await?;
    Ok(scores.map(|scores| scores.iter().map(|&score| fixed::decode(score, FRACTION)).collect()))
}
