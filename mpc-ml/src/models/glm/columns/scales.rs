//! Rings and scales of a fit on columns, from public facts and the revealed mean (docs/protocols.md
//! 13.4).

use mpc_core::protocols::solve::InversePlan;
use mpc_core::protocols::truncate::{BoundedOpening, fixed_opening};

use super::super::family::Family;
use super::super::link::{E_FRACTION, Link, Phasing};
use super::super::plan::X_FRACTION;
use super::plan::ColumnsPlan;
use super::walk::Aim;
use crate::error::Error;

/// Significant bits of the penalty.
const PULL_BITS: i32 = 10;
/// Fractional bits of a gradient in inner products.
pub(super) const LENGTH_FRACTION: u32 = 12;
/// Fractional bits of the coefficients that meet a penalty: at most, and at least.
const PULLED: (i32, i32) = (20, 8);
/// What may fit: fractional bits of steps once they are lifted, and of the combinations of steps; the best
/// first.
const FINEST: [(u32, u32); 8] =
    [(24, 16), (22, 16), (20, 16), (20, 14), (18, 14), (18, 12), (16, 12), (16, 10)];
/// Steps of so many standard errors are to be lifted near the optimum, if that can be, or at least of the last
/// number.
const LIKELY: [f64; 3] = [64.0, 32.0, 8.0];
/// A fit ends at no fewer standard errors where rows are many.
const MANY: f64 = 0.005;
/// Where rows are few, standard errors are large beside the coefficients.
const FEW_ROWS: u64 = 1 << 16;
/// The noise of a coefficient that a fit takes, in standard errors, at most; and of its first passes.
const LOOSEST: f64 = 0.02;
const COARSE_NOISE: f64 = 0.6;
/// Fractional bits of the values of the first passes.
const COARSE_FRACTION: u32 = 8;
/// The first passes end with a step of so many standard errors, or as many times what their noise makes.
const NEAR: (f64, f64) = (1.0, 2.0);
/// The part of the variance at the joint mean that a logistic row is thought to have on average, at least.
const LEAST_PART: f64 = 0.25;

/// A penalty as an integer that all parties hold alike: n l2 in units of the fit is
/// `factor` 2^`exponent`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pull {
    pub(super) factor: i128,
    pub(super) exponent: i32,
    /// Fractional bits of the coefficients that it meets.
    pub(super) fraction: u32,
}

/// How the passes go: the first ones with what shows the way, and leaves room for long steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Coarse,
    Fine,
}

/// How what a mean is more than its target is made.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pub(super) fraction: u32,
    pub(super) phasing: Phasing,
    /// How they are opened to the parties that have columns.
    pub(super) opening: BoundedOpening,
    /// None is larger.
    largest: f64,
    /// How the passes with them go on.
    pub(super) aim: Aim,
}

/// The numbers of a fit.
#[derive(Clone, Debug)]
pub(super) struct Scales {
    /// Gradients are in units of this many targets.
    pub(super) unit: f64,
    /// What is taken off each score before its mean is computed.
    pub(super) subtracted: f64,
    /// The variance of a row with the mean target, in units of the fit.
    pub(super) variance: f64,
    coarse: Values,
    fine: Values,
    /// t: the inverse was divided by 2^t, and has so many fractional bits in a step beside these.
    exponent: u32,
    inverse_bits: u32,
    /// Fractional bits of a step once it was lifted.
    pub(super) lifted: u32,
    pub(super) pull: Option<Pull>,
    /// No eigenvalue of the inverse is larger.
    pub(super) inverse: f64,
    /// Fractional bits of the combinations of steps.
    pub(super) bits: u32,
    sigma: u32,
    parties: usize,
    order: usize,
}

/// What values are to be like.
struct Wanted {
    /// No target is larger, in units of the fit.
    most: f64,
    /// Their noise in each stage, in units of the fit, if that can be.
    coarse: f64,
    fine: f64,
}

impl Wanted {
    fn values(&self, plan: &ColumnsPlan, stage: Stage) -> Result<Values, Error> {
        let (parties, sigma) = (plan.parties(), plan.sigma());
        let (fraction, noise) = match stage {
            Stage::Coarse => (COARSE_FRACTION, self.coarse),
            Stage::Fine => (E_FRACTION, self.fine),
        };
        let link: &Link = &plan.link;
        let phasing = |ring: u32| {
            let headroom = ring + link.series.fraction.saturating_sub(fraction);
            link.phasing(plan.facts.origin, parties, headroom, noise)
        };
        // Any bound of the series will do: with all phasors that could be taken.
        let draft = phasing(80)?;
        let constant = libm::ldexp(link.constant.abs() as f64, -(E_FRACTION as i32));
        let rounding = libm::ldexp(parties as f64 + 4.0, -(fraction as i32));
        let bound =
            |phasing: &Phasing| link.largest(phasing, parties) + constant + self.most + rounding;
        let largest = 1.5 * bound(&draft);
        let magnitude = fraction + libm::ceil(libm::log2(largest)).max(0.0) as u32;
        let opening = BoundedOpening::new(magnitude, sigma, 0, parties as u32 - 1)?;
        let phasing = phasing(opening.ring)?;
        if bound(&phasing) > largest {
            return Err(Error::Settings(
                "the phasors of so many parties are too coarse for a fit on columns: use a dealer"
                    .to_owned(),
            ));
        }
        Ok(Values { fraction, phasing, opening, largest, aim: Aim::none() })
    }
}

