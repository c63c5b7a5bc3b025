//! Streams of masks.

use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::{Zeroize, Zeroizing};

use super::{MaskSite, MaskSwitch, Seed, drawn};
use crate::ring::wire::mask;
use crate::ring::{PackedBits, Ring, Z128};

/// A ChaCha20 stream that belongs to one [`MaskSite`].
///
/// An element of at most 32, 64 or 128 bits takes 4, 8 or 16 bytes of the stream, so both ends of
/// a shared stream stay in step whatever the values are.
pub struct Prg {
    rng: ChaCha20Rng,
    site: MaskSite,
    switch: MaskSwitch,
}

impl Prg {
    /// The stream of `site` under `seed`.
    #[must_use]
    pub fn new(seed: &Seed, site: MaskSite) -> Self {
        Self::under(seed, site, MaskSwitch::default())
    }

    /// [`new`](Self::new) in a session in which a test may have switched the site off.
    pub(crate) fn under(seed: &Seed, site: MaskSite, switch: MaskSwitch) -> Self {
        let seed = site.seed(seed);
        drawn::note("stream", seed.bytes());
        Self { rng: ChaCha20Rng::from_seed(*seed.bytes()), site, switch }
    }

    /// From here on this stream is one of a session in which a test may have switched the site off.
    pub(crate) fn follow(&mut self, switch: MaskSwitch) {
        self.switch = switch;
    }

    /// The next `count` elements, uniform in [0, 2^`bits`).
    pub fn elements<R: Ring>(&mut self, count: usize, bits: u32) -> Zeroizing<Vec<R>> {
        let mut out = Zeroizing::new(Vec::with_capacity(count));
        self.each(count, bits, |value| out.push(R::from_u128(value)));
        out
    }

    /// The next planes x lanes bits, taken from as many whole words of 128 bits as hold them.
    pub fn bits(&mut self, planes: usize, lanes: usize) -> PackedBits {
        let words = self.elements::<Z128>((planes * lanes).div_ceil(128), 128);
        let row: Zeroizing<Vec<u128>> = Zeroizing::new(words.iter().map(|word| word.0).collect());
        PackedBits::from_row(&row, 0, planes, lanes)
    }

    /// Adds the next elements, uniform in [0, 2^`bits`), to `values`.
    pub fn add_to<R: Ring>(&mut self, values: &mut [R], bits: u32) {
        let count = values.len();
        let mut values = values.iter_mut();
        self.each(count, bits, |mask| {
            if let Some(value) = values.next() {
                *value += R::from_u128(mask);
            }
        });
    }

    /// Subtracts the next elements, uniform in [0, 2^`bits`), from `values`.
    pub fn subtract_from<R: Ring>(&mut self, values: &mut [R], bits: u32) {
        let count = values.len();
        let mut values = values.iter_mut();
        self.each(count, bits, |mask| {
            if let Some(value) = values.next() {
                *value -= R::from_u128(mask);
            }
        });
    }

    /// Moves to the element number `index` of a stream of which every element has more than 64
    /// bits. For the masks of an owner's matrix, which are needed row by row, again and again,
    /// by the same two nodes.
    pub fn seek_wide(&mut self, index: u64) {
        self.rng.set_word_pos(u128::from(index) * 4);
    }

    fn each(&mut self, count: usize, bits: u32, mut take: impl FnMut(u128)) {
        assert!((1..=128).contains(&bits));
        let width = if bits <= 32 {
            4
        } else if bits <= 64 {
            8
        } else {
            16
        };
        let mask = if self.switch.is_off(self.site) { 0 } else { mask(bits) };
        let mut buffer = [0u8; 4096];
        let mut left = count;
        while left > 0 {
            let now = left.min(buffer.len() / width);
            let bytes = &mut buffer[..now * width];
            self.rng.fill_bytes(bytes);
            match width {
                4 => bytes.as_chunks::<4>().0.iter().for_each(|chunk| {
                    take(u128::from(u32::from_le_bytes(*chunk)) & mask);
                }),
                8 => bytes.as_chunks::<8>().0.iter().for_each(|chunk| {
                    take(u128::from(u64::from_le_bytes(*chunk)) & mask);
                }),
                _ => bytes.as_chunks::<16>().0.iter().for_each(|chunk| {
                    take(u128::from_le_bytes(*chunk) & mask);
                }),
            }
            left -= now;
        }
        buffer.zeroize();
    }
}

impl Drop for Prg {
    fn drop(&mut self) {
        // The generator has no wiping of its own; the black box keeps the overwrite alive.
        self.rng = ChaCha20Rng::from_seed([0; 32]);
        std::hint::black_box(&self.rng);
    }
}

impl fmt::Debug for Prg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prg").field("site", &self.site).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Z64, Z128};

    fn seed() -> Seed {
        Seed::from_secret("test", &[b"prg"])
    }

    #[test]
    fn sites_and_seeds_have_streams_of_their_own() {
        let draw = |seed: &Seed, site| Prg::new(seed, site).elements::<Z128>(4, 128).to_vec();
        let a = draw(&seed(), MaskSite::InputShare);
        assert_eq!(a, draw(&seed(), MaskSite::InputShare));
        assert_ne!(a, draw(&seed(), MaskSite::AngleMask));
        assert_ne!(a, draw(&seed().derive("other"), MaskSite::InputShare));
    }

    #[test]
    fn the_length_of_a_draw_does_not_change_the_stream() {
        let mut whole = Prg::new(&seed(), MaskSite::BoundedMask);
        let mut parts = Prg::new(&seed(), MaskSite::BoundedMask);
        let a = whole.elements::<Z128>(1000, 100).to_vec();
        let mut b = parts.elements::<Z128>(1, 100).to_vec();
        b.extend(parts.elements::<Z128>(999, 100).iter());
        assert_eq!(a, b);
        assert!(a.iter().all(|v| v.0 < 1 << 100));
    }

    #[test]
    fn seeking_finds_the_element() {
        let mut prg = Prg::new(&seed(), MaskSite::OwnedMatrix);
        let all = prg.elements::<Z128>(700, 81).to_vec();
        prg.seek_wide(513);
        assert_eq!(prg.elements::<Z128>(3, 81).to_vec(), all[513..516]);
    }

    #[test]
    fn adding_and_subtracting_the_same_masks_cancels() {
        let mut values = vec![Z64(5); 600];
        Prg::new(&seed(), MaskSite::ZeroShareResult).add_to(&mut values, 64);
        assert_ne!(values, vec![Z64(5); 600]);
        Prg::new(&seed(), MaskSite::ZeroShareResult).subtract_from(&mut values, 64);
        assert_eq!(values, vec![Z64(5); 600]);
    }
}
