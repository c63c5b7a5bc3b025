//! Means and deviations of columns that one party holds whole (docs/protocols.md 7.1).

use mpc_core::ring::{Ring, Z128};
use mpc_core::{Recipients, Session, Shared};

use crate::data::Standardisation;
use crate::error::Error;
use crate::model::{Output, OutputKind};

/// The output: mean, standard deviation and number of cells of each scaled column, from its holder.
pub const HELD: &str = "means and deviations of the columns";

/// Numbers that a column is told by.
const NUMBERS: usize = 3;

/// What [`tell`] reveals of these columns, to those who receive the whole model; nothing of no columns.
#[must_use]
pub fn held_outputs(columns: &[&str], recipients: Recipients) -> Vec<Output> {
    if columns.is_empty() {
        return Vec::new();
    }
    let what = format!(
        "of each column that its holder scales by itself ({}): the mean, the standard deviation and the number \
         of cells present, exactly, from the party that holds it",
        columns.join(", ")
    );
    let why = "the model is told on the scale of the data files, and its file holds these figures, so that new \
               rows can be scaled in the same way; with model = \"own\", or constants in the study (scale = { \
               mean = .., std = .. }), they stay with the holder";
    vec![Output {
        label: HELD.to_owned(),
        recipients,
        // The same rows give the same figures.
        kind: OutputKind::Figure,
        what,
        why: why.to_owned(),
    }]
}

/// Tells those who receive the model the mean and the deviation of each column of `names`, of which this
/// party holds those in `own`. One round; reveals [`HELD`]. `None` to who does not receive it.
///
/// # Errors
/// [`Error::Implausible`] when what came out is no mean and deviation; network errors.
pub async fn tell(
    names: &[&str],
    own: &[Standardisation],
    session: &mut Session,
) -> Result<Option<Vec<Standardisation>>, Error> {
    if names.is_empty() {
        return Ok(Some(Vec::new()));
    }
    // The holder's share is the bits of its figures, and everybody else's is 0.
    let mut share = vec![Z128::ZERO; NUMBERS * names.len()];
    for (numbers, name) in share.chunks_exact_mut(NUMBERS).zip(names) {
        if let Some(of) = own.iter().find(|of| of.name == *name) {
            let bits = [of.mean.to_bits(), of.std.to_bits(), of.present];
            numbers.copy_from_slice(&bits.map(|bits| Z128(u128::from(bits))));
        }
    }
    let revealed = session.reveal(HELD, &Shared::column(share), 128, 0).await?;
    let Some(revealed) = revealed else { return Ok(None) };
    let told = revealed.chunks_exact(NUMBERS).zip(names).map(|(numbers, name)| {
        let bits = |at: usize| u64::try_from(numbers[at]).ok();
        let (mean, std) = (bits(0).map(f64::from_bits), bits(1).map(f64::from_bits));
        let usable = |mean: f64, std: f64| mean.is_finite() && std.is_normal() && std > 0.0;
        match (mean, std, bits(2)) {
            (Some(mean), Some(std), Some(present)) if usable(mean, std) => {
                Ok(Standardisation { name: (*name).to_owned(), mean, std, present })
            }
            _ => Err(Error::Implausible {
                peers: Error::others(session),
                what: format!("the mean or the deviation of column {name}"),
            }),
        }
    });
    told.collect::<Result<_, _>>().map(Some)
}
