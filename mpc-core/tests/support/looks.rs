//! What the nodes of a run see, look by look, and the laws that it has to obey.
//!
//! Of each opening: the messages of the parties, as they were sent and less the zero shares that a
//! coalition has in common with their sender; the sum, as it was learned and less the masks of all
//! parties but one. The first of each finds a mask that nobody adds, the second one that a single
//! party does not add, which the masks of the others would cover. Differences and sums of two of the
//! one or the other find a mask that comes twice.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;

use mpc_core::correlations::{MatrixShape, OwnRows};
use mpc_core::rand::{MaskSite, Prg};
use mpc_core::ring::Z128;
use mpc_core::testing::{Kind, Opening, stream_with};
use mpc_core::{Recipients, Session, Tag};

use mpc_net::fault::View;

use crate::law::{Runs, ring, uniform};
use crate::recording::Taken;

#[path = "added.rs"]
mod added;
#[path = "pairs.rs"]
mod pairs;

use added::masks;
use pairs::Pairs;

/// What one party ordered and received, and what it shares with each other one.
pub struct Party {
    pub taken: Vec<Taken>,
    pub matrices: Vec<(MatrixShape, Arc<OwnRows>)>,
    /// The zero shares of results and of bounded openings in common with each other party.
    pub results: Vec<Option<Prg>>,
    pub bounded: Vec<Option<Prg>>,
}

/// What a run shows.
pub struct Run {
    /// Of all nodes, a dealer last.
    pub views: Vec<View>,
    pub openings: Vec<Opening>,
    /// Why no model came of it.
    pub refused: Option<String>,
    pub parties: Vec<Party>,
}

/// The zero shares that this node has in common with each other one, from their beginning.
pub fn zero_shares(session: &Session, site: MaskSite) -> Vec<Option<Prg>> {
    (0..session.parties()).map(|peer| stream_with(session, peer, site).ok()).collect()
}

/// Fewer samples show nothing.
const SAMPLES: usize = 640;
/// More messages than this are not compared each with each.
const MOST_APART: usize = 4;
/// Groups of four bits that are enough of a run.
const MOST_PARTS: usize = 1 << 13;

/// What a look is at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The messages of a party in a step; less the zero shares that it has in common with another one.
    Message {
        step: &'static str,
        kind: u8,
        from: usize,
        less: bool,
    },
    /// The highest bits of all parties' messages of bounded openings, where no bounded mask reaches.
    Head {
        step: &'static str,
        less: bool,
    },
    /// What is opened in a step; less the masks of all but one party.
    Sum {
        step: &'static str,
        kind: u8,
        honest: Option<usize>,
    },
    /// All parties' messages of one result, or of all results.
    Result {
        nth: Option<usize>,
        less: bool,
    },
    /// What an owner shows of its matrix to the others and a dealer, by its bits.
    Matrix(u32),
    /// A dealer's corrections of products, of owned products, of phasors, by their rings.
    Product(u32),
    Owned(u32),
    Phasors(u32),
    /// The choices of oblivious transfers.
    Choices,
    /// Two openings of one party or sum beside each other: only if they are not uniform.
    Pair {
        steps: [&'static str; 2],
        whose: Box<What>,
        added: bool,
    },
}

pub const MASKED: u8 = 0;
pub const BOUNDED: u8 = 1;

/// The elements of one message, and how many bits they have.
type Words = (u32, Vec<u128>);

/// For each look and each run, what it is at.
#[derive(Default)]
pub struct Looks {
    all: BTreeMap<What, Vec<Vec<Words>>>,
    /// For each run, the messages and sums in their order: the look, and the how many of it each is.
    order: Vec<Vec<(What, usize)>>,
    run: usize,
}

/// How a look ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Uniform,
    /// Why it is not.
    Broken(String),
    TooFew,
}

impl Looks {
    /// Looks at some runs of one fit.
    pub fn at(mut runs: Vec<Run>, more: impl Fn(&Run, &mut Looks)) -> Self {
        let mut looks = Self::default();
        for (number, run) in runs.iter_mut().enumerate() {
            looks.run = number;
            looks.order.push(Vec::new());
            openings(run, &mut looks);
            choices(run, &mut looks);
            more(run, &mut looks);
        }
        looks
    }

    pub fn push(&mut self, what: What, bits: u32, elements: Vec<u128>) {
        let runs = self.all.entry(what.clone()).or_default();
        runs.resize_with(runs.len().max(self.run + 1), Vec::new);
        if matches!(what, What::Message { .. } | What::Sum { .. }) {
            self.order[self.run].push((what, runs[self.run].len()));
        }
        runs[self.run].push((bits, elements.into_iter().map(|v| v & ring(bits)).collect()));
    }

