//! What a daemon tells in the text format of Prometheus.

use std::fmt::Write as _;

use super::board::Known;
use super::queue::Standing;

/// One family of metrics: help, type, and a line for each set of labels.
fn family(text: &mut String, name: &str, kind: &str, help: &str, lines: &[(String, f64)]) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    for (labels, value) in lines {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

fn label(name: &str, value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{name}=\"{escaped}\"}}")
}

fn plain(value: f64) -> [(String, f64); 1] {
    [(String::new(), value)]
}

/// All of them.
pub(super) fn text(known: &Known) -> String {
    let mut text = String::new();
    let one = |text: &mut String, name: &str, kind: &str, help: &str, value: f64| {
        family(text, name, kind, help, &plain(value));
    };
    let flag = |set: bool| f64::from(u8::from(set));
    one(
        &mut text,
        "party_well",
        "gauge",
        "Whether the node looks after its studies.",
        flag(known.is_well()),
    );
    let started = known.started as f64;
    let help = "Seconds since 1970 when the process began.";
    one(&mut text, "process_start_time_seconds", "gauge", help, started);
    if let Some(bytes) = resident() {
        let help = "Memory that the process holds.";
        one(&mut text, "process_resident_memory_bytes", "gauge", help, bytes);
    }
    let count = |is: fn(&Standing) -> bool| {
        known.queue.iter().filter(|item| is(&item.standing)).count() as f64
    };
    let studies = [
        (label("state", "ready"), count(|it| matches!(it, Standing::Ready))),
        (label("state", "asks"), count(|it| matches!(it, Standing::Asks(_)))),
        (label("state", "held"), count(|it| matches!(it, Standing::Held(_)))),
        (label("state", "done"), count(|it| matches!(it, Standing::Done(_)))),
        (label("state", "unreadable"), count(|it| matches!(it, Standing::Unreadable(_)))),
    ];
    let help = "Studies in the folder, by how they stand.";
    family(&mut text, "party_studies", "gauge", help, &studies);
    let ended: Vec<_> =
        known.ended.iter().map(|(class, count)| (label("class", class), *count as f64)).collect();
    let help = "Runs that ended since the process began, by the class of their end.";
    family(&mut text, "party_runs_total", "counter", help, &ended);
    let work = known.work.as_ref();
    let met = work.is_some_and(|work| work.met.is_some());
    one(
        &mut text,
        "party_running",
        "gauge",
        "Whether a study runs: all nodes have met.",
        flag(met),
    );
    if let Some(work) = work {
        let joined = |reach: &super::board::Reach| {
            flag(met || matches!(reach, super::board::Reach::Joined(_)))
        };
        let peers: Vec<_> =
            work.peers.iter().map(|(peer, reach)| (label("peer", peer), joined(reach))).collect();
        let help = "Whether a node of the present study has joined.";
        family(&mut text, "party_peer_joined", "gauge", help, &peers);
        one(&mut text, "party_steps_done", "gauge", "Steps of the fit.", work.done as f64);
        let help = "Steps of the fit at most.";
        one(&mut text, "party_steps_most", "gauge", help, work.total as f64);
    }
    if let Some(seconds) = known.last_seconds {
        let help = "Seconds of the last run that came to its end, from the meeting on.";
        one(&mut text, "party_last_run_seconds", "gauge", help, seconds);
    }
    text
}

/// Resident memory, as Linux tells it.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0)
}
