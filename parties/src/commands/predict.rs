//! `party predict`

use std::path::{Path, PathBuf};

use mpc_ml::artifact::{Model, ModelKind};
use mpc_ml::metrics::{CountScores, MetricError, NumberScores, Scores};
use serde_json::json;

use crate::cli::{Predict, Train};
use crate::data_file::{DataFile, ReadOptions, read};
use crate::exit::{Exit, Failure};
use crate::input;
use crate::limits::prediction_column;
use crate::output::{Report, check_writable, create};

/// The same options as those of a training, for scores with other parties.
pub(super) fn joint(options: &Predict) -> Option<Train> {
    options.joint.as_ref().map(|study| Train {
        study: study.clone(),
        data: options.data.clone(),
        out: options.out.clone(),
        listen: options.listen,
        show_values: options.show_values,
    })
}

pub(super) fn run(options: &Predict) -> Result<Report, Failure> {
    let data = options
        .data
        .as_deref()
        .ok_or_else(|| Failure::new(Exit::Usage, "--data is missing: the rows to predict"))?;
    // Before the work, not after it.
    if let Some(out) = &options.out {
        check_writable(out)?;
    }
    let path = one_model(&options.model)?;
    let bytes = input::read(path).map_err(|error| {
        let what = format!("the model cannot be read: {error}");
        let failure = Failure::new(Exit::LocalInput, what).in_file(path);
        // A shell passes a pattern on as it stands when there is no such file.
        if path.as_os_str().as_encoded_bytes().contains(&b'*') {
            failure.advise("no file fits this pattern; has a training come to its end here?")
        } else {
            failure
        }
    })?;
    let model = Model::from_json(&bytes).map_err(|error| Failure::from(error).in_file(path))?;
    let read_options = ReadOptions {
        id_column: options.id_column.clone(),
        with_target: options.evaluate,
        show_values: options.show_values,
    };
    let file = read(data, model.schema(), &read_options)?;
    let predictions = model.predict(&file.table)?;
    let csv = csv(&model, &file, options, &predictions)?;
    if let Some(out) = &options.out {
        create(out, csv.as_bytes())?;
    }
    let written = options
        .out
        .as_ref()
        .map(|out| format!("Wrote {} predictions to {}.\n", predictions.len(), out.display()));
    if let Some(outcomes) = file.table.target() {
        return evaluate(&model, &predictions, outcomes, options, &written.unwrap_or_default());
    }
    Ok(Report {
        json: json!({
            "rows": predictions.len(),
            "out": options.out,
            "predictions": options.out.is_none().then_some(&predictions),
        }),
        text: written.unwrap_or(csv),
    })
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
    writer.write_record([id, column]).map_err(|error| failed(&error))?;
    for (row, prediction) in predictions.iter().enumerate() {
        let id = file.ids.as_ref().and_then(|ids| ids.0.get(row)).cloned();
        // Rows are counted from 1, without the header.
        let id = id.unwrap_or_else(|| (row + 1).to_string());
        writer.write_record([id, prediction.to_string()]).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}
