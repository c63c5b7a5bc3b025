//! The plan of a fit to the optimum: every scale, ring, bound and step, chosen from public facts
//! before a share is sent (docs/protocols.md 8).

mod cost;
mod hessian;
mod link;
mod method;
mod phasors;
mod precision;
mod settings;

use std::ops::Range;

use mpc_core::correlations::pairwise::{Expansion, PhasorPlan};
use mpc_core::correlations::{
    MatrixShape, Origin, OwnedProductRequest, PhasorMethod, PhasorRequest, Request, RightRequest,
};
use mpc_core::protocols::solve::InversePlan;
use mpc_core::protocols::truncate::BoundedOpening;

use super::{E_FRACTION, LEAST_SIGMA, W_FRACTION, refuse};
use crate::agreed::Plan;
use crate::error::Error;
pub(crate) use hessian::{Hessian, Refresh, WEIGHT_FRACTION};
pub use link::{Curve, Link};
pub use method::Method;
use phasors::OwnPhasors;
pub use precision::Precision;
pub use settings::{Family, GlmSettings};

/// The version of the arithmetic: to be raised when a rounding or a table changes.
const ARITHMETIC: u32 = 1;
/// Fractional bits of the design matrix, at most.
const MOST_X_FRACTION: u32 = 16;
/// Scores whose phasors are one item on order.
const BLOCK: u64 = 4096;
/// Scores whose angles are opened in one round: what bounds the memory of a pass.
const GROUP: u64 = 1 << 16;
/// Bytes of products and factors of passes that are ordered at once; what makes them holds some
/// four times as much. Phasors are made within a bound of their own.
const ORDER_BYTES: u64 = 1 << 26;
/// Fractional bits of gradient and step in the measure of how far the optimum is.
pub(crate) const DISTANCE_FRACTION: (u32, u32) = (14, 20);

/// A fit, planned to the last bit.
#[derive(Clone, Debug)]
pub struct OptimumPlan {
    settings: GlmSettings,
    link: Link,
    method: Method,
    passes: usize,
    sigma: u32,
    x_fraction: u32,
    residuals: BoundedOpening,
    /// How the penalty's part of the gradient is lifted; none without a penalty.
    penalty: Option<BoundedOpening>,
    hessian: Option<Hessian>,
    /// The public factors of the gradients (or steps) that are 1, 2, .. passes old, in the weights
    /// that the next pass is made at, and in those that are revealed.
    factors: (Vec<i64>, Vec<i64>),
    /// Fractional bits of the weights between passes.
    wide_fraction: u32,
}

impl OptimumPlan {
    /// Plans a fit.
    ///
    /// # Errors
    /// [`Error::Settings`] with the rule and the numbers when something does not fit.
    pub fn new(settings: GlmSettings, origin: Origin) -> Result<Self, Error> {
        settings.check()?;
        let link = Link::new(&settings.family, origin, settings.rows.len())?;
        match origin {
            Origin::Dealer => {
                let plan = Self::with(settings, link.on(None)?)?;
                plan.precise()?;
                Ok(plan)
            }
            Origin::Pairwise => Self::cheapest(&settings, &link),
        }
    }

    /// The plan whose phasors take the fewest bytes among those that are precise enough.
    fn cheapest(settings: &GlmSettings, link: &Link) -> Result<Self, Error> {
        let mut best: Option<(u64, Self)> = None;
        // Why there is none: the noise of the finest that fit the ring, or why none fits.
        let mut imprecise: Option<(f64, Error)> = None;
        let mut unfit = None;
        for way in OwnPhasors::ways() {
            for form in way {
                let plan =
                    link.clone().on(Some(form)).and_then(|l| Self::with(settings.clone(), l));
                let plan = match plan {
                    Ok(plan) => plan,
                    // With more bits it fits the less.
                    Err(why) => {
                        unfit = unfit.or(Some(why));
                        break;
                    }
                };
                if let Err(why) = plan.precise() {
                    let noise = plan.precision().phasors;
                    if imprecise.as_ref().is_none_or(|(least, _)| noise < *least) {
                        imprecise = Some((noise, why));
                    }
                    continue;
                }
                let bytes = plan.phasor_bytes()?;
                if best.as_ref().is_none_or(|(least, _)| bytes < *least) {
                    best = Some((bytes, plan));
                }
                break;
            }
        }
        match (best, imprecise, unfit) {
            (Some((_, plan)), ..) => Ok(plan),
            (None, Some((_, why)), _) | (None, None, Some(why)) => Err(why),
            (None, None, None) => refuse("there is no way to make phasors".to_owned()),
        }
    }

    /// What the phasors of as many scores as there are parties take of the network.
    fn phasor_bytes(&self) -> Result<u64, Error> {
        let parties = self.parties();
        let plan = PhasorPlan::new(parties, &self.phasors(self.refreshes(), parties as u32))?;
        let sent = |me| plan.cost(me, Expansion::Fast).sent();
        Ok((0..parties).map(sent).sum())
    }

