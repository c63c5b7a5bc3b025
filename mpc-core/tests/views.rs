//! What a coalition sees, for every mask (docs/protocols.md 0, the view rule).
//!
//! For every [`MaskSite`] there is a look at a view that passes with all masks on and fails when
//! that one is off. The coalition is always as large as it can be, all parties but party 0, except
//! for zero shares, which protect two honest parties from the rest; shares and inputs are fixed, so
//! that nothing but the mask makes a message random; and what the coalition itself knows is taken
//! off before the rest is looked at.
//!
//! A mask is switched off in the worlds of one look, `off`, and stays on in all others.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use crate::law;

use std::sync::Arc;

use law::{Runs, fixed, ring, uniform, words};
use mpc_core::approx::{Series, Term};
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{
    CorrelationSource, Correlations, MatrixShape, Orders, OwnRows, OwnedMatrix,
    OwnedProductRequest, PhasorRequest, Request, RightRequest,
};
use mpc_core::protocols::product::{self, FixedLeft};
use mpc_core::protocols::truncate::{BoundedOpening, open_bounded, own_masks};
use mpc_core::rand::MaskSite;
use mpc_core::ring::{Ring, Z64, Z128};
use mpc_core::testing::{World, record_openings, stream_with, take_openings};
use mpc_core::{Against, Batch, Fixed, Outputs, Recipients, Session, Shared, trig};
use mpc_net::PartyId;
use mpc_net::fault::View;
use mpc_net::memory::MemoryTransport;

type Look = Result<(), String>;
type Off = Option<MaskSite>;

const RUNS: usize = 40;

#[test]
fn every_mask_is_needed() {
    law::check_the_checker();
    // `pairwise_views.rs` looks at the masks of oblivious transfer and of RLWE,
    // `pairwise_protocols.rs` at what is opened under masks that no dealer knows.
    let elsewhere = [
        MaskSite::OtChoice,
        MaskSite::OtCheck,
        MaskSite::TripleCheck,
        MaskSite::RingPad,
        MaskSite::LevelPad,
        MaskSite::OneHotLeaf,
        MaskSite::RlweSecret,
        MaskSite::RlweKey,
        MaskSite::RlweInput,
        MaskSite::RlweOutput,
        MaskSite::RlweOutputError,
        // `covert.rs` looks at commitments.
        MaskSite::Commitment,
        // `src/session/checkpoint/tests.rs` at states that a session goes on from.
        MaskSite::ZeroShareResumed,
        // `src/align/tests.rs` at alignments.
        MaskSite::AlignRequest,
        MaskSite::AlignHint,
        // `src/protocols/compare/views.rs` at comparisons.
        MaskSite::RandomBit,
        MaskSite::RandomBitValue,
        MaskSite::AndLeft,
        MaskSite::AndRight,
        MaskSite::AndCheck,
        MaskSite::AndProduct,
        MaskSite::BitPad,
        // `src/aggregate/views.rs` at sums by slices.
        MaskSite::AggregateZero,
        MaskSite::AggregateSelf,
        MaskSite::AggregateShares,
    ];
    for site in MaskSite::ALL.into_iter().filter(|site| !elsewhere.contains(site)) {
        if let Err(seen) = look(site, None) {
            panic!("with all masks on, the view of {site:?} is not uniform: {seen}");
        }
        match look(site, Some(site)) {
            Ok(()) => panic!("nobody notices that {site:?} is missing"),
            Err(seen) => println!("without {site:?}: {seen}"),
        }
    }
}

fn look(site: MaskSite, off: Off) -> Look {
    match site {
        MaskSite::InputShare => inputs(off),
        MaskSite::ZeroShareResult => results(off),
        MaskSite::ZeroShareBounded => bounded_single_messages(off),
        MaskSite::BoundedMask => [2, 3].into_iter().try_for_each(|n| bounded_sums(n, off)),
        MaskSite::ForwardMask => [2, 3].into_iter().try_for_each(|n| owned(n, off)?.weights()),
        MaskSite::TransposedMask => [2, 3].into_iter().try_for_each(|n| owned(n, off)?.residuals()),
        MaskSite::AngleMask => [2, 3].into_iter().try_for_each(|n| series(n, off)?.openings()),
        MaskSite::TripleLeft => [2, 3].into_iter().try_for_each(|n| {
            beaver(n, off)?.openings(true)?;
            beaver_narrow(n, off, true)
        }),
        MaskSite::TripleRight => [2, 3].into_iter().try_for_each(|n| {
            beaver(n, off)?.openings(false)?;
            beaver_narrow(n, off, false)
        }),
        MaskSite::TripleProduct => {
            [2, 3].into_iter().try_for_each(|n| beaver(n, off)?.corrections())
        }
        MaskSite::OwnedMatrix => [2, 3].into_iter().try_for_each(|n| owned(n, off)?.matrices()),
        MaskSite::OwnedProduct => [2, 3].into_iter().try_for_each(|n| owned(n, off)?.corrections()),
        MaskSite::Phasor => [2, 3].into_iter().try_for_each(|n| series(n, off)?.corrections()),
        // `MaskSite` may grow: a site without a view must not pass.
        other => panic!("no view test looks at {other:?}"),
    }
}

