//! Three nodes, their lines, and a relay and a proxy where a case has them.

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::oneshot;

use crate::Outcome;
use crate::cases::{Case, Reach};
use crate::line::{Line, Way};
use crate::slot::Slot;
use crate::studies::NAMES;

/// The number of the relay where lines and programs are named by numbers; nodes have 0 to 2.
pub const RELAY: usize = 3;
/// That of the proxy.
pub const PROXY: usize = 4;
/// That of a second node with the key of the first.
pub const DOUBLE: usize = 5;
/// All programs.
const PROGRAMS: usize = 6;

/// Everything of one case.
pub struct World<'a> {
    case: &'a Case,
    slot: Slot,
    /// The program of the proxy, and the library that turns clocks.
    tools: PathBuf,
    lines: Vec<((usize, usize), Arc<Line>)>,
    proxy: SocketAddr,
    running: Vec<Option<Child>>,
    /// Starts of each.
    starts: Vec<u32>,
    /// How each ended, in order; none where it was killed.
    pub codes: Vec<Vec<Option<i32>>>,
    carrier: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Where UDP and TCP are free.
fn both_free() -> Outcome<SocketAddr> {
    for _ in 0..100 {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err("no port is free".into())
}

impl<'a> World<'a> {
    /// Folders, keys, settings and lines; nothing runs but the lines.
    pub fn make(party: &Path, folder: &Path, case: &'a Case, seed: u64) -> Outcome<Self> {
        let tools = party.parent().ok_or("the program has no folder")?.to_owned();
        let mut lines: Vec<((usize, usize), Arc<Line>)> = Vec::new();
        let mut line = |a: usize, b: usize| {
            let ends = (a.min(b), a.max(b));
            if let Some((_, line)) = lines.iter().find(|(other, _)| *other == ends) {
                return Arc::clone(line);
            }
            let line = Line::new(seed + (16 * ends.0 + ends.1) as u64);
            lines.push((ends, Arc::clone(&line)));
            line
        };
        let mut ways = Vec::new();
        let slot = Slot::between(party, folder, |own, other, to| {
            let dials = case.reach == Reach::Direct || case.reach == Reach::OneWay && own < other;
            if !dials {
                return Ok("-".to_owned());
            }
            let front = both_free()?;
            let side = usize::from(own > other);
            ways.push((Way { line: line(own, other), front, to: to.parse()?, side }, false));
            let name = case.name_of.filter(|(node, _)| *node == other).map(|(_, name)| name);
            Ok(name.map_or(front.to_string(), |name| format!("{name}:{}", front.port())))
        })?;
        let proxy = both_free()?;
        if matches!(case.reach, Reach::Udp | Reach::Relay | Reach::Proxy) {
            let at = both_free()?;
            let dir = slot.folder.join("relay");
            let dir = dir.to_str().ok_or("the folder is not text")?.to_owned();
            slot.command(&["init", "--dir", &dir, "--name", "relay", "--listen", &at.to_string()])?;
            let config = format!("{dir}/party.toml");
            let key = slot.command(&["--config", &config, "fingerprint"])?;
            for (index, name) in NAMES.iter().enumerate() {
                let own = slot.config(name);
                let node = slot.command(&["--config", &own, "fingerprint"])?;
                slot.command(&["--config", &config, "peer", "add", name, "-", node.trim()])?;
                let front = both_free()?;
                ways.push((Way { line: line(index, RELAY), front, to: at, side: 0 }, true));
                let mut text = fs::read_to_string(&own)?;
                text += &format!("\n[relay]\naddress = \"{front}\"\nkey = \"{}\"\n", key.trim());
                match case.reach {
                    Reach::Proxy => text += &format!("proxy = \"http://{proxy}\"\n"),
                    Reach::Udp => text += "via = \"udp\"\n",
                    _ => {}
                }
                fs::write(&own, text)?;
            }
        }
        for (index, name) in NAMES.iter().enumerate() {
            fs::write(slot.dir(name).join("study.toml"), case.study.text())?;
            fs::write(slot.dir(name).join("rows.csv"), case.study.rows(index))?;
        }
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let carrier = thread::spawn(move || {
            runtime.block_on(async {
                for (way, tcp) in ways {
                    tokio::spawn(way.clone().udp());
                    if tcp {
                        tokio::spawn(way.tcp());
                    }
                }
                let _ = stopped.await;
            });
        });
        let none = || (0..PROGRAMS).map(|_| None).collect();
        Ok(Self {
            case,
            slot,
            tools,
            lines,
            proxy,
            running: none(),
            starts: vec![0; PROGRAMS],
            codes: vec![Vec::new(); PROGRAMS],
            carrier: Some((stop, carrier)),
        })
    }

    /// Changes every line that `which` takes, by the numbers of its ends.
    pub fn lines(&self, which: impl Fn(usize, usize) -> bool) -> impl Iterator<Item = &Arc<Line>> {
        self.lines.iter().filter(move |((a, b), _)| which(*a, *b)).map(|(_, line)| line)
    }

    fn dir(&self, program: usize) -> PathBuf {
        match program {
            RELAY => self.slot.folder.join("relay"),
            PROXY => self.slot.folder.clone(),
            DOUBLE => self.slot.folder.join("double"),
            node => self.slot.dir(NAMES[node]),
        }
    }

    /// The UDP port at which a node listens.
    pub fn port(&self, node: usize) -> Outcome<u16> {
        let settings = fs::read_to_string(self.dir(node).join("party.toml"))?;
        let listen = settings.split("listen = \"").nth(1).and_then(|rest| rest.split('"').next());
        Ok(listen.ok_or("a node listens nowhere")?.parse::<SocketAddr>()?.port())
    }

    /// Makes a second node with the key of the first.
    fn double(&self) -> Outcome<()> {
        let (from, to) = (self.dir(0), self.dir(DOUBLE));
        if to.exists() {
            return Ok(());
        }
        fs::create_dir_all(&to)?;
        for file in ["identity.key", "study.toml", "rows.csv"] {
            fs::copy(from.join(file), to.join(file))?;
        }
        let text = fs::read_to_string(from.join("party.toml"))?;
        let text =
            text.replace(&format!(":{}\"", self.port(0)?), &format!(":{}\"", both_free()?.port()));
        Ok(fs::write(to.join("party.toml"), text)?)
    }

    /// Starts a program, as its operator does.
    pub fn start(&mut self, program: usize) -> Outcome<()> {
        if program == DOUBLE {
            self.double()?;
        }
        let dir = self.dir(program);
        self.starts[program] += 1;
        let log = dir.join(format!("log-{:02}.txt", self.starts[program]));
        let mut command = Command::new(self.slot.party());
        match program {
            PROXY => {
                command = Command::new(self.tools.join("proxy"));
                command.arg(self.proxy.to_string());
            }
            RELAY => {
                command.arg("relay");
            }
            _ => {
                command.args(["--json", "train", "study.toml", "--data", "rows.csv"]);
            }
        }
        command
            .current_dir(&dir)
            .env("RUST_LOG", "parties=info")
            .env("PARTY__NETWORK__LINK", "wan")
            .stdin(Stdio::null())
            .stderr(fs::File::create(log)?);
        if program == PROXY {
            command.stdout(Stdio::null());
        } else {
            command.stdout(fs::File::create(dir.join("run.json"))?);
        }
        if program < RELAY || program == DOUBLE {
            for (name, value) in self.case.settings {
                command.env(format!("PARTY__NETWORK__{name}"), value);
            }
        }
        if let Some((node, place)) = self.case.dies
            && node == program
            && self.starts[program] == 1
        {
            command.env("MPC_DIE_AT", place);
        }
        if let Some(node) = self.case.clock
            && node == program
        {
            command
                .env("LD_PRELOAD", self.tools.join("clock.so"))
                .env("CLOCK_AHEAD", dir.join("ahead"));
        }
        self.running[program] = Some(command.spawn()?);
        if program == RELAY {
            self.until(RELAY, "(TCP)")?;
        }
        Ok(())
    }

    /// Waits until a program that has just been started says something.
    fn until(&self, program: usize, word: &str) -> Outcome<()> {
        let begin = Instant::now();
        while !self.said(program).contains(word) {
            if begin.elapsed() > Duration::from_secs(30) {
                return Err(format!("a program does not say {word}").into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Turns the clock of a node by so many seconds.
    pub fn turn(&self, node: usize, seconds: i64) -> Outcome<()> {
        let path = self.dir(node).join("ahead");
        // Whole or not at all: it is read all the while.
        let new = path.with_extension("new");
        fs::write(&new, seconds.to_string())?;
        Ok(fs::rename(new, path)?)
    }

    pub fn kill(&mut self, program: usize) -> Outcome<()> {
        if let Some(mut child) = self.running[program].take() {
            child.kill()?;
            child.wait()?;
            self.codes[program].push(None);
        }
        Ok(())
    }

    pub fn signal(&self, program: usize, signal: &str) -> Outcome<()> {
        if let Some(child) = &self.running[program] {
            Command::new("kill").args([signal, &child.id().to_string()]).status()?;
        }
        Ok(())
    }

    /// Sees which programs have ended; whether no node runs.
    pub fn look(&mut self) -> Outcome<bool> {
        for (running, codes) in self.running.iter_mut().zip(&mut self.codes) {
            if let Some(child) = running
                && let Some(status) = child.try_wait()?
            {
                codes.push(status.code().filter(|_| status.signal().is_none()));
                *running = None;
            }
        }
        Ok(self.running[..RELAY].iter().all(Option::is_none) && self.running[DOUBLE].is_none())
    }

    /// Whether some nodes have ended and all others have their result.
    pub fn waits_alone(&self) -> bool {
        let over = |node: &usize| self.running[*node].is_none();
        let nodes = 0..NAMES.len();
        nodes.clone().any(|node| over(&node))
            && nodes.clone().any(|node| !over(&node))
            && nodes.filter(|node| !over(node)).all(|node| self.model(node).is_some())
    }

    /// Everything that a program said, in all its runs.
    pub fn said(&self, program: usize) -> String {
        let logs = (1..=self.starts[program])
            .map(|start| self.dir(program).join(format!("log-{start:02}.txt")));
        logs.filter_map(|log| fs::read_to_string(log).ok()).collect()
    }

    /// The last error of a node.
    pub fn error(&self, node: usize) -> String {
        let text = fs::read_to_string(self.dir(node).join("run.json")).unwrap_or_default();
        let told: Value = serde_json::from_str(&text).unwrap_or_default();
        told.pointer("/error/what").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// The model of a node.
    pub fn model(&self, node: usize) -> Option<Vec<u8>> {
        let state = fs::read_dir(self.dir(node).join("state")).ok()?;
        let folders = state.filter_map(|entry| Some(entry.ok()?.path().join("model.json")));
        folders.into_iter().find_map(|path| fs::read(path).ok())
    }

    /// Takes the folder away, unless somebody has to look at it.
    pub fn clear(mut self) {
        self.end();
        let _ = fs::remove_dir_all(&self.slot.folder);
    }

    fn end(&mut self) {
        for program in 0..PROGRAMS {
            let _ = self.kill(program);
        }
        if let Some((stop, carrier)) = self.carrier.take() {
            let _ = stop.send(());
            let _ = carrier.join();
        }
    }
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
