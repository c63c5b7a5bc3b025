//! The Hessians of a fit: scales, bounds, and how they are inverted (docs/protocols.md 8).

use mpc_core::protocols::solve::{Aim, InversePlan, InverseSettings, StartBound};
use mpc_core::protocols::truncate::BoundedOpening;

use super::masking::Masking;
use super::{GlmSettings, Method, method};
use crate::error::Error;
use crate::plan::{E_FRACTION, refuse};

/// Fractional bits of the coarse copy of the design matrix, at least.
const LEAST_COARSE_FRACTION: u32 = 6;
/// What the inverse of an early pass may be off by, where rows weigh least: a step is that much too
/// short.
const ROUGH: f64 = 1.0 / 3.0;
/// By so much the least weight may be below what is expected, and inverses still converge: as much as
/// fits. Categories with few rows of the rarer class weigh little.
pub(super) const MARGINS: [f64; 3] = [16.0, 4.0, 1.0];
/// Fractional bits of the largest weight, where it is a public factor.
pub(crate) const WEIGHT_FRACTION: u32 = 20;

/// The Hessians of a fit: scales, bounds, and how they are inverted.
#[derive(Clone, Debug)]
pub(crate) struct Hessian {
    /// Fractional bits of the coarse copy X' of the design matrix, whose Gram matrix they are.
    pub(crate) coarse_fraction: u32,
    /// Matrices are divided by 2^scale, so that no eigenvalue is above 15/16.
    pub(crate) scale: u32,
    /// How the bound of all Hessians is inverted, from the identity.
    pub(crate) bound: InversePlan,
    /// How the Hessians of the passes are made; none where their bound does for all of them.
    pub(crate) refresh: Option<Refresh>,
    /// The same for early passes, whose inverses need not be as near.
    pub(crate) rough: Option<Refresh>,
}

/// How the Hessian of a pass is made and inverted.
#[derive(Clone, Debug)]
pub(crate) struct Refresh {
    /// How it is inverted, from the inverse of the bound.
    pub(crate) inverse: InversePlan,
    /// How it is lifted into Z128 at the scale of its inverse; none where it is a shift up.
    pub(crate) lift: Option<BoundedOpening>,
    /// How the weights of the rows are opened to their owners.
    pub(crate) weights: BoundedOpening,
    /// Fractional bits at which it is made, over 2^scale.
    pub(crate) made_fraction: u32,
}

impl Hessian {
    /// `largest` is the largest weight of a row, `margin` one of [`MARGINS`].
    pub(super) fn new(
        settings: &GlmSettings,
        largest: f64,
        method: &Method,
        masking: &Masking,
        margin: f64,
    ) -> Result<Self, Error> {
        let sigma = masking.opened;
        let parties = settings.rows.len() as u32;
        let rows = settings.total_rows() as f64;
        // Outer products of the coarse copy are exact integers: so the Hessian is exactly positive
        // semidefinite, and at most its bound.
        let entry = masking.entry_bits();
        let coarse_fraction =
            (entry.saturating_sub(1) / 2).saturating_sub(settings.clip_bits()).min(14);
        if coarse_fraction < LEAST_COARSE_FRACTION {
            return refuse(format!(
                "a clip of {} with {} bits of masking leaves {coarse_fraction} fractional bits for \
                 the Hessian; at least {LEAST_COARSE_FRACTION} are needed: use a smaller clip",
                settings.clip, masking.matrices
            ));
        }
        // What rounding an entry by up to half a unit may add to mean squares (Cauchy-Schwarz).
        let unit = libm::ldexp(1.0, -(coarse_fraction as i32) - 1);
        let (columns, one) = (f64::from(settings.columns), f64::from(u8::from(settings.intercept)));
        let root = libm::sqrt(settings.mean_square) + unit;
        let square = (root * root).max(one);
        let root = libm::sqrt(settings.trace) + unit * libm::sqrt(columns);
        let squares = root * root + one;
        let order = settings.weights();
        let diagonal = rows * (largest * square + settings.l2) * 1.001;
        let trace = rows * (largest * squares + settings.l2 * columns) * 1.001;
        let scale = libm::ceil(libm::log2(trace * 16.0 / 15.0)) as u32;
        let scaled = |v: f64| libm::ldexp(v, -(scale as i32));
        // Some eigenvalue is at least that of the intercept.
        let least = largest / (settings.condition * settings.condition) + settings.l2 / 8.0;
        let bound = InverseSettings {
            order,
            parties,
            sigma,
            diagonal: scaled(diagonal),
            least: scaled(rows * least).min(0.5),
            start: StartBound::Identity,
            aim: Aim::Checked,
            reuse: false,
        };
        let bound = InversePlan::new(bound)?;
        let mut plan = Self { coarse_fraction, scale, bound, refresh: None, rough: None };
        if *method == Method::Newton {
            let start = StartBound::Warm {
                bound: plan.bound.bound_once_converged(),
                fraction: plan.bound.inverse_fraction(),
            };
            let ratio = method::least_weight(&settings.family) / largest / margin;
            let bound = plan.bound.settings().clone();
            let refresh = |aim| {
                let inverse = InverseSettings { least: 0.5 * ratio, start, aim, ..bound.clone() };
                Refresh::new(inverse, coarse_fraction, scale, rows * square, largest)
            };
            plan.refresh = Some(refresh(Aim::Checked)?);
            plan.rough = Some(refresh(Aim::Within(ROUGH))?);
        }
        Ok(plan)
    }

