//! The functions of the score that a fit needs, as series on the same phasors
//! (docs/protocols.md 8).

use mpc_core::correlations::pairwise::PhasorPlan;
use mpc_core::correlations::{Origin, PhasorRequest};
use mpc_core::protocols::fit::{Symmetry, Weighting, fit};
use mpc_core::protocols::periodic::PeriodicFit;
use mpc_core::protocols::series::{Series, Term};

use super::Family;
use super::phasors::{self, Grading, OwnPhasors};
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
    /// The same of the loss.
    pub loss_bias: f64,
    /// What was added to the weight so that it is never negative.
    pub lift: f64,
    /// The middle of the window.
    pub centre: f64,
    /// The window's half width: beyond it the functions are something else.
    pub halfwidth: f64,
    /// Fractional bits of the coefficients.
    pub coefficient_fraction: u32,
    /// The form of phasors made by the parties; none from a dealer.
    own: Option<OwnPhasors>,
    parties: usize,
}

/// Fractional bits of a dealer's phasors.
const DEALER_FRACTION: u32 = 22;
/// The weight is lifted so far above zero, in relation to what it may be below.
const FLOOR: f64 = 1.0 / 8.0;
/// How much more the noise of the weight of the Hessian matters than that of the mean.
const WEIGHT_CARE: i64 = 64;

impl Link {
    /// Fits the functions, as they are with exact phasors: [`Link::on`] says with which.
    pub(super) fn new(family: &Family, origin: Origin, parties: usize) -> Result<Self, Error> {
        let fraction = match (origin, family) {
            (Origin::Dealer, _) => 20,
            (Origin::Pairwise, Family::Logistic { .. }) => 18,
            // Rates are large, and so is the noise of the phasors on them: the bits are better
            // spent there.
            (Origin::Pairwise, Family::Poisson { .. }) => 16,
        };
        let (mean, weight, loss, centre, halfwidth) = match *family {
            Family::Logistic { window, terms, .. } => logistic(window, terms, fraction)?,
            Family::Poisson { centre, halfwidth, terms, .. } => {
                let rate = PeriodicFit::exponential(centre, halfwidth, terms, fraction);
                let rate = curve(rate);
                (rate.clone(), rate.clone(), rate, centre, halfwidth)
            }
        };
        let penalty = match origin {
            Origin::Dealer => identity(6, fraction),
            // The noise is in relation to the window.
            Origin::Pairwise => identity(5, fraction),
        };
        let mut link = Self {
            mean,
            weight,
            loss,
            penalty,
            bias: 0.0,
            loss_bias: 0.0,
            lift: 0.0,
            centre,
            halfwidth,
            coefficient_fraction: fraction,
            own: None,
            parties,
        };
        (link.bias, link.loss_bias) = match *family {
            Family::Logistic { .. } => (
                link.bias_of(&link.mean, |z| 0.5 + centred_sigmoid(z)),
                link.bias_of(&link.loss, log_cosh),
            ),
            Family::Poisson { .. } => {
                let bias = link.bias_of(&link.mean, |z| libm::exp(link.centre + z));
                (bias, bias)
            }
        };
        Ok(link)
    }

