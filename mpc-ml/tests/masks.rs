//! Whole fits with every mask switched off in turn (docs/protocols.md 0, the view rule): the law
//! that holds of all openings, and of all that a dealer hands out, must then be broken.
//!
//! Three kinds of looks. Each message of party 0 is uniform: the two other kinds alone would not
//! notice a missing zero share. Each sum is uniform, for masked and bounded openings, as the nodes
//! learn it: what party 0 sends alone is mostly hidden by earlier randomness as well. And of
//! correlations, what the dealer or an owner hands out is uniform after all that the coalition of
//! the other parties knows was taken off.
//!
//! The fits are as small as they can be, and nothing here says how many openings there are. The
//! switch is one for the whole process, so there is one test in this file.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "support/fits.rs"]
mod fits;
#[path = "../../mpc-core/tests/support/law.rs"]
mod law;
#[path = "../../mpc-core/tests/support/recording.rs"]
mod recording;

use std::collections::{BTreeMap, BTreeSet};

use fits::{Fit, PARTIES, Run};
use law::{Runs, ring, uniform, words};
use mpc_core::correlations::Request;
use mpc_core::rand::{MaskSite, insecure_switch_off};
use mpc_core::testing::{Kind, Opening};
use mpc_core::trig;
use mpc_net::PartyId;
use recording::Taken;

/// The masks of a fit whose correlations are a dealer's.
const SITES: [MaskSite; 10] = [
    MaskSite::ZeroShareResult,
    MaskSite::ZeroShareBounded,
    MaskSite::BoundedMask,
    MaskSite::AngleMask,
    MaskSite::TripleLeft,
    MaskSite::TripleRight,
    MaskSite::TripleProduct,
    MaskSite::OwnedMatrix,
    MaskSite::OwnedProduct,
    MaskSite::Phasor,
];

/// Fewer samples show nothing.
const SAMPLES: usize = 700;
/// More messages than this are not compared each with each.
const MOST_APART: usize = 8;
/// Above the mask of a bounded opening its ring has room for the sum of two or three masks.
const ROOM: u32 = 2;

/// What a look is at, or that every fit gave a model.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Fit,
    /// Party 0's messages in a step, of one kind, ring and length.
    Message(&'static str, u8, u32, usize),
    /// The highest bits of party 0's messages of all bounded openings of a step: where no mask of
    /// its own reaches, but the zero share does.
    Head(&'static str),
    /// What is opened in the same messages.
    Sum(&'static str, u8, u32, usize),
    /// What an owner shows of its matrix, by its bits.
    Matrix(u32),
    /// The dealer's corrections of products, of owned products, of phasors, by their rings.
    Product(u32),
    Owned(u32),
    Phasors(u32),
}

const MASKED: u8 = 0;
const BOUNDED: u8 = 1;
const RESULT: u8 = 2;

fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Masked => MASKED,
        Kind::Bounded => BOUNDED,
        Kind::Result => RESULT,
    }
}

#[test]
fn every_mask_of_a_fit_is_needed() {
    for fit in fits::all() {
        insecure_switch_off(None);
        let usual = looks(&fit);
        let broken: Vec<_> = usual.values().flatten().collect();
        assert!(broken.is_empty(), "{} with all masks: {broken:?}", fit.name);
        let sites: Vec<MaskSite> =
            SITES.into_iter().filter(|&site| uses(&fit, &usual, site)).collect();
        let mut missed: BTreeSet<What> = usual.keys().cloned().collect();
        for site in sites {
            insecure_switch_off(Some(site));
            let without = looks(&fit);
            insecure_switch_off(None);
            // With no mask at all a fit is as good as with all of them.
            assert!(without[&What::Fit].is_none(), "{} without {site:?}", fit.name);
            let noticed: BTreeSet<What> =
                without.into_iter().filter_map(|(what, broken)| broken.map(|_| what)).collect();
            println!("{} without {site:?}: {noticed:?}", fit.name);
            assert!(!noticed.is_empty(), "{}: nobody misses {site:?}", fit.name);
            missed.retain(|what| !noticed.contains(what));
        }
        // Every sum and correction hides behind a mask; messages are under earlier ones as well.
        missed.retain(|what| !matches!(what, What::Fit | What::Message(..) | What::Head(_)));
        assert!(missed.is_empty(), "{}: nothing hides {missed:?}", fit.name);
    }
}

