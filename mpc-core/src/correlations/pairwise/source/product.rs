//! What a job of the RLWE lines multiplies, and what becomes of the shares.
//!
//! Every job has a part for each *owner*: a matrix that the owner alone knows, times vectors that
//! each other party knows its own of, summed over these (docs/protocols.md 6.4).
//!
//! | job | owner's matrix | a party's vectors | the part's share goes |
//! |---|---|---|---|
//! | forward | rows X_i | masks mu of the columns, the same for all owners | to the owner's rows |
//! | transposed | X_i^T | masks u of the owner's rows | into the sum |
//! | factor of a triple | share A_i | share B, the same for all owners | into the sum |

use std::ops::Range;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::super::sacrifice::{self, Made};
use super::super::triples::{OwnLeft, ProductShape, right_factor, without_spare_rows, words};
use super::transfers::split_right;
use crate::correlations::{Correlation, OwnedMatrix, OwnedProduct, OwnedProductRequest};
use crate::error::Error;
use crate::rand::Prg;
use crate::ring::{Ring, Z64, Z128, kernels};
use crate::session::Session;
use crate::share::Shared;

/// Entries of an owner's matrix.
pub(super) enum Entries {
    Small(Zeroizing<Vec<i32>>),
    Wide(OwnLeft),
}

/// What a job multiplies.
pub(super) enum Product {
    Owned(Owned),
    Factor(Factor),
}

/// Owned products with the same rows, made at once.
pub(super) struct Owned {
    request: OwnedProductRequest,
    matrix: Arc<OwnedMatrix>,
    /// The own masks rho of each product.
    masks: Vec<Zeroizing<Vec<Z128>>>,
}

/// Right factors of one left factor, made at once.
pub(super) struct Factor {
    shape: ProductShape,
    /// Whether rows are given up for a check.
    checked: bool,
    /// The own share of A, and these rows.
    a: OwnLeft,
    /// The own share of B.
    b: Zeroizing<Vec<u128>>,
    /// Columns of each right factor.
    columns: Vec<u32>,
}

/// The sizes of one owner's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartShape {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) vectors: usize,
    /// Bits of the entries; none for those mod 2^ring.
    pub(super) entry_bits: Option<u32>,
    pub(super) ring: u32,
}

impl Product {
    /// Draws the own masks of `count` products. MaskSite: `ForwardMask` or `TransposedMask`.
    pub(super) fn owned(
        request: OwnedProductRequest,
        matrix: Arc<OwnedMatrix>,
        count: usize,
        (me, masks): (usize, &mut Prg),
    ) -> Self {
        let columns = matrix.shape.columns as usize;
        let mut draw = || {
            if !request.transposed {
                // One for each column and public column.
                let count = columns + request.public_columns as usize;
                return masks.elements(count, request.mask_bits);
            }
            // One for each row of the others, zero at the own rows.
            let mut rho = Zeroizing::new(Vec::with_capacity(request.total_rows()));
            for (owner, &(from, to)) in request.rows.iter().enumerate() {
                let rows = (to - from) as usize;
                if owner == me {
                    rho.extend(std::iter::repeat_n(Z128(0), rows));
                } else {
                    rho.extend_from_slice(&masks.elements::<Z128>(rows, request.mask_bits));
                }
            }
            rho
        };
        let masks = (0..count).map(|_| draw()).collect();
        Self::Owned(Owned { request, matrix, masks })
    }

    /// Draws the own share of B and, for a check, rows beside A. MaskSites: `TripleRight`,
    /// `TripleCheck`.
    pub(super) fn factor(
        shape: ProductShape,
        a: OwnLeft,
        columns: Vec<u32>,
        (right, spare, checked): (&mut Prg, &mut Prg, bool),
    ) -> Self {
        let count = shape.k * shape.n;
        let more = sacrifice::more(shape.m, checked) * shape.k;
        let a = if more == 0 {
            a
        } else {
            let mut rows = Zeroizing::new(Vec::with_capacity(a.len() + more));
            rows.extend_from_slice(&a);
            let spare = if shape.ring == 64 {
                words(&spare.elements::<Z64>(more, 64))
            } else {
                words(&spare.elements::<Z128>(more, 128))
            };
            rows.extend_from_slice(&spare);
            Arc::new(rows)
        };
        let b = if shape.ring == 64 {
            words(&right.elements::<Z64>(count, 64))
        } else {
            words(&right.elements::<Z128>(count, 128))
        };
        Self::Factor(Factor { shape, checked, a, b, columns })
    }

