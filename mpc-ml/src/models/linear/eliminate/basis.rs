//! What the owner of the widest block does with its columns by itself (docs/protocols.md 13.3, steps 1 and
//! 3).

use mpc_core::{cores, side_by_side};
use zeroize::Zeroizing;

use super::plan::Elimination;
use super::triangular::Square;
use crate::data::Dataset;
use crate::error::Error;
use crate::models::linear::columns::{Products, target_entry};
use crate::models::linear::cross::CrossPlan;
use crate::models::linear::encoding::Encoding;
use crate::models::linear::moments::{Moments, ROWS_A_TURN, pause};
use crate::models::linear::plan::{LinearPlan, X_FRACTION};

/// Rows that are multiplied by the matrix of the basis at once.
const ROWS: usize = 8;

/// The matrix that makes a basis of the own columns: Q = A T.
pub(in super::super) struct Basis {
    t: Square,
}

/// The same, corrected by what rounding did to the basis, and what follows.
pub(super) struct Corrected {
    /// T T'.
    whole: Square,
    /// 1 + R.
    correction: Square,
    /// Q^T Q / nu.
    gram: Square,
    /// The diagonal of (T T') (T T')^T: the squares of its rows.
    pub(super) diagonal: Zeroizing<Vec<f64>>,
    /// The entries of [R | K_1^T | K_2^T] as integers.
    pub(super) entries: Vec<i32>,
}

/// The penalty over nu.
fn penalty(plan: &LinearPlan, how: &Elimination) -> f64 {
    let rows = plan.total_rows() as f64;
    plan.settings().l2 * rows / libm::ldexp(1.0, how.units as i32)
}

impl Basis {
    /// The basis, and its entries as integers, row by row, the target behind them where it is here.
    ///
    /// # Errors
    /// [`Error::Data`], with the name of the column, when a column follows from others.
    pub(super) async fn of(
        plan: &LinearPlan,
        (how, cross): (&Elimination, &CrossPlan),
        data: &Dataset,
    ) -> Result<(Self, Vec<i32>), Error> {
        let (clip, own) = (plan.settings().clip, how.widest.columns.clone());
        let encoding = Encoding { columns: own.len(), intercept: false, ..plan.encoding().clone() };
        let moments = Moments::of(data.rows(), &encoding).await;
        let down = -(2 * X_FRACTION as i32 + how.units as i32);
        let penalty = penalty(plan, how);
        let a = own.len();
        // The upper triangle, row by row.
        let place = |i: usize, j: usize| i * a - i * (i + 1) / 2 + j;
        let gram = Square::of(a, |i, j| {
            let sum = moments.xx[place(i.min(j), i.max(j))] as f64;
            libm::ldexp(sum, down) + if i == j { penalty } else { 0.0 }
        });
        let most = how.longest * how.longest;
        let follows = |column: usize| dependent(plan, own.start + column);
        let lower = gram.factor(1.0 / most).map_err(follows)?;
        let t = lower.inverse_of_lower().transposed();
        let worst = (0..a).map(|i| (i, t.square_of_row(i)));
        let worst = worst.fold((0, 0.0), |all, one| if one.1 > all.1 { one } else { all });
        if worst.1 > most {
            return Err(follows(worst.0));
        }

        let rows = data.rows();
        let one = libm::ldexp(1.0, how.basis as i32);
        // In each row the basis, then the target where it is here.
        let width = a + usize::from(!rows.y().is_empty());
        let mut entries = vec![0; rows.len() * width];
        let turn = ROWS_A_TURN * cores();
        for (begin, entries) in (0..).step_by(turn).zip(entries.chunks_mut(turn * width)) {
            let pieces = entries.chunks_mut(ROWS * width).enumerate();
            side_by_side(pieces, |(piece, entries)| {
                let begin = begin + piece * ROWS;
                let mut sums = Zeroizing::new(vec![[0.0; ROWS]; a]);
                for j in 0..a {
                    let mut x = [0.0; ROWS];
                    for (at, x) in x[..entries.len() / width].iter_mut().enumerate() {
                        *x = rows.row(begin + at)[j].clamp(-clip, clip);
                    }
                    for (sum, t) in sums[j..].iter_mut().zip(t.row(j, j..a)) {
                        (0..ROWS).for_each(|at| sum[at] += t * x[at]);
                    }
                }
                for (at, entries) in entries.chunks_exact_mut(width).enumerate() {
                    let own = sums.iter().map(|sum| libm::rint(sum[at] * one) as i32);
                    let row = own.chain(target_entry(plan, cross, data, begin + at));
                    entries.iter_mut().zip(row).for_each(|(to, entry)| *to = entry);
                }
            });
            pause().await;
        }
        Ok((Self { t }, entries))
    }

