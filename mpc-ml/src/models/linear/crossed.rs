//! Cross-validation of the penalty of a linear regression on shares: fits of all rows but those of one fold, of which
//! nobody sees the coefficients, and the squared errors of all held-out rows together (docs/protocols.md 7.3).

use mpc_core::correlations::Request;
use mpc_core::protocols::product::multiply_fixed;
use mpc_core::protocols::solve::{InversePlan, SolutionPlan};
use mpc_core::ring::wire::element_bytes;
use mpc_core::{Cost, Fixed};
use zeroize::Zeroizing;

use super::fit::{self, LinearShares, Sums};
use super::moments::Moments;
use super::plan::{CHECK_FRACTION, LinearPlan, REFINEMENTS, X_FRACTION, Y_FRACTION};
use super::settings::LinearSettings;
use crate::data::{Cut, Dataset};
use crate::error::Error;
use crate::model::{Canonical, Facts, Figures, Orders, Output, Plan, Run};
use crate::models::glm::{CrossValidation, Crossed, HeldOut, least, of_part, prefix};

/// Fractional bits of the told losses, in squares of half the target's range.
const TOLD_FRACTION: u32 = 20;
/// Fractional bits of coefficients while losses are computed: as many as there is room for.
const BITS: std::ops::RangeInclusive<u32> = 24..=30;
/// Products of entries have so many more.
const FINER: u32 = 8;
/// Coefficients of a fold's fit are of use up to this many times what a penalty allows.
const SPARE: f64 = 4.0;
/// The version of the arithmetic, and of the rule for folds.
const ARITHMETIC: u32 = 1;

/// Fits of folds, and a fit of all rows for each penalty that may be chosen.
#[derive(Clone, Debug)]
pub(super) struct CrossedPlan {
    cross: CrossValidation,
    /// For each fold, by penalty.
    folds: Vec<Vec<LinearPlan>>,
    /// Of all rows, by penalty.
    fits: Vec<LinearPlan>,
    /// Fractional bits of coefficients where losses are computed.
    bits: u32,
}

/// The held-out rows of this party in one fold.
struct Held {
    /// X^T X, X^T y and y^T y of these rows, by the number of all rows. This party's parts.
    squares: Fixed,
    mixed: Fixed,
    target: Fixed,
}

impl CrossedPlan {
    pub(super) fn new(
        settings: &LinearSettings,
        cross: &CrossValidation,
        facts: &Facts,
    ) -> Result<Self, Error> {
        if facts.cut() == Cut::Vertical {
            let rule = "is for parties that hold whole rows";
            return Err(Error::field("cross_validation", rule));
        }
        let rows = facts.rows_for::<super::Linear>()?;
        cross.suits(facts, &rows)?;
        let with = |l2: f64| LinearSettings { l2, cross_validation: None, ..settings.clone() };
        let left = |fold: u32| -> Vec<u64> {
            rows.iter().map(|&rows| rows - cross.held(rows, fold)).collect()
        };
        let most = settings.clip * settings.clip;
        let parts: Vec<Facts> =
            (0..cross.folds).map(|fold| of_part(facts, &left(fold), most)).collect();
        let planned = |elsewhere: u64| -> Result<(Vec<Vec<LinearPlan>>, Vec<LinearPlan>), Error> {
            let of = |facts: &Facts| -> Result<Vec<LinearPlan>, Error> {
                let plans = cross.l2.iter();
                plans.map(|&l2| LinearPlan::beside(&with(l2), facts, elsewhere)).collect()
            };
            Ok((parts.iter().map(of).collect::<Result<_, Error>>()?, of(facts)?))
        };
        // What is opened under statistical masks in one session counts together.
        let (folds, fits) = planned(0)?;
        let masked: u64 = folds.iter().flatten().chain(&fits).map(masked_elements).sum();
        let (folds, fits) = planned(masked)?;
        let bits = bits(facts, cross, &folds.iter().flatten())?;
        Ok(Self { cross: cross.clone(), folds, fits, bits })
    }

    /// By penalty the plans of the fits of all rows.
    pub(super) fn fits(&self) -> &[LinearPlan] {
        &self.fits
    }

    pub(super) fn outputs(&self) -> Vec<Output> {
        let folds = self.folds.iter().map(Vec::as_slice);
        self.cross.outputs(folds, &self.fits[0], ("mean squared error", "error"))
    }

