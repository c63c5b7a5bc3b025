//! A part of the phasors of a pass, chosen together after all were made, is opened, checked and
//! thrown away (docs/protocols.md 6.6).

use mpc_net::Tag;
use zeroize::Zeroizing;

use super::PairwiseOt;
use super::phasors::{Pass, scaled};
use super::plan::{PhasorPlan, nearest, product};
use super::toss;
use crate::correlations::PhasorMethod;
use crate::error::Error;
use crate::ring::wire::{element_bytes, mask};

const OPEN: [Tag; 2] = [Tag::new("ot/open-commit"), Tag::new("ot/open")];

/// One of so many phasors is opened, and so many are made more.
const PART: usize = 16;

/// Sums of the shares that are opened, each over a random half of them: a wrong share passes all
/// with a probability of 2^-40.
const SUMS: usize = 40;

/// How many phasors are made beside `count` that are asked for.
pub(super) const fn more(count: usize, checked: bool) -> usize {
    if checked { count.div_ceil(PART) } else { 0 }
}

/// Rounds for each pass.
pub(super) const ROUNDS: u64 = 2 * toss::ROUNDS;

/// Bytes to each peer for a pass of which `count` evaluations are opened.
pub(super) fn bytes(plan: &PhasorPlan, count: usize) -> usize {
    toss::TOSS_BYTES + toss::shown_bytes(count * own_bytes(plan) + sums_bytes(plan))
}

fn angle_bytes(plan: &PhasorPlan) -> usize {
    plan.of().angle_bits.div_ceil(8) as usize
}

/// Bytes of the own part of an evaluation: the angle; bit by bit also which way each coordinate was
/// rounded.
fn own_bytes(plan: &PhasorPlan) -> usize {
    let rounded = match plan.method() {
        PhasorMethod::OneHot => 0,
        PhasorMethod::Bits => (2 * plan.harmonics()).div_ceil(8),
    };
    angle_bytes(plan) + rounded
}

fn sums_bytes(plan: &PhasorPlan) -> usize {
    SUMS * element_bytes(plan.of().ring)
}

/// For each sum the values that a coin takes into it, mod 2^ring. The values are cosine and sine
/// of each harmonic of one evaluation after the other.
fn sums(
    plan: &PhasorPlan,
    coins: &[u64],
    values: impl Iterator<Item = u128>,
) -> Zeroizing<Vec<u128>> {
    let mut out = Zeroizing::new(vec![0u128; SUMS]);
    let shifts = (0..plan.harmonics()).flat_map(|k| [plan.shift(k); 2]).cycle();
    for ((value, shift), coin) in values.zip(shifts).zip(coins) {
        for (at, sum) in out.iter_mut().enumerate() {
            let taken = u128::from(coin >> at & 1).wrapping_neg();
            *sum = sum.wrapping_add(value << shift & taken);
        }
    }
    super::ole::reduce(&mut out, plan.of().ring);
    out
}

/// What a party's own phasor is, from what it shows of an evaluation: cosine and sine of each
/// harmonic, as factors that are multiplied one after the other. `None` if it shows what cannot be.
fn factors(plan: &PhasorPlan, place: usize, shown: &[u8]) -> Option<Vec<Vec<(i128, i128)>>> {
    let (angle, rounded) = shown.split_at(angle_bytes(plan));
    let angle = super::ole::read(angle).filter(|&r| r >> plan.of().angle_bits == 0)? as usize;
    let [_, low] = plan.digits();
    let digits = [angle >> low, angle & ((1 << low) - 1)];
    let width = plan.harmonics();
    let entry =
        |table: usize, digit: usize, k: usize| plan.exact[table].0[digits[digit] * width + k];
    let exact = |k| product(entry(if place == 0 { 2 } else { 0 }, 0, k), entry(1, 1, k));
    let factor = |of: &dyn Fn(usize) -> (i128, i128)| (0..width).map(of).collect::<Vec<_>>();
    Some(match plan.method() {
        PhasorMethod::Bits => {
            let up = |at: usize| i128::from(rounded[at / 8] >> (at % 8) & 1);
            let near = |v, k, at| i128::from(scaled(v, plan.bits(k)) >> 30) + up(at);
            vec![factor(&|k| {
                let (c, s) = exact(k);
                (near(c, k, 2 * k), near(s, k, 2 * k + 1))
            })]
        }
        PhasorMethod::OneHot if place == 0 => vec![factor(&|k| {
            let (c, s) = exact(k);
            (nearest(c, plan.bits(k)).into(), nearest(s, plan.bits(k)).into())
        })],
        PhasorMethod::OneHot => [0, 1]
            .map(|digit: usize| {
                factor(&|k| {
                    let (c, s) = plan.rounded[digit].0[digits[digit] * width + k];
                    (c.into(), s.into())
                })
            })
            .to_vec(),
    })
}

