//! Floods real nodes and a real relay, and looks at their memory, their logs, and whether a study meets
//! (`scripts/floods.sh`).

#[path = "../faults/slot.rs"]
mod slot;
#[path = "../faults/studies.rs"]
mod studies;

use std::error::Error;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mpc_net::PartyId;
use mpc_net::quic::floods::{HostilePeer, flood_relay, keyless};
use mpc_net::quic::{Identity, Peer, RelaySettings, Roster, Via};
use parties::node::context;
use parties::study::Study;
use serde_json::{Value, json};
use slot::Slot;
use studies::{NAMES, STUDIES};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "floods PARTY FOLDER SUMMARY [--seconds N] [--rate N] [--nodes N]";

/// The bounds (docs/operations.md).
const MEETS_WITHIN: f64 = 15.0;
const FLOODED: u64 = 100;
const LINES: usize = 100;
const BEFORE_JOINING: u64 = 64;
const AFTER_JOINING: u64 = 128;
const RELAY: u64 = 50;

/// All nodes of a relay are at it by then: it takes five a second from an address.
const GATHER: Duration = Duration::from_secs(180);
/// A study that did not meet by then does not.
const LIMIT: Duration = Duration::from_secs(120);

struct Options {
    party: PathBuf,
    folder: PathBuf,
    summary: PathBuf,
    seconds: u64,
    rate: u64,
    nodes: usize,
}

/// A measured figure and its bound, which it must be below.
struct Line {
    what: &'static str,
    value: f64,
    bound: f64,
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("floods: {error}"));
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::print_stdout, reason = "this is what this program is for")]
fn say(text: &str) {
    println!("{text}");
}

fn options() -> Outcome<Options> {
    let (mut paths, mut seconds, mut rate, mut nodes) = (Vec::new(), 60, 1000, 250);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--seconds" => seconds = value()?.parse()?,
            "--rate" => rate = value()?.parse()?,
            "--nodes" => nodes = value()?.parse()?,
            _ => paths.push(PathBuf::from(argument)),
        }
    }
    let [party, folder, summary] = <[PathBuf; 3]>::try_from(paths).map_err(|_| USAGE)?;
    Ok(Options { party, folder, summary, seconds, rate, nodes })
}

fn run() -> Outcome<bool> {
    let options = options()?;
    let mut lines = flooded(&options)?;
    lines.extend(hostile(&options)?);
    lines.extend(relay(&options)?);
    say(&format!("{:<58}{:>10}{:>10}", "", "measured", "below"));
    for Line { what, value, bound } in &lines {
        say(&format!("{what:<58}{value:>10.1}{bound:>10.0}"));
    }
    let figures: Vec<Value> = lines
        .iter()
        .map(|Line { what, value, bound }| json!({ "what": what, "value": value, "bound": bound }))
        .collect();
    let summary = json!({
        "seconds": options.seconds, "rate": options.rate, "nodes": options.nodes, "figures": figures,
    });
    fs::write(&options.summary, serde_json::to_string_pretty(&summary)? + "\n")?;
    Ok(lines.iter().all(|line| line.value < line.bound))
}

/// A node, which ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn start(slot: &Slot, name: &str, arguments: &[&str]) -> Outcome<Self> {
        let log = fs::File::create(slot.dir(name).join("log.txt"))?;
        let mut command = Command::new(slot.party());
        command.current_dir(slot.dir(name)).args(arguments).stdin(Stdio::null());
        Ok(Self(command.stdout(Stdio::null()).stderr(log).spawn()?))
    }

    /// The most memory that it had, in bytes.
    fn peak(&self) -> Outcome<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.ok_or("the node has ended")?.trim().trim_end_matches("kB").trim();
        Ok(kilobytes.parse::<u64>()? << 10)
    }

    fn ended_well(&mut self) -> Outcome<Option<bool>> {
        Ok(self.0.try_wait()?.map(|status| status.success()))
    }
}

/// Two nodes with a study of the two.
fn two(options: &Options, folder: &str) -> Outcome<Slot> {
    let slot = Slot::make(&options.party, &options.folder.join(folder))?;
    let study = &STUDIES[1];
    let text = study.text().replace(&format!("{NAMES:?}"), &format!("{:?}", &NAMES[..2]));
    for (index, name) in NAMES[..2].iter().enumerate() {
        fs::write(slot.dir(name).join("study.toml"), &text)?;
        fs::write(slot.dir(name).join("rows.csv"), study.rows(index))?;
    }
    Ok(slot)
}

const TRAIN: [&str; 4] = ["train", "study.toml", "--data", "rows.csv"];

fn listens(slot: &Slot, name: &str) -> Outcome<SocketAddr> {
    let settings = fs::read_to_string(slot.config(name))?;
    let listen = settings.split("listen = \"").nth(1).and_then(|rest| rest.split('"').next());
    Ok(listen.ok_or("a node listens nowhere")?.parse()?)
}

