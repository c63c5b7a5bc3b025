//! Comparisons against the plain ones, for all sizes of what they are made of; their cost against the
//! meter; what the checks of a covert session notice.

use std::sync::Arc;

use mpc_net::PartyId;
use mpc_net::fault::{Fault, FaultPlan};

use super::harness::{share, source, words, world};
use super::*;
use crate::correlations::dealer::DealerSource;
use crate::correlations::pairwise::{Expansion, PairwiseOt};
use crate::correlations::{Correlation, CorrelationSource, Origin, Request};
use crate::ideal;
use crate::session::{Against, Outputs};
use crate::testing::World;
use crate::{Error, Tag};

/// Opens bits as an output.
async fn reveal(session: &mut Session, bits: &SharedBits) -> Vec<bool> {
    let all = session.reveal("bits", &bits.modulo_two(), 1, 0).await.expect("runs");
    all.expect("for all").iter().map(|bit| *bit != 0).collect()
}

enum With {
    Constants,
    Shared,
}

/// What is compared with what, and the plain answer.
fn compared(
    parties: usize,
    origin: Origin,
    of: impl Fn(usize) -> Comparison,
    pairs: &[(i128, i128)],
    with: &With,
) {
    let (x, c): (Vec<i128>, Vec<i128>) = pairs.iter().copied().unzip();
    let due = ideal::below(&x, &c);
    let of = of(pairs.len());
    let results = world(parties, origin).run(async |mut session| {
        let mut source = source(&mut session, origin);
        let mut from = Correlations::new(&mut *source).expect("new");
        let mut orders = Orders::new();
        let ordered = of.order(&mut orders);
        from.demand(orders).expect("placed");
        let prepared = ordered.take(&mut from).await.expect("made");
        let own = share("x", &session, &x);
        session.meter().enter("compare");
        let below = match with {
            With::Constants => {
                let constants = vec![c.iter().map(|&c| c as u64).collect()];
                below(&own, &constants, prepared, &mut session).await
            }
            With::Shared => less(&own, &share("y", &session, &c), prepared, &mut session).await,
        };
        let below = below.expect("runs");
        let phase = session.meter().phase("compare");
        let cost = of.cost(session.me(), parties);
        assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()), "{of:?}");
        session.meter().enter("reveal");
        let revealed = reveal(&mut session, &below).await;
        from.finish().await.expect("ends");
        revealed
    });
    for result in results {
        for (at, (result, due)) in result.iter().zip(&due).enumerate() {
            assert_eq!(result, due, "{:?} of {} bits, {parties} parties", pairs[at], of.bits);
        }
    }
}

const BOTH: [Origin; 2] = [Origin::Dealer, Origin::Pairwise];

/// Every pair of numbers that the width allows.
#[test]
fn all_numbers_of_few_bits() {
    for (parties, origin) in BOTH.into_iter().flat_map(|origin| [2, 3, 5].map(|n| (n, origin))) {
        for bits in 2..=6u32 {
            let few = origin == Origin::Pairwise || parties == 5;
            if few && ![(2, 2), (3, 3), (3, 6), (5, 5)].contains(&(parties, bits)) {
                continue;
            }
            let half = 1i128 << (bits - 1);
            let pairs: Vec<_> = (0..half).flat_map(|x| (0..half).map(move |c| (x, c))).collect();
            let of = |lanes| Comparison::new(lanes, bits, 1).expect("fits");
            compared(parties, origin, of, &pairs, &With::Constants);
            if parties == 3 {
                compared(parties, origin, of, &pairs, &With::Shared);
                let all: Vec<_> =
                    (0..2 * half).flat_map(|x| (0..2 * half).map(move |c| (x, c))).collect();
                let of = |lanes| Comparison::full_range(lanes, bits).expect("fits");
                compared(parties, origin, of, &all, &With::Constants);
            }
        }
    }
}

