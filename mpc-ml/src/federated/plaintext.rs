//! The same rounds without a network: what the sums come to, for tests and for figures.

use mpc_core::aggregate::Set;
use mpc_core::ring::Z64;

use super::{Joint, Member, OwnRows, Terms};
use crate::error::Error;

/// All rounds with the rows of all parties, in which `away` says who is away. The result is that of
/// [`fit`](super::fit), to the last bit.
///
/// # Errors
/// As [`Member::contribution`], and when fewer are there than the terms ask for.
pub fn plain(
    terms: &Terms,
    rows: Vec<OwnRows>,
    mut away: impl FnMut(u64, usize) -> bool,
) -> Result<Joint, Error> {
    terms.validate()?;
    let mut joint = Joint::new(terms);
    let members = rows.into_iter().enumerate();
    let mut parties: Vec<Member> = members.map(|(me, rows)| Member::new(terms, me, rows)).collect();
    while !joint.is_last(terms) {
        let there: Set = (0..parties.len()).filter(|&party| !away(joint.round, party)).collect();
        if there.len() < terms.least {
            return Err(Error::Unusable(format!("round {}: too few are there", joint.round)));
        }
        let mut sum = vec![Z64(0); 2 * terms.coefficients()];
        for party in there.iter() {
            let values = parties[party].contribution(terms, &joint)?;
            sum.iter_mut().zip(values.iter()).for_each(|(sum, value)| *sum += *value);
        }
        joint.add(terms, there, &sum)?;
    }
    Ok(joint)
}
