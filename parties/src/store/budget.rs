//! What studies with differential privacy may still tell of a node's rows: a chain of entries that only grows.
//!
//! Each entry is chained to those before it by a hash under the node's key, whose last value other nodes keep: a store
//! that was put back to an older state is noticed when it meets one of them (docs/protocols.md 16.6).

use mpc_ml::privacy::Rho;
use redb::{ReadableTable, TableDefinition, TableError, WriteTransaction};
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{Bytes, Digest, Store, StoreError, decode, encode, next, place};
use crate::exit::Failure;
use crate::identity::Identity;
use crate::output::hex;
use crate::study::StudyDigest;

/// The chain, by place from 1.
const BUDGET: TableDefinition<'_, u64, Bytes> = TableDefinition::new("privacy");
/// By key of a peer: where its chain was when it was last met.
const HEADS: TableDefinition<'_, Digest, (u64, &[u8; 32])> = TableDefinition::new("privacy heads");

/// Where a chain of entries ends: how many there are, and a hash over all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// How many entries.
    pub entries: u64,
    /// The hash; zeros where there are none.
    pub hash: [u8; 32],
}

/// What became of the budget that a study takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Charge {
    /// It is set aside: nothing was sent yet.
    Reserved,
    /// A noisy value may have been sent.
    Spent,
    /// It ended before one was sent.
    Freed,
}

/// An entry of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetEntry {
    /// The data set, as the operator calls it.
    pub source: String,
    /// The study, in hexadecimal digits.
    pub study: String,
    /// What became of it.
    pub charge: Charge,
    /// What the study takes.
    pub rho: Rho,
    /// Seconds since 1970.
    pub at: u64,
    /// The hash over this entry and all before, in hexadecimal digits.
    pub head: String,
}

/// A study takes something, or gives it back.
#[derive(Clone, Copy, Debug)]
pub struct Charged<'a> {
    /// The data set, as the operator calls it.
    pub source: &'a str,
    /// The study.
    pub study: StudyDigest,
    /// What it takes.
    pub rho: Rho,
    /// Seconds since 1970.
    pub at: u64,
}

/// What is spent of a data set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// Studies that have spent something, or have it set aside.
    pub studies: u64,
    /// What they have, together.
    pub rho: Rho,
}

impl Store {
    /// Sets aside what a study takes, if the studies of this data set take no more than `most` together; gives what
    /// they take already where that is too much. A study that has taken its part is not charged again: what
    /// it sent is recorded, and sent again as it was. What a run had set aside that was killed before it spent
    /// anything stays so until that study comes to an end: it may be run again.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn reserve(
        &self,
        identity: &Identity,
        charged: &Charged<'_>,
        most: Rho,
    ) -> Result<Result<(), Spending>, Failure> {
        self.write(|it| {
            let chain = read(it)?;
            let own = hex(place(&charged.study));
            let mine = |entry: &&BudgetEntry| entry.study == own && entry.source == charged.source;
            let last = chain.iter().rfind(mine);
            if last.is_some_and(|last| last.charge != Charge::Freed && last.rho >= charged.rho) {
                return Ok(Ok(()));
            }
            let spent = spending(&chain, charged.source);
            if spent.rho + charged.rho > most {
                return Ok(Err(spent));
            }
            append(it, identity, charged.entry(Charge::Reserved)).map(Ok)
        })
    }

    /// From here on noisy values may be sent: what was set aside is spent for good.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn spend(&self, identity: &Identity, charged: &Charged<'_>) -> Result<(), Failure> {
        self.turn(identity, charged, Charge::Spent)
    }

    /// The run has ended before a noisy value was sent.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn free(&self, identity: &Identity, charged: &Charged<'_>) -> Result<(), Failure> {
        self.turn(identity, charged, Charge::Freed)
    }

    /// What is set aside becomes something else; what is spent stays so.
    fn turn(
        &self,
        identity: &Identity,
        charged: &Charged<'_>,
        charge: Charge,
    ) -> Result<(), Failure> {
        self.write(|it| {
            let own = hex(place(&charged.study));
            let chain = read(it)?;
            let mine = |entry: &&BudgetEntry| entry.study == own && entry.source == charged.source;
            match chain.iter().rfind(mine) {
                Some(last) if last.charge == Charge::Reserved => {
                    append(it, identity, charged.entry(charge))
                }
                _ => Ok(()),
            }
        })
    }

    /// What is spent or set aside of a data set.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn spending(&self, source: &str) -> Result<Spending, Failure> {
        Ok(spending(&self.budget()?, source))
    }

    /// The whole chain.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn budget(&self) -> Result<Vec<BudgetEntry>, Failure> {
        self.read(|it| match it.open_table(BUDGET) {
            Ok(table) => table.iter()?.map(|entry| decode(entry?.1.value())).collect(),
            // A store from before there were budgets.
            Err(TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        })
    }

    /// The ends of the chain: after no entry, after the first, and so on.
    ///
    /// # Errors
    /// When the store cannot be read, or was changed by other means than this program.
    pub fn heads(&self, identity: &Identity) -> Result<Vec<Head>, Failure> {
        let mut heads = vec![Head::default()];
        for entry in self.budget()? {
            let last = heads.last().copied().unwrap_or_default();
            let head = last.after(identity, &entry)?;
            if hex(&head.hash) != entry.head {
                return self.read(|_| Err(StoreError::Damaged));
            }
            heads.push(head);
        }
        Ok(heads)
    }

    /// Where the chain ends once this study's part is spent.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn head_when_spent(
        &self,
        identity: &Identity,
        charged: &Charged<'_>,
    ) -> Result<Head, Failure> {
        let last = self.heads(identity)?.last().copied().unwrap_or_default();
        let own = hex(place(&charged.study));
        let chain = self.budget()?;
        let mine = |entry: &&BudgetEntry| entry.study == own && entry.source == charged.source;
        match chain.iter().rfind(mine) {
            Some(entry) if entry.charge == Charge::Reserved => {
                last.after(identity, &charged.entry(Charge::Spent))
            }
            _ => Ok(last),
        }
    }

    /// Where the chain of the peer with this key was when it was last met.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn head_of(&self, peer: &[u8; 32]) -> Result<Head, Failure> {
        self.read(|it| match it.open_table(HEADS) {
            Ok(table) => Ok(table.get(peer)?.map_or(Head::default(), |entry| {
                let (entries, hash) = entry.value();
                Head { entries, hash: *hash }
            })),
            Err(TableError::TableDoesNotExist(_)) => Ok(Head::default()),
            Err(error) => Err(error.into()),
        })
    }

    /// Remembers where the chain of a peer is.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_heads(&self, heads: &[([u8; 32], Head)]) -> Result<(), Failure> {
        self.write(|it| {
            let mut table = it.open_table(HEADS)?;
            for (peer, head) in heads {
                table.insert(peer, (head.entries, &head.hash))?;
            }
            Ok(())
        })
    }
}