    /// Corrects the basis by the sums of products of its entries.
    ///
    /// # Errors
    /// [`Error::Data`] when double precision did not make a basis of the columns.
    pub(super) fn corrected(
        self,
        plan: &LinearPlan,
        how: &Elimination,
        sums: &Products,
    ) -> Result<Corrected, Error> {
        let (own, penalty) = (how.widest.columns.clone(), penalty(plan, how));
        let a = own.len();
        let down = -(2 * how.basis as i32 + how.units as i32);
        let gram = Square::of(a, |i, j| {
            libm::ldexp(sums.at(own.start + i, own.start + j).0 as i128 as f64, down)
        });
        let pulled = if penalty > 0.0 {
            self.t.transposed().times(&self.t).scaled(penalty)
        } else {
            Square::of(a, |_, _| 0.0)
        };
        let whole = Square::of(a, |i, j| gram.at(i, j) + pulled.at(i, j));
        let inexact = || {
            Error::Data(
                "the own columns are so close to linearly dependent that double precision makes no basis of \
                 them: leave out columns that follow from others, or allow a smaller condition"
                    .to_owned(),
            )
        };
        let lower = whole.factor(0.25).map_err(|_| inexact())?;
        let second = lower.inverse_of_lower().transposed().scaled(1.0 - how.smaller());
        let unit = |i: usize, j: usize| f64::from(u8::from(i == j));
        let residue = Square::of(a, |i, j| second.at(i, j) - unit(i, j));
        let whole = self.t.times(&second);
        let k = whole.times(&second.transposed());
        let most = 4.0 * how.longest * how.longest;
        let long = |matrix: &Square| (0..a).any(|i| matrix.square_of_row(i) > most);
        if residue.frobenius() > how.rho || long(&whole) || long(&k) {
            return Err(inexact());
        }
        let [first, second] = how.back;
        let scaled = |value: f64, bits: u32| libm::rint(libm::ldexp(value, bits as i32));
        let mut entries = Vec::with_capacity(3 * a * a);
        for i in 0..a {
            entries.extend((0..a).map(|j| scaled(residue.at(i, j), how.correction) as i32));
            entries.extend((0..a).map(|j| scaled(k.at(j, i), first) as i32));
            entries.extend((0..a).map(|j| {
                let coarse = libm::ldexp(scaled(k.at(j, i), first), -(first as i32));
                scaled(k.at(j, i) - coarse, second) as i32
            }));
        }
        let diagonal = Zeroizing::new((0..a).map(|i| whole.square_of_row(i)).collect());
        let correction = Square::of(a, |i, j| residue.at(i, j) + unit(i, j));
        Ok(Corrected { whole, correction, gram, diagonal, entries })
    }
}

impl Corrected {
    /// The coefficients of the corrected basis that belong to coefficients of the columns.
    pub(super) fn coefficients(&self, of_columns: &[f64]) -> Zeroizing<Vec<f64>> {
        self.whole.solve_upper(of_columns)
    }

    /// The sum of squares over all rows of what they give, over nu.
    pub(super) fn square(&self, coefficients: &[f64]) -> f64 {
        let basis = self.correction.times_column(coefficients);
        let products = self.gram.times_column(&basis);
        basis.iter().zip(products.iter()).map(|(a, b)| a * b).sum()
    }
}

/// The refusal of a column that follows from others of the same party.
fn dependent(plan: &LinearPlan, column: usize) -> Error {
    let name = plan.facts().names.get(column);
    let name = name.map_or_else(|| format!("column {column} of the design matrix"), Clone::clone);
    Error::Data(format!(
        "{name} follows from other columns of your own to more digits than condition {} allows: leave it \
         out, merge levels that are rare, or have the study set an l2 penalty; nothing was sent",
        plan.condition()
    ))
}
