//! Nodes as real processes that meet over real QUIC on loopback.

#![allow(dead_code, reason = "each of the tests needs another part of it")]

use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use parties::exit::Failure;
use parties::identity::Identity;
use parties::node::{Event, Events, Finished, Participant, State, StopSignal};
use parties::settings::Overrides;
use parties::store::{Contents, Kind, Ledgered};
use tempfile::TempDir;

pub mod relays;

pub const DEALER: &str = "dealer";

/// How long anything is waited for: only what hangs takes this long, also on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// The nodes of a study, each with its own folder, key and settings.
pub struct Nodes {
    folder: TempDir,
    pub names: Vec<String>,
    /// How many commands there were.
    commands: AtomicUsize,
}

/// A node at work; killed when the test ends early.
pub struct Running {
    name: String,
    child: Option<Child>,
    /// What it says on standard error, where that goes nowhere else.
    log: PathBuf,
    begin: Instant,
}

pub struct Ended {
    pub name: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub after: Duration,
}

/// An address that nobody uses. Tests run side by side, and a port is free again until its node
/// listens, so none is given twice.
pub fn free_address() -> String {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if GIVEN.lock().unwrap().insert(address.port()) {
            return address.to_string();
        }
    }
}

pub fn party(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_party")).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "party {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The nodes of a study in this process: how each ended, and what each told.
pub fn in_process(nodes: &Nodes) -> Vec<(Finished, Vec<Event>)> {
    let heard: Vec<Arc<Mutex<Vec<Event>>>> =
        nodes.parties().iter().map(|_| Arc::default()).collect();
    let runs = nodes.parties().iter().zip(&heard).map(|(name, heard)| {
        let path = |file: &str| nodes.dir(name).join(file);
        let overrides = Overrides { data: Some(path("rows.csv")), ..Overrides::default() };
        let (study, config) = (path("study.toml"), path("party.toml"));
        let party = Participant::prepare(&study, &config, &overrides, None, false).unwrap();
        let heard = Arc::clone(heard);
        let events: Events = Arc::new(move |event| heard.lock().unwrap().push(event));
        async move {
            let mut stop = StopSignal::install()?;
            let (finished, closing) = party.run(&events, &mut stop).await?;
            closing.wait(&mut stop).await?;
            Ok::<_, Failure>(finished)
        }
    });
    let mut runs: Vec<_> = runs.map(Box::pin).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let [c, b, a] = [runs.pop(), runs.pop(), runs.pop()].map(Option::unwrap);
    let (a, b, c) = runtime.block_on(async { tokio::join!(a, b, c) });
    let ended = [a, b, c].map(|ended| ended.unwrap_or_else(|failure| panic!("{failure}")));
    let heard = heard.iter().map(|heard| heard.lock().unwrap().clone());
    ended.into_iter().zip(heard).collect()
}

impl Nodes {
    /// Makes parties of these names and a dealer who know each other, and gives all the study and
    /// each its rows.
    pub fn new(parties: &[&str], study: &str, rows: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut names: Vec<String> = parties.iter().map(ToString::to_string).collect();
        names.push(DEALER.to_owned());
        let addresses: Vec<String> = names.iter().map(|_| free_address()).collect();
        let nodes = Self { folder, names, commands: AtomicUsize::new(0) };
        let mut keys = Vec::new();
        for (name, address) in nodes.names.iter().zip(&addresses) {
            let dir = nodes.dir(name);
            party(&["init", "--dir", dir.to_str().unwrap(), "--name", name, "--listen", address]);
            // The rows of tests are few, and nobody's.
            let settings = fs::read_to_string(nodes.config(name)).unwrap();
            assert!(settings.contains("least_rows = 10") && settings.contains("least_cells = 10"));
            let settings = settings.replace("least_rows = 10", "least_rows = 0");
            let settings = settings.replace("least_cells = 10", "least_cells = 0");
            fs::write(nodes.config(name), settings).unwrap();
            let key = party(&["--config", &nodes.config(name), "fingerprint"]).stdout;
            keys.push(String::from_utf8(key).unwrap().trim().to_owned());
        }
        for own in &nodes.names {
            for ((name, address), key) in nodes.names.iter().zip(&addresses).zip(&keys) {
                if name != own {
                    let config = nodes.config(own);
                    let mut command = vec!["--config", &config, "peer", "add", name, address, key];
                    if name == DEALER {
                        command.push("--dealer");
                    }
                    party(&command);
                }
            }
        }
        for (name, rows) in parties.iter().zip(rows) {
            fs::write(nodes.dir(name).join("study.toml"), study).unwrap();
            fs::write(nodes.dir(name).join("rows.csv"), rows).unwrap();
        }
        nodes
    }

    pub fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn config(&self, name: &str) -> String {
        self.dir(name).join("party.toml").to_str().unwrap().to_owned()
    }

    pub fn parties(&self) -> &[String] {
        &self.names[..self.names.len() - 1]
    }

    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
        command
            .args(["--config", &self.config(name), "--json"])
            .env("PARTY__NETWORK__SILENCE_TIMEOUT_S", "3")
            .env("PARTY__NETWORK__JOIN_TIMEOUT_S", "40")
            .env("PARTY__NETWORK__RETURN_WITHIN_S", "0")
            .env("RUST_LOG", "parties=info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.new_log(name));
        if name == DEALER {
            command.args(["dealer", "--once"]);
        } else {
            let path = |file: &str| self.dir(name).join(file);
            command.arg("train").arg(path("study.toml")).arg("--data").arg(path("rows.csv"));
        }
        command
    }

    /// `party recover` of a party.
    pub fn recover(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
        command.args(["--config", &self.config(name), "--json", "recover"]);
        command.arg(self.dir(name).join("study.toml")).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(self.new_log(name));
        command.env("PARTY__NETWORK__JOIN_TIMEOUT_S", "40");
        command
    }

    /// `party align` of a party, with its `alignment.toml` and `rows.csv`.
    pub fn align(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
        let path = |file: &str| self.dir(name).join(file);
        command.args(["--config", &self.config(name), "align"]).arg(path("alignment.toml"));
        command.arg("--data").arg(path("rows.csv")).args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(self.new_log(name));
        command.env("PARTY__NETWORK__JOIN_TIMEOUT_S", "40");
        command
    }

    pub fn start(&self, name: &str) -> Running {
        self.spawn(name, &mut self.command(name))
    }

    /// Starts a node by a command of its own.
    pub fn spawn(&self, name: &str, command: &mut Command) -> Running {
        let child = command.spawn().unwrap();
        let log = self.log(name);
        Running { name: name.to_owned(), child: Some(child), log, begin: Instant::now() }
    }

    /// A new file for what a node says, in the place of the one before.
    pub fn new_log(&self, name: &str) -> fs::File {
        let number = self.commands.fetch_add(1, Ordering::Relaxed);
        fs::File::create(self.dir(name).join(format!("log-{number:04}.txt"))).unwrap()
    }

    /// Where the last command of a node says what it does.
    pub fn log(&self, name: &str) -> PathBuf {
        let files = fs::read_dir(self.dir(name)).unwrap().map(|entry| entry.unwrap().path());
        let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        files.filter(|path| name(path).starts_with("log-")).max().unwrap()
    }

    pub fn start_all(&self) -> Vec<Running> {
        self.names.iter().map(|name| self.start(name)).collect()
    }

    /// What the store of a party holds. No node of it may be at work.
    pub fn store(&self, name: &str) -> Contents {
        let identity = Identity::read(&self.dir(name).join("identity.key")).unwrap();
        let state = State::lock(&self.dir(name).join("state"), &identity).unwrap();
        state.store().contents().unwrap()
    }

    /// The labels of what a party has revealed of figures and checks, and of the result.
    pub fn revealed(&self, name: &str) -> (Vec<String>, Vec<String>) {
        let ledger = self.store(name).ledger.into_iter();
        let (interim, result): (Vec<_>, Vec<_>) = ledger.partition(|it| it.kind == Kind::Interim);
        let labels = |lines: Vec<Ledgered>| lines.into_iter().map(|line| line.label).collect();
        (labels(interim), labels(result))
    }

    /// The only study folder of a party.
    pub fn results(&self, name: &str) -> PathBuf {
        self.study_folder(name).unwrap()
    }

    /// The study folder of a party, once it is there; the lock of the state directory lies beside it.
    pub fn study_folder(&self, name: &str) -> Option<PathBuf> {
        let state = fs::read_dir(self.dir(name).join("state")).ok()?;
        state.map(|entry| entry.unwrap().path()).find(|path| path.is_dir())
    }

    /// Waits until the parties have begun to train, which is after the joint statistics.
    pub fn wait_for_training(&self) {
        let begin = Instant::now();
        let trains =
            |name: &String| fs::read_to_string(self.log(name)).unwrap().contains("preparation");
        while !self.parties().iter().all(trains) {
            assert!(begin.elapsed() < PATIENCE, "the training does not begin");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Running {
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// Waits until the node says a word on standard error, which goes to a file.
    pub fn wait_for_word(&self, log: &std::path::Path, word: &str) {
        let begin = Instant::now();
        while !fs::read_to_string(log).unwrap_or_default().contains(word) {
            assert!(begin.elapsed() < PATIENCE, "{} never says {word:?}", self.name);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What Linux tells about the process.
    pub fn proc(&self, file: &str) -> PathBuf {
        let id = self.child.as_ref().unwrap().id();
        PathBuf::from(format!("/proc/{id}/{file}"))
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Waits for the end.
    pub fn end(mut self) -> Ended {
        let mut child = self.child.take().unwrap();
        // The pipe holds far more than a node prints.
        while child.try_wait().unwrap().is_none() {
            if self.begin.elapsed() > PATIENCE {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("{} hangs: {}", self.name, fs::read_to_string(&self.log).unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let after = self.begin.elapsed();
        let output = child.wait_with_output().unwrap();
        Ended {
            name: std::mem::take(&mut self.name),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: fs::read_to_string(&self.log).unwrap(),
            after,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Ended {
    #[track_caller]
    pub fn expect(&self, code: i32, words: &[&str]) {
        let all = format!("{}: {}\n{}", self.name, self.stdout, self.stderr);
        assert_eq!(self.code, Some(code), "{all}");
        for word in words {
            assert!(all.contains(word), "no {word:?} in {all}");
        }
    }
}

/// SIGHUP, or SIGTERM in its place where whoever started the tests has it ignored, as `nohup` does: a
/// node inherits that, and goes on.
pub fn hang_up() -> &'static str {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    if ignored.unwrap_or_default() & 1 == 1 { "-TERM" } else { "-HUP" }
}
