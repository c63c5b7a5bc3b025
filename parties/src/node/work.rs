//! The work of a run: everything between the first and the last message of a study.

use std::sync::Arc;

use mpc_core::{Session, Tag, offload};
use mpc_ml::artifact::ModelPart;
use mpc_ml::data::{
    Dataset, Encoded, EncodingError, Standardisation, Table, encode, joint_statistics,
};
use mpc_ml::evaluate::columns::{self, ColumnsEvaluation};
use mpc_ml::model::{Output, Progress, Run, Summary, ledger};
use mpc_ml::{scoring, standardise};

use super::budget::BudgetSaid;
use super::checkpoints::anew;
use super::giving::Given;
use super::participant::{StudyWork, Work};
use super::phases::Phases;
use super::receipt::Resumed;
use super::rounds::Rounds;
use super::standing::{Course, Standing};
use super::study_run::Node;
use super::told::Told;
use super::{BoundRows, Event, Events, Finished, StudyFolder, consent, source};
use crate::data_file::passed_over;
use crate::exit::{Exit, Failure};
use crate::name::PartyName;
use crate::study::Study;

const ROWS: Tag = Tag::new("study/rows");

/// What is known when the last message of the study was sent.
#[derive(Default)]
pub struct Outcome {
    pub(super) standardisation: Vec<Standardisation>,
    /// The result, for those who receive it.
    pub(super) summary: Option<Summary>,
    /// The scores of records, for those who receive them.
    pub(super) scores: Option<Vec<f64>>,
    /// How well records are predicted.
    pub(super) evaluation: Option<ColumnsEvaluation>,
    pub(super) own_warnings: Vec<String>,
}

/// What came of the work.
pub enum Worked {
    /// The study was run.
    Fitted(Box<Outcome>),
    /// A party had its result from an earlier run.
    Given(Given),
}

impl Node {
    /// What comes first in every run: whether all have approved, and what they have of the result.
    /// `receivers` are those who may have all of it. One round.
    pub(super) async fn consented(
        &self,
        receivers: &[PartyName],
        session: &mut Session,
        events: &Events,
        told: &mut Told,
    ) -> Result<(Course, Vec<Standing>, Vec<Option<BudgetSaid>>), Failure> {
        let terms = &self.terms;
        let heard = consent::exchange(&told.consent, terms, &self.roster, session, told.started);
        let (mut standings, mut budgets) = (Vec::new(), Vec::new());
        told.consents = Vec::new();
        for (consent, standing, budget) in heard.await? {
            told.consents.push(consent);
            standings.push(standing);
            budgets.push(budget);
        }
        self.compare_budgets(&budgets, told, session)?;
        if !self.again {
            told.noticed = consent::remember(&told.consents, session.me(), &self.folder, events)?;
        }
        let names: Vec<String> = terms.parties().iter().map(ToString::to_string).collect();
        let receives = |party: &usize| receivers.contains(&terms.parties()[*party]);
        let receivers: Vec<usize> = (0..names.len()).filter(receives).collect();
        Ok((self.holding.clone().course(&standings, &receivers, &names)?, standings, budgets))
    }
}

impl Work for StudyWork {
    type Outcome = Worked;
    type Finished = Finished;

