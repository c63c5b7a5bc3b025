//! How connections end, and what that says about a peer.

use quinn::{Connection, ConnectionError, VarInt};

use super::hello::printable;
use crate::Abort;
use crate::carrier::Fate;

// Why a connection was closed, as its error code.
pub(crate) const FINISHED: u32 = 1;
pub(crate) const GONE: u32 = 2;
pub(crate) const ABORTED: u32 = 3;
pub(crate) const REFUSED: u32 = 4;
pub(crate) const REPLACED: u32 = 5;
pub(crate) const MEETS_ANEW: u32 = 6;

/// The longest reason of an abort: it has to fit into one packet.
const MAX_REASON: usize = 600;

/// What became of a peer whose process is another one now.
pub(crate) const STARTED_AGAIN: &str = "the node was started again";

/// What a closed connection says about the peer.
pub(crate) fn fate(error: ConnectionError) -> Fate {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            match u32::try_from(close.error_code.into_inner()) {
                Ok(FINISHED) => Fate::Finished,
                Ok(GONE) => Fate::Lost("the node stopped".to_owned()),
                Ok(REPLACED) => Fate::Lost(STARTED_AGAIN.to_owned()),
                Ok(MEETS_ANEW) => {
                    let why = printable(&String::from_utf8_lossy(&close.reason));
                    Fate::Lost(format!("it meets all nodes anew: {why}"))
                }
                Ok(ABORTED) => match reason_of(&close.reason) {
                    Some(abort) => Fate::Aborted(abort),
                    None => Fate::Lost("it gave up for a reason that cannot be read".to_owned()),
                },
                _ => Fate::Lost("the node closed the connection".to_owned()),
            }
        }
        ConnectionError::LocallyClosed => Fate::Local("the connection is closed".to_owned()),
        ConnectionError::TimedOut => Fate::Lost("no packet came from it any more".to_owned()),
        ConnectionError::Reset => Fate::Lost("the node does not know the connection".to_owned()),
        other => Fate::Lost(other.to_string()),
    }
}

fn reason_of(bytes: &[u8]) -> Option<Abort> {
    let abort: Abort = postcard::from_bytes(bytes).ok()?;
    Some(Abort::new(abort.code, printable(&abort.reason)))
}

/// Why the peer gave up, if that is how the connection ended.
pub(crate) fn abort_of(error: &ConnectionError) -> Option<Abort> {
    match fate(error.clone()) {
        Fate::Aborted(abort) => Some(abort),
        _ => None,
    }
}

/// Closes a connection with an abort in the reason.
pub(crate) fn close(connection: &Connection, reason: &Abort) {
    let mut end = reason.reason.len().min(MAX_REASON);
    while !reason.reason.is_char_boundary(end) {
        end -= 1;
    }
    let short = Abort::new(reason.code, &reason.reason[..end]);
    // Without the reason the code alone still says that the node gave up.
    let bytes = postcard::to_stdvec(&short).unwrap_or_default();
    connection.close(VarInt::from_u32(ABORTED), &bytes);
}
