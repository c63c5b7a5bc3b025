//! Many cases by a few workers, each with nodes of its own, for programs that are meant for scripts.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use serde_json::Value;

use crate::slot::Slot;

/// The outcome of a program that is meant for scripts.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Whether all is well, as the program of this name ends.
pub fn end(program: &str, outcome: Outcome<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("{program}: {error}"));
            ExitCode::from(2)
        }
    }
}

#[allow(clippy::print_stdout, reason = "this is what these programs are for")]
pub fn say(text: &str) {
    println!("{text}");
}

/// Nodes for so many workers, one at least.
#[allow(dead_code, reason = "not all campaigns have the same nodes for all cases")]
pub fn slots(jobs: usize, party: &Path, folder: &Path) -> Outcome<Vec<Slot>> {
    let slot = |number| Slot::make(party, &folder.join(format!("slot-{number}")));
    (0..jobs.max(1)).map(slot).collect()
}

/// Gives each case to a worker with what is its own, in order; what came of each.
pub fn all<S: Send + 'static, C: Send + 'static, D: Send + 'static>(
    slots: Vec<S>,
    cases: Vec<C>,
    judge: impl Fn(&S, C) -> Outcome<D> + Send + Sync + 'static,
) -> Outcome<Vec<D>> {
    let judge = Arc::new(judge);
    let todo = Arc::new(Mutex::new(cases.into_iter().rev().collect::<Vec<C>>()));
    let workers: Vec<_> = slots
        .into_iter()
        .map(|slot| {
            let (todo, judge) = (Arc::clone(&todo), Arc::clone(&judge));
            thread::spawn(move || {
                let mut done = Vec::new();
                loop {
                    let next = todo.lock().unwrap_or_else(PoisonError::into_inner).pop();
                    let Some(case) = next else { return Outcome::Ok(done) };
                    done.push(judge(&slot, case)?);
                }
            })
        })
        .collect();
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.join().map_err(|_| "a worker broke off")??);
    }
    Ok(done)
}

/// Writes a summary, and makes its folder.
pub fn write(path: &Path, summary: &Value) -> Outcome<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, serde_json::to_string_pretty(summary)? + "\n")?)
}
