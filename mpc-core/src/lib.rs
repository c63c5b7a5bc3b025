//! Rings, shares and protocols.
