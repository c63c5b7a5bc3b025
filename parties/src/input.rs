//! Files that an operator names: regular ones only.
//!
//! A directory has no bytes, a device may never end, and a named pipe waits for a writer that may
//! never come.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// What is wrong with a place that holds no regular file, and what to do.
const DIRECTORY: &str = "it is a directory; name a file in it";
const STREAM: &str = "it is a pipe, socket or device, and not a regular file; write what it gives \
                      to a file first, and name that";

/// Opens a regular file, also behind symbolic links.
///
/// # Errors
/// What the system says, or that it is no regular file; then nothing was opened.
pub fn open(path: &Path) -> io::Result<File> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return File::open(path);
    }
    let what = if kind.is_dir() { DIRECTORY } else { STREAM };
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

/// The bytes of a regular file.
///
/// # Errors
/// As [`open`], and what the system says while reading.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The text of a regular file.
///
/// # Errors
/// As [`read`], and where it is no UTF-8.
pub fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open(path)?.read_to_string(&mut text)?;
    Ok(text)
}
