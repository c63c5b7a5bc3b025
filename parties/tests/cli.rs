//! The commands end to end, as processes in a directory of their own.

// Helpers outside of test functions; a panic is how a test fails.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use mpc_ml::artifact::{
    Model, ModelKind, ModelParts, SecurityRecord, SolverRecord, TrainingRecord,
};
use mpc_ml::data::{
    CountTarget, Feature, FeatureKind, Numeric, NumericMissing, NumericTarget, Offset, Scaling,
    Schema, Target, joint_statistics,
};
use parties::data_file::{ReadOptions, Source, read};
use parties::invite::Invite;
use parties::study::Study;
use serde_json::Value;
use tempfile::TempDir;

#[path = "cli/exports.rs"]
mod exports;
#[path = "cli/take_away.rs"]
mod take_away;

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data/credit_status").join(file)
}

/// Runs `party` in a directory.
fn party(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::cargo_bin("party").unwrap();
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PARTY__")) {
        command.env_remove(name);
    }
    command.env_remove("RUST_LOG").current_dir(directory).args(arguments).output().unwrap()
}

fn ok(directory: &Path, arguments: &[&str]) -> String {
    let output = party(directory, arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn fails(directory: &Path, code: i32, arguments: &[&str]) -> String {
    let output = party(directory, arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A directory with the node of bank-a, which has the rows of the first party.
fn bank_a() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    ok(directory.path(), &["init", "--name", "bank-a"]);
    let settings = directory.path().join("party.toml");
    let text = fs::read_to_string(&settings).unwrap();
    let text =
        text.replace("# [data]", "[data]").replace("# path = \"rows.csv\"", "path = \"rows.csv\"");
    fs::write(settings, text).unwrap();
    fs::copy(data("party1.csv"), directory.path().join("rows.csv")).unwrap();
    directory
}

fn fingerprint(digits: &str) -> String {
    format!("ed25519:{}", digits.repeat(32))
}

#[test]
fn init_makes_a_key_and_settings_once() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let text = ok(at, &["init", "--dir", "node", "--name", "bank-a", "--listen", "10.0.0.1:7400"]);
    let own = ok(at, &["--config", "node/party.toml", "fingerprint"]);
    let invitation = Invite::find(&text).unwrap().remove(0);
    assert_eq!(invitation.key.to_string(), own.trim());
    assert_eq!(invitation.addresses[0].as_str(), "10.0.0.1:7400");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(at.join("node/identity.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    let before = fs::read(at.join("node/identity.key")).unwrap();
    assert!(fails(at, 8, &["init", "--dir", "node", "--name", "x"]).contains("not overwritten"));
    fs::remove_file(at.join("node/party.toml")).unwrap();
    fails(at, 8, &["init", "--dir", "node", "--name", "x"]);
    assert!(!at.join("node/party.toml").exists());
    assert_eq!(fs::read(at.join("node/identity.key")).unwrap(), before);
    fails(at, 2, &["init", "--dir", "other", "--name", "bank a"]);
}

#[test]
fn peers_are_added_and_comments_stay() {
    let node = bank_a();
    let at = node.path();
    let before = fs::read_to_string(at.join("party.toml")).unwrap();
    let (b, c, d) = (fingerprint("0b"), fingerprint("0c"), fingerprint("0d"));
    ok(at, &["peer", "add", "bank-b", "b.example:7400", &b]);
    ok(at, &["peer", "add", "bank-c", "c.example:7400", &c]);
    ok(at, &["peer", "add", "--dealer", "dealer", "d.example:7400", &d]);
    let after = fs::read_to_string(at.join("party.toml")).unwrap();
    assert!(before.lines().all(|line| after.contains(line)), "{after}");
    assert_eq!(after.lines().filter(|line| *line == "[[peers]]").count(), 2);

    let own = ok(at, &["fingerprint"]);
    let other = fingerprint("0e");
    for (code, arguments) in [
        (4, ["peer", "add", "bank-b", "b.example:7400", other.as_str()]),
        (4, ["peer", "add", "bank-e", "b.example:7400", b.as_str()]),
        (4, ["peer", "add", "bank-a", "b.example:7400", other.as_str()]),
        (4, ["peer", "add", "bank-e", "b.example:7400", own.trim()]),
        (2, ["peer", "add", "bank-e", "b.example", other.as_str()]),
        (2, ["peer", "add", "bank-e", "b.example:7400", "0e0e"]),
    ] {
        fails(at, code, &arguments);
    }
    fails(at, 4, &["peer", "add", "--dealer", "dealer2", "d.example:7400", &other]);
    assert_eq!(fs::read_to_string(at.join("party.toml")).unwrap(), after);
}

#[test]
fn a_study_is_checked_against_my_data() {
    let node = bank_a();
    let at = node.path();
    let study = data("study.toml");
    let study = study.to_str().unwrap();
    let text = ok(at, &["study", "check", study]);
    // Paths are as long as they are.
    let wide = |line: &&str| line.chars().count() > 80 && !line.contains('/');
    assert_eq!(text.lines().find(wide), None, "{text}");
    assert!(text.lines().count() > 60);
    let stated = "  Purpose:     not stated in the study\n";
    assert!(text.find(stated).unwrap() < text.find("What will be revealed").unwrap(), "{text}");
    for part in [
        "study:",
        "What will be revealed",
        "Why: it is the purpose of the study",
        "1761 rows",
        "mean std. dev. smallest largest missing",
        "24 columns",
        "bank-b is not known yet",
        "planned for 1761 + 1761 + 1761 rows (as many as here at each",
        "1640 steps",
        "Precision: the logistic function is off by at most",
    ] {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(line.contains(part), "{part}: {text}");
    }
    let json: Value = serde_json::from_str(&ok(at, &["--json", "study", "check", study])).unwrap();
    assert_eq!(json["ok"], true);
    assert_eq!(json["data"]["rows"], 1761);
    assert_eq!(json["data"]["missing"]["Income"], 147);
    assert!(json["disclosure"].as_array().unwrap().len() >= 4);
    assert_eq!(json["plan"]["rows_given"], false);

    // The numbers of rows of the others, where they are known.
    let given = ["--json", "study", "check", study, "--rows", "1761,1000,802"];
    let json: Value = serde_json::from_str(&ok(at, &given)).unwrap();
    assert_eq!(json["plan"]["rows"], serde_json::json!([1761, 1000, 802]));
    assert_eq!(json["plan"]["iterations"], 20 * (3563 / 64));
    assert!(json["plan"]["sigma"].as_u64().unwrap() >= 53);
    let wrong = |rows| fails(at, 2, &["study", "check", study, "--rows", rows]);
    assert!(wrong("1761,1000").contains("the study has 3 parties"));
    assert!(wrong("1760,1000,802").contains("its data have 1761"));

    // Settings that cannot be met are refused before anybody is met, at their line.
    let text = fs::read_to_string(study).unwrap();
    fs::write(at.join("steep.toml"), text.replace("l2 = 0.01", "l2 = 500.0")).unwrap();
    let error = fails(at, 4, &["study", "check", "steep.toml"]);
    assert!(error.contains("overshoot") && error.contains("training.learning_rate"), "{error}");
    let line = text.lines().position(|line| line.starts_with("batch")).unwrap() + 1;
    fs::write(at.join("large.toml"), text.replace("batch = 64", "batch = 100000")).unwrap();
    let error = fails(at, 4, &["study", "check", "large.toml"]);
    assert!(error.contains(&format!("line {line}: training.batch is 100000")), "{error}");
    assert!(error.contains("--rows N,N"), "{error}");

    // Bad cells: named by line, column and rule, without their value.
    let rows = fs::read_to_string(at.join("rows.csv")).unwrap();
    fs::write(at.join("bad.csv"), rows.replacen("good,0,rent", "good,secretive,rent", 1)).unwrap();
    let bad = ["study", "check", study, "--data", "bad.csv"];
    let error = fails(at, 3, &bad);
    assert!(
        error.contains("line 2, column \"Seniority\"") && !error.contains("secretive"),
        "{error}"
    );
    let shown = fails(at, 3, &[&bad[..], &["--show-values"]].concat());
    assert!(shown.contains("secretive"), "{shown}");
}

#[test]
fn failures_have_their_codes_and_a_form_for_machines() {
    let node = bank_a();
    let at = node.path();
    let study = fs::read_to_string(data("study.toml")).unwrap();
    let write = |name: &str, text: String| fs::write(at.join(name), text).unwrap();
    write("mixed.toml", study.replace("\"horizontal\"", "\"mixed\""));
    write("others.toml", study.replace("bank-a", "bank-x"));
    write("names.toml", study.replace("name = \"Age\"", "name = \"Income__missing\""));
    let error = fails(at, 4, &["study", "check", "names.toml"]);
    for part in ["\"Income\"", "\"Income__missing\"", "rename one"] {
        assert!(error.contains(part), "{error}");
    }
    let error = fails(at, 4, &["study", "check", "mixed.toml"]);
    assert!(error.contains("no model takes") && error.contains("where: mixed.toml"), "{error}");
    assert!(fails(at, 4, &["study", "check", "others.toml"]).contains("not among the parties"));
    fails(at, 4, &["study", "check", "nowhere.toml"]);
    fails(at, 4, &["--config", "nowhere.toml", "fingerprint"]);
    fails(at, 2, &["study", "chekc", "others.toml"]);
    fails(at, 3, &["study", "check", data("study.toml").to_str().unwrap(), "--data", "none.csv"]);

    let output = party(at, &["--json", "study", "check", "mixed.toml"]);
    assert_eq!(output.status.code(), Some(4));
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["ok"], &json["class"]), (&Value::Bool(false), &Value::from("configuration")));
    assert!(json["error"]["what"].as_str().unwrap().contains("partition"));
}

#[test]
fn the_environment_takes_the_place_of_the_file() {
    let node = bank_a();
    let at = node.path();
    let run = |name: &str, value: &str| {
        let mut command = Command::cargo_bin("party").unwrap();
        command.current_dir(at).env(name, value).arg("fingerprint").output().unwrap()
    };
    assert!(run("PARTY__NETWORK__JOIN_TIMEOUT_S", "5").status.success());
    assert_eq!(run("PARTY__NETWORK__JOIN_TIMEOUT_S", "0").status.code(), Some(4));
    assert_eq!(run("PARTY__NETWORK__JOIN", "5").status.code(), Some(4));
}

/// The model of the reference fit on the study's data.
fn reference_model() -> Model {
    let study = Study::read(&data("study.toml")).unwrap();
    let options = ReadOptions { with_target: true, ..ReadOptions::default() };
    let files = ["party1.csv", "party2.csv", "party3.csv"]
        .map(|file| read(&Source::file(&data(file)), study.schema(), &options).unwrap());
    let tables = files.each_ref().map(|file| &file.table);
    let reference: Value =
        serde_json::from_slice(&fs::read(data("reference.json")).unwrap()).unwrap();
    let fit = &reference["tasks"]["bad"]["l2"];
    let columns = study.schema().columns();
    Model::new(ModelParts {
        kind: ModelKind::Logistic,
        title: study.title().into(),
        study: study.digest().to_string(),
        schema: study.schema().clone(),
        standardisation: joint_statistics(&tables).unwrap(),
        intercept: fit["intercept"].as_f64(),
        coefficients: columns.iter().map(|each| fit["coef"][each].as_f64().unwrap()).collect(),
        l2: 0.01,
        inference: None,
        training: TrainingRecord {
            solver: SolverRecord::of("exact", &serde_json::json!({ "condition": 1.0 })),
            iterations: 0,
            rows_used: 3563,
            rows_dropped: 0,
            clip: study.model().clip(),
            checks: Vec::new(),
            security: SecurityRecord { parties: Vec::new(), correlations: "none".into() },
            release_bits: 16,
        },
    })
    .unwrap()
}

#[test]
fn a_model_predicts_and_is_evaluated() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(at.join("model.json"), reference_model().to_json().unwrap()).unwrap();
    let test = data("test.csv");
    let base = ["predict", "--model", "model.json", "--data", test.to_str().unwrap()];
    let with = |more: &[&'static str]| [&base[..], more].concat();

    let text = ok(at, &with(&["--evaluate"]));
    for figure in ["891 (244 positive)", "Accuracy: 0.7969", "AUC:      0.8288", "Log-loss: 0.4436"]
    {
        assert!(text.contains(figure), "{figure}: {text}");
    }
    let json = ok(at, &with(&["--evaluate", "--json"]));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!((json["scores"]["auc"].as_f64().unwrap() - 0.828_800_010_135_05).abs() < 1e-12);

    let printed = ok(at, &base);
    ok(at, &with(&["--out", "predictions.csv"]));
    assert_eq!(fs::read_to_string(at.join("predictions.csv")).unwrap(), printed);
    assert!(printed.starts_with("row,probability,status\n1,0.16274305"), "{}", &printed[..60]);
    fails(at, 8, &with(&["--out", "predictions.csv"]));

    // The same model of one party's rows alone beside it, and an agreement to evaluate it with others.
    let (test_rows, own) = (test.to_str().unwrap(), data("party1.csv"));
    let compared = ["compare", "--model", "model.json", "--test", test_rows, "--data"];
    let compared = [&compared[..], &[own.to_str().unwrap()]].concat();
    let text = ok(at, &compared);
    assert!(text.contains("On 891 test rows") && text.contains("Nothing was sent"), "{text}");
    let area = text.lines().find(|line| line.contains("AUC")).unwrap();
    assert!(
        area.contains(" 0.8288 ") && area.ends_with("joint") || area.ends_with("own"),
        "{text}"
    );
    let json: Value =
        serde_json::from_str(&ok(at, &[&compared[..], &["--json"]].concat())).unwrap();
    let own = json["figures"][0]["own"].as_f64().unwrap();
    assert!((0.7..0.84).contains(&own), "{json}");
    let draft = ["study", "evaluate", "--model", "model.json", "--parties", "north,south"];
    assert!(ok(at, &draft).contains("party train evaluation.toml --data test.csv"));
    let draft_text = fs::read_to_string(at.join("evaluation.toml")).unwrap();
    assert!(draft_text.contains("parties = [\"north\", \"south\"]"), "{draft_text}");
    assert_eq!(draft_text.matches("[[reveals]]").count(), 14);
    fails(at, 8, &draft);

    // Rows without the target can be predicted, and not evaluated.
    let rows = fs::read_to_string(&test).unwrap();
    fs::write(at.join("new.csv"), rows.replacen("Status,", "Anything,", 1)).unwrap();
    let new = ["predict", "--model", "model.json", "--data", "new.csv"];
    assert_eq!(ok(at, &new), printed);
    fails(at, 3, &[&new[..], &["--evaluate"]].concat());
    let ids = ok(at, &[&new[..], &["--id-column", "Anything"]].concat());
    assert!(ids.starts_with("Anything,probability,status\ngood,0.16"), "{}", &ids[..60]);

    // Where the predictions cannot go is found before they are made: not even the model is read.
    fs::create_dir(at.join("folder")).unwrap();
    let nowhere = ["predict", "--model", "none.json", "--data", "none.csv", "--out"];
    for (out, code, words) in [
        ("missing/out.csv", 4, "the folder of this file does not exist"),
        ("folder", 4, "this is a folder"),
        ("folder/", 4, "this is a folder"),
        ("new/", 4, "this is a folder"),
        ("new.csv", 8, "exists already"),
        ("/proc/out.csv", 4, "cannot be written"),
    ] {
        let error = fails(at, code, &[&nowhere[..], &[out]].concat());
        assert!(error.contains(words), "{out}: {error}");
    }
    let left: Vec<_> = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("tmp")), "{left:?}");

    // A pattern may name several models, or none.
    fs::copy(at.join("model.json"), at.join("folder/model.json")).unwrap();
    let several = ["predict", "--model", "model.json", "folder/model.json", "--data", "new.csv"];
    let error = fails(at, 2, &several);
    assert!(error.contains("names 2 models") && error.contains("folder/model.json"), "{error}");
    let error = fails(at, 3, &["predict", "--model", "state/*/model.json", "--data", "new.csv"]);
    assert!(error.contains("no file fits this pattern"), "{error}");
    let error = fails(at, 3, &["predict", "--model", "folder", "--data", "new.csv"]);
    assert!(error.contains("it is a directory"), "{error}");

    fs::write(at.join("model.json"), "{}").unwrap();
    assert!(fails(at, 3, &base).contains("not a model file"));
}

