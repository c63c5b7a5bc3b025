//! Whole studies of the other kinds of models, as processes over QUIC, against their references.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

#[path = "models/private.rs"]
mod private;
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use mpc_ml::artifact::{FitStatistics, Model};
use parties::name::PartyName;
use parties::node::Event;
use serde_json::Value;
use support::{DEALER, Ended, Nodes, Running, in_process, party};

fn data(set: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data").join(set).join(file)
}

const DEALT: &str = "correlations = \"dealer\"";
const PAIRWISE: &str = "correlations = \"pairwise\"";

/// A study with its data, run to its end.
struct Run {
    nodes: Nodes,
    ended: Vec<Ended>,
    reference: Value,
}

impl Run {
    /// Runs the study of a data set; `change` edits its text.
    fn new(set: &str, study: &str, task: &str, change: impl Fn(&str) -> String) -> Self {
        let text = fs::read_to_string(data(set, study)).unwrap();
        let text = change(&text);
        let study = parties::study::Study::from_bytes(text.as_bytes()).unwrap();
        let names: Vec<&str> = study.parties().iter().map(PartyName::as_str).collect();
        let rows: Vec<String> = (1..=names.len())
            .map(|i| fs::read_to_string(data(set, &format!("party{i}.csv"))).unwrap())
            .collect();
        let nodes = Nodes::new(&names, &text, &rows);
        let started = if text.contains(DEALT) { &nodes.names[..] } else { nodes.parties() };
        let running: Vec<Running> = started.iter().map(|name| nodes.start(name)).collect();
        let ended = running.into_iter().map(Running::end).collect();
        let reference = fs::read(data(set, "reference.json")).unwrap();
        let reference: Value = serde_json::from_slice(&reference).unwrap();
        Self { nodes, ended, reference: reference["tasks"][task].clone() }
    }

    /// Expects that all nodes ended well with the same model, and gives it.
    fn model(&self) -> Model {
        self.ended.iter().for_each(|ended| ended.expect(0, &["\"ok\": true"]));
        let read = |name: &String| {
            Model::from_json(&fs::read(self.nodes.results(name).join("model.json")).unwrap())
        };
        let models: Vec<Model> =
            self.nodes.parties().iter().map(|name| read(name).unwrap()).collect();
        assert!(models.windows(2).all(|pair| pair[0] == pair[1]));
        models[0].clone()
    }

    fn receipt(&self) -> Value {
        let folder = self.nodes.results(&self.nodes.names[0]);
        serde_json::from_slice(&fs::read(folder.join("receipt.json")).unwrap()).unwrap()
    }

    /// The labels of what was revealed.
    fn revealed(&self) -> Vec<String> {
        let receipt = self.receipt();
        let all = receipt["revealed"].as_array().unwrap().iter();
        all.map(|each| each["what"].as_str().unwrap().to_owned()).collect()
    }

    /// Scores the model on the rows of `test.csv`.
    fn scores(&self, set: &str) -> Value {
        let model = self.nodes.results(&self.nodes.names[0]).join("model.json");
        let test = data(set, "test.csv");
        let command =
            ["--json", "predict", "--evaluate", "--model", model.to_str().unwrap(), "--data"];
        let output = party(&[&command[..], &[test.to_str().unwrap()]].concat());
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["scores"].clone()
    }
}

/// Compares with a reference fit: coefficients to a share of their standard errors, standard errors
/// to a share of themselves.
fn compare(model: &Model, fit: &Value, coefficient: f64, std_error: f64) {
    let standardised = model.standardised();
    let inference = model.inference().unwrap();
    let own = &inference.standardised_std_errors;
    let reference = |list: &str, name: &str| fit[list][name].as_f64().unwrap();
    for ((name, value), error) in standardised.coefficients.iter().zip(own.coefficients.values()) {
        let (expected, se) = (reference("coef", name), reference("se", name));
        let off = (value - expected) / se;
        assert!(
            off.abs() < coefficient,
            "{name}: {value} instead of {expected}, {off} std. errors"
        );
        assert!((error / se - 1.0).abs() < std_error, "{name}: std. error {error}, expected {se}");
    }
    let (expected, se) =
        (fit["intercept"].as_f64().unwrap(), fit["se_intercept"].as_f64().unwrap());
    assert!((standardised.intercept - expected).abs() < coefficient * se);
    assert!((own.intercept.unwrap() / se - 1.0).abs() < std_error);
}

