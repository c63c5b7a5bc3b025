//! In which rings a training computes, and under which masks it opens what it opens
//! (docs/protocols.md 5, Rings).

use mpc_core::approx::fit::Fit;
use mpc_core::correlations::{Origin, PhasorForm};
use mpc_core::protocols::truncate::BoundedOpening;
use mpc_core::ring::wire::element_bytes;
use serde::Serialize;

use super::SgdSettings;
use super::plan::{COEFFICIENT_FRACTION, E_FRACTION, W_FRACTION, X_FRACTION};
use super::steps::{self, Shrinking, Steps};
use crate::error::Error;

/// Bits of the parties' own phasors at the most, where they make them.
const PHASOR_BITS: u32 = 9;
/// Residuals are below 2^this: more than 1 is needed where many parties' roundings add up.
const MOST_RESIDUAL_BITS: u32 = 3;
/// a: with a penalty the public factors of the weights are exact within 2^-13.
const GROWTH_FRACTION: u32 = 12;
/// A penalty that shrinks a weight by more bits than this is not left to the end.
const MOST_GROWTH: f64 = 32.0;
/// Bits of the largest ring.
const WIDE: u32 = 128;

/// How values are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Under masks that are uniform in a ring of so many bits: whatever the values are, they are
    /// hidden, and nothing has to be bounded.
    Uniform(u32),
    /// Truncated and lifted, under masks longer than the values (docs/protocols.md 3b).
    Bounded(BoundedOpening),
}

impl Opening {
    /// The ring of what is sent.
    #[must_use]
    pub fn ring(&self) -> u32 {
        match self {
            Self::Uniform(bits) => *bits,
            Self::Bounded(spec) => spec.ring,
        }
    }

    /// Payload bytes of one opening of `len` elements to one peer.
    #[must_use]
    pub fn bytes(&self, len: usize) -> u64 {
        (len * element_bytes(self.ring())) as u64
    }

    /// Bits of the masks rho of a forward product, and how many of them its masks mu drop. Where masks
    /// are uniform, mu is uniform mod 2^64.
    pub(super) fn forward_masks(&self) -> (u32, u32) {
        match self {
            Self::Uniform(_) => (WIDE, WIDE - 64),
            Self::Bounded(spec) => (spec.mask_bits(), spec.drop),
        }
    }

    /// The same of a transposed product, which drops none. Where masks are uniform, they are uniform in the
    /// ring and have what is above it in vain: streams of masks have more than 64 bits.
    pub(super) fn transposed_masks(&self) -> u32 {
        match self {
            Self::Uniform(bits) => (*bits).max(65),
            Self::Bounded(spec) => spec.mask_bits(),
        }
    }

    /// For the parties to compare.
    pub(super) fn canonical(&self) -> impl Serialize + use<> {
        match self {
            Self::Uniform(bits) => (*bits, 0, 0),
            Self::Bounded(spec) => (spec.ring, spec.magnitude, spec.drop),
        }
    }
}

/// What follows from public facts for all numbers of a training.
#[derive(Clone, Debug)]
pub(super) struct Arithmetic {
    pub(super) steps: Steps,
    /// How the weights are opened (step 1).
    pub(super) weights: Opening,
    /// How the residuals are opened (step 5).
    pub(super) residuals: Opening,
    /// k: of gradients, and of w~ between iterations.
    pub(super) ring: u32,
    /// a: fractional bits of the public factors of the weights.
    pub(super) growth: u32,
    /// No weight reaches 2^this.
    pub(super) range: u32,
    pub(super) phasors: PhasorForm,
}

/// Public facts that all rings follow from.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) settings: &'a SgdSettings,
    pub(super) origin: Origin,
    pub(super) parties: usize,
    /// Batches of an epoch.
    pub(super) batches: u64,
    pub(super) sigmoid: &'a Fit,
    /// Bits of statistical masking where weights and residuals are lifted.
    pub(super) sigma: u32,
}

impl Arithmetic {
    /// Everything under uniform masks if it can be; otherwise weights and residuals are lifted.
    pub(super) fn new(given: &Given<'_>) -> Result<Self, Error> {
        let settings = given.settings;
        if settings.momentum == 0.0 && settings.l2 == 0.0 {
            return given.in_ring();
        }
        let lifted = given.lifted();
        if settings.momentum > 0.0 || given.shrinks() > MOST_GROWTH {
            return lifted;
        }
        // Phasors must not be coarser than where everything is lifted.
        let coarser = |it: &Self| match &lifted {
            Ok(lifted) => it.phasors.error > lifted.phasors.error * (1.0 + 1e-9),
            Err(_) => false,
        };
        match given.in_ring() {
            Ok(found) if !coarser(&found) => Ok(found),
            _ => lifted,
        }
    }

    /// Fractional bits of w~.
    pub(super) fn wide_fraction(&self) -> u32 {
        W_FRACTION + self.shift()
    }

    /// s': the bits that w~ has below w.
    pub(super) fn shift(&self) -> u32 {
        steps::weight_shift(self.steps.exponent())
    }
}