impl Charged<'_> {
    fn entry(&self, charge: Charge) -> BudgetEntry {
        let (source, study) = (self.source.to_owned(), hex(place(&self.study)));
        BudgetEntry { source, study, charge, rho: self.rho, at: self.at, head: String::new() }
    }
}

impl Head {
    /// The end of the chain with one entry more.
    fn after(self, identity: &Identity, entry: &BudgetEntry) -> Result<Self, Failure> {
        let entries = self.entries + 1;
        // Under a key, so that who sees it cannot try guesses of what is in the chain.
        let key = identity.derive("privacy budget/1");
        let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_slice());
        let bare = BudgetEntry { head: String::new(), ..entry.clone() };
        let bare =
            encode(&bare).map_err(|error| error.failure(std::path::Path::new(super::FILE)))?;
        let mut hash = [0; 32];
        let all = [&entries.to_le_bytes()[..], &self.hash, &bare].concat();
        hash.copy_from_slice(hmac::sign(&key, &all).as_ref());
        Ok(Self { entries, hash })
    }
}

fn read(it: &WriteTransaction) -> Result<Vec<BudgetEntry>, StoreError> {
    it.open_table(BUDGET)?.iter()?.map(|entry| decode(entry?.1.value())).collect()
}

fn append(
    it: &WriteTransaction,
    identity: &Identity,
    mut entry: BudgetEntry,
) -> Result<(), StoreError> {
    let mut table = it.open_table(BUDGET)?;
    let last = table.last()?.map(|(_, last)| decode::<BudgetEntry>(last.value())).transpose()?;
    let entries = next(&table)? - 1;
    let hash = last.and_then(|last| crate::output::unhex(&last.head));
    let hash = hash.and_then(|hash| hash.try_into().ok()).unwrap_or_default();
    entry.head = hex(&Head { entries, hash }.after(identity, &entry)?.hash);
    table.insert(entries + 1, encode(&entry)?.as_slice())?;
    Ok(())
}

/// The last entry of each study and data set.
fn last_of_each(chain: &[BudgetEntry]) -> Vec<&BudgetEntry> {
    let key = |entry: &BudgetEntry| (entry.study.clone(), entry.source.clone());
    let last = |(at, entry): &(usize, &BudgetEntry)| {
        !chain[at + 1..].iter().any(|later| key(later) == key(entry))
    };
    chain.iter().enumerate().filter(last).map(|(_, entry)| entry).collect()
}

fn spending(chain: &[BudgetEntry], source: &str) -> Spending {
    let counts = |entry: &&&BudgetEntry| entry.source == source && entry.charge != Charge::Freed;
    let all = last_of_each(chain);
    let all: Vec<_> = all.iter().filter(counts).collect();
    Spending { studies: all.len() as u64, rho: all.iter().map(|entry| entry.rho).sum() }
}
