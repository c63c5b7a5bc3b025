//! A model that was trained by gradient descent on shares, beside what could have been had
//! otherwise: the same training on the same schedule in the clear (the difference of the
//! coefficients is the price of computing on shares), the reference solution of the data set, and
//! each party alone.

use std::fs;
use std::path::Path;

use mpc_ml::artifact::{Model, ModelParts};
use mpc_ml::data::{Dataset, Standardisation, Table, encode};
use mpc_ml::metrics::Scores;
use mpc_ml::models::sgd::{Sgd, plaintext};
use mpc_ml::{Rows, SgdPlan};
use parties::data_file::{ReadOptions, Source, read};
use parties::study::Study;
use serde_json::{Value, json};

use crate::Outcome;
use crate::run::{self, Run};

/// Prints the comparison and writes it to `summary`; `parties` holds for each party the `--json`
/// output of `party train` and its rows.
pub fn compare(
    study: &str,
    reference: &str,
    test: &str,
    summary: &str,
    parties: &[&str],
) -> Outcome<()> {
    let (runs, rows): (Vec<_>, Vec<_>) =
        parties.chunks_exact(2).map(|pair| (pair[0], pair[1])).unzip();
    let comparison = Comparison::new(study, reference, test, &runs, &rows)?;
    comparison.print();
    fs::write(summary, format!("{:#}\n", comparison.summary()))?;
    Ok(())
}

struct Comparison {
    name: String,
    run: Run,
    joint: Scores,
    float64: Scores,
    reference: Value,
    alone: Vec<(String, Scores)>,
    float64_model: Model,
    max_coef_diff: f64,
    max_prediction_diff: f64,
}

impl Comparison {
    fn new(
        study: &str,
        reference: &str,
        test: &str,
        runs: &[&str],
        parties: &[&str],
    ) -> Outcome<Self> {
        let study = Study::read(Path::new(study))?;
        let run = Run::read(runs)?;
        let standardisation = run.model.standardisation().to_vec();

        let options = ReadOptions { with_target: true, ..ReadOptions::default() };
        let table = |path: &str| read(&Source::file(Path::new(path)), study.schema(), &options);
        let test = table(test)?.table;
        let tables =
            parties.iter().map(|path| Ok(table(path)?.table)).collect::<Outcome<Vec<_>>>()?;
        let clip = study.model().clip();
        let rows = tables
            .iter()
            .map(|table| {
                let encoded = encode(table, &standardisation, clip)?;
                Ok(Dataset::encoded(encoded)?.rows().clone())
            })
            .collect::<Outcome<Vec<Rows>>>()?;

        let counts: Vec<u64> = rows.iter().map(|rows| rows.len() as u64).collect();
        let float64_model = trained(&study, &run.model, &standardisation, &rows, &counts)?;
        let mut alone = Vec::new();
        for (party, own) in study.parties().iter().zip(&rows) {
            // A training knows at least two parties; the other has no rows.
            let nobody = Rows::new(Vec::new(), Vec::new(), own.columns());
            let both = [own.clone(), nobody];
            let model =
                trained(&study, &run.model, &standardisation, &both, &[own.len() as u64, 0])?;
            alone.push((party.to_string(), scores(&model, &test)?));
        }

        let reference = run::json(Path::new(reference))?;
        let task = reference["tasks"].as_object().and_then(|tasks| tasks.values().next());
        let l2 = task.map_or(Value::Null, |task| task["l2"]["test"].clone());
        let differences = |a: Vec<f64>, b: Vec<f64>| {
            a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
        };
        let coefficients = |model: &Model| {
            let all = model.standardised();
            all.coefficients.values().chain([all.intercept]).collect::<Vec<f64>>()
        };
        Ok(Self {
            name: reference["name"].as_str().unwrap_or("study").to_owned(),
            joint: scores(&run.model, &test)?,
            float64: scores(&float64_model, &test)?,
            reference: l2,
            alone,
            max_coef_diff: differences(coefficients(&run.model), coefficients(&float64_model)),
            max_prediction_diff: differences(
                run.model.predict(&test)?,
                float64_model.predict(&test)?,
            ),
            run,
            float64_model,
        })
    }

