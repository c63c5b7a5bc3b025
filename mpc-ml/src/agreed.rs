//! Plans that all parties were seen to share.

use std::ops::Deref;

use mpc_core::Session;

use crate::error::Error;

/// A computation that is fixed from public facts before a share is sent.
pub trait Plan {
    /// A canonical text of everything that the parties must agree on.
    fn canonical(&self) -> String;
}

/// A plan that every party of a session was seen to hold: the only kind that a solver begins with,
/// so that nobody can forget to compare.
#[derive(Debug)]
pub struct Agreed<P>(P);

impl<P: Plan> Agreed<P> {
    /// Compares the plan with those of the other parties. One round.
    ///
    /// # Errors
    /// [`Error::Protocol`] with the first party whose plan is another.
    pub async fn among(plan: P, session: &mut Session) -> Result<Self, Error> {
        session.agree("plan", plan.canonical().as_bytes()).await?;
        Ok(Self(plan))
    }
}

impl<P> Deref for Agreed<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0
    }
}
