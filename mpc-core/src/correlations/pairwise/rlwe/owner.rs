//! The party that knows the matrix.

use std::ops::Range;

use zeroize::Zeroizing;

use super::params::Params;
use super::plan::Plan;
use super::sample::{Common, Stream};
use super::sender::{low, put_output};
use super::wire::{add_limb, add_poly};
use super::words::Words;
use crate::error::Error;
use crate::rand::{Coins, MaskSite, MaskSwitch};
use crate::ring::kernels::ntt::{PANEL, panels_mut};

/// An owner for one session, label and parameter set: the keys of all others, and fresh
/// randomness for every output.
pub struct Owner {
    common: Common,
    /// p, and the sum of the others' p s + e. In the domain of the transform.
    p: Words,
    p0: Words,
    keys: usize,
    /// u, and e1 of each output.
    masks: Stream,
    errors: Stream,
}

impl Owner {
    /// An owner that has no keys yet.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn new(params: Params, session: &[u8], label: &str) -> Result<Self, Error> {
        Ok(Self::under(params, session, label, MaskSwitch::default(), &mut Coins::fresh()?))
    }

    pub(in crate::correlations::pairwise) fn under(
        params: Params,
        session: &[u8],
        label: &str,
        switch: MaskSwitch,
        coins: &mut Coins,
    ) -> Self {
        let common = Common::new(params, session, label);
        let (p, p0) = (common.key(), params.rns().poly());
        let masks = Stream::fresh(MaskSite::RlweOutput, switch, coins);
        let errors = Stream::fresh(MaskSite::RlweOutputError, switch, coins);
        Self { common, p, p0, keys: 0, masks, errors }
    }

    /// Takes the public key of one of the other parties.
    ///
    /// `None`, and the owner is of no use any more, unless these are the bytes of a key.
    #[must_use]
    pub fn add_key(&mut self, bytes: &[u8]) -> Option<()> {
        add_poly(self.common.params(), bytes, &mut self.p0)?;
        self.keys += 1;
        Some(())
    }

    /// The start of a product: the public polynomials of its inputs.
    ///
    /// # Errors
    /// [`Error::Internal`] for a plan with other parameters.
    pub fn begin(&self, plan: &Plan, index: u64) -> Result<Inputs, Error> {
        if plan.params() != self.common.params() {
            return Err(Error::internal("a product with other parameters"));
        }
        let mut inputs = Inputs::new(*plan);
        for number in 0..plan.inputs() {
            self.common.ciphertext(index, number, |limb, residues| {
                let (of, which) = place(plan, number, limb);
                let panels = panels_mut(&mut inputs.a[of], plan.column_blocks(), which);
                for (to, from) in panels.zip(residues.as_chunks().0) {
                    *to = *from;
                }
            });
        }
        Ok(inputs)
    }

    /// Draws what masks the outputs of some blocks of rows.
    #[must_use]
    pub fn masks(&mut self, plan: &Plan, blocks: Range<usize>) -> Masks {
        let outputs = blocks.len() * plan.vector_blocks();
        let words = outputs * self.common.params().degree();
        let (masks, errors) = (self.masks.part(words), self.errors.part(words));
        Masks { blocks, outputs, masks, errors }
    }

    /// Multiplies blocks of rows: the message for all others goes into `message`, the own share of these rows, row
    /// by row, into `share`.
    ///
    /// # Security
    /// Each output is masked with u p + e1 of its own, so one block may be multiplied any number
    /// of times. MaskSites: `RlweOutput`, `RlweOutputError`.
    ///
    /// # Errors
    /// [`Error::Internal`] while keys or inputs are missing, for rows of another plan, masks of other blocks, or a
    /// message or share of another length.
    pub fn multiply(
        &self,
        inputs: &Inputs,
        rows: &Rows,
        mut masks: Masks,
        message: &mut [u8],
        share: &mut [u128],
    ) -> Result<(), Error> {
        let plan = &inputs.plan;
        let shape = plan.shape();
        if self.keys != shape.parties - 1 || inputs.count != self.keys {
            return Err(Error::internal("keys or inputs are missing"));
        }
        if rows.plan.inputs_of() != plan.inputs_of() {
            return Err(Error::internal("rows of another product"));
        }
        let (plan, blocks) = (&rows.plan, &rows.blocks);
        let outputs = blocks.len() * plan.vector_blocks();
        if (&masks.blocks, masks.outputs) != (blocks, outputs) {
            return Err(Error::internal("masks of another product"));
        }
        if message.len() != blocks.len() * plan.block_bytes()
            || share.len() != plan.rows_of_all(blocks).len() * shape.vectors
        {
            return Err(Error::internal("a message or a share of another length"));
        }
        let (degree, rns) = (plan.params().degree(), plan.params().rns());
        let polys = plan.column_blocks() * rns.limbs() * degree;
        let (mut c0, mut c1, mut u) = (rns.poly(), rns.poly(), rns.poly());
        let mut sums = [(); 2].map(|()| Words::zero(blocks.len() * rns.limbs() * degree));
        let bytes_each = plan.output_poly_bytes();
        let mut bytes = Vec::with_capacity(bytes_each);
        let first = plan.rows_of_all(blocks).start;
        for vectors in 0..plan.vector_blocks() {
            let group = vectors * polys..(vectors + 1) * polys;
            for (sums, inputs) in sums.iter_mut().zip([&inputs.b, &inputs.a]) {
                sums.fill(0);
                rows.add_products(&inputs[group.clone()], sums);
            }
            for (at, block) in blocks.clone().enumerate() {
                for (to, from) in [&mut c0, &mut c1].into_iter().zip(&sums) {
                    let limbs = from.chunks_exact(degree).skip(at).step_by(blocks.len());
                    to.chunks_exact_mut(degree)
                        .zip(limbs)
                        .for_each(|(to, from)| to.copy_from_slice(from));
                }
                u.fill(0);
                rns.add_signed(&masks.masks.ternary(degree), &mut u);
                rns.forward(&mut u);
                rns.add_products(&u, &self.p0, &mut c0);
                rns.add_products(&u, &self.p, &mut c1);
                rns.inverse(&mut c0);
                rns.inverse(&mut c1);
                rns.add_signed(&masks.errors.errors(degree), &mut c1);
                bytes.clear();
                put_output(plan, &c1, &mut bytes);
                // In a message the outputs of a block stand together.
                let place = (at * plan.vector_blocks() + vectors) * bytes_each;
                message[place..place + bytes_each].copy_from_slice(&bytes);
                for (place, i, k) in plan.output_places(block, vectors) {
                    let row = plan.rows_of(block).start - first + i;
                    share[row * shape.vectors + k] = low(rns.scaled(&c0, place, shape.ring));
                }
            }
        }
        Ok(())
    }
}

