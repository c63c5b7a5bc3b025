//! Federated averaging with secure aggregation on public data: ten parties in one process, whose rows differ much.
//! `cargo run --release -p mpc-ml --example federated -- [credit | digits]`
//!
//! The training rows of a data set of `scripts/data` are divided anew between ten parties, each class in random proportions. Prints one
//! JSON object: the score of the joint model on the test rows after 20 rounds, with all parties in each round, run over the in-memory mesh, and
//! with a fifth of them away in each; and that of the fit on the pooled rows, from the reference of the data set.
#![allow(clippy::print_stdout)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mpc_core::testing::World;
use mpc_ml::federated::{Family, Joint, OwnRows, Terms, fit, plain};
use mpc_ml::metrics::Scores;
use mpc_ml::model::ledger;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use serde_json::{Value, json};

const PARTIES: usize = 10;

/// Rows with their targets.
#[derive(Clone, Default)]
struct Rows {
    columns: Vec<String>,
    values: Vec<Vec<f64>>,
    targets: Vec<f64>,
}

impl Rows {
    /// The rows of a file, gzipped or not; what `value` gives nothing for is no column.
    fn read(path: &Path, target: &str, value: fn(&str, &str) -> Option<f64>) -> Self {
        let mut text = String::new();
        if path.extension().is_some_and(|ending| ending == "gz") {
            let mut gzip = Command::new("gzip");
            let started = gzip.arg("-dc").arg(path).stdout(Stdio::piped()).spawn();
            let output =
                started.and_then(std::process::Child::wait_with_output).expect("gzip runs");
            text = String::from_utf8(output.stdout).expect("a table is text");
        } else {
            let mut file = File::open(path).expect("the data set is there");
            file.read_to_string(&mut text).expect("a table is text");
        }
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names: Vec<String> =
            reader.headers().expect("a table has names").iter().map(str::to_owned).collect();
        let mut rows = Self::default();
        for record in reader.records().map(|record| record.expect("a table has rows")) {
            let mut values = Vec::new();
            let mut columns = Vec::new();
            for (name, cell) in names.iter().zip(&record) {
                if name == target {
                    rows.targets.push(cell.parse().expect("a number"));
                } else if let Some(value) = value(name, cell) {
                    values.push(value);
                    columns.push(name.clone());
                }
            }
            rows.values.push(values);
            rows.columns = columns;
        }
        rows
    }

    fn append(&mut self, mut other: Self) {
        self.columns = other.columns;
        self.values.append(&mut other.values);
        self.targets.append(&mut other.targets);
    }

    /// Without columns that say nothing about the rows of `all`.
    fn only(&mut self, all: &[bool]) {
        let kept = |at: usize| all[at];
        self.columns =
            (0..all.len()).filter(|&at| kept(at)).map(|at| self.columns[at].clone()).collect();
        for row in &mut self.values {
            *row = (0..all.len()).filter(|&at| kept(at)).map(|at| row[at]).collect();
        }
    }
}

/// Each class is divided between the parties in proportions of its own, uniform among all that there are.
fn divide(rows: &Rows, seed: u64) -> Vec<Rows> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut unit = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    let classes = rows.targets.iter().fold(0.0f64, |most, &target| most.max(target)) as usize + 1;
    let mut parties = vec![Rows { columns: rows.columns.clone(), ..Rows::default() }; PARTIES];
    for class in 0..classes {
        let shares: Vec<f64> = (0..PARTIES).map(|_| -libm::log(unit())).collect();
        let total: f64 = shares.iter().sum();
        for (row, &target) in rows.targets.iter().enumerate().filter(|row| *row.1 == class as f64) {
            let mut left = unit() * total;
            let party = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            let party = &mut parties[party.unwrap_or(PARTIES - 1)];
            party.values.push(rows.values[row].clone());
            party.targets.push(target);
        }
    }
    parties
}

/// The score of a model on the test rows: the area under the curve, or the accuracy.
fn score(terms: &Terms, joint: &Joint, test: &Rows) -> f64 {
    let count = terms.family.scores();
    let scores = |row: &Vec<f64>| -> Vec<f64> {
        let with_one = row.iter().copied().chain([1.0]);
        let mut scores = vec![0.0; count];
        for (column, value) in with_one.enumerate() {
            for (at, score) in scores.iter_mut().enumerate() {
                *score += value * joint.model[column * count + at];
            }
        }
        scores
    };
    if count == 1 {
        let logistic = |row| 1.0 / (1.0 + libm::exp(-scores(row)[0]));
        let predictions: Vec<f64> = test.values.iter().map(logistic).collect();
        let scores = Scores::new(&predictions, &test.targets).expect("there are test rows");
        return scores.auc.expect("the test rows have both outcomes");
    }
    let right = test.values.iter().zip(&test.targets).filter(|(row, target)| {
        let scores = scores(row);
        let best = (0..count).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
        best == Some(**target as usize)
    });
    right.count() as f64 / test.targets.len() as f64
}

