//! The states of a fit that this node has kept, and from which of them the parties go on together
//! (docs/protocols.md 0, Checkpoints).

use std::fmt;

use mpc_core::rand::hash;
use mpc_core::{Checkpoint, CheckpointLog, Session};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::standing::Standing;
use super::study_run::Node;
use super::{Event, Events, Sealer, context};
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::hex;
use crate::store::{SealedState, Store};
use crate::study::StudyDigest;

/// The purpose of the key under which a node seals states of fits.
const SEALED: &str = "states of a fit/1";
/// The length of the name of a checkpoint.
const NAME: usize = 16;
/// The length of a digest.
const DIGEST: usize = 32;

/// A checkpoint, as a party says that it holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Named {
    /// Steps that were done.
    step: u64,
    name: [u8; NAME],
}

impl Named {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        Self { step: checkpoint.step(), name: checkpoint.name() }
    }
}

/// What a state belongs to: it is of no use to anything else.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Belongs {
    /// The digest of the study and of all nodes' keys.
    context: [u8; DIGEST],
    /// A digest of this party's rows under a key of its own.
    rows: [u8; DIGEST],
}

impl Belongs {
    fn to_bytes(self) -> Vec<u8> {
        [self.context, self.rows, program()].concat()
    }

    /// Why what belongs to these bytes is not of this run.
    fn differs(&self, bytes: &[u8]) -> Option<&'static str> {
        let mut parts = bytes.chunks(DIGEST);
        let mut same = |own: [u8; DIGEST]| parts.next() == Some(&own[..]);
        let (context, rows, program) = (same(self.context), same(self.rows), same(program()));
        [
            (context, "the key of a node is another one"),
            (rows, "the rows here are others"),
            (program, "another version of the program made it"),
        ]
        .into_iter()
        .find_map(|(same, why)| (!same).then_some(why))
    }
}

/// The version of the program.
fn program() -> [u8; DIGEST] {
    hash("program of a checkpoint", &[env!("CARGO_PKG_VERSION").as_bytes()])
}

/// Seals and opens the states of one study.
#[derive(Clone)]
struct Seal {
    sealer: Sealer,
    study: StudyDigest,
    belongs: Belongs,
}

impl Seal {
    fn new(identity: &Identity, study: StudyDigest, belongs: Belongs) -> Self {
        Self { sealer: Sealer::new(identity, SEALED), study, belongs }
    }

    fn sealed_as(&self, session: &[u8; 32], step: u64) -> Vec<u8> {
        [self.study.as_bytes().as_slice(), session, &step.to_le_bytes()].concat()
    }

    fn seal(&self, checkpoint: &Checkpoint) -> Result<SealedState, Failure> {
        let (session, step) = (checkpoint.session(), checkpoint.step());
        let bytes = checkpoint.to_bytes()?;
        let belongs = self.belongs.to_bytes();
        let mut plain = Zeroizing::new(Vec::with_capacity(belongs.len() + bytes.len()));
        plain.extend_from_slice(&belongs);
        plain.extend_from_slice(&bytes);
        let sealed = self.sealer.seal(&self.sealed_as(&session, step), &plain)?;
        Ok(SealedState { session, step, begun: 0, sealed })
    }

    /// The checkpoint, or why it is of no use.
    fn open(&self, state: &SealedState) -> Result<Checkpoint, &'static str> {
        let damaged = "it was changed, or is of another study";
        let plain = self.sealer.open(&self.sealed_as(&state.session, state.step), &state.sealed);
        let plain = plain.ok_or(damaged)?;
        let (belongs, bytes) = plain.split_at_checked(3 * DIGEST).ok_or(damaged)?;
        if let Some(why) = self.belongs.differs(belongs) {
            return Err(why);
        }
        let checkpoint = Checkpoint::parse(bytes).ok_or(damaged)?;
        let same = checkpoint.session() == state.session && checkpoint.step() == state.step;
        if same { Ok(checkpoint) } else { Err(damaged) }
    }
}

/// What this node holds of a study.
#[derive(Clone, Default)]
pub(super) struct Checkpoints {
    /// Each with its place in the store, the last one last; no place where a part is done again.
    held: Vec<(Option<u64>, Checkpoint)>,
    /// Why there is one that is of no use.
    unusable: Option<&'static str>,
}

impl fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoints").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

/// Where a fit begins.
pub(super) struct Start {
    /// The checkpoint, with its place in the store; none at its own beginning.
    from: Option<(Option<u64>, Checkpoint)>,
    /// Why it begins anew, where somebody holds a checkpoint.
    anew: Option<String>,
}

impl Checkpoints {
    /// Those of a node in its store.
    pub(super) fn of(node: &Node) -> Result<Self, Failure> {
        Self::read(node.state.store(), &node.terms.digest(), &node.seal())
    }

    fn read(store: &Store, study: &StudyDigest, seal: &Seal) -> Result<Self, Failure> {
        let (mut held, mut unusable) = (Vec::new(), None);
        for (number, state) in store.states(study)? {
            if !state.is_fresh() {
                unusable = Some("too many runs have begun from it");
                continue;
            }
            match seal.open(&state) {
                Ok(checkpoint) => held.push((Some(number), checkpoint)),
                Err(why) => unusable = Some(why),
            }
        }
        Ok(Self { held, unusable })
    }

