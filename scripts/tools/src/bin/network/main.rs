//! Studies over lines that lose, delay, refuse and go dark, with nodes and relays that come and go
//! (`scripts/network.sh`).

#[path = "../faults/campaign.rs"]
mod campaign;
mod cases;
#[path = "../crashes/chance.rs"]
mod chance;
mod line;
#[path = "../faults/models.rs"]
mod models;
#[path = "../faults/slot.rs"]
mod slot;
#[path = "../faults/studies.rs"]
mod studies;
mod verdict;
mod world;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};

use campaign::{Outcome, end, say, write};
use cases::{Act, Case, Reach, When, cases};
use serde_json::json;
use verdict::{Reference, Verdict};
use world::{DOUBLE, PROXY, RELAY, World};

const USAGE: &str = "network PARTY FOLDER SUMMARY [--smoke] [--jobs N] [--seed S] [--only TEXT]";
/// A case that has not ended by then hangs.
const LIMIT: Duration = Duration::from_secs(240);
/// How long a node that has its result may wait for those that have ended.
const ALONE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(10);

fn main() -> ExitCode {
    end("network", run())
}

#[derive(Clone)]
struct Options {
    party: PathBuf,
    folder: PathBuf,
    summary: PathBuf,
    seed: u64,
    jobs: usize,
    smoke: bool,
    only: Option<String>,
}

impl Options {
    fn read() -> Outcome<Self> {
        let (mut paths, mut seed, mut jobs, mut smoke, mut only) = (Vec::new(), 1, 4, false, None);
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(USAGE);
            match argument.as_str() {
                "--smoke" => smoke = true,
                "--seed" => seed = value()?.parse()?,
                "--jobs" => jobs = value()?.parse()?,
                "--only" => only = Some(value()?),
                _ => paths.push(PathBuf::from(argument)),
            }
        }
        let [party, folder, summary] = <[PathBuf; 3]>::try_from(paths).map_err(|_| USAGE)?;
        Ok(Self { party, folder, summary, seed, jobs, smoke, only })
    }
}

/// Whether this process has a network and a table of names of its own (`scripts/network.sh`).
fn inside() -> bool {
    env::var_os("NETWORK_INSIDE").is_some()
}

fn run() -> Outcome<bool> {
    let options = Options::read()?;
    let mut all = cases();
    all.retain(|case| !options.smoke || case.smoke);
    if let Some(only) = &options.only {
        all.retain(|case| case.name.contains(only.as_str()));
    }
    let (all, skipped): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|case| inside() || !case.inside);
    fs::create_dir_all(&options.folder)?;
    let references = Arc::new(verdict::references(&options.party, &options.folder, &all)?);
    let mut done = each(&options, all, &references)?;
    done.sort_by_key(|(number, ..)| *number);
    let line = |case: &str, expected: &str, happened: &str, seconds: &str| {
        say(&format!("{case:<40} {expected:<18} {happened:<13} {seconds:>6}"));
    };
    say("");
    line("case", "expected", "happened", "s");
    let mut rows = Vec::new();
    for (_, case, verdict) in &done {
        line(case.name, case.expected, verdict.word(), &format!("{:.1}", verdict.seconds));
        rows.push(verdict.to_json(case));
    }
    for case in &skipped {
        line(case.name, case.expected, "skipped", "-");
    }
    for (_, case, verdict) in done.iter().filter(|(.., verdict)| !verdict.good) {
        say(&format!("\n{}: {}", case.name, verdict.happened));
    }
    if !skipped.is_empty() {
        say("\nskipped: this machine makes no network namespaces for this user");
    }
    let wrong = done.iter().filter(|(.., verdict)| !verdict.good).count();
    say(&format!("\n{} cases, {wrong} wrong, {} skipped", done.len(), skipped.len()));
    let skipped: Vec<&str> = skipped.iter().map(|case| case.name).collect();
    let summary = json!({
        "seed": options.seed, "cases": rows, "wrong": wrong, "skipped": skipped,
    });
    write(&options.summary, &summary)?;
    Ok(wrong == 0 && !done.is_empty())
}

type Done = Vec<(usize, Case, Verdict)>;

/// Several cases at a time: most of them wait most of the time.
fn each(options: &Options, cases: Vec<Case>, references: &Arc<Vec<Reference>>) -> Outcome<Done> {
    let (jobs, references) = (vec![(); options.jobs.max(1)], Arc::clone(references));
    let options = options.clone();
    campaign::all(jobs, cases.into_iter().enumerate().collect(), move |(), (number, case)| {
        let folder = options.folder.join(format!("case-{number}"));
        let verdict = one(&options, &folder, &case, &references)?;
        say(&format!("{}: {} ({:.1} s)", verdict.word(), case.name, verdict.seconds));
        Ok((number, case, verdict))
    })
}

