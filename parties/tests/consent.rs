//! Who has approved, what a node remembers of it, and what its receipts show afterwards: real processes that
//! meet over real QUIC on loopback.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

#[path = "support/clinics.rs"]
mod clinics;
mod support;

use clinics::nodes;
use parties::store::Kind;
use support::{DEALER, Ended, Nodes, Running};

/// Runs a command of a party, with its settings.
fn run(nodes: &Nodes, name: &str, arguments: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    command.current_dir(nodes.dir(name)).args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(nodes.new_log(name));
    nodes.spawn(name, &mut command).end()
}

fn approve(nodes: &Nodes, name: &str) -> Ended {
    let by = ["--name", "A. Officer", "--role", "data protection officer", "--note", "as agreed"];
    let command = ["study", "approve", "study.toml", "--data", "rows.csv"];
    run(nodes, name, &[&command[..], &by].concat())
}

fn json(nodes: &Nodes, name: &str, arguments: &[&str]) -> Value {
    let ended = run(nodes, name, &[&["--json"], arguments].concat());
    ended.expect(0, &[]);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// Appends to a file of all parties.
fn append(nodes: &Nodes, file: &str, text: &str) {
    for name in nodes.parties() {
        let path = nodes.dir(name).join(file);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before + text).unwrap();
    }
}

fn fits_80_columns(text: &str) {
    for line in text.lines() {
        let word = line.split_whitespace().map(str::len).max().unwrap_or(0);
        assert!(line.chars().count() <= 80 || word > 40, "{line}");
    }
}

