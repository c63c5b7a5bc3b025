//! The functions of the score that a fit needs, as series on the same phasors
//! (docs/protocols.md 8).

use mpc_core::correlations::pairwise::PhasorPlan;
use mpc_core::correlations::{PhasorMethod, PhasorRequest};
use mpc_core::protocols::fit::{Symmetry, Weighting, fit};
use mpc_core::protocols::periodic::PeriodicFit;
use mpc_core::protocols::series::{Series, Term};

use super::{Family, PhasorOrigin};
use crate::error::Error;
use crate::plan::{E_FRACTION, centred_sigmoid, refuse};

/// A constant and a series, with bounds that hold for every score, phasor noise and rounding to
/// the scale of the residuals included.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The terms.
    pub series: Series,
    /// The constant, at the scale of the coefficients.
    pub constant: i64,
    /// No value is smaller.
    pub least: f64,
    /// No value is larger.
    pub largest: f64,
    /// The largest error of the fit on the window.
    pub error: f64,
    /// The standard deviation of the noise of the phasors in a value.
    pub noise: f64,
}

impl Curve {
    /// The curve on the phasors of these multiples.
    pub(crate) fn over(&self, harmonics: &[u32]) -> Result<Self, Error> {
        let Some(series) = self.series.over(harmonics) else {
            return refuse("a series lacks the phasors of a multiple".to_owned());
        };
        Ok(Self { series, ..self.clone() })
    }
}

/// The functions of one family.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The mean of the target.
    pub mean: Curve,
    /// The weight of a row in the Hessian, lifted so that it is never negative.
    pub weight: Curve,
    /// What the deviance sums over the rows: log(2 cosh(z/2)), or the mean.
    pub loss: Curve,
    /// The score itself, as far as a penalised coefficient may reach.
    pub penalty: Curve,
    /// The error of the mean that does not cancel between rows.
    pub bias: f64,
    /// What was added to the weight so that it is never negative.
    pub lift: f64,
    /// The middle of the window.
    pub centre: f64,
    /// The window's half width: beyond it the functions are something else.
    pub halfwidth: f64,
    /// Fractional bits of the coefficients.
    pub coefficient_fraction: u32,
    /// Bits of phasors made by the parties, their method and their resolution; none from a dealer.
    pairwise: Option<(u32, PhasorMethod, u32)>,
    parties: usize,
}

/// Fractional bits of a dealer's phasors.
const DEALER_FRACTION: u32 = 22;
/// How much more the noise of the weight of the Hessian matters than that of the mean.
const WEIGHT_CARE: i64 = 64;
/// The fewest bits that phasors of the parties may have.
pub(super) const LEAST_PAIRWISE_BITS: u32 = 6;
/// The most bits that phasors of the parties can have.
pub(super) const MOST_PAIRWISE_BITS: u32 = 15;
/// The resolution of angles that the parties make themselves.
const PAIRWISE_ANGLE: u32 = 12;

impl Link {
    /// Fits the functions. `top` is how many bits phasors have that the parties make.
    pub(super) fn new(
        family: &Family,
        origin: PhasorOrigin,
        parties: usize,
        top: u32,
    ) -> Result<Self, Error> {
        let fraction = match origin {
            PhasorOrigin::Dealer => 20,
            PhasorOrigin::Pairwise => 18,
        };
        let method = if parties <= 3 { PhasorMethod::OneHot } else { PhasorMethod::Bits };
        let pairwise = (origin == PhasorOrigin::Pairwise).then_some((top, method, PAIRWISE_ANGLE));
        let (mean, weight, loss, centre, halfwidth) = match *family {
            Family::Logistic { window, terms, .. } => logistic(window, terms, fraction)?,
            Family::Poisson { centre, halfwidth, terms, .. } => {
                let rate = PeriodicFit::exponential(centre, halfwidth, terms, fraction);
                let rate = curve(rate);
                (rate.clone(), rate.clone(), rate, centre, halfwidth)
            }
        };
        let penalty = identity(fraction);
        let mut link = Self {
            mean,
            weight,
            loss,
            penalty,
            bias: 0.0,
            lift: 0.0,
            centre,
            halfwidth,
            coefficient_fraction: fraction,
            pairwise,
            parties,
        };
        link.bias = match *family {
            Family::Logistic { .. } => link.bias_of(|z| 0.5 + centred_sigmoid(z)),
            Family::Poisson { .. } => link.bias_of(|z| libm::exp(link.centre + z)),
        };
        link.settle();
        Ok(link)
    }

