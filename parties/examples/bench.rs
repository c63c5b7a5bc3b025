//! What a joint training costs on this machine: three parties and a dealer as processes that meet
//! over QUIC on loopback, against a replay of the same messages without any computation over the
//! same connections in the same run.
//!
//! Usage: bench [--smoke] [--json FILE] [--criterion DIR] [--link FILE]. The last two name figures
//! measured before (by the kernel benches and the link example), which are put beside these. The
//! other arguments are its own, for its child processes.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::try_join_all;
use mpc_core::correlations::dealer::{DealerSource, serve};
use mpc_core::correlations::{
    Correlation, CorrelationSource, Origin, OwnedMatrix, Production, Request,
};
use mpc_core::protocols::fit::Weighting;
use mpc_core::{Outputs, Recipients, Session, SessionOptions};
use mpc_ml::solvers::sgd::{self, COEFFICIENTS, Training};
use mpc_ml::{Agreed, Rows, SgdPlan, SgdSettings, plaintext, synthetic};
use mpc_net::quic::{Identity, JoinOptions, Mtu, Peer, Roster, join};
use mpc_net::{BoxFuture, Due, PartyId, Tag, Transport};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const PARTIES: usize = 3;
const NODES: usize = PARTIES + 1;
const REPLAY: Tag = Tag::new("bench/replay");

/// A training to measure.
#[derive(Clone, Copy)]
struct Shape {
    name: &'static str,
    rows: usize,
    columns: usize,
    epochs: u64,
    window: u32,
    terms: u32,
    weighting: Weighting,
    runs: usize,
}

const DEFAULT: Shape = Shape {
    name: "10,000 x 100, B = 128, 5 epochs, P = 128, K = 12",
    rows: 10_000,
    columns: 100,
    epochs: 5,
    window: 7,
    terms: 12,
    weighting: Weighting::Weighted,
    runs: 5,
};

const ACCURATE: Shape = Shape {
    name: "10,000 x 100, B = 128, 5 epochs, P = 64, K = 16",
    window: 6,
    terms: 16,
    weighting: Weighting::Plain,
    runs: 3,
    ..DEFAULT
};

const SMOKE: Shape = Shape {
    name: "1,000 x 20, B = 128, 2 epochs",
    rows: 1000,
    columns: 20,
    epochs: 2,
    runs: 1,
    ..DEFAULT
};

fn shapes(smoke: bool) -> Vec<Shape> {
    if smoke { vec![SMOKE] } else { vec![DEFAULT, ACCURATE] }
}

impl Shape {
    fn data(&self) -> Vec<Rows> {
        synthetic::logistic(self.rows, self.columns, PARTIES, 1)
    }

    fn plan(&self, data: &[Rows]) -> Outcome<SgdPlan> {
        Ok(SgdPlan::new(SgdSettings {
            origin: Origin::Dealer,
            rows: data.iter().map(|rows| rows.len() as u64).collect(),
            columns: u32::try_from(self.columns)?,
            intercept: true,
            l2: 0.0,
            clip: 8.0,
            epochs: self.epochs,
            batch: 128,
            learning_rate: 0.5,
            decay: 0.0,
            momentum: 0.0,
            seed: 1,
            window: self.window,
            terms: self.terms,
            weighting: self.weighting,
            release_fraction: 20,
        })?)
    }
}

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = arguments.iter().any(|argument| argument == "--smoke");
    let after = |flag: &str| {
        arguments.iter().position(|argument| argument == flag).map(|at| arguments[at + 1].clone())
    };
    if let Some(node) = after("--node") {
        let folder = after("--folder").ok_or("--folder is missing")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(be_a_node(node.parse()?, Path::new(&folder), smoke));
    }
    let mut results = all_nodes(smoke)?;
    if let Some(folder) = after("--criterion") {
        results["kernels"] = kernels(Path::new(&folder))?;
    }
    if let Some(path) = after("--link") {
        let lines = fs::read_to_string(path)?;
        results["network"] =
            lines.lines().map(serde_json::from_str::<Value>).collect::<Result<Value, _>>()?;
    }
    results["processor"] = json!(processor());
    print(&results);
    if let Some(path) = after("--json") {
        fs::write(path, format!("{results:#}\n"))?;
    }
    Ok(())
}

