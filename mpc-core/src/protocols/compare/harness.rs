//! What tests of comparisons, and of what stands on them, have in common.

use crate::correlations::{CorrelationSource, Origin};
use crate::ring::{Ring, Z128};
use crate::session::{Outputs, Recipients, Session};
use crate::share::Shared;
use crate::testing::{self, World};

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