impl Scales {
    /// For a mean target with this score.
    pub(super) fn new(plan: &ColumnsPlan, centre: f64) -> Result<Self, Error> {
        let parties = plan.parties();
        let rate = libm::exp(centre);
        let (unit, subtracted, most, spread) = match plan.settings.family {
            Family::Logistic => {
                let mean = plan.settings.family.mean(centre);
                (1.0, 0.0, 1.0, LEAST_PART * mean * (1.0 - mean))
            }
            Family::Poisson => {
                let most = plan.facts.target.map_or(1.0, |(_, most)| most) / rate;
                (rate, centre, most, 1.0)
            }
        };
        let few = plan.total_rows() <= FEW_ROWS;
        let asked = plan.settings.tolerance.max(if few { 0.0 } else { MANY });
        // Noise is in units of the fit.
        let in_errors = libm::sqrt(unit / spread);
        let wanted = Wanted {
            most,
            coarse: COARSE_NOISE / in_errors,
            fine: asked / if few { 64.0 } else { 8.0 } / libm::sqrt(unit.max(1.0)),
        };
        let [coarse, fine] = [Stage::Coarse, Stage::Fine].map(|stage| wanted.values(plan, stage));
        let (mut coarse, mut fine) = (coarse?, fine?);
        let noise = fine.phasing.noise * in_errors;
        if noise > LOOSEST {
            return Err(Error::Settings(format!(
                "the noise of the joint randomness would move coefficients by {noise:.1e} standard \
                 errors, and {LOOSEST} is the most that a fit on columns takes: use a dealer"
            )));
        }
        // First steps are those of a curvature that is seldom less than the joint one.
        let first = match plan.settings.family {
            Family::Logistic => 4.0,
            Family::Poisson => 0.5,
        };
        // What noise alone makes of the length of a step.
        let order = plan.order() as f64;
        let root = libm::sqrt(order);
        let aim = |values: &Values, tolerance: f64, loosest: f64| Aim {
            metric: unit,
            first,
            floor: order * values.phasing.noise * values.phasing.noise,
            tolerance,
            loosest,
            passes: plan.settings.passes,
            bits: 0,
        };
        let near = NEAR.0.max(NEAR.1 * root * coarse.phasing.noise * in_errors);
        coarse.aim = aim(&coarse, near, f64::INFINITY);
        let walk = root * noise;
        fine.aim = aim(&fine, asked.max(walk), LOOSEST.max(1.5 * walk));
        let pull = Self::pull(plan, unit);
        let exponent = plan.exponent();
        let bound = plan.gram.inverse().bound_once_converged();
        let mut scales = Self {
            unit,
            subtracted,
            variance: match plan.settings.family {
                Family::Logistic => spread / LEAST_PART,
                Family::Poisson => spread,
            },
            coarse,
            fine,
            exponent,
            inverse_bits: 0,
            lifted: 0,
            pull,
            inverse: libm::ldexp(bound, -(exponent as i32)),
            bits: 0,
            sigma: plan.sigma(),
            parties,
            order: plan.order(),
        };
        scales.choose()?;
        Ok(scales)
    }

    /// How values are made in a stage.
    pub(super) fn values(&self, stage: Stage) -> &Values {
        match stage {
            Stage::Coarse => &self.coarse,
            Stage::Fine => &self.fine,
        }
    }

    fn pull(plan: &ColumnsPlan, unit: f64) -> Option<Pull> {
        let all = plan.total_rows() as f64 * plan.settings.l2 / unit;
        if all == 0.0 {
            return None;
        }
        let exponent = libm::frexp(all).1 - PULL_BITS;
        let factor = libm::rint(libm::ldexp(all, -exponent)) as i128;
        let data = (X_FRACTION + E_FRACTION) as i32;
        let fraction = (data + exponent).clamp(PULLED.1, PULLED.0) as u32;
        Some(Pull { factor, exponent, fraction })
    }

    /// The finest scales with which steps of likely lengths can be lifted.
    fn choose(&mut self) -> Result<(), Error> {
        // d N units of rounding are at most half of a matrix that is at least 1.
        let least = libm::ceil(libm::log2(2.0 * self.units())).max(7.0) as u32;
        let finest = InversePlan::COARSE_FRACTION;
        let mut refused = Error::Settings(format!(
            "{} coefficients are too many for the rounding of a step between {} parties",
            self.order, self.parties
        ));
        for length in LIKELY {
            for (lifted, bits) in FINEST {
                for inverse_bits in (least..=finest).rev() {
                    (self.lifted, self.bits, self.inverse_bits) = (lifted, bits, inverse_bits);
                    let Aim { metric, first, .. } = self.fine.aim;
                    let square = length * length / (metric * first);
                    match self.opening(square, Stage::Fine) {
                        Ok(_) => {
                            (self.coarse.aim.bits, self.fine.aim.bits) = (bits, bits);
                            return Ok(());
                        }
                        Err(error) => refused = error,
                    }
                }
            }
        }
        Err(refused)
    }

