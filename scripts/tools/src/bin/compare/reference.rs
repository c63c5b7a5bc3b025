//! The reference fit of a study: pooled rows, double precision, scikit-learn and statsmodels.

use std::path::Path;

use mpc_ml::artifact::ModelKind;
use mpc_ml::data::{Standardisation, Table, encode};
use mpc_ml::metrics::{CountScores, NumberScores, Scores};
use parties::data_file::{ReadOptions, Source, read};
use parties::study::Study;
use serde_json::Value;

use crate::Outcome;
use crate::cases::Case;
use crate::run::json;

/// How much the predictions in the file may differ from those of the coefficients beside it, over
/// the largest: decimal rounding. Anything else means that the study encodes rows differently.
const ROUNDING: f64 = 1e-9;

/// The rows that nobody trained on.
pub struct Test {
    /// The rows.
    pub table: Table,
    /// Their targets.
    pub outcomes: Vec<f64>,
}

/// A fit in the clear, on the encoded, standardised scale and in the study's order of columns.
pub struct Reference {
    /// `unpenalised` or `l2`.
    pub fit: &'static str,
    /// The intercept.
    pub intercept: f64,
    /// One coefficient for each encoded column.
    pub coefficients: Vec<f64>,
    /// Standard errors of the intercept and of the coefficients, where the fit has them.
    pub standard_errors: Option<(f64, Vec<f64>)>,
    /// Mean and standard deviation of the jointly scaled features.
    pub standardisation: Vec<Standardisation>,
    /// What it predicts for the test rows.
    pub predictions: Vec<f64>,
    /// The measure of those predictions, as `reference.json` has it.
    pub metric: f64,
    /// The test figures of what each party reaches alone, penalised: name in the file and figures.
    pub alone: Vec<(String, Value)>,
}

impl Test {
    /// Reads the test rows of a case.
    pub fn read(case: &Case, study: &Study) -> Outcome<Self> {
        let options = ReadOptions { with_target: true, ..ReadOptions::default() };
        let table = read(&Source::file(&case.data("test.csv")), study.schema(), &options)?.table;
        let outcomes = table.target().ok_or("the test rows have no target")?.to_vec();
        Ok(Self { table, outcomes })
    }
}

impl Reference {
    /// The fit that the study asks for; `None` where it does not exist, such as the
    /// maximum-likelihood fit of separated classes.
    pub fn read(case: &Case, study: &Study, test: &Test) -> Outcome<Option<Self>> {
        let folder = case.study();
        let folder = folder.parent().ok_or("a study without a folder")?;
        let all = json(&folder.join("reference.json"))?;
        let task = &all["tasks"][case.task];
        let l2 = study.model().settings()["l2"].as_f64().unwrap_or(0.0);
        let fit = if l2 == 0.0 { "unpenalised" } else { "l2" };
        let values = &task[fit];
        if values["coef"].is_null() {
            return Ok(None);
        }
        if fit == "l2" && values["lambda"].as_f64() != Some(l2) {
            return Err("the reference has another penalty".into());
        }
        let columns = study.schema().columns();
        if serde_json::json!(columns) != task["encoding"]["order_of_columns"] {
            return Err("the study has other columns than the reference".into());
        }
        let list = |field: &str| -> Outcome<Vec<f64>> {
            columns.iter().map(|column| number(&values[field][column])).collect()
        };
        let standard_errors = match &values["se"] {
            Value::Null => None,
            _ => Some((number(&values["se_intercept"])?, list("se")?)),
        };
        let standardisation = study.schema().joint_features().map(|feature| {
            let numeric = &task["encoding"]["numeric"][&feature.name];
            Ok(Standardisation {
                name: feature.name.clone(),
                mean: number(&numeric["mean"])?,
                std: number(&numeric["std_ddof0"])?,
                present: test.outcomes.len() as u64,
            })
        });
        let alone = task["l2_each_party_alone"].as_object().into_iter().flatten();
        let mut reference = Self {
            fit,
            intercept: number(&values["intercept"])?,
            coefficients: list("coef")?,
            standard_errors,
            standardisation: standardisation.collect::<Outcome<_>>()?,
            predictions: Vec::new(),
            metric: 0.0,
            alone: alone.map(|(party, each)| (party.clone(), each["test"].clone())).collect(),
        };
        reference.predictions = reference.predict(study, &test.table)?;
        if let Some(listed) = listed(&folder.join("test_predictions.csv"), case.task, fit)? {
            let apart = largest_difference(&listed, &reference.predictions)?;
            let largest = listed.iter().fold(0.0, |max: f64, each| max.max(each.abs()));
            if apart > ROUNDING * largest {
                return Err("the study encodes the test rows differently from the reference".into());
            }
            reference.predictions = listed;
        }
        let (name, own) = metric(study.kind(), &reference.predictions, &test.outcomes)?;
        reference.metric = number(&values["test"][name.to_lowercase()])?;
        if (own - reference.metric).abs() > ROUNDING {
            return Err(format!("the reference computes {name} differently").into());
        }
        Ok(Some(reference))
    }