    /// The part of each owner; none for an owner without rows.
    pub(super) fn parts(&self, parties: usize) -> Vec<Option<PartShape>> {
        match self {
            Self::Owned(it) => (0..parties).map(|owner| it.part(owner)).collect(),
            Self::Factor(it) => {
                let ProductShape { m, k, n, ring } = it.shape.with_spare_rows(it.checked);
                let (rows, columns, vectors) = (m, k, n);
                vec![Some(PartShape { rows, columns, vectors, entry_bits: None, ring }); parties]
            }
        }
    }

    /// Whether all owners are sent the same vectors.
    pub(super) fn same_for_all(&self) -> bool {
        match self {
            Self::Owned(it) => !it.request.transposed,
            Self::Factor(_) => true,
        }
    }

    /// The own vectors for `owner`: columns x vectors of its part, row by row.
    pub(super) fn vectors(&self, owner: usize) -> Zeroizing<Vec<u128>> {
        match self {
            Self::Owned(it) if it.request.transposed => it.multipliers(it.stacked(owner)),
            Self::Owned(it) => it.multipliers(0..it.columns()),
            Self::Factor(it) => Zeroizing::new(it.b.to_vec()),
        }
    }

    /// The own matrix: rows x columns of the own part.
    pub(super) fn entries(&self, me: usize) -> Entries {
        match self {
            Self::Owned(it) => {
                let own = it.own_rows(me);
                let entries = if it.request.transposed {
                    transposed(own, it.columns())
                } else {
                    own.to_vec()
                };
                Entries::Small(Zeroizing::new(entries))
            }
            Self::Factor(it) => Entries::Wide(Arc::clone(&it.a)),
        }
    }

    /// Adds what the own matrix makes of the own vectors: no cryptography is needed for that.
    pub(super) fn add_own(&self, me: usize, share: &mut [u128]) {
        let Self::Owned(it) = self else { return };
        if it.request.transposed {
            return; // The owner draws no masks for its own rows.
        }
        let products = it.masks.len();
        for (t, rho) in it.masks.iter().enumerate() {
            let mu = rho[..it.columns()].iter().map(|rho| (rho.0 >> it.request.drop) as u64);
            let mu: Zeroizing<Vec<u64>> = Zeroizing::new(mu.collect());
            let own = kernels::small_times_vector(it.own_rows(me), &mu);
            for (share, product) in share.iter_mut().skip(t).step_by(products).zip(own) {
                *share = share.wrapping_add(u128::from(product));
            }
        }
    }

    /// The correlations, from the own share of each owner's part: rows x vectors, row by row.
    pub(super) fn finish(self, shares: &[Option<Zeroizing<Vec<u128>>>]) -> Finished {
        match self {
            Self::Owned(it) => Finished::Ready(it.finish(shares)),
            Self::Factor(it) => {
                let shape = it.shape.with_spare_rows(it.checked);
                let mut cross = Zeroizing::new(vec![0u128; shape.m * shape.n]);
                for share in shares.iter().flatten() {
                    for (sum, value) in cross.iter_mut().zip(share.iter()) {
                        *sum = sum.wrapping_add(*value);
                    }
                }
                let (k, n) = (shape.k, shape.n);
                let all = if shape.ring == 64 {
                    Correlation::Right64(right_factor(shape, &it.a, ring(&it.b, k, n), &cross))
                } else {
                    Correlation::Right128(right_factor(shape, &it.a, ring(&it.b, k, n), &cross))
                };
                Finished::Factor(Box::new((it, all)))
            }
        }
    }
}

/// What became of a job.
pub(super) enum Finished {
    /// Its correlations.
    Ready(Vec<Correlation>),
    /// A right factor for all that it serves, which may have to be checked.
    Factor(Box<(Factor, Correlation)>),
}