#[test]
fn nothing_leaves_a_node_before_all_have_approved_and_receipts_show_who_did() {
    let nodes = nodes(2, 4);
    append(
        &nodes,
        "study.toml",
        "[consent]\npurpose = \"Whether dose matters\"\nkind = \"research\"\napprovals = \"all\"\n",
    );
    // Refused alone, before anybody is met.
    for name in nodes.parties() {
        let ended = nodes.start(name).end();
        ended.expect(4, &["not approved here", "approvals of all parties", "party study approve"]);
        assert!(!ended.stderr.contains("listening"), "{}", ended.stderr);
    }
    // The advice works, for these rows and no others.
    approve(&nodes, "clinic-1").expect(0, &["A. Officer (data protection officer)"]);
    approve(&nodes, "clinic-0").expect(0, &["Approved:", "It counts:"]);
    let path = nodes.dir("clinic-0").join("rows.csv");
    let rows = fs::read_to_string(&path).unwrap();
    fs::write(&path, rows.replacen(",yes", ",no", 1)).unwrap();
    nodes.start("clinic-0").end().expect(4, &["approval of this study is for other rows"]);
    fs::write(&path, &rows).unwrap();
    let withdraw = ["study", "withdraw", "study.toml", "--name", "A. Officer"];
    run(&nodes, "clinic-0", &withdraw).expect(0, &["was taken back"]);
    run(&nodes, "clinic-0", &withdraw).expect(0, &["no approval that counts"]);
    nodes.start("clinic-0").end().expect(4, &["taken back by A. Officer"]);
    approve(&nodes, "clinic-0").expect(0, &[]);
    let bad = ["study", "approve", "study.toml", "--data", "rows.csv", "--role", "x", "--name"];
    run(&nodes, "clinic-0", &[&bad[..], &["a\u{7}"]].concat())
        .expect(2, &["--name must be one line"]);

    nodes.start_all().into_iter().for_each(|it| it.end().expect(0, &["\"ok\": true"]));
    let receipt =
        |name: &str| nodes.results(name).join("receipt.json").to_str().unwrap().to_owned();
    let (first, second) = (receipt("clinic-0"), receipt("clinic-1"));
    let read =
        |path: &str| -> Value { serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap() };
    for path in [&first, &second] {
        let receipt = read(path);
        assert_eq!(receipt["consent"]["purpose"], "Whether dose matters");
        for (consent, name) in receipt["approvals"].as_array().unwrap().iter().zip(nodes.parties())
        {
            assert_eq!(consent["party"].as_str().unwrap(), name);
            assert_eq!(consent["approved"]["approval"]["name"], "A. Officer");
        }
        assert_eq!(receipt["outcome"]["class"], "ok");
        assert!(receipt["begun"].as_str().unwrap().ends_with(" UTC"));
    }
    let heard = |path: &str| read(path)["transcript"].clone();
    assert!(heard(&first)["digest"].as_str().is_some_and(|digest| digest.len() == 64));
    assert_eq!(heard(&first), heard(&second));

    // Anybody can verify them, with pinned keys or without.
    let both = ["receipt", "verify", &first, &second];
    let ended = run(&nodes, "clinic-0", &both);
    ended.expect(0, &["clinic-1: the signature holds", "They agree", "the same at each of them"]);
    fits_80_columns(&ended.stdout);
    let alone = run(&nodes, DEALER, &["--config", "none.toml", "receipt", "verify", &second]);
    alone.expect(0, &["Not given: the receipts of clinic-0", "compare them with those that you"]);
    let verified = json(&nodes, "clinic-1", &both);
    assert_eq!(verified["same_transcript"], true, "{verified}");
    let changed = nodes.dir("clinic-0").join("changed.json");
    let text = fs::read_to_string(&first).unwrap();
    fs::write(&changed, text.replace("research", "marketing")).unwrap();
    let changed = changed.to_str().unwrap();
    run(&nodes, "clinic-0", &["receipt", "verify", changed])
        .expect(3, &["does not carry the signature"]);
    run(&nodes, "clinic-0", &["receipt", "verify", &first, &first]).expect(2, &["of clinic-0 too"]);
    run(&nodes, "clinic-0", &["receipt", "verify", "/dev/zero"]).expect(3, &["regular file"]);

    // And the store tells all of it, to people and to machines.
    let ended = run(&nodes, "clinic-0", &["studies"]);
    let words = [
        "Illness by age and dose",
        "logistic, of clinic-0, clinic-1",
        "came to its end",
        "rows.csv, 60 rows",
    ];
    ended.expect(0, &words);
    ended.expect(0, &["approved by A. Officer", "result, to clinic-0, clinic-1: coefficients"]);
    fits_80_columns(&ended.stdout);
    let all = json(&nodes, "clinic-0", &["studies"]);
    let history = all["studies"][0]["approvals"].as_array().unwrap();
    assert_eq!(history.len(), 3, "{all:#}");
    assert!(history[1]["withdrawn"].is_object(), "{all:#}");
    assert_eq!((&all["runs"][0]["run"], &all["runs"][0]["of_study"]), (&1.into(), &1.into()));
    let ledger = all["data_sets"][0]["ledger"].as_array().unwrap();
    assert_eq!(ledger.last().unwrap()["kind"], "result");
    assert_eq!(run(&nodes, "clinic-0", &["receipt", "show", "1"]).stdout, text);
    run(&nodes, "clinic-0", &["receipt", "show", "2"]).expect(2, &["no receipt of run 2"]);
}

