//! Federated averaging between nodes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use mpc_ml::artifact::Model;
use mpc_ml::data::encode;
use mpc_ml::plaintext::glm::{Data, Family, fit};
use parties::data_file::{ReadOptions, Source, read};
use parties::study::Study;
use serde_json::Value;

use crate::clinics::{model, nodes};
use crate::support::{Nodes, Running};

/// The clinics as a federated study, without a dealer.
fn clinics(parties: usize, training: &str) -> (Nodes, String) {
    let nodes = nodes(parties, 1);
    let path = |name: &String| nodes.dir(name).join("study.toml");
    let text = fs::read_to_string(path(&nodes.names[0])).unwrap();
    let (begin, _) = text.split_once("[training]").unwrap();
    let begin = begin.replace("intercept = true\n", "").replace("l2 = 0.01\nclip = 8.0\n", "");
    let text = format!(
        "{begin}[training]\nmode = \"federated\"\nl2 = 0.01\n{training}\n[security]\nagainst = \"semi-honest\"\n"
    );
    nodes.parties().iter().for_each(|name| fs::write(path(name), &text).unwrap());
    (nodes, text)
}

/// The coefficients of the pooled rows, on the scale of the fit.
fn pooled(nodes: &Nodes, text: &str, model: &Model) -> Vec<f64> {
    let study = Study::from_bytes(text.as_bytes()).unwrap();
    let options = ReadOptions { with_target: true, ..ReadOptions::default() };
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for name in nodes.parties() {
        let source = Source::file(&nodes.dir(name).join("rows.csv"));
        let file = read(&source, study.schema(), &options).unwrap();
        let encoded = encode(&file.table, model.standardisation(), 1024.0).unwrap();
        x.extend(encoded.x.iter());
        y.extend(encoded.y);
    }
    let columns = study.schema().columns().len();
    let data = Data {
        family: Family::Logistic,
        x: &x,
        columns,
        intercept: true,
        target: &y,
        offsets: &[],
        weights: &[],
        l2: 0.01,
    };
    fit(&data).unwrap().coefficients
}

fn command(nodes: &Nodes, name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    command.args(["--config", &nodes.config(name)]).args(arguments).output().unwrap()
}

#[track_caller]
fn works(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap() + &said
}

fn receipt(folder: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(folder.join("receipt.json")).unwrap()).unwrap()
}

#[test]
fn a_federated_study_ends_with_one_model_that_every_command_takes() {
    let (nodes, text) = clinics(3, "rounds = 40");
    let parties: Vec<String> = nodes.parties().to_vec();
    let own = |file: &str| nodes.dir(&parties[0]).join(file).to_str().unwrap().to_owned();
    let (study, rows) = (own("study.toml"), own("rows.csv"));
    let told = works(command(&nodes, &parties[0], &["study", "check", &study, "--data", &rows]));
    for words in ["up to 40 times: after a round (of 40)", "is not noticed", "161 rounds"] {
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains(words), "{words}: {told}");
    }
    let running: Vec<Running> = parties.iter().map(|name| nodes.start(name)).collect();
    running.into_iter().map(Running::end).for_each(|ended| ended.expect(0, &["\"ok\": true"]));

    let folder = nodes.results(&parties[0]);
    let first = model(&folder);
    assert!(parties.iter().all(|name| model(&nodes.results(name)) == first));
    let expected = pooled(&nodes, &text, &first);
    let got = first.standardised();
    let got: Vec<f64> = got.coefficients.values().chain([got.intercept]).collect();
    for (got, expected) in got.iter().zip(&expected) {
        assert!((got - expected).abs() < 0.02, "{got} instead of {expected}");
    }
    let receipt = receipt(&folder);
    assert_eq!(receipt["federated"]["last"], 40);
    assert_eq!(receipt["federated"]["away"], Value::Array(Vec::new()));
    let rounds = receipt["revealed"].as_array().unwrap().iter();
    let rounds =
        rounds.filter(|it| it["what"].as_str().unwrap().starts_with("joint model of round"));
    assert_eq!(rounds.count(), 40);

    let (json, receipt) = (folder.join("model.json"), folder.join("receipt.json"));
    let (json, receipt) = (json.to_str().unwrap(), receipt.to_str().unwrap());
    let name = &parties[0];
    let told = works(command(&nodes, name, &["receipt", "verify", receipt]));
    assert!(told.contains("signature"), "{told}");
    let predicted = works(command(&nodes, name, &["predict", "--model", json, "--data", &rows]));
    assert!(predicted.contains("probability"), "{predicted}");
    works(command(
        &nodes,
        name,
        &["report", folder.to_str().unwrap(), "--out", &own("report.html")],
    ));
    works(command(
        &nodes,
        name,
        &["export", "--model", json, "--as", "pmml", "--out", &own("model.pmml")],
    ));
    let pooled = works(command(
        &nodes,
        name,
        &["predict", "--model", json, "--data", &pooled_rows(&nodes), "--evaluate"],
    ));
    let auc = |text: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix("AUC: ")?.trim().parse::<f64>().ok())
            .unwrap()
    };
    let draft = own("evaluation.toml");
    works(command(&nodes, name, &["study", "evaluate", "--model", json, "--out", &draft]));
    let result = together(&nodes, &fs::read_to_string(&draft).unwrap());
    let joint = result["figures"]["logistic"]["auc"]["auc"].as_f64().unwrap();
    assert!((joint - auc(&pooled)).abs() < 1e-3, "{joint}, {pooled}");
}

