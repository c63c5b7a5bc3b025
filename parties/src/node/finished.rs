//! The end of a run, as its operator reads it.

use mpc_ml::artifact::Model;
use serde_json::json;

use super::{Receipt, StudyFolder};
use crate::output::Report;

/// What a run came to.
pub struct Finished {
    /// The model, for those who receive it.
    pub model: Option<Model>,
    /// The account of the run.
    pub receipt: Receipt,
    /// Where the files are.
    pub folder: StudyFolder,
    /// What concerns this party alone.
    pub own_warnings: Vec<String>,
}

impl Finished {
    /// The end of a run, for people and machines.
    #[must_use]
    pub fn report(&self) -> Report {
        let total = &self.receipt.phases["total"];
        let mut text = format!(
            "{}\n  {} rows of {} parties, {} steps, {} left out of the last batch\n",
            self.receipt.title,
            self.receipt.rows.iter().sum::<u64>(),
            self.receipt.rows.len(),
            self.receipt.iterations,
            self.receipt.rows_dropped,
        );
        if let Some(model) = &self.model {
            text += &table(model);
            text += &format!("Model:   {}\n", self.folder.model().display());
        } else {
            text += "The study names other parties as recipients of the model.\n";
        }
        text += &format!("Receipt: {}\n", self.folder.receipt().display());
        text += &format!(
            "Took {:.2} s and {} rounds; this node sent {:.2} MB.\n",
            total.seconds,
            total.rounds,
            total.bytes_sent as f64 / 1e6
        );
        for warning in &self.own_warnings {
            text += &format!("warning (told to nobody else): {warning}\n");
        }
        let json = json!({
            "title": self.receipt.title,
            "study": self.receipt.study,
            "model": self.model.as_ref().map(|_| self.folder.model()),
            "receipt": self.folder.receipt(),
            "iterations": self.receipt.iterations,
            "rows": self.receipt.rows,
            "rows_dropped": self.receipt.rows_dropped,
            "phases": self.receipt.phases,
            "warnings": self.own_warnings,
        });
        Report { text, json }
    }
}

/// The coefficients, on the scale of the files and on the common one.
fn table(model: &Model) -> String {
    let (original, standardised) = (model.original(), model.standardised());
    let width = original.coefficients.names().map(str::len).max().unwrap_or(0).max(11);
    let mut text = format!("\n  {:width$}  {:>14}  {:>14}\n", "", "coefficient", "standardised");
    let mut line = |name: &str, own: f64, common: f64| {
        text += &format!("  {name:width$}  {own:>14.6}  {common:>14.6}\n");
    };
    line("(intercept)", original.intercept, standardised.intercept);
    for ((name, own), common) in
        original.coefficients.iter().zip(standardised.coefficients.values())
    {
        line(name, own, common);
    }
    text.push('\n');
    text
}