/// A node that asks for an approval asks only its own people; the others see what it has.
#[test]
fn a_node_asks_for_its_own_approval_and_a_run_that_fails_has_a_receipt() {
    let nodes = nodes(2, 4);
    // Ages that are constant: all see it, and end before a result.
    for name in nodes.parties() {
        let mut text = String::from("id,age,dose,sex,ill\n");
        (0..50).for_each(|i| text += &format!("{i},40,{i},f,no\n"));
        fs::write(nodes.dir(name).join("rows.csv"), text).unwrap();
    }
    let start = |name: &String| {
        let mut command = nodes.command(name);
        if name == "clinic-0" {
            command.env("PARTY__CONSENT__REQUIRED", "true");
        }
        nodes.spawn(name, &mut command)
    };
    let first = nodes.names[0].clone();
    start(&first).end().expect(4, &["not approved here", "this node needs approvals"]);
    approve(&nodes, "clinic-0").expect(0, &[]);
    let fail = || {
        let running: Vec<Running> = nodes.names.iter().map(start).collect();
        let ends: Vec<Ended> = running.into_iter().map(Running::end).collect();
        ends.iter()
            .filter(|it| it.name != DEALER)
            .for_each(|it| it.expect(4, &["age is constant"]));
        ends
    };
    fail();
    let receipts = |run: u32| -> Vec<PathBuf> {
        let file = format!("receipt-failed-{run}.json");
        nodes.parties().iter().map(|name| nodes.results(name).join(&file)).collect()
    };
    let paths: Vec<String> =
        receipts(1).iter().map(|path| path.to_str().unwrap().to_owned()).collect();
    let value: Value = serde_json::from_str(&fs::read_to_string(&paths[1]).unwrap()).unwrap();
    assert_eq!(value["outcome"]["class"], "configuration");
    assert!(value["outcome"]["what"].as_str().unwrap().contains("age is constant"));
    assert_eq!(
        (&value["approvals"][0]["required"], &value["approvals"][1]["required"]),
        (&true.into(), &false.into())
    );
    assert!(
        value["approvals"][0]["approved"].is_object()
            && value["approvals"][1]["approved"].is_null()
    );
    let revealed = value["revealed"].as_array().unwrap();
    assert_eq!(revealed[0]["what"], "column counts and means", "{value:#}");
    run(&nodes, "clinic-1", &["receipt", "verify", &paths[0], &paths[1]])
        .expect(0, &["They agree"]);

    // Whoever deletes its memory is found out by the others.
    let ends = fail();
    assert!(ends.iter().all(|it| !it.stderr.contains("memory was deleted")));
    fs::remove_dir_all(nodes.dir("clinic-1").join("state")).unwrap();
    let ends = fail();
    ends[0].expect(4, &["clinic-1 says that this is its run 1", "at run 2", "memory was deleted"]);
    assert!(!ends[1].stderr.contains("memory was deleted"));
    let path = nodes.results("clinic-0").join("receipt-failed-3.json");
    let value: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert!(value["noticed"][0].as_str().unwrap().contains("memory was deleted"));

    // What was killed has a receipt too, and is no longer said to run.
    let training = clinics::nodes(2, 20_000);
    let running = training.start_all();
    training.wait_for_training();
    let listed = run(&training, "clinic-0", &["studies"]);
    listed.expect(0, &["run 1: ", "goes on, or was"]);
    running.iter().for_each(|node| node.signal("-KILL"));
    drop(running);
    let text = run(&training, "clinic-0", &["receipt", "show", "1"]);
    text.expect(0, &["broken-off", "no end of it is recorded"]);
    let path = training.dir("clinic-0").join("killed.json");
    fs::write(&path, &text.stdout).unwrap();
    run(&training, "clinic-0", &["receipt", "verify", path.to_str().unwrap()])
        .expect(0, &["the signature holds"]);
}

/// Where one party is killed while results are written, the others have theirs, and it gets its own from them
/// when it is back; nobody is left behind.
#[test]
fn a_party_that_was_killed_while_it_wrote_gets_the_model_when_it_is_back() {
    for (place, has_model) in [("model", false), ("receipt", true)] {
        let nodes = nodes(3, 4);
        let running: Vec<Running> = nodes
            .names
            .iter()
            .map(|name| start(&nodes, name, Some(("clinic-2", place)), 0))
            .collect();
        for ended in running.into_iter().map(Running::end) {
            match ended.name.as_str() {
                "clinic-2" => assert_eq!(ended.code, None, "{}", ended.stderr),
                DEALER => {}
                _ => ended.expect(0, &["\"ok\": true"]),
            }
        }
        let model = |name: &str| fs::read(nodes.results(name).join("model.json"));
        assert_eq!(model("clinic-2").is_ok(), has_model);
        if has_model {
            // It knows that it has released, and does not wait for others.
            nodes.start("clinic-2").end().expect(8, &["party recover"]);
        }
        let recover = |name: &String| nodes.spawn(name, &mut nodes.recover(name));
        let running: Vec<Running> = nodes.parties().iter().map(recover).collect();
        for ended in running.into_iter().map(Running::end) {
            let received = format!("\"received\": {}", !has_model && ended.name == "clinic-2");
            ended.expect(0, &[&received]);
        }
        assert_eq!(model("clinic-2").unwrap(), model("clinic-0").unwrap());
        clinics::model(&nodes.results("clinic-2"));
    }
}

