//! `model.json`: a trained model as a file, complete enough to be used without this program.
//!
//! The file holds the coefficients on the scale of the data files, by the name of the encoded
//! column, and everything that is needed to encode a raw row: the features with their levels and
//! rules for missing values, and the means and standard deviations. A prediction is
//!
//! ```text
//! score = intercept + sum over encoded columns of coefficient * value
//! ```
//!
//! with numeric values as in the file (an empty cell takes its feature's value for missing cells),
//! 0/1 for levels and indicators, and for a logistic model `1 / (1 + exp(-score))`.

mod named;
mod record;

use serde::{Deserialize, Serialize};

use crate::data::{
    Encoded, EncodingError, Feature, FeatureKind, Schema, SchemaError, Standardisation, Table,
    Target, encode, scale,
};
pub use named::NamedValues;
pub use record::{SecurityRecord, SigmoidRecord, TrainingRecord};

/// What stands in the file's `format`.
const FORMAT: &str = "mpc-model";

/// The version of the format that this program writes and reads.
const VERSION: u32 = 1;

/// The kind of a model: how a score becomes a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelKind {
    /// The logistic function of the score is the probability of the positive class.
    Logistic,
    /// The score itself is the prediction.
    Linear,
}

/// An intercept and one coefficient for each encoded column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coefficients {
    /// The intercept; 0 on the standardised scale when the model has none.
    pub intercept: f64,
    /// One value for each encoded column, in the schema's order.
    pub coefficients: NamedValues,
}

/// Standard errors on the scale of the data files, from methods that compute them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandardErrors {
    /// Of the intercept.
    pub intercept: Option<f64>,
    /// One value for each encoded column.
    pub coefficients: NamedValues,
}

/// What a model is made from; see [`Model::new`].
#[derive(Clone, Debug, PartialEq)]
pub struct ModelParts {
    /// The kind of model.
    pub kind: ModelKind,
    /// The title of the study.
    pub title: String,
    /// The digest of the study.
    pub study: String,
    /// The features and the target.
    pub schema: Schema,
    /// The joint means and standard deviations of the features that have them.
    pub standardisation: Vec<Standardisation>,
    /// The intercept on the standardised scale; `None` when the model has none.
    pub intercept: Option<f64>,
    /// A coefficient for each encoded column, in order, on the standardised scale.
    pub coefficients: Vec<f64>,
    /// The weight of the squared coefficients in the objective.
    pub l2: f64,
    /// Standard errors, where they were computed.
    pub std_errors: Option<StandardErrors>,
    /// How the model was trained.
    pub training: TrainingRecord,
}

/// A trained model. Valid by construction: its coefficients belong to its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    schema: Schema,
    file: ModelFile,
}

/// Why a model is refused. A model is known to those who hold it, so the errors name everything.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Not JSON, or not the fields of a model.
    #[error("this is not a model file: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another kind of file.
    #[error("this is not a model file: its format is {got:?}, and {FORMAT:?} was expected")]
    OtherFormat {
        /// The format that the file names.
        got: String,
    },
    /// A format of the future.
    #[error(
        "the model file has version {got}, and this program reads version {VERSION}; use the program that wrote it, or a later one"
    )]
    OtherVersion {
        /// The version that the file names.
        got: u32,
    },
    /// The features or the target are not valid.
    #[error("the columns of the model are not valid: {0}")]
    Schema(#[from] SchemaError),
    /// The standardisation does not belong to the features.
    #[error("the columns of the model cannot be encoded: {0}")]
    Encoding(#[from] EncodingError),
    /// The coefficients do not belong to the encoded columns.
    #[error(
        "the {what} of the model do not belong to its encoded columns; the file was changed or is of another study"
    )]
    Columns {
        /// Which list.
        what: &'static str,
    },
    /// A number is infinite or missing.
    #[error("the {what} of the model hold a value that is not a finite number")]
    NotFinite {
        /// Which list.
        what: &'static str,
    },
    /// The two scales contradict each other.
    #[error("the coefficients on the two scales do not agree; the file was changed")]
    Inconsistent,
    /// The table was read by other columns than the model's.
    #[error("the rows were read with other columns than the model's")]
    OtherSchema,
}

/// The file, field by field, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    format: String,
    version: u32,
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
    std_errors: Option<StandardErrors>,
    training: TrainingRecord,
}