    /// Those of a record, for a part that is done again.
    pub(super) fn recorded(checkpoints: Vec<Checkpoint>) -> Self {
        let held = checkpoints.into_iter().map(|checkpoint| (None, checkpoint)).collect();
        Self { held, unusable: None }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Checkpoint> {
        self.held.iter().map(|(_, checkpoint)| checkpoint.clone()).collect()
    }

    /// What this party says that it holds.
    pub(super) fn named(&self) -> Vec<Named> {
        self.held.iter().map(|(_, checkpoint)| Named::of(checkpoint)).collect()
    }

    /// Where the fit begins: the latest checkpoint that all hold.
    /// Where states are `public` and parties may be behind, its own latest one, if each has one: who is ahead tells the others.
    pub(super) fn start(
        mut self,
        me: usize,
        all: &[Standing],
        names: &[String],
        public: bool,
    ) -> Start {
        let holds = |said: &Standing, it: &Named| said.checkpoints.contains(it);
        let common = |it: &Named| {
            all.iter().all(
                |said| {
                    if public { !said.checkpoints.is_empty() } else { holds(said, it) }
                },
            )
        };
        let latest = self.named().into_iter().filter(common).max();
        if let Some(latest) = latest {
            let place = self.held.iter().position(|(_, it)| Named::of(it) == latest);
            let from = place.map(|place| self.held.swap_remove(place));
            return Start { from, anew: None };
        }
        if all.iter().all(|said| said.checkpoints.is_empty()) && self.unusable.is_none() {
            return Start { from: None, anew: None };
        }
        let without: Vec<&str> = all
            .iter()
            .zip(names)
            .filter(|(said, _)| said.checkpoints.is_empty())
            .map(|(_, name)| name.as_str())
            .collect();
        let why = match self.unusable {
            Some(why) => format!("the state that was kept here is of no use: {why}"),
            None if without.contains(&names[me].as_str()) => {
                "no state of it is kept here".to_owned()
            }
            None if !without.is_empty() => {
                format!("no state of it that can be used is kept at {}", without.join(", "))
            }
            None => "the parties have kept states of different runs".to_owned(),
        };
        Start { from: None, anew: Some(why) }
    }
}

/// Keeps the states of a fit in the store.
struct Keeping {
    /// Where; nowhere where a part is done again, or the settings say so.
    store: Option<(Store, Seal)>,
}

impl CheckpointLog for Keeping {
    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let Some((store, seal)) = &self.store else { return Ok(()) };
        #[cfg(feature = "test-faults")]
        crate::fault::die_at("keeping");
        seal.seal(checkpoint)
            .and_then(|state| store.keep_state(&seal.study, &state))
            .map_err(|failure| failure.what)?;
        tracing::info!("a state of the fit is kept after step {}", checkpoint.step());
        #[cfg(feature = "test-faults")]
        crate::fault::die_at("kept");
        Ok(())
    }
}

/// What is said where a fit could have gone on, and does not.
pub(super) fn anew(why: &str) -> String {
    format!("the fit begins anew: {why}")
}

impl Node {
    /// What seals the states of this study's fit.
    fn seal(&self) -> Seal {
        let study = self.terms.digest();
        let belongs = Belongs { context: context(&study, &self.roster), rows: self.fingerprint };
        Seal::new(&self.identity, study, belongs)
    }

    /// Lets the session begin where all parties can; gives the session that had come there.
    pub(super) fn set_out(
        &self,
        standings: &[Standing],
        (plan, public): ([u8; 32], bool),
        session: &mut Session,
        events: &Events,
    ) -> Result<Option<String>, Failure> {
        let keeps = self.settings.network.resume && !self.again;
        let store = keeps.then(|| (self.state.store().clone(), self.seal()));
        session.keep_checkpoints(Box::new(Keeping { store }));
        let names: Vec<String> = self.terms.parties().iter().map(ToString::to_string).collect();
        let Start { from, anew: why } =
            self.checkpoints.clone().start(session.me(), standings, &names, public);
        let why = match &from {
            Some((_, checkpoint)) if checkpoint.plan() != plan => {
                Some("the plan of the computation is another one now".to_owned())
            }
            _ => why,
        };
        if let Some(why) = why {
            events(Event::Note(anew(&why)));
            return Ok(None);
        }
        let Some((number, checkpoint)) = from else { return Ok(None) };
        if let Some(number) = number {
            self.state.store().begin_from_state(&self.terms.digest(), number)?;
        }
        let name = hex(&checkpoint.session());
        session.begin_from(checkpoint);
        Ok(Some(name))
    }

    /// Removes the states of a fit that has ended in a way in which it would end again.
    pub(super) fn forget_states_after(&self, failure: &Failure) {
        let again =
            failure.seen_by_all || matches!(failure.exit, Exit::PeerMisbehaved | Exit::Internal);
        if again && let Err(error) = self.state.store().forget_states(&self.terms.digest()) {
            tracing::warn!(%error, "the states of the fit cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests;
