//! Audits of whole studies: a party's part is done again, and compared with what others received.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mpc_core::session::Signed;
use mpc_ml::artifact::Model;
use mpc_net::record::reached;
use parties::evaluating;
use parties::identity::Identity;
use parties::node::{Exported, Keys};
use serde_json::Value;

#[path = "support/clinics.rs"]
mod clinics;
mod support;

use support::{DEALER, Nodes, Running};

fn run(nodes: &Nodes, name: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    command.args(["--config", &nodes.config(name), "--json", "audit"]).args(arguments);
    command.output().unwrap()
}

/// The end of a command: its exit code, and what it said.
fn end(output: &Output) -> (i32, Value) {
    let text = String::from_utf8_lossy(&output.stdout);
    let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code().unwrap(), json)
}

struct Audited {
    nodes: Nodes,
    /// What each other party exported about the first one.
    exported: Vec<PathBuf>,
}

impl Audited {
    fn study(&self) -> String {
        self.nodes.dir("clinic-0").join("study.toml").to_str().unwrap().to_owned()
    }

    fn replay(&self, against: &[&Path]) -> (i32, Value) {
        let (study, rows) = (self.study(), self.nodes.dir("clinic-0").join("rows.csv"));
        let mut arguments = vec!["replay", &study, "--data", rows.to_str().unwrap()];
        if !against.is_empty() {
            arguments.push("--against");
        }
        arguments.extend(against.iter().map(|path| path.to_str().unwrap()));
        end(&run(&self.nodes, "clinic-0", &arguments))
    }

    #[track_caller]
    fn refused(&self, against: &[&Path], code: i32, words: &str) {
        let (ended, json) = self.replay(against);
        let what = json["error"]["what"].as_str().unwrap_or_default();
        assert!(ended == code && what.contains(words), "{json:#}");
    }

    /// What a node exports about another.
    fn export(&self, name: &str, about: &str, to: &Path) -> i32 {
        let (study, to) = (self.study(), to.to_str().unwrap());
        end(&run(&self.nodes, name, &["export", &study, "--about", about, "--out", to])).0
    }
}

/// A study that has ended, and what the others exported about its first party.
fn audited(correlations: &str) -> Audited {
    let nodes = clinics::nodes(3, 2);
    for name in nodes.parties() {
        let path = nodes.dir(name).join("study.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("\"dealer\"", &format!("{correlations:?}"));
        fs::write(&path, text).unwrap();
    }
    ended(nodes, correlations)
}

/// The same of nodes that have their study.
fn ended(nodes: Nodes, correlations: &str) -> Audited {
    let names = nodes.names.iter().filter(|name| *name != DEALER || correlations == DEALER);
    let running: Vec<Running> = names.map(|name| nodes.start(name)).collect();
    for ended in running.into_iter().map(Running::end) {
        ended.expect(0, &["\"ok\": true"]);
    }
    let mut audited = Audited { nodes, exported: Vec::new() };
    for name in &audited.nodes.parties()[1..] {
        let out = audited.nodes.dir(name).join("about.bin");
        assert_eq!(audited.export(name, "clinic-0", &out), 0);
        audited.exported.push(out);
    }
    audited
}

/// Another digest of one message in what was exported, under a signature of the audited party: what
/// there is when it really sent something else.
fn deviate(audited: &Audited, channel: &str, number: usize, signed: bool) -> PathBuf {
    let path = &audited.exported[0];
    let mut exported = Exported::read(path).unwrap();
    exported.received.get_mut(channel).unwrap()[number].digest[5] ^= 1;
    if signed {
        let key = audited.nodes.dir("clinic-0").join("identity.key");
        let keys = Keys::new(&Identity::read(&key).unwrap(), Vec::new());
        for one in &mut exported.statements {
            let mut statement = one.statement.clone();
            for said in &mut statement.reached {
                let entries = &exported.received[&said.channel];
                *said = reached(&said.channel, entries, said.messages).unwrap();
            }
            *one = Signed::sign(statement, &keys).unwrap();
        }
    }
    let changed = path.with_extension("changed");
    fs::write(&changed, exported.to_bytes().unwrap()).unwrap();
    changed
}

