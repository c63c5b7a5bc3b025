//! The product of two secrets: what one party's price and another party's quantity make, which
//! neither shows to anybody. Three parties make the correlated randomness themselves.

use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{Correlations, Orders};
use mpc_core::protocols::product;
use mpc_core::testing::World;
use mpc_core::{Error, Outputs, Recipients, Session};

/// The value of the deal, if this party is to learn it. Two rounds beside the preparation.
async fn value_of(
    price: Option<f64>,
    quantity: Option<f64>,
    session: &mut Session,
) -> Result<Option<f64>, Error> {
    let mut source = PairwiseSource::start(session, Expansion::Compact)?;
    let mut correlations = Correlations::new(&mut source)?;
    let mut orders = Orders::new();
    let left = orders.left(1, 1);
    let right = orders.right(&left, 1);
    correlations.demand(orders)?;

    let price = session.share_fixed(0, price.as_ref().map(std::slice::from_ref), (1, 1), 20)?;
    let quantity =
        session.share_fixed(1, quantity.as_ref().map(std::slice::from_ref), (1, 1), 20)?;
    let (left, right) = (correlations.take(left).await?, correlations.take(right).await?);
    let value = product::multiply_fixed(&price, &quantity, left, right, session).await?;
    correlations.finish().await?;
    Ok(session.reveal_fixed("value", &value, 20).await?.map(|value| value[0]))
}

fn main() -> Result<(), Error> {
    let outputs = Outputs::none().allow("value", Recipients::All);
    let results = World::new(3).outputs(outputs).run(async |mut session| {
        let me = session.me();
        value_of((me == 0).then_some(12.75), (me == 1).then_some(-8.5), &mut session).await
    });
    for result in results {
        assert!((result?.expect("all learn it") + 12.75 * 8.5).abs() < 1e-5);
    }
    Ok(())
}
