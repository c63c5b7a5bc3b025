//! What the nodes of one run left behind.

use std::fs;
use std::path::{Path, PathBuf};

use mpc_ml::artifact::Model;
use parties::study::Study;
use serde_json::Value;

use crate::Outcome;

/// One run of a study.
pub struct Run {
    /// The model, as its first recipient has it.
    pub model: Model,
    /// The receipt of the first party.
    pub receipt: Value,
    /// What the first party's `party train --json` printed.
    pub output: Value,
    /// The most bytes that one party sent.
    pub bytes_sent_max: u64,
}

impl Run {
    /// Reads a run from the `--json` outputs of its parties, in the order of the study.
    pub fn read<P: AsRef<Path>>(outputs: impl IntoIterator<Item = P>) -> Outcome<Self> {
        let outputs =
            outputs.into_iter().map(|path| json(path.as_ref())).collect::<Outcome<Vec<Value>>>()?;
        let sent = |output: &Value| output["phases"]["total"]["bytes_sent"].as_u64();
        let bytes_sent_max = outputs.iter().filter_map(sent).max().unwrap_or(0);
        let model = outputs.iter().find_map(|output| output["model"].as_str());
        let model = fs::read(model.ok_or("no party has a model")?)?;
        let output = outputs.into_iter().next().ok_or("there is no run")?;
        let receipt = output["receipt"].as_str().ok_or("the first party has no receipt")?;
        Ok(Self {
            model: Model::from_json(&model)?,
            receipt: json(Path::new(receipt))?,
            output,
            bytes_sent_max,
        })
    }

    /// Reads a run from a folder with a folder for each party.
    pub fn of_study(folder: &str, study: &Study) -> Outcome<Self> {
        let output = |party| Path::new(folder).join(format!("{party}")).join("run.json");
        let outputs: Vec<PathBuf> = study.parties().iter().map(output).collect();
        Self::read(outputs)
    }

    /// Seconds from the first to the last message of a phase at the first party.
    pub fn seconds(&self, phase: &str) -> Option<f64> {
        self.output["phases"][phase]["seconds"].as_f64()
    }
}

/// Reads a JSON file.
pub fn json(path: &Path) -> Outcome<Value> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_slice(&bytes).map_err(|error| format!("{}: {error}", path.display()))?)
}
