//! What a report is made from: the folder of a run.

use std::path::{Path, PathBuf};

use mpc_ml::artifact::{Model, ModelError};
use ring::digest::{SHA256, digest};
use serde_json::Value;

use crate::exit::{Exit, Failure};
use crate::identity::Fingerprint;
use crate::input;
use crate::node::verify;
use crate::output::hex;

/// A run, from the files that it left.
pub(super) struct Source {
    /// The receipt, whose signature holds.
    pub receipt: Value,
    /// The key that signed it.
    pub key: Fingerprint,
    /// SHA-256 of the receipt.
    pub receipt_sha256: String,
    /// The model, where the party received it.
    pub model: Option<Model>,
    /// The result of a protocol, where the party received it.
    pub result: Option<Value>,
    /// The study as the parties agreed on it, where the reader gave it.
    pub study: Option<String>,
}

const RECEIPT: &str = "receipt.json";
const MODEL: &str = "model.json";
const RESULT: &str = "result.json";

impl Source {
    /// Reads the folder of a study in a state directory, or a folder with copies of its files.
    pub(super) fn read(folder: &Path) -> Result<Self, Failure> {
        let failed = |path: &Path, what: String| Failure::new(Exit::LocalInput, what).in_file(path);
        let path = folder.join(RECEIPT);
        let bytes = input::read(&path).map_err(|error| {
            failed(&path, format!("the receipt cannot be read: {error}")).advise(
                "name the folder of a study in the state directory, such as state/0123456789abcdef; a run that \
                 came to its end has a receipt.json there",
            )
        })?;
        let text = std::str::from_utf8(&bytes).map_err(|error| failed(&path, error.to_string()))?;
        let (receipt, key) = verify(text).map_err(|what| failed(&path, what))?;
        let signed = |field: &str| receipt[field].as_str().map(str::to_owned);
        let model = match of_receipt(folder, MODEL, signed("model_sha256"))? {
            Some(bytes) => match Model::from_json(&bytes) {
                Ok(model) => Some(model),
                Err(ModelError::Part) => None,
                Err(error) => return Err(Failure::from(error).in_file(&folder.join(MODEL))),
            },
            None => None,
        };
        let result = match of_receipt(folder, RESULT, signed("result_sha256"))? {
            Some(bytes) => {
                let path = folder.join(RESULT);
                let value: Value = serde_json::from_slice(&bytes)
                    .map_err(|error| failed(&path, error.to_string()))?;
                Some(value["result"].clone()).filter(|result| !result.is_null())
            }
            None => None,
        };
        let receipt_sha256 = sha256(&bytes);
        Ok(Self { receipt, key, receipt_sha256, model, result, study: None })
    }

    /// A text of the receipt; empty where it has none.
    pub(super) fn text(&self, field: &str) -> &str {
        self.receipt[field].as_str().unwrap_or_default()
    }

    /// How many parties there were. A dealer is none, and learns nothing.
    pub(super) fn parties(&self) -> usize {
        let nodes = self.receipt["nodes"].as_array().map_or(0, Vec::len);
        nodes.saturating_sub(usize::from(self.text("correlations") == "dealer"))
    }

    /// What the study is called by its digest, without the word before it.
    pub(super) fn digest(&self) -> &str {
        self.text("study").trim_start_matches("study:")
    }
}

/// The bytes of a file that the receipt has the digest of; none where it has none or the file is not there.
fn of_receipt(folder: &Path, name: &str, due: Option<String>) -> Result<Option<Vec<u8>>, Failure> {
    let (Some(due), path) = (due, folder.join(name)) else { return Ok(None) };
    if !path.exists() {
        return Ok(None);
    }
    let failed = |what: String| Failure::new(Exit::LocalInput, what).in_file(&path);
    let bytes =
        input::read(&path).map_err(|error| failed(format!("it cannot be read: {error}")))?;
    if sha256(&bytes) != due {
        let what =
            format!("this is another file than the one that {RECEIPT} beside it was signed for");
        return Err(failed(what).advise("use the files as the run left them"));
    }
    Ok(Some(bytes))
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

/// Gives each study that the reader named to the run that it was of.
pub(super) fn with_studies(sources: &mut [Source], studies: &[PathBuf]) -> Result<(), Failure> {
    for path in studies {
        let failed = |what: String| Failure::new(Exit::LocalInput, what).in_file(path);
        let text =
            input::text(path).map_err(|error| failed(format!("it cannot be read: {error}")))?;
        let digest = crate::study::StudyDigest::of(text.as_bytes()).to_string();
        let mut of = sources.iter_mut().filter(|source| source.text("study") == digest).peekable();
        if of.peek().is_none() {
            let what = "this is not what the parties of any of these runs had agreed on".to_owned();
            return Err(
                failed(what).advise("give the very file; a changed comment makes another study")
            );
        }
        of.for_each(|source| source.study = Some(text.clone()));
    }
    Ok(())
}
