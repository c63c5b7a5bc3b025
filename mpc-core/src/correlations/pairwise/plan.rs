//! Phasors that the parties make themselves: widths, tables and gains, all public integers
//! (docs/protocols.md 6.3).

use crate::approx::Series;
use crate::correlations::{PhasorMethod, PhasorRequest, PhasorRounding};
use crate::error::Error;
use crate::ring::wire::element_bytes;
use crate::session::{Against, Cost};
use crate::trig;

use super::consistency::{LEAVES_BYTES, stage_bytes};
use super::extension::Expansion;
use super::ggm::LEVEL_BYTES;
use super::ole::Shape;
use super::opened;

/// Evaluations that are made in one pass: what bounds the memory.
const PASS: usize = 4096;

/// Cosine and sine at each value of a digit, harmonic by harmonic within a value.
pub(super) struct Table<T>(pub(super) Vec<(T, T)>);

/// How a request of phasors is met without a dealer: everything follows from public numbers, with
/// integer arithmetic, so that all parties hold the same.
///
/// A party's angle has `angle_bits` bits in two digits, of which the low one is centred: it stands
/// for l - (2^low - 1) / 2. So every table is symmetric and its mean factor real. The party that
/// is first in an evaluation makes up for the halves.
pub struct PhasorPlan {
    parties: usize,
    request: PhasorRequest,
    bits: Vec<u32>,
    method: PhasorMethod,
    /// Bits of the high and the low digit.
    digits: [u32; 2],
    /// Factors 2^ft in the result.
    factors: u32,
    gains: Vec<u64>,
    /// Phasors of the digits at scale 2^30; the high one with and without the offset of the first
    /// party.
    pub(super) exact: [Table<i32>; 3],
    /// Rounded phasors of the digits.
    pub(super) rounded: [Table<i16>; 2],
}

impl PhasorPlan {
    /// The request for `count` evaluations of `series`. The largest coefficient gets `top` bits,
    /// each other one as many fewer as its logarithm is smaller, at least three; the shares have
    /// `headroom` bits above the phasors' scale.
    #[must_use]
    pub fn request(
        series: &Series,
        parties: usize,
        count: u32,
        (top, headroom): (u32, u32),
        (method, angle_bits): (PhasorMethod, u32),
    ) -> PhasorRequest {
        let size = |k: usize| {
            let term = &series.terms[k];
            u128::from(term.sine.unsigned_abs().max(term.cosine.unsigned_abs()))
        };
        let largest = (0..series.terms.len()).map(size).max().unwrap_or(0);
        // The smallest t with 2^t largest >= 2^top c.
        let bits = (0..series.terms.len())
            .map(|k| (3.min(top)..top).find(|&t| largest << t >= size(k) << top).unwrap_or(top))
            .collect();
        let fraction = method.factors(parties) * top;
        PhasorRequest {
            count,
            harmonics: series.harmonics(),
            fraction,
            ring: headroom + fraction,
            angle_bits,
            rounding: Some(PhasorRounding { bits, method }),
        }
    }

