//! A party's way through a study, from its file to the model: the frame that all methods share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mpc_core::session::Signed;
use mpc_core::{Session, SessionOptions, Tag};
use mpc_ml::artifact::{Model, ModelParts, SecurityRecord, TrainingRecord};
use mpc_ml::data::{Dataset, Encoded, Standardisation, Table, encode};
use mpc_ml::model::{Output, Progress, Run, Summary, ledger};
use mpc_ml::standardise;
use mpc_net::quic::{JoinOptions, Roster, join_until};
use mpc_net::replay::Replay;
use mpc_net::{Abort, AbortCode};

use super::audit::{Kept, Keys};
use super::events::join_observer;
use super::evidence;
use super::give_up::{doubt, leave, refuse_together};
use super::phases::Phases;
use super::receipt::now;
use super::{
    BoundRows, Closing, Event, Events, Finished, OwnSide, Receipt, State, StopSignal, StudyFolder,
    context, establish, give_up, link_settings, outputs, source,
};
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::models::Account;
use crate::output::{check_writable, create, hex};
use crate::settings::{Overrides, Settings};
use crate::study::Study;

const ROWS: Tag = Tag::new("study/rows");

/// A party that is ready to take part: everything that it can check alone is checked.
pub struct Participant {
    node: Node,
    table: Table,
}

/// Everything but the rows, which are kept no longer than until they are encoded.
pub(super) struct Node {
    pub(super) study: Study,
    settings: Settings,
    pub(super) identity: Identity,
    pub(super) roster: Roster,
    pub(super) folder: StudyFolder,
    out: Option<PathBuf>,
    /// Whether this is a part that is done again: then nothing is written.
    again: bool,
    /// Held until the node has ended.
    _state: State,
}

