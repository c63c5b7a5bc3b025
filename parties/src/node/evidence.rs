//! What a node keeps of a run in which a peer did not keep to the protocol.

use std::path::PathBuf;

use mpc_core::Session;
use mpc_core::session::Statement;
use mpc_net::quic::Roster;
use serde_json::{Value, json};

use super::StudyFolder;
use crate::exit::{Exit, Failure};
use crate::output::{create, hex};

/// Writes what the parties said last of the openings, each under its signature, where that is what a
/// run ended with: whoever holds the same file of another party can show that one of them signed two
/// different things. Gives the file, if there is one.
///
/// # Errors
/// When it cannot be written.
pub(super) fn keep(
    folder: &StudyFolder,
    session: &Session,
    roster: &Roster,
    failure: &Failure,
) -> Result<Option<PathBuf>, Failure> {
    let statements = session.statements();
    // The first is the node's own, which alone shows nothing.
    if failure.exit != Exit::PeerMisbehaved || statements.len() < 2 {
        return Ok(None);
    }
    let id = hex(&session.id());
    let path = folder.evidence(&id[..16]);
    let text = serde_json::to_string_pretty(&json!({
        "format": "mpc-evidence",
        "version": 1,
        "session": id,
        "reason": failure.what,
        "signed in": Statement::DOMAIN,
        "signed": "session, number as 8 bytes (little-endian), hashes of all parties in order",
        "statements": statements.iter().map(|said| statement(said, roster)).collect::<Vec<_>>(),
    }));
    let text = text.map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    create(&path, text.as_bytes())?;
    Ok(Some(path))
}

fn statement(said: &Statement, roster: &Roster) -> Value {
    let name = |party: usize| roster.nodes.get(party).map(|node| node.name.clone());
    let hashes: serde_json::Map<_, _> = said
        .hashes
        .chunks_exact(32)
        .enumerate()
        .map(|(party, hash)| (name(party).unwrap_or_default(), hex(hash).into()))
        .collect();
    json!({
        "party": name(said.party),
        "key": roster.nodes.get(said.party).map(|node| node.key.to_string()),
        "number": said.number,
        "hashes": hashes,
        "signature": hex(&said.signature),
    })
}
