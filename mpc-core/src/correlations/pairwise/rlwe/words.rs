//! Buffers of polynomials.

use std::ops::{Deref, DerefMut};

use zeroize::Zeroizing;

/// Words from a boundary of 64 bytes on, which vector loads like; wiped on drop.
pub(super) struct Words {
    all: Zeroizing<Vec<u64>>,
    start: usize,
    len: usize,
}

impl Words {
    /// `len` zeros.
    pub(super) fn zero(len: usize) -> Self {
        const SPARE: usize = 7;
        let all = Zeroizing::new(vec![0; len + SPARE]);
        let start = all.as_ptr().align_offset(64).min(SPARE);
        Self { all, start, len }
    }
}

impl Deref for Words {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.all[self.start..][..self.len]
    }
}

impl DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [u64] {
        &mut self.all[self.start..][..self.len]
    }
}