impl Given<'_> {
    /// By how many bits the penalty shrinks a weight from the first step to the last.
    fn shrinks(&self) -> f64 {
        -libm::log2(Shrinking::new(self.settings, self.batches).left(0, 0))
    }

    /// The bits that hold every weight, if residuals are below `residual`.
    fn range(&self, residual: f64) -> (f64, u32) {
        let bound = steps::weight_bound(self.settings, self.parties, self.batches, residual);
        (bound, libm::ceil(libm::log2(bound.max(1.0))) as u32)
    }

    /// Residuals and weights under masks that are uniform in their rings, and no lift at all.
    fn in_ring(&self) -> Result<Arithmetic, Error> {
        let growth = if self.settings.l2 > 0.0 { GROWTH_FRACTION } else { 0 };
        // Scores repeat after 2^score, at their scale fx + F.
        let score = X_FRACTION + W_FRACTION + self.sigmoid.series.period;
        for bits in 1..=MOST_RESIDUAL_BITS {
            let most = f64::from(1 << bits);
            let (bound, range) = self.range(most);
            // What the next scores need, and what the model does, with its sign.
            let ring = |h| {
                let shift = steps::weight_shift(h);
                (score + shift + growth).max(range + 1 + W_FRACTION + shift)
            };
            let steps = Steps::in_ring(self.settings, self.batches, ring)?;
            let ring = ring(steps.exponent());
            if headroom(ring) > WIDE {
                return Err(Error::Settings(format!(
                    "the weights may reach {bound:.0} in this study, which takes a ring of {ring} \
                     bits; at most {} are possible. Reduce the learning rate, the epochs or the \
                     clip, or set an l2 penalty",
                    WIDE - headroom(0)
                )));
            }
            let phasors = self.phasors(ring)?;
            let residual = self.largest_residual(&phasors);
            if residual < most {
                return Ok(Arithmetic {
                    steps,
                    weights: Opening::Uniform(score),
                    residuals: Opening::Uniform(ring),
                    ring,
                    growth,
                    range: self.range(residual).1,
                    phasors,
                });
            }
        }
        Err(self.coarse())
    }

    /// Residuals and weights lifted: bounds are conditions of privacy.
    fn lifted(&self) -> Result<Arithmetic, Error> {
        let (residual, residuals, phasors) = self.residuals_lifted()?;
        let (bound, range) = self.range(residual);
        let opening = |h| {
            let shift = steps::weight_shift(h);
            let magnitude = W_FRACTION + range + shift;
            BoundedOpening::new(magnitude, self.sigma, shift, self.parties as u32).map_err(|error| {
                Error::Settings(format!(
                    "the weights may reach {bound:.0} in this study, and steps need {shift} bits \
                     below the weights: {error}. Reduce the learning rate, the epochs, the momentum \
                     or the clip, or set an l2 penalty"
                ))
            })
        };
        let ring = |h| opening(h).ok().map(|spec| spec.ring);
        let steps = Steps::lifted(self.settings, self.batches, ring)?;
        let weights = opening(steps.exponent())?;
        Ok(Arithmetic {
            steps,
            weights: Opening::Bounded(weights),
            residuals: Opening::Bounded(residuals),
            ring: weights.ring,
            growth: 0,
            range,
            phasors,
        })
    }

    /// How residuals are lifted, with the largest magnitude that one can have.
    fn residuals_lifted(&self) -> Result<(f64, BoundedOpening, PhasorForm), Error> {
        let maskers = self.parties as u32 - 1;
        for bits in 1..=MOST_RESIDUAL_BITS {
            let opening = BoundedOpening::new(E_FRACTION + bits, self.sigma, 0, maskers)?;
            let phasors = self.phasors(opening.ring)?;
            let residual = self.largest_residual(&phasors);
            if residual < f64::from(1 << bits) {
                return Ok((residual, opening, phasors));
            }
        }
        Err(self.coarse())
    }

    fn phasors(&self, ring: u32) -> Result<PhasorForm, Error> {
        let (series, headroom) = (&self.sigmoid.series, headroom(ring));
        Ok(PhasorForm::new(self.origin, series, self.parties, headroom, PHASOR_BITS)?)
    }

    /// The label's distance from 1/2, the series, and the worst rounding on the way.
    fn largest_residual(&self, phasors: &PhasorForm) -> f64 {
        let unit = |bits: u32| libm::ldexp(1.0, -(bits as i32));
        let terms = self.sigmoid.series.terms.len() as f64;
        0.5 + self.sigmoid.largest
            + 2.0 * terms * unit(COEFFICIENT_FRACTION)
            + self.parties as f64 * unit(E_FRACTION)
            + phasors.error
    }

    fn coarse(&self) -> Error {
        Error::Settings(format!(
            "with {} parties the roundings of the sigmoid may add up to more than {}: use fewer \
             terms or a smaller window",
            self.parties,
            1 << MOST_RESIDUAL_BITS
        ))
    }
}

/// Bits of the ring of the series beside the fraction of the phasors, for residuals mod 2^ring.
pub(super) fn headroom(ring: u32) -> u32 {
    ring + COEFFICIENT_FRACTION - E_FRACTION
}
