//! Made-up studies of all kinds that joint fits have to get right, or refuse with a true reason:
//! the same ones for the same seed, on every machine.

#[cfg(test)]
mod tests;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::draw::{normal, poisson, uniform};
use crate::plaintext::glm::{self, Data, Family, Fit, NoFit};
use crate::plaintext::sigmoid;
use crate::rows::Rows;

/// Studies of each family: six numbers of parties, six divisions, three strengths of effects.
pub const STUDIES: usize = 108;

/// Logistic studies have these shares of ones, in turn.
const PREVALENCES: [f64; 5] = [0.02, 0.05, 0.1, 0.25, 0.5];
/// One Poisson study in this many has rates from 10^4 to 10^6. Prime, so that they come with every
/// number of parties.
const LARGE_RATES: usize = 17;
/// Expected events (or ones of the target) for each column, and for the ones of a rare column: with
/// fewer of them, most studies would have no fit at all.
const EVENTS: f64 = 2.5;

/// How the rows are divided among the parties, and what is amiss at one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Division {
    /// Equal parts.
    Even,
    /// Parts that differ by a factor of ten or more.
    Uneven,
    /// The columns' means differ from party to party by about a standard deviation.
    Drifted,
    /// The last party has 3 to 20 rows.
    Tiny,
    /// The last party's targets are all alike, as far as there are rows of the kind (counts: 0).
    OneClass,
    /// A column or two are constant at the last party.
    Constant,
}

/// The law of a column before it is standardised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Standard normal.
    Normal,
    /// Normal, with a factor in common with the other columns of the kind (correlation 0.3 to 0.9).
    Correlated,
    /// The exponential of a normal value.
    Lognormal,
    /// 0 or 1, with 1% to 8% of ones (more where a share so small would meet no event).
    Rare,
    /// 0 or 1, with 20% to 60% of ones.
    Common,
}

/// A study with the rows of all parties.
#[derive(Clone, Debug)]
pub struct Study {
    /// The family and the number, as in `logistic 17`.
    pub name: String,
    /// The model.
    pub family: Family,
    /// How rows are divided.
    pub division: Division,
    /// The law of each column. All but the 0/1 columns are standardised by the joint mean and
    /// standard deviation, as a node does it.
    pub columns: Vec<Column>,
    /// The rows of each party, with targets 0 or 1, or counts.
    pub parties: Vec<Rows>,
}

impl Study {
    /// All parties' entries, row by row, and targets.
    #[must_use]
    pub fn pooled(&self) -> (Vec<f64>, Vec<f64>) {
        let x = self.parties.iter().flat_map(|rows| rows.x().iter().copied()).collect();
        let y = self.parties.iter().flat_map(|rows| rows.y().iter().copied()).collect();
        (x, y)
    }

    /// The float64 fit of all parties' rows.
    ///
    /// # Errors
    /// When they have none.
    pub fn reference(&self) -> Result<Fit, NoFit> {
        let (x, target) = self.pooled();
        glm::fit(&Data {
            family: self.family,
            x: &x,
            columns: self.columns.len(),
            intercept: true,
            target: &target,
            offsets: &[],
            weights: &[],
            l2: 0.0,
        })
    }

    /// The number of rows of all parties.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.parties.iter().map(Rows::len).sum()
    }
}

/// All studies of a family, in order.
pub fn all(family: Family, seed: u64) -> impl Iterator<Item = Study> {
    (0..STUDIES).map(move |number| study(family, number, seed))
}