/// One file with the rows of all parties.
fn pooled_rows(nodes: &Nodes) -> String {
    let mut all = String::new();
    for name in nodes.parties() {
        let rows = fs::read_to_string(nodes.dir(name).join("rows.csv")).unwrap();
        let from = if all.is_empty() { 0 } else { rows.find('\n').unwrap() + 1 };
        all += &rows[from..];
    }
    let path = nodes.dir(&nodes.parties()[0]).join("pooled.csv");
    fs::write(&path, all).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What all parties come to that keep to an agreement, with their `rows.csv`.
fn together(nodes: &Nodes, agreement: &str) -> Value {
    for name in nodes.parties() {
        fs::write(nodes.dir(name).join("study.toml"), agreement).unwrap();
    }
    let running: Vec<Running> = nodes.parties().iter().map(|name| nodes.start(name)).collect();
    let results = running.into_iter().map(Running::end).map(|ended| {
        ended.expect(0, &["\"ok\": true"]);
        let said: Value = serde_json::from_str(&ended.stdout).unwrap();
        said["result"].clone()
    });
    let results: Vec<Value> = results.collect();
    assert!(results.iter().all(|result| *result == results[0]));
    results[0].clone()
}

/// One of four loses the others in the middle: they go on without it, and it gets the model from them.
#[test]
fn who_is_lost_is_left_out_and_gets_the_model_afterwards() {
    let (nodes, _) = clinics(4, "rounds = 12\nleast_parties = 3");
    let parties: Vec<String> = nodes.parties().to_vec();
    let running = parties.iter().map(|name| {
        let mut command = nodes.command(name);
        command.env("PARTY__NETWORK__RETURN_WITHIN_S", "40");
        if *name == parties[2] {
            // In the fourth round: there are twelve messages in each.
            command.env("MPC_FAULT", "kind=kill;step=aggregate;nth=40");
        }
        nodes.spawn(name, &mut command)
    });
    let running: Vec<Running> = running.collect();
    let ended: Vec<_> = running.into_iter().map(Running::end).collect();
    for (name, ended) in parties.iter().zip(&ended) {
        let word = if *name == parties[2] {
            "gave the model of an earlier run"
        } else {
            "was lost; the study goes on without it"
        };
        ended.expect(0, &[word]);
    }
    let models: Vec<Model> = parties.iter().map(|name| model(&nodes.results(name))).collect();
    assert!(models.windows(2).all(|pair| pair[0] == pair[1]));
    let receipt = receipt(&nodes.results(&parties[0]));
    let away = receipt["federated"]["away"].as_array().unwrap();
    assert!((8..=9).contains(&away.len()), "{away:?}");
    assert!(away.iter().all(|round| round["without"][0] == parties[2].as_str()), "{away:?}");
}

/// One of three, who all have to be in each round, loses the others in the fourth: they meet again by themselves, and go on after the last
/// round that was kept, to the model of a run that was not broken.
#[test]
fn a_broken_run_goes_on_from_its_last_round() {
    let trained = |fault: bool| {
        let (nodes, _) = clinics(3, "rounds = 8\nthreshold = 2");
        let parties: Vec<String> = nodes.parties().to_vec();
        let running = parties.iter().map(|name| {
            let mut command = nodes.command(name);
            command.env("PARTY__NETWORK__RETURN_WITHIN_S", "60");
            if fault && *name == parties[1] {
                // In the fourth round, or beside it: some six messages come in each.
                command.env("MPC_FAULT", "kind=kill;step=aggregate;nth=22");
            }
            nodes.spawn(name, &mut command)
        });
        let running: Vec<Running> = running.collect();
        let ended: Vec<_> = running.into_iter().map(Running::end).collect();
        let word = if fault { "the fit goes on from step" } else { "\"ok\": true" };
        ended.iter().for_each(|ended| ended.expect(0, &[word]));
        let models: Vec<Model> = parties.iter().map(|name| model(&nodes.results(name))).collect();
        assert!(models.windows(2).all(|pair| pair[0] == pair[1]));
        let receipts: Vec<Value> =
            parties.iter().map(|name| receipt(&nodes.results(name))).collect();
        (models[0].clone(), receipts)
    };
    let (broken, receipts) = trained(true);
    for receipt in receipts {
        let step = receipt["resumed"]["step"].as_u64().unwrap();
        assert!((1..8).contains(&step), "{}", receipt["resumed"]);
        assert_eq!(receipt["federated"]["last"], 8);
    }
    let (whole, receipts) = trained(false);
    assert!(receipts.iter().all(|receipt| receipt["resumed"].is_null()));
    let coefficients = |model: &Model| {
        let own = model.standardised();
        (own.coefficients.clone(), own.intercept)
    };
    assert_eq!(coefficients(&broken), coefficients(&whole));
}

/// Doses in three classes, between nodes and then on a file of one's own.
#[test]
fn several_classes_are_fitted_and_predicted() {
    let (nodes, text) = clinics(3, "rounds = 30");
    let (begin, rest) = text.split_once("[[features]]\nname = \"sex\"").unwrap();
    let (_, rest) = rest.split_once("[training]").unwrap();
    let text =
        format!("{begin}[training]{rest}").replace("kind = \"logistic\"", "kind = \"multinomial\"");
    let text = text.replace(
        "column = \"ill\", positive = \"yes\", negative = \"no\"",
        "column = \"class\", levels = [\"young\", \"grown\", \"old\"]",
    );
    for name in nodes.parties() {
        fs::write(nodes.dir(name).join("study.toml"), &text).unwrap();
        let rows = fs::read_to_string(nodes.dir(name).join("rows.csv")).unwrap();
        let mut classes = String::from("id,age,dose,class\n");
        for line in rows.lines().skip(1) {
            let cells: Vec<&str> = line.split(',').collect();
            let age: u32 = cells[1].parse().unwrap();
            let class = match age {
                0..40 => "young",
                40..60 => "grown",
                _ => "old",
            };
            classes += &format!("{},{age},{},{class}\n", cells[0], cells[2]);
        }
        fs::write(nodes.dir(name).join("rows.csv"), classes).unwrap();
    }
    let parties: Vec<String> = nodes.parties().to_vec();
    let running: Vec<Running> = parties.iter().map(|name| nodes.start(name)).collect();
    running.into_iter().map(Running::end).for_each(|ended| ended.expect(0, &["\"ok\": true"]));
    let file = |name: &String| fs::read(nodes.results(name).join("model.json")).unwrap();
    assert!(parties.iter().all(|name| file(name) == file(&parties[0])));

    let name = &parties[0];
    let own = |file: &str| nodes.dir(name).join(file).to_str().unwrap().to_owned();
    let (rows, out) = (own("rows.csv"), own("out.csv"));
    let json = nodes.results(name).join("model.json");
    let json = json.to_str().unwrap();
    let predict = ["predict", "--model", json, "--data", &rows, "--out", &out];
    let told = works(command(&nodes, name, &[&predict[..], &["--evaluate"]].concat()));
    let accuracy = told.lines().find_map(|line| line.strip_prefix("Accuracy: ")).unwrap();
    assert!(accuracy.parse::<f64>().unwrap() > 0.85, "{told}");
    let table = fs::read_to_string(&out).unwrap();
    let mut lines = table.lines();
    let header = "row,class,probability=young,probability=grown,probability=old,status";
    assert_eq!(lines.next(), Some(header));
    let cells: Vec<&str> = lines.next().unwrap().split(',').collect();
    let sum: f64 = cells[2..5].iter().map(|cell| cell.parse::<f64>().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9 && cells[5] == "ok", "{cells:?}");
    // Between nodes it is evaluated by what the refusal of the usual way says.
    let evaluation = own("evaluation.toml");
    let refused =
        command(&nodes, name, &["study", "evaluate", "--model", json, "--out", &evaluation]);
    let said = String::from_utf8_lossy(&refused.stderr);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(!refused.status.success() && said.contains("whether the likeliest class is"), "{said}");
    counted_together(&nodes, json);
    // What is odd is told as of any other model.
    fs::write(&rows, "id,age,dose\n1,50,1\n2,50000,1\n3,old,1\n").unwrap();
    fs::remove_file(&out).unwrap();
    let told = works(command(&nodes, name, &predict));
    for part in ["1 of 3 rows could not be scored", "1 row has a number outside of the range"] {
        assert!(told.contains(part), "{told}");
    }
    let table = fs::read_to_string(&out).unwrap();
    let status = |line: &str| line.rsplit(',').next().unwrap().to_owned();
    let statuses: Vec<String> = table.lines().skip(1).map(status).collect();
    let due = ["ok", "outside of the study's range: age", "not scored: age is not a number"];
    assert_eq!(statuses, due);
    // Who takes models of one score says so.
    let export = ["export", "--model", json, "--as", "pmml", "--out", &own("model.pmml")];
    let refused = command(&nodes, name, &export);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("a model of several classes"), "{said}");
}

