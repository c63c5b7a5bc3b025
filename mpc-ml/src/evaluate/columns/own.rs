//! What one party has of test records whose columns are at different parties.

use mpc_core::correlations::{Correlations, LeftFactor, Ordered, Orders, Phasors, RightFactor};
use mpc_core::protocols::product;
use mpc_core::ring::{Ring, Z128};
use mpc_core::{Fixed, Session, Shared, fixed};
use zeroize::Zeroizing;

use crate::artifact::{ModelKind, ModelPart};
use crate::data::Table;
use crate::error::Error;

/// Fractional bits of what is told, of scores, and the bits of a number before the point: what a part adds is below
/// 2^32, and is stretched by less than 2^8.
pub(super) const FRACTION: u32 = 20;
const SCORE_FRACTION: u32 = 24;
const MAGNITUDE: u32 = 32;
const STRETCHED: u32 = 40;
/// Rows of each class at least.
const LEAST_OF_A_CLASS: f64 = 5.0;

/// The two factors of a product of a row of so many elements with a column, ordered.
pub(super) struct OrderedFactors(Ordered<LeftFactor<Z128>>, Ordered<RightFactor<Z128>>);

impl OrderedFactors {
    pub(super) fn of(elements: usize, orders: &mut Orders) -> Self {
        let left = orders.left::<Z128>(1, elements);
        let right = orders.right(&left, 1);
        Self(left, right)
    }

    pub(super) async fn take(
        self,
        from: &mut Correlations<'_>,
    ) -> Result<(LeftFactor<Z128>, RightFactor<Z128>), Error> {
        Ok((from.take(self.0).await?, from.take(self.1).await?))
    }
}

/// The next of the phasors that were ordered.
pub(super) async fn next(
    ordered: &mut impl Iterator<Item = Ordered<Phasors>>,
    from: &mut Correlations<'_>,
) -> Result<Phasors, Error> {
    let next = ordered.next().ok_or_else(|| Error::Settings("phasors are missing".into()))?;
    Ok(from.take(next).await?)
}

/// This party's part of the score of each record, and the targets at their holder: **private data**.
pub(super) struct Own {
    pub(super) scores: Zeroizing<Vec<f64>>,
    /// Empty where another party has them.
    pub(super) targets: Zeroizing<Vec<f64>>,
    /// The offset of each record, at the holder of the target; empty where there is none.
    pub(super) offsets: Zeroizing<Vec<f64>>,
    /// Whether it has the target, and so what belongs to a whole record.
    pub(super) holds: bool,
}

impl Own {
    pub(super) fn new(part: &ModelPart, table: &Table) -> Result<Self, Error> {
        let scores = part.scores(table).map_err(|error| Error::Data(error.to_string()))?;
        let scores = Zeroizing::new(scores);
        let limit = libm::ldexp(1.0, MAGNITUDE as i32);
        if !scores.iter().all(|score| score.abs() < limit) {
            let rule = "what this party's part of the model adds to a score is too large, or no number: is a \
                        cell far outside of what the model was fitted to?";
            return Err(Error::Data(rule.to_owned()));
        }
        let targets = Zeroizing::new(table.target().map(<[f64]>::to_vec).unwrap_or_default());
        if part.kind() == ModelKind::Logistic && !targets.is_empty() {
            let positive: f64 = targets.iter().sum();
            let few = positive.min(targets.len() as f64 - positive);
            if few < LEAST_OF_A_CLASS {
                return Err(Error::Data(format!(
                    "the test records have fewer than {LEAST_OF_A_CLASS} of a class: sums over them would tell of \
                     single ones"
                )));
            }
        }
        let offsets = Zeroizing::new(table.offset().map(<[f64]>::to_vec).unwrap_or_default());
        let holds = table.target().is_some();
        Ok(Self { scores, targets, offsets, holds })
    }

    /// This party's numbers as its share of sums over all parties.
    pub(super) fn part(&self, numbers: &[f64]) -> Result<Fixed, Error> {
        Ok(Fixed::own_part(numbers, numbers.len(), 1, FRACTION)?)
    }

    /// This party's share of a number for each record, which it makes of its part of the score.
    pub(super) fn placed<R: Ring>(
        &self,
        place: impl Fn(usize, f64) -> f64,
        fraction: u32,
    ) -> Result<Shared<R>, Error> {
        let mut share = Vec::with_capacity(self.scores.len());
        for (row, &score) in self.scores.iter().enumerate() {
            let placed = fixed::encode(place(row, score), fraction, fraction + STRETCHED)?;
            share.push(R::from_i128(placed));
        }
        Ok(Shared::column(share))
    }

    /// The sum of target times score. One round.
    pub(super) async fn of_targets(
        &self,
        (left, right): (LeftFactor<Z128>, RightFactor<Z128>),
        session: &mut Session,
    ) -> Result<Fixed, Error> {
        let rows = self.scores.len();
        let target = |row: usize| self.targets.get(row).copied().unwrap_or(0.0);
        let targets = (0..rows).map(|row| Z128::from_i128(target(row) as i128)).collect();
        let targets = Shared::new(targets, 1, rows);
        let z: Shared<Z128> = self.placed(|_, z| z, SCORE_FRACTION)?;
        let sum = product::multiply(&targets, &z, left, right, session).await?;
        Ok(Fixed::new(sum, Z128::BITS, SCORE_FRACTION)?)
    }
}
