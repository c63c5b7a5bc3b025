//! What is printed. docs/cost.md has the same rows in the same order.

use serde_json::Value;

/// The machine, and what others measured on it.
pub fn head(results: &Value) {
    println!("{} cores, {}", results["cores"], results["processor"].as_str().unwrap_or("unknown"));
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    for kernel in results["kernels"].as_array().into_iter().flatten() {
        print!(
            "  {:<44} {:<9} {:>10.1} us",
            kernel["kernel"].as_str().unwrap_or(""),
            kernel["level"].as_str().unwrap_or(""),
            number(&kernel["median_us"]),
        );
        if let Some(ns) = kernel["element_ns"].as_f64() {
            print!(", {ns:.3} ns an element");
        }
        if let Some(floor) = kernel["floor_us"].as_f64() {
            let ratio = number(&kernel["over_floor"]);
            print!(", reading the bytes once {floor:.1} us, ratio {ratio:.2}");
        }
        println!();
    }
    for line in results["transfers"].as_array().into_iter().flatten() {
        print!("  {}:", line["what"].as_str().unwrap_or(""));
        for (name, value) in line.as_object().into_iter().flatten().filter(|(n, _)| *n != "what") {
            print!(" {name} {:.1}", number(value));
        }
        println!();
    }
    for line in results["network"].as_array().into_iter().flatten() {
        println!("  link: {line}");
    }
}

/// The rows of a step: what is printed, and the name under which its figures are.
const STEPS: [(&str, &str); 7] = [
    ("from key agreement to the model", "whole"),
    ("preparation alone", "preparation"),
    ("  forward products alone (RLWE)", "forward"),
    ("  transposed products alone (RLWE)", "transposed"),
    ("  phasors alone (transfers)", "phasors"),
    ("online, correlations made before", "online"),
    ("replay of its messages, no computation (the floor)", "replay"),
];

/// The figures of one training.
pub fn training(figures: &Value) {
    let number = |name: &str| figures[name].as_f64();
    println!("{}", figures["title"].as_str().unwrap_or(""));
    if let Some(line) = figures["line"].as_str() {
        println!("  line: {line}");
    }
    println!("  {:<52} {:>9} {:>9} {:>10}", "", "s", "CPU s", "MB a party");
    for (what, step) in STEPS {
        let Some(seconds) = number(&format!("{step}_s")) else { continue };
        let cpu = number(&format!("{step}_cpu_s")).unwrap_or(f64::NAN);
        let sent = number(&format!("{step}_mb")).unwrap_or(f64::NAN);
        println!("  {what:<52} {seconds:>9.3} {cpu:>9.2} {sent:>10.2}");
    }
    let aim = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value}"));
    if number("aim_s").is_some() {
        let (seconds, sent) = (aim(number("aim_s")), aim(number("aim_mb")));
        println!("  {:<52} {seconds:>9} {:>9} {sent:>10}", "aim of the first row, below", "");
    }
    for (what, name, unit) in [
        ("online over replay, median of the runs' ratios", "online_over_replay", ""),
        ("share of the line that preparation alone fills", "preparation_share_of_line", ""),
        ("online over rounds x one-way delay", "online_over_delays", ""),
        ("datagrams that the line lost", "lost_datagrams", ""),
        ("the same training in the clear, one thread", "plaintext_s", "s"),
        ("rounds online", "rounds", ""),
    ] {
        if let Some(value) = number(name) {
            println!("  {what:<52} {value:>9.3} {unit}");
        }
    }
    if let Some(difference) = number("largest_difference") {
        let what = "largest difference of a coefficient to it";
        println!("  {what:<52} {difference:>9.1e}");
    }
    let memory: Vec<f64> =
        figures["memory_mb"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let (sum, largest) = (memory.iter().sum::<f64>(), memory.iter().copied().fold(0.0, f64::max));
    println!(
        "  {:<52} {sum:>9.0} MB, of one node {largest:.0} MB",
        "largest resident memory, all nodes together"
    );
}

/// The figures of the linear regression.
pub fn linear(figures: &Value) {
    println!("{}", figures["title"].as_str().unwrap_or(""));
    let number = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
    println!("  {:<52} {:>9} {:>9} {:>9}", "", "s", "floor, s", "ratio");
    for (what, name) in [
        ("reading, all parties (floor: the libraries alone)", "reading"),
        ("product, all parties (floor: X^T X in the clear)", "product"),
    ] {
        println!(
            "  {what:<52} {:>9.3} {:>9.3} {:>9.2}",
            number(&format!("{name}_s")),
            number(&format!("{name}_floor_s")),
            number(&format!("{name}_over_floor"))
        );
    }
    for (what, name) in [
        ("standardising, all parties, processor time", "standardising_s"),
        ("encoding, all parties", "encoding_s"),
        ("preparation and rounds, slowest node", "protocol_s"),
        ("preparation and rounds, all parties, processor time", "protocol_cpu_s"),
    ] {
        println!("  {what:<52} {:>9.3}", number(name));
    }
    println!("  {:<52} {:>9}", "rounds", number("rounds"));
    println!("  {:<52} {:>9.2} MB", "sent by a party", number("protocol_mb"));
    let what = "from the law of the data, in standard errors";
    println!("  {what:<52} {:>9.2}", number("distance"));
    let most = |name: &str| {
        let all = figures[name].as_array().into_iter().flatten().filter_map(Value::as_f64);
        all.fold(0.0, f64::max)
    };
    println!("  {:<52} {:>9.0} MB", "largest resident memory of a node", most("memory_mb"));
    println!("  {:<52} {:>9.0} MB", "its file", most("file_mb"));
}

/// The figures of a fit to the optimum.
pub fn optimum(figures: &Value) {
    println!("{}", figures["title"].as_str().unwrap_or(""));
    let number = |name: &str| figures[name].as_f64().unwrap_or(f64::NAN);
    println!("  {:<52} {:>9} {:>9} {:>10}", "", "s", "CPU s", "MB a party");
    let (seconds, cpu, sent) = (number("seconds"), number("cpu_s"), number("sent_mb"));
    println!("  {:<52} {seconds:>9.1} {cpu:>9.1} {sent:>10.1}", "from key agreement to the model");
    if figures["aim_s"].is_number() {
        let (seconds, sent) = (number("aim_s"), number("aim_mb"));
        println!("  {:<52} {seconds:>9} {:>9} {sent:>10}", "aim, below", "");
    }
    println!("  {:<52} {:>9}", "rounds", number("rounds"));
    let what = "from the law of the data, in standard errors";
    println!("  {what:<52} {:>9.2}", number("distance"));
    let memory = figures["memory_mb"].as_array().into_iter().flatten().filter_map(Value::as_f64);
    let largest = memory.fold(0.0, f64::max);
    println!("  {:<52} {largest:>9.0} MB", "largest resident memory of a node");
}
