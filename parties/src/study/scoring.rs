//! `[predict]` and `[evaluate]`: scores of new records by a model that was fitted before, or how well it predicts them,
//! in place of a fit.

use mpc_core::{Cost, Recipients, Session};
use mpc_ml::Error;
use mpc_ml::evaluate::columns::ColumnsPlan;
use mpc_ml::model::{Figures, Output, steps};
use mpc_ml::scoring;

use super::output;
use super::raw::{RawEvaluate, RawPredict};
use super::{Correlations, Security, StudyDigest, StudyError};
use crate::models::{Planned, Ready, Work};
use crate::name::PartyName;

/// Whose model is applied, and who learns the scores, or what they come to beside the targets.
#[derive(Clone, Debug)]
pub struct Scoring {
    study: StudyDigest,
    recipients: Vec<PartyName>,
    evaluates: bool,
}

/// Reads whichever is there; the parties must hold columns.
pub(super) fn check(
    raw: (Option<RawPredict>, Option<RawEvaluate>),
    parties: &[PartyName],
    by_columns: bool,
    security: &Security,
) -> Result<Option<Scoring>, StudyError> {
    match raw {
        (None, None) => Ok(None),
        (Some(raw), None) => predict(raw, parties, by_columns, security).map(Some),
        (None, Some(raw)) => evaluate(&raw, parties, by_columns).map(Some),
        (Some(_), Some(_)) => {
            let rule = "stands beside [predict]: scores of records are told, or how well they are predicted; write \
                        two files";
            Err(StudyError::rule("evaluate", rule))
        }
    }
}

/// The study that `text`, in this field, names.
fn named(text: &str, field: &'static str) -> Result<StudyDigest, StudyError> {
    text.parse().map_err(|()| {
        let rule = "must be the digest of the study that fitted the model, \"study:\" and 64 digits and \
                    letters a to f, as `party study check` and model.json have it";
        StudyError::rule(field, rule)
    })
}

fn evaluate(
    raw: &RawEvaluate,
    parties: &[PartyName],
    by_columns: bool,
) -> Result<Scoring, StudyError> {
    if !by_columns {
        let rule = "is for records whose columns are at different parties (partition = \"vertical\"): parties with \
                    whole rows agree on the protocol evaluate/1, which `party study evaluate --model MODEL` drafts";
        return Err(StudyError::rule("evaluate", rule));
    }
    let study = named(&raw.study, "evaluate.study")?;
    Ok(Scoring { study, recipients: parties.to_vec(), evaluates: true })
}

fn predict(
    raw: RawPredict,
    parties: &[PartyName],
    by_columns: bool,
    security: &Security,
) -> Result<Scoring, StudyError> {
    if !by_columns {
        let rule = "is for records whose columns are at different parties (partition = \"vertical\"): a party \
                    with whole rows applies the model alone, party predict --model MODEL --data FILE";
        return Err(StudyError::rule("predict", rule));
    }
    if security.correlations == Correlations::Dealer {
        let rule = "is \"dealer\", and scores need no joint randomness: write \"pairwise\"";
        return Err(StudyError::rule("security.correlations", rule));
    }
    let study = named(&raw.study, "predict.study")?;
    let recipients = output::recipients(raw.scores, parties, "predict.scores")?;
    Ok(Scoring { study, recipients, evaluates: false })
}

impl Scoring {
    /// The study that fitted the model.
    #[must_use]
    pub fn study(&self) -> StudyDigest {
        self.study
    }

    /// Whether it asks how well the records are predicted, and not for their scores.
    #[must_use]
    pub fn evaluates(&self) -> bool {
        self.evaluates
    }

    /// Who learns the scores, in the order of the parties.
    pub(super) fn recipients(&self) -> &[PartyName] {
        &self.recipients
    }

    /// What it comes to for so many records.
    pub(super) fn plan(&self, records: u64, parties: usize, recipients: Recipients) -> ScoringPlan {
        ScoringPlan { records, parties, recipients }
    }
}

/// The plan of a scoring: nothing is fitted.
pub(super) struct ScoringPlan {
    records: u64,
    parties: usize,
    recipients: Recipients,
}

impl Planned for ScoringPlan {
    fn outputs(&self) -> Vec<Output> {
        scoring::outputs(self.recipients, self.parties)
    }

    fn figures(&self) -> Figures {
        let precision = format!("each part of a score is rounded to {}", steps(scoring::FRACTION));
        Figures { precision: vec![precision], ..Figures::default() }
    }

    fn cost(&self, me: usize) -> Cost {
        scoring::cost(me, self.parties, self.records)
    }

    fn agree<'a>(self: Box<Self>, _: &'a mut Session) -> Work<'a, Box<dyn Ready>> {
        Box::pin(async {
            Err(Error::Settings("a study with [predict] applies a model and fits none".to_owned()))
        })
    }
}

impl Planned for ColumnsPlan {
    fn outputs(&self) -> Vec<Output> {
        self.outputs()
    }

    fn figures(&self) -> Figures {
        Figures { precision: self.precision(), ..Figures::default() }
    }

    fn cost(&self, me: usize) -> Cost {
        self.cost(me)
    }

    fn agree<'a>(self: Box<Self>, _: &'a mut Session) -> Work<'a, Box<dyn Ready>> {
        Box::pin(async {
            Err(Error::Settings("a study with [evaluate] applies a model and fits none".to_owned()))
        })
    }
}
