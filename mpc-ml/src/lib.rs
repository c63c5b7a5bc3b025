//! Models on shares.
