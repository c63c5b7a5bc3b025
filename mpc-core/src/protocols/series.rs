//! Any function that is smooth on a window, as a trigonometric series (docs/protocols.md 5,
//! steps 3 and 4).
//!
//! The argument z is opened under a mask r, as the angle delta = z - r of a circle that is one
//! period long; with shares of cos(k r) and sin(k r), made ahead, the series of z = delta + r is
//! local: sin(k z) = sin(k delta) cos(k r) + cos(k delta) sin(k r). The period divides the ring, so
//! no wrap can fail.

use crate::correlations::{PhasorRequest, Phasors};
use crate::error::Error;
use crate::ring::{Ring, Z64, Z128, wire};
use crate::session::{Batch, Cost, Recipients, Session};
use crate::share::Shared;
use crate::trig;

use crate::approx::{Series, Term};

use super::truncate::truncate_reduce;

impl Series {
    /// What one evaluation at `count` arguments needs from a dealer. Where the parties make
    /// phasors themselves, see [`PhasorPlan`](crate::correlations::pairwise::PhasorPlan).
    #[must_use]
    pub fn demand(&self, count: u32, fraction: u32, ring: u32) -> PhasorRequest {
        let harmonics = self.harmonics();
        let angle_bits = trig::ANGLE_BITS;
        PhasorRequest { count, harmonics, fraction, ring, angle_bits, rounding: None }
    }

    /// Step 3: this party's share of delta = z - r, mod 2^`angle_bits` of the phasors, for z at
    /// scale 2^`scale` mod 2^64.
    ///
    /// # Errors
    /// When the period does not fit the ring, or the masks do not fit the argument.
    pub fn masked_argument(
        &self,
        z: &Shared<Z64>,
        scale: u32,
        phasors: &Phasors,
        session: &Session,
    ) -> Result<Shared<Z64>, Error> {
        let period = self.period + scale;
        let (mask, bits) = (&phasors.mask, phasors.angle_bits);
        if period > 64 || mask.len() != z.len() || !(1..=trig::ANGLE_BITS).contains(&bits) {
            return Err(Error::Range(format!(
                "the period of 2^{} at scale 2^{scale} does not divide the ring 2^64",
                self.period
            )));
        }
        // The period becomes the whole ring; then all but the angle's bits are dropped (3a).
        let mut angle = z.clone();
        angle.scale(Z64::ONE.shl(64 - period));
        truncate_reduce(&mut angle, 64, 64 - bits, session.me(), session.parties());
        for (angle, &mask) in angle.as_mut_slice().iter_mut().zip(mask.iter()) {
            *angle -= mask;
        }
        Ok(angle)
    }

    /// Step 4: this party's share of the series at z, with `fraction` fractional bits of the series plus
    /// those of the phasors, in the ring of the phasors. Local.
    ///
    /// # Panics
    /// When the phasors have another shape than the series; shapes are public.
    #[must_use]
    pub fn evaluate(&self, delta: &[Z128], phasors: &Phasors) -> Shared<Z128> {
        let mut sum = vec![0u128; delta.len()];
        self.turned(delta, phasors, |term, points, cosines, sines| {
            let term = term.1;
            for (((sum, point), cosine), sine) in sum.iter_mut().zip(points).zip(cosines).zip(sines)
            {
                *sum = sum.wrapping_add(term.of(*point, (*cosine, *sine)));
            }
        });
        Shared::column(sum.into_iter().map(Z128).collect())
    }

    /// Step 4 of each wave by itself: this party's share of the sums over all z of cos(2 pi k z / P) and of
    /// sin(2 pi k z / P), both times the coefficient of the sine of the term, terms x 2; scale and ring are those of
    /// [`evaluate`](Self::evaluate). Local.
    ///
    /// # Panics
    /// As [`evaluate`](Self::evaluate).
    #[must_use]
    pub fn waves(&self, delta: &[Z128], phasors: &Phasors) -> Shared<Z128> {
        let mut sums = vec![Z128::ZERO; 2 * self.terms.len()];
        self.turned(delta, phasors, |(at, term), points, cosines, sines| {
            // The cosine first.
            let waves = [(0, term.sine), (term.sine, 0)];
            let waves = waves.map(|(sine, cosine)| Term { k: term.k, sine, cosine });
            for ((point, cosine), sine) in points.iter().zip(cosines).zip(sines) {
                for (sum, wave) in sums[2 * at..].iter_mut().zip(&waves) {
                    *sum += Z128(wave.of(*point, (*cosine, *sine)));
                }
            }
        });
        Shared::new(sums, self.terms.len(), 2)
    }

