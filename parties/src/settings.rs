//! `party.toml`: the settings of one organisation's node, private to it.
//!
//! Read from the file, then from environment variables (`PARTY__NETWORK__LISTEN` for
//! `network.listen`), then from flags; the later wins. A key that is not known is an error, and
//! relative paths are relative to the file.

mod raw;
mod relay;
mod serve;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{Config, Environment, File, FileFormat};
use mpc_ml::privacy::Rho;
use mpc_net::quic::RelaySettings;
use serde::Deserialize;

use crate::data_file::{RawData, Reading, Source};
use crate::identity::{Fingerprint, FingerprintError};
use crate::input;
use crate::limits::Limits;
use crate::name::{Address, NameError, PartyName};
use crate::output::is_plain;
use raw::{Raw, RawAddresses, RawPeer};
pub use relay::Relaying;
pub use serve::ServeSettings;

/// The most addresses of a node: each is dialled for as long as it is missing.
pub(crate) const MOST_ADDRESSES: usize = 8;

/// The version of the format that this program reads.
const VERSION: i64 = 1;

/// The settings of a node.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who this node is.
    pub identity: IdentitySettings,
    /// How it reaches others.
    pub network: NetworkSettings,
    /// The other parties, as far as they are known.
    pub peers: Vec<Peer>,
    /// The dealer, where one is known.
    pub dealer: Option<Peer>,
    /// The relay through which others are met, where one is used.
    pub relay: Option<RelaySettings>,
    /// How this node is a relay itself, with `party relay`.
    pub relaying: Relaying,
    /// The organisation's rows; a dealer has none.
    pub data: Option<DataSettings>,
    /// How this organisation's data are written, wherever they are.
    pub reading: Reading,
    /// The directory for what the node keeps.
    pub state: PathBuf,
    /// What it keeps of a run for an audit.
    pub keep: Keep,
    /// Whether this node takes part only in studies that somebody here has approved by signature.
    pub approval: bool,
    /// Whether it writes a page on each run beside its result.
    pub report: bool,
    /// What all studies with differential privacy together may tell of its rows, where it takes part in such.
    pub privacy: Option<PrivacyBudget>,
    /// What no study may ask for.
    pub limits: Limits,
    /// What it does when it is left alone.
    pub serve: ServeSettings,
}

/// What all studies with differential privacy together may tell of the rows of a node.
#[derive(Clone, Debug, PartialEq)]
pub struct PrivacyBudget {
    /// What the data are called: the budget is counted under this name, whatever the bytes of a file are.
    pub source: String,
    /// The budget, as people take it.
    pub epsilon: f64,
    /// The probability that belongs to it.
    pub delta: f64,
    /// The budget, as it adds up.
    pub rho: Rho,
}

/// What a node keeps of the last run of a study, so that its part can be done again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// All that is needed: the sealed seed of its coins, digests and signatures, and the messages that
    /// it received.
    #[default]
    Messages,
    /// Seed, digests and signatures. What others sent can be audited, this node's part cannot.
    Digests,
    /// Nothing.
    Nothing,
}

/// Who a node is.
#[derive(Clone, Debug)]
pub struct IdentitySettings {
    /// Its name in studies.
    pub name: PartyName,
    /// The file with its private key.
    pub key: PathBuf,
}

/// How a node reaches others.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// The UDP address to listen on.
    pub listen: SocketAddr,
    /// Where others reach it, as its invitation says; nothing here listens there.
    pub address: Option<Address>,
    /// How long a peer may be silent while something is due from it.
    pub silence_timeout: Duration,
    /// How long no packet at all may come from a peer until it is lost.
    pub lost_after: Duration,
    /// How long to wait for all peers to come.
    pub join_timeout: Duration,
    /// How long to wait for a peer to come back that was lost in a run; nothing to give up at once.
    pub return_within: Duration,
    /// Whether states of fits are kept, so that a study that is broken off can go on from there.
    pub resume: bool,
    /// What the links to the peers are like.
    pub link: LinkProfile,
}

