//! All that a study takes, as a rehearsal found it.

use std::fmt::Write;
use std::fs;
use std::time::Instant;

use serde_json::{Value, json};

use super::rehearsal::{Spent, rehearse};
use crate::cli::Line;
use crate::exit::{Exit, Failure};
use crate::node::{PhaseReceipt, say};
use crate::output::wrapped;
use crate::study::Study;

/// The part of a line that a run fills at most (docs/cost.md).
const FILLED: f64 = 0.85;

impl Line {
    /// Refuses a line that cannot be.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        if positive(self.mbit) && (positive(self.rtt_ms) || self.rtt_ms == 0.0) {
            return Ok(());
        }
        Err(Failure::new(Exit::Usage, "--mbit must be above 0, and --rtt-ms 0 or more")
            .advise("`party doctor` measures the round trip"))
    }
}

/// What a study takes of each node and of the line.
pub(in crate::commands) struct Estimate {
    rows: Vec<u64>,
    spent: Vec<Spent>,
    /// Who sends most.
    most: usize,
    /// Seconds that one node computes, on a machine of its own.
    computing: f64,
    /// Bytes of memory at each node, where the system tells it.
    memory: Option<u64>,
}

impl Estimate {
    /// Runs the study on this machine alone, on invented rows.
    pub(in crate::commands) fn rehearsed(study: &Study, rows: &[u64]) -> Result<Self, Failure> {
        say("rehearsing on invented rows, here alone; it takes as long as the study");
        let held = begin_anew();
        let (begun, before) = (Instant::now(), processor());
        let spent = rehearse(study, rows)?;
        let seconds = begun.elapsed().as_secs_f64();
        let parties = rows.len();
        let computing =
            processor().zip(before).map_or(seconds, |(now, before)| now - before) / parties as f64;
        let memory = memory("VmHWM:").map(|peak| peak.saturating_sub(held) / parties as u64);
        let sent = |spent: &Spent| spent.phases.get("total").map_or(0, |total| total.bytes_sent);
        let most = spent.iter().enumerate().max_by_key(|(_, spent)| sent(spent));
        let Some((most, _)) = most else {
            return Err(Failure::new(Exit::Internal, "nobody took part in the rehearsal"));
        };
        Ok(Self { rows: rows.to_vec(), spent, most, computing, memory })
    }

    fn total(&self) -> PhaseReceipt {
        self.spent[self.most].phases.get("total").cloned().unwrap_or_default()
    }

    /// Seconds for rounds, and for the bytes.
    fn waits(&self, line: &Line) -> (f64, f64) {
        let total = self.total();
        let rounds = total.rounds as f64 * line.rtt_ms / 1e3;
        (rounds, total.bytes_sent as f64 * 8.0 / (line.mbit * 1e6 * FILLED))
    }

    fn minutes(&self, line: &Line) -> f64 {
        let (rounds, bytes) = self.waits(line);
        (self.computing + rounds + bytes) / 60.0
    }

    pub(in crate::commands) fn in_words(&self, study: &Study, line: &Line) -> String {
        let (total, most) = (self.total(), &self.spent[self.most]);
        let rows: Vec<String> = match study.columns() {
            Some(_) => self.rows.iter().take(1).map(u64::to_string).collect(),
            None => self.rows.iter().map(u64::to_string).collect(),
        };
        let mut text = wrapped(
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
        let who = format!("(by {}, who sends most)", study.parties()[self.most]);
        text += &wrapped("  ", &who);
        if let Some(memory) = self.memory {
            text += &wrapped("Memory:  ", &format!("some {} MB at each node", memory >> 20));
        }
        let (rounds, bytes) = self.waits(line);
        text += &wrapped(
            "Time:    ",
            &format!(
                "{:.1} minutes at most: {:.0} s of computing, {rounds:.0} s for {} rounds of {} ms, {bytes:.0} s \
                 for the bytes at {} Mbit/s; parts of them run side by side",
                self.minutes(line),
                self.computing,
                total.rounds,
                line.rtt_ms,
                line.mbit
            ),
        );
        text += &wrapped(
            "",
            "Fits to the optimum take as many passes as the data need; each further one takes the rounds and \
             bytes of a pass.",
        );
        text
    }

    pub(in crate::commands) fn json(&self, study: &Study, line: &Line) -> Value {
        let (rounds, bytes) = self.waits(line);
        let parties = study.parties().iter().zip(&self.spent).map(
            |(name, spent)| json!({ "party": name, "phases": spent.phases, "steps": spent.steps }),
        );
        json!({
            "parties": parties.collect::<Vec<_>>(),
            "memory_bytes": self.memory,
            "minutes": self.minutes(line),
            "computing_s": self.computing,
            "rounds_s": rounds,
            "line_s": bytes,
        })
    }
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

/// Begins the count of the most memory anew, where the system allows it; gives what this process holds by then.
fn begin_anew() -> u64 {
    match fs::write("/proc/self/clear_refs", "5") {
        Ok(()) => memory("VmRSS:").unwrap_or_default(),
        Err(_) => 0,
    }
}

/// A line of bytes that the system tells of this process.
fn memory(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes << 10)
}
