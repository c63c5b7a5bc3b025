//! What a coalition sees of an inverse, for every mask of it (docs/protocols.md 0 and 7.2). The
//! matrix and party 0's share of it are fixed, and it is inverted twice in a session.
#![allow(clippy::unwrap_used)]

use crate::law;

use law::{Runs, fixed, ring, uniform, words};
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{CorrelationSource, Request};
use mpc_core::protocols::solve::{InversePlan, InverseSettings, Start, StartBound, inverse};
use mpc_core::rand::MaskSite;
use mpc_core::ring::{Ring, Z128};
use mpc_core::testing::{World, stream_with};
use mpc_core::{Against, Shared};
use mpc_net::PartyId;
use mpc_net::fault::View;
use mpc_net::memory::MemoryTransport;

type Look = Result<(), String>;

const RUNS: usize = 40;
const ORDER: usize = 8;
const SQUARE: usize = ORDER * ORDER;
const TRIANGLE: usize = ORDER * (ORDER + 1) / 2;

#[test]
fn every_mask_of_an_inverse_is_needed() {
    let sites = [
        MaskSite::BoundedMask,
        MaskSite::ZeroShareBounded,
        MaskSite::TripleLeft,
        MaskSite::TripleRight,
    ];
    for site in sites {
        if let Err(seen) = look(site, None) {
            panic!("with all masks on, the view of {site:?} is not uniform: {seen}");
        }
        assert!(look(site, Some(site)).is_err(), "nobody notices that {site:?} is missing");
    }
}

fn look(site: MaskSite, off: Option<MaskSite>) -> Look {
    match site {
        MaskSite::ZeroShareBounded => seen(3, off).single_messages(),
        MaskSite::BoundedMask => [2, 3].into_iter().try_for_each(|n| seen(n, off).bounded()),
        _ => {
            [2, 3].into_iter().try_for_each(|n| seen(n, off).factors(site == MaskSite::TripleLeft))
        }
    }
}

struct Seen {
    parties: usize,
    plan: InversePlan,
    /// Of every run: what the last party saw, and by party 1 and 2 the zero shares of the bounded
    /// openings at the start of each inverse that it has in common with party 0.
    runs: Vec<(View, Vec<[Vec<u128>; 2]>)>,
}

fn plan(parties: usize) -> InversePlan {
    InversePlan::new(InverseSettings {
        order: ORDER,
        parties: parties as u32,
        sigma: 60,
        diagonal: 0.5,
        least: 0.25,
        start: StartBound::Identity,
        reuse: false,
    })
    .unwrap()
}

/// Party `me`'s fixed share of G = I / 2.
fn share(plan: &InversePlan, me: usize, parties: usize) -> Shared<Z128> {
    let of = |party| fixed("g", party, SQUARE, 128).into_iter().map(Z128);
    let mut mine: Vec<Z128> = if me > 0 { of(me).collect() } else { vec![Z128::ZERO; SQUARE] };
    if me == 0 {
        for (at, mine) in mine.iter_mut().enumerate() {
            if at / ORDER == at % ORDER {
                *mine += Z128(1 << (plan.fraction() - 1));
            }
        }
        for party in 1..parties {
            mine.iter_mut().zip(of(party)).for_each(|(mine, theirs)| *mine -= theirs);
        }
    }
    Shared::new(mine, ORDER, ORDER)
}

/// Elements that one inverse opens by 3b.
fn bounded_elements(plan: &InversePlan) -> usize {
    let limbs = plan.requests(0).iter().fold(1, |most, request| match request {
        Request::Right(right) => most.max(right.n as usize / ORDER),
        _ => most,
    });
    TRIANGLE + (plan.lefts() as usize - 1) * (SQUARE + limbs * TRIANGLE)
}