/// What the links to the peers are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkProfile {
    /// Different places: packets of at most an Ethernet frame.
    Wan,
    /// All nodes on one machine: large packets.
    Loopback,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its name in studies.
    pub name: PartyName,
    /// Where it listens; a node without one has to dial this node, or is met through the relay.
    pub address: Option<Address>,
    /// Further addresses, which are dialled at the same time.
    pub also: Vec<Address>,
    /// Its public key.
    pub fingerprint: Fingerprint,
}

/// The organisation's rows.
#[derive(Clone, Debug)]
pub struct DataSettings {
    /// Where they come from.
    pub from: Source,
    /// A column that names rows and is no feature.
    pub id_column: Option<String>,
    /// What the data are called in the ledger; by default the name of the file.
    pub label: Option<String>,
}

/// What flags put in place of the file's values.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `network.listen`.
    pub listen: Option<SocketAddr>,
    /// `data.path`, relative to the working directory.
    pub data: Option<PathBuf>,
    /// `consent.required`, where nobody starts a study by hand.
    pub approval: bool,
    /// `output.report`, where the command asks for it.
    pub report: bool,
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("the settings {} cannot be read: {source}; `party init` makes them, --config names another file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, or a key is unknown, missing or of another type, in the file or the environment.
    #[error("{0}")]
    Malformed(#[from] config::ConfigError),
    /// The file is of another version of the format.
    #[error("version is {got}, and this program reads version {VERSION}")]
    Version {
        /// The version that the file names.
        got: i64,
    },
    /// A name or an address is refused.
    #[error("{field}: {source}")]
    Name {
        /// The field.
        field: String,
        /// The rule.
        source: NameError,
    },
    /// A fingerprint is refused.
    #[error("{field}: {source}")]
    Fingerprint {
        /// The field.
        field: String,
        /// The rule.
        source: FingerprintError,
    },
    /// A field breaks a rule.
    #[error("{field} {rule}")]
    Rule {
        /// The field.
        field: String,
        /// The rule.
        rule: String,
    },
}

impl Peer {
    /// All addresses that it may have.
    pub fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.address.iter().chain(&self.also)
    }
}

impl Settings {
    /// Reads the settings from a file, the environment and flags.
    ///
    /// # Errors
    /// When the file cannot be read or a value breaks a rule.
    pub fn read(path: &Path, overrides: &Overrides) -> Result<Self, SettingsError> {
        let failed = |source| SettingsError::Read { path: path.to_owned(), source };
        let text = input::text(path).map_err(failed)?;
        let environment = Environment::with_prefix("PARTY").prefix_separator("__").separator("__");
        let mut builder = Config::builder()
            .add_source(File::from_str(&text, FileFormat::Toml))
            .add_source(environment);
        if let Some(listen) = overrides.listen {
            builder = builder.set_override("network.listen", listen.to_string())?;
        }
        let directory = path.parent().unwrap_or(Path::new(""));
        let mut settings = Self::check(builder.build()?.try_deserialize()?, directory)?;
        settings.approval |= overrides.approval;
        settings.report |= overrides.report;
        if let Some(data) = &overrides.data {
            let id_column = settings.data.and_then(|data| data.id_column);
            // Another file is written in the same way, and called by its own name.
            let from = Source::file(data).with(settings.reading.clone());
            settings.data = Some(DataSettings { from, id_column, label: None });
        }
        Ok(settings)
    }

    /// Reads the settings from the text of a file alone, as if it lay in `directory`.
    ///
    /// # Errors
    /// When a value breaks a rule.
    pub fn from_text(text: &str, directory: &Path) -> Result<Self, SettingsError> {
        let builder = Config::builder().add_source(File::from_str(text, FileFormat::Toml));
        Self::check(builder.build()?.try_deserialize()?, directory)
    }

