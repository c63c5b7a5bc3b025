//! A party's way through a run, from its file to the result: the frame that all models share, and protocols of
//! somebody's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mpc_core::{Session, SessionOptions};
use mpc_net::quic::{Roster, join_until};
use mpc_net::{Abort, AbortCode};

use super::audit::{Kept, Keys};
use super::budget::Taking;
use super::checkpoints::Checkpoints;
use super::consent::Said;
use super::events::join_observer;
use super::evidence;
use super::give_up::{doubt, leave, refuse_together};
use super::mesh::join_options;
use super::participant::Work;
use super::phases::Phases;
use super::receipt::now;
use super::standing::{Holding, Standing};
use super::told::Told;
use super::{
    BoundRows, Closing, Event, Events, State, StopSignal, StudyFolder, context, establish, give_up,
};
use crate::approval::SignedApproval;
use crate::data_file::FileDigest;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::{check_writable, create, hex};
use crate::settings::Settings;
use crate::store::{self, DataEntry, DataId, StudyEntry};
use crate::study::Terms;

/// What a node has whatever it runs.
pub struct Node {
    pub(super) terms: Terms,
    pub(super) settings: Settings,
    pub(super) identity: Identity,
    pub(super) roster: Roster,
    pub(super) folder: StudyFolder,
    /// The file with the rows, as the store knows it.
    data: (DataId, DataEntry),
    /// A digest of the rows under a key of this party and this study.
    pub(super) fingerprint: [u8; 32],
    /// The valid approval of these rows, where there is one.
    approval: Option<SignedApproval>,
    pub(super) out: Option<PathBuf>,
    /// Whether this is a part that is done again: then nothing is written.
    pub(super) again: bool,
    /// What this node has of the study's result.
    pub(super) holding: Holding,
    /// The states of its fit that it could go on from.
    pub(super) checkpoints: Checkpoints,
    /// What the study takes of the privacy budget, where it takes of one.
    pub(super) taking: Option<Taking>,
    /// Held until the node has ended.
    pub(super) state: State,
}

impl Node {
    /// The node of a party whose own side fits, with its state directory locked.
    pub(super) fn ready(
        (terms, settings): (Terms, Settings),
        place: usize,
        (file, entry): (&FileDigest, DataEntry),
        rows: &BoundRows<'_>,
        config: &Path,
    ) -> Result<Self, Failure> {
        let identity = Identity::read(&settings.identity.key)?;
        let roster = super::mesh::roster((&terms, place), &settings, &identity, config)?;
        let state = State::lock(&settings.state, &identity)?;
        let folder = StudyFolder::of(&state, terms.digest(), &identity);
        let data = (DataId::of(&identity, file), entry);
        let fingerprint = rows.fingerprint(&identity, &terms.digest());
        Ok(Self {
            terms,
            settings,
            identity,
            roster,
            folder,
            data,
            fingerprint,
            approval: None,
            out: None,
            again: false,
            holding: Holding::default(),
            checkpoints: Checkpoints::default(),
            taking: None,
            state,
        })
    }

    /// Sees to it that there is something left to do, that all that is needed is approved, and that the
    /// results can be written.
    pub(super) fn open(&mut self, path: &Path, out: Option<&Path>) -> Result<(), Failure> {
        self.state.store().see_study(&self.terms.digest(), &study_entry(&self.terms))?;
        self.folder.open(!self.settings.network.return_within.is_zero())?;
        self.holding = self.folder.holding()?;
        if self.settings.network.resume {
            self.checkpoints = Checkpoints::of(self)?;
        }
        self.approval = self.approved(path, now())?;
        if let Some(out) = out {
            check_writable(out)?;
            if self.folder.holds(out) {
                let what = "the folder of the study is no place for a copy of its model";
                return Err(Failure::new(Exit::Usage, what)
                    .in_file(out)
                    .advise("the model is written there in any case; leave out --out"));
            }
        }
        self.out = out.map(Path::to_owned);
        Ok(())
    }
}

impl Node {
    /// How a session of this study is started, here or where a part is done again.
    pub(super) fn options(&self, context: [u8; 32]) -> SessionOptions {
        let keys = self.roster.nodes.iter().map(|node| node.key).collect();
        SessionOptions::new(self.terms.parties().len(), context)
            .against(self.terms.security().against)
            .signatory(Arc::new(Keys::new(&self.identity, keys)))
    }

    pub(super) async fn run<W: Work>(
        self,
        mut work: W,
        (patience, met): (Option<Duration>, &mut bool),
        events: &Events,
        stop: &mut StopSignal,
    ) -> Result<(W::Finished, Closing), Failure> {
        let Self { terms, settings, .. } = &self;
        let context = context(&terms.digest(), &self.roster);
        let mut options = join_options(settings, context);
        options.subject = Some(*terms.digest().as_bytes());
        let (title, digest) = (terms.title().to_owned(), terms.digest().to_string());
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
        let salted = work.bound().salted()?;
        let key = self.identity.key();
        let observer = join_observer(events);
        let stopped = async { stop.stopped().await.into() };
        let transport = join_until(key, &self.roster, &options, &observer, stopped).await?;
        transport.tell_of_work();
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
        let run = (terms.digest(), context);
        let mut told = Told { started, ..Told::default() };
        let begun = self.begin(&session, &mut told, &phases).and_then(|()| {
            let checkpoints = self.checkpoints.all();
            let begun = (salted, started, &told.consent[..], checkpoints);
            kept.established(&session, run, &self.roster, begun)
        });
        #[cfg(feature = "test-faults")]
        crate::fault::die_at("begun");
        let worked = match begun {
            Ok(()) => {
                let working = work.work(&self, &mut session, &mut phases, events, &mut told);
                stop.until(working).await.unwrap_or_else(|stopped| Err(stopped.into()))
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
                self.forget_states_after(&failure);
                self.free(&told);
                phases.close();
                return Err(self.write_failed(&told, &session, &phases, (kept, failure)));
            }
        };
        phases.close();
        match work.write(&self, outcome, (&told, &session, &phases, kept)) {
            Ok(finished) => {
                self.write_report(events);
                #[cfg(feature = "test-faults")]
                crate::fault::die_at("closing");
                let closing = Closing::new(session, linger, settings.network.silence_timeout);
                let study = terms.digest();
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
        let (study, name) = (self.terms.digest(), hex(&session.id()));
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
        let checkpoints = self.checkpoints.named();
        let standing = Standing { checkpoints, ..self.holding.standing() };
        let budget = self.budget_said(told.started)?;
        told.consent = Said { required, run: number, approval, standing, budget }.to_bytes()?;
        Ok(())
    }

    /// The page on the run, where the operator wants one. The run is complete without it.
    fn write_report(&self, events: &Events) {
        let file = self.folder.report();
        // A run that only gave others what it had has the page from before.
        if !self.settings.report || self.folder.written_report().is_some() {
            return;
        }
        let page = crate::report::of_run(self.folder.path(), self.terms.text());
        if let Err(failure) = page.and_then(|page| create(&file, page.as_bytes())) {
            events(Event::Note(format!("there is no report.html: {}", failure.what)));
        }
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
pub(super) fn study_entry(terms: &Terms) -> StudyEntry {
    StudyEntry {
        title: terms.title().to_owned(),
        kind: terms.kind().to_owned(),
        parties: terms.parties().iter().map(ToString::to_string).collect(),
        first_seen: now(),
        text: terms.text().to_owned(),
    }
}
