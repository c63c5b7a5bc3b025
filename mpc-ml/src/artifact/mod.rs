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
//! 0/1 for levels and indicators. The score is the prediction of a linear model, that of a logistic
//! model is `1 / (1 + exp(-score))`, and that of a Poisson model `exp(score + offset)`.

mod classes;
mod error;
mod file;
mod fit;
mod inference;
mod joint;
pub(crate) mod laws;
mod named;
mod part;
mod record;
mod scales;

use serde::{Deserialize, Serialize};

use crate::data::{CaseWeights, Encoded, Schema, Standardisation, Table, encode};
pub use classes::{ClassCoefficients, ClassModel};
pub use error::ModelError;
use file::{FORMAT, ModelFile, VERSION};
pub use fit::{FitStatistics, JointTest, LeastSquares, Likelihood, RowCount};
use inference::INTERCEPT;
pub use inference::{
    CoefficientTest, Contrast, Covariance, ErrorKind, FeatureTest, Inference, InferenceParts,
    Ratio, RobustErrors, RobustParts, StandardErrors,
};
pub use named::NamedValues;
pub use part::ModelPart;
pub use record::{CheckRecord, SecurityRecord, SolverRecord, TrainingRecord};
use scales::{both_scales, original_scale};

/// The kind of a model: how a score becomes a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ModelKind {
    /// The logistic function of the score is the probability of the positive class.
    Logistic,
    /// The score itself is the prediction.
    Linear,
    /// The exponential of the score is the expected count.
    Poisson,
    /// Each of several classes has a score: see [`ClassModel`].
    Multinomial,
}

impl ModelKind {
    /// What a score predicts.
    #[must_use]
    pub fn prediction(self, score: f64) -> f64 {
        match self {
            Self::Logistic => 1.0 / (1.0 + (-score).exp()),
            // Of several classes one score says nothing: no model of one score has this kind.
            Self::Linear | Self::Multinomial => score,
            Self::Poisson => score.exp(),
        }
    }
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

impl Coefficients {
    /// Whether these are the same but for rounding.
    fn is_close(&self, intercept: f64, coefficients: &NamedValues) -> bool {
        let pairs = self.coefficients.values().zip(coefficients.values());
        let close = |(a, b): (f64, f64)| (a - b).abs() <= 1e-9 * (1.0 + a.abs());
        pairs.chain([(self.intercept, intercept)]).all(close)
    }
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
    /// How sure the coefficients are, where that was computed.
    pub inference: Option<InferenceParts>,
    /// How the model was trained.
    pub training: TrainingRecord,
}

/// A trained model. Valid by construction: its coefficients belong to its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    schema: Schema,
    file: ModelFile,
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
        let (schema, scales) = (&parts.schema, &parts.standardisation);
        let original = original_scale(schema, scales, &standardised)?;
        let inference = match parts.inference {
            Some(inference) => Some(both_scales(schema, scales, inference)?),
            None => None,
        };
        let file = ModelFile {
            format: FORMAT.to_owned(),
            version: VERSION,
            kind: parts.kind,
            title: parts.title,
            study: parts.study,
            target: parts.schema.target().clone(),
            offset: parts.schema.offset().cloned(),
            weights: parts.schema.weights().cloned(),
            groups: parts.schema.groups().map(str::to_owned),
            features: parts.schema.features().to_vec(),
            standardisation: parts.standardisation,
            fit_intercept: parts.intercept.is_some(),
            intercept: original.intercept,
            coefficients: original.coefficients,
            standardised,
            l2: parts.l2,
            inference,
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
        Self::from_file(ModelFile::read(bytes)?)
    }

