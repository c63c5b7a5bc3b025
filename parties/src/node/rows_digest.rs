//! A digest of the rows that a study is run on. It stays in the state directory, and is no part of
//! the protocol.

use std::fmt;

use mpc_ml::data::{Column, Table};
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::study::StudyDigest;

const SALT: usize = 32;
const DIGEST: usize = 32;
/// Bytes of a salt and the digest under it.
pub(super) const SALTED: usize = SALT + DIGEST;
const RECORD: usize = SALTED + 5;

/// What is kept of the rows of earlier runs.
pub(super) struct Record {
    salt: [u8; SALT],
    digest: [u8; DIGEST],
    /// How many runs there were on these rows.
    pub runs: u32,
    /// Whether one of them revealed something about them.
    pub revealed: bool,
}

impl Record {
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; RECORD] = bytes.try_into().ok()?;
        let (salt, rest) = bytes.split_at(SALT);
        let (digest, rest) = rest.split_at(DIGEST);
        let (runs, revealed) = rest.split_at(4);
        Some(Self {
            salt: salt.try_into().ok()?,
            digest: digest.try_into().ok()?,
            runs: u32::from_le_bytes(runs.try_into().ok()?),
            revealed: revealed != [0],
        })
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let tail = [u8::from(self.revealed)];
        [&self.salt[..], &self.digest, &self.runs.to_le_bytes(), &tail].concat()
    }

    /// The record with one more run, when the last one `revealed` something.
    pub(super) fn once_more(self, revealed: bool) -> Self {
        let runs = self.runs.saturating_add(1);
        Self { runs, revealed: self.revealed | revealed, ..self }
    }
}

/// The rows of this party, or its input to a protocol, to be told from others.
#[derive(Debug)]
pub struct BoundRows<'a>(Of<'a>);

enum Of<'a> {
    Table(&'a Table),
    Bytes(&'a [u8]),
}

impl fmt::Debug for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl<'a> BoundRows<'a> {
    /// All cells of `table` that go into a study: features, target, offset, weights and groups.
    #[must_use]
    pub fn new(table: &'a Table) -> Self {
        Self(Of::Table(table))
    }

    /// The same; where they are used up already, those of no row.
    pub(super) fn of_table(table: Option<&'a Table>) -> Self {
        table.map_or(Self::of_bytes(&[]), Self::new)
    }

    /// The bytes of a file that is the input to a protocol.
    #[must_use]
    pub fn of_bytes(bytes: &'a [u8]) -> Self {
        Self(Of::Bytes(bytes))
    }

    /// The record of a first run, under a fresh salt.
    pub(super) fn record(&self) -> Result<Record, Failure> {
        let mut salt = [0; SALT];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| Failure::new(Exit::Internal, "the system gives no random bytes"))?;
        Ok(Record { salt, digest: self.digest(&salt), runs: 1, revealed: false })
    }

    /// A fresh salt and the digest under it, for the record of an audit.
    pub(super) fn salted(&self) -> Result<[u8; SALTED], Failure> {
        let Record { salt, digest, .. } = self.record()?;
        let mut bytes = [0; SALTED];
        bytes[..SALT].copy_from_slice(&salt);
        bytes[SALT..].copy_from_slice(&digest);
        Ok(bytes)
    }

    /// What an approval says of the rows: their digest under a key of this party and this study. The same
    /// rows give the same, and nobody else can try a guess.
    #[must_use]
    pub fn fingerprint(&self, identity: &Identity, study: &StudyDigest) -> [u8; DIGEST] {
        self.digest(identity.derive(&format!("rows of an approval/1 {study}")).as_slice())
    }

    /// Whether these are the rows of a salt and a digest.
    pub(super) fn are(&self, salted: &[u8]) -> bool {
        let Some((salt, digest)) = salted.split_first_chunk::<SALT>() else { return false };
        self.digest(salt).as_slice() == digest
    }

    /// Whether the record is one of these rows.
    pub(super) fn fit(&self, record: &Record) -> bool {
        self.digest(&record.salt) == record.digest
    }

    /// SHA-256, which processors have instructions for, since this goes through all rows. The salt
    /// sees to it that equal rows of two studies, or a table of guesses made beforehand, show
    /// nothing.
    fn digest(&self, salt: &[u8]) -> [u8; DIGEST] {
        let mut hash = Context::new(&SHA256);
        let table = match self.0 {
            Of::Table(table) => table,
            Of::Bytes(bytes) => {
                hash.update(b"mpc input of a protocol, version 1\0");
                hash.update(salt);
                hash.update(bytes);
                return finished(hash);
            }
        };
        hash.update(b"mpc rows of a study, version 2\0");
        hash.update(salt);
        hash.update(&(table.rows() as u64).to_le_bytes());
        let mut bytes = Zeroizing::new(Vec::with_capacity(8 * table.rows()));
        let mut column = |name: &str, cells: &mut dyn Iterator<Item = u64>| {
            hash.update(&(name.len() as u64).to_le_bytes());
            hash.update(name.as_bytes());
            bytes.clear();
            cells.for_each(|cell| bytes.extend_from_slice(&cell.to_le_bytes()));
            hash.update(&bytes);
        };
        for (feature, cells) in table.schema().features().iter().zip(table.columns()) {
            match cells {
                Column::Numeric(cells) => {
                    let bits = |cell: Option<f64>| cell.map_or(u64::MAX, f64::to_bits);
                    column(&feature.name, &mut cells.iter().map(bits));
                }
                Column::Categorical(cells) => {
                    let index = |cell: &Option<u32>| cell.map_or(u64::MAX, u64::from);
                    column(&feature.name, &mut cells.iter().map(index));
                }
            }
        }
        if let (Some(offset), Some(cells)) = (table.schema().offset(), table.offset()) {
            column(&offset.column, &mut cells.iter().map(|cell| cell.to_bits()));
        }
        if let (Some(weights), Some(cells)) = (table.schema().weights(), table.weights()) {
            column(&weights.column, &mut cells.iter().map(|cell| cell.to_bits()));
        }
        if let (Some(groups), Some(cells)) = (table.schema().groups(), table.groups()) {
            column(groups, &mut cells.iter().copied());
        }
        if let Some(cells) = table.target() {
            column(table.schema().target().column(), &mut cells.iter().map(|cell| cell.to_bits()));
        }
        finished(hash)
    }
}