/// Starts a node that waits `within` seconds for a peer that was lost; who is named dies at a place.
fn start(nodes: &Nodes, name: &str, dies: Option<(&str, &str)>, within: u32) -> Running {
    let mut command = nodes.command(name);
    command.env("PARTY__NETWORK__RETURN_WITHIN_S", within.to_string());
    if let Some((_, place)) = dies.filter(|(who, _)| *who == name) {
        command.env("MPC_DIE_AT", place);
    }
    nodes.spawn(name, &mut command)
}

/// The nodes that are left at work when clinic-1 has died at this place.
fn without_the_killed(nodes: &Nodes, place: &str) -> Vec<Running> {
    let dies = Some(("clinic-1", place));
    let mut running: Vec<Running> =
        nodes.names.iter().map(|name| start(nodes, name, dies, 50)).collect();
    let killed = running.remove(1).end();
    assert_eq!(killed.code, None, "{}", killed.stderr);
    running
}

/// Where nodes wait for who was lost, only that one is started again, wherever it was killed; and who has the
/// result stays until all have it.
#[test]
fn only_the_killed_node_is_started_again() {
    for place in ["begun", "recorded:1", "model"] {
        let nodes = nodes(3, 4);
        let mut running = without_the_killed(&nodes, place);
        running.push(start(&nodes, "clinic-1", None, 50));
        for ended in running.into_iter().map(Running::end) {
            let done = if ended.name == DEALER { "\"studies\": 1" } else { "\"ok\": true" };
            ended.expect(0, &[done]);
        }
        let model = |name: &str| fs::read(nodes.results(name).join("model.json")).unwrap();
        assert!(nodes.parties().iter().all(|name| model(name) == model("clinic-0")), "{place}");
        // And nothing is left to do.
        start(&nodes, "clinic-1", None, 50).end().expect(8, &["released before", "party recover"]);
        if place == "model" {
            let shown = run(&nodes, "clinic-1", &["studies"]);
            shown.expect(0, &["run 2", "came to its end"]);
        }
    }
}

/// Wherever a node is killed in the middle of a training, the training goes on from the last state that all have kept; a
/// part of it that is done again shows that the party began with the state that it had committed to.
#[test]
fn a_broken_training_goes_on_where_all_had_come_to() {
    // What a node had told before it died the others may have heard or not: then theirs is the state before.
    let places: [(&str, &str, &[Option<u64>]); 5] = [
        ("keeping:0", "true", &[None]),
        ("kept:0", "true", &[None, Some(64)]),
        ("keeping:1", "true", &[Some(64)]),
        ("kept:1", "true", &[Some(64), Some(72)]),
        ("kept:1", "false", &[None]),
    ];
    for (place, resume, due) in places {
        let nodes = nodes(3, 4);
        let mut running = without_the_killed(&nodes, place);
        let mut command = nodes.command("clinic-1");
        command.env("PARTY__NETWORK__RESUME", resume);
        running.push(nodes.spawn("clinic-1", &mut command));
        let mut steps = Vec::new();
        for ended in running.into_iter().map(Running::end) {
            if ended.name == DEALER {
                continue;
            }
            ended.expect(0, &["\"ok\": true"]);
            let receipt = fs::read(nodes.results(&ended.name).join("receipt.json")).unwrap();
            let receipt: Value = serde_json::from_slice(&receipt).unwrap();
            assert_eq!(receipt["iterations"], 72);
            let step = receipt["resumed"]["step"].as_u64();
            steps.push(step);
            let said = ended.stderr.contains("the fit goes on from step");
            assert_eq!(said, step.is_some(), "{place}: {}", ended.stderr);
            let why = match ended.name.as_str() {
                "clinic-1" => "the fit begins anew: no state of it is kept here",
                _ => "the fit begins anew: no state of it that can be used is kept at clinic-1",
            };
            let anew = ended.stderr.contains(why);
            assert!(anew || resume == "true", "{}", ended.stderr);
        }
        assert!(due.contains(&steps[0]) && steps == [steps[0]; 3], "{place}: {steps:?}");
        let model = |name: &str| fs::read(nodes.results(name).join("model.json")).unwrap();
        assert!(nodes.parties().iter().all(|name| model(name) == model("clinic-0")), "{place}");
        if place == "keeping:1" {
            done_again(&nodes, "clinic-0", "clinic-1");
            // What is kept for it holds a state too, and goes with it.
            let forget = ["audit", "forget", "study.toml"];
            run(&nodes, "clinic-0", &forget).expect(0, &[]);
        }
    }
}

