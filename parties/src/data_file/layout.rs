//! Quotes and line ends of a CSV file, watched while it is read.
//!
//! A cell that begins with a quote goes on, over any number of lines, to the next quote. Where a
//! quote stands by mistake, the rows up to that next one become a part of one cell, and nothing
//! else tells of them: they would be lost without a word. The parser of the `csv` crate does not
//! say how a quote ended, so this follows the same rules beside it.

use std::io::{self, Read};
use std::mem;

/// How many faults are kept; the rest is counted.
const KEPT: usize = 20;

/// A reader that looks at the layout of what passes through it.
pub(super) struct Watched<R> {
    input: R,
    layout: Layout,
}

/// A place where rows would be read wrongly or lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The line on which the cell begins, counted from 1.
    pub line: u64,
    /// The rule, and what to do.
    pub rule: String,
}

/// Where in a record the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// At the beginning of a record.
    Record,
    /// At the beginning of a cell.
    Cell,
    /// In a cell without quotes.
    Plain,
    /// Between the quotes of a cell.
    Quoted,
    /// Behind a quote in a cell with quotes: its end, or the first half of a doubled one.
    Quote,
    /// Behind the end of the quotes, where only spaces may follow.
    After,
}

/// What is known of the layout so far.
#[derive(Debug)]
pub(super) struct Layout {
    separator: u8,
    at: At,
    line: u64,
    /// A byte order mark may still come: how many bytes of the file were seen, up to three.
    begun: usize,
    /// A carriage return outside of quotes, of which nobody knows yet whether it ends a line.
    carriage_return: bool,
    /// The line with the last such return that ended no line.
    faulty_line: u64,
    /// Separators in this record.
    separators: u64,
    /// Separators in the header, once it is complete.
    header: Option<u64>,
    cell: Cell,
    faults: Vec<Fault>,
    total: u64,
    faulty_header: bool,
    lone_returns_in_header: bool,
}

/// The quoted cell that is open.
#[derive(Debug, Default)]
struct Cell {
    /// The line of its first quote.
    line: u64,
    separators: u64,
    /// Line ends in it, without those of blank lines between them.
    breaks: u64,
    blank: bool,
}

const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

const ADVICE: &str = "remove the quote, or keep it as text: put the cell between quotes and write \
                      the quote inside twice";

impl<R: Read> Watched<R> {
    /// Watches bytes whose cells end at `separator`.
    pub(super) fn new(input: R, separator: u8) -> Self {
        Self { input, layout: Layout::new(separator) }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        buffer[..count].iter().for_each(|&byte| self.layout.next(byte));
        if count == 0 && !buffer.is_empty() {
            self.layout.end();
        }
        Ok(count)
    }
}

impl Layout {
    fn new(separator: u8) -> Self {
        Self {
            separator,
            at: At::Record,
            line: 1,
            begun: 0,
            carriage_return: false,
            faulty_line: 0,
            separators: 0,
            header: None,
            cell: Cell::default(),
            faults: Vec::new(),
            total: 0,
            faulty_header: false,
            lone_returns_in_header: false,
        }
    }

    /// The first faults, and how many there are.
    pub(super) fn faults(&self) -> (&[Fault], u64) {
        (&self.faults, self.total)
    }

    /// Whether there are faults in the header.
    pub(super) fn has_faulty_header(&self) -> bool {
        self.faulty_header
    }

    /// Whether carriage returns end what should be the lines of the file.
    pub(super) fn has_lone_returns_in_header(&self) -> bool {
        self.lone_returns_in_header
    }

