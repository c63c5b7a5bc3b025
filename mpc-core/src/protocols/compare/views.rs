//! What a coalition sees of comparisons, with every mask and without each (docs/protocols.md 0, the
//! view rule). The coalition is all parties but one; what it knows of the masks is taken off before
//! the rest is looked at, and what is hidden is fixed or known to the test.

use mpc_net::memory::MemoryTransport;

use super::harness::{share, source, words, world};
use super::*;
use crate::Tag;
use crate::correlations::Origin;
use crate::correlations::pairwise::{Expansion, PairwiseOt};
use crate::rand::MaskSite;
use crate::testing::{World, record_openings, take_openings};

/// Lanes of the comparisons, and products of bits.
const LANES: usize = 2800;
const BITS: u32 = 12;

/// Chi-square of the groups of four bits of some words: 15 degrees of freedom exceed 130 with 1e-13.
fn uniform(bits: u32, words: &[u128]) -> bool {
    assert!(words.len() >= 640, "{} samples are too few", words.len());
    (0..bits / 4).all(|place| {
        let mut counts = [0u64; 16];
        words.iter().for_each(|word| counts[(word >> (4 * place)) as usize & 15] += 1);
        let due = words.len() as f64 / 16.0;
        counts.iter().map(|&n| (n as f64 - due).powi(2) / due).sum::<f64>() < 130.0
    })
}

/// Rows of bits as words of four, so that what is in common to neighbours is seen too.
fn fours(bits: &PackedBits) -> Vec<u128> {
    let row = bits.row();
    (0..bits.planes() * bits.lanes() / 4).map(|at| row[at / 32] >> (4 * (at % 32)) & 15).collect()
}

/// For each look whether it is uniform: what is opened, less the masks of all but each one party.
fn openings(parties: usize, origin: Origin, off: Option<MaskSite>) -> Vec<(String, bool)> {
    let x: Vec<i128> = (0..LANES as i128).map(|lane| lane % 7).collect();
    let of = Comparison::new(LANES, BITS, 1).expect("fits");
    record_openings();
    let world = world(parties, origin).insecure_without(off);
    let kept = world.run(async |mut session| {
        let mut source = source(&mut session, origin);
        let mut from = Correlations::new(&mut *source).expect("new");
        let mut orders = Orders::new();
        let ordered = of.order(&mut orders);
        let triples = orders.bit_triples(LANES);
        from.demand(orders).expect("placed");
        let prepared = ordered.take(&mut from).await.expect("made");
        let bits = prepared.r.bits.clone();
        let own = share("x", &session, &x);
        below(&own, &[vec![3; LANES]], prepared, &mut session).await.expect("runs");
        // Products of known bits.
        let triples = from.take(triples).await.expect("made");
        let (a, b) = (triples.a.clone(), triples.b.clone());
        let zero = SharedBits::new(PackedBits::zero(1, LANES));
        let mut factors = AndFactors::new(triples);
        bits::and_both(&zero, [&zero, &zero], &mut factors, &mut session).await.expect("runs");
        (bits, a, b)
    });
    let opened = take_openings();
    let of = |step: &str| opened.iter().rfind(|seen| seen.step == step).expect("opened");
    let z = of("compare/open").sum.clone().expect("for all");
    let last: Vec<u8> =
        of("bits/and").sum.clone().expect("for all").iter().map(|&byte| byte as u8).collect();
    let last = PackedBits::from_bytes(&last, 3, LANES).expect("bits");
    let mut looks = Vec::new();
    for honest in 0..parties {
        let others = (0..parties).filter(|&party| party != honest);
        let known = |of: &dyn Fn(usize) -> PackedBits| {
            others.clone().map(of).reduce(|all, one| all.xor(&one)).expect("another party")
        };
        let theirs = known(&|party| kept[party].0.own().clone());
        let hidden: Vec<u128> = (0..LANES)
            .map(|lane| {
                let r = (z[lane].wrapping_sub(x[lane] as u128)) & mask(BITS);
                let known = |plane| theirs.bit(plane, lane) << plane;
                r ^ (0..BITS as usize).fold(0, |sum, plane| sum | known(plane))
            })
            .collect();
        looks.push((format!("z less all masks but those of {honest}"), uniform(BITS, &hidden)));
        let e = last.select(&[0]).xor(&known(&|party| kept[party].1.own().clone()));
        looks.push((format!("E less all masks but those of {honest}"), uniform(4, &fours(&e))));
        let f = last.select(&[1, 2]).xor(&known(&|party| kept[party].2.own().clone()));
        looks.push((format!("F less all masks but those of {honest}"), uniform(4, &fours(&f))));
    }
    looks
}

/// What a dealer sends the last party, less what that corrects.
fn corrections(parties: usize, off: Option<MaskSite>) -> Vec<(String, bool)> {
    let world = World::new(parties).with_dealer().insecure_without(off);
    let mesh = world.mesh();
    let view = mesh[parties - 1].record();
    let made = world.run_on(mesh, async |mut session| {
        let mut source = source(&mut session, Origin::Dealer);
        let mut from = Correlations::new(&mut *source).expect("new");
        let mut orders = Orders::new();
        let request = RandomBitsRequest { count: LANES as u32, bits: 12, ring: 24 };
        let (random, triples) = (orders.random_bits(request), orders.bit_triples(LANES));
        from.demand(orders).expect("placed");
        let random = from.take(random).await.expect("made");
        (random, from.take(triples).await.expect("made"))
    });
    let seen = view.payloads(Tag::new("dealer/correction"));
    let values = crate::ring::wire::decode::<Z128>(&seen[0], 24).expect("numbers");
    let joint = |of: &dyn Fn(usize) -> PackedBits| {
        (0..parties).map(of).reduce(|all, one| all.xor(&one)).expect("a party")
    };
    let bits = joint(&|party| made[party].0.bits.own().clone());
    let number = |lane| (0..12).fold(0u128, |sum, plane| sum | bits.bit(plane, lane) << plane);
    let off_by: Vec<u128> =
        (0..LANES).map(|lane| values[lane].0.wrapping_sub(number(lane)) & mask(24)).collect();
    let product = joint(&|party| made[party].1.ab.own().clone());
    let sent = PackedBits::from_bytes(&seen[1], 2, LANES).expect("bits");
    vec![
        ("shares of numbers".to_owned(), uniform(24, &off_by)),
        ("shares of products".to_owned(), uniform(4, &fours(&sent.xor(&product)))),
    ]
}

