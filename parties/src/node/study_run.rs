//! A party's way through a study, from its file to the model: the frame that all methods share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mpc_core::{Session, SessionOptions};
use mpc_ml::artifact::ModelPart;
use mpc_ml::data::Table;
use mpc_net::quic::{Roster, join_until};
use mpc_net::replay::Replay;
use mpc_net::{Abort, AbortCode};

use super::audit::{Kept, Keys};
use super::consent::Said;
use super::events::join_observer;
use super::evidence;
use super::give_up::{doubt, leave, refuse_together};
use super::mesh::join_options;
use super::phases::Phases;
use super::receipt::now;
use super::standing::Holding;
use super::work::{Told, Worked};
use super::{
    Aligned, BoundRows, Closing, Event, Events, Finished, OwnSide, State, StopSignal, StudyFolder,
    context, establish, give_up,
};
use crate::approval::SignedApproval;
use crate::data_file::DataFile;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::{check_writable, hex};
use crate::settings::{Overrides, Settings};
use crate::store::{self, DataEntry, DataId, StudyEntry};
use crate::study::Study;

/// A party that is ready to take part: everything that it can check alone is checked.
pub struct Participant {
    node: Node,
    table: Table,
}

/// Everything but the rows, which are kept no longer than until they are encoded.
pub(super) struct Node {
    pub(super) study: Study,
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    pub(super) roster: Roster,
    pub(super) folder: StudyFolder,
    /// The file with the rows, as the store knows it.
    data: (DataId, DataEntry),
    /// A digest of the rows under a key of this party and this study.
    pub(super) fingerprint: [u8; 32],
    /// How the rows came into their order, where the parties hold columns of the same records.
    pub(super) aligned: Option<Aligned>,
    /// This party's part of the model, where scores are asked for.
    pub(super) part: Option<ModelPart>,
    /// The valid approval of these rows, where there is one.
    approval: Option<SignedApproval>,
    pub(super) out: Option<PathBuf>,
    /// Whether this is a part that is done again: then nothing is written.
    pub(super) again: bool,
    /// What this node has of the study's result.
    pub(super) holding: Holding,
    /// Held until the node has ended.
    pub(super) state: State,
}

/// A part that is done again: the state directory stays as it is.
impl Participant {
    /// Reads study, settings, key and data to do a part again that was done before.
    pub(super) fn again(
        study_path: &Path,
        config: &Path,
        overrides: &Overrides,
    ) -> Result<Self, Failure> {
        let side = OwnSide::read(study_path, config, overrides, false)?;
        Self::ready(side, config, true)
    }

    /// The node of a party whose own side fits, with its state directory locked.
    fn ready(side: OwnSide, config: &Path, again: bool) -> Result<Self, Failure> {
        let identity = Identity::read(&side.settings.identity.key)?;
        let roster = super::mesh::roster(&side, &identity, config)?;
        let state = State::lock(&side.settings.state, &identity)?;
        let folder = StudyFolder::of(&state, side.study.digest(), &identity);
        let data = (DataId::of(&identity, &side.data.digest), side.data_entry());
        let digest = side.study.digest();
        let fingerprint = BoundRows::new(&side.data.table).fingerprint(&identity, &digest);
        let OwnSide { study, settings, data: DataFile { table, .. }, aligned, part, .. } = side;
        let node = Node {
            study,
            settings,
            identity,
            roster,
            folder,
            data,
            fingerprint,
            aligned,
            part,
            approval: None,
            out: None,
            again,
            holding: Holding::default(),
            state,
        };
        Ok(Self { node, table })
    }

    /// Whether the study asks for scores of records, and fits no model.
    #[must_use]
    pub fn scores(&self) -> bool {
        self.node.study.scoring().is_some()
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Does the part of a run again on a transport that gives what was received then.
    pub(super) async fn replay(
        self,
        transport: Replay,
        options: SessionOptions,
        (due, started, consent): ([u8; 32], u64, Vec<u8>),
    ) -> Result<(), Failure> {
        let Self { node, table } = self;
        let mut session = Session::establish(Box::new(transport), options).await?;
        if session.id() != due {
            let what = "the messages of the handshake are those of another session";
            return Err(Failure::new(Exit::LocalInput, what));
        }
        let quiet: Events = Arc::new(|_| {});
        let mut phases = Phases::begin(&quiet);
        let mut told = Told { started, consent, ..Told::default() };
        let mut node = node;
        if let Some(said) = Said::parse(&told.consent) {
            node.holding = node.folder.holding()?.at_that_time(&said.standing);
        }
        node.work(table, &mut session, &mut phases, &quiet, &mut told).await.map(drop)
    }
}

impl Participant {
    /// Reads study, settings, key and data, and checks all that can be checked without the others.
    ///
    /// # Errors
    /// What does not fit, for a person. Nothing was sent.
    pub fn prepare(
        study_path: &Path,
        config: &Path,
        overrides: &Overrides,
        out: Option<&Path>,
        show_values: bool,
    ) -> Result<Self, Failure> {
        let side = OwnSide::read(study_path, config, overrides, show_values)?;
        let mut participant = Self::ready(side, config, false)?;
        let node = &mut participant.node;
        node.state.store().see_study(&node.study.digest(), &study_entry(&node.study))?;
        node.folder.open(!node.settings.network.return_within.is_zero())?;
        node.holding = node.folder.holding()?;
        node.approval = node.approved(study_path, now())?;
        if let Some(out) = out {
            check_writable(out)?;
            if node.folder.holds(out) {
                let what = "the folder of the study is no place for a copy of its model";
                return Err(Failure::new(Exit::Usage, what)
                    .in_file(out)
                    .advise("the model is written there in any case; leave out --out"));
            }
        }
        node.out = out.map(Path::to_owned);
        Ok(participant)
    }