/// All count together how often the likeliest class is the right one.
fn counted_together(nodes: &Nodes, json: &str) {
    let mut right = 0;
    let kept = |name: &String| nodes.dir(name).join("kept.csv");
    for name in nodes.parties() {
        let (rows, out) = (nodes.dir(name).join("rows.csv"), nodes.dir(name).join("own.csv"));
        let paths = [rows.to_str().unwrap(), out.to_str().unwrap()];
        works(command(
            nodes,
            name,
            &["predict", "--model", json, "--data", paths[0], "--out", paths[1]],
        ));
        let class = |path: &Path, column: usize| -> Vec<String> {
            let text = fs::read_to_string(path).unwrap();
            let cell = |line: &str| line.split(',').nth(column).unwrap().to_owned();
            text.lines().skip(1).map(cell).collect()
        };
        let same = class(&rows, 3).into_iter().zip(class(&out, 1)).map(|(due, said)| due == said);
        let words: Vec<&str> = same.map(|same| if same { "yes" } else { "no" }).collect();
        right += words.iter().filter(|word| **word == "yes").count();
        fs::rename(&rows, kept(name)).unwrap();
        fs::write(&rows, "right\n".to_owned() + &words.join("\n") + "\n").unwrap();
    }
    let agreement = format!(
        r#"
version = 1
title = "How often the model is right"
parties = {:?}
[protocol]
name = "describe/1"
[settings]
threshold = {{ least = 5, zeros = true, level = "participants" }}
[[settings.columns]]
name = "right"
levels = ["yes", "no"]
missing = false
[[reveals]]
label = "describe/withheld"
kind = "figure"
to = "all"
what = "whether there is a small count"
why = "counts are released whole or not at all"
[[reveals]]
label = "describe/counts"
to = "all"
what = "rows by whether the model is right"
why = "it is the purpose"
[[reveals]]
label = "describe/sums"
to = "all"
what = "nothing: there is no column of numbers"
why = "it belongs to the protocol"
[security]
correlations = "pairwise"
against = "covert"
"#,
        nodes.parties()
    );
    let result = together(nodes, &agreement);
    let counts = result.to_string();
    assert!(counts.contains(&right.to_string()), "{right} are right: {counts}");
    nodes.parties().iter().for_each(|name| {
        fs::rename(kept(name), nodes.dir(name).join("rows.csv")).unwrap();
    });
}