    /// The verdicts: with all comparisons of messages with each other, and those of pairs that are not
    /// uniform; or those of the quickest look that finds a mask missing.
    pub fn verdicts(mut self, thorough: bool) -> BTreeMap<What, Verdict> {
        let runs = self.run + 1;
        self.all.values_mut().for_each(|all| all.resize_with(runs, Vec::new));
        let verdict = |(what, runs): &(What, Vec<Vec<Words>>)| {
            let name = format!("{what:?}");
            let together = together(&name, runs);
            let verdict = match (&together, thorough) {
                (Verdict::Broken(_), _) | (_, false) => together,
                _ => apart(&name, runs).map_or(together, |found| {
                    found.map_or_else(Verdict::Broken, |()| Verdict::Uniform)
                }),
            };
            (what.clone(), verdict)
        };
        let pairs = if thorough { Pairs::of(&self.all, &self.order) } else { Pairs::default() };
        let all: Vec<_> = self.all.into_iter().collect();
        let (one, other) = all.split_at(all.len() / 2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| other.iter().map(verdict).collect::<Vec<_>>());
            let one: Vec<_> = one.iter().map(verdict).chain(pairs.broken(runs)).collect();
            one.into_iter().chain(other.join().unwrap()).collect()
        })
    }
}

/// Whether that many elements a run are enough to tell.
fn enough(len: usize, runs: usize) -> bool {
    len * (runs - 1) >= SAMPLES
}

/// Messages of one size each beside each other, as far as all runs have them: fits of the same data may
/// differ in their last steps, by the noise of the randomness. Few large ones are compared each with
/// each. Nothing where there are too few samples.
fn apart(name: &str, runs: &[Vec<Words>]) -> Option<Result<(), String>> {
    let shape = |run: &[Words], at: usize| run.get(at).map(|(bits, words)| (*bits, words.len()));
    let alike = |at: &usize| {
        let first = shape(&runs[0], *at);
        first.is_some() && runs.iter().all(|run| shape(run, *at) == first)
    };
    let common = (0..).take_while(alike).count();
    let mut groups: BTreeMap<(u32, usize), Vec<usize>> = BTreeMap::new();
    for at in 0..common {
        groups.entry(shape(&runs[0], at).unwrap()).or_default().push(at);
    }
    let mut found = None;
    for ((bits, len), places) in groups {
        let each = places.len() <= MOST_APART && enough(len, runs.len());
        if !each && !enough(len * places.len(), runs.len()) {
            continue;
        }
        let messages = |run: &Vec<Words>| -> Vec<Vec<u128>> {
            let all = places.iter().map(|&at| run[at].1.clone());
            if each { all.collect() } else { vec![all.collect::<Vec<_>>().concat()] }
        };
        let all: Runs = runs.iter().map(messages).collect();
        if let Err(why) = uniform(name, bits, &all) {
            return Some(Err(why));
        }
        found = Some(Ok(()));
    }
    found
}

/// Short messages and all together, taken apart into groups of four bits.
fn together(name: &str, runs: &[Vec<Words>]) -> Verdict {
    let parts = runs.iter().map(|run| {
        let parts = run.iter().flat_map(|(bits, words)| nibbles(words, *bits));
        parts.take(MOST_PARTS).collect::<Vec<u128>>()
    });
    let parts: Vec<_> = parts.collect();
    let least = parts.iter().map(Vec::len).min().unwrap_or_default();
    if !enough(least, runs.len()) {
        return Verdict::TooFew;
    }
    let parts: Runs = parts.iter().map(|run| vec![run[..least].to_vec()]).collect();
    uniform(name, 4, &parts).map_or_else(Verdict::Broken, |()| Verdict::Uniform)
}

/// Elements as groups of four bits, the highest first.
fn nibbles(elements: &[u128], bits: u32) -> impl Iterator<Item = u128> + '_ {
    let of = move |v: u128| (1..=bits / 4).map(move |at| v >> (bits - 4 * at) & 15);
    elements.iter().flat_map(move |&v| of(v))
}

