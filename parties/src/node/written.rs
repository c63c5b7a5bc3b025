//! What a node writes at the end of a run: the model, and the account of it.

use mpc_core::Session;
use mpc_ml::artifact::{Model, ModelParts, SecurityRecord, TrainingRecord};

use super::phases::Phases;
use super::study_run::Node;
use super::work::{Outcome, Told};
use super::{Finished, Receipt, outputs};
use crate::exit::{Exit, Failure};
use crate::output::{create, hex};

impl Node {
    /// Writes model and receipt, the receipt last: where it is, everything is.
    pub(super) fn write(
        &self,
        outcome: Outcome,
        told: &Told,
        session: &Session,
        started: u64,
        phases: &Phases,
        kept: u64,
    ) -> Result<Finished, Failure> {
        let receipt = self.receipt((&outcome, told), session, started, phases, kept)?;
        let passes = outcome.account.figures.passes;
        let mut own_warnings = outcome.own_warnings.clone();
        let mut warnings = Vec::new();
        if let Some(summary) = &outcome.summary {
            own_warnings.extend(summary.own_warnings.iter().cloned());
            warnings.extend(summary.warnings.iter().cloned());
        }
        let model = self.model(outcome, &told.rows)?;
        let json = model.as_ref().map(Model::to_json).transpose()?;
        if let Some(json) = &json {
            create(&self.folder.model(), json.as_bytes())?;
        }
        let text = serde_json::to_string_pretty(&receipt)
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        // The last write is the one that says that everything is there.
        create(&self.folder.receipt(), text.as_bytes())?;
        self.complete(told, &text)?;
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
    fn model(&self, outcome: Outcome, rows: &[u64]) -> Result<Option<Model>, Failure> {
        let study = &self.study;
        let Outcome { account, standardisation, summary, steps, .. } = outcome;
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
        (outcome, told): (&Outcome, &Told),
        session: &Session,
        started: u64,
        phases: &Phases,
        kept: u64,
    ) -> Result<Receipt, Failure> {
        let Self { study, settings, .. } = self;
        Ok(Receipt {
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
            rows: told.rows.clone(),
            rows_dropped: outcome.account.figures.rows_dropped,
            iterations: outcome.steps,
            statistical_security_bits: outcome.account.figures.sigma,
            sigmoid_error: outcome.account.figures.sigmoid_error,
            revealed: outputs::revealed(study, &told.outputs, &self.folder)?,
            runs: told.runs,
            started,
            kept_for_audit: kept,
            phases: phases.receipts(session),
        })
    }
}