    fn print(&self) {
        let say = |line: String| println!("{line}");
        say(format!(
            "\n  {:<20} {:>12} {:>12} {:>12}",
            "coefficient", "joint", "float64", "difference"
        ));
        let (joint, float64) = (self.run.model.standardised(), self.float64_model.standardised());
        let intercepts = [("(intercept)", joint.intercept, float64.intercept)];
        let others = joint
            .coefficients
            .iter()
            .zip(float64.coefficients.values())
            .map(|((name, a), b)| (name, a, b));
        for (name, a, b) in intercepts.into_iter().chain(others) {
            say(format!("  {name:<20} {a:>12.5} {b:>12.5} {:>12.5}", a - b));
        }
        say("\n  On rows that nobody trained on:".to_owned());
        say(format!("  {:<44} {:>9} {:>9} {:>9}", "", "accuracy", "AUC", "log-loss"));
        let row = |name: &str, scores: &Scores| {
            let auc = scores.auc.unwrap_or(f64::NAN);
            say(format!(
                "  {name:<44} {:>9.4} {auc:>9.4} {:>9.4}",
                scores.accuracy, scores.log_loss
            ));
        };
        row("joint model, on shares", &self.joint);
        row("the same training in the clear (float64)", &self.float64);
        let number = |field: &str| self.reference[field].as_f64().unwrap_or(f64::NAN);
        say(format!(
            "  {:<44} {:>9.4} {:>9.4} {:>9.4}",
            "reference optimum on pooled rows (l2)",
            number("accuracy_at_0.5"),
            number("auc"),
            number("log_loss")
        ));
        for (party, scores) in &self.alone {
            row(&format!("{party} alone"), scores);
        }
        say(format!(
            "\n  Largest difference between joint and float64: coefficients {:.1e}, predictions {:.1e}",
            self.max_coef_diff, self.max_prediction_diff
        ));
        say(format!("\n  {:<20} {:>9} {:>8} {:>12}", "phase", "seconds", "rounds", "MB sent"));
        if let Some(phases) = self.run.output["phases"].as_object() {
            for (name, phase) in phases {
                say(format!(
                    "  {name:<20} {:>9.3} {:>8} {:>12.3}",
                    phase["seconds"].as_f64().unwrap_or(0.0),
                    phase["rounds"].as_u64().unwrap_or(0),
                    phase["bytes_sent"].as_f64().unwrap_or(0.0) / 1e6
                ));
            }
        }
        say(String::new());
    }

    fn summary(&self) -> Value {
        let scores = |scores: &Scores| {
            json!({
                "accuracy": scores.accuracy,
                "auc": scores.auc,
                "log_loss": scores.log_loss,
            })
        };
        let phases = &self.run.output["phases"];
        let receipt = &self.run.receipt;
        json!({ "studies": [{
            "name": self.name,
            "kind": "logistic",
            "correlations": receipt["correlations"],
            "parties": receipt["rows"].as_array().map_or(0, Vec::len),
            "iterations": self.run.output["iterations"],
            "rounds": phases["total"]["rounds"],
            "seconds_total": phases["total"]["seconds"],
            "seconds_online": phases["training"]["seconds"],
            "bytes_sent_max": self.run.bytes_sent_max,
            "joint": scores(&self.joint),
            "float64": scores(&self.float64),
            "reference": {
                "accuracy": self.reference["accuracy_at_0.5"],
                "auc": self.reference["auc"],
                "log_loss": self.reference["log_loss"],
            },
            "alone": self.alone.iter().map(|(party, each)| {
                let mut all = scores(each);
                all["party"] = json!(party);
                all
            }).collect::<Vec<_>>(),
            "max_coef_diff": self.max_coef_diff,
            "max_prediction_diff": self.max_prediction_diff,
        }]})
    }
}

/// The study's training in the clear, as a model with the joint one's constants.
fn trained(
    study: &Study,
    joint: &Model,
    standardisation: &[Standardisation],
    rows: &[Rows],
    counts: &[u64],
) -> Outcome<Model> {
    let settings =
        study.settings_of::<Sgd>().ok_or("only a training by sgd is made again in the clear")?;
    let plan = SgdPlan::new(settings, &study.facts(counts))?;
    let ordered: Vec<Rows> = rows
        .iter()
        .enumerate()
        .map(|(party, rows)| rows.ordered(&plan.schedule().own_order(party)))
        .collect();
    let coefficients = plaintext::train(&plan, &ordered);
    let columns = study.schema().columns().len();
    Ok(Model::new(ModelParts {
        kind: joint.kind(),
        title: joint.title().to_owned(),
        study: joint.study().to_owned(),
        schema: study.schema().clone(),
        standardisation: standardisation.to_vec(),
        intercept: coefficients.get(columns).copied(),
        coefficients: coefficients[..columns].to_vec(),
        l2: settings.l2,
        inference: None,
        training: joint.training().clone(),
    })?)
}

fn scores(model: &Model, test: &Table) -> Outcome<Scores> {
    let outcomes = test.target().ok_or("the test rows have no target")?;
    Ok(Scores::new(&model.predict(test)?, outcomes)?)
}
