//! `[relay]`, through which this node meets others, and `[relaying]`, how it is a relay itself.

use std::net::SocketAddr;

use mpc_net::quic::{RelaySettings, Via};
use serde::Deserialize;

use super::SettingsError;
use crate::name::Address;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRelay {
    pub address: String,
    pub key: String,
    #[serde(default)]
    pub via: RawVia,
    pub proxy: Option<String>,
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
    pub(super) fn check(self) -> Result<RelaySettings, SettingsError> {
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
        Ok(RelaySettings { address, key, via, proxy })
    }
}

fn address(field: &str, text: &str) -> Result<String, SettingsError> {
    let name = |source| SettingsError::Name { field: field.to_owned(), source };
    Ok(text.parse::<Address>().map_err(name)?.as_str().to_owned())
}

/// `http://host:port`
fn proxy(text: &str) -> Result<String, SettingsError> {
    let field = "relay.proxy";
    if text.contains('@') {
        let what = "must be http://host:port: a proxy that wants a password cannot be used";
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
