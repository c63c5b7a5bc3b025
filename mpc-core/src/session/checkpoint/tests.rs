use std::sync::{Arc, Mutex};

use super::super::Against;
use super::*;
use crate::testing::World;

const VALUES: [i128; 3] = [-700, 12, 1 << 90];
const PLAN: [u8; 32] = [5; 32];

/// Keeps all checkpoints of a party, and refuses the one after so many.
#[derive(Clone, Default)]
struct Log {
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    most: Option<usize>,
}

impl CheckpointLog for Log {
    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let mut kept = self.kept.lock().unwrap();
        if self.most.is_some_and(|most| kept.len() >= most) {
            return Err("the disk is full".to_owned());
        }
        kept.push(checkpoint.to_bytes().unwrap().to_vec());
        Ok(())
    }
}

impl Log {
    fn last(&self) -> Checkpoint {
        Checkpoint::parse(self.kept.lock().unwrap().last().unwrap()).unwrap()
    }
}

fn logs(parties: usize) -> Vec<Log> {
    vec![(); parties].into_iter().map(|()| Log::default()).collect()
}

/// A share of [`VALUES`] that looks like any.
fn share(session: &mut Session) -> Result<Fixed, Error> {
    let values = VALUES.map(Z128::from_i128);
    let values = (session.me() == 0).then_some(&values[..]);
    Fixed::new(session.share_input(0, values, VALUES.len())?, 100, 20)
}

fn state(session: &mut Session) -> Result<State, Error> {
    Ok(State { step: 7, public: vec![1, 2], shares: vec![share(session)?], own: vec![9].into() })
}

/// All parties keep a state.
fn keep(world: &World, logs: &[Log]) -> Vec<Result<u64, Error>> {
    world.run(async |mut session| {
        session.keep_checkpoints(Box::new(logs[session.me()].clone()));
        let state = state(&mut session)?;
        session.meter().enter("keep");
        session.checkpoint(&PLAN, state).await?;
        Ok(session.meter().phase("keep").rounds)
    })
}

fn resume(world: &World, from: &[Checkpoint], plan: [u8; 32]) -> Vec<Option<State>> {
    let states = world.run(async |mut session| {
        session.begin_from(from[session.me()].clone());
        session.resumed(&plan)
    });
    states.into_iter().map(Result::unwrap).collect()
}

fn integers(state: &State) -> Vec<u128> {
    state.shares[0].parts().0.as_slice().iter().map(|value| value.0).collect()
}

fn sums(states: &[Vec<u128>]) -> Vec<i128> {
    (0..VALUES.len())
        .map(|at| states.iter().fold(0u128, |sum, it| sum.wrapping_add(it[at])) as i128)
        .collect()
}

#[test]
fn all_go_on_from_the_same_state_with_other_shares() {
    for (parties, against) in [(2, Against::Covert), (3, Against::SemiHonest), (5, Against::Covert)]
    {
        let (world, logs) = (World::new(parties).against(against), logs(parties));
        assert!(keep(&world, &logs).into_iter().all(|ended| ended.unwrap() == 1));
        let from: Vec<Checkpoint> = logs.iter().map(Log::last).collect();
        assert!(from.iter().all(|it| it.name() == from[0].name() && it.step() == 7));
        let mut seen = vec![from.iter().map(|it| integers(&it.state().unwrap())).collect()];
        for _ in 0..2 {
            let states: Vec<State> =
                resume(&world, &from, PLAN).into_iter().map(Option::unwrap).collect();
            for State { step, public, shares, .. } in &states {
                assert_eq!((*step, &public[..], shares.len()), (7, &[1, 2][..], 1));
                assert_eq!((shares[0].ring(), shares[0].fraction()), (100, 20));
            }
            seen.push(states.iter().map(integers).collect::<Vec<_>>());
        }
        for states in &seen {
            assert_eq!(sums(states), VALUES);
        }
        // No party begins with a share that it had before, in either of two sessions.
        for me in 0..parties {
            for at in 0..VALUES.len() {
                let shares: Vec<u128> = seen.iter().map(|states| states[me][at]).collect();
                assert!(shares[0] != shares[1] && shares[1] != shares[2] && shares[0] != shares[2]);
            }
        }
        // What was kept in different sessions does not add up.
        let mixed = (0..parties).map(|me| seen[1 + usize::from(me == 0)][me].clone());
        assert_ne!(sums(&mixed.collect::<Vec<_>>()), VALUES);
    }
}

/// A share of the new session is the old one and a mask that a coalition does not know: with the mask switched off it
/// is the old one.
#[cfg(feature = "insecure-test-masks")]
#[test]
fn without_its_zero_share_the_old_share_goes_on() {
    let (world, logs) = (World::new(3), logs(3));
    keep(&world, &logs).into_iter().for_each(|ended| assert!(ended.is_ok()));
    let from: Vec<Checkpoint> = logs.iter().map(Log::last).collect();
    let moved = |off: Option<MaskSite>| {
        let world = world.clone().insecure_without(off);
        let states = resume(&world, &from, PLAN);
        let same = |(state, from): (&Option<State>, &Checkpoint)| {
            integers(state.as_ref().unwrap()) != integers(&from.state().unwrap())
        };
        states.iter().zip(&from).all(same)
    };
    assert!(moved(None) && !moved(Some(MaskSite::ZeroShareResumed)));
}