/// What party 1 receives from party 0 where both make bits, less the own bits of party 0.
fn transfers(parties: usize, off: Option<MaskSite>) -> Vec<(String, bool)> {
    let world = World::new(parties).insecure_without(off);
    let mesh = world.mesh();
    let view = mesh[1].record();
    let made = world.run_on(mesh, async |mut session| {
        let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
        // One plane, of which corrections are elements mod 2^8.
        let request = RandomBitsRequest { count: LANES as u32, bits: 1, ring: 9 };
        ot.random_bits(&request).await.expect("made");
        ot.bit_triples(8 * LANES as u32).await.expect("made")
    });
    let from_first = |step: &str| -> Vec<u8> {
        let of = |seen: &mpc_net::fault::Seen| seen.from.index() == 0 && seen.step == step;
        view.messages().into_iter().filter(of).flat_map(|seen| seen.bytes).collect()
    };
    let stage: Vec<u128> = from_first("bits/stage").into_iter().map(u128::from).collect();
    let own = made[0].b.own();
    let sent = PackedBits::from_bytes(&from_first("bits/products"), 3, 8 * LANES).expect("bits");
    let products = sent.select(&[0, 1]).xor(own);
    let check = PackedBits::from_bytes(&from_first("bits/check"), 1, 8 * LANES).expect("bits");
    // Where both factors of party 0 are zero its part of the sum is the third one.
    let none: Vec<usize> =
        (0..8 * LANES).filter(|&lane| own.bit(0, lane) | own.bit(1, lane) == 0).collect();
    let third = check.pick(&none[..4 * (none.len() / 4)]);
    vec![
        ("corrections of random bits".to_owned(), uniform(8, &stage)),
        ("corrections of products".to_owned(), uniform(4, &fours(&products))),
        ("sums that are checked".to_owned(), uniform(4, &fours(&third))),
    ]
}

fn assert_seen(what: &str, site: MaskSite, look: impl Fn(Option<MaskSite>) -> Vec<(String, bool)>) {
    for (name, uniform) in look(None) {
        assert!(uniform, "{what}, with all masks: {name}");
    }
    assert!(look(Some(site)).iter().any(|(_, uniform)| !uniform), "{what}: nobody misses {site:?}");
}

#[test]
fn every_mask_of_a_comparison_is_needed() {
    for parties in [2, 3] {
        for origin in [Origin::Dealer, Origin::Pairwise] {
            for site in [MaskSite::RandomBit, MaskSite::AndLeft, MaskSite::AndRight] {
                let what = format!("{parties} parties, {origin:?}");
                assert_seen(&what, site, |off| openings(parties, origin, off));
            }
        }
        for site in [MaskSite::RandomBitValue, MaskSite::AndProduct] {
            assert_seen("corrections", site, |off| corrections(parties, off));
        }
        for site in [MaskSite::RingPad, MaskSite::BitPad, MaskSite::AndCheck] {
            assert_seen("transfers", site, |off| transfers(parties, off));
        }
    }
}

/// Two comparisons of one session have nothing in common: the numbers that are opened for the same x
/// differ by what looks random.
#[test]
fn no_two_comparisons_share_a_mask() {
    for origin in [Origin::Dealer, Origin::Pairwise] {
        let of = Comparison::new(LANES, 16, 1).expect("fits");
        let x: Vec<i128> = words("x", 9, LANES).iter().map(|&word| (word >> 50).into()).collect();
        let opened = world(2, origin).run(async |mut session| {
            let mut source = source(&mut session, origin);
            let mut from = Correlations::new(&mut *source).expect("new");
            let mut orders = Orders::new();
            let both = [of.order(&mut orders), of.order(&mut orders)];
            from.demand(orders).expect("placed");
            let own = share("x", &session, &x);
            let mut all = Vec::new();
            for ordered in both {
                let prepared = ordered.take(&mut from).await.expect("made");
                all.push(open(&own, &prepared, &mut session).await.expect("runs").0);
            }
            all
        });
        let apart: Vec<u128> = (0..LANES)
            .map(|lane| u128::from(opened[0][0][lane].wrapping_sub(opened[0][1][lane])))
            .collect();
        assert!(uniform(16, &apart), "{origin:?}: differences are not uniform");
        let lanes: Vec<u128> = (1..LANES)
            .map(|lane| {
                let hidden = |lane: usize| opened[0][0][lane].wrapping_sub(x[lane] as u64);
                u128::from(hidden(lane).wrapping_sub(hidden(lane - 1)))
            })
            .collect();
        assert!(uniform(16, &lanes), "{origin:?}: neighbours are not independent");
    }
}

/// Used by no test of a comparison: a view without a recorder would look at nothing.
#[test]
fn the_looks_look_at_something() {
    let mesh = World::new(2).mesh();
    let view = MemoryTransport::record(&mesh[0]);
    assert!(view.messages().is_empty());
    assert!(!uniform(4, &[0; 700]) && uniform(4, &(0..1600).map(|i| i % 16).collect::<Vec<_>>()));
}
