//! The plan of a fit to the optimum: every scale, ring, bound and step, chosen from public facts
//! before a share is sent (docs/protocols.md 8).

mod choice;
mod cost;
mod hessian;
mod information;
mod link;
mod masking;
mod method;
mod orders;
mod phasors;
mod precision;
mod settings;

use mpc_core::correlations::{MatrixShape, PhasorMethod, PhasorRequest};
use mpc_core::protocols::truncate::BoundedOpening;

use super::{E_FRACTION, W_FRACTION, refuse};
use crate::agreed::Plan;
use crate::error::Error;
use choice::Coarse;
use hessian::MARGINS;
pub(crate) use hessian::{Hessian, Refresh, WEIGHT_FRACTION};
pub(crate) use information::Information;
pub use link::{Curve, Link};
use masking::Masking;
pub(crate) use method::COUNT_SHIFT;
pub use method::Method;
use precision::Aims;
pub use precision::Precision;
pub use settings::{Family, GlmSettings};

/// The version of the arithmetic: to be raised when a rounding or a table changes.
const ARITHMETIC: u32 = 2;
/// Fractional bits of the design matrix, at most.
const MOST_X_FRACTION: u32 = 16;
/// Passes at the end of a fit whose Hessians are inverted exactly.
const EXACT_INVERSES: usize = 2;
/// Fractional bits of gradient and step in the measure of how far the optimum is.
pub(crate) const DISTANCE_FRACTION: (u32, u32) = (14, 20);

/// A fit, planned to the last bit.
#[derive(Clone, Debug)]
pub struct OptimumPlan {
    settings: GlmSettings,
    link: Link,
    /// The functions of earlier passes, in order, where they differ.
    coarse: Vec<Coarse>,
    aims: Aims,
    /// No row weighs more, in any pass.
    largest_weight: f64,
    method: Method,
    passes: usize,
    masking: Masking,
    x_fraction: u32,
    residuals: BoundedOpening,
    /// How the penalty's part of the gradient is lifted; none without a penalty.
    penalty: Option<BoundedOpening>,
    hessian: Option<Hessian>,
    /// How standard errors are made; none without inference.
    information: Option<Information>,
    /// The public factors of the gradients (or steps) that are 1, 2, .. passes old, in the weights
    /// that the next pass is made at, and in those that are revealed.
    factors: (Vec<i64>, Vec<i64>),
    /// Fractional bits of the weights between passes.
    wide_fraction: u32,
}

impl OptimumPlan {
    fn with(
        settings: GlmSettings,
        link: Link,
        coarse: Vec<Coarse>,
        aims: Aims,
    ) -> Result<Self, Error> {
        let parties = settings.rows.len() as u32;
        // Bounds hold in all passes.
        let links = || std::iter::once(&link).chain(coarse.iter().map(|coarse| &coarse.link));
        let largest = |of: &dyn Fn(&Link) -> f64| links().map(of).fold(0.0, f64::max);
        let largest_weight =
            largest(&|link| link.weight.largest).max(method::first_weight(&settings));
        let origin = link.origin();
        let (method, passes) = method::choose(&settings, largest_weight, origin)?;
        let masking = Masking::new(&settings, largest_weight, &method, passes, origin)?;
        let sigma = masking.opened;

        // The design matrix, as fine as an entry of D and the ring of the scores allow.
        let period = link.mean.series.period.max(link.penalty.series.period);
        let entry = masking.entry_bits();
        let x_fraction = MOST_X_FRACTION
            .min(entry.saturating_sub(settings.clip_bits() + 1))
            .min((64 - W_FRACTION).saturating_sub(period));
        if x_fraction < 8 {
            return refuse(format!(
                "a clip of {} with {} bits of masking leaves {x_fraction} fractional bits for the \
                 data; at least 8 are needed",
                settings.clip, masking.matrices
            ));
        }

        let bits = |bound: f64| E_FRACTION + libm::ceil(libm::log2(bound).max(0.0)) as u32;
        let most = settings.family.most();
        let residual = largest(&|link| link.mean.largest.max(most - link.mean.least));
        let residuals = BoundedOpening::new(bits(residual), sigma, 0, parties - 1)?;
        let reach = link.penalty.largest.max(-link.penalty.least);
        let penalty = (settings.l2 > 0.0)
            .then(|| BoundedOpening::new(bits(reach), sigma, 0, parties))
            .transpose()?;
        let (hessian, information) = match method {
            Method::Gradient { .. } => (None, None),
            _ => {
                let inverses = |margin| {
                    let hessian =
                        Hessian::new(&settings, largest_weight, &method, &masking, margin)?;
                    let typical = method::typical_weight(&settings.family);
                    let (weight, lift) = (&link.weight, link.lift);
                    let refresh = hessian.refresh.as_ref().filter(|_| settings.inference);
                    let information = refresh
                        .map(|it| Information::new(it, weight, lift, typical, largest_weight))
                        .transpose()?;
                    Ok((Some(hessian), information))
                };
                let with_less =
                    |so_far: Result<_, Error>, &margin: &f64| so_far.or_else(|_| inverses(margin));
                let [first, smaller @ ..] = MARGINS;
                let inverses = smaller.iter().fold(inverses(first), with_less);
                inverses.map_err(|error| too_large(&settings, &error))?
            }
        };

        // Large studies have no room for the finest data.
        let wide = |fraction| steps(&settings, &method, passes, &hessian, fraction);
        let most = 64 + W_FRACTION;
        let excess = wide(x_fraction).1.saturating_sub(most);
        let x_fraction = x_fraction.saturating_sub(excess.min(x_fraction.saturating_sub(11)));
        let (factors, wide_fraction) = wide(x_fraction);
        let plan = Self {
            settings,
            link,
            coarse,
            aims,
            largest_weight,
            method,
            passes,
            masking,
            x_fraction,
            residuals,
            penalty,
            hessian,
            information,
            factors,
            wide_fraction,
        };
        plan.fits()?;
        Ok(plan)
    }