/// The numbers beside the constant, the least and the largest ones.
#[test]
fn edges_of_wide_numbers() {
    for parties in 2..=7 {
        for bits in if parties < 4 { vec![7, 18, 32, 33, 63, 64] } else { vec![8, 64] } {
            let top = (1i128 << (bits - 1)) - 1;
            let at = [0, 1, 5, top / 3, top / 2 + 1, top - 1, top];
            let around = |c: i128| [c - 1, c, c + 1].map(move |x| (x.clamp(0, top), c));
            let pairs: Vec<_> = at.into_iter().flat_map(around).collect();
            let of = |lanes| Comparison::new(lanes, bits, 1).expect("fits");
            compared(parties, Origin::Dealer, of, &pairs, &With::Constants);
            if [(2, 32), (4, 64), (7, 8)].contains(&(parties, bits)) {
                compared(parties, Origin::Pairwise, of, &pairs, &With::Shared);
            }
        }
    }
    let top = (1i128 << 64) - 1;
    let pairs = [(0, 0), (0, top), (top, 0), (top, top), (top - 1, top), (1 << 63, top / 2)];
    let of = |lanes| Comparison::full_range(lanes, 64).expect("fits");
    compared(3, Origin::Pairwise, of, &pairs, &With::Constants);
}

/// One opened number serves several constants, also negative differences.
#[test]
fn several_constants() {
    let x: Vec<i128> = (0..300).map(|i| i % 17).collect();
    for origin in BOTH {
        let results = world(3, origin).run(async |mut session| {
            let mut source = source(&mut session, origin);
            let mut from = Correlations::new(&mut *source).expect("new");
            let mut orders = Orders::new();
            let of = Comparison::new(x.len(), 6, 3).expect("fits");
            let ordered = of.order(&mut orders);
            from.demand(orders).expect("placed");
            let prepared = ordered.take(&mut from).await.expect("made");
            let own = share("x", &session, &x);
            let constants = [1, 5, 16].map(|c| vec![c; x.len()]);
            let below = below(&own, &constants, prepared, &mut session).await.expect("runs");
            reveal(&mut session, &below).await
        });
        for result in results {
            for (plane, c) in [1, 5, 16].into_iter().enumerate() {
                for (lane, &x) in x.iter().enumerate() {
                    assert_eq!(result[plane * 300 + lane], x < c, "{x} < {c}");
                }
            }
        }
    }
}

#[test]
fn bits_are_taken_together_and_become_integers() {
    for (parties, origin) in [(2, Origin::Pairwise), (3, Origin::Dealer), (3, Origin::Pairwise)] {
        for (lanes, one) in [(1, Some(0)), (2, None), (5, Some(4)), (131, Some(130)), (300, None)] {
            let outputs =
                Outputs::none().allow("bits", Recipients::All).allow("integers", Recipients::All);
            let world = world(parties, origin).outputs(outputs);
            let results = world.run(async |mut session| {
                let me = session.me();
                let mut source = source(&mut session, origin);
                let mut from = Correlations::new(&mut *source).expect("new");
                let mut orders = Orders::new();
                let triples = (lanes > 1).then(|| orders.bit_triples(lanes - 1));
                let request = RandomBitsRequest { count: lanes as u32, bits: 1, ring: 37 };
                let random = orders.random_bits(request);
                from.demand(orders).expect("placed");
                // Of the first party, less what the others hold.
                let noise = |party: usize| words("bits", party, lanes);
                let own = |lane: usize| {
                    let bit = u64::from(one == Some(lane));
                    if me > 0 {
                        return u128::from(noise(me)[lane]);
                    }
                    u128::from((1..parties).fold(bit, |bit, party| bit ^ noise(party)[lane]))
                };
                let bits = SharedBits::new(PackedBits::of(1, lanes, |_, lane| own(lane)));
                session.meter().enter("any");
                let any = match triples {
                    Some(triples) => {
                        let triples = from.take(triples).await.expect("made");
                        let mut factors = AndFactors::new(triples);
                        let any = bits::any(&bits, &mut factors, &mut session).await;
                        assert_eq!(factors.left(), 0);
                        any.expect("runs")
                    }
                    None => bits.clone(),
                };
                let phase = session.meter().phase("any");
                let cost = bits::any_cost(1, lanes, me, parties);
                assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
                let random = from.take(random).await.expect("made");
                session.meter().enter("integers");
                let integers = bits::to_integers(&bits, random, &mut session).await.expect("runs");
                let phase = session.meter().phase("integers");
                let cost = bits::to_integers_cost(lanes, me, parties);
                assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
                session.meter().enter("reveal");
                let any = reveal(&mut session, &any).await;
                let integers = session.reveal("integers", &integers, 37, 0).await.expect("runs");
                (any, integers.expect("for all"))
            });
            for (any, integers) in results {
                assert_eq!(any, [one.is_some()]);
                let due: Vec<i128> = (0..lanes).map(|lane| (one == Some(lane)).into()).collect();
                assert_eq!(integers, due);
            }
        }
    }
}

