//! Against whom a session protects.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the parties are protected from (docs/protocols.md 0, Covert). The same at all parties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    /// Parties that keep to the protocol and look at what they receive.
    SemiHonest,
    /// Also parties that change their program, as long as they do not want to be caught: shares of
    /// bounded openings and of results are committed to before they are sent, and what was opened
    /// to all is compared.
    #[default]
    Covert,
}

impl Against {
    /// The word for it in a study file.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::SemiHonest => "semi-honest",
            Self::Covert => "covert",
        }
    }
}

impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
