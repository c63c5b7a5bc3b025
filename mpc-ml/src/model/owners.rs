//! Coefficients of which each party receives those of its own columns (docs/protocols.md 0, Release).

use mpc_core::{Cost, Fixed, Recipients, Session, Shared};

use super::{Facts, Output, OutputKind};
use crate::error::Error;

/// Which coefficients each party receives: its own columns', and the holder of the target the intercept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owners(Vec<Own>);

/// The coefficients of one party.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Own {
    party: usize,
    /// Their places among all, the intercept last.
    places: Vec<usize>,
    /// Whether the last of them is the intercept.
    intercept: bool,
}

impl Owners {
    /// Those of these facts, of a model with or without an intercept; a party that receives nothing is
    /// not among them.
    pub(crate) fn of(facts: &Facts, intercept: bool) -> Result<Self, Error> {
        let mut all = Vec::new();
        for party in 0..facts.parties() {
            let mut places: Vec<usize> = facts.columns_of(party)?.collect();
            let intercept = intercept && facts.holder == Some(party);
            places.extend(intercept.then_some(facts.columns()));
            if !places.is_empty() {
                all.push(Own { party, places, intercept });
            }
        }
        Ok(Self(all))
    }

    /// How many openings there are.
    pub(crate) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// What revealing them costs `me` of `parties`, at so many bytes a coefficient: an opening for each owner.
    /// At most: who receives nothing of an opening is sent no nonce.
    pub(crate) fn cost(&self, me: usize, parties: usize, element: usize) -> Cost {
        let mut bytes = vec![0; parties];
        for own in self.0.iter().filter(|own| own.party != me) {
            bytes[own.party] = (own.places.len() * element) as u64;
        }
        Cost { rounds: self.count(), bytes, ..Cost::default() }.results(self.count())
    }

    /// Whether the last coefficient that `me` receives is the intercept.
    pub(crate) fn has_intercept(&self, me: usize) -> bool {
        self.0.iter().any(|own| own.party == me && own.intercept)
    }

    /// What is revealed, an output for each party.
    pub(crate) fn outputs(&self, how: &str) -> Vec<Output> {
        let output = |own: &Own| {
            let columns = own.places.len() - usize::from(own.intercept);
            let mut output = Output::coefficients(
                &label(own.party),
                Recipients::One(own.party),
                columns,
                own.intercept,
                how,
            );
            output.what = format!("its own part of {}", output.what);
            output.why += ". Nobody receives the coefficients of another party's columns";
            output
        };
        self.0.iter().map(output).collect()
    }

    /// The same where all receive the coefficients of all later: what each party needs to see whether there is
    /// a model.
    pub(crate) fn checks(&self, how: &str) -> Vec<Output> {
        let check = |(own, output): (&Own, Output)| Output {
            kind: OutputKind::Figure,
            why: format!(
                "party {} computes from it how large its part of a score can be, which is told next; only if \
                 no score is out of bounds are all coefficients told to all",
                own.party + 1
            ),
            ..output
        };
        self.0.iter().zip(self.outputs(how)).map(check).collect()
    }

    /// Reveals to each party its own; gives those of this one. As many rounds as [`count`](Self::count).
    pub(crate) async fn reveal(
        &self,
        coefficients: &Fixed,
        bits: u32,
        session: &mut Session,
    ) -> Result<Vec<f64>, Error> {
        let (all, ring, fraction) = coefficients.parts();
        let mut mine = Vec::new();
        for own in &self.0 {
            let share = own.places.iter().map(|&place| all.as_slice()[place]).collect();
            let part = Fixed::new(Shared::column(share), ring, fraction)?;
            let revealed = session.reveal_fixed(&label(own.party), &part, bits).await?;
            mine = revealed.unwrap_or(mine);
        }
        Ok(mine)
    }
}

/// The label of the coefficients of a party, which people count from 1.
fn label(party: usize) -> String {
    format!("coefficients of party {}", party + 1)
}

#[cfg(test)]
mod tests {
    use mpc_core::correlations::Origin;

    use super::*;

    #[test]
    fn each_coefficient_goes_to_one_party() {
        let facts = Facts::vertical(9, &[2, 0, 0, 1], 1, vec![1.0; 3], Origin::Dealer);
        let owners = Owners::of(&facts, true).expect("fits");
        let of = |party: usize| -> Vec<usize> {
            let own = owners.0.iter().filter(|own| own.party == party);
            own.flat_map(|own| own.places.iter().copied()).collect()
        };
        assert_eq!([0, 1, 2, 3].map(of), [vec![0, 1], vec![3], vec![], vec![2]]);
        assert_eq!([0, 1, 3].map(|party| owners.has_intercept(party)), [false, true, false]);
        let outputs = owners.outputs("exactly");
        assert_eq!((outputs.len() as u64, owners.count()), (3, 3));
        for (output, party) in outputs.iter().zip([0, 1, 3]) {
            assert_eq!(output.recipients, Recipients::One(party));
            assert_eq!(output.label, label(party));
        }
        assert!(outputs[1].what.contains("0 coefficients and the intercept, exactly"));
        // Without an intercept the holder, who has no columns, receives nothing.
        assert_eq!(Owners::of(&facts, false).expect("fits").count(), 2);
    }
}