/// Does the part of a party again, and compares it with what another one received.
fn done_again(nodes: &Nodes, name: &str, by: &str) {
    let about = nodes.dir(name).join("about.bin").to_str().unwrap().to_owned();
    let export = ["audit", "export", "study.toml", "--about", name, "--out", &about];
    run(nodes, by, &export).expect(0, &[]);
    let replay = ["audit", "replay", "study.toml", "--data", "rows.csv", "--against", &about];
    run(nodes, name, &replay).expect(0, &[]);
}

/// A part of the result that all had recorded and nobody had sent is sent when all are back: as it was recorded, and
/// no second one.
#[test]
fn a_result_that_all_had_recorded_is_sent_again() {
    let nodes = nodes(3, 4);
    let running: Vec<Running> = nodes
        .names
        .iter()
        .map(|name| start(&nodes, name, Some(("clinic-2", "recorded")), 0))
        .collect();
    for ended in running.into_iter().map(Running::end) {
        match ended.name.as_str() {
            "clinic-2" => assert_eq!(ended.code, None, "{}", ended.stderr),
            _ => ended.expect(6, &[]),
        }
    }
    for name in nodes.parties() {
        let (_, result) = nodes.revealed(name);
        assert_eq!(result, ["coefficients"]);
    }
    // Nobody has a model that could be given.
    let recover = |name: &String| nodes.spawn(name, &mut nodes.recover(name));
    let running: Vec<Running> = nodes.parties().iter().map(recover).collect();
    for ended in running.into_iter().map(Running::end) {
        ended.expect(4, &["no recipient of the study has its model", "party train"]);
    }
    // On other rows nothing of it is sent.
    let path = nodes.dir("clinic-2").join("rows.csv");
    let rows = fs::read_to_string(&path).unwrap();
    fs::write(&path, rows.replacen(",yes", ",no", 1)).unwrap();
    let ends: Vec<Ended> = nodes.start_all().into_iter().map(Running::end).collect();
    ends[2].expect(8, &["other rows"]);
    fs::write(&path, &rows).unwrap();

    for ended in nodes.start_all().into_iter().map(Running::end) {
        ended.expect(0, &[]);
    }
    for name in nodes.parties() {
        let lines = nodes.store(name).ledger.into_iter().filter(|line| line.kind == Kind::Result);
        let lines: Vec<(String, bool)> = lines.map(|line| (line.label, line.again)).collect();
        let due = [("coefficients", false), ("coefficients", true), ("training loss", false)];
        assert_eq!(lines, due.map(|(label, again)| (label.to_owned(), again)));
        let ended = run(&nodes, name, &["studies"]);
        ended.expect(0, &["again as recorded", "came to its end"]);
        fits_80_columns(&ended.stdout);
    }
    let model = |name: &str| fs::read(nodes.results(name).join("model.json")).unwrap();
    assert_eq!(model("clinic-0"), model("clinic-2"));
    // Also that run can be done again by who audits it.
    done_again(&nodes, "clinic-0", "clinic-1");
}

