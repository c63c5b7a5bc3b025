//! Record alignment by three processes, from raw files with ids to rows in one order, and studies of the
//! aligned records.

#![allow(clippy::unwrap_used)]

use std::fs;

use mpc_ml::artifact::{Model, ModelPart};
use mpc_ml::data::{Standardisation, encode};
use mpc_ml::metrics::Scores;
use parties::alignment::AlignmentName;
use parties::study::Study;

#[path = "support/by_columns.rs"]
mod by_columns;
mod support;

use by_columns::{aligned, all, columns, common, in_the_clear, joint_table, near, study, terms};
use support::{Ended, Nodes};

const PARTIES: [&str; 3] = ["bank", "insurer", "registry"];

/// How far a coefficient of the small study by columns may be from the same training in the clear. A step reads
/// each score to 1/64 and phasors of 9 bits (docs/protocols.md 6.3), which is a noise of some hundredths in a
/// residual; over batches of 30 and steps of 0.8 its standard deviation is 1e-3 at the end, and this is eight of
/// them. Rows in another order are off by some hundredths.
const NOISE: f64 = 8e-3;

fn alignment(title: &str, least: u64) -> String {
    format!(
        "version = 1\ntitle = \"{title}\"\nparties = [\"bank\", \"insurer\", \"registry\"]\n\
         most = [400, 300, 500]\nleast = {least}\nduplicates = \"first\"\n\n[[id]]\ncolumn = \"person\"\n"
    )
}

/// Persons by number: the bank has the even ones, the insurer every third, the registry all from 100,
/// each writes them in its own way.
fn rows() -> [Vec<(u32, String)>; 3] {
    let bank = (0..300).filter(|i| i % 2 == 0).map(|i| (i, format!("P-{i:04},{},b\n", i * 7)));
    let insurer =
        (0..300).rev().filter(|i| i % 3 == 0).map(|i| (i, format!(" p-{i:04} ,\"{i},0\"\n")));
    let registry = (100..400).map(|i| (i, format!("{i},p\u{2010}x,P\u{ff0d}{i:04}\n")));
    [bank.collect(), insurer.collect(), registry.collect()]
}

fn nodes(terms: &str) -> Nodes {
    let headers = ["person,income,branch\n", "person,claims\n", "code,kind,person\n"];
    let files: Vec<String> = headers
        .iter()
        .zip(rows())
        .map(|(header, rows)| {
            let rows: String = rows.into_iter().map(|(_, row)| row).collect();
            format!("{header}{rows}")
        })
        .collect();
    let nodes = Nodes::new(&PARTIES, "", &files);
    for name in PARTIES {
        fs::write(nodes.dir(name).join("alignment.toml"), terms).unwrap();
    }
    nodes
}

fn run(nodes: &Nodes, out: bool) -> Vec<Ended> {
    let running: Vec<_> = PARTIES
        .iter()
        .map(|name| {
            let path = nodes.dir(name).join("aligned.csv");
            let arguments = ["--out", path.to_str().unwrap()];
            nodes.spawn(name, &mut nodes.align(name, if out { &arguments } else { &[] }))
        })
        .collect();
    running.into_iter().map(support::Running::end).collect()
}

/// The persons of a party's aligned rows.
fn persons(nodes: &Nodes, place: usize) -> Vec<u32> {
    let name = PARTIES[place];
    let text = fs::read_to_string(nodes.dir(name).join("aligned.csv")).unwrap();
    let column = if place == 2 { 2 } else { 0 };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let digits = |cell: &str| cell.chars().filter(char::is_ascii_digit).collect::<String>();
    reader.records().map(|row| digits(&row.unwrap()[column]).parse().unwrap()).collect()
}

