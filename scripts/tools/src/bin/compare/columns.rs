//! A model of columns at different parties, and its joint predictions, beside the same in the clear.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use mpc_ml::SgdPlan;
use mpc_ml::artifact::ModelPart;
use mpc_ml::data::{Dataset, Table, encode, joint_statistics};
use mpc_ml::metrics::Scores;
use mpc_ml::models::sgd::{Sgd, plaintext};
use parties::study::{Columns, Study};
use serde_json::json;

use crate::Outcome;
use crate::run;

/// What the program may differ by from the same training in float64.
const COEFFICIENTS: f64 = 0.01;
const PREDICTIONS: f64 = 0.005;

/// Cells of each record by column.
type Records = Vec<HashMap<String, String>>;

/// The aligned rows of all parties beside each other.
fn joined(files: &[PathBuf]) -> Outcome<Records> {
    let mut all: Records = Vec::new();
    for path in files {
        let mut reader = csv::Reader::from_path(path)?;
        let header = reader.headers()?.clone();
        for (at, row) in reader.records().enumerate() {
            let row = row?;
            if all.len() == at {
                all.push(HashMap::new());
            }
            let cells = header.iter().zip(&row);
            all[at].extend(cells.map(|(name, cell)| (name.to_owned(), cell.to_owned())));
        }
    }
    Ok(all)
}

/// The table of these records by the schema of the whole study.
fn table(records: &Records, study: &Study, with_target: bool) -> Outcome<Table> {
    let schema = study.schema();
    let mut table = if with_target {
        Table::builder(schema.clone())
    } else {
        Table::builder_without_target(schema.clone())
    };
    let mut columns: Vec<&str> = schema.features().iter().map(|each| each.name.as_str()).collect();
    columns.extend(with_target.then(|| schema.target().column()));
    for record in records {
        let cells = columns.iter().map(|name| record.get(*name).map(String::as_str));
        let cells = cells.collect::<Option<Vec<_>>>().ok_or("a record lacks a column")?;
        table.push_row(&cells).map_err(|bad| format!("{bad:?}"))?;
    }
    Ok(table.finish())
}