#[test]
fn a_checkpoint_is_of_one_session_step_plan_and_party() {
    let (world, logs) = (World::new(2), logs(2));
    for _ in 0..2 {
        keep(&world, &logs).into_iter().for_each(|ended| assert!(ended.is_ok()));
    }
    let names: Vec<_> = logs[0].kept.lock().unwrap().clone();
    let [first, second] = [0, 1].map(|at| Checkpoint::parse(&names[at]).unwrap());
    assert_ne!(first.session(), second.session());
    assert_ne!(first.name(), second.name());
    // Another plan begins anew, at every party.
    let from: Vec<Checkpoint> = logs.iter().map(Log::last).collect();
    assert!(resume(&world, &from, [6; 32]).iter().all(Option::is_none));
    // Another party's is refused.
    let swapped = [from[1].clone(), from[0].clone()];
    let ends = world.run(async |mut session| {
        session.begin_from(swapped[session.me()].clone());
        session.resumed(&PLAN).map(drop)
    });
    assert!(ends.iter().all(Result::is_err));
}

#[test]
fn every_byte_counts() {
    let (world, logs) = (World::new(3), logs(3));
    keep(&world, &logs).into_iter().for_each(|ended| assert!(ended.is_ok()));
    let bytes = logs[1].kept.lock().unwrap()[0].clone();
    let name = Checkpoint::parse(&bytes).unwrap().name();
    for at in 0..bytes.len() {
        for bit in [1, 128] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            // What others committed to is a part of the name.
            let read = Checkpoint::parse(&changed);
            assert!(read.is_none_or(|read| read.name() != name), "byte {at}");
        }
    }
    assert!((0..bytes.len()).all(|length| Checkpoint::parse(&bytes[..length]).is_none()));
}

#[test]
fn what_cannot_be_kept_ends_the_computation() {
    let (world, mut logs) = (World::new(2), logs(2));
    logs[1].most = Some(0);
    let ends = keep(&world, &logs);
    assert!(ends[0].is_ok());
    assert!(matches!(&ends[1], Err(Error::Record(why)) if why.contains("full")));
}

/// Where nothing is kept no round is made, and a debugger sees no share.
#[test]
fn without_a_log_there_is_nothing() {
    let (world, logs) = (World::new(2), logs(2));
    let rounds = world.run(async |mut session| {
        let state = state(&mut session)?;
        session.meter().enter("keep");
        session.checkpoint(&PLAN, state).await?;
        assert!(session.resumed(&PLAN)?.is_none());
        Ok::<_, Error>(session.meter().phase("keep").rounds)
    });
    assert!(rounds.into_iter().all(|rounds| rounds.unwrap() == 0));
    keep(&world, &logs).into_iter().for_each(|ended| assert!(ended.is_ok()));
    let text = format!("{:?}", logs[0].last());
    assert!(text.contains("step: 7") && !text.contains("shares"), "{text}");
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_checkpoint_or_none(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = Checkpoint::parse(&bytes);
    }
}

/// A commitment says nothing of a share, also to who guesses it.
#[test]
fn equal_shares_have_other_commitments() {
    let (world, logs) = (World::new(2).against(Against::SemiHonest), logs(2));
    let ends = world.run(async |mut session| {
        session.keep_checkpoints(Box::new(logs[session.me()].clone()));
        for _ in 0..2 {
            let (step, public) = (7, Vec::new());
            let shares = vec![Fixed::zero(2, 1, 8)?];
            session
                .checkpoint(&PLAN, State { step, public, shares, own: Zeroizing::default() })
                .await?;
        }
        Ok::<_, Error>(())
    });
    assert!(ends.iter().all(Result::is_ok));
    let kept = logs[0].kept.lock().unwrap();
    let [first, second] = [0, 1].map(|at| Checkpoint::parse(&kept[at]).unwrap());
    assert_eq!(first.shares, second.shares);
    assert!(first.commitments.iter().zip(&second.commitments).all(|(a, b)| a != b));
}

#[test]
fn a_public_state_is_kept_by_each_for_itself_with_what_is_its_own() {
    let (world, logs) = (World::new(3), logs(3));
    let ends = world.run(async |mut session| {
        let me = session.me();
        session.keep_checkpoints(Box::new(logs[me].clone()));
        session.meter().enter("keep");
        let own = vec![me as u8; 4].into();
        session
            .keep_public(&PLAN, State { step: 3, public: vec![8, 8], shares: Vec::new(), own })?;
        let shared = state(&mut session)?;
        assert!(session.keep_public(&PLAN, shared).is_err(), "shares are kept together");
        Ok::<_, Error>(session.meter().phase("keep").rounds)
    });
    // The round is that of the share that is refused.
    assert!(ends.into_iter().all(|ended| ended.unwrap() <= 1));
    let from: Vec<Checkpoint> = logs.iter().map(Log::last).collect();
    assert!(from.iter().all(|it| it.name() == from[0].name() && it.step() == 3));
    for (me, state) in resume(&world, &from, PLAN).into_iter().enumerate() {
        let state = state.unwrap();
        assert_eq!((state.public, state.own.to_vec()), (vec![8, 8], vec![me as u8; 4]));
    }
}