/// Runs `party` afresh and gives all views and what every party returned, run by run.
fn repeat<T>(world: &World, party: impl AsyncFn(Session) -> T) -> Vec<(Vec<View>, Vec<T>)> {
    (0..RUNS)
        .map(|_| {
            let mesh = world.mesh();
            let views = mesh.iter().map(MemoryTransport::record).collect();
            (views, world.run_on(mesh, |session| party(session)))
        })
        .collect()
}

/// The payloads that the owner of the view had from `from` in `step`.
fn from(view: &View, from: usize, step: &str) -> Vec<Vec<u8>> {
    view.messages()
        .into_iter()
        .filter(|seen| seen.from == PartyId::from_index(from) && seen.step == step)
        .map(|seen| seen.bytes)
        .collect()
}

/// The messages of `step` from `honest` to party 2 as they were sent, run by run.
fn sent<T>(runs: &[(Vec<View>, Vec<T>)], honest: usize, step: &str, bits: u32) -> Runs {
    runs.iter()
        .map(|(views, _)| {
            from(&views[2], honest, step).iter().map(|bytes| words(bytes, bits)).collect()
        })
        .collect()
}

/// A party's fixed share of fixed values: the other parties' shares are arbitrary.
fn fixed_share<R: Ring>(label: &str, me: usize, parties: usize, secret: &[i128]) -> Vec<R> {
    let share = |party| fixed(label, party, secret.len(), R::BITS);
    if me > 0 {
        return share(me).into_iter().map(R::from_u128).collect();
    }
    let mut mine: Vec<R> = secret.iter().map(|&v| R::from_i128(v)).collect();
    for party in 1..parties {
        for (mine, theirs) in mine.iter_mut().zip(share(party)) {
            *mine -= R::from_u128(theirs);
        }
    }
    mine
}

fn secrets(label: &str, count: usize, bits: u32) -> Vec<i128> {
    fixed(label, 99, count, 127).iter().map(|&v| v as i128 >> (127 - bits)).collect()
}

fn minus(a: &[u128], b: &[u128], bits: u32) -> Vec<u128> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.wrapping_sub(*b) & ring(bits)).collect()
}

fn sum_of<'a>(parts: impl IntoIterator<Item = &'a [u128]>, len: usize, bits: u32) -> Vec<u128> {
    let mut sum = vec![0u128; len];
    for part in parts {
        for (sum, part) in sum.iter_mut().zip(part) {
            *sum = sum.wrapping_add(*part) & ring(bits);
        }
    }
    sum
}

/// Input sharing has no traffic, so its shares are looked at where they are used: party 0's input
/// is opened without any other mask. The coalition is the last of three parties; it takes off
/// what it shares with party 0, and what is left of party 0's message hides behind party 1's share
/// alone.
fn inputs(off: Off) -> Look {
    const LEN: usize = 64;
    let secret: Vec<Z128> = secrets("input", LEN, 100).into_iter().map(Z128::from_i128).collect();
    let world = World::new(3).against(Against::SemiHonest).insecure_without(off);
    let runs = repeat(&world, async |mut session| {
        let me = session.me();
        let known = if me == 2 {
            let mut stream = stream_with(&session, 0, MaskSite::InputShare).unwrap();
            (0..2).map(|_| plain(&stream.elements::<Z128>(LEN, 128))).collect()
        } else {
            Vec::new()
        };
        let mut sums = Vec::new();
        for _ in 0..2 {
            let mine = (me == 0).then_some(secret.as_slice());
            let share = session.share_input(0, mine, LEN).unwrap();
            let mut batch = Batch::new("views/input");
            let slot = batch.masked(&share, 128, Recipients::All);
            sums.push(plain(session.open(batch).await.unwrap().at(slot)));
        }
        (known, sums)
    });
    let mut left: Runs = Vec::new();
    for (views, parties) in &runs {
        let (known, sums) = &parties[2];
        let messages = from(&views[2], 0, "views/input");
        assert!(sums.iter().all(|sum| *sum == plain(&secret)), "the sum is the input");
        left.push(
            messages
                .iter()
                .zip(known)
                .map(|(bytes, known)| sum_of([&words(bytes, 128)[..], known], LEN, 128))
                .collect(),
        );
    }
    uniform("party 0's share of its own input", 128, &left)?;
    // As it was sent, too: what is taken off could hide that it was used before.
    uniform("party 0's messages", 128, &sent(&runs, 0, "views/input", 128))?;
    // The shares of N - 1 parties, the owner's among them.
    let mut shares: Runs = Vec::new();
    for (views, _) in &runs {
        let of = |party| words(&from(&views[2], party, "views/input")[0], 128);
        shares.push(vec![of(0), of(1)]);
    }
    // Their sum less what party 2 holds is the input; each alone is uniform.
    for party in 0..2 {
        let one: Runs = shares.iter().map(|run| vec![run[party].clone()]).collect();
        uniform("a share of an input", 128, &one)?;
    }
    Ok(())
}

