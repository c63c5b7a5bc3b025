//! A model of several classes: a file of its own form.
//!
//! Each class has an intercept and a coefficient for each encoded column, on the scale of the data file and on the
//! common one, and so a score of its own for a row. The probability of a class is
//!
//! ```text
//! exp(score of the class) / sum over all classes of exp(score)
//! ```

use serde::{Deserialize, Serialize};

use super::file::{self, Header};
use super::scales::original_scale;
use super::{Coefficients, ModelError, ModelKind, ModelParts, NamedValues, TrainingRecord};
use crate::data::{Feature, LevelsTarget, Schema, Standardisation, Table, Target, encode};

/// What stands in the file's `format`.
pub(super) const CLASSES_FORMAT: &str = "mpc-model-classes";

/// The version of the format that this program writes and reads.
const VERSION: u32 = 1;

/// The file, in the order in which it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassFile {
    format: String,
    version: u32,
    kind: ModelKind,
    title: String,
    study: String,
    target: Target,
    features: Vec<Feature>,
    standardisation: Vec<Standardisation>,
    classes: Vec<ClassCoefficients>,
    l2: f64,
    training: TrainingRecord,
}

/// What gives the score of one class.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassCoefficients {
    /// The class, as it stands in the files.
    pub level: String,
    /// The intercept on the scale of the data files.
    pub intercept: f64,
    /// One value for each encoded column, on the scale of the data files.
    pub coefficients: NamedValues,
    /// On the standardised scale.
    pub standardised: Coefficients,
}

/// A model of several classes. Valid by construction: its coefficients belong to its columns and classes.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassModel {
    schema: Schema,
    file: ClassFile,
}

impl ClassModel {
    /// A model from coefficients on the standardised scale: those of `parts` are for each encoded column the classes one
    /// after the other, and the intercepts of the classes last.
    ///
    /// # Errors
    /// When the target has no levels, the coefficients are not as many, or a number is not finite.
    pub fn new(parts: ModelParts) -> Result<Self, ModelError> {
        let missing = ModelError::Columns { what: "classes" };
        let Target::Levels(LevelsTarget { levels, .. }) = parts.schema.target() else {
            return Err(missing);
        };
        let (columns, count) = (parts.schema.columns(), levels.len());
        if parts.coefficients.len() != (columns.len() + 1) * count {
            return Err(ModelError::Columns { what: "coefficients" });
        }
        let value = |column: usize, class: usize| parts.coefficients[column * count + class];
        let class = |(class, level): (usize, &String)| {
            let own = columns.iter().enumerate();
            let standardised = Coefficients {
                intercept: value(columns.len(), class),
                coefficients: own.map(|(at, name)| (name.clone(), value(at, class))).collect(),
            };
            let original = original_scale(&parts.schema, &parts.standardisation, &standardised)?;
            let Coefficients { intercept, coefficients } = original;
            Ok(ClassCoefficients { level: level.clone(), intercept, coefficients, standardised })
        };
        let classes = levels.iter().enumerate().map(class).collect::<Result<_, ModelError>>()?;
        Self::from_file(ClassFile {
            format: CLASSES_FORMAT.to_owned(),
            version: VERSION,
            kind: parts.kind,
            title: parts.title,
            study: parts.study,
            target: parts.schema.target().clone(),
            features: parts.schema.features().to_vec(),
            standardisation: parts.standardisation,
            classes,
            l2: parts.l2,
            training: parts.training,
        })
    }

