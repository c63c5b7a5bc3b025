//! Parties that change what they send in a covert session (docs/protocols.md 0, Covert): each is
//! named by every honest one, before anything more is revealed.
#![allow(clippy::unwrap_used)]

use mpc_core::protocols::truncate::{fixed_opening, open_bounded_fixed, own_masks};
#[cfg(feature = "insecure-test-masks")]
use mpc_core::rand::MaskSite;
use mpc_core::rand::hash;
use mpc_core::ring::{Z64, wire};
use mpc_core::testing::World;
use mpc_core::{Against, Batch, Error, Fixed, Outputs, Recipients, Session, Shared, Tag};
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::{Abort, PartyId, Transport};

const MASKED: &str = "test/masked";
const BOUNDED: &str = "test/bounded";

fn outputs() -> Outputs {
    Outputs::none().allow("first", Recipients::All).allow("last", Recipients::All)
}

/// A masked opening, a bounded one and two results; then all compare. Gives the last result.
async fn run(session: &mut Session) -> Result<Option<Vec<i128>>, Error> {
    let mut batch = Batch::new(MASKED);
    // What masks it does not matter here.
    let slot = batch.masked(&Shared::column(vec![Z64(5); 3]), 64, Recipients::All);
    let opened = session.open(batch).await?;
    let sum = opened.at(slot)[0].0;
    session.reveal("first", &Shared::column(vec![Z64(sum as u64)]), 64, 0).await?;
    let x = Fixed::public(&[1.5, -2.0], 2, 1, 20, session)?;
    let mut masks = own_masks(session)?;
    open_bounded_fixed(BOUNDED, &[(&x, 2)], 50, &mut masks, session).await?;
    let last = session.reveal("last", &Shared::column(vec![Z64(7)]), 64, 0).await?;
    assert_eq!(session.compare().await?, Vec::<String>::new(), "nobody was lost");
    Ok(last)
}

/// How all parties end but the last, which misbehaves as `fault` says in its message number `nth` of
/// `step` to party 0; with its name.
fn ends(
    parties: usize,
    step: &'static str,
    nth: u64,
    fault: Fault,
) -> (String, Vec<Result<(), String>>) {
    let world = World::new(parties).outputs(outputs());
    let mesh = world.mesh();
    let plan = FaultPlan::new(fault).to(PartyId::from_index(0)).in_step(Tag::new(step));
    mesh[parties - 1].inject(plan.at_message(nth));
    let evil = mesh[0].name(PartyId::from_index(parties - 1));
    let mut ends = world.run_on(mesh, async |mut session| {
        run(&mut session).await.map(|_| ()).map_err(|error| {
            // As a node does.
            session.abort(Abort::new(error.code(), error.to_string()));
            assert!(session.fork("after it").is_err(), "the session is of no use any more");
            error.to_string()
        })
    });
    ends.pop();
    (evil, ends)
}

/// The same, where every honest party notices and names the one that misbehaves.
fn noticed(parties: usize, step: &'static str, nth: u64, fault: Fault) -> Vec<String> {
    let (evil, ends) = ends(parties, step, nth, fault);
    let named = |end: Result<_, String>| {
        let error = end.expect_err("it is noticed");
        assert!(error.contains(&evil), "{step} {nth}: {error}");
        error
    };
    ends.into_iter().map(named).collect()
}

#[test]
fn without_a_fault_all_end_well() {
    for against in [Against::Covert, Against::SemiHonest] {
        for parties in [2, 3, 5] {
            let world = World::new(parties).against(against).outputs(outputs());
            for end in world.run(async |mut session| run(&mut session).await) {
                assert_eq!(end.unwrap(), Some(vec![7 * parties as i128]));
            }
        }
    }
}

const FLIP: Fault = Fault::FlipPayload { at: 0, mask: 1 };

#[test]
fn another_share_than_the_one_committed_to() {
    for parties in [2, 3] {
        for (step, nth) in [(BOUNDED, 0), ("reveal", 0), ("reveal", 1)] {
            let ends = noticed(parties, step, nth, FLIP);
            assert!(ends[0].contains("committed to"), "{}", ends[0]);
        }
    }
}

