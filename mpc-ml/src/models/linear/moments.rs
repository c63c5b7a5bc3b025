//! A party's own sums of products, exactly.
//!
//! An entry has up to 44 bits, a target 40, and no processor multiplies such numbers in vectors.
//! So the second factor of a product is cut into two parts, and with a wide `clip` the first one
//! too; the parts are integers in floating point, and few enough are added up at a time that
//! nothing is rounded ([`gram`]).

use std::ops::Range;
use std::task::Poll;

use mpc_core::ring::kernels::Level;
use mpc_core::ring::kernels::gram::{self, Four, TILE, Tile};
use mpc_core::{cores, side_by_side};
use zeroize::Zeroizing;

use super::encoding::Encoding;
use super::plan::{X_FRACTION, Y_FRACTION};
use crate::rows::Rows;

/// Rows that are summed before the runtime is given a chance to move bytes.
pub(super) const ROWS_A_TURN: usize = 512;
/// Rows of a block at most: more would not stay in the cache.
const MOST_ROWS: usize = 64;
/// With fewer rows in a block, both factors are cut.
const FEWEST_ROWS: usize = 8;
/// With so many columns a turn takes a millisecond or more, and is shared among cores.
const WIDE: usize = 64;
/// Blocks of sums below 2^51 that fit 64 bits.
const BLOCKS_A_FOLD: usize = 1 << 11;
/// A target is cut into three parts, two of this many bits.
const Y_CUT: u32 = 14;

/// X^T X (the upper triangle, row by row) and X^T y over a party's own rows as integers, the
/// intercept's column of ones last. Wiped on drop.
pub(super) struct Moments {
    /// At scale 2 [`X_FRACTION`].
    pub(super) xx: Zeroizing<Vec<i128>>,
    /// At scale [`X_FRACTION`] + [`Y_FRACTION`].
    pub(super) xy: Zeroizing<Vec<i128>>,
}

impl Moments {
    /// Goes through the rows once: clips, rounds, adds. Entries are at most 2^44 (X) and 2^40 (y)
    /// in magnitude and there are at most 10^9 rows, so the sums are below 2^118.
    pub(super) async fn of(rows: &Rows, encoding: &Encoding) -> Self {
        Self::at(Level::of_processor(), rows, encoding).await
    }

    async fn at(level: Level, rows: &Rows, encoding: &Encoding) -> Self {
        let d = encoding.weights();
        let mut sums =
            Self { xx: Zeroizing::new(vec![0; d * (d + 1) / 2]), xy: Zeroizing::new(vec![0; d]) };
        let threads = if d >= WIDE { cores() } else { 1 };
        let mut all: Vec<Panels> = (0..threads).map(|_| Panels::new(encoding)).collect();
        for begin in (0..rows.len()).step_by(threads * ROWS_A_TURN) {
            let parts = all.iter_mut().enumerate().map(|(part, panels)| {
                let begin = rows.len().min(begin + part * ROWS_A_TURN);
                (panels, begin..rows.len().min(begin + ROWS_A_TURN))
            });
            side_by_side(parts, |(panels, part): (&mut Panels, Range<usize>)| {
                for begin in part.clone().step_by(panels.cut.rows) {
                    let block = begin..part.end.min(begin + panels.cut.rows);
                    panels.fill(rows, encoding, block.clone());
                    panels.add(level, block.len());
                    panels.blocks += 1;
                }
            });
            for panels in &mut all {
                if panels.blocks + ROWS_A_TURN > BLOCKS_A_FOLD {
                    panels.fold(&mut sums);
                }
            }
            pause().await;
        }
        all.iter_mut().for_each(|panels| panels.fold(&mut sums));
        sums
    }

    /// Those of the rows that are not among these.
    pub(super) fn without(&self, part: &Self) -> Self {
        let less = |all: &[i128], part: &[i128]| {
            Zeroizing::new(all.iter().zip(part).map(|(all, part)| all - part).collect())
        };
        Self { xx: less(&self.xx, &part.xx), xy: less(&self.xy, &part.xy) }
    }
}

/// How the entries of a study are cut.
struct Cut {
    /// Bits of the lower part.
    bits: u32,
    /// Whether the first factor is cut as well.
    both: bool,
    /// Rows of a block, so that all its sums are exact.
    rows: usize,
}