    /// What could not be said before all scales were known.
    fn fits(&self) -> Result<(), Error> {
        if self.wide_fraction > 64 + W_FRACTION {
            return refuse(format!(
                "the coefficients would need {} fractional bits between steps; at most {} are \
                 possible: reduce the rows, columns or condition of the study",
                self.wide_fraction,
                64 + W_FRACTION
            ));
        }
        for link in self.links() {
            for weight in [false, true] {
                let request = self.phasors_on(link, weight, 1);
                if request.ring > 128 {
                    return refuse(format!(
                        "with {} bits of masking the functions of the score need a ring of {} \
                         bits; at most 128 are possible: reduce the rows or columns, or the \
                         target's range",
                        self.masking.opened, request.ring
                    ));
                }
                link.possible(&request)?;
                if !self.refreshes() {
                    break;
                }
            }
        }
        if let Some(request) = self.penalty_phasors() {
            self.link.possible(&request)?;
        }
        if self.settings.inference && self.loss_bits() > self.loss_ring() {
            return refuse(format!(
                "the deviance needs {} bits, and {} are left: reduce the rows, or set \
                 output.inference to false",
                self.loss_bits(),
                self.loss_ring()
            ));
        }
        Ok(())
    }

    /// What the study says.
    #[must_use]
    pub fn settings(&self) -> &GlmSettings {
        &self.settings
    }

    /// The functions of the score, as they are in the last pass.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// The functions of the score in a pass.
    pub(crate) fn link_at(&self, pass: usize) -> &Link {
        let coarse = self.coarse.iter().find(|coarse| pass < coarse.until);
        coarse.map_or(&self.link, |coarse| &coarse.link)
    }

    /// The functions of all passes.
    fn links(&self) -> impl Iterator<Item = &Link> {
        self.coarse.iter().map(|coarse| &coarse.link).chain([&self.link])
    }

    /// Passes that the fit begins with on coarser functions.
    #[must_use]
    pub fn coarse_passes(&self) -> usize {
        self.coarse.last().map_or(0, |coarse| coarse.until)
    }

    /// No row weighs more, in any pass.
    pub(crate) fn largest_weight(&self) -> f64 {
        self.largest_weight
    }

    /// How the fit gets to its optimum.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Passes over the data.
    #[must_use]
    pub fn passes(&self) -> usize {
        self.passes
    }

    /// Bits of statistical masking of what is opened.
    #[must_use]
    pub fn sigma(&self) -> u32 {
        self.masking.opened
    }

