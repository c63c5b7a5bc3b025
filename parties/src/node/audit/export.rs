//! The part of a record that another one's audit needs: what a node received from the audited one.

use std::path::Path;

use mpc_core::session::Signed;
use serde::{Deserialize, Serialize};

use super::super::own_input::own_place;
use super::record::{Files, Lines, RunName};
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::input;
use crate::output::create;
use crate::settings::Overrides;
use crate::study::Terms;

/// The version of the file.
const VERSION: u32 = 1;

const MAGIC: [u8; 9] = *b"mpc-audit";

/// What a node received from another: digests of messages, and what that one signed of them. Nothing in
/// it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    version: u32,
    /// The run.
    pub run: RunName,
    /// Who exports.
    pub from: u16,
    /// Whose messages these are.
    pub about: u16,
    /// Whether the run came to its end at the node that exports.
    pub complete: bool,
    /// What it received.
    pub received: Lines,
    /// What the sender said under its signature.
    pub statements: Vec<Signed>,
}

impl Exported {
    /// Writes what this node received from `about` in the last run of a study into a new file. Gives
    /// the number of messages.
    ///
    /// # Errors
    /// When there is no record or no such node, or the file cannot be written.
    pub fn write(study: &Path, config: &Path, about: &str, to: &Path) -> Result<usize, Failure> {
        let terms = Terms::read(study).map_err(|error| Failure::from(error).in_file(study))?;
        let (settings, _) = own_place(&terms, study, config, &Overrides::default())?;
        let identity = Identity::read(&settings.identity.key)?;
        let (record, _) = Files::at(&settings.state, &terms.digest(), &identity).read()?;
        let node = record.run.nodes.iter().position(|(name, _)| name == about);
        let node = node.filter(|&node| node != usize::from(record.me)).ok_or_else(|| {
            let others: Vec<&str> = (0..record.run.nodes.len())
                .filter(|&node| node != usize::from(record.me))
                .map(|node| record.name(node))
                .collect();
            let what = format!("{about} is none of the other nodes of this run");
            Failure::new(Exit::Usage, what).advise(format!("they are {}", others.join(", ")))
        })?;
        let statements = record.statements.iter();
        let exported = Self {
            version: VERSION,
            from: record.me,
            about: node as u16,
            complete: record.complete,
            received: record.received.get(node).cloned().unwrap_or_default(),
            statements: statements
                .filter(|signed| usize::from(signed.statement.from) == node)
                .cloned()
                .collect(),
            run: record.run,
        };
        create(to, &exported.to_bytes()?)?;
        Ok(exported.received.values().map(Vec::len).sum())
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// Only for a fault of the program.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Failure> {
        let encoded = postcard::to_stdvec(self)
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        Ok([&MAGIC[..], &encoded].concat())
    }

    /// Reads a file that another node wrote.
    ///
    /// # Errors
    /// When it cannot be read, or is no such file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let failed = |what: String| Failure::new(Exit::LocalInput, what).in_file(path);
        let bytes = input::read(path)
            .map_err(|error| failed(format!("the file cannot be read: {error}")))?;
        Self::decode(&bytes)
            .ok_or_else(|| failed("this is not what `party audit export` writes".to_owned()))
            .and_then(|exported| match exported.version {
                VERSION => Ok(exported),
                got => Err(failed(format!(
                    "the file is of version {got}, and this program reads version {VERSION}"
                ))),
            })
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (exported, rest) = postcard::take_from_bytes(rest).ok()?;
        rest.is_empty().then_some(exported)
    }

    /// The statement that its sender made last.
    pub(super) fn statement(&self) -> Option<&Signed> {
        self.statements.last()
    }

    /// The name of the node that exported it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.run.nodes.get(usize::from(self.from)).map_or("an unknown node", |(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_are_refused() {
        for bytes in [&b""[..], b"mpc-audi", b"mpc-audit", b"mpc-audit\x01\xff\xff\xff\xff\xff\xff"]
        {
            assert!(Exported::decode(bytes).is_none());
        }
    }
}
