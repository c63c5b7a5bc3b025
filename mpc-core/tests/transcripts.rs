//! Transcripts that the nodes sign, and the part of one of them run again.

use crate::production;

use std::collections::BTreeMap;
use std::sync::Arc;

use mpc_core::protocols::truncate::{open_bounded_fixed, own_masks};
use mpc_core::rand::Master;
use mpc_core::session::{Attestation, Signed};
use mpc_core::testing::{TestSignatory, World};
use mpc_core::{Error, Fixed, Session, Tag};
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::record::{Difference, Direction, Transcript, differences};
use mpc_net::replay::InMemory;
use mpc_net::{AbortCode, PartyId};
use production::{phasors, work};

const PARTIES: usize = 3;
const OPEN: &str = "test/open";

/// What the nodes keep.
struct Kept {
    masters: Vec<Arc<Master>>,
    messages: Vec<InMemory>,
    transcripts: Vec<Arc<Transcript>>,
}

impl Kept {
    fn new(nodes: usize) -> Self {
        let messages: Vec<_> = (0..nodes).map(|_| InMemory::default()).collect();
        let keeping =
            |messages: &InMemory| Arc::new(Transcript::keeping(nodes, Box::new(messages.clone())));
        let master = |_| Arc::new(Master::fresh().expect("randomness"));
        let masters = (0..nodes).map(master).collect();
        Self { masters, transcripts: messages.iter().map(keeping).collect(), messages }
    }

    fn world(&self) -> World {
        World::new(PARTIES).masters(self.masters.clone()).transcripts(self.transcripts.clone())
    }

    /// What `of` sends to `to` when it does its part again, where it is not what `to` received.
    fn replay(&self, of: usize, to: usize) -> Vec<Difference> {
        let messages = Box::new(self.messages[of].clone());
        let master = Arc::clone(&self.masters[of]);
        let (ended, again) = self
            .world()
            .replay(of, master, messages, async |mut session| party(&mut session).await);
        let [of, to_id] = [of, to].map(PartyId::from_index);
        let recorded = self.transcripts[to].entries(of, Direction::Received);
        differences(&recorded, &again.entries(to_id, Direction::Sent), ended.is_err())
    }
}

/// Correlations of every kind, and an opening.
async fn party(session: &mut Session) -> Result<(), Error> {
    work(session, &phasors(session.parties())).await?;
    let mut masks = own_masks(session)?;
    let x = Fixed::zero(2, 1, 20)?.narrow(100)?;
    open_bounded_fixed(OPEN, &[(&x, 7)], 40, &mut masks, session).await?;
    Ok(())
}

/// What a party says and hears about the transcripts, in the middle and at the end.
async fn attested(session: &mut Session) -> Result<Vec<Signed>, Error> {
    let mut all = Vec::new();
    for last in [false, true] {
        if last {
            party(session).await?;
        }
        for (_, said) in session.attest(last).await? {
            all.push(said?);
        }
    }
    Ok(all)
}

#[test]
fn what_is_signed_is_what_arrived() {
    let kept = Kept::new(PARTIES);
    let all = kept.world().run(async |mut session| {
        (attested(&mut session).await.expect("all keep to the protocol"), session.id())
    });
    for (me, (said, id)) in all.into_iter().enumerate() {
        let signatory = TestSignatory::new(me, PARTIES);
        assert_eq!(said.len(), 2 * (PARTIES - 1));
        for (at, signed) in said.into_iter().enumerate() {
            let Attestation { session, from, to, last, reached } = signed.statement.clone();
            assert_eq!((session, usize::from(to), last), (id, me, at >= PARTIES - 1));
            let from = PartyId::from_index(from.into());
            assert!(signed.holds(&signatory));
            if last {
                assert!(reached.len() > 5);
                let arrived = kept.transcripts[me].reached(from, Direction::Received);
                assert_eq!(reached, arrived);
            }
            let mut other = signed.clone();
            other.statement.last = !last;
            assert!(!other.holds(&signatory));
            let mut other = signed;
            other.statement.reached[0].digest[0] ^= 1;
            assert!(!other.holds(&signatory));
        }
    }
}

