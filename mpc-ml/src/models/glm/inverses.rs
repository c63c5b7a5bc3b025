//! Which inverses a fit makes: how fine, from where, and with how much slack (docs/protocols.md 8.2
//! and 8.5).

use mpc_core::protocols::solve::{InversePlan, InverseSettings, StartBound};

use super::plan::RowsPlan;
use crate::error::Error;

/// A dealer's and the parties' inverses have eigenvalues above 2^-`this` times the largest, at most.
const FINEST: u32 = 44;
/// An honest party's rounding of its upper triangle stays below this part of a unit an entry: half of
/// one, and what sums of doubles lose.
const ROUNDING: f64 = 0.58;

/// The inverses of a fit.
#[derive(Clone, Debug)]
pub(super) struct Inverses {
    /// That of a curvature of which nothing is known but its size.
    pub(super) first: InversePlan,
    /// Those that begin at the one before them; none where they do not fit.
    pub(super) warm: Vec<Warm>,
    /// Units that the matrix of the first has on its diagonal for rounding.
    pub(super) slack: i128,
}

/// An inverse that begins at the one before it. Each row weighs at most 2^`rise` of what it weighed in
/// that one's matrix, by its owner's doing; so this one's matrix over 2^`rise` is at most that one's,
/// which is what a warm start asks for (7.2).
#[derive(Clone, Debug)]
pub(super) struct Warm {
    pub(super) plan: InversePlan,
    pub(super) rise: u32,
    pub(super) slack: i128,
}

/// The matrix of a warm start has at most so many bits fewer than the first.
const FEWER_BITS: u32 = 4;
/// The part of the whole curvature that a direction has at least, if it is to be told.
pub(super) const SMALLEST_PART: f64 = 1.0 / 2_097_152.0;
/// How much more a row may weigh in the second and third curvature than in the one before, as powers
/// of two, and the least eigenvalue that is expected of the start.
const RISES: [(u32, f64); 2] = [(1, 0.1), (1, 0.3)];

/// Units at the scale of an inverse's matrix that outweigh all rounding of its triangle and penalty.
fn rounding(plan: &RowsPlan) -> i128 {
    libm::ceil(ROUNDING * (plan.parties() * plan.order()) as f64) as i128 + 1
}

/// The inverses that begin at the one before them, and the slack of the first matrix. A matrix has a
/// slack that covers its own rounding, and with it the next one's slack and rounding.
fn warm_starts(plan: &RowsPlan, first: &InversePlan) -> (Vec<Warm>, i128) {
    let mut plans: Vec<InversePlan> = vec![first.clone()];
    for (_, least) in RISES {
        let before = &plans[plans.len() - 1];
        let settings = InverseSettings {
            least,
            start: StartBound::Warm {
                bound: before.bound_once_converged(),
                fraction: before.inverse_fraction(),
            },
            ..before.settings().clone()
        };
        match InversePlan::new(settings) {
            // As fine as the first, so that slacks do not grow.
            Ok(next) if next.fraction() + FEWER_BITS >= first.fraction() => plans.push(next),
            _ => break,
        }
    }
    let own = rounding(plan);
    let mut slacks = vec![own];
    for pair in plans.windows(2).rev() {
        let finer = pair[0].fraction() as i32 - pair[1].fraction() as i32;
        let next = (slacks[0] + own) as f64;
        slacks.insert(0, own + libm::ceil(libm::ldexp(next, finer)) as i128 + 1);
    }
    let warm = plans.drain(1..).zip(RISES).zip(&slacks[1..]);
    let warm = warm.map(|((plan, (rise, _)), &slack)| Warm { plan, rise, slack });
    (warm.collect(), slacks[0])
}

/// The least J for which a matrix of this trace, over 2^J, has no eigenvalue above 15/16.
pub(super) fn exponent(trace: f64) -> u32 {
    libm::ceil(libm::log2(trace.max(1.0) * 1.001 * 16.0 / 15.0)).max(1.0) as u32
}

/// How often the least eigenvalue that is reached holds the slack: what rounding adds to a matrix must
/// not pass for information where columns determine each other.
pub(super) const ABOVE_SLACK: f64 = 16.0;

/// The inverse of a curvature of this order that reaches such small eigenvalues.
pub(super) fn from_identity(
    (order, parties): (usize, usize),
    sigma: u32,
    least: f64,
) -> Result<InversePlan, mpc_core::Error> {
    InversePlan::new(InverseSettings {
        order,
        parties: parties as u32,
        sigma,
        diagonal: 15.0 / 16.0,
        least: least.min(0.5),
        start: StartBound::Identity,
        reuse: false,
    })
}

/// The inverse that reaches as small eigenvalues as are wanted, or as fit, and those that begin at the
/// one before them, where they fit as well.
pub(super) fn inverses(plan: &RowsPlan, least: f64) -> Result<Inverses, Error> {
    let wanted = (-libm::log2(least)).max(1.0);
    let (mut found, mut refused) = (None, None);
    // From the finest that fits, in steps of one bit.
    for bits in (1..=FINEST).rev().filter(|&bits| f64::from(bits) < wanted + 1.0) {
        let least =
            if f64::from(bits) >= wanted { least } else { libm::ldexp(1.0, -(bits as i32)) };
        let inverse = match from_identity((plan.order(), plan.parties()), plan.sigma, least) {
            Ok(inverse) => inverse,
            Err(error) => {
                refused = Some(error);
                continue;
            }
        };
        let holds = |slack: i128| {
            let slack = libm::ldexp(slack as f64, -(inverse.fraction() as i32));
            ABOVE_SLACK * slack <= least
        };
        let (warm, slack) = warm_starts(plan, &inverse);
        if !warm.is_empty() && holds(slack) {
            return Ok(Inverses { first: inverse, warm, slack });
        }
        let own = rounding(plan);
        if found.is_none() && holds(own) {
            found = Some(Inverses { first: inverse, warm: Vec::new(), slack: own });
        }
        // Warm starts are worth two bits of what can be told.
        if found.is_some() && f64::from(bits) < wanted - 2.0 {
            break;
        }
    }
    if let Some(found) = found {
        return Ok(found);
    }
    Err(refused.map_or_else(
        || {
            Error::Settings(
                "an inverse of so many columns and rows has no room for its rounding".to_owned(),
            )
        },
        Error::from,
    ))
}
