//! What must be known in public before a matrix is inverted.

/// Where the iteration starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StartBound {
    /// At the identity.
    Identity,
    /// At an inverse computed before ([`Start::Warm`](super::Start::Warm)).
    Warm {
        /// The earlier plan's [`InversePlan::bound_once_converged`](super::InversePlan::bound_once_converged).
        bound: f64,
        /// The earlier plan's [`InversePlan::inverse_fraction`](super::InversePlan::inverse_fraction).
        fraction: u32,
    },
}

/// What must be known about a matrix in public before it is inverted.
#[derive(Clone, Debug, PartialEq)]
pub struct InverseSettings {
    /// The number of rows and columns of G.
    pub order: usize,
    /// The number of parties.
    pub parties: u32,
    /// Bits of statistical masking, for the whole study.
    pub sigma: u32,
    /// **A condition of privacy.** No entry on the diagonal of G is larger; at most 15/16.
    pub diagonal: f64,
    /// The least eigenvalue, of G from the identity, of G^(1/2) X_0 G^(1/2) from a warm start, for
    /// which convergence is promised. Not a condition of privacy: with a smaller one the check
    /// fails.
    pub least: f64,
    /// Where the iteration starts.
    pub start: StartBound,
    /// Whether further products with G will be ordered after those of the inverse.
    pub reuse: bool,
}

impl InverseSettings {
    /// The largest E of an opening mod 2^128.
    pub(super) fn budget(&self) -> u32 {
        let carry = (self.parties + 1).next_power_of_two().ilog2();
        128u32.saturating_sub(self.sigma + carry)
    }
}