    /// The functions on phasors that the parties make in this form, or on a dealer's: adds their
    /// noise and rounding to the bounds, and lifts the weight above a floor that is positive.
    pub(super) fn on(mut self, own: Option<OwnPhasors>) -> Result<Self, Error> {
        self.own = own;
        let unit = libm::ldexp(1.0, -(self.coefficient_fraction as i32));
        let mut noises = Vec::new();
        for weight in [false, true] {
            let harmonics = self.multiples(weight);
            let noise = self.noise(&self.phasors(&harmonics, 1, 1))?;
            noises.push((harmonics, noise));
        }
        let largest = |noises: &[Noise], k: u32| {
            let of = |(harmonics, noise): &Noise| {
                harmonics.iter().position(|&other| other == k).map_or((0.0, 0.0), |at| noise[at])
            };
            let larger = |a: (f64, f64), b: (f64, f64)| (a.0.max(b.0), a.1.max(b.1));
            noises.iter().map(of).fold((0.0, 0.0), larger)
        };
        // Phasors; public factors, by half a unit each; trigonometry.
        let off = |term: &Term, (bound, _): (f64, f64)| {
            size(term) * unit * (bound + libm::ldexp(1.0, -22)) + 2.0 * unit
        };
        // 3a.
        let truncation = self.parties as f64 * libm::ldexp(1.0, -(E_FRACTION as i32));
        // Phasors of penalised coefficients have at least the fewest bits.
        let least = match self.own {
            Some(_) => phasors::LEAST_BITS.request(&self.penalty.series, self.parties, 1, 1),
            None => self.penalty_phasors(1, 1),
        };
        let noise = self.noise(&least)?;
        let terms = self.penalty.series.terms.iter().zip(noise);
        let rounding = terms.map(|(term, noise)| off(term, noise)).sum::<f64>() + truncation;
        self.penalty.least -= rounding;
        self.penalty.largest += rounding;
        // The weight is evaluated in passes with a Hessian only, and so is the loss.
        let both = [(&mut self.mean, 0), (&mut self.weight, 1), (&mut self.loss, 1)];
        for (curve, from) in both {
            let noise = |term: &Term| largest(&noises[from..], term.k);
            let terms = &curve.series.terms;
            let rounding =
                terms.iter().map(|term| off(term, noise(term))).sum::<f64>() + truncation;
            let square = |term: &Term| {
                let deviation = size(term) * unit * noise(term).1;
                deviation * deviation
            };
            curve.noise = terms.iter().map(square).sum::<f64>().sqrt();
            curve.least -= rounding;
            curve.largest += rounding;
        }
        let lift = libm::ceil(-self.weight.least / unit * (1.0 + FLOOR)).max(0.0);
        self.lift = lift * unit;
        self.weight.constant += lift as i64;
        self.weight.least += lift * unit;
        self.weight.largest += lift * unit;
        Ok(self)
    }

    /// Where the phasors come from.
    pub(super) fn origin(&self) -> Origin {
        if self.own.is_some() { Origin::Pairwise } else { Origin::Dealer }
    }

    /// The standard deviation of a score's rounding to the angles of the phasors.
    #[must_use]
    pub fn angle_noise(&self) -> f64 {
        let bits = self.phasors(&[1], 1, 1).angle_bits as i32;
        let unit = libm::ldexp(1.0, self.mean.series.period as i32 - bits);
        // Every party's share is rounded on its own.
        unit * libm::sqrt(self.parties as f64 / 12.0)
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
        let even = self.own.is_some_and(|own| own.grading == Grading::Even);
        let all = harmonics.iter().map(|&k| largest(k)).max().unwrap_or(1);
        let size = |k: u32| if even { all } else { largest(k) };
        let term = |&k: &u32| Term { k, sine: size(k).max(1), cosine: 0 };
        Series { terms: harmonics.iter().map(term).collect(), ..self.mean.series.clone() }
    }

    /// The phasors of `count` scores, where a result has `headroom` bits above the phasors' scale:
    /// the one place that knows where they come from.
    #[must_use]
    pub fn phasors(&self, harmonics: &[u32], count: u32, headroom: u32) -> PhasorRequest {
        let series = self.envelope(harmonics);
        match self.own {
            None => series.demand(count, DEALER_FRACTION, headroom + DEALER_FRACTION),
            Some(form) => form.request(&series, self.parties, count, headroom),
        }
    }

    /// The error of a curve as it does not cancel between rows: averaged over scores that are
    /// spread by 1/2 (standard deviation) about the worst point of the inner half of the window.
    fn bias_of(&self, curve: &Curve, exact: impl Fn(f64) -> f64) -> f64 {
        let unit = libm::ldexp(1.0, -(self.coefficient_fraction as i32));
        let error = |z: f64| curve.series.value(z) + curve.constant as f64 * unit - exact(z);
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
        if self.own.is_none() {
            return series.demand(count, DEALER_FRACTION, headroom + DEALER_FRACTION);
        }
        OwnPhasors::finest(series, self.parties, count, headroom)
    }