fn plain<R: Ring>(values: &[R]) -> Vec<u128> {
    values.iter().map(|v| v.to_u128()).collect()
}

/// A result opening: the single honest messages are uniform, the sum is the result.
fn results(off: Off) -> Look {
    const LEN: usize = 64;
    const BITS: u32 = 112;
    // Values in the middle between two units of the release, where a carry decides.
    let secret: Vec<i128> =
        secrets("result", LEN, 60).into_iter().map(|v| (v << 16) + (1 << 15)).collect();
    for drop in [0, 16] {
        let outputs =
            Outputs::none().allow("first", Recipients::All).allow("second", Recipients::All);
        let world =
            World::new(3).against(Against::SemiHonest).insecure_without(off).outputs(outputs);
        let runs = repeat(&world, async |mut session| {
            let me = session.me();
            let mut known = Vec::new();
            if me == 2 {
                for party in 0..2 {
                    let mut stream =
                        stream_with(&session, party, MaskSite::ZeroShareResult).unwrap();
                    known.push([0, 1].map(|_| plain(&stream.elements::<Z128>(LEN, BITS))));
                }
            }
            let share = Shared::column(fixed_share::<Z128>("result", me, 3, &secret));
            let first = session.reveal("first", &share, BITS, drop).await.unwrap();
            let second = session.reveal("second", &share, BITS, drop).await.unwrap();
            (known, [first.unwrap(), second.unwrap()])
        });
        let left = BITS - drop;
        for (_, parties) in &runs {
            for values in &parties[2].1 {
                for (value, exact) in values.iter().zip(&secret) {
                    let error = value - (exact >> drop);
                    assert!(error.abs() <= if drop == 0 { 0 } else { 3 }, "off by {error}");
                }
            }
        }
        for honest in 0..2 {
            let single: Runs = runs
                .iter()
                .map(|(views, parties)| {
                    let known = &parties[2].0[honest];
                    from(&views[2], honest, "reveal")
                        .iter()
                        .zip(known)
                        // Both honest parties are below party 2, so each adds its stream.
                        .map(|(bytes, known)| {
                            let known: Vec<_> = known.iter().map(|v| v >> drop).collect();
                            minus(&words(bytes, left), &known, left)
                        })
                        .collect()
                })
                .collect();
            uniform("one honest message of a result", left, &single)?;
            uniform("the same as it was sent", left, &sent(&runs, honest, "reveal", left))?;
        }
        // Zero share first, truncation after it: the carry is fresh in every run.
        let first = |run: usize| &runs[run].1[2].1[0];
        let fresh = (0..LEN).any(|i| (1..RUNS).any(|run| first(run)[i] != first(0)[i]));
        if drop > 0 && !fresh {
            return Err("the carry of a release depends on unrandomised bits".to_owned());
        }
    }
    Ok(())
}

