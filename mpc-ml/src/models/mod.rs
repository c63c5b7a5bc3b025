//! The models: a folder each, with everything of it.
//!
//! In each folder: `settings` (what a study says), `plan` (what follows, and what is revealed),
//! `fit` (on shares), `release`, and `plaintext` (the same in the clear, as the oracle of the
//! tests). A fit is read from [`Model::fit`](crate::model::Model::fit) downwards.

pub mod glm;
pub mod linear;
pub mod mean;
pub mod sgd;