    /// It waits for the others no longer than this, whatever `network.join_timeout_s` says.
    #[must_use]
    pub fn waiting_at_most(mut self, time: Duration) -> Self {
        let network = &mut self.node.settings.network;
        network.join_timeout = network.join_timeout.min(time);
        self
    }

    /// Meets the others, runs the study with them, and writes the model and the receipt. The others
    /// may not be done yet: the [`Closing`] waits for them. `events` hears what happens, and `stop`
    /// ends the run.
    ///
    /// # Errors
    /// What went wrong, for a person; the peers were told the class of it.
    pub async fn run(
        self,
        events: &Events,
        stop: &mut StopSignal,
    ) -> Result<(Finished, Closing), Failure> {
        self.run_within(None, &mut false, events, stop).await
    }

    /// The same; the others are waited for `patience`, or as the settings say. `met` tells whether all nodes
    /// had met.
    pub(super) async fn run_within(
        self,
        patience: Option<Duration>,
        met: &mut bool,
        events: &Events,
        stop: &mut StopSignal,
    ) -> Result<(Finished, Closing), Failure> {
        self.node.run(self.table, (patience, met), events, stop).await
    }

    /// Whether this node has what it is due.
    pub(super) fn is_complete(&self) -> bool {
        self.node.folder.is_complete()
    }

    /// How long this node waits for a peer that was lost.
    pub(super) fn return_within(&self) -> Duration {
        self.node.settings.network.return_within
    }
}

impl Node {
    /// How a session of this study is started, here or where a part is done again.
    pub(super) fn options(&self, context: [u8; 32]) -> SessionOptions {
        let keys = self.roster.nodes.iter().map(|node| node.key).collect();
        SessionOptions::new(self.study.parties().len(), context)
            .against(self.study.security().against)
            .signatory(Arc::new(Keys::new(&self.identity, keys)))
    }