    /// What is added to the diagonal of the bound: as much as rounding may have taken, and what
    /// rounding and slack may have put on a Hessian.
    pub(crate) fn bound_slack(&self) -> i128 {
        let settings = self.bound.settings();
        let own = settings.order as i128 * i128::from(settings.parties) / 2 + 1;
        let theirs = |refresh: &Refresh| {
            let shift = self.bound.fraction() as i32 - refresh.inverse.fraction() as i32;
            libm::ceil(libm::ldexp(2.0 * refresh.slack() as f64 + 2.0, shift)) as i128 + 1
        };
        let all = self.refresh.iter().chain(&self.rough).map(theirs);
        own + all.max().unwrap_or(0)
    }

    /// Fractional bits of every inverse by which a step is made.
    pub(crate) fn step_fraction(&self) -> u32 {
        let all = self.refresh.iter().chain(&self.rough).map(|it| it.inverse.inverse_fraction());
        all.fold(self.bound.inverse_fraction(), u32::max)
    }
}

impl Refresh {
    /// `squares` is the largest sum of squares of a column, `largest` the largest weight of a row.
    fn new(
        inverse: InverseSettings,
        coarse_fraction: u32,
        scale: u32,
        squares: f64,
        largest: f64,
    ) -> Result<Self, Error> {
        let (parties, sigma) = (inverse.parties, inverse.sigma);
        let inverse = InversePlan::new(inverse)?;
        let bits = |bound: f64| libm::ceil(libm::log2(bound).max(0.0)) as u32;
        let weights = BoundedOpening::new(E_FRACTION + bits(largest), sigma, 0, parties - 1)?;
        let own = 2 * coarse_fraction + E_FRACTION;
        let made_fraction = own + scale;
        let lift = match made_fraction.checked_sub(inverse.fraction()) {
            Some(drop) if drop > 0 => {
                // No entry is above the largest on the diagonal.
                let magnitude = bits(libm::ldexp(squares * largest, own as i32)).max(drop);
                Some(BoundedOpening::new(magnitude, sigma, drop, parties)?)
            }
            _ => None,
        };
        Ok(Self { inverse, lift, weights, made_fraction })
    }

    /// What is added to the diagonal of a Hessian, in units at the scale of its inverse: as much
    /// as rounding may have taken from its spectrum. Products that the parties make themselves are
    /// off by half a unit for each of them, at the scale at which the Hessian is made.
    pub(crate) fn slack(&self) -> i128 {
        let settings = self.inverse.settings();
        let (order, parties) = (settings.order as f64, f64::from(settings.parties));
        let up = self.inverse.fraction() as i32 - self.made_fraction as i32;
        let made = libm::ldexp(order * parties / 2.0, up);
        libm::ceil(order * (parties + 1.0) / 2.0 + made) as i128 + 1
    }
}