    /// Adds phasor noise and rounding to the bounds, and lifts the weight above zero.
    fn settle(&mut self) {
        let unit = libm::ldexp(1.0, -(self.coefficient_fraction as i32));
        let noises: Vec<Noise> = [false, true]
            .map(|weight| self.multiples(weight))
            .into_iter()
            .map(|harmonics| (harmonics.clone(), self.noise(&harmonics)))
            .collect();
        let largest = |noises: &[Noise], k: u32| {
            let of = |(harmonics, noise): &Noise| {
                harmonics.iter().position(|&other| other == k).map_or((0.0, 0.0), |at| noise[at])
            };
            let larger = |a: (f64, f64), b: (f64, f64)| (a.0.max(b.0), a.1.max(b.1));
            noises.iter().map(of).fold((0.0, 0.0), larger)
        };
        let parties = self.parties as f64;
        // Phasors of penalised coefficients have at least the fewest bits.
        let least = self.pairwise.map(|_| {
            let (bits, method) = ((LEAST_PAIRWISE_BITS, 1), (PhasorMethod::Bits, PAIRWISE_ANGLE));
            PhasorPlan::request(&self.penalty.series, self.parties, 1, bits, method).rounding
        });
        let least = least.flatten().map(|rounding| rounding.bits);
        let bits = |i: usize| least.as_ref().map_or(DEALER_FRACTION, |bits| bits[i]);
        let terms = self.penalty.series.terms.iter().enumerate();
        let rounding = terms
            .map(|(i, term)| {
                let one = 1.0 + 1.5 * libm::ldexp(1.0, -(bits(i) as i32));
                let noise = libm::pow(one, parties) - 1.0 + libm::ldexp(1.0, -22);
                term.sine.abs() as f64 * unit * noise + 2.0 * unit
            })
            .sum::<f64>()
            + parties * libm::ldexp(1.0, -(E_FRACTION as i32));
        self.penalty.least -= rounding;
        self.penalty.largest += rounding;
        // The weight is evaluated in passes with a Hessian only, and so is the loss.
        let both = [(&mut self.mean, 0), (&mut self.weight, 1), (&mut self.loss, 1)];
        for (curve, from) in both {
            let noise = |k: u32| largest(&noises[from..], k);
            // Phasors; public factors, by half a unit each; trigonometry; 3a.
            let term = |term: &Term| {
                let size = (term.sine.abs() + term.cosine.abs()) as f64 * unit;
                size * (noise(term.k).0 + libm::ldexp(1.0, -22)) + 2.0 * unit
            };
            let rounding = curve.series.terms.iter().map(term).sum::<f64>()
                + parties * libm::ldexp(1.0, -(E_FRACTION as i32));
            let square = |term: &Term| {
                let size = (term.sine.abs() + term.cosine.abs()) as f64 * unit;
                let deviation = size * noise(term.k).1;
                deviation * deviation
            };
            curve.noise = curve.series.terms.iter().map(square).sum::<f64>().sqrt();
            curve.least -= rounding;
            curve.largest += rounding;
        }
        let lift = libm::ceil(-self.weight.least / unit).max(0.0);
        self.lift = lift * unit;
        self.weight.constant += lift as i64;
        self.weight.least += lift * unit;
        self.weight.largest += lift * unit;
    }

    /// The multiples of a pass: those of the mean, and with a `weight` those of all functions.
    #[must_use]
    pub fn multiples(&self, weight: bool) -> Vec<u32> {
        let mut all = self.mean.series.harmonics();
        if weight {
            all.extend(self.weight.series.harmonics());
            all.sort_unstable();
            all.dedup();
        }
        all
    }

    /// How many bits the phasors of each multiple deserve: the largest coefficient in any function
    /// of a pass. Those of the weight count [`WEIGHT_CARE`] times, since noise lifts the weight.
    fn envelope(&self, harmonics: &[u32]) -> Series {
        // Losses are summed over all rows; they take the bits that are there.
        let mut curves = vec![(&self.mean, 1)];
        if harmonics.len() > self.mean.series.terms.len() {
            curves.push((&self.weight, WEIGHT_CARE));
        }
        let largest = |k: u32| {
            let size = |&(curve, care): &(&Curve, i64)| {
                let term = curve.series.terms.iter().find(|term| term.k == k);
                term.map_or(0, |term| care * term.sine.abs().max(term.cosine.abs()))
            };
            curves.iter().map(size).max().unwrap_or(0)
        };
        let term = |&k: &u32| Term { k, sine: largest(k).max(1), cosine: 0 };
        Series { terms: harmonics.iter().map(term).collect(), ..self.mean.series.clone() }
    }

