//! Figures of a model of two classes on shares of its scores (docs/protocols.md 17.5).

use mpc_core::approx::{Series, Term};
use mpc_core::correlations::{Correlations, Ordered, Orders, Origin, Phasors, RandomBitsRequest};
use mpc_core::protocols::compare::{Comparison, below};
use mpc_core::protocols::{bits, product};
use mpc_core::ring::wire::element_bytes;
use mpc_core::ring::{PackedBits, Ring, Z64, Z128};
use mpc_core::{Cost, Fixed, Session, Shared, SharedBits};
use zeroize::Zeroizing;

use super::PLACED;
use super::own::{FRACTION, OrderedFactors, Own, next};
use super::smooth::{PERIOD, Smooth, WAVES, Window, step};
use crate::error::Error;
use crate::models::glm::Family;
use crate::models::glm::link::Link;
use crate::models::glm::totals::{HEADROOM, Total};

/// Fractional bits of public factors, and of the coefficients of waves.
const FACTOR: u32 = 24;
const COEFFICIENT: u32 = 18;
/// Fractional bits of sums of waves at most, and bits that a product of two of them leaves free.
const WAVE_FRACTION: u32 = 20;
const FREE: u32 = 7;
/// Fractional bits of scores that are compared with the cut.
const COMPARED: u32 = 16;
/// The ring of a count of rows.
const COUNT: u32 = 44;
/// The noise that a row's loss may have, if that can be.
const NOISE: f64 = 1e-3;

/// How the figures are made, for scores between two bounds.
pub(super) struct Classes {
    rows: usize,
    comparison: Comparison,
    smooth: Option<Curves>,
}

/// What waves make.
struct Curves {
    window: Window,
    waves: Total,
    /// Fractional bits of the sums of waves that are multiplied, and their ring.
    fraction: u32,
    ring: u32,
    /// log(1 + e^z), (p - 1/2)^2 and p - 1/2.
    loss: Smooth,
    square: Smooth,
    mean: Smooth,
}

/// The sums over all rows of waves: of a series for each function, and each wave by itself.
struct Sums {
    values: Vec<Fixed>,
    waves: Fixed,
}

impl Classes {
    pub(super) fn new(
        rows: usize,
        (low, high): (f64, f64),
        (origin, parties): (Origin, usize),
    ) -> Result<Self, Error> {
        let most = (low.abs().max(high.abs()) + 1.0) * libm::ldexp(1.0, COMPARED as i32);
        let bits = libm::ceil(libm::log2(most + parties as f64)) as u32 + 1;
        let comparison = Comparison::new(rows, bits, 1)?;
        let smooth = match Window::between(low, high) {
            Some(window) => Some(Curves::new(rows, window, (origin, parties))?),
            None => None,
        };
        Ok(Self { rows, comparison, smooth })
    }

    /// The standard deviation of the noise in a row's loss; none where there are no losses.
    pub(super) fn noise(&self) -> Option<f64> {
        self.smooth.as_ref().map(|curves| curves.waves.noise())
    }

    /// The shares of what is told, with [`FRACTION`] fractional bits: positive rows and rows that are classified right; then, where there are losses,
    /// the sums of losses and of squared errors, and of all pairs of a positive and a negative row 1 where the
    /// positive one scores higher and -1 where it does not.
    pub(super) async fn shares(
        &self,
        own: &Own,
        from: &mut Correlations<'_>,
        session: &mut Session,
    ) -> Result<Fixed, Error> {
        let mut told = vec![own.part(&[own.targets.iter().sum()])?];
        told.push(self.right(own, from, session).await?);
        if let Some(curves) = &self.smooth {
            told.push(curves.shares(own, from, session).await?);
        }
        Ok(Fixed::stack(&told.iter().collect::<Vec<_>>())?)
    }

    /// How many rows are on their side of a half.
    async fn right(
        &self,
        own: &Own,
        from: &mut Correlations<'_>,
        session: &mut Session,
    ) -> Result<Fixed, Error> {
        let mut orders = Orders::new();
        let comparison = self.comparison.order(&mut orders);
        let count = self.rows as u32;
        let random = orders.random_bits(RandomBitsRequest { count, bits: 1, ring: COUNT });
        from.demand(orders)?;
        let prepared = comparison.take(from).await?;
        let z: Shared<Z64> = own.placed(|_, z| z, COMPARED)?;
        let negative = below(&z, &[vec![0; self.rows]], prepared, session).await?;
        // The class is one of the holder's own bits.
        let targets = &own.targets;
        let classes = PackedBits::of(1, self.rows, |_, row| {
            u128::from(targets.get(row).is_some_and(|&y| y == 1.0))
        });
        let right = negative.xor(&SharedBits::new(classes));
        let each = bits::to_integers(&right, from.take(random).await?, session).await?;
        let sum = each.as_slice().iter().fold(Z64(0), |sum, &one| sum + one);
        Ok(Fixed::widened(&Shared::column(vec![sum]), COUNT, 0)?.raise(FRACTION)?)
    }