impl PairwiseOt {
    /// Opens a part of the pass; gives the evaluations that are left. [`ROUNDS`] rounds.
    pub(super) async fn open_part(&mut self, pass: &mut Pass) -> Result<Vec<usize>, Error> {
        let plan = pass.plan.clone();
        let made = pass.range.clone();
        let count = made.len() - pass.kept;
        let mut coins = toss::toss(&mut self.session, &mut self.shown).await?;
        let chosen: Vec<usize> =
            coins.choose(count, made.len()).into_iter().map(|at| made.start + at).collect();
        let (width, ring) = (2 * plan.harmonics(), plan.of().ring);
        let taken: Vec<u64> = (0..count * width).map(|_| coins.word()).collect();

        let mut own = Zeroizing::new(Vec::with_capacity(bytes(&plan, count)));
        let [_, low] = plan.digits();
        let mut values = Zeroizing::new(Vec::with_capacity(count * width));
        for &e in &chosen {
            let [high_digit, low_digit] = pass.digits(e);
            let angle = high_digit << low | low_digit;
            own.extend_from_slice(&angle.to_le_bytes()[..angle_bytes(&plan)]);
            if plan.method() == PhasorMethod::Bits {
                own.extend_from_slice(pass.rounded(e));
            }
            values.extend_from_slice(pass.state(e));
        }
        for sum in sums(&plan, &taken, values.iter().copied()).iter() {
            own.extend_from_slice(&sum.to_le_bytes()[..element_bytes(ring)]);
        }
        let all = toss::show(&mut self.session, OPEN, &mut self.shown, &own).await?;

        let mut due = Vec::with_capacity(count * width);
        for (nth, &e) in chosen.iter().enumerate() {
            let at = nth * own_bytes(&plan)..(nth + 1) * own_bytes(&plan);
            let mut phasors = vec![(1i128, 0i128); plan.harmonics()];
            for (party, shown) in all.iter().enumerate() {
                let factors =
                    factors(&plan, plan.place(e, party), &shown[at.clone()]).ok_or_else(|| {
                        self.session.misbehaved(party, OPEN[1], "an angle is out of range")
                    })?;
                for factor in factors {
                    for (z, f) in phasors.iter_mut().zip(factor) {
                        let times = i128::wrapping_mul;
                        *z = (
                            times(z.0, f.0).wrapping_sub(times(z.1, f.1)),
                            times(z.0, f.1).wrapping_add(times(z.1, f.0)),
                        );
                    }
                }
            }
            due.extend(phasors.iter().flat_map(|z| [z.0 as u128, z.1 as u128]));
        }
        let mut rest = sums(&plan, &taken, due.into_iter());
        for (party, shown) in all.iter().enumerate() {
            let shares = shown[count * own_bytes(&plan)..].chunks_exact(element_bytes(ring));
            for (rest, share) in rest.iter_mut().zip(shares) {
                let share = super::ole::read(share).filter(|share| share & !mask(ring) == 0);
                let share = share.ok_or_else(|| {
                    self.session.misbehaved(party, OPEN[1], "a share is out of range")
                })?;
                *rest = rest.wrapping_sub(share) & mask(ring);
            }
        }
        if rest.iter().any(|&rest| rest != 0) {
            let detail = "phasors that were opened are not the product of the parties' own";
            return Err(toss::caught(&self.session, OPEN[1], detail));
        }
        Ok(made.filter(|e| chosen.binary_search(e).is_err()).collect())
    }
}