/// What masks the outputs of some blocks of rows: drawn once, and gone with the product.
pub struct Masks {
    blocks: Range<usize>,
    outputs: usize,
    /// u, and e1 of each output.
    masks: Stream,
    errors: Stream,
}

/// Where a limb of an input stands: by vectors and prime, and among which of the columns.
fn place(plan: &Plan, number: usize, limb: usize) -> (Range<usize>, usize) {
    let (columns, vectors) = (number / plan.vector_blocks(), number % plan.vector_blocks());
    let len = plan.column_blocks() * plan.params().degree();
    let at = (vectors * plan.params().limbs() + limb) * len;
    (at..at + len, columns)
}

/// The inputs of a product, added up. In the domain of the transform; by vectors, then by prime,
/// the columns panel by panel.
pub struct Inputs {
    plan: Plan,
    a: Words,
    b: Words,
    count: usize,
}

impl Inputs {
    fn new(plan: Plan) -> Self {
        let len = plan.inputs() * plan.params().limbs() * plan.params().degree();
        Self { plan, a: Words::zero(len), b: Words::zero(len), count: 0 }
    }

    /// Adds the input of one of the other parties.
    ///
    /// `None`, and the product is of no use any more, unless these are the bytes of an input.
    #[must_use]
    pub fn add(&mut self, bytes: &[u8]) -> Option<()> {
        if bytes.len() != self.plan.input_bytes() {
            return None;
        }
        let (params, count) = (self.plan.params(), self.plan.column_blocks());
        let mut summand = Words::zero(params.degree());
        for (number, bytes) in bytes.chunks_exact(params.poly_bytes()).enumerate() {
            for (limb, bytes) in bytes.chunks_exact(bytes.len() / params.limbs()).enumerate() {
                summand.fill(0);
                add_limb(params, limb, bytes, &mut summand)?;
                let q = params.rns().modulus(limb);
                let (of, which) = place(&self.plan, number, limb);
                let panels = panels_mut(&mut self.b[of], count, which);
                for (to, from) in panels.zip(summand.as_chunks::<PANEL>().0) {
                    to.iter_mut().zip(from).for_each(|(to, &from)| *to = q.sum(*to, from));
                }
            }
        }
        self.count += 1;
        Some(())
    }
}

