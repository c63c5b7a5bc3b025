//! `party predict`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mpc_ml::artifact::{ClassModel, Model, ModelKind};
use mpc_ml::metrics::{CountScores, MetricError, NumberScores, Scores};
use serde_json::json;

use super::predict_classes;
use crate::cli::{Predict, Train};
use crate::data_file::{DataFile, Left, ReadOptions, Source, read};
use crate::exit::{Exit, Failure};
use crate::input;
use crate::limits::prediction_column;
use crate::output::{Report, check_writable, create, wrapped};
use crate::settings::{Overrides, Settings};

/// The same options as those of a training, for scores with other parties.
pub(super) fn joint(options: &Predict) -> Option<Train> {
    options.joint.as_ref().map(|study| Train {
        study: study.clone(),
        data: options.data.clone(),
        out: options.out.clone(),
        report: false,
        listen: options.listen,
        show_values: options.show_values,
    })
}

pub(super) fn run(config: &Path, options: &Predict) -> Result<Report, Failure> {
    let data = options
        .data
        .as_deref()
        .ok_or_else(|| Failure::new(Exit::Usage, "--data is missing: the rows to predict"))?;
    // Before the work, not after it.
    if let Some(out) = &options.out {
        check_writable(out)?;
    }
    let path = one_model(&options.model)?;
    let bytes = model_bytes(path)?;
    if ClassModel::is_one(&bytes) {
        let model = ClassModel::from_json(&bytes);
        let model = model.map_err(|error| Failure::from(error).in_file(path))?;
        return predict_classes::run(config, data, options, &model);
    }
    let model = Model::from_json(&bytes).map_err(|error| Failure::from(error).in_file(path))?;
    let read_options = ReadOptions {
        id_column: options.id_column.clone(),
        with_target: options.evaluate,
        show_values: options.show_values,
        // A row that cannot be scored is no reason to score none.
        lenient: true,
    };
    let file = read(&source(config, data)?, model.schema(), &read_options)?;
    let predictions = model.predict(&file.table)?;
    if predictions.is_empty() {
        return Err(none_scored(&file.left).in_file(data));
    }
    let csv = csv(&model, &file, options, &predictions)?;
    if let Some(out) = &options.out {
        create(out, csv.as_bytes())?;
    }
    let told = told(&file.left, predictions.len(), options.out.as_deref());
    if let Some(outcomes) = file.table.target() {
        return evaluate(&model, &predictions, outcomes, options, &told);
    }
    Ok(Report {
        json: json!({
            "rows": predictions.len(),
            "out": options.out,
            "predictions": options.out.is_none().then_some(&predictions),
            "not_scored": file.left.out,
            "outside_range": file.left.outside,
        }),
        // Printed predictions go to a program, which has the status of each row.
        text: if options.out.is_some() { told } else { csv },
    })
}

/// The one model that is named.
pub(super) fn the_model(models: &[PathBuf]) -> Result<Model, Failure> {
    read_model(one_model(models)?)
}

/// A model from its file.
pub(super) fn read_model(path: &Path) -> Result<Model, Failure> {
    let bytes = model_bytes(path)?;
    Model::from_json(&bytes).map_err(|error| Failure::from(error).in_file(path))
}

fn model_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    input::read(path).map_err(|error| {
        let what = format!("the model cannot be read: {error}");
        let failure = Failure::new(Exit::LocalInput, what).in_file(path);
        // A shell passes a pattern on as it stands when there is no such file.
        if path.as_os_str().as_encoded_bytes().contains(&b'*') {
            failure.advise("no file fits this pattern; has a training come to its end here?")
        } else {
            failure
        }
    })
}

/// The rows to score, written as the own ones are where there is a party.toml that says so.
pub(super) fn source(config: &Path, data: &Path) -> Result<Source, Failure> {
    if !config.exists() {
        return Ok(Source::file(data));
    }
    let settings = Settings::read(config, &Overrides::default());
    let settings = settings.map_err(|error| Failure::from(error).in_file(config))?;
    Ok(Source::file(data).with(settings.reading))
}

/// What is told of so many predictions, of whatever kind of model.
pub(super) fn told(left: &Left, predictions: usize, out: Option<&Path>) -> String {
    let Left { rows, out: left_out, outside } = left;
    let mut told = String::new();
    if let Some(out) = out {
        told += &format!("Wrote {predictions} predictions to {}.\n", out.display());
    }
    if !left_out.is_empty() {
        let see = if out.is_some() { "; the column `status` says why" } else { "" };
        told += &format!("{} of {rows} rows could not be scored{see}.\n", left_out.len());
    }
    if !outside.is_empty() {
        let (rows, were) = match outside.len() {
            1 => ("1 row has".to_owned(), "it was"),
            count => (format!("{count} rows have"), "they were"),
        };
        let what = format!(
            "{rows} a number outside of the range that the model's study allows: {were} scored, and the model was \
             not fitted to such rows."
        );
        told += &wrapped("", &what);
    }
    told
}