    /// For each term, with its place and its gain: cosine and sine of k delta, and the shares of cos(k r) and
    /// sin(k r).
    fn turned(
        &self,
        delta: &[Z128],
        phasors: &Phasors,
        mut each: impl FnMut((usize, Term), &[(i64, i64)], &[Z128], &[Z128]),
    ) {
        let count = delta.len();
        assert_eq!(phasors.cosine.len(), self.terms.len() * count);
        assert!(phasors.gains.is_empty() || phasors.gains.len() == self.terms.len());
        let unit = trig::ANGLE_BITS - phasors.angle_bits;
        let rows = phasors
            .cosine
            .as_slice()
            .chunks_exact(count.max(1))
            .zip(phasors.sine.as_slice().chunks_exact(count.max(1)));
        // Series of odd multiples step from k to k + 2: the next angle is a rotation by 2 delta,
        // which costs less than looking the angle up, and is as much the same at every party.
        let angles: Vec<u32> = delta.iter().map(|delta| (delta.0 as u32) << unit).collect();
        let rotation: Vec<_> = angles.iter().map(|angle| turn(*angle, 2)).collect();
        let mut before = None;
        let mut points = vec![(0, 0); count];
        for (i, (term, (cosines, sines))) in self.terms.iter().zip(rows).enumerate() {
            if before.is_some_and(|before| term.k == before + 2) {
                for (point, rotation) in points.iter_mut().zip(&rotation) {
                    *point = rotate(*point, *rotation);
                }
            } else {
                points = angles.iter().map(|angle| turn(*angle, term.k)).collect();
            }
            before = Some(term.k);
            each((i, term.times(phasors.gains.get(i))), &points, cosines, sines);
        }
    }

    /// The function at shared arguments: opens delta and evaluates. One round; [`Series::cost`].
    ///
    /// The result has `fraction` + `phasors.fraction` fractional bits and lives in the phasors' ring.
    ///
    /// # Errors
    /// When shapes or scales do not fit, or the network fails.
    pub async fn apply(
        &self,
        z: &Shared<Z64>,
        scale: u32,
        phasors: Phasors,
        session: &mut Session,
    ) -> Result<Shared<Z128>, Error> {
        let masked = self.masked_argument(z, scale, &phasors, session)?;
        let mut batch = Batch::new("series/open-delta");
        let slot = batch.masked(&masked, phasors.angle_bits, Recipients::All);
        let opened = session.open(batch).await?;
        Ok(self.evaluate(opened.at(slot), &phasors))
    }

    /// What [`apply`](Self::apply) costs for `count` arguments, with a dealer's phasors.
    #[must_use]
    pub fn cost(&self, count: usize, session: &Session) -> Cost {
        self.cost_at(count, trig::ANGLE_BITS, session)
    }

    /// What [`apply`](Self::apply) costs for `count` arguments at a resolution of `angle_bits`.
    #[must_use]
    pub fn cost_at(&self, count: usize, angle_bits: u32, session: &Session) -> Cost {
        let bytes = count * wire::element_bytes(angle_bits);
        Cost::to_all(session.me(), session.parties(), 1, bytes as u64)
    }
}

impl Term {
    /// The term with its coefficients multiplied by a public gain at scale 2^30.
    fn times(&self, gain: Option<&u64>) -> Self {
        let Some(&gain) = gain else { return *self };
        let times = |c: i64| ((i128::from(c) * i128::from(gain) + (1 << 29)) >> 30) as i64;
        Self { k: self.k, sine: times(self.sine), cosine: times(self.cosine) }
    }

    /// Its value where shares of cos(k r) and sin(k r) are these.
    #[inline]
    fn of(&self, point: (i64, i64), (cosine, sine): (Z128, Z128)) -> u128 {
        let (of_cosine, of_sine) = self.public_factors(point);
        let of_cosine = (i128::from(of_cosine) as u128).wrapping_mul(cosine.0);
        of_cosine.wrapping_add((i128::from(of_sine) as u128).wrapping_mul(sine.0))
    }

    /// The public factors of cos(k r) and sin(k r), at the scale of the coefficients, where
    /// `point` is cosine and sine of k delta: integers, and the same at every party.
    #[inline]
    fn public_factors(&self, (cosine, sine): (i64, i64)) -> (i64, i64) {
        (
            round(self.sine * sine + self.cosine * cosine),
            round(self.sine * cosine - self.cosine * sine),
        )
    }
}

/// Cosine and sine of k `angle`.
fn turn(angle: u32, k: u32) -> (i64, i64) {
    trig::cosine_sine(angle.wrapping_mul(k))
}

/// The point turned on by the angle of `by`, rounded.
#[inline]
fn rotate((c, s): (i64, i64), by: (i64, i64)) -> (i64, i64) {
    (round(c * by.0 - s * by.1), round(s * by.0 + c * by.1))
}

#[inline]
fn round(v: i64) -> i64 {
    (v + (1 << (trig::FRACTION_BITS - 1))) >> trig::FRACTION_BITS
}