#[test]
fn three_parties_find_their_common_records_in_one_order() {
    let nodes = nodes(&alignment("persons of all", 20));
    // First each looks at its own side.
    let check = nodes.spawn("bank", &mut nodes.align("bank", &["--check"])).end();
    check.expect(0, &["150 rows, 150 ids", "150 look like a-9999", "at most 300 ids"]);
    assert!(check.stdout.lines().all(|line| line.chars().count() <= 80 || line.contains(':')));

    for ended in run(&nodes, true) {
        ended.expect(0, &["33 records are common to all 3 parties"]);
    }
    let due: Vec<u32> = (100..300).filter(|i| i % 6 == 0).collect();
    let all = [0, 1, 2].map(|place| persons(&nodes, place));
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    assert_ne!(all[0], due, "the order is that of no file");
    let mut sorted = all[0].clone();
    sorted.sort_unstable();
    assert_eq!(sorted, due);
    let text = fs::read_to_string(nodes.dir("insurer").join("aligned.csv")).unwrap();
    assert!(text.starts_with("person,claims\n p-") && text.contains("\"102,0\""), "{text}");

    // The order is kept: of an export with other rows and in another order the same records come out.
    let path = nodes.dir("bank").join("rows.csv");
    let more = fs::read_to_string(&path).unwrap().replacen('\n', "\nQ-1,1,q\n", 1);
    fs::write(&path, more).unwrap();
    let again = nodes.dir("bank").join("again.csv");
    let command = &mut nodes.align("bank", &["--out", again.to_str().unwrap()]);
    nodes.spawn("bank", command).end().expect(0, &["33 records"]);
    let first = fs::read(nodes.dir("bank").join("aligned.csv")).unwrap();
    assert_eq!(fs::read(&again).unwrap(), first);
    // And it is not made twice, nor of a file that lacks some of them.
    nodes
        .spawn("bank", &mut nodes.align("bank", &[]))
        .end()
        .expect(8, &["aligned before", "--out"]);
    fs::write(&path, "person\np-1\n").unwrap();
    let missing = nodes.dir("bank").join("missing.csv");
    let command = &mut nodes.align("bank", &["--out", missing.to_str().unwrap()]);
    nodes.spawn("bank", command).end().expect(3, &["33 of the 33 aligned records are not in this"]);
    let sealed = nodes.study_folder("bank").unwrap().join("order.sealed");
    assert!(!String::from_utf8_lossy(&fs::read(sealed).unwrap()).contains("p-"));
}

