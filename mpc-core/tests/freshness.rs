//! A started or restarted study is a new session: nothing that was drawn in one comes again in
//! another, wherever the one before was broken off.
//!
//! A thousand sessions, or as many as `MPC_SESSIONS` says.

#[path = "support/production.rs"]
mod production;

use std::collections::HashMap;
use std::time::Duration;

use mpc_core::testing::{World, record_drawn, take_drawn};
use production::{phasors, work};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

const PARTIES: usize = 2;

#[test]
fn nothing_comes_twice_over_sessions_that_are_broken_off_anywhere() {
    let sessions = std::env::var("MPC_SESSIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let phasors = phasors(PARTIES);
    let mut random = ChaCha20Rng::from_seed([5; 32]);
    let mut seen = HashMap::new();
    let (mut complete, mut broken_off) = (0, 0);
    record_drawn();
    for session in 0..sessions {
        // One of the parties is killed after a random time; some sessions run to their end.
        let limit = match random.next_u32() % 4 {
            0 => Duration::from_secs(60),
            _ => Duration::from_micros(u64::from(random.next_u32() % 120_000)),
        };
        let victim = random.next_u32() as usize % PARTIES;
        let results = World::new(PARTIES).run(async |mut session| {
            let limit = if session.me() == victim { limit } else { Duration::from_secs(60) };
            tokio::time::timeout(limit, work(&mut session, &phasors)).await
        });
        if results.iter().all(|result| matches!(result, Ok(Ok(())))) {
            complete += 1;
        } else {
            broken_off += 1;
        }
        let mut here = HashMap::new();
        for drawn in take_drawn() {
            *here.entry(drawn).or_insert(0) += 1;
        }
        assert!(here.len() > 4, "session {session} drew nothing");
        for (drawn, times) in here {
            // Both ends of a pair derive the same streams and keys; what a party draws for itself
            // is its own.
            let most = match drawn.0 {
                "stream" | "key of tweaks" | "tweaks" => 2,
                // Public: every party takes them as a sender and as an owner.
                "polynomials" => 2 * PARTIES,
                _ => 1,
            };
            assert!(times <= most, "{} came {times} times", drawn.0);
            if let Some(before) = seen.insert(drawn, session) {
                panic!("{} of session {before} came again in session {session}", drawn.0);
            }
        }
    }
    let kinds: std::collections::BTreeSet<_> = seen.keys().map(|(what, _)| *what).collect();
    for what in [
        "seed",
        "stream",
        "nonce",
        "secret scalar",
        "base OT",
        "block",
        "key of tweaks",
        "tweaks",
        "polynomials",
    ] {
        assert!(kinds.contains(what), "nothing was noted of {what}");
    }
    assert!(complete > 0 && broken_off > 0, "{complete} complete, {broken_off} broken off");
}