    /// What it costs, but for the making of correlations.
    pub(super) fn cost(&self, me: usize, parties: usize) -> Cost {
        let own =
            self.comparison.cost(me, parties) + bits::to_integers_cost(self.rows, me, parties);
        let (told, ring) = match &self.smooth {
            Some(curves) => (5, curves.told_ring()),
            None => (2, COUNT + FRACTION),
        };
        let of_curves = self.smooth.as_ref().map(|curves| {
            let product = |elements: usize| Cost::to_all(me, parties, 1, elements as u64);
            product(16 * 2 * self.rows)
                + curves.waves.cost(self.rows, me, parties) * 2
                + product(element_bytes(curves.ring) * 4 * WAVES)
        });
        let own = match of_curves {
            Some(curves) => own + curves,
            None => own,
        };
        own + Cost::to_all(me, parties, 1, element_bytes(ring) as u64 * told).results(1)
    }
}

impl Curves {
    fn new(rows: usize, window: Window, (origin, parties): (Origin, usize)) -> Result<Self, Error> {
        let loss = |z: f64| Family::Logistic.loss(0.0, z);
        let mean = |z: f64| Family::Logistic.mean(z);
        let variance = |z: f64| Family::Logistic.variance(mean(z));
        let half = |z: f64| mean(z) - 0.5;
        let loss = window.smooth(loss, mean);
        let square = window.smooth(|z| half(z) * half(z), |z| 2.0 * half(z) * variance(z));
        let mean = window.smooth(half, variance);
        // As finely as what takes a wave most.
        let size = |of: &Smooth, wave: usize| libm::hypot(of.waves[wave].0, of.waves[wave].1);
        let amplitudes: Vec<f64> = step()
            .iter()
            .enumerate()
            .map(|(wave, step)| {
                let all = [size(&loss, wave), size(&square, wave), size(&mean, wave)];
                all.into_iter().fold(step / 4.0, f64::max)
            })
            .collect();
        let slope = 0.5 / window.stretch;
        let link = Link::waves(PERIOD, &amplitudes, (slope, 0.0));
        // A sum is below the number of rows, a product of two sums below its square; all with a sign.
        let bits = usize::BITS - rows.leading_zeros();
        let headroom = HEADROOM.max(COEFFICIENT + 2 * bits + 1 + FREE);
        let fraction = (headroom - COEFFICIENT - 2 * bits - 1).min(WAVE_FRACTION);
        let waves = Total::with_room(link, (origin, parties), NOISE, headroom)?;
        let ring = headroom - COEFFICIENT + fraction;
        Ok(Self { window, waves, fraction, ring, loss, square, mean })
    }

    /// The ring of what is told: that of pairs, or that of counts where it is smaller.
    fn told_ring(&self) -> u32 {
        (self.ring + FRACTION - 2 * self.fraction).min(COUNT + FRACTION)
    }