/// What the column `status` says of a row, by its number from 0.
pub(super) fn status(left: &Left, row: u64) -> String {
    if let Some(why) = left.out.get(&row) {
        return format!("not scored: {why}");
    }
    let outside = left.outside.get(&row);
    outside.map_or("ok".to_owned(), |columns| {
        format!("outside of the study's range: {}", columns.join(", "))
    })
}

/// No row can be scored: the most frequent reasons.
pub(super) fn none_scored(left: &Left) -> Failure {
    let Left { rows, out: left_out, .. } = left;
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    left_out.values().for_each(|reason| *reasons.entry(reason).or_default() += 1);
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let reasons: String = reasons
        .iter()
        .take(5)
        .map(|(reason, count)| format!("\n  {count} rows: {reason}"))
        .collect();
    let what = format!("none of the {rows} rows can be scored{reasons}");
    Failure::new(Exit::LocalInput, what).advise(
        "correct the rows, or say below [data] in party.toml how they are written (separator, decimal, missing, ..)",
    )
}

/// The model, of which a pattern such as `state/*/model.json` may have named several.
fn one_model(models: &[PathBuf]) -> Result<&Path, Failure> {
    match models {
        [one] => Ok(one),
        several => {
            let names: Vec<String> =
                several.iter().map(|path| path.display().to_string()).collect();
            let what = format!("--model names {} models, and one is used", names.len());
            Err(Failure::new(Exit::Usage, what)
                .at(names.join(", "))
                .advise("name the one to use; each stands in the folder of its study"))
        }
    }
}

fn evaluate(
    model: &Model,
    predictions: &[f64],
    outcomes: &[f64],
    options: &Predict,
    written: &str,
) -> Result<Report, Failure> {
    let failed = |error: MetricError| {
        Failure::new(Exit::LocalInput, error.to_string())
            .in_file(options.data.as_deref().unwrap_or(Path::new("")))
    };
    let (text, scores) = match model.kind() {
        ModelKind::Logistic => {
            let scores = Scores::new(predictions, outcomes).map_err(failed)?;
            let text = format!(
                "Rows:     {} ({} positive)\nAccuracy: {:.4}\nAUC:      {}\nLog-loss: {:.4}\nBrier:    {:.4}\n",
                scores.rows,
                scores.positives,
                scores.accuracy,
                defined(scores.auc),
                scores.log_loss,
                scores.brier
            );
            (text, json!(scores))
        }
        ModelKind::Linear => {
            let scores = NumberScores::new(predictions, outcomes).map_err(failed)?;
            let text = format!(
                "Rows: {}\nR2:   {}\nRMSE: {:.6}\nMAE:  {:.6}\n",
                scores.rows,
                defined(scores.r2),
                scores.rmse,
                scores.mae
            );
            (text, json!(scores))
        }
        ModelKind::Poisson => {
            let scores = CountScores::new(predictions, outcomes).map_err(failed)?;
            let text = format!(
                "Rows:          {}\nMean deviance: {:.6} (of the mean count: {:.6})\n",
                scores.rows, scores.mean_deviance, scores.null_mean_deviance
            );
            (text, json!(scores))
        }
        _ => return Err(Failure::new(Exit::Usage, "--evaluate does not know this kind of model")),
    };
    Ok(Report {
        text: format!("{written}{text}"),
        json: json!({ "rows": predictions.len(), "out": options.out, "scores": scores }),
    })
}

/// A score that some outcomes do not define.
fn defined(score: Option<f64>) -> String {
    score.map_or("not defined: all outcomes are the same".to_owned(), |score| format!("{score:.4}"))
}

fn csv(
    model: &Model,
    file: &DataFile,
    options: &Predict,
    predictions: &[f64],
) -> Result<String, Failure> {
    let column = prediction_column(model.kind());
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Internal, error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let id = options.id_column.as_deref().unwrap_or("row");
    writer.write_record([id, column, "status"]).map_err(|error| failed(&error))?;
    let mut scored = predictions.iter();
    for row in 0..file.left.rows {
        let at = usize::try_from(row).unwrap_or(usize::MAX);
        let id = file.ids.as_ref().and_then(|ids| ids.0.get(at)).cloned();
        // Rows are counted from 1, without the header.
        let id = id.unwrap_or_else(|| (row + 1).to_string());
        let is_scored = !file.left.out.contains_key(&row);
        let prediction = is_scored.then(|| scored.next().map(f64::to_string)).flatten();
        let (prediction, status) = (prediction.unwrap_or_default(), status(&file.left, row));
        writer.write_record([id, prediction, status]).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}
