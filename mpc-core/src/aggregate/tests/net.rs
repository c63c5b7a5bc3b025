//! A network of machines in one thread, on which parties die and stand still. It looks at all that they send, and at each sum.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::super::Set;
use super::super::machine::{Bytes, Ended, Machine};
use super::super::message::{Body, Message};
use super::{machines, sum_over, vector};
use crate::rand::{MaskSwitch, hash};

fn next_state(state: &[u8], round: u64, members: Set) -> Vec<u8> {
    hash("state", &[state, &round.to_le_bytes(), &members.to_bytes()]).to_vec()
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Well,
    /// Takes nothing and does nothing, for so many events from now on it is still well.
    Pausing(u32),
    Paused,
    /// Dies in so many events.
    Dying(u32),
    Dead,
}

pub(super) struct Net {
    machines: Vec<Machine>,
    threshold: Option<usize>,
    /// What is on its way, by its ends; nothing is the end of a line.
    lines: BTreeMap<(usize, usize), VecDeque<Option<Bytes>>>,
    pub(super) health: Vec<Health>,
    clock: u64,
    /// The step of each, and since when.
    steps: Vec<((u64, u32), u64)>,
    /// The attempt in which each has its mask to tell, and since when.
    telling: Vec<(Option<(u64, Set)>, u64)>,
    states: Vec<Vec<u8>>,
    /// The round that each has come to, and whether it has begun it.
    places: Vec<(u64, bool)>,
    pub(super) sums: Vec<Option<(u64, Set)>>,
    rng: ChaCha20Rng,
    /// Attempts, by round.
    pub(super) attempts: BTreeSet<(u64, Set)>,
    completes: BTreeMap<(u64, Set), Set>,
    /// Who told its own mask in an attempt.
    pub(super) told: BTreeMap<(u64, Set), Set>,
    /// Who has made its sum for some members of an attempt, and who has told its shares.
    summed: BTreeMap<(u64, Set, Set), Set>,
    shared: BTreeMap<(u64, Set, Set), Set>,
    /// In how many sums there were fewer than began its attempt.
    pub(super) narrowed: usize,
}

impl Net {
    pub(super) fn new(parties: usize, quorum: (usize, Option<usize>), seed: u64) -> Self {
        Self {
            machines: machines(&format!("net {seed}"), parties, quorum, MaskSwitch::default()),
            threshold: quorum.1,
            lines: BTreeMap::new(),
            health: vec![Health::Well; parties],
            clock: 0,
            steps: vec![((0, 1), 0); parties],
            telling: vec![(None, 0); parties],
            states: vec![Vec::new(); parties],
            places: vec![(1, false); parties],
            sums: vec![None; parties],
            rng: ChaCha20Rng::seed_from_u64(seed),
            attempts: BTreeSet::new(),
            completes: BTreeMap::new(),
            told: BTreeMap::new(),
            summed: BTreeMap::new(),
            shared: BTreeMap::new(),
            narrowed: 0,
        }
    }

    pub(super) fn below(&mut self, most: usize) -> usize {
        (self.rng.next_u64() % most as u64) as usize
    }

    /// What was on its way to this party, and from it, is lost.
    pub(super) fn cut(&mut self, party: usize) {
        self.lines.retain(|&(from, to), _| from != party && to != party);
    }

    fn is_up(&self, party: usize) -> bool {
        matches!(self.health[party], Health::Well | Health::Pausing(_) | Health::Dying(_))
    }

    /// Looks at what a party sends.
    fn look(&mut self, from: usize, bytes: &Bytes) {
        let message = Message::decode(bytes).expect("parties send messages");
        let attempt = (message.round, message.set);
        match message.body {
            Body::Slice(_) => drop(self.attempts.insert(attempt)),
            Body::Complete => {
                let complete = self.completes.entry(attempt).or_default();
                *complete = complete.with(from);
            }
            Body::Finish { owner, .. } if owner == from => {
                // An own mask is told when all slices are where they belong, and not before.
                assert_eq!(
                    self.completes.get(&attempt),
                    Some(&message.set),
                    "{from} was too early"
                );
                let told = self.told.entry(attempt).or_default();
                *told = told.with(from);
            }
            Body::Sum(of, owner, _) if owner == from => {
                let summed = self.summed.entry((message.round, message.set, of)).or_default();
                *summed = summed.with(from);
            }
            Body::Tell(of, _) => {
                // When all have made their sums, for one set in a round.
                let this = (message.round, message.set, of);
                assert_eq!(self.summed.get(&this), Some(&of), "{from} was too early");
                let others = self.shared.iter().filter(|(set, told)| {
                    set.0 == message.round && **set != this && told.contains(from)
                });
                assert_eq!(others.count(), 0, "{from} told twice in round {}", message.round);
                let shared = self.shared.entry(this).or_default();
                *shared = shared.with(from);
            }
            _ => {}
        }
    }