    fn next(&mut self, byte: u8) {
        if self.begun < 3 {
            if BYTE_ORDER_MARK[self.begun] == byte {
                self.begun += 1;
                return;
            }
            if self.begun > 0 {
                self.at = At::Plain;
            }
            self.begun = 3;
        }
        if mem::take(&mut self.carriage_return) && !matches!(byte, b'\n' | b'\r') {
            self.lone_return();
        }
        self.at = match (self.at, byte) {
            (At::Quoted, b'"') => At::Quote,
            (At::Quoted, _) => {
                self.cell.next(byte, self.separator);
                At::Quoted
            }
            (At::Quote, b'"') => {
                self.cell.blank = false;
                At::Quoted
            }
            (At::Record | At::Cell, b'"') => {
                self.cell = Cell { line: self.line, ..Cell::default() };
                At::Quoted
            }
            (at, byte) if byte == self.separator || byte == b'\n' => {
                if matches!(at, At::Quote | At::After) {
                    self.quotes_end();
                }
                self.cell_ends(byte)
            }
            (at, b'\r') => {
                self.carriage_return = true;
                if matches!(at, At::Quote | At::After) { At::After } else { At::Plain }
            }
            (At::Quote | At::After, b' ' | b'\t') => At::After,
            (At::Quote | At::After, _) => {
                self.text_behind_quotes();
                At::Plain
            }
            (At::Record | At::Cell | At::Plain, _) => At::Plain,
        };
        if byte == b'\n' {
            self.line += 1;
        }
    }

    fn cell_ends(&mut self, byte: u8) -> At {
        if byte == self.separator {
            self.separators += 1;
            return At::Cell;
        }
        let blank = self.at == At::Record;
        let separators = mem::take(&mut self.separators);
        if !blank {
            self.header.get_or_insert(separators);
        }
        At::Record
    }

    fn end(&mut self) {
        match self.at {
            At::Quoted => {
                let after = self.line - self.cell.line - u64::from(self.cell.blank);
                self.fault(
                    self.cell.line,
                    format!("a quote opens a cell that is never closed{}; {ADVICE}", lost(after)),
                );
            }
            At::Quote | At::After => self.quotes_end(),
            _ => {}
        }
        // The end of the input may be asked for more than once.
        self.at = At::Record;
        self.carriage_return = false;
    }

    /// The quotes of a cell were closed: were there rows between them? A text of several lines is
    /// fine; lines with as many separators as a row has are rows.
    fn quotes_end(&mut self) {
        let Cell { line, separators, breaks, .. } = self.cell;
        if self.line == line {
            return;
        }
        let end = self.line;
        match self.header {
            None => self.fault(line, format!(
                "a quote in the header opens a cell that ends on line {end}; the header is one line; {ADVICE}"
            )),
            Some(width) if width > 0 && separators >= width * breaks.max(1) => {
                self.fault(line, format!(
                    "a quote opens a cell that ends on line {end} only, and the lines in it look like rows, \
                     which would be lost; {ADVICE}; if the cell is a text of several lines, \
                     write it on one line or leave the column out"
                ));
            }
            Some(_) => {}
        }
    }

    fn text_behind_quotes(&mut self) {
        let (line, end) = (self.cell.line, self.line);
        self.fault(
            line,
            format!(
                "a quote opens a cell, and behind the quote that closes it on line {end} there is more \
                 text{}; {ADVICE}",
                lost(end - line)
            ),
        );
    }

    /// A carriage return that ends no line; one fault a line.
    fn lone_return(&mut self) {
        self.lone_returns_in_header |= self.header.is_none();
        if self.faulty_line != self.line {
            self.faulty_line = self.line;
            self.fault(
                self.line,
                "the line holds a carriage return that does not end it; end every row with a line \
                 feed, or put a text with line ends between quotes"
                    .to_owned(),
            );
        }
    }

    fn fault(&mut self, line: u64, rule: String) {
        self.total += 1;
        self.faulty_header |= self.header.is_none();
        if self.faults.len() < KEPT {
            self.faults.push(Fault { line, rule });
        }
    }
}

/// Says how many lines a quote swallows.
fn lost(lines: u64) -> String {
    match lines {
        0 => String::new(),
        1 => ", and the line after it would be lost".to_owned(),
        lines => format!(", and the {lines} lines after it would be lost"),
    }
}

impl Cell {
    fn next(&mut self, byte: u8, separator: u8) {
        match byte {
            b'\n' => {
                self.breaks += u64::from(!self.blank);
                self.blank = true;
            }
            byte if byte == separator => {
                self.separators += 1;
                self.blank = false;
            }
            _ => self.blank &= byte.is_ascii_whitespace(),
        }
    }
}