/// Strangers begin handshakes at both nodes, while one waits, and while the other comes.
fn flooded(options: &Options) -> Outcome<Vec<Line>> {
    let slot = two(options, "keyless")?;
    let addresses = [listens(&slot, NAMES[0])?, listens(&slot, NAMES[1])?];
    let (stop, begun) = (AtomicBool::new(false), AtomicU64::new(0));
    let (took, peak) = thread::scope(|scope| -> Outcome<(f64, u64)> {
        let first = Running::start(&slot, NAMES[1], &TRAIN);
        for address in addresses {
            let (stop, begun) = (&stop, &begun);
            scope.spawn(move || keyless(address, options.rate, stop, begun));
        }
        let measured = (|| {
            let mut first = first?;
            thread::sleep(Duration::from_secs(options.seconds));
            let came = Instant::now();
            let mut second = Running::start(&slot, NAMES[0], &TRAIN)?;
            let mut peak = 0;
            let mut ended = [None; 2];
            while ended.contains(&None) {
                for (node, ended) in [&mut first, &mut second].into_iter().zip(&mut ended) {
                    // One that has ended tells no more.
                    peak = peak.max(node.peak().unwrap_or_default());
                    *ended = ended.or(node.ended_well()?);
                }
                if came.elapsed() > LIMIT {
                    return Err("the study did not meet".into());
                }
                thread::sleep(Duration::from_millis(10));
            }
            if ended != [Some(true); 2] {
                return Err("a node of the flooded study failed".into());
            }
            Ok((came.elapsed().as_secs_f64(), peak))
        })();
        stop.store(true, Ordering::Relaxed);
        measured
    })?;
    let logs = NAMES[..2].iter().map(|name| fs::read_to_string(slot.dir(name).join("log.txt")));
    let logs = logs.map(|text| Ok(text?.lines().count()));
    let logs = logs.collect::<Outcome<Vec<usize>>>()?.into_iter().max().unwrap_or_default();
    say(&format!("{} handshakes without a key were begun", begun.load(Ordering::Relaxed)));
    Ok(vec![
        Line { what: "flooded by strangers: meets and ends, s", value: took, bound: MEETS_WITHIN },
        Line { what: "the same: memory of a node, MB", value: mega(peak), bound: FLOODED as f64 },
        Line { what: "the same: lines of a log", value: logs as f64, bound: LINES as f64 },
    ])
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn runtime() -> Outcome<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn key_of(slot: &Slot, name: &str) -> Outcome<Arc<Identity>> {
    let identity = parties::identity::Identity::read(&slot.dir(name).join("identity.key"))?;
    Ok(Arc::clone(identity.key()))
}

/// A pinned peer that sends as much as it can, before and after it has joined.
fn hostile(options: &Options) -> Outcome<Vec<Line>> {
    let slot = two(options, "hostile")?;
    let study = Study::read(&slot.dir(NAMES[0]).join("study.toml"))?;
    let keys = [key_of(&slot, NAMES[0])?, key_of(&slot, NAMES[1])?];
    let node = |index: usize| Peer {
        name: NAMES[index].to_owned(),
        address: None,
        also: Vec::new(),
        key: keys[index].public_key(),
    };
    let roster = Roster { me: PartyId(0), nodes: vec![node(0), node(1)], dealer: false };
    let peer = HostilePeer {
        context: context(&study.digest(), &roster),
        listen: listens(&slot, NAMES[0])?,
        key: keys[1].public_key(),
        address: listens(&slot, NAMES[1])?,
        identity: Arc::clone(&keys[0]),
    };
    let victim = Running::start(&slot, NAMES[1], &TRAIN)?;
    let mut peaks = Vec::new();
    let taken = runtime()?.block_on(async {
        let attack = peer.attack(|| peaks.push(victim.peak()));
        tokio::time::timeout(LIMIT, attack).await
    })?;
    say(&format!(
        "a hostile pinned peer: {} bytes were taken before its hello, {} after it, {} when all had met",
        taken.unmet, taken.joined, taken.met
    ));
    let mut peaks = peaks.into_iter().collect::<Outcome<Vec<u64>>>()?.into_iter();
    let mut line = |what, bound: u64| -> Outcome<Line> {
        let value = mega(peaks.next().ok_or("the attack did not come so far")?);
        Ok(Line { what, value, bound: bound as f64 })
    };
    Ok(vec![
        line("a hostile peer: memory of a node before all have met, MB", BEFORE_JOINING)?,
        line("the same: afterwards, MB", AFTER_JOINING)?,
    ])
}

/// Nodes that flood their relay.
fn relay(options: &Options) -> Outcome<Vec<Line>> {
    let slot = Slot::make(&options.party, &options.folder.join("relay"))?;
    let (name, config) = (NAMES[2], slot.config(NAMES[2]));
    let identities = (0..options.nodes).map(|_| Identity::generate().map(Arc::new));
    let identities = identities.collect::<Result<Vec<_>, _>>()?;
    let mut settings = fs::read_to_string(&config)?;
    for (index, identity) in identities.iter().enumerate() {
        let key = identity.public_key();
        settings += &format!("\n[[peers]]\nname = \"node-{index}\"\nfingerprint = \"{key}\"\n");
    }
    fs::write(&config, settings)?;
    let at_work = Running::start(&slot, name, &["relay"])?;
    let address = listens(&slot, name)?;
    let settings = RelaySettings {
        address: address.to_string(),
        key: key_of(&slot, name)?.public_key(),
        via: Via::Udp,
        proxy: None,
        login: None,
    };
    wait_for_log(&slot.dir(name).join("log.txt"), "(TCP)")?;
    let time = Duration::from_secs(options.seconds.clamp(5, 30));
    let times = (GATHER, time);
    let (came, sent) = runtime()?.block_on(flood_relay(&settings, &identities, times));
    let peak = at_work.peak()?;
    say(&format!("{came} nodes at a relay sent {sent} packets"));
    if came < options.nodes {
        return Err(format!("only {came} of {} nodes came to the relay", options.nodes).into());
    }
    let what = "nodes that flood a relay: its memory, MB";
    Ok(vec![Line { what, value: mega(peak), bound: RELAY as f64 }])
}

fn wait_for_log(path: &Path, word: &str) -> Outcome<()> {
    let begin = Instant::now();
    while !fs::read_to_string(path).unwrap_or_default().contains(word) {
        if begin.elapsed() > Duration::from_secs(20) {
            return Err(format!("{} does not say {word}", path.display()).into());
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
