//! Step sizes as integers: eta_t / B = m_t 2^-h.

use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::ring::wire::element_bytes;
use serde::Serialize;

use super::SgdSettings;
use super::plan::{E_FRACTION, W_FRACTION, X_FRACTION};
use crate::error::Error;

/// A multiplier has at least this many bits, so that a step is exact within 2^-8.
const LEAST_BITS: i32 = 7;
/// More bits are taken where they are free, up to this many.
const MOST_BITS: i32 = 14;
/// With momentum the state keeps at least this many bits below the weights.
const MOMENTUM_SHIFT: u32 = 10;

/// The step sizes of a study, exactly as they are applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Steps {
    h: u32,
    /// m_t for each epoch.
    multipliers: Vec<i64>,
    /// 1 - eta l2 for each epoch, at scale 2^s'; 2^s' for the intercept.
    decays: Vec<i64>,
    /// The momentum at scale 2^s'.
    momentum: i64,
}

/// s' = fx + fe + h - F: the bits that w~ has below w.
pub(super) fn weight_shift(h: u32) -> u32 {
    (X_FRACTION + E_FRACTION + h).saturating_sub(W_FRACTION)
}

impl Steps {
    /// Chooses h: the smallest that keeps every multiplier above 2^7 and the decay exact enough,
    /// then as much more as costs no further byte in the opening of the weights.
    pub(super) fn new(
        settings: &SgdSettings,
        opening: impl Fn(u32) -> Option<BoundedOpening>,
    ) -> Result<Self, Error> {
        let smallest = settings.step_size(settings.epochs - 1) / settings.batch as f64;
        let bits = |h: u32| libm::log2(smallest) + f64::from(h);
        let mut h = libm::ceil(f64::from(LEAST_BITS) - libm::log2(smallest)).max(0.0) as u32;
        let mut shift = 0;
        if settings.l2 > 0.0 {
            let decay = settings.step_size(settings.epochs - 1) * settings.l2;
            shift = 7 + libm::ceil(-libm::log2(decay)).max(0.0) as u32;
        }
        if settings.momentum > 0.0 {
            shift = shift.max(MOMENTUM_SHIFT);
        }
        h = h.max((shift + W_FRACTION).saturating_sub(X_FRACTION + E_FRACTION));
        if weight_shift(h) > 48 {
            return Err(Error::Settings(format!(
                "the smallest step, {smallest:.3e} a row, is too small for the fixed point: use a \
                 larger learning rate or penalty, less decay, or a smaller batch"
            )));
        }
        let bytes = |h| opening(h).map(|spec| element_bytes(spec.ring));
        while bits(h) < f64::from(MOST_BITS) && bytes(h).is_some() && bytes(h + 1) == bytes(h) {
            h += 1;
        }
        let scale = libm::ldexp(1.0, weight_shift(h) as i32);
        let multipliers: Vec<i64> = (0..settings.epochs)
            .map(|epoch| {
                let step = settings.step_size(epoch) / settings.batch as f64;
                libm::rint(libm::ldexp(step, h as i32)) as i64
            })
            .collect();
        let decays = (0..settings.epochs)
            .map(|epoch| libm::rint((1.0 - settings.step_size(epoch) * settings.l2) * scale) as i64)
            .collect();
        let momentum = libm::rint(settings.momentum * scale) as i64;
        Ok(Self { h, multipliers, decays, momentum })
    }

    /// h.
    #[must_use]
    pub fn exponent(&self) -> u32 {
        self.h
    }

    /// m_t in an epoch.
    #[must_use]
    pub fn multiplier(&self, epoch: u64) -> i64 {
        self.multipliers[epoch as usize]
    }

    /// The decay of the penalised weights in an epoch, at scale 2^s'.
    #[must_use]
    pub fn decay(&self, epoch: u64) -> i64 {
        self.decays[epoch as usize]
    }

    /// The momentum at scale 2^s'.
    #[must_use]
    pub fn momentum(&self) -> i64 {
        self.momentum
    }
}

/// A bound on every weight at every time, from public bounds alone: a condition of privacy.
///
/// Without momentum the worst case is followed step by step: |w| shrinks by the penalty and grows
/// by eta x_max e_max. With momentum it is the sum of all steps over 1 - beta.
pub(super) fn weight_bound(
    settings: &SgdSettings,
    parties: usize,
    batches: u64,
    residual_bound: f64,
) -> f64 {
    // Steps are rounded to within 2^-8, and entries to within 2^-13.
    let slack = 1.0 + 1.0 / 128.0;
    let x_max = settings.clip.max(if settings.intercept { 1.0 } else { 0.0 }) + 0.001;
    let rounding = (parties as f64 + 1.0) * libm::ldexp(1.0, -(W_FRACTION as i32));
    let growth = |epoch| settings.step_size(epoch) * slack * residual_bound;
    if settings.momentum > 0.0 {
        let sum: f64 = (0..settings.epochs).map(|e| growth(e) * x_max * batches as f64).sum();
        // The momentum is applied as a multiple of 2^-s', s' >= 10.
        let momentum = settings.momentum + libm::ldexp(1.0, -(MOMENTUM_SHIFT as i32) - 1);
        return (sum + rounding * (settings.epochs * batches) as f64) / (1.0 - momentum);
    }
    let (mut penalised, mut free, mut largest) = (0.0f64, 0.0f64, 0.0f64);
    for epoch in 0..settings.epochs {
        let keep = (1.0 - settings.step_size(epoch) * settings.l2 * (1.0 - 1.0 / 64.0)).max(0.0);
        for _ in 0..batches {
            penalised = keep * (penalised + rounding) + growth(epoch) * x_max;
            free += rounding + growth(epoch);
            largest = largest.max(penalised);
        }
    }
    if settings.intercept { largest.max(free) } else { largest }
}
