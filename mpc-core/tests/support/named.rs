//! That a test program has all the files of its folder.

use std::path::Path;

/// Fails when a file of `tests` beside `package` is neither a module of the program with this text nor one of the
/// programs of that folder: it would never be run.
#[track_caller]
pub fn every_file_is_in(text: &str, package: &str, programs: &[&str]) {
    for entry in std::fs::read_dir(Path::new(package).join("tests")).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().expect("a name").to_string_lossy();
            let named = text.lines().any(|line| line == format!("mod {name};"));
            assert!(named || programs.contains(&&*name), "tests/{name}.rs is in no test program");
        }
    }
}