/// A pipe waits for a writer that may never come, and some devices never end: neither is read, whatever it is
/// named as.
#[test]
fn pipes_and_devices_are_no_files() {
    let nodes = nodes(2, 4);
    let at = nodes.dir("clinic-0");
    assert!(
        Command::new("mkfifo").args(["-m", "600"]).arg(at.join("pipe")).status().unwrap().success()
    );
    let settings = fs::read_to_string(at.join("party.toml")).unwrap();
    fs::write(at.join("key.toml"), settings.replace("\"identity.key\"", "\"pipe\"")).unwrap();
    let key = format!("ed25519:{}", "0b".repeat(32));
    for stream in ["pipe", "/dev/zero"] {
        let commands: [(i32, &[&str]); 7] = [
            (3, &["study", "check", "study.toml", "--data", stream]),
            (4, &["study", "check", stream]),
            (4, &["--config", stream, "study", "check", "study.toml"]),
            (4, &["--config", stream, "peer", "add", "bank-b", "b.example:1", &key]),
            (4, &["--config", "key.toml", "fingerprint"]),
            (3, &["receipt", "verify", stream]),
            (3, &["predict", "--model", stream, "--data", "rows.csv"]),
        ];
        for (code, arguments) in commands {
            let ended = run(&nodes, "clinic-0", arguments);
            ended.expect(code, &["not a regular file"]);
        }
    }
}

/// Three clinics with a study whose model has differential privacy.
fn private(epsilon: f64, title: &str) -> String {
    let text = include_str!("../../scripts/data/diabetes_progression/private.toml");
    let text = ["a", "b", "c"].iter().enumerate().fold(text.to_owned(), |text, (at, name)| {
        text.replace(&format!("\"clinic-{name}\""), &format!("\"clinic-{at}\""))
    });
    text.replace("epsilon = 3", &format!("epsilon = {epsilon}")).replace("one year", title)
}

/// Tables of the same rows, with noise.
fn tables(epsilon: f64) -> String {
    format!(
        r#"version = 1
title = "Patients by sex"
parties = ["clinic-0", "clinic-1", "clinic-2"]

[protocol]
name = "private-tables/1"

[settings]
group = "sex"
histograms = [["age", 5]]
privacy = {{ epsilon = {epsilon}, delta = 1e-5 }}
columns = [
    {{ name = "sex", levels = ["1.0", "2.0"], missing = false }},
    {{ name = "age", range = [30, 70], missing = false }},
]

[[reveals]]
label = "noisy tables"
to = "all"
what = "rows by sex, and their ages"
why = "it is the purpose"

[security]
correlations = "pairwise"
against = "covert"
"#
    )
}