fn finished(hash: Context) -> [u8; DIGEST] {
    let mut digest = [0; DIGEST];
    digest.copy_from_slice(hash.finish().as_ref());
    digest
}

#[cfg(test)]
pub(super) mod testing {
    use mpc_ml::data::{
        BinaryTarget, Categorical, CategoricalMissing, Feature, FeatureKind, Numeric,
        NumericMissing, Scaling, Schema, Target,
    };

    use super::Table;

    /// Rows of a number, one of the words f and m, and a target y or n.
    pub(in crate::node) fn table(rows: &[[&str; 3]]) -> Table {
        let number = FeatureKind::Numeric(Numeric {
            range: None,
            missing: NumericMissing::Mean,
            indicator: false,
            scale: Scaling::Joint,
        });
        let word = FeatureKind::Categorical(Categorical {
            levels: vec!["f".into(), "m".into()],
            base: "f".into(),
            missing: CategoricalMissing::Base,
        });
        let features = vec![
            Feature { name: "age".into(), kind: number },
            Feature { name: "sex".into(), kind: word },
        ];
        let target =
            BinaryTarget { column: "ill".into(), positive: "y".into(), negative: "n".into() };
        let mut table = Table::builder(Schema::new(features, Target::Binary(target)).unwrap());
        rows.iter().for_each(|row| table.push_row(row).unwrap());
        table.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::table;
    use super::*;

    #[test]
    fn a_record_survives_its_bytes() {
        let table = table(&[["31", "f", "y"], ["", "m", "n"]]);
        let rows = BoundRows::new(&table);
        let record = rows.record().unwrap().once_more(true);
        let read = Record::parse(&record.to_bytes()).unwrap();
        assert!(rows.fit(&read) && read.revealed && read.runs == 2);
        assert!(Record::parse(&record.to_bytes()[1..]).is_none());
        // The salt is fresh each time, so records do not show that two have the same rows.
        assert_ne!(rows.record().unwrap().digest, rows.record().unwrap().digest);
    }

    #[test]
    fn every_cell_counts() {
        let rows = [["31", "f", "y"], ["", "m", "n"]];
        let record = BoundRows::new(&table(&rows)).record().unwrap();
        assert!(BoundRows::new(&table(&rows)).fit(&record));
        for (row, cell, value) in
            [(0, 0, "32"), (0, 1, "m"), (0, 2, "n"), (1, 0, "0"), (1, 1, ""), (1, 2, "y")]
        {
            let mut changed = rows;
            changed[row][cell] = value;
            assert!(!BoundRows::new(&table(&changed)).fit(&record), "row {row}, cell {cell}");
        }
        assert!(!BoundRows::new(&table(&rows[..1])).fit(&record));
    }
}