    fn predict(&self, study: &Study, table: &Table) -> Outcome<Vec<f64>> {
        let encoded = encode(table, &self.standardisation, f64::INFINITY)?;
        let scores = encoded.x.rows().into_iter().map(|row| {
            self.intercept + row.iter().zip(&self.coefficients).map(|(x, w)| x * w).sum::<f64>()
        });
        Ok(match study.kind() {
            ModelKind::Logistic => scores.map(|score| 1.0 / (1.0 + (-score).exp())).collect(),
            ModelKind::Linear => scores.collect(),
            ModelKind::Poisson => scores.map(f64::exp).collect(),
            kind => {
                return Err(format!("no reference is known for a model of kind {kind:?}").into());
            }
        })
    }
}

/// The measure by which models of a kind are compared on the test rows: its name and value.
pub fn metric(
    kind: ModelKind,
    predictions: &[f64],
    outcomes: &[f64],
) -> Outcome<(&'static str, f64)> {
    let (name, value) = match kind {
        ModelKind::Logistic => ("AUC", Scores::new(predictions, outcomes)?.auc),
        ModelKind::Linear => ("R2", NumberScores::new(predictions, outcomes)?.r2),
        ModelKind::Poisson => {
            let scores = CountScores::new(predictions, outcomes)?;
            ("D2", Some(1.0 - scores.mean_deviance / scores.null_mean_deviance))
        }
        kind => return Err(format!("no measure is known for a model of kind {kind:?}").into()),
    };
    Ok((name, value.ok_or("all test rows have the same outcome")?))
}

/// The measure on the test rows of the reference fit: without a penalty, or with the least where there is no such.
pub fn reference_metric(case: &Case, name: &str) -> Outcome<f64> {
    let folder = case.study();
    let all = json(&folder.parent().ok_or("a study without a folder")?.join("reference.json"))?;
    let fits = ["unpenalised", "l2"].map(|fit| &all["tasks"][case.task][fit]["test"]);
    let found = fits.iter().find_map(|test| test[name.to_lowercase()].as_f64());
    found.ok_or_else(|| format!("the reference has no {name}").into())
}

/// The standard deviation, for numbers of different units.
pub fn spread(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// The largest absolute difference of two lists.
pub fn largest_difference(a: &[f64], b: &[f64]) -> Outcome<f64> {
    if a.len() != b.len() {
        return Err(format!("{} values were compared with {}", a.len(), b.len()).into());
    }
    Ok(a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The predictions in the file, where it has those of this fit.
fn listed(path: &Path, task: &str, fit: &str) -> Outcome<Option<Vec<f64>>> {
    if !path.exists() {
        return Ok(None);
    }
    let mut reader = csv::Reader::from_path(path)?;
    let name = format!("{task}:{fit}");
    let Some(place) = reader.headers()?.iter().position(|header| header == name) else {
        return Ok(None);
    };
    let rows = reader.records().map(|record| Ok(record?[place].parse()?));
    rows.collect::<Outcome<Vec<f64>>>().map(Some)
}

fn number(value: &Value) -> Outcome<f64> {
    value.as_f64().ok_or_else(|| "the reference lacks a number".into())
}
