//! Why a data file is refused. No message holds a cell, unless the operator asked for values.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::Proposal;
use crate::output::wrapped;

/// Cells of a column, or rows, that break the same rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPlace {
    /// The first lines of the file, counted from 1, on which such a row begins; of a Parquet file, the rows.
    pub lines: Vec<u64>,
    /// How many there are.
    pub count: u64,
    /// Whether `lines` are lines; otherwise they are rows.
    pub of_text: bool,
    /// The column; `None` when the whole row is at fault.
    pub column: Option<String>,
    /// The rule, and what to do.
    pub rule: String,
    /// The values with their counts, only when the operator asked for values.
    pub values: Vec<(String, u64)>,
}

impl fmt::Display for BadPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = if self.of_text { "line" } else { "row" };
        let more = self.count.saturating_sub(self.lines.len() as u64);
        let lines: Vec<String> = self.lines.iter().map(u64::to_string).collect();
        match (lines.len(), more) {
            (1, 0) => write!(f, "{unit} {}", lines[0])?,
            (_, 0) => write!(f, "{unit}s {}", lines.join(", "))?,
            _ => write!(f, "{unit}s {} and {more} more", lines.join(", "))?,
        }
        if let Some(column) = &self.column {
            write!(f, ", column {column:?}")?;
        }
        if !self.values.is_empty() {
            let one = |(value, count): &(String, u64)| match count {
                1 => format!("{value:?}"),
                count => format!("{value:?} ({count} times)"),
            };
            let values: Vec<String> = self.values.iter().map(one).collect();
            let word = if values.len() == 1 { "value" } else { "values" };
            write!(f, ", {word} {}", values.join(", "))?;
        }
        write!(f, ": {}", self.rule)
    }
}

/// Why a data file is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file cannot be read.
    #[error("the data file {} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is of a kind that is not read.
    #[error("the data file {} is {kind}, which is not read; save it as CSV or Parquet", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Its kind.
        kind: &'static str,
    },
    /// A command that is to give rows does not.
    #[error("the command {} (data.command) {what}", command.display())]
    Command {
        /// The command.
        command: PathBuf,
        /// What became of it.
        what: String,
    },
    /// A Parquet file cannot be read, or a column of it is of a kind that is not read.
    #[error("the data file {} cannot be read as Parquet: {what}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// There is no header.
    #[error("the data file {} has no readable header; its first line must name the columns, in UTF-8", path.display())]
    NoHeader {
        /// The file.
        path: PathBuf,
    },
    /// Lines do not end as they must, so that the whole file is one line.
    #[error("the lines of the data file {} end with carriage returns alone, as on an old Macintosh; save it with line feeds (LF) or Windows line ends (CR LF)", path.display())]
    LineEnds {
        /// The file.
        path: PathBuf,
    },
    /// A column is not there.
    #[error("the data file {} has no column {column:?}; {}{}", path.display(), Header(columns.as_deref()), if *other_separator { OTHER_SEPARATOR } else { "" })]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The column that is looked for.
        column: String,
        /// The columns that are there; `None` when the first line may be a row.
        columns: Option<Vec<String>>,
        /// Whether the first line looks as if its cells were separated by something else.
        other_separator: bool,
    },
    /// A column is there that would otherwise be computed of others, which are there too.
    #[error("the data file {} has a column {column:?}, and the columns that it would be computed of; leave it out, or rename it (data.rename in party.toml)", path.display())]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// A column that is needed is there twice.
    #[error("the header of the data file {} names the column {column:?} twice; rename or remove one", path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// The id column is a feature, the offset, the weights or the target.
    #[error(
        "the id column {column:?} is also a feature, the offset, the weights or the target of the study; choose another id column"
    )]
    IdIsUsed {
        /// The column.
        column: String,
    },
    /// There is a header and nothing else.
    #[error("the data file {} has no rows", path.display())]
    NoRows {
        /// The file.
        path: PathBuf,
    },
    /// It is not what it was a moment ago.
    #[error("the data file {} has changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// Cells or rows break rules.
    #[error("the data file {} has {total} {} that cannot be used{}", path.display(), if *total == 1 { "place" } else { "places" }, Listing(listed, *total))]
    BadPlaces {
        /// The file.
        path: PathBuf,
        /// They, those of one column and rule together, as far as there is room.
        listed: Vec<BadPlace>,
        /// How many there are.
        total: u64,
    },
    /// Any of these, with settings under which the file can be read, or more of it.
    #[error("{error}")]
    Proposed {
        /// Why it is refused.
        error: Box<DataError>,
        /// What to do.
        proposal: Proposal,
    },
}

impl DataError {
    /// The error without a proposal.
    #[must_use]
    pub fn inner(&self) -> &Self {
        match self {
            Self::Proposed { error, .. } => error.inner(),
            other => other,
        }
    }
}

const OTHER_SEPARATOR: &str = " (the file seems to use another separator between cells; data.separator in party.toml names it)";

/// The names of the columns, or why they are not shown.
struct Header<'a>(Option<&'a [String]>);

impl fmt::Display for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(columns) => write!(f, "its columns are: {}", columns.join(", ")),
            None => f.write_str(
                "its first line must name the columns, and is not shown here because it may be a row of \
                 data (--show-values shows it)",
            ),
        }
    }
}

struct Listing<'a>(&'a [BadPlace], u64);

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.0 {
            write!(f, "\n{}", wrapped("  ", &place.to_string()).trim_end())?;
        }
        let more = self.1.saturating_sub(self.0.iter().map(|place| place.count).sum());
        if more > 0 { write!(f, "\n  and {more} more") } else { Ok(()) }
    }
}
