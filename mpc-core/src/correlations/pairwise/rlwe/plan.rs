//! How a product is cut into polynomials, which parameters carry it, and what it costs.
//!
//! A block of r rows, c columns and h vectors with r c h <= n is one product of polynomials: sum
//! over j, k of v[j][k] x^(j h + k) times sum over i, j of X[i][j] x^(i c h + (c-1-j) h) has
//! (X v)[i][k] at x^(i c h + (c-1) h + k). (Packing as in Cheetah and Iron.) No other term comes
//! there: the degrees below n + (c-1) h that are reached beyond n wrap to below (c-1) h.

use std::ops::Range;

use super::params::{Params, RESIDUE_BITS};
use crate::error::Error;
use crate::ring::kernels::ntt::PANEL;

/// X V for a matrix that its owner knows and masks that the other parties know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows of X. Where several owners share the inputs: the most that any of them has.
    pub rows: usize,
    /// Columns of X and rows of V.
    pub columns: usize,
    /// Columns of V: vectors that meet the same X.
    pub vectors: usize,
    /// Entries are at most 2^`entry_bits` in magnitude; 31 at most.
    pub entry_bits: u32,
    /// 1: entries are small integers. Otherwise they are any mod 2^ring, and are cut into
    /// ceil(ring / 32) signed limbs of 32 bits; `entry_bits` is then 31.
    pub entry_limbs: usize,
    /// The product is made mod 2^ring, up to 128.
    pub ring: u32,
    /// All parties, the owner included.
    pub parties: usize,
}

impl Shape {
    /// Entries of any size mod 2^ring.
    #[must_use]
    pub fn wide(rows: usize, columns: usize, vectors: usize, ring: u32, parties: usize) -> Self {
        let entry_limbs = ring.div_ceil(32) as usize;
        Self { rows, columns, vectors, entry_bits: 31, entry_limbs, ring, parties }
    }

    /// Columns, limbs counted one by one.
    fn inner(&self) -> usize {
        self.columns * self.entry_limbs
    }

    /// Of so many vectors the next power of two, where a few more are cheaper than long transforms of a large
    /// matrix ([`Plan::stride`]).
    fn rounded(&self, vectors: usize) -> usize {
        let (more, entries) = (vectors.next_power_of_two(), self.rows * self.inner());
        if entries >= LARGE && 3 * more <= 4 * vectors { more } else { vectors }
    }

    fn check(&self) -> Result<(), Error> {
        let limbs = self.ring.div_ceil(32) as usize;
        let sound = self.rows > 0
            && self.columns > 0
            && self.vectors > 0
            && (1..=128).contains(&self.ring)
            && self.parties >= 2
            && (self.entry_limbs == 1 && self.entry_bits <= 31
                || self.entry_limbs == limbs && self.entry_bits == 31);
        if sound { Ok(()) } else { Err(Error::Range(format!("no product has the shape {self:?}"))) }
    }
}

/// How a coefficient of an output travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// Its residues.
    Residues,
    /// round(2^bits c / q).
    Bits(u32),
}

/// Bits of an output beyond those of the ring.
const GUARD: u32 = 20;

/// The standard deviations that errors are allowed for: a sum of them is beyond with a
/// probability below 2 e^(-10^2 / 2) < 2^-71.
const TAIL: f64 = 10.0;

/// The variance of an error.
const VARIANCE: f64 = 10.5;

/// The error that noise may add to a product, in units of the ring: what keeps the error of the
/// roundings at floor(N/2).
const NOISE: f64 = 0.49;
/// Entries of a matrix whose transforms cost more than what they save.
const LARGE: usize = 1 << 20;

/// A product, cut into polynomials. All parties make the same plan from the same shape.
///
/// The plan takes the fewest bytes, one input and one output together: each of the others sends
/// its input to each owner and gets that owner's output, so the number of owners changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    shape: Shape,
    params: Params,
    width: Width,
    /// r, c and h.
    block: [usize; 3],
}