#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Model {
    /// A model from coefficients on the standardised scale.
    ///
    /// # Errors
    /// When the coefficients are not as many as the encoded columns, or a number is not finite.
    pub fn new(parts: ModelParts) -> Result<Self, ModelError> {
        let columns = parts.schema.columns();
        if columns.len() != parts.coefficients.len() {
            return Err(ModelError::Columns { what: "coefficients" });
        }
        let standardised = Coefficients {
            intercept: parts.intercept.unwrap_or(0.0),
            coefficients: columns.into_iter().zip(parts.coefficients).collect(),
        };
        let original = original_scale(&parts.schema, &parts.standardisation, &standardised)?;
        let file = ModelFile {
            format: FORMAT.to_owned(),
            version: VERSION,
            kind: parts.kind,
            title: parts.title,
            study: parts.study,
            target: parts.schema.target().clone(),
            features: parts.schema.features().to_vec(),
            standardisation: parts.standardisation,
            fit_intercept: parts.intercept.is_some(),
            intercept: original.intercept,
            coefficients: original.coefficients,
            standardised,
            l2: parts.l2,
            std_errors: parts.std_errors,
            training: parts.training,
        };
        Self::from_file(file)
    }

    /// Reads `model.json`.
    ///
    /// # Errors
    /// When the bytes are not a model of a version that this program knows, or contradict
    /// themselves.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ModelError> {
        // The header first, so that a later version is named and not called malformed.
        let header: Header = serde_json::from_slice(bytes)?;
        if header.format != FORMAT {
            return Err(ModelError::OtherFormat { got: header.format });
        }
        if header.version != VERSION {
            return Err(ModelError::OtherVersion { got: header.version });
        }
        Self::from_file(serde_json::from_slice(bytes)?)
    }

    /// The text of `model.json`.
    ///
    /// # Errors
    /// Never for a model that was made by this program; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, ModelError> {
        let mut text = serde_json::to_string_pretty(&self.file)?;
        text.push('\n');
        Ok(text)
    }

    /// The probability of the positive class (logistic) or the expected value (linear) of each row.
    ///
    /// No value is cut to the study's bound: the prediction is the one that the coefficients in
    /// the file give.
    ///
    /// # Errors
    /// When the table was read by another schema than [`schema`](Self::schema).
    pub fn predict(&self, table: &Table) -> Result<Vec<f64>, ModelError> {
        if table.schema() != &self.schema {
            return Err(ModelError::OtherSchema);
        }
        self.predict_encoded(&encode(table, &self.file.standardisation, f64::INFINITY)?)
    }

    /// The same for rows that are already encoded.
    ///
    /// # Errors
    /// When the columns are not the model's.
    pub fn predict_encoded(&self, encoded: &Encoded) -> Result<Vec<f64>, ModelError> {
        let Coefficients { intercept, coefficients } = &self.file.standardised;
        if !coefficients.names().eq(encoded.columns.iter().map(String::as_str)) {
            return Err(ModelError::OtherSchema);
        }
        let rows = encoded.x.rows().into_iter();
        let scores = rows.map(|row| {
            intercept + row.iter().zip(coefficients.values()).map(|(x, w)| x * w).sum::<f64>()
        });
        Ok(match self.file.kind {
            ModelKind::Logistic => scores.map(logistic).collect(),
            ModelKind::Linear => scores.collect(),
        })
    }

    /// The kind of model.
    #[must_use]
    pub fn kind(&self) -> ModelKind {
        self.file.kind
    }

    /// The title of the study.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.file.title
    }

    /// The digest of the study.
    #[must_use]
    pub fn study(&self) -> &str {
        &self.file.study
    }

    /// The features and the target.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The joint means and standard deviations.
    #[must_use]
    pub fn standardisation(&self) -> &[Standardisation] {
        &self.file.standardisation
    }

    /// Intercept and coefficients on the scale of the data files.
    #[must_use]
    pub fn original(&self) -> Coefficients {
        Coefficients {
            intercept: self.file.intercept,
            coefficients: self.file.coefficients.clone(),
        }
    }

    /// Intercept and coefficients on the standardised scale, where they can be compared.
    #[must_use]
    pub fn standardised(&self) -> &Coefficients {
        &self.file.standardised
    }

    /// How the model was trained.
    #[must_use]
    pub fn training(&self) -> &TrainingRecord {
        &self.file.training
    }

    fn from_file(file: ModelFile) -> Result<Self, ModelError> {
        let schema = Schema::new(file.features.clone(), file.target.clone())?;
        let columns = schema.columns();
        let list = |what, values: &NamedValues| {
            if !values.names().eq(columns.iter().map(String::as_str)) {
                return Err(ModelError::Columns { what });
            }
            if !values.values().all(f64::is_finite) {
                return Err(ModelError::NotFinite { what });
            }
            Ok(())
        };
        list("coefficients", &file.coefficients)?;
        list("standardised coefficients", &file.standardised.coefficients)?;
        if let Some(errors) = &file.std_errors {
            list("standard errors", &errors.coefficients)?;
        }
        if !(file.intercept.is_finite() && file.standardised.intercept.is_finite()) {
            return Err(ModelError::NotFinite { what: "intercepts" });
        }
        let mut joint: Vec<&str> = schema.joint_features().map(|each| each.name.as_str()).collect();
        let mut given: Vec<&str> =
            file.standardisation.iter().map(|each| each.name.as_str()).collect();
        joint.sort_unstable();
        given.sort_unstable();
        if joint != given {
            return Err(ModelError::Columns { what: "means and standard deviations" });
        }
        let expected = original_scale(&schema, &file.standardisation, &file.standardised)?;
        let pairs = expected.coefficients.values().zip(file.coefficients.values());
        let close = |(a, b): (f64, f64)| (a - b).abs() <= 1e-9 * (1.0 + a.abs());
        if !pairs.chain([(expected.intercept, file.intercept)]).all(close) {
            return Err(ModelError::Inconsistent);
        }
        Ok(Self { schema, file })
    }
}

/// Undoes the standardisation: `w (x - mean) / std = (w / std) x - w mean / std`.
fn original_scale(
    schema: &Schema,
    standardisation: &[Standardisation],
    standardised: &Coefficients,
) -> Result<Coefficients, EncodingError> {
    let mut values = standardised.coefficients.values();
    let mut intercept = standardised.intercept;
    let mut coefficients = Vec::new();
    for feature in schema.features() {
        let columns = feature.columns().into_iter().zip(values.by_ref());
        for (index, (column, weight)) in columns.enumerate() {
            let (mean, std) = match &feature.kind {
                // The column after the first is the indicator, which is not scaled.
                FeatureKind::Numeric(numeric) if index == 0 => {
                    scale(&feature.name, numeric.scale, standardisation)?
                }
                _ => (0.0, 1.0),
            };
            intercept -= weight * mean / std;
            coefficients.push((column, weight / std));
        }
    }
    Ok(Coefficients { intercept, coefficients: coefficients.into_iter().collect() })
}

fn logistic(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

#[cfg(test)]
mod tests;
