//! What is known of a run on its way, and what all say of it before and after the result.

use mpc_core::Session;
use mpc_core::session::Signed;
use mpc_ml::model::{Figures, Output};
use mpc_net::AbortCode;

use super::budget::BudgetReceipt;
use super::receipt::Resumed;
use super::rounds::Rounds;
use super::{Event, Events, PartyConsent};
use crate::exit::Failure;
use crate::store;

/// What is known of a run so far, however it ends.
#[derive(Default)]
pub struct Told {
    /// The run; none where a part is done again.
    pub(super) run: Option<store::Run>,
    /// When the nodes had met.
    pub(super) started: u64,
    /// What this node says of its approval.
    pub(super) consent: Vec<u8>,
    /// What all have said of theirs.
    pub(super) consents: Vec<PartyConsent>,
    /// What the operator should know about the others.
    pub(super) noticed: Vec<String>,
    /// Rows of each party.
    pub(super) rows: Vec<u64>,
    /// What may be revealed.
    pub(super) outputs: Vec<Output>,
    /// What the plan says.
    pub(super) figures: Option<Figures>,
    /// Steps that the fit took.
    pub(super) steps: Option<u64>,
    /// What the fit went on from.
    pub(super) resumed: Option<Resumed>,
    /// How many runs there were on these rows.
    pub(super) runs: u32,
    /// What the others said under their signatures.
    pub(super) signed: Vec<Signed>,
    /// Who was in the rounds of a federated study.
    pub(super) rounds: Option<Rounds>,
    /// What all have spent of their privacy budgets, in a study that takes of them.
    pub(super) budget: Option<BudgetReceipt>,
    /// Whether noisy values may have been sent.
    pub(super) spent: bool,
}

impl Told {
    /// Nobody gets the result who did not put its name under everything before.
    pub(super) async fn before_the_result(&mut self, session: &mut Session) -> Result<(), Failure> {
        for (_, said) in session.attest(false).await? {
            self.signed.push(said?);
        }
        Ok(())
    }

    /// The end of a run: before anything is done with the result, all who are there make sure that they hold
    /// the same.
    pub(super) async fn compare(
        &mut self,
        session: &mut Session,
        events: &Events,
    ) -> Result<(), Failure> {
        for name in session.compare().await? {
            events(Event::Note(format!("{name} left before it said what it had received")));
        }
        let signed = match &self.rounds {
            None => session.attest(true).await?,
            // Who was lost is not waited for, and something may be on its way to who was late.
            Some(rounds) => session.attest_to(false, |node| rounds.is_there(node)).await?,
        };
        for (_, said) in signed {
            match said {
                Ok(said) => self.signed.push(said),
                Err(error) if error.code() == AbortCode::PeerMisbehaved => return Err(error.into()),
                Err(error) => {
                    events(Event::Note(format!("{error}; what it sent last is unsigned")));
                }
            }
        }
        Ok(())
    }
}
