//! How a file that is refused could be read: settings that are found by looking at it, and tried before they are
//! named. Words for missing cells are named from a list of this program's own, and no other cell is.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use mpc_ml::data::{Schema, look_alike};

use super::header::{Header, SEPARATORS, renamed};
use super::reading::no_row;
use super::scan::scan;
use super::source::{Content, separator_line};
use super::translate::{Kind, columns, plain_number};
use super::{DataError, ReadOptions, Reading, Source, read_columns, read_of};

mod guess;
mod lists;
use guess::{Guess, LEGACY};

/// Lines in which a header is looked for.
const PREAMBLE: usize = 20;

/// Lines of one kind that are taken for none, at most.
const NO_ROWS: u64 = 3;

/// Settings of `[data]` under which a file can be read, or more of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The lines, without a header.
    pub lines: Vec<String>,
    /// What is wrong with the file then, where something still is.
    pub remaining: Option<String>,
    /// What nobody but the operator can know.
    pub open: Vec<String>,
}

/// How bad an attempt was (whether the file could not be read, and the places left), with what it was read,
/// what stays open, and how it ended.
type Attempt = ((bool, u64), Reading, Vec<String>, Option<DataError>);

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.lines.is_empty() {
            let then = if self.remaining.is_some() { "more of it" } else { "it" };
            writeln!(
                f,
                "with these lines below [data] in party.toml {then} can be read (they stay here, nobody agrees on \
                 them):"
            )?;
            self.lines.iter().try_for_each(|line| write!(f, "\n{line}"))?;
            f.write_str("\n")?;
        }
        if let Some(remaining) = &self.remaining {
            write!(f, "\nWhat is wrong then: {remaining}\n")?;
        }
        self.open.iter().try_for_each(|open| write!(f, "\n{open}"))
    }
}

/// The error with a proposal, where there is one.
pub(super) fn with_proposal(
    error: DataError,
    source: &Source,
    schema: &Schema,
    options: &ReadOptions,
) -> DataError {
    let about_writing = matches!(
        error,
        DataError::BadPlaces { .. } | DataError::MissingColumn { .. } | DataError::NoHeader { .. }
    );
    // A command may be costly, and may do more than print.
    if !about_writing || source.command.is_some() {
        return error;
    }
    match proposal(&error, source, schema, options) {
        Some(proposal) => DataError::Proposed { error: Box::new(error), proposal },
        None => error,
    }
}

/// How bad an outcome is: whether anything was read, and how many places are wrong.
fn badness(outcome: &Result<super::DataFile, DataError>) -> (bool, u64) {
    match outcome {
        Ok(_) => (false, 0),
        Err(DataError::BadPlaces { total, .. }) => (false, *total),
        Err(_) => (true, 0),
    }
}

fn proposal(
    error: &DataError,
    source: &Source,
    schema: &Schema,
    options: &ReadOptions,
) -> Option<Proposal> {
    let columns = columns(schema, options.with_target);
    let mut wanted: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    wanted.extend(options.id_column.as_deref());
    let attempt =
        |reading: &Reading| read_of(&source.clone().with(reading.clone()), schema, options, None);
    let before = match error {
        DataError::BadPlaces { total, .. } => (false, *total),
        _ => (true, 0),
    };
    let mut best: Option<Attempt> = None;
    for encoding in encodings(source) {
        let mut reading = Reading { encoding, ..source.reading.clone() };
        let begin = first_lines(&source.clone().with(reading.clone()));
        if let Some((skip, line)) = header(&begin, &reading, &wanted) {
            reading.skip = reading.skip.max(skip);
            separate(&mut reading, line, &wanted);
            rename(&mut reading, line, &wanted);
        }
        lines_that_are_no_rows(&mut reading, source);
        let mut guess = Guess::new(&reading, schema, &columns);
        // What is no row is not looked at; the attempt tells of it.
        let of_cells = source.clone().with(reading.clone());
        let wanted: Vec<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let _ = read_columns(&of_cells, &wanted, |cells| {
            guess.row(cells.wanted);
            Ok(())
        });
        let open = guess.settle(&mut reading);
        let outcome = attempt(&reading);
        let badness = badness(&outcome);
        if best.as_ref().is_none_or(|(least, ..)| badness < *least) {
            best = Some((badness, reading, open, outcome.err()));
        }
    }
    let (badness, reading, open, left) = best?;
    let lines = reading.lines(&source.reading);
    if badness >= before && open.is_empty() || lines.is_empty() && open.is_empty() {
        return None;
    }
    if badness >= before {
        return Some(Proposal { lines: Vec::new(), remaining: None, open });
    }
    Some(Proposal { lines, remaining: left.map(|error| error.to_string()), open })
}

/// The encodings to try: the one that is set, and others where the file is not text in it.
fn encodings(source: &Source) -> Vec<Option<&'static encoding_rs::Encoding>> {
    let is_text = |source: &Source| {
        source.opened(|content| match content {
            Content::Text(input) => {
                let mut bytes = Vec::new();
                let mut rest = Vec::new();
                loop {
                    bytes.clear();
                    bytes.append(&mut rest);
                    let failed =
                        |error| DataError::Read { path: source.path.clone(), source: error };
                    let read = input.take(1 << 16).read_to_end(&mut bytes).map_err(failed)?;
                    match std::str::from_utf8(&bytes) {
                        Ok(_) => {}
                        // A letter that is cut at the end of the block.
                        Err(error) if error.error_len().is_none() && read > 0 => {
                            rest = bytes.split_off(error.valid_up_to());
                        }
                        Err(_) => return Ok(false),
                    }
                    if read == 0 {
                        return Ok(true);
                    }
                }
            }
            Content::Parquet(_) => Ok(true),
        })
    };
    match is_text(source) {
        Ok((false, _)) => LEGACY.iter().copied().map(Some).collect(),
        _ => vec![source.reading.encoding],
    }
}

