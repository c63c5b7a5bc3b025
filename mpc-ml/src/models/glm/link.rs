//! The mean as a series on shares, and the phasors it takes (docs/protocols.md 8.3).

use mpc_core::approx::fit::{self, Symmetry, Weighting};
use mpc_core::approx::periodic::PeriodicFit;
use mpc_core::approx::{Series, Term};
use mpc_core::correlations::pairwise::PhasorPlan;
use mpc_core::correlations::{Origin, PhasorForm, PhasorMethod, Phasors};
use mpc_core::ring::Z128;
use mpc_core::{Fixed, Session};

use super::family::Family;
use crate::error::Error;

/// Fractional bits of the coefficients of a series, and of its values.
pub(crate) const E_FRACTION: u32 = 14;
/// A logistic mean is a series of period 2^6: exact for scores up to 16, and still near 0 or 1 at 24.
const LOGISTIC_PERIOD: u32 = 6;
/// Series for the even part of a row's loss that are right to 2e-5: up to this score, the logarithm of the period, and
/// terms. Beyond a quarter of the period the loss is a line, and so is what mirrors it.
const LOSSES: [(f64, (u32, usize)); 3] = [(5.0, (5, 14)), (20.0, (6, 24)), (50.0, (7, 44))];
/// A rate is seen beside the one that its owner expects; the logarithm of the ratio is exact up to 1.
const RATE_PERIOD: u32 = 2;
/// Where the parties hold columns nobody expects anything of a row, and rates are seen beside their mean:
/// exact up to e^4 of it. A window is at most this part of the period, and has so many terms.
const COMMON_RATES: f64 = 4.0;
const WINDOW_PART: f64 = 0.375;
const COMMON_TERMS: u32 = 16;
/// The logarithm of the longest period, and the narrowest window.
const MOST_PERIOD: i32 = 6;
const NARROWEST: f64 = 0.5;
/// Fractional bits of the coefficients of a series where all that is right is the series.
pub(crate) const FINE_FRACTION: u32 = 18;
/// Angles of one-hot products have at most so many bits, and those of products bit by bit.
const MOST_ANGLE: (u32, u32) = (14, 20);

/// What is computed on shares: the mean less one half, as a function of the score, or the rate in
/// units of the one that its owner expects, less a constant, as a function of the logarithm of that
/// ratio.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(super) series: Series,
    /// What has to be added to the series, at scale [`E_FRACTION`].
    pub(crate) constant: i64,
    /// What the fit has beside that, because of so few bits.
    pub(crate) rest: f64,
    /// The largest error in the window.
    pub(crate) error: f64,
    /// How far the mean follows its argument, at most: for what rounding the argument does.
    slope: f64,
}

/// How phasors come, and what that does to a value.
#[derive(Clone, Debug)]
pub(super) struct Phasing {
    pub(super) form: PhasorForm,
    /// The standard deviation of a value of the series: phasors, the rounding of its argument, the fit.
    pub(super) noise: f64,
}

impl Link {
    /// The series at opened arguments, which the phasors were made for, with so many fractional bits, without
    /// the constant. Local.
    pub(super) fn at(
        &self,
        opened: &[Z128],
        phasors: &Phasors,
        fraction: u32,
        session: &Session,
    ) -> Result<Fixed, Error> {
        let share = self.series.evaluate(opened, phasors);
        let scale = self.series.fraction + phasors.fraction;
        Ok(Fixed::new(share, phasors.ring, scale)?.truncate(fraction, session)?)
    }

