//! Dependencies that no code names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{Outcome, strings, table};

/// What is wrong: a dependency of a member that its code does not name, and an entry of the root's
/// table that no member takes.
pub fn unused(root: &Path) -> Outcome<Vec<String>> {
    let workspace = table(&root.join("Cargo.toml"))?;
    let (mut taken, mut wrong) = (BTreeSet::new(), Vec::new());
    for member in strings(&workspace["workspace"]["members"]) {
        let folder = root.join(member);
        let manifest = table(&folder.join("Cargo.toml"))?;
        let own = code(&folder.join("src"))?;
        let mut all = own.clone();
        for around in ["tests", "benches", "examples"] {
            all += &code(&folder.join(around))?;
        }
        // Those of all platforms, and those of some.
        let some = manifest.get("target").and_then(toml::Value::as_table);
        let some = some.into_iter().flat_map(toml::Table::values).filter_map(toml::Value::as_table);
        for tables in std::iter::once(&manifest).chain(some) {
            for (kind, code) in [("dependencies", &own), ("dev-dependencies", &all)] {
                let Some(table) = tables.get(kind).and_then(toml::Value::as_table) else {
                    continue;
                };
                for name in table.keys() {
                    taken.insert(name.clone());
                    if !names(code, &name.replace('-', "_")) {
                        wrong.push(format!("{member}: no code names the dependency {name}"));
                    }
                }
            }
        }
    }
    let listed = workspace["workspace"]["dependencies"].as_table();
    let spare = listed.into_iter().flat_map(toml::Table::keys);
    wrong.extend(
        spare
            .filter(|name| !taken.contains(*name))
            .map(|name| format!("Cargo.toml: no member takes {name}")),
    );
    Ok(wrong)
}

/// All Rust code below a folder, which need not be there.
fn code(folder: &Path) -> Outcome<String> {
    let mut all = String::new();
    if !folder.is_dir() {
        return Ok(all);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            all += &code(&path)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            all += &fs::read_to_string(path)?;
        }
    }
    Ok(all)
}

/// Whether code names a crate: as the head of a path, not within a word or in a comment.
fn names(code: &str, name: &str) -> bool {
    code.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
        line.match_indices(name).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + name.len()..]);
            let head = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                && !before.trim_end().ends_with("::");
            head && (after.starts_with("::") || before.trim_end().ends_with("use"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_named_by_the_head_of_a_path() {
        for yes in ["use sha3::Digest;", "let x = sha3::hash();", "use {sha3::A, b};", "use sha3;"]
        {
            assert!(names(yes, "sha3"), "{yes}");
        }
        for no in ["// use sha3::Digest;", "use mysha3::A;", "crate::sha3::A", "let sha3 = 1;"] {
            assert!(!names(no, "sha3"), "{no}");
        }
    }
}
