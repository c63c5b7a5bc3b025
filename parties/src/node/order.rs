//! The common records of an alignment as a node keeps them, and its rows of them.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use mpc_core::Session;
use mpc_ml::data::joint_statistics;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::Sealer;
use crate::alignment::{Alignment, AlignmentName, read_ids};
use crate::data_file::{DataError, DataFile, ReadOptions, Source, read_columns, read_records};
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::input;
use crate::output::{create, hex};
use crate::settings::{DataSettings, Overrides, Settings};
use crate::study::{Columns, Study};

/// What the order of the records is sealed for.
const SEALED: &str = "aligned records/2";

/// Where the order of the records of an alignment is kept.
pub(super) struct Order {
    name: AlignmentName,
    folder: PathBuf,
    sealer: Sealer,
}

/// What is kept: the alignment, the session in which it was made, and the ids of the common records.
#[derive(Serialize, Deserialize)]
struct Form {
    session: [u8; 32],
    text: String,
    ids: Vec<Vec<u8>>,
}

impl Drop for Form {
    fn drop(&mut self) {
        self.ids.zeroize();
    }
}

/// The common records of an alignment, in their order: **private data**.
pub(super) struct Kept {
    /// The session in which they were aligned: who names another one has another order.
    pub session: [u8; 32],
    /// The alignment.
    pub alignment: Alignment,
    /// The ids.
    pub ids: Zeroizing<Vec<Vec<u8>>>,
}

/// How the rows of a study came into their order.
#[derive(Clone, Debug)]
pub struct Aligned {
    /// The session in which the records were aligned: the same at all who have the same order.
    session: [u8; 32],
    /// The records by their ids, for who is told something of each.
    pub(super) named: Option<Named>,
}

/// The records as the own file names them: **private data**.
#[derive(Clone)]
pub(super) struct Named {
    /// The columns that an id is made of.
    pub columns: Vec<String>,
    /// Their cells, a row for each record.
    pub cells: Zeroizing<Vec<Vec<String>>>,
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Named([{} records, redacted])", self.cells.len())
    }
}

impl Named {
    /// Reads the ids of the rows that go to these places.
    fn read(
        alignment: &Alignment,
        source: &Source,
        places: &HashMap<u32, usize>,
    ) -> Result<Self, Failure> {
        let columns: Vec<&str> = alignment.columns().collect();
        let mut cells = Zeroizing::new(vec![Vec::new(); places.len()]);
        let mut row = 0_u32;
        read_columns(source, &columns, |read| {
            if let Some(&place) = places.get(&row) {
                cells[place] = read.wanted.iter().map(|cell| cell.trim().to_owned()).collect();
            }
            row = row.saturating_add(1);
            Ok(())
        })?;
        Ok(Self { columns: columns.into_iter().map(str::to_owned).collect(), cells })
    }
}

impl Aligned {
    /// Makes sure that all parties have as many records, in the same order. One round.
    ///
    /// # Errors
    /// When they do not, alike at all.
    pub(super) async fn compare(
        &self,
        study: &Study,
        rows: &[u64],
        session: &mut Session,
    ) -> Result<(), Failure> {
        const ADVICE: &str = "align the records anew under another title, at all parties, and name that \
                              alignment in the study";
        if rows.iter().any(|own| *own != rows[0]) {
            let each = study.parties().iter().zip(rows);
            let each: Vec<String> = each.map(|(name, rows)| format!("{name} {rows}")).collect();
            let what = format!("the parties have different aligned records: {}", each.join(", "));
            let failure = Failure::new(Exit::Configuration, what).advise(ADVICE);
            return Err(Failure { seen_by_all: true, ..failure });
        }
        let agreed = session.agree("the alignment of the records", &self.session).await;
        agreed.map_err(|error| Failure::from(error).advise(ADVICE))
    }
}

impl Order {
    /// The order of the records of this alignment in the state directory of a node.
    pub(super) fn of(directory: &Path, name: AlignmentName, identity: &Identity) -> Self {
        let folder = directory.join(format!("alignment-{}", hex(&name.as_bytes()[..8])));
        Self { name, folder, sealer: Sealer::new(identity, SEALED) }
    }