/// A kill in the middle of the noisy sums costs the budget nothing more, and what was sent is sent again as it was; what
/// is spent is spent, and a node that has lost its memory of it is noticed by itself and by the others.
#[test]
fn a_privacy_budget_survives_kills_and_shows_a_memory_that_was_lost() {
    let names = ["clinic-0", "clinic-1", "clinic-2"];
    let rows = [1, 2, 3].map(|party| {
        let set =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data/diabetes_progression");
        fs::read_to_string(set.join(format!("party{party}.csv"))).unwrap()
    });
    let nodes = Nodes::new(&names, &private(3.0, "one year"), &rows);
    // Nobody spends what no operator has given.
    nodes.start("clinic-0").end().expect(4, &["no budget", "[privacy]"]);
    for name in names {
        let settings = fs::read_to_string(nodes.config(name)).unwrap();
        let budget = "\n[privacy]\nsource = \"patients\"\nepsilon = 4.0\ndelta = 1e-5\n";
        fs::write(nodes.config(name), settings + budget).unwrap();
    }
    let start = |name: &str, dies| start(&nodes, name, dies, 50);
    let mut running: Vec<Running> =
        names.iter().map(|name| start(name, Some(("clinic-1", "recorded:2")))).collect();
    let killed = running.remove(1).end();
    assert_eq!(killed.code, None, "{}", killed.stderr);
    // Who looks at what is left then sees what the killed run has spent.
    let file = |file: &str| nodes.dir("clinic-1").join(file);
    let mut check = Command::new(env!("CARGO_BIN_EXE_party"));
    check.args(["--config", &nodes.config("clinic-1"), "study", "check"]);
    let told = check.arg(file("study.toml")).arg("--data").arg(file("rows.csv")).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("taken epsilon 3.00, left 2.39"), "{told}");
    running.push(start("clinic-1", None));
    running.into_iter().map(Running::end).for_each(|ended| ended.expect(0, &["\"ok\": true"]));
    let model = |name: &str| fs::read(nodes.results(name).join("model.json")).unwrap();
    assert!(names.iter().all(|name| model(name) == model("clinic-0")));
    let receipt = fs::read(nodes.results("clinic-0").join("receipt.json")).unwrap();
    let receipt: Value = serde_json::from_slice(&receipt).unwrap();
    let guarantee = receipt["privacy"]["guarantee"].as_str().unwrap();
    assert!(guarantee.contains("epsilon 3.00 for leaving it out"), "{guarantee}");
    assert_eq!(receipt["privacy"]["chains"][1][1], 2);
    let again = nodes.store("clinic-0").ledger.into_iter().filter(|line| line.again);
    let again: Vec<String> = again.map(|line| line.label).collect();
    assert_eq!(again[..2], ["noisy sums 0", "noisy sums 1"]);

    // It was charged once, and no study fits in any more that is as large.
    let give = |text: &str| {
        names.iter().for_each(|name| fs::write(nodes.dir(name).join("study.toml"), text).unwrap());
    };
    give(&private(3.0, "two years"));
    nodes.start("clinic-0").end().expect(4, &["does not suffice", "1 study has taken epsilon 3.0"]);
    // Tables take of the same budget, once too, and nobody has other figures than the others, whoever is killed.
    give(&tables(3.0));
    nodes.start("clinic-0").end().expect(4, &["does not suffice", "1 study has taken epsilon 3.0"]);
    give(&tables(0.5));
    let mut running: Vec<Running> =
        names.iter().map(|name| start(name, Some(("clinic-1", "recorded")))).collect();
    assert_eq!(running.remove(1).end().code, None);
    running.push(start("clinic-1", None));
    running.into_iter().map(Running::end).for_each(|ended| ended.expect(0, &["\"ok\": true"]));
    let told = |name: &str| {
        let folders = fs::read_dir(nodes.dir(name).join("state")).unwrap();
        let mut results = folders.map(|it| it.unwrap().path().join("result.json"));
        fs::read(results.find(|path| path.exists()).unwrap()).unwrap()
    };
    assert!(names.iter().all(|name| told(name) == told("clinic-0")));
    let result: Value = serde_json::from_slice(&told("clinic-0")).unwrap();
    give(&tables(3.0));
    nodes.start("clinic-0").end().expect(4, &["does not suffice", "2 studies have taken"]);
    assert_eq!(result["result"]["rows"], 354);
    assert_eq!(result["result"]["histograms"][0]["counts"][1].as_array().unwrap().len(), 5);

    // A smaller one does, but not with a node that does not know what it has spent.
    give(&private(1.0, "three years"));
    fs::remove_file(nodes.dir("clinic-2").join("state/store.redb")).unwrap();
    let running: Vec<Running> = names.iter().map(|name| nodes.start(name)).collect();
    for ended in running.into_iter().map(Running::end) {
        // Two entries a study, and two more where a peer was lost before anything of a study was sent.
        let words = match ended.name.as_str() {
            "clinic-2" => "entries of this node's privacy budget",
            _ => "clinic-2",
        };
        assert_ne!(ended.code, Some(0));
        ended.expect(ended.code.unwrap(), &[words, "replaced by an older one"]);
    }
}