/// A model of another kind, of two features.
fn small_model(kind: ModelKind, target: Target, offset: Option<Offset>) -> Model {
    let feature = |name: &str| Feature {
        name: name.into(),
        kind: FeatureKind::Numeric(Numeric {
            range: None,
            missing: NumericMissing::Refuse,
            indicator: false,
            scale: Scaling::None,
        }),
    };
    Model::new(ModelParts {
        kind,
        title: "small".into(),
        study: "study:00".into(),
        schema: Schema::with_offset(vec![feature("a"), feature("b")], target, offset).unwrap(),
        standardisation: Vec::new(),
        intercept: Some(1.0),
        coefficients: vec![0.5, -1.0],
        l2: 0.0,
        inference: None,
        training: reference_model().training().clone(),
    })
    .unwrap()
}

#[test]
fn numbers_and_counts_are_predicted_and_evaluated() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let target = NumericTarget { column: "y".into(), range: Some((-100.0, 100.0)) };
    let model = small_model(ModelKind::Linear, Target::Numeric(target), None);
    fs::write(at.join("model.json"), model.to_json().unwrap()).unwrap();
    fs::write(at.join("rows.csv"), "a,b,y\n2,0,3\n4,1,2\n0,2,-2\n").unwrap();
    let predict = ["predict", "--model", "model.json", "--data", "rows.csv"];
    assert_eq!(ok(at, &predict), "row,prediction,status\n1,2,ok\n2,2,ok\n3,-1,ok\n");
    let text = ok(at, &[&predict[..], &["--evaluate"]].concat());
    assert!(text.starts_with("Rows: 3\nR2:   0.8571\nRMSE: 0.816497\nMAE:  0.666667\n"), "{text}");
    let json = ok(at, &[&predict[..], &["--evaluate", "--json"]].concat());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert!((json["scores"]["mae"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-15, "{json}");

    let target = CountTarget { column: "y".into(), range: (0.0, 100.0) };
    let offset = Offset { column: "log_days".into(), range: (-5.0, 5.0) };
    let model = small_model(ModelKind::Poisson, Target::Count(target), Some(offset));
    fs::write(at.join("model.json"), model.to_json().unwrap()).unwrap();
    fs::write(at.join("rows.csv"), "a,b,log_days,y\n0,0,-1,1\n4,2,0,4\n").unwrap();
    let printed = ok(at, &predict);
    assert!(
        printed.starts_with("row,expected_count,status\n1,1,ok\n2,2.71828182845904"),
        "{printed}"
    );
    let text = ok(at, &[&predict[..], &["--evaluate"]].concat());
    let e = std::f64::consts::E;
    let deviance = 4.0 * (4.0 / e).ln() - (4.0 - e);
    assert!(text.contains(&format!("Mean deviance: {deviance:.6}")), "{text}");
    // What cannot be a count is not compared with.
    fs::write(at.join("rows.csv"), "a,b,log_days,y\n0,0,-1,1.5\n").unwrap();
    let error = fails(at, 3, &[&predict[..], &["--evaluate"]].concat());
    assert!(error.contains("1 rows: y is not a whole number"), "{error}");
    // Good rows are scored, and the others have a reason.
    let bad = "a,b,log_days\n0,0,-1\n4,2,7\n,2,0\nx,y,0\n1\n";
    fs::write(at.join("rows.csv"), bad).unwrap();
    let printed = ok(at, &predict);
    let status: Vec<&str> =
        printed.lines().skip(1).map(|line| line.rsplit_once(',').unwrap().1).collect();
    assert_eq!(
        status,
        [
            "ok",
            "outside of the study's range: log_days",
            "not scored: a is missing",
            "not scored: a is not a number; b is not a number",
            "not scored: the row has more or fewer cells than the header",
        ]
    );
    let text = ok(at, &[&predict[..], &["--out", "scored.csv"]].concat());
    assert!(
        text.contains("Wrote 2 predictions to scored.csv.\n3 of 5 rows could not be"),
        "{text}"
    );
    assert!(text.contains("1 row has a number outside of the range"), "{text}");
    // Rows are written as party.toml says.
    ok(at, &["init", "--name", "bank-a", "--address", "-"]);
    let settings = fs::read_to_string(at.join("party.toml")).unwrap();
    let settings = settings.replace("# [data]", "[data]\nseparator = \";\"\ndecimal = \",\"");
    fs::write(at.join("party.toml"), settings).unwrap();
    fs::write(at.join("rows.csv"), "a;b;log_days\n0;0;-1,0\n").unwrap();
    assert!(ok(at, &predict).contains("1,1,ok"));
}

#[test]
fn help_is_readable() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let help = ok(at, &["--help"]);
    let pages = at.join("man");
    ok(at, &["manual", "--dir", pages.to_str().unwrap()]);
    let page = fs::read_to_string(pages.join("party-study-check.1")).unwrap();
    assert!(page.contains("Check a study and my data"), "{page}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(ok(at, &["completions", shell]).contains("withdraw"), "{shell}");
    }
    for part in ["init", "fingerprint", "peer", "study", "predict", "Exit codes"] {
        assert!(help.contains(part), "{help}");
    }
    for command in [&["init"][..], &["peer", "add"], &["study", "check"], &["predict"]] {
        let help = ok(directory.path(), &[command, &["--help"]].concat());
        assert!(help.contains("Usage: party") && help.lines().count() > 8, "{help}");
    }
}
