//! `party plan`: what a study will take, found out by a rehearsal on invented rows.

mod invented;
mod rehearsal;

use std::fmt::Write;
use std::fs;
use std::time::Instant;

use serde_json::json;

use crate::cli::Plan;
use crate::exit::{Exit, Failure};
use crate::node::say;
use crate::output::{Report, wrapped};
use crate::study::Study;
use rehearsal::{Spent, rehearse};

/// The part of a line that a run fills at most (docs/cost.md).
const FILLED: f64 = 0.85;

pub(super) fn run(options: &Plan) -> Result<Report, Failure> {
    let path = &options.study;
    let study = Study::read(path).map_err(|error| Failure::from(error).in_file(path))?;
    let refused = |what: String, advice: &str| {
        Err(Failure::new(Exit::Usage, what).in_file(path).advise(advice))
    };
    if study.scoring().is_some() {
        return refused(
            "scores are computed by parts of a model that are here already, and are not rehearsed"
                .to_owned(),
            "`party study check` tells their rounds and bytes",
        );
    }
    let parties = study.parties().len();
    let rows = &match (&options.rows[..], study.columns()) {
        // All have the same records.
        ([records], Some(_)) => vec![*records; parties],
        (rows, _) => rows.to_vec(),
    };
    if rows.len() != parties {
        return refused(
            format!("--rows has {} numbers, and the study has {parties} parties", rows.len()),
            "name the rows of each party, in the order of the study",
        );
    }
    if study.columns().is_some() && rows.iter().any(|own| *own != rows[0]) {
        return refused(
            "the parties hold columns of the same records, and --rows has several numbers"
                .to_owned(),
            "name the common records that `party align` told: one number",
        );
    }
    let positive = |value: f64| value.is_finite() && value > 0.0;
    if !positive(options.mbit) || !(positive(options.rtt_ms) || options.rtt_ms == 0.0) {
        return refused(
            "--mbit must be above 0, and --rtt-ms 0 or more".to_owned(),
            "`party doctor` measures the round trip",
        );
    }
    // What cannot be planned is refused before it is rehearsed.
    let planned = study.plan(rows).map_err(|error| Failure::from(error).in_file(path))?;
    let precision = planned.figures().precision;
    say("rehearsing on invented rows, here alone; it takes as long as the study");
    let (begun, before) = (Instant::now(), processor());
    let spent = rehearse(&study, rows)?;
    let seconds = begun.elapsed().as_secs_f64();
    // What one node computes, on a machine of its own.
    let own =
        processor().zip(before).map_or(seconds, |(now, before)| now - before) / parties as f64;
    let memory = peak().map(|bytes| bytes / parties as u64);
    report(&study, options, (&spent, &precision), (own, memory))
}

fn report(
    study: &Study,
    options: &Plan,
    (spent, precision): (&[Spent], &[String]),
    (own, memory): (f64, Option<u64>),
) -> Result<Report, Failure> {
    let sent = |spent: &Spent| spent.phases.get("total").map_or(0, |total| total.bytes_sent);
    let Some((place, most)) = spent.iter().enumerate().max_by_key(|(_, spent)| sent(spent)) else {
        return Err(Failure::new(Exit::Internal, "nobody took part in the rehearsal"));
    };
    let total = most.phases.get("total").cloned().unwrap_or_default();
    let waits = total.rounds as f64 * options.rtt_ms / 1e3;
    let line = total.bytes_sent as f64 * 8.0 / (options.mbit * 1e6 * FILLED);
    let minutes = (own + waits + line) / 60.0;
    let mut text = format!("{}\n", study.title());
    let rows: Vec<String> = options.rows.iter().map(u64::to_string).collect();
    text += &wrapped(
        "  ",
        &format!("rehearsed with {} invented rows, {} steps", rows.join(" + "), most.steps),
    );
    // Writing to a string does not fail.
    let _ = writeln!(text, "  {:<17}{:>8}{:>12}", "", "rounds", "MB sent");
    let phases = most.phases.iter().filter(|(name, _)| *name != "total");
    for (name, phase) in phases.chain([(&"total".to_owned(), &total)]) {
        let megabytes = phase.bytes_sent as f64 / 1e6;
        let _ = writeln!(text, "  {name:<17}{:>8}{megabytes:>12.2}", phase.rounds);
    }
    text += &wrapped("  ", &format!("(by {}, who sends most)", study.parties()[place]));
    if let Some(memory) = memory {
        text += &wrapped("Memory:  ", &format!("some {} MB at each node", memory >> 20));
    }
    text += &wrapped(
        "Time:    ",
        &format!(
            "{minutes:.1} minutes at most: {own:.0} s of computing, {waits:.0} s for {} rounds of {} ms, {line:.0} s \
             for the bytes at {} Mbit/s; parts of them run side by side",
            total.rounds, options.rtt_ms, options.mbit
        ),
    );
    if study.privacy().is_some() {
        // What the noise leaves of the signal is what such a study is planned for.
        precision.iter().for_each(|each| text += &wrapped("Precision: ", each));
    }
    text += &wrapped(
        "",
        "Fits to the optimum take as many passes as the data need; each further one takes the rounds and bytes \
         of a pass.",
    );
    let parties = study.parties().iter().zip(spent).map(
        |(name, spent)| json!({ "party": name, "phases": spent.phases, "steps": spent.steps }),
    );
    Ok(Report {
        text,
        json: json!({
            "study": study.digest().to_string(),
            "rows": options.rows,
            "parties": parties.collect::<Vec<_>>(),
            "memory_bytes": memory,
            "minutes": minutes,
            "computing_s": own,
            "rounds_s": waits,
            "line_s": line,
        }),
    })
}

/// Seconds of processor time that this process took, where the system tells it.
fn processor() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    // Linux tells hundredths of a second.
    Some((ticks(11)? + ticks(12)?) / 100.0)
}

/// The most memory that this process had, where the system tells it.
fn peak() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes << 10)
}