    /// The folder of the alignment.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the order is.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join("order.sealed")
    }

    /// Keeps the ids of the common records.
    pub(super) fn keep(
        &self,
        session: [u8; 32],
        alignment: &Alignment,
        ids: &[Vec<u8>],
    ) -> Result<(), Failure> {
        let form = Form { session, text: alignment.text().to_owned(), ids: ids.to_vec() };
        let bytes = postcard::to_stdvec(&form).map(Zeroizing::new);
        let bytes = bytes.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        create(&self.path(), &self.sealer.seal(self.name.as_bytes(), &bytes)?)
    }

    /// What is kept; none where nothing is.
    ///
    /// # Errors
    /// When it cannot be read, or is not what this node kept of this alignment.
    pub(super) fn open(&self) -> Result<Option<Kept>, Failure> {
        let path = self.path();
        if !path.exists() {
            return Ok(None);
        }
        let unreadable = |why: &str| {
            let what = format!("the order of the records cannot be read: {why}");
            Failure::new(Exit::Configuration, what).in_file(&path).advise(
                "it was sealed with the key of this node when the records were aligned; if that was another \
                 version of the program, align them anew under another title",
            )
        };
        let bytes = input::read(&path).map_err(|error| unreadable(&error.to_string()))?;
        let opened = self.sealer.open(self.name.as_bytes(), &bytes);
        let opened = opened
            .ok_or_else(|| unreadable("it was changed, or is another node's or version's"))?;
        let mut form: Form =
            postcard::from_bytes(&opened).map_err(|_| unreadable("it has another form"))?;
        let alignment =
            Alignment::from_bytes(form.text.as_bytes()).map_err(|error| unreadable(&error))?;
        if alignment.name() != self.name {
            return Err(unreadable("it is of another alignment"));
        }
        let ids = Zeroizing::new(std::mem::take(&mut form.ids));
        Ok(Some(Kept { session: form.session, alignment, ids }))
    }
}

/// Keeps the records of a file as if they had been aligned, for a rehearsal in which all parties invent the same.
///
/// # Errors
/// When settings or file cannot be read, or nothing can be written.
pub(crate) fn keep_as_aligned(
    config: &Path,
    alignment: &Alignment,
    data: &Path,
) -> Result<(), Failure> {
    let settings = Settings::read(config, &Overrides::default())?;
    let identity = Identity::read(&settings.identity.key)?;
    let order = Order::of(&settings.state, alignment.name(), &identity);
    std::fs::create_dir_all(order.folder()).map_err(|error| {
        let what = format!("the rehearsal cannot be set up: {error}");
        Failure::new(Exit::Configuration, what)
    })?;
    let ids: Vec<Vec<u8>> =
        read_ids(alignment, &Source::file(data))?.iter().map(<[u8]>::to_vec).collect();
    order.keep([0; 32], alignment, &ids)
}

/// Reads this party's own columns of the aligned records, in their order. Sends nothing.
///
/// # Errors
/// When the records were not aligned here, the file lacks one of them or has one twice, or a cell of them
/// breaks a rule.
pub(super) fn read_aligned(
    (study, columns, place): (&Study, &Columns, usize),
    settings: &Settings,
    source: &DataSettings,
    show_values: bool,
) -> Result<(DataFile, Aligned), Failure> {
    let identity = Identity::read(&settings.identity.key)?;
    let order = Order::of(&settings.state, *columns.alignment(), &identity);
    let kept = order.open()?.ok_or_else(|| {
        let what = format!("the records of {} were not aligned here", columns.alignment());
        Failure::new(Exit::Configuration, what).at(settings.state.display()).advise(
            "run `party align alignment.toml` at all parties first; the name that it prints is the one in \
             the study",
        )
    })?;
    let absent = study.parties().iter().find(|name| kept.alignment.position(name).is_none());
    if let Some(absent) = absent {
        let what = format!(
            "{absent} is a party of the study, and took no part in the alignment {:?}",
            kept.alignment.title()
        );
        return Err(Failure::new(Exit::Configuration, what)
            .at(columns.alignment())
            .advise("align the records of all parties of the study, and name that alignment"));
    }
    let ids = read_ids(&kept.alignment, &source.from)?;
    let records = ids.find(&kept.ids, &source.from.path)?;
    let places: HashMap<u32, usize> = ids.rows_of(&records).into_iter().zip(0..).collect();
    let options = ReadOptions {
        id_column: source.id_column.clone(),
        with_target: study.has_target(place),
        show_values,
        lenient: false,
    };
    let schema = study.schema_of(place);
    let data = read_records(&source.from, schema, &options, &places).map_err(unusable)?;
    if data.digest != *ids.digest() {
        return Err(DataError::Changed { path: source.from.path.clone() }.into());
    }
    let named = match study.scoring() {
        Some(scoring) if scoring.evaluates() => None,
        Some(_) => Some(Named::read(&kept.alignment, &source.from, &places)?),
        None => {
            joint_statistics(&[&data.table]).map_err(|error| {
                let what = format!("of the aligned records, {error}");
                Failure::new(Exit::LocalInput, what).in_file(&source.from.path)
            })?;
            None
        }
    };
    Ok((data, Aligned { session: kept.session, named }))
}

/// A cell of an aligned record cannot be used: the record cannot be left out by one party alone.
fn unusable(error: DataError) -> Failure {
    let cells = matches!(error, DataError::BadPlaces { .. });
    let failure = Failure::from(error);
    if !cells {
        return failure;
    }
    failure.advise(
        "these are records of all parties, and one that a party left out would have to be left out by all: \
         correct the cells; or agree on a rule in the study (missing = \"mean\", a number, \"base\" or \"level\"); \
         or remove these rows and align anew under another title; --show-values shows the values here",
    )
}