fn seen(parties: usize, off: Option<MaskSite>) -> Seen {
    let plan = plan(parties);
    let runs = (0..RUNS).map(|_| {
        let world =
            World::new(parties).with_dealer().against(Against::SemiHonest).insecure_without(off);
        let mesh = world.mesh();
        let mut views: Vec<_> = mesh.iter().map(MemoryTransport::record).collect();
        let known = world.run_on(mesh, async |mut session| {
            let mut known = [Vec::new(), Vec::new()];
            if session.me() > 0 {
                let mut stream = stream_with(&session, 0, MaskSite::ZeroShareBounded).unwrap();
                for known in &mut known {
                    let all = stream.elements::<Z128>(bounded_elements(&plan), 128);
                    *known = all[..TRIANGLE].iter().map(|v| v.0).collect();
                }
            }
            let g = share(&plan, session.me(), parties);
            let mut source = DealerSource::start(&mut session).unwrap();
            for turn in 0..2 {
                source.demand(plan.requests(turn * plan.lefts())).unwrap();
                inverse(&plan, &g, Start::Identity, &mut source, &mut session).await.unwrap();
            }
            source.finish().await.unwrap();
            known
        });
        (views.swap_remove(parties - 1), known[1..].to_vec())
    });
    let runs = runs.collect();
    Seen { parties, plan, runs }
}

/// Party 0's messages of a step.
fn messages(view: &View, step: &str, bits: u32) -> Vec<Vec<u128>> {
    view.messages()
        .into_iter()
        .filter(|seen| seen.from == PartyId::from_index(0) && seen.step == step)
        .map(|seen| words(&seen.bytes, bits))
        .collect()
}

fn minus(a: &[u128], b: &[u128], bits: u32) -> Vec<u128> {
    a.iter().zip(b).map(|(a, b)| a.wrapping_sub(*b) & ring(bits)).collect()
}

impl Seen {
    /// Less the zero shares that the coalition, all but party 0, knows, party 0's messages at the
    /// start are hidden by its own bounded mask alone.
    fn bounded(&self) -> Look {
        let start = self.plan.start_opened();
        let (bits, mask) = (start.ring, start.mask_bits());
        let left: Runs = self
            .runs
            .iter()
            .map(|(view, known)| {
                messages(view, "inverse/start", bits)
                    .into_iter()
                    .enumerate()
                    .map(|(turn, message)| {
                        known.iter().fold(message, |left, of| minus(&left, &of[turn], mask))
                    })
                    .collect()
            })
            .collect();
        uniform(&format!("{} parties, masked start", self.parties), mask, &left)
    }

    /// With two honest parties, each of their messages for itself is uniform in the whole ring.
    fn single_messages(&self) -> Look {
        let bits = self.plan.start_opened().ring;
        let left: Runs = self
            .runs
            .iter()
            .map(|(view, known)| {
                let messages = messages(view, "inverse/start", bits).into_iter().enumerate();
                // The coalition is party 2.
                messages.map(|(turn, message)| minus(&message, &known[1][turn], bits)).collect()
            })
            .collect();
        uniform("one honest message", bits, &left)
    }

    /// Party 0's shares of all E = X - A, or of all F = Y - B.
    fn factors(&self, left: bool) -> Look {
        let shares: Runs = self
            .runs
            .iter()
            .map(|(view, _)| {
                let mut shares = Vec::new();
                for message in messages(view, "inverse/open-x", 128) {
                    let parts: Vec<_> = message.chunks(SQUARE).map(<[u128]>::to_vec).collect();
                    // G - A once, then X - B and X - A.
                    let at = parts.len() - 2;
                    shares.extend(if left {
                        [&parts[..at], &parts[at + 1..]].concat()
                    } else {
                        vec![parts[at].clone()]
                    });
                }
                if !left {
                    for message in messages(view, "inverse/open-gx", 128) {
                        shares.extend(message.chunks(SQUARE).map(<[u128]>::to_vec));
                    }
                }
                shares
            })
            .collect();
        uniform(if left { "E = X - A" } else { "F = Y - B" }, 128, &shares)
    }
}