    /// Works out tables, gains and widths.
    ///
    /// # Errors
    /// [`Error::Range`] with the numbers, when the ring needs more than 128 bits or the tables do
    /// not fit the accumulators.
    pub fn new(parties: usize, request: &PhasorRequest) -> Result<Self, Error> {
        let rounding = request
            .rounding
            .as_ref()
            .filter(|rounding| rounding.bits.len() == request.harmonics.len())
            .ok_or_else(|| Error::internal("the request says how many bits each harmonic has"))?;
        let (bits, method) = (rounding.bits.clone(), rounding.method);
        let a = request.angle_bits;
        let digits = [a.div_ceil(2), a / 2];
        let factors = method.factors(parties);
        let most = bits.iter().copied().max().unwrap_or(0);
        let least = bits.iter().copied().min().unwrap_or(0);
        if request.ring > 128
            || request.fraction < factors * most
            || request.ring <= request.fraction
        {
            return Err(Error::Range(format!(
                "phasors of {parties} parties with {most} bits need {} fractional bits; the \
                 request has {} in a ring of {} bits, and at most 128 are possible",
                factors * most,
                request.fraction,
                request.ring
            )));
        }
        // Limbs of 15 bits and a sign, times an entry below 2^ft, summed over a digit: 31 bits.
        let finest = if method == PhasorMethod::OneHot { 14 } else { 20 };
        if parties < 2 || least == 0 || most > 15 || !(2..=finest).contains(&a) {
            return Err(Error::Range(format!(
                "phasors of {parties} parties, {most} bits and angles of {a} bits"
            )));
        }
        if method == PhasorMethod::OneHot && most + digits[0] > 16 {
            return Err(Error::Range(format!(
                "one-hot products of {most} bits with digits of {} bits overflow 32 bits",
                digits[0]
            )));
        }
        let unit = trig::ANGLE_BITS - a;
        let half = ((1u32 << digits[1]) - 1) << (unit - 1);
        let table = |digit: u32, step: u32, offset: u32| {
            let entries = (0..1u32 << digit).flat_map(|y| {
                let angle = (y << step).wrapping_add(offset);
                request.harmonics.iter().map(move |&k| {
                    let (c, s) = trig::cosine_sine(angle.wrapping_mul(k));
                    (c as i32, s as i32)
                })
            });
            Table(entries.collect::<Vec<_>>())
        };
        let exact = [
            table(digits[0], unit + digits[1], 0),
            table(digits[1], unit, half.wrapping_neg()),
            table(digits[0], unit + digits[1], half.wrapping_mul(parties as u32)),
        ];
        let rounded = [0, 1].map(|digit: usize| {
            let entries = exact[digit].0.iter().zip(bits.iter().cycle());
            Table(
                entries
                    .map(|(&(c, s), &ft)| (nearest(c, ft) as i16, nearest(s, ft) as i16))
                    .collect(),
            )
        });
        let request = request.clone();
        let gains = Vec::new();
        let mut plan =
            Self { parties, request, bits, method, digits, factors, gains, exact, rounded };
        plan.gains = (0..plan.bits.len()).map(|k| plan.gain(k)).collect();
        Ok(plan)
    }

    /// gain_k at scale 2^30: what the mean amplitude lacks to 2^fraction, as a factor.
    fn gain(&self, k: usize) -> u64 {
        const Q: u32 = 40;
        let (harmonics, ft) = (self.bits.len(), self.bits[k]);
        let mut amplitude = 1i128 << Q;
        let mut multiply = |factor: i128| amplitude = (amplitude * factor) >> Q;
        if self.method == PhasorMethod::Bits {
            // Stochastic rounding keeps the mean: (2^ft - 1) / 2^ft a party.
            (0..self.parties).for_each(|_| multiply((1 << Q) - (1 << (Q - ft))));
        } else {
            // The part of each table along the exact phasor.
            let along = |sum: i128, count: usize| (sum << (Q - 30 - ft)) / count as i128;
            for (exact, rounded) in self.exact.iter().zip(&self.rounded) {
                let (exact, rounded) =
                    (exact.0.iter().skip(k).step_by(harmonics), rounded.0.iter().skip(k));
                let pairs = exact.zip(rounded.step_by(harmonics));
                let count = pairs.len();
                let sum = pairs
                    .map(|(e, r)| {
                        i128::from(e.0) * i128::from(r.0) + i128::from(e.1) * i128::from(r.1)
                    })
                    .sum();
                (1..self.parties).for_each(|_| multiply(along(sum, count)));
            }
            let (mut sum, mut count) = (0i128, 0);
            for high in self.exact[2].0.iter().skip(k).step_by(harmonics) {
                for low in self.exact[1].0.iter().skip(k).step_by(harmonics) {
                    let (c, s) = product(*high, *low);
                    sum += i128::from(c) * i128::from(nearest(c, ft))
                        + i128::from(s) * i128::from(nearest(s, ft));
                    count += 1;
                }
            }
            multiply(along(sum, count));
        }
        ((1i128 << (30 + Q)) / amplitude.max(1)) as u64
    }

    /// How far the shared phasor of harmonic k, times its gain, can be from the exact one: a bound
    /// on the distance in the plane.
    #[must_use]
    pub fn error(&self, k: usize) -> f64 {
        let unit = libm::ldexp(1.0, -(self.bits[k] as i32));
        let gain = self.gains[k] as f64 * libm::ldexp(1.0, -30);
        // Each factor is the exact phasor times 1 - 2^-ft, off by a rounding in each coordinate:
        // to the nearest in a table, at random where bits are choices.
        let (most, factors) = match self.method {
            PhasorMethod::Bits => (std::f64::consts::SQRT_2 * unit, self.parties),
            PhasorMethod::OneHot => (std::f64::consts::SQRT_2 * unit / 2.0, 2 * self.parties - 1),
        };
        let (ratio, mean) = ((1.0 - unit + most), 1.0 - unit);
        let power = |base: f64| libm::pow(base, factors as f64);
        // |prod (mean + error) - mean^n| grows to at most (mean + most)^n - mean^n, and the gain is
        // not exactly mean^-n. The last term covers the tables' own 30 bits.
        gain * (power(ratio) - power(mean)) + (gain * power(mean) - 1.0).abs() + 1e-6
    }