/// Runs a case to its end.
fn one(
    options: &Options,
    folder: &Path,
    case: &Case,
    references: &[Reference],
) -> Outcome<Verdict> {
    let mut world = World::make(&options.party, folder, case, options.seed)?;
    let (struck, seconds) = play(&mut world, case)?;
    let verdict = Verdict::of(&world, case, references, struck, seconds);
    if verdict.good {
        world.clear();
    }
    Ok(verdict)
}

/// Plays the steps of a case; what of them did not come to pass, and how long it took.
fn play(world: &mut World<'_>, case: &Case) -> Outcome<(Option<String>, f64)> {
    let mut steps = case.steps.iter().peekable();
    while let Some((_, act)) = steps.next_if(|(when, _)| matches!(when, When::Before)) {
        act.does(world)?;
    }
    let relays: &[usize] = match case.reach {
        Reach::Direct | Reach::OneWay => &[],
        Reach::Proxy => &[PROXY, RELAY],
        _ => &[RELAY],
    };
    for program in relays.iter().copied().chain([2, 1, 0]) {
        if !case.absent.contains(&program) {
            world.start(program)?;
        }
    }
    let begin = Instant::now();
    let (mut last, mut heard) = (begin, None);
    let mut alone: Option<Instant> = None;
    loop {
        let ended = world.look()?;
        // The operator of a node that has its result, and waits for others who have ended, stops it.
        if steps.peek().is_none() && world.waits_alone() {
            if alone.get_or_insert_with(Instant::now).elapsed() > ALONE {
                (0..RELAY).try_for_each(|node| world.signal(node, "-INT"))?;
            }
        } else {
            alone = None;
        }
        let mut ready = false;
        if let Some((when, _)) = steps.peek() {
            ready = match when {
                When::Before => true,
                When::Then(ms) => last.elapsed() >= Duration::from_millis(*ms),
                When::Ended => ended,
                When::Says(what, ms) => {
                    if heard.is_none() && (0..RELAY).any(|node| world.said(node).contains(what)) {
                        heard = Some(Instant::now());
                    }
                    heard.is_some_and(|at| at.elapsed() >= Duration::from_millis(*ms))
                }
            };
        }
        if ready && let Some((_, act)) = steps.next() {
            act.does(world)?;
            (last, heard) = (Instant::now(), None);
            continue;
        }
        // A node that stands still, or the other one of two, does not end by itself.
        let rest = match case.expect {
            cases::Expect::Ends(nodes) if steps.peek().is_none() => {
                nodes.iter().all(|(node, ..)| !world.codes[*node].is_empty())
            }
            _ => false,
        };
        if ended && steps.peek().is_none() || rest {
            return Ok((None, begin.elapsed().as_secs_f64()));
        }
        if ended && !matches!(steps.peek(), Some((When::Then(_) | When::Ended, _))) {
            let what = "its moment never came".to_owned();
            return Ok((Some(what), begin.elapsed().as_secs_f64()));
        }
        if begin.elapsed() > LIMIT {
            return Ok((Some("it hangs".to_owned()), begin.elapsed().as_secs_f64()));
        }
        thread::sleep(PAUSE);
    }
}

impl Act {
    fn does(&self, world: &mut World<'_>) -> Outcome<()> {
        match *self {
            Self::Lines(which, change) => {
                world.lines(which).for_each(|line| line.change(change));
                Ok(())
            }
            Self::Start(program) => world.start(program),
            Self::Kill(program) => world.kill(program),
            Self::Signal(program, signal) => world.signal(program, signal),
            Self::Turn(node, seconds) => world.turn(node, seconds),
            Self::Rule(node, kind) => rule("add", world.port(node)?, kind),
            Self::NoRule(node) => {
                let port = world.port(node)?;
                ["prohibit", "unreachable"].into_iter().try_for_each(|kind| {
                    // The other one is not there.
                    rule("del", port, kind).or(Ok(()))
                })
            }
            Self::Name(name, resolves) => name_service(name, resolves),
        }
    }
}

/// What this machine does with what is sent from a port.
fn rule(change: &str, port: u16, kind: &str) -> Outcome<()> {
    let port = port.to_string();
    let rule = ["rule", change, "priority", "50", "ipproto", "udp", "sport", &port, kind];
    match Command::new("ip").args(rule).output()? {
        output if output.status.success() => Ok(()),
        output => Err(format!("ip rule: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Puts a name into the table of names, which is one of its own here, or takes it out.
fn name_service(name: &str, resolves: bool) -> Outcome<()> {
    let table = fs::read_to_string("/etc/hosts")?;
    let mut lines: Vec<&str> = table.lines().filter(|line| !line.ends_with(name)).collect();
    let line = format!("127.0.0.1 {name}");
    if resolves {
        lines.push(&line);
    }
    Ok(fs::write("/etc/hosts", lines.join("\n") + "\n")?)
}

/// The names of the programs of a case, for what is told of it.
fn program(number: usize) -> &'static str {
    match number {
        RELAY => "the relay",
        PROXY => "the proxy",
        DOUBLE => "the second north",
        node => studies::NAMES[node],
    }
}