    fn bound(&self) -> BoundRows<'_> {
        BoundRows::of_table(self.table.as_deref())
    }

    async fn work(
        &mut self,
        node: &Node,
        session: &mut Session,
        phases: &mut Phases,
        events: &Events,
        told: &mut Told,
    ) -> Result<Worked, Failure> {
        let table = self.table.take().ok_or_else(|| {
            Failure::new(Exit::Internal, "the rows of a study are used by one run")
        })?;
        if let Some(lines) = passed_over(self.passed_over) {
            events(Event::Note(lines));
        }
        let study = &self.study;
        let (course, standings, budgets) =
            node.consented(study.receivers(), session, events, told).await?;
        match course {
            Course::Give { by, lacking } => {
                phases.enter("giving", session);
                return node
                    .give((by, &lacking), &standings, session, told)
                    .await
                    .map(Worked::Given);
            }
            Course::Fit(again) => session.resend(again),
        }
        phases.enter("standardisation", session);
        // The number of rows of each party is public.
        let own_rows = table.rows() as u64;
        let rows = session.announce(ROWS, &own_rows.to_le_bytes()).await?;
        // What all plan from: who told another party something else is named before anybody refuses it.
        session.compare().await?;
        let rows: Vec<u64> = rows
            .iter()
            .map(|bytes| u64::from_le_bytes(bytes.as_slice().try_into().unwrap_or_default()))
            .collect();
        told.rows.clone_from(&rows);
        if let Some(aligned) = &self.aligned {
            aligned.compare(study, &rows, session).await?;
        }
        // All plan from the same public facts, so all refuse the same.
        let plan = study
            .plan(&rows)
            .map_err(|error| Failure { seen_by_all: true, ..Failure::from(error) })?;
        let figures = plan.figures();
        told.figures = Some(figures.clone());
        let outputs = study.outputs(&*plan);
        told.outputs.clone_from(&outputs);
        consent::of_this_list(&told.consents, &study.disclosure_digest(&outputs))?;
        if let Some(part) = &self.part {
            node.remember(rows_of(&table), session, events, told).await?;
            let how = (part, &*table);
            return match study.scoring().filter(|scoring| scoring.evaluates()) {
                Some(_) => node.evaluate(study, how, session, phases, (events, told)).await,
                None => node.score(how, session, phases, (events, told)).await,
            };
        }
        // Before anything is revealed, all must mean the same computation.
        let agreed = plan.agree(session).await?;
        node.remember(rows_of(&table), session, events, told).await?;
        let kept = (agreed.digest(), study.is_federated());
        let from = node.set_out(&standings, kept, session, events)?;
        // The fit can reveal no part of the result: it may be repeated, and the result may not.
        let repeatable = |output: &&Output| output.kind.is_repeatable();
        session.allow(ledger(outputs.iter().filter(repeatable)))?;
        let (standardisation, encoded) = self.encoded(table, rows.iter().sum(), session).await?;

        phases.enter("preparation", session);
        let mut source = if study.is_federated() {
            told.rounds = Some(Rounds::new(study));
            Box::new(source::Nothing)
        } else {
            source::start(study.security().correlations, session)?
        };
        let private = study.privacy().is_some();
        let own_warnings =
            clip_warning(&encoded, study.model().clip(), private).into_iter().collect();
        let data = Dataset::encoded(encoded)?;
        // The source has channels of its own, which stay in the phase that they began in.
        session.meter().enter("training");
        let mut passes = 0;
        let mut resumed = None;
        let mut awaited = from.is_some();
        let mut heard = |progress| match progress {
            Progress::Prepared => phases.turn("training"),
            Progress::Resumed { done, .. } => {
                (resumed, passes, awaited) = (Some(done), done, false);
                events(Event::Note(format!(
                    "the fit goes on from step {done}, to which an earlier run had come"
                )));
            }
            Progress::Step { done, total, production } => {
                if std::mem::take(&mut awaited) {
                    events(Event::Note(anew("its scales are others now")));
                }
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
        if let Some((rounds, done)) = told.rounds.as_mut().zip(resumed) {
            rounds.go_on(done);
        }
        told.resumed = from.zip(resumed).map(|(session, step)| Resumed { session, step });
        told.steps = Some(if figures.passes { passes } else { figures.steps });

        phases.enter("release", session);
        told.before_the_result(session).await?;
        let standardisation = self.whole_scales(standardisation, session).await?;
        session.allow(ledger(outputs.iter().filter(|output| !repeatable(output))))?;
        node.spend(told)?;
        let rounds = &mut told.rounds;
        let mut heard = |progress| match progress {
            Progress::Step { done, total, production } => {
                events(Event::Step { done, total, production });
            }
            progress => {
                #[cfg(feature = "test-faults")]
                crate::fault::die_at("round");
                let note = rounds.as_mut().and_then(|rounds| rounds.hear(progress));
                note.into_iter().for_each(|note| events(Event::Note(note)));
            }
        };
        let mut run = Run { session, source: &mut *source, progress: &mut heard };
        #[cfg(feature = "test-faults")]
        crate::fault::before_release().await;
        let summary = shares.release(&data, &mut run).await;
        events(Event::Fitted);
        let summary = summary.map_err(|error| study.failure(error))?;
        node.heard_spent(&budgets, run.session)?;
        // The result is known; who is lost from now on takes nothing away.
        if let Err(error) = source.finish().await {
            events(Event::Note(error.to_string()));
        }
        told.compare(session, events).await?;
        let (scores, evaluation) = (None, None);
        let outcome = Outcome { standardisation, summary, scores, evaluation, own_warnings };
        Ok(Worked::Fitted(Box::new(outcome)))
    }

    fn write(
        &self,
        node: &Node,
        outcome: Worked,
        (told, session, phases, kept): (&Told, &Session, &Phases, u64),
    ) -> Result<Finished, Failure> {
        match outcome {
            Worked::Fitted(outcome) => {
                self.write_fitted(node, *outcome, told, (session, phases, kept))
            }
            Worked::Given(given) => node.write_given(given, told, session, phases, kept),
        }
    }
}

/// The rows as they are bound to a study.
fn rows_of(
    table: &Arc<Table>,
) -> impl FnOnce(&StudyFolder) -> Result<u32, Failure> + Send + 'static {
    let table = Arc::clone(table);
    move |folder| folder.bind_rows(&BoundRows::new(&table))
}

