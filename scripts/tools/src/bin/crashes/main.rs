//! Kills nodes of small studies, many times at as many moments, starts them again, and looks at whether
//! every party has the model in the end (`scripts/crashes.sh`).

mod chance;
#[path = "../faults/models.rs"]
mod models;
mod nodes;
mod points;
#[path = "../faults/slot.rs"]
mod slot;
#[path = "../faults/studies.rs"]
mod studies;
mod verdict;

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use chance::Chance;
use nodes::undisturbed;
use points::{Case, Shape};
use slot::Slot;
use studies::STUDIES;
use verdict::{Counts, Reference, Verdict};

/// The outcome of a program that is meant for scripts.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str =
    "crashes PARTY FOLDER SUMMARY [--runs N] [--seed S] [--jobs N] [--stopped S] [--only TEXT]";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("crashes: {error}"));
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
    runs: usize,
    seed: u64,
    jobs: usize,
    /// Nodes are stopped for so long in place of being killed.
    stopped: Option<u64>,
    only: Option<String>,
}

impl Options {
    fn read() -> Outcome<Self> {
        let mut paths = Vec::new();
        let (mut runs, mut seed, mut jobs, mut stopped, mut only) = (200, 1, 2, None, None);
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(USAGE);
            match argument.as_str() {
                "--runs" => runs = value()?.parse()?,
                "--seed" => seed = value()?.parse()?,
                "--jobs" => jobs = value()?.parse()?,
                "--stopped" => stopped = Some(value()?.parse()?),
                "--only" => only = Some(value()?),
                _ => paths.push(PathBuf::from(argument)),
            }
        }
        let [party, folder, summary] = <[PathBuf; 3]>::try_from(paths).map_err(|_| USAGE)?;
        Ok(Self { party, folder, summary, runs, seed, jobs, stopped, only })
    }
}

fn run() -> Outcome<bool> {
    let options = Options::read()?;
    let begin = Instant::now();
    let mut slots = Vec::new();
    for slot in 0..options.jobs.max(1) {
        let folder = options.folder.join(format!("slot-{slot}"));
        slots.push(Slot::make(&options.party, &folder)?);
    }
    let (mut shapes, mut references) = (Vec::new(), Vec::new());
    for study in STUDIES {
        let runs = [undisturbed(&slots[0], study)?, undisturbed(&slots[0], study)?];
        references.push(Reference::new(study, &runs)?);
        let [Shape { results, phases }, second] = runs.map(|run| run.shape);
        let phases = phases.into_iter().zip(second.phases).map(|(a, b)| a.max(b)).collect();
        shapes.push(Shape { results, phases });
    }
    let mut chance = Chance::new(options.seed);
    let mut cases: Vec<Case> =
        (0..options.runs).map(|number| Case::draw(number, &shapes, &mut chance)).collect();
    if let Some(seconds) = options.stopped {
        cases.iter_mut().for_each(|case| case.stop_for(seconds, &shapes));
    }
    if let Some(only) = &options.only {
        cases.retain(|case| case.to_string().contains(only.as_str()));
    }
    say(&format!("{} runs, {} at a time, seed {}", cases.len(), slots.len(), options.seed));

    let references = Arc::new(references);
    let todo = Arc::new(Mutex::new(cases.into_iter().rev().collect::<Vec<Case>>()));
    let workers: Vec<_> = slots
        .into_iter()
        .map(|slot| {
            let (todo, references) = (Arc::clone(&todo), Arc::clone(&references));
            thread::spawn(move || work(&slot, &todo, &references))
        })
        .collect();
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.join().map_err(|_| "a worker broke off")??);
    }
    done.sort_by_key(|(case, _)| case.number);
    let counts = Counts::of(&done);
    if let Some(folder) = options.summary.parent() {
        fs::create_dir_all(folder)?;
    }
    let all = counts.to_json(options.seed, &done);
    fs::write(&options.summary, serde_json::to_string_pretty(&all)? + "\n")?;
    say(&counts.to_string());
    say(&format!("{} runs in {} s", done.len(), begin.elapsed().as_secs()));
    Ok(counts.good())
}

fn work(
    slot: &Slot,
    todo: &Mutex<Vec<Case>>,
    references: &[Reference],
) -> Outcome<Vec<(Case, Verdict)>> {
    let mut done = Vec::new();
    loop {
        let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(case) = next else { return Ok(done) };
        let run = nodes::run(slot, &case)?;
        let verdict = references[case.study].judge(run);
        say(&format!("{verdict}: {case}"));
        if !verdict.is_good() {
            // What the nodes said stays, for whoever looks for the reason.
            let kept = slot.folder.with_file_name(format!("run-{}", case.number));
            nodes::keep_logs(slot, &kept)?;
        }
        done.push((case, verdict));
    }
}
