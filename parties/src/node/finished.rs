//! The end of a run, as its operator reads it.

use mpc_ml::artifact::{ClassModel, Model, ModelPart};
use mpc_ml::evaluate::columns::ColumnsEvaluation;
use serde_json::json;

use super::table::{class_model, coefficients, own_part};
use super::{Receipt, StudyFolder};
use crate::exit::Failure;
use crate::output::Report;

/// The confidence of the intervals that are printed.
pub(super) const CONFIDENCE: f64 = 0.95;

/// What a run came to.
pub struct Finished {
    /// The model, for those who receive it.
    pub model: Option<Model>,
    /// The own part of it, where each party receives its own.
    pub part: Option<ModelPart>,
    /// The model, where it is one of several classes.
    pub classes: Option<ClassModel>,
    /// Whether this party received the scores that the study asks for; none where it asks for a model.
    pub scored: Option<bool>,
    /// How well the model predicts the records, where the study asks for that.
    pub evaluation: Option<ColumnsEvaluation>,
    /// The account of the run.
    pub receipt: Receipt,
    /// Whether its steps are passes over all rows, whose number was found on the way.
    pub passes: bool,
    /// How the result came here, where it is that of an earlier run.
    pub given: Option<String>,
    /// Where the files are.
    pub folder: StudyFolder,
    /// Whether the copy of the model that the operator wanted could be written.
    pub copy: Result<(), Failure>,
    /// What all recipients of the model should know about it.
    pub warnings: Vec<String>,
    /// What concerns this party alone.
    pub own_warnings: Vec<String>,
}

impl Finished {
    /// The end of a run, for people and machines.
    #[must_use]
    pub fn report(&self) -> Report {
        let total = &self.receipt.phases["total"];
        let mut text = match &self.given {
            Some(what) => format!("{}\n  {what}\n", self.receipt.title),
            None => self.rows_and_steps(),
        };
        if let Some(model) = &self.model {
            text += &coefficients(model);
            // A fit with inference has more to say of itself.
            let checks = model.training().checks.iter().filter(|_| model.inference().is_none());
            for check in checks {
                text += &format!(
                    "Checked: {} {:.3e}, at most {:.3e}\n",
                    check.what, check.value, check.bound
                );
            }
            text += &format!("Model:   {}\n", self.folder.model().display());
        } else if let Some(model) = &self.classes {
            text += &class_model(model);
            text += &format!("Model:   {}\n", self.folder.model().display());
        } else if let Some(part) = &self.part {
            text += &own_part(part);
            text += &format!("Part:    {}\n", self.folder.model().display());
        } else if let Some(evaluation) = &self.evaluation {
            text += &format!("\n{evaluation}\nResult:  {}\n", self.folder.result().display());
        } else {
            text += &match self.scored {
                Some(true) => format!("Predictions: {}\n", self.folder.predictions().display()),
                Some(false) => {
                    "The study names other parties as recipients of the scores.\n".into()
                }
                None => "The study names other parties as recipients of the model.\n".into(),
            };
        }
        let receipt = self.folder.receipt();
        if self.given.is_none() || receipt.exists() {
            text += &format!("Receipt: {}\n", receipt.display());
        }
        if let Some(page) = self.folder.written_report() {
            text += &format!("Report:  {}\n", page.display());
        }
        text += &total.told();
        for warning in &self.warnings {
            text += &format!("warning: {warning}\n");
        }
        for warning in &self.own_warnings {
            text += &format!("warning (told to nobody else): {warning}\n");
        }
        let inference = self.model.as_ref().and_then(Model::inference);
        let json = json!({
            "title": self.receipt.title,
            "study": self.receipt.study,
            "model": (self.model.is_some() || self.classes.is_some()).then(|| self.folder.model()),
            "part": self.part.as_ref().map(|_| self.folder.model()),
            "predictions": (self.scored == Some(true)).then(|| self.folder.predictions()),
            "evaluation": self.evaluation,
            "result": self.evaluation.as_ref().map(|_| self.folder.result()),
            "receipt": receipt,
            "report": self.folder.written_report(),
            "given": self.given,
            "iterations": self.receipt.iterations,
            "rows": self.receipt.rows,
            "rows_dropped": self.receipt.rows_dropped,
            "confidence": CONFIDENCE,
            "coefficients": self.model.as_ref().and_then(|model| model.tests(CONFIDENCE)),
            "std_errors": inference.map(|inference| inference.tested().0),
            "checks": self.model.as_ref().map(|model| &model.training().checks),
            "tests": inference.and(self.model.as_ref()).map(Model::joint_tests),
            "contrasts": self.model.as_ref().map(|model| model.contrasts(CONFIDENCE)),
            "fit": inference.map(|inference| &inference.fit),
            "phases": self.receipt.phases,
            "warnings": self.warnings.iter().chain(&self.own_warnings).collect::<Vec<_>>(),
        });
        Report { text, json }
    }

    /// What the run was over.
    fn rows_and_steps(&self) -> String {
        let (taken, dropped) = (self.receipt.iterations, self.receipt.rows_dropped);
        let steps = match (taken.unwrap_or_default(), self.passes) {
            (1, true) => "1 pass".to_owned(),
            (passes, true) => format!("{passes} passes"),
            (steps, false) => format!("{steps} steps"),
        };
        let (rows, parties) = (&self.receipt.rows, self.receipt.rows.len());
        let rows = match self.receipt.alignment {
            Some(_) => format!("{} records of all {parties}", rows.first().unwrap_or(&0)),
            None => format!("{} rows of {parties}", rows.iter().sum::<u64>()),
        };
        let steps = match (self.scored, &self.evaluation) {
            (Some(_), _) => "scored",
            (None, Some(_)) => "evaluated",
            (None, None) => &steps,
        };
        let mut text = format!("{}\n  {rows} parties, {steps}", self.receipt.title);
        text += &match dropped.unwrap_or_default() {
            0 => "\n".to_owned(),
            dropped => format!(", {dropped} left out of the last batch\n"),
        };
        text
    }
}
