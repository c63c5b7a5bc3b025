//! Whole studies: real processes that meet over real QUIC on loopback, and trouble on purpose.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use mpc_ml::artifact::Model;
use serde_json::Value;

#[path = "support/clinics.rs"]
mod clinics;
#[path = "study/federated.rs"]
mod federated;
#[path = "study/relay.rs"]
mod relay;
mod support;
#[path = "study/terms.rs"]
mod terms;

use clinics::{model, nodes};
use support::{DEALER, Nodes, Running, hang_up, party};

#[test]
fn a_study_ends_with_one_model_at_all_parties_and_runs_once() {
    for parties in [2, 3] {
        let nodes = nodes(parties, 4);
        // The export of one of them ends in a line that is no row.
        let path = nodes.dir(&nodes.names[0]).join("rows.csv");
        let rows = fs::read_to_string(&path).unwrap() + "Total,,,,\n";
        fs::write(&path, rows).unwrap();
        let settings = fs::read_to_string(nodes.config(&nodes.names[0])).unwrap();
        let data = "\n[data]\npath = \"rows.csv\"\nnot_rows = [\"Total\"]\n";
        fs::write(nodes.config(&nodes.names[0]), settings + data).unwrap();
        // Nodes start in any order, and wait for each other.
        let mut running = Vec::new();
        for name in nodes.names.iter().rev() {
            running.push(nodes.start(name));
            std::thread::sleep(Duration::from_millis(200));
        }
        for ended in running.into_iter().map(Running::end) {
            ended.expect(0, &["\"ok\": true"]);
            let told = ended.stderr.contains("note: 1 line passed over as no rows");
            assert_eq!(told, ended.name == nodes.names[0], "{}", ended.stderr);
        }
        let models: Vec<Model> =
            nodes.parties().iter().map(|name| model(&nodes.results(name))).collect();
        assert!(models.windows(2).all(|pair| pair[0] == pair[1]));
        let age = models[0].standardised().coefficients.value("age").unwrap();
        assert!(age > 0.5, "the model finds what is there: {age}");

        let folder = nodes.results(&nodes.names[0]);
        let receipt = fs::read_to_string(folder.join("receipt.json")).unwrap();
        let receipt: Value = serde_json::from_str(&receipt).unwrap();
        assert_eq!(receipt["format"], "mpc-receipt");
        assert_eq!(receipt["nodes"].as_array().unwrap().len(), parties + 1);
        let rounds = receipt["phases"]["training"]["rounds"].as_u64().unwrap();
        // Three an iteration, and one more for each opening that is committed to.
        let iterations = receipt["iterations"].as_u64().unwrap();
        assert!((3 * iterations..=5 * iterations).contains(&rounds), "{rounds}");

        // A study is released once: refused alone, before anybody is met.
        let again = nodes.start(&nodes.names[0]).end();
        again.expect(8, &["released before"]);
        assert!(again.after < Duration::from_secs(5));

        // The model applies to rows on this machine alone.
        let model = folder.join("model.json");
        let rows = nodes.dir(&nodes.names[0]).join("rows.csv");
        let predict = [
            "--json",
            "predict",
            "--model",
            model.to_str().unwrap(),
            "--data",
            rows.to_str().unwrap(),
            "--evaluate",
        ];
        let scores: Value = serde_json::from_slice(&party(&predict).stdout).unwrap();
        assert!(scores["scores"]["auc"].as_f64().unwrap() > 0.7, "{scores}");
    }
}

#[test]
fn another_study_is_named_within_five_seconds() {
    let nodes = nodes(2, 4);
    let path = nodes.dir("clinic-1").join("study.toml");
    let text = fs::read_to_string(&path).unwrap().replace("seed = 3", "seed = 4");
    fs::write(&path, text).unwrap();
    let running = [nodes.start("clinic-0"), nodes.start("clinic-1")];
    for ended in running.into_iter().map(Running::end) {
        ended.expect(4, &["stud"]);
        let other = if ended.name == "clinic-0" { "clinic-1" } else { "clinic-0" };
        ended.expect(4, &[other]);
        assert!(ended.after < Duration::from_secs(5), "took {:?}", ended.after);
    }
}