    async fn run(
        self,
        table: Table,
        (patience, met): (Option<Duration>, &mut bool),
        events: &Events,
        stop: &mut StopSignal,
    ) -> Result<(Finished, Closing), Failure> {
        let Self { study, settings, .. } = &self;
        let context = context(study, &self.roster);
        let mut options = join_options(settings, context);
        options.subject = Some(*study.digest().as_bytes());
        let (title, digest) = (study.title().to_owned(), study.digest().to_string());
        events(Event::Study { title, digest });
        let complete = self.folder.is_complete();
        if complete {
            events(Event::Note(
                "the result is here, and not all have said that they have it: who lacks it gets it"
                    .to_owned(),
            ));
            options.join_timeout = options.join_timeout.min(settings.network.return_within);
        } else if !self.holding.is_empty() {
            events(Event::Note(
                "an earlier run of this study began to reveal its result: what all have recorded of it is sent \
                 again as it was, and what is still due is revealed"
                    .to_owned(),
            ));
        }
        options.join_timeout = patience.unwrap_or(options.join_timeout);

        // All of the rows is gone through while no peer waits.
        let salted = BoundRows::new(&table).salted()?;
        let key = self.identity.key();
        let observer = join_observer(events);
        let stopped = async { stop.stopped().await.into() };
        let transport = join_until(key, &self.roster, &options, &observer, stopped).await?;
        *met = true;
        #[cfg(feature = "test-faults")]
        let _armed = crate::fault::arm(&transport)?;
        #[cfg(feature = "test-faults")]
        crate::fault::die_at("joined");
        // The record of the run that gave the result stays.
        let mut kept = match complete {
            true => Kept::nothing(&self.folder, &self.roster)?,
            false => Kept::begin(&self.folder, settings.keep, &self.roster)?,
        };
        let session_options = self.options(context);
        kept.record(&transport);
        let session_options = kept.session(session_options);
        let started = now();
        let mut phases = Phases::begin(events);

        let (mut session, linger) = establish(transport, session_options, stop).await?;
        let run = (study.digest(), context);
        let mut told = Told { started, ..Told::default() };
        let begun = self.begin(&session, &mut told, &phases).and_then(|()| {
            kept.established(&session, run, &self.roster, (salted, started, &told.consent))
        });
        #[cfg(feature = "test-faults")]
        crate::fault::die_at("begun");
        let worked = match begun {
            Ok(()) => {
                let work = self.work(table, &mut session, &mut phases, events, &mut told);
                stop.until(work).await.unwrap_or_else(|stopped| Err(stopped.into()))
            }
            Err(failure) => Err(failure),
        };
        kept.statements = std::mem::take(&mut told.signed);
        let kept = kept.end(worked.is_ok());
        if let Err(failure) = &kept {
            let what = &failure.what;
            events(Event::Note(format!(
                "what an audit of this node needs is not complete: {what}"
            )));
        }
        let kept = kept.unwrap_or_default();
        let outcome = match worked {
            Ok(outcome) => outcome,
            Err(failure) => {
                let mut failure = doubt(failure, &session);
                if failure.seen_by_all {
                    failure = refuse_together(&mut session).await.unwrap_or(failure);
                }
                give_up(&session, linger, &failure).await;
                let failure = self.with_evidence(failure, &session);
                phases.close();
                return Err(self.write_failed(&told, &session, &phases, (kept, failure)));
            }
        };
        phases.close();
        let written = match outcome {
            Worked::Fitted(outcome) => self.write(*outcome, &told, &session, &phases, kept),
            Worked::Given(given) => self.write_given(given, &told, &session, &phases, kept),
        };
        match written {
            Ok(finished) => {
                #[cfg(feature = "test-faults")]
                crate::fault::die_at("closing");
                let closing = Closing::new(session, linger, settings.network.silence_timeout);
                let study = study.digest();
                Ok((finished, closing.noting(self.state, study)))
            }
            Err(failure) => {
                // The others have all that they are due; why they wait in vain they are told too.
                let reason = "it could not write its result";
                let failure = self.write_failed(&told, &session, &phases, (kept, failure));
                leave(&session, linger, Abort::new(AbortCode::LocalInput, reason)).await;
                Err(failure)
            }
        }
    }

    /// The store knows of the run from here on, whatever becomes of this process.
    fn begin(&self, session: &Session, told: &mut Told, phases: &Phases) -> Result<(), Failure> {
        let (id, entry) = &self.data;
        let (study, name) = (self.study.digest(), hex(&session.id()));
        let run = self.state.store().begin_run(&study, (*id, entry), &name, told.started)?;
        let (required, number, place) = (self.settings.approval, run.number, run.place);
        told.run = Some(run);
        // The receipt of a run whose end this process does not live to see.
        let (class, what) = ("broken-off".to_owned(), NO_END.to_owned());
        let how = store::Outcome { class, what };
        let receipt = self.receipt(told, session, phases, (0, None, how))?;
        self.state.store().keep_receipt(place, &receipt.signed(&self.identity)?)?;
        let valid = |signed: &&SignedApproval| signed.is_valid_at(told.started);
        let approval = self.approval.as_ref().filter(valid).cloned();
        let standing = self.holding.standing();
        told.consent = Said { required, run: number, approval, standing }.to_bytes()?;
        Ok(())
    }

    /// The failure, with what it can be shown with.
    fn with_evidence(&self, failure: Failure, session: &Session) -> Failure {
        match evidence::keep(&self.folder, session, &self.roster, &failure) {
            Ok(None) => failure,
            Ok(Some(path)) => {
                let known = failure.advice.clone().map(|advice| advice + "; ").unwrap_or_default();
                failure.advise(format!(
                    "{known}what the parties signed of their openings is in {}: keep it, and \
                     compare it with the same file of the other parties",
                    path.display()
                ))
            }
            Err(unwritten) => failure.advise(unwritten.what),
        }
    }
}

/// How a run ended that nobody saw the end of.
const NO_END: &str =
    "the run had begun, and no end of it is recorded: it goes on, or the process was killed";

/// A study as the store keeps it.
pub(super) fn study_entry(study: &Study) -> StudyEntry {
    StudyEntry {
        title: study.title().to_owned(),
        kind: study.kind(),
        parties: study.parties().iter().map(ToString::to_string).collect(),
        first_seen: now(),
        text: study.text().to_owned(),
    }
}
