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
use std::thread;
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
    at_once(&slots, played::prepare)?;
    let (mut shapes, mut references) = (Vec::new(), vec![Vec::new(); slots.len()]);
    for (at, study) in PLAYED.iter().enumerate() {
        let of = if study.is_of_its_nodes() { &slots[..] } else { &slots[..1] };
        let mut runs = at_once(of, |slot| Ok([undisturbed(slot, at)?, undisturbed(slot, at)?]))?;
        let found = runs.iter().map(|runs| Reference::new(study, runs).map(Arc::new));
        let found = found.collect::<Outcome<Vec<_>>>()?;
        for (references, found) in references.iter_mut().zip(found.iter().cycle()) {
            references.push(Arc::clone(found));
        }
        let [Shape { results, phases, states }, second] = runs.swap_remove(0).map(|run| run.shape);
        let phases = phases.into_iter().zip(second.phases).map(|(a, b)| a.max(b)).collect();
        shapes.push(Shape { results, phases, states });
    }
    let workers: Vec<_> = slots
        .into_iter()
        .zip(references)
        .map(|(slot, references)| Worker { slot, references })
        .collect();
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

/// Does something in each of these slots at the same time.
fn at_once<T: Send>(slots: &[Slot], what: impl Fn(&Slot) -> Outcome<T> + Sync) -> Outcome<Vec<T>> {
    thread::scope(|scope| {
        let all: Vec<_> = slots.iter().map(|slot| scope.spawn(|| what(slot))).collect();
        all.into_iter().map(|one| one.join().map_err(|_| "a run broke off")?).collect()
    })
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