impl Cut {
    /// From the public bound of the entries alone.
    fn new(clip: f64) -> Self {
        // The ones of an intercept are entries too.
        let largest = libm::ceil(libm::ldexp(clip.max(1.0), X_FRACTION as i32));
        let bits = (libm::ceil(libm::log2(largest)) as u32) / 2 + 1;
        let part = power(bits - 1).max(largest / power(bits) + 0.5);
        let second = part.max(power(Y_CUT - 1)).max(power(Y_FRACTION - 2 * Y_CUT) + 1.0);
        let rows = |first: f64| (gram::LARGEST_SUM / (first * second)) as usize;
        let both = rows(largest) < FEWEST_ROWS;
        let rows = rows(if both { part } else { largest });
        Self { bits, both, rows: rows.clamp(1, MOST_ROWS) }
    }
}

/// A block of rows, ready to be multiplied, and the sums of products of the blocks before.
struct Panels {
    cut: Cut,
    /// Blocks in the sums.
    blocks: usize,
    /// The number of coefficients.
    weights: usize,
    /// Groups of four columns of the first factor.
    groups: usize,
    /// A row in one piece, behind the coefficients zeros. The intercept's entry stays.
    entries: Zeroizing<Vec<f64>>,
    /// The entries by groups, where the first factor is whole.
    whole: Zeroizing<Vec<Four>>,
    /// The upper and the lower part of each entry. After the last coefficient a target has its
    /// three: the upper and the middle one, then the lowest one and nothing.
    parts: [Zeroizing<Vec<Four>>; 2],
    /// For each part of the first factor, the sums of its products with both parts of the second.
    sums: Vec<[Zeroizing<Vec<Tile>>; 2]>,
}

impl Panels {
    fn new(encoding: &Encoding) -> Self {
        let cut = Cut::new(encoding.clip);
        let weights = encoding.weights();
        let (groups, all) = (weights.div_ceil(TILE), (weights + 2).div_ceil(TILE));
        let mut entries = Zeroizing::new(vec![0.0; all * TILE]);
        if encoding.intercept {
            entries[weights - 1] = power(X_FRACTION);
        }
        let panel = |groups: usize| Zeroizing::new(vec![[0.0; TILE]; groups * cut.rows]);
        let tiles = || Zeroizing::new(vec![[[0; TILE]; TILE]; gram::tiles(groups, all)]);
        Self {
            blocks: 0,
            weights,
            groups,
            entries,
            whole: panel(if cut.both { 0 } else { groups }),
            parts: [panel(all), panel(all)],
            sums: (0..1 + usize::from(cut.both)).map(|_| [tiles(), tiles()]).collect(),
            cut,
        }
    }

    /// Takes the rows of a block: clips, rounds, cuts.
    fn fill(&mut self, rows: &Rows, encoding: &Encoding, block: Range<usize>) {
        let (middle, half) = encoding.target_scale();
        let (clip, one, unit) = (encoding.clip, power(X_FRACTION), power(self.cut.bits));
        let down = 1.0 / unit;
        let count = block.len();
        let [upper, lower] = &mut self.parts;
        for (at, row) in block.enumerate() {
            for (entry, x) in self.entries.iter_mut().zip(rows.row(row)) {
                *entry = round(x.clamp(-clip, clip) * one);
            }
            let entries = self.entries.as_chunks::<TILE>().0;
            for (group, entries) in entries.iter().enumerate() {
                let high = entries.map(|entry| round(entry * down));
                upper[group * count + at] = high;
                for lane in 0..TILE {
                    lower[group * count + at][lane] = entries[lane] - high[lane] * unit;
                }
            }
            if !self.cut.both {
                for (group, entries) in entries[..self.groups].iter().enumerate() {
                    self.whole[group * count + at] = *entries;
                }
            }
            // Another party may have the targets; then there are no sums with them.
            let Some(y) = rows.y().get(row) else { continue };
            let y = y.clamp(encoding.target.0, encoding.target.1);
            let y = round(((y - middle) / half).clamp(-1.0, 1.0) * power(Y_FRACTION));
            let y_unit = power(Y_CUT);
            let upper_two = round(y / y_unit);
            let high = round(upper_two / y_unit);
            let place = |column: usize| (column / TILE * count + at, column % TILE);
            let (group, lane) = place(self.weights);
            upper[group][lane] = high;
            lower[group][lane] = upper_two - high * y_unit;
            let (group, lane) = place(self.weights + 1);
            upper[group][lane] = y - upper_two * y_unit;
        }
    }

