//! What a dealer and the owners of matrices hand out: uniform after all that the coalition of the
//! other parties knows was taken off.
#![allow(clippy::unwrap_used)]

use mpc_core::correlations::Request;
use mpc_core::trig;
use mpc_net::PartyId;

use crate::fits::PARTIES;
use crate::law::{ring, words};
use crate::looks::{Looks, Run, What};
use crate::recording::{self, Taken};

fn signed(v: u128, bits: u32) -> u128 {
    ((v << (128 - bits)) as i128 >> (128 - bits)) as u128
}

/// D = X - A of the owner's rows, matrix by matrix.
fn masked_matrices(run: &Run, owner: usize) -> Vec<Vec<u128>> {
    let view = &run.views[if owner == 0 { 1 } else { 0 }];
    let mut messages = view.messages().into_iter().filter(|seen| {
        seen.step == "dealer/masked-matrix" && seen.from == PartyId::from_index(owner)
    });
    // A large matrix comes in several frames, and no frame has rows of two.
    let shapes = run.parties[0].matrices.iter().map(|(shape, _)| shape);
    let d = shapes.map(|shape| {
        let (bits, due) = (shape.wire_bits(), shape.rows[owner] * u64::from(shape.columns));
        let mut d: Vec<u128> = Vec::new();
        while (d.len() as u64) < due {
            let bytes = messages.next().unwrap().bytes;
            d.extend(words(&bytes, bits).iter().map(|&v| signed(v, bits)));
        }
        assert_eq!(d.len() as u64, due);
        d
    });
    d.collect()
}

pub fn matrices(run: &Run, looks: &mut Looks) {
    let all = masked_matrices(run, 0);
    assert_eq!(all.len(), run.parties[0].matrices.len());
    for (d, (shape, _)) in all.into_iter().zip(&run.parties[0].matrices) {
        // Of a matrix of which party 0 has no rows there is nothing to look at.
        if shape.rows[0] > 0 {
            let bits = shape.mask_bits();
            looks.push(What::Matrix(bits), bits, d);
        }
    }
}

/// The sum of what all parties (or the coalition between the first and the last) hold.
fn sum<'a>(parts: impl Iterator<Item = &'a Vec<u128>>) -> Vec<u128> {
    parts.fold(Vec::new(), |sum, part| {
        if sum.is_empty() {
            return part.clone();
        }
        sum.iter().zip(part).map(|(a, b)| a.wrapping_add(*b)).collect()
    })
}

fn minus(a: &[u128], b: &[u128], bits: u32) -> Vec<u128> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.wrapping_sub(*b) & ring(bits)).collect()
}

/// What the dealer corrects at the last party. A coalition that knows all that was shared can work
/// out the masks of all parties; less the products of these and less the coalition's own parts,
/// party 0's part is left.
pub fn corrections(run: &Run, looks: &mut Looks) {
    let last = PARTIES - 1;
    let from_dealer = run.views[last].messages().into_iter();
    let mut corrections = from_dealer.filter(|seen| seen.step == "dealer/correction");
    let d = (0..PARTIES).map(|owner| masked_matrices(run, owner)).collect::<Vec<_>>();
    let mut lefts: Vec<(Vec<u128>, usize)> = Vec::new();
    for at in 0..run.parties[last].taken.len() {
        let of = |party: usize| -> &Taken { &run.parties[party].taken[at] };
        let masks = || (0..PARTIES).map(|party| &of(party).masks);
        let between = || (1..last).map(|party| &of(party).shares);
        let request = &of(0).request;
        if let Request::Left { k, .. } = request {
            lefts.push((sum(masks()), *k as usize));
            continue;
        }
        let bytes = corrections.next().unwrap().bytes;
        let (what, bits, exact, known) = match request {
            Request::Right(it) => {
                let bits = 8 * (bytes.len() / of(0).shares.len()) as u32;
                let (a, k) = &lefts[it.left as usize];
                let ab = recording::times(a, &sum(masks()), *k, it.n as usize);
                (What::Product(bits), bits, ab, sum(between()))
            }
            Request::Phasors(it) => {
                assert!(it.rounding.is_none(), "a dealer's phasors are exact");
                let angles = sum(masks());
                let drop = trig::FRACTION_BITS - it.fraction;
                let round = |v: i64| i128::from((v + (1 << (drop - 1))) >> drop) as u128;
                let pairs = it.harmonics.iter().flat_map(|&k| {
                    let angle = move |r: &u128| (*r as u32).wrapping_mul(k);
                    angles.iter().map(move |r| trig::cosine_sine(angle(r)))
                });
                let (cosines, sines): (Vec<u128>, Vec<u128>) =
                    pairs.map(|(cosine, sine)| (round(cosine), round(sine))).unzip();
                (What::Phasors(it.ring), it.ring, [cosines, sines].concat(), sum(between()))
            }
            Request::OwnedProduct(it) => {
                let matrix = it.matrix as usize;
                let columns = run.parties[0].matrices[matrix].0.columns as usize;
                let product = |matrix: &[u128], mu: &[u128]| {
                    if it.transposed {
                        return transposed(matrix, mu, columns);
                    }
                    recording::times(matrix, &mu[..columns], columns, 1)
                };
                // The rows of each party that take part.
                let part = |(entries, &(from, to)): (Vec<u128>, &(u64, u64))| {
                    entries[from as usize * columns..to as usize * columns].to_vec()
                };
                let d = d.iter().map(|d| d[matrix].clone());
                let d: Vec<u128> = d.zip(&it.rows).flat_map(part).collect();
                let own = run.parties.iter().map(|party| {
                    let entries = party.matrices[matrix].1.entries();
                    entries.iter().map(|&x| i128::from(x) as u128).collect()
                });
                let x: Vec<u128> = own.zip(&it.rows).flat_map(part).collect();
                let a: Vec<u128> = x.iter().zip(&d).map(|(x, d)| x.wrapping_sub(*d)).collect();
                let mu = |party| -> Vec<u128> {
                    of(party).masks.iter().map(|rho| rho >> it.drop).collect()
                };
                let exact = product(&a, &sum((0..PARTIES).map(mu).collect::<Vec<_>>().iter()));
                let known: Vec<Vec<u128>> = (1..last)
                    .map(|party| minus(&of(party).shares, &product(&d, &mu(party)), 128))
                    .collect();
                (What::Owned(it.ring), it.ring, exact, sum(known.iter()))
            }
            Request::Left { .. } => continue,
            // No fit orders any; `mpc-core/src/protocols/compare/views.rs` looks at them.
            Request::RandomBits(_) | Request::BitTriples(_) => panic!("a fit takes no bits"),
        };
        let all = sum([words(&bytes, bits), known].iter());
        looks.push(what, bits, minus(&all, &exact, bits));
    }
    assert!(
        run.refused.is_some() || corrections.next().is_none(),
        "every correction was looked at"
    );
}

/// X^T mu.
fn transposed(matrix: &[u128], mu: &[u128], columns: usize) -> Vec<u128> {
    let mut out = vec![0u128; columns];
    for (row, mu) in matrix.chunks_exact(columns).zip(mu) {
        for (out, x) in out.iter_mut().zip(row) {
            *out = out.wrapping_add(x.wrapping_mul(*mu));
        }
    }
    out
}