    /// After each event of a party.
    fn settle(&mut self, party: usize) {
        let mut sent: Vec<(usize, Bytes)> = Vec::new();
        while let Some(next) = self.machines[party].next() {
            sent.push(next);
        }
        let dies = match &mut self.health[party] {
            Health::Dying(0) => true,
            Health::Dying(left) => {
                *left -= 1;
                false
            }
            _ => false,
        };
        if dies {
            // In the middle of what it sends.
            let kept = self.below(sent.len() + 1);
            sent.truncate(kept);
        }
        for (to, bytes) in sent {
            self.look(party, &bytes);
            self.lines.entry((party, to)).or_default().push_back(Some(bytes));
        }
        let faults = self.machines[party].faults();
        assert!(faults.is_empty(), "everybody keeps to the protocol: {faults:?}");
        if dies {
            self.health[party] = Health::Dead;
            for to in (0..self.machines.len()).filter(|&to| to != party) {
                self.lines.entry((party, to)).or_default().push_back(None);
            }
            return;
        }
        if let Health::Pausing(left) = &mut self.health[party] {
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => self.health[party] = Health::Paused,
            }
        }
        let step = self.machines[party].step();
        if step != self.steps[party].0 {
            self.steps[party] = (step, self.clock);
        }
        let telling = self.machines[party].is_to_tell();
        if telling != self.telling[party].0 {
            self.telling[party] = (telling, self.clock);
        }
        match self.machines[party].ended() {
            None => {}
            Some(Ended::Sum(members, total)) => {
                let round = self.places[party].0;
                assert_eq!(*total, sum_over(members, round), "a wrong sum at {party} in {round}");
                let fewer = self
                    .shared
                    .keys()
                    .any(|&(of, set, told)| of == round && told == members && set != members);
                self.narrowed += usize::from(fewer);
                self.states[party] = next_state(&self.states[party], round, members);
                self.places[party] = (round + 1, false);
                self.sums[party] = Some((round, members));
            }
            Some(Ended::Behind(round, state)) => {
                self.states[party] = state;
                self.places[party] = (round, false);
            }
            Some(Ended::TooFew(left)) => panic!("only {left:?} are left at {party}"),
            Some(Ended::Closed) => self.places[party] = (u64::MAX, false),
            Some(Ended::Fault(what)) => panic!("{what}"),
        }
    }

    /// Something that happens next; `false` if nothing does.
    fn event(&mut self, round: u64, last: bool) -> bool {
        let ready: Vec<usize> = (0..self.machines.len())
            .filter(|&party| {
                let (place, begun) = self.places[party];
                self.is_up(party) && place <= round && !begun
            })
            .collect();
        if !ready.is_empty() {
            let party = ready[self.below(ready.len())];
            // One that stood still before it began is in an earlier round than the others.
            let own = self.places[party].0;
            let values = (!last || own < round).then(|| vector(party, own));
            let state = self.states[party].clone();
            self.machines[party].begin(own, values, state).unwrap();
            self.places[party].1 = true;
            self.settle(party);
            return true;
        }
        let open: Vec<(usize, usize)> = self
            .lines
            .iter()
            .filter(|&(&(_, to), line)| self.is_up(to) && !line.is_empty())
            .map(|(&ends, _)| ends)
            .collect();
        if !open.is_empty() {
            let (from, to) = open[self.below(open.len())];
            let next = self.lines.get_mut(&(from, to)).and_then(VecDeque::pop_front).unwrap();
            match next {
                Some(bytes) => {
                    let (telling, since) = self.telling[to];
                    let long = self.clock >= since + 1000 * u64::from(Machine::TELLS_WITHIN);
                    if telling.is_some() && long {
                        self.machines[to].is_stale();
                    }
                    self.machines[to].receive(from, &bytes);
                }
                None => self.machines[to].lose(from),
            }
            self.settle(to);
            return true;
        }
        let waiting = (0..self.machines.len()).filter(|&party| {
            self.is_up(party) && self.places[party].1 && self.places[party].0 <= round
        });
        let due = |party: &usize| {
            let ((_, waits), since) = self.steps[*party];
            (since + 1000 * u64::from(waits), *party)
        };
        let Some(party) = waiting.min_by_key(due) else { return false };
        self.clock = self.clock.max(due(&party).0) + 1;
        self.machines[party].overdue();
        self.settle(party);
        true
    }

    /// All own masks are told in one attempt of a round at most, so that there are no two sums of it.
    pub(super) fn one_sum_a_round(&self) {
        let mut rounds = BTreeMap::new();
        for (&(round, set), &told) in &self.told {
            if told == set {
                let other = rounds.insert(round, set);
                assert_eq!(other, None, "all masks of {set:?} were told in round {round}");
            }
        }
        let Some(threshold) = self.threshold else { return };
        let mut sums = BTreeMap::new();
        for (&(round, set, of), told) in &self.shared {
            if told.len() >= threshold {
                let other = sums.insert(round, (set, of));
                assert_eq!(other, None, "two quorums told in round {round}");
            }
        }
    }

    /// All of a round, in which some parties fall away.
    pub(super) fn round(&mut self, round: u64, last: bool) {
        let mut events = 0;
        while self.event(round, last) {
            events += 1;
            assert!(events < 400_000, "round {round} does not end");
        }
        let up: Vec<usize> = (0..self.machines.len()).filter(|&party| self.is_up(party)).collect();
        for &party in &up {
            assert_eq!(self.places[party].0, if last { u64::MAX } else { round + 1 });
            assert_eq!(self.states[party], self.states[up[0]], "{party} holds another state");
        }
    }
}