#[track_caller]
fn close(got: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((got / expected - 1.0).abs() < tolerance, "{got} instead of {expected}");
}

/// The same study with a dealer.
fn dealt(text: &str) -> String {
    assert!(text.contains(PAIRWISE));
    text.replace(PAIRWISE, DEALT)
}

/// Without a dealer: three nodes and nobody else.
#[test]
fn a_linear_study_finds_the_least_squares_of_all_rows() {
    let oracle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/oracles/linear.json");
    let oracle: Value = serde_json::from_slice(&fs::read(oracle).unwrap()).unwrap();
    // Combinations on the scale of the files, one of them with their intercept.
    let contrast = |name: &str| {
        let weights = oracle["combinations"][name].as_object().unwrap().iter();
        let weights: Vec<String> =
            weights.map(|(of, weight)| format!("{of:?} = {weight}")).collect();
        let weights = weights.join(", ");
        format!("[[output.contrasts]]\nname = {name:?}\nweights = {{ {weights} }}\n")
    };
    let names = ["cement beside slag", "a mixture"];
    let run = Run::new("concrete_strength", "study.toml", "strength", |text| {
        format!("{text}\n{}{}", contrast(names[0]), contrast(names[1]))
    });
    let (model, fit) = (run.model(), &run.reference["unpenalised"]);
    for (contrast, name) in model.contrasts(0.95).iter().zip(names) {
        let expected = &oracle["fits"]["usual"]["contrasts"][name];
        assert_eq!(contrast.name, name);
        close(contrast.estimate, &expected["estimate"], 1e-4);
        close(contrast.std_error, &expected["std_error"], 1e-4);
        close(contrast.statistic, &expected["t"], 1e-4);
        close(contrast.p_value, &expected["p"], 1e-2);
    }
    assert_eq!(model.contrasts(0.95).len(), 2);
    compare(&model, fit, 0.01, 1e-3);
    let Some(FitStatistics::LeastSquares(statistics)) = model.inference().map(|it| &it.fit) else {
        panic!("{:?}", model.inference());
    };
    assert_eq!((statistics.rows, statistics.degrees_of_freedom), (824, 815));
    close(statistics.r2.unwrap(), &fit["train_r2"], 1e-4);
    close(statistics.residual_variance, &fit["residual_variance"], 1e-4);

    let scores = run.scores("concrete_strength");
    for score in ["r2", "rmse", "mae"] {
        close(scores[score].as_f64().unwrap(), &fit["test"][score], 1e-4);
    }

    // The receipt names each output, the operator sees the table, and nothing was left out.
    assert_eq!(
        run.revealed(),
        [
            "column counts and means",
            "column standard deviations",
            "convergence check",
            "coefficients",
            "gradient at the coefficients",
            "diagonal of the inverse",
            "sums of squares",
            "variance of cement beside slag",
            "variance of a mixture"
        ]
    );
    let report: Value = serde_json::from_str(&run.ended[0].stdout).unwrap();
    let table = report["coefficients"].as_array().unwrap();
    assert_eq!(table.len(), 9);
    assert_eq!(table[0]["name"], "(intercept, standardised)");
    let cement = &table[1];
    assert_eq!(cement["name"], "cement");
    assert!(cement["p_value"].as_f64().unwrap() < 1e-30, "{cement}");
    let (low, high) = (cement["low"].as_f64().unwrap(), cement["high"].as_f64().unwrap());
    let estimate = cement["estimate"].as_f64().unwrap();
    close((low + high) / 2.0, &estimate.into(), 1e-9);
    close((high - low) / 2.0 / 1.962_879, &cement["std_error"], 1e-5);
    let checks = &model.training().checks;
    // The inverse, and that the model is the optimum of all rows.
    assert!(checks.len() == 2, "{checks:?}");
    assert!(checks.iter().all(|it| it.value.abs() <= it.bound), "{checks:?}");
}

