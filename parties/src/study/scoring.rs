//! `[predict]`: scores of new records by a model that was fitted before, in place of a fit.

use mpc_core::{Cost, Recipients, Session};
use mpc_ml::Error;
use mpc_ml::model::{Figures, Output, steps};
use mpc_ml::scoring;

use super::output;
use super::raw::RawPredict;
use super::{Correlations, Security, StudyDigest, StudyError};
use crate::models::{Planned, Ready, Work};
use crate::name::PartyName;

/// Whose model is applied, and who learns the scores.
#[derive(Clone, Debug)]
pub struct Scoring {
    study: StudyDigest,
    recipients: Vec<PartyName>,
}

/// Reads it; the parties must hold columns.
pub(super) fn check(
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
    let study = raw.study.parse().map_err(|()| {
        let rule = "must be the digest of the study that fitted the model, \"study:\" and 64 digits and \
                    letters a to f, as `party study check` and model.json have it";
        StudyError::rule("predict.study", rule)
    })?;
    let recipients = output::recipients(raw.scores, parties, "predict.scores")?;
    Ok(Scoring { study, recipients })
}

impl Scoring {
    /// The study that fitted the model.
    #[must_use]
    pub fn study(&self) -> StudyDigest {
        self.study
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
