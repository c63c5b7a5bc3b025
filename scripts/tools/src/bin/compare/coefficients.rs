//! The coefficients of one study beside those of its reference, for the demo.

use std::fs;
use std::path::Path;

use mpc_ml::artifact::Model;
use parties::study::Study;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cases::Case;
use crate::reference::{Reference, Test, largest_difference, metric, spread};
use crate::run::{self, Run};

/// Prints the comparison and adds it to the list `studies` in `summary`.
pub fn compare(case: &Case, folder: &str, summary: &str) -> Outcome<()> {
    let study = Study::read(&case.study())?;
    let run = Run::of_study(folder, &study)?;
    let test = Test::read(case, &study)?;
    let reference = Reference::read(case, &study, &test)?.ok_or("the study has no reference")?;
    print_coefficients(&run.model, &reference);

    let kind = run.model.kind();
    let predictions = run.model.predict(&test.table)?;
    let (measure, joint) = metric(kind, &predictions, &test.outcomes)?;
    let apart = largest_difference(&predictions, &reference.predictions)?;
    println!("\n  On rows that nobody trained on:");
    println!("  {:<44} {measure:>9}", "");
    let row = |name: &str, value: f64| println!("  {name:<44} {value:>9.4}");
    row("joint model, on shares", joint);
    row("reference on pooled rows", reference.metric);
    let alone: Vec<(String, f64)> = study
        .parties()
        .iter()
        .zip(&reference.alone)
        .filter_map(|(party, (_, test))| {
            Some((party.to_string(), test[measure.to_lowercase()].as_f64()?))
        })
        .collect();
    alone.iter().for_each(|(party, value)| row(&format!("{party} alone (with a penalty)"), *value));
    println!(
        "\n  Largest difference of a prediction: {apart:.1e}, that is {:.1e} standard deviations of\n  \
         the target. {:.2} s, {} rounds, {:.2} MB sent by the party that sent most.\n",
        apart / spread(&test.outcomes),
        run.seconds("total").unwrap_or(f64::NAN),
        run.output["phases"]["total"]["rounds"],
        run.bytes_sent_max as f64 / 1e6
    );

    let own = run.model.standardised();
    let coefficients: Vec<f64> = own.coefficients.values().chain([own.intercept]).collect();
    let mut expected = reference.coefficients.clone();
    expected.push(reference.intercept);
    let name = measure.to_lowercase();
    let scores = |value: f64| json!({ &name: value });
    let path = Path::new(summary);
    let mut all = run::json(path)?;
    let studies = all["studies"].as_array_mut().ok_or("the summary has no list of studies")?;
    studies.push(json!({
        "name": case.set,
        "kind": run.model.kind(),
        "correlations": run.receipt["correlations"],
        "parties": study.parties().len(),
        "iterations": run.output["iterations"],
        "rounds": run.output["phases"]["total"]["rounds"],
        "seconds_total": run.seconds("total"),
        "seconds_online": run.seconds("training"),
        "bytes_sent_max": run.bytes_sent_max,
        "joint": scores(joint),
        "reference": scores(reference.metric),
        "alone": alone.iter().map(|(party, value)| {
            let mut all = scores(*value);
            all["party"] = json!(party);
            all
        }).collect::<Vec<Value>>(),
        "max_coef_diff": largest_difference(&coefficients, &expected)?,
        "max_prediction_diff": apart,
    }));
    fs::write(path, format!("{all:#}\n"))?;
    Ok(())
}

/// Prints the comparison of a model with the reference on the same rows, and writes a summary of it. Whatever the parties
/// are called there, they have the columns of the case.
pub fn of_model(case: &Case, model: &str, summary: &str) -> Outcome<()> {
    let study = Study::read(&case.study())?;
    let bytes = fs::read(model).map_err(|error| format!("{model}: {error}"))?;
    let model = Model::from_json(&bytes)?;
    let test = Test::read(case, &study)?;
    let reference = Reference::read(case, &study, &test)?.ok_or("the study has no reference")?;
    print_coefficients(&model, &reference);
    let predictions = model.predict(&test.table)?;
    let apart = largest_difference(&predictions, &reference.predictions)?;
    let own = model.standardised();
    let coefficients: Vec<f64> = own.coefficients.values().chain([own.intercept]).collect();
    let mut expected = reference.coefficients.clone();
    expected.push(reference.intercept);
    let largest = largest_difference(&coefficients, &expected)?;
    println!(
        "\n  Largest difference of a coefficient: {largest:.1e}; of a prediction: {apart:.1e}.\n"
    );
    // A thousandth of a standard error is promised; the smallest one of this study is 0.1.
    if largest > 1e-3 {
        return Err(format!("a coefficient is off by {largest:.1e}").into());
    }
    let all = json!({
        "name": case.set,
        "kind": model.kind(),
        "rows": model.training().rows_used,
        "max_coef_diff": largest,
        "max_prediction_diff": apart,
    });
    fs::write(summary, format!("{all:#}\n"))?;
    Ok(())
}

fn print_coefficients(model: &Model, reference: &Reference) {
    let own = model.standardised();
    let errors = model.inference().map(|inference| &inference.standardised_std_errors);
    println!(
        "\n  {:<20} {:>12} {:>12} {:>12} {:>11} {:>11}",
        "coefficient", "joint", "reference", "difference", "std. error", "reference"
    );
    let line = |name: &str, own: f64, other: f64, se: Option<f64>, reference: Option<f64>| {
        let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.4}"));
        println!(
            "  {name:<20} {own:>12.5} {other:>12.5} {:>12.1e} {:>11} {:>11}",
            own - other,
            number(se),
            number(reference)
        );
    };
    let expected = reference.standard_errors.as_ref();
    line(
        "(intercept)",
        own.intercept,
        reference.intercept,
        errors.and_then(|errors| errors.intercept),
        expected.map(|(intercept, _)| *intercept),
    );
    for (index, (name, value)) in own.coefficients.iter().enumerate() {
        line(
            name,
            value,
            reference.coefficients[index],
            errors.and_then(|errors| errors.coefficients.values().nth(index)),
            expected.map(|(_, each)| each[index]),
        );
    }
}
