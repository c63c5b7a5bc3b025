//! Two parties that hold different columns of the same rows, inside one process: a linear regression
//! with standard errors, and an epoch of logistic gradient descent, with the time and the bytes of each.
//!
//! `cargo run --release -p mpc-ml --example columns -- ROWS COLUMNS COLUMNS ..` takes a number of rows, and
//! the columns of each party; party 0 has the target. The word `linear` or `descent` in front makes one fit alone.

use std::time::{Duration, Instant};

use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::testing::World;
use mpc_ml::data::{Dataset, STANDARDISED};
use mpc_ml::model::{Facts, Progress, Run, ledger};
use mpc_ml::models::linear::Linear;
use mpc_ml::models::sgd::{Sgd, Sigmoid, SigmoidFit};
use mpc_ml::{Agreed, Error, LinearSettings, Model, Plan, SgdSettings, synthetic};
use mpc_net::PhaseTotals;
use ndarray::{ArrayView1, ArrayView2, Axis, s};

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Error> {
    let mut numbers = Vec::new();
    let mut words = std::env::args().skip(1).peekable();
    let only = words.next_if(|word| word == "linear" || word == "descent");
    let wanted = |fit: &str| only.as_ref().is_none_or(|only| only == fit);
    for word in words {
        let number: u32 =
            word.parse().map_err(|_| Error::Settings(format!("{word} is no number")))?;
        numbers.push(number);
    }
    let (rows, widths) = match numbers.split_first() {
        None => (600, vec![3, 4]),
        Some((&rows, widths)) if widths.len() > 1 => (rows as usize, widths.to_vec()),
        Some(_) => {
            return Err(Error::Settings("give rows, and columns of two parties or more".into()));
        }
    };
    let columns = widths.iter().sum::<u32>() as usize;
    let whole = synthetic::logistic(rows, columns, 1, 1).remove(0);
    let table = ArrayView2::from_shape((rows, columns), whole.x()).map_err(|error| {
        Error::Settings(format!("{rows} rows of {columns} columns are no table: {error}"))
    })?;
    // Standardised, as a study has them.
    let (mean, std) = (table.mean_axis(Axis(0)), table.std_axis(Axis(0), 0.0));
    let table = (&table - &mean.ok_or_else(|| Error::Settings("there are no rows".into()))?) / &std;
    let target = whole.y().to_vec();
    drop(whole);
    let mut data = Vec::new();
    let mut end = 0;
    for &width in &widths {
        let own = table.slice(s![.., end..end + width as usize]);
        end += width as usize;
        data.push(if data.is_empty() {
            Dataset::new(own, ArrayView1::from(&target))?
        } else {
            Dataset::without_target(own)
        });
    }
    drop(table);
    let squares = vec![STANDARDISED; columns];
    let facts = Facts::vertical(rows as u64, &widths, 0, squares, Origin::Pairwise);
    let facts = Facts { target: Some((0.0, 1.0)), ..facts };

    let inference = LinearSettings { inference: true, ..LinearSettings::default() };
    if wanted("linear") {
        measure::<Linear>("linear, with standard errors", &inference, &facts, &data)?;
    }
    let descent = SgdSettings {
        intercept: true,
        l2: 0.0,
        clip: 8.0,
        epochs: 1,
        batch: 1024.min(rows as u64 / 4).max(1),
        learning_rate: 0.5,
        decay: 0.0,
        momentum: 0.0,
        seed: 1,
        sigmoid: Sigmoid { window: 128, terms: 12, fit: SigmoidFit::Weighted },
        release_bits: 16,
    };
    if wanted("descent") {
        measure::<Sgd>("an epoch of logistic gradient descent", &descent, &facts, &data)?;
    }
    Ok(())
}

/// Fits and releases, and tells what it took.
#[allow(clippy::print_stdout)]
fn measure<M: Model>(
    what: &str,
    settings: &M::Settings,
    facts: &Facts,
    data: &[Dataset],
) -> Result<(), Error>
where
    M::Plan: Clone + Sync,
{
    let plan = M::plan(settings, facts)?;
    let begun = Instant::now();
    let world =
        World::new(data.len()).outputs(ledger(&plan.outputs())).deadline(Duration::from_secs(3600));
    let ends = world.run(async |mut session| {
        let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let data = &data[session.me()];
        let progress = &mut |progress| {
            if matches!(progress, Progress::Prepared) {
                println!("prepared after {:.1} s", begun.elapsed().as_secs_f64());
            }
        };
        let mut run = Run { session: &mut session, source: &mut source, progress };
        let fitted = M::fit(&plan, data, &mut run).await?;
        let fit = M::release(&plan, fitted, data, &mut run).await?;
        let sent: u64 = session.meter().totals().values().map(PhaseTotals::sent).sum();
        source.finish().await?;
        Ok::<_, Error>((fit.map(|fit| M::summary(&plan, fit)), sent))
    });
    let mut sent = Vec::new();
    for end in ends {
        let (summary, bytes) = end?;
        if summary.is_none_or(|summary| summary.coefficients.is_empty()) {
            return Err(Error::Settings("a party did not receive the model".into()));
        }
        sent.push(format!("{:.1} MB", bytes as f64 / 1e6));
    }
    println!("{what}: {:.1} s, sent {}", begun.elapsed().as_secs_f64(), sent.join(" and "));
    Ok(())
}