    pub(super) fn canonical(&self) -> Result<Canonical, Error> {
        let scales = |plan: &LinearPlan| (plan.scale().to_bits(), plan.inverse().steps() as u64);
        let derived: Vec<_> = self.folds.iter().flatten().chain(&self.fits).map(scales).collect();
        Canonical::new("linear, cross-validated", ARITHMETIC)
            .with(self.fits[0].settings())?
            .with(self.fits[0].facts())?
            .field("cross", &self.cross)?
            .field("scales that follow", &(derived, self.bits, self.fits[0].sigma()))
    }

    /// With the penalty of which a fit takes the most steps, the smallest.
    pub(super) fn cost(&self, me: usize) -> Cost {
        let (first, count) = (&self.fits[0], self.cross.l2.len());
        let (parties, d) = (first.parties(), first.weights());
        let told = |elements: usize, dropped: u32| {
            let bytes = elements * element_bytes(128 - dropped);
            Cost::to_all(me, parties, 1, bytes as u64).results(1)
        };
        let mut cost = first.cost(me);
        let mut least_ring = 128;
        for fit in self.folds.iter().flatten() {
            let [ring, after, loss] = self.rings(fit);
            least_ring = least_ring.min(loss);
            let first = (d * d + d) * element_bytes(ring);
            let second = 2 * d * element_bytes(after);
            cost = cost
                + fit.training_cost(me)
                + told(1, fit.inverse().residual_fraction() - CHECK_FRACTION)
                + Cost::to_all(me, parties, 2, (first + second) as u64);
        }
        let dropped = 2 * self.bits - TOLD_FRACTION;
        cost + Cost::to_all(me, parties, 1, (count * element_bytes(least_ring - dropped)) as u64)
            .results(1)
    }

    pub(super) fn figures(&self) -> Figures {
        let mut figures = self.fits[0].figures();
        let folds = self.folds.iter().flatten();
        figures.steps += folds.map(|fit| fit.inverse().steps() as u64).sum::<u64>();
        figures
    }

    /// The rings in which the coefficients, the first product and the second product of a loss are known.
    fn rings(&self, fit: &LinearPlan) -> [u32; 3] {
        rings(fit, self.bits)
    }
}

fn rings(fit: &LinearPlan, bits: u32) -> [u32; 3] {
    let ring = 128 - fit.solution().fraction().saturating_sub(bits);
    let after = ring.saturating_sub(bits + FINER);
    [ring, after, after]
}

/// Fractional bits of coefficients for losses of which none wraps.
fn bits<'p>(
    facts: &Facts,
    cross: &CrossValidation,
    fits: &(impl Iterator<Item = &'p LinearPlan> + Clone),
) -> Result<u32, Error> {
    // A penalised fit of targets in [-1, 1] has (l2 / 2) |w|^2 <= 1/2, and (x w - y)^2 over all rows a mean of at
    // most (1 + sqrt(trace) |w|)^2; the intercept is at most 1 + sqrt(trace) |w| too.
    let l2 = cross.l2.first().copied().unwrap_or(1.0);
    let length = SPARE * libm::sqrt(1.0 / l2);
    let trace: f64 = facts.mean_squares.iter().sum::<f64>() + 1.0;
    let reach = 1.0 + libm::sqrt(trace) * (length + 1.0);
    let size = libm::ceil(2.0 * libm::log2(2.0 * reach)) as u32 + 2;
    let fits_in = |fit: &LinearPlan, bits: u32| {
        fit.solution().fraction() >= bits && rings(fit, bits)[1] >= 2 * bits + size
    };
    BITS.rev().find(|&bits| fits.clone().all(|fit| fits_in(fit, bits))).ok_or_else(
        || {
            Error::field(
                "cross_validation",
                "begins with so small a penalty that its fits have too few bits: begin with a larger one",
            )
        },
    )
}

/// Elements that a fit opens under statistical masks.
fn masked_elements(plan: &LinearPlan) -> u64 {
    InversePlan::masked_elements(plan.inverse().settings())
        + SolutionPlan::masked_elements(plan.weights(), REFINEMENTS)
}

