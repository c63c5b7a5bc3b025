//! Fits the made-up studies of `mpc_ml::synthetic::studies` jointly, with real sessions inside this
//! process, and sets each beside the float64 fit of the same rows. Exit code 1 when a fit is wrong,
//! or when more than 2% of those that float64 can fit are refused.
//!
//! ```text
//! made-up SUMMARY [--correlations pairwise|dealer|both] [--family logistic|poisson]
//!                 [--number NUMBER] [--every COUNT] [--seed NUMBER] [--threads COUNT]
//! ```
//!
//! SUMMARY is written as JSON. `--every` takes one study of so many, for a quick look.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod joint;
mod verdict;

use std::fs;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use mpc_core::correlations::Origin;
use mpc_ml::plaintext::glm::Family;
use mpc_ml::synthetic::studies::{STUDIES, study};
use serde_json::{Value, json};

use verdict::{Apart, Ended, Verdict};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// Of the studies that float64 can fit, no larger share may be refused.
const MOST_REFUSED: f64 = 0.02;

/// What the command line asks for.
struct Options {
    summary: String,
    sources: Vec<Origin>,
    families: Vec<Family>,
    numbers: Vec<usize>,
    seed: u64,
    threads: usize,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Outcome<Self> {
        let summary = arguments.next().ok_or("the first argument is the file of the summary")?;
        let mut options = Self {
            summary,
            sources: vec![Origin::Pairwise],
            families: vec![Family::Logistic, Family::Poisson],
            numbers: (0..STUDIES).collect(),
            seed: 1,
            threads: 2,
        };
        while let Some(flag) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
            match (flag.as_str(), value.as_str()) {
                ("--correlations", "pairwise") => options.sources = vec![Origin::Pairwise],
                ("--correlations", "dealer") => options.sources = vec![Origin::Dealer],
                ("--correlations", "both") => {
                    options.sources = vec![Origin::Pairwise, Origin::Dealer];
                }
                ("--family", "logistic") => options.families = vec![Family::Logistic],
                ("--family", "poisson") => options.families = vec![Family::Poisson],
                ("--number", number) => {
                    let number = number.parse()?;
                    if number >= STUDIES {
                        return Err(format!("studies have numbers below {STUDIES}").into());
                    }
                    options.numbers = vec![number];
                }
                ("--every", count) => {
                    options.numbers =
                        (0..STUDIES).step_by(count.parse::<usize>()?.max(1)).collect();
                }
                ("--seed", seed) => options.seed = seed.parse()?,
                ("--threads", count) => options.threads = count.parse::<usize>()?.max(1),
                _ => return Err(format!("made-up does not know {flag} {value}").into()),
            }
        }
        Ok(options)
    }

    /// Family, number and source of each run.
    fn runs(&self) -> Vec<(Family, usize, Origin)> {
        let mut runs = Vec::new();
        for &family in &self.families {
            for &number in &self.numbers {
                runs.extend(self.sources.iter().map(|&source| (family, number, source)));
            }
        }
        runs
    }
}

fn main() -> Outcome<ExitCode> {
    let options = Options::read(std::env::args().skip(1))?;
    let runs = options.runs();
    let next = AtomicUsize::new(0);
    let ended: Mutex<Vec<Option<Ended>>> = Mutex::new(runs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..options.threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&run) = runs.get(at) else { break };
                    let one = one(run, options.seed);
                    println!("{}", one.line);
                    let mut all = ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    all[at] = Some(one);
                }
            });
        }
    });
    let ended = ended.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let ended: Vec<Ended> = ended.into_iter().flatten().collect();
    summarise(&options, &ended)
}

fn one((family, number, origin): (Family, usize, Origin), seed: u64) -> Ended {
    let study = study(family, number, seed);
    let reference = study.reference();
    let began = Instant::now();
    let joint = joint::fit(&study, origin);
    verdict::judge(&study, origin, &reference, &joint, began.elapsed().as_secs_f64())
}

fn summarise(options: &Options, ended: &[Ended]) -> Outcome<ExitCode> {
    let count = |verdict: Verdict| ended.iter().filter(|each| each.verdict == verdict).count();
    let (right, refused, wrong) =
        (count(Verdict::Right), count(Verdict::Refused), count(Verdict::Wrong));
    let fits = ended.iter().filter(|each| each.fits).count();
    let refused_fits =
        ended.iter().filter(|each| each.fits && each.verdict == Verdict::Refused).count();
    let largest = ended.iter().filter_map(|each| each.apart).reduce(Apart::or);
    let summary = json!({
        "right": right,
        "refused": refused,
        "wrong": wrong,
        "float64_fits": fits,
        "refused_that_float64_fits": refused_fits,
        "largest": largest.map(Apart::json),
        "seed": options.seed,
        "studies": ended.iter().map(|each| each.record.clone()).collect::<Vec<Value>>(),
    });
    fs::write(&options.summary, format!("{summary:#}\n"))?;
    println!(
        "\n{right} right, {refused} refused, {wrong} wrong; float64 fits {fits}, of which \
         {refused_fits} were refused. Written to {}.",
        options.summary
    );
    if let Some(largest) = largest {
        println!(
            "Largest differences: {:.1e} of the largest coefficient, {:.1e} standard errors; of a \
             standard error {:.1e}, of a deviance {:.1e}, relative.",
            largest.over_largest, largest.over_se, largest.std_error, largest.deviance
        );
    }
    let good = wrong == 0 && refused_fits as f64 <= MOST_REFUSED * fits as f64;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