/// A bounded opening on fixed shares and fixed masks, so that the zero share is all there is: the
/// single honest messages are uniform in the whole ring, also above the bounded masks.
fn bounded_single_messages(off: Off) -> Look {
    const LEN: usize = 64;
    let spec = BoundedOpening::new(40, 56, 12, 3).unwrap();
    let secret = secrets("bounded", LEN, 40);
    let rho = |party, turn: usize| {
        let values = fixed(&format!("rho {turn}"), party, LEN, spec.mask_bits());
        values.into_iter().map(Z128).collect::<Vec<_>>()
    };
    let runs = repeat(
        &World::new(3).against(Against::SemiHonest).insecure_without(off),
        async |mut session| {
            let me = session.me();
            let mut known = Vec::new();
            if me == 2 {
                for party in 0..2 {
                    let mut stream =
                        stream_with(&session, party, MaskSite::ZeroShareBounded).unwrap();
                    known.push([0, 1].map(|_| plain(&stream.elements::<Z128>(LEN, spec.ring))));
                }
            }
            let share = Shared::column(fixed_share::<Z128>("bounded", me, 3, &secret));
            let mut sums = Vec::new();
            for turn in 0..2 {
                let mut batch = Batch::new("views/bounded");
                let slot = spec
                    .push(&share, &rho(me, turn), Recipients::All, &mut batch, &mut session)
                    .unwrap();
                sums.push(plain(session.open(batch).await.unwrap().at(slot)));
            }
            (known, sums)
        },
    );
    for (_, parties) in &runs {
        for (turn, sum) in parties[2].1.iter().enumerate() {
            for (i, &c) in sum.iter().enumerate() {
                let masks: u128 = (0..3).map(|party| rho(party, turn)[i].0).sum();
                assert_eq!(c as i128, secret[i] + (1 << 40) + masks as i128);
            }
        }
    }
    for honest in 0..2 {
        let single: Runs = runs
            .iter()
            .map(|(views, parties)| {
                from(&views[2], honest, "views/bounded")
                    .iter()
                    .zip(&parties[2].0[honest])
                    .map(|(bytes, known)| minus(&words(bytes, spec.ring), known, spec.ring))
                    .collect()
            })
            .collect();
        uniform("one honest message of a bounded opening", spec.ring, &single)?;
        let raw = sent(&runs, honest, "views/bounded", spec.ring);
        uniform("the same as it was sent", spec.ring, &raw)?;
    }
    Ok(())
}

/// The sums of bounded openings under masks of each party alone, less those of the coalition.
fn bounded_sums(parties: usize, off: Off) -> Look {
    const LEN: usize = 64;
    let spec = BoundedOpening::new(40, 56, 12, parties as u32).unwrap();
    let world = World::new(parties).insecure_without(off);
    let mut left: Runs = Vec::new();
    for _ in 0..RUNS {
        record_openings();
        world.run(async |mut session| {
            let mut masks = own_masks(&mut session).unwrap();
            for sign in [1, -1] {
                let values = vec![sign * ((1i128 << spec.magnitude) - 1); LEN];
                let share = fixed_share::<Z128>("bounded", session.me(), parties, &values);
                let items = [(spec, &Shared::column(share))];
                open_bounded("views/bounded", &items, &mut masks, &mut session).await.unwrap();
            }
        });
        let seen = take_openings();
        let of = |party: usize| seen.iter().filter(move |seen| seen.party == party);
        let mut sums: Vec<_> = of(0).map(|seen| seen.sum.clone().unwrap()).collect();
        for party in 1..parties {
            for (sum, seen) in sums.iter_mut().zip(of(party)) {
                *sum = minus(sum, &seen.hidden.as_ref().unwrap().mask, spec.mask_bits());
            }
        }
        left.push(sums);
    }
    uniform("bounded sums", spec.mask_bits(), &left)
}

/// Side of the square matrices of the Beaver products.
const SIDE: usize = 8;

struct BeaverRun {
    views: Vec<View>,
    /// By party: A, B and AB of each of the three products.
    material: Vec<[Vec<Vec<u128>>; 3]>,
}

struct Beaver {
    parties: usize,
    runs: Vec<BeaverRun>,
}

/// Three products of the same fixed X and Y: two with one left factor, one with another.
fn beaver(parties: usize, off: Off) -> Result<Beaver, String> {
    const LEN: usize = SIDE * SIDE;
    let (x, y) = (secrets("x", LEN, 63), secrets("y", LEN, 63));
    let runs = repeat(
        &World::new(parties).with_dealer().against(Against::SemiHonest).insecure_without(off),
        async |mut session| {
            let me = session.me();
            let share = |label, secret| {
                Shared::new(fixed_share::<Z64>(label, me, parties, secret), SIDE, SIDE)
            };
            let (x, y) = (share("x", &x), share("y", &y));
            let mut source = DealerSource::start(&mut session).unwrap();
            let side = SIDE as u32;
            let left = || Request::Left { m: side, k: side, ring: 64 };
            let right = |left, last| Request::Right(RightRequest { left, n: side, last });
            source
                .demand(vec![left(), right(0, false), right(0, true), left(), right(1, true)])
                .unwrap();
            let mut material = [Vec::new(), Vec::new(), Vec::new()];
            let mut next_left = source.take().await.unwrap().left64().unwrap();
            let mut rights = Vec::new();
            for _ in 0..2 {
                rights.push(source.take().await.unwrap().right64().unwrap());
                material[0].push(plain(next_left.a.as_slice()));
            }
            let other_left = source.take().await.unwrap().left64().unwrap();
            rights.push(source.take().await.unwrap().right64().unwrap());
            material[0].push(plain(other_left.a.as_slice()));
            for right in &rights {
                material[1].push(plain(right.b.as_slice()));
                material[2].push(plain(right.ab.as_slice()));
            }
            let mut rights = rights.into_iter();
            let mut next_right = || rights.next().unwrap();

            let mut batch = Batch::new("views/product");
            let pending = FixedLeft::push(&x, next_left, &mut batch).unwrap();
            let pending_y = FixedLeft::push_right(&y, next_right(), &mut batch).unwrap();
            let opened = session.open(batch).await.unwrap();
            let fixed = FixedLeft::opened(pending, &opened);
            drop(fixed.finish(pending_y, &opened, &session));
            fixed.multiply(&y, next_right(), &mut session).await.unwrap();
            next_left = other_left;
            product::multiply(&x, &y, next_left, next_right(), &mut session).await.unwrap();
            source.finish().await.unwrap();
            material
        },
    );
    let runs = runs.into_iter().map(|(views, material)| BeaverRun { views, material }).collect();
    Ok(Beaver { parties, runs })
}