impl Plan {
    /// The plan with the fewest bytes.
    ///
    /// # Errors
    /// [`Error::Range`] for a shape that is none, and when no parameters carry the noise.
    pub fn new(shape: Shape) -> Result<Self, Error> {
        shape.check()?;
        let mut best: Option<(usize, Self)> = None;
        let mut least_noise = f64::INFINITY;
        for params in Params::ALL {
            let residues = params.limbs() as u32 * RESIDUE_BITS;
            let quantised = shape.ring + GUARD;
            let width = if quantised < residues { Width::Bits(quantised) } else { Width::Residues };
            for h in parts(shape.vectors, params.degree()) {
                let h = shape.rounded(h).min(params.degree());
                for c in parts(shape.inner(), params.degree() / h) {
                    let r = (params.degree() / (c * h)).min(shape.rows);
                    let r = shape.rows.div_ceil(shape.rows.div_ceil(r));
                    let plan = Self { shape, params, width, block: [r, c, h] };
                    let noise = plan.noise();
                    least_noise = least_noise.min(noise);
                    let cost = plan.input_bytes() + plan.output_bytes();
                    if noise < NOISE && best.as_ref().is_none_or(|(least, _)| cost < *least) {
                        best = Some((cost, plan));
                    }
                }
            }
        }
        let bits = shape.entry_bits;
        best.map(|(_, plan)| plan).ok_or_else(|| {
            Error::Range(format!(
                "a product of {} x {} entries of {bits} bits mod 2^{} would be off by 2^{:.1} with \
                 the largest parameters there are",
                shape.rows,
                shape.inner(),
                shape.ring,
                least_noise.log2()
            ))
        })
    }

    /// The same inputs with another owner's matrix of fewer rows.
    ///
    /// # Errors
    /// [`Error::Internal`] when it has more rows, or none.
    pub fn with_rows(mut self, rows: usize) -> Result<Self, Error> {
        if rows == 0 || rows > self.shape.rows {
            return Err(Error::internal(format!("{rows} rows of {}", self.shape.rows)));
        }
        self.shape.rows = rows;
        self.block[0] = self.block[0].min(rows);
        Ok(self)
    }