/// Whether a fit uses a mask, and anybody can miss it there.
fn uses(fit: &Fit, looks: &BTreeMap<What, Option<String>>, site: MaskSite) -> bool {
    let any = |f: &dyn Fn(&What) -> bool| looks.keys().any(f);
    match site {
        // Where all shares come out of products, these are fresh as well.
        MaskSite::ZeroShareResult | MaskSite::ZeroShareBounded => fit.opens_own_data,
        MaskSite::BoundedMask => any(&|what| matches!(what, What::Message(_, BOUNDED, ..))),
        MaskSite::AngleMask | MaskSite::Phasor => any(&|what| matches!(what, What::Phasors(_))),
        MaskSite::OwnedMatrix => any(&|what| matches!(what, What::Matrix(_))),
        MaskSite::OwnedProduct => any(&|what| matches!(what, What::Owned(_))),
        _ => any(&|what| matches!(what, What::Product(_))),
    }
}

/// All looks at a fit, and of those that are not as they should be why.
fn looks(fit: &Fit) -> BTreeMap<What, Option<String>> {
    let mut all: BTreeMap<What, Vec<Words>> = BTreeMap::new();
    let mut fitted = true;
    for number in 0..fit.runs {
        let run = fit.run();
        let mut push = |what, bits, elements: Vec<u128>| {
            let words = all.entry(what).or_default();
            if words.len() <= number {
                words.resize_with(number + 1, || Words { bits, messages: Vec::new() });
            }
            words[number].messages.push(elements);
        };
        fitted &= run.fitted;
        openings(&run, &mut push);
        matrices(&run, &mut push);
        corrections(&run, &mut push);
    }
    let looks = all.into_iter().map(|(what, runs)| (what.clone(), broken(&what, &runs)));
    looks.chain([(What::Fit, (!fitted).then(|| "a fit was refused".to_owned()))]).collect()
}

/// The messages of one run that a look is at.
struct Words {
    bits: u32,
    messages: Vec<Vec<u128>>,
}

/// Why messages are not jointly uniform, or have not the same shapes in all runs.
fn broken(what: &What, runs: &[Words]) -> Option<String> {
    let (bits, messages) = (runs[0].bits, &runs[0].messages);
    let lengths = |run: &Words| run.messages.iter().map(Vec::len).collect::<Vec<_>>();
    if runs.iter().any(|run| run.messages.is_empty() || lengths(run) != lengths(&runs[0])) {
        return Some(format!("{what:?}: not the same in all runs"));
    }
    let len = messages[0].len();
    let enough = |len: usize| len * (runs.len() - 1) >= SAMPLES;
    let same = messages.iter().all(|message| message.len() == len);
    let name = format!("{what:?}");
    if same && enough(len) && messages.len() <= MOST_APART {
        let apart: Runs = runs.iter().map(|run| run.messages.clone()).collect();
        return uniform(&name, bits, &apart).err();
    }
    // Short ones and many ones count as one, of which neighbours are compared ...
    let whole = |run: &Words| run.messages.concat();
    if enough(whole(&runs[0]).len()) {
        return uniform(&name, bits, &runs.iter().map(|run| vec![whole(run)]).collect()).err();
    }
    // ... and the shortest are taken apart.
    let parts = |run: &Words| vec![nibbles(&whole(run), bits)];
    uniform(&name, 4, &runs.iter().map(parts).collect()).err()
}

type Push<'a> = dyn FnMut(What, u32, Vec<u128>) + 'a;

/// Elements as groups of four bits, the highest first.
fn nibbles(elements: &[u128], bits: u32) -> Vec<u128> {
    let of = |v: u128| (1..=bits / 4).map(move |at| v >> (bits - 4 * at) & 15);
    elements.iter().flat_map(|&v| of(v)).collect()
}

