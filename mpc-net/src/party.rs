//! Who is who in a mesh.

use std::fmt;

/// The position of a node in the mesh of one study, counted from 0.
///
/// The computing parties come first, in the order in which the study lists them; a dealer, where
/// there is one, is the last node. An id is never taken from a message: the transport derives it
/// from the key that the node proved to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartyId(pub u16);

impl PartyId {
    /// The id as an index into a list of nodes.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The id of the node at `index`.
    ///
    /// # Panics
    /// Above 65,535 nodes.
    #[must_use]
    pub fn from_index(index: usize) -> Self {
        Self(u16::try_from(index).expect("a mesh has at most 65,535 nodes"))
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {}", self.0)
    }
}
