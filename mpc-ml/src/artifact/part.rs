//! One party's part of a model whose columns are at different parties: a file of its own form.
//!
//! The part holds the coefficients of the columns that its party holds, on the scale of the data file and
//! on the common one, and what is needed to encode them. What it adds to the score of a record is
//!
//! ```text
//! constant + sum over own encoded columns of coefficient * value (+ offset)
//! ```
//!
//! The score is the sum of what all parts add, and the whole model is nowhere.

use serde::{Deserialize, Serialize};

use super::file::{self, Header};
use super::scales::original_scale;
use super::{Coefficients, ModelError, ModelKind, ModelParts, NamedValues, TrainingRecord};
use crate::data::{Feature, Offset, Schema, Standardisation, Table, Target, encode};

/// What stands in the file's `format`.
pub(super) const PART_FORMAT: &str = "mpc-model-part";

/// The version of the format that this program writes and reads.
const VERSION: u32 = 1;

/// The file, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFile {
    format: String,
    version: u32,
    kind: ModelKind,
    title: String,
    study: String,
    /// Whose part it is.
    party: String,
    /// What the whole model predicts.
    target: Target,
    offset: Option<Offset>,
    features: Vec<Feature>,
    standardisation: Vec<Standardisation>,
    /// Whether the intercept of the model is in this part.
    has_intercept: bool,
    constant: f64,
    coefficients: NamedValues,
    standardised: Coefficients,
    l2: f64,
    training: TrainingRecord,
}

/// One party's part of a model. Valid by construction: its coefficients belong to its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelPart {
    schema: Schema,
    file: PartFile,
}

impl ModelPart {
    /// The part of `party`: of `parts`, the schema and the coefficients are those of its own columns, and
    /// the intercept is there where this part has it.
    ///
    /// # Errors
    /// When the coefficients are not as many as the encoded columns, or a number is not finite.
    pub fn new(parts: ModelParts, party: &str) -> Result<Self, ModelError> {
        let ModelParts { schema, standardisation, .. } = parts;
        let columns = schema.columns();
        if columns.len() != parts.coefficients.len() {
            return Err(ModelError::Columns { what: "coefficients" });
        }
        let standardised = Coefficients {
            intercept: parts.intercept.unwrap_or(0.0),
            coefficients: columns.into_iter().zip(parts.coefficients).collect(),
        };
        let original = original_scale(&schema, &standardisation, &standardised)?;
        Self::from_file(PartFile {
            format: PART_FORMAT.to_owned(),
            version: VERSION,
            kind: parts.kind,
            title: parts.title,
            study: parts.study,
            party: party.to_owned(),
            target: schema.target().clone(),
            offset: schema.offset().cloned(),
            features: schema.features().to_vec(),
            standardisation,
            has_intercept: parts.intercept.is_some(),
            constant: original.intercept,
            coefficients: original.coefficients,
            standardised,
            l2: parts.l2,
            training: parts.training,
        })
    }

