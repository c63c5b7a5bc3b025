//! Plaintext twins of the protocols: what each computes, on values that nobody hides. Tests
//! compare the protocols with these.

use crate::approx::Series;
use crate::protocols::solve::InversePlan;
use crate::protocols::threshold::{Level, ThresholdRule};
use crate::ring::{Ring, kernels};

/// The sum of all parties' shares.
#[must_use]
pub fn reconstruct<R: Ring>(shares: &[crate::Shared<R>]) -> Vec<R> {
    let mut sum = vec![R::ZERO; shares.first().map_or(0, crate::Shared::len)];
    for share in shares {
        for (sum, &value) in sum.iter_mut().zip(share.as_slice()) {
            *sum += value;
        }
    }
    sum
}

/// A B for A of m x k and B of k x n ([`crate::protocols::product`]).
#[must_use]
pub fn product<R: Ring>(a: &[R], b: &[R], k: usize, n: usize) -> Vec<R> {
    let mut c = vec![R::ZERO; a.len() / k.max(1) * n];
    kernels::add_product(a, b, &mut c, k, n);
    c
}

/// x / 2^drop, rounded to the nearest integer ([`crate::protocols::truncate`]).
#[must_use]
pub fn truncate(x: i128, drop: u32) -> i128 {
    if drop == 0 { x } else { (x + (1 << (drop - 1))) >> drop }
}

/// X v and X^T v for integer matrices ([`crate::protocols::owned`]).
#[must_use]
pub fn owned_product(x: &[i32], v: &[i128], transposed: bool) -> Vec<i128> {
    if transposed {
        let columns = x.len() / v.len().max(1);
        let mut sums = vec![0i128; columns];
        for (row, v) in x.chunks_exact(columns.max(1)).zip(v) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                *sum += i128::from(x) * v;
            }
        }
        return sums;
    }
    x.chunks_exact(v.len().max(1))
        .map(|row| row.iter().zip(v).map(|(&x, v)| i128::from(x) * v).sum())
        .collect()
}

/// The series at real arguments ([`crate::protocols::series`]).
#[must_use]
pub fn series(series: &Series, z: &[f64]) -> Vec<f64> {
    z.iter().map(|&z| series.value(z)).collect()
}

/// The inverse of a symmetric positive definite matrix as `plan` iterates it from the identity, in
/// double precision ([`crate::protocols::solve`]); and the residual one step before the end.
#[must_use]
pub fn inverse(plan: &InversePlan, g: &[f64]) -> (Vec<f64>, f64) {
    let d = plan.settings().order;
    let product = |a: &[f64], b: &[f64]| -> Vec<f64> {
        (0..d * d).map(|at| (0..d).map(|k| a[at / d * d + k] * b[k * d + at % d]).sum()).collect()
    };
    let mut x: Vec<f64> = (0..d * d).map(|at| f64::from(u8::from(at / d == at % d))).collect();
    let mut residual = 0.0;
    for (alpha, beta) in plan.coefficients() {
        let gx = product(g, &x);
        residual = d as f64 - (0..d).map(|i| gx[i * (d + 1)]).sum::<f64>();
        let xgx = product(&x, &gx);
        x = x.iter().zip(&xgx).map(|(x, xgx)| alpha * x - beta * xgx).collect();
    }
    (x, residual)
}

/// Whether x < c ([`crate::protocols::compare`]).
#[must_use]
pub fn below(x: &[i128], c: &[i128]) -> Vec<bool> {
    x.iter().zip(c).map(|(x, c)| x < c).collect()
}

/// Whether counts may be released: for each party its own counts, cell by cell
/// ([`crate::protocols::threshold`]).
#[must_use]
pub fn releasable(rule: ThresholdRule, counts: &[Vec<u64>]) -> bool {
    let cells = counts.first().map_or(0, Vec::len);
    (0..cells).all(|cell| {
        let total: u64 = counts.iter().map(|own| own[cell]).sum();
        match rule.level {
            Level::Outsiders => !rule.is_small(total),
            Level::Participants => counts.iter().all(|own| !rule.is_small(total - own[cell])),
        }
    })
}

/// The interval of cells in which a quantile of the parties' numbers is told to lie, of 2^levels cells; none where
/// there are too few numbers ([`crate::protocols::quantile`]).
#[must_use]
pub fn quantile(
    rule: ThresholdRule,
    numbers: &[&[u32]],
    (levels, percent): (u32, u32),
) -> Option<std::ops::Range<u64>> {
    let within = |cells: &std::ops::Range<u64>| -> Vec<Vec<u64>> {
        let own = |numbers: &&[u32]| {
            numbers.iter().filter(|number| cells.contains(&u64::from(**number))).count() as u64
        };
        numbers.iter().map(|numbers| vec![own(numbers)]).collect()
    };
    let total = |cells: &std::ops::Range<u64>| -> u64 { within(cells).iter().flatten().sum() };
    let mut cells = 0..1u64 << levels;
    let all = total(&cells);
    let more =
        ThresholdRule { least: rule.least * crate::protocols::quantile::LEAST_TIMES, ..rule };
    if !releasable(more, &within(&cells)) {
        return None;
    }
    for _ in 0..levels {
        let middle = cells.start + (cells.end - cells.start) / 2;
        let upper = 100 * total(&(0..middle)) < u64::from(percent) * all;
        let half = if upper { middle..cells.end } else { cells.start..middle };
        if !releasable(rule, &within(&half)) {
            break;
        }
        cells = half;
    }
    Some(cells)
}

/// Which cells of a list are kept back, of the parties' own counts ([`crate::protocols::suppress`]).
#[must_use]
pub fn suppressed(least: u32, counts: &[Vec<u64>]) -> Vec<bool> {
    let least = u64::from(least);
    let cells = counts.first().map_or(0, Vec::len);
    let of = |cell: usize| counts.iter().map(move |own| own[cell]);
    let mut mark: Vec<bool> =
        (0..cells).map(|cell| of(cell).any(|count| (1..least).contains(&count))).collect();
    if !mark.contains(&true) {
        return mark;
    }
    let Some(large) = (0..cells).find(|&cell| of(cell).all(|count| count >= least)) else {
        return vec![true; cells];
    };
    mark[large] = true;
    let marked = mark.iter().filter(|&&mark| mark).count() as u64;
    let enough = counts.iter().all(|own| {
        let all: u64 = own.iter().zip(&mark).filter(|(_, mark)| **mark).map(|(own, _)| own).sum();
        all + 3 >= marked + 2 * least
    });
    if enough { mark } else { vec![true; cells] }
}
