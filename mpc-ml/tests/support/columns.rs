//! One table, its columns at different parties.

use mpc_ml::Rows;
use mpc_ml::data::Dataset;
use ndarray::{ArrayView1, ArrayView2, s};

/// What each party has of a table: `widths[j]` columns, party 0 the first ones, and `holder` the target.
pub fn at_parties(whole: &Rows, widths: &[u32], holder: usize) -> Vec<Dataset> {
    let table = ArrayView2::from_shape((whole.len(), whole.columns()), whole.x()).expect("a table");
    let mut end = 0;
    let own = widths.iter().enumerate().map(|(party, &width)| {
        let begin = end;
        end += width as usize;
        let columns = table.slice(s![.., begin..end]);
        if party == holder {
            Dataset::new(columns, ArrayView1::from(whole.y())).expect("one target a row")
        } else {
            Dataset::without_target(columns)
        }
    });
    own.collect()
}
