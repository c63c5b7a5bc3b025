//! What a node writes at the end of a run: the model, and the account of it.

use std::path::Path;

use mpc_core::Session;
use mpc_ml::artifact::{
    ClassModel, Model, ModelError, ModelKind, ModelPart, ModelParts, SecurityRecord, TrainingRecord,
};
use serde::Serialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::participant::StudyWork;
use super::phases::Phases;
use super::receipt::{Heard, VERSION, digest_of, now, program_sha256};
use super::rounds::Rounds;
use super::study_run::Node;
use super::told::Told;
use super::work::Outcome;
use super::{Finished, Receipt, Revealed};
use crate::exit::{Exit, Failure};
use crate::limits::prediction_column;
use crate::output::{create, hex, when};
use crate::store;

/// What a party receives of a model.
enum Released {
    Whole(Box<Model>),
    Part(Box<ModelPart>),
    Classes(Box<ClassModel>),
}

impl Released {
    fn to_json(&self) -> Result<String, ModelError> {
        match self {
            Self::Whole(model) => model.to_json(),
            Self::Part(part) => part.to_json(),
            Self::Classes(model) => model.to_json(),
        }
    }
}

impl Node {
    /// Writes a file of the result. Who had its result before this run stands by it: the study is run again for
    /// another party, of outputs that are sent again as they were.
    pub(super) fn create_once(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        if self.holding.complete && path.exists() { Ok(()) } else { create(path, bytes) }
    }

    /// The receipt of a run that came to its end, where it is written, everything is. `of` puts in of what
    /// result it is.
    pub(super) fn account(
        &self,
        (told, session, phases, kept): (&Told, &Session, &Phases, u64),
        of: impl FnOnce(&mut Receipt),
    ) -> Result<Receipt, Failure> {
        #[cfg(feature = "test-faults")]
        crate::fault::die_at("receipt");
        let (class, what) = (Exit::Ok.class().to_owned(), "the run came to its end".to_owned());
        let ended = now();
        let how = store::Outcome { class, what };
        let mut receipt = self.receipt(told, session, phases, (kept, Some(ended), how.clone()))?;
        of(&mut receipt);
        let text = receipt.signed(&self.identity)?;
        if let Some(run) = &told.run {
            self.state.store().end_run(run.place, ended, &how, &text)?;
        }
        self.create_once(&self.folder.receipt(), text.as_bytes())?;
        Ok(receipt)
    }

    /// A run that did not come to its end has a receipt too. Gives the failure, which says where it is.
    pub(super) fn write_failed(
        &self,
        told: &Told,
        session: &Session,
        phases: &Phases,
        (kept, failure): (u64, Failure),
    ) -> Failure {
        let Some(run) = &told.run else { return failure };
        let ended = now();
        let how =
            store::Outcome { class: failure.exit.class().to_owned(), what: failure.what.clone() };
        let path = self.folder.failed_receipt(run.number);
        let written = self
            .receipt(told, session, phases, (kept, Some(ended), how.clone()))
            .and_then(|receipt| receipt.signed(&self.identity))
            .and_then(|text| {
                self.state.store().end_run(run.place, ended, &how, &text)?;
                create(&path, text.as_bytes())
            });
        match written {
            Ok(()) => failure,
            Err(unwritten) => {
                let known = failure.advice.clone().map(|advice| advice + "; ").unwrap_or_default();
                failure.advise(format!("{known}this run has no receipt: {}", unwritten.what))
            }
        }
    }

