//! In which form the parties make the phasors of a fit themselves (docs/protocols.md 6.3 and 8).

use mpc_core::correlations::pairwise::PhasorPlan;
use mpc_core::correlations::{PhasorMethod, PhasorRequest};
use mpc_core::protocols::series::{Series, Term};

/// How phasors are multiplied, and how exact they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct OwnPhasors {
    pub(super) method: PhasorMethod,
    /// Bits of the phasors of the largest coefficient.
    pub(super) bits: u32,
    pub(super) grading: Grading,
}

/// Whether phasors of smaller coefficients have fewer bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grading {
    /// As many fewer as the coefficient is smaller: every term adds as much noise.
    Graded,
    /// All have the same. The noise is that of the largest few then, which matters where a bound
    /// of all terms together is needed.
    Even,
}

/// The fewest bits that phasors of a fit may have.
pub(super) const LEAST_BITS: OwnPhasors =
    OwnPhasors { method: PhasorMethod::Bits, bits: 6, grading: Grading::Graded };
/// The most bits that phasors can have.
const MOST_BITS: u32 = 15;
/// The resolution of angles: what the digits of one-hot products allow with up to 10 bits, and the
/// finest where it costs nothing.
const fn angle_bits(method: PhasorMethod) -> u32 {
    match method {
        PhasorMethod::OneHot => 12,
        PhasorMethod::Bits => 16,
    }
}
/// The resolution of the angles of penalised coefficients.
const FINEST_ANGLE_BITS: u32 = 20;
/// The most bits that one-hot products can have with that.
const MOST_ONE_HOT_BITS: u32 = 10;

impl OwnPhasors {
    /// The ways to make phasors, each with its forms from the coarsest and cheapest to the finest.
    pub(super) fn ways() -> impl Iterator<Item = impl Iterator<Item = Self>> {
        let ways = [
            (PhasorMethod::OneHot, Grading::Graded),
            (PhasorMethod::OneHot, Grading::Even),
            (PhasorMethod::Bits, Grading::Graded),
            (PhasorMethod::Bits, Grading::Even),
        ];
        ways.into_iter().map(|(method, grading)| {
            let most = if method == PhasorMethod::Bits { MOST_BITS } else { MOST_ONE_HOT_BITS };
            (LEAST_BITS.bits..=most).map(move |bits| Self { method, bits, grading })
        })
    }

    /// The request for the phasors of `count` penalised coefficients, which are few: as exact as the
    /// ring allows.
    pub(super) fn finest(
        series: &Series,
        parties: usize,
        count: u32,
        headroom: u32,
    ) -> PhasorRequest {
        let bits = (128u32.saturating_sub(headroom) / parties as u32).min(MOST_BITS);
        let method = (LEAST_BITS.method, FINEST_ANGLE_BITS);
        let even = Series {
            terms: series.terms.iter().map(|term| Term { k: term.k, sine: 1, cosine: 0 }).collect(),
            ..series.clone()
        };
        PhasorPlan::request(&even, parties, count, (bits, headroom), method)
    }

    /// The request for the phasors of `series` at `count` arguments.
    pub(super) fn request(
        self,
        series: &Series,
        parties: usize,
        count: u32,
        headroom: u32,
    ) -> PhasorRequest {
        let method = (self.method, angle_bits(self.method));
        PhasorPlan::request(series, parties, count, (self.bits, headroom), method)
    }
}

/// The standard deviation of a coordinate, in units of the rounding: factors are rounded one by one,
/// at random or to the nearest.
pub(super) fn deviation(method: PhasorMethod, parties: usize) -> f64 {
    let one = match method {
        PhasorMethod::Bits => 0.41,
        PhasorMethod::OneHot => 0.29,
    };
    one * libm::sqrt(f64::from(method.factors(parties)))
}
