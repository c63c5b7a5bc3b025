//! The solution of G w = c with an approximate inverse of G: w <- w + X (c - G w).

use super::bounds::{ALLOWANCE, bits};
use super::inverse::{Inverse, summands};
use super::plan::InversePlan;
use crate::correlations::{
    CorrelationSource, Correlations, KeptLeft, LeftFactor, Ordered, Orders, Request, RightFactor,
};
use crate::error::Error;
use crate::protocols::product::FixedLeft;
use crate::protocols::truncate::{BoundedOpening, open_bounded, own_masks};
use crate::ring::Z128;
use crate::session::{Batch, Cost, Session};
use crate::share::Shared;

/// Fractional bits of the solution, at most.
const MOST_FRACTION: u32 = 32;
/// Fractional bits of the solution, at least.
const LEAST_FRACTION: u32 = 16;
/// The rounding of what is left over, as it enters the solution, is below 2^-this, as far as it
/// fits ...
const AIM: u32 = 24;
/// ... and always below 2^-this.
const NEED: u32 = 8;

/// How G w = c is solved, planned to the last bit (docs/protocols.md 7.2).
#[derive(Clone, Debug)]
pub struct SolutionPlan {
    order: usize,
    parties: u32,
    refinements: u32,
    /// G was inverted with this many units added to its diagonal.
    shift: u64,
    fraction: u32,
    right_fraction: u32,
    /// Fractional bits of the summands of c - G w.
    limbs: [u32; 2],
    /// c - G w.
    left_over: BoundedOpening,
    /// X times the summands.
    correction: [BoundedOpening; 2],
    /// What is left of c - G w in the end.
    rest: f64,
}

impl SolutionPlan {
    /// Plans a solution with an inverse of `inverse` (whose settings say `reuse`), improved
    /// `refinements` times, at most twice.
    ///
    /// # Security
    /// Two conditions, for the caller to prove from public facts. G is what was inverted less
    /// `shift` units on the diagonal (that the rounding of G is covered by them is a condition of
    /// the inverse already). And c = A^(1/2) u + e for a matrix A with 0 <= A <= what was inverted,
    /// |u| <= `norm`, and |e| <= 2^-40: what a right-hand side X^T y of normal equations is.
    ///
    /// # Errors
    /// [`Error::Range`] with the numbers when it does not fit 128 bits.
    pub fn new(
        inverse: &InversePlan,
        shift: u64,
        norm: f64,
        refinements: u32,
    ) -> Result<Self, Error> {
        let settings = inverse.settings();
        if !settings.reuse || refinements > 2 || !(norm.is_finite() && norm > 0.0) {
            return Err(Error::internal("a solution needs an inverse whose matrix is used again"));
        }
        let (g, x) = (inverse.fraction(), inverse.inverse_fraction());
        let bound = inverse.bound();
        let shifted = libm::ldexp(shift as f64, -(g as i32)) * bound;
        if shifted > 0.125 {
            return Err(Error::Range(format!(
                "a matrix of order {} with a least eigenvalue of {:.3e} has only {g} fractional \
                 bits beside {} bits of masking, too few for a solution: allow a smaller condition",
                settings.order, settings.least, settings.sigma
            )));
        }
        let too_wide = || {
            Error::Range(format!(
                "a solution of order {} with a least eigenvalue of {:.3e} does not fit 128 bits \
                 beside {} bits of masking: allow a smaller condition",
                settings.order, settings.least, settings.sigma
            ))
        };
        let opening = |magnitude, drop| {
            BoundedOpening::new(magnitude, settings.sigma, drop, settings.parties)
        };
        let budget = inverse.budget();

        // What is left over is at most 2 |u|, what is added to w at most 2 sqrt(|X|) |u| + 1; the
        // 2^-6 is for all rounding before (docs/protocols.md 7.2).
        let norm = norm + 1.0 / 64.0;
        let left_over = 2.0 * norm;
        let added = 2.0 * libm::sqrt((1.0 + ALLOWANCE) * bound) * norm + 1.0;
        let rounding = f64::from(settings.parties + 1) / 2.0 * libm::sqrt(settings.order as f64);

        let room = budget.checked_sub(g + bits(left_over)).ok_or_else(too_wide)?;
        let fraction = room.min(MOST_FRACTION);
        if fraction < LEAST_FRACTION {
            return Err(too_wide());
        }
        let right_fraction = g + fraction;
        let magnitudes = |limbs: [u32; 2]| {
            let first = added + bound * rounding * libm::ldexp(1.0, -(limbs[0] as i32));
            let gap = libm::ldexp(1.0, (limbs[1] - limbs[0]) as i32);
            [
                bits(libm::ldexp(first, (x + limbs[0]) as i32)),
                bits(libm::ldexp(bound * rounding * (1.0 + gap), x as i32))
                    .max(x + limbs[1] - fraction),
            ]
        };
        let limbs = (NEED..=AIM)
            .rev()
            .find_map(|aim| {
                let finest = aim + bits(bound * rounding);
                (fraction.saturating_sub(x)..=finest)
                    .map(|first| [first, finest])
                    .find(|&limbs| magnitudes(limbs).iter().all(|&m| m <= budget))
                    .filter(|_| finest <= right_fraction)
            })
            .ok_or_else(too_wide)?;
        let [first, second] = magnitudes(limbs);
        // With w = G^(-1/2) z a turn takes |u - z| to |1 - M| of it, and what the units on the diagonal do
        // and rounding leaves.
        let turn = |rest: f64, _| {
            rest * (inverse.error_once_converged() + shifted)
                + libm::sqrt((1.0 + ALLOWANCE) * bound) * libm::ldexp(rounding, -(limbs[1] as i32))
                + libm::ldexp(2.0 * rounding, -(fraction as i32))
        };
        let rest = (0..=refinements).fold(norm, turn);
        Ok(Self {
            order: settings.order,
            parties: settings.parties,
            refinements,
            shift,
            fraction,
            right_fraction,
            limbs,
            left_over: opening(right_fraction + bits(left_over), right_fraction - limbs[0])?,
            correction: [
                opening(first, x + limbs[0] - fraction)?,
                opening(second, x + limbs[1] - fraction)?,
            ],
            rest,
        })
    }

