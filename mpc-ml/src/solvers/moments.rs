//! A party's own sums of products, exactly.

use std::task::Poll;

use zeroize::Zeroizing;

use crate::plan::linear::{LinearSettings, X_FRACTION, Y_FRACTION};
use crate::rows::Rows;

/// Rows that are summed before the runtime is given a chance to move bytes.
const ROWS_A_TURN: usize = 512;

/// X^T X (the upper triangle, row by row) and X^T y over a party's own rows as integers, the
/// intercept's column of ones last. Wiped on drop.
pub(super) struct Moments {
    /// At scale 2 [`X_FRACTION`].
    pub(super) xx: Zeroizing<Vec<i128>>,
    /// At scale [`X_FRACTION`] + [`Y_FRACTION`].
    pub(super) xy: Zeroizing<Vec<i128>>,
}

impl Moments {
    /// Goes through the rows once, one at a time: clips, rounds, adds. Entries are below 2^44
    /// (X) and 2^40 (y) in magnitude and there are at most 10^9 rows, so the sums are below 2^118.
    pub(super) async fn of(rows: &Rows, settings: &LinearSettings) -> Self {
        let d = settings.weights();
        let mut sums =
            Self { xx: Zeroizing::new(vec![0; d * (d + 1) / 2]), xy: Zeroizing::new(vec![0; d]) };
        let (middle, half) = settings.target_scale();
        let mut entries = Zeroizing::new(vec![1i64 << X_FRACTION; d]);
        for (row, &y) in rows.y().iter().enumerate() {
            for (entry, x) in entries.iter_mut().zip(rows.row(row)) {
                let x = x.clamp(-settings.clip, settings.clip);
                *entry = libm::rint(libm::ldexp(x, X_FRACTION as i32)) as i64;
            }
            let y =
                ((y.clamp(settings.target.0, settings.target.1) - middle) / half).clamp(-1.0, 1.0);
            sums.add(&entries, libm::rint(libm::ldexp(y, Y_FRACTION as i32)) as i64);
            if row % ROWS_A_TURN == ROWS_A_TURN - 1 {
                pause().await;
            }
        }
        sums
    }

    fn add(&mut self, entries: &[i64], y: i64) {
        let mut rest = self.xx.as_mut_slice();
        for (i, &x) in entries.iter().enumerate() {
            let (sums, after) = rest.split_at_mut(entries.len() - i);
            for (sum, &other) in sums.iter_mut().zip(&entries[i..]) {
                *sum += i128::from(x) * i128::from(other);
            }
            rest = after;
            self.xy[i] += i128::from(x) * i128::from(y);
        }
    }
}

/// Lets other tasks run once.
async fn pause() {
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
