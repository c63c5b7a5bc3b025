//! The work of a run: everything between the first and the last message of a study.

use std::sync::Arc;

use mpc_core::session::Signed;
use mpc_core::{Session, Tag, offload};
use mpc_ml::artifact::ModelPart;
use mpc_ml::data::{
    Dataset, Encoded, EncodingError, Standardisation, Table, encode, joint_statistics,
};
use mpc_ml::model::{Figures, Output, Progress, Run, Summary, ledger};
use mpc_ml::{scoring, standardise};
use mpc_net::AbortCode;

use super::giving::Given;
use super::phases::Phases;
use super::standing::{Course, Standing};
use super::study_run::Node;
use super::{BoundRows, Event, Events, PartyConsent, consent, source};
use crate::exit::{Exit, Failure};
use crate::store;

const ROWS: Tag = Tag::new("study/rows");

/// What is known when the last message of the study was sent.
pub(super) struct Outcome {
    pub(super) standardisation: Vec<Standardisation>,
    /// The result, for those who receive it.
    pub(super) summary: Option<Summary>,
    /// The scores of records, for those who receive them.
    pub(super) scores: Option<Vec<f64>>,
    pub(super) own_warnings: Vec<String>,
}

/// What came of the work.
pub(super) enum Worked {
    /// The study was run.
    Fitted(Box<Outcome>),
    /// A party had its result from an earlier run.
    Given(Given),
}

/// What is known of a run so far, however it ends.
#[derive(Default)]
pub(super) struct Told {
    /// The run; none where a part is done again.
    pub(super) run: Option<store::Run>,
    /// When the nodes had met.
    pub(super) started: u64,
    /// What this node says of its approval.
    pub(super) consent: Vec<u8>,
    /// What all have said of theirs.
    pub(super) consents: Vec<PartyConsent>,
    /// What the operator should know about the others.
    pub(super) noticed: Vec<String>,
    /// Rows of each party.
    pub(super) rows: Vec<u64>,
    /// What may be revealed.
    pub(super) outputs: Vec<Output>,
    /// What the plan says.
    pub(super) figures: Option<Figures>,
    /// Steps that the fit took.
    pub(super) steps: Option<u64>,
    /// How many runs there were on these rows.
    pub(super) runs: u32,
    /// What the others said under their signatures.
    pub(super) signed: Vec<Signed>,
}

impl Node {
    /// Everything between the first and the last message of the study.
    pub(super) async fn work(
        &self,
        table: Table,
        session: &mut Session,
        phases: &mut Phases,
        events: &Events,
        told: &mut Told,
    ) -> Result<Worked, Failure> {
        let study = &self.study;
        // Before anything else is told: whether all have approved.
        let heard = consent::exchange(&told.consent, study, &self.roster, session, told.started);
        let standings: Vec<Standing>;
        (told.consents, standings) = heard.await?.into_iter().unzip();
        if !self.again {
            told.noticed = consent::remember(&told.consents, session.me(), &self.folder, events)?;
        }
        let receivers = study.receivers();
        let names: Vec<String> = study.parties().iter().map(ToString::to_string).collect();
        let receives = |party: &usize| receivers.contains(&study.parties()[*party]);
        let receivers: Vec<usize> = (0..names.len()).filter(receives).collect();
        match self.holding.clone().course(&standings, &receivers, &names)? {
            Course::Give { by, lacking } => {
                phases.enter("giving", session);
                return self
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
            let table = Arc::new(table);
            self.remember(&table, session, events, told).await?;
            return self.score(part, &table, session, phases, (events, told)).await;
        }
        // Before anything is revealed, all must mean the same computation.
        let agreed = plan.agree(session).await?;
        let table = Arc::new(table);
        self.remember(&table, session, events, told).await?;
        // The fit can reveal no part of the result: it may be repeated, and the result may not.
        let repeatable = |output: &&Output| output.kind.is_repeatable();
        session.allow(ledger(outputs.iter().filter(repeatable)))?;
        let (standardisation, encoded) = self.encoded(table, rows.iter().sum(), session).await?;

        phases.enter("preparation", session);
        let mut source = source::start(study, session)?;
        let own_warnings = clip_warning(&encoded, study.model().clip()).into_iter().collect();
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
        told.steps = Some(if figures.passes { passes } else { figures.steps });

        phases.enter("release", session);
        // Nobody gets the result who did not put its name under everything before.
        for (_, said) in session.attest(false).await? {
            told.signed.push(said?);
        }
        let standardisation = self.whole_scales(standardisation, session).await?;
        session.allow(ledger(outputs.iter().filter(|output| !repeatable(output))))?;
        let mut heard = |progress| {
            if let Progress::Step { done, total, production } = progress {
                events(Event::Step { done, total, production });
            }
        };
        let mut run = Run { session, source: &mut *source, progress: &mut heard };
        #[cfg(feature = "test-faults")]
        crate::fault::before_release().await;
        let summary = shares.release(&data, &mut run).await;
        events(Event::Fitted);
        let summary = summary.map_err(|error| study.failure(error))?;
        // The result is known; who is lost from now on takes nothing away.
        if let Err(error) = source.finish().await {
            events(Event::Note(error.to_string()));
        }
        self.compare(session, (events, told)).await?;
        let outcome = Outcome { standardisation, summary, scores: None, own_warnings };
        Ok(Worked::Fitted(Box::new(outcome)))
    }
}

impl Node {
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
    async fn remember(
        &self,
        table: &Arc<Table>,
        session: &mut Session,
        events: &Events,
        told: &mut Told,
    ) -> Result<(), Failure> {
        told.runs = if self.again {
            1
        } else {
            // Beside the network, as all that goes through all cells.
            let (folder, table) = (self.folder.clone(), Arc::clone(table));
            offload(move || folder.bind_rows(&BoundRows::new(&table))).await??
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
                self.study.parties().iter().map(ToString::to_string).collect();
            let log = self.folder.log(&told.outputs, &parties, told.run.as_ref());
            session.record_releases(Box::new(log));
        }
        Ok(())
    }

    /// The end of a run: all who are there make sure that they hold the same.
    async fn compare(
        &self,
        session: &mut Session,
        (events, told): (&Events, &mut Told),
    ) -> Result<(), Failure> {
        // Before anything is done with it, all who are there make sure that they hold the same.
        for name in session.compare().await? {
            events(Event::Note(format!("{name} left before it said what it had received")));
        }
        for (_, said) in session.attest(true).await? {
            match said {
                Ok(said) => told.signed.push(said),
                Err(error) if error.code() == AbortCode::PeerMisbehaved => return Err(error.into()),
                Err(error) => {
                    events(Event::Note(format!("{error}; what it sent last is unsigned")));
                }
            }
        }
        Ok(())
    }

    /// Scores of records by this party's part of a model and those of the others.
    async fn score(
        &self,
        part: &ModelPart,
        table: &Table,
        session: &mut Session,
        phases: &mut Phases,
        (events, told): (&Events, &mut Told),
    ) -> Result<Worked, Failure> {
        phases.enter("release", session);
        for (_, said) in session.attest(false).await? {
            told.signed.push(said?);
        }
        session.allow(ledger(&told.outputs))?;
        let scores = scoring::score(part, table, session).await?;
        self.compare(session, (events, told)).await?;
        let (standardisation, summary, own_warnings) = (Vec::new(), None, Vec::new());
        let outcome = Outcome { standardisation, summary, scores, own_warnings };
        Ok(Worked::Fitted(Box::new(outcome)))
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