/// The certified data set of collinear columns, with fewer rows at each party than columns.
#[test]
fn longley_is_solved_where_its_condition_is_supported_and_refused_where_not() {
    let run = Run::new("longley_collinear", "study.toml", "employment", dealt);
    compare(&run.model(), &run.reference["unpenalised"], 0.02, 1e-2);

    let run = Run::new("longley_collinear", "study.toml", "employment", |text| {
        assert!(text.contains("condition = 500"));
        dealt(text).replace("condition = 500", "condition = 5")
    });
    for ended in &run.ended {
        if ended.name == DEALER {
            assert_eq!(ended.code, Some(6), "{}{}", ended.stdout, ended.stderr);
            continue;
        }
        // All parties see the same, and none takes it for a fault of another.
        ended.expect(4, &["configuration", "condition 5", "linearly dependent"]);
        let folder = run.nodes.results(&ended.name);
        let (interim, result) = run.nodes.revealed(&ended.name);
        assert!(interim.contains(&"convergence check".to_owned()) && result.is_empty());
        assert!(!folder.join("model.json").exists() && !folder.join("receipt.json").exists());
    }
    // A check is no release: the study can be run again on the same rows, to the same end.
    let again = run.nodes.start_all().into_iter().map(Running::end);
    for ended in again.filter(|ended| ended.name != DEALER) {
        ended.expect(4, &["condition 5", "linearly dependent"]);
    }
}

#[test]
fn a_logistic_study_finds_the_optimum_with_its_standard_errors() {
    let run = Run::new("credit_status", "optimum.toml", "bad", dealt);
    let (model, fit) = (run.model(), &run.reference["unpenalised"]);
    compare(&model, fit, 0.05, 0.01);
    let Some(FitStatistics::Likelihood(statistics)) = model.inference().map(|it| &it.fit) else {
        panic!("{:?}", model.inference());
    };
    let rows: u64 =
        run.receipt()["rows"].as_array().unwrap().iter().filter_map(Value::as_u64).sum();
    assert_eq!(statistics.rows, rows);
    close(statistics.deviance, &fit["train_deviance"], 1e-4);
    assert!(statistics.null_deviance > statistics.deviance);
    let scores = run.scores("credit_status");
    for score in ["auc", "log_loss"] {
        close(scores[score].as_f64().unwrap(), &fit["test"][score], 1e-4);
    }
    let revealed = run.revealed();
    for label in ["totals", "inverse check", "step 0", "model 1", "distance 1", "variances", "sums"]
    {
        assert!(revealed.iter().any(|each| each == label), "{label}: {revealed:?}");
    }
    // What was not due was not revealed.
    for label in ["coefficients", "columns that determine each other", "covariance", "step 19"] {
        assert!(!revealed.contains(&label.to_owned()), "{label}: {revealed:?}");
    }
}

/// What a fit reveals on its way is no result: a study that ended there is run again on the same rows.
#[test]
fn a_fit_that_ended_before_its_first_model_can_be_run_again() {
    // One pass does not come to the optimum, and with a hidden finish the passes are all there is.
    let run = Run::new("credit_status", "optimum.toml", "bad", |text| {
        let solver = "solver = \"optimum\"";
        dealt(text)
            .replace(solver, &format!("{solver}\npasses = 1\nfinish = \"hidden\""))
            .replace("inference = true", "inference = false")
    });
    let reason = "did not come to its optimum in 1 passes";
    for ended in run.ended.iter().filter(|ended| ended.name != DEALER) {
        ended.expect(4, &[reason]);
        let (interim, result) = run.nodes.revealed(&ended.name);
        for label in ["column counts and means", "totals", "sizes", "inverse check", "step 0"] {
            assert!(interim.contains(&label.to_owned()), "{label}: {interim:?}");
        }
        assert!(result.is_empty(), "{result:?}");
    }
    let again = run.nodes.start_all().into_iter().map(Running::end);
    for ended in again.filter(|ended| ended.name != DEALER) {
        ended.expect(4, &[reason, "run 2 of this study on these rows"]);
    }
}

#[test]
fn a_poisson_study_finds_the_optimum_with_its_standard_errors() {
    let run = Run::new("doctor_visits_count", "study.toml", "mdvis", dealt);
    let (model, fit) = (run.model(), &run.reference["unpenalised"]);
    compare(&model, fit, 0.05, 0.01);
    let Some(FitStatistics::Likelihood(statistics)) = model.inference().map(|it| &it.fit) else {
        panic!("{:?}", model.inference());
    };
    close(statistics.deviance, &fit["train_deviance"], 1e-4);
    let scores = run.scores("doctor_visits_count");
    close(scores["mean_deviance"].as_f64().unwrap(), &fit["test"]["mean_deviance"], 1e-4);
    assert!(run.revealed().contains(&"sums".to_owned()));
}

