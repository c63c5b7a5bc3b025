//! The parties that know the masks.

use std::ops::Range;

use zeroize::Zeroizing;

use super::params::{Lift, Params, VALUE};
use super::plan::{Plan, Width};
use super::sample::{Common, Stream};
use super::wire::{BitReader, BitWriter, add_poly, put_poly};
use super::words::Words;
use crate::error::Error;
use crate::rand::{Coins, MaskSite, MaskSwitch};
use crate::ring::wire::mask;

/// A party with its secret key for one session, label and parameter set.
pub struct Sender {
    common: Common,
    /// In the domain of the transform.
    secret: Words,
    errors: Stream,
    /// The first product that was not encrypted yet.
    next: u64,
}

impl Sender {
    /// A fresh key, and its public half for all owners: p s + e.
    ///
    /// # Security
    /// The session id must be new at every start. MaskSites: `RlweSecret`, `RlweKey`.
    ///
    /// # Errors
    /// When the operating system has no randomness.
    pub fn generate(params: Params, session: &[u8], label: &str) -> Result<(Self, Vec<u8>), Error> {
        Ok(Self::under(params, session, label, MaskSwitch::default(), &mut Coins::fresh()?))
    }

    pub(in crate::correlations::pairwise) fn under(
        params: Params,
        session: &[u8],
        label: &str,
        switch: MaskSwitch,
        coins: &mut Coins,
    ) -> (Self, Vec<u8>) {
        let rns = params.rns();
        let common = Common::new(params, session, label);
        let mut secret = rns.poly();
        let mut stream = Stream::fresh(MaskSite::RlweSecret, switch, coins);
        rns.add_signed(&stream.ternary(params.degree()), &mut secret);
        rns.forward(&mut secret);
        let mut key = rns.poly();
        let mut stream = Stream::fresh(MaskSite::RlweKey, switch, coins);
        rns.add_signed(&stream.errors(params.degree()), &mut key);
        rns.forward(&mut key);
        rns.add_products(&common.key(), &secret, &mut key);
        let mut bytes = Vec::with_capacity(params.poly_bytes());
        put_poly(&key, &mut bytes);
        let errors = Stream::fresh(MaskSite::RlweInput, switch, coins);
        (Self { common, secret, errors, next: 0 }, bytes)
    }

    /// The parameter set.
    #[must_use]
    pub fn params(&self) -> Params {
        self.common.params()
    }

    /// a s + e + round(q v / t) for all blocks of `v`, `columns` x `vectors`, row by row: the
    /// bytes for every owner.
    ///
    /// # Security
    /// Two messages under one a and s would give away their difference, so the `index`, which is
    /// that of the product at all parties, only goes up. MaskSites: `RlweSecret`, `RlweInput`.
    ///
    /// # Errors
    /// [`Error::Internal`] for an index that was passed, another shape or other parameters.
    pub fn encrypt(
        &mut self,
        plan: &Plan,
        index: u64,
        v: &[u128],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let shape = plan.shape();
        if index < self.next {
            return Err(Error::internal(format!("product {index} was encrypted before")));
        }
        if plan.params() != self.params() || v.len() != shape.columns * shape.vectors {
            return Err(Error::internal("a product of another shape"));
        }
        self.next = index.checked_add(1).ok_or_else(|| Error::internal("the last product"))?;
        let (params, rns) = (plan.params(), plan.params().rns());
        let lift = Lift::new(rns, shape.ring);
        let mut out = Zeroizing::new(Vec::with_capacity(plan.input_bytes()));
        let (mut poly, mut a) = (rns.poly(), rns.poly());
        let mut values = Zeroizing::new(vec![[0; VALUE]; plan.input_len()]);
        for columns in 0..plan.column_blocks() {
            for vectors in 0..plan.vector_blocks() {
                poly.fill(0);
                rns.add_signed(&self.errors.errors(params.degree()), &mut poly);
                for (at, j, k) in plan.input_places(columns, vectors) {
                    let limb = 32 * (j / shape.columns) as u32;
                    let value = v[j % shape.columns * shape.vectors + k] << limb;
                    let value = value & mask(shape.ring);
                    values[at] = [value as u64, (value >> 64) as u64, 0];
                }
                lift.add(&values, 0, &mut poly);
                values.fill([0; VALUE]);
                rns.forward(&mut poly);
                let number = columns * plan.vector_blocks() + vectors;
                self.common.ciphertext(index, number, |limb, residues| {
                    let at = limb * residues.len();
                    a[at..at + residues.len()].copy_from_slice(residues);
                });
                rns.add_products(&a, &self.secret, &mut poly);
                put_poly(&poly, &mut out);
            }
        }
        Ok(out)
    }

    /// This party's share of the product for the rows of some whole blocks, from the owner's
    /// `message`: -round(c1 s t / q), row by row.
    ///
    /// `None` unless the message is what is due for these blocks.
    #[must_use]
    pub fn finish(
        &self,
        plan: &Plan,
        blocks: Range<usize>,
        message: &[u8],
    ) -> Option<Zeroizing<Vec<u128>>> {
        if plan.params() != self.params()
            || blocks.end > plan.row_blocks()
            || message.len() != blocks.len() * plan.block_bytes()
        {
            return None;
        }
        let (shape, rns) = (plan.shape(), plan.params().rns());
        let mut polys = message.chunks_exact(plan.output_poly_bytes());
        let lift = match plan.width() {
            Width::Residues => None,
            Width::Bits(bits) => Some((bits, Lift::new(rns, bits))),
        };
        let (mut c1, mut product) = (rns.poly(), rns.poly());
        let rows: usize = blocks.clone().map(|block| plan.rows_of(block).len()).sum();
        let mut shares = Zeroizing::new(vec![0; rows * shape.vectors]);
        let mut from = 0;
        for block in blocks {
            let share = &mut shares[from..][..plan.rows_of(block).len() * shape.vectors];
            from += share.len();
            for vectors in 0..plan.vector_blocks() {
                let bytes = polys.next()?;
                c1.fill(0);
                product.fill(0);
                match &lift {
                    None => add_poly(plan.params(), bytes, &mut c1)?,
                    Some((bits, lift)) => {
                        let mut reader = BitReader::new(bytes);
                        let values: Vec<_> =
                            (0..plan.params().degree()).map(|_| reader.take(*bits)).collect();
                        lift.add(&values, 0, &mut c1);
                    }
                }
                rns.forward(&mut c1);
                rns.add_products(&c1, &self.secret, &mut product);
                rns.inverse(&mut product);
                for (at, i, k) in plan.output_places(block, vectors) {
                    let value = low(rns.scaled(&product, at, shape.ring)).wrapping_neg();
                    share[i * shape.vectors + k] = value & mask(shape.ring);
                }
            }
        }
        Some(shares)
    }
}

pub(super) fn low(value: [u64; 3]) -> u128 {
    u128::from(value[0]) | u128::from(value[1]) << 64
}

/// c1 as bytes.
pub(super) fn put_output(plan: &Plan, c1: &[u64], out: &mut Vec<u8>) {
    match plan.width() {
        Width::Residues => put_poly(c1, out),
        Width::Bits(bits) => {
            let rns = plan.params().rns();
            let mut writer = BitWriter::new(out);
            for at in 0..plan.params().degree() {
                writer.put(rns.scaled(c1, at, bits), bits);
            }
            writer.finish();
        }
    }
}
