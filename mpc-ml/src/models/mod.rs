//! The models: a folder each, with everything of it.
//!
//! In each folder: `settings` (what a study says), `plan` (what follows, and what is revealed),
//! `fit` (on shares), `release`, and `plaintext` (the same in the clear, as the oracle of the
//! tests). A fit is read from [`Model::fit`] downwards.

pub mod glm;
pub mod linear;
pub mod mean;
pub mod private;
pub mod sgd;

use crate::artifact::ModelKind;
use crate::data::Cut;
use crate::federated::Federated;
use crate::model::Model;

/// What a refusal says of another model.
struct Known {
    name: &'static str,
    kinds: &'static [ModelKind],
    cuts: &'static [Cut],
    divides: bool,
}

impl Known {
    const fn of<M: Model>() -> Self {
        Self { name: M::NAME, kinds: M::KINDS, cuts: M::CUTS, divides: M::DIVIDES }
    }
}

/// The models of this crate.
const ALL: [Known; 6] = [
    Known::of::<linear::Linear>(),
    Known::of::<mean::Mean>(),
    Known::of::<private::Private>(),
    Known::of::<glm::Glm>(),
    Known::of::<sgd::Sgd>(),
    Known::of::<Federated>(),
];

/// The models of this crate that take a table cut this way: name and kinds, in words.
#[must_use]
pub fn takers(cut: Cut) -> Vec<String> {
    let named = |model: &Known| {
        let kinds: Vec<String> =
            model.kinds.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
        format!("{:?} ({})", model.name, kinds.join(", "))
    };
    ALL.iter().filter(|model| model.cuts.contains(&cut)).map(named).collect()
}

/// The models of this crate that can give each party the coefficients of its own columns alone, by name.
#[must_use]
pub fn dividers() -> Vec<String> {
    ALL.iter().filter(|model| model.divides).map(|model| format!("{:?}", model.name)).collect()
}