/// Two products of the same fixed reals, which are opened in their own smaller ring.
fn beaver_narrow(parties: usize, off: Off, left: bool) -> Look {
    const LEN: usize = SIDE * SIDE;
    const RING: u32 = 96;
    let (x, y) = (secrets("x", LEN, 40), secrets("y", LEN, 40));
    let world =
        World::new(parties).with_dealer().against(Against::SemiHonest).insecure_without(off);
    let runs = repeat(&world, async |mut session| {
        let me = session.me();
        let share = |label, secret, ring| {
            let share = fixed_share::<Z128>(label, me, parties, secret);
            Fixed::new(Shared::new(share, SIDE, SIDE), ring, 20).unwrap()
        };
        let (x, y) = (share("x", &x, 128), share("y", &y, RING));
        let mut source = DealerSource::start(&mut session).unwrap();
        let mut correlations = Correlations::new(&mut source).unwrap();
        let mut orders = Orders::new();
        let mut triple = || {
            let left = orders.left(SIDE, SIDE);
            let right = orders.right(&left, SIDE);
            (left, right)
        };
        let triples = [triple(), triple()];
        correlations.demand(orders).unwrap();
        for (left, right) in triples {
            let left = correlations.take(left).await.unwrap();
            let right = correlations.take(right).await.unwrap();
            product::multiply_fixed(&x, &y, left, right, &mut session).await.unwrap();
        }
        correlations.finish().await.unwrap();
    });
    let half = LEN * RING as usize / 8;
    let shares: Runs = runs
        .iter()
        .map(|(views, _)| {
            let messages = from(&views[parties - 1], 0, "product/fixed");
            let part =
                |bytes: &Vec<u8>| words(if left { &bytes[..half] } else { &bytes[half..] }, RING);
            messages.iter().map(part).collect()
        })
        .collect();
    uniform(if left { "E = X - A" } else { "F = Y - B" }, RING, &shares)
}

impl Beaver {
    /// Party 0's shares of E (or F), of all products of a run: each under a mask of its own.
    fn openings(&self, left: bool) -> Look {
        let half = SIDE * SIDE * 8;
        let shares: Runs = self
            .runs
            .iter()
            .map(|run| {
                let view = &run.views[self.parties - 1];
                let one = |step| from(view, 0, step).remove(0);
                let (first, again, other) =
                    (one("views/product"), one("product/fixed-left"), one("product"));
                let bytes = if left {
                    vec![first[..half].to_vec(), other[..half].to_vec()]
                } else {
                    vec![first[half..].to_vec(), again, other[half..].to_vec()]
                };
                bytes.iter().map(|bytes| words(bytes, 64)).collect()
            })
            .collect();
        uniform(if left { "E = X - A" } else { "F = Y - B" }, 64, &shares)
    }

    /// The dealer's corrections at the last party. A coalition that knows X and Y knows A and B
    /// from what was opened; less A B and the coalition's own parts, party 0's part is left.
    fn corrections(&self) -> Look {
        let dealer = self.parties;
        let left: Runs = self
            .runs
            .iter()
            .map(|run| {
                let corrections = from(&run.views[self.parties - 1], dealer, "dealer/correction");
                assert_eq!(corrections.len(), 3);
                (0..3)
                    .map(|product| {
                        let sum = |kind: usize| {
                            let parts = run.material.iter().map(|m| m[kind][product].as_slice());
                            sum_of(parts, SIDE * SIDE, 64)
                        };
                        let (a, b) = (sum(0), sum(1));
                        let ab: Vec<u128> = (0..SIDE * SIDE)
                            .map(|at| {
                                let (row, column) = (at / SIDE, at % SIDE);
                                (0..SIDE).fold(0u128, |sum, k| {
                                    let term = a[row * SIDE + k] * b[k * SIDE + column];
                                    sum.wrapping_add(term) & ring(64)
                                })
                            })
                            .collect();
                        let coalition =
                            run.material[1..dealer - 1].iter().map(|m| m[2][product].as_slice());
                        let correction = words(&corrections[product], 64);
                        let all = coalition.chain([correction.as_slice()]);
                        minus(&sum_of(all, SIDE * SIDE, 64), &ab, 64)
                    })
                    .collect()
            })
            .collect();
        uniform("corrections of triples", 64, &left)
    }
}