    fn with(settings: GlmSettings, link: Link) -> Result<Self, Error> {
        let parties = settings.rows.len() as u32;
        let (method, passes) = method::choose(&settings, link.weight.largest)?;
        let sigma = sigma(&settings, &link, &method, passes)?;

        // The design matrix, as fine as an entry of D and the ring of the scores allow.
        let period = link.mean.series.period.max(link.penalty.series.period);
        let entry = (94 - sigma).min(30);
        let x_fraction = MOST_X_FRACTION
            .min(entry.saturating_sub(settings.clip_bits() + 1))
            .min((64 - W_FRACTION).saturating_sub(period));
        if x_fraction < 8 {
            return refuse(format!(
                "a clip of {} with {sigma} bits of masking leaves {x_fraction} fractional bits for \
                 the data; at least 8 are needed",
                settings.clip
            ));
        }

        let bits = |bound: f64| E_FRACTION + libm::ceil(libm::log2(bound).max(0.0)) as u32;
        let most = settings.family.most();
        let residual = link.mean.largest.max(most - link.mean.least);
        let residuals = BoundedOpening::new(bits(residual), sigma, 0, parties - 1)?;
        let reach = link.penalty.largest.max(-link.penalty.least);
        let penalty = (settings.l2 > 0.0)
            .then(|| BoundedOpening::new(bits(reach), sigma, 0, parties))
            .transpose()?;
        let hessian = match method {
            Method::Gradient { .. } => None,
            _ => Some(Hessian::new(&settings, &link, &method, sigma)?),
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
            method,
            passes,
            sigma,
            x_fraction,
            residuals,
            penalty,
            hessian,
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
        for weight in [false, true] {
            let request = self.phasors(weight, 1);
            if request.ring > 128 {
                return refuse(format!(
                    "with {} bits of masking the functions of the score need a ring of {} bits; at \
                     most 128 are possible: reduce the rows or columns, or the target's range",
                    self.sigma, request.ring
                ));
            }
            self.link.possible(&request)?;
            if !self.refreshes() {
                break;
            }
        }
        if let Some(request) = self.penalty_phasors() {
            self.link.possible(&request)?;
        }
        if self.settings.inference {
            let scores =
                self.link.centre.abs() + libm::ldexp(1.0, self.link.mean.series.period as i32);
            let sum =
                self.settings.total_rows() as f64 * (self.settings.family.most() * scores + 1.0);
            let needed = self.loss_fraction() + libm::ceil(libm::log2(sum)) as u32 + 2;
            if needed > self.loss_ring() {
                return refuse(format!(
                    "the deviance needs {needed} bits, and {} are left: reduce the rows, or set \
                     output.inference to false",
                    self.loss_ring()
                ));
            }
        }
        Ok(())
    }

    /// What the study says.
    #[must_use]
    pub fn settings(&self) -> &GlmSettings {
        &self.settings
    }

    /// The functions of the score.
    #[must_use]
    pub fn link(&self) -> &Link {
        &self.link
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

    /// Bits of statistical masking.
    #[must_use]
    pub fn sigma(&self) -> u32 {
        self.sigma
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

    pub(crate) fn refresh(&self) -> Option<&Refresh> {
        self.hessian.as_ref()?.refresh.as_ref()
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
            sigma: self.sigma,
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
            sigma: self.sigma,
        })
    }

    /// The part of each party's rows in a block of phasors.
    pub(crate) fn block(&self, block: u64) -> Vec<(u64, u64)> {
        let blocks = self.blocks();
        self.settings
            .rows
            .iter()
            .map(|&rows| (rows * block / blocks, rows * (block + 1) / blocks))
            .collect()
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.settings.total_rows().div_ceil(BLOCK)
    }

    /// Blocks whose angles are opened in one round.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let (blocks, size) = (self.blocks(), GROUP / BLOCK);
        (0..blocks).step_by(size as usize).map(move |from| from..(from + size).min(blocks))
    }

