//! What a node keeps of a run so that its part of it can be done again, and how that is done
//! (docs/protocols.md 10).

mod again;
mod export;
mod keep;
mod messages;
mod record;
mod signatory;

pub use again::{Again, Verdict};
pub use export::Exported;
pub(super) use keep::Kept;
pub use record::AuditRecord;
pub use signatory::Keys;

use std::path::Path;

use super::State;
use super::own_input::own_place;
use crate::exit::Failure;
use crate::identity::Identity;
use crate::settings::Overrides;
use crate::study::Terms;

/// Removes what is kept of the last run of a study for an audit, and the states of its fit; gives the bytes that it took.
///
/// # Errors
/// When another node is at work, or something cannot be removed.
pub fn forget(study: &Path, config: &Path) -> Result<u64, Failure> {
    let terms = Terms::read(study).map_err(|error| Failure::from(error).in_file(study))?;
    let (settings, _) = own_place(&terms, study, config, &Overrides::default())?;
    let identity = Identity::read(&settings.identity.key)?;
    let state = State::lock(&settings.state, &identity)?;
    let states = state.store().forget_states(&terms.digest())?;
    record::Files::at(&settings.state, &terms.digest(), &identity)
        .forget()
        .map(|bytes| bytes + states)
}
