//! Fingerprints of what was drawn, for the test that nothing comes twice over many sessions.
//!
//! Nothing of this is in a release binary.

/// Notes that a secret, or something public that must be fresh, was drawn or derived.
#[cfg(not(feature = "test-util"))]
pub(crate) const fn note(_: &'static str, _: &[u8]) {}

#[cfg(feature = "test-util")]
pub(crate) use record::note;
#[cfg(feature = "test-util")]
pub use record::{Drawn, record, take};

#[cfg(feature = "test-util")]
mod record {
    use std::sync::{Mutex, PoisonError};

    use crate::rand::hash;

    /// What was drawn, and the fingerprint of it.
    pub type Drawn = (&'static str, [u8; 32]);

    static NOTES: Mutex<Option<Vec<Drawn>>> = Mutex::new(None);

    /// Begins to note what all parties of this process draw.
    pub fn record() {
        *NOTES.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// What was noted since the last call.
    pub fn take() -> Vec<Drawn> {
        let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
        notes.as_mut().map(std::mem::take).unwrap_or_default()
    }

    pub(crate) fn note(what: &'static str, bytes: &[u8]) {
        if let Some(notes) = &mut *NOTES.lock().unwrap_or_else(PoisonError::into_inner) {
            notes.push((what, hash("fingerprint", &[what.as_bytes(), bytes])));
        }
    }
}
