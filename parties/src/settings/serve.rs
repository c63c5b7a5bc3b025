//! `[serve]` of `party.toml`: what a node does that is left alone.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::SettingsError;

/// How `party serve` works.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// The folder with the studies: every file in it that ends with `.toml`.
    pub studies: PathBuf,
    /// Where the status page is; on this machine alone.
    pub status: SocketAddr,
    /// How long a study has the node to itself while it waits for the others, where several wait.
    pub turn: Duration,
    /// A folder for log files.
    pub log: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServe {
    #[serde(default = "studies")]
    studies: PathBuf,
    #[serde(default = "status")]
    status: SocketAddr,
    #[serde(default = "turn")]
    turn_s: u64,
    log: Option<PathBuf>,
}

fn studies() -> PathBuf {
    "studies".into()
}

fn status() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7480))
}

fn turn() -> u64 {
    60
}

impl Default for RawServe {
    fn default() -> Self {
        Self { studies: studies(), status: status(), turn_s: turn(), log: None }
    }
}

impl RawServe {
    pub(super) fn check(self, directory: &Path) -> Result<ServeSettings, SettingsError> {
        let refused = |field: &str, rule: &str| {
            let (field, rule) = (field.to_owned(), rule.to_owned());
            Err(SettingsError::Rule { field, rule })
        };
        if !self.status.ip().is_loopback() {
            return refused(
                "serve.status",
                "must be an address of this machine alone, such as 127.0.0.1:7480: the page asks for \
                 no password. From elsewhere, reach it through ssh -L",
            );
        }
        // All nodes of a consortium share these turns.
        if !(10..=3600).contains(&self.turn_s) {
            return refused("serve.turn_s", "must be a whole number of seconds from 10 to 3600");
        }
        Ok(ServeSettings {
            studies: directory.join(self.studies),
            status: self.status,
            turn: Duration::from_secs(self.turn_s),
            log: self.log.map(|log| directory.join(log)),
        })
    }
}
