//! Sealed states of fits, from which a study can go on: the last two of each study.

use redb::{ReadableTable, TableError, WriteTransaction};

use super::{CHECKPOINTS, Numbered, Store, StoreError, place};
use crate::exit::Failure;
use crate::study::StudyDigest;

/// How many of a study are kept.
const KEPT: usize = 2;
/// How often a run begins from one.
const MOST_BEGUN: u8 = 8;
const SESSION: usize = 32;
const STEP: usize = 8;

/// An entry: what a state was sealed as, and the sealed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedState {
    /// The session in which it was made.
    pub session: [u8; 32],
    /// Steps that were done.
    pub step: u64,
    /// How many runs have begun from it.
    pub begun: u8,
    /// The state.
    pub sealed: Vec<u8>,
}

impl SealedState {
    fn to_bytes(&self) -> Vec<u8> {
        [&[self.begun][..], &self.session, &self.step.to_le_bytes(), &self.sealed].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&begun, rest) = bytes.split_first()?;
        let (session, rest) = rest.split_first_chunk::<SESSION>()?;
        let (step, sealed) = rest.split_first_chunk::<STEP>()?;
        let step = u64::from_le_bytes(*step);
        Some(Self { session: *session, step, begun, sealed: sealed.to_vec() })
    }

    /// Whether a run may begin from it.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.begun < MOST_BEGUN
    }
}

impl Store {
    /// Keeps a state of a fit, and none but the last two.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn keep_state(&self, study: &StudyDigest, state: &SealedState) -> Result<(), Failure> {
        self.write(|it| {
            let mut table = it.open_table(CHECKPOINTS)?;
            let all = (place(study), 0)..=(place(study), u64::MAX);
            let mut numbers = Vec::new();
            for entry in table.range(all)? {
                numbers.push(entry?.0.value().1);
            }
            let number = numbers.last().map_or(1, |last| last + 1);
            table.insert((place(study), number), state.to_bytes().as_slice())?;
            numbers.push(number);
            let old = numbers.len().saturating_sub(KEPT);
            for number in &numbers[..old] {
                table.remove((place(study), *number))?;
            }
            Ok(())
        })
    }

    /// The states that are kept of a study, the last one last.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn states(&self, study: &StudyDigest) -> Result<Vec<Numbered<SealedState>>, Failure> {
        self.read(|it| {
            let table = match it.open_table(CHECKPOINTS) {
                Ok(table) => table,
                // A store of before.
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(error.into()),
            };
            let all = (place(study), 0)..=(place(study), u64::MAX);
            let each = table.range(all)?.map(|entry| {
                let (key, bytes) = entry?;
                let state = SealedState::parse(bytes.value()).ok_or(StoreError::Damaged)?;
                Ok((key.value().1, state))
            });
            each.collect()
        })
    }

    /// A run begins from a state.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn begin_from_state(&self, study: &StudyDigest, number: u64) -> Result<(), Failure> {
        self.write(|it| {
            let mut table = it.open_table(CHECKPOINTS)?;
            let state = table.get((place(study), number))?;
            let state = state.and_then(|bytes| SealedState::parse(bytes.value()));
            if let Some(state) = state {
                let begun = state.begun.saturating_add(1);
                let bytes = SealedState { begun, ..state }.to_bytes();
                table.insert((place(study), number), bytes.as_slice())?;
            }
            Ok(())
        })
    }

    /// Removes all states of a study; gives the bytes that they took.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn forget_states(&self, study: &StudyDigest) -> Result<u64, Failure> {
        if self.states(study)?.is_empty() {
            return Ok(0);
        }
        self.write(|it| forget(it, study))
    }
}

/// Removes all states of a study in a transaction that does more.
pub(super) fn forget(it: &WriteTransaction, study: &StudyDigest) -> Result<u64, StoreError> {
    let mut table = it.open_table(CHECKPOINTS)?;
    let all = (place(study), 0)..=(place(study), u64::MAX);
    let mut bytes = 0;
    for entry in table.extract_from_if(all, |_, _| true)? {
        bytes += entry?.1.value().len() as u64;
    }
    Ok(bytes)
}
