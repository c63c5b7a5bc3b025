//! How long the masks of a fit are: the union over everything that is hidden statistically
//! (docs/protocols.md 0 and 8).

use mpc_core::correlations::Origin;
use mpc_core::protocols::solve::InversePlan;

use super::hessian::MARGINS;
use super::{GlmSettings, Hessian, Information, Method};
use crate::error::Error;
use crate::plan::LEAST_SIGMA;

/// D = X - A has at most so many bits, and two more.
const MASKED_BITS: u32 = 94;
/// Entries of an owned matrix have at most so many bits.
const ENTRY_BITS: u32 = 30;

/// Bits of statistical masking. What is opened under bounded masks and what is dealt as D = X - A
/// are counted apart: matrices have many more entries, and openings need the room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Masking {
    /// Of what is opened: 2^(1 - sigma) an element.
    pub(crate) opened: u32,
    /// Of the masked matrices of a dealer: 2^-sigma an entry.
    pub(crate) matrices: u32,
    origin: Origin,
}

impl Masking {
    /// All that is hidden in one fit together costs 2^-40 at most.
    pub(super) fn new(
        settings: &GlmSettings,
        largest_weight: f64,
        method: &Method,
        passes: usize,
        origin: Origin,
    ) -> Result<Self, Error> {
        let rows = settings.total_rows() as f64;
        let (order, columns) = (settings.weights(), f64::from(settings.columns));
        let triangle = (order * (order + 1) / 2) as f64;
        let passes = passes as f64;
        let mut opened = passes * rows;
        let mut entries = rows * columns;
        if settings.l2 > 0.0 {
            opened += passes * columns;
        }
        if !matches!(method, Method::Gradient { .. }) {
            // Only the steps are counted here, and they do not depend on sigma.
            let least = Self { opened: LEAST_SIGMA, matrices: LEAST_SIGMA, origin };
            let plan = Hessian::new(settings, largest_weight, method, &least, MARGINS[0])?;
            opened += InversePlan::masked_elements(plan.bound.settings()) as f64;
            if let Some(refresh) = &plan.refresh {
                let refresh = InversePlan::masked_elements(refresh.inverse.settings()) as f64;
                opened += passes * (rows + triangle + refresh);
                entries += rows * triangle;
                opened += Information::masked_elements(order) as f64;
            }
        }
        // 2^(1 - sigma) an element, and half of 2^-40 for all of them where the other half is for
        // the matrices.
        let share = match origin {
            Origin::Dealer => 42,
            Origin::Pairwise => 41,
        };
        let bits = |least: u32, count: f64| {
            (least + libm::ceil(libm::log2(count)) as u32).max(LEAST_SIGMA)
        };
        Ok(Self { opened: bits(share, opened), matrices: bits(41, entries), origin })
    }

    /// The most bits that an entry of an owned matrix may have.
    pub(super) fn entry_bits(&self) -> u32 {
        match self.origin {
            Origin::Dealer => MASKED_BITS.saturating_sub(self.matrices).min(ENTRY_BITS),
            // Nothing is masked.
            Origin::Pairwise => ENTRY_BITS,
        }
    }
}