    /// The text of `model.json`.
    ///
    /// # Errors
    /// Never for a model that was made by this program; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, ModelError> {
        file::text(&self.file)
    }

    /// The probability of the positive class (logistic), the expected value (linear) or the expected
    /// count (Poisson) of each row.
    ///
    /// No value is cut to the study's bound: the prediction is the one that the coefficients in
    /// the file give.
    ///
    /// # Errors
    /// When the table was read by another schema than [`schema`](Self::schema).
    pub fn predict(&self, table: &Table) -> Result<Vec<f64>, ModelError> {
        let scores = self.scores(table)?;
        Ok(scores.into_iter().map(|score| self.file.kind.prediction(score)).collect())
    }

    /// The score of each row: the prediction is a function of it ([`ModelKind::prediction`]).
    ///
    /// # Errors
    /// As [`predict`](Self::predict).
    pub fn scores(&self, table: &Table) -> Result<Vec<f64>, ModelError> {
        if table.schema() != &self.schema {
            return Err(ModelError::OtherSchema);
        }
        self.scores_encoded(&encode(table, &self.file.standardisation, f64::INFINITY)?)
    }

    /// The same for rows that are already encoded.
    ///
    /// # Errors
    /// When the columns are not the model's.
    pub fn predict_encoded(&self, encoded: &Encoded) -> Result<Vec<f64>, ModelError> {
        let scores = self.scores_encoded(encoded)?;
        Ok(scores.into_iter().map(|score| self.file.kind.prediction(score)).collect())
    }

    fn scores_encoded(&self, encoded: &Encoded) -> Result<Vec<f64>, ModelError> {
        let Coefficients { intercept, coefficients } = &self.file.standardised;
        if !coefficients.names().eq(encoded.columns.iter().map(String::as_str)) {
            return Err(ModelError::OtherSchema);
        }
        if encoded.offset.len() != self.file.offset.as_ref().map_or(0, |_| encoded.x.nrows()) {
            return Err(ModelError::OtherSchema);
        }
        let rows = encoded.x.rows().into_iter().enumerate();
        let scores = rows.map(|(index, row)| {
            let offset = encoded.offset.get(index).copied().unwrap_or_default();
            intercept + offset + coefficients.times(&row)
        });
        Ok(scores.collect())
    }

    /// The table of coefficients with tests and intervals of this confidence (for example 0.95), on
    /// the scale of the data files; `None` for a model without inference. They are made from the
    /// robust standard errors where the model has those: [`Inference::tested`] says which. Logistic and
    /// Poisson models have the ratio of odds or rates of each column beside.
    ///
    /// Where the standard error of the intercept is known on the standardised scale alone, its row
    /// is of that scale and called `(intercept, standardised)`.
    #[must_use]
    pub fn tests(&self, confidence: f64) -> Option<Vec<CoefficientTest>> {
        let inference = self.inference()?;
        let (_, errors, common) = inference.tested();
        let test = |name: &str, estimate, error| {
            CoefficientTest::new(name, estimate, error, &inference.fit, confidence)
        };
        let standardised = &self.file.standardised;
        let intercept = match (errors.intercept, common.intercept) {
            (Some(error), _) => Some(test("(intercept)", self.file.intercept, error)),
            (None, Some(error)) => {
                Some(test("(intercept, standardised)", standardised.intercept, error))
            }
            (None, None) => None,
        };
        let slopes = self.file.coefficients.iter().zip(errors.coefficients.values());
        let kind = self.file.kind;
        let slopes = slopes
            .map(|((name, estimate), error)| test(name, estimate, error).with_ratio(kind, true));
        Some(intercept.into_iter().chain(slopes).collect())
    }

    /// The linear combinations of coefficients that the study declares, with tests and intervals as
    /// in [`tests`](Self::tests).
    #[must_use]
    pub fn contrasts(&self, confidence: f64) -> Vec<CoefficientTest> {
        let Some(inference) = self.inference() else { return Vec::new() };
        let test = |Contrast { name, estimate, std_error, weights }: &Contrast| {
            // With the intercept in it, it is a score.
            let slope = weights.value(INTERCEPT).is_none_or(|weight| weight == 0.0);
            CoefficientTest::new(name, *estimate, *std_error, &inference.fit, confidence)
                .with_ratio(self.file.kind, slope)
        };
        inference.contrasts.iter().map(test).collect()
    }

    /// The part of `party` in a model whose columns are at different parties: of the columns of `own`, and
    /// the intercept where this part has it.
    ///
    /// # Errors
    /// When the model has no such columns.
    pub fn part(
        &self,
        own: &Schema,
        party: &str,
        intercept: bool,
    ) -> Result<ModelPart, ModelError> {
        let missing = ModelError::Columns { what: "coefficients of these columns" };
        let value = |name: &String| self.file.standardised.coefficients.value(name);
        let coefficients = own.columns().iter().map(value).collect::<Option<Vec<f64>>>();
        if !own.features().iter().all(|feature| self.file.features.contains(feature))
            || own.target() != self.schema.target()
        {
            return Err(missing);
        }
        let scaled = |name: &str| own.joint_features().any(|feature| feature.name == name);
        let standardisation =
            self.file.standardisation.iter().filter(|of| scaled(&of.name)).cloned().collect();
        let parts = ModelParts {
            kind: self.file.kind,
            title: self.file.title.clone(),
            study: self.file.study.clone(),
            schema: own.clone(),
            standardisation,
            intercept: Some(self.file.standardised.intercept)
                .filter(|_| intercept && self.file.fit_intercept),
            coefficients: coefficients.ok_or(missing)?,
            l2: self.file.l2,
            inference: None,
            training: self.file.training.clone(),
        };
        ModelPart::new(parts, party)
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

    /// How sure the coefficients are and how well the model fits, where that was computed.
    #[must_use]
    pub fn inference(&self) -> Option<&Inference> {
        self.file.inference.as_ref()
    }

    /// The column of case weights that the rows of the fit had, where they had one.
    #[must_use]
    pub fn case_weights(&self) -> Option<&CaseWeights> {
        self.file.weights.as_ref()
    }

    /// The weight of the squared coefficients in the objective; 0 without a penalty.
    #[must_use]
    pub fn l2(&self) -> f64 {
        self.file.l2
    }

    /// Whether the model has an intercept.
    #[must_use]
    pub fn has_intercept(&self) -> bool {
        self.file.fit_intercept
    }

    /// How the model was trained.
    #[must_use]
    pub fn training(&self) -> &TrainingRecord {
        &self.file.training
    }

    fn from_file(file: ModelFile) -> Result<Self, ModelError> {
        if file.kind == ModelKind::Multinomial {
            return Err(ModelError::Classes);
        }
        let (features, target) = (file.features.clone(), file.target.clone());
        let schema = Schema::with_offset(features, target, file.offset.clone())?;
        let columns = schema.columns();
        file.coefficients.check("coefficients", &columns)?;
        let standardised = &file.standardised.coefficients;
        standardised.check("standardised coefficients", &columns)?;
        if let Some(inference) = &file.inference {
            inference.check(&columns)?;
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
        if !expected.is_close(file.intercept, &file.coefficients) {
            return Err(ModelError::Inconsistent);
        }
        if let Some(inference) = &file.inference {
            let parts = inference.parts();
            if !both_scales(&schema, &file.standardisation, parts)?.agrees(inference) {
                return Err(ModelError::Inconsistent);
            }
        }
        Ok(Self { schema, file })
    }
}

#[cfg(test)]
mod tests;
