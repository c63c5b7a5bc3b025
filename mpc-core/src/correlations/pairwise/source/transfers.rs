//! The line of what rests on oblivious transfer: phasors, small factors, bits.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::super::triples::{OwnLeft, ProductShape};
use super::super::{Expansion, PairwiseOt, PhasorPlan};
use super::line::{Ahead, Ready, deliver};
use crate::correlations::production::Counts;
use crate::correlations::{Correlation, PhasorRequest, Phasors, RandomBitsRequest, RightFactor};
use crate::error::Error;
use crate::ring::Ring;
use crate::session::Session;
use crate::share::Shared;

/// Jobs ahead of use; a job is a pass of phasors, some megabytes, or a factor.
const AHEAD: usize = 12;

/// What the line is told to make.
pub(super) enum Order {
    /// Phasors for some requests, one after the other, with the count of each.
    Phasors { request: PhasorRequest, counts: Vec<u32>, places: Vec<oneshot::Sender<Ready>> },
    /// Right factors for one left factor, with the columns of each.
    Factor {
        shape: ProductShape,
        a: OwnLeft,
        columns: Vec<u32>,
        places: Vec<oneshot::Sender<Ready>>,
    },
    /// Random bits.
    RandomBits { request: RandomBitsRequest, places: Vec<oneshot::Sender<Ready>> },
    /// Triples of bits.
    BitTriples { count: u32, places: Vec<oneshot::Sender<Ready>> },
}

/// Makes what is ordered until there are no more orders. The transfers are set up with the first
/// order: two rounds.
pub(super) async fn run(
    session: Session,
    expansion: Expansion,
    mut orders: mpsc::UnboundedReceiver<Order>,
    made_so_far: Arc<Counts>,
) -> Result<(), Error> {
    let ahead = Ahead::new(AHEAD);
    let Some(mut order) = orders.recv().await else { return Ok(()) };
    let mut ot = PairwiseOt::on(session, expansion).await?;
    // Requests of one study have few shapes, and the tables of a plan take some time.
    let mut plan: Option<Arc<PhasorPlan>> = None;
    loop {
        let permit = ahead.permit().await?;
        let (made, places) = match order {
            Order::Phasors { request, counts, places } => {
                let known = plan.take().filter(|plan| *plan.of() == request);
                let plan = match known {
                    Some(known) => plan.insert(known),
                    None => plan.insert(Arc::new(PhasorPlan::new(ot.parties(), &request)?)),
                };
                (split_phasors(&ot.phasors_of(plan).await?, &counts)?, places)
            }
            Order::Factor { shape, a, columns, places } => {
                (split_right(ot.factor(shape, &a).await?, &columns)?, places)
            }
            Order::RandomBits { request, places } => {
                (vec![Correlation::RandomBits(ot.random_bits(&request).await?)], places)
            }
            Order::BitTriples { count, places } => {
                (vec![Correlation::BitTriples(ot.bit_triples(count).await?)], places)
            }
        };
        deliver(places, made, permit, &made_so_far)?;
        match orders.recv().await {
            Some(next) => order = next,
            None => return Ok(()),
        }
    }
}

fn split_phasors(all: &Phasors, counts: &[u32]) -> Result<Vec<Correlation>, Error> {
    let mut from = 0;
    let mut parts = Vec::with_capacity(counts.len());
    for &count in counts {
        let range = from..from + count as usize;
        from = range.end;
        parts.push(Correlation::Phasors(Phasors {
            mask: Zeroizing::new(all.mask[range.clone()].to_vec()),
            cosine: all.cosine.column_range(range.clone())?,
            sine: all.sine.column_range(range)?,
            fraction: all.fraction,
            ring: all.ring,
            angle_bits: all.angle_bits,
            gains: all.gains.clone(),
        }));
    }
    Ok(parts)
}

/// One right factor for each number of columns.
pub(super) fn split_right(all: Correlation, counts: &[u32]) -> Result<Vec<Correlation>, Error> {
    fn parts<R: Ring>(all: &RightFactor<R>, counts: &[u32]) -> Result<Vec<RightFactor<R>>, Error> {
        let mut from = 0;
        let mut out = Vec::with_capacity(counts.len());
        for &count in counts {
            let range = from..from + count as usize;
            from = range.end;
            let part = |of: &Shared<R>| of.column_range(range.clone());
            out.push(RightFactor::new(part(&all.b)?, part(&all.ab)?));
        }
        Ok(out)
    }
    Ok(match all {
        one if counts.len() == 1 => vec![one],
        Correlation::Right64(all) => {
            parts(&all, counts)?.into_iter().map(Correlation::Right64).collect()
        }
        Correlation::Right128(all) => {
            parts(&all, counts)?.into_iter().map(Correlation::Right128).collect()
        }
        _ => return Err(Error::internal("a right factor was ordered")),
    })
}