/// Prints the parts of the parties in `folder` beside a training in the clear on the same records and
/// schedule, and the joint predictions beside those of that model; an error where they are too far apart.
pub fn compare(folder: &str, summary: &str) -> Outcome<()> {
    let folder = Path::new(folder);
    let study = Study::read(&folder.join("study.toml"))?;
    let files = |name: &str| -> Vec<PathBuf> {
        study.parties().iter().map(|party| folder.join(party.as_str()).join(name)).collect()
    };
    let records = joined(&files("aligned.csv"))?;
    let rows = table(&records, &study, true)?;
    let scales = joint_statistics(&[&rows])?;
    let encoded = Dataset::encoded(encode(&rows, &scales, study.model().clip())?)?;
    let settings = study.settings_of::<Sgd>().ok_or("only a training by sgd is compared here")?;
    let counts = vec![records.len() as u64; study.parties().len()];
    let plan = SgdPlan::new(settings, &study.facts(&counts))?;
    let ordered = encoded.rows().ordered(&plan.schedule().own_order(0));
    let expected = plaintext::train(&plan, &[ordered]);

    let names = study.schema().columns();
    let mut own = HashMap::new();
    let mut intercept = 0.0;
    for output in files("run.json") {
        let output = run::json(&output)?;
        let part = output["part"].as_str().ok_or("a party has no part of the model")?;
        let part = ModelPart::from_json(&fs::read(part)?)?;
        intercept += part.standardised().intercept;
        for (name, value) in part.standardised().coefficients.iter() {
            own.insert(name.to_owned(), (value, part.party().to_owned()));
        }
    }
    println!(
        "\n  {:<20} {:<10} {:>12} {:>12} {:>12}",
        "coefficient", "at", "joint", "float64", "difference"
    );
    let mut apart = 0.0_f64;
    let line = |name: &str, party: &str, own: f64, expected: f64| {
        println!("  {name:<20} {party:<10} {own:>12.5} {expected:>12.5} {:>12.5}", own - expected);
        (own - expected).abs()
    };
    let at = names.len();
    let holder = study.columns().map_or(0, Columns::holder);
    apart =
        apart.max(line("(intercept)", study.parties()[holder].as_str(), intercept, expected[at]));
    for (name, expected) in names.iter().zip(&expected) {
        let (own, party) = own.get(name).ok_or("a coefficient is at nobody")?;
        apart = apart.max(line(name, party, *own, *expected));
    }

    let fresh = joined(&files("aligned-new.csv"))?;
    let encoded = encode(&table(&fresh, &study, false)?, &scales, f64::INFINITY)?;
    let predicted = predictions(folder, &study)?;
    let truth = truth(folder, &study)?;
    let (mut joint, mut clear, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    for (record, row) in fresh.iter().zip(encoded.x.rows()) {
        // The last file's spelling of an id, as the alignment reads it.
        let id = spelled(record.get("client").ok_or("a record without an id")?);
        let score = expected[at] + row.iter().zip(&expected).map(|(x, w)| x * w).sum::<f64>();
        clear.push(study.kind().prediction(score));
        joint.push(*predicted.get(&id).ok_or("a record was not scored")?);
        outcomes.push(*truth.get(&id).ok_or("a record nobody knows")?);
    }
    let beyond = joint.iter().zip(&clear).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let (scores, float64) = (Scores::new(&joint, &outcomes)?, Scores::new(&clear, &outcomes)?);
    println!(
        "\n  {} records of all parties were fitted, and {} new ones scored:",
        records.len(),
        joint.len()
    );
    println!("  {:<44} {:>9} {:>9}", "", "accuracy", "AUC");
    for (name, of) in
        [("joint predictions", &scores), ("the same in the clear (float64)", &float64)]
    {
        println!("  {name:<44} {:>9.4} {:>9.4}", of.accuracy, of.auc.unwrap_or(f64::NAN));
    }
    println!("\n  Largest difference: coefficients {apart:.1e}, predictions {beyond:.1e}\n");
    let told = json!({ "studies": [{
        "name": "by columns",
        "kind": study.kind(),
        "parties": study.parties().len(),
        "records": records.len(),
        "scored": joint.len(),
        "joint": { "accuracy": scores.accuracy, "auc": scores.auc },
        "float64": { "accuracy": float64.accuracy, "auc": float64.auc },
        "max_coef_diff": apart,
        "max_prediction_diff": beyond,
    }]});
    fs::write(summary, format!("{told:#}\n"))?;
    if apart > COEFFICIENTS || beyond > PREDICTIONS {
        return Err("the joint model is not the one of the same training in the clear".into());
    }
    Ok(())
}

/// An id as the alignment has it, of those that `compare cut` makes.
fn spelled(id: &str) -> String {
    id.trim().to_uppercase().replace('\u{ff0d}', "-")
}

/// The predictions that the first party received, by id.
fn predictions(folder: &Path, study: &Study) -> Outcome<HashMap<String, f64>> {
    let output = run::json(&folder.join(study.parties()[0].as_str()).join("scores.json"))?;
    let path = output["predictions"].as_str().ok_or("the first party has no predictions")?;
    let mut reader = csv::Reader::from_path(path)?;
    let pairs = reader.records().map(|row| {
        let row = row?;
        Ok((spelled(&row[0]), row[1].parse()?))
    });
    pairs.collect()
}

/// The targets of the new records, by id.
fn truth(folder: &Path, study: &Study) -> Outcome<HashMap<String, f64>> {
    let mut reader = csv::Reader::from_path(folder.join("truth.csv"))?;
    let pairs = reader.records().map(|row| {
        let row = row?;
        let target = study.schema().target().parse(&row[1]);
        Ok((spelled(&row[0]), target.map_err(|error| error.to_string())?))
    });
    pairs.collect()
}
