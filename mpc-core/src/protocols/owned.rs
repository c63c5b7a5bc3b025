//! Products with a matrix whose rows their owners know (docs/protocols.md 4).
//!
//! The matrix never leaves its owners. Before, a source made shares of X mu for fresh masks mu.
//! Now v + mu is opened by [`BoundedOpening`](super::truncate::BoundedOpening), whose public part
//! c an owner multiplies by its rows: X v = X c - X mu. No further round.

use std::ops::Range;

use crate::ring::{Z64, Z128, kernels};
use crate::share::Shared;

/// This party's share of X v mod 2^64, stacked over the rows of all parties.
///
/// `own` is this party's rows (row by row, `public.len()` columns), `place` their place in the
/// stack, `public` the opened part c of v. Local.
///
/// # Panics
/// When the shapes do not fit; they are public.
#[must_use]
pub fn forward(
    own: &[i32],
    place: Range<usize>,
    public: &[i128],
    product: Shared<Z64>,
) -> Shared<Z64> {
    let public: Vec<u64> = public.iter().map(|&c| c as u64).collect();
    assert_eq!(own.len(), place.len() * public.len(), "own rows have their place in the stack");
    let mut share = -product;
    let mine = kernels::small_times_vector(own, &public);
    for (value, xc) in share.as_mut_slice()[place].iter_mut().zip(mine) {
        *value += Z64(xc);
    }
    share
}

/// This party's share of X^T v mod 2^128, summed over the rows of all parties.
///
/// `own` is this party's rows (row by row, as many columns as `product` has elements), `public`
/// the opened part c of v at these rows, which this party alone learned. Local.
///
/// # Panics
/// When the shapes do not fit; they are public.
#[must_use]
pub fn transposed(own: &[i32], public: &[i128], product: Shared<Z128>) -> Shared<Z128> {
    assert_eq!(own.len(), public.len() * product.len(), "one opened value for each own row");
    let public: Vec<u128> = public.iter().map(|&c| c as u128).collect();
    let mut sums = vec![0; product.len()];
    kernels::add_small_transposed(own, &public, &mut sums);
    let mut share = -product;
    for (value, xc) in share.as_mut_slice().iter_mut().zip(sums) {
        *value += Z128(xc);
    }
    share
}