    /// With a few terms where the last steps are made in the clear, with more where they are not.
    pub(super) fn new(family: Family, exact: bool) -> Self {
        match family {
            Family::Logistic => {
                let terms = if exact { 16 } else { 8 };
                let mean = |z: f64| family.mean(z) - 0.5;
                let plain = Weighting::Plain;
                let fit = fit::fit(mean, Symmetry::Odd, LOGISTIC_PERIOD, terms, plain, E_FRACTION);
                Self {
                    series: fit.series,
                    constant: 1 << (E_FRACTION - 1),
                    rest: 0.0,
                    error: fit.error_window,
                    slope: 0.25,
                }
            }
            Family::Poisson => {
                let terms = if exact { 10 } else { 6 };
                let fit = PeriodicFit::window(libm::exp, 1.0, RATE_PERIOD, terms, E_FRACTION);
                Self {
                    series: fit.series,
                    constant: fit.constant,
                    rest: 0.0,
                    error: fit.relative,
                    slope: std::f64::consts::E,
                }
            }
        }
    }

    /// The even part of a row's loss, log(2 cosh(z / 2)), less what it has at a quarter of the period, which comes beside:
    /// right for scores up to three eighths of the period.
    pub(super) fn losses((period, terms): (u32, usize)) -> (Self, f64) {
        let middle = libm::ldexp(1.0, period as i32 - 3);
        let loss = |z: f64| z.abs() / 2.0 + libm::log1p(libm::exp(-z.abs())) - middle;
        let (even, plain) = (Symmetry::Even, Weighting::Plain);
        let fit = fit::fit(loss, even, period, terms, plain, FINE_FRACTION);
        let error = fit.error_window;
        (Self { series: fit.series, constant: 0, rest: 0.0, error, slope: 0.5 }, middle)
    }

    /// The same, right to 2e-5 for scores up to `most`; none where there is no such series.
    pub(crate) fn losses_up_to(most: f64) -> Option<(Self, f64)> {
        let found = LOSSES.into_iter().find(|&(reach, _)| most <= reach);
        found.map(|(_, series)| Self::losses(series))
    }

    /// For parties that hold columns: all that is right is the series.
    pub(super) fn columns(family: Family) -> Self {
        match family {
            Family::Logistic => {
                let mean = |z: f64| family.mean(z) - 0.5;
                let (odd, plain) = (Symmetry::Odd, Weighting::Plain);
                let fit = fit::fit(mean, odd, LOGISTIC_PERIOD, 16, plain, FINE_FRACTION);
                let constant = 1 << (E_FRACTION - 1);
                let error = fit.error_window;
                Self { series: fit.series, constant, rest: 0.0, error, slope: 0.25 }
            }
            Family::Poisson => Self::rates(0.0, COMMON_RATES, E_FRACTION),
        }
    }

    /// e^(z + `middle`) for z up to `window` from 0: what is near the edge sets how large the terms are, and
    /// with them the noise.
    fn rates(middle: f64, window: f64, fraction: u32) -> Self {
        let period = (1..MOST_PERIOD)
            .find(|&period| window <= WINDOW_PART * libm::ldexp(1.0, period))
            .unwrap_or(MOST_PERIOD) as u32;
        let rate = |z| libm::exp(z + middle);
        let fit = PeriodicFit::window(rate, window, period, COMMON_TERMS, fraction);
        let slope = std::f64::consts::E;
        let all = libm::ldexp(fit.constant as f64, E_FRACTION as i32 - fraction as i32);
        let (constant, unit) = (libm::rint(all), libm::ldexp(1.0, -(E_FRACTION as i32)));
        let rest = (all - constant) * unit;
        Self { series: fit.series, constant: constant as i64, rest, error: fit.error, slope }
    }

    /// The variance of a row, for parties that hold columns, for scores between two bounds; and what is
    /// to be taken off a score before.
    pub(crate) fn variances(family: Family, (low, high): (f64, f64)) -> (Self, f64) {
        match family {
            Family::Logistic => {
                let variance = |z: f64| family.variance(family.mean(z));
                let (even, plain) = (Symmetry::Even, Weighting::Plain);
                let fit = fit::fit(variance, even, LOGISTIC_PERIOD, 16, plain, FINE_FRACTION);
                let error = fit.error_window;
                (Self { series: fit.series, constant: 0, rest: 0.0, error, slope: 0.1 }, 0.0)
            }
            Family::Poisson => {
                let middle = (low + high) / 2.0;
                (Self::rates(middle, ((high - low) / 2.0).max(NARROWEST), FINE_FRACTION), middle)
            }
        }
    }

