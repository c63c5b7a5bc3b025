//! Plans that all parties were seen to share.

use std::ops::Deref;

use mpc_core::{Session, Tag};

use super::Plan;
use crate::error::Error;

/// Plans have fewer fields than this.
const MOST_FIELDS: usize = 64;
/// Bytes of a digest.
const DIGEST: usize = 32;

/// A plan that every party of a session was seen to hold: the only kind that a fit begins with, so
/// that nobody can forget to compare.
#[derive(Debug)]
pub struct Agreed<P> {
    plan: P,
    digest: [u8; 32],
}

impl<P: Plan> Agreed<P> {
    /// Compares the plan with those of the other parties, by a digest of each of its fields. One
    /// round.
    ///
    /// # Errors
    /// [`Error::Protocol`] with the first party whose plan is another, and the first field that
    /// differs.
    pub async fn among(plan: P, session: &mut Session) -> Result<Self, Error> {
        const PLAN: Tag = Tag::new("model/plan");
        let canonical = plan.canonical()?;
        let fields: Vec<&str> = canonical.fields().map(|(name, _)| name).collect();
        if fields.len() >= MOST_FIELDS {
            return Err(Error::Settings(format!("a plan has {} fields", fields.len())));
        }
        let all = canonical.to_bytes();
        let parts = canonical.fields().map(|(name, bytes)| [name.as_bytes(), bytes]);
        let mut digests: Vec<u8> =
            parts.flat_map(|parts| mpc_core::rand::hash("field of a plan", &parts)).collect();
        digests.resize((MOST_FIELDS - 1) * DIGEST, 0);
        // Whatever the digests of the fields leave out.
        let digest = mpc_core::rand::hash("plan", &[&all]);
        digests.extend(digest);
        let received = session.announce(PLAN, &digests).await?;
        for (peer, theirs) in received.iter().enumerate() {
            let mut pairs = theirs.chunks(DIGEST).zip(digests.chunks(DIGEST));
            if let Some(differs) = pairs.position(|(theirs, mine)| theirs != mine) {
                let field =
                    fields.get(differs).copied().unwrap_or("a field that is not known here");
                let what = format!("plan ({field})");
                let peer = session.name(peer);
                return Err(mpc_core::Error::Disagreement { peer, what }.into());
            }
        }
        Ok(Self { plan, digest })
    }

    /// A digest of everything that the parties agreed on.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

impl<P> Deref for Agreed<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.plan
    }
}
