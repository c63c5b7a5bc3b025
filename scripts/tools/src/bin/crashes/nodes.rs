//! The nodes of a run: killed, and started again as their operators would.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Outcome;
use crate::played::{PLAYED, Played};
use crate::points::{Case, Kill, PHASES, Point, Shape};
use crate::slot::Slot;
use crate::states::{self, States};
use crate::studies::NAMES;

/// A run that has not ended by then hangs.
const LIMIT: Duration = Duration::from_secs(90);
/// How soon an operator starts a node again that lost a peer.
const OPERATOR: Duration = Duration::from_millis(300);
/// How often an operator does so.
const PATIENCE: u32 = 6;
/// How long the last of the nodes may wait for those that have ended.
const ALONE: Duration = Duration::from_secs(8);
/// How long a node waits for one that was lost, in seconds.
const RETURN_WITHIN: &str = "120";
const PAUSE: Duration = Duration::from_millis(4);
const SIGKILL: i32 = 9;
const PEER_LOST: i32 = 6;
const RELEASED: i32 = 8;

/// How a run ended.
#[derive(Debug)]
pub struct Run {
    pub hangs: bool,
    /// Kills that struck.
    pub struck: Vec<usize>,
    /// Exit codes of each node, in their order.
    pub codes: Vec<Vec<Option<i32>>>,
    /// The last words of each node.
    pub told: Vec<Value>,
    /// How often operators started a node again that had not been killed.
    pub restarts: u32,
    /// Whether `party recover` was needed.
    pub recovered: bool,
    pub models: Vec<Option<Vec<u8>>>,
    /// Seconds from the last return of a killed node to the end.
    pub after_return: Option<f64>,
    /// Seconds from that return until its fit went on from a state that was kept.
    pub until_resumed: Option<f64>,
    pub states: States,
}

/// An undisturbed run.
pub struct Undisturbed {
    pub run: Run,
    pub shape: Shape,
}

/// A node of a run.
struct Node<'a> {
    study: &'a Played,
    index: usize,
    kill: Option<&'a Kill>,
    /// The process, while it runs.
    child: Option<Child>,
    /// When it is to be started again.
    due: Option<Instant>,
    /// When the event came after which it is to be killed.
    event: Option<Instant>,
    codes: Vec<Option<i32>>,
    starts: u32,
    struck: bool,
    /// Since when it is stopped.
    stopped: Option<Instant>,
}

/// Runs a study in which nobody is killed.
pub fn undisturbed(slot: &Slot, at: usize) -> Outcome<Undisturbed> {
    let study = &PLAYED[at];
    let run = run(slot, &Case { number: 0, study: at, kills: Vec::new() })?;
    let shown = slot.command(&["--config", &slot.config(NAMES[0]), "--json", "studies"])?;
    let shown: Value = serde_json::from_str(&shown)?;
    let sets = shown["data_sets"].as_array().into_iter().flatten();
    let digest = study.digest();
    let ledger = sets.filter_map(|set| set["ledger"].as_array()).flatten();
    let results = ledger
        .filter(|line| line["study"] == digest.as_str())
        .filter(|line| line["kind"] == "result")
        .count();
    let receipt = study.result(slot, NAMES[0], "receipt.json").ok_or("a run left no receipt")?;
    let receipt: Value = serde_json::from_slice(&receipt)?;
    let log = slot.dir(NAMES[0]).join("log-01.txt");
    let states = states::count(&fs::read_to_string(log)?);
    let phases = PHASES
        .iter()
        .map(|phase| receipt["phases"][phase]["seconds"].as_f64().unwrap_or_default())
        .map(|seconds| (seconds * 1000.0) as u64)
        .collect();
    Ok(Undisturbed { run, shape: Shape { results: results as u64, phases, states } })
}