    /// Multiplies the block of `rows` rows.
    fn add(&mut self, level: Level, rows: usize) {
        let [upper, lower] = &self.parts;
        let second = [upper, lower].map(|part| &part[..self.entries.len() / TILE * rows]);
        let first: &[&[Four]] = if self.cut.both { &[upper, lower] } else { &[&self.whole] };
        for (first, [high, low]) in first.iter().zip(&mut self.sums) {
            gram::add(level, rows, &first[..self.groups * rows], second, [high, low]);
        }
    }

    /// Brings the sums together and begins anew.
    fn fold(&mut self, moments: &mut Moments) {
        self.blocks = 0;
        let all = self.entries.len() / TILE;
        let cut = self.cut.bits;
        // The lower part of a first factor, the only one where it is whole, counts in ones.
        let scales = if self.cut.both { [cut, 0] } else { [0, 0] };
        for ([high, low], scale) in self.sums.iter_mut().zip(scales) {
            let mut xx = moments.xx.iter_mut();
            for (i, xy) in moments.xy.iter_mut().enumerate() {
                // Tiles before this line of tiles, and those left of the diagonal.
                let line = gram::tiles(i / TILE, all) - i / TILE;
                let sum = |part: &[Tile], j: usize, bits: u32| {
                    i128::from(part[line + j / TILE][i % TILE][j % TILE]) << (scale + bits)
                };
                for (j, xx) in (i..self.weights).zip(&mut xx) {
                    *xx += sum(high, j, cut) + sum(low, j, 0);
                }
                let y = self.weights;
                *xy += sum(high, y, 2 * Y_CUT) + sum(low, y, Y_CUT) + sum(high, y + 1, 0);
            }
            high.fill([[0; TILE]; TILE]);
            low.fill([[0; TILE]; TILE]);
        }
    }
}

fn power(bits: u32) -> f64 {
    libm::ldexp(1.0, bits as i32)
}

/// The nearest integer, an even one in the middle, for magnitudes below 2^51. (The sum has no
/// place for a fraction; the functions of the libraries are slow without special instructions.)
fn round(value: f64) -> f64 {
    const ONES: f64 = 3.0 * (1u64 << 51) as f64;
    (value + ONES) - ONES
}