    async fn shares(
        &self,
        own: &Own,
        from: &mut Correlations<'_>,
        session: &mut Session,
    ) -> Result<Fixed, Error> {
        let rows = own.scores.len();
        let mut orders = Orders::new();
        let factors = OrderedFactors::of(rows, &mut orders);
        let phasors = [(); 2].map(|()| {
            let all = self.waves.phasors(rows).map(|request| orders.phasors(request));
            all.collect::<Vec<_>>()
        });
        let pairs = OrderedFactors::of(2 * WAVES, &mut orders);
        from.demand(orders)?;
        let positive = own.of_targets(factors.take(from).await?, session).await?;
        // The waves of all rows; and again with the sign of the class, which is half a period.
        let [of_all, of_signed] = phasors;
        let step = series(step().iter().map(|size| (0.0, size / 2.0)));
        let ones = series([(0.0, 1.0); WAVES]);
        let functions = [series(self.loss.waves.clone()), series(self.square.waves.clone())];
        let of = (&functions[..], &step);
        let all = self.sums((own, 0.0), of, (of_all, &mut *from), session).await?;
        let mean = [series(self.mean.waves.clone())];
        let turn = libm::ldexp(1.0, PERIOD as i32 - 1);
        let of = (&mean[..], &ones);
        let signed = self.sums((own, turn), of, (of_signed, &mut *from), session).await?;
        // Pairs of a positive and a negative row, from the products of their waves: the sine of one with the cosine of the
        // other.
        let crossed = all.waves.parts().0.as_slice().chunks_exact(2);
        let crossed = crossed.flat_map(|both| [both[1], -both[0]]).collect();
        let crossed = Shared::new(crossed, 1, 2 * WAVES);
        let crossed = Fixed::new(crossed, all.waves.ring(), all.waves.fraction())?;
        let paired_with = signed.waves.reshape(2 * WAVES, 1)?;
        let (left, right) = pairs.take(from).await?;
        let pairs = product::multiply_fixed(&crossed, &paired_with, left, right, session).await?;
        let pairs = if pairs.fraction() > FRACTION {
            pairs.truncate(FRACTION, session)?
        } else {
            pairs.raise(FRACTION)?
        };
        // Losses and squared errors, but for what each party knows. The sum of the placed scores with the sign of their
        // class is that of all, less twice that of positive ones.
        let slope = 2.0 * self.mean.slope * self.window.stretch;
        let of_positive =
            positive.clone().times_real(slope, FACTOR)?.truncate(FRACTION, session)?;
        let losses = all.values[0].clone().minus(&positive.truncate(FRACTION, session)?)?;
        let squares = all.values[1].clone().plus(&signed.values[0])?.minus(&of_positive)?;
        let told = Fixed::stack(&[&losses, &squares, &pairs])?;
        let known = Zeroizing::new(self.known(own));
        Ok(told.plus(&own.part(&known[..])?)?)
    }

    /// The sums over all rows of some functions and of waves, of scores that are turned by `turn` where the class is
    /// positive.
    async fn sums(
        &self,
        (own, turn): (&Own, f64),
        (functions, single): (&[Series], &Series),
        (ordered, from): (Vec<Ordered<Phasors>>, &mut Correlations<'_>),
        session: &mut Session,
    ) -> Result<Sums, Error> {
        let Window { middle, stretch } = self.window;
        let middle = if own.holds { middle } else { 0.0 };
        let place = |row: usize, z: f64| {
            (z - middle) * stretch + turn * own.targets.get(row).copied().unwrap_or(0.0)
        };
        let z = own.placed(place, PLACED)?;
        let mut ordered = ordered.into_iter();
        let next = async || next(&mut ordered, from).await;
        let mut values = vec![Z128::ZERO; functions.len()];
        let mut waves = Shared::<Z128>::zero(WAVES, 2);
        let each = |delta: &[Z128], phasors: &Phasors| {
            for (sum, function) in values.iter_mut().zip(functions) {
                for &value in function.evaluate(delta, phasors).as_slice() {
                    *sum += value;
                }
            }
            waves += &single.waves(delta, phasors);
        };
        let (ring, fraction) = self.waves.turned((&z, PLACED), next, session, each).await?;
        let mut told = Vec::with_capacity(values.len());
        for value in values {
            let value = Fixed::new(Shared::column(vec![value]), ring, fraction)?;
            told.push(value.truncate(FRACTION, session)?);
        }
        let waves = Fixed::new(waves, ring, fraction)?.truncate(self.fraction, session)?;
        Ok(Sums { values: told, waves: waves.narrow(self.ring)? })
    }

    /// What this party knows of the sums of losses, of squared errors and of pairs.
    fn known(&self, own: &Own) -> [f64; 3] {
        let Window { middle, stretch } = self.window;
        let rows = own.scores.len() as f64;
        let middle = if own.holds { middle } else { 0.0 };
        let placed: f64 = own.scores.iter().map(|z| (z - middle) * stretch).sum();
        let lines = [&self.loss, &self.square, &self.mean].map(|of| of.slope * placed);
        let mut known = [lines[0], lines[1] + lines[2], 0.0];
        if own.holds {
            let positive: f64 = own.targets.iter().sum();
            known[0] += self.loss.level * rows;
            known[1] += (0.25 + self.square.level) * rows
                + self.mean.level * (rows - 2.0 * positive)
                + 2.0 * self.mean.slope * stretch * middle * positive;
        }
        known
    }
}

/// The series of odd multiples with these coefficients of cosine and sine.
fn series(waves: impl IntoIterator<Item = (f64, f64)>) -> Series {
    let whole = |c: f64| libm::rint(libm::ldexp(c, COEFFICIENT as i32)) as i64;
    let terms = waves.into_iter().zip(0..).map(|((cosine, sine), wave)| Term {
        k: 2 * wave + 1,
        sine: whole(sine),
        cosine: whole(cosine),
    });
    Series { period: PERIOD, fraction: COEFFICIENT, terms: terms.collect() }
}