    /// The account of a run, as far as it went.
    pub(super) fn receipt(
        &self,
        told: &Told,
        session: &Session,
        phases: &Phases,
        (kept, ended, outcome): (u64, Option<u64>, store::Outcome),
    ) -> Result<Receipt, Failure> {
        let Self { terms, settings, .. } = self;
        let figures = told.figures.as_ref();
        let nodes = self.roster.nodes.iter();
        Ok(Receipt {
            format: "mpc-receipt",
            version: VERSION,
            party: settings.identity.name.to_string(),
            program: env!("CARGO_PKG_VERSION"),
            program_sha256: program_sha256(),
            title: terms.title().to_owned(),
            study: terms.digest().to_string(),
            alignment: terms.alignment().map(str::to_owned),
            protocol: terms.protocol().map(str::to_owned),
            consent: terms.consent().clone(),
            session: hex(&session.id()),
            nodes: nodes.map(|node| (node.name.clone(), node.key.to_string())).collect(),
            approvals: told.consents.clone(),
            noticed: told.noticed.clone(),
            data: hex(&self.fingerprint),
            correlations: terms.security().correlations.to_string(),
            rows: told.rows.clone(),
            rows_dropped: figures.map(|figures| figures.rows_dropped),
            iterations: told.steps,
            statistical_security_bits: figures.map(|figures| figures.sigma),
            sigmoid_error: figures.and_then(|figures| figures.sigmoid_error),
            revealed: self.revealed(told)?,
            run: told.run.as_ref().map_or(0, |run| run.number),
            runs: told.runs,
            resumed: told.resumed.clone(),
            privacy: told.budget.clone(),
            federated: told.rounds.as_ref().map(Rounds::receipt),
            begun: when(told.started),
            ended: ended.map(when),
            started: told.started,
            transcript: Heard::of(session),
            model_sha256: None,
            part_sha256: None,
            result_sha256: None,
            outcome,
            kept_for_audit: kept,
            phases: phases.receipts(session),
        })
    }

    /// The outputs that this node has sent its part of in this run, in the order of the study.
    fn revealed(&self, told: &Told) -> Result<Vec<Revealed>, Failure> {
        let Some(run) = &told.run else { return Ok(Vec::new()) };
        let lines = self.state.store().revealed_in(run.place)?;
        let place = |label: &String| told.outputs.iter().position(|output| output.label == *label);
        let mut revealed: Vec<Revealed> =
            lines.into_iter().map(|line| Revealed { what: line.label, to: line.to }).collect();
        revealed.sort_by_key(|line| place(&line.what));
        Ok(revealed)
    }
}

/// The text of `result.json`, with title and digest of the agreement, and the protocol where it is one of its own.
pub(super) fn result_text(
    (title, digest): (&str, String),
    protocol: Option<&str>,
    result: &impl Serialize,
) -> Result<String, Failure> {
    let internal = |error: serde_json::Error| Failure::new(Exit::Internal, error.to_string());
    let mut value =
        json!({ "format": "mpc-result", "version": 1, "title": title, "study": digest });
    if let Some(protocol) = protocol {
        value["protocol"] = protocol.into();
    }
    value["result"] = serde_json::to_value(result).map_err(internal)?;
    Ok(serde_json::to_string_pretty(&value).map_err(internal)? + "\n")
}

impl StudyWork {
    /// Writes model and receipt, the receipt last: where it is, everything is.
    pub(super) fn write_fitted(
        &self,
        node: &Node,
        outcome: Outcome,
        told: &Told,
        (session, phases, kept): (&Session, &Phases, u64),
    ) -> Result<Finished, Failure> {
        let mut own_warnings = outcome.own_warnings.clone();
        let mut warnings = Vec::new();
        if let Some(summary) = &outcome.summary {
            own_warnings.extend(summary.own_warnings.iter().cloned());
            warnings.extend(summary.warnings.iter().cloned());
        }
        let passes = told.figures.as_ref().is_some_and(|figures| figures.passes);
        let predictions = self.predictions(outcome.scores.as_deref())?;
        let evaluation = outcome.evaluation.clone();
        let of = || (self.study.title(), self.study.digest().to_string());
        let result = evaluation.as_ref().map(|found| result_text(of(), None, found)).transpose()?;
        let model = self.model(node, outcome, told)?;
        let json = model.as_ref().map(Released::to_json).transpose()?;
        #[cfg(feature = "test-faults")]
        crate::fault::die_at("model");
        if let Some(json) = &json {
            node.create_once(&node.folder.model(), json.as_bytes())?;
        }
        if let Some(predictions) = &predictions {
            node.create_once(&node.folder.predictions(), predictions)?;
        }
        if let Some(result) = &result {
            node.create_once(&node.folder.result(), result.as_bytes())?;
        }
        let sha256 = json.as_ref().map(|json| digest_of(json.as_bytes()));
        let receipt = node.account((told, session, phases, kept), |receipt| {
            receipt.result_sha256 = result.as_ref().map(|text| digest_of(text.as_bytes()));
            match &model {
                // Those of other parties are others.
                Some(Released::Part(_)) => receipt.part_sha256 = sha256,
                _ => receipt.model_sha256 = sha256,
            }
        })?;
        let model_copy = json.as_ref().map(|json| (json.as_bytes(), node.folder.model()));
        let copied = predictions.as_ref().map(|csv| (&csv[..], node.folder.predictions()));
        let told_copy = result.as_ref().map(|text| (text.as_bytes(), node.folder.result()));
        let copy = match (&node.out, model_copy.or(copied).or(told_copy)) {
            (Some(out), Some((bytes, own))) => create(out, bytes).map_err(|failure| {
                failure.advise(format!("the study is complete; its result is {}", own.display()))
            }),
            _ => Ok(()),
        };
        let scored = predictions.is_some();
        let folder = node.folder.clone();
        let (model, part, classes) = match model {
            Some(Released::Whole(model)) => (Some(*model), None, None),
            Some(Released::Part(part)) => (None, Some(*part), None),
            Some(Released::Classes(model)) => (None, None, Some(*model)),
            None => (None, None, None),
        };
        let scoring = self.study.scoring().is_some_and(|scoring| !scoring.evaluates());
        let scored = scoring.then_some(scored);
        let given = None;
        Ok(Finished {
            model,
            part,
            classes,
            scored,
            evaluation,
            receipt,
            passes,
            given,
            folder,
            copy,
            warnings,
            own_warnings,
        })
    }