fn openings(run: &Run, push: &mut Push<'_>) {
    let of = |party: usize| run.openings.iter().filter(move |seen| seen.party == party);
    let learn = |at: usize, to: usize| -> &Opening { of(to).nth(at).unwrap() };
    // Results are few, and in rings of their own: taken apart, all together.
    let mut results = Vec::new();
    for (at, own) in of(0).enumerate() {
        let (step, kind, bits, len) = (own.step, number(own.kind), own.bits, own.own.len());
        if kind == RESULT {
            results.extend(nibbles(&own.own, bits));
            continue;
        }
        push(What::Message(step, kind, bits, len), bits, own.own.clone());
        if kind == BOUNDED {
            push(What::Head(step), 4, own.own.iter().map(|v| v >> (bits - 4)).collect());
        }
        let to = (0..PARTIES).find(|&party| own.to.include(party)).unwrap();
        let learned = learn(at, to);
        assert_eq!((learned.step, learned.own.len()), (step, len), "all open the same");
        let hidden = if kind == BOUNDED { bits - ROOM } else { bits };
        let sum = learned.sum.as_ref().unwrap().iter().map(|v| v & ring(hidden)).collect();
        push(What::Sum(step, kind, bits, len), hidden, sum);
    }
    push(What::Message("reveal", RESULT, 4, results.len()), 4, results);
}

fn signed(v: u128, bits: u32) -> u128 {
    ((v << (128 - bits)) as i128 >> (128 - bits)) as u128
}

/// D = X - A of the owner's rows, matrix by matrix.
fn masked_matrices(run: &Run, owner: usize) -> Vec<Vec<u128>> {
    let view = &run.views[if owner == 0 { 1 } else { 0 }];
    let messages = view.messages().into_iter().filter(|seen| {
        seen.step == "dealer/masked-matrix" && seen.from == PartyId::from_index(owner)
    });
    let shapes = run.sources[0].matrices.iter().map(|(shape, _)| shape);
    let d = messages.zip(shapes).map(|(seen, shape)| {
        let bits = shape.wire_bits();
        let d: Vec<u128> = words(&seen.bytes, bits).iter().map(|&v| signed(v, bits)).collect();
        assert_eq!(d.len() as u64, shape.rows[owner] * u64::from(shape.columns));
        d
    });
    d.collect()
}

fn matrices(run: &Run, push: &mut Push<'_>) {
    let all = masked_matrices(run, 0);
    assert_eq!(all.len(), run.sources[0].matrices.len());
    for (d, (shape, _)) in all.iter().zip(&run.sources[0].matrices) {
        let bits = shape.mask_bits();
        push(What::Matrix(bits), bits, d.iter().map(|d| d & ring(bits)).collect());
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
fn corrections(run: &Run, push: &mut Push<'_>) {
    let last = PARTIES - 1;
    let from_dealer = run.views[last].messages().into_iter();
    let mut corrections = from_dealer.filter(|seen| seen.step == "dealer/correction");
    let d = (0..PARTIES).map(|owner| masked_matrices(run, owner)).collect::<Vec<_>>();
    let mut lefts: Vec<(Vec<u128>, usize)> = Vec::new();
    for at in 0..run.sources[last].taken.len() {
        let of = |party: usize| -> &Taken { &run.sources[party].taken[at] };
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
                let shape = &run.sources[0].matrices[matrix].0;
                let whole = shape.rows.iter().map(|&rows| (0, rows));
                assert!(whole.eq(it.rows.iter().copied()), "all rows take part");
                let columns = shape.columns as usize;
                let product = |matrix: &[u128], mu: &[u128]| {
                    if it.transposed {
                        return transposed(matrix, mu, columns);
                    }
                    recording::times(matrix, &mu[..columns], columns, 1)
                };
                let d: Vec<u128> = d.iter().flat_map(|d| d[matrix].clone()).collect();
                let own = run.sources.iter().flat_map(|s| s.matrices[matrix].1.entries().to_vec());
                let x: Vec<u128> = own.map(|x| i128::from(x) as u128).collect();
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
        };
        let all = sum([words(&bytes, bits), known].iter());
        push(what, bits, minus(&all, &exact, bits));
    }
    assert!(!run.fitted || corrections.next().is_none(), "every correction was looked at");
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
