//! How far apart are the turnovers of three shops, none of which shows its own, nor their sum? A protocol of
//! one's own, run by nodes over QUIC with their party.toml: `scripts/protocol.sh` starts three of them.

use mpc_core::Fixed;
use mpc_core::correlations::{Correlations, Orders};
use mpc_core::protocols::product;
use parties::protocol::{Agreement, Exit, Failure, Protocol, Run, main as takes_part};

/// One shop: the sum of the numbers in its file, a line for each.
struct Spread(f64);

impl Protocol for Spread {
    const NAME: &'static str = "spread/1";
    type Shares = Fixed;
    type Result = Option<f64>;

    fn read(_: &Agreement, _: usize, input: &[u8]) -> Result<Self, Failure> {
        let wrong = || Failure::new(Exit::LocalInput, "a line of the input is no number");
        let text = std::str::from_utf8(input).map_err(|_| wrong())?;
        let numbers = text.lines().map(|line| line.trim().parse::<f64>().map_err(|_| wrong()));
        numbers.sum::<Result<f64, Failure>>().map(Self)
    }

    /// Shares of n^2 times the variance of the n totals: n times the sum of their squares, minus the square
    /// of their sum. One round beside the making of the correlated randomness.
    async fn compute(&mut self, run: &mut Run<'_>) -> Result<Fixed, Failure> {
        let mut correlations = Correlations::new(run.source)?;
        let mut orders = Orders::new();
        let left = orders.left(1, 1);
        let right = orders.right(&left, 1);
        correlations.demand(orders)?;
        // What a party adds to a sum is its share of it.
        let sum = Fixed::own_part(&[self.0], 1, 1, 20)?;
        let squares = Fixed::own_part(&[self.0 * self.0], 1, 1, 40)?;
        let factors = (correlations.take(left).await?, correlations.take(right).await?);
        let square = product::multiply_fixed(&sum, &sum, factors.0, factors.1, run.session).await?;
        Ok(squares.times(run.session.parties() as i128).minus(&square)?)
    }

    async fn release(&mut self, shares: Fixed, run: &mut Run<'_>) -> Result<Option<f64>, Failure> {
        let n = run.session.parties() as f64;
        let revealed = run.session.reveal_fixed("spread", &shares, 10).await?;
        Ok(revealed.map(|value| value[0].max(0.0).sqrt() / n))
    }
}

fn main() -> std::process::ExitCode {
    takes_part::<Spread>()
}
