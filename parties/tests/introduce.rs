//! From empty folders to nodes that know each other, and new keys: as processes.

// Helpers outside of test functions; a panic is how a test fails.
#![allow(clippy::unwrap_used)]

#[path = "support/clinics.rs"]
mod clinics;
mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Instant;

use parties::identity::Identity;
use parties::name::PartyName;
use parties::node::State;
use parties::study::Study;
use serde_json::Value;
use support::{DEALER, Ended, Nodes, Running, free_address};

fn command(at: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    command.current_dir(at).args(line.split_whitespace()).stdin(Stdio::null());
    command
}

fn ok(at: &Path, line: &str) -> String {
    let output = command(at, line).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn fails(at: &Path, code: i32, line: &str) -> String {
    let Output { status, stderr, .. } = command(at, line).output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(code), "{line}: {text}");
    text
}

fn json(at: &Path, line: &str) -> Value {
    serde_json::from_str(&ok(at, &format!("--json {line}"))).unwrap()
}

/// The commands of the quickstart, for one of its parties.
fn transcript() -> Vec<String> {
    let text = include_str!("../../docs/quickstart.md");
    let section = &text[text.find("in four commands").unwrap()..];
    let lines = section.lines().skip_while(|line| !line.starts_with("$ party "));
    let lines = lines.take_while(|line| !line.starts_with("```"));
    lines.map(|line| line.strip_prefix("$ party ").unwrap().to_owned()).collect()
}

/// docs/quickstart.md, section 2: three organisations from empty folders to the first joint model.
#[test]
fn four_commands_lead_to_the_first_joint_model() {
    let begin = Instant::now();
    let folder = tempfile::tempdir().unwrap();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data/concrete_strength");
    let names = ["laboratory-a", "laboratory-b", "laboratory-c"];
    let at = |name: &str| folder.path().join(name);
    let commands = transcript();
    assert!(commands.len() <= 4 && commands[0].starts_with("init "), "{commands:?}");

    let mut mail = "Dear colleagues, here are our invitations.\n\n".to_owned();
    for (index, name) in names.iter().enumerate() {
        fs::create_dir(at(name)).unwrap();
        fs::copy(data.join(format!("party{}.csv", index + 1)), at(name).join("rows.csv")).unwrap();
        fs::copy(data.join("study.toml"), at(name).join("study.toml")).unwrap();
        let address = free_address();
        let init =
            commands[0].replace("laboratory-a", name).replace("mpc.lab-a.example:7400", &address);
        let said = ok(&at(name), &format!("{init} --listen {address}"));
        let invitation = said.lines().find(|line| line.starts_with("partyinvite1")).unwrap();
        // As a mail program breaks and quotes it.
        let lines: Vec<&str> = invitation
            .as_bytes()
            .chunks(66)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        mail += &format!("> {name}:\r\n> {}\r\n", lines.join("\r\n> "));
    }
    let mut screens = Vec::new();
    for name in names {
        fs::write(at(name).join("invitations.txt"), &mail).unwrap();
        // Without somebody at a terminal, and without --yes, nothing is added.
        assert!(fails(&at(name), 2, &commands[1]).contains("nothing was added"));
        assert!(!fs::read_to_string(at(name).join("party.toml")).unwrap().contains("\n[[peers]]"));
        let said = ok(&at(name), &format!("{} --yes", commands[1]));
        let words =
            |line: &&str| line.split_whitespace().count() == 7 && line.contains("laboratory-");
        let table: Vec<String> = said.lines().filter(words).map(str::to_owned).collect();
        assert_eq!(table.len(), 3, "{said}");
        // Whoever knows the same nodes sees the same lines, and `init` and `peer list` show the same words.
        let listed = ok(&at(name), "peer list");
        for line in &table {
            let words: Vec<&str> = line.split_whitespace().skip(1).collect();
            assert!(listed.contains(&words.join(" ")), "{listed}");
        }
        assert!(
            said.lines().chain(listed.lines()).all(|line| line.chars().count() <= 80),
            "{said}"
        );
        screens.push(table);
        assert!(ok(&at(name), &commands[2]).contains("the nodes of all parties are known"));
    }
    assert!(screens.windows(2).all(|pair| pair[0] == pair[1]), "{screens:?}");

    let trained: Vec<Output> = thread::scope(|scope| {
        let all: Vec<_> = names
            .iter()
            .map(|name| scope.spawn(|| command(&at(name), &commands[3]).output().unwrap()))
            .collect();
        all.into_iter().map(|each| each.join().unwrap()).collect()
    });
    for output in &trained {
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("Residual standard error"));
    }
    let seconds = begin.elapsed().as_secs();
    assert!(seconds < 300, "{seconds} s");
}