/// The zero shares that a party has in common with `peer`, as they were added to each opening.
fn common(party: &mut Party, me: usize, peer: usize, seen: &[&Opening]) -> Vec<Vec<u128>> {
    let all = seen.iter().map(|seen| {
        let stream = match seen.kind {
            Kind::Masked => return Vec::new(),
            Kind::Bounded => &mut party.bounded[peer],
            Kind::Result => &mut party.results[peer],
        };
        let drawn = stream.as_mut().unwrap().elements::<Z128>(seen.own.len(), seen.ring);
        let sign = |v: u128| if me < peer { v } else { v.wrapping_neg() & ring(seen.ring) };
        // Low bits of a result are dropped after it was added.
        drawn.iter().map(|v| sign(v.0) >> (seen.ring - seen.bits)).collect()
    });
    all.collect()
}

fn minus(a: &[u128], b: &[u128]) -> Vec<u128> {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.wrapping_sub(*b)).collect()
}

fn openings(run: &mut Run, looks: &mut Looks) {
    let Run { openings, parties, .. } = run;
    let count = parties.len();
    let of = |party: usize| openings.iter().filter(move |seen| seen.party == party);
    let seen: Vec<Vec<&Opening>> = (0..count).map(|party| of(party).collect()).collect();
    let added: Vec<_> = (0..count).map(|me| masks(&parties[me], &seen[me])).collect();
    for from in 0..count {
        let peer = (from + count - 1) % count;
        let shared: Vec<_> = (0..count)
            .map(|to| (to != from).then(|| common(&mut parties[from], from, to, &seen[from])))
            .collect();
        let mut results = 0;
        for (at, own) in seen[from].iter().enumerate() {
            let (step, bits) = (own.step, own.bits);
            let with = match own.to {
                Recipients::One(owner) if owner == from => continue,
                Recipients::One(owner) => owner,
                _ => peer,
            };
            let mut both = vec![(false, own.own.clone())];
            // A single honest party is hidden by no zero share.
            if count > 2 && own.kind != Kind::Masked {
                both.push((true, minus(&own.own, &shared[with].as_ref().unwrap()[at])));
            }
            match own.kind {
                Kind::Masked => {
                    let what = What::Message { step, kind: MASKED, from, less: false };
                    looks.push(what, bits, own.own.clone());
                }
                Kind::Bounded => {
                    let kind = BOUNDED;
                    for (less, values) in both {
                        let head = values.iter().map(|v| (v & ring(bits)) >> (bits - 4));
                        looks.push(What::Head { step, less }, 4, head.collect());
                        looks.push(What::Message { step, kind, from, less }, bits, values);
                    }
                }
                Kind::Result => {
                    for (less, values) in both {
                        for nth in [Some(results), None] {
                            looks.push(What::Result { nth, less }, bits, values.clone());
                        }
                    }
                    results += 1;
                }
            }
        }
    }
    let all = seen.iter().map(Vec::len).min().unwrap();
    for at in 0..all {
        let first = seen[0][at];
        let kind = match first.kind {
            Kind::Result => continue,
            Kind::Masked => MASKED,
            Kind::Bounded => BOUNDED,
        };
        let learner = (0..count).find(|&party| first.to.include(party)).unwrap();
        let learned = seen[learner][at];
        assert_eq!((learned.step, learned.own.len()), (first.step, first.own.len()));
        let sum = learned.sum.as_ref().unwrap();
        // Masks have all bits of the ring but those that the carries of their sum take.
        let maskers = if first.to == Recipients::All { count } else { count - 1 };
        let carries = (maskers + 1).next_power_of_two().ilog2();
        let bits = first.bits - if learned.hidden.is_some() { carries } else { 0 };
        let step = first.step;
        looks.push(What::Sum { step, kind, honest: None }, bits, sum.clone());
        // All others may know what they added, if one of them learns the sum.
        for honest in 0..count {
            if first.to == Recipients::One(honest) {
                continue;
            }
            let others = (0..count).filter(|&party| party != honest);
            let left = others.fold(sum.clone(), |sum, party| {
                let mask = &added[party][at];
                if mask.is_empty() { sum } else { minus(&sum, mask) }
            });
            looks.push(What::Sum { step, kind, honest: Some(honest) }, bits, left);
        }
    }
}

/// Without a dealer, what the senders of transfers see of the receivers' choices: packed bits, of
/// which the last byte may not be full.
fn choices(run: &Run, looks: &mut Looks) {
    for view in &run.views {
        for bytes in view.payloads(Tag::new("ot/choices")) {
            if let Some((_, whole)) = bytes.split_last() {
                looks.push(What::Choices, 8, whole.iter().map(|&byte| byte.into()).collect());
            }
        }
    }
}
