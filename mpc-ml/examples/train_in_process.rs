//! Three parties in one process fit a linear model on the rows of all of them. Each has a session of
//! its own; no party sees another's rows, and no dealer is needed.

use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::testing::World;
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Run, ledger};
use mpc_ml::models::linear::{Linear, LinearSettings};
use mpc_ml::{Agreed, Error, Model, Plan};
use ndarray::{Array1, Array2};

/// What each party learns: the coefficients, the intercept last.
fn train() -> Result<Vec<Vec<f64>>, Error> {
    let settings = LinearSettings {
        intercept: true,
        l2: 0.0,
        clip: 1.0,
        condition: Some(20.0),
        release_bits: 20,
        inference: false,
        ..LinearSettings::default()
    };
    // Public: 50 rows at each party, two columns whose mean square is at most 1, the target's range.
    let facts = Facts::horizontal(&[50; 3], vec![1.0; 2], Origin::Pairwise);
    let plan = Linear::plan(&settings, &Facts { target: Some((-5.0, 5.0)), ..facts })?;

    let world = World::new(3).outputs(ledger(&plan.outputs()));
    let fits = world.run(async |mut session| {
        // Private: y = 2 x0 - x1 + 0.5.
        let me = session.me() as f64;
        let x = Array2::from_shape_fn((50, 2), |(i, j)| ((i + 7 * j) as f64 * (2.0 + me)).sin());
        let y: Array1<f64> = x.rows().into_iter().map(|row| 2.0 * row[0] - row[1] + 0.5).collect();
        let data = Dataset::new(x.view(), y.view())?;

        let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let mut run = Run { session: &mut session, source: &mut source, progress: &mut |_| {} };
        let shares = Linear::fit(&plan, &data, &mut run).await?;
        let fit = Linear::release(&plan, shares, &data, &mut run).await?;
        source.finish().await?;
        Ok(fit.map(|fit| fit.coefficients).unwrap_or_default())
    });
    fits.into_iter().collect()
}

#[allow(clippy::print_stdout)]
fn main() -> Result<(), Error> {
    for (party, coefficients) in train()?.iter().enumerate() {
        println!("party {party} learns {coefficients:.4?}");
    }
    Ok(())
}

#[test]
fn all_parties_learn_the_law_of_the_data() -> Result<(), Error> {
    for coefficients in train()? {
        for (got, law) in coefficients.iter().zip([2.0, -1.0, 0.5]) {
            assert!((got - law).abs() < 1e-4, "{got} instead of {law}");
        }
    }
    Ok(())
}
