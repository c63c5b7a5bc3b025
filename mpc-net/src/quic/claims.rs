//! Which connection two nodes join on that dial each other: the node with the lower index decides.
//!
//! It lets one attempt at a time come to the exchange of hellos with a process of the peer, its own or
//! the peer's, and none while it holds a connection with that process; all others are put off. So the
//! node with the higher index, which takes every hello and every answer as it comes, never sees two that
//! are both meant. A process that was started anew shows another nonce, and takes the place of the old.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What the other end of an attempt that is put off is told, and does not tell its operator.
pub(crate) const ELSEWHERE: &str = "another connection with this node comes first";

struct Held {
    /// Which claim it is.
    number: u64,
    /// The process of the peer, once it has said hello.
    nonce: Option<[u8; 32]>,
}

#[derive(Default)]
struct State {
    given: u64,
    held: BTreeMap<usize, Held>,
}

/// The claims on the peers that this node decides about.
#[derive(Clone, Default)]
pub(crate) struct Claims(Arc<Mutex<State>>);

/// The right to join with a peer, and to be joined with it as long as this lives.
pub(crate) struct Claim {
    claims: Claims,
    index: usize,
    number: u64,
}

impl Claims {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, index: usize, nonce: Option<[u8; 32]>) -> Option<Claim> {
        let mut state = self.state();
        let free = match state.held.get(&index) {
            None => true,
            // Whoever says hello with another nonce than before was started anew.
            Some(held) => held.nonce.is_some() && nonce.is_some() && held.nonce != nonce,
        };
        if !free {
            return None;
        }
        state.given += 1;
        let number = state.given;
        state.held.insert(index, Held { number, nonce });
        Some(Claim { claims: self.clone(), index, number })
    }

    /// For an attempt of this node's own, before it says hello.
    pub(crate) fn dial(&self, index: usize) -> Option<Claim> {
        self.take(index, None)
    }

    /// For a peer that has said hello with this nonce.
    pub(crate) fn visit(&self, index: usize, nonce: [u8; 32]) -> Option<Claim> {
        self.take(index, Some(nonce))
    }
}

impl Claim {
    /// The peer has answered this node's hello.
    pub(crate) fn answered(&self, nonce: [u8; 32]) {
        let mut state = self.claims.state();
        if let Some(held) = state.held.get_mut(&self.index)
            && held.number == self.number
        {
            held.nonce = Some(nonce);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.claims.state();
        if state.held.get(&self.index).is_some_and(|held| held.number == self.number) {
            state.held.remove(&self.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [u8; 32] = [1; 32];
    const NEW: [u8; 32] = [2; 32];

    #[test]
    fn one_attempt_at_a_time_has_the_claim() {
        let claims = Claims::default();
        let own = claims.dial(1).unwrap();
        assert!(claims.dial(1).is_none() && claims.visit(1, OLD).is_none());
        assert!(claims.dial(2).is_some(), "of each peer");
        own.answered(OLD);
        assert!(claims.dial(1).is_none() && claims.visit(1, OLD).is_none());
        drop(own);
        let theirs = claims.visit(1, OLD).unwrap();
        assert!(claims.dial(1).is_none() && claims.visit(1, OLD).is_none());
        drop(theirs);
        assert!(claims.dial(1).is_some());
    }

    #[test]
    fn a_new_process_takes_the_place_of_the_old_one() {
        let claims = Claims::default();
        let old = claims.visit(1, OLD).unwrap();
        let new = claims.visit(1, NEW).unwrap();
        // The end of the old connection takes nothing away from the new one.
        drop(old);
        assert!(claims.visit(1, NEW).is_none() && claims.dial(1).is_none());
        drop(new);
        assert!(claims.dial(1).is_some());
    }
}
