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

    /// Multiplies a block of rows: appends the message for all others to `message`, and puts the
    /// own share of these rows, row by row, into `share`.
    ///
    /// # Security
    /// Each output is masked with u p + e1 of its own, so one block may be multiplied any number
    /// of times. MaskSites: `RlweOutput`, `RlweOutputError`.
    ///
    /// # Errors
    /// [`Error::Internal`] while keys or inputs are missing, for rows of another plan, or a share
    /// of another length.
    pub fn multiply(
        &mut self,
        inputs: &Inputs,
        rows: &Rows,
        message: &mut Vec<u8>,
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
        let plan = &rows.plan;
        let (degree, rns) = (plan.params().degree(), plan.params().rns());
        if share.len() != plan.rows_of(rows.block).len() * shape.vectors {
            return Err(Error::internal("a share of another length"));
        }
        message.reserve(plan.block_bytes());
        let polys = plan.column_blocks() * rns.limbs() * degree;
        let (mut c0, mut c1, mut u) = (rns.poly(), rns.poly(), rns.poly());
        for vectors in 0..plan.vector_blocks() {
            c0.fill(0);
            c1.fill(0);
            u.fill(0);
            rns.add_signed(&self.masks.ternary(degree), &mut u);
            rns.forward(&mut u);
            let group = vectors * polys..(vectors + 1) * polys;
            rns.add_products(&rows.polys, &inputs.b[group.clone()], &mut c0);
            rns.add_products(&u, &self.p0, &mut c0);
            rns.add_products(&rows.polys, &inputs.a[group], &mut c1);
            rns.add_products(&u, &self.p, &mut c1);
            rns.inverse(&mut c0);
            rns.inverse(&mut c1);
            rns.add_signed(&self.errors.errors(degree), &mut c1);
            put_output(plan, &c1, message);
            for (at, i, k) in plan.output_places(rows.block, vectors) {
                share[i * shape.vectors + k] = low(rns.scaled(&c0, at, shape.ring));
            }
        }
        Ok(())
    }
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

/// A block of rows as polynomials in the domain of the transform; 8 bytes for each coefficient
/// and prime, and good for any number of products.
pub struct Rows {
    plan: Plan,
    block: usize,
    /// By prime; the columns panel by panel.
    polys: Words,
}

impl Rows {
    /// Takes the rows `plan.rows_of(block)`, row by row.
    ///
    /// # Errors
    /// [`Error::Internal`] for another number or kind of entries.
    pub fn new(plan: &Plan, block: usize, entries: Entries<'_>) -> Result<Self, Error> {
        let shape = plan.shape();
        let (len, wide) = match entries {
            Entries::Small(entries) => (entries.len(), false),
            Entries::Wide(entries) => (entries.len(), true),
        };
        if len == 0
            || len != plan.rows_of(block).len() * shape.columns
            || wide != (shape.entry_limbs > 1)
        {
            return Err(Error::internal("rows of another shape"));
        }
        let (degree, rns) = (plan.params().degree(), plan.params().rns());
        let mut polys = Words::zero(plan.column_blocks() * rns.limbs() * degree);
        // Entries stand at multiples of h: where that is a power of two, the transform is a smaller one.
        let stride = plan.stride();
        let mut small = Zeroizing::new(vec![0i64; degree / stride]);
        let (mut few, mut poly) = (Words::zero(degree / stride), Words::zero(degree));
        for columns in 0..plan.column_blocks() {
            small.fill(0);
            for (at, i, j) in plan.entry_places(block, columns) {
                let entry = i * shape.columns + j % shape.columns;
                small[at / stride] = match entries {
                    Entries::Small(entries) => entries[entry].into(),
                    Entries::Wide(entries) => limb_of(entries[entry], j / shape.columns),
                };
            }
            for limb in 0..rns.limbs() {
                let q = rns.modulus(limb);
                let coefficients = if stride > 1 { &mut few } else { &mut poly };
                for (to, &value) in coefficients.iter_mut().zip(small.iter()) {
                    *to = q.signed(value);
                }
                if stride > 1 {
                    rns.forward_limb_strided(limb, &mut few, &mut poly);
                } else {
                    rns.forward_limb(limb, &mut poly);
                }
                let len = plan.column_blocks() * degree;
                let of = &mut polys[limb * len..(limb + 1) * len];
                let panels = panels_mut(of, plan.column_blocks(), columns);
                for (to, from) in panels.zip(poly.as_chunks().0) {
                    *to = *from;
                }
            }
        }
        Ok(Self { plan: *plan, block, polys })
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
