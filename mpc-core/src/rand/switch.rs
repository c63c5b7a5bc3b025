//! Masks that a test has switched off.

use super::MaskSite;

/// The mask that is switched off in a session, by a test that shows that somebody would notice. In
/// a release binary it has no content, and every mask is on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MaskSwitch {
    #[cfg(feature = "insecure-test-masks")]
    off: Option<MaskSite>,
}

#[cfg(not(feature = "insecure-test-masks"))]
impl MaskSwitch {
    pub(crate) const fn is_off(self, _: MaskSite) -> bool {
        false
    }
}

#[cfg(feature = "insecure-test-masks")]
impl MaskSwitch {
    pub(crate) fn new(off: Option<MaskSite>) -> Self {
        Self { off }
    }

    pub(crate) fn is_off(self, site: MaskSite) -> bool {
        self.off == Some(site) || everywhere::is_off(site)
    }
}

#[cfg(feature = "insecure-test-masks")]
pub use everywhere::insecure_switch_off;

/// For whole fits, which draw masks of their own without a session.
#[cfg(feature = "insecure-test-masks")]
mod everywhere {
    use std::sync::{Mutex, PoisonError};

    use super::MaskSite;

    static OFF: Mutex<Option<MaskSite>> = Mutex::new(None);

    /// Makes all streams of `site` return zeros, in the whole process, until it is called again;
    /// `None` switches every mask on. A test that runs sessions of its own switches it off in them
    /// alone: [`World::insecure_without`](crate::testing::World::insecure_without).
    pub fn insecure_switch_off(site: Option<MaskSite>) {
        *OFF.lock().unwrap_or_else(PoisonError::into_inner) = site;
    }

    pub(super) fn is_off(site: MaskSite) -> bool {
        *OFF.lock().unwrap_or_else(PoisonError::into_inner) == Some(site)
    }
}