    /// The request that this is the plan for.
    #[must_use]
    pub fn of(&self) -> &PhasorRequest {
        &self.request
    }

    /// gain_k of each harmonic at scale 2^30: a consumer multiplies its coefficients by it.
    #[must_use]
    pub fn gains(&self) -> &[u64] {
        &self.gains
    }

    /// How shared phasors are multiplied with a party's own.
    #[must_use]
    pub fn method(&self) -> PhasorMethod {
        self.method
    }

    /// Who is at `place` of evaluation `e`: roles rotate, so that the load is even.
    pub(super) fn party(&self, e: usize, place: usize) -> usize {
        (e + place) % self.parties
    }

    /// At which place `party` is in evaluation `e`.
    pub(super) fn place(&self, e: usize, party: usize) -> usize {
        (party + self.parties - e % self.parties) % self.parties
    }

    pub(super) fn harmonics(&self) -> usize {
        self.bits.len()
    }

    pub(super) fn bits(&self, k: usize) -> u32 {
        self.bits[k]
    }

    pub(super) fn digits(&self) -> [u32; 2] {
        self.digits
    }

    /// By how many bits harmonic k is shifted at the end: those that it has fewer than the ring.
    pub(super) fn shift(&self, k: usize) -> u32 {
        self.request.fraction - self.factors * self.bits[k]
    }

    /// The ring in which harmonic k is made: no bit is kept that the shift would push out.
    pub(super) fn ring(&self, k: usize) -> u32 {
        self.request.ring - self.shift(k)
    }

    /// Bytes of one evaluation's corrections in a one-hot stage, by digit: level sums, a cosine and a
    /// sine for each harmonic; `checked` with the sum that shows that the tree hangs together.
    pub(super) fn one_hot_bytes(&self, checked: bool) -> [usize; 2] {
        let elements: usize = (0..self.bits.len()).map(|k| element_bytes(self.ring(k))).sum();
        let shown = if checked { LEAVES_BYTES } else { 0 };
        self.digits().map(|depth| depth as usize * LEVEL_BYTES + shown + 2 * elements)
    }

    /// Bytes of a one-hot stage of `count` evaluations.
    pub(super) fn stage_bytes(&self, count: usize, checked: bool) -> usize {
        let shown = if checked { stage_bytes(count) } else { 0 };
        count * self.one_hot_bytes(checked).iter().sum::<usize>() + shown
    }

    /// The products of a stage of `count` evaluations, bit by bit, for harmonic k: cosines, then
    /// sines, each times the pair of the shared cosine and sine.
    pub(super) fn bit_shape(&self, k: usize, count: usize) -> Shape {
        let (bits, ring) = (self.bits[k] + 1, self.ring(k));
        Shape { count: 2 * count, width: 2, bits, ring, signed: true }
    }

    /// The evaluations of each pass that are asked for.
    pub(super) fn passes(&self) -> impl Iterator<Item = std::ops::Range<usize>> + use<> {
        let count = self.request.count as usize;
        (0..count).step_by(PASS).map(move |from| from..(from + PASS).min(count))
    }

