//! What a process has used so far, and between two moments.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use mpc_net::{Meter, PhaseTotals};
use serde::{Deserialize, Serialize};

use crate::Outcome;

/// What a step took at one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Used {
    pub seconds: f64,
    /// Of all threads, user and system; in steps of 10 ms.
    pub cpu: f64,
    /// Bytes sent to each node, frame headers included, by phase.
    pub sent: BTreeMap<String, Vec<u64>>,
    pub rounds: BTreeMap<String, u64>,
}

/// A moment from which is measured.
pub struct Since {
    begin: Instant,
    cpu: f64,
    phases: BTreeMap<String, PhaseTotals>,
}

impl Since {
    /// Now. The channels of a mesh count together, so any of them may be asked.
    pub fn now(meter: &Meter) -> Outcome<Self> {
        Ok(Self { cpu: cpu_seconds()?, phases: meter.totals(), begin: Instant::now() })
    }

    /// What was used from that moment until now.
    pub fn used(&self, meter: &Meter) -> Outcome<Used> {
        let seconds = self.begin.elapsed().as_secs_f64();
        let mut used = Used {
            seconds,
            cpu: cpu_seconds()? - self.cpu,
            sent: BTreeMap::new(),
            rounds: BTreeMap::new(),
        };
        for (name, now) in meter.totals() {
            let before = self.phases.get(&name);
            let peers = now.peers.iter().enumerate();
            let sent = peers.map(|(peer, traffic)| {
                let before = before.map_or(0, |b| b.peers[peer].sent + b.peers[peer].overhead_sent);
                traffic.sent + traffic.overhead_sent - before
            });
            used.sent.insert(name.clone(), sent.collect());
            used.rounds.insert(name, now.rounds - before.map_or(0, |before| before.rounds));
        }
        Ok(used)
    }
}

/// Ticks of `utime` and `stime` are hundredths of a second on every Linux.
fn cpu_seconds() -> Outcome<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the command may contain anything; fields are counted from its closing bracket.
    let (_, fields) = stat.rsplit_once(')').ok_or("/proc/self/stat has no command")?;
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || ticks.next().ok_or("/proc/self/stat is too short");
    Ok((next()?? + next()??) / 100.0)
}

/// Forgets the largest resident memory so far, where the kernel allows it.
pub fn forget_memory() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The largest resident memory of this process since then.
pub fn memory_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
