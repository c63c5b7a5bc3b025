//! Runs beside their references: a table, `summary.json`, and whether every limit holds.

use std::fs;
use std::process::ExitCode;

use mpc_ml::artifact::ModelKind;
use parties::study::Study;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cases::{Case, Limits};
use crate::reference::{Reference, Test, largest_difference, metric, reference_metric, spread};
use crate::run::Run;

/// One run and how far it is from its reference. `None` where there is nothing to compare with.
struct Row {
    case: &'static Case,
    correlations: String,
    /// Why there are no figures.
    failed: Option<String>,
    solver: Option<&'static str>,
    fit: Option<&'static str>,
    rows: Option<u64>,
    columns: usize,
    coefficient_over_max: Option<f64>,
    coefficient_over_se: Option<f64>,
    standard_error: Option<f64>,
    prediction: Option<f64>,
    /// The same over the standard deviation of the target, for targets that are numbers.
    prediction_over_spread: Option<f64>,
    metric_name: Option<&'static str>,
    metric: Option<f64>,
    reference_metric: Option<f64>,
    seconds: Option<f64>,
    rounds: Value,
    bytes_sent_max: Option<u64>,
}

/// Prints the table of the runs (`CASE CORRELATIONS FOLDER` each) and writes it to `summary`.
pub fn report(summary: &str, runs: &[&str]) -> Outcome<ExitCode> {
    let (runs, []) = runs.as_chunks() else {
        return Err("each run needs its case, its correlations and its folder".into());
    };
    let rows = runs
        .iter()
        .map(|[case, correlations, folder]| {
            let case = Case::named(case)?;
            Ok(Row::read(case, correlations, folder).unwrap_or_else(|error| Row {
                failed: Some(error.to_string()),
                ..Row::empty(case, correlations)
            }))
        })
        .collect::<Outcome<Vec<Row>>>()?;
    println!("{}", Row::HEADER);
    rows.iter().for_each(|row| println!("{}", row.line()));
    println!(
        "\nDifferences of coefficients: over the largest coefficient, in standard errors; of standard\n\
         errors: relative; of predictions: probabilities as they are, numbers in standard deviations."
    );
    let json: Vec<Value> = rows.iter().map(Row::json).collect();
    fs::write(summary, format!("{:#}\n", Value::from(json)))?;
    println!("Written to {summary}.");
    let missed: Vec<String> = rows.iter().flat_map(Row::missed).collect();
    missed.iter().for_each(|each| println!("MISSED: {each}"));
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Row {
    const HEADER: &str = "study                          corr.     rows  col.  coef/max  coef/SE       SE   predict.  measure (reference)  seconds   rounds  MB sent";

    fn empty(case: &'static Case, correlations: &str) -> Self {
        Self {
            case,
            correlations: correlations.to_owned(),
            failed: None,
            solver: None,
            fit: None,
            rows: None,
            columns: 0,
            coefficient_over_max: None,
            coefficient_over_se: None,
            standard_error: None,
            prediction: None,
            prediction_over_spread: None,
            metric_name: None,
            metric: None,
            reference_metric: None,
            seconds: None,
            rounds: Value::Null,
            bytes_sent_max: None,
        }
    }

    fn read(case: &'static Case, correlations: &str, folder: &str) -> Outcome<Self> {
        let study = Study::read(&case.study())?;
        let run = Run::of_study(folder, &study)?;
        let test = Test::read(case, &study)?;
        let kind = run.model.kind();
        let predictions = run.model.predict(&test.table)?;
        let (metric_name, own_metric) = metric(kind, &predictions, &test.outcomes)?;
        let mut row = Self {
            solver: Some(study.model().name()),
            rows: run.receipt["rows"].as_array().map(|rows| {
                let rows = rows.iter().filter_map(Value::as_u64);
                // Of columns all parties have the same rows.
                if run.receipt["alignment"].is_string() { rows.max() } else { Some(rows.sum()) }
                    .unwrap_or_default()
            }),
            columns: study.schema().columns().len(),
            metric_name: Some(metric_name),
            metric: Some(own_metric),
            seconds: run.seconds("total"),
            rounds: run.output["phases"]["total"]["rounds"].clone(),
            bytes_sent_max: Some(run.bytes_sent_max),
            ..Self::empty(case, correlations)
        };
        if study.privacy().is_some() {
            // Encoded in another way: what is comparable is how well it predicts.
            row.reference_metric = Some(reference_metric(case, metric_name)?);
            return Ok(row);
        }
        let Some(reference) = Reference::read(case, &study, &test)? else { return Ok(row) };
        row.fit = Some(reference.fit);
        let own = run.model.standardised();
        let differences: Vec<f64> = own
            .coefficients
            .values()
            .zip(&reference.coefficients)
            .map(|(own, reference)| (own - reference).abs())
            .collect();
        let intercept = (own.intercept - reference.intercept).abs();
        let largest = reference.coefficients.iter().map(|each| each.abs()).fold(0.0, f64::max);
        row.coefficient_over_max = Some(maximum(differences.iter().copied(), intercept) / largest);
        if let Some((of_intercept, of_each)) = &reference.standard_errors {
            let in_errors = differences.iter().zip(of_each).map(|(difference, se)| difference / se);
            row.coefficient_over_se = Some(maximum(in_errors, intercept / of_intercept));
            row.standard_error = run.model.inference().map(|inference| {
                let own = &inference.standardised_std_errors;
                let apart = |(own, reference): (f64, f64)| (own / reference - 1.0).abs();
                let each = own.coefficients.values().zip(of_each.iter().copied()).map(apart);
                // An intercept without a standard error is as wrong as can be.
                let intercept = own.intercept.unwrap_or(f64::NAN);
                maximum(each, apart((intercept, *of_intercept)))
            });
        }
        let apart = largest_difference(&predictions, &reference.predictions)?;
        row.prediction = Some(apart);
        if kind != ModelKind::Logistic {
            row.prediction_over_spread = Some(apart / spread(&test.outcomes));
        }
        row.reference_metric = Some(reference.metric);
        Ok(row)
    }

    /// The limits that do not hold. A figure that is due and not there is a limit missed.
    fn missed(&self) -> Vec<String> {
        let name = format!("{} ({})", self.case.name(), self.correlations);
        if let Some(why) = &self.failed {
            return Vec::from([format!("{name}: {why}")]);
        }
        let Some(limits) = self.case.limits else { return Vec::new() };
        let due = self.figures(&limits);
        due.into_iter()
            .filter_map(|(what, value, limit)| match value {
                // Not a number is a limit missed as well.
                Some(value) if value <= limit => None,
                Some(value) => Some(format!("{name}: {what} is {value:.2e}, limit {limit:.0e}")),
                None => Some(format!("{name}: {what} is not there")),
            })
            .collect()
    }

    fn figures(&self, limits: &Limits) -> Vec<(&'static str, Option<f64>, f64)> {
        let mut due = vec![
            (
                "the largest difference of a coefficient over the largest coefficient",
                self.coefficient_over_max,
                limits.coefficient_over_max,
            ),
            (
                "the largest difference of a prediction",
                self.prediction_over_spread.or(self.prediction),
                limits.prediction,
            ),
            (
                "the difference of the measure",
                self.metric.zip(self.reference_metric).map(|(own, other)| (own - other).abs()),
                limits.metric,
            ),
        ];
        if self.solver == Some("private") {
            due.retain(|(_, value, _)| value.is_some());
            if due.is_empty() {
                due.push(("the difference of the measure", None, limits.metric));
            }
        }
        // The penalised references have no standard errors.
        if self.fit == Some("unpenalised") {
            due.push((
                "the largest difference of a coefficient in standard errors",
                self.coefficient_over_se,
                limits.coefficient_over_se,
            ));
            due.push((
                "the largest relative difference of a standard error",
                self.standard_error,
                limits.standard_error,
            ));
        }
        due
    }

    fn line(&self) -> String {
        let name = format!("{:<30} {:<8}", self.case.name(), self.correlations);
        if self.failed.is_some() {
            return format!("{name} failed");
        }
        let small =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1e}"));
        let measure = format!(
            "{} {:.4} ({})",
            self.metric_name.unwrap_or("-"),
            self.metric.unwrap_or(f64::NAN),
            self.reference_metric.map_or("-".to_owned(), |value| format!("{value:.4}"))
        );
        format!(
            "{name} {:>7} {:>5} {:>9} {:>8} {:>8} {:>10}  {measure:<20} {:>8.2} {:>8} {:>8.2}",
            self.rows.unwrap_or(0),
            self.columns,
            small(self.coefficient_over_max),
            small(self.coefficient_over_se),
            small(self.standard_error),
            small(self.prediction_over_spread.or(self.prediction)),
            self.seconds.unwrap_or(f64::NAN),
            self.rounds,
            self.bytes_sent_max.unwrap_or(0) as f64 / 1e6
        )
    }

    fn json(&self) -> Value {
        json!({
            "set": self.case.set,
            "task": self.case.task,
            "study": self.case.file,
            "solver": self.solver,
            "correlations": self.correlations,
            "fit": self.fit,
            "rows": self.rows,
            "columns": self.columns,
            "max_coef_diff_over_max": self.coefficient_over_max,
            "max_coef_diff_over_se": self.coefficient_over_se,
            "max_se_rel_diff": self.standard_error,
            "max_prediction_diff": self.prediction,
            "max_prediction_diff_over_sd": self.prediction_over_spread,
            "metric_name": self.metric_name,
            "metric": self.metric,
            "reference_metric": self.reference_metric,
            "seconds": self.seconds,
            "rounds": self.rounds,
            "bytes_sent_max": self.bytes_sent_max,
            "missed": self.missed(),
        })
    }
}

fn maximum(values: impl Iterator<Item = f64>, also: f64) -> f64 {
    // A value that is not a number must not get lost.
    values.fold(also, |max, value| if value.is_nan() || value > max { value } else { max })
}
