//! Bits, 128 to a word.

use std::fmt;
use std::ops::BitXorAssign;

use zeroize::Zeroizing;

/// `planes` rows of `lanes` bits, each row packed 128 to a word: bit number l of a row is bit l mod 128
/// of its word l / 128, and what is beyond the last lane is zero.
///
/// Bits that are worked on together stand in the lanes of one plane: what is done to a word is done to
/// 128 of them. The memory is wiped on drop, and `Debug` prints the shape alone, because most bits are
/// shares.
#[derive(Clone, PartialEq, Eq)]
pub struct PackedBits {
    words: Zeroizing<Vec<u128>>,
    planes: usize,
    lanes: usize,
}

/// The words of so many bits.
const fn words_for(bits: usize) -> usize {
    bits.div_ceil(128)
}

/// The lowest `bits` bits of a word, at most 128.
const fn low(bits: usize) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

impl PackedBits {
    /// Bits that are all zero.
    #[must_use]
    pub fn zero(planes: usize, lanes: usize) -> Self {
        Self { words: Zeroizing::new(vec![0; planes * words_for(lanes)]), planes, lanes }
    }

    /// Each bit by its plane and lane. In constant time if `bit` is.
    #[must_use]
    pub fn of(planes: usize, lanes: usize, mut bit: impl FnMut(usize, usize) -> u128) -> Self {
        let mut out = Self::zero(planes, lanes);
        for plane in 0..planes {
            let words = out.plane_mut(plane);
            for lane in 0..lanes {
                words[lane / 128] |= (bit(plane, lane) & 1) << (lane % 128);
            }
        }
        out
    }

    /// The planes one behind the other, from bit `from` on of a row of bits that goes on over words.
    ///
    /// # Panics
    /// When the row ends before.
    #[must_use]
    pub fn from_row(row: &[u128], from: usize, planes: usize, lanes: usize) -> Self {
        assert!(from + planes * lanes <= 128 * row.len(), "a row of bits is long enough");
        let mut out = Self::zero(planes, lanes);
        for plane in 0..planes {
            let start = from + plane * lanes;
            for (nth, word) in out.plane_mut(plane).iter_mut().enumerate() {
                let (at, left) = (start + 128 * nth, lanes - 128 * nth);
                let (first, shift) = (at / 128, at % 128);
                let mut bits = row[first] >> shift;
                if shift > 0 && first + 1 < row.len() {
                    bits |= row[first + 1] << (128 - shift);
                }
                *word = bits & low(left);
            }
        }
        out
    }

    /// The planes one behind the other in one row of bits.
    #[must_use]
    pub fn row(&self) -> Zeroizing<Vec<u128>> {
        let mut row = Zeroizing::new(vec![0u128; words_for(self.planes * self.lanes)]);
        for plane in 0..self.planes {
            for (nth, &word) in self.plane(plane).iter().enumerate() {
                let at = plane * self.lanes + 128 * nth;
                let (first, shift) = (at / 128, at % 128);
                row[first] |= word << shift;
                if shift > 0 && first + 1 < row.len() {
                    row[first + 1] |= word >> (128 - shift);
                }
            }
        }
        row
    }

    /// The bytes of so many bits on the wire.
    #[must_use]
    pub const fn wire_bytes(bits: usize) -> usize {
        bits.div_ceil(8)
    }