impl Finished {
    /// The correlations, after the check of a factor. Five rounds where there is one.
    pub(super) async fn checked(
        self,
        session: &mut Session,
        number: &mut u64,
    ) -> Result<Vec<Correlation>, Error> {
        let (it, all) = match self {
            Self::Ready(made) => return Ok(made),
            Self::Factor(both) => *both,
        };
        if !it.checked {
            return split_right(all, &it.columns);
        }
        let what = (&it.shape, Made::Nearly);
        let all = match all {
            Correlation::Right64(factor) => {
                sacrifice::check(session, number, what, &it.a, &factor).await?;
                Correlation::Right64(without_spare_rows(factor, it.shape.m))
            }
            Correlation::Right128(factor) => {
                sacrifice::check(session, number, what, &it.a, &factor).await?;
                Correlation::Right128(without_spare_rows(factor, it.shape.m))
            }
            _ => return Err(Error::internal("a right factor was ordered")),
        };
        split_right(all, &it.columns)
    }
}

impl Owned {
    fn columns(&self) -> usize {
        self.matrix.shape.columns as usize
    }

    fn rows(&self, party: usize) -> Range<usize> {
        let (from, to) = self.request.rows[party];
        from as usize..to as usize
    }

    fn own_rows(&self, me: usize) -> &[i32] {
        let (rows, columns) = (self.rows(me), self.columns());
        &self.matrix.own.entries()[rows.start * columns..rows.end * columns]
    }

    /// Where the rows of a party stand in the stack of all.
    fn stacked(&self, party: usize) -> Range<usize> {
        let from = (0..party).map(|before| self.rows(before).len()).sum();
        from..from + self.rows(party).len()
    }

    fn part(&self, owner: usize) -> Option<PartShape> {
        let (rows, columns, vectors) = (self.rows(owner).len(), self.columns(), self.masks.len());
        let (rows, columns) =
            if self.request.transposed { (columns, rows) } else { (rows, columns) };
        (!self.rows(owner).is_empty()).then_some(PartShape {
            rows,
            columns,
            vectors,
            entry_bits: Some(self.matrix.shape.entry_bits),
            ring: self.request.ring,
        })
    }

    /// floor(rho / 2^drop) at some places of each mask.
    fn multipliers(&self, places: Range<usize>) -> Zeroizing<Vec<u128>> {
        let mut out = Zeroizing::new(Vec::with_capacity(places.len() * self.masks.len()));
        for place in places {
            out.extend(self.masks.iter().map(|rho| rho[place].0 >> self.request.drop));
        }
        out
    }

    fn finish(self, shares: &[Option<Zeroizing<Vec<u128>>>]) -> Vec<Correlation> {
        let (products, columns) = (self.masks.len(), self.columns());
        let parts = || shares.iter().flatten();
        let mut made = Vec::with_capacity(products);
        for (t, rho) in self.masks.into_iter().enumerate() {
            made.push(if self.request.transposed {
                let mut product = Shared::<Z128>::zero(columns, 1);
                for share in parts() {
                    let share = share.iter().skip(t).step_by(products);
                    for (sum, &value) in product.as_mut_slice().iter_mut().zip(share) {
                        *sum += Z128(value);
                    }
                }
                Correlation::Transposed(OwnedProduct { rho, product })
            } else {
                // A party without rows has no part, and no rows in the stack either.
                let stack = parts().flat_map(|share| share.iter().skip(t).step_by(products));
                let product = Shared::column(stack.map(|&value| Z64(value as u64)).collect());
                Correlation::Forward(OwnedProduct { rho, product })
            });
        }
        made
    }
}

fn ring<R: Ring>(values: &[u128], rows: usize, columns: usize) -> Shared<R> {
    Shared::new(values.iter().map(|&v| R::from_u128(v)).collect(), rows, columns)
}

fn transposed(own: &[i32], columns: usize) -> Vec<i32> {
    let mut out = Vec::with_capacity(own.len());
    for column in 0..columns {
        out.extend(own.iter().skip(column).step_by(columns));
    }
    out
}