    /// In which evaluations of a pass `sender` stands at a place before that of `receiver`, which
    /// is `stage` if that is given.
    pub(super) fn meetings(
        &self,
        pass: std::ops::Range<usize>,
        sender: usize,
        receiver: usize,
        stage: Option<usize>,
    ) -> impl Iterator<Item = usize> + '_ {
        pass.filter(move |&e| {
            let place = self.place(e, receiver);
            self.place(e, sender) < place && stage.is_none_or(|stage| stage == place)
        })
    }

    /// What party `me` spends: `N` rounds a pass with trees, `2 (N - 1)` bit by bit; in a covert session
    /// four more, in which a part of what was made is opened.
    #[must_use]
    pub fn cost(&self, me: usize, expansion: Expansion, against: Against) -> Cost {
        let checked = against == Against::Covert;
        let mut cost = Cost { bytes: vec![0; self.parties], ..Cost::default() };
        for pass in self.passes() {
            let more = opened::more(pass.len(), checked);
            let pass = 0..pass.len() + more;
            cost.rounds += if checked { opened::ROUNDS } else { 0 };
            cost.rounds += match self.method {
                PhasorMethod::OneHot => self.parties as u64,
                PhasorMethod::Bits => 2 * (self.parties as u64 - 1),
            };
            for peer in (0..self.parties).filter(|&peer| peer != me) {
                cost.bytes[peer] += if checked { opened::bytes(self, more) as u64 } else { 0 };
                let count = |sender, receiver, stage| {
                    self.meetings(pass.clone(), sender, receiver, stage).count()
                };
                cost.bytes[peer] += match self.method {
                    PhasorMethod::OneHot => {
                        let ots = count(peer, me, None) * self.request.angle_bits as usize;
                        let stages = (1..self.parties).map(|stage| count(me, peer, Some(stage)));
                        let corrections: usize =
                            stages.map(|count| self.stage_bytes(count, checked)).sum();
                        expansion.bytes(ots as u64, checked) + corrections as u64
                    }
                    PhasorMethod::Bits => (1..self.parties)
                        .map(|stage| {
                            let shapes =
                                |count| (0..self.bits.len()).map(move |k| self.bit_shape(k, count));
                            let ots: usize =
                                shapes(count(peer, me, Some(stage))).map(|shape| shape.ots()).sum();
                            let corrections: usize = shapes(count(me, peer, Some(stage)))
                                .map(|shape| shape.bytes())
                                .sum();
                            expansion.bytes(ots as u64, checked) + corrections as u64
                        })
                        .sum(),
                };
            }
        }
        cost
    }
}

/// (2^ft - 1) times a value at scale 2^30, to the nearest integer; halves away from zero, so that
/// the tables stay symmetric.
pub(super) fn nearest(value: i32, ft: u32) -> i32 {
    let scaled = i64::from(value) * ((1 << ft) - 1);
    let sign = scaled >> 63;
    let size = (scaled ^ sign) - sign;
    let rounded = (size + (1 << 29)) >> 30;
    ((rounded ^ sign) - sign) as i32
}

/// The product of two phasors at scale 2^30.
pub(super) fn product(a: (i32, i32), b: (i32, i32)) -> (i32, i32) {
    let times = |x: i32, y: i32| i64::from(x) * i64::from(y);
    let round = |v: i64| ((v + (1 << 29)) >> 30) as i32;
    (round(times(a.0, b.0) - times(a.1, b.1)), round(times(a.1, b.0) + times(a.0, b.1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approx::fit::{Symmetry, Weighting, fit};

    fn plan(parties: usize, top: u32, method: PhasorMethod) -> Result<PhasorPlan, Error> {
        let sigmoid = |z: f64| 1.0 / (1.0 + libm::exp(-z)) - 0.5;
        let series = fit(sigmoid, Symmetry::Odd, 7, 12, Weighting::Plain, 16).series;
        let headroom = 1 + 57 + 16 + (parties + 1).next_power_of_two().ilog2();
        let request = PhasorPlan::request(&series, parties, 10, (top, headroom), (method, 12));
        PhasorPlan::new(parties, &request)
    }

    /// The widths of docs/protocols.md 6.3: ft = 8, fc = 16, sigma = 57.
    #[test]
    fn widths_are_those_of_the_text() {
        for (parties, ring) in [(3, 100), (5, 117), (6, 125)] {
            let plan = plan(parties, 8, PhasorMethod::Bits).expect("fits");
            assert_eq!(plan.of().ring, ring);
        }
        assert!(matches!(plan(7, 8, PhasorMethod::Bits), Err(Error::Range(_))));
        assert_eq!(plan(3, 8, PhasorMethod::OneHot).expect("fits").of().ring, 116);
        assert!(matches!(plan(5, 8, PhasorMethod::OneHot), Err(Error::Range(_))));
    }

    /// P = 128, K = 12, graded from 8 bits: 132 choice bits an evaluation and stage.
    #[test]
    fn choice_bits_are_those_of_the_text() {
        let plan = plan(3, 8, PhasorMethod::Bits).expect("fits");
        let bits: usize = (0..12).map(|k| plan.bit_shape(k, 1).ots()).sum();
        assert_eq!(bits, 132);
    }

    #[test]
    fn rounding_is_symmetric() {
        for value in [0, 1, 1 << 21, 77_777_777, (1 << 30) - 1, 1 << 30] {
            assert_eq!(nearest(-value, 8), -nearest(value, 8));
        }
        assert_eq!(nearest(1 << 30, 8), 255);
    }
}