/// Arguments of a series, and the ring and scale of its phasors.
const COUNT: usize = 32;
const PHASOR_RING: u32 = 104;
const PHASOR_FRACTION: u32 = 18;
const HARMONICS: [u32; 2] = [1, 3];

struct SeriesRun {
    views: Vec<View>,
    /// By party and evaluation: masks of the angles, shares of cosines and sines.
    material: Vec<Vec<[Vec<u128>; 2]>>,
}

struct SeriesRuns {
    parties: usize,
    runs: Vec<SeriesRun>,
}

/// Two evaluations of a series at the same fixed arguments.
fn series(parties: usize, off: Off) -> Result<SeriesRuns, String> {
    let terms = HARMONICS.map(|k| Term { k, sine: 1000 - i64::from(k), cosine: 0 });
    let series = Series { period: 6, fraction: 18, terms: terms.to_vec() };
    let z = secrets("z", COUNT, 40);
    let runs = repeat(
        &World::new(parties).with_dealer().against(Against::SemiHonest).insecure_without(off),
        async |mut session| {
            let me = session.me();
            let z = Shared::column(fixed_share::<Z64>("z", me, parties, &z));
            let mut source = DealerSource::start(&mut session).unwrap();
            let request = || {
                Request::Phasors(PhasorRequest {
                    count: COUNT as u32,
                    harmonics: HARMONICS.to_vec(),
                    fraction: PHASOR_FRACTION,
                    ring: PHASOR_RING,
                    angle_bits: trig::ANGLE_BITS,
                    rounding: None,
                })
            };
            source.demand(vec![request(), request()]).unwrap();
            let mut material = Vec::new();
            for _ in 0..2 {
                let phasors = source.take().await.unwrap().phasors().unwrap();
                let mut both = plain(phasors.cosine.as_slice());
                both.extend(plain(phasors.sine.as_slice()));
                material.push([plain(&phasors.mask), both]);
                series.apply(&z, 36, phasors, &mut session).await.unwrap();
            }
            source.finish().await.unwrap();
            material
        },
    );
    let runs = runs.into_iter().map(|(views, material)| SeriesRun { views, material }).collect();
    Ok(SeriesRuns { parties, runs })
}

impl SeriesRuns {
    /// Party 0's shares of delta = z - r.
    fn openings(&self) -> Look {
        let shares: Runs = self
            .runs
            .iter()
            .map(|run| {
                let messages = from(&run.views[self.parties - 1], 0, "series/open-delta");
                messages.iter().map(|bytes| words(bytes, trig::ANGLE_BITS)).collect()
            })
            .collect();
        uniform("delta = z - r", trig::ANGLE_BITS, &shares)
    }

    /// The dealer's corrections at the last party. A coalition that knows z knows r from delta;
    /// less the cosines and sines and the coalition's own parts, party 0's part is left.
    fn corrections(&self) -> Look {
        let dealer = self.parties;
        let terms = HARMONICS.len() * COUNT;
        let left: Runs = self
            .runs
            .iter()
            .map(|run| {
                let corrections = from(&run.views[dealer - 1], dealer, "dealer/correction");
                assert_eq!(corrections.len(), 2);
                (0..2)
                    .map(|turn| {
                        let masks = run.material.iter().map(|m| m[turn][0].as_slice());
                        let r = sum_of(masks, COUNT, trig::ANGLE_BITS);
                        let mut exact = vec![0u128; 2 * terms];
                        let drop = trig::FRACTION_BITS - PHASOR_FRACTION;
                        let round = |v: i64| i128::from((v + (1 << (drop - 1))) >> drop) as u128;
                        for (i, k) in HARMONICS.into_iter().enumerate() {
                            for (b, &r) in r.iter().enumerate() {
                                let (cos, sin) = trig::cosine_sine((r as u32).wrapping_mul(k));
                                exact[i * COUNT + b] = round(cos);
                                exact[terms + i * COUNT + b] = round(sin);
                            }
                        }
                        let coalition =
                            run.material[1..dealer - 1].iter().map(|m| m[turn][1].as_slice());
                        let correction = words(&corrections[turn], PHASOR_RING);
                        let all = coalition.chain([correction.as_slice()]);
                        minus(&sum_of(all, 2 * terms, PHASOR_RING), &exact, PHASOR_RING)
                    })
                    .collect()
            })
            .collect();
        uniform("corrections of phasors", PHASOR_RING, &left)
    }
}