    /// A product of one block under parameters that protect nothing, where it fits.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn insecure(shape: Shape) -> Option<Self> {
        let params = Params::INSECURE;
        let (residues, quantised) = (params.limbs() as u32 * RESIDUE_BITS, shape.ring + GUARD);
        let width = if quantised < residues { Width::Bits(quantised) } else { Width::Residues };
        let block = [shape.rows, shape.inner(), shape.vectors];
        Self { shape, params, width, block }.with_block(block)
    }

    /// The same product cut into other blocks.
    #[cfg(any(test, feature = "test-util"))]
    pub(super) fn with_block(mut self, block: [usize; 3]) -> Option<Self> {
        self.block = block;
        (block.iter().product::<usize>() <= self.params.degree() && self.noise() < NOISE)
            .then_some(self)
    }

    /// The largest error of the sum of the shares of one owner's product, in units of the ring; for
    /// each element it holds but for a probability of 2^-71 (docs/protocols.md 6.4).
    #[must_use]
    pub fn largest_error(&self) -> u32 {
        self.shape.parties as u32 / 2
    }

    /// The bound of the noise in units of the ring, without the roundings of the shares: derived
    /// in docs/protocols.md 6.4.
    fn noise(&self) -> f64 {
        let Shape { ring, parties, entry_bits, .. } = self.shape;
        let (n, senders) = (self.params.degree() as f64, (parties - 1) as f64);
        let entry = f64::from(entry_bits).exp2();
        let (rows, inner) = (self.block[0] as f64, self.shape.inner() as f64);
        // X e, u e_pk and e1 s are sums of independent errors.
        let squares = senders * rows * inner * entry * entry + senders * n + senders * senders * n;
        let errors = TAIL * (VARIANCE * squares).sqrt();
        // The rounding of q v / t, 1/2 for each sender, meets a row of X.
        let roundings = senders / 2.0 * inner * entry;
        // log2 q is the bits of its primes less 2^-25 each.
        let q = f64::from(self.params.limbs() as u32 * RESIDUE_BITS) - 1e-6;
        let unit = (f64::from(ring) - q).exp2();
        let quantised = match self.width {
            Width::Residues => 0.0,
            // Half a unit of 2^-bits, and half a unit of q when it is lifted, for each coefficient
            // of each s.
            Width::Bits(bits) => {
                n * senders / 2.0 * (unit + (f64::from(ring) - f64::from(bits)).exp2())
            }
        };
        unit * (errors + roundings) + quantised
    }

    /// The shape.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The parameters; a party has one key for each set.
    #[must_use]
    pub fn params(&self) -> Params {
        self.params
    }

    /// Columns in blocks.
    pub(super) fn column_blocks(&self) -> usize {
        self.shape.inner().div_ceil(self.block[1])
    }

    /// Vectors in blocks.
    pub(super) fn vector_blocks(&self) -> usize {
        self.shape.vectors.div_ceil(self.block[2])
    }

    /// Rows in blocks: what an owner multiplies at a time.
    #[must_use]
    pub fn row_blocks(&self) -> usize {
        self.shape.rows.div_ceil(self.block[0])
    }

    /// The rows of a block.
    #[must_use]
    pub fn rows_of(&self, block: usize) -> Range<usize> {
        let r = self.block[0];
        (block * r).min(self.shape.rows)..((block + 1) * r).min(self.shape.rows)
    }

    /// The rows of blocks that follow each other.
    #[must_use]
    pub fn rows_of_all(&self, blocks: &Range<usize>) -> Range<usize> {
        self.rows_of(blocks.start).start..self.rows_of(blocks.end.max(1) - 1).end
    }

    /// Blocks of rows that an owner takes together, so that it reads its inputs once for all of them.
    #[must_use]
    pub fn blocks_at_once(&self) -> usize {
        const MOST: usize = 8;
        const WORDS: usize = 1 << 21;
        if self.is_sparse() { (WORDS / self.rows_words()).clamp(1, MOST) } else { 1 }
    }

    /// All blocks of rows, as an owner takes them together.
    pub fn groups(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (all, at_once) = (self.row_blocks(), self.blocks_at_once());
        (0..all).step_by(at_once).map(move |first| first..all.min(first + at_once))
    }

    /// Words that an owner keeps of a block of rows.
    #[must_use]
    pub fn rows_words(&self) -> usize {
        let each = self.params.degree() / if self.is_sparse() { self.stride() } else { 1 };
        self.column_blocks() * self.params.limbs() * each
    }

    /// Whether entries are so far apart that each value of a transform fills whole panels.
    pub(super) fn is_sparse(&self) -> bool {
        self.stride() >= PANEL
    }

    /// What two owners have in common who share the inputs.
    pub(super) fn inputs_of(&self) -> (Params, Shape, [usize; 2]) {
        let [_, c, h] = self.block;
        (self.params, Shape { rows: 0, ..self.shape }, [c, h])
    }

    /// Ciphertexts of an input.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.column_blocks() * self.vector_blocks()
    }

    /// Bytes of an input: what each other party sends, the same to all owners.
    #[must_use]
    pub fn input_bytes(&self) -> usize {
        self.inputs() * self.params.poly_bytes()
    }

    /// Bytes of the output of one block of rows.
    #[must_use]
    pub fn block_bytes(&self) -> usize {
        self.vector_blocks() * self.output_poly_bytes()
    }

    pub(super) fn output_poly_bytes(&self) -> usize {
        match self.width {
            Width::Residues => self.params.poly_bytes(),
            Width::Bits(bits) => self.params.degree() / 8 * bits as usize,
        }
    }

    /// Bytes of the whole output: what the owner sends, the same to all others.
    #[must_use]
    pub fn output_bytes(&self) -> usize {
        self.row_blocks() * self.block_bytes()
    }

    pub(super) fn width(&self) -> Width {
        self.width
    }

    /// What divides all places of entries ([`entry_places`](Self::entry_places)): h, if it is a power of two,
    /// and else 1.
    pub(super) fn stride(&self) -> usize {
        if self.block[2].is_power_of_two() { self.block[2] } else { 1 }
    }

    /// Coefficients of an input polynomial that hold anything: the first c h.
    pub(super) fn input_len(&self) -> usize {
        self.block[1] * self.block[2]
    }

    /// Where the elements of V of an input polynomial are: its coefficient, the row and the column
    /// of V, the rows counted limb by limb.
    pub(super) fn input_places(
        &self,
        columns: usize,
        vectors: usize,
    ) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let [_, c, h] = self.block;
        let (first, inner) = (columns * c, self.shape.inner());
        let (from, all) = (vectors * h, self.shape.vectors);
        (first..(first + c).min(inner)).flat_map(move |j| {
            (from..(from + h).min(all)).map(move |k| ((j - first) * h + k - from, j, k))
        })
    }

    /// Where the entries of X of a block are: coefficient, row in the block, column.
    pub(super) fn entry_places(
        &self,
        block: usize,
        columns: usize,
    ) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let [_, c, h] = self.block;
        let (first, inner) = (columns * c, self.shape.inner());
        (0..self.rows_of(block).len()).flat_map(move |i| {
            (first..(first + c).min(inner))
                .map(move |j| (i * c * h + (c - 1 - (j - first)) * h, i, j))
        })
    }

    /// Where the elements of the product are: coefficient, row in the block, vector.
    pub(super) fn output_places(
        &self,
        block: usize,
        vectors: usize,
    ) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let [_, c, h] = self.block;
        let (from, all) = (vectors * h, self.shape.vectors);
        (0..self.rows_of(block).len()).flat_map(move |i| {
            (from..(from + h).min(all)).map(move |k| (i * c * h + (c - 1) * h + k - from, i, k))
        })
    }
}

