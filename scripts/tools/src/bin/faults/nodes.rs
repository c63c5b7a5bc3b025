//! Three nodes on this machine, one of which may misbehave.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Outcome;
use crate::cases::Case;
use crate::slot::Slot;
use crate::studies::{NAMES, Study};

/// How long a peer may be silent, in seconds.
const SILENCE: &str = "4";
/// A node that has not ended by then hangs.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the node that misbehaves is waited for when the others have ended.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a node ended.
#[derive(Debug)]
pub struct End {
    /// Its exit code; none when it had to be stopped.
    pub code: Option<i32>,
    /// What it printed: a JSON object.
    pub told: Value,
    /// Its model, where it has one.
    pub model: Option<Value>,
}

/// How all nodes ended.
#[derive(Debug)]
pub struct Run {
    pub ends: Vec<End>,
    /// What each node sent.
    pub sent: Vec<Vec<(String, usize, u64)>>,
    /// Whether the fault struck.
    pub struck: bool,
}

impl Slot {
    /// Runs a study, in which one node misbehaves if there is a case.
    pub fn run(&self, study: &Study, case: Option<&Case>) -> Outcome<Run> {
        let struck = self.folder.join("struck");
        if struck.exists() {
            fs::remove_file(&struck)?;
        }
        let mut children = Vec::new();
        for (index, name) in NAMES.iter().enumerate() {
            children.push(self.start(study, index, name, case, &struck)?);
        }
        let begin = Instant::now();
        let mut ended_at: Option<Instant> = None;
        loop {
            let mut running = [false; 3];
            for (child, running) in children.iter_mut().zip(&mut running) {
                *running = child.try_wait()?.is_none();
            }
            let honest = (0..3).any(|i| running[i] && case.is_none_or(|case| case.deviates != i));
            let over = ended_at.is_some_and(|at| at.elapsed() > PATIENCE);
            if !running.contains(&true) || begin.elapsed() > LIMIT || (!honest && over) {
                break;
            }
            if !honest {
                ended_at.get_or_insert_with(Instant::now);
            }
            thread::sleep(Duration::from_millis(10));
        }
        let mut ends = Vec::new();
        for (child, name) in children.into_iter().zip(NAMES) {
            ends.push(self.end(child, name)?);
        }
        let sent = NAMES.iter().map(|name| self.sent(name)).collect::<Outcome<_>>()?;
        Ok(Run { ends, sent, struck: struck.exists() })
    }

    fn start(
        &self,
        study: &Study,
        index: usize,
        name: &str,
        case: Option<&Case>,
        struck: &Path,
    ) -> Outcome<Child> {
        let dir = self.dir(name);
        let state = dir.join("state");
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        fs::write(dir.join("study.toml"), study.text())?;
        fs::write(dir.join("rows.csv"), study.rows(index))?;
        let mut command = Command::new(self.party());
        command
            .args(["--config", &self.config(name), "--json", "train"])
            .arg(dir.join("study.toml"))
            .arg("--data")
            .arg(dir.join("rows.csv"))
            .env("PARTY__NETWORK__SILENCE_TIMEOUT_S", SILENCE)
            .env("PARTY__NETWORK__JOIN_TIMEOUT_S", "30")
            .env("PARTY__NETWORK__RETURN_WITHIN_S", "0")
            .env("PARTY__NETWORK__LINK", "loopback")
            .env_remove("MPC_FAULT")
            .env("MPC_FAULT_SENT", dir.join("sent.txt"))
            .stdin(Stdio::null())
            .stdout(fs::File::create(dir.join("run.json"))?)
            .stderr(fs::File::create(dir.join("log.txt"))?);
        if let Some(case) = case.filter(|case| case.deviates == index) {
            command.env("MPC_FAULT", &case.fault).env("MPC_FAULT_STRUCK", struck);
        }
        Ok(command.spawn()?)
    }

    fn end(&self, mut child: Child, name: &str) -> Outcome<End> {
        let code = match child.try_wait()? {
            Some(status) => status.code(),
            None => {
                child.kill()?;
                child.wait()?;
                None
            }
        };
        let told = fs::read_to_string(self.dir(name).join("run.json"))?;
        let told = serde_json::from_str(&told).unwrap_or_default();
        let mut model = None;
        let state = self.dir(name).join("state");
        if state.is_dir() {
            for entry in fs::read_dir(state)? {
                let path = entry?.path().join("model.json");
                if path.is_file() {
                    model = Some(serde_json::from_slice(&fs::read(path)?)?);
                }
            }
        }
        Ok(End { code, told, model })
    }

    fn sent(&self, name: &str) -> Outcome<Vec<(String, usize, u64)>> {
        let path = self.dir(name).join("sent.txt");
        let text = if path.is_file() { fs::read_to_string(&path)? } else { String::new() };
        let mut all = Vec::new();
        for line in text.lines() {
            let mut words = line.rsplitn(3, ' ');
            let mut next = || words.next().ok_or("sent.txt has another form");
            let (count, to, step) = (next()?.parse()?, next()?.parse()?, next()?.to_owned());
            all.push((step, to, count));
        }
        Ok(all)
    }
}