/// Rows of each party and columns of the owned matrix.
const ROWS: usize = 32;
const COLUMNS: usize = 24;
const WIDE: u32 = 112;

struct OwnedOutcome {
    /// By request: the own masks, and the share of the product.
    rho: Vec<Vec<u128>>,
    product: Vec<Vec<u128>>,
    /// The bounded openings that this party learned, in the order of the requests.
    opened: Vec<Vec<u128>>,
}

struct OwnedRuns {
    parties: usize,
    runs: Vec<(Vec<View>, Vec<OwnedOutcome>)>,
}

fn forward_spec(parties: usize) -> BoundedOpening {
    BoundedOpening::new(40, 56, 12, parties as u32).unwrap()
}

fn back_spec(parties: usize) -> BoundedOpening {
    BoundedOpening::new(20, 57, 0, parties as u32 - 1).unwrap()
}

fn shape(parties: usize) -> MatrixShape {
    MatrixShape {
        rows: vec![ROWS as u64; parties],
        columns: COLUMNS as u32,
        entry_bits: 17,
        sigma: 56,
    }
}

fn own_rows(party: usize) -> Vec<i32> {
    secrets(&format!("rows {party}"), ROWS * COLUMNS, 16).iter().map(|&x| x as i32 - 5).collect()
}

/// The same rows registered twice; with the first, two forward and two transposed products, each
/// pair with inputs as far apart as the bounds allow.
fn owned(parties: usize, off: Off) -> Result<OwnedRuns, String> {
    let (forward, back) = (forward_spec(parties), back_spec(parties));
    let total = parties * ROWS;
    let runs = repeat(
        &World::new(parties).with_dealer().against(Against::SemiHonest).insecure_without(off),
        async |mut session| {
            let me = session.me();
            let mut source = DealerSource::start(&mut session).unwrap();
            for _ in 0..2 {
                let own = Arc::new(OwnRows::new(own_rows(me)));
                source.register(OwnedMatrix { shape: shape(parties), own }).await.unwrap();
            }
            let request = |transposed: bool| {
                let spec = if transposed { back } else { forward };
                Request::OwnedProduct(OwnedProductRequest {
                    matrix: 0,
                    rows: vec![(0, ROWS as u64); parties],
                    transposed,
                    ring: if transposed { WIDE } else { 64 },
                    mask_bits: spec.mask_bits(),
                    drop: spec.drop,
                    public_columns: 0,
                })
            };
            source
                .demand(vec![request(false), request(false), request(true), request(true)])
                .unwrap();

            let mut outcome =
                OwnedOutcome { rho: Vec::new(), product: Vec::new(), opened: Vec::new() };
            for sign in [1, -1] {
                let v = vec![sign * ((1i128 << forward.magnitude) - 1); COLUMNS];
                let v = Shared::column(fixed_share::<Z128>("v", me, parties, &v));
                let material = source.take().await.unwrap().forward().unwrap();
                let mut batch = Batch::new("views/forward");
                let slot = forward
                    .push(&v, &material.rho, Recipients::All, &mut batch, &mut session)
                    .unwrap();
                outcome.opened.push(plain(session.open(batch).await.unwrap().at(slot)));
                outcome.rho.push(plain(&material.rho));
                outcome.product.push(plain(material.product.as_slice()));
            }
            for sign in [1, -1] {
                let e = vec![sign * ((1i128 << back.magnitude) - 1); total];
                let e = fixed_share::<Z128>("e", me, parties, &e);
                let material = source.take().await.unwrap().transposed().unwrap();
                let mut batch = Batch::new("views/transposed");
                let mut slots = Vec::new();
                for owner in 0..parties {
                    let range = owner * ROWS..(owner + 1) * ROWS;
                    let part = Shared::column(e[range.clone()].to_vec());
                    let rho = if owner == me { &[][..] } else { &material.rho[range] };
                    let to = Recipients::One(owner);
                    slots.push(back.push(&part, rho, to, &mut batch, &mut session).unwrap());
                }
                outcome.opened.push(plain(session.open(batch).await.unwrap().at(slots[me])));
                outcome.rho.push(plain(&material.rho));
                outcome.product.push(plain(material.product.as_slice()));
            }
            source.finish().await.unwrap();
            outcome
        },
    );
    Ok(OwnedRuns { parties, runs })
}

impl OwnedRuns {
    fn weights(&self) -> Look {
        let bits = forward_spec(self.parties).mask_bits();
        uniform("opened weights", bits, &self.sums([0, 1], bits))
    }

