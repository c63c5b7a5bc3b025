//! Nodes that are left alone: they take the approved studies of a folder, and show a page.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on ends here")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[path = "support/clinics.rs"]
mod clinics;
mod support;

use clinics::nodes;
use support::{Ended, Nodes, PATIENCE, Running};

/// A daemon, and where its page is.
struct Daemon {
    running: Running,
    page: String,
}

fn party(nodes: &Nodes, name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    command.current_dir(nodes.dir(name)).args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(nodes.new_log(name));
    command
}

fn approve(nodes: &Nodes, name: &str, study: &str) -> Ended {
    let command =
        ["study", "approve", study, "--name", "A. Officer", "--role", "data protection officer"];
    nodes.spawn(name, &mut party(nodes, name, &command)).end()
}

fn serve(nodes: &Nodes, name: &str) -> Daemon {
    let running = nodes.spawn(name, &mut party(nodes, name, &["serve"]));
    let begin = Instant::now();
    loop {
        let said = fs::read_to_string(nodes.log(name)).unwrap();
        let page = said.split_once("http://").and_then(|(_, rest)| rest.split_once("/\n"));
        if let Some((page, _)) = page {
            return Daemon { running, page: page.to_owned() };
        }
        assert!(begin.elapsed() < PATIENCE, "{name} shows no page: {said}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Status and text of an answer.
fn get(page: &str, path: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(page).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(head.to_lowercase().contains("content-security-policy: default-src 'none'"), "{head}");
    (status, body.to_owned())
}

impl Daemon {
    fn get(&self, path: &str) -> String {
        let (status, body) = get(&self.page, path, &self.page);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status.json")).unwrap()
    }

    /// How the study in a file stands.
    fn standing(&self, file: &str) -> (String, String) {
        let status = self.status();
        let studies = status["studies"].as_array().unwrap();
        let study = studies.iter().find(|study| study["file"] == file);
        let standing = study.map_or(&Value::Null, |study| &study["standing"]);
        let word = |name: &str| standing[name].as_str().unwrap_or_default().to_owned();
        (word("is"), word("detail"))
    }

    #[track_caller]
    fn until(&self, file: &str, is: &str) -> String {
        let begin = Instant::now();
        loop {
            let (now, detail) = self.standing(file);
            if now == is {
                return detail;
            }
            let all = self.status();
            assert!(begin.elapsed() < PATIENCE, "{file} is {now}: {all:#}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Gives every clinic a folder with these studies, and a page somewhere.
fn left_alone(nodes: &Nodes, studies: &[(&str, &str)]) {
    for name in nodes.parties() {
        let text = fs::read_to_string(nodes.dir(name).join("study.toml")).unwrap();
        let text = text.replace("correlations = \"dealer\"", "correlations = \"pairwise\"");
        let folder = nodes.dir(name).join("studies");
        fs::create_dir(&folder).unwrap();
        for (file, title) in studies {
            let text = text.replace("Illness by age and dose", title);
            fs::write(folder.join(file), text).unwrap();
        }
        let config = fs::read_to_string(nodes.config(name)).unwrap();
        let more = "[data]\npath = \"rows.csv\"\n[serve]\nstatus = \"127.0.0.1:0\"\nturn_s = 10\nlog = \"logs\"\n";
        fs::write(nodes.config(name), config.replace("[audit]", &format!("{more}[audit]")))
            .unwrap();
    }
}

#[test]
fn approved_studies_run_by_themselves_and_the_page_shows_them() {
    let nodes = nodes(2, 2);
    left_alone(&nodes, &[("a.toml", "First <b>study</b>"), ("b.toml", "Second study")]);
    // One of the two wants a page on each run.
    let config = fs::read_to_string(nodes.config("clinic-0")).unwrap();
    fs::write(nodes.config("clinic-0"), config + "\n[output]\nreport = true\n").unwrap();
    let daemons: Vec<Daemon> = nodes.parties().iter().map(|name| serve(&nodes, name)).collect();
    for daemon in &daemons {
        let asks = daemon.until("a.toml", "asks");
        assert!(asks.contains("party study approve"), "{asks}");
    }
    // Beside a node at work an approval counts from its next look on.
    for file in ["studies/a.toml", "studies/b.toml"] {
        for name in nodes.parties() {
            approve(&nodes, name, file).expect(0, &["A. Officer"]);
        }
    }
    for daemon in &daemons {
        daemon.until("a.toml", "done");
        daemon.until("b.toml", "done");
        let page = daemon.get("/");
        assert!(page.contains("First &lt;b&gt;study&lt;/b&gt;") && !page.contains("<b>study"));
        assert!(page.contains("came to its end") && page.contains("/receipt/1"), "{page}");
        let receipt: Value = serde_json::from_str(&daemon.get("/receipt/1")).unwrap();
        assert!(receipt.is_object());
        let metrics = daemon.get("/metrics");
        for line in ["party_well 1", "party_runs_total{class=\"ok\"} 2", "party_running 0"] {
            assert!(metrics.lines().any(|known| known == line), "no {line} in {metrics}");
        }
        assert_eq!(daemon.get("/health"), "well\n");
        // Another site in a browser here has a name of its own for this address.
        assert_eq!(get(&daemon.page, "/status.json", "evil.example").0, 403);
        assert_eq!(get(&daemon.page, "/receipt/99", &daemon.page).0, 404);
    }
    for daemon in daemons {
        daemon.running.signal("-TERM");
        daemon.running.end().expect(0, &["stopped"]);
    }
    // Each run has left its page where it was asked for, beside result and receipt, and nowhere else.
    let state = |name: &str| fs::read_dir(nodes.dir(name).join("state")).unwrap();
    let runs = |name: &str| {
        let folders = state(name).map(|it| it.unwrap().path()).filter(|path| path.is_dir());
        folders.filter(|path| path.join("receipt.json").exists()).collect::<Vec<_>>()
    };
    assert_eq!((runs("clinic-0").len(), runs("clinic-1").len()), (2, 2));
    let page = |path: &std::path::PathBuf| fs::read_to_string(path.join("report.html"));
    let pages: Vec<String> = runs("clinic-0").iter().map(|path| page(path).unwrap()).collect();
    assert!(runs("clinic-1").iter().all(|path| page(path).is_err()));
    for title in ["First &lt;b&gt;study&lt;/b&gt;", "Second study"] {
        let of = pages.iter().find(|page| page.contains(title)).unwrap();
        // The text of the study is in it, whose digest is that of the run.
        for part in ["A. Officer", "partition", "dose"] {
            assert!(of.contains(part), "no {part} on the page of {title}");
        }
    }
    // No row is in the log, and every end is.
    for name in nodes.parties() {
        let logs = fs::read_dir(nodes.dir(name).join("logs")).unwrap();
        let text: String = logs.map(|it| fs::read_to_string(it.unwrap().path()).unwrap()).collect();
        assert_eq!(text.matches("a study has ended").count(), 2, "{text}");
    }
}

#[test]
fn a_study_that_would_fail_again_is_held_until_something_changes() {
    let nodes = nodes(2, 2);
    left_alone(&nodes, &[("a.toml", "A study")]);
    for name in nodes.parties() {
        approve(&nodes, name, "studies/a.toml").expect(0, &[]);
    }
    // Rows that the approval is not about.
    let path = nodes.dir("clinic-0").join("rows.csv");
    let rows = fs::read_to_string(&path).unwrap();
    fs::write(&path, rows.replacen(",yes", ",no", 1)).unwrap();
    let daemons: Vec<Daemon> = nodes.parties().iter().map(|name| serve(&nodes, name)).collect();
    let why = daemons[0].until("a.toml", "held");
    assert!(why.contains("is for other rows"), "{why}");
    fs::write(&path, &rows).unwrap();
    daemons.iter().for_each(|daemon| {
        daemon.until("a.toml", "done");
    });
    // A second program on the same page or state is told so.
    let second = nodes.spawn("clinic-0", &mut party(&nodes, "clinic-0", &["studies"])).end();
    second.expect(0, &["came to its end"]);
    for daemon in daemons {
        daemon.running.signal("-INT");
        daemon.running.end().expect(0, &[]);
    }
}
