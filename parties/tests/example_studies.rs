//! The example studies in `scripts/data`: each can be read, fits its data sets, and encodes rows as
//! its reference does. The pages in `docs` show them as they are.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use mpc_ml::data::{Table, encode, joint_statistics};
use mpc_ml::models::glm::Glm;
use parties::alignment::AlignmentName;
use parties::data_file::{ReadOptions, Source, read};
use parties::study::Study;
use serde_json::{Value, json};

#[path = "example_studies/private.rs"]
mod private;

/// Every study file and the task of the reference that it is.
const STUDIES: [(&str, &str); 12] = [
    ("concrete_strength/study.toml", "strength"),
    ("credit_status/federated.toml", "bad"),
    ("credit_status/optimum.toml", "bad"),
    ("credit_status/study.toml", "bad"),
    ("diabetes_progression/study.toml", "progression"),
    ("doctor_visits_count/study.toml", "mdvis"),
    ("flights_large/delay.toml", "arr_delay"),
    ("flights_large/late.toml", "late"),
    ("hospital_pancreatitis/small.toml", "pancreatitis_small"),
    ("hospital_pancreatitis/study.toml", "pancreatitis"),
    ("longley_collinear/study.toml", "employment"),
    ("mnist_wide/study.toml", "odd"),
];

/// The one whose columns are at different parties: its rows are not beside each other before they are aligned.
const BY_COLUMNS: (&str, &str) = ("breast_cancer_vertical/study.toml", "malignant");
const ALIGNMENT: &str = "breast_cancer_vertical/alignment.toml";

/// Those with differential privacy, which encode rows by what they declare and not as the references do.
const PRIVATE: [&str; 5] = [
    "credit_status/private.toml",
    "diabetes_progression/private.toml",
    "doctor_visits_count/private.toml",
    "flights_large/private-delay.toml",
    "flights_large/private-late.toml",
];

/// Which page shows which study whole.
const PAGES: [(&str, &str); 3] = [
    ("study-linear.md", "concrete_strength/study.toml"),
    ("study-logistic.md", "hospital_pancreatitis/small.toml"),
    ("study-poisson.md", "doctor_visits_count/study.toml"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn data() -> PathBuf {
    root().join("scripts/data")
}

fn task(path: &str, task: &str) -> Value {
    let file = data().join(path).with_file_name("reference.json");
    let mut all: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    all["tasks"][task].take()
}

fn rows(study: &Study, path: &str, name: &str) -> Table {
    let mut file = data().join(path).with_file_name(name);
    if !file.exists() {
        file.set_extension("csv.gz");
    }
    let options = ReadOptions { with_target: true, ..ReadOptions::default() };
    let read = read(&Source::file(&file), study.schema(), &options);
    read.unwrap_or_else(|error| panic!("{}: {error}", file.display())).table
}

#[test]
fn no_study_is_forgotten() {
    let mut found = BTreeSet::new();
    for folder in fs::read_dir(data()).unwrap() {
        let folder = folder.unwrap().path();
        for file in fs::read_dir(&folder).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "toml") {
                found.insert(file.strip_prefix(data()).unwrap().to_str().unwrap().to_owned());
            }
        }
        for file in ["LICENSE", "README.md", "reference.json"] {
            assert!(folder.join(file).exists(), "{} lacks {file}", folder.display());
        }
    }
    let studies = STUDIES.iter().chain([&BY_COLUMNS]).map(|(path, _)| *path);
    let studies = studies.chain(PRIVATE);
    assert_eq!(found, studies.chain([ALIGNMENT]).map(str::to_owned).collect());
}

