//! What a joint training costs on this machine: parties, and a dealer where there is one, as
//! processes that meet over QUIC on loopback or over a slow line, each figure beside its floor.
//!
//! Usage: bench [--smoke] [--only PART,..] [--json FILE] [--criterion DIR] [--link FILE]
//! [--transfers FILE]. Parts are training, wide, slow, linear and optimum, and all of them if none is named. The
//! last three name figures measured before (by the kernel benches, the link example and the
//! transfers example), which are put beside these. The other arguments are its own, for its child
//! processes.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod figures;
mod linear;
mod mesh;
mod node;
mod optimum;
mod parts;
mod relay;
mod replay;
mod report;
mod shapes;
mod stock;
mod usage;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use shapes::{Part, shapes};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = arguments.iter().any(|argument| argument == "--smoke");
    let after = |flag: &str| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1).cloned()
    };
    if let Some(node) = after("--node") {
        let node = node.parse()?;
        let folder = after("--folder").ok_or("--folder is missing")?;
        let folder = Path::new(&folder);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        if let Some(name) = after("--linear") {
            return runtime.block_on(linear::run(&linear::find(&name)?, node, folder));
        }
        if let Some(name) = after("--optimum") {
            return runtime.block_on(optimum::run(&optimum::find(&name)?, node, folder));
        }
        let name = after("--training").ok_or("--training is missing")?;
        return runtime.block_on(node::run(&shapes::find(&name)?, node, folder));
    }
    let chosen = match after("--only") {
        None => vec![Part::Training, Part::Wide, Part::Slow, Part::Linear, Part::Optimum],
        Some(names) => names.split(',').filter_map(Part::named).collect(),
    };
    let mut results = json!({
        "processor": parts::processor(),
        "cores": std::thread::available_parallelism()?.get(),
    });
    if let Some(folder) = after("--criterion") {
        results["kernels"] = parts::kernels(Path::new(&folder))?;
    }
    for (flag, name) in [("--transfers", "transfers"), ("--link", "network")] {
        if let Some(path) = after(flag) {
            results[name] = parts::lines(Path::new(&path))?;
        }
    }
    report::head(&results);
    let mut trainings = Vec::new();
    for shape in shapes(smoke, &chosen) {
        let figures = figures::of(&shape)?;
        report::training(&figures);
        trainings.push(figures);
    }
    results["training"] = Value::Array(trainings);
    if let Some(shape) = linear::of(smoke, &chosen) {
        let figures = linear::figures(&shape)?;
        report::linear(&figures);
        results["linear"] = figures;
    }
    let mut fits = Vec::new();
    for shape in optimum::of(smoke, &chosen) {
        let figures = optimum::figures(&shape)?;
        report::optimum(&figures);
        fits.push(figures);
    }
    results["optimum"] = Value::Array(fits);
    if let Some(path) = after("--json") {
        fs::write(path, format!("{results:#}\n"))?;
    }
    Ok(())
}