/// The model of docs/your-first-model.md, from a study file to a model file.
#[test]
fn the_first_model_finds_the_joint_mean() {
    let study = include_str!("../../docs/your-first-model.md");
    let (_, study) = study.split_once("```toml\n").unwrap();
    let (study, _) = study.split_once("```").unwrap();
    let rows = ["waiting\n10.5\n3.25\n", "ward,waiting\na,4\nb,8.5\nc,1.75\n", "waiting\n20\n"];
    let rows = rows.map(str::to_owned);
    let names = ["hospital-a", "hospital-b", "hospital-c"];
    let nodes = Nodes::new(&names, study, &rows);

    let path = |file: &str| nodes.dir("hospital-b").join(file).to_str().unwrap().to_owned();
    let (file, rows) = (path("study.toml"), path("rows.csv"));
    let config = nodes.config("hospital-b");
    let check = ["--config", &config, "study", "check", &file, "--data", &rows, "--rows", "2,3,1"];
    let told = String::from_utf8(party(&check).stdout).unwrap();
    let line = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(line.contains("What: the mean of the target over all parties' rows"), "{told}");
    assert!(told.contains(&format!("\n  party plan {file} --rows 2,3,1\n")), "{told}");

    let running: Vec<Running> = nodes.parties().iter().map(|name| nodes.start(name)).collect();
    for ended in running.into_iter().map(Running::end) {
        ended.expect(0, &["\"ok\": true"]);
        let folder = nodes.results(&ended.name);
        let model = Model::from_json(&fs::read(folder.join("model.json")).unwrap()).unwrap();
        assert!((model.original().intercept - 8.0).abs() < 1e-5);
        assert_eq!(model.original().coefficients.iter().count(), 0);
        let receipt = fs::read(folder.join("receipt.json")).unwrap();
        let receipt: Value = serde_json::from_slice(&receipt).unwrap();
        let revealed = &receipt["revealed"];
        assert_eq!(revealed.as_array().unwrap().len(), 1);
        assert_eq!((&revealed[0]["what"], &revealed[0]["to"]), (&"mean".into(), &names[..].into()));
    }
}

/// Its code stands in the document as it is in the crate.
#[test]
fn the_document_of_the_first_model_shows_its_code() {
    let document = include_str!("../../docs/your-first-model.md");
    let code = include_str!("../../mpc-ml/src/models/mean/mod.rs");
    let registry = include_str!("../src/models/mod.rs");
    let lines = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let (code, registry) = (lines(code), lines(registry));
    let mut shown = 0;
    for block in document.split("```rust\n").skip(1) {
        let (block, _) = block.split_once("```").unwrap();
        let block = lines(block);
        assert!(code.contains(&block) || registry.contains(&block), "not in the code:\n{block}");
        shown += block.lines().count();
    }
    assert!(shown > 60, "{shown} lines are shown");
}

/// The node as a library: three of them in this process, whose events somebody else hears.
#[test]
fn nodes_say_what_happens_and_print_nothing_themselves() {
    let study = include_str!("../../scripts/data/concrete_strength/study.toml");
    let file = |i: usize| fs::read_to_string(data("concrete_strength", &format!("party{i}.csv")));
    let rows: Vec<String> = (1..=3).map(|i| file(i).unwrap()).collect();
    let names = ["laboratory-a", "laboratory-b", "laboratory-c"];
    let nodes = Nodes::new(&names, study, &rows);
    for (finished, heard) in in_process(&nodes) {
        assert!(finished.model.is_some());
        let phases = heard.iter().filter_map(|event| match event {
            Event::Phase(name) => Some(*name),
            _ => None,
        });
        let phases: Vec<&str> = phases.collect();
        assert_eq!(phases, ["standardisation", "preparation", "training", "release"]);
        assert!(matches!(heard[0], Event::Study { .. }));
        let steps = heard.iter().filter_map(|event| match event {
            Event::Step { done, total, .. } => Some((*done, *total)),
            _ => None,
        });
        let steps: Vec<_> = steps.collect();
        assert!(steps.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{steps:?}");
        assert!(steps.last().is_some_and(|(done, total)| done == total), "{steps:?}");
        assert_eq!(heard.iter().filter(|event| matches!(event, Event::Fitted)).count(), 1);
    }
}