    /// Fractional bits of w.
    #[must_use]
    pub fn fraction(&self) -> u32 {
        self.fraction
    }

    /// Fractional bits at which c is to be given.
    #[must_use]
    pub fn right_fraction(&self) -> u32 {
        self.right_fraction
    }

    /// How c - G w is opened.
    #[must_use]
    pub fn left_over_opened(&self) -> BoundedOpening {
        self.left_over
    }

    /// How long c - G w is at most in the end (its Euclidean length), if the inverse has
    /// [`converged`](InversePlan::converged) and the trace of G is at most 1.
    #[must_use]
    pub fn left_over(&self) -> f64 {
        self.rest
    }

    /// How X times the two summands of it is opened, the coarse one first.
    #[must_use]
    pub fn correction_opened(&self) -> [BoundedOpening; 2] {
        self.correction
    }

    /// Orders the correlations of one solution with the kept left factor of G, which ends here.
    pub fn order(&self, matrix: KeptLeft<Z128>, orders: &mut Orders) -> SolutionOrders {
        let inverse = orders.left(self.order, self.order);
        let mut turns = vec![TurnOrders { gw: None, correction: orders.right(&inverse, 2) }];
        for _ in 1..self.refinements {
            let gw = Some(orders.right_of_kept(&matrix, 1));
            turns.push(TurnOrders { gw, correction: orders.right(&inverse, 2) });
        }
        if self.refinements > 0 {
            let gw = Some(orders.last_right(matrix, 1));
            turns.push(TurnOrders { gw, correction: orders.right(&inverse, 2) });
        }
        SolutionOrders { inverse, turns }
    }

    /// The correlations of one solution, in order. `matrix` is the number of the left factor of G,
    /// the first of those of its inverse, which ends here; `first_left` the number of left factors
    /// that were ordered before. One more is ordered here.
    #[must_use]
    pub fn requests(&self, matrix: u32, first_left: u32) -> Vec<Request> {
        let mut orders = Orders::new();
        let _ = self.order(KeptLeft::numbered(matrix), &mut orders);
        orders.numbered(first_left)
    }

    /// The number of rounds: three, and four a refinement.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        3 + 4 * u64::from(self.refinements)
    }

    /// What a solution costs `me`.
    #[must_use]
    pub fn cost(&self, me: usize) -> Cost {
        let d = self.order;
        let turn = self.left_over.bytes(d)
            + (16 * 2 * d) as u64
            + self.correction.iter().map(|spec| spec.bytes(d)).sum::<u64>();
        let refinements = u64::from(self.refinements);
        let bytes = (16 * d * d) as u64 + turn * (refinements + 1) + (16 * d) as u64 * refinements;
        // In each turn what is left over, and the correction.
        let bounded = 2 * (refinements + 1);
        Cost::to_all(me, self.parties as usize, self.rounds(), bytes).bounded(bounded)
    }

    /// Elements that are opened under statistical masks: what the study's sigma counts.
    #[must_use]
    pub fn masked_elements(order: usize, refinements: u32) -> u64 {
        3 * order as u64 * (u64::from(refinements) + 1)
    }
}