#[test]
fn a_party_shows_that_it_did_its_part_and_a_deviation_is_found_in_every_step() {
    let audited = audited("pairwise");
    let all: Vec<&Path> = audited.exported.iter().map(PathBuf::as_path).collect();
    let (code, json) = audited.replay(&all);
    assert_eq!((code, &json["agrees"]), (0, &Value::Bool(true)), "{json:#}");
    for with in json["with"].as_array().unwrap() {
        assert!(with["messages"].as_u64().unwrap() > 40, "{with}");
        assert_eq!(with["messages"], with["signed"]);
    }
    // Without the others' records the party's own is all there is.
    let (code, json) = audited.replay(&[]);
    assert_eq!((code, json["with"].as_array().unwrap().len()), (0, 2), "{json:#}");

    // What is kept is private, and its size is in the receipt.
    let folder = audited.nodes.results("clinic-0");
    let receipt = fs::read_to_string(folder.join("receipt.json")).unwrap();
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    let files = ["audit.bin", "received.bin"].map(|name| folder.join(name).metadata().unwrap());
    assert!(files.iter().all(|file| file.permissions().mode() & 0o777 == 0o600));
    let bytes: u64 = files.iter().map(fs::Metadata::len).sum();
    assert_eq!(receipt["kept_for_audit"].as_u64().unwrap(), bytes);

    // One message of each step.
    let exported = Exported::read(&audited.exported[0]).unwrap();
    let mut steps: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for (channel, entries) in &exported.received {
        for (number, entry) in entries.iter().enumerate() {
            steps.insert(entry.step.clone(), (channel.clone(), number));
        }
    }
    assert!(steps.len() >= 12, "{steps:?}");
    for (step, (channel, number)) in steps {
        let changed = deviate(&audited, &channel, number, true);
        let (code, json) = audited.replay(&[&changed]);
        let what = json["error"]["what"].as_str().unwrap_or_default();
        let words = [
            format!("clinic-0 sent clinic-1 another message as number {number} of"),
            format!("in the step {step}"),
            "clinic-0 signed that it sent this".to_owned(),
        ];
        assert_eq!(code, 9, "{json:#}");
        assert!(words.iter().all(|word| what.contains(word)), "{step}: {json:#}");
    }
}

/// An audit of a description is one like any other; a protocol that this program does not know is refused with a way.
#[test]
fn a_description_is_audited_and_an_unknown_protocol_refused() {
    let names = ["clinic-0", "clinic-1", "clinic-2"];
    let agreement = include_str!("../examples/describe.toml");
    let agreement = agreement.replace("[\"north\", \"east\", \"south\"]", &format!("{names:?}"));
    let rows = names.map(|name| {
        let cells = (0..40).map(|i| {
            let noise = (i * 7919 + name.len() * 13) % 101;
            let (treatment, sex) = (["usual", "new"][i % 2], ["f", "m"][i / 2 % 2]);
            format!("{treatment},{sex},{},{}\n", 30 + noise % 50, 90 + noise)
        });
        "treatment,sex,age,pressure\n".to_owned() + &cells.collect::<String>()
    });
    let audited = ended(Nodes::new(&names, &agreement, &rows), "pairwise");
    let all: Vec<&Path> = audited.exported.iter().map(PathBuf::as_path).collect();
    let (code, json) = audited.replay(&all);
    assert_eq!((code, &json["agrees"]), (0, &Value::Bool(true)), "{json:#}");
    assert!(json["with"].as_array().unwrap().iter().all(|with| with["messages"] == with["signed"]));
    let changed = deviate(&audited, "", 6, true);
    audited.refused(&[&changed], 9, "clinic-0 signed that it sent this");

    let path = audited.nodes.dir("clinic-0").join("study.toml");
    fs::write(path, agreement.replace("describe/1", "spread/1")).unwrap();
    let (code, json) = audited.replay(&all);
    let told = json["error"].to_string();
    assert!(code == 2 && told.contains("spread/1") && told.contains("Again::of"), "{json:#}");
}

