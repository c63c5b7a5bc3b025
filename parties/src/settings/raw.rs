//! The fields of `party.toml` as TOML has them, before any rule is checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Keep, LinkProfile};
use crate::limits::Limits;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub version: i64,
    pub identity: RawIdentity,
    pub network: RawNetwork,
    #[serde(default)]
    pub peers: Vec<RawPeer>,
    pub dealer: Option<RawPeer>,
    pub data: Option<RawData>,
    pub state: RawState,
    #[serde(default)]
    pub audit: RawAudit,
    #[serde(default)]
    pub limits: RawLimits,
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
    #[serde(default = "silence_timeout")]
    pub silence_timeout_s: u64,
    #[serde(default = "join_timeout")]
    pub join_timeout_s: u64,
    #[serde(default = "link")]
    pub link: LinkProfile,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPeer {
    pub name: String,
    pub address: String,
    pub fingerprint: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawData {
    pub path: PathBuf,
    pub id_column: Option<String>,
    pub label: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawState {
    pub directory: PathBuf,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub least_rows: Option<u64>,
    pub least_cells: Option<u64>,
    pub dealer: Option<bool>,
}

impl From<RawLimits> for Limits {
    fn from(raw: RawLimits) -> Self {
        let default = Self::default();
        Self {
            least_rows: raw.least_rows.unwrap_or(default.least_rows),
            least_cells: raw.least_cells.unwrap_or(default.least_cells),
            dealer: raw.dealer.unwrap_or(default.dealer),
        }
    }
}

pub(super) fn silence_timeout() -> u64 {
    120
}

pub(super) fn join_timeout() -> u64 {
    600
}

pub(super) fn link() -> LinkProfile {
    LinkProfile::Wan
}