/// A transport that carries something else than the sender records: the receiver names the sender.
#[test]
fn who_signs_something_else_than_it_sent_is_named() {
    let kept = Kept::new(PARTIES);
    let world = kept.world();
    let mesh = world.mesh();
    // The transcript of the liar is another one than what its transport records.
    let honest = Arc::new(Transcript::new(PARTIES));
    mesh[1].record_with(honest);
    let ends = world.run_on(mesh, async |mut session| {
        party(&mut session).await?;
        let mut said = session.attest(true).await?.into_iter();
        said.try_for_each(|(_, said)| said.map(drop))
    });
    for honest in [0, 2] {
        let error = ends[honest].as_ref().expect_err("the statement is empty");
        assert_eq!(error.code(), AbortCode::PeerMisbehaved);
        assert!(error.to_string().contains("node 1"), "{error}");
    }
}

/// A message that is not what the sender's protocol gave to be sent, in steps that nothing else looks at.
#[test]
fn what_was_changed_on_its_way_is_named() {
    for step in ["rlwe/keys", "rlwe/inputs", "rlwe/outputs"] {
        let kept = Kept::new(PARTIES);
        let world = kept.world();
        let mesh = world.mesh();
        let flip = Fault::Change(Arc::new(|payload: &mut Vec<u8>| payload[0] ^= 1));
        mesh[1].inject(FaultPlan::new(flip).in_step(Tag::new(step)).to(PartyId(0)));
        let ends = world.run_on(mesh, async |mut session| attested(&mut session).await.map(drop));
        let error = ends[0].as_ref().expect_err("it is noticed");
        assert_eq!(error.code(), AbortCode::PeerMisbehaved, "{step}");
        assert!(error.to_string().contains("node 1"), "{step}: {error}");
    }
}

#[test]
fn a_statement_that_was_changed_is_refused() {
    for at in [0, 70, 100, 200] {
        let kept = Kept::new(PARTIES);
        let world = kept.world();
        let mesh = world.mesh();
        let plan = FaultPlan::new(Fault::FlipPayload { at, mask: 1 });
        mesh[2].inject(plan.in_step(Tag::new("transcript/statement")).to(PartyId(0)));
        let ends = world.run_on(mesh, async |mut session| attested(&mut session).await);
        let error = ends[0].as_ref().expect_err("the signature does not hold");
        assert!(error.to_string().contains("node 2"), "{at}: {error}");
    }
}

#[test]
fn a_party_that_keeps_to_the_protocol_sends_the_same_again() {
    let kept = Kept::new(PARTIES);
    for end in kept.world().run(async |mut session| party(&mut session).await) {
        end.expect("ends well");
    }
    for of in 0..PARTIES {
        for to in (0..PARTIES).filter(|&to| to != of) {
            assert_eq!(kept.replay(of, to), []);
        }
    }
}

/// One bit of one message of every step, to one party.
#[test]
fn a_party_that_sends_something_else_is_found_in_every_step() {
    let kept = Kept::new(PARTIES);
    let _ = kept.world().run(async |mut session| party(&mut session).await);
    let entries = kept.transcripts[0].entries(PartyId(1), Direction::Received);
    // Where each step comes first: in one channel, or in several that are at work side by side.
    let mut steps: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for (channel, entries) in &entries {
        for (number, entry) in entries.iter().enumerate() {
            let places = steps.entry(entry.step.clone()).or_default();
            if places.iter().all(|(known, _)| known != channel) {
                places.push((channel.clone(), number as u64));
            }
        }
    }
    assert!(steps.len() >= 10, "{steps:?}");
    for (step, places) in steps.into_iter().filter(|(step, _)| !step.starts_with("session")) {
        let kept = Kept::new(PARTIES);
        let world = kept.world();
        let mesh = world.mesh();
        let label: &'static str = String::leak(step);
        let flip = Fault::Change(Arc::new(|payload: &mut Vec<u8>| payload[0] ^= 1));
        mesh[1].inject(FaultPlan::new(flip).in_step(Tag::new(label)).to(PartyId(0)));
        // Some steps notice, and the run ends early.
        let _ = world.run_on(mesh, async |mut session| party(&mut session).await);
        let mut found = kept.replay(1, 0);
        // Where the run ended early, more may have been made ahead of its end than is made again.
        found.retain(|it| it.again.is_some());
        assert_eq!(found.len(), 1, "{label}: {found:?}");
        let place = (found[0].channel.clone(), found[0].number);
        assert!(places.contains(&place), "{label}: {place:?} is none of {places:?}");
        let recorded = found[0].recorded.as_ref().expect("it was received");
        assert_eq!(recorded.step, label);
        // What it sent to the others is what it had to send.
        let mut found = kept.replay(1, 2);
        found.retain(|it| it.again.is_some());
        assert_eq!(found, [], "{label}");
    }
}
