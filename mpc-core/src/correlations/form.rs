//! Who makes correlated randomness, and in which form phasors come from there. A model's plan
//! must know: widths of rings follow from it, and bounds.

use serde::{Deserialize, Serialize};

use super::pairwise::PhasorPlan;
use super::{PhasorMethod, PhasorRequest, PhasorRounding};
use crate::approx::Series;
use crate::error::Error;
use crate::trig;

/// Where correlated randomness comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The parties make it themselves, pair by pair (docs/protocols.md 6).
    Pairwise,
    /// A dealer, who must not collude with any party.
    Dealer,
}

/// Fractional bits of a dealer's phasors.
const DEALER_FRACTION: u32 = 18;
/// The parties' own phasors are not rounded to fewer bits than this, or the noise would drown the
/// coefficients.
const LEAST_BITS: u32 = 4;
/// With this many bits or more, trees are preferred to products bit by bit.
const ENOUGH_BITS: u32 = 8;
/// Bits of an angle beyond those of the period: the argument is opened to 2^-5.
const ANGLE_EXTRA: u32 = 5;

/// In which form the phasors of one series come.
#[derive(Clone, Debug, PartialEq)]
pub struct PhasorForm {
    /// Fractional bits.
    pub fraction: u32,
    /// The resolution of the angles, in bits of a turn.
    pub angle_bits: u32,
    /// How the parties round their own; none from a dealer.
    pub rounding: Option<PhasorRounding>,
    /// A bound on what the rounding of the phasors moves the series by, at any argument.
    pub error: f64,
}

impl PhasorForm {
    /// The form for `series` where shares need `headroom` bits of ring beside the fraction. Made
    /// by the parties, the largest coefficient gets `most` bits, or as many as the ring holds.
    ///
    /// # Errors
    /// [`Error::Range`] with the numbers when the ring does not hold enough of them.
    pub fn new(
        origin: Origin,
        series: &Series,
        parties: usize,
        headroom: u32,
        most: u32,
    ) -> Result<Self, Error> {
        match origin {
            Origin::Dealer => Self::of_dealer(series, headroom),
            Origin::Pairwise => Self::of_parties(series, parties, headroom, most),
        }
    }

    fn of_dealer(series: &Series, headroom: u32) -> Result<Self, Error> {
        if headroom + DEALER_FRACTION > 128 {
            return Err(too_wide(headroom + DEALER_FRACTION));
        }
        let unit = libm::ldexp(1.0, -(DEALER_FRACTION as i32));
        Ok(Self {
            fraction: DEALER_FRACTION,
            angle_bits: trig::ANGLE_BITS,
            rounding: None,
            // Cosine and sine are each off by less than a unit.
            error: sizes(series).map(|size| 2.0 * size * unit).sum(),
        })
    }

    fn of_parties(
        series: &Series,
        parties: usize,
        headroom: u32,
        most: u32,
    ) -> Result<Self, Error> {
        let angle_bits = (series.period + ANGLE_EXTRA).max(8);
        let room = 128u32.saturating_sub(headroom);
        let bits = |method: PhasorMethod| {
            let tables =
                if method == PhasorMethod::OneHot { 16 - angle_bits.div_ceil(2) } else { 15 };
            most.min(room / method.factors(parties)).min(tables)
        };
        let (trees, by_bits) = (bits(PhasorMethod::OneHot), bits(PhasorMethod::Bits));
        let (method, top) = if trees >= ENOUGH_BITS.min(most) || trees >= by_bits {
            (PhasorMethod::OneHot, trees)
        } else {
            (PhasorMethod::Bits, by_bits)
        };
        if top < LEAST_BITS {
            return Err(too_wide(headroom + method.factors(parties) * LEAST_BITS));
        }
        let parts = (top, headroom);
        let request = PhasorPlan::request(series, parties, 1, parts, (method, angle_bits));
        let plan = PhasorPlan::new(parties, &request)?;
        let error = sizes(series).enumerate().map(|(k, size)| size * plan.error(k)).sum();
        let PhasorRequest { fraction, rounding, .. } = request;
        Ok(Self { fraction, angle_bits, rounding, error })
    }

    /// The request for `count` evaluations of `series`.
    #[must_use]
    pub fn request(&self, series: &Series, count: u32, headroom: u32) -> PhasorRequest {
        PhasorRequest {
            count,
            harmonics: series.harmonics(),
            fraction: self.fraction,
            ring: headroom + self.fraction,
            angle_bits: self.angle_bits,
            rounding: self.rounding.clone(),
        }
    }
}

/// The amplitude of each term, as a real number.
fn sizes(series: &Series) -> impl Iterator<Item = f64> + '_ {
    let unit = libm::ldexp(1.0, -(series.fraction as i32));
    series.terms.iter().map(move |t| libm::hypot(t.sine as f64, t.cosine as f64) * unit)
}

fn too_wide(ring: u32) -> Error {
    Error::Range(format!(
        "a series needs a ring of {ring} bits with these masks; at most 128 are possible"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approx::fit::{Symmetry, Weighting, fit};

    fn form(parties: usize, headroom: u32, period: u32) -> Result<PhasorForm, Error> {
        let sigmoid = |z: f64| 1.0 / (1.0 + libm::exp(-z)) - 0.5;
        let series = fit(sigmoid, Symmetry::Odd, period, 12, Weighting::Weighted, 18).series;
        PhasorForm::new(Origin::Pairwise, &series, parties, headroom, 9)
    }

    #[test]
    fn trees_where_they_fit_and_bits_elsewhere() {
        let method = |form: &PhasorForm| form.rounding.as_ref().map(|r| (r.method, r.bits[0]));
        for (parties, due) in [
            (2, (PhasorMethod::OneHot, 9)),
            (3, (PhasorMethod::OneHot, 9)),
            (4, (PhasorMethod::Bits, 9)),
            (5, (PhasorMethod::Bits, 9)),
            (7, (PhasorMethod::Bits, 6)),
        ] {
            let form = form(parties, 83, 7).expect("fits");
            assert_eq!(method(&form), Some(due), "{parties} parties");
            assert_eq!(form.angle_bits, 12);
            assert!(form.error < 1.0, "{}", form.error);
        }
        assert!(form(3, 83, 6).expect("fits").error < 0.2);
        assert!(matches!(form(20, 83, 7), Err(Error::Range(_))));
        assert!(matches!(form(3, 120, 7), Err(Error::Range(_))));
    }
}