/// Sources give what they say they give, and at the cost that they say.
#[test]
fn bits_are_those_of_the_numbers_and_products_are_products() {
    let passes = RandomBitsRequest { count: 9000, bits: 60, ring: 64 };
    let requests = [(5u32, 1, 1), (130, 1, 64), (40, 5, 5), (33, 64, 64), (17, 3, 9)]
        .map(|(count, bits, ring)| RandomBitsRequest { count, bits, ring });
    for parties in 2..=4 {
        for against in [Against::Covert, Against::SemiHonest] {
            let all: Vec<_> = if parties == 2 {
                requests.iter().copied().chain([passes]).collect()
            } else {
                requests.to_vec()
            };
            let made = World::new(parties).against(against).run(async |mut session| {
                let me = session.me();
                let mut ot =
                    PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
                let mut out = Vec::new();
                let spent = |ot: &PairwiseOt| {
                    let phase = ot.meter().phase("preparation");
                    (phase.rounds, phase.sent())
                };
                let costs = |before: (u64, u64), cost: Cost, ot: &PairwiseOt| {
                    let now = spent(ot);
                    let due = (cost.rounds, cost.sent());
                    assert_eq!((now.0 - before.0, now.1 - before.1), due, "party {me}");
                };
                for request in &all {
                    let before = spent(&ot);
                    let made = ot.random_bits(request).await.expect("made");
                    costs(before, ot.random_bits_cost(request), &ot);
                    out.push(made);
                }
                let before = spent(&ot);
                let triples = ot.bit_triples(1000).await.expect("made");
                costs(before, ot.bit_triples_cost(1000), &ot);
                assert!(ot.random_bits(&RandomBitsRequest { bits: 0, ..passes }).await.is_err());
                assert!(ot.random_bits(&RandomBitsRequest { ring: 59, ..passes }).await.is_err());
                assert!(ot.bit_triples(0).await.is_err());
                (out, triples)
            });
            for (nth, request) in all.iter().enumerate() {
                let all: Vec<&RandomBits> = made.iter().map(|(out, _)| &out[nth]).collect();
                check_numbers(&all, request);
            }
            check_triples(&made.iter().map(|(_, triples)| triples).collect::<Vec<_>>());
        }
    }
    for parties in 2..=7 {
        let made = World::new(parties).with_dealer().run(async |mut session| {
            let mut source = DealerSource::start(&mut session).expect("starts");
            let mut all: Vec<Request> = requests.iter().copied().map(Request::RandomBits).collect();
            all.push(Request::BitTriples(300));
            source.demand(all).expect("placed");
            let mut numbers = Vec::new();
            for _ in &requests {
                numbers.push(source.take().await.and_then(Correlation::random_bits).expect("made"));
            }
            let triples = source.take().await.and_then(Correlation::bit_triples).expect("made");
            source.finish().await.expect("ends");
            (numbers, triples)
        });
        for (nth, request) in requests.iter().enumerate() {
            let all: Vec<&RandomBits> = made.iter().map(|(numbers, _)| &numbers[nth]).collect();
            check_numbers(&all, request);
        }
        check_triples(&made.iter().map(|(_, triples)| triples).collect::<Vec<_>>());
    }
}

fn joint<'a>(shares: impl Iterator<Item = &'a SharedBits>) -> PackedBits {
    let all = shares.map(|share| share.own().clone());
    all.reduce(|all, one| all.xor(&one)).expect("parties")
}

fn check_numbers(all: &[&RandomBits], request: &RandomBitsRequest) {
    let bits = joint(all.iter().map(|it| &it.bits));
    assert_eq!((bits.planes(), bits.lanes()), (request.bits as usize, request.count as usize));
    let mut seen = std::collections::BTreeSet::new();
    for lane in 0..bits.lanes() {
        let number = (0..bits.planes()).fold(0, |sum, plane| sum | bits.bit(plane, lane) << plane);
        let sum = all.iter().fold(0u128, |sum, it| sum + u128::from(it.value.as_slice()[lane].0));
        assert_eq!(sum & mask(request.ring), number);
        seen.insert(number);
    }
    assert!(request.bits < 60 || seen.len() == bits.lanes(), "numbers that come twice");
}

