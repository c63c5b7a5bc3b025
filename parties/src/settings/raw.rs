//! The fields of `party.toml` as TOML has them, before any rule is checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use mpc_ml::artifact::ModelKind;
use mpc_ml::privacy::Rho;
use serde::Deserialize;

use super::relay::{RawRelay, RawRelaying};
use super::serve::RawServe;
use super::{Keep, LinkProfile, PrivacyBudget, SettingsError};
use crate::data_file::RawData;
use crate::limits::{Limits, word};
use crate::study::{is_kind, is_name};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub version: i64,
    pub identity: RawIdentity,
    pub network: RawNetwork,
    #[serde(default)]
    pub peers: Vec<RawPeer>,
    pub dealer: Option<RawPeer>,
    pub relay: Option<RawRelay>,
    #[serde(default)]
    pub relaying: RawRelaying,
    pub data: Option<RawData>,
    pub state: RawState,
    #[serde(default)]
    pub audit: RawAudit,
    #[serde(default)]
    pub consent: RawNodeConsent,
    pub privacy: Option<RawPrivacyBudget>,
    #[serde(default)]
    pub output: RawOutput,
    #[serde(default)]
    pub limits: RawLimits,
    #[serde(default)]
    pub serve: RawServe,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNodeConsent {
    #[serde(default)]
    pub required: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawOutput {
    #[serde(default)]
    pub report: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAudit {
    #[serde(default)]
    pub keep: Keep,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawIdentity {
    pub name: String,
    pub key: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNetwork {
    pub listen: SocketAddr,
    pub address: Option<String>,
    #[serde(default = "silence_timeout")]
    pub silence_timeout_s: u64,
    #[serde(default = "lost_after")]
    pub lost_after_s: u64,
    #[serde(default = "join_timeout")]
    pub join_timeout_s: u64,
    #[serde(default = "return_within")]
    pub return_within_s: u64,
    #[serde(default = "resume")]
    pub resume: bool,
    #[serde(default = "link")]
    pub link: LinkProfile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeer {
    pub name: String,
    pub address: Option<RawAddresses>,
    pub fingerprint: String,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected an address in quotes or a list of them for `address`")]
pub(super) enum RawAddresses {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawState {
    pub directory: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPrivacyBudget {
    pub source: String,
    pub epsilon: f64,
    pub delta: f64,
}

impl RawPrivacyBudget {
    /// The budget, if it means something.
    pub(super) fn check(self) -> Result<PrivacyBudget, SettingsError> {
        let Self { source, epsilon, delta } = self;
        let source = super::line("privacy.source", source)?;
        let rho = Rho::within(epsilon, delta).map_err(|error| match error {
            mpc_ml::Error::Field { field, rule } => {
                SettingsError::Rule { field: format!("privacy.{field}"), rule }
            }
            other => SettingsError::Rule { field: "privacy".to_owned(), rule: other.to_string() },
        })?;
        Ok(PrivacyBudget { source, epsilon, delta, rho })
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub least_rows: Option<u64>,
    pub least_cells: Option<u64>,
    pub dealer: Option<bool>,
    pub peers: Option<Vec<String>>,
    pub purposes: Option<Vec<String>>,
    pub models: Option<Vec<String>>,
    pub protocols: Option<Vec<String>>,
    pub most_coefficients: Option<u64>,
    pub least_count: Option<u32>,
    #[serde(default)]
    pub never_columns: Vec<String>,
}

impl RawLimits {
    /// The limits, each by its rule.
    pub(super) fn check(self) -> Result<Limits, SettingsError> {
        let default = Limits::default();
        let rule =
            |field: &str, rule: String| SettingsError::Rule { field: field.to_owned(), rule };
        let peers = self.peers.map(|names| {
            let each = names.iter().map(|text| super::name("limits.peers", text));
            each.collect::<Result<Vec<_>, _>>()
        });
        if let Some(word) = self.purposes.iter().flatten().find(|word| !is_kind(word)) {
            let wrong =
                format!("holds {word:?}: must be words of lowercase letters, digits and hyphens");
            return Err(rule("limits.purposes", wrong));
        }
        if let Some(name) = self.protocols.iter().flatten().find(|name| !is_name(name)) {
            let wrong =
                format!("holds {name:?}: must be names of protocols, such as \"joint-sum/1\"");
            return Err(rule("limits.protocols", wrong));
        }
        let models = self.models.map(|words| {
            let kinds = [
                ModelKind::Linear,
                ModelKind::Logistic,
                ModelKind::Poisson,
                ModelKind::Multinomial,
            ];
            let read = |text: &String| kinds.into_iter().find(|kind| word(*kind) == text);
            let each = words.iter().map(|text| {
                let wrong =
                    || format!("holds {text:?}: must be \"linear\", \"logistic\", \"poisson\" or \"multinomial\"");
                read(text).ok_or_else(|| rule("limits.models", wrong()))
            });
            each.collect::<Result<Vec<_>, _>>()
        });
        Ok(Limits {
            least_rows: self.least_rows.unwrap_or(default.least_rows),
            least_cells: self.least_cells.unwrap_or(default.least_cells),
            dealer: self.dealer.unwrap_or(default.dealer),
            peers: peers.transpose()?,
            purposes: self.purposes,
            models: models.transpose()?,
            protocols: self.protocols,
            most_coefficients: self.most_coefficients,
            least_count: self.least_count.unwrap_or(default.least_count),
            never_columns: self.never_columns,
        })
    }
}

pub(super) fn silence_timeout() -> u64 {
    120
}

pub(super) fn lost_after() -> u64 {
    20
}

pub(super) fn join_timeout() -> u64 {
    600
}

pub(super) fn return_within() -> u64 {
    600
}

pub(super) fn resume() -> bool {
    true
}

pub(super) fn link() -> LinkProfile {
    LinkProfile::Wan
}
