//! Columns that a fit failed by, in words.

use mpc_ml::data::Schema;

/// How many names a sentence holds.
const MOST_NAMES: usize = 12;

/// Columns of the design matrix by their names; the intercept is the one after the last.
pub(super) fn in_words(schema: &Schema, places: &[usize]) -> String {
    let columns = schema.columns();
    let name = |&place: &usize| {
        let name = columns.get(place).map_or("(intercept)", String::as_str);
        format!("`{name}`")
    };
    let names: Vec<String> = places.iter().take(MOST_NAMES).map(name).collect();
    let advice = "leave one of them out, merge levels that are rare, or set l2";
    match &names[..] {
        [] => format!("some columns nearly determine each other: {advice}"),
        [only] => format!(
            "{only} is nearly determined by other columns, or decides the target by itself: leave it \
             out, merge levels that are rare, or set l2"
        ),
        [first @ .., last] => {
            let list = match places.len() - names.len() {
                0 => format!("{} and {last}", first.join(", ")),
                more => format!("{}, {last} and {more} more", first.join(", ")),
            };
            format!(
                "{list} nearly determine each other, or decide the target by themselves: {advice}"
            )
        }
    }
}
