//! Aggregations on a network of the test's own, in which parties die or stand still at every step.

mod net;

use std::collections::VecDeque;

use net::{Health, Net};
use zeroize::Zeroizing;

use super::Set;
use super::machine::{Bytes, Ended, Machine};
use super::masks::Masks;
use super::message::{Body, Message};
use crate::rand::{MaskSwitch, Seed, hash};
use crate::ring::Z64;

pub(super) const LEN: usize = 11;

/// The machines of `parties` parties, whose seeds follow from `name`.
pub(super) fn machines(
    name: &str,
    parties: usize,
    quorum: (usize, Option<usize>),
    switch: MaskSwitch,
) -> Vec<Machine> {
    machines_of(LEN, name, (parties, quorum), switch)
}

fn machines_of(
    len: usize,
    name: &str,
    (parties, quorum): (usize, (usize, Option<usize>)),
    switch: MaskSwitch,
) -> Vec<Machine> {
    let pair = |me: usize, peer: usize| {
        let ends = [me.min(peer) as u8, me.max(peer) as u8];
        (me != peer).then(|| Seed::from_secret(name, &[&ends]))
    };
    let masks = |me: usize| {
        let pairs = (0..parties).map(|peer| pair(me, peer)).collect();
        Masks::new(me, pairs, Seed::from_secret(name, &[&[me as u8], b"own"]), switch)
    };
    (0..parties).map(|me| Machine::new(parties, quorum, len, masks(me))).collect()
}

/// What a party gives in a round.
pub(super) fn vector(party: usize, round: u64) -> Zeroizing<Vec<Z64>> {
    let word = |at: usize| {
        let parts: [&[u8]; 3] = [&[party as u8], &round.to_le_bytes(), &[at as u8]];
        let bytes = hash("vector", &parts);
        // Half of them small, the others all of the ring.
        u64::from_le_bytes(bytes[..8].try_into().unwrap())
            >> if at.is_multiple_of(2) { 24 } else { 0 }
    };
    Zeroizing::new((0..LEN).map(|at| Z64(word(at))).collect())
}

pub(super) fn sum_over(members: Set, round: u64) -> Vec<Z64> {
    let mut sum = vec![Z64(0); LEN];
    for party in members.iter() {
        sum.iter_mut().zip(vector(party, round).iter()).for_each(|(sum, value)| *sum += *value);
    }
    sum
}

/// Rounds of one aggregation in each of which a fifth of the parties, at most, stands still at a random step, and comes back in the
/// next one. Gives the number of attempts, and of those who had a sum over fewer than began its attempt.
fn pauses(parties: usize, threshold: Option<usize>, rounds: u64, seed: u64) -> (usize, usize) {
    let least = (parties / 2 + 1).max(threshold.unwrap_or(0));
    let mut net = Net::new(parties, (least, threshold), seed);
    for round in 1..=rounds {
        for _ in 0..parties / 5 {
            let (party, left) = (net.below(parties), net.below(14 * parties) as u32);
            net.health[party] = Health::Pausing(left);
        }
        net.round(round, false);
        net.health.fill(Health::Well);
    }
    net.round(rounds + 1, true);
    net.one_sum_a_round();
    (net.attempts.len(), net.narrowed)
}

/// One round in which `dying` parties die, at any time and in the middle of what they send, and another one without them.
fn deaths(parties: usize, threshold: Option<usize>, dying: usize, seed: u64) -> usize {
    let least = (parties / 2 + 1).max(threshold.unwrap_or(0));
    let mut net = Net::new(parties, (least, threshold), seed);
    for _ in 0..dying {
        let (party, left) = (net.below(parties), net.below(10 * parties) as u32);
        net.health[party] = Health::Dying(left);
    }
    for round in 1..=2 {
        net.round(round, false);
    }
    net.round(3, true);
    net.one_sum_a_round();
    net.narrowed
}

#[test]
fn no_sum_is_wrong_whoever_stands_still() {
    for parties in [2, 3, 5, 10] {
        let (attempts, _) = pauses(parties, None, 60, 1);
        assert!(attempts >= 60, "{attempts} attempts of {parties} parties");
    }
    // Some that stood still were left out.
    assert!(pauses(10, None, 60, 2).0 > 70);
}

#[test]
fn no_sum_is_wrong_whoever_dies() {
    for seed in 0..60 {
        deaths(3, None, 1, seed);
        deaths(7, None, 3, seed);
        deaths(10, None, 2, seed);
    }
}

#[test]
fn a_quorum_ends_what_others_fall_out_of() {
    for (parties, threshold) in [(2, 2), (3, 2), (5, 3), (10, 6), (10, 7)] {
        let (attempts, narrowed) = pauses(parties, Some(threshold), 60, 1);
        assert!(attempts >= 60, "{attempts} attempts of {parties} parties");
        assert!(parties < 10 || narrowed > 20, "{narrowed} sums without one that had begun");
    }
    let narrowed: usize = (0..60)
        .map(|seed| {
            deaths(3, Some(2), 1, seed) + deaths(7, Some(4), 3, seed) + deaths(10, Some(6), 2, seed)
        })
        .sum();
    assert!(narrowed > 100, "{narrowed}");
}

/// A third of fifty may be lost, and as many rounds as there is time for here.
#[test]
fn fifty_parties_sum_whoever_stands_still_or_dies() {
    let (attempts, narrowed) = pauses(50, Some(34), 3, 1);
    assert!(attempts >= 3 && narrowed > 0, "{attempts} attempts, {narrowed} sums without some");
    deaths(50, Some(34), 16, 1);
}

