//! Checks in seconds, without a network, what must hold of the repository as a whole, and says all
//! that does not:
//!
//! * every dependency of this platform has a licence of the list in `deny.toml`;
//! * every package of `Cargo.lock` comes from a registry of `deny.toml`, and none in any version;
//! * no dependency is named by no code (`usage`);
//! * the Rust version that is stated is the one of `rust-toolchain.toml`: what is not tested is not
//!   stated.
//!
//! Advisories, and licences on other platforms, are for `cargo deny check`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "printing is what it is for")]

mod licence;
mod usage;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::Value;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
    let deny = table(&root.join("deny.toml"))?;
    let packages = packages(&root)?;
    let mut wrong = licences(&packages, &strings(&deny["licenses"]["allow"]));
    wrong.extend(sources(&root, &strings(&deny["sources"]["allow-registry"]))?);
    wrong.extend(any_version(&packages));
    wrong.extend(usage::unused(&root)?);
    wrong.extend(rust_version(&root)?);
    for each in &wrong {
        eprintln!("error: {each}");
    }
    println!("{} packages, {} faults", packages.len(), wrong.len());
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A TOML file.
fn table(path: &Path) -> Outcome<toml::Table> {
    Ok(fs::read_to_string(path)?.parse()?)
}

/// A list of strings; what is no string is left out.
fn strings(value: &toml::Value) -> BTreeSet<&str> {
    value.as_array().into_iter().flatten().filter_map(toml::Value::as_str).collect()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The packages that are compiled on this platform. Those of others need not be here.
fn packages(root: &Path) -> Outcome<Vec<Value>> {
    let rustc = Command::new("rustc").arg("-vV").output()?;
    let rustc = String::from_utf8(rustc.stdout)?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc does not say what its host is")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .args(["--filter-platform", host])
        .current_dir(root)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    // Packages of other platforms are on the list as well, some without a manifest to read.
    let resolved: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|node| text(node, "id"))
        .collect();
    let all = metadata["packages"].as_array().into_iter().flatten();
    let packages: Vec<Value> =
        all.filter(|package| resolved.contains(text(package, "id"))).cloned().collect();
    if packages.is_empty() { Err("cargo metadata names no package".into()) } else { Ok(packages) }
}

fn licences(packages: &[Value], allowed: &BTreeSet<&str>) -> Vec<String> {
    let refused =
        packages.iter().filter(|package| !licence::allowed(text(package, "license"), allowed));
    refused
        .map(|package| {
            let (name, licence) = (text(package, "name"), text(package, "license"));
            format!("{name}: deny.toml does not allow its licence, {licence:?}")
        })
        .collect()
}

fn sources(root: &Path, registries: &BTreeSet<&str>) -> Outcome<Vec<String>> {
    let lock = table(&root.join("Cargo.lock"))?;
    let packages = lock["package"].as_array().ok_or("Cargo.lock has no packages")?;
    let mut wrong = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        // Without a source it is of this repository.
        let Some(source) = package.get("source").and_then(toml::Value::as_str) else { continue };
        let registry = source.strip_prefix("registry+").unwrap_or(source);
        if !registries.contains(registry) {
            wrong.push(format!("{name}: deny.toml does not allow its source, {source}"));
        }
        if package.get("checksum").is_none() {
            wrong.push(format!("{name}: Cargo.lock has no checksum of it"));
        }
    }
    Ok(wrong)
}

fn any_version(packages: &[Value]) -> Vec<String> {
    let own = packages.iter().filter(|package| package["source"].is_null());
    own.flat_map(|package| {
        let dependencies = package["dependencies"].as_array().into_iter().flatten();
        dependencies
            .filter(|each| text(each, "req") == "*" && each["path"].is_null())
            .map(|each| format!("{}: takes any {}", text(package, "name"), text(each, "name")))
    })
    .collect()
}

fn rust_version(root: &Path) -> Outcome<Vec<String>> {
    let workspace = table(&root.join("Cargo.toml"))?;
    let toolchain = table(&root.join("rust-toolchain.toml"))?;
    let stated = workspace["workspace"]["package"]["rust-version"].as_str().unwrap_or_default();
    let tested = toolchain["toolchain"]["channel"].as_str().unwrap_or_default();
    let same = tested == format!("{stated}.0");
    let wrong = (!same)
        .then(|| format!("Cargo.toml states Rust {stated}, rust-toolchain.toml tests {tested}"));
    Ok(wrong.into_iter().collect())
}