/// The first lines of a text.
fn first_lines(source: &Source) -> Vec<Vec<u8>> {
    let read = source.opened(|content| {
        let mut begin = Vec::new();
        if let Content::Text(input) = content {
            let failed = |error| DataError::Read { path: source.path.clone(), source: error };
            input.take(1 << 16).read_to_end(&mut begin).map_err(failed)?;
        }
        Ok(begin)
    });
    let Ok((bytes, _)) = read else { return Vec::new() };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.trim_ascii().to_vec())
        .take(PREAMBLE)
        .collect()
}

/// The line that is most like a header, and how many lines are before it that are to be passed over: none where the first
/// one is as good.
fn header<'l>(begin: &'l [Vec<u8>], reading: &Reading, wanted: &[&str]) -> Option<(u64, &'l [u8])> {
    let of = |line: &[u8]| {
        let under = |&separator: &u8| {
            found(&renamed(names(line, separator).iter().map(String::as_str), reading), wanted)
        };
        SEPARATORS.iter().chain([&reading.separator]).map(under).max().unwrap_or(0)
    };
    let (first, line) = begin.iter().enumerate().find(|(_, line)| !line.is_empty())?;
    let mut best = (0, &line[..], of(line));
    for (at, line) in begin.iter().enumerate().skip(first + 1).filter(|(_, line)| !line.is_empty())
    {
        let here = of(line);
        if here > best.2 && 2 * here > wanted.len() {
            best = (at as u64, line, here);
        }
    }
    Some((best.0, best.1))
}

/// Names the lines of totals, of dashes and of counts.
fn lines_that_are_no_rows(reading: &mut Reading, source: &Source) {
    let source = source.clone().with(reading.clone());
    let mut seen = BTreeMap::<String, u64>::new();
    let _ = source.opened(|content| match content {
        Content::Text(input) => {
            let begin = |_: &Header<'_>, _: &csv::StringRecord| Ok(());
            scan(input, &source.path, &source.reading, (&[], false), begin, |_, _, cells| {
                let form = cells.and_then(|cells| cells.get(0)).map(no_row);
                if let Some(form) = form.filter(|form| lists::is_no_row(form)) {
                    *seen.entry(form).or_default() += 1;
                }
            })
        }
        Content::Parquet(_) => Ok(((), 0)),
    });
    // More of them are rows of some kind.
    let few = seen.into_iter().filter(|(_, count)| *count <= NO_ROWS);
    reading.not_rows.extend(few.map(|(form, _)| form));
}

/// The names in a first line, under this separator.
fn names(line: &[u8], separator: u8) -> Vec<String> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).delimiter(separator).from_reader(line);
    let names = reader.records().next().and_then(Result::ok);
    names.map(|names| names.iter().map(|name| name.trim().to_owned()).collect()).unwrap_or_default()
}

/// A name without a unit behind it: `age (years)`, `cost [EUR]`.
fn without_unit(name: &str) -> &str {
    let open = name.strip_suffix(')').and_then(|name| name.split_once('('));
    let open = open.or_else(|| name.strip_suffix(']').and_then(|name| name.split_once('[')));
    open.map_or(name, |(name, _)| name.trim())
}

/// The place of the name that looks like this one, of those that are free.
fn nearly(wanted: &str, names: &[String], free: impl Fn(&str) -> bool) -> Option<usize> {
    let short: Vec<&str> =
        names.iter().map(|name| if free(name) { without_unit(name) } else { "" }).collect();
    let same = |name: &&str| *name == wanted;
    let is_only = |at: &usize| short.iter().filter(|name| **name == short[*at]).count() == 1;
    if let Some(at) = short.iter().position(same) {
        return Some(at).filter(is_only);
    }
    let (meant, _) = look_alike(wanted, &short.iter().copied().filter(|name| !name.is_empty()))?;
    short.iter().position(|name| *name == meant).filter(is_only)
}

/// How many of `wanted` are there, as they are or nearly.
fn found(names: &[String], wanted: &[&str]) -> usize {
    let there = |name: &&&str| {
        names.iter().any(|own| own == **name) || nearly(name, names, |_| true).is_some()
    };
    wanted.iter().filter(there).count()
}

fn separate(reading: &mut Reading, line: &[u8], wanted: &[&str]) {
    let of = |separator| {
        found(&renamed(names(line, separator).iter().map(String::as_str), reading), wanted)
    };
    let now = of(reading.separator);
    let best = SEPARATORS
        .iter()
        .copied()
        .max_by_key(|&separator| (of(separator), separator == reading.separator));
    if let Some(separator) = best.filter(|&separator| of(separator) > now) {
        reading.separator = separator;
    }
    // The line `sep=;` is hidden, and says it.
    if let Some((separator, _)) = separator_line(line) {
        reading.separator = separator;
    }
}

/// Names that look like those of the study, where the line is a header.
fn rename(reading: &mut Reading, line: &[u8], wanted: &[&str]) {
    let own = names(line, reading.separator);
    let known = renamed(own.iter().map(String::as_str), reading);
    if 2 * found(&known, wanted) <= wanted.len() {
        return;
    }
    for name in wanted.iter().filter(|name| !known.iter().any(|own| own == **name)) {
        if let Some(at) = nearly(name, &known, |own| !wanted.contains(&own)) {
            reading.rename.insert(own[at].clone(), (*name).to_owned());
        }
    }
}