/// Settings that cannot be met, and a column that says nothing: all parties see it from what is
/// public or revealed, and none takes the end of another for a loss.
#[test]
fn what_all_parties_see_is_refused_by_all_with_the_reason() {
    let change = |nodes: &Nodes, file: &str, from: &str, to: &str| {
        for name in nodes.parties() {
            let path = nodes.dir(name).join(file);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            fs::write(&path, text.replace(from, to)).unwrap();
        }
    };
    let large = nodes(3, 4);
    change(&large, "study.toml", "batch = 16", "batch = 1000");
    let constant = nodes(3, 4);
    for name in constant.parties() {
        let path = constant.dir(name).join("rows.csv");
        let mut text = String::from("id,age,dose,sex,ill\n");
        (0..50).for_each(|i| writeln!(text, "{i},40,{i},f,no").unwrap());
        fs::write(path, text).unwrap();
    }
    for (nodes, reason) in [(large, "training.batch is 1000"), (constant, "column age is constant")]
    {
        for ended in nodes.start_all().into_iter().map(Running::end) {
            if ended.name != DEALER {
                ended.expect(4, &[reason]);
            }
        }
        assert!(!nodes.results("clinic-0").join("model.json").exists());
    }
}

#[test]
fn a_wrong_key_is_named_within_five_seconds() {
    let nodes = nodes(2, 4);
    // clinic-0 pins a key for clinic-1 that is not the one clinic-1 has.
    let other = tempfile::tempdir().unwrap();
    let dir = other.path().join("x");
    party(&["init", "--dir", dir.to_str().unwrap(), "--name", "x"]);
    let config = dir.join("party.toml");
    let wrong = party(&["--config", config.to_str().unwrap(), "fingerprint"]).stdout;
    let wrong = String::from_utf8(wrong).unwrap();
    let right = party(&["--config", &nodes.config("clinic-1"), "fingerprint"]).stdout;
    let right = String::from_utf8(right).unwrap();
    let settings = fs::read_to_string(nodes.config("clinic-0")).unwrap();
    fs::write(nodes.config("clinic-0"), settings.replace(right.trim(), wrong.trim())).unwrap();

    let peer = nodes.start("clinic-1");
    let ended = nodes.start("clinic-0").end();
    ended.expect(4, &["clinic-1", right.trim(), wrong.trim()]);
    assert!(ended.after < Duration::from_secs(5), "took {:?}", ended.after);
    drop(peer);
}