/// One study of a family: the same for the same number and seed. 2 to 7 parties, 400 to 20,000
/// rows, 4 to 20 columns; 2% to 50% of ones, or mean counts of 0.3 to 50 (rates up to 10^6 in one
/// of seventeen); effects that move a row's score by a fifth of a unit to two and a half.
///
/// # Panics
/// When `number` is not below [`STUDIES`].
#[must_use]
pub fn study(family: Family, number: usize, seed: u64) -> Study {
    assert!(number < STUDIES, "there are {STUDIES} studies of a family");
    let name = match family {
        Family::Logistic => format!("logistic {number}"),
        Family::Poisson => format!("poisson {number}"),
    };
    let parts: [&[u8]; 2] = [name.as_bytes(), &seed.to_le_bytes()];
    let mut rng = ChaCha20Rng::from_seed(mpc_core::rand::hash("made-up study", &parts));
    let rng = &mut rng;

    let parties = 2 + number % 6;
    let division = [
        Division::Even,
        Division::Uneven,
        Division::Drifted,
        Division::Tiny,
        Division::OneClass,
        Division::Constant,
    ][number / 6 % 6];
    let rows = libm::round(between_by_factor(rng, 400.0, 20_000.0)) as usize;
    let large = family == Family::Poisson && number % LARGE_RATES == 3;
    let mean = match family {
        Family::Logistic => PREVALENCES[number % PREVALENCES.len()],
        Family::Poisson => between_by_factor(rng, 0.3, 50.0),
    };
    let events = mean.min(1.0) * rows as f64;
    let most = ((events / EVENTS) as usize).clamp(4, 20);
    let columns: Vec<Column> = (0..between(rng, 4, most)).map(|_| law(rng)).collect();
    let sizes = sizes(rng, division, rows, parties);
    let mut x = entries(rng, &columns, &sizes, division, EVENTS / events);
    standardise(&mut x, &columns);
    let order = |at: usize| &x[at * columns.len()..(at + 1) * columns.len()];

    // Rare columns have the larger coefficients, as they have in life.
    let mut scores = vec![0.0; rows];
    for (j, law) in columns.iter().enumerate() {
        let w = normal(rng) * if *law == Column::Rare { 2.0 } else { 1.0 };
        (0..rows).for_each(|at| scores[at] += w * order(at)[j]);
    }
    let strength = number / 36;
    let y = match family {
        Family::Logistic => labels(rng, &mut scores, [0.3, 1.0, 2.5][strength], mean),
        Family::Poisson => {
            let rates = if large {
                Rates { largest: between_by_factor(rng, 1e4, 1e6), mean: None }
            } else {
                Rates { largest: 100.0 * mean, mean: Some(mean) }
            };
            counts(rng, &mut scores, [0.2, 0.5, 1.0][strength], &rates)
        }
    };

    let mut order: Vec<usize> = (0..rows).collect();
    if division == Division::OneClass {
        // The last party gets rows of the commonest target first.
        let common = if y.iter().sum::<f64>() > 0.5 * rows as f64 && family == Family::Logistic {
            1.0
        } else {
            0.0
        };
        order.sort_by_key(|&row| y[row] == common);
    }
    let all = Rows::new(x, y, columns.len());
    let mut from = 0;
    let parties = sizes
        .iter()
        .map(|&own| {
            from += own;
            all.ordered(&order[from - own..from])
        })
        .collect();
    Study { name, family, division, columns, parties }
}

fn between(rng: &mut impl Rng, from: usize, to: usize) -> usize {
    from + (uniform(rng) * (to - from + 1) as f64) as usize
}

/// Evenly on a logarithmic scale.
fn between_by_factor(rng: &mut impl Rng, from: f64, to: f64) -> f64 {
    from * libm::pow(to / from, uniform(rng))
}

fn law(rng: &mut impl Rng) -> Column {
    match between(rng, 0, 9) {
        0..=2 => Column::Normal,
        3..=5 => Column::Correlated,
        6 => Column::Lognormal,
        7 => Column::Rare,
        _ => Column::Common,
    }
}

/// The rows of each party.
fn sizes(rng: &mut impl Rng, division: Division, rows: usize, parties: usize) -> Vec<usize> {
    let mut parts = vec![1.0; parties];
    match division {
        Division::Uneven => {
            parts.iter_mut().for_each(|part| *part = between_by_factor(rng, 0.1, 2.0));
        }
        Division::OneClass => parts[parties - 1] = 0.3,
        _ => {}
    }
    let mut sizes = vec![0; parties];
    let mut left = rows;
    if division == Division::Tiny {
        sizes[parties - 1] = between(rng, 3, 20);
        parts[parties - 1] = 0.0;
        left -= sizes[parties - 1];
    }
    let total: f64 = parts.iter().sum();
    for (size, part) in sizes.iter_mut().zip(&parts).skip(1) {
        *size += (left as f64 * part / total) as usize;
    }
    sizes[0] = rows - sizes[1..].iter().sum::<usize>();
    sizes
}