#[test]
fn too_few_records_end_alike_and_tell_nobody_how_few() {
    let nodes = nodes(&alignment("persons of all", 34));
    for ended in run(&nodes, false) {
        ended.expect(4, &["fewer than 34 records are common to all parties", "--check"]);
        // Ports, digests and seconds may have any digits.
        let told = [ended.stdout, ended.stderr].concat();
        let told: Vec<&str> = told.lines().filter(|line| line.contains("record")).collect();
        assert!(!told.is_empty() && told.iter().all(|line| !line.contains("33")), "{told:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused_before_anybody_is_met() {
    let nodes = nodes(&alignment("persons of all", 20));
    let check = |due: &[&str], code| {
        nodes.spawn("bank", &mut nodes.align("bank", &[])).end().expect(code, due);
    };
    let path = nodes.dir("bank").join("alignment.toml");
    fs::write(&path, alignment("persons of all", 20).replace("400", "149")).unwrap();
    check(&["there are 150 ids, and the alignment allows 149 here"], 3);
    fs::write(&path, alignment("persons of all", 20).replace("bank", "bang")).unwrap();
    check(&["this node is bank, who is not among the parties"], 4);
    fs::write(&path, alignment("persons of all", 20).replace("\"person\"", "\"id\"")).unwrap();
    check(&["rows.csv", "id"], 3);
    fs::write(&path, alignment("persons of all", 20).replace("duplicates", "duplicate")).unwrap();
    check(&["alignment.toml", "line 6: unknown field `duplicate`"], 4);
}

/// `party plan` against the meters of a run by columns, at a party that knows nothing of the others' rows.
fn planned(nodes: &Nodes, ended: &[Ended]) {
    let (file, records) = (nodes.dir("bank").join("study.toml"), common(0..400).to_string());
    let plan = ["--json", "plan", file.to_str().unwrap(), "--rows", &records];
    let plan = support::party(&plan).stdout;
    let plan: serde_json::Value = serde_json::from_slice(&plan).unwrap();
    for (place, ended) in ended.iter().enumerate() {
        let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        let (real, due) = (&told["phases"]["total"], &plan["parties"][place]["phases"]["total"]);
        assert_eq!(real["rounds"], due["rounds"], "{real} {due}");
        let bytes = |of: &serde_json::Value| of["bytes_sent"].as_f64().unwrap();
        let ratio = bytes(due) / bytes(real);
        assert!((0.8..1.2).contains(&ratio), "{ratio}: {real} {due}");
    }
    let several = ["plan", file.to_str().unwrap(), "--rows", "320,320,319"];
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_party")).args(several).output();
    let refused = refused.unwrap();
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && told.contains("one number"), "{told}");
}

/// How well the parts of a model predict the records that were aligned as `new`: all learn the same, as in the clear.
fn evaluated(
    nodes: &Nodes,
    text: &str,
    study: &Study,
    (coefficients, scales): (&[f64], &[Standardisation]),
) {
    let file = format!(
        "{}\n[evaluate]\nstudy = \"{}\"\n",
        text.replace("claims by columns", "evaluation on new clients"),
        study.digest()
    );
    for name in PARTIES {
        fs::write(nodes.dir(name).join("study.toml"), &file).unwrap();
    }
    let table = joint_table(nodes, "new", study, true);
    let encoded = encode(&table, scales, f64::INFINITY).unwrap();
    let outcomes = table.target().unwrap();
    let rows = encoded.x.rows().into_iter();
    let scores = rows.map(|x| x.iter().zip(coefficients).map(|(x, w)| x * w).sum::<f64>());
    let predictions = scores.map(|score| 1.0 / (1.0 + (-score - coefficients[4]).exp()));
    let predictions: Vec<f64> = predictions.collect();
    let due = Scores::new(&predictions, outcomes).unwrap();
    for ended in all(nodes, |name| nodes.command(name)) {
        ended.expect(0, &["\"ok\": true"]);
        let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        let file = fs::read_to_string(told["result"].as_str().unwrap()).unwrap();
        let file: serde_json::Value = serde_json::from_str(&file).unwrap();
        let found = &file["result"]["figures"]["logistic"];
        assert_eq!(found, &told["evaluation"]["figures"]["logistic"]);
        let number = |of: &serde_json::Value| of.as_f64().unwrap();
        near(number(&found["accuracy"]), due.accuracy, 0.021);
        near(number(&found["curves"]["log_loss"]), due.log_loss, 5e-3);
        near(number(&found["curves"]["brier"]), due.brier, 2e-3);
        near(number(&found["curves"]["auc"]), due.auc.unwrap(), 6e-3);
        let receipt = fs::read_to_string(told["receipt"].as_str().unwrap()).unwrap();
        let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
        assert!(receipt["model_sha256"].is_null() && receipt["result_sha256"].is_string());
        let revealed = receipt["revealed"].as_array().unwrap();
        assert_eq!(revealed.len(), 2, "{revealed:?}");
    }
}

#[test]
fn three_parties_fit_columns_of_the_same_records_and_score_new_ones() {
    let nodes = Nodes::new(&PARTIES, "", &columns(0..400));
    let records = aligned(&nodes, "records");
    let text = study(&records, "\"own\"");
    let path = |name: &str, file: &str| nodes.dir(name).join(file);
    for name in PARTIES {
        fs::write(path(name, "study.toml"), &text).unwrap();
    }
    let read = Study::from_bytes(text.as_bytes()).unwrap();
    // What the registry is told before.
    let config = nodes.config("registry");
    let (file, rows) = (path("registry", "study.toml"), path("registry", "rows.csv"));
    let check = ["--config", &config, "study", "check", file.to_str().unwrap(), "--data"];
    let told = support::party(&[&check[..], &[rows.to_str().unwrap()]].concat()).stdout;
    let told = String::from_utf8(told).unwrap();
    let wide = |line: &&str| line.chars().count() > 80 && !line.contains('/');
    assert_eq!(told.lines().find(wide), None, "{told}");
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        &format!("{} aligned records, in their order", common(0..400)),
        "Encoded as 1 columns: kind=b",
        "that each of the aligned records is in the files of all parties",
        "insurer has 1",
        "its own part of the final model: 2 coefficients",
        "To whom: bank",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("means and deviations of the columns"), "{told}");

    let ended = all(&nodes, |name| nodes.command(name));
    let table = joint_table(&nodes, "records", &read, true);
    let (expected, scales) = in_the_clear(&read, &table);
    let places = [vec![0, 1], vec![2], vec![3]];
    for (place, ended) in ended.iter().enumerate() {
        ended.expect(0, &["\"ok\": true"]);
        let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert!(told["model"].is_null(), "{told}");
        let part = fs::read(told["part"].as_str().unwrap()).unwrap();
        let part = ModelPart::from_json(&part).unwrap();
        let own: Vec<f64> = part.standardised().coefficients.values().collect();
        assert_eq!(own.len(), places[place].len());
        for (own, &at) in own.iter().zip(&places[place]) {
            near(*own, expected[at], NOISE);
        }
        assert_eq!(part.has_intercept(), place == 1);
        if place == 1 {
            near(part.standardised().intercept, expected[4], NOISE);
        }
        let receipt = fs::read_to_string(told["receipt"].as_str().unwrap()).unwrap();
        let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap();
        assert_eq!(receipt["alignment"], records.as_str());
        assert_eq!(receipt["rows"], serde_json::json!(vec![common(0..400); 3]));
        assert!(receipt["model_sha256"].is_null() && receipt["part_sha256"].is_string());
        let revealed = receipt["revealed"].as_array().unwrap();
        let labels: Vec<_> = revealed.iter().map(|it| (&it["what"], &it["to"][0])).collect();
        let due = [1, 2, 3].map(|party| format!("coefficients of party {party}"));
        for ((what, to), (due, name)) in labels.iter().zip(due.iter().zip(PARTIES)) {
            assert_eq!((what.as_str(), to.as_str()), (Some(due.as_str()), Some(name)));
        }
    }
    planned(&nodes, &ended);
    // Nobody else has a part, and alone it predicts nothing.
    let recover = nodes.spawn("bank", &mut nodes.recover("bank")).end();
    recover.expect(4, &["nobody else has it"]);
    let told: serde_json::Value = serde_json::from_str(&ended[0].stdout).unwrap();
    let alone = std::process::Command::new(env!("CARGO_BIN_EXE_party"))
        .args(["predict", "--model", told["part"].as_str().unwrap(), "--data", "x.csv"])
        .output()
        .unwrap();
    let alone = String::from_utf8(alone.stderr).unwrap();
    assert!(alone.contains("party predict --joint"), "{alone}");

    // New records: aligned, and scored for bank and registry.
    for (name, rows) in PARTIES.iter().zip(columns(1000..1120)) {
        fs::write(path(name, "rows.csv"), rows).unwrap();
    }
    let fresh = aligned(&nodes, "new");
    let scores = format!(
        "{}\n[predict]\nstudy = \"{}\"\nscores = [\"registry\", \"bank\"]\n",
        text.replace(&records, &fresh).replace("claims by columns", "scores of new clients"),
        read.digest()
    );
    let command = |name: &str| {
        fs::write(path(name, "scores.toml"), &scores).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_party"));
        command.args(["--config", &nodes.config(name), "--json", "predict", "--joint"]);
        command.arg(path(name, "scores.toml")).arg("--data").arg(path(name, "rows.csv"));
        command.arg("--out").arg(path(name, "told.csv")).stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(nodes.new_log(name));
        command.env("PARTY__NETWORK__JOIN_TIMEOUT_S", "40");
        command
    };
    for ended in all(&nodes, command) {
        ended.expect(0, &["\"ok\": true"]);
        assert_eq!(path(&ended.name, "told.csv").exists(), ended.name != "insurer");
    }
    let table = joint_table(&nodes, "new", &read, false);
    let encoded = encode(&table, &scales, f64::INFINITY).unwrap();
    for (name, first) in [("bank", "P1"), ("registry", "\u{ff30}1")] {
        let mut reader = csv::Reader::from_path(path(name, "told.csv")).unwrap();
        assert_eq!(reader.headers().unwrap(), &["client", "probability"][..]);
        let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), common(1000..1120));
        for (row, x) in rows.iter().zip(encoded.x.rows()) {
            assert!(row[0].starts_with(first), "{row:?}");
            let score = expected[4] + x.iter().zip(&expected).map(|(x, w)| x * w).sum::<f64>();
            near(row[1].parse().unwrap(), 1.0 / (1.0 + (-score).exp()), NOISE);
        }
    }
    evaluated(&nodes, &text.replace(&records, &fresh), &read, (&expected, &scales));
    // It is told once, and party train does not take it for a study that fits.
    nodes.spawn("bank", &mut command("bank")).end().expect(8, &["released"]);
    let file = path("bank", "study.toml");
    fs::write(&file, scores.replace("of new", "of all new")).unwrap();
    let fits = nodes.spawn("bank", &mut nodes.command("bank")).end();
    fits.expect(2, &["asks for scores", "party predict --joint"]);
}