/// So is an evaluation of the model that a study left at its nodes, which write a page on each run beside its result.
#[test]
fn an_evaluation_is_audited_and_reported() {
    let nodes = clinics::nodes(3, 2);
    for name in nodes.parties() {
        let config = nodes.config(name);
        let text = fs::read_to_string(&config).unwrap() + "\n[output]\nreport = true\n";
        fs::write(config, text).unwrap();
    }
    let Audited { nodes, exported } = ended(nodes, DEALER);
    exported.iter().for_each(|file| fs::remove_file(file).unwrap());
    let file = nodes.results("clinic-0").join("model.json");
    let bytes = fs::read(&file).unwrap();
    let model = Model::from_json(&bytes).unwrap();
    let draft = |cuts: &[f64]| {
        evaluating::draft(&model, &evaluating::fingerprint(&bytes), nodes.parties(), Some(cuts))
    };
    let refused = draft(&[0.5, 0.2]).unwrap_err().to_string();
    assert!(refused.contains("1 to 99 probabilities between 0 and 1, ascending"), "{refused}");
    let text = draft(&[0.25, 0.5]).unwrap();
    assert!(text.contains("\ncuts = [0.25, 0.5]\n"), "{text}");
    for name in nodes.parties() {
        fs::write(nodes.dir(name).join("study.toml"), &text).unwrap();
    }
    let audited = ended(nodes, "pairwise");
    let all: Vec<&Path> = audited.exported.iter().map(PathBuf::as_path).collect();
    let (code, json) = audited.replay(&all);
    assert_eq!((code, &json["agrees"]), (0, &Value::Bool(true)), "{json:#}");
    assert!(json["with"].as_array().unwrap().iter().all(|with| with["messages"] == with["signed"]));
    let changed = deviate(&audited, "", 6, true);
    audited.refused(&[&changed], 9, "clinic-0 signed that it sent this");

    let study = audited.study();
    let folders = fs::read_dir(audited.nodes.dir("clinic-0").join("state")).unwrap();
    let folders = folders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let folders: Vec<PathBuf> = folders.collect();
    assert_eq!(folders.len(), 2);
    for folder in folders {
        let page = fs::read_to_string(folder.join("report.html")).unwrap();
        let evaluated = folder.join("result.json").exists();
        assert_eq!(page.contains("Calibration"), evaluated);
        // The study is the text word by word, and the rest what the command makes of the folder.
        assert_eq!(page.contains("name = &quot;evaluate/1&quot;"), evaluated, "{page}");
        assert_eq!(page.contains("learning_rate = 0.5"), !evaluated);
        let out = folder.with_extension("html");
        let own = [folder.to_str().unwrap(), "--out", out.to_str().unwrap()];
        let with = if evaluated { vec!["--study", &study] } else { vec![] };
        support::party(&[&["report"][..], &own[..], &with[..]].concat());
        assert_eq!(fs::read_to_string(&out).unwrap() == page, evaluated);
    }
    let rows = audited.nodes.dir("clinic-0").join("rows.csv");
    let text = fs::read_to_string(&rows).unwrap();
    fs::write(&rows, text.replacen("yes", "no", 1)).unwrap();
    audited.refused(&all, 3, "not the rows of that run");
}

/// The estimates of each clinic's own rows, by an agreement that says so: told, combined, reported and audited.
#[test]
fn effects_by_site_are_told_and_audited() {
    let names = ["clinic-0", "clinic-1", "clinic-2"];
    let study = "version = 1\ntitle = \"Cost by age\"\nparties = [\"clinic-0\", \"clinic-1\", \"clinic-2\"]\n\
        features = [{ name = \"age\", range = [0, 100] }]\n\
        [model]\nkind = \"linear\"\ntarget = { column = \"cost\", range = [-100, 400] }\n\
        [security]\ncorrelations = \"pairwise\"\n";
    let slopes = [1.0, 1.0, 3.0];
    let rows = slopes.map(|slope| {
        let cells = (0..60).map(|i| {
            let (age, noise) = (20 + i * 37 % 61, f64::from(i * 7919 % 101) / 10.0);
            format!("{age},{}\n", slope * f64::from(age) + noise)
        });
        "age,cost\n".to_owned() + &cells.collect::<String>()
    });
    let Audited { nodes, exported } = ended(Nodes::new(&names, study, &rows), "pairwise");
    exported.iter().for_each(|file| fs::remove_file(file).unwrap());
    let bytes = fs::read(nodes.results("clinic-0").join("model.json")).unwrap();
    let sites = include_str!("../examples/sites.toml");
    let (before, after) = sites.split_once("model = \"sha256:").unwrap();
    let text =
        format!("{before}model = \"sha256:{}{}", evaluating::fingerprint(&bytes), &after[64..])
            .replace("[\"michigan\", \"indiana\", \"kentucky\"]", &format!("{names:?}"))
            .replace("[\"rx=1_indomethacin\", \"age\"]", "[\"age\"]");
    for name in nodes.parties() {
        fs::write(nodes.dir(name).join("study.toml"), &text).unwrap();
        let config = nodes.config(name);
        let settings = fs::read_to_string(&config).unwrap() + "\n[output]\nreport = true\n";
        fs::write(config, settings).unwrap();
    }
    let audited = ended(nodes, "pairwise");
    let all: Vec<&Path> = audited.exported.iter().map(PathBuf::as_path).collect();
    let (code, json) = audited.replay(&all);
    assert_eq!((code, &json["agrees"]), (0, &Value::Bool(true)), "{json:#}");

    let folder = fs::read_dir(audited.nodes.dir("clinic-1").join("state")).unwrap();
    let folder =
        folder.map(|entry| entry.unwrap().path()).find(|path| path.join("result.json").exists());
    let folder = folder.unwrap();
    let result = fs::read(folder.join("result.json")).unwrap();
    let result: Value = serde_json::from_slice(&result).unwrap();
    let effect = &result["result"]["effects"][0];
    for (site, slope) in effect["sites"].as_array().unwrap().iter().zip(slopes) {
        let (got, error) =
            (site["estimate"].as_f64().unwrap(), site["std_error"].as_f64().unwrap());
        assert!((got - slope).abs() < 4.0 * error && error < 0.1, "{site}");
    }
    assert!(effect["combined"]["i2"].as_f64().unwrap() > 0.95, "{effect}");
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    assert!(page.contains("clinic-2 (60 rows)") && page.contains("One effect for all"), "{page}");
    assert_eq!(audited.nodes.revealed("clinic-1").1.last().unwrap(), "sites/estimates");
}