#[test]
#[ignore = "long: half an hour"]
fn a_thousand_rounds_of_fifty_parties_with_a_quorum() {
    let (attempts, narrowed) = pauses(50, Some(34), 500, 4);
    let died: usize = (0..250).map(|seed| deaths(50, Some(34), 1 + seed as usize % 16, seed)).sum();
    #[allow(clippy::print_stdout)]
    {
        println!(
            "500 rounds: {attempts} attempts, {narrowed} sums at parties over fewer than had begun; 500 rounds of 250 networks \
             of which 1 to 16 died: {died}"
        );
    }
}

#[test]
#[ignore = "long: a thousand rounds of each"]
fn a_thousand_rounds_of_ten_parties_and_a_hundred_of_fifty() {
    let ways = [(10, None, 1000), (10, Some(7), 1000), (50, None, 100), (50, Some(34), 100)];
    for (parties, threshold, rounds) in ways {
        let (attempts, narrowed) = pauses(parties, threshold, rounds, 3);
        #[allow(clippy::print_stdout)]
        {
            println!(
                "{parties} parties, {rounds} rounds, threshold {threshold:?}: {attempts} attempts, {narrowed} sums at parties \
                 over fewer than had begun"
            );
        }
    }
    for seed in 1000..2000 {
        deaths(10, None, 2, seed);
        deaths(5, None, 2, seed);
        deaths(10, Some(6), 2, seed);
        deaths(5, Some(3), 2, seed);
    }
}

/// What one party computes in a round of 100,000 numbers in which a fifth of the others is lost when all slices are there.
#[test]
#[ignore = "a measurement"]
fn what_a_drop_out_costs_a_party() {
    for (parties, threshold) in [(10, 7), (50, 34)] {
        for lost in [0, parties / 5] {
            let quorum = (parties, (threshold, Some(threshold)));
            let mut all = machines_of(100_000, "cost", quorum, MaskSwitch::default());
            let mut seconds = 0.0;
            let mut sent_by_first = 0;
            let mut lines: VecDeque<(usize, usize, Bytes)> = VecDeque::new();
            let gone = |party: usize| party >= parties - lost;
            let mut away = false;
            for (party, machine) in all.iter_mut().enumerate() {
                let values = vec![Z64(party as u64); 100_000].into();
                machine.begin(1, Some(values), Vec::new()).unwrap();
            }
            loop {
                for (party, machine) in all.iter_mut().enumerate() {
                    while let Some((to, bytes)) = machine.next() {
                        let sums = matches!(Message::decode(&bytes).unwrap().body, Body::Sum(..));
                        sent_by_first += if party == 0 { bytes.len() } else { 0 };
                        if !(gone(party) && (away || sums)) {
                            lines.push_back((party, to, bytes));
                        }
                    }
                }
                let Some((from, to, bytes)) = lines.pop_front() else {
                    if std::mem::replace(&mut away, true) || lost == 0 {
                        break;
                    }
                    for party in (0..parties).filter(|&party| !gone(party)) {
                        (parties - lost..parties).for_each(|other| all[party].lose(other));
                    }
                    continue;
                };
                let start = std::time::Instant::now();
                all[to].receive(from, &bytes);
                seconds += if to == 0 { start.elapsed().as_secs_f64() } else { 0.0 };
            }
            let Some(Ended::Sum(members, total)) = all[0].ended() else { panic!("no sum") };
            assert_eq!(members.len(), parties - lost);
            let expected: usize = members.iter().sum();
            assert!(total.iter().all(|value| value.0 == expected as u64));
            #[allow(clippy::print_stdout)]
            {
                println!(
                    "{parties} parties, {lost} lost: {seconds:.3} s and {:.2} MB of one party",
                    sent_by_first as f64 / 1e6
                );
            }
        }
    }
}

/// Party 2 of four parties has left: everybody decides alike whether the attempt ends with it.
#[test]
fn who_told_its_mask_to_anybody_there_is_in_the_sum() {
    let (mut with, mut without) = (0, 0);
    for seed in 0..300 {
        let mut net = Net::new(4, (3, None), seed);
        let left = net.below(20) as u32;
        net.health[2] = Health::Dying(left);
        net.round(1, false);
        let told = net.told.get(&(1, Set::below(4))).is_some_and(|told| told.contains(2));
        let members = net.sums[0].unwrap().1;
        // Whom its message reached is there, and lives.
        assert_eq!(members.contains(2), told, "seed {seed}");
        net.one_sum_a_round();
        *(if told { &mut with } else { &mut without }) += 1;
    }
    assert!(with > 20 && without > 20, "{with} with it, {without} without");
}

/// Who comes back on new lines, in a round that is over, is told by the first of the others what came of it: here that one has just left
/// for a while.
#[test]
fn who_comes_back_goes_on_also_where_the_first_of_the_others_is_away() {
    for (seed, threshold) in (0..40).map(|seed| (seed, (seed % 2 == 0).then_some(3))) {
        let mut net = Net::new(5, (3, threshold), seed);
        net.round(1, false);
        net.health[0] = Health::Paused;
        net.round(2, false);
        net.health[0] = Health::Well;
        net.cut(0);
        net.health[1] = Health::Paused;
        net.round(3, false);
        net.health.fill(Health::Well);
        net.round(4, false);
        net.round(5, true);
        net.one_sum_a_round();
    }
}