/// The commands of docs/quickstart.md, section 7, in order.
fn whole_way() -> Vec<String> {
    let text = include_str!("../../docs/quickstart.md");
    let section = &text[text.find("## 7. The whole way").unwrap()..];
    let section = &section[..section.find("\n## When").unwrap()];
    section.lines().filter_map(|line| line.strip_prefix("$ ")).map(str::to_owned).collect()
}

/// A command as a shell has it.
fn shell(at: &Path, line: &str) -> Output {
    let folder = Path::new(env!("CARGO_BIN_EXE_party")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.current_dir(at).arg("-c").arg(line).env("PATH", path).stdin(Stdio::null());
    command.output().unwrap()
}

/// docs/quickstart.md, section 7: three exports, a model, a report and files for other programs.
#[test]
fn an_analyst_comes_from_an_export_to_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let names = ["hamburg", "lyon", "leeds"];
    let at = |name: &str| folder.path().join(name);
    let commands = whole_way();
    let said = |name: &str, line: &str| {
        let output = shell(&at(name), line);
        assert!(output.status.success(), "{name}: {line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut mail = String::new();
    for name in names {
        fs::create_dir(at(name)).unwrap();
        fs::copy(scripts.join("demo/study.toml"), at(name).join("study.toml")).unwrap();
        said(name, &format!("{}/demo/export.sh {name} > rows.csv", scripts.display()));
        let address = free_address();
        let init = commands[0].replace("mpc.hamburg.example:7400", &address);
        let init = init.replace("hamburg", name) + &format!(" --listen {address}");
        mail += &said(name, &init);
    }
    for name in names {
        fs::write(at(name).join("invitations.txt"), &mail).unwrap();
        said(name, &format!("{} --yes", commands[1]));
        // The file is not one that the study knows.
        let refused = shell(&at(name), &commands[2]);
        assert_eq!(refused.status.code(), Some(3), "{refused:?}");
        let settings = at(name).join("party.toml");
        let own = fs::read_to_string(scripts.join(format!("demo/{name}.toml"))).unwrap();
        let text = fs::read_to_string(&settings).unwrap();
        let (before, after) = text.split_once("[data]\n").unwrap();
        fs::write(&settings, format!("{before}[data]\n{own}{after}")).unwrap();
        for command in &commands[3..5] {
            said(name, command);
        }
    }
    assert!(commands[5].starts_with("party train "), "{commands:?}");
    thread::scope(|scope| {
        let all: Vec<_> =
            names.iter().map(|name| scope.spawn(|| said(name, &commands[5]))).collect();
        for each in all {
            assert!(each.join().unwrap().contains("rx=1_indomethacin"));
        }
    });
    for command in &commands[6..] {
        let text = said("hamburg", command);
        // A key is as long as it is.
        let fits = |line: &str| line.chars().count() <= 80 || line.contains("ed25519:");
        assert!(text.lines().all(fits), "{text}");
    }
    let report = fs::read_to_string(at("hamburg").join("report.html")).unwrap();
    for words in [
        "<h1>Pancreatitis after ERCP: the trial&#39;s treatment and eight risks</h1>",
        "D. Officer, data protection officer",
        "rx: 1_indomethacin (base 0_placebo)",
        "Odds ratio",
        "To find out whether rectal indomethacin",
        "approvals = &quot;all&quot;",
        "482 rows",
    ] {
        assert!(report.contains(words), "{words}: {report}");
    }
    // It loads nothing.
    for mark in ["http:", "https:", "<script", "src=", "url("] {
        assert!(!report.contains(mark), "{mark}");
    }
    let tidy = fs::read_to_string(at("hamburg").join("tidy.csv")).unwrap();
    assert_eq!(tidy.lines().count(), 11, "{tidy}");
    // A file that is not the one of the receipt makes no report.
    let state = shell(&at("hamburg"), "ls -d state/*/");
    let state = String::from_utf8(state.stdout).unwrap();
    let model = at("hamburg").join(state.trim()).join("model.json");
    let text = fs::read_to_string(&model).unwrap();
    fs::write(&model, text.replacen("eight", "other", 1)).unwrap();
    let refused = shell(&at("hamburg"), "party report state/*/ --out again.html");
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(String::from_utf8(refused.stderr).unwrap().contains("another file"));
    assert!(!at("hamburg").join("again.html").exists());
}

#[test]
fn peers_are_listed_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["a", "b", "other", "hidden"] {
        fs::create_dir(at(name)).unwrap();
    }
    ok(&at("a"), "init --name bank-a");
    assert!(fails(&at("a"), 4, "invite").contains("--address HOST:PORT"));
    let own = json(&at("a"), "invite --address a.example:7400");
    let own = own["invitation"].as_str().unwrap().to_owned();
    ok(&at("b"), "init --name bank-b --address b.example:7400");
    ok(&at("other"), "init --name bank-b --address other.example:7400");
    let [invite, other] = ["b", "other"]
        .map(|name| json(&at(name), "invite")["invitation"].as_str().unwrap().to_owned());

    let before = fs::read_to_string(at("a").join("party.toml")).unwrap();
    let said = json(&at("a"), &format!("join --yes {own} {invite} {invite}"));
    assert_eq!(said["nodes"].as_array().unwrap().len(), 1);
    assert_eq!(said["nodes"][0]["change"], "added");
    let after = fs::read_to_string(at("a").join("party.toml")).unwrap();
    assert!(before.lines().all(|line| after.contains(line)), "{after}");
    assert_eq!(json(&at("a"), "peer list")["peers"][0]["address"], "b.example:7400");

    // Who cannot be dialled has no address, and none is asked for.
    let hidden = json(&at("a"), "invite --address -");
    assert_eq!(hidden["addresses"], serde_json::json!([]));
    ok(&at("hidden"), "init --name bank-h --address -");
    let said = ok(&at("hidden"), "invite --address -");
    assert!(said.contains("bank-h with no address"), "{said}");
    let hidden =
        json(&at("hidden"), "invite --address -")["invitation"].as_str().unwrap().to_owned();
    ok(&at("a"), &format!("join --yes {hidden}"));
    assert_eq!(json(&at("a"), "peer list")["peers"][1]["address"], Value::Null);
    ok(&at("a"), "peer remove bank-h");

    // Known already: no words are asked for, and an address may change. Another key may not.
    assert_eq!(json(&at("a"), &format!("join {invite}"))["nodes"][0]["change"], "known");
    let moved =
        json(&at("b"), "invite --address new.example:1")["invitation"].as_str().unwrap().to_owned();
    assert_eq!(json(&at("a"), &format!("join {moved}"))["nodes"][0]["before"], "b.example:7400");
    assert_eq!(json(&at("a"), "peer list")["peers"][0]["address"], "new.example:1");
    // Of an invitation with several addresses all are kept.
    let several = "invite --address one.example:1 --address two.example:2";
    let several = json(&at("b"), several)["invitation"].as_str().unwrap().to_owned();
    let said = json(&at("a"), &format!("join {several}"));
    assert_eq!(said["nodes"][0]["also"], serde_json::json!(["two.example:2"]), "{said}");
    let kept = fs::read_to_string(at("a").join("party.toml")).unwrap();
    assert!(kept.contains("[\"one.example:1\", \"two.example:2\"]"), "{kept}");
    assert!(ok(&at("a"), "peer list").contains("one.example:1, two.example:2"));
    assert_eq!(json(&at("a"), &format!("join {several}"))["nodes"][0]["change"], "known");
    assert!(
        fails(&at("b"), 2, "invite --address - --address b.example:1").contains("stands alone")
    );
    let refused = fails(&at("a"), 4, &format!("join --yes {other}"));
    assert!(
        refused.contains("another key") && refused.contains("party peer remove bank-b"),
        "{refused}"
    );
    assert!(
        fails(&at("a"), 4, &format!("join --yes --dealer {invite}")).contains("known as a peer")
    );
    assert!(fails(&at("a"), 2, &format!("join --yes {own}")).contains("this node itself"));
    assert!(fails(&at("a"), 2, &format!("join --yes {}", &invite[..60])).contains("cut off"));
    assert!(fails(&at("a"), 2, "join --yes nowhere.txt").contains("no invitation"));

    // The advice works.
    ok(&at("a"), "peer remove bank-b");
    assert!(fails(&at("a"), 4, "peer remove bank-b").contains("no node called bank-b"));
    ok(&at("a"), &format!("join --yes --dealer {other}"));
    assert_eq!(json(&at("a"), "peer list")["peers"][0]["dealer"], true);
    ok(&at("a"), "peer remove bank-b");
    assert!(ok(&at("a"), "peer list").contains("No other node is known"));
}

/// How a command of a node ended: exit code, and what it said in JSON.
fn ended(
    nodes: &Nodes,
    name: &str,
    line: &str,
    variable: Option<(&str, &str)>,
) -> (Option<i32>, Value) {
    let output =
        command(&nodes.dir(name), &format!("--json {line}")).envs(variable).output().unwrap();
    let json = serde_json::from_slice(&output.stdout);
    (output.status.code(), json.unwrap_or_else(|_| panic!("{line}: {output:?}")))
}

/// Runs the same at all parties.
fn all(nodes: &Nodes, command: impl Fn(&str) -> Command) -> Vec<Ended> {
    let running: Vec<Running> =
        nodes.parties().iter().map(|name| nodes.spawn(name, &mut command(name))).collect();
    running.into_iter().map(Running::end).collect()
}

/// docs/operations.md, A new key.
#[test]
fn a_new_key_loses_nothing_and_is_taken_where_the_old_one_signed_it() {
    let nodes = clinics::nodes(2, 1);
    let (own, peer) = ("clinic-0", "clinic-1");
    let text = fs::read_to_string(nodes.dir(own).join("study.toml")).unwrap();
    let text = text.replace("\"dealer\"", "\"pairwise\"");
    for name in nodes.parties() {
        fs::write(nodes.dir(name).join("study.toml"), &text).unwrap();
    }
    let other = text.replace("Illness by age", "Another study, of age");
    fs::write(nodes.dir(own).join("other.toml"), other).unwrap();
    all(&nodes, |name| nodes.command(name)).iter().for_each(|ended| ended.expect(0, &[]));
    let approve = "study approve other.toml --data rows.csv --name A --role B";
    assert_eq!(ended(&nodes, own, approve, None).0, Some(0));
    let memory = ended(&nodes, own, "studies", None).1;
    let model_file = nodes.results(own).join("model.json");
    let model = fs::read(&model_file).unwrap();

    // Not beside a node that is at work with the old key.
    let key = nodes.dir(own).join("identity.key");
    let before = Identity::read(&key).unwrap();
    let state = State::lock(&nodes.dir(own).join("state"), &before).unwrap();
    let (code, json) = ended(&nodes, own, "identity rotate", None);
    assert!(
        code == Some(4) && json["error"]["what"].as_str().unwrap().contains("at work"),
        "{json}"
    );
    drop(state);
    let (code, new) = ended(&nodes, own, "identity rotate", None);
    assert_eq!(code, Some(0), "{new}");
    assert_eq!(new["key_before"], before.fingerprint().to_string());
    assert_ne!(new["fingerprint"], new["key_before"]);

    // The memory is the same: studies, runs, data sets, ledger. What was released stays so.
    assert_eq!(ended(&nodes, own, "studies", None).1, memory);
    let train = "train study.toml --data rows.csv";
    assert_eq!(ended(&nodes, own, train, None).0, Some(8));
    // An approval of before does not count for the others any more.
    let required = Some(("PARTY__CONSENT__REQUIRED", "true"));
    let (code, json) = ended(&nodes, own, "train other.toml --data rows.csv", required);
    let what = json["error"]["what"].as_str().unwrap();
    assert!(code == Some(4) && what.contains("a key that was replaced since"), "{what}");
    assert_eq!(ended(&nodes, own, approve, None).0, Some(0));

    // The others refuse the new key until they have joined again; then the old signature counts.
    fs::remove_file(&model_file).unwrap();
    let waiting = nodes.spawn(peer, &mut nodes.recover(peer));
    nodes.spawn(own, &mut nodes.recover(own)).end().expect(4, &["has not pinned this node's key"]);
    drop(waiting);
    let invitation = new["invitation"].as_str().unwrap();
    let said = ended(&nodes, peer, &format!("join --yes {invitation}"), None).1;
    assert_eq!(said["nodes"][0]["change"], "key", "{said}");
    assert_eq!(said["nodes"][0]["before"], new["key_before"]);
    all(&nodes, |name| nodes.recover(name)).iter().for_each(|ended| ended.expect(0, &[]));
    assert_eq!(fs::read(&model_file).unwrap(), model);

    // A part of before is done again with the key of before, which still opens the memory.
    let replay = "audit replay study.toml --data rows.csv";
    let (code, json) = ended(&nodes, own, replay, None);
    assert!(
        code == Some(3)
            && json["error"]["what_to_do"].as_str().unwrap().contains("PARTY__IDENTITY__KEY"),
        "{json}"
    );
    let kept = Some(("PARTY__IDENTITY__KEY", "identity.key.1"));
    assert_eq!(ended(&nodes, own, replay, kept).0, Some(0));
}

/// `party plan` against the meters of real runs, for a model of each kind: by elimination, by descent, and by
/// passes, whose number depends on the data.
#[test]
fn a_plan_says_what_a_run_takes() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/data");
    let read = |folder: &str, file: &str| fs::read_to_string(data.join(folder).join(file)).unwrap();
    let public = |folder: &str| {
        let rows = ["party1.csv", "party2.csv", "party3.csv"].map(|file| read(folder, file));
        (read(folder, "study.toml"), rows.to_vec())
    };
    let clinics = clinics::nodes(3, 2);
    let descent = fs::read_to_string(clinics.dir("clinic-0").join("study.toml")).unwrap();
    let pairwise = descent.replace("\"dealer\"", "\"pairwise\"");
    let rows = clinics.parties().iter().map(|name| clinics.dir(name).join("rows.csv"));
    let rows: Vec<String> = rows.map(|path| fs::read_to_string(path).unwrap()).collect();
    let cases = [
        (public("concrete_strength"), true),
        ((pairwise, rows.clone()), true),
        ((descent, rows), true),
        (public("doctor_visits_count"), false),
    ];
    for ((study, rows), fixed) in cases {
        let read = Study::from_bytes(study.as_bytes()).unwrap();
        let names: Vec<&str> = read.parties().iter().map(PartyName::as_str).collect();
        let nodes = Nodes::new(&names, &study, &rows);
        let patient = ("PARTY__NETWORK__SILENCE_TIMEOUT_S", "60");
        let command = |name: &str| {
            let mut command = nodes.command(name);
            command.env(patient.0, patient.1);
            command
        };
        let dealer = study.contains("correlations = \"dealer\"").then(|| nodes.start(DEALER));
        all(&nodes, command).iter().for_each(|ended| ended.expect(0, &[]));
        dealer.into_iter().for_each(|dealer| dealer.end().expect(0, &[]));
        let counts: Vec<String> =
            rows.iter().map(|text| (text.lines().count() - 1).to_string()).collect();
        // The first one by the check, which tells the same of a rehearsal beside what it tells of the own rows.
        let checked = study.contains("\"strength\"");
        let counts = counts.join(",");
        let plan = match checked {
            true => format!("study check study.toml --data rows.csv --rows {counts} --rehearse"),
            false => format!("plan study.toml --rows {counts}"),
        };
        let (code, plan) = ended(&nodes, names[0], &plan, None);
        assert_eq!(code, Some(0), "{plan}");
        let plan = if checked { &plan["rehearsed"] } else { &plan };
        for (place, name) in names.iter().enumerate() {
            let receipt = fs::read_to_string(nodes.results(name).join("receipt.json")).unwrap();
            let receipt: Value = serde_json::from_str(&receipt).unwrap();
            let (real, due) =
                (&receipt["phases"]["total"], &plan["parties"][place]["phases"]["total"]);
            let bytes = |of: &Value| of["bytes_sent"].as_f64().unwrap();
            let ratio = bytes(due) / bytes(real);
            assert!((0.8..1.2).contains(&ratio), "{}: {ratio} at {name}", read.title());
            assert!(!fixed || real["rounds"] == due["rounds"], "{}: {real} {due}", read.title());
        }
        assert!(plan["minutes"].as_f64().unwrap() > 0.0);
        assert!(plan["memory_bytes"].as_u64().unwrap() > 1 << 20, "{plan}");
    }
}