    /// The predictions of single records by their ids, for those who receive the scores.
    fn predictions(&self, scores: Option<&[f64]>) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let named = self.aligned.as_ref().and_then(|aligned| aligned.named.as_ref());
        let (Some(scores), Some(named)) = (scores, named) else { return Ok(None) };
        let kind = self.study.kind();
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = named.columns.iter().map(String::as_str);
        let written = writer.write_record(header.chain([prediction_column(kind)])).and_then(|()| {
            named.cells.iter().zip(scores).try_for_each(|(cells, &score)| {
                let prediction = kind.prediction(score).to_string();
                writer.write_record(cells.iter().map(String::as_str).chain([prediction.as_str()]))
            })
        });
        let bytes = written.ok().and_then(|()| writer.into_inner().ok()).map(Zeroizing::new);
        let failed = || Failure::new(Exit::Internal, "the predictions cannot be put into a table");
        bytes.ok_or_else(failed).map(Some)
    }

    /// The model or the own part of it, for those who receive it.
    fn model(
        &self,
        node: &Node,
        outcome: Outcome,
        told: &Told,
    ) -> Result<Option<Released>, Failure> {
        let study = &self.study;
        let Outcome { standardisation, summary, .. } = outcome;
        let Some(summary) = summary else { return Ok(None) };
        let rows_dropped = told.figures.as_ref().map_or(0, |figures| figures.rows_dropped);
        let own = study.is_own();
        let place = study.position(&node.settings.identity.name).unwrap_or_default();
        let schema = if own { study.schema_of(place) } else { study.schema() };
        let parts = ModelParts {
            kind: study.kind(),
            title: study.title().to_owned(),
            study: study.digest().to_string(),
            schema: schema.clone(),
            standardisation,
            intercept: summary.intercept,
            coefficients: summary.coefficients,
            l2: summary.l2,
            inference: summary.inference,
            training: TrainingRecord {
                solver: study.model().record(),
                iterations: told.steps.unwrap_or_default(),
                rows_used: study.rows_in_all(&told.rows) - rows_dropped,
                rows_dropped,
                clip: study.model().clip(),
                checks: summary.checks,
                security: SecurityRecord {
                    parties: study.parties().iter().map(ToString::to_string).collect(),
                    correlations: study.security().correlations.to_string(),
                },
                release_bits: summary.release_bits,
            },
        };
        let released = if own {
            let name = node.settings.identity.name.as_str();
            Released::Part(Box::new(ModelPart::new(parts, name)?))
        } else if parts.kind == ModelKind::Multinomial {
            Released::Classes(Box::new(ClassModel::new(parts)?))
        } else {
            Released::Whole(Box::new(Model::new(parts)?))
        };
        Ok(Some(released))
    }
}
