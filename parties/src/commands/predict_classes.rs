//! `party predict` by a model of several classes.

use std::path::Path;

use mpc_ml::artifact::ClassModel;
use serde_json::json;

use super::predict::{none_scored, source, status, told};
use crate::cli::Predict;
use crate::data_file::{DataFile, ReadOptions, read};
use crate::exit::{Exit, Failure};
use crate::output::{Report, create};

/// The smallest probability whose logarithm is taken.
const LEAST: f64 = 1e-300;

pub(super) fn run(
    config: &Path,
    data: &Path,
    options: &Predict,
    model: &ClassModel,
) -> Result<Report, Failure> {
    let read_options = ReadOptions {
        id_column: options.id_column.clone(),
        with_target: options.evaluate,
        show_values: options.show_values,
        lenient: true,
    };
    let file = read(&source(config, data)?, model.schema(), &read_options)?;
    let predictions = model.predict(&file.table)?;
    if predictions.is_empty() {
        return Err(none_scored(&file.left).in_file(data));
    }
    let csv = csv(model, &file, options, &predictions)?;
    if let Some(out) = &options.out {
        create(out, csv.as_bytes())?;
    }
    let told = told(&file.left, predictions.len(), options.out.as_deref());
    if let Some(outcomes) = file.table.target() {
        let rows = outcomes.len() as f64;
        let due = || predictions.iter().zip(outcomes.iter().map(|outcome| *outcome as usize));
        let right = due().filter(|(classes, outcome)| likeliest(classes) == *outcome).count();
        let loss = due().map(|(classes, outcome)| -classes[outcome].max(LEAST).ln()).sum::<f64>();
        let (accuracy, log_loss) = (right as f64 / rows, loss / rows);
        return Ok(Report {
            text: format!(
                "{told}Rows:     {rows}\nAccuracy: {accuracy:.4}\nLog-loss: {log_loss:.4}\n"
            ),
            json: json!({
                "rows": predictions.len(),
                "out": options.out,
                "scores": { "rows": outcomes.len(), "accuracy": accuracy, "log_loss": log_loss },
            }),
        });
    }
    Ok(Report {
        json: json!({
            "rows": predictions.len(),
            "out": options.out,
            "classes": model.levels().collect::<Vec<_>>(),
            "predictions": options.out.is_none().then_some(&predictions),
            "not_scored": file.left.out,
            "outside_range": file.left.outside,
        }),
        text: if options.out.is_some() { told } else { csv },
    })
}

/// The first of the classes with the largest probability.
fn likeliest(classes: &[f64]) -> usize {
    let better = |best: usize, at: usize| if classes[at] > classes[best] { at } else { best };
    (0..classes.len()).fold(0, better)
}

fn csv(
    model: &ClassModel,
    file: &DataFile,
    options: &Predict,
    predictions: &[Vec<f64>],
) -> Result<String, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Exit::Internal, error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    let levels: Vec<&str> = model.levels().collect();
    let mut header = vec![options.id_column.clone().unwrap_or_else(|| "row".to_owned())];
    header.push("class".to_owned());
    header.extend(levels.iter().map(|level| format!("probability={level}")));
    header.push("status".to_owned());
    writer.write_record(&header).map_err(|error| failed(&error))?;
    let mut scored = predictions.iter();
    for row in 0..file.left.rows {
        let at = usize::try_from(row).unwrap_or(usize::MAX);
        let id = file.ids.as_ref().and_then(|ids| ids.0.get(at)).cloned();
        let mut record = vec![id.unwrap_or_else(|| (row + 1).to_string())];
        let is_scored = !file.left.out.contains_key(&row);
        match is_scored.then(|| scored.next()).flatten() {
            Some(classes) => {
                record.push(levels[likeliest(classes)].to_owned());
                record.extend(classes.iter().map(f64::to_string));
            }
            None => record.extend(vec![String::new(); levels.len() + 1]),
        }
        record.push(status(&file.left, row));
        writer.write_record(&record).map_err(|error| failed(&error))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(&error))?;
    String::from_utf8(bytes).map_err(|error| failed(&error))
}
