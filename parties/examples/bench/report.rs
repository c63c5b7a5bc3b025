//! What is printed.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::{Outcome, PARTIES};

/// The medians of the kernel benches, each beside the time of reading the same bytes once.
pub fn kernels(folder: &Path) -> Outcome<Value> {
    let mut medians = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name == "new") {
                let read = |file: &str| -> Outcome<Value> {
                    Ok(serde_json::from_slice(&fs::read(path.join(file))?)?)
                };
                let median = read("estimates.json")?["median"]["point_estimate"].as_f64();
                let about = read("benchmark.json")?;
                let text = |field: &str| about[field].as_str().unwrap_or_default().to_owned();
                medians.insert((text("group_id"), text("function_id")), median.unwrap_or(f64::NAN));
            } else if path.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(medians
        .iter()
        .filter(|((_, level), _)| level != "floor")
        .map(|((kernel, level), &ns)| {
            let floor = medians.get(&(kernel.clone(), "floor".to_owned())).copied();
            json!({
                "kernel": kernel,
                "level": level,
                "median_us": ns / 1e3,
                "floor_us": floor.map(|floor| floor / 1e3),
                "over_floor": floor.map(|floor| ns / floor),
            })
        })
        .collect())
}

pub fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

pub fn print(results: &Value) {
    println!("{} cores, {}", results["cores"], results["processor"].as_str().unwrap_or("unknown"));
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    for kernel in results["kernels"].as_array().into_iter().flatten() {
        println!(
            "  {:<44} {:<9} {:>10.1} us, reading the bytes once {:>9.1} us, ratio {:>6.2}",
            kernel["kernel"].as_str().unwrap_or(""),
            kernel["level"].as_str().unwrap_or(""),
            number(&kernel["median_us"]),
            number(&kernel["floor_us"]),
            number(&kernel["over_floor"])
        );
    }
    for link in results["network"].as_array().into_iter().flatten() {
        println!("  link: {link}");
    }
    for shape in results["training"].as_array().into_iter().flatten() {
        println!("{} ({} parties and a dealer)", shape["name"].as_str().unwrap_or(""), PARTIES);
        let row = |what: &str, field: &str, unit: &str| {
            println!("  {what:<58} {:>9.3} {unit}", shape[field].as_f64().unwrap_or(f64::NAN));
        };
        row("online, correlations made before", "online_s", "s");
        row("replay of the same messages, no computation (the floor)", "replay_s", "s");
        row("ratio of the two, median of the runs' ratios", "online_over_replay", "");
        row("with preparation, from registration to the model", "total_s", "s");
        row("the same training in the clear, one thread", "plaintext_s", "s");
        row("sent by a party, online", "sent_online_mb", "MB");
        row("sent by a party, preparation", "sent_preparation_mb", "MB");
        row("rounds", "rounds", "");
    }
    println!("  largest resident memory of the nodes, dealer last (MB): {}", results["memory_mb"]);
}
