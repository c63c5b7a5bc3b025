//! From what the nodes measured to the figures of a training.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use mpc_ml::Rows;
use mpc_ml::models::sgd::plaintext;
use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::mesh;
use crate::node::{Record, Report};
use crate::shapes::Shape;

/// Runs a training and works out its figures. Times are those of the slowest node, processor time
/// is that of all nodes, bytes are those of the party that sends the most; of several runs, the
/// median.
pub fn of(shape: &Shape) -> Outcome<Value> {
    let (reports, lost): (Vec<Report>, u64) = mesh::run(&shape.mesh())?;
    let mut figures = Map::new();
    let mut put = |name: &str, value: Value| figures.insert(name.to_owned(), value);
    put("name", json!(shape.name));
    put("title", json!(shape.title()));
    let records: Vec<(usize, &Record)> = reports
        .iter()
        .enumerate()
        .flat_map(|(node, report)| report.records.iter().map(move |record| (node, record)))
        .collect();
    let mut steps = BTreeMap::new();
    for what in records.iter().map(|(_, record)| record.what.as_str()).collect::<BTreeSet<_>>() {
        let runs: Vec<_> = (0..shape.runs)
            .map(|run| {
                let of_run = |r: &&(usize, &Record)| r.1.what == what && r.1.run == run;
                one_run(shape, records.iter().filter(of_run).copied())
            })
            .collect();
        steps.insert(what, runs);
    }
    let median_of = |what: &str, of: fn(&Run) -> f64| {
        steps.get(what).map(|runs| median(runs.iter().map(of).collect()))
    };
    for what in ["whole", "preparation", "forward", "transposed", "phasors", "online", "replay"] {
        put(&format!("{what}_s"), json!(median_of(what, |run| run.seconds)));
        put(&format!("{what}_cpu_s"), json!(median_of(what, |run| run.cpu)));
        put(&format!("{what}_mb"), json!(median_of(what, |run| run.sent / 1e6)));
    }
    put("whole_online_mb", json!(median_of("whole", |run| run.sent_online / 1e6)));
    put(
        "rounds",
        json!(median_of("whole", |run| run.rounds).or(median_of("online", |run| run.rounds))),
    );
    if let (Some(online), Some(replay)) = (steps.get("online"), steps.get("replay")) {
        let ratios = online.iter().zip(replay).map(|(run, floor)| run.seconds / floor.seconds);
        put("online_over_replay", json!(median(ratios.collect())));
    }
    if let Some(line) = shape.line {
        let rate = line.rate as f64 / 8.0;
        if let Some(runs) = steps.get("preparation") {
            let shares = runs.iter().map(|run| run.link / rate / run.seconds).collect();
            put("preparation_share_of_line", json!(median(shares)));
        }
        if let Some(runs) = steps.get("online") {
            let floor = |run: &Run| run.rounds * line.delay.as_secs_f64();
            let ratios = runs.iter().map(|run| run.seconds / floor(run)).collect();
            put("online_over_delays", json!(median(ratios)));
        }
        put(
            "line",
            json!(format!(
                "{} ms there and back, {} Mbit/s each way of each pair, a queue of {} kB, loss {}",
                2 * line.delay.as_millis(),
                line.rate / 1_000_000,
                line.queue / 1000,
                line.loss
            )),
        );
        put("lost_datagrams", json!(lost));
    }
    if let Some((seconds, megabytes)) = shape.aim {
        put("aim_s", json!(seconds));
        put("aim_mb", json!(megabytes.is_finite().then_some(megabytes)));
    }
    put("memory_mb", json!(reports.iter().map(|report| report.memory_mb).collect::<Vec<_>>()));
    put("phases", phases(&reports));
    let (seconds, difference) = in_the_clear(shape, &reports)?;
    put("plaintext_s", json!(seconds));
    put("largest_difference", json!(difference));
    Ok(Value::Object(figures))
}

/// One step of one run, at all nodes.
struct Run {
    seconds: f64,
    cpu: f64,
    /// Bytes by the party that sends most, and of these those of the training itself.
    sent: f64,
    sent_online: f64,
    /// Bytes from one party to another, where they are most.
    link: f64,
    rounds: f64,
}

fn one_run<'a>(shape: &Shape, records: impl Iterator<Item = (usize, &'a Record)>) -> Run {
    let mut all =
        Run { seconds: 0.0, cpu: 0.0, sent: 0.0, sent_online: 0.0, link: 0.0, rounds: 0.0 };
    for (node, record) in records {
        let used = &record.used;
        all.cpu += used.cpu;
        if node >= shape.parties {
            continue;
        }
        let sum = |bytes: &Vec<u64>| bytes.iter().sum::<u64>() as f64;
        let to = |peer| used.sent.values().filter_map(|bytes| bytes.get(peer)).sum::<u64>() as f64;
        all.seconds = all.seconds.max(used.seconds);
        all.sent = all.sent.max(used.sent.values().map(sum).sum());
        all.sent_online = all.sent_online.max(used.sent.get("training").map_or(0.0, sum));
        all.link = (0..shape.nodes()).map(to).fold(all.link, f64::max);
        let rounds = used.rounds.get("training").copied().unwrap_or(0) as f64;
        all.rounds = all.rounds.max(rounds);
    }
    all
}

/// MB that party 0 sent in each phase of its last run from beginning to end.
fn phases(reports: &[Report]) -> Value {
    let records = reports.first().map(|report| &report.records);
    let last = records.and_then(|all| all.iter().rfind(|record| record.what == "whole"));
    let sent = last.into_iter().flat_map(|record| &record.used.sent);
    sent.map(|(phase, bytes)| (phase.clone(), json!(bytes.iter().sum::<u64>() as f64 / 1e6)))
        .collect()
}

/// The time of the same training in the clear, and the largest difference of a coefficient.
fn in_the_clear(shape: &Shape, reports: &[Report]) -> Outcome<(f64, f64)> {
    let plan = shape.plan()?;
    let data = shape.data().into_iter().enumerate();
    let ordered: Vec<Rows> =
        data.map(|(party, rows)| rows.ordered(&plan.schedule().own_order(party))).collect();
    let begin = Instant::now();
    let clear = plaintext::train(&plan, &ordered);
    let seconds = begin.elapsed().as_secs_f64();
    let model = reports.first().and_then(|report| report.model.as_ref()).ok_or("no model")?;
    let differences = clear.iter().zip(model).map(|(clear, joint)| (clear - joint).abs());
    Ok((seconds, differences.fold(0.0, f64::max)))
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