/// Starts the nodes as processes and collects what they measured.
fn all_nodes(smoke: bool) -> Outcome<Value> {
    let folder = tempfile::tempdir()?;
    let sockets = (0..NODES)
        .map(|_| std::net::UdpSocket::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()?;
    for (node, socket) in sockets.iter().enumerate() {
        fs::write(key_path(folder.path(), node), &*Identity::generate()?.to_pkcs8_pem())?;
        fs::write(port_path(folder.path(), node), socket.local_addr()?.port().to_string())?;
    }
    drop(sockets);
    let mut children = (0..NODES)
        .map(|node| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--node", &node.to_string(), "--folder"]).arg(folder.path());
            if smoke {
                command.arg("--smoke");
            }
            Ok(Some(command.stdout(Stdio::piped()).spawn()?))
        })
        .collect::<std::io::Result<Vec<Option<Child>>>>()?;
    let mut nodes = Vec::new();
    let mut failed = None;
    for (node, child) in children.iter_mut().enumerate() {
        let output = child.take().ok_or("a child is there once")?.wait_with_output()?;
        match output.status.success() {
            true => nodes.push(serde_json::from_slice::<Value>(&output.stdout)?),
            false => failed = Some(node),
        }
    }
    if let Some(node) = failed {
        return Err(format!("node {node} failed").into());
    }
    let memory = |node: &Value| node["memory_mb"].clone();
    let shapes = shapes(smoke).into_iter().enumerate().map(|(i, shape)| {
        let mut result = nodes[0]["shapes"][i].clone();
        result["name"] = json!(shape.name);
        result
    });
    Ok(json!({
        "training": shapes.collect::<Vec<_>>(),
        "memory_mb": nodes.iter().map(memory).collect::<Vec<_>>(),
        "cores": std::thread::available_parallelism()?.get(),
    }))
}

/// The medians of the kernel benches, each beside the time of reading the same bytes once.
fn kernels(folder: &Path) -> Outcome<Value> {
    let mut medians = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name == "new") {
                let read = |file: &str| -> Outcome<Value> {
                    Ok(serde_json::from_slice(&fs::read(path.join(file))?)?)
                };
                let median = read("estimates.json")?["median"]["point_estimate"].as_f64();
                let about = read("benchmark.json")?;
                let text = |field: &str| about[field].as_str().unwrap_or_default().to_owned();
                medians.insert((text("group_id"), text("function_id")), median.unwrap_or(f64::NAN));
            } else if path.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(medians
        .iter()
        .filter(|((_, level), _)| level != "floor")
        .map(|((kernel, level), &ns)| {
            let floor = medians.get(&(kernel.clone(), "floor".to_owned())).copied();
            json!({
                "kernel": kernel,
                "level": level,
                "median_us": ns / 1e3,
                "floor_us": floor.map(|floor| floor / 1e3),
                "over_floor": floor.map(|floor| ns / floor),
            })
        })
        .collect())
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn print(results: &Value) {
    println!("{} cores, {}", results["cores"], results["processor"].as_str().unwrap_or("unknown"));
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    for kernel in results["kernels"].as_array().into_iter().flatten() {
        println!(
            "  {:<44} {:<9} {:>10.1} us, reading the bytes once {:>9.1} us, ratio {:>6.2}",
            kernel["kernel"].as_str().unwrap_or(""),
            kernel["level"].as_str().unwrap_or(""),
            number(&kernel["median_us"]),
            number(&kernel["floor_us"]),
            number(&kernel["over_floor"])
        );
    }
    for link in results["network"].as_array().into_iter().flatten() {
        println!("  link: {link}");
    }
    for shape in results["training"].as_array().into_iter().flatten() {
        println!("{} ({} parties and a dealer)", shape["name"].as_str().unwrap_or(""), PARTIES);
        let row = |what: &str, field: &str, unit: &str| {
            println!("  {what:<58} {:>9.3} {unit}", shape[field].as_f64().unwrap_or(f64::NAN));
        };
        row("online, correlations made before", "online_s", "s");
        row("replay of the same messages, no computation (the floor)", "replay_s", "s");
        row("ratio of the two, median of the runs' ratios", "online_over_replay", "");
        row("with preparation, from registration to the model", "total_s", "s");
        row("the same training in the clear, one thread", "plaintext_s", "s");
        row("sent by a party, online", "sent_online_mb", "MB");
        row("sent by a party, preparation", "sent_preparation_mb", "MB");
        row("rounds", "rounds", "");
    }
    println!("  largest resident memory of the nodes, dealer last (MB): {}", results["memory_mb"]);
}

