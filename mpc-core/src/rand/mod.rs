//! Randomness: every mask has a name, every stream a domain.

mod coins;
mod digest;
pub(crate) mod drawn;
mod prg;
mod seed;
mod site;
mod switch;

pub use coins::{Coins, Master};
pub(crate) use digest::RunningHash;
pub use digest::hash;
pub use prg::Prg;
pub use seed::Seed;
pub use site::{MaskDomain, MaskSite};
pub(crate) use switch::MaskSwitch;
