//! `receipt.json`: what this node took part in, and what left it.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use mpc_net::PhaseTotals;
use serde::Serialize;

/// What a run leaves for those who must account for it. It holds public facts only.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// `mpc-receipt`.
    pub format: &'static str,
    /// The version of the format.
    pub version: u32,
    /// This party.
    pub party: String,
    /// The version of the program.
    pub program: &'static str,
    /// The title of the study.
    pub title: String,
    /// The digest of the study.
    pub study: String,
    /// The name of the session: it binds the study, all keys and fresh randomness of all nodes.
    pub session: String,
    /// Every node's name and fingerprint, in the order of the study; a dealer last.
    pub nodes: Vec<(String, String)>,
    /// Where the correlated randomness came from.
    pub correlations: String,
    /// Rows of each party.
    pub rows: Vec<u64>,
    /// Rows of all parties that filled no batch.
    pub rows_dropped: u64,
    /// Steps of the training.
    pub iterations: u64,
    /// sigma: bits of statistical masking of each opening that is not masked in its whole ring, chosen so
    /// that all openings of the study together are within 2^-40 of revealing nothing.
    pub statistical_security_bits: u32,
    /// The largest error of the sigmoid near zero and in its window, for methods that use one.
    pub sigmoid_error: Option<(f64, f64)>,
    /// What was revealed, to whom.
    pub revealed: Vec<Revealed>,
    /// How many runs of this study there were on this party's rows, this one included. Each may have
    /// revealed its figures and checks.
    pub runs: u32,
    /// Seconds since 1970 when the nodes had met.
    pub started: u64,
    /// Bytes on disk that are kept for an audit of this node's part, until `party audit forget`.
    pub kept_for_audit: u64,
    /// Rounds, bytes and time of each phase.
    pub phases: BTreeMap<String, PhaseReceipt>,
}

/// One output.
#[derive(Clone, Debug, Serialize)]
pub struct Revealed {
    /// What.
    pub what: String,
    /// To whom.
    pub to: Vec<String>,
}

/// One phase.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PhaseReceipt {
    /// Seconds from its beginning to its end; preparation runs beside the training.
    pub seconds: f64,
    /// Rounds of communication.
    pub rounds: u64,
    /// Bytes sent to all nodes, frame headers included.
    pub bytes_sent: u64,
    /// Payload bytes received from all nodes.
    pub bytes_received: u64,
}

impl PhaseReceipt {
    /// What the meter counted, and how long it took.
    #[must_use]
    pub fn new(totals: &PhaseTotals, seconds: f64) -> Self {
        Self {
            seconds,
            rounds: totals.rounds,
            bytes_sent: totals.sent_framed(),
            bytes_received: totals.received(),
        }
    }
}

/// Seconds since 1970; zero on a machine whose clock is before that.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