#[test]
fn who_says_something_else_than_was_sent_proves_nothing() {
    let audited = audited(DEALER);
    let all: Vec<&Path> = audited.exported.iter().map(PathBuf::as_path).collect();
    assert_eq!(audited.replay(&all).0, 0);

    let model = clinics::model(&audited.nodes.results("clinic-0"));

    // A peer that makes up what it received has no signature for it.
    let changed = deviate(&audited, "", 3, false);
    audited.refused(&[&changed], 3, "not the messages that the audited party signed");
    let mut exported = Exported::read(all[0]).unwrap();
    exported.statements[0].signature[9] ^= 1;
    fs::write(&changed, exported.to_bytes().unwrap()).unwrap();
    audited.refused(&[&changed], 3, "signature of the audited party does not hold");
    fs::write(&changed, b"mpc-audit").unwrap();
    audited.refused(&[&changed], 3, "not what `party audit export` writes");
    audited.refused(&[Path::new("/dev/zero")], 3, "not a regular file");
    // Nor does the record of another party.
    let other = audited.nodes.dir("clinic-1").join("other.bin");
    assert_eq!(audited.export("clinic-1", "clinic-2", &other), 0);
    audited.refused(&[&other], 3, "not about the messages of the party");
    assert_eq!(audited.export("clinic-1", "clinic-1", &other), 2);

    // The audited party can change neither its rows nor what it received.
    let rows = audited.nodes.dir("clinic-0").join("rows.csv");
    let text = fs::read_to_string(&rows).unwrap();
    fs::write(&rows, text.replacen("yes", "no", 1)).unwrap();
    audited.refused(&all, 3, "not the rows of that run");
    fs::write(&rows, text).unwrap();
    let folder = audited.nodes.results("clinic-0");
    let received = folder.join("received.bin");
    let bytes = fs::read(&received).unwrap();
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 4;
    fs::write(&received, changed).unwrap();
    audited.refused(&all, 3, "not those of the record");
    fs::write(&received, bytes).unwrap();
    let record = folder.join("audit.bin");
    let mut sealed = fs::read(&record).unwrap();
    let before = sealed.clone();
    sealed[30] ^= 1;
    fs::write(&record, sealed).unwrap();
    audited.refused(&all, 3, "the record was changed");
    fs::write(&record, before).unwrap();
    assert_eq!(audited.replay(&all).0, 0);

    // What was done again has changed nothing, and what is forgotten is gone.
    assert_eq!(clinics::model(&folder), model);
    let (code, json) = end(&run(&audited.nodes, "clinic-0", &["forget", &audited.study()]));
    assert!(code == 0 && json["bytes"].as_u64().unwrap() > 1000, "{json:#}");
    assert!(!received.exists() && !record.exists());
    audited.refused(&all, 4, "nothing is kept");
}
