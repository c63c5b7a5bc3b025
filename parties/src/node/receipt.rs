//! Receipts: what this node took part in, and what left it, under its signature.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use mpc_core::Session;
use mpc_net::PhaseTotals;
use ring::digest::{Context, SHA256};
use serde::Serialize;
use serde_json::Value;

use super::{BudgetReceipt, PartyConsent, RoundsReceipt};
use crate::exit::{Exit, Failure};
use crate::identity::{Fingerprint, Identity};
use crate::output::{hex, unhex};
use crate::store::Outcome;
use crate::study::Consent;

/// What the signatures are for.
const DOMAIN: &str = "receipt/1";

/// The field with the signature.
const SIGNATURE: &str = "signature";

/// What a run leaves for those who must account for it, however it ended. It holds public facts only.
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
    /// SHA-256 of the program, where the system tells it.
    pub program_sha256: Option<String>,
    /// The title of the study.
    pub title: String,
    /// The digest of the study.
    pub study: String,
    /// The alignment of the records, where the parties hold columns of the same ones.
    pub alignment: Option<String>,
    /// The name of the protocol, where it is one of the parties' own.
    pub protocol: Option<String>,
    /// What the study is for, and who answers for it.
    pub consent: Consent,
    /// The name of the session: it binds the study, all keys and fresh randomness of all nodes.
    pub session: String,
    /// Every node's name and fingerprint, in the order of the study; a dealer last.
    pub nodes: Vec<(String, String)>,
    /// What each party said of its approval.
    pub approvals: Vec<PartyConsent>,
    /// What this node noticed about the memory of others.
    pub noticed: Vec<String>,
    /// A digest of this party's rows under a key of this party and this study, as in its approval.
    pub data: String,
    /// Where the correlated randomness came from.
    pub correlations: String,
    /// Rows of each party, as far as they were told.
    pub rows: Vec<u64>,
    /// Rows of all parties that filled no batch.
    pub rows_dropped: Option<u64>,
    /// Steps of the training.
    pub iterations: Option<u64>,
    /// sigma: bits of statistical masking of each opening that is not masked in its whole ring, chosen so
    /// that all openings of the study together are within 2^-40 of revealing nothing.
    pub statistical_security_bits: Option<u32>,
    /// The largest error of the sigmoid near zero and in its window, for methods that use one.
    pub sigmoid_error: Option<(f64, f64)>,
    /// What this node sent its part of, and who learns it.
    pub revealed: Vec<Revealed>,
    /// Which run of this study it was at this node.
    pub run: u32,
    /// How many runs of this study there were on this party's rows, this one included. Each may have
    /// revealed its figures and checks.
    pub runs: u32,
    /// What the fit went on from, where an earlier run had come to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
    /// What a study with differential privacy promises, and what it took of the parties' budgets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy: Option<BudgetReceipt>,
    /// Who was in the rounds of a federated study.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub federated: Option<RoundsReceipt>,
    /// When the nodes had met.
    pub begun: String,
    /// When the run ended here.
    pub ended: Option<String>,
    /// Seconds since 1970 when the nodes had met.
    pub started: u64,
    /// What all parties sent to all, as it was compared last.
    pub transcript: Option<Heard>,
    /// SHA-256 of `model.json`, for those who receive it.
    pub model_sha256: Option<String>,
    /// SHA-256 of `model.json` where each party receives its own part.
    pub part_sha256: Option<String>,
    /// SHA-256 of `result.json`, which a protocol of the parties' own leaves.
    pub result_sha256: Option<String>,
    /// How it ended here.
    pub outcome: Outcome,
    /// Bytes on disk that are kept for an audit of this node's part, until `party audit forget`.
    pub kept_for_audit: u64,
    /// Rounds, bytes and time of each phase.
    pub phases: BTreeMap<String, PhaseReceipt>,
}

/// What a fit went on from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resumed {
    /// The name of the session that had come there.
    pub session: String,
    /// Steps that were done.
    pub step: u64,
}

/// One output.
#[derive(Clone, Debug, Serialize)]
pub struct Revealed {
    /// What.
    pub what: String,
    /// To whom.
    pub to: Vec<String>,
}

/// The last comparison of what all parties had sent to all: equal at all parties that made it, in sessions
/// against covert parties. Others compare nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Heard {
    /// How many comparisons there were before.
    pub number: u64,
    /// A digest of session, number, and one hash for each party over all that it opened or announced.
    pub digest: String,
}

impl Heard {
    /// As the session has it.
    #[must_use]
    pub fn of(session: &Session) -> Option<Self> {
        let own = session.statements().first()?;
        let digest =
            mpc_core::rand::hash("transcript of a receipt 1", &[&own.signed(&session.id())]);
        Some(Self { number: own.number, digest: hex(&digest) })
    }
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

    /// The line with which a run ends.
    pub(crate) fn told(&self) -> String {
        format!(
            "Took {:.2} s and {} rounds; this node sent {:.2} MB.\n",
            self.seconds,
            self.rounds,
            self.bytes_sent as f64 / 1e6
        )
    }
}

impl Receipt {
    /// The text of the file, signed by this node.
    ///
    /// # Errors
    /// Only for a fault of the program.
    pub fn signed(&self, identity: &Identity) -> Result<String, Failure> {
        let internal = |error: serde_json::Error| Failure::new(Exit::Internal, error.to_string());
        let mut value = serde_json::to_value(self).map_err(internal)?;
        let signature = hex(&identity.key().sign(DOMAIN, canonical(&value).as_bytes()));
        if let Value::Object(fields) = &mut value {
            fields.insert(SIGNATURE.to_owned(), signature.into());
        }
        text(&value)
    }
}

