//! Mean and variance of a measurement in each group of patients, over the rows of three
//! hospitals, none of which shows a row or a sum of its own to anybody.

use mpc_core::testing::World;
use mpc_core::{Error, Fixed, Outputs, Recipients, Session};

const GROUPS: usize = 2;
const SCALE: u32 = 32;

/// Mean and variance of each group over all parties' rows of (group, value). One round.
async fn group_statistics(
    rows: &[(usize, f64)],
    session: &mut Session,
) -> Result<Vec<(f64, f64)>, Error> {
    // A party's own sums are its additive shares of the joint sums.
    let mut sums = [[0.0; 3]; GROUPS];
    for &(group, value) in rows {
        for (sum, term) in sums[group].iter_mut().zip([1.0, value, value * value]) {
            *sum += term;
        }
    }
    let share = Fixed::own_part(sums.as_flattened(), GROUPS, 3, SCALE)?;

    // Only the joint sums are ever learned, and only because this session allows it.
    let sums = session.reveal_fixed("group statistics", &share, SCALE).await?.unwrap_or_default();
    let statistics = |&[n, sum, squares]: &[f64; 3]| (sum / n, squares / n - (sum / n).powi(2));
    Ok(sums.as_chunks().0.iter().map(statistics).collect())
}

fn main() -> Result<(), Error> {
    let hospitals =
        [vec![(0, 5.1), (1, 7.0), (0, 4.9)], vec![(1, 6.5), (1, 7.5)], vec![(0, 5.3), (1, 7.2)]];
    let outputs = Outputs::none().allow("group statistics", Recipients::All);
    let results = World::new(3).outputs(outputs).run(async |mut session| {
        let own_rows = &hospitals[session.me()];
        group_statistics(own_rows, &mut session).await
    });
    for result in results {
        let groups = result?;
        assert!((groups[0].0 - 5.1).abs() < 1e-6 && (groups[1].0 - 7.05).abs() < 1e-6);
        assert!((groups[0].1 - 0.08 / 3.0).abs() < 1e-6);
    }
    Ok(())
}