/// As the system tells it of real processes: whoever holds rows, a key or masks leaves no core dump.
#[cfg(target_os = "linux")]
#[test]
fn nodes_leave_no_core_dump() {
    let nodes = nodes(2, 4);
    let mut recover = nodes.recover("clinic-1");
    let running = [
        (nodes.start("clinic-0"), "train"),
        (nodes.start(DEALER), "dealer"),
        (nodes.spawn("clinic-1", &mut recover), "recover"),
    ];
    for (node, what) in running {
        let limit = || {
            let limits = fs::read_to_string(node.proc("limits")).unwrap();
            let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
            core.split_whitespace().skip(4).take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        // It is the first thing that a process does, but it has to begin.
        let begin = Instant::now();
        while limit() != ["0", "0"] {
            assert!(begin.elapsed() < Duration::from_secs(10), "{what}: {:?}", limit());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Starts a long study and waits until it trains.
fn in_training(nodes: &Nodes) -> Vec<Running> {
    let running = nodes.start_all();
    nodes.wait_for_training();
    std::thread::sleep(Duration::from_millis(300));
    running
}

#[test]
fn a_killed_node_is_named_by_the_others() {
    let nodes = nodes(3, 20_000);
    let mut running = in_training(&nodes);
    let victim = running.remove(1);
    victim.signal("-KILL");
    let begin = Instant::now();
    for ended in running.into_iter().map(Running::end) {
        assert_eq!(ended.code, Some(6), "{}: {}{}", ended.name, ended.stdout, ended.stderr);
        if ended.name != DEALER {
            ended.expect(6, &["peer-lost"]);
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(15), "took {:?}", begin.elapsed());
    assert!(!nodes.results("clinic-0").join("model.json").exists());
}

/// By SIGTERM, or by SIGHUP, which comes when the terminal goes; and the study, of which only the
/// joint statistics were revealed, can be started again on the same rows.
#[test]
fn a_stopped_node_tells_the_others() {
    let nodes = nodes(2, 20_000);
    for (run, signal) in [(1, "-TERM"), (2, hang_up())] {
        let mut running = in_training(&nodes);
        let stopped = running.remove(0);
        stopped.signal(signal);
        let stopped = stopped.end();
        stopped.expect(7, &["stopped by the operator"]);
        let told = stopped.stderr.contains("run 2 of this study on these rows");
        assert_eq!(told, run == 2, "{}", stopped.stderr);
        let other = running.remove(0).end();
        other.expect(6, &["clinic-0 gave up", "its operator stopped it"]);
        assert_eq!(running.remove(0).end().code, Some(6));
    }
    // On other rows it is not.
    let path = nodes.dir("clinic-0").join("rows.csv");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replacen(",yes", ",no", 1)).unwrap();
    let ends: Vec<_> = nodes.start_all().into_iter().map(Running::end).collect();
    ends[0].expect(8, &["revealed something about other rows"]);
    ends[1].expect(6, &["clinic-0 gave up"]);
}

/// As `nohup` starts it: the end of a terminal is none of a node's business then.
#[test]
fn a_node_that_was_started_to_ignore_sighup_goes_on() {
    let nodes = nodes(2, 4);
    let command = nodes.command("clinic-0");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    let log = nodes.dir("clinic-0").join("log");
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(&log).unwrap());
    let first = nodes.spawn("clinic-0", &mut shell);
    first.wait_for_word(&log, "waiting for");
    first.signal("-HUP");
    std::thread::sleep(Duration::from_millis(300));
    let others = [nodes.start("clinic-1"), nodes.start(DEALER)];
    first.end().expect(0, &["\"ok\": true"]);
    others.into_iter().for_each(|other| other.end().expect(0, &[]));
}

/// While the nodes meet, too: those that have joined need not wait for anybody then.
#[test]
fn a_node_that_is_stopped_while_others_join_is_named_by_them() {
    for signal in ["-INT", hang_up()] {
        let nodes = nodes(3, 4);
        let log = nodes.dir("clinic-1").join("log");
        let mut command = nodes.command("clinic-1");
        command.stderr(fs::File::create(&log).unwrap());
        let other = nodes.spawn("clinic-1", &mut command);
        let stopped = nodes.start("clinic-0");
        other.wait_for_word(&log, "clinic-0 has joined");
        stopped.signal(signal);
        let begin = Instant::now();
        stopped.end().expect(7, &["stopped by the operator"]);
        other.end().expect(6, &["clinic-0 gave up: its operator stopped it"]);
        assert!(begin.elapsed() < Duration::from_secs(5), "took {:?}", begin.elapsed());
    }
}

/// A result that cannot be written is the trouble of its party alone: the others have theirs, print
/// it, and end well, with a note about the one that they lost.
#[test]
fn a_node_that_cannot_write_tells_the_others_who_keep_their_results() {
    let nodes = nodes(3, 200);
    let running = nodes.start_all();
    nodes.wait_for_training();
    fs::write(nodes.results("clinic-0").join("model.json"), "in the way").unwrap();
    let mut ends = running.into_iter().map(Running::end);
    ends.next().unwrap().expect(8, &["model.json", "exists already"]);
    for _ in 1..nodes.parties().len() {
        let ended = ends.next().unwrap();
        let note = "clinic-0 gave up: it could not write its result";
        ended.expect(0, &["\"ok\": true", "\"coefficients\"", "the result here is complete", note]);
        model(&nodes.results(&ended.name));
    }

    // The others give it the model that it could not write.
    fs::remove_file(nodes.results("clinic-0").join("model.json")).unwrap();
    let recover = |nodes: &Nodes| {
        let start = |name: &String| nodes.spawn(name, &mut nodes.recover(name));
        let running: Vec<Running> = nodes.parties().iter().map(start).collect();
        running.into_iter().map(Running::end).collect::<Vec<_>>()
    };
    let ends = recover(&nodes);
    ends[0].expect(0, &["\"received\": true"]);
    ends[1].expect(0, &["\"given_to\": [\n    \"clinic-0\"\n  ]"]);
    ends[2].expect(0, &["\"received\": false"]);
    let bytes = |name| fs::read(nodes.results(name).join("model.json")).unwrap();
    assert_eq!(bytes("clinic-0"), bytes("clinic-1"));
    nodes.start("clinic-0").end().expect(8, &["released before"]);
    recover(&nodes).iter().for_each(|ended| ended.expect(0, &["\"given_to\": []"]));

    // Files that differ are not given to anybody.
    let text = String::from_utf8(bytes("clinic-2")).unwrap();
    let path = nodes.results("clinic-2").join("model.json");
    fs::write(&path, text.replace("Illness by age and dose", "Something else")).unwrap();
    fs::remove_file(nodes.results("clinic-1").join("model.json")).unwrap();
    for ended in recover(&nodes) {
        ended.expect(5, &["clinic-0 and clinic-2 have different models"]);
    }
    assert!(!nodes.results("clinic-1").join("model.json").exists());
    for name in nodes.parties() {
        let _ = fs::remove_file(nodes.results(name).join("model.json"));
    }
    for ended in recover(&nodes) {
        ended.expect(4, &["no recipient of the study has its model"]);
    }
}

#[test]
fn a_copy_of_the_model_goes_where_it_can_go() {
    let nodes = nodes(2, 200);
    let with_out = |name: &str, out: &Path| {
        let mut command = nodes.command(name);
        command.arg("--out").arg(out);
        nodes.spawn(name, &mut command)
    };
    let folder = nodes.dir("clinic-0");
    // What cannot work is found before anybody is met.
    for (out, code, words) in [
        (folder.join("missing/model.json"), 4, "the folder of this file does not exist"),
        (folder.clone(), 4, "this is a folder"),
        (folder.join("rows.csv"), 8, "exists already"),
        (Path::new("/proc/model.json").to_owned(), 4, "cannot be written"),
    ] {
        let ended = with_out("clinic-0", &out).end();
        ended.expect(code, &[words]);
        assert!(!ended.stderr.contains("waiting"), "{}", ended.stderr);
    }
    let own = nodes.results("clinic-0").join("copy.json");
    with_out("clinic-0", &own).end().expect(2, &["leave out --out"]);

    // What goes wrong later costs the copy, and not the model.
    let good = nodes.dir("clinic-1").join("copy.json");
    let gone = folder.join("gone");
    fs::create_dir(&gone).unwrap();
    let running = [
        with_out("clinic-0", &gone.join("copy.json")),
        with_out("clinic-1", &good),
        nodes.start(DEALER),
    ];
    nodes.wait_for_training();
    fs::remove_dir(&gone).unwrap();
    let [first, second, dealer] = running.map(Running::end);
    first.expect(4, &["gone/copy.json", "the study is complete; its result is"]);
    second.expect(0, &["\"ok\": true"]);
    dealer.expect(0, &[]);
    let models = ["clinic-0", "clinic-1"].map(|name| model(&nodes.results(name)));
    let copy = Model::from_json(&fs::read(good).unwrap()).unwrap();
    assert!(models.iter().all(|each| *each == copy));
    assert!(nodes.results("clinic-0").join("receipt.json").exists());
}

#[test]
fn a_state_directory_is_private_and_of_one_node_at_a_time() {
    use std::os::unix::fs::PermissionsExt;
    let nodes = nodes(2, 4);
    let log = nodes.dir("clinic-0").join("log");
    let mut command = nodes.command("clinic-0");
    command.stderr(fs::File::create(&log).unwrap());
    let first = nodes.spawn("clinic-0", &mut command);
    first.wait_for_word(&log, "waiting for");
    let second = nodes.start("clinic-0").end();
    second.expect(4, &["another node is at work with this state directory"]);
    first.signal("-KILL");
    first.end();

    // A killed node leaves no lock; what it was writing is removed.
    let leftover = nodes.results("clinic-0").join(".party-a1b2c3.tmp");
    fs::write(&leftover, "half a model").unwrap();
    nodes.start_all().into_iter().for_each(|running| running.end().expect(0, &[]));
    assert!(!leftover.exists());
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let folder = nodes.results("clinic-0");
    assert_eq!((mode(folder.parent().unwrap()), mode(&folder)), (0o700, 0o700));
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let state = [".lock", "store.redb"].map(|file| folder.parent().unwrap().join(file));
    for file in files.chain(state) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn a_silent_node_is_named_after_the_time_out() {
    let nodes = nodes(2, 20_000);
    let mut running = in_training(&nodes);
    let frozen = running.remove(1);
    frozen.signal("-STOP");
    let begin = Instant::now();
    let other = running.remove(0).end();
    other.expect(6, &["clinic-1 sent nothing for 3 s"]);
    assert!(begin.elapsed() < Duration::from_secs(10), "took {:?}", begin.elapsed());
    frozen.signal("-CONT");
    assert_eq!(frozen.end().code, Some(6));
}

#[test]
fn bad_rows_are_refused_before_anybody_is_met() {
    let nodes = nodes(2, 4);
    let path = nodes.dir("clinic-0").join("rows.csv");
    let text = fs::read_to_string(&path).unwrap().replacen("m,no", "x,no", 1);
    fs::write(&path, text).unwrap();
    let ended = nodes.start("clinic-0").end();
    ended.expect(3, &["rows.csv", "line", "sex"]);
    assert!(ended.after < Duration::from_secs(5));
}
