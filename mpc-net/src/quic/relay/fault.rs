//! Why there is no line to a relay.

use std::fmt;

use super::super::identity::PublicKey;

/// What is in the way to a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RelayFault {
    /// The name in its address does not resolve.
    Name(String),
    /// Nothing came back in time.
    Silent,
    /// The machine there says that nothing listens at the UDP port.
    Closed,
    /// There is no TCP connection.
    Tcp {
        /// Whether the machine there refuses it: nothing listens at the port.
        refused: bool,
        /// In words.
        detail: String,
    },
    /// It shows another key.
    WrongKey {
        /// The key that it shows.
        shown: PublicKey,
        /// The one in the settings.
        pinned: PublicKey,
    },
    /// It does not know this node's key.
    Unknown {
        /// That key.
        own: PublicKey,
    },
    /// UDP carries small packets only.
    SmallPackets,
    /// The proxy before it.
    Proxy {
        /// Its address.
        proxy: String,
        /// What is wrong with it.
        fault: ProxyFault,
    },
    /// Something else.
    Other(String),
}

/// What is wrong with an HTTP proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyFault {
    /// It cannot be reached.
    Unreached(Box<RelayFault>),
    /// It does not let this node through to the relay.
    Denies(String),
    /// It wants to know who comes, and this node says nothing.
    NeedsPassword(String),
    /// It does not take what this node says.
    WrongPassword(String),
    /// What this node would say cannot be read.
    Login(String),
    /// Something else.
    Other(String),
}

impl fmt::Display for RelayFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => f.write_str("it does not answer"),
            Self::Closed => f.write_str("nothing listens at its UDP port"),
            Self::WrongKey { shown, pinned } => {
                write!(f, "it shows the key {shown} and not {pinned}, the one in the settings")
            }
            Self::Unknown { own } => {
                write!(f, "it refuses this node's key {own}; its operator has to add it")
            }
            Self::SmallPackets => {
                f.write_str("UDP does not carry packets of 1280 bytes to it and back")
            }
            Self::Proxy { proxy, fault } => write!(f, "the proxy {proxy}: {fault}"),
            Self::Name(detail) | Self::Tcp { detail, .. } | Self::Other(detail) => {
                f.write_str(detail)
            }
        }
    }
}

impl fmt::Display for ProxyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached(fault) => fault.fmt(f),
            Self::Denies(line) => write!(f, "it refuses: {line}"),
            Self::NeedsPassword(line) => {
                write!(f, "it wants a password, which this node does not give: {line}")
            }
            Self::WrongPassword(line) => {
                write!(f, "it does not take the name and the password of this node: {line}")
            }
            Self::Login(detail) => write!(f, "its password cannot be read: {detail}"),
            Self::Other(detail) => f.write_str(detail),
        }
    }
}