    /// Odd multiples of which each is wanted by itself, as finely as a series with these amplitudes takes it that
    /// moves with its argument by `slope` at most, and is right to `error`.
    pub(crate) fn waves(period: u32, amplitudes: &[f64], (slope, error): (f64, f64)) -> Self {
        let unit = libm::ldexp(1.0, FINE_FRACTION as i32);
        let terms = amplitudes.iter().zip(0..).map(|(size, at)| {
            let sine = libm::rint(size * unit).max(1.0) as i64;
            Term { k: 2 * at + 1, sine, cosine: 0 }
        });
        let series = Series { period, fraction: FINE_FRACTION, terms: terms.collect() };
        Self { series, constant: 0, rest: 0.0, error, slope }
    }

    /// The logarithm of the period.
    pub(super) fn period(&self) -> u32 {
        self.series.period
    }

    /// The amplitude of each term.
    fn sizes(&self) -> impl Iterator<Item = f64> + '_ {
        let unit = libm::ldexp(1.0, -(self.series.fraction as i32));
        self.series.terms.iter().map(move |t| libm::hypot(t.sine as f64, t.cosine as f64) * unit)
    }

    /// The standard deviation of what fixed point does to a value: public factors, and truncation.
    fn rounding(&self, parties: usize) -> f64 {
        let of = |count: usize, fraction: u32| {
            libm::ldexp(libm::sqrt(count as f64 / 12.0), -(fraction as i32))
        };
        libm::hypot(of(2 * self.series.terms.len(), self.series.fraction), of(parties, E_FRACTION))
    }

    /// A bound on the magnitude of the series as it is computed, whatever its argument.
    pub(super) fn largest(&self, phasing: &Phasing, parties: usize) -> f64 {
        let rounding = libm::ldexp(parties as f64 + 1.0, -(E_FRACTION as i32));
        let factors = libm::ldexp(2.0 * self.series.terms.len() as f64, -(E_FRACTION as i32));
        self.sizes().sum::<f64>() + phasing.form.error + rounding + factors
    }

    /// How phasors come whose shares need `headroom` bits beside their scale. With the fewest bytes
    /// among those that are good to `noise`, where there are any.
    pub(super) fn phasing(
        &self,
        origin: Origin,
        parties: usize,
        headroom: u32,
        noise: f64,
    ) -> Result<Phasing, Error> {
        if origin == Origin::Dealer {
            let form = PhasorForm::new(origin, &self.series, parties, headroom, 0)?;
            let noise = libm::hypot(self.error / 2.0, form.error / 2.0);
            let noise = libm::hypot(noise, self.rounding(parties));
            return Ok(Phasing { form, noise });
        }
        let room = 128u32.saturating_sub(headroom);
        let period = self.period();
        let forms = [PhasorMethod::OneHot, PhasorMethod::Bits].into_iter().flat_map(|method| {
            let (most_angle, spare) = match method {
                PhasorMethod::OneHot => (MOST_ANGLE.0, [5, 8]),
                PhasorMethod::Bits => (MOST_ANGLE.1, [5, 10]),
            };
            spare.into_iter().flat_map(move |spare| {
                let angle_bits = (period + spare).clamp(8, most_angle);
                let tables = match method {
                    PhasorMethod::OneHot => (16 - angle_bits.div_ceil(2)).min(10),
                    PhasorMethod::Bits => 15,
                };
                let most = tables.min(room / method.factors(parties));
                // Bits of one-hot products cost next to nothing.
                let least = if method == PhasorMethod::OneHot { most } else { 4.min(most) };
                (least..=most).map(move |top| (method, top, angle_bits))
            })
        });
        let mut best: Option<Phasing> = None;
        for (method, top, angle_bits) in forms.filter(|&(_, top, _)| top >= 4) {
            let found = self.made(parties, headroom, (method, top, angle_bits))?;
            if found.noise <= noise {
                return Ok(found);
            }
            if best.as_ref().is_none_or(|best| found.noise < best.noise) {
                best = Some(found);
            }
        }
        best.ok_or_else(|| {
            Error::Settings(format!(
                "shares of {headroom} bits leave no room for the phasors of {parties} parties in 128: \
                 use a dealer, or fewer parties"
            ))
        })
    }

    fn made(
        &self,
        parties: usize,
        headroom: u32,
        (method, top, angle_bits): (PhasorMethod, u32, u32),
    ) -> Result<Phasing, Error> {
        let form = (method, angle_bits);
        let request = PhasorPlan::request(&self.series, parties, 1, (top, headroom), form);
        let plan = PhasorPlan::new(parties, &request)?;
        let bits = request.rounding.as_ref().map(|it| it.bits.clone()).unwrap_or_default();
        // Halves of a unit in each coordinate for a table, a whole one where a bit is drawn.
        let (factors, part) = match method {
            PhasorMethod::OneHot => (2 * parties - 1, 12.0),
            PhasorMethod::Bits => (parties, 6.0),
        };
        let phasors: f64 = self
            .sizes()
            .zip(&bits)
            .map(|(size, &bits)| {
                let unit = size * libm::ldexp(1.0, -(bits as i32));
                unit * unit * factors as f64 / part
            })
            .sum();
        let angle = self.slope * libm::ldexp(1.0, self.period() as i32 - angle_bits as i32);
        let fit = self.error / 2.0;
        let rounding = self.rounding(parties);
        let noise = libm::sqrt(phasors + angle * angle / 12.0 + fit * fit + rounding * rounding);
        let error = self.sizes().enumerate().map(|(k, size)| size * plan.error(k)).sum();
        let (fraction, rounding) = (request.fraction, request.rounding);
        Ok(Phasing { form: PhasorForm { fraction, angle_bits, rounding, error }, noise })
    }
}