    /// The phasors of `count` scores, for a pass with or without the weights of the Hessian.
    pub(crate) fn phasors(&self, weight: bool, count: u32) -> PhasorRequest {
        self.link.phasors(&self.link.multiples(weight), count, self.headroom(weight))
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

    /// The scale of the sums of the deviance.
    pub(crate) fn loss_fraction(&self) -> u32 {
        self.x_fraction + 1 + W_FRACTION
    }

    /// The ring in which the deviance is summed.
    pub(crate) fn loss_ring(&self) -> u32 {
        let series = self.phasors(true, 1);
        let fraction = self.link.coefficient_fraction + series.fraction;
        let summed = series.ring - fraction.saturating_sub(self.loss_fraction());
        summed.min(128 + W_FRACTION - self.wide_fraction)
    }

    /// The correlations of the inverse that a fit begins with; `lefts` counts the left factors.
    pub(crate) fn first_requests(&self, lefts: &mut u32) -> Vec<Request> {
        let Some(hessian) = &self.hessian else { return Vec::new() };
        let requests = hessian.bound.requests(*lefts);
        *lefts += hessian.bound.lefts();
        requests
    }

    /// How the parties make their own phasors; none from a dealer.
    #[must_use]
    pub fn phasor_method(&self) -> Option<PhasorMethod> {
        self.phasors(self.refreshes(), 1).rounding.map(|rounding| rounding.method)
    }

    /// Passes that are ordered at once. Products with the same rows, and right factors of one left,
    /// cost much less together.
    pub(crate) fn passes_an_order(&self) -> usize {
        let rows = self.settings.total_rows();
        let columns = [
            u64::from(self.settings.columns),
            self.outer_shape().map_or(0, |it| it.columns.into()),
        ];
        let order = self.settings.weights() as u64;
        let elements = |request: &Request| match request {
            Request::OwnedProduct(it) => rows + columns[it.matrix as usize] + 1,
            Request::Left { m, k, .. } => u64::from(*m) * u64::from(*k),
            Request::Right(it) => 2 * order * u64::from(it.n),
            Request::Phasors(_) => 0,
        };
        let outer = (columns[1] > 0).then_some(1);
        let pass: u64 = self.requests(0, 0, outer, &mut 0).iter().map(elements).sum();
        ((ORDER_BYTES / (16 * pass)).max(1) as usize).min(self.passes)
    }

    /// The correlations of one pass, in order, for the registered matrices.
    pub(crate) fn requests(
        &self,
        pass: usize,
        matrix: u32,
        outer: Option<u32>,
        lefts: &mut u32,
    ) -> Vec<Request> {
        let (settings, last) = (&self.settings, pass + 1 == self.passes);
        let all: Vec<(u64, u64)> = settings.rows.iter().map(|&rows| (0, rows)).collect();
        let mut requests = vec![Request::OwnedProduct(OwnedProductRequest {
            matrix,
            rows: all.clone(),
            transposed: false,
            ring: 64,
            // mu is uniform mod 2^64: the opening of the weights is a masked one.
            mask_bits: 128,
            drop: 64,
            public_columns: u32::from(settings.intercept),
        })];
        for block in 0..self.blocks() {
            let count = self.block(block).iter().map(|(from, to)| to - from).sum::<u64>();
            requests.push(Request::Phasors(self.phasors(outer.is_some(), count as u32)));
        }
        requests.extend(self.penalty_phasors().map(Request::Phasors));
        let transposed = |matrix: u32, opening: &BoundedOpening| {
            Request::OwnedProduct(OwnedProductRequest {
                matrix,
                rows: all.clone(),
                transposed: true,
                ring: 128,
                mask_bits: opening.mask_bits(),
                drop: 0,
                public_columns: 0,
            })
        };
        requests.push(transposed(matrix, &self.residuals));
        let d = settings.weights() as u32;
        if self.hessian.is_some() {
            if let (Some(outer), Some(refresh)) = (outer, self.refresh()) {
                requests.push(transposed(outer, &refresh.weights));
                requests.extend(refresh.inverse.requests(*lefts));
                *lefts += refresh.inverse.lefts();
            }
            if outer.is_some() || pass == 0 {
                requests.push(Request::Left { m: d, k: d, ring: 128 });
                *lefts += 1;
            }
            let done = last || outer.is_some();
            requests.push(Request::Right(RightRequest { left: *lefts - 1, n: 1, last: done }));
        }
        if last {
            // How far the optimum is, and the scores' part of the deviance.
            for _ in 0..1 + u32::from(settings.inference) {
                requests.push(Request::Left { m: 1, k: d, ring: 128 });
                requests.push(Request::Right(RightRequest { left: *lefts, n: 1, last: true }));
                *lefts += 1;
            }
        }
        requests
    }
}

impl Plan for OptimumPlan {
    fn canonical(&self) -> String {
        format!("optimum {ARITHMETIC} scales {W_FRACTION} {E_FRACTION} {self:?}")
    }
}

/// One sigma for the study: the union over all elements that are opened under a statistical mask.
fn sigma(
    settings: &GlmSettings,
    link: &Link,
    method: &Method,
    passes: usize,
) -> Result<u32, Error> {
    let rows = settings.total_rows() as f64;
    let (order, columns) = (settings.weights(), f64::from(settings.columns));
    let triangle = (order * (order + 1) / 2) as f64;
    let mut masked = rows * columns + passes as f64 * rows;
    if settings.l2 > 0.0 {
        masked += passes as f64 * columns;
    }
    if !matches!(method, Method::Gradient { .. }) {
        // Only the steps are counted here, and they do not depend on sigma.
        let plan = Hessian::new(settings, link, method, LEAST_SIGMA)?;
        masked += InversePlan::masked_elements(plan.bound.settings()) as f64;
        if let Some(refresh) = &plan.refresh {
            let refresh = InversePlan::masked_elements(refresh.inverse.settings()) as f64;
            masked += rows * triangle + passes as f64 * (rows + triangle + refresh);
        }
    }
    Ok((41 + libm::ceil(libm::log2(masked)) as u32).max(LEAST_SIGMA))
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
            let inverse = hessian.refresh.as_ref().map_or(0, |it| it.inverse.inverse_fraction());
            let fraction = hessian.scale + inverse + gradient;
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