    /// Fractional bits of the design matrix.
    #[must_use]
    pub fn x_fraction(&self) -> u32 {
        self.x_fraction
    }

    /// The number of parties.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.settings.rows.len()
    }

    /// Fractional bits of the weights between passes.
    #[must_use]
    pub fn wide_fraction(&self) -> u32 {
        self.wide_fraction
    }

    /// How the residuals are opened under masks.
    #[must_use]
    pub fn residuals_opened(&self) -> &BoundedOpening {
        &self.residuals
    }

    pub(crate) fn penalty(&self) -> Option<BoundedOpening> {
        self.penalty
    }

    pub(crate) fn hessian(&self) -> Option<&Hessian> {
        self.hessian.as_ref()
    }

    pub(crate) fn information(&self) -> Option<&Information> {
        self.information.as_ref()
    }

    pub(crate) fn refresh(&self) -> Option<&Refresh> {
        self.hessian.as_ref()?.refresh.as_ref()
    }

    /// How the Hessian of a pass is inverted, where that has to be done: the first one of a logistic
    /// model is a multiple of the bound.
    pub(crate) fn refresh_at(&self, pass: usize) -> Option<&Refresh> {
        let hessian = self.hessian.as_ref()?;
        match self.settings.family {
            Family::Logistic { .. } if pass == 0 => None,
            _ if pass + EXACT_INVERSES < self.passes => hessian.rough.as_ref(),
            _ => hessian.refresh.as_ref(),
        }
    }

    /// By how much more the steps of the intercept are multiplied.
    pub(crate) fn intercept_factor(&self) -> i64 {
        match self.method {
            Method::Gradient { intercept, .. } => intercept,
            _ => 1,
        }
    }

    pub(crate) fn factors(&self) -> &(Vec<i64>, Vec<i64>) {
        &self.factors
    }

    /// Whether every pass makes a Hessian of its own.
    #[must_use]
    pub fn refreshes(&self) -> bool {
        self.method == Method::Newton
    }

    /// n l2, as the public factor of the penalty's part of the gradient.
    pub(crate) fn penalty_factor(&self) -> i128 {
        let factor = self.settings.total_rows() as f64 * self.settings.l2;
        libm::rint(libm::ldexp(factor, self.x_fraction as i32)) as i128
    }

    /// Entries of the design matrix are below 2^entry_bits.
    pub(crate) fn entry_bits(&self) -> u32 {
        self.x_fraction + self.settings.clip_bits() + 1
    }

    /// The shape of the design matrix, for a source of correlations.
    #[must_use]
    pub fn matrix_shape(&self) -> MatrixShape {
        MatrixShape {
            rows: self.settings.rows.clone(),
            columns: self.settings.columns,
            entry_bits: self.entry_bits(),
            sigma: self.masking.matrices,
        }
    }

    /// The shape of the matrix of outer products, where Hessians are made.
    #[must_use]
    pub fn outer_shape(&self) -> Option<MatrixShape> {
        let hessian = self.hessian.as_ref().filter(|hessian| hessian.refresh.is_some())?;
        let order = self.settings.weights();
        Some(MatrixShape {
            rows: self.settings.rows.clone(),
            columns: (order * (order + 1) / 2) as u32,
            entry_bits: 2 * (hessian.coarse_fraction + self.settings.clip_bits()) + 1,
            sigma: self.masking.matrices,
        })
    }

    /// The phasors of `count` scores in a pass.
    pub(crate) fn phasors(&self, pass: usize, count: u32) -> PhasorRequest {
        self.phasors_on(self.link_at(pass), self.refreshes(), count)
    }

    /// The phasors of `count` scores, with or without those of the weights of a Hessian.
    fn phasors_on(&self, link: &Link, weight: bool, count: u32) -> PhasorRequest {
        link.phasors(&link.multiples(weight), count, self.headroom(weight))
    }

    /// The phasors of the penalised coefficients.
    pub(crate) fn penalty_phasors(&self) -> Option<PhasorRequest> {
        let ring = self.penalty?.ring;
        let headroom = ring + self.link.coefficient_fraction - E_FRACTION;
        Some(self.link.penalty_phasors(self.settings.columns, headroom))
    }

    /// Bits of a value of a series above the scale of the phasors.
    fn headroom(&self, weight: bool) -> u32 {
        let weights = self.refresh().filter(|_| weight).map_or(0, |refresh| refresh.weights.ring);
        self.residuals.ring.max(weights) + self.link.coefficient_fraction - E_FRACTION
    }

    /// Bits before the point of the sums of the deviance.
    fn loss_magnitude(&self) -> u32 {
        let period = libm::ldexp(1.0, self.link.mean.series.period as i32);
        let scores = self.link.centre.abs() + period;
        let rows = self.settings.total_rows() as f64;
        libm::ceil(libm::log2(rows * (self.settings.family.most() * scores + 1.0))) as u32 + 2
    }

    /// Bits that the sums of the deviance need.
    fn loss_bits(&self) -> u32 {
        self.loss_fraction() + self.loss_magnitude()
    }

    /// Fractional bits of X^T y in the deviance: one more than the data have, for halves, or as many
    /// as the weights leave room for.
    pub(crate) fn target_fraction(&self) -> u32 {
        let room = (128 - self.wide_fraction).saturating_sub(self.loss_magnitude());
        (self.x_fraction + 1).min(room)
    }

    /// The scale of the sums of the deviance.
    pub(crate) fn loss_fraction(&self) -> u32 {
        self.target_fraction() + W_FRACTION
    }

    /// The ring in which the deviance is summed.
    pub(crate) fn loss_ring(&self) -> u32 {
        let series = self.phasors_on(&self.link, true, 1);
        let fraction = self.link.coefficient_fraction + series.fraction;
        let summed = series.ring - fraction.saturating_sub(self.loss_fraction());
        summed.min(128 + W_FRACTION - self.wide_fraction)
    }

    /// How the parties make the phasors of the last pass themselves; none from a dealer.
    #[must_use]
    pub fn phasor_method(&self) -> Option<PhasorMethod> {
        self.phasors(self.passes, 1).rounding.map(|rounding| rounding.method)
    }
}