    /// The phasors of `count` scores, where a result has `headroom` bits above the phasors' scale:
    /// the one place that knows where they come from.
    #[must_use]
    pub fn phasors(&self, harmonics: &[u32], count: u32, headroom: u32) -> PhasorRequest {
        let series = self.envelope(harmonics);
        match self.pairwise {
            None => series.demand(count, DEALER_FRACTION, headroom + DEALER_FRACTION),
            Some((top, method, angle)) => {
                PhasorPlan::request(&series, self.parties, count, (top, headroom), (method, angle))
            }
        }
    }

    /// The error of the mean as it does not cancel between rows: averaged over scores that are
    /// spread by 1/2 (standard deviation) about the worst point of the inner half of the window.
    fn bias_of(&self, exact: impl Fn(f64) -> f64) -> f64 {
        let unit = libm::ldexp(1.0, -(self.coefficient_fraction as i32));
        let error =
            |z: f64| self.mean.series.value(z) + self.mean.constant as f64 * unit - exact(z);
        let step = self.halfwidth / 2.0 / 200.0;
        let reach = (1.5 / step) as i32;
        let errors: Vec<f64> =
            (-200 - reach..=200 + reach).map(|i| error(f64::from(i) * step)).collect();
        let weight = |i: usize| {
            let z = (i as f64 - f64::from(reach)) * step;
            libm::exp(-2.0 * z * z)
        };
        let weights: Vec<f64> = (0..=2 * reach as usize).map(weight).collect();
        let total: f64 = weights.iter().sum();
        errors
            .windows(weights.len())
            .map(|part| part.iter().zip(&weights).map(|(e, w)| e * w).sum::<f64>().abs() / total)
            .fold(0.0, f64::max)
    }

    /// The phasors of `count` penalised coefficients. They are few, and their coefficients large:
    /// as many bits as the ring has room for.
    pub(super) fn penalty_phasors(&self, count: u32, headroom: u32) -> PhasorRequest {
        let series = &self.penalty.series;
        if self.pairwise.is_none() {
            return series.demand(count, DEALER_FRACTION, headroom + DEALER_FRACTION);
        }
        let top = (128u32.saturating_sub(headroom) / self.parties as u32).min(MOST_PAIRWISE_BITS);
        let (bits, method) = ((top, headroom), (PhasorMethod::Bits, PAIRWISE_ANGLE));
        PhasorPlan::request(series, self.parties, count, bits, method)
    }

    /// Whether a source can make these phasors.
    pub(super) fn possible(&self, request: &PhasorRequest) -> Result<(), Error> {
        if self.pairwise.is_some() {
            PhasorPlan::new(self.parties, request)?;
            let bits = request.rounding.as_ref().and_then(|it| it.bits.iter().copied().max());
            if bits.is_none_or(|bits| bits < LEAST_PAIRWISE_BITS) {
                return refuse(format!(
                    "phasors would have {bits:?} bits; at least {LEAST_PAIRWISE_BITS} are needed: \
                     reduce the rows or columns, or use a dealer"
                ));
            }
        }
        Ok(())
    }

    /// For each multiple a bound on the error of cosine and sine, and its standard deviation.
    fn noise(&self, harmonics: &[u32]) -> Vec<(f64, f64)> {
        let request = self.phasors(harmonics, 1, 1);
        match (&request.rounding, self.pairwise) {
            (Some(rounding), Some((_, method, _))) => {
                // Every factor is rounded: to the nearest, or stochastically; the mean factor is
                // put right by the gains.
                let (factors, largest, deviation) = match method {
                    PhasorMethod::OneHot => (2 * self.parties - 1, 0.75, 0.29),
                    PhasorMethod::Bits => (self.parties, 1.5, 0.5),
                };
                let factors = factors as f64;
                let of = |&ft: &u32| {
                    let unit = libm::ldexp(1.0, -(ft as i32));
                    // Of a cosine and a sine that are both off, as the length of a vector.
                    let bound = libm::pow(1.0 + largest * unit, factors) - 1.0;
                    (bound, deviation * unit * factors.sqrt())
                };
                rounding.bits.iter().map(of).collect()
            }
            _ => {
                let unit = libm::ldexp(1.0, -(DEALER_FRACTION as i32));
                vec![(unit, 0.29 * unit); harmonics.len()]
            }
        }
    }
}

