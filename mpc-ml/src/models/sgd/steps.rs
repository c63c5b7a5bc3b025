//! Step sizes as integers: eta_t / B = m_t 2^-h (docs/protocols.md 5, Steps).

use mpc_core::ring::wire::element_bytes;
use serde::Serialize;

use super::SgdSettings;
use super::plan::{E_FRACTION, W_FRACTION, X_FRACTION};
use crate::error::Error;

/// A multiplier has at least this many bits, or is exact to as many.
const LEAST_BITS: i32 = 7;
/// More bits are taken where they are free, up to this many.
const MOST_BITS: i32 = 14;
/// With momentum the state keeps at least this many bits below the weights.
const MOMENTUM_SHIFT: u32 = 10;
/// s' at the most.
const MOST_SHIFT: u32 = 48;

/// The step sizes of a study, exactly as they are applied.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Steps {
    h: u32,
    /// m_t for each epoch.
    multipliers: Vec<i64>,
    /// 1 - eta l2 for each epoch, at scale 2^s'; 2^s' for the intercept.
    decays: Vec<i64>,
    /// The momentum at scale 2^s'.
    momentum: i64,
    /// Where weights shrink without being touched.
    shrinking: Shrinking,
}

/// What the penalty leaves of a weight, from any step to the end of the training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Shrinking {
    /// eta_t / B for each epoch.
    sizes: Vec<f64>,
    /// 1 - eta l2 for each epoch.
    keeps: Vec<f64>,
    /// What the epochs after this one leave.
    later: Vec<f64>,
    /// Steps of an epoch.
    batches: u64,
}

impl Shrinking {
    pub(super) fn new(settings: &SgdSettings, batches: u64) -> Self {
        let sizes = (0..settings.epochs).map(|e| settings.step_size(e) / settings.batch as f64);
        let keeps: Vec<f64> =
            (0..settings.epochs).map(|e| 1.0 - settings.step_size(e) * settings.l2).collect();
        let mut later = vec![1.0; keeps.len()];
        for epoch in (1..keeps.len()).rev() {
            later[epoch - 1] = later[epoch] * libm::pow(keeps[epoch], batches as f64);
        }
        Self { sizes: sizes.collect(), keeps, later, batches }
    }

    /// What is left in the end of a weight as it is before a step.
    pub(super) fn left(&self, epoch: u64, step: u64) -> f64 {
        let epoch = epoch as usize;
        self.later[epoch] * libm::pow(self.keeps[epoch], (self.batches - step) as f64)
    }

    /// The size of a step, as the end will see it.
    fn size(&self, epoch: u64, step: u64) -> f64 {
        self.sizes[epoch as usize] * self.left(epoch, step + 1)
    }
}

/// s' = fx + fe + h - F: the bits that w~ has below w.
pub(super) fn weight_shift(h: u32) -> u32 {
    (X_FRACTION + E_FRACTION + h).saturating_sub(W_FRACTION)
}

impl Steps {
    /// Where the weights are lifted: the smallest h that keeps every multiplier above 2^7 and the
    /// decay exact enough, then as much more as costs no further byte in the opening of the
    /// weights, which takes a ring of so many bits.
    pub(super) fn lifted(
        settings: &SgdSettings,
        batches: u64,
        ring: impl Fn(u32) -> Option<u32>,
    ) -> Result<Self, Error> {
        let smallest = settings.step_size(settings.epochs - 1) / settings.batch as f64;
        let mut h = least_exponent(smallest);
        let mut shift = 0;
        if settings.l2 > 0.0 {
            let decay = settings.step_size(settings.epochs - 1) * settings.l2;
            shift = 7 + libm::ceil(-libm::log2(decay)).max(0.0) as u32;
        }
        if settings.momentum > 0.0 {
            shift = shift.max(MOMENTUM_SHIFT);
        }
        h = h.max((shift + W_FRACTION).saturating_sub(X_FRACTION + E_FRACTION));
        fits(h, smallest)?;
        let bytes = |h| ring(h).map(element_bytes);
        let bits = |h: u32| libm::log2(smallest) + f64::from(h);
        while bits(h) < f64::from(MOST_BITS) && bytes(h).is_some() && bytes(h + 1) == bytes(h) {
            h += 1;
        }
        Ok(Self::at(settings, batches, h))
    }