/// Runs a study with its kills, until every node has ended and none is to be started again.
pub fn run(slot: &Slot, case: &Case) -> Outcome<Run> {
    let study = &PLAYED[case.study];
    study.set_up(slot)?;
    let mut nodes = Vec::new();
    for (index, name) in NAMES.iter().enumerate() {
        let dir = slot.dir(name);
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-")) {
                fs::remove_file(path)?;
            }
        }
        let kill = case.kills.iter().find(|kill| kill.node == index);
        let mut node = Node {
            study,
            index,
            kill,
            child: None,
            due: None,
            event: None,
            codes: Vec::new(),
            starts: 0,
            struck: false,
            stopped: None,
        };
        node.start(slot, study.command)?;
        nodes.push(node);
    }
    let begin = Instant::now();
    let away = case.kills.iter().map(|kill| kill.back_after).max().unwrap_or_default();
    let away = Duration::from_millis(away);
    let (mut last_return, mut restarts, mut hangs) = (None::<Instant>, 0, false);
    let mut until_resumed = None;
    let mut alone: Option<Instant> = None;
    loop {
        for node in &mut nodes {
            node.strike(slot)?;
            if node.go_on()? {
                last_return = Some(Instant::now());
            }
            node.look(&mut restarts)?;
            if node.due.is_some_and(|due| due <= Instant::now()) {
                node.due = None;
                if node.codes.last() == Some(&None) {
                    (last_return, until_resumed) = (Some(Instant::now()), None);
                }
                node.start(slot, study.command)?;
            }
            if let (Some(at), None) = (last_return, until_resumed)
                && node.starts > 1
                && states::goes_on(&fs::read_to_string(node.log(slot))?)
            {
                until_resumed = Some(at.elapsed().as_secs_f64());
            }
        }
        if nodes.iter().all(|node| node.child.is_none() && node.due.is_none()) {
            break;
        }
        // An operator whose node has the model and waits for nobody that comes stops it.
        let over = |node: &Node<'_>| node.child.is_none() && node.due.is_none();
        if nodes.iter().any(over) && nodes.iter().all(|node| over(node) || node.has_model(slot)) {
            if alone.get_or_insert_with(Instant::now).elapsed() > ALONE {
                nodes.iter_mut().try_for_each(Node::stop)?;
            }
        } else {
            alone = None;
        }
        if begin.elapsed() > LIMIT + away {
            hangs = true;
            break;
        }
        thread::sleep(PAUSE);
    }
    let ended = Instant::now();
    for node in &mut nodes {
        node.kill_now()?;
    }
    let told = NAMES.iter().map(|name| told(slot, name)).collect();
    // Before anything else writes a log.
    let states = States::of(slot)?;
    let model = |name: &str| study.result(slot, name, study.file);
    let has = || NAMES.map(|name| model(name).is_some());
    let recovered = !hangs && study.alike && has().contains(&true) && has().contains(&false);
    if recovered {
        recover(slot, study)?;
    }
    Ok(Run {
        hangs,
        struck: nodes.iter().filter(|node| node.struck).map(|node| node.index).collect(),
        codes: nodes.into_iter().map(|node| node.codes).collect(),
        told,
        restarts,
        recovered,
        models: NAMES.iter().map(|name| model(name)).collect(),
        after_return: last_return.map(|at| ended.duration_since(at).as_secs_f64()),
        until_resumed,
        states,
    })
}

/// What the advice of the nodes says when one has the model and another has not.
fn recover(slot: &Slot, study: &Played) -> Outcome<()> {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    for index in 0..NAMES.len() {
        let mut node = Node {
            study,
            index,
            kill: None,
            child: None,
            due: None,
            event: None,
            codes: Vec::new(),
            starts: 90,
            struck: false,
            stopped: None,
        };
        node.start(slot, &["recover"])?;
        nodes.push(node);
    }
    let begin = Instant::now();
    while nodes.iter().any(|node| node.child.is_some()) && begin.elapsed() < LIMIT {
        for node in &mut nodes {
            node.look(&mut 0)?;
            node.due = None;
        }
        thread::sleep(PAUSE);
    }
    nodes.iter_mut().try_for_each(Node::kill_now)
}