/// The correlations of one solution, on order ([`SolutionPlan::order`]).
#[derive(Debug)]
#[must_use = "what is ordered is taken, in the order of the orders"]
pub struct SolutionOrders {
    inverse: Ordered<LeftFactor<Z128>>,
    /// The first turn and each refinement.
    turns: Vec<TurnOrders>,
}

#[derive(Debug)]
struct TurnOrders {
    /// The right factor of G w, but for the first turn, where w is zero.
    gw: Option<Ordered<RightFactor<Z128>>>,
    /// The right factor of X times what is left over.
    correction: Ordered<RightFactor<Z128>>,
}

/// [`solve`] with the next correlations of a source of which [`SolutionPlan::requests`] were
/// demanded.
///
/// # Security
/// See [`solve`].
///
/// # Errors
/// See [`solve`].
pub async fn solution(
    plan: &SolutionPlan,
    inverse: &Inverse,
    c: &Shared<Z128>,
    source: &mut dyn CorrelationSource,
    session: &mut Session,
) -> Result<Shared<Z128>, Error> {
    let mut orders = Orders::new();
    let due = plan.order(KeptLeft::numbered(0), &mut orders);
    solve(plan, inverse, c, due, &mut Correlations::due(source, orders), session).await
}

/// Solves G w = c for a shared column c at scale [`SolutionPlan::right_fraction`]; w is at scale
/// [`SolutionPlan::fraction`], mod 2^128. [`SolutionPlan::rounds`]; [`SolutionPlan::cost`]. `due` are
/// the correlations of [`SolutionPlan::order`].
///
/// # Security
/// The inverse must be one of the plan's, whatever its residual. MaskSites: `BoundedMask`,
/// `ZeroShareBounded`, `TripleLeft`, `TripleRight`.
///
/// # Errors
/// When the shapes differ, the source fails or the network fails.
pub async fn solve(
    plan: &SolutionPlan,
    inverse: &Inverse,
    c: &Shared<Z128>,
    due: SolutionOrders,
    correlations: &mut Correlations<'_>,
    session: &mut Session,
) -> Result<Shared<Z128>, Error> {
    let (d, me) = (plan.order, session.me());
    let turns = plan.refinements as usize + 1;
    if c.len() != d || inverse.x.rows() != d || due.turns.len() != turns {
        return Err(Error::internal("the plan of a solution is for another matrix"));
    }
    let mut masks = own_masks(session)?;
    let mut pending = Some(correlations.take(due.inverse).await?);
    let mut x_left = None;
    let mut w = Shared::zero(d, 1);
    for TurnOrders { gw, correction } in due.turns {
        let mut left_over = c.clone().reshape(d, 1)?;
        if let Some(gw) = gw {
            let right = correlations.take(gw).await?;
            left_over -= &inverse.matrix.multiply(&w, right, session).await?;
            // What was inverted is G and the shift.
            let mut shifted = w.clone();
            shifted.scale(Z128(u128::from(plan.shift)));
            left_over += &shifted;
        }
        let items = [(plan.left_over, &left_over)];
        let opened = open_bounded("solution/open-rest", &items, &mut masks, session).await?;
        let drops = plan.limbs.map(|limb| plan.right_fraction - limb);
        let parts = summands(&opened[0], &drops, d, me)?.0;

        let right = correlations.take(correction).await?;
        let mut batch = Batch::new("solution/product");
        let new =
            pending.take().map(|left| FixedLeft::push(&inverse.x, left, &mut batch)).transpose()?;
        let f = FixedLeft::push_right(&parts, right, &mut batch)?;
        let opened = session.open(batch).await?;
        if let Some(new) = new {
            x_left = Some(FixedLeft::opened(new, &opened));
        }
        let x = x_left.as_ref().ok_or_else(|| Error::internal("an inverse was not opened"))?;
        let product = x.finish(f, &opened, session);

        let (first, second) = (product.column_range(0..1)?, product.column_range(1..2)?);
        let items = [(plan.correction[0], &first), (plan.correction[1], &second)];
        let opened = open_bounded("solution/truncate", &items, &mut masks, session).await?;
        for (opened, spec) in opened.iter().zip(&plan.correction) {
            w += &Shared::column(opened.part(spec.drop, me).to_vec());
        }
    }
    Ok(w)
}
