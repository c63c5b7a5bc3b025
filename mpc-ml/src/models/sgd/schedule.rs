//! Which row is in which batch, and in which order the batches come: public, fixed, and the same
//! at every party and in the plaintext trainer.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::error::Error;

/// The assignment of all parties' rows to batches.
///
/// * Each party's rows are shuffled by the study's public seed, since files are often sorted.
/// * The shuffled rows of all parties are merged in proportion: row k of n stands at the fraction
///   (k + 1/2)/n. Consecutive runs of `batch` rows are the batches, so each draws from every owner
///   as evenly as whole rows allow; an owner with fewer rows than there are batches is simply
///   absent from some.
/// * The last partial batch is dropped.
/// * The assignment is fixed; what changes from epoch to epoch is the order of the batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    rows: Vec<u64>,
    batch: u64,
    seed: u64,
    /// For each batch, from (included) and to (excluded) which of its rows each party gives.
    batches: Vec<Vec<(u64, u64)>>,
}

impl Schedule {
    /// The schedule for parties with `rows` rows each and batches of `batch` rows.
    ///
    /// # Errors
    /// [`Error::Settings`] when there is not one whole batch.
    pub fn new(rows: &[u64], batch: u64, seed: u64) -> Result<Self, Error> {
        let total: u64 = rows.iter().sum();
        if batch == 0 || total < batch {
            let rule = format!(
                "is {batch}, and all parties together have {total} rows, which is less than one \
                 batch: choose a smaller one"
            );
            return Err(Error::field("batch", rule));
        }
        let mut order: Vec<(u64, usize)> = rows
            .iter()
            .enumerate()
            .flat_map(|(party, &n)| (0..n).map(move |row| (row, party)))
            .collect();
        order.sort_by_key(|&(row, party)| Place::new(row, rows[party], party));

        let mut next = vec![0u64; rows.len()];
        let batches = order
            .chunks_exact(batch as usize)
            .map(|chunk| {
                let from = next.clone();
                for &(_, party) in chunk {
                    next[party] += 1;
                }
                from.into_iter().zip(next.iter().copied()).collect()
            })
            .collect();
        Ok(Self { rows: rows.to_vec(), batch, seed, batches })
    }

    /// The number of batches of an epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// The rows of a batch.
    #[must_use]
    pub fn batch_rows(&self) -> u64 {
        self.batch
    }

    /// The rows of each party.
    #[must_use]
    pub fn rows(&self) -> &[u64] {
        &self.rows
    }

    /// Which rows of each party, in shuffled order, make up a batch.
    #[must_use]
    pub fn parts(&self, batch: usize) -> &[(u64, u64)] {
        &self.batches[batch]
    }

    /// How many rows of all parties are in no batch.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.rows.iter().sum::<u64>() - self.batch * self.batches.len() as u64
    }

    /// The order of the batches in an epoch.
    #[must_use]
    pub fn order(&self, epoch: u64) -> Vec<usize> {
        shuffled(self.batches.len(), "batches", self.seed, epoch)
    }

    /// The order in which a party's own rows enter the schedule.
    #[must_use]
    pub fn own_order(&self, party: usize) -> Vec<usize> {
        shuffled(self.rows[party] as usize, "rows", self.seed, party as u64)
    }
}

/// The fraction (2 row + 1) / (2 n), compared exactly; ties go to the lower party.
#[derive(PartialEq, Eq)]
struct Place {
    numerator: u128,
    n: u128,
    party: usize,
}

impl Place {
    fn new(row: u64, n: u64, party: usize) -> Self {
        Self { numerator: 2 * u128::from(row) + 1, n: u128::from(n), party }
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.numerator * other.n)
            .cmp(&(other.numerator * self.n))
            .then(self.party.cmp(&other.party))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A permutation of 0..n: Fisher and Yates over a ChaCha20 stream of a public seed, written out
/// here because every version of every party must get the same one.
fn shuffled(n: usize, what: &str, seed: u64, number: u64) -> Vec<usize> {
    let key = mpc_core::rand::hash(
        "schedule",
        &[what.as_bytes(), &seed.to_le_bytes(), &number.to_le_bytes()],
    );
    let mut rng = ChaCha20Rng::from_seed(key);
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        let j = ((u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64) as usize;
        order.swap(i, j);
    }
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_batch_is_full_and_in_proportion(
            rows in prop::collection::vec(0u64..400, 2..6),
            batch in 1u64..50,
        ) {
            let total: u64 = rows.iter().sum();
            prop_assume!(total >= batch);
            let schedule = Schedule::new(&rows, batch, 1).expect("fits");
            let mut next = vec![0; rows.len()];
            for b in 0..schedule.batches() {
                let parts = schedule.parts(b);
                prop_assert_eq!(parts.iter().map(|(from, to)| to - from).sum::<u64>(), batch);
                for (party, &(from, to)) in parts.iter().enumerate() {
                    prop_assert_eq!(from, next[party]);
                    next[party] = to;
                    let share = (rows[party] * batch) as f64 / total as f64;
                    let slack = rows.len() as f64;
                    prop_assert!(((to - from) as f64 - share).abs() <= slack);
                }
            }
            prop_assert!(schedule.dropped() < batch);
        }
    }

    #[test]
    fn epochs_have_orders_of_their_own() {
        let schedule = Schedule::new(&[100, 3, 50], 10, 7).expect("fits");
        assert_eq!(schedule.batches(), 15);
        assert_eq!(schedule.dropped(), 3);
        let mut order = schedule.order(0);
        assert_ne!(order, schedule.order(1));
        assert_eq!(order, schedule.order(0));
        order.sort_unstable();
        assert_eq!(order, (0..15).collect::<Vec<_>>());
        // Three rows cannot be in fifteen batches.
        let present = (0..15).filter(|&b| schedule.parts(b)[1].0 < schedule.parts(b)[1].1).count();
        assert_eq!(present, 3);
    }

    /// Golden values: another permutation would make two versions train different models.
    #[test]
    fn golden_order() {
        assert_eq!(shuffled(8, "rows", 1, 0), shuffled(8, "rows", 1, 0));
        let schedule = Schedule::new(&[5, 2], 3, 1).expect("fits");
        assert_eq!(schedule.parts(0), [(0, 2), (0, 1)]);
        assert_eq!(schedule.parts(1), [(2, 4), (1, 2)]);
    }

    #[test]
    fn fewer_rows_than_a_batch_are_refused() {
        let error = Schedule::new(&[3, 4], 8, 1).expect_err("refused").to_string();
        assert!(error.contains("7 rows") && error.contains("batch is 8"), "{error}");
    }
}
