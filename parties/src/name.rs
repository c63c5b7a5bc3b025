//! Names of parties and addresses of nodes, as they stand in `party.toml` and `study.toml`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of a party: 1 to 64 letters, digits, `-`, `_` or `.`, all ASCII, the first a letter or
/// digit. A name ends up in messages, logs and file names, so it has nothing to escape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartyName(String);

/// Where a node listens: `host:port`, the host a name or an address (`[::1]:7400` for IPv6).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

/// Why a name or an address is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Not the name of a party.
    #[error(
        "{0:?} is not a party's name: use 1 to 64 ASCII letters, digits, '-', '_' or '.', a letter or digit first"
    )]
    Name(String),
    /// Not an address.
    #[error("{0:?} is not an address: write host:port, for example \"mpc.bank-b.example:7400\"")]
    Address(String),
}

impl PartyName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PartyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if starts_well && text.len() <= 64 && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Name(text.to_owned()))
        }
    }
}

impl Address {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Address(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(refused)?;
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let host_is_fine = match bracketed {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
                !host.is_empty() && host.len() <= 253 && host.chars().all(allowed)
            }
        };
        let port_is_fine = port.parse::<u16>().is_ok_and(|port| port != 0);
        if host_is_fine && port_is_fine { Ok(Self(text.to_owned())) } else { Err(refused()) }
    }
}

impl fmt::Display for PartyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PartyName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<PartyName> for String {
    fn from(name: PartyName) -> Self {
        name.0
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_checked() {
        for name in ["bank-a", "a", "St.Mary_2"] {
            assert!(name.parse::<PartyName>().is_ok(), "{name}");
        }
        for name in ["", "-a", "bank a", "bank/a", "bänk", &"a".repeat(65)] {
            assert!(name.parse::<PartyName>().is_err(), "{name}");
        }
        for address in ["127.0.0.1:7400", "mpc.bank.example:1", "[::1]:7400"] {
            assert!(address.parse::<Address>().is_ok(), "{address}");
        }
        for address in ["host", ":7400", "host:0", "host:70000", "::1:7400", "a b:1", "[x]:1"] {
            assert!(address.parse::<Address>().is_err(), "{address}");
        }
    }
}
