//! The file, field by field, and the versions of it that are read.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::classes::CLASSES_FORMAT;
use super::part::PART_FORMAT;
use super::{
    CheckRecord, Coefficients, Inference, ModelError, ModelKind, NamedValues, SecurityRecord,
    SolverRecord, TrainingRecord,
};
use crate::data::{CaseWeights, Feature, Offset, Standardisation, Target};

/// What stands in the file's `format`.
pub(super) const FORMAT: &str = "mpc-model";

/// The version of the format that this program writes.
pub(super) const VERSION: u32 = 6;

/// The file, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelFile {
    pub format: String,
    pub version: u32,
    pub kind: ModelKind,
    pub title: String,
    pub study: String,
    pub target: Target,
    pub offset: Option<Offset>,
    /// What the rows of the fit were weighted by. This and the groups since version 3.
    pub weights: Option<CaseWeights>,
    /// What grouped the rows of the fit.
    pub groups: Option<String>,
    pub features: Vec<Feature>,
    pub standardisation: Vec<Standardisation>,
    pub fit_intercept: bool,
    pub intercept: f64,
    pub coefficients: NamedValues,
    pub standardised: Coefficients,
    pub l2: f64,
    pub inference: Option<Inference>,
    pub training: TrainingRecord,
}

/// What every file of a model begins with. It is read first, so that a later version is named and not called malformed.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) version: u32,
}

impl Header {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        Ok(serde_json::from_slice(bytes)?)
    }

    /// Refuses every version but this one.
    pub(super) fn has_version(&self, version: u32) -> Result<(), ModelError> {
        if self.version != version {
            return Err(ModelError::OtherVersion { got: self.version });
        }
        Ok(())
    }
}

/// The text of a file.
pub(super) fn text(file: &impl Serialize) -> Result<String, ModelError> {
    Ok(serde_json::to_string_pretty(file)? + "\n")
}

impl ModelFile {
    /// Reads a file of any version that this program knows.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ModelError> {
        let header = Header::read(bytes)?;
        if header.format == PART_FORMAT {
            return Err(ModelError::Part);
        }
        if header.format == CLASSES_FORMAT {
            return Err(ModelError::Classes);
        }
        if header.format != FORMAT {
            return Err(ModelError::OtherFormat { got: header.format });
        }
        match header.version {
            1 => serde_json::from_slice::<Version1>(bytes)?.current(),
            // Versions 2 to 5 have nothing that version 6 has not, and lack only what may be absent.
            2..=VERSION => {
                let file = serde_json::from_slice::<Self>(bytes)?;
                Ok(Self { version: VERSION, ..file })
            }
            got => Err(ModelError::OtherVersion { got }),
        }
    }
}

/// The first version: models by gradient descent, without inference.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Version1 {
    format: String,
    #[serde(rename = "version")]
    _version: u32,
    kind: ModelKind,
    title: String,
    study: String,
    target: Target,
    features: Vec<Feature>,
    standardisation: Vec<Standardisation>,
    fit_intercept: bool,
    intercept: f64,
    coefficients: NamedValues,
    standardised: Coefficients,
    l2: f64,
    /// Was kept free and never written.
    #[serde(rename = "std_errors")]
    _std_errors: Option<()>,
    training: Training1,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Training1 {
    solver: String,
    epochs: u32,
    batch: u32,
    iterations: u64,
    rows_used: u64,
    rows_dropped: u64,
    learning_rate: f64,
    decay: f64,
    momentum: f64,
    seed: u64,
    clip: f64,
    sigmoid: Option<Value>,
    security: SecurityRecord,
    release_bits: u32,
}

impl Version1 {
    fn current(self) -> Result<ModelFile, ModelError> {
        let training = self.training;
        if training.solver != "sgd" {
            return Err(ModelError::UnknownSolver { got: training.solver });
        }
        Ok(ModelFile {
            format: self.format,
            version: VERSION,
            kind: self.kind,
            title: self.title,
            study: self.study,
            target: self.target,
            offset: None,
            weights: None,
            groups: None,
            features: self.features,
            standardisation: self.standardisation,
            fit_intercept: self.fit_intercept,
            intercept: self.intercept,
            coefficients: self.coefficients,
            standardised: self.standardised,
            l2: self.l2,
            inference: None,
            training: TrainingRecord {
                solver: SolverRecord::of(
                    "sgd",
                    &json!({
                        "epochs": training.epochs,
                        "batch": training.batch,
                        "learning_rate": training.learning_rate,
                        "decay": training.decay,
                        "momentum": training.momentum,
                        "seed": training.seed,
                        "sigmoid": training.sigmoid,
                    }),
                ),
                iterations: training.iterations,
                rows_used: training.rows_used,
                rows_dropped: training.rows_dropped,
                clip: training.clip,
                checks: Vec::<CheckRecord>::new(),
                security: training.security,
                release_bits: training.release_bits,
            },
        })
    }
}