#[test]
fn private_studies_read_their_rows_and_say_what_they_promise() {
    for path in PRIVATE {
        let study =
            Study::read(&data().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut tables = vec!["party1.csv", "party2.csv", "party3.csv"];
        if path.starts_with("flights_large") {
            // They are many, and their number is known.
            tables.truncate(0);
        }
        let rows: Vec<u64> =
            tables.iter().map(|name| rows(&study, path, name).rows() as u64).collect();
        let rows = if rows.is_empty() { vec![87_000, 87_000, 87_000] } else { rows };
        let plan = study.plan(&rows).unwrap_or_else(|error| panic!("{path}: {error}"));
        let outputs = study.outputs(&*plan);
        let labels = outputs.iter().map(|output| output.label.as_str());
        assert!(labels.clone().all(|label| label.starts_with("noisy sums ")), "{path}");
        assert!(outputs.iter().all(|output| output.why.contains("differentially private")));
        assert!(study.schema().joint_features().next().is_none(), "{path}");
    }
}

#[test]
fn studies_have_the_columns_of_their_references() {
    for (path, name) in STUDIES.into_iter().chain([BY_COLUMNS]) {
        let study =
            Study::read(&data().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let task = task(path, name);
        assert_eq!(json!(study.schema().columns()), task["encoding"]["order_of_columns"], "{path}");
        assert_eq!(task["kind"], json!(study.kind()), "{path}");
        assert_eq!(study.parties().len(), 3, "{path}");
    }
}

#[test]
fn rows_become_what_the_references_were_fitted_to() {
    for (path, name) in STUDIES {
        let study = Study::read(&data().join(path)).unwrap();
        let task = task(path, name);
        let tables = ["party1.csv", "party2.csv", "party3.csv"].map(|n| rows(&study, path, n));
        let count: usize = tables.iter().map(Table::rows).sum();
        assert_eq!(json!(count), task["train"]["rows"], "{path}");

        let statistics = joint_statistics(&tables.each_ref()).unwrap();
        for each in &statistics {
            let expected = &task["encoding"]["numeric"][&each.name];
            let near = |own: f64, field: &str| {
                let expected = expected[field].as_f64().unwrap();
                assert!(
                    (own - expected).abs() <= 1e-9 * each.std,
                    "{path}: {field} of {}",
                    each.name
                );
            };
            near(each.mean, "mean");
            near(each.std, "std_ddof0");
        }
        // Nothing is cut, the bound is not wider than it has to be where a wider one costs precision,
        // and the target is the same.
        let clip = study.model().clip();
        let encoded = tables.map(|table| encode(&table, &statistics, f64::INFINITY).unwrap());
        let values = encoded.iter().flat_map(|each| each.x.iter());
        let largest = values.fold(0.0, |max: f64, value| max.max(value.abs()));
        let expected = task["train"]["largest_abs_encoded_value"].as_f64().unwrap();
        assert!((largest - expected).abs() < 1e-9 * expected, "{path}: {largest}");
        // A federated study refuses what is beyond it.
        let free = study.settings_of::<Glm>().is_some() || study.is_federated();
        let fits = largest <= clip && (free || clip <= 1.4 * largest);
        assert!(fits, "{path}: {largest} against {clip}");
        let target = encoded.iter().flat_map(|each| &each.y).sum::<f64>() / count as f64;
        let expected = task["train"]["target_mean"].as_f64().unwrap();
        assert!((target - expected).abs() < 1e-9 * expected.abs(), "{path}: {target}");
        // The test rows fit the study too.
        let _ = rows(&study, path, "test.csv");
    }
}

#[test]
fn the_pages_show_the_studies_as_they_are() {
    for (page, path) in PAGES {
        let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
        let study = fs::read_to_string(data().join(path)).unwrap();
        assert!(text.contains(&format!("```toml\n{study}```")), "{page} shows another {path}");
    }
}

/// Every output stands in the table of those who check a study: by its label, without its number.
#[test]
fn the_threat_model_has_every_output() {
    let text = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let (_, part) = text.split_once("\n# Part 3: outputs\n").unwrap();
    let (part, _) = part.split_once("\n# Part 4").unwrap();
    let read = |path: &str| fs::read_to_string(data().join(path)).unwrap();
    let studies = STUDIES.iter().chain([&BY_COLUMNS]);
    let mut texts: Vec<String> = studies.map(|(path, _)| read(path)).collect();
    let named = AlignmentName::of(read(ALIGNMENT).as_bytes()).to_string();
    assert!(read(BY_COLUMNS.0).contains(&format!("alignment = {named:?}")), "{named}");
    let trial = read("hospital_pancreatitis/small.toml");
    let small =
        |more: &str| trial.replace("inference = true", &format!("{more}\ninference = true"));
    texts.push(small("robust = \"hc1\"\ncovariance = true"));
    let contrast =
        "[[output.contrasts]]\nname = \"C\"\nweights = { age = 10, \"rx=1_indomethacin\" = 1 }";
    texts.push(format!("{trial}\n{contrast}\n"));
    texts.push(
        trial
            .replace("inference = true", "")
            .replace("solver = \"optimum\"", "solver = \"optimum\"\nfinish = \"hidden\""),
    );
    texts.push(
        trial.replace("solver = \"optimum\"", "solver = \"optimum\"\niterates = \"revealed\""),
    );
    let mean = fs::read_to_string(root().join("docs/your-first-model.md")).unwrap();
    let (_, mean) = mean.split_once("```toml\n").unwrap();
    texts.push(mean.split_once("```").unwrap().0.to_owned());
    let mut labels = BTreeSet::new();
    for text in &texts {
        let study = Study::from_bytes(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text}"));
        let rows = vec![5000; study.parties().len()];
        let plan = study.plan(&rows).unwrap();
        labels.extend(study.outputs(&*plan).into_iter().map(|output| output.label));
    }
    assert!(labels.len() > 20, "{labels:?}");
    for label in &labels {
        let name = label.trim_end_matches(", anew").trim_end_matches(|c: char| c.is_ascii_digit());
        assert!(part.contains(&format!("`{}", name.trim_end())), "{label} is not in part 3");
    }
    for some in
        ["mean", "robust variances", "covariance", "diagonal of the inverse", "coefficients"]
    {
        assert!(labels.contains(some), "no study of these reveals {some}: {labels:?}");
    }
}