/// Lets other tasks run once.
pub(super) async fn pause() {
    let mut paused = false;
    std::future::poll_fn(|context| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use proptest::prelude::*;

    use super::*;

    fn encoding(columns: usize, intercept: bool, clip: f64) -> Encoding {
        Encoding { columns, intercept, clip, target: (-3.0, 5.0) }
    }

    fn ready<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            if let Poll::Ready(value) =
                future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return value;
            }
        }
    }

    /// Entry by entry, in the integers.
    fn plainly(rows: &Rows, encoding: &Encoding) -> (Vec<i128>, Vec<i128>) {
        let d = encoding.weights();
        let (middle, half) = encoding.target_scale();
        let fixed = |v: f64, fraction: u32| libm::rint(libm::ldexp(v, fraction as i32)) as i128;
        let (mut xx, mut xy) = (vec![0; d * (d + 1) / 2], vec![0; d]);
        for (row, &y) in rows.y().iter().enumerate() {
            let clipped = rows.row(row).iter().map(|x| x.clamp(-encoding.clip, encoding.clip));
            let mut x: Vec<i128> = clipped.map(|x| fixed(x, X_FRACTION)).collect();
            x.resize(d, 1 << X_FRACTION);
            let y = (y.clamp(encoding.target.0, encoding.target.1) - middle) / half;
            let y = fixed(y, Y_FRACTION);
            let pairs = (0..d).flat_map(|i| {
                x[i..].iter().map({
                    let x = &x;
                    move |other| x[i] * other
                })
            });
            xx.iter_mut().zip(pairs).for_each(|(sum, product)| *sum += product);
            xy.iter_mut().zip(&x).for_each(|(sum, x)| *sum += x * y);
        }
        (xx, xy)
    }

    fn check(rows: &Rows, encoding: &Encoding) {
        let (xx, xy) = plainly(rows, encoding);
        for level in Level::available() {
            let sums = ready(Moments::at(level, rows, encoding));
            assert!(*sums.xx == xx && *sums.xy == xy, "{} of {rows:?}", level.name());
        }
    }

    /// Around every width at which another way of cutting begins, to both ends of what a plan
    /// allows.
    fn clip() -> impl Strategy<Value = f64> {
        prop_oneof![
            Just(1e-3),
            Just(1.0),
            Just(6.0),
            Just(8.0),
            Just(16.0),
            Just(16.001),
            Just(65536.0),
            1e-3..65536.0f64,
        ]
    }

    /// In units of the clip: beyond it as often as within.
    fn entry() -> impl Strategy<Value = f64> {
        prop_oneof![-2.0..2.0f64, Just(1.0), Just(-1.0), Just(0.0), -1e-9..1e-9f64]
    }

    proptest! {
        #[test]
        fn sums_are_those_of_the_integers(
            columns in 1usize..12,
            intercept: bool,
            clip in clip(),
            cells in proptest::collection::vec(entry(), 0..2000),
            targets in proptest::collection::vec(-4.0..6.0f64, 2000),
        ) {
            let count = cells.len() / columns;
            let x = cells[..count * columns].iter().map(|x| x * clip).collect();
            let rows = Rows::new(x, targets[..count].to_vec(), columns);
            check(&rows, &encoding(columns, intercept, clip));
        }
    }

    /// Every product of its largest magnitude and of one sign, over more blocks than fit 64 bits.
    #[test]
    fn the_largest_entries_overflow_nothing() {
        for clip in [8.0, 16.0, 16.001, 65536.0] {
            let own = encoding(2, true, clip);
            let count = (BLOCKS_A_FOLD + 1) * Cut::new(clip).rows + 3;
            for sign in [1.0, -1.0] {
                let x = (0..count).flat_map(|_| [clip, sign * clip]).collect();
                check(&Rows::new(x, vec![sign * 9.0; count], 2), &own);
            }
        }
    }

    /// Of many columns, whose turns are shared among cores, and a last turn that not all of them have part in.
    #[test]
    fn sums_of_many_columns_are_those_of_the_integers() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(99);
            (state >> 40) as f64 / f64::from(1 << 22) - 2.0
        };
        let rows = 2 * ROWS_A_TURN * cores() + 100;
        let x = (0..rows * WIDE).map(|_| next()).collect();
        let y = (0..rows).map(|_| next()).collect();
        check(&Rows::new(x, y, WIDE), &encoding(WIDE, true, 1.5));
    }

    /// Entries whose parts are as large as they get: half a unit more or less than a whole one.
    #[test]
    fn the_largest_parts_overflow_nothing() {
        for clip in [1.0, 6.0, 8.0, 16.0, 16.001, 65536.0] {
            let cut = Cut::new(clip);
            let unit = power(cut.bits);
            let largest = clip * power(X_FRACTION);
            let upper = (largest / unit).floor();
            for half in [unit / 2.0, unit / 2.0 - 1.0] {
                for upper in [upper, upper - 1.0, upper - 2.0] {
                    let entry = (upper * unit + half).min(largest) / power(X_FRACTION);
                    let count = 5 * cut.rows + 1;
                    let x = (0..count).flat_map(|_| [entry, -entry, entry]).collect();
                    let target = 1.0 + 4.0 * (power(2 * Y_CUT) - power(Y_CUT - 1)) / power(40);
                    let y = vec![target; count];
                    check(&Rows::new(x, y, 3), &encoding(3, false, clip));
                }
            }
        }
    }

    #[test]
    fn sums_of_a_block_are_bounded_by_what_is_exact() {
        for (clip, both) in
            [(1e-3, false), (8.0, false), (16.0, false), (16.1, true), (65536.0, true)]
        {
            let cut = Cut::new(clip);
            assert_eq!(cut.both, both);
            assert!((FEWEST_ROWS..=MOST_ROWS).contains(&cut.rows), "{} rows", cut.rows);
        }
    }
}
