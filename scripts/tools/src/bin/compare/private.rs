//! How good models with differential privacy are: the same rule in one process, on the rows of a study's parties, many
//! times with fresh noise.

use mpc_core::correlations::Origin;
use mpc_core::noise::NoiseStream;
use mpc_core::rand::Coins;
use mpc_ml::Model as _;
use mpc_ml::data::{Dataset, Table, encode};
use mpc_ml::model::Facts;
use mpc_ml::models::private::{Private, PrivateSettings, plaintext};
use ndarray::{ArrayView1, Axis};
use parties::data_file::{ReadOptions, Source, read};
use parties::study::Study;

use crate::Outcome;
use crate::cases::Case;
use crate::reference::{Test, metric};

/// What is tried.
const EPSILONS: [f64; 3] = [1.0, 3.0, 8.0];

/// Prints mean and deviation over `runs` runs of the measure on the test rows, with a few epsilons; of `rows` rows of
/// each party, or of all.
pub fn figures(case: &Case, runs: usize, rows: Option<usize>) -> Outcome<()> {
    let study = Study::read(&case.study())?;
    let settings = study.privacy().ok_or("it is no study with differential privacy")?;
    let test = Test::read(case, &study)?;
    let options = ReadOptions { with_target: true, ..ReadOptions::default() };
    let tables = (1..=study.parties().len())
        .map(|party| {
            let source = Source::file(&case.data(&format!("party{party}.csv")));
            Ok(read(&source, study.schema(), &options)?.table)
        })
        .collect::<Outcome<Vec<Table>>>()?;
    let parties = tables
        .iter()
        .map(|table| {
            let encoded = encode(table, &[], 1.0)?;
            let (mut x, mut y) = (encoded.x, encoded.y);
            if let Some(rows) = rows.filter(|rows| *rows < y.len()) {
                // Spread over the file.
                let each = |at: usize| at * y.len() / rows;
                let chosen: Vec<usize> = (0..rows).map(each).collect();
                x = x.select(Axis(0), &chosen);
                y = chosen.iter().map(|at| y[*at]).collect();
            }
            Ok(Dataset::new(x.view(), y[..].into())?)
        })
        .collect::<Outcome<Vec<Dataset>>>()?;
    let counts: Vec<u64> = parties.iter().map(|party| party.len() as u64).collect();
    let x = encode(&test.table, &[], 1.0)?.x;
    println!("{} of {} rows at {} parties", case.name(), counts.iter().sum::<u64>(), counts.len());
    for epsilon in EPSILONS {
        let settings = PrivateSettings { epsilon, ..settings.clone() };
        let recipients = study.recipients();
        let facts = Facts::of(study.schema(), 1.0, &counts, recipients, Origin::Pairwise);
        let plan = match Private::plan(&settings, &facts) {
            Ok(plan) => plan,
            Err(refused) => {
                println!("  epsilon {epsilon}: {refused}");
                continue;
            }
        };
        let mut measures = Vec::new();
        let mut name = "";
        for _ in 0..runs {
            let mut streams = Vec::new();
            for _ in &parties {
                streams.push(NoiseStream::new(&mut Coins::fresh()?));
            }
            let model = plaintext::fit(&plan, &parties, &mut streams).coefficients;
            let (intercept, weights) = model.split_last().ok_or("a model without intercept")?;
            let score = |row: ArrayView1<'_, f64>| -> f64 {
                intercept + row.iter().zip(weights).map(|(x, w)| x * w).sum::<f64>()
            };
            let predictions: Vec<f64> =
                x.rows().into_iter().map(|row| study.kind().prediction(score(row))).collect();
            let (measure, value) = metric(study.kind(), &predictions, &test.outcomes)?;
            name = measure;
            measures.push(value);
        }
        let count = measures.len() as f64;
        let mean = measures.iter().sum::<f64>() / count;
        let deviation =
            (measures.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
        println!("  epsilon {epsilon}: {name} {mean:.4}, deviation {deviation:.4}, {runs} runs");
    }
    Ok(())
}
