//! Rows that are worked on together.

/// An array of an expression for each of `$n` indices.
///
/// For vectors this cannot be `std::array::from_fn`: a closure that needs a processor's features
/// is not inlined into a function that lacks them, and everything would go through memory.
macro_rules! array {
    ($i:ident < $n:expr => $of:expr) => {{
        let mut all = [{
            let $i = 0;
            $of
        }; $n];
        for $i in 1..$n {
            all[$i] = $of;
        }
        all
    }};
}
pub(super) use array;

/// The rows of a block; the last one again in place of those that are missing.
#[inline(always)]
pub fn rows_of<T, const N: usize>(block: &[T], columns: usize) -> [&[T]; N] {
    let last = block.len() / columns - 1;
    array!(r < N => &block[last.min(r) * columns..][..columns])
}
