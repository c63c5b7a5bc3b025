//! Randomness: every mask has a name, every stream a domain.

pub(crate) mod drawn;
mod prg;
mod seed;
mod site;

pub use prg::Prg;
pub use seed::{Seed, hash};
pub use site::MaskSite;
#[cfg(feature = "insecure-test-masks")]
pub use site::insecure_switch_off;
pub(crate) use site::is_off;