impl Plan for OptimumPlan {
    fn canonical(&self) -> String {
        format!("optimum {ARITHMETIC} scales {W_FRACTION} {E_FRACTION} {self:?}")
    }
}

fn too_large(settings: &GlmSettings, error: &Error) -> Error {
    Error::Settings(format!(
        "{} rows of {} columns with a condition of {} need more bits than there are: {error}",
        settings.total_rows(),
        settings.columns,
        settings.condition
    ))
}

/// The public factors of the gradients, and the scale of the weights that follows.
fn steps(
    settings: &GlmSettings,
    method: &Method,
    passes: usize,
    hessian: &Option<Hessian>,
    x_fraction: u32,
) -> ((Vec<i64>, Vec<i64>), u32) {
    let gradient = x_fraction + E_FRACTION;
    let integers = |answers: &[f64], unit: f64| {
        answers.iter().map(|answer| libm::rint(answer * unit) as i64).collect::<Vec<_>>()
    };
    match (method, hessian) {
        (Method::Newton, Some(hessian)) => {
            let ones = vec![1; passes];
            let fraction = hessian.scale + hessian.step_fraction() + gradient;
            ((ones.clone(), ones), fraction)
        }
        (Method::FixedHessian { momentum }, Some(hessian)) => {
            let (queries, iterates) = method::answers(*momentum, passes);
            let unit = libm::ldexp(1.0, method::FACTOR_FRACTION as i32);
            let fraction = hessian.scale
                + hessian.bound.inverse_fraction()
                + gradient
                + method::FACTOR_FRACTION;
            ((integers(&queries, unit), integers(&iterates, unit)), fraction)
        }
        (Method::Gradient { momentum, curvature, .. }, _) => {
            let (queries, iterates) = method::answers(*momentum, passes);
            let n = settings.total_rows() as f64 * curvature;
            let bits = method::FACTOR_FRACTION + libm::ceil(libm::log2(n)).max(0.0) as u32;
            let unit = libm::ldexp(1.0, bits as i32) / n;
            ((integers(&queries, unit), integers(&iterates, unit)), gradient + bits)
        }
        // A method other than the gradient's has a Hessian.
        (_, None) => ((Vec::new(), Vec::new()), u32::MAX),
    }
}
