//! Made-up data with a known law, for benchmarks and tests.

mod draw;
pub mod studies;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use crate::plaintext::sigmoid;
use crate::rows::Rows;
use draw::{normal, uniform};

/// `rows` rows of `columns` standard normal entries, split over `parties` parties as evenly as
/// possible; w standard normal; the label is 1 with probability sigmoid(3 x w / 10).
#[must_use]
pub fn logistic(rows: usize, columns: usize, parties: usize, seed: u64) -> Vec<Rows> {
    let mut rng = ChaCha20Rng::from_seed(mpc_core::rand::hash("synthetic", &[&seed.to_le_bytes()]));
    let w: Vec<f64> = (0..columns).map(|_| normal(&mut rng)).collect();
    (0..parties)
        .map(|party| {
            let own = rows / parties + usize::from(party < rows % parties);
            let mut x = Vec::with_capacity(own * columns);
            let mut y = Vec::with_capacity(own);
            for _ in 0..own {
                let row: Vec<f64> = (0..columns).map(|_| normal(&mut rng)).collect();
                let z: f64 = row.iter().zip(&w).map(|(x, w)| x * w).sum();
                y.push(f64::from(uniform(&mut rng) < sigmoid(0.3 * z)));
                x.extend(row);
            }
            Rows::new(x, y, columns)
        })
        .collect()
}
