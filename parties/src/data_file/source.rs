//! Where rows come from: a file, or the output of a command; and how they are written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use encoding_rs::{Decoder, DecoderResult, Encoding};
use flate2::read::MultiGzDecoder;

use super::digest::Hashing;
use super::{DataError, FileDigest, Reading};
use crate::input;

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The file; of a command, its name, for messages.
    pub path: PathBuf,
    /// The command, where it is one: a program and its arguments, whose standard output is CSV.
    pub command: Option<Vec<String>>,
    /// The folder that the command is run in.
    pub folder: PathBuf,
    /// How the rows are written.
    pub reading: Reading,
}

impl Source {
    /// A file, written as files are by default.
    #[must_use]
    pub fn file(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            command: None,
            folder: PathBuf::new(),
            reading: Reading::default(),
        }
    }

    /// The same place, read in another way.
    #[must_use]
    pub fn with(self, reading: Reading) -> Self {
        Self { reading, ..self }
    }

    /// Opens it and reads what is in it; gives the digest of its bytes too.
    pub(super) fn opened<T>(
        &self,
        read: impl FnOnce(Content<'_>) -> Result<T, DataError>,
    ) -> Result<(T, FileDigest), DataError> {
        match &self.command {
            Some(command) => self.output_of(command, read),
            None => self.of_file(read),
        }
    }

    fn of_file<T>(
        &self,
        read: impl FnOnce(Content<'_>) -> Result<T, DataError>,
    ) -> Result<(T, FileDigest), DataError> {
        let path = &self.path;
        let failed = |source| DataError::Read { path: path.clone(), source };
        let file = input::open(path).map_err(failed)?;
        let mut magic = [0; 4];
        let begun = read_at(&file, &mut magic).map_err(failed)?;
        if magic == *b"PAR1" || path.extension().is_some_and(|extension| extension == "parquet") {
            let before = file.metadata().map_err(failed)?;
            let again = file.try_clone().map_err(failed)?;
            // A second pair of eyes on the same bytes, beside the work.
            let digest = std::thread::spawn(move || hashed(again));
            let result = read(Content::Parquet(&file));
            let digest = digest.join().unwrap_or_else(|_| Err(io::Error::other("interrupted")));
            let (result, digest) = (result?, digest.map_err(failed)?);
            let after = file.metadata().map_err(failed)?;
            if before.len() != after.len() || before.modified().ok() != after.modified().ok() {
                return Err(DataError::Changed { path: path.clone() });
            }
            return Ok((result, digest));
        }
        if magic[..begun].starts_with(b"PK\x03\x04") {
            let kind = "a ZIP archive or a spreadsheet";
            return Err(DataError::Unsupported { path: path.clone(), kind });
        }
        let mut hashing = Hashing::new(file);
        let read = self.text(&mut hashing, read)?;
        Ok((read, hashing.finish().map_err(failed)?))
    }

    /// Text, packed or not: known by its content and not by its name, since a .csv may have been packed and a .gz
    /// unpacked.
    fn text<T>(
        &self,
        input: &mut dyn Read,
        read: impl FnOnce(Content<'_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let failed = |source| DataError::Read { path: self.path.clone(), source };
        let mut buffered = BufReader::with_capacity(1 << 16, input);
        if buffered.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]) {
            let unpacked = MultiGzDecoder::new(buffered);
            return self.decoded(&mut BufReader::with_capacity(1 << 16, unpacked), read);
        }
        self.decoded(&mut buffered, read)
    }

    fn decoded<T>(
        &self,
        input: &mut dyn BufRead,
        read: impl FnOnce(Content<'_>) -> Result<T, DataError>,
    ) -> Result<T, DataError> {
        let failed = |source| DataError::Read { path: self.path.clone(), source };
        let begin = input.fill_buf().map_err(failed)?;
        // A byte order mark says what the settings need not.
        let marked = Encoding::for_bom(begin).map(|(encoding, _)| encoding);
        let encoding = marked.or(self.reading.encoding);
        match encoding.filter(|encoding| *encoding != encoding_rs::UTF_8) {
            None => read(Content::Text(&mut Begun::new(input, self.reading.skip))),
            Some(encoding) => {
                let decoding = Decoding::new(input, encoding);
                read(Content::Text(&mut Begun::new(BufReader::new(decoding), self.reading.skip)))
            }
        }
    }

    fn output_of<T>(
        &self,
        command: &[String],
        read: impl FnOnce(Content<'_>) -> Result<T, DataError>,
    ) -> Result<(T, FileDigest), DataError> {
        let refused = |what: String| DataError::Command { command: self.path.clone(), what };
        let (program, arguments) =
            command.split_first().ok_or_else(|| refused("names no program".to_owned()))?;
        let mut run = Command::new(program);
        run.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        if !self.folder.as_os_str().is_empty() {
            run.current_dir(&self.folder);
        }
        let child = run.spawn().map_err(|error| refused(format!("cannot be started: {error}")))?;
        let mut running = Running(child);
        let Some(output) = running.0.stdout.take() else {
            return Err(refused("has no standard output".to_owned()));
        };
        let mut hashing = Hashing::new(output);
        let result = self.text(&mut hashing, read);
        // Nobody waits for the rest of an output that was refused.
        let digest = match &result {
            Ok(_) => Some(hashing.finish()),
            Err(_) => None,
        };
        let status = match digest.is_some() {
            true => running.0.wait().map(Some),
            false => running.ended_soon(),
        };
        let status = status.map_err(|error| refused(format!("was lost: {error}")))?;
        // First, since half of an output may well look like rows, and an error message like a header.
        if let Some(status) = status.filter(|status| !status.success()) {
            let what = format!("failed ({status}); what it says stands above, run it by hand");
            return Err(refused(what));
        }
        let digest = digest.unwrap_or_else(|| Err(io::Error::other("the output was not read")));
        let failed = |source| DataError::Read { path: self.path.clone(), source };
        Ok((result?, digest.map_err(failed)?))
    }
}

/// What is in a source.
pub(super) enum Content<'a> {
    /// CSV as UTF-8, where it can be decoded.
    Text(&'a mut dyn BufRead),
    /// A Parquet file.
    Parquet(&'a File),
}

/// A command at work; it is ended when nobody reads any more.
struct Running(Child);

impl Running {
    /// How it ended by itself, if it did: a command that fails says little and ends, and one that still has much to
    /// say is no failure of its own.
    fn ended_soon(&mut self) -> io::Result<Option<ExitStatus>> {
        for _ in 0..20 {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(None)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.0.try_wait(), Ok(Some(_))) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Reads from the beginning; the place in the file stays.
fn read_at(file: &File, buffer: &mut [u8]) -> io::Result<usize> {
    #[cfg(unix)]
    {
        std::os::unix::fs::FileExt::read_at(file, buffer, 0)
    }
    #[cfg(not(unix))]
    {
        use std::io::{Seek, SeekFrom};
        let mut file = file;
        let read = file.read(buffer)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(read)
    }
}

/// The digest of a file, without moving its place.
fn hashed(file: File) -> io::Result<FileDigest> {
    Hashing::new(At { file, at: 0 }).finish()
}

struct At {
    file: File,
    at: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&self.file, buffer, self.at)?;
        #[cfg(not(unix))]
        let read = {
            use std::io::{Seek, SeekFrom};
            self.file.seek(SeekFrom::Start(self.at))?;
            self.file.read(buffer)?
        };
        self.at += read as u64;
        Ok(read)
    }
}

/// The bytes as UTF-8. What cannot be decoded becomes a byte that is none, so that its row is refused.
struct Decoding<R> {
    input: R,
    decoder: Decoder,
    /// Decoded, and not yet given.
    ready: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: BufRead> Decoding<R> {
    fn new(input: R, encoding: &'static Encoding) -> Self {
        let decoder = encoding.new_decoder();
        Self { input, decoder, ready: Vec::new(), given: 0, ended: false }
    }

    fn more(&mut self) -> io::Result<()> {
        self.ready.resize(1 << 16, 0);
        self.given = 0;
        let mut filled = 0;
        while filled == 0 && !self.ended {
            let input = self.input.fill_buf()?;
            let last = input.is_empty();
            let (result, read, written) =
                self.decoder.decode_to_utf8_without_replacement(input, &mut self.ready, last);
            self.input.consume(read);
            filled = written;
            match result {
                DecoderResult::Malformed(..) => {
                    // There is room: a decoder leaves some when it stops at a fault.
                    self.ready.truncate(filled);
                    self.ready.push(0xff);
                    return Ok(());
                }
                DecoderResult::InputEmpty => self.ended = last,
                DecoderResult::OutputFull => {}
            }
        }
        self.ready.truncate(filled);
        Ok(())
    }
}

impl<R: BufRead> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.ready.len() && !buffer.is_empty() {
            self.more()?;
        }
        let count = buffer.len().min(self.ready.len() - self.given);
        buffer[..count].copy_from_slice(&self.ready[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// Hides a first line `sep=;`, which a spreadsheet writes and which is no header, and lines before the header that are to
/// be passed over: empty lines stand in their places, so that lines are counted as in the file.
struct Begun<R> {
    input: R,
    begun: bool,
    /// Lines that are still to be hidden.
    skip: u64,
}

impl<R: BufRead> Begun<R> {
    fn new(input: R, skip: u64) -> Self {
        Self { input, begun: false, skip }
    }
}

/// The separator that the line `sep=;` names, and the length of the line without its line feed.
pub(super) fn separator_line(begin: &[u8]) -> Option<(u8, usize)> {
    let mark = if begin.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
    let line = &begin[mark..];
    let quote = usize::from(line.first() == Some(&b'"'));
    let word = line.get(quote..quote + 4)?;
    let separator = *line.get(quote + 4)?;
    let rest = line.get(quote + 5..)?;
    let rest = if quote == 1 { rest.strip_prefix(b"\"")? } else { rest };
    let ended = rest.first().is_none_or(|byte| matches!(byte, b'\n' | b'\r'));
    let end = usize::from(rest.first() == Some(&b'\r'));
    let length = mark + 5 + 2 * quote + end;
    (word.eq_ignore_ascii_case(b"sep=") && ended).then_some((separator, length))
}

impl<R: BufRead> Read for Begun<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ready = self.fill_buf()?;
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Begun<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if !self.begun {
            self.begun = true;
            if let Some((_, length)) = separator_line(self.input.fill_buf()?) {
                self.input.consume(length);
            }
        }
        while self.skip > 0 {
            let ready = self.input.fill_buf()?;
            match ready.iter().position(|byte| *byte == b'\n') {
                // Its line feed is left, and seen next.
                Some(0) => break,
                Some(at) => self.input.consume(at),
                None if ready.is_empty() => break,
                None => {
                    let all = ready.len();
                    self.input.consume(all);
                }
            }
        }
        let ready = self.input.fill_buf()?;
        // Not more than the line feed of a line that is hidden.
        Ok(if self.skip > 0 { &ready[..ready.len().min(1)] } else { ready })
    }

    fn consume(&mut self, count: usize) {
        if count > 0 {
            self.skip = self.skip.saturating_sub(1);
        }
        self.input.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_names_the_separator_is_no_header() {
        assert_eq!(separator_line(b"sep=;\r\nage;sex\r\n"), Some((b';', 6)));
        assert_eq!(separator_line(b"\xef\xbb\xbf\"SEP=,\"\n"), Some((b',', 10)));
        assert_eq!(separator_line(b"sep=\t\n"), Some((b'\t', 5)));
        assert_eq!(separator_line(b"sep;age\n"), None);
        assert_eq!(separator_line(b"separator,age\n"), None);
        let mut text = String::new();
        Begun::new(&b"sep=;\r\nage;sex\n"[..], 0).read_to_string(&mut text).unwrap();
        assert_eq!(text, "\nage;sex\n");
        for (skip, due) in [
            (0, "a \"\n\nb\nage\n1\n"),
            (1, "\n\nb\nage\n1\n"),
            (3, "\n\n\nage\n1\n"),
            (9, "\n\n\n\n\n"),
        ] {
            let mut text = String::new();
            Begun::new(&b"a \"\n\nb\nage\n1\n"[..], skip).read_to_string(&mut text).unwrap();
            assert_eq!(text, due, "{skip}");
        }
    }

    #[test]
    fn what_cannot_be_decoded_is_no_text() {
        let decoded = |bytes: &[u8], encoding| {
            let mut out = Vec::new();
            Decoding::new(bytes, encoding).read_to_end(&mut out).unwrap();
            out
        };
        assert_eq!(decoded(b"r\xe9nt\n", encoding_rs::WINDOWS_1252), "rént\n".as_bytes());
        assert_eq!(decoded(b"\xff\xfea\0\n\0", encoding_rs::UTF_16LE), b"a\n");
        assert_eq!(decoded(b"a\0\0\xd8b\0", encoding_rs::UTF_16LE), b"a\xffb");
        let long = "ä,".repeat(100_000);
        let latin: Vec<u8> = long.chars().map(|letter| letter as u8).collect();
        assert_eq!(decoded(&latin, encoding_rs::WINDOWS_1252), long.as_bytes());
    }
}