impl Node<'_> {
    fn log(&self, slot: &Slot) -> std::path::PathBuf {
        slot.dir(NAMES[self.index]).join(format!("log-{:02}.txt", self.starts))
    }

    /// Starts the node; the first time so that it may die by itself.
    fn start(&mut self, slot: &Slot, what: &[&str]) -> Outcome<()> {
        self.starts += 1;
        let dir = slot.dir(NAMES[self.index]);
        let mut command = Command::new(slot.party());
        command.args(["--config", &slot.config(NAMES[self.index]), "--json"]).args(what);
        command.arg(dir.join("study.toml"));
        if what != ["recover"] {
            command.arg("--data").arg(dir.join("rows.csv"));
        }
        command
            .env("PARTY__NETWORK__SILENCE_TIMEOUT_S", "10")
            .env("PARTY__NETWORK__LOST_AFTER_S", "5")
            .env("PARTY__NETWORK__JOIN_TIMEOUT_S", "40")
            .env("PARTY__NETWORK__RETURN_WITHIN_S", RETURN_WITHIN)
            .env("PARTY__NETWORK__LINK", "loopback")
            .env("RUST_LOG", "parties=info")
            .env_remove("MPC_DIE_AT")
            .stdin(Stdio::null())
            .stdout(fs::File::create(dir.join("run.json"))?)
            .stderr(fs::File::create(self.log(slot))?);
        if let (1, Some(Kill { point: Point::At(place), .. })) = (self.starts, self.kill) {
            command.env("MPC_DIE_AT", place);
        }
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// Kills it when its moment has come.
    fn strike(&mut self, slot: &Slot) -> Outcome<()> {
        let Some(Kill { point: Point::After(what, ms), .. }) = self.kill else { return Ok(()) };
        if self.struck || self.starts != 1 {
            return Ok(());
        }
        if self.event.is_none() {
            let said = fs::read_to_string(self.log(slot))?;
            let begins = |line: &str| {
                line.contains(what) && (*what == "listening" || line.contains("a phase begins"))
            };
            if said.lines().any(begins) {
                self.event = Some(Instant::now());
            }
        }
        let after = Duration::from_millis(*ms);
        let stopped = self.kill.is_some_and(|kill| kill.stopped);
        if self.event.is_some_and(|at| at.elapsed() >= after)
            && let Some(child) = &mut self.child
        {
            if stopped {
                signal(child, "-STOP")?;
                self.struck = true;
                self.stopped = Some(Instant::now());
            } else {
                child.kill()?;
            }
        }
        Ok(())
    }

    /// Lets a node go on that was stopped, when its time has come; whether it did.
    fn go_on(&mut self) -> Outcome<bool> {
        let (Some(since), Some(kill)) = (self.stopped, self.kill) else { return Ok(false) };
        let (true, Some(child)) =
            (since.elapsed() >= Duration::from_millis(kill.back_after), &self.child)
        else {
            return Ok(false);
        };
        signal(child, "-CONT")?;
        self.stopped = None;
        Ok(true)
    }

    /// Sees whether it has ended, and what its operator does then.
    fn look(&mut self, restarts: &mut u32) -> Outcome<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let Some(status) = child.try_wait()? else { return Ok(()) };
        self.child = None;
        self.codes.push(status.code());
        let killed = status.signal() == Some(SIGKILL);
        if let (true, Some(kill)) = (killed, self.kill) {
            self.struck = true;
            self.due = Some(Instant::now() + Duration::from_millis(kill.back_after));
        } else if status.code() == Some(PEER_LOST) && self.starts <= PATIENCE {
            *restarts += 1;
            self.due = Some(Instant::now() + OPERATOR);
        }
        Ok(())
    }

    fn has_model(&self, slot: &Slot) -> bool {
        self.study.result(slot, NAMES[self.index], self.study.file).is_some()
    }

    /// Ctrl-C.
    fn stop(&mut self) -> Outcome<()> {
        self.child.as_ref().map_or(Ok(()), |child| signal(child, "-INT"))
    }

    fn kill_now(&mut self) -> Outcome<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
            self.codes.push(None);
        }
        Ok(())
    }
}

fn signal(child: &Child, signal: &str) -> Outcome<()> {
    Command::new("kill").args([signal, &child.id().to_string()]).status()?;
    Ok(())
}

/// The exit code that says that a study was released before, for the table.
pub fn is_released(code: Option<i32>) -> bool {
    code == Some(RELEASED)
}

/// Keeps what the nodes of the last run said.
pub fn keep_logs(slot: &Slot, to: &Path) -> Outcome<()> {
    for name in NAMES {
        let to = to.join(name);
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(slot.dir(name))? {
            let path = entry?.path();
            if let (true, Some(file)) = (path.is_file(), path.file_name())
                && (file.to_string_lossy().starts_with("log-") || file == "run.json")
            {
                fs::copy(&path, to.join(file))?;
            }
        }
    }
    Ok(())
}

fn told(slot: &Slot, name: &str) -> Value {
    let text = fs::read_to_string(slot.dir(name).join("run.json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