fn key_path(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("{node}.key"))
}

fn port_path(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("{node}.port"))
}

async fn be_a_node(me: usize, folder: &Path, smoke: bool) -> Outcome<()> {
    let mut keys = Vec::new();
    let mut nodes = Vec::new();
    for node in 0..NODES {
        let key = Arc::new(Identity::from_pkcs8_pem(&fs::read_to_string(key_path(folder, node))?)?);
        let port = fs::read_to_string(port_path(folder, node))?;
        nodes.push(Peer {
            name: format!("node {node}"),
            address: Some(format!("127.0.0.1:{port}")),
            key: key.public_key(),
        });
        keys.push(key);
    }
    let listen = nodes[me].address.clone().unwrap_or_default().parse()?;
    let roster = Roster { me: PartyId::from_index(me), nodes, dealer: true };
    let mut options = JoinOptions::new(listen, [1; 32]);
    options.link.mtu = Mtu::Loopback;
    let quiet: mpc_net::quic::Observer = Arc::new(|_| {});
    let root = join(&keys[me], &roster, &options, &quiet).await?;
    let mut results = Vec::new();
    for (i, shape) in shapes(smoke).into_iter().enumerate() {
        let data = shape.data();
        let plan = shape.plan(&data)?;
        let mut measured = Vec::new();
        for run in 0..shape.runs {
            for (what, ahead) in [("ahead", true), ("along", false)] {
                let channel = root.fork(&format!("{i} {run} {what}"))?;
                if me == PARTIES {
                    let mut session = Session::establish(channel, session_options()).await?;
                    serve(&mut session).await?;
                } else {
                    measured.push(train(&plan, &data[me], channel, ahead).await?);
                }
            }
            let channel = root.fork(&format!("{i} {run} replay"))?;
            if me != PARTIES {
                let begin = Instant::now();
                replay(&plan, me, &*channel).await?;
                let seconds = begin.elapsed().as_secs_f64();
                if let Some(last) = measured.last_mut() {
                    last.replay = seconds;
                }
            }
        }
        if me != PARTIES {
            results.push(summary(&plan, &data, &measured, me == 0));
        }
    }
    root.finish().await?;
    println!("{}", json!({ "shapes": results, "memory_mb": memory_mb() }));
    Ok(())
}

fn session_options() -> SessionOptions {
    let outputs = Outputs::none().allow(COEFFICIENTS, Recipients::All);
    SessionOptions { parties: PARTIES, context: [1; 32], outputs }
}

struct Measured {
    ahead: bool,
    online: f64,
    total: f64,
    replay: f64,
    sent_online: u64,
    sent_preparation: u64,
    rounds: u64,
}

async fn train(
    plan: &SgdPlan,
    rows: &Rows,
    channel: Box<dyn Transport>,
    ahead: bool,
) -> Outcome<Measured> {
    let mut session = Session::establish(channel, session_options()).await?;
    let own = rows.ordered(&plan.schedule().own_order(session.me()));
    let source = DealerSource::start(&mut session)?;
    let mut source = Stock { source, plan, ahead, stock: VecDeque::new() };
    session.meter().enter("preparation");
    // All channels of a mesh count together, so what was there before is taken off.
    let so_far = |session: &Session, phase| {
        let totals = session.meter().phase(phase);
        (totals.sent_framed(), totals.rounds)
    };
    let (preparation, training_before) =
        (so_far(&session, "preparation"), so_far(&session, "training"));
    let begin = Instant::now();
    let agreed = Agreed::among(plan.clone(), &mut session).await?;
    let training = Training::begin(&agreed, &own, &mut source, &mut session).await?;
    // Everybody begins together.
    session.agree("beginning of the measurement", &[]).await?;
    session.meter().enter("training");
    let online = Instant::now();
    let weights = training.run(&mut session, |_, _| {}).await?;
    let online = online.elapsed();
    session.meter().enter("release");
    let model = sgd::release(plan, &weights, &mut session).await?;
    let total = begin.elapsed();
    source.finish().await?;
    if !model.is_some_and(|model| model.iter().any(|w| w.abs() > 0.01)) {
        return Err("the model has learned nothing".into());
    }
    let training_after = so_far(&session, "training");
    Ok(Measured {
        ahead,
        online: online.as_secs_f64(),
        total: total.as_secs_f64(),
        replay: 0.0,
        sent_online: training_after.0 - training_before.0,
        sent_preparation: so_far(&session, "preparation").0 - preparation.0,
        rounds: training_after.1 - training_before.1,
    })
}