    /// Whether the bytes say that they are such a model.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        Header::read(bytes).is_ok_and(|header| header.format == CLASSES_FORMAT)
    }

    /// Reads the file of such a model.
    ///
    /// # Errors
    /// When the bytes are none of a version that this program knows, or contradict themselves.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ModelError> {
        let header = Header::read(bytes)?;
        if header.format != CLASSES_FORMAT {
            return Err(ModelError::OtherFormat { got: header.format });
        }
        header.has_version(VERSION)?;
        Self::from_file(serde_json::from_slice(bytes)?)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// Never for a model that was made by this program; serialisation is fallible by its type.
    pub fn to_json(&self) -> Result<String, ModelError> {
        file::text(&self.file)
    }

    /// The probability of each class, in the order of [`levels`](Self::levels), for each row.
    ///
    /// # Errors
    /// When the table was read by another schema than [`schema`](Self::schema).
    pub fn predict(&self, table: &Table) -> Result<Vec<Vec<f64>>, ModelError> {
        if table.schema() != &self.schema {
            return Err(ModelError::OtherSchema);
        }
        let encoded = encode(table, &self.file.standardisation, f64::INFINITY)?;
        let score = |row: ndarray::ArrayView1<'_, f64>, class: &ClassCoefficients| {
            let Coefficients { intercept, coefficients } = &class.standardised;
            intercept + coefficients.times(&row)
        };
        let rows = encoded.x.rows().into_iter();
        Ok(rows
            .map(|row| {
                let scores: Vec<f64> =
                    self.file.classes.iter().map(|class| score(row, class)).collect();
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let odds: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
                let sum: f64 = odds.iter().sum();
                odds.iter().map(|odds| odds / sum).collect()
            })
            .collect())
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

    /// The classes, as they stand in the files.
    pub fn levels(&self) -> impl ExactSizeIterator<Item = &str> {
        self.file.classes.iter().map(|class| class.level.as_str())
    }

    /// What gives the score of each class.
    #[must_use]
    pub fn classes(&self) -> &[ClassCoefficients] {
        &self.file.classes
    }

    /// The joint means and standard deviations.
    #[must_use]
    pub fn standardisation(&self) -> &[Standardisation] {
        &self.file.standardisation
    }

    /// How the model was trained.
    #[must_use]
    pub fn training(&self) -> &TrainingRecord {
        &self.file.training
    }

    fn from_file(file: ClassFile) -> Result<Self, ModelError> {
        let schema = Schema::new(file.features.clone(), file.target.clone())?;
        let Target::Levels(LevelsTarget { levels, .. }) = schema.target() else {
            return Err(ModelError::Columns { what: "classes" });
        };
        if !levels.iter().eq(file.classes.iter().map(|class| &class.level))
            || file.kind != ModelKind::Multinomial
        {
            return Err(ModelError::Columns { what: "classes" });
        }
        let columns = schema.columns();
        for class in &file.classes {
            let Coefficients { intercept, coefficients } = &class.standardised;
            for (own, intercept) in
                [(&class.coefficients, class.intercept), (coefficients, *intercept)]
            {
                own.check("coefficients", &columns)?;
                if !intercept.is_finite() {
                    return Err(ModelError::NotFinite { what: "coefficients" });
                }
            }
            let expected = original_scale(&schema, &file.standardisation, &class.standardised)?;
            if !expected.is_close(class.intercept, &class.coefficients) {
                return Err(ModelError::Inconsistent);
            }
        }
        Ok(Self { schema, file })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{Model, SecurityRecord, SolverRecord};
    use super::*;
    use crate::data::{FeatureKind, Numeric, NumericMissing, Scaling};

    fn model() -> ClassModel {
        let numeric = |name: &str| {
            let kind = FeatureKind::Numeric(Numeric {
                range: None,
                missing: NumericMissing::Refuse,
                indicator: false,
                scale: Scaling::Joint,
            });
            Feature { name: name.into(), kind }
        };
        let levels = ["red", "green", "blue"].map(String::from).to_vec();
        let target = Target::Levels(LevelsTarget { column: "colour".into(), levels });
        let schema = Schema::new(vec![numeric("a"), numeric("b")], target).unwrap();
        let scale =
            |name: &str, mean, std| Standardisation { name: name.into(), mean, std, present: 9 };
        let security = SecurityRecord { parties: Vec::new(), correlations: "pairwise".into() };
        ClassModel::new(ModelParts {
            kind: ModelKind::Multinomial,
            title: "Colours".into(),
            study: "study:0".into(),
            schema,
            standardisation: vec![scale("a", 3.0, 2.0), scale("b", -1.0, 0.5)],
            intercept: None,
            coefficients: vec![1.0, 0.0, -1.0, 0.5, 0.25, 0.0, 0.1, 0.2, 0.3],
            l2: 0.01,
            inference: None,
            training: TrainingRecord {
                solver: SolverRecord::of("federated", &json!({})),
                iterations: 20,
                rows_used: 9,
                rows_dropped: 0,
                clip: 65_536.0,
                checks: Vec::new(),
                security,
                release_bits: 24,
            },
        })
        .unwrap()
    }

    #[test]
    fn classes_have_the_probabilities_of_their_scores() {
        let model = model();
        let mut table = Table::builder(model.schema().clone());
        table.push_row(&["5", "-1", "green"]).unwrap();
        let table = table.finish();
        // Standardised: 1 and 0.
        let odds = [1.1f64, 0.2, -0.7].map(f64::exp);
        let sum: f64 = odds.iter().sum();
        let got = &model.predict(&table).unwrap()[0];
        for (got, odds) in got.iter().zip(odds) {
            assert!((got - odds / sum).abs() < 1e-12);
        }
        let red = &model.classes()[0];
        let score = red.intercept + red.coefficients.value("a").unwrap() * 5.0
            - red.coefficients.value("b").unwrap();
        assert!((score - 1.1).abs() < 1e-12, "{score}");
    }

    #[test]
    fn the_file_is_read_again_and_what_was_changed_is_refused() {
        let model = model();
        let text = model.to_json().unwrap();
        assert_eq!(ClassModel::from_json(text.as_bytes()).unwrap(), model);
        assert!(ClassModel::is_one(text.as_bytes()));
        assert!(matches!(Model::from_json(text.as_bytes()), Err(ModelError::Classes)));
        for (from, to) in [
            ("\"red\"", "\"rot\""),
            ("\"version\": 1", "\"version\": 2"),
            ("\"intercept\": 0.1", "\"intercept\": 0.5"),
            ("\"kind\": \"multinomial\"", "\"kind\": \"logistic\""),
        ] {
            assert!(text.contains(from), "{from}: {text}");
            assert!(
                ClassModel::from_json(text.replacen(from, to, 1).as_bytes()).is_err(),
                "{from}"
            );
        }
    }
}
