//! Who was in the rounds of a federated study, as this node saw it.

use mpc_core::aggregate::Set;
use mpc_ml::model::Progress;
use serde::Serialize;

use crate::name::PartyName;
use crate::study::Study;

/// The rounds of a federated study so far.
pub struct Rounds {
    names: Vec<PartyName>,
    last: Option<u64>,
    away: Vec<AwayReceipt>,
    /// The parties to which this node has no connection any more.
    lost: Set,
}

/// Who was in the rounds of a federated study.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoundsReceipt {
    /// The last round that ended here; 0 before the first one.
    pub last: u64,
    /// The rounds that not all parties were in, as far as this node was there.
    pub away: Vec<AwayReceipt>,
}

/// A round that not all parties were in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AwayReceipt {
    /// The round.
    pub round: u64,
    /// Who was not in it; nobody by name where this node was away itself and heard of it afterwards.
    pub without: Vec<String>,
}

impl Rounds {
    pub(super) fn new(study: &Study) -> Self {
        let names = study.parties().to_vec();
        Self { names, last: None, away: Vec::new(), lost: Set::default() }
    }

    /// An earlier run had come to this round.
    pub(super) fn go_on(&mut self, done: u64) {
        self.last = Some(done);
    }

    /// Whether there is a connection to a party.
    pub(super) fn is_there(&self, party: usize) -> bool {
        !self.lost.contains(party)
    }

    /// What happened, and what the operator should know of it.
    pub(super) fn hear(&mut self, progress: Progress) -> Option<String> {
        match progress {
            Progress::Members { round, members } => {
                self.last = Some(round);
                let away = Set::below(self.names.len()).less(members);
                if away.is_empty() {
                    return None;
                }
                let without: Vec<String> =
                    away.iter().map(|party| self.names[party].to_string()).collect();
                let note = format!("round {round} was without {}", without.join(", "));
                self.away.push(AwayReceipt { round, without });
                Some(note)
            }
            Progress::Behind { round } => {
                let first = self.last.map_or(1, |last| last + 1);
                let missed = (first..round).map(|round| AwayReceipt { round, without: Vec::new() });
                self.away.extend(missed);
                self.last = Some(round - 1);
                Some(format!(
                    "the others have gone on without this node, which takes part again from round {round}"
                ))
            }
            Progress::Lost { party } => {
                self.lost = self.lost.with(party);
                let name = self.names.get(party)?;
                Some(format!(
                    "{name} was lost; the study goes on without it while enough are there"
                ))
            }
            _ => None,
        }
    }

    pub(super) fn receipt(&self) -> RoundsReceipt {
        RoundsReceipt { last: self.last.unwrap_or_default(), away: self.away.clone() }
    }
}