    fn residuals(&self) -> Look {
        let bits = back_spec(self.parties).mask_bits();
        uniform("opened residuals", bits, &self.sums([2, 3], bits))
    }

    /// The sums of bounded openings, less the coalition's masks: they do not depend on the value,
    /// though the two of each pair are as far apart as can be.
    fn sums(&self, requests: [usize; 2], bits: u32) -> Runs {
        let last = self.parties - 1;
        let one = |parties: &[OwnedOutcome], request: usize| {
            let opened = &parties[last].opened[request];
            let len = opened.len();
            // Transposed, the rows of the last party: that is where its opening lies.
            let at = if request < 2 { 0 } else { last * ROWS };
            let masks = parties[1..].iter().map(|p| &p.rho[request][at..at + len]);
            minus(opened, &sum_of(masks, len, 128), bits)
        };
        let all = self.runs.iter();
        all.map(|(_, parties)| requests.iter().map(|&r| one(parties, r)).collect()).collect()
    }

    /// D = X - A of party 0's rows, and that D shows no sign of X beyond the mask.
    fn matrices(&self) -> Look {
        let shape = shape(self.parties);
        let (wire, bits) = (shape.wire_bits(), shape.mask_bits());
        let mut masked: Runs = Vec::new();
        for (views, _) in &self.runs {
            let messages = from(&views[self.parties - 1], 0, "dealer/masked-matrix");
            assert_eq!(messages.len(), 2);
            let d = messages.iter().map(|bytes| words(bytes, wire));
            // A - X mod 2^mask_bits.
            masked.push(d.map(|d| minus(&vec![0; d.len()], &d, bits)).collect());
        }
        uniform("D = X - A", bits, &masked)
    }

    /// The dealer's corrections at the last party: less A mu, which a coalition that knows X and
    /// what was opened can work out, and less the coalition's own parts, party 0's part is left.
    fn corrections(&self) -> Look {
        let (parties, dealer) = (self.parties, self.parties);
        let x: Vec<Vec<i32>> = (0..parties).map(own_rows).collect();
        let wire = shape(parties).wire_bits();
        let signed = |v: u128| ((v << (128 - wire)) as i128 >> (128 - wire)) as u128;
        let mut forward: Runs = Vec::new();
        let mut back: Runs = Vec::new();
        for (views, outcomes) in &self.runs {
            // D by owner, as any other party received it.
            let d: Vec<Vec<u128>> = (0..parties)
                .map(|owner| {
                    let view = &views[if owner == 0 { 1 } else { 0 }];
                    let bytes = from(view, owner, "dealer/masked-matrix").remove(0);
                    words(&bytes, wire).into_iter().map(signed).collect()
                })
                .collect();
            // All rows below each other: D, and A = X - D.
            let d = d.concat();
            let a: Vec<u128> = x
                .concat()
                .iter()
                .zip(&d)
                .map(|(&x, d)| (i128::from(x) as u128).wrapping_sub(*d))
                .collect();
            let corrections = from(&views[parties - 1], dealer, "dealer/correction");
            assert_eq!(corrections.len(), 4);
            let part = |request: usize| {
                let (transposed, bits) = (request >= 2, if request < 2 { 64 } else { WIDE });
                let drop = if transposed { 0 } else { forward_spec(parties).drop };
                let len = if transposed { COLUMNS } else { parties * ROWS };
                let times = |matrix: &[u128], mu: &[u128]| -> Vec<u128> {
                    let mut out = vec![0u128; len];
                    for (at, m) in matrix.iter().enumerate() {
                        let (row, column) = (at / COLUMNS, at % COLUMNS);
                        let (to, from) = if transposed { (column, row) } else { (row, column) };
                        out[to] = out[to].wrapping_add(m.wrapping_mul(mu[from])) & ring(bits);
                    }
                    out
                };
                let mu: Vec<Vec<u128>> = outcomes
                    .iter()
                    .map(|o| o.rho[request].iter().map(|rho| rho >> drop).collect())
                    .collect();
                let all_mu = sum_of(mu.iter().map(Vec::as_slice), mu[0].len(), 128);
                let mut left = words(&corrections[request], bits);
                for party in 1..parties - 1 {
                    let own =
                        minus(&outcomes[party].product[request], &times(&d, &mu[party]), bits);
                    left = sum_of([&left[..], &own], len, bits);
                }
                minus(&left, &times(&a, &all_mu), bits)
            };
            forward.push(vec![part(0), part(1)]);
            back.push(vec![part(2), part(3)]);
        }
        uniform("corrections of forward products", 64, &forward)?;
        uniform("corrections of transposed products", WIDE, &back)
    }
}
