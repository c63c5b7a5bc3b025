//! Lets one node of a study misbehave, many times in as many ways, and looks at how the others end
//! (`scripts/faults.sh`).

mod cases;
mod models;
mod nodes;
mod slot;
mod studies;
mod verdict;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use cases::Case;
use nodes::Run;
use serde_json::json;
use slot::Slot;
use studies::{STUDIES, Study};
use verdict::{Counts, Reference, Verdict};

/// The outcome of a program that is meant for scripts.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "faults PARTY FOLDER SUMMARY [--smoke] [--jobs N] [--only TEXT]";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("faults: {error}"));
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::print_stdout, reason = "this is what the program is for")]
fn say(text: &str) {
    println!("{text}");
}

struct Options {
    party: PathBuf,
    folder: PathBuf,
    summary: PathBuf,
    smoke: bool,
    jobs: usize,
    only: Option<String>,
}

impl Options {
    fn read() -> Outcome<Self> {
        let mut paths = Vec::new();
        let (mut smoke, mut jobs, mut only) = (false, 2, None);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--smoke" => smoke = true,
                "--jobs" => jobs = arguments.next().ok_or(USAGE)?.parse()?,
                "--only" => only = Some(arguments.next().ok_or(USAGE)?),
                _ => paths.push(PathBuf::from(argument)),
            }
        }
        let [party, folder, summary] = <[PathBuf; 3]>::try_from(paths).map_err(|_| USAGE)?;
        Ok(Self { party, folder, summary, smoke, jobs, only })
    }
}

/// What one study is compared with.
struct Known {
    reference: Reference,
    /// What each node sends when all keep to the protocol: step, peer, number of messages.
    sent: Vec<Vec<(String, usize, u64)>>,
}

fn run() -> Outcome<bool> {
    let options = Options::read()?;
    let begin = Instant::now();
    let mut slots = Vec::new();
    for slot in 0..options.jobs.max(1) {
        let folder = options.folder.join(format!("slot-{slot}"));
        slots.push(Slot::make(&options.party, &folder)?);
    }

    let mut cases = Vec::new();
    let mut known = Vec::new();
    for study in STUDIES {
        let found = know(&slots[0], study)?;
        cases.extend(cases::of(study, &found.sent, options.smoke));
        known.push(found);
    }
    if let Some(only) = &options.only {
        cases.retain(|case| case.to_string().contains(only.as_str()));
    }
    say(&format!("{} cases, {} at a time", cases.len(), slots.len()));

    let known = Arc::new(known);
    let todo = Arc::new(Mutex::new(cases.into_iter().rev().collect::<Vec<Case>>()));
    let workers: Vec<_> = slots
        .into_iter()
        .map(|slot| {
            let (todo, known) = (Arc::clone(&todo), Arc::clone(&known));
            thread::spawn(move || work(&slot, &todo, &known))
        })
        .collect();
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.join().map_err(|_| "a worker broke off")??);
    }
    done.sort_by_key(|(case, _)| case.number);

    let mut counts = Counts::default();
    done.iter().for_each(|(_, verdict)| counts.add(verdict));
    write(&options.summary, &counts, &done)?;
    say(&counts.to_string());
    say(&format!("{} cases in {} s", done.len(), begin.elapsed().as_secs()));
    Ok(counts.good())
}

/// Two undisturbed runs: what they send, and by how much their models differ.
fn know(slot: &Slot, study: &Study) -> Outcome<Known> {
    let runs = [slot.run(study, None)?, slot.run(study, None)?];
    let reference = Reference::new(study, &runs)?;
    let [Run { sent, .. }, _] = runs;
    Ok(Known { reference, sent })
}

fn work(slot: &Slot, todo: &Mutex<Vec<Case>>, known: &[Known]) -> Outcome<Vec<(Case, Verdict)>> {
    let mut done = Vec::new();
    loop {
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(case) = next else { return Ok(done) };
        let study = &STUDIES[case.study];
        let run = slot.run(study, Some(&case))?;
        let verdict = known[case.study].reference.judge(&case, &run);
        say(&format!("{verdict}: {case}"));
        done.push((case, verdict));
    }
}

fn write(path: &Path, counts: &Counts, done: &[(Case, Verdict)]) -> Outcome<()> {
    let cases: Vec<_> = done.iter().map(|(case, verdict)| verdict.to_json(case)).collect();
    let all = json!({ "counts": counts.to_json(), "cases": cases });
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, serde_json::to_string_pretty(&all)? + "\n")?)
}
