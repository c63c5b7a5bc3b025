//! What tests of comparisons, and of what stands on them, have in common.

use crate::correlations::{CorrelationSource, Origin};
use crate::ring::{Ring, Z128};
use crate::session::{Kind, Outputs, Recipients, Session};
use crate::share::Shared;
use crate::testing::{self, Opening, World};

/// A world in which the output `bits` may be revealed.
pub(crate) fn world(parties: usize, origin: Origin) -> World {
    let outputs = Outputs::none().allow("bits", Recipients::All);
    World::new(parties).origin(origin).outputs(outputs)
}

pub(crate) fn source(session: &mut Session, origin: Origin) -> Box<dyn CorrelationSource> {
    testing::source(session, origin).expect("starts")
}

/// Arbitrary words for a label and a party.
pub(crate) fn words(label: &str, party: usize, count: usize) -> Vec<u64> {
    (0..count as u64)
        .map(|i| {
            let parts = [label.as_bytes(), &party.to_le_bytes()[..], &i.to_le_bytes()];
            u64::from_le_bytes(crate::rand::hash("words", &parts)[..8].try_into().expect("eight"))
        })
        .collect()
}

/// A party's share of x, whose other shares are arbitrary.
pub(crate) fn share(label: &str, session: &Session, x: &[i128]) -> Shared<Z128> {
    let of = |party: usize| -> Vec<Z128> {
        words(label, party, x.len()).into_iter().map(|w| Z128(u128::from(w) << 60 | 5)).collect()
    };
    if session.me() > 0 {
        return Shared::column(of(session.me()));
    }
    let mut own = Shared::column(x.iter().map(|&x| Z128::from_i128(x)).collect());
    (1..session.parties()).for_each(|party| own -= &Shared::column(of(party)));
    own
}

/// For each masked opening of a protocol that everybody sees, over some runs of it with the same numbers, whether what
/// is opened looks uniform: where a mask is missing it is a function of the numbers and of fewer masks.
pub(crate) fn masked_openings(runs: &[Vec<Opening>]) -> Vec<(String, bool)> {
    let of = |run: &'_ Vec<Opening>| -> Vec<(&'static str, u32, Vec<u128>)> {
        let masked = run.iter().filter(|seen| seen.party == 0 && seen.kind == Kind::Masked);
        masked.filter_map(|seen| Some((seen.step, seen.bits, seen.sum.clone()?))).collect()
    };
    let runs: Vec<_> = runs.iter().map(of).collect();
    assert!(!runs[0].is_empty() && runs.iter().all(|run| run.len() == runs[0].len()));
    let look = |at: usize| {
        let (step, bits, _) = runs[0][at];
        let words: Vec<u128> = runs.iter().flat_map(|run| run[at].2.iter().copied()).collect();
        (format!("{step}, opening {at}"), is_uniform(bits, &words))
    };
    (0..runs[0].len()).map(look).collect()
}

/// Chi-square of the groups of four bits of some words: 15 degrees of freedom exceed 130 with 1e-13. Where there are fewer
/// bits, of all of them.
fn is_uniform(bits: u32, words: &[u128]) -> bool {
    assert!(words.len() >= 160, "{} samples are too few", words.len());
    let size = bits.min(4);
    (0..bits / size).all(|place| {
        let mut counts = vec![0u64; 1 << size];
        let group = |word: &u128| (word >> (size * place)) as usize & ((1 << size) - 1);
        words.iter().for_each(|word| counts[group(word)] += 1);
        let due = words.len() as f64 / counts.len() as f64;
        counts.iter().map(|&n| (n as f64 - due).powi(2) / due).sum::<f64>() < 130.0
    })
}