    /// The peer called `name`.
    #[must_use]
    pub fn peer(&self, name: &PartyName) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.name == *name)
    }

    fn check(raw: Raw, directory: &Path) -> Result<Self, SettingsError> {
        if raw.version != VERSION {
            return Err(SettingsError::Version { got: raw.version });
        }
        let identity = IdentitySettings {
            name: name("identity.name", &raw.identity.name)?,
            key: directory.join(raw.identity.key),
        };
        let address = raw.network.address.map(|text| {
            let field = || "network.address".to_owned();
            text.parse().map_err(|source| SettingsError::Name { field: field(), source })
        });
        let network = NetworkSettings {
            listen: raw.network.listen,
            address: address.transpose()?,
            silence_timeout: seconds("network.silence_timeout_s", raw.network.silence_timeout_s)?,
            lost_after: lost_after_from(raw.network.lost_after_s)?,
            join_timeout: seconds("network.join_timeout_s", raw.network.join_timeout_s)?,
            return_within: return_within_from(raw.network.return_within_s)?,
            resume: raw.network.resume,
            link: raw.network.link,
        };
        let peers = raw.peers.iter().enumerate();
        let peers = peers
            .map(|(index, raw)| peer(&format!("peers[{}]", index + 1), raw))
            .collect::<Result<Vec<Peer>, SettingsError>>()?;
        let dealer = raw.dealer.map(|raw| peer("dealer", &raw)).transpose()?;
        distinct(&identity.name, peers.iter().chain(&dealer))?;
        let relay = raw.relay.map(|relay| relay.check(directory)).transpose()?;
        if let Some(relay) = &relay
            && peers.iter().chain(&dealer).any(|node| node.fingerprint == relay.key)
        {
            let (field, rule) = ("relay.key".to_owned(), "is the fingerprint of a node".to_owned());
            return Err(SettingsError::Rule { field, rule });
        }
        let relaying = raw.relaying.check(network.listen)?;
        let (data, reading) = data_from(raw.data.unwrap_or_default(), directory)?;
        let state = directory.join(raw.state.directory);
        let privacy = raw.privacy.map(raw::RawPrivacyBudget::check).transpose()?;
        let limits = raw.limits.check()?;
        let serve = raw.serve.check(directory)?;
        let (keep, approval, report) = (raw.audit.keep, raw.consent.required, raw.output.report);
        Ok(Self {
            identity,
            network,
            peers,
            dealer,
            relay,
            relaying,
            data,
            reading,
            state,
            keep,
            approval,
            report,
            privacy,
            limits,
            serve,
        })
    }
}

/// Where the rows are, if that is said, and how they are written.
fn data_from(
    mut raw: RawData,
    directory: &Path,
) -> Result<(Option<DataSettings>, Reading), SettingsError> {
    let rule = |field: &str, rule: &str| {
        Err(SettingsError::Rule { field: field.to_owned(), rule: rule.to_owned() })
    };
    let (path, command) = (raw.path.take(), raw.command.take());
    let (id_column, label) = (raw.id_column.take(), raw.label.take());
    let label = label.map(|label| line("data.label", label)).transpose()?;
    let reading = raw.reading().map_err(|(field, rule)| SettingsError::Rule { field, rule })?;
    let source = match (path, command) {
        (Some(_), Some(_)) => {
            return rule("data.command", "stands beside data.path: the rows come from one of them");
        }
        (Some(path), None) => Source::file(&directory.join(path)),
        (None, Some(command)) => {
            let Some(program) = command.first().filter(|program| !program.is_empty()) else {
                return rule("data.command", "must be a program and its arguments, [\"psql\", ..]");
            };
            let path = PathBuf::from(program);
            Source { command: Some(command), folder: directory.to_owned(), ..Source::file(&path) }
        }
        (None, None) => {
            if id_column.is_some() || label.is_some() {
                return rule("data.path", "is missing: where are the rows? (or data.command)");
            }
            return Ok((None, reading));
        }
    };
    let from = source.with(reading.clone());
    Ok((Some(DataSettings { from, id_column, label }), reading))
}

