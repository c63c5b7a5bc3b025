//! Single columns of words with small counts kept back: what may be told where no family of tables may
//! (docs/protocols.md 15.8).

use mpc_core::correlations::{Correlations, Orders};
use mpc_core::protocols::suppress::{Suppression, marked};
use mpc_core::ring::{Ring, Z64};
use mpc_core::{Session, Shared};
use serde::Serialize;
use zeroize::Zeroizing;

use super::plan::{COUNTS, Column, DescribePlan};
use super::{Description, breaks};
use crate::error::Error;

/// The output that says which counts are kept back.
pub const KEPT: &str = "describe/kept";

/// The counts of a column of words, some of which are kept back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Kept {
    /// The column.
    pub name: String,
    /// Its levels, missing cells last, with their counts; none where one is kept back.
    pub levels: Vec<(String, Option<u64>)>,
    /// The rows of all levels that are kept back.
    pub together: u64,
}

/// Which counts are kept back, and one party's own counts of all.
pub(super) struct Marked {
    marks: Vec<Vec<bool>>,
    own: Vec<Zeroizing<Vec<u64>>>,
}

fn words(plan: &DescribePlan) -> impl Iterator<Item = &Column> {
    plan.columns.iter().filter(|column| !column.is_numeric())
}

/// The test, where it is asked for.
pub(super) fn suppression(plan: &DescribePlan) -> Result<Option<Suppression>, Error> {
    if !plan.settings.keep_back {
        return Ok(None);
    }
    let rule = plan.settings.threshold;
    if !rule.zeros {
        return Err(Error::field(
            "keep_back",
            "needs threshold.zeros = true: empty levels are told",
        ));
    }
    let lists = words(plan).map(|column| column.cells().len()).collect();
    let rows = plan.rows.iter().sum();
    Suppression::new(rule.least, plan.rows.len(), lists, rows)
        .map(Some)
        .map_err(|error| Error::field("keep_back", format!("does not fit: {error}")))
}

/// Finds and reveals which counts are kept back.
pub(super) async fn mark(
    of: &Suppression,
    own: Vec<Zeroizing<Vec<u64>>>,
    from: &mut Correlations<'_>,
    session: &mut Session,
) -> Result<Marked, Error> {
    let mut orders = Orders::new();
    let ordered = of.order(&mut orders)?;
    from.demand(orders)?;
    let prepared = ordered.take(from).await?;
    let counts: Zeroizing<Vec<Vec<u64>>> =
        Zeroizing::new(own.iter().map(|list| list.to_vec()).collect());
    let marks = marked(&counts, prepared, KEPT, session).await?;
    Ok(Marked { marks, own })
}

/// Reveals the other counts.
pub(super) async fn release(
    plan: &DescribePlan,
    Marked { marks, own }: Marked,
    session: &mut Session,
) -> Result<Option<Description>, Error> {
    let told = marks.iter().flatten().zip(own.iter().flat_map(|list| list.iter()));
    let own: Zeroizing<Vec<u64>> =
        Zeroizing::new(told.filter(|(mark, _)| !**mark).map(|(_, count)| *count).collect());
    let mut counts = Vec::new();
    if !own.is_empty() {
        let shares = Shared::column(own.iter().map(|&count| Z64(count)).collect());
        let Some(told) = session.reveal(COUNTS, &shares, Z64::BITS, 0).await? else {
            return Ok(None);
        };
        counts = told.iter().map(|&count| count as u64).collect();
    }
    if !plan.gate().holds_for(&counts, &own) {
        return Err(breaks(plan.gate().rule().least));
    }
    let rows: u64 = plan.rows.iter().sum();
    let mut counts = counts.into_iter();
    let list = |(column, marks): (&Column, &Vec<bool>)| {
        let mut rest = rows;
        let levels = column.cells().into_iter().zip(marks).map(|(level, mark)| {
            let count = if *mark { None } else { counts.next() };
            rest = rest.saturating_sub(count.unwrap_or(0));
            (level, count)
        });
        let levels = levels.collect();
        Kept { name: column.name.clone(), levels, together: rest }
    };
    let kept = words(plan).zip(&marks).map(list).collect();
    Ok(Some(Description {
        groups: vec![(String::new(), rows)],
        kept,
        left_out: vec!["everything but single columns of words".to_owned()],
        ..Description::default()
    }))
}
