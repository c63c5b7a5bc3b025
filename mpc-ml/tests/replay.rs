//! Whole fits without a dealer, and the part of one party in them done again: what a party sends follows
//! from its master, its rows and what it received, and one changed bit in any step is found.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mpc_core::Session;
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::rand::Master;
use mpc_core::testing::World;
use mpc_ml::model::{Facts, Run, ledger};
use mpc_ml::models::glm::{Family, Glm, GlmSettings};
use mpc_ml::models::linear::Linear;
use mpc_ml::models::sgd::{Sgd, Sigmoid, SigmoidFit};
use mpc_ml::{Agreed, Error, LinearSettings, Model, Plan, Rows, SgdSettings, synthetic};
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::record::{Difference, Direction, Entry, Transcript, differences};
use mpc_net::replay::InMemory;
use mpc_net::{PartyId, Tag};

const PARTIES: usize = 3;
/// Who is audited, and by whose record.
const AUDITED: usize = 1;
const BY: usize = 0;

/// What the nodes of a run keep.
struct Kept {
    world: World,
    masters: Vec<Arc<Master>>,
    messages: Vec<InMemory>,
    transcripts: Vec<Arc<Transcript>>,
    /// Whether the run came to its end.
    complete: bool,
}

/// What is planned of a fit, at each party alone.
struct Planned<'a, M: Model> {
    settings: &'a M::Settings,
    facts: &'a Facts,
    rows: &'a [Rows],
}

async fn party<M: Model>(of: &Planned<'_, M>, mut session: Session) -> Result<(), Error> {
    let mut source = PairwiseSource::start(&mut session, Expansion::Fast)?;
    let plan = Agreed::among(M::plan(of.settings, of.facts)?, &mut session).await?;
    let data = of.rows[session.me()].clone().into();
    let progress = &mut |_| {};
    let mut run = Run { session: &mut session, source: &mut source, progress };
    let fitted = M::fit(&plan, &data, &mut run).await?;
    M::release(&plan, fitted, &data, &mut run).await?;
    source.finish().await?;
    Ok(())
}

/// Runs a fit, in which the audited party may send something else.
fn run<M: Model>(of: &Planned<'_, M>, fault: Option<FaultPlan>) -> Kept {
    let messages: Vec<_> = (0..PARTIES).map(|_| InMemory::default()).collect();
    let keeping =
        |messages: &InMemory| Arc::new(Transcript::keeping(PARTIES, Box::new(messages.clone())));
    let transcripts: Vec<_> = messages.iter().map(keeping).collect();
    let masters: Vec<_> = (0..PARTIES).map(|_| Arc::new(Master::fresh().unwrap())).collect();
    let world = World::new(PARTIES)
        .outputs(ledger(&M::plan(of.settings, of.facts).unwrap().outputs()))
        .masters(masters.clone())
        .transcripts(transcripts.clone());
    let mesh = world.mesh();
    let faulty = fault.is_some();
    fault.into_iter().for_each(|fault| mesh[AUDITED].inject(fault));
    let ends = world.run_on(mesh, |session| party::<M>(of, session));
    let complete = ends.iter().all(Result::is_ok);
    assert!(complete || faulty, "{:?}", ends.iter().find(|end| end.is_err()));
    Kept { world, masters, messages, transcripts, complete }
}

impl Kept {
    fn received(&self) -> BTreeMap<String, Vec<Entry>> {
        self.transcripts[BY].entries(PartyId::from_index(AUDITED), Direction::Received)
    }

    /// The audited party's part again: what it sends.
    fn again<M: Model>(&self, of: &Planned<'_, M>) -> BTreeMap<String, Vec<Entry>> {
        let (master, messages) = (self.masters[AUDITED].clone(), self.messages[AUDITED].clone());
        let (ended, sent) = self
            .world
            .replay(AUDITED, master, Box::new(messages), |session| party::<M>(of, session));
        assert!(ended.is_ok() || !self.complete, "{ended:?}");
        sent.entries(PartyId::from_index(BY), Direction::Sent)
    }

    fn differences(&self, again: &BTreeMap<String, Vec<Entry>>) -> Vec<Difference> {
        differences(&self.received(), again, !self.complete)
    }
}

/// An honest part agrees; one bit of one message of each step is found, in the record and in `sent`
/// steps of a party that really sends something else.
fn audit<M: Model>(settings: &M::Settings, facts: &Facts, rows: &[Rows], sent: &[&'static str]) {
    let of = &Planned::<M> { settings, facts, rows };
    let kept = run::<M>(of, None);
    let again = kept.again::<M>(of);
    assert_eq!(kept.differences(&again), []);
    let mut steps = BTreeSet::new();
    for (channel, entries) in kept.received() {
        for (number, entry) in entries.iter().enumerate() {
            if !steps.insert(entry.step.clone()) {
                continue;
            }
            let mut recorded = kept.received();
            recorded.get_mut(&channel).unwrap()[number].digest[31] ^= 128;
            let found = differences(&recorded, &again, false);
            assert_eq!(found.len(), 1, "{}", entry.step);
            assert_eq!((&found[0].channel, found[0].number), (&channel, number as u64));
        }
    }
    for &step in sent {
        assert!(steps.contains(step), "{step} is none of {steps:?}");
        let flip = Fault::Change(Arc::new(|payload: &mut Vec<u8>| payload[0] ^= 1));
        let fault = FaultPlan::new(flip).in_step(Tag::new(step)).to(PartyId::from_index(BY));
        let kept = run::<M>(of, Some(fault));
        let mut found = kept.differences(&kept.again::<M>(of));
        // The run broke off, and what was made ahead of its end may have been more than is made again.
        found.retain(|it| it.again.is_some());
        assert_eq!(found.len(), 1, "{step}: {found:?}");
        assert_eq!(found[0].recorded.as_ref().unwrap().step, step);
    }
}

fn facts(rows: &[Rows]) -> Facts {
    let lengths: Vec<u64> = rows.iter().map(|rows| rows.len() as u64).collect();
    Facts::horizontal(&lengths, vec![2.0; rows[0].columns()], Origin::Pairwise)
}

#[test]
fn gradient_descent() {
    let rows = synthetic::logistic(60, 4, PARTIES, 1);
    let settings = SgdSettings {
        intercept: true,
        l2: 0.01,
        clip: 8.0,
        epochs: 1,
        batch: 30,
        learning_rate: 0.5,
        decay: 0.1,
        momentum: 0.5,
        seed: 1,
        sigmoid: Sigmoid { window: 128, terms: 12, fit: SigmoidFit::Weighted },
        release_bits: 16,
    };
    let sent = ["logistic/open-weights", "rlwe/outputs", "reveal"];
    audit::<Sgd>(&settings, &facts(&rows), &rows, &sent);
}

#[test]
fn a_fit_to_the_optimum() {
    let rows = synthetic::logistic(PARTIES * 40, 4, PARTIES, 2);
    let settings = GlmSettings::new(Family::Logistic);
    audit::<Glm>(&settings, &facts(&rows), &rows, &["inverse/start", "ot/corrections"]);
}

#[test]
fn least_squares() {
    let rows = synthetic::logistic(PARTIES * 12, 4, PARTIES, 6);
    let settings = LinearSettings {
        intercept: true,
        l2: 0.0,
        clip: 8.0,
        condition: Some(20.0),
        release_bits: 20,
        inference: true,
        ..LinearSettings::default()
    };
    let facts = Facts { target: Some((0.0, 1.0)), ..facts(&rows) };
    audit::<Linear>(&settings, &facts, &rows, &["inverse/truncate-gx", "reveal"]);
}