/// No two nodes share a name or a key.
fn distinct<'a>(
    own: &PartyName,
    nodes: impl Iterator<Item = &'a Peer>,
) -> Result<(), SettingsError> {
    let mut seen: Vec<&Peer> = Vec::new();
    for node in nodes {
        let rule = if node.name == *own {
            Some("has the name of this node itself")
        } else if seen.iter().any(|other| other.name == node.name) {
            Some("is named twice")
        } else if seen.iter().any(|other| other.fingerprint == node.fingerprint) {
            Some("has the fingerprint of another node")
        } else {
            None
        };
        if let Some(rule) = rule {
            let field = format!("the node {}", node.name);
            return Err(SettingsError::Rule { field, rule: rule.to_owned() });
        }
        seen.push(node);
    }
    Ok(())
}

fn peer(field: &str, raw: &RawPeer) -> Result<Peer, SettingsError> {
    let wrong = |source| SettingsError::Name { field: format!("{field}.address"), source };
    let texts = match &raw.address {
        None => &[][..],
        Some(RawAddresses::One(text)) => std::slice::from_ref(text),
        Some(RawAddresses::Several(texts)) => texts,
    };
    if texts.len() > MOST_ADDRESSES {
        let rule = format!("has {} addresses, and {MOST_ADDRESSES} are the most", texts.len());
        return Err(SettingsError::Rule { field: field.to_owned(), rule });
    }
    let all = texts.iter().map(|text| text.parse());
    let mut all = all.collect::<Result<Vec<Address>, _>>().map_err(wrong)?.into_iter();
    let (address, also) = (all.next(), all.collect());
    let fingerprint = raw.fingerprint.parse().map_err(|source| SettingsError::Fingerprint {
        field: format!("{field}.fingerprint"),
        source,
    })?;
    Ok(Peer { name: name(&format!("{field}.name"), &raw.name)?, address, also, fingerprint })
}

fn name(field: &str, text: &str) -> Result<PartyName, SettingsError> {
    text.parse().map_err(|source| SettingsError::Name { field: field.to_owned(), source })
}

/// One line of text.
fn line(field: &str, text: String) -> Result<String, SettingsError> {
    if is_plain(&text, 200) {
        return Ok(text);
    }
    let rule = "must be one line of 1 to 200 characters".to_owned();
    Err(SettingsError::Rule { field: field.to_owned(), rule })
}

/// A day at most: a larger number is a mistake in the unit.
fn seconds(field: &str, value: u64) -> Result<Duration, SettingsError> {
    if (1..=86_400).contains(&value) {
        return Ok(Duration::from_secs(value));
    }
    let rule = "must be a whole number of seconds from 1 to 86400".to_owned();
    Err(SettingsError::Rule { field: field.to_owned(), rule })
}

/// Nothing, or as [`seconds`].
fn return_within_from(value: u64) -> Result<Duration, SettingsError> {
    if value <= 86_400 {
        return Ok(Duration::from_secs(value));
    }
    let rule = "must be a whole number of seconds from 0 to 86400".to_owned();
    Err(SettingsError::Rule { field: "network.return_within_s".to_owned(), rule })
}

/// Shorter, and a line that loses some packets would end a run; longer, and nobody would notice.
fn lost_after_from(value: u64) -> Result<Duration, SettingsError> {
    if (5..=3600).contains(&value) {
        return Ok(Duration::from_secs(value));
    }
    let rule = "must be a whole number of seconds from 5 to 3600".to_owned();
    Err(SettingsError::Rule { field: "network.lost_after_s".to_owned(), rule })
}

#[cfg(test)]
mod tests;
