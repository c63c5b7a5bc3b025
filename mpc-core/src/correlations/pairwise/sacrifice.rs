//! The check of a right factor: some rows more of the left factor, which are given up for it
//! (docs/protocols.md 6.6).

use mpc_net::Tag;
use zeroize::Zeroizing;

use super::toss;
use super::triples::{ProductShape, words};
use crate::correlations::RightFactor;
use crate::error::Error;
use crate::ring::{Ring, wire};
use crate::session::Session;

const ROWS: Tag = Tag::new("factor/rows");
const REST: [Tag; 2] = [Tag::new("factor/rest-commit"), Tag::new("factor/rest")];

/// One row is made more for so many.
const PART: usize = 16;

/// Bits of what is compared that noise may reach, where the factor was made with RLWE.
const NOISE: u32 = 28;

/// Bits of what a row is multiplied with before it is added to one that is given up, where noise grows by
/// them.
const FACTOR: u32 = 8;

/// Rounds of a check.
pub(super) const ROUNDS: u64 = 2 * toss::ROUNDS + 1;

/// Rows that are made beside the m that are asked for.
pub(super) const fn more(m: usize, checked: bool) -> usize {
    if checked { m.div_ceil(PART) } else { 0 }
}

/// Bytes to each peer, for a factor that is exact.
pub(super) fn bytes(shape: &ProductShape) -> usize {
    let (rows, element) = (more(shape.m, true), wire::element_bytes(shape.ring));
    toss::TOSS_BYTES + rows * shape.k * element + toss::shown_bytes(rows * shape.n * element)
}

/// How a factor was made.
#[derive(Clone, Copy)]
pub(super) enum Made {
    /// By transfers: exactly.
    Exactly,
    /// By RLWE: each element is off by N floor(N/2) at most.
    Nearly,
}

/// Whether the product of `factor` holds, which has more(m) rows at its end that are used for this
/// alone; `a` is the own share of the left factor with these rows. [`ROUNDS`] rounds.
///
/// # Errors
/// When it does not hold.
pub(super) async fn check<R: Ring>(
    session: &mut Session,
    number: &mut u64,
    (shape, made): (&ProductShape, Made),
    a: &[u128],
    factor: &RightFactor<R>,
) -> Result<(), Error> {
    let ProductShape { m, k, n, ring } = *shape;
    let (rows, parties, me) = (more(m, true), session.parties(), session.me());
    let mut coins = toss::toss(session, number).await?;
    // For each row that is given up, how often each of the others is added to it.
    let (most, drop) = match made {
        Made::Exactly => (u64::MAX, 0),
        Made::Nearly => ((1 << FACTOR) - 1, NOISE),
    };
    let taken: Vec<Vec<u128>> =
        (0..rows).map(|_| (0..m).map(|_| u128::from(coins.word() & most)).collect()).collect();
    let combined = |of: &[u128], width: usize| {
        let mut out = Zeroizing::new(of[m * width..].to_vec());
        for (row, taken) in out.chunks_exact_mut(width).zip(&taken) {
            for (from, &times) in of.chunks_exact(width).zip(taken) {
                let more = from.iter().map(|x| x.wrapping_mul(times));
                row.iter_mut().zip(more).for_each(|(sum, x)| *sum = sum.wrapping_add(x));
            }
        }
        out
    };

    // These rows plus their multiples of the others: to all.
    let mask = wire::mask(ring);
    let element = wire::element_bytes(ring);
    let mut opened = combined(a, k);
    let message = encoded(&opened, ring);
    let len = message.len();
    let received = session.exchange(ROWS, vec![message; parties], vec![len; parties]).await?;
    for (_, bytes) in received.iter().enumerate().filter(|&(party, _)| party != me) {
        for (sum, share) in opened.iter_mut().zip(bytes.chunks_exact(element)) {
            *sum = sum.wrapping_add(super::ole::read(share).unwrap_or_default());
        }
    }

    // What their product is less what was made: shares of zero.
    let (b, ab) = (words(factor.b.as_slice()), words(factor.ab.as_slice()));
    let mut rest = combined(&ab, n);
    for (rest, row) in rest.chunks_exact_mut(n).zip(opened.chunks_exact(k)) {
        rest.iter_mut().for_each(|rest| *rest = rest.wrapping_neg());
        for (&x, b) in row.iter().zip(b.chunks_exact(n)) {
            rest.iter_mut()
                .zip(b)
                .for_each(|(rest, &y)| *rest = rest.wrapping_add(x.wrapping_mul(y)));
        }
    }
    let most = match made {
        Made::Exactly => 0,
        // A floor each, and the errors of the sums.
        Made::Nearly => {
            let errors = ((parties * (parties / 2) * (m + 1)) as u128) << FACTOR;
            parties as u128 + 1 + (errors >> NOISE)
        }
    };
    rest.iter_mut().for_each(|rest| *rest = (*rest & mask) >> drop);
    let left = ring - drop;
    let all = toss::show(session, REST, number, &encoded(&rest, left)).await?;
    let mask = wire::mask(left);
    let mut sums = vec![0u128; rest.len()];
    for (party, shown) in all.iter().enumerate() {
        for (sum, share) in sums.iter_mut().zip(shown.chunks_exact(wire::element_bytes(left))) {
            let share = super::ole::read(share).filter(|share| share & !mask == 0);
            let share = share
                .ok_or_else(|| session.misbehaved(party, REST[1], "a share is out of range"))?;
            *sum = sum.wrapping_add(share) & mask;
        }
    }
    if sums.iter().any(|&sum| sum.min(sum.wrapping_neg() & mask) > most) {
        let detail = "a product of factors is not what it should be";
        return Err(toss::caught(session, REST[1], detail));
    }
    Ok(())
}

fn encoded(values: &[u128], ring: u32) -> Zeroizing<Vec<u8>> {
    let (mask, len) = (wire::mask(ring), wire::element_bytes(ring));
    let mut out = Zeroizing::new(Vec::with_capacity(values.len() * len));
    values.iter().for_each(|v| out.extend_from_slice(&(v & mask).to_le_bytes()[..len]));
    out
}