    /// Reads the file of a part.
    ///
    /// # Errors
    /// When the bytes are not a part of a version that this program knows, or contradict themselves.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ModelError> {
        let header = Header::read(bytes)?;
        if header.format != PART_FORMAT {
            return Err(ModelError::NoPart { got: header.format });
        }
        header.has_version(VERSION)?;
        Self::from_file(serde_json::from_slice(bytes)?)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// Never for a part that was made by this program; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, ModelError> {
        file::text(&self.file)
    }

    /// What this part adds to the score of each row. **Private**: a sum over the own cells of a record.
    ///
    /// # Errors
    /// When the table was read by another schema than [`schema`](Self::schema).
    pub fn scores(&self, table: &Table) -> Result<Vec<f64>, ModelError> {
        if table.schema() != &self.schema {
            return Err(ModelError::OtherSchema);
        }
        let encoded = encode(table, &self.file.standardisation, f64::INFINITY)?;
        let Coefficients { intercept, coefficients } = &self.file.standardised;
        let rows = encoded.x.rows().into_iter().enumerate();
        Ok(rows
            .map(|(index, row)| {
                let offset = encoded.offset.get(index).copied().unwrap_or_default();
                intercept + offset + coefficients.times(&row)
            })
            .collect())
    }

    /// How a score becomes a prediction.
    #[must_use]
    pub fn kind(&self) -> ModelKind {
        self.file.kind
    }

    /// The digest of the study.
    #[must_use]
    pub fn study(&self) -> &str {
        &self.file.study
    }

    /// Whose part it is.
    #[must_use]
    pub fn party(&self) -> &str {
        &self.file.party
    }

    /// The own columns, and the target of the whole model.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// What the part adds to every score, and the coefficients, on the scale of the data file.
    #[must_use]
    pub fn original(&self) -> Coefficients {
        Coefficients { intercept: self.file.constant, coefficients: self.file.coefficients.clone() }
    }

    /// The coefficients on the standardised scale; the intercept is 0 where it is in another part.
    #[must_use]
    pub fn standardised(&self) -> &Coefficients {
        &self.file.standardised
    }

    /// Whether the intercept of the model is in this part.
    #[must_use]
    pub fn has_intercept(&self) -> bool {
        self.file.has_intercept
    }

    /// How the model was trained.
    #[must_use]
    pub fn training(&self) -> &TrainingRecord {
        &self.file.training
    }

    fn from_file(file: PartFile) -> Result<Self, ModelError> {
        let (features, target) = (file.features.clone(), file.target.clone());
        let schema = Schema::with_offset(features, target, file.offset.clone())?;
        let columns = schema.columns();
        let lists = [
            ("coefficients", &file.coefficients),
            ("standardised coefficients", &file.standardised.coefficients),
        ];
        for (what, values) in lists {
            values.check(what, &columns)?;
        }
        if !(file.constant.is_finite() && file.standardised.intercept.is_finite()) {
            return Err(ModelError::NotFinite { what: "constants" });
        }
        let joint: Vec<&str> = schema.joint_features().map(|each| each.name.as_str()).collect();
        if !file.standardisation.iter().map(|each| each.name.as_str()).eq(joint) {
            return Err(ModelError::Columns { what: "means and standard deviations" });
        }
        let expected = original_scale(&schema, &file.standardisation, &file.standardised)?;
        if !expected.is_close(file.constant, &file.coefficients)
            || !(file.has_intercept || file.standardised.intercept == 0.0)
        {
            return Err(ModelError::Inconsistent);
        }
        Ok(Self { schema, file })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::artifact::{Model, SecurityRecord, SolverRecord};
    use crate::data::testing::{categorical, numeric};
    use crate::data::{BinaryTarget, NumericMissing, Scaling};

    fn parts(features: Vec<Feature>, intercept: Option<f64>, coefficients: &[f64]) -> ModelParts {
        let target =
            BinaryTarget { column: "ill".into(), positive: "y".into(), negative: "n".into() };
        let schema = Schema::new(features, Target::Binary(target)).expect("valid");
        let scaled = |name: &str| Standardisation {
            name: name.to_owned(),
            mean: 40.0,
            std: 8.0,
            present: 9,
        };
        ModelParts {
            kind: ModelKind::Logistic,
            title: "A study".into(),
            study: "study:00".into(),
            standardisation: schema.joint_features().map(|each| scaled(&each.name)).collect(),
            schema,
            intercept,
            coefficients: coefficients.to_vec(),
            l2: 0.0,
            inference: None,
            training: TrainingRecord {
                solver: SolverRecord::of("sgd", &json!({ "epochs": 3 })),
                iterations: 3,
                rows_used: 9,
                rows_dropped: 0,
                clip: 4.0,
                checks: Vec::new(),
                security: SecurityRecord {
                    parties: vec!["a".into(), "b".into()],
                    correlations: "pairwise".into(),
                },
                release_bits: 16,
            },
        }
    }

    #[test]
    fn parts_add_up_to_the_model() {
        let age = numeric("Age", NumericMissing::Mean, Scaling::Joint);
        let home = categorical("Home", &["own", "rent"], "own");
        let a = ModelPart::new(parts(vec![age.clone()], None, &[2.0]), "a").expect("valid");
        let b = ModelPart::new(parts(vec![home.clone()], Some(-1.0), &[0.5]), "b").expect("valid");
        assert_eq!((a.original().intercept, a.has_intercept()), (-10.0, false));
        assert_eq!((b.original().intercept, b.has_intercept()), (-1.0, true));
        let whole = Model::new(parts(vec![age, home], Some(-1.0), &[2.0, 0.5])).expect("valid");
        let table = |schema: &Schema, rows: &[&[&str]]| {
            let mut table = Table::builder_without_target(schema.clone());
            rows.iter().for_each(|row| table.push_row(row).expect("fits"));
            table.finish()
        };
        let own = a.scores(&table(a.schema(), &[&["48"], &[""], &["30"]])).expect("fits");
        let other = b.scores(&table(b.schema(), &[&["own"], &["rent"], &["rent"]])).expect("fits");
        let rows: [&[&str]; 3] = [&["48", "own"], &["", "rent"], &["30", "rent"]];
        let all = whole.predict(&table(whole.schema(), &rows)).expect("fits");
        for ((own, other), all) in own.iter().zip(&other).zip(all) {
            let score: f64 = own + other;
            assert!((1.0 / (1.0 + (-score).exp()) - all).abs() < 1e-12);
        }
        assert!(a.scores(&table(b.schema(), &[&["own"]])).is_err());
    }

    #[test]
    fn a_part_is_no_model_and_a_changed_one_is_refused() {
        let age = numeric("Age", NumericMissing::Mean, Scaling::Joint);
        let part = ModelPart::new(parts(vec![age.clone()], None, &[2.0]), "a").expect("valid");
        let text = part.to_json().expect("has a form");
        assert_eq!(ModelPart::from_json(text.as_bytes()).expect("valid"), part);
        let error = Model::from_json(text.as_bytes()).expect_err("refused").to_string();
        assert!(error.contains("party predict --joint"), "{error}");
        let whole = Model::new(parts(vec![age], Some(1.0), &[2.0])).expect("valid");
        let whole = whole.to_json().expect("has a form");
        let error = ModelPart::from_json(whole.as_bytes()).expect_err("refused").to_string();
        assert!(error.contains("mpc-model-part"), "{error}");
        for (from, to) in [
            ("\"constant\": -10.0", "\"constant\": -10.1"),
            ("\"version\": 1", "\"version\": 2"),
            ("\"Age\": 0.25", "\"Age\": 0.26"),
            ("\"intercept\": 0.0", "\"intercept\": 1.0"),
            ("\"l2\": 0.0", "\"l3\": 0.0"),
        ] {
            assert!(text.contains(from), "{from}: {text}");
            assert!(ModelPart::from_json(text.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
        }
    }
}
