//! `[security]`: how the computation is protected.

use std::fmt;

use mpc_core::Against;
use mpc_core::correlations::Origin;

use super::StudyError;
use super::raw::RawSecurity;

/// How the computation is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// Where the correlated randomness comes from.
    pub correlations: Correlations,
    /// Against whom the parties are protected.
    pub against: Against,
}

/// Where the correlated randomness comes from that the parties use up while they compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Correlations {
    /// From the parties themselves, pair by pair: all but one of them may pool what they see.
    Pairwise,
    /// From a dealer, a further node that sees no data and must not collude with any party.
    Dealer,
}

impl Correlations {
    /// The same, as a model's plan takes it.
    #[must_use]
    pub fn origin(self) -> Origin {
        match self {
            Self::Pairwise => Origin::Pairwise,
            Self::Dealer => Origin::Dealer,
        }
    }
}

impl fmt::Display for Correlations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pairwise => "pairwise",
            Self::Dealer => "dealer",
        })
    }
}

pub(super) fn check(raw: &RawSecurity) -> Result<Security, StudyError> {
    let correlations = match raw.correlations.as_deref() {
        Some("dealer") => Correlations::Dealer,
        None | Some("pairwise") => Correlations::Pairwise,
        Some(_) => {
            let rule = "must be \"pairwise\" or \"dealer\"";
            return Err(StudyError::rule("security.correlations", rule));
        }
    };
    let against = match raw.against.as_deref() {
        None | Some("covert") => Against::Covert,
        Some("semi-honest") => Against::SemiHonest,
        Some(_) => {
            let rule = "must be \"covert\" (parties that change their program are caught) or \
                        \"semi-honest\" (all parties are trusted to run the program as it is)";
            return Err(StudyError::rule("security.against", rule));
        }
    };
    Ok(Security { correlations, against })
}