fn curve(fit: PeriodicFit) -> Curve {
    let PeriodicFit { series, constant, error, least, largest, .. } = fit;
    Curve { series, constant, least, largest, error, noise: 0.0 }
}

/// Multiples, and for each a bound on the error of its phasors and the standard deviation.
type Noise = (Vec<u32>, Vec<(f64, f64)>);

type Functions = (Curve, Curve, Curve, f64, f64);

fn logistic(window: u32, terms: u32, fraction: u32) -> Result<Functions, Error> {
    let half = 1i64 << (fraction - 1);
    let terms = terms as usize;
    let sigmoid = fit(centred_sigmoid, Symmetry::Odd, window, terms, Weighting::Plain, fraction);
    let mean = Curve {
        constant: half,
        least: 0.5 - sigmoid.largest,
        largest: 0.5 + sigmoid.largest,
        error: sigmoid.error_window,
        noise: 0.0,
        series: sigmoid.series,
    };
    if sigmoid.largest > 1.0 {
        return refuse(format!(
            "the fitted sigmoid is off by too much: it reaches {:.2}; use more terms or a smaller \
             window",
            sigmoid.largest + 0.5
        ));
    }
    let variance = |z: f64| {
        let p = centred_sigmoid(z);
        0.25 - p * p
    };
    let weight = curve(PeriodicFit::bell(variance, window, 2 * terms as u32 - 1, fraction));
    // log(2 cosh(z/2)) less its value at the quarter period is zero there, as a half-wave
    // symmetric series must be.
    let log_cosh = |z: f64| z.abs() / 2.0 + libm::log1p(libm::exp(-z.abs()));
    let edge = log_cosh(libm::ldexp(1.0, window as i32 - 2));
    let loss =
        fit(|z| log_cosh(z) - edge, Symmetry::Even, window, terms, Weighting::Plain, fraction);
    let loss = Curve {
        constant: libm::rint(libm::ldexp(edge, fraction as i32)) as i64,
        least: edge - loss.largest,
        largest: edge + loss.largest,
        error: loss.error_window,
        noise: 0.0,
        series: loss.series,
    };
    Ok((mean, weight, loss, 0.0, libm::ldexp(1.0, window as i32 - 2)))
}

/// z for |z| <= 8, bent back beyond it: what a penalty adds to the gradient, bounded by itself.
fn identity(fraction: u32) -> Curve {
    const PERIOD: u32 = 6;
    const TERMS: usize = 16;
    const EDGE: f64 = 8.0;
    // The second derivative is zero at both ends of the bend, so the series converges fast.
    let bent = |z: f64| {
        if z <= EDGE {
            return z;
        }
        let t = (z - EDGE) / EDGE;
        // From slope 1 to slope 0 with no curvature at either end.
        EDGE + EDGE * (t - t * t * t + t * t * t * t / 2.0)
    };
    let fit = fit(bent, Symmetry::Odd, PERIOD, TERMS, Weighting::Plain, fraction);
    let unit = libm::ldexp(1.0, -(fraction as i32));
    let error = (0..=800)
        .map(|i| EDGE * f64::from(i) / 800.0)
        .map(|z| (fit.series.value(z) - z).abs())
        .fold(0.0, f64::max);
    Curve {
        constant: 0,
        least: -fit.largest - unit,
        largest: fit.largest + unit,
        error,
        noise: 0.0,
        series: fit.series,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_as_exact_as_a_fit_needs() {
        for parties in [2, 3, 5] {
            let link = Link::new(&Family::logistic(0.3), PhasorOrigin::Dealer, parties, 0);
            let link = link.expect("fits");
            assert!(link.mean.error < 5e-5, "{}", link.mean.error);
            assert!(link.weight.error < 2e-4, "{}", link.weight.error);
            assert!(link.loss.error < 5e-4, "{}", link.loss.error);
            assert!(link.penalty.error < 1e-3, "{}", link.penalty.error);
            assert!(link.weight.least >= 0.0 && link.weight.largest < 0.252, "{:?}", link.weight);
            assert!(link.penalty.largest < 13.0);
            let rate = Link::new(&Family::poisson(3.0, 100.0), PhasorOrigin::Dealer, parties, 0);
            let rate = rate.expect("fits");
            assert!(rate.weight.least >= 0.0);
            assert!(rate.weight.constant - rate.mean.constant < 1 << 11, "a lift below 2^-9");
        }
    }
}