/// The fields of a receipt without its signature, if `file` is what a node wrote and one of the keys that
/// it names for its party signed it; with that key. Else why not.
///
/// # Errors
/// A sentence.
pub fn verify(file: &str) -> Result<(Value, Fingerprint), String> {
    let changed = || "it is not as the program wrote it".to_owned();
    let mut value: Value = serde_json::from_str(file).map_err(|_| "it is no JSON".to_owned())?;
    if value["format"] != "mpc-receipt" {
        return Err("it is no receipt".to_owned());
    }
    if value["version"] != VERSION {
        let found = &value["version"];
        return Err(format!("it is of version {found}, and this program reads version {VERSION}"));
    }
    // A field that stands there twice, or is written in another way, would not be noticed in the values.
    if text(&value).map_err(|failure| failure.what)?.trim_end() != file.trim_end() {
        return Err(changed());
    }
    let signature = value.as_object_mut().and_then(|fields| fields.remove(SIGNATURE));
    let signature =
        signature.as_ref().and_then(Value::as_str).and_then(unhex).ok_or_else(changed)?;
    let nodes = value["nodes"].as_array().ok_or_else(changed)?;
    let own = nodes.iter().find(|node| node[0] == value["party"]).ok_or_else(changed)?;
    let key: Fingerprint = own[1].as_str().and_then(|key| key.parse().ok()).ok_or_else(changed)?;
    key.verify(DOMAIN, canonical(&value).as_bytes(), &signature)
        .map_err(|_| format!("it does not carry the signature of {}", own[0]))?;
    Ok((value, key))
}

/// The version of the format.
pub(super) const VERSION: u32 = 2;

/// The text of a file: one for each value.
fn text(value: &Value) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(&sorted(value))
        .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
    Ok(text + "\n")
}

/// What is signed: one text for each value, without spaces.
fn canonical(value: &Value) -> String {
    sorted(value).to_string()
}

/// The same with the fields of all objects in order, however this build of `serde_json` keeps them.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            fields.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Seconds since 1970; zero on a machine whose clock is before that.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// SHA-256 of the running program.
pub(super) fn program_sha256() -> Option<String> {
    // On Linux the very file that runs, also where another one has its name by now.
    let here = File::open("/proc/self/exe");
    let file = here.or_else(|_| std::env::current_exe().and_then(File::open)).ok()?;
    sha256(file).ok()
}

fn sha256(mut file: impl Read) -> io::Result<String> {
    let mut hash = Context::new(&SHA256);
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(hash.finish().as_ref())),
            read => hash.update(&buffer[..read]),
        }
    }
}

/// SHA-256 of bytes, in hexadecimal digits.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    hex(ring::digest::digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::super::seal::testing::identity;
    use super::*;

    fn receipt(key: &Identity) -> Receipt {
        Receipt {
            format: "mpc-receipt",
            version: VERSION,
            party: "bank-a".to_owned(),
            program: "1",
            program_sha256: program_sha256(),
            title: "A study".to_owned(),
            study: "study:00".to_owned(),
            alignment: None,
            protocol: None,
            consent: Consent::default(),
            session: "ab".to_owned(),
            nodes: vec![
                ("bank-a".to_owned(), key.fingerprint().to_string()),
                ("bank-b".to_owned(), identity().fingerprint().to_string()),
            ],
            approvals: Vec::new(),
            noticed: Vec::new(),
            data: "cd".to_owned(),
            correlations: "pairwise".to_owned(),
            rows: vec![1, 2],
            rows_dropped: None,
            iterations: None,
            statistical_security_bits: None,
            sigmoid_error: Some((0.1, 1.0 / 3.0)),
            revealed: Vec::new(),
            run: 1,
            runs: 1,
            resumed: None,
            privacy: None,
            federated: None,
            begun: "b".to_owned(),
            ended: None,
            started: 3,
            transcript: None,
            model_sha256: None,
            part_sha256: None,
            result_sha256: None,
            outcome: Outcome { class: "ok".to_owned(), what: "well".to_owned() },
            kept_for_audit: 0,
            phases: BTreeMap::new(),
        }
    }

    #[test]
    fn a_receipt_is_signed_in_all_its_parts() {
        let key = identity();
        let text = receipt(&key).signed(&key).unwrap();
        let (value, by) = verify(&text).unwrap();
        assert_eq!((by, &value["sigmoid_error"][1]), (key.fingerprint(), &(1.0 / 3.0).into()));
        assert_eq!(value["program_sha256"].as_str().unwrap().len(), 64);
        assert!(value.get(SIGNATURE).is_none());

        // Every single byte of it counts.
        for at in 0..text.trim_end().len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(verify(&changed).is_err(), "byte {at}: {changed}");
            }
        }
        // So does a field that stands there twice, of which a reader might see the other one.
        let twice = text.replacen("{\n", "{\n  \"title\": \"Another study\",\n", 1);
        assert!(verify(&twice).unwrap_err().contains("not as the program wrote it"));
        let before = text.replace("\"version\": 2", "\"version\": 1");
        assert!(verify(&before).unwrap_err().contains("version 1"));
        // Nor does the signature of another node count.
        let other = receipt(&key).signed(&identity()).unwrap();
        assert!(verify(&other).unwrap_err().contains("does not carry the signature"));
        assert!(["", "{}", "[]"].iter().all(|text| verify(text).is_err()));
    }
}