    fn units(&self) -> f64 {
        (self.order * self.parties) as f64
    }

    /// Fractional bits of the inverse in a step.
    pub(super) fn inverse_fraction(&self) -> u32 {
        self.inverse_bits + self.exponent
    }

    /// Fractional bits of a gradient.
    pub(super) fn gradient_fraction(&self, stage: Stage) -> u32 {
        let data = X_FRACTION + self.values(stage).fraction;
        self.pull.map_or(data, |it| data.max((it.fraction as i32 - it.exponent).max(0) as u32))
    }

    /// Fractional bits of a step before it is lifted.
    fn step_fraction(&self, stage: Stage) -> u32 {
        self.inverse_fraction() + self.gradient_fraction(stage)
    }

    /// The ring of a gradient: that of coefficients that were combined from lifted steps, where a penalty
    /// is taken of them.
    pub(super) fn gradient_ring(&self) -> u32 {
        let combined = self.lifted + self.bits;
        self.pull.map_or(128, |pull| 128 - combined.saturating_sub(pull.fraction))
    }

    /// The ring of a step before it is lifted.
    fn step_ring(&self) -> u32 {
        self.gradient_ring().min(128 - (InversePlan::COARSE_FRACTION - self.inverse_bits))
    }

    /// The ring of inner products.
    pub(super) fn product_ring(&self, stage: Stage) -> u32 {
        let more = self.gradient_fraction(stage).saturating_sub(LENGTH_FRACTION);
        self.step_ring().saturating_sub(more)
    }

    /// A step s = Q g with <g, s> = `square`, as it was revealed, is below 2^this in every entry: for a
    /// positive Q, |e_j Q g| <= sqrt(Q_jj) sqrt(g Q g). A condition of privacy. The rounding of Q and of
    /// g in the inner product is in it (docs/protocols.md 8.7).
    pub(super) fn step_bound(&self, square: f64) -> i32 {
        let rounding =
            libm::ldexp(self.units(), -(LENGTH_FRACTION as i32)) * libm::sqrt(self.inverse);
        let r = libm::ldexp(self.units(), -(self.inverse_bits as i32));
        let root = rounding + libm::sqrt(square + rounding * rounding);
        let length = (1.0 + r) / libm::sqrt(1.0 - r) * root;
        libm::ceil(libm::log2(1.01 * libm::sqrt(self.inverse) * length.max(1e-9))) as i32
    }

    /// How a step with <g, s> = `square` is opened.
    ///
    /// # Errors
    /// With the numbers when it cannot be.
    pub(super) fn opening(&self, square: f64, stage: Stage) -> Result<BoundedOpening, Error> {
        let (bound, fraction) = (self.step_bound(square), self.step_fraction(stage));
        let opening = fixed_opening(bound, fraction, self.sigma, self.parties);
        let fits = |opening: &BoundedOpening| {
            opening.ring <= self.step_ring() && opening.magnitude + self.lifted >= fraction
        };
        opening.ok().filter(fits).ok_or_else(|| {
            Error::Settings(format!(
                "a step below 2^{bound} at scale 2^{fraction} cannot be lifted under {} bits of masking from \
                 {} bits: leave out records or columns, or set a larger l2",
                self.sigma,
                self.step_ring()
            ))
        })
    }

    /// Whether no inner product of gradients at coefficients up to `largest` can wrap: |Q| |g|^2 is below
    /// the ring, whatever the rows are. A condition of privacy, as what is revealed bounds what is lifted.
    ///
    /// # Errors
    /// With the numbers when one could.
    pub(super) fn no_wrap(
        &self,
        plan: &ColumnsPlan,
        largest: f64,
        stage: Stage,
    ) -> Result<(), Error> {
        let rows = plan.total_rows() as f64;
        let squares = plan.facts.total_mean_square.max(plan.facts.mean_squares.iter().sum()) + 1.0;
        let data = rows * libm::sqrt(squares) * self.values(stage).largest * 1.01;
        let pull = self.pull.map_or(0.0, |pull| libm::ldexp(pull.factor as f64, pull.exponent));
        let gradient = data + pull * largest * libm::sqrt(self.order as f64);
        let square = 1.02 * self.inverse * gradient * gradient;
        let fraction = self.inverse_fraction() + 2 * LENGTH_FRACTION;
        let bits = libm::log2(square) + f64::from(fraction) + 2.0;
        if bits > f64::from(self.product_ring(stage)) {
            return Err(Error::Settings(format!(
                "the inner products of gradients could need {bits:.0} bits, and {} are left: leave out \
                 records or columns, or set a larger l2",
                self.product_ring(stage)
            )));
        }
        Ok(())
    }
}