fn own(terms: &Terms, me: usize, rows: &Rows) -> OwnRows {
    OwnRows::new(terms, me, &rows.values.concat(), &rows.targets).expect("the rows fit")
}

fn main() {
    let which = std::env::args().nth(1).unwrap_or_else(|| "credit".to_owned());
    println!("{}", measure(&which));
}

/// Both runs on a data set, which have to be as good as the pooled fit.
fn measure(which: &str) -> Value {
    // Steps on the own rows in a round: pixels are more alike than the columns of applicants, and need more of them.
    let (set, ending, target, family, steps) = match which {
        "credit" => ("credit_status/encoded", "csv", "y", Family::Logistic, 20),
        "digits" => ("mnist_wide", "csv.gz", "digit", Family::Multinomial { levels: 10 }, 40),
        other => panic!("`{other}` is no data set: credit, digits"),
    };
    let value: fn(&str, &str) -> Option<f64> = match which {
        "digits" => |name, cell| {
            let pixel = name.strip_prefix('p')?.parse::<u32>().is_ok();
            pixel.then(|| cell.parse::<f64>().map(|value| value / 255.0).ok()).flatten()
        },
        _ => |_, cell| cell.parse().ok(),
    };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../scripts/data").join(set);
    let read = |name: &str| Rows::read(&folder.join(format!("{name}.{ending}")), target, value);
    let mut all = Rows::default();
    ["party1", "party2", "party3"].into_iter().for_each(|name| all.append(read(name)));
    let mut test = read("test");
    let varies = |at: usize| all.values.iter().any(|row| row[at] != all.values[0][at]);
    let kept: Vec<bool> = (0..all.columns.len()).map(varies).collect();
    all.only(&kept);
    test.only(&kept);

    let parties = divide(&all, 1);
    let rows: Vec<u64> = parties.iter().map(|rows| rows.targets.len() as u64).collect();
    let patience = Duration::from_secs(600);
    let terms = Terms { patience, steps, ..Terms::new(family, all.columns.clone(), rows.clone()) };
    let world = World::new(PARTIES).outputs(ledger(&terms.outputs())).deadline(patience * 4);
    let start = Instant::now();
    let fits = world.run(async |mut session| {
        let me = session.me();
        let rows = own(&terms, me, &parties[me]);
        let fitted = fit(&terms, rows, &mut session, |_| {}).await.expect("fits");
        session.finish().await.expect("ends");
        fitted.joint
    });
    let seconds = start.elapsed().as_secs_f64();
    assert!(fits.iter().all(|joint| *joint == fits[0]), "all have the same model");

    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let away: Vec<[usize; 2]> = (0..terms.rounds)
        .map(|_| {
            let first = (rng.next_u64() % PARTIES as u64) as usize;
            [first, (first + 1 + (rng.next_u64() % (PARTIES as u64 - 1)) as usize) % PARTIES]
        })
        .collect();
    let tables = || parties.iter().enumerate().map(|(me, rows)| own(&terms, me, rows)).collect();
    let is_away = |round: u64, party: usize| away[round as usize - 1].contains(&party);
    let some = plain(&terms, tables(), is_away).expect("fits");

    let reference = folder.ancestors().map(|folder| folder.join("reference.json"));
    let reference = reference.into_iter().find(|path| path.exists()).expect("a data set has one");
    let text = std::fs::read_to_string(reference).expect("it can be read");
    let tasks = serde_json::from_str::<Value>(&text).expect("it is JSON")["tasks"].clone();
    let (pooled, most) = match which {
        "credit" => (&tasks["bad"]["l2"]["test"]["auc"], 0.001),
        _ => (&tasks["ten_digits"]["test"]["accuracy"], 0.005),
    };
    let pooled = pooled.as_f64().expect("the reference has a score");
    let (joint, some) = (score(&terms, &fits[0], &test), score(&terms, &some, &test));
    let measured = json!({
        "data": which, "rows": rows, "rounds": terms.rounds, "coefficients": terms.coefficients(),
        "pooled": pooled, "federated": joint, "two_away_in_each_round": some, "seconds": seconds,
    });
    assert!(joint >= pooled - most && some >= pooled - most, "not as good as pooled: {measured}");
    measured
}

#[test]
fn parties_of_unlike_rows_come_as_far_as_the_pooled_fit() {
    println!("{}", measure("credit"));
}

#[test]
#[ignore = "takes a minute"]
fn likewise_with_ten_digits() {
    println!("{}", measure("digits"));
}
