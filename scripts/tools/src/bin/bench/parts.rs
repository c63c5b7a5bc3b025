//! Figures that were measured by others: kernels, transfers, links.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::Outcome;

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
                let elements = about["throughput"]["Elements"].as_f64();
                let key = (text("group_id"), text("function_id"));
                medians.insert(key, (median.unwrap_or(f64::NAN), elements));
            } else if path.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(medians
        .iter()
        .filter(|((_, level), _)| level != "floor")
        .map(|((kernel, level), &(ns, elements))| {
            let floor = medians.get(&(kernel.clone(), "floor".to_owned())).map(|floor| floor.0);
            json!({
                "kernel": kernel,
                "level": level,
                "median_us": ns / 1e3,
                "element_ns": elements.map(|elements| ns / elements),
                "floor_us": floor.map(|floor| floor / 1e3),
                "over_floor": floor.map(|floor| ns / floor),
            })
        })
        .collect())
}

/// A file with a JSON object on each line.
pub fn lines(path: &Path) -> Outcome<Value> {
    let text = fs::read_to_string(path)?;
    Ok(text.lines().map(serde_json::from_str::<Value>).collect::<Result<Value, _>>()?)
}

pub fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
