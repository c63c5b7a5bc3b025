//! What commands print and write.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

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

/// Whether `text` is one line of 1 to `most` characters that shows as what it is: without control
/// characters, and without those that turn the direction of what follows.
#[must_use]
pub fn is_plain(text: &str, most: usize) -> bool {
    const TURNS: [char; 13] = [
        '\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{202a}', '\u{202b}', '\u{202c}',
        '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
    ];
    !text.trim().is_empty()
        && text.chars().count() <= most
        && !text.chars().any(|each| each.is_control() || TURNS.contains(&each))
}

/// `text` in lines of at most 80 columns behind `head`; further lines stand below the first word.
#[must_use]
pub fn wrapped(head: &str, text: &str) -> String {
    let indent = head.chars().count();
    let (mut lines, mut width) = (head.to_owned(), indent);
    for (index, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if index > 0 && width + 1 + length > 80 {
            lines = lines.trim_end().to_owned() + "\n" + &" ".repeat(indent);
            width = indent;
        } else if index > 0 {
            lines.push(' ');
            width += 1;
        }
        lines += word;
        width += length;
    }
    lines.push('\n');
    lines
}

/// Bytes as lowercase hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits; `None` where there are others.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let byte = |pair: &[u8]| Some(value(pair[0])? << 4 | value(pair[1])?);
    digits.len().is_multiple_of(2).then(|| digits.chunks_exact(2).map(byte).collect()).flatten()
}

/// Seconds since 1970 as people read a time.
#[must_use]
pub fn when(seconds: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.min(FAR_AWAY)));
    let text = time.map(|time| humantime::format_rfc3339_seconds(time).to_string());
    text.unwrap_or_default().replace('T', " ").replace('Z', " UTC")
}

/// The end of the year 9999, the last one with four digits.
const FAR_AWAY: u64 = 253_402_300_799;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_digits_are_read_by_people() {
        assert_eq!(when(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(when(1_790_000_000), "2026-09-21 14:13:20 UTC");
        assert_eq!(when(u64::MAX), "9999-12-31 23:59:59 UTC");
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert!(["0", "0g", "é"].iter().all(|text| unhex(text).is_none()));
    }

    #[test]
    fn lines_are_wrapped_below_their_first_word() {
        let text = wrapped("  Purpose: ", &"word ".repeat(40));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 3 && lines.iter().all(|line| line.chars().count() <= 80), "{text}");
        assert!(lines[0].starts_with("  Purpose: word"));
        assert!(lines[1].starts_with("           word") && !lines[1].ends_with(' '));
        assert_eq!(text.split_whitespace().filter(|word| *word == "word").count(), 40);
        assert_eq!(wrapped("x ", ""), "x \n");
    }
}