#[test]
fn the_whole_model_of_columns_goes_to_those_whom_the_study_names() {
    let nodes = Nodes::new(&PARTIES, "", &columns(0..300));
    let text = study(&aligned(&nodes, "records"), "[\"insurer\"]");
    let path = |name: &str, file: &str| nodes.dir(name).join(file);
    for name in PARTIES {
        fs::write(path(name, "study.toml"), &text).unwrap();
    }
    let read = Study::from_bytes(text.as_bytes()).unwrap();
    let refused = |name: &str, code, words: &[&str]| {
        nodes.spawn(name, &mut nodes.command(name)).end().expect(code, words);
    };
    // Files that are not those of the alignment any more.
    let rows = fs::read_to_string(path("bank", "rows.csv")).unwrap();
    let change = |from: &str, to: &str| {
        assert!(rows.contains(from), "{from}");
        fs::write(path("bank", "rows.csv"), rows.replacen(from, to, 1)).unwrap();
    };
    change("P0002", "Q0002");
    refused("bank", 3, &["1 of the 240 aligned records are not in this file", "align anew"]);
    change("P0003", "P0002");
    refused("bank", 3, &["1 rows have an id that came before, on lines 4"]);
    let line = rows.lines().nth(2).unwrap();
    change(line, "P0002,rich,1");
    refused("bank", 3, &["1 place that cannot be used", "line 3", "left out by all"]);
    fs::write(path("bank", "rows.csv"), &rows).unwrap();
    let other = AlignmentName::of(b"other").to_string();
    let file = path("bank", "study.toml");
    fs::write(
        &file,
        text.replace(&AlignmentName::of(terms("records").as_bytes()).to_string(), &other),
    )
    .unwrap();
    refused("bank", 4, &["were not aligned here", "party align"]);
    fs::write(&file, &text).unwrap();

    let ended = all(&nodes, |name| nodes.command(name));
    ended.iter().for_each(|ended| ended.expect(0, &["\"ok\": true"]));
    let (expected, scales) = in_the_clear(&read, &joint_table(&nodes, "records", &read, true));
    let told: serde_json::Value = serde_json::from_str(&ended[1].stdout).unwrap();
    let model = fs::read(told["model"].as_str().unwrap()).unwrap();
    let model = Model::from_json(&model).unwrap();
    let own = model.standardised();
    for (own, expected) in own.coefficients.values().chain([own.intercept]).zip(&expected) {
        near(own, *expected, NOISE);
    }
    for (own, expected) in model.standardisation().iter().zip(&scales) {
        assert_eq!((&own.name, own.present), (&expected.name, expected.present));
        assert!((own.mean, own.std) == (expected.mean, expected.std), "{own:?} {expected:?}");
    }
    assert_eq!(model.training().rows_used, 240);
    assert!(
        serde_json::from_str::<serde_json::Value>(&ended[0].stdout).unwrap()["model"].is_null()
    );
    let (interim, result) = nodes.revealed("registry");
    assert_eq!(
        (interim, result),
        (vec!["means and deviations of the columns".to_owned()], vec!["coefficients".to_owned()])
    );
}