/// Entries, row by row, the parties' rows one after another; rare columns have a larger share of ones
/// than `rarest`.
fn entries(
    rng: &mut impl Rng,
    columns: &[Column],
    sizes: &[usize],
    division: Division,
    rarest: f64,
) -> Vec<f64> {
    let common = libm::sqrt(0.3 + 0.6 * uniform(rng));
    let shares: Vec<f64> = columns
        .iter()
        .map(|law| match law {
            Column::Rare => {
                between_by_factor(rng, rarest.clamp(0.01, 0.3), 2.0 * rarest.clamp(0.04, 0.3))
            }
            Column::Common => 0.2 + 0.4 * uniform(rng),
            // The spread of the logarithm of a lognormal column.
            _ => 0.5 + 0.5 * uniform(rng),
        })
        .collect();
    let mut constant = vec![false; columns.len()];
    if division == Division::Constant {
        for _ in 0..2 {
            constant[between(rng, 0, columns.len() - 1)] = true;
        }
    }
    let mut x = Vec::with_capacity(sizes.iter().sum::<usize>() * columns.len());
    for (party, &own) in sizes.iter().enumerate() {
        let drift: Vec<f64> = columns
            .iter()
            .map(|_| if division == Division::Drifted { normal(rng) } else { 0.0 })
            .collect();
        for _ in 0..own {
            let factor = normal(rng);
            for (j, law) in columns.iter().enumerate() {
                let own = normal(rng);
                let value = match law {
                    Column::Normal => own + drift[j],
                    Column::Correlated => {
                        common * factor + libm::sqrt(1.0 - common * common) * own + drift[j]
                    }
                    Column::Lognormal => libm::exp(shares[j] * (own + drift[j])),
                    Column::Rare | Column::Common => {
                        let share = shares[j] * libm::exp(0.5 * drift[j]);
                        f64::from(uniform(rng) < share.min(0.9))
                    }
                };
                let same = constant[j] && party + 1 == sizes.len();
                x.push(if same { 0.0 } else { value });
            }
        }
    }
    x
}

/// As the node does it: joint mean and standard deviation, 0/1 columns left as they are.
fn standardise(x: &mut [f64], columns: &[Column]) {
    let rows = (x.len() / columns.len()) as f64;
    for (j, law) in columns.iter().enumerate() {
        if matches!(law, Column::Rare | Column::Common) {
            continue;
        }
        let column = || (j..x.len()).step_by(columns.len());
        let mean = column().map(|at| x[at]).sum::<f64>() / rows;
        let square = column().map(|at| (x[at] - mean) * (x[at] - mean)).sum::<f64>() / rows;
        let deviation = libm::sqrt(square);
        column().for_each(|at| x[at] = (x[at] - mean) / deviation);
    }
}

/// Brings the scores to mean 0 and the given spread.
fn spread(scores: &mut [f64], deviation: f64) {
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    let square = scores.iter().map(|z| (z - mean) * (z - mean)).sum::<f64>() / n;
    let factor = deviation / libm::sqrt(square);
    scores.iter_mut().for_each(|z| *z = (*z - mean) * factor);
}

/// Labels of which the share `prevalence` is expected to be 1.
fn labels(rng: &mut impl Rng, scores: &mut [f64], deviation: f64, prevalence: f64) -> Vec<f64> {
    spread(scores, deviation);
    let share = |b: f64| scores.iter().map(|z| sigmoid(z + b)).sum::<f64>() / scores.len() as f64;
    let (mut low, mut high) = (-50.0, 50.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if share(middle) < prevalence { low = middle } else { high = middle }
    }
    scores.iter().map(|z| f64::from(uniform(rng) < sigmoid(z + low))).collect()
}

/// What the rates of counts are like.
struct Rates {
    /// No row's rate is larger.
    largest: f64,
    /// Their mean; without one the largest is reached.
    mean: Option<f64>,
}

fn counts(rng: &mut impl Rng, scores: &mut [f64], deviation: f64, rates: &Rates) -> Vec<f64> {
    spread(scores, deviation);
    let top = |scores: &[f64]| scores.iter().fold(f64::MIN, |most, &z| most.max(z));
    let intercept = loop {
        let largest = libm::log(rates.largest) - top(scores);
        let Some(mean) = rates.mean else { break largest };
        let grown = scores.iter().map(|&z| libm::exp(z)).sum::<f64>() / scores.len() as f64;
        let intercept = libm::log(mean / grown);
        if intercept <= largest {
            break intercept;
        }
        // A row far out, of a lognormal column mostly: smaller effects.
        scores.iter_mut().for_each(|z| *z *= 0.9);
    };
    scores.iter().map(|z| poisson(rng, libm::exp(z + intercept))).collect()
}