fn check_triples(all: &[&BitTriples]) {
    let a = joint(all.iter().map(|it| &it.a));
    let b = joint(all.iter().map(|it| &it.b));
    let ab = joint(all.iter().map(|it| &it.ab));
    assert!(ab == b.and(&a.clone().above(&a)), "products of bits");
}

/// One wrong correction of products of bits, towards one of two others: all that they say of it must
/// agree with what the third one has.
#[test]
fn a_wrong_product_of_bits_is_seen() {
    let tried = |parties: usize, step: &'static str, lanes: u32| {
        let world = World::new(parties);
        let mesh = world.mesh();
        // Of triples the corrections of the first plane, so that one half of them is wrong; of
        // numbers all corrections, so that nearly all of them are: few are opened.
        let change = move |payload: &mut Vec<u8>| {
            let (bytes, bits) =
                if step == "bits/stage" { (payload.len(), 1) } else { (lanes as usize / 8, 0xff) };
            payload.iter_mut().take(bytes).for_each(|byte| *byte ^= bits);
        };
        let fault = FaultPlan::new(Fault::Change(Arc::new(change))).in_step(Tag::new(step));
        mesh[0].inject(fault.to(PartyId::from_index(1)));
        world.run_on(mesh, async |mut session| {
            let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await?;
            if step == "bits/stage" {
                let request = RandomBitsRequest { count: lanes, bits: 8, ring: 8 };
                return ot.random_bits(&request).await.map(|_| ());
            }
            ot.bit_triples(lanes).await.map(|_| ())
        })
    };
    let named = |result: &Result<(), Error>, what: &str| match result {
        Err(Error::Misbehaved { detail, .. }) => assert!(detail.contains(what), "{detail}"),
        other => panic!("{other:?} in place of {what}"),
    };
    // Half of 512 products are wrong, each seen with a half, in 40 sums.
    named(&tried(3, "bits/products", 512)[2], "a product of bits is not");
    // A sixteenth of 512 numbers is opened; each is wrong unless all bits are 0 that were to choose.
    for parties in [2, 3] {
        named(&tried(parties, "bits/stage", 512)[1], "random bits that were opened");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    assert!(Comparison::new(3, 1, 1).is_err() && Comparison::new(3, 65, 1).is_err());
    assert!(Comparison::new(0, 8, 1).is_err() && Comparison::new(3, 8, 0).is_err());
    assert!(Comparison::full_range(1 << 24, 64).is_err());
    let wide = Comparison::new(10_000, 32, 1).expect("fits");
    assert_eq!((wide.rounds(), wide.triples()), (6, 300_000));
    // 4 bytes a number and three bits a triple.
    assert_eq!(wide.cost(0, 3).sent(), 2 * (40_000 + 112_500));
}

/// Ten thousand comparisons of 32 bits by three parties without a dealer, and the test of a table.
#[test]
#[ignore = "some seconds; for the figures of docs/protocols.md 14.3"]
#[allow(clippy::print_stdout)]
fn the_cost_of_ten_thousand_comparisons() {
    let of = Comparison::new(10_000, 32, 1).expect("fits");
    let results = World::new(3).run(async |mut session| {
        let mut source = source(&mut session, Origin::Pairwise);
        let mut from = Correlations::new(&mut *source).expect("new");
        // Base transfers come first, once in a session.
        let mut first = Orders::new();
        let warm = first.bit_triples(1);
        from.demand(first).expect("placed");
        from.take(warm).await.expect("made");
        let (before, start) =
            (session.meter().phase("preparation").sent(), std::time::Instant::now());
        let mut orders = Orders::new();
        let ordered = of.order(&mut orders);
        from.demand(orders).expect("placed");
        let prepared = ordered.take(&mut from).await.expect("made");
        let made = start.elapsed();
        session.meter().enter("compare");
        let own = share("x", &session, &vec![7; 10_000]);
        below(&own, &[vec![9; 10_000]], prepared, &mut session).await.expect("runs");
        let ahead = session.meter().phase("preparation").sent() - before;
        (made, start.elapsed(), ahead, session.meter().phase("compare").sent())
    });
    let ahead: u64 = results.iter().map(|it| it.2).sum();
    let online: u64 = results.iter().map(|it| it.3).sum();
    println!(
        "ahead {:?}, in all {:?}; {ahead} bytes ahead and {online} online on all links",
        results[0].0, results[0].1
    );
}