impl Phasing {
    /// Before it is chosen.
    pub(super) fn none() -> Self {
        let form = PhasorForm { fraction: 0, angle_bits: 0, rounding: None, error: 0.0 };
        Self { form, noise: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The loss of a row is the even part and half of its score, with the sign of its class.
    #[test]
    fn losses_are_even_but_for_half_of_the_score() {
        let is_right = |(link, middle): (Link, f64), most: f64, error: f64| {
            for at in 0..=1000 {
                let z = most * (f64::from(at) / 500.0 - 1.0);
                for target in [0.0, 1.0] {
                    let loss = link.series.value(z) + middle + (0.5 - target) * z;
                    let due = Family::Logistic.loss(target, z);
                    assert!((loss - due).abs() < error, "{z}: {loss} instead of {due}");
                }
            }
        };
        is_right(Link::losses((7, 24)), 56.0, 1e-3);
        for most in [0.5, 5.0, 5.1, 12.0, 20.0, 24.0, 50.0] {
            is_right(Link::losses_up_to(most).expect("goes so far"), most, 2e-5);
        }
        assert!(Link::losses_up_to(50.1).is_none());
    }

    #[test]
    fn phasors_are_as_fine_as_is_asked_for_where_the_ring_has_the_room() {
        for (family, parties, headroom, noise) in [
            (Family::Logistic, 3, 86, 0.02),
            (Family::Logistic, 7, 86, 0.04),
            (Family::Poisson, 3, 80, 0.05),
            (Family::Poisson, 7, 84, 0.1),
        ] {
            let phasing = Link::new(family, false)
                .phasing(Origin::Pairwise, parties, headroom, 0.0)
                .expect("fits");
            assert!(phasing.noise < noise, "{family:?} {parties}: {phasing:?}");
        }
        let exact = Link::new(Family::Logistic, true);
        let phasing = exact.phasing(Origin::Pairwise, 3, 80, 1e-3).expect("fits");
        assert!(phasing.noise < 1e-3, "{phasing:?}");
        assert!(exact.phasing(Origin::Pairwise, 7, 105, 1e-3).is_err());
    }
}
