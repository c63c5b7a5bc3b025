//! What commands print and write.

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::exit::{Exit, Failure};

/// The result of a command, for people and for machines.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// For people.
    pub text: String,
    /// For machines: an object.
    pub json: Value,
}

/// Prints the end of a command: the result, or what went wrong, to standard output as JSON, or to
/// standard output and standard error as text.
#[must_use]
pub fn print(result: &Result<Report, Failure>, as_json: bool) -> Exit {
    let written = match result {
        Ok(report) if as_json => {
            let mut json = json!({ "ok": true, "exit_code": 0 });
            if let (Value::Object(all), Value::Object(own)) = (&mut json, &report.json) {
                all.extend(own.clone());
            }
            writeln!(io::stdout(), "{json:#}")
        }
        Ok(report) => write!(io::stdout(), "{}", report.text),
        Err(failure) if as_json => writeln!(io::stdout(), "{:#}", failure.to_json()),
        Err(failure) => writeln!(io::stderr(), "{failure}"),
    };
    match (result, written) {
        (Err(failure), _) => failure.exit,
        // Whoever reads the output, such as `head`, may have had enough of it.
        (Ok(_), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Internal,
        (Ok(_), _) => Exit::Ok,
    }
}

/// Writes a new file, whole or not at all, readable by the owner only.
///
/// # Errors
/// When the file exists or cannot be written.
pub fn create(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    temporary(path, bytes)?.persist_noclobber(path).map_err(|error| {
        if error.error.kind() == io::ErrorKind::AlreadyExists {
            exists(path)
        } else {
            failed(path, &error.error)
        }
    })?;
    // The name must survive a power cut as well as the bytes.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(directory.unwrap_or(Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(|error| failed(path, &error))
}

/// Replaces a file, whole or not at all; it keeps its permissions.
///
/// # Errors
/// When the file is not there or cannot be written.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let permissions = std::fs::metadata(path).map_err(|error| failed(path, &error))?.permissions();
    let file = temporary(path, bytes)?;
    file.as_file().set_permissions(permissions).map_err(|error| failed(path, &error))?;
    file.persist(path).map(drop).map_err(|error| failed(path, &error.error))
}

/// The failure that a file exists which is not to be overwritten.
#[must_use]
pub fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Exists, "the file exists already and is not overwritten")
        .in_file(path)
        .advise("choose another place, or move the file away yourself")
}

fn temporary(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Configuration, format!("the file cannot be written: {error}")).in_file(path)
}
