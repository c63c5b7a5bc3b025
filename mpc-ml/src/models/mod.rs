//! The models: a folder each, with everything of it.
//!
//! In each folder: `settings` (what a study says), `plan` (what follows, and what is revealed),
//! `fit` (on shares), `release`, and `plaintext` (the same in the clear, as the oracle of the
//! tests). A fit is read from [`Model::fit`] downwards.

pub mod glm;
pub mod linear;
pub mod mean;
pub mod sgd;

use crate::data::Cut;
use crate::model::Model;

/// The models of this crate that take a table cut this way: name and kinds, in words.
#[must_use]
pub fn takers(cut: Cut) -> Vec<String> {
    fn named<M: Model>(cut: Cut) -> Option<String> {
        let kinds: Vec<String> =
            M::KINDS.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        M::CUTS.contains(&cut).then(|| format!("{:?} ({})", M::NAME, kinds.join(", ")))
    }
    let all = [
        named::<linear::Linear>(cut),
        named::<mean::Mean>(cut),
        named::<glm::Glm>(cut),
        named::<sgd::Sgd>(cut),
    ];
    all.into_iter().flatten().collect()
}

/// The models of this crate that can give each party the coefficients of its own columns alone, by name.
#[must_use]
pub fn dividers() -> Vec<String> {
    fn named<M: Model>() -> Option<String> {
        M::DIVIDES.then(|| format!("{:?}", M::NAME))
    }
    let all = [
        named::<linear::Linear>(),
        named::<mean::Mean>(),
        named::<glm::Glm>(),
        named::<sgd::Sgd>(),
    ];
    all.into_iter().flatten().collect()
}