    /// Where nothing is lifted: the smallest h with which every step is exact within 2^-8, then as
    /// much more as makes it more exact and costs no further byte in the opening of the residuals,
    /// which takes a ring of so many bits.
    pub(super) fn in_ring(
        settings: &SgdSettings,
        batches: u64,
        ring: impl Fn(u32) -> u32,
    ) -> Result<Self, Error> {
        let shrinking = Shrinking::new(settings, batches);
        let epochs = 0..settings.epochs;
        // In an epoch the first step is the smallest.
        let smallest = epochs.map(|epoch| shrinking.size(epoch, 0)).fold(f64::INFINITY, f64::min);
        let most = least_exponent(smallest);
        let error = |h: u32| {
            if settings.l2 > 0.0 {
                return libm::ldexp(1.0 / smallest, -(h as i32) - 1);
            }
            let off = |size: &f64| (libm::ldexp(whole(*size, h), -(h as i32)) / size - 1.0).abs();
            shrinking.sizes.iter().map(off).fold(0.0, f64::max)
        };
        let exact = |bits: i32| libm::ldexp(1.0, -bits - 1);
        let mut h = (0..most).find(|&h| error(h) <= exact(LEAST_BITS)).unwrap_or(most);
        fits(h, smallest)?;
        let bytes = |h| element_bytes(ring(h));
        while error(h) > exact(MOST_BITS) && bytes(h + 1) == bytes(h) {
            h += 1;
        }
        Ok(Self::at(settings, batches, h))
    }

    fn at(settings: &SgdSettings, batches: u64, h: u32) -> Self {
        let scale = libm::ldexp(1.0, weight_shift(h) as i32);
        let shrinking = Shrinking::new(settings, batches);
        let multipliers = shrinking.sizes.iter().map(|&size| whole(size, h) as i64).collect();
        let decays = shrinking.keeps.iter().map(|keep| libm::rint(keep * scale) as i64).collect();
        let momentum = libm::rint(settings.momentum * scale) as i64;
        Self { h, multipliers, decays, momentum, shrinking }
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

    /// m_t over what the penalty makes of a weight after this step: for weights that are kept as the
    /// end will see them.
    #[must_use]
    pub fn shrunk_multiplier(&self, epoch: u64, step: u64) -> i64 {
        whole(self.shrinking.size(epoch, step), self.h) as i64
    }

    /// How much larger a weight is before a step than the penalty will leave it, at scale 2^`fraction`.
    #[must_use]
    pub fn growth(&self, epoch: u64, step: u64, fraction: u32) -> i64 {
        whole(1.0 / self.shrinking.left(epoch, step), fraction) as i64
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

/// `value` 2^`h`, rounded.
fn whole(value: f64, h: u32) -> f64 {
    libm::rint(libm::ldexp(value, h as i32))
}

/// The smallest h that gives the smallest step its bits.
fn least_exponent(smallest: f64) -> u32 {
    libm::ceil(f64::from(LEAST_BITS) - libm::log2(smallest)).max(0.0) as u32
}

fn fits(h: u32, smallest: f64) -> Result<(), Error> {
    if weight_shift(h) <= MOST_SHIFT {
        return Ok(());
    }
    Err(Error::Settings(format!(
        "the smallest step, {smallest:.3e} a row, is too small for the fixed point: use a larger \
         learning rate or penalty, less decay, or a smaller batch"
    )))
}

/// A bound on every weight at every time, from public bounds alone. Where weights are lifted it is a
/// condition of privacy; otherwise it says which ring holds the model.
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