    /// All planes one behind the other, eight bits a byte, lowest first.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(16 * self.words.len()));
        self.row().iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        bytes.truncate(Self::wire_bytes(self.planes * self.lanes));
        bytes
    }

    /// The bits of [`to_bytes`](Self::to_bytes); `None` for another length, or where a bit beyond the
    /// last one is set: there is one way to write bits.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], planes: usize, lanes: usize) -> Option<Self> {
        let bits = planes.checked_mul(lanes)?;
        if bytes.len() != Self::wire_bytes(bits) {
            return None;
        }
        if !bits.is_multiple_of(8) && bytes.last().is_some_and(|&last| last >> (bits % 8) != 0) {
            return None;
        }
        let mut row = Zeroizing::new(Vec::with_capacity(words_for(bits)));
        for chunk in bytes.chunks(16) {
            let mut word = Zeroizing::new([0; 16]);
            word[..chunk.len()].copy_from_slice(chunk);
            row.push(u128::from_le_bytes(*word));
        }
        Some(Self::from_row(&row, 0, planes, lanes))
    }

    /// The number of planes.
    #[must_use]
    pub fn planes(&self) -> usize {
        self.planes
    }

    /// The number of lanes.
    #[must_use]
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// The words of one plane.
    ///
    /// # Panics
    /// When there is no such plane.
    #[must_use]
    pub fn plane(&self, plane: usize) -> &[u128] {
        assert!(plane < self.planes, "there is such a plane");
        let words = words_for(self.lanes);
        &self.words[plane * words..(plane + 1) * words]
    }

    pub(crate) fn plane_mut(&mut self, plane: usize) -> &mut [u128] {
        let words = words_for(self.lanes);
        &mut self.words[plane * words..(plane + 1) * words]
    }

    /// One bit, as 0 or 1.
    #[must_use]
    pub fn bit(&self, plane: usize, lane: usize) -> u128 {
        self.plane(plane)[lane / 128] >> (lane % 128) & 1
    }

    /// The planes of one behind those of the other.
    ///
    /// # Panics
    /// When they have different numbers of lanes.
    #[must_use]
    pub fn above(mut self, other: &Self) -> Self {
        assert_eq!(self.lanes, other.lanes, "planes that are stacked have the same lanes");
        self.words.extend_from_slice(&other.words);
        self.planes += other.planes;
        self
    }

    /// The lanes of one behind those of the other.
    ///
    /// # Panics
    /// When they have different numbers of planes.
    #[must_use]
    pub fn beside(&self, other: &Self) -> Self {
        assert_eq!(self.planes, other.planes, "lanes that are joined have the same planes");
        let first = self.lanes;
        Self::of(self.planes, first + other.lanes, |plane, lane| match lane.checked_sub(first) {
            None => self.bit(plane, lane),
            Some(lane) => other.bit(plane, lane),
        })
    }

    /// Some lanes of every plane, in the order in which they are named.
    #[must_use]
    pub fn pick(&self, lanes: &[usize]) -> Self {
        Self::of(self.planes, lanes.len(), |plane, nth| self.bit(plane, lanes[nth]))
    }

    /// Some planes, in the order in which they are named.
    #[must_use]
    pub fn select(&self, planes: &[usize]) -> Self {
        let mut out = Self::zero(planes.len(), self.lanes);
        for (nth, &plane) in planes.iter().enumerate() {
            out.plane_mut(nth).copy_from_slice(self.plane(plane));
        }
        out
    }

    /// The lanes from `from` on of every plane.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn lane_range(&self, from: usize, lanes: usize) -> Self {
        assert!(from + lanes <= self.lanes, "there are such lanes");
        let mut out = Self::zero(self.planes, lanes);
        for plane in 0..self.planes {
            let part = Self::from_row(self.plane(plane), from, 1, lanes);
            out.plane_mut(plane).copy_from_slice(&part.words);
        }
        out
    }

    /// The bits where both are one.
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.same_shape(other);
        let mut out = self.clone();
        out.words.iter_mut().zip(other.words.iter()).for_each(|(a, b)| *a &= b);
        out
    }

    /// The bits that are one here and zero there, and the other way round.
    ///
    /// # Panics
    /// When the shapes differ.
    #[must_use]
    pub fn xor(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out ^= other;
        out
    }

    /// The bits that are zero.
    #[must_use]
    pub fn not(&self) -> Self {
        let mut out = self.clone();
        for plane in 0..self.planes {
            let lanes = self.lanes;
            for (nth, word) in out.plane_mut(plane).iter_mut().enumerate() {
                *word = !*word & low(lanes - 128 * nth);
            }
        }
        out
    }

    /// How many ones there are, mod 2.
    #[must_use]
    pub(crate) fn parity(&self) -> u128 {
        let all = self.words.iter().fold(0u128, |all, word| all ^ word);
        u128::from(all.count_ones() & 1)
    }

    fn same_shape(&self, other: &Self) {
        assert_eq!((self.planes, self.lanes), (other.planes, other.lanes), "shapes differ");
    }
}

impl BitXorAssign<&Self> for PackedBits {
    fn bitxor_assign(&mut self, other: &Self) {
        self.same_shape(other);
        self.words.iter_mut().zip(other.words.iter()).for_each(|(a, b)| *a ^= b);
    }
}

impl fmt::Debug for PackedBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackedBits")
            .field("planes", &self.planes)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(planes: usize, lanes: usize, seed: u64) -> PackedBits {
        let bit = |plane: usize, lane: usize| {
            let mixed =
                (seed ^ (plane as u64) << 32 ^ lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            u128::from(mixed >> 61)
        };
        PackedBits::of(planes, lanes, bit)
    }

    proptest! {
        #[test]
        fn bits_survive_rows_and_the_wire(planes in 0usize..6, lanes in 1usize..300, seed: u64) {
            let bits = some(planes, lanes, seed);
            let back = PackedBits::from_row(&bits.row(), 0, planes, lanes);
            prop_assert!(back == bits);
            let bytes = bits.to_bytes();
            prop_assert_eq!(bytes.len(), (planes * lanes).div_ceil(8));
            prop_assert!(PackedBits::from_bytes(&bytes, planes, lanes).expect("written so") == bits);
            for plane in 0..planes {
                for lane in 0..lanes {
                    let at = plane * lanes + lane;
                    prop_assert_eq!(bits.bit(plane, lane), u128::from(bytes[at / 8] >> (at % 8) & 1));
                }
            }
        }

        #[test]
        fn any_bytes_are_bits_or_refused(bytes: Vec<u8>, planes in 0usize..4, lanes in 0usize..200) {
            if let Some(bits) = PackedBits::from_bytes(&bytes, planes, lanes) {
                prop_assert_eq!(&bits.to_bytes()[..], &bytes[..]);
            }
        }

        #[test]
        fn lanes_are_cut_where_they_are_said_to_be(lanes in 1usize..300, from in 0usize..300, seed: u64) {
            let bits = some(3, lanes, seed);
            let from = from % lanes;
            let cut = bits.lane_range(from, lanes - from);
            for plane in 0..3 {
                for lane in 0..lanes - from {
                    prop_assert_eq!(cut.bit(plane, lane), bits.bit(plane, from + lane));
                }
            }
            prop_assert!(bits.not().not() == bits);
            let ones: u128 = (0..3).flat_map(|p| (0..lanes).map(move |l| (p, l)))
                .map(|(p, l)| bits.bit(p, l)).sum();
            prop_assert_eq!(bits.parity(), ones & 1);
        }
    }

    #[test]
    fn what_is_beyond_the_last_bit_is_refused() {
        assert!(PackedBits::from_bytes(&[0b1000], 1, 3).is_none());
        assert!(PackedBits::from_bytes(&[0b111], 1, 3).is_some());
        assert!(PackedBits::from_bytes(&[0, 0], 1, 3).is_none());
        assert!(!format!("{:?}", PackedBits::zero(2, 3)).contains('['));
    }
}
