//! Lets one node of a study misbehave, many times in as many ways, and looks at how the others end
//! (`scripts/faults.sh`).

mod campaign;
mod cases;
mod models;
mod nodes;
mod slot;
mod studies;
mod verdict;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use campaign::{Outcome, all, end, say, slots, write};
use cases::Case;
use nodes::Run;
use serde_json::json;
use slot::Slot;
use studies::{STUDIES, Study};
use verdict::{Counts, Reference};

const USAGE: &str = "faults PARTY FOLDER SUMMARY [--smoke] [--jobs N] [--only TEXT]";

fn main() -> ExitCode {
    end("faults", run())
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
    let slots = slots(options.jobs, &options.party, &options.folder)?;

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

    let mut done = all(slots, cases, move |slot, case: Case| {
        let run = slot.run(&STUDIES[case.study], Some(&case))?;
        let verdict = known[case.study].reference.judge(&case, &run);
        say(&format!("{verdict}: {case}"));
        Ok((case, verdict))
    })?;
    done.sort_by_key(|(case, _)| case.number);

    let mut counts = Counts::default();
    done.iter().for_each(|(_, verdict)| counts.add(verdict));
    let cases: Vec<_> = done.iter().map(|(case, verdict)| verdict.to_json(case)).collect();
    write(&options.summary, &json!({ "counts": counts.to_json(), "cases": cases }))?;
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