/// The sizes up to `most` of parts into which `count` things can be divided evenly, one for each
/// number of parts that differs in size.
fn parts(count: usize, most: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(count.min(most)), move |&size| {
        // The next smaller size that makes more parts.
        let more = count.div_ceil(size) + 1;
        let next = count.div_ceil(more).min(size - 1);
        (next > 0).then_some(next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rows: usize, columns: usize, vectors: usize, ring: u32) -> Shape {
        Shape { rows, columns, vectors, entry_bits: 16, entry_limbs: 1, ring, parties: 3 }
    }

    #[test]
    fn sizes_cover_every_number_of_parts() {
        assert_eq!(parts(10, 100).collect::<Vec<_>>(), [10, 5, 4, 3, 2, 1]);
        assert_eq!(parts(10, 4).collect::<Vec<_>>(), [4, 3, 2, 1]);
        assert_eq!(parts(1, 8).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn a_forward_product_is_small_and_a_backward_one_takes_a_longer_modulus() {
        let forward = Plan::new(shape(43, 100, 5, 64)).expect("fits");
        assert_eq!(forward.params(), Params::ALL[0]);
        assert_eq!(forward.width(), Width::Bits(84));
        let backward = Plan::new(shape(100, 43, 5, 120)).expect("fits");
        assert_eq!((backward.params().degree(), backward.params().limbs()), (8192, 3));
        assert!(backward.noise() < NOISE);
        // Where nothing is lifted the shorter one carries it as well.
        let plain = Plan::new(shape(100, 43, 5, 64)).expect("fits");
        assert_eq!((plain.params(), plain.width()), (Params::ALL[0], Width::Bits(84)));
    }

    #[test]
    fn what_fits_nothing_is_refused_with_numbers() {
        for wrong in [
            Shape { rows: 0, ..shape(1, 1, 1, 64) },
            Shape { ring: 129, ..shape(1, 1, 1, 64) },
            Shape { parties: 1, ..shape(1, 1, 1, 64) },
            Shape { entry_bits: 32, ..shape(1, 1, 1, 64) },
            Shape { entry_limbs: 2, ..shape(1, 1, 1, 64) },
        ] {
            assert!(matches!(Plan::new(wrong), Err(Error::Range(_))));
        }
        let many = Shape { parties: 1 << 20, ..shape(1, 1, 1, 64) };
        let error = Plan::new(many).expect_err("too many senders").to_string();
        assert!(error.contains("2^64") && error.contains("off by"), "{error}");
    }

    /// What an owner of many rows holds at a time is the inputs and one block.
    #[test]
    fn a_long_matrix_is_many_small_blocks() {
        let plan = Plan::new(shape(100_000, 100, 30, 64)).expect("fits");
        assert_eq!(plan.params(), Params::ALL[0]);
        assert!(plan.inputs() * plan.params().poly_bytes() < 6_000_000);
        assert!(plan.block_bytes() < 50_000);
        assert_eq!(plan.output_bytes(), plan.row_blocks() * plan.block_bytes());
        let rows: usize = (0..plan.row_blocks()).map(|block| plan.rows_of(block).len()).sum();
        assert_eq!(rows, 100_000);
    }

    /// All r c t places of a block are different, and products of other places never come there.
    #[test]
    fn products_come_to_places_of_their_own() {
        for (r, c, t) in [(1, 1, 1), (3, 5, 4), (4, 4, 4), (7, 3, 3), (2, 31, 1), (1, 9, 7)] {
            let degree = 64;
            assert!(r * c * t <= degree);
            let mut plan = Plan::new(shape(r, c, t, 64)).expect("fits");
            plan.block = [r, c, t];
            let results: Vec<_> = plan.output_places(0, 0).collect();
            assert_eq!(results.len(), r * t);
            for (place, row, vector) in results {
                let mut terms = 0;
                for (at, i, j) in plan.entry_places(0, 0) {
                    for (from, other, k) in plan.input_places(0, 0) {
                        if (at + from) % degree == place {
                            assert!(at + from < degree && i == row && j == other && k == vector);
                            terms += 1;
                        }
                    }
                }
                assert_eq!(terms, c);
            }
        }
    }
}
