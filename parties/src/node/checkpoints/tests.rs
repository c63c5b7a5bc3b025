use std::sync::{Arc, Mutex};

use mpc_core::testing::World;
use mpc_core::{Fixed, State};

use super::super::State as Directory;
use super::super::seal::testing::identity;
use super::*;
use crate::study::Study;

const PLAN: [u8; 32] = [9; 32];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<Checkpoint>>>);

impl CheckpointLog for Log {
    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        self.0.lock().unwrap().push(checkpoint.clone());
        Ok(())
    }
}

/// Checkpoints of two parties after these steps of one session.
fn checkpoints(steps: &[u64]) -> Vec<Vec<Checkpoint>> {
    let logs = [Log::default(), Log::default()];
    let ends = World::new(2).run(async |mut session| {
        session.keep_checkpoints(Box::new(logs[session.me()].clone()));
        for &step in steps {
            let shares = vec![Fixed::zero(2, 1, 8)?];
            session
                .checkpoint(
                    &PLAN,
                    State { step, public: Vec::new(), shares, own: Zeroizing::default() },
                )
                .await?;
        }
        Ok::<_, mpc_core::Error>(())
    });
    assert!(ends.iter().all(Result::is_ok));
    logs.map(|log| log.0.lock().unwrap().clone()).to_vec()
}

fn study(title: &str) -> StudyDigest {
    let text = include_str!("../../../../scripts/data/credit_status/study.toml");
    let text = text.replacen("title = \"", &format!("title = \"{title} "), 1);
    Study::from_bytes(text.as_bytes()).unwrap().digest()
}

fn belongs() -> Belongs {
    Belongs { context: [1; DIGEST], rows: [2; DIGEST] }
}

#[test]
fn a_state_opens_as_what_it_was_sealed_as_and_nothing_else() {
    let (own, digest) = (identity(), study("one"));
    let checkpoint = checkpoints(&[4])[0][0].clone();
    let seal = Seal::new(&own, digest, belongs());
    let state = seal.seal(&checkpoint).unwrap();
    assert_eq!(seal.open(&state).unwrap(), checkpoint);
    let refused = |seal: &Seal, state: &SealedState, why: &str| {
        let told = seal.open(state).unwrap_err();
        assert!(told.contains(why), "{told}");
    };
    // Another node, another study, another session, another step, any changed byte.
    refused(&Seal::new(&identity(), digest, belongs()), &state, "changed");
    refused(&Seal::new(&own, study("two"), belongs()), &state, "another study");
    refused(&seal, &SealedState { session: [0; 32], ..state.clone() }, "changed");
    refused(&seal, &SealedState { step: 5, ..state.clone() }, "changed");
    for at in [0, 11, 12, 50, state.sealed.len() - 1] {
        let mut changed = state.clone();
        changed.sealed[at] ^= 1;
        refused(&seal, &changed, "changed");
    }
    // Records of other purposes are no states.
    let other = Sealer::new(&own, "records of a study/1");
    let sealed = other.seal(&seal.sealed_as(&state.session, 4), b"0123456789").unwrap();
    refused(&seal, &SealedState { sealed, ..state.clone() }, "changed");
    // Other rows, other keys.
    let rows = Belongs { rows: [3; DIGEST], ..belongs() };
    refused(&Seal::new(&own, digest, rows), &state, "rows here are others");
    let keys = Belongs { context: [3; DIGEST], ..belongs() };
    refused(&Seal::new(&own, digest, keys), &state, "key of a node");
}

#[test]
fn the_last_two_are_kept_and_none_is_begun_from_without_end() {
    let (folder, own, digest) = (tempfile::tempdir().unwrap(), identity(), study("one"));
    let directory = Directory::lock(folder.path(), &own).unwrap();
    let store = directory.store();
    let seal = Seal::new(&own, digest, belongs());
    let all = checkpoints(&[4, 8, 12]).swap_remove(0);
    let mut keeping = Keeping { store: Some((store.clone(), seal.clone())) };
    all.iter().for_each(|it| keeping.keep(it).unwrap());
    let read = || Checkpoints::read(store, &digest, &seal).unwrap();
    assert_eq!(read().all(), all[1..]);
    assert!(Checkpoints::read(store, &study("two"), &seal).unwrap().all().is_empty());
    let (number, _) = store.states(&digest).unwrap()[1];
    for times in 0..8 {
        assert_eq!(read().all().len(), 2, "{times}");
        store.begin_from_state(&digest, number).unwrap();
    }
    assert_eq!(read().all(), all[1..2]);
    assert!(read().unusable.unwrap().contains("too many"));
    // When all have what they are due, nothing is left.
    store.finish_study(&digest, 1).unwrap();
    assert!(store.states(&digest).unwrap().is_empty());
    keeping.keep(&all[0]).unwrap();
    assert!(store.forget_states(&digest).unwrap() > 0);
    assert_eq!(store.forget_states(&digest).unwrap(), 0);
    // A log without a store keeps nothing.
    Keeping { store: None }.keep(&all[0]).unwrap();
    assert!(store.states(&digest).unwrap().is_empty());
}

/// Each party with the checkpoints that it holds: where both begin, and what they say if not.
fn start(held: [&[Checkpoint]; 2]) -> [Start; 2] {
    let held = held.map(|held| Checkpoints::recorded(held.to_vec()));
    let said: Vec<Standing> = held
        .iter()
        .map(|held| Standing { checkpoints: held.named(), ..Standing::default() })
        .collect();
    let names = ["north".to_owned(), "south".to_owned()];
    [0, 1].map(|me| held[me].clone().start(me, &said, &names, false))
}

#[test]
fn all_begin_at_the_latest_that_all_hold() {
    let [north, south] = <[_; 2]>::try_from(checkpoints(&[4, 8, 12])).unwrap();
    for (a, b, due) in [(0..2, 0..2, Some(8)), (0..2, 1..3, Some(8)), (0..1, 1..3, None)] {
        let starts = start([&north[a], &south[b]]);
        for (me, start) in starts.iter().enumerate() {
            let from = start.from.as_ref().map(|(_, it)| it);
            assert_eq!(from.map(Checkpoint::step), due);
            let own = if me == 0 { &north } else { &south };
            assert!(from.is_none_or(|from| own.contains(from)));
            let why = start.anew.clone().unwrap_or_default();
            assert_eq!(due.is_none(), why.contains("of different runs"), "{why}");
        }
    }
    // Nothing is said where nobody has anything; who lacks it is named.
    assert!(start([&[], &[]]).iter().all(|it| it.from.is_none() && it.anew.is_none()));
    let [here, there] = start([&[], &south]).map(|it| it.anew.unwrap());
    assert!(here.contains("kept here") && there.contains("kept at north"), "{here}; {there}");
    // Steps of one number in two sessions are different.
    let other = checkpoints(&[4, 8, 12]).swap_remove(1);
    assert!(start([&north, &other]).iter().all(|it| it.from.is_none()));
}