/// What is known when the last message of the study was sent.
struct Outcome {
    rows: Vec<u64>,
    account: Account,
    outputs: Vec<Output>,
    standardisation: Vec<Standardisation>,
    /// The result, for those who receive it.
    summary: Option<Summary>,
    /// Steps that the fit took.
    steps: u64,
    /// How many runs there were on these rows.
    runs: u32,
    own_warnings: Vec<String>,
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
        let identity = Identity::read(&side.settings.identity.key)?;
        let roster = super::mesh::roster(&side, &identity, config)?;
        let state = State::lock(&side.settings.state)?;
        let folder = StudyFolder::of(&side.settings.state, side.study.digest(), &identity);
        let OwnSide { study, settings, data, .. } = side;
        let (out, again, _state) = (None, true, state);
        let node = Node { study, settings, identity, roster, folder, out, again, _state };
        Ok(Self { node, table: data.table })
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
        due: [u8; 32],
    ) -> Result<(), Failure> {
        let Self { node, table } = self;
        let mut session = Session::establish(Box::new(transport), options).await?;
        if session.id() != due {
            let what = "the messages of the handshake are those of another session";
            return Err(Failure::new(Exit::LocalInput, what));
        }
        let quiet: Events = Arc::new(|_| {});
        let mut phases = Phases::begin(&quiet);
        node.work(table, &mut session, &mut phases, &quiet, &mut Vec::new()).await.map(drop)
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
        let identity = Identity::read(&side.settings.identity.key)?;
        let roster = super::mesh::roster(&side, &identity, config)?;
        let state = State::lock(&side.settings.state)?;
        let folder = StudyFolder::of(&side.settings.state, side.study.digest(), &identity);
        folder.open()?;
        if let Some(out) = out {
            check_writable(out)?;
            if folder.holds(out) {
                let what = "the folder of the study is no place for a copy of its model";
                return Err(Failure::new(Exit::Usage, what)
                    .in_file(out)
                    .advise("the model is written there in any case; leave out --out"));
            }
        }
        let OwnSide { study, settings, data, .. } = side;
        let out = out.map(Path::to_owned);
        let (again, _state) = (false, state);
        let node = Node { study, settings, identity, roster, folder, out, again, _state };
        Ok(Self { node, table: data.table })
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
        self.node.run(self.table, events, stop).await
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
        events: &Events,
        stop: &mut StopSignal,
    ) -> Result<(Finished, Closing), Failure> {
        let Self { study, settings, .. } = &self;
        let context = context(study, &self.roster);
        let mut options = JoinOptions::new(settings.network.listen, context);
        options.join_timeout = settings.network.join_timeout;
        options.silence_timeout = settings.network.silence_timeout;
        options.link = link_settings(settings);
        let (title, digest) = (study.title().to_owned(), study.digest().to_string());
        events(Event::Study { title, digest });

        let key = self.identity.key();
        let observer = join_observer(events);
        let stopped = async { stop.stopped().await.into() };
        let transport = join_until(key, &self.roster, &options, &observer, stopped).await?;
        #[cfg(feature = "test-faults")]
        let _armed = crate::fault::arm(&transport)?;
        let mut kept = Kept::begin(&self.folder, settings.keep, &self.roster)?;
        let session_options = self.options(context);
        kept.record(&transport);
        let session_options = kept.session(session_options);
        let started = now();
        let mut phases = Phases::begin(events);

        let (mut session, linger) = establish(transport, session_options, stop).await?;
        let run = (study.digest(), context);
        let worked = match kept.established(&session, run, &self.roster, (&table, started)) {
            Ok(()) => {
                let signed = &mut kept.statements;
                let work = self.work(table, &mut session, &mut phases, events, signed);
                stop.until(work).await.unwrap_or_else(|stopped| Err(stopped.into()))
            }
            Err(failure) => Err(failure),
        };
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
                let failure = doubt(failure, &session);
                if failure.seen_by_all {
                    refuse_together(&mut session).await;
                }
                give_up(&session, linger, &failure).await;
                return Err(self.with_evidence(failure, &session));
            }
        };
        phases.close();
        match self.write(outcome, &session, started, &phases, kept) {
            Ok(finished) => {
                Ok((finished, Closing::new(session, linger, settings.network.silence_timeout)))
            }
            Err(failure) => {
                // The others have all that they are due; why they wait in vain they are told too.
                let reason = "it could not write its result";
                leave(&session, linger, Abort::new(AbortCode::LocalInput, reason)).await;
                Err(failure)
            }
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

    /// Everything between the first and the last message of the study.
    async fn work(
        &self,
        table: Table,
        session: &mut Session,
        phases: &mut Phases,
        events: &Events,
        signed: &mut Vec<Signed>,
    ) -> Result<Outcome, Failure> {
        let study = &self.study;
        phases.enter("standardisation", session);
        // The number of rows of each party is public.
        let own_rows = table.rows() as u64;
        let rows = session.announce(ROWS, &own_rows.to_le_bytes()).await?;
        let rows: Vec<u64> = rows
            .iter()
            .map(|bytes| u64::from_le_bytes(bytes.as_slice().try_into().unwrap_or_default()))
            .collect();
        // All plan from the same public facts, so all refuse the same.
        let plan = study
            .plan(&rows)
            .map_err(|error| Failure { seen_by_all: true, ..Failure::from(error) })?;
        let account = Account::of(&*plan, session.me(), session.against());
        let outputs = study.outputs(&*plan);
        // Before anything is revealed, all must mean the same computation.
        let agreed = plan.agree(session).await?;
        let runs = if self.again { 1 } else { self.folder.bind_rows(&BoundRows::new(&table))? };
        if runs > 1 {
            events(Event::Note(format!(
                "run {runs} of this study on these rows; figures on the way to its result are \
                 revealed again"
            )));
        }
        if !self.again {
            session.record_releases(Box::new(self.folder.log(&outputs)));
        }
        // The fit can reveal no part of the result: it may be repeated, and the result may not.
        let repeatable = |output: &&Output| output.kind.is_repeatable();
        session.allow(ledger(outputs.iter().filter(repeatable)))?;
        let columns = table.joint_columns();
        let standardisation = standardise::joint(&columns, rows.iter().sum(), session).await?;
        let clip = study.model().clip();
        let encoded = encode(&table, &standardisation, clip).map_err(|error| Failure {
            seen_by_all: true,
            ..Failure::new(Exit::Configuration, error.to_string())
        })?;
        drop(columns);
        drop(table);

        phases.enter("preparation", session);
        let mut source = source::start(study, session)?;
        let own_warnings = clip_warning(&encoded, clip).into_iter().collect();
        let data = Dataset::encoded(encoded)?;
        // The source has channels of its own, which stay in the phase that they began in.
        session.meter().enter("training");
        let mut passes = 0;
        let mut heard = |progress| match progress {
            Progress::Prepared => phases.turn("training"),
            Progress::Step { done, total, production } => {
                passes = done;
                events(Event::Step { done, total, production });
            }
            _ => {}
        };
        let mut run = Run { session, source: &mut *source, progress: &mut heard };
        let shares = match agreed.fit(&data, &mut run).await {
            Ok(shares) => shares,
            Err(error) => {
                events(Event::Fitted);
                return Err(study.failure(error));
            }
        };
        let steps = if account.figures.passes { passes } else { account.figures.steps };

        phases.enter("release", session);
        // Nobody gets the result who did not put its name under everything before.
        for (_, said) in session.attest(false).await? {
            signed.push(said?);
        }
        session.allow(ledger(outputs.iter().filter(|output| !repeatable(output))))?;
        let mut heard = |progress| {
            if let Progress::Step { done, total, production } = progress {
                events(Event::Step { done, total, production });
            }
        };
        let mut run = Run { session, source: &mut *source, progress: &mut heard };
        let summary = shares.release(&data, &mut run).await;
        events(Event::Fitted);
        let summary = summary.map_err(|error| study.failure(error))?;
        // The result is known; who is lost from now on takes nothing away.
        if let Err(error) = source.finish().await {
            events(Event::Note(error.to_string()));
        }
        // Before anything is done with it, all who are there make sure that they hold the same.
        for name in session.compare().await? {
            events(Event::Note(format!("{name} left before it said what it had received")));
        }
        for (_, said) in session.attest(true).await? {
            match said {
                Ok(said) => signed.push(said),
                Err(error) if error.code() == AbortCode::PeerMisbehaved => return Err(error.into()),
                Err(error) => {
                    events(Event::Note(format!("{error}; what it sent last is unsigned")));
                }
            }
        }
        let told =
            Outcome { rows, account, outputs, standardisation, summary, steps, runs, own_warnings };
        Ok(told)
    }

    /// Writes model and receipt, the receipt last: where it is, everything is.
    fn write(
        &self,
        outcome: Outcome,
        session: &Session,
        started: u64,
        phases: &Phases,
        kept: u64,
    ) -> Result<Finished, Failure> {
        let receipt = self.receipt(&outcome, session, started, phases, kept);
        let passes = outcome.account.figures.passes;
        let mut own_warnings = outcome.own_warnings.clone();
        let mut warnings = Vec::new();
        if let Some(summary) = &outcome.summary {
            own_warnings.extend(summary.own_warnings.iter().cloned());
            warnings.extend(summary.warnings.iter().cloned());
        }
        let model = self.model(outcome)?;
        let json = model.as_ref().map(Model::to_json).transpose()?;
        if let Some(json) = &json {
            create(&self.folder.model(), json.as_bytes())?;
        }
        let text = serde_json::to_string_pretty(&receipt)
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        create(&self.folder.receipt(), text.as_bytes())?;
        let copy = match (&self.out, &json) {
            (Some(out), Some(json)) => create(out, json.as_bytes()).map_err(|failure| {
                let model = self.folder.model();
                failure.advise(format!("the study is complete; its model is {}", model.display()))
            }),
            _ => Ok(()),
        };
        let folder = self.folder.clone();
        Ok(Finished { model, receipt, passes, folder, copy, warnings, own_warnings })
    }

    /// The model, for those who receive it.
    fn model(&self, outcome: Outcome) -> Result<Option<Model>, Failure> {
        let study = &self.study;
        let Outcome { rows, account, standardisation, summary, steps, .. } = outcome;
        let Some(summary) = summary else { return Ok(None) };
        let rows_dropped = account.figures.rows_dropped;
        Ok(Some(Model::new(ModelParts {
            kind: study.kind(),
            title: study.title().to_owned(),
            study: study.digest().to_string(),
            schema: study.schema().clone(),
            standardisation,
            intercept: summary.intercept,
            coefficients: summary.coefficients,
            l2: summary.l2,
            inference: summary.inference,
            training: TrainingRecord {
                solver: study.model().record(),
                iterations: steps,
                rows_used: rows.iter().sum::<u64>() - rows_dropped,
                rows_dropped,
                clip: study.model().clip(),
                checks: summary.checks,
                security: SecurityRecord {
                    parties: study.parties().iter().map(ToString::to_string).collect(),
                    correlations: study.security().correlations.to_string(),
                },
                release_bits: summary.release_bits,
            },
        })?))
    }

    fn receipt(
        &self,
        outcome: &Outcome,
        session: &Session,
        started: u64,
        phases: &Phases,
        kept: u64,
    ) -> Receipt {
        let Self { study, settings, .. } = self;
        Receipt {
            format: "mpc-receipt",
            version: 1,
            party: settings.identity.name.to_string(),
            program: env!("CARGO_PKG_VERSION"),
            title: study.title().to_owned(),
            study: study.digest().to_string(),
            session: hex(&session.id()),
            nodes: self
                .roster
                .nodes
                .iter()
                .map(|node| (node.name.clone(), node.key.to_string()))
                .collect(),
            correlations: study.security().correlations.to_string(),
            rows: outcome.rows.clone(),
            rows_dropped: outcome.account.figures.rows_dropped,
            iterations: outcome.steps,
            statistical_security_bits: outcome.account.figures.sigma,
            sigmoid_error: outcome.account.figures.sigmoid_error,
            revealed: outputs::revealed(study, &outcome.outputs, &self.folder),
            runs: outcome.runs,
            started,
            kept_for_audit: kept,
            phases: phases.receipts(session),
        }
    }
}

/// Clip counts stay at their party.
fn clip_warning(encoded: &Encoded, clip: f64) -> Option<String> {
    (encoded.clipped > 0).then(|| {
        format!(
            "{} of this party's encoded values were cut to +-{clip} (model.clip)",
            encoded.clipped
        )
    })
}
