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
        self.off == Some(site)
    }
}
