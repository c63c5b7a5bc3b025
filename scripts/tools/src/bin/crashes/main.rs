//! Kills nodes of small studies, many times at as many moments, starts them again, and looks at whether
//! every party has the model in the end (`scripts/crashes.sh`).

#[path = "../faults/campaign.rs"]
mod campaign;
mod chance;
#[path = "../faults/models.rs"]
mod models;
mod nodes;
mod played;
mod points;
#[path = "../faults/slot.rs"]
mod slot;
mod states;
#[path = "../faults/studies.rs"]
mod studies;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use campaign::{Outcome, all, end, say, slots, write};
use chance::Chance;
use nodes::undisturbed;
use played::PLAYED;
use points::{Case, Shape};
use slot::Slot;
use verdict::{Counts, Reference, Verdict};

const USAGE: &str =
    "crashes PARTY FOLDER SUMMARY [--runs N] [--seed S] [--jobs N] [--stopped S] [--only TEXT]";

fn main() -> ExitCode {
    end("crashes", run())
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
    let slots = slots(options.jobs, &options.party, &options.folder)?;
    slots.iter().try_for_each(played::prepare)?;
    let (mut shapes, mut references) = (Vec::new(), Vec::new());
    for (at, study) in PLAYED.iter().enumerate() {
        let runs = [undisturbed(&slots[0], at)?, undisturbed(&slots[0], at)?];
        references.push(Arc::new(Reference::new(study, &runs)?));
        let [Shape { results, phases, states }, second] = runs.map(|run| run.shape);
        let phases = phases.into_iter().zip(second.phases).map(|(a, b)| a.max(b)).collect();
        shapes.push(Shape { results, phases, states });
    }
    let workers = workers(slots, &references)?;
    let mut chance = Chance::new(options.seed);
    let mut cases: Vec<Case> =
        (0..options.runs).map(|number| Case::draw(number, &shapes, &mut chance)).collect();
    if let Some(seconds) = options.stopped {
        cases.iter_mut().for_each(|case| case.stop_for(seconds, &shapes));
    }
    if let Some(only) = &options.only {
        cases.retain(|case| case.to_string().contains(only.as_str()));
    }
    say(&format!("{} runs, {} at a time, seed {}", cases.len(), workers.len(), options.seed));

    let mut done = all(workers, cases, |worker, case| {
        let verdict = judge(worker, &case)?;
        Ok((case, verdict))
    })?;
    done.sort_by_key(|(case, _)| case.number);
    let counts = Counts::of(&done);
    write(&options.summary, &counts.to_json(options.seed, &done))?;
    say(&counts.to_string());
    say(&format!("{} runs in {} s", done.len(), begin.elapsed().as_secs()));
    Ok(counts.good())
}

/// Nodes, and what they come to undisturbed.
struct Worker {
    slot: Slot,
    /// Of each of [`PLAYED`].
    references: Vec<Arc<Reference>>,
}

/// What begins with what the nodes have made themselves is compared with undisturbed runs of the same nodes.
fn workers(slots: Vec<Slot>, references: &[Arc<Reference>]) -> Outcome<Vec<Worker>> {
    let worker = |(number, slot): (usize, Slot)| {
        let mut references = references.to_vec();
        for (at, study) in PLAYED.iter().enumerate() {
            if number > 0 && study.on_a_model() {
                let runs = [undisturbed(&slot, at)?, undisturbed(&slot, at)?];
                references[at] = Arc::new(Reference::new(study, &runs)?);
            }
        }
        Ok(Worker { slot, references })
    };
    slots.into_iter().enumerate().map(worker).collect()
}

fn judge(worker: &Worker, case: &Case) -> Outcome<Verdict> {
    let Worker { slot, references } = worker;
    let verdict = references[case.study].judge(nodes::run(slot, case)?);
    say(&format!("{verdict}: {case}"));
    if !verdict.is_good() {
        // What the nodes said stays, for whoever looks for the reason.
        let kept = slot.folder.with_file_name(format!("run-{}", case.number));
        nodes::keep_logs(slot, &kept)?;
    }
    Ok(verdict)
}
