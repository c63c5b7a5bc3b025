//! `[relay]`, through which this node meets others, and `[relaying]`, how it is a relay itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use mpc_net::quic::{ProxyLogin, RelaySettings, Via};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::SettingsError;
use crate::input;
use crate::name::Address;
use crate::output::is_plain;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRelay {
    pub address: String,
    pub key: String,
    #[serde(default)]
    pub via: RawVia,
    pub proxy: Option<String>,
    pub proxy_user: Option<String>,
    pub proxy_password_file: Option<PathBuf>,
    pub proxy_password_env: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RawVia {
    #[default]
    Auto,
    Udp,
    Tcp,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRelaying {
    pub tcp: Option<SocketAddr>,
    pub bytes_a_second: Option<u64>,
}

/// How this node is a relay, with `party relay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relaying {
    /// The TCP address to listen on, beside the UDP address `network.listen`.
    pub tcp: SocketAddr,
    /// How many bytes a second each node may send through it.
    pub bytes_a_second: Option<u64>,
}

impl RawRelaying {
    pub(super) fn check(self, listen: SocketAddr) -> Result<Relaying, SettingsError> {
        // A packet has to pass now and then.
        if self.bytes_a_second.is_some_and(|bytes| bytes < 10_000) {
            return Err(rule("relaying.bytes_a_second", "must be at least 10000"));
        }
        let bytes_a_second = self.bytes_a_second;
        Ok(Relaying { tcp: self.tcp.unwrap_or(listen), bytes_a_second })
    }
}

impl RawRelay {
    pub(super) fn check(self, directory: &Path) -> Result<RelaySettings, SettingsError> {
        let login = self.login(directory)?;
        let address = address("relay.address", &self.address)?;
        let key = self.key.parse().map_err(|source| SettingsError::Fingerprint {
            field: "relay.key".to_owned(),
            source,
        })?;
        let via = match self.via {
            RawVia::Auto => Via::Auto,
            RawVia::Udp => Via::Udp,
            RawVia::Tcp => Via::Tcp,
        };
        let proxy = self.proxy.as_deref().map(proxy).transpose()?;
        if proxy.is_some() && via == Via::Udp {
            return Err(rule("relay.proxy", "is for TCP, and relay.via is \"udp\": choose one"));
        }
        if login.is_some() && proxy.is_none() {
            return Err(rule("relay.proxy_user", "is for a proxy, and relay.proxy names none"));
        }
        Ok(RelaySettings { address, key, via, proxy, login })
    }

    /// What the proxy is told of this node. The password is read when it is needed, and anew each time.
    fn login(&self, directory: &Path) -> Result<Option<ProxyLogin>, SettingsError> {
        let from = match (&self.proxy_password_file, &self.proxy_password_env) {
            (Some(file), None) => Password::File(directory.join(file)),
            (None, Some(variable)) => Password::Variable(variable.clone()),
            (None, None) if self.proxy_user.is_none() => return Ok(None),
            _ => {
                let what = "needs either relay.proxy_password_file or relay.proxy_password_env";
                return Err(rule("relay.proxy_user", what));
            }
        };
        let Some(user) = self.proxy_user.clone() else {
            return Err(rule("relay.proxy_user", "is missing: a password stands beside a name"));
        };
        // RFC 7617: the first colon ends the name.
        if user.contains(':') || !is_plain(&user, 200) {
            return Err(rule("relay.proxy_user", "must be 1 to 200 characters without a colon"));
        }
        let who = user.clone();
        Ok(Some(ProxyLogin::new(who, move || {
            let password = from.read()?;
            let both = Zeroizing::new([user.as_str(), ":", &password].concat());
            let mut header = Zeroizing::new(String::with_capacity(6 + 2 * both.len() + 4));
            header.push_str("Basic ");
            BASE64.encode_append(both.as_bytes(), &mut header);
            Ok(header)
        })))
    }
}

/// Where a password is.
enum Password {
    File(PathBuf),
    Variable(String),
}

impl Password {
    fn read(&self) -> Result<Zeroizing<String>, String> {
        let text = match self {
            Self::File(path) => {
                let failed = |error: std::io::Error| format!("{}: {error}", path.display());
                private(path)?;
                Zeroizing::new(input::text(path).map_err(failed)?)
            }
            Self::Variable(name) => {
                let missing =
                    |_| format!("the environment has no variable {name}, or no text in it");
                Zeroizing::new(std::env::var(name).map_err(missing)?)
            }
        };
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() || text.trim_end_matches(['\r', '\n']) != line {
            return Err(match self {
                Self::File(path) => format!("{}: it must have one line", path.display()),
                Self::Variable(name) => format!("{name}: it must have one line"),
            });
        }
        Ok(Zeroizing::new(line.to_owned()))
    }
}

/// Whether others than its owner can read a file.
#[cfg(unix)]
fn private(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "{} can be read by other users (mode {mode:03o}); make it private with chmod 600",
            path.display()
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn private(_: &Path) -> Result<(), String> {
    Ok(())
}

fn address(field: &str, text: &str) -> Result<String, SettingsError> {
    let name = |source| SettingsError::Name { field: field.to_owned(), source };
    Ok(text.parse::<Address>().map_err(name)?.as_str().to_owned())
}

/// `http://host:port`
fn proxy(text: &str) -> Result<String, SettingsError> {
    let field = "relay.proxy";
    if text.contains('@') {
        let what = "must be http://host:port; a name and a password stand in relay.proxy_user and \
                    relay.proxy_password_file, or in a variable that relay.proxy_password_env names";
        return Err(rule(field, what));
    }
    match text.strip_prefix("http://") {
        Some(rest) => address(field, rest.strip_suffix('/').unwrap_or(rest)),
        None => Err(rule(
            field,
            "must be http://host:port (the node asks the proxy in the clear for a connection with \
             the relay, and all that goes through that is sealed)",
        )),
    }
}

fn rule(field: &str, rule: &str) -> SettingsError {
    SettingsError::Rule { field: field.to_owned(), rule: rule.to_owned() }
}
