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
        Ok(report) => write!(io::stdout(), "{}", report.text).and_then(|()| io::stdout().flush()),
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

/// Sees to it that a new file can be written at `path`, as far as that can be known before.
///
/// # Errors
/// When there is something already, its folder is not there, or nothing can be written to it.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    let refused = |what: &str, advice: &str| {
        Err(Failure::new(Exit::Configuration, what).in_file(path).advise(advice))
    };
    if path.as_os_str().as_encoded_bytes().ends_with(b"/") || path.is_dir() {
        return refused("this is a folder, and a file is to be written", "name a file in it");
    }
    if path.symlink_metadata().is_ok() {
        return Err(exists(path));
    }
    if !folder(path).is_dir() {
        return refused("the folder of this file does not exist", "make the folder first");
    }
    temporary(path, b"").map(drop)
}

/// Removes the temporary files that a run left in `directory` when it was killed. Nobody else may
/// be writing there.
///
/// # Errors
/// When the directory cannot be read or a file cannot be removed.
pub fn remove_leftovers(directory: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        let ours = name.starts_with(PREFIX.as_bytes()) && name.ends_with(SUFFIX.as_bytes());
        if ours && entry.file_type()?.is_file() {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Bytes as lowercase hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
    std::fs::File::open(folder(path))
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

/// Removes a file, if it is there.
///
/// # Errors
/// When it cannot be removed.
pub fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let what = format!("the file cannot be removed: {error}");
            Err(Failure::new(Exit::Configuration, what).in_file(path))
        }
        _ => Ok(()),
    }
}

/// The failure that a file exists which is not to be overwritten.
#[must_use]
pub fn exists(path: &Path) -> Failure {
    Failure::new(Exit::Exists, "the file exists already and is not overwritten")
        .in_file(path)
        .advise("choose another place, or move the file away yourself")
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary files are called so, and have mode 0600 from their first moment.
pub(crate) const PREFIX: &str = ".party-";
pub(crate) const SUFFIX: &str = ".tmp";

fn temporary(path: &Path, bytes: &[u8]) -> Result<tempfile::NamedTempFile, Failure> {
    let write = || {
        let mut file =
            tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(folder(path))?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(|error| failed(path, &error))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Configuration, format!("the file cannot be written: {error}")).in_file(path)
}