/// The entries of some rows: small, or any mod 2^ring.
#[derive(Clone, Copy)]
pub enum Entries<'a> {
    /// For `entry_limbs` = 1.
    Small(&'a [i32]),
    /// For more.
    Wide(&'a [u128]),
}

/// Blocks of rows as polynomials in the domain of the transform, and good for any number of products. Each column and prime
/// takes 8 bytes for each coefficient, or for each place where entries can be if these are [`PANEL`] apart.
pub struct Rows {
    plan: Plan,
    blocks: Range<usize>,
    /// By prime. If entries are far apart: block by block, the values of all columns at one place after the other. Else of one
    /// block, the columns panel by panel.
    polys: Words,
}

impl Rows {
    /// Takes the rows of some blocks ([`Plan::rows_of_all`]), [`Plan::blocks_at_once`] at most, row by row.
    ///
    /// # Errors
    /// [`Error::Internal`] for another number or kind of entries, or more blocks.
    pub fn new(plan: &Plan, blocks: Range<usize>, entries: Entries<'_>) -> Result<Self, Error> {
        let shape = plan.shape();
        let (len, wide) = match entries {
            Entries::Small(entries) => (entries.len(), false),
            Entries::Wide(entries) => (entries.len(), true),
        };
        let rows = plan.rows_of_all(&blocks);
        if len == 0
            || len != rows.len() * shape.columns
            || wide != (shape.entry_limbs > 1)
            || blocks.len() > plan.blocks_at_once()
        {
            return Err(Error::internal("rows of another shape"));
        }
        let at = |row: usize, column: usize| {
            let entry = row * shape.columns + column % shape.columns;
            match entries {
                Entries::Small(entries) => entries[entry].into(),
                Entries::Wide(entries) => limb_of(entries[entry], column / shape.columns),
            }
        };
        let (degree, rns, count) =
            (plan.params().degree(), plan.params().rns(), plan.column_blocks());
        let stride = plan.stride();
        let few = degree / stride;
        // Small transforms are made of all columns together, the others of one after the other.
        let together = if stride > 1 { count } else { 1 };
        let mut small = Zeroizing::new(vec![0i64; few * together]);
        let mut values = Words::zero(if plan.is_sparse() { 0 } else { few * together });
        let len = plan.rows_words() / rns.limbs() * blocks.len();
        let mut polys = Words::zero(len * rns.limbs());
        for (number, block) in blocks.clone().enumerate() {
            let first = plan.rows_of(block).start - rows.start;
            for columns in (0..count).step_by(together) {
                small.fill(0);
                for column in 0..together {
                    for (place, i, j) in plan.entry_places(block, columns + column) {
                        small[place / stride * together + column] = at(first + i, j);
                    }
                }
                for (limb, of) in polys.chunks_exact_mut(len).enumerate() {
                    let q = rns.modulus(limb);
                    let to = if plan.is_sparse() {
                        &mut of[number * small.len()..][..small.len()]
                    } else {
                        &mut *values
                    };
                    to.iter_mut().zip(small.iter()).for_each(|(to, &x)| *to = q.signed(x));
                    if stride > 1 {
                        rns.forward_few(limb, together, to);
                    } else {
                        rns.forward_limb(limb, to);
                    }
                    if plan.is_sparse() {
                        continue;
                    }
                    for column in 0..together {
                        let panels = panels_mut(of, count, columns + column);
                        if stride == 1 {
                            let values = values.as_chunks().0;
                            panels.zip(values).for_each(|(to, values)| *to = *values);
                            continue;
                        }
                        let mut values = values.iter().skip(column).step_by(together);
                        for to in panels.flat_map(|panel| panel.chunks_exact_mut(stride)) {
                            to.fill(values.next().copied().unwrap_or_default());
                        }
                    }
                }
            }
        }
        Ok(Self { plan: *plan, blocks, polys })
    }

    /// Adds the products with inputs of one block of vectors, prime by prime and in it block by block.
    fn add_products(&self, inputs: &[u64], sums: &mut [u64]) {
        let rns = self.plan.params().rns();
        if self.plan.is_sparse() {
            rns.add_few_products(self.plan.column_blocks(), &self.polys, inputs, sums);
        } else {
            rns.add_products(&self.polys, inputs, sums);
        }
    }
}

/// Digit number `limb` of x to the base 2^32, in -2^31 .. 2^31. The digits add up to x mod 2^128.
fn limb_of(x: u128, limb: usize) -> i64 {
    // Adding 2^31 to each lower digit makes the carries that signed digits cause.
    const HALVES: u128 = 0x8000_0000_8000_0000_8000_0000_8000_0000;
    let carries = HALVES & ((1 << (32 * limb)) - 1);
    let digit = (x.wrapping_add(carries) >> (32 * limb)) as u32;
    i64::from(digit as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_digits_add_up() {
        for x in [0, 1, u128::MAX, 1 << 127, 0x8000_0000, 0x7fff_ffff_8000_0000, 0xdead_beef << 61]
        {
            let sum = (0..4).fold(0u128, |sum, limb| {
                let digit = limb_of(x, limb);
                assert!(digit.abs() <= 1 << 31);
                sum.wrapping_add((i128::from(digit) as u128) << (32 * limb))
            });
            assert_eq!(sum, x);
        }
    }
}
