//! A model that nobody ever sees: three parties train it, keep it as shares, and reveal one number
//! that they compute with it, the mean score of all rows.
//!
//! The study names that number as its only output, so the session would refuse to reveal a
//! coefficient.

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{CorrelationSource, Origin, Request, RightRequest};
use mpc_core::protocols::product::multiply_fixed;
use mpc_core::testing::World;
use mpc_core::{Fixed, Outputs, Recipients};
use mpc_ml::model::{Facts, Run};
use mpc_ml::models::sgd::{Sgd, SgdSettings, Sigmoid, SigmoidFit};
use mpc_ml::{Agreed, Error, Model, Rows, SgdPlan, synthetic};

const MEAN_SCORE: &str = "mean score";
const COLUMNS: usize = 4;

fn settings() -> SgdSettings {
    SgdSettings {
        intercept: true,
        l2: 0.01,
        clip: 8.0,
        epochs: 4,
        batch: 50,
        learning_rate: 0.5,
        decay: 0.0,
        momentum: 0.0,
        seed: 1,
        sigmoid: Sigmoid { window: 64, terms: 16, fit: SigmoidFit::Plain },
        release_bits: 20,
    }
}

/// The own part of the mean of all `total` rows, and of their number for the intercept: this party's
/// share of the mean.
fn own_mean(rows: &Rows, total: f64) -> Vec<f64> {
    let mut sum = [0.0; COLUMNS + 1];
    for row in 0..rows.len() {
        sum.iter_mut().zip(rows.row(row)).for_each(|(sum, x)| *sum += x);
    }
    sum[COLUMNS] = rows.len() as f64;
    sum.iter().map(|sum| sum / total).collect()
}

/// Trains on the rows of all parties and gives the mean score, as each party learns it.
fn mean_score(plan: &SgdPlan, data: &[Rows]) -> Result<Vec<f64>, Error> {
    let outputs = Outputs::none().allow(MEAN_SCORE, Recipients::All);
    let world = World::new(data.len()).with_dealer().outputs(outputs);
    let scores = world.run(async |mut session| {
        let rows = &data[session.me()];
        let mut source = DealerSource::start(&mut session)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let mut run = Run { session: &mut session, source: &mut source, progress: &mut |_| {} };
        let model = Sgd::fit(&plan, &rows.clone().into(), &mut run).await?;

        // One product on shares: (mean of the rows) x (weights). It knows ring and scale of both.
        let (m, k) = (1, COLUMNS as u32 + 1);
        let right = Request::Right(RightRequest { left: 0, n: 1, last: true });
        source.demand(vec![Request::Left { m, k, ring: 128 }, right])?;
        let left = source.take().await?.left128()?;
        let right = source.take().await?.right128()?;
        let total = plan.facts().total_rows() as f64;
        let row = Fixed::own_part(&own_mean(rows, total), 1, COLUMNS + 1, 20)?;
        let mean = multiply_fixed(&row, model.weights(), left, right, &mut session).await?;

        let revealed = session.reveal_fixed(MEAN_SCORE, &mean, 20).await?;
        source.finish().await?;
        Ok(revealed.and_then(|values| values.first().copied()).unwrap_or(f64::NAN))
    });
    scores.into_iter().collect()
}

fn plan() -> Result<SgdPlan, Error> {
    let facts = Facts::horizontal(&[100; 3], vec![2.0; COLUMNS], Origin::Dealer);
    Sgd::plan(&settings(), &facts)
}

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Error> {
    let scores = mean_score(&plan()?, &synthetic::logistic(300, COLUMNS, 3, 1))?;
    println!("the mean score is {scores:.5?}; nobody knows the model");
    Ok(())
}

#[test]
fn the_mean_score_is_that_of_the_same_model_in_the_clear() -> Result<(), Error> {
    use mpc_ml::models::sgd::plaintext;

    let (plan, data) = (plan()?, synthetic::logistic(300, COLUMNS, 3, 1));
    let order = |party: usize| plan.schedule().own_order(party);
    let ordered: Vec<Rows> =
        data.iter().enumerate().map(|(party, rows)| rows.ordered(&order(party))).collect();
    let weights = plaintext::train(&plan, &ordered);
    let score = |row| mpc_ml::plaintext::score(&weights, row);
    let scores = data.iter().flat_map(|rows| (0..rows.len()).map(|row| score(rows.row(row))));
    let expected = scores.sum::<f64>() / 300.0;
    for got in mean_score(&plan, &data)? {
        assert!((got - expected).abs() < 2e-3, "{got} instead of {expected}");
    }
    Ok(())
}