#[test]
fn another_commitment_to_one_party() {
    for nth in 0..3 {
        noticed(3, "session/commit", nth, FLIP);
    }
}

#[test]
fn a_masked_share_that_not_all_received_alike() {
    noticed(3, MASKED, 0, FLIP);
    // With two parties there is nobody to compare with, but the sender's own word.
    let alone = noticed(2, MASKED, 0, FLIP);
    assert!(alone[0].contains("not what arrived here"), "{}", alone[0]);
}

/// The last message of all: a statement, after the last result. Who got another one than the rest
/// names its sender; the others have heard the same from all.
#[test]
fn what_is_said_of_the_openings_is_compared_and_signed() {
    for parties in [2, 3] {
        for at in [0, 32 * (parties - 1), 32 * parties, 32 * parties + 63] {
            let fault = Fault::FlipPayload { at, mask: 1 };
            let (evil, ends) = ends(parties, "session/compare", 0, fault);
            let error = ends[0].clone().expect_err("it is noticed");
            assert!(error.contains(&evil) && error.contains("session/compare"), "{error}");
        }
    }
}

/// In a semi-honest session the parties end with different numbers, and nobody says a word.
#[test]
fn a_semi_honest_session_does_not_notice() {
    let world = World::new(3).against(Against::SemiHonest).outputs(outputs());
    let mesh = world.mesh();
    let plan = FaultPlan::new(Fault::FlipPayload { at: 0, mask: 1 }).to(PartyId::from_index(0));
    mesh[2].inject(plan.in_step(Tag::new("reveal")).at_message(1));
    let ends = world.run_on(mesh, async |mut session| run(&mut session).await);
    let ends: Vec<_> = ends.into_iter().map(Result::unwrap).collect();
    assert_ne!(ends[0], ends[1]);
}

/// A commitment to what can be guessed tells it before it is opened, unless its nonce is random.
#[cfg(feature = "insecure-test-masks")]
#[test]
fn a_commitment_hides_what_can_be_guessed() {
    let guessed = |off: Option<MaskSite>| {
        let world = World::new(2).outputs(outputs()).insecure_without(off);
        let mesh = world.mesh();
        let view = mesh[1].record();
        let ids = world.run_on(mesh, async |mut session| {
            run(&mut session).await.unwrap();
            session.id()
        });
        // Of party 0: a zero share that party 1 knows is all that hides 7 from it, so it takes the
        // share from what was sent.
        let share = view.payloads(Tag::new("reveal"))[1][..wire::element_bytes(64)].to_vec();
        let (from, number) = (0u64.to_le_bytes(), 2u64.to_le_bytes());
        let parts: [&[u8]; 6] = [&ids[0], &from, b"reveal", &number, &[0; 32], &share];
        let seen = view.payloads(Tag::new("session/commit"))[2].clone();
        // What opens a commitment opens no later one.
        let opened = view.payloads(Tag::new("reveal"));
        let nonces: Vec<_> = opened.iter().map(|bytes| &bytes[bytes.len() - 32..]).collect();
        assert!(nonces.len() > 1);
        let again = nonces.iter().enumerate().any(|(at, nonce)| nonces[..at].contains(nonce));
        assert!(!again || off.is_some(), "two commitments have one nonce");
        seen[..32] == hash("commitment", &parts)
    };
    assert!(!guessed(None));
    assert!(guessed(Some(MaskSite::Commitment)));
}

#[test]
fn what_is_committed_to_goes_to_the_same_parties_or_to_one_each() {
    let spec = fixed_opening(2, 20, 50, 2).unwrap();
    for (second, fits) in [(Recipients::All, true), (Recipients::One(1), false)] {
        let ends = World::new(2).run(async |mut session| {
            let mut batch = Batch::new(BOUNDED);
            let zero = Shared::zero(1, 1);
            for to in [Recipients::All, second] {
                spec.push(&zero, &[], to, &mut batch, &mut session)?;
            }
            session.open(batch).await.map(|_| ())
        });
        assert!(ends.iter().all(|end| end.is_ok() == fits), "{ends:?}");
    }
}