    /// Whether a source can make these phasors.
    pub(super) fn possible(&self, request: &PhasorRequest) -> Result<(), Error> {
        if self.own.is_some() {
            PhasorPlan::new(self.parties, request)?;
            let bits = request.rounding.as_ref().and_then(|it| it.bits.iter().copied().max());
            let least = phasors::LEAST_BITS.bits;
            if bits.is_none_or(|bits| bits < least) {
                return refuse(format!(
                    "phasors would have {bits:?} bits; at least {least} are needed: reduce the \
                     rows or columns, or use a dealer"
                ));
            }
        }
        Ok(())
    }

    /// For each multiple of a request a bound on the distance of its phasor from the exact one in
    /// the plane, and the standard deviation of a coordinate.
    fn noise(&self, request: &PhasorRequest) -> Result<Vec<(f64, f64)>, Error> {
        let Some(rounding) = &request.rounding else {
            let unit = libm::ldexp(1.0, -(DEALER_FRACTION as i32));
            return Ok(vec![(1.5 * unit, 0.29 * unit); request.harmonics.len()]);
        };
        let plan = PhasorPlan::new(self.parties, request)?;
        let deviation = phasors::deviation(rounding.method, self.parties);
        let of =
            |(k, &ft): (usize, &u32)| (plan.error(k), deviation * libm::ldexp(1.0, -(ft as i32)));
        Ok(rounding.bits.iter().enumerate().map(of).collect())
    }
}

/// The amplitude of a term, in units of its coefficients.
fn size(term: &Term) -> f64 {
    libm::hypot(term.sine as f64, term.cosine as f64)
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

/// log(2 cosh(z/2)).
fn log_cosh(z: f64) -> f64 {
    z.abs() / 2.0 + libm::log1p(libm::exp(-z.abs()))
}

/// z on a quarter of the period, |z| <= 8 of 2^6, bent back beyond it: what a penalty adds to the
/// gradient, bounded by itself.
fn identity(period: u32, fraction: u32) -> Curve {
    const TERMS: usize = 16;
    let edge = libm::ldexp(1.0, period as i32 - 3);
    // The second derivative is zero at both ends of the bend, so the series converges fast.
    let bent = |z: f64| {
        if z <= edge {
            return z;
        }
        let t = (z - edge) / edge;
        // From slope 1 to slope 0 with no curvature at either end.
        edge + edge * (t - t * t * t + t * t * t * t / 2.0)
    };
    let fit = fit(bent, Symmetry::Odd, period, TERMS, Weighting::Plain, fraction);
    let unit = libm::ldexp(1.0, -(fraction as i32));
    let error = (0..=800)
        .map(|i| edge * f64::from(i) / 800.0)
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
            let link = |family: &Family| {
                let link = Link::new(family, Origin::Dealer, parties).expect("fits");
                link.on(None).expect("fits")
            };
            let rate = link(&Family::poisson(3.0, 100.0));
            let link = link(&Family::logistic(0.3));
            assert!(link.mean.error < 5e-5, "{}", link.mean.error);
            assert!(link.weight.error < 2e-4, "{}", link.weight.error);
            assert!(link.loss.error < 5e-4, "{}", link.loss.error);
            assert!(link.penalty.error < 1e-3, "{}", link.penalty.error);
            assert!(link.weight.least >= 0.0 && link.weight.largest < 0.252, "{:?}", link.weight);
            assert!(link.penalty.largest < 13.0);
            assert!(rate.weight.least >= 0.0);
            assert!(rate.weight.constant - rate.mean.constant < 1 << 11, "a lift below 2^-9");
        }
    }
}