/// A source that, if it is to be ahead, has everything in stock before the training begins.
struct Stock<'a> {
    source: DealerSource,
    plan: &'a SgdPlan,
    ahead: bool,
    stock: VecDeque<Correlation>,
}

impl CorrelationSource for Stock<'_> {
    fn register(&mut self, matrix: OwnedMatrix) -> BoxFuture<'_, Result<u32, mpc_core::Error>> {
        Box::pin(async move {
            let number = self.source.register(matrix).await?;
            if self.ahead {
                for epoch in 0..self.plan.settings().epochs {
                    for batch in self.plan.schedule().order(epoch) {
                        self.source.demand(self.plan.requests(number, batch).into())?;
                        for _ in 0..3 {
                            self.stock.push_back(self.source.take().await?);
                        }
                    }
                }
            }
            Ok(number)
        })
    }

    fn demand(&mut self, requests: Vec<Request>) -> Result<(), mpc_core::Error> {
        if self.ahead { Ok(()) } else { self.source.demand(requests) }
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, mpc_core::Error>> {
        match self.stock.pop_front() {
            Some(correlation) => Box::pin(std::future::ready(Ok(correlation))),
            None => self.source.take(),
        }
    }

    fn production(&self) -> Production {
        self.source.production()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), mpc_core::Error>> {
        self.source.finish()
    }
}

/// The messages of a training, in their order and with their lengths, and nothing else.
async fn replay(plan: &SgdPlan, me: usize, channel: &dyn Transport) -> Outcome<()> {
    let settings = plan.settings();
    for epoch in 0..settings.epochs {
        for batch in plan.schedule().order(epoch) {
            let parts = plan.schedule().parts(batch);
            let weights = plan.weights_opened().bytes(settings.weights()) as usize;
            let deltas = 3 * settings.batch as usize;
            let residuals = |owner: usize| {
                plan.residuals_opened().bytes((parts[owner].1 - parts[owner].0) as usize) as usize
            };
            round(me, channel, |_| weights, weights).await?;
            round(me, channel, |_| deltas, deltas).await?;
            round(me, channel, residuals, residuals(me)).await?;
        }
    }
    Ok(())
}

async fn round(
    me: usize,
    channel: &dyn Transport,
    to: impl Fn(usize) -> usize,
    from_each: usize,
) -> Outcome<()> {
    let peers = || (0..PARTIES).filter(move |&peer| peer != me);
    let messages: Vec<_> =
        peers().map(|peer| (PartyId::from_index(peer), vec![7; to(peer)])).collect();
    let sends = try_join_all(messages.iter().map(|(peer, m)| channel.send(*peer, REPLAY, m)));
    let receives = try_join_all(
        peers()
            .map(|peer| channel.recv(PartyId::from_index(peer), Due::exactly(REPLAY, from_each))),
    );
    tokio::try_join!(sends, receives)?;
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn summary(plan: &SgdPlan, data: &[Rows], measured: &[Measured], with_plaintext: bool) -> Value {
    let of = |ahead: bool| measured.iter().filter(move |m| m.ahead == ahead);
    // The replay of a run comes after both its trainings and is noted with the second.
    let replays: Vec<f64> = of(false).map(|m| m.replay).collect();
    let ratios = of(true).zip(&replays).map(|(m, replay)| m.online / replay).collect();
    let plaintext = with_plaintext.then(|| {
        let ordered: Vec<Rows> = data
            .iter()
            .enumerate()
            .map(|(party, rows)| rows.ordered(&plan.schedule().own_order(party)))
            .collect();
        let begin = Instant::now();
        std::hint::black_box(plaintext::train(plan, &ordered));
        begin.elapsed().as_secs_f64()
    });
    json!({
        "online_s": median(of(true).map(|m| m.online).collect()),
        "replay_s": median(replays.clone()),
        "online_over_replay": median(ratios),
        "total_s": median(of(false).map(|m| m.total).collect()),
        "plaintext_s": plaintext,
        "sent_online_mb": measured[0].sent_online as f64 / 1e6,
        "sent_preparation_mb": measured[0].sent_preparation as f64 / 1e6,
        "rounds": measured[0].rounds,
    })
}

/// The largest resident memory of this process so far.
fn memory_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