/// Fits on shares: all folds with all penalties, then all rows with the best one.
pub(super) async fn fit(
    plan: &CrossedPlan,
    data: &Dataset,
    run: &mut Run<'_>,
) -> Result<LinearShares, Error> {
    let me = run.session.me();
    let encoding = plan.fits[0].encoding();
    let all = Moments::of(data.rows(), encoding).await;
    let mut orders = Orders::default();
    let mut sums = HeldOut::new(plan.cross.l2.len());
    for (fold, fits) in plan.folds.iter().enumerate() {
        let (_, held) = plan.cross.divide(me, data.len(), fold as u32);
        let held = data.part(&held);
        let moments = Moments::of(held.rows(), encoding).await;
        let left = all.without(&moments);
        let held = Held::of(plan, &held, &moments)?;
        for (penalty, (fit, l2)) in fits.iter().zip(&plan.cross.l2).enumerate() {
            run.session.labels_after(prefix(fold, *l2));
            let own = fit::normal_equations(fit, &left, me);
            let solved = solved(fit, own, &mut orders, run).await;
            run.session.labels_after(String::new());
            let loss = held.loss(plan, solved?.coefficients(), &mut orders, run).await?;
            sums.add(penalty, loss)?;
        }
    }
    let losses = sums.reveal(TOLD_FRACTION, run.session).await?;
    let chosen = least(&losses);
    let fit = &plan.fits[chosen];
    let own = fit::normal_equations(fit, &all, me);
    let shares = solved(fit, own, &mut orders, run).await?;
    let half = encoding.target_scale().1;
    let each = plan.cross.l2.iter().zip(&losses);
    let crossed = Crossed {
        l2: plan.cross.l2[chosen],
        folds: plan.cross.folds,
        compared: each.map(|(l2, loss)| (*l2, half * half * loss)).collect(),
    };
    Ok(LinearShares { crossed: Some((chosen, crossed)), ..shares })
}

/// Solves one of several regressions of a session.
async fn solved(
    plan: &LinearPlan,
    sums: Sums,
    orders: &mut Orders,
    run: &mut Run<'_>,
) -> Result<LinearShares, Error> {
    let mut requests: Vec<Request> = Vec::new();
    orders.solved((plan.inverse(), plan.solution()), &mut requests);
    run.source.demand(requests)?;
    fit::solve_planned(plan, sums, run).await
}

impl Held {
    fn of(plan: &CrossedPlan, held: &Dataset, moments: &Moments) -> Result<Self, Error> {
        let (fit, bits) = (&plan.fits[0], plan.bits);
        let (encoding, d) = (fit.encoding(), fit.weights());
        let rows = fit.total_rows() as f64;
        let (middle, half) = encoding.target_scale();
        let mut squares = Zeroizing::new(vec![0.0; d * d]);
        let mut at = 0;
        for i in 0..d {
            for j in i..d {
                let sum = libm::ldexp(moments.xx[at] as f64, -2 * X_FRACTION as i32) / rows;
                (squares[i * d + j], squares[j * d + i]) = (sum, sum);
                at += 1;
            }
        }
        let scale = -((X_FRACTION + Y_FRACTION) as i32);
        let mixed = moments.xy.iter().map(|&sum| libm::ldexp(sum as f64, scale) / rows);
        let mixed = Zeroizing::new(mixed.collect::<Vec<f64>>());
        let target = held.rows().y().iter().map(|y| {
            let y = (y.clamp(encoding.target.0, encoding.target.1) - middle) / half;
            y * y / rows
        });
        let target = Zeroizing::new([target.sum::<f64>()]);
        Ok(Self {
            squares: Fixed::own_part(&squares[..], d, d, bits + FINER)?,
            mixed: Fixed::own_part(&mixed[..], d, 1, bits)?,
            target: Fixed::own_part(&target[..], 1, 1, 2 * bits)?,
        })
    }

    /// y^T y - 2 w^T X^T y + w^T X^T X w of the held-out rows of all parties, by the number of all rows. Two rounds.
    async fn loss(
        &self,
        plan: &CrossedPlan,
        w: &Fixed,
        orders: &mut Orders,
        run: &mut Run<'_>,
    ) -> Result<Fixed, Error> {
        let d = plan.fits[0].weights();
        let mut requests = Vec::new();
        for (m, k) in [(d, d), (1, d)] {
            let left = orders.left(m, k, &mut requests);
            Orders::right(left, 1, true, &mut requests);
        }
        run.source.demand(requests)?;
        let w = w.clone().truncate(plan.bits, run.session)?;
        let (left, right) = run.factors().await?;
        let product = multiply_fixed(&self.squares, &w, left, right, run.session).await?;
        let product = product.truncate(plan.bits, run.session)?;
        let ring = product.ring();
        let twice = self.mixed.clone().narrow(ring)?;
        let slope = product.minus(&twice)?.minus(&twice)?;
        let (left, right) = run.factors().await?;
        let w = w.narrow(ring)?;
        let loss = multiply_fixed(&slope.transposed(), &w, left, right, run.session).await?;
        Ok(loss.plus(&self.target.clone().narrow(ring)?)?)
    }
}