impl StudyWork {
    /// The own rows on the common scale, and what they were scaled by: the joint statistics, or those of
    /// the own columns where the parties hold columns.
    async fn encoded(
        &self,
        table: Arc<Table>,
        rows: u64,
        session: &mut Session,
    ) -> Result<(Vec<Standardisation>, Encoded), Failure> {
        let clip = self.study.model().clip();
        let failed = |error: EncodingError| Failure::new(Exit::Configuration, error.to_string());
        // What goes through all cells runs beside the network: a node that answers no packets is lost.
        if self.aligned.is_some() {
            let work = move || {
                let own = joint_statistics(&[&*table])?;
                encode(&table, &own, clip).map(|encoded| (own, encoded))
            };
            return offload(work).await?.map_err(failed);
        }
        let joint = standardise::joint(&table.joint_columns(), rows, session).await?;
        let work = move || encode(&table, &joint, clip).map(|encoded| (joint, encoded));
        let encoded = offload(work).await?;
        encoded.map_err(|error| Failure { seen_by_all: true, ..failed(error) })
    }

    /// What all columns of the model were scaled by, for those who receive it.
    async fn whole_scales(
        &self,
        own: Vec<Standardisation>,
        session: &mut Session,
    ) -> Result<Vec<Standardisation>, Failure> {
        if self.aligned.is_none() || self.study.is_own() {
            return Ok(own);
        }
        let names: Vec<&str> =
            self.study.schema().joint_features().map(|each| each.name.as_str()).collect();
        Ok(standardise::tell(&names, &own, session).await?.unwrap_or(own))
    }
}

impl Node {
    /// Binds the study to these rows, and has what is revealed recorded.
    pub(super) async fn remember(
        &self,
        bind: impl FnOnce(&StudyFolder) -> Result<u32, Failure> + Send + 'static,
        session: &mut Session,
        events: &Events,
        told: &mut Told,
    ) -> Result<(), Failure> {
        told.runs = if self.again {
            1
        } else {
            // Beside the network, as all that goes through all cells.
            let folder = self.folder.clone();
            offload(move || bind(&folder)).await??
        };
        if told.runs > 1 {
            let runs = told.runs;
            events(Event::Note(format!(
                "run {runs} of this study on these rows; figures on the way to its result are \
                 revealed again"
            )));
        }
        if !self.again {
            let parties: Vec<String> =
                self.terms.parties().iter().map(ToString::to_string).collect();
            let log = self.folder.log(&told.outputs, &parties, told.run.as_ref());
            session.record_releases(Box::new(log));
        }
        Ok(())
    }

    /// Scores of records by this party's part of a model and those of the others.
    async fn score(
        &self,
        (part, table): (&ModelPart, &Table),
        session: &mut Session,
        phases: &mut Phases,
        (events, told): (&Events, &mut Told),
    ) -> Result<Worked, Failure> {
        phases.enter("release", session);
        told.before_the_result(session).await?;
        session.allow(ledger(&told.outputs))?;
        let scores = scoring::score(part, table, session).await?;
        told.compare(session, events).await?;
        Ok(Worked::Fitted(Box::new(Outcome { scores, ..Outcome::default() })))
    }

    /// How well this party's part of a model and those of the others predict records.
    async fn evaluate(
        &self,
        study: &Study,
        (part, table): (&ModelPart, &Table),
        session: &mut Session,
        phases: &mut Phases,
        (events, told): (&Events, &mut Told),
    ) -> Result<Worked, Failure> {
        phases.enter("computation", session);
        let plan = study.evaluation(table.rows() as u64)?;
        let (before, results): (Vec<_>, Vec<_>) =
            told.outputs.clone().into_iter().partition(|output| output.kind.is_repeatable());
        session.allow(ledger(&before))?;
        let mut source = source::start(study.security().correlations, session)?;
        let mut heard = |progress| {
            if let Progress::Step { done, total, production } = progress {
                events(Event::Step { done, total, production });
            }
        };
        let mut run = Run { session, source: &mut *source, progress: &mut heard };
        let tested = columns::compute(&plan, part, table, &mut run).await?;
        phases.enter("release", session);
        told.before_the_result(session).await?;
        session.allow(ledger(&results))?;
        let mut run = Run { session, source: &mut *source, progress: &mut heard };
        let evaluation = Some(columns::release(&plan, tested, &mut run).await?);
        if let Err(error) = source.finish().await {
            events(Event::Note(error.to_string()));
        }
        told.compare(session, events).await?;
        Ok(Worked::Fitted(Box::new(Outcome { evaluation, ..Outcome::default() })))
    }
}

/// Clip counts stay at their party.
fn clip_warning(encoded: &Encoded, clip: f64, private: bool) -> Option<String> {
    let why =
        if private { "beyond the typical values that the study declares" } else { "model.clip" };
    (encoded.clipped > 0).then(|| {
        format!("{} of this party's encoded values were cut to +-{clip} ({why})", encoded.clipped)
    })
}
