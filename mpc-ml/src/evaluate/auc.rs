//! The area under the ROC curve and its variance, from two hidden histograms (docs/protocols.md 17.3).
//!
//! Every party counts its positive and its negative rows in bins of the score. These are shares of the joint
//! histograms P and N; with M_b = 2 (negatives below bin b) + (negatives in b), twice the pairs in the right order
//! are sum P_b M_b, ties within a bin counting half: one product of shared vectors. What a party knows of its
//! own pairs is exact.

use mpc_core::correlations::{Correlations, LeftFactor, Ordered, Orders, RightFactor};
use mpc_core::protocols::product;
use mpc_core::ring::{Ring, Z64};
use mpc_core::{Cost, Shared};
use zeroize::Zeroizing;

use super::own::Own;
use super::plan::{AUC, CURVE_VARIANCE};
use super::results::Area;
use super::scales::Scores;
use crate::error::Error;
use crate::model::Run;

/// Bins of the histogram that the variance is made of.
const COARSE: usize = 64;
/// Bits that are told of the area, and of each part of its variance.
const AREA_BITS: u32 = 24;
const VARIANCE_BITS: u32 = 26;
/// Joint rows at most: with more, the third powers of counts would not fit the ring.
pub(super) const MOST_ROWS: u64 = 1 << 21;

/// How fine the histograms are: public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CurveShape {
    pub(super) fine: usize,
}

/// A triple that is on order.
type Ordering = (Ordered<LeftFactor<Z64>>, Ordered<RightFactor<Z64>>);
/// A triple.
type Triple = (LeftFactor<Z64>, RightFactor<Z64>);

/// What was ordered.
pub(super) struct OrderedCurve {
    fine: usize,
    all: Vec<Ordering>,
}

/// What the products use up.
pub(super) struct Curve {
    fine: usize,
    area: Triple,
    outer: [Triple; 2],
    inner: [Triple; 2],
}

/// The products: the area, then two of each kind for the parts of the variance.
fn shapes(fine: usize) -> [(usize, usize, usize); 5] {
    let (outer, inner) = ((COARSE, 1, COARSE), (1, COARSE, 1));
    [(1, fine, 1), outer, outer, inner, inner]
}

impl CurveShape {
    /// For so many joint rows: ties across parties within a bin move the area by 1e-4 at most where a tenth of the rows
    /// is of one class, or by what 8,192 bins leave.
    pub(super) fn new(rows: u64) -> Self {
        let rows = rows.max(1) as f64;
        let enough = (4.5e9 / (rows * rows)).clamp(1024.0, 8192.0) as usize;
        Self { fine: enough.next_power_of_two() }
    }

    pub(super) fn order(self, orders: &mut Orders) -> OrderedCurve {
        let all = shapes(self.fine).map(|(m, k, n)| {
            let left = orders.left::<Z64>(m, k);
            let right = orders.right(&left, n);
            (left, right)
        });
        OrderedCurve { fine: self.fine, all: all.into() }
    }

    /// What it costs to use what was made, with the revealing: at most, since fewer bits of large numbers are told.
    pub(super) fn cost(self, me: usize, parties: usize) -> Cost {
        let products = shapes(self.fine)
            .into_iter()
            .fold(Cost::to_all(me, parties, 0, 0), |sum, (m, k, n)| {
                sum + Cost::to_all(me, parties, 1, 8 * (m * k + k * n) as u64)
            });
        let told = |bytes| Cost::to_all(me, parties, 1, bytes).results(1);
        products + told(8) + told(16)
    }
}

impl OrderedCurve {
    pub(super) async fn take(self, from: &mut Correlations<'_>) -> Result<Curve, Error> {
        let mut made = Vec::with_capacity(self.all.len());
        for (left, right) in self.all {
            made.push((from.take(left).await?, from.take(right).await?));
        }
        let mut made = made.into_iter();
        let mut next = || made.next().ok_or_else(|| Error::Settings("a triple is missing".into()));
        Ok(Curve {
            fine: self.fine,
            area: next()?,
            outer: [next()?, next()?],
            inner: [next()?, next()?],
        })
    }
}

/// Bits below those that are told of a number up to `most`.
fn dropped(most: u128, told: u32) -> u32 {
    (u128::BITS - most.leading_zeros()).saturating_sub(told)
}

/// Twice what lies before each bin, and what lies in it.
fn twice_below(bins: &[u64]) -> Vec<Z64> {
    let mut below = 0u64;
    let each = bins.iter().map(|&count| {
        let own = 2 * below + count;
        below += count;
        Z64(own)
    });
    each.collect()
}

fn column(bins: &[u64]) -> Shared<Z64> {
    Shared::column(bins.iter().map(|&count| Z64(count)).collect())
}

impl Curve {
    /// Reveals the area and its variance, for so many positive and negative rows; none where a class is empty.
    pub(super) async fn reveal(
        self,
        own: &Own,
        scores: &Scores,
        (positives, negatives): (u64, u64),
        run: &mut Run<'_>,
    ) -> Result<Option<Area>, Error> {
        if positives == 0 || negatives == 0 {
            return Ok(None);
        }
        let Self { fine, area, outer, inner } = self;
        let session = &mut *run.session;
        // 1. Twice the pairs in order.
        let (up, down) = own.histograms(scores, fine);
        let below = twice_below(&down);
        let row = column(&up).reshape(1, fine)?;
        let mut pairs =
            product::multiply(&row, &Shared::column(below.clone()), area.0, area.1, session)
                .await?;
        // The own pairs as they are in place of those by bins.
        let by_bins = up.iter().zip(&below).fold(Z64(0), |sum, (&p, &m)| sum + Z64(p) * m);
        pairs.as_mut_slice()[0] += Z64(own.ordered_pairs()) - by_bins;
        let all = 2 * u128::from(positives) * u128::from(negatives);
        let drop = dropped(all, AREA_BITS);
        let told = session.reveal(AUC, &pairs, Z64::BITS, drop).await?;
        let told = told.ok_or_else(|| Error::untold(AUC))?[0];
        let auc = (told as f64 * libm::ldexp(1.0, drop as i32) / all as f64).clamp(0.0, 1.0);

        // 2. The squares of how far each row's share of pairs is from that, summed by class.
        let (up, down) = own.histograms(scores, COARSE);
        let reversed: Zeroizing<Vec<u64>> = Zeroizing::new(up.iter().rev().copied().collect());
        let mut above = twice_below(&reversed);
        above.reverse();
        let below = twice_below(&down);
        let about = |mut places: Vec<Z64>, others: u64, first: bool| {
            // Public, so one party takes it off.
            let mean = libm::rint(2.0 * others as f64 * auc) as u64;
            if first {
                places.iter_mut().for_each(|place| *place -= Z64(mean));
            }
            Shared::column(places)
        };
        let first = session.me() == 0;
        let places = [about(below, negatives, first), about(above, positives, first)];
        let rows = [column(&up), column(&down)];
        let mut squares = Vec::with_capacity(2);
        for (((rows, places), outer), inner) in rows.iter().zip(&places).zip(outer).zip(inner) {
            let across = places.clone().reshape(1, COARSE)?;
            let all = product::multiply(rows, &across, outer.0, outer.1, session).await?;
            let diagonal: Vec<usize> = (0..COARSE).map(|bin| bin * (COARSE + 1)).collect();
            let weighted = all.select(&diagonal)?.reshape(1, COARSE)?;
            squares.push(product::multiply(&weighted, places, inner.0, inner.1, session).await?);
        }
        let squares = Shared::stack(&[&squares[0], &squares[1]])?;
        let (p, n) = (u128::from(positives), u128::from(negatives));
        let most = [4 * p * n * n, 4 * n * p * p];
        let drop = dropped(most[0].min(most[1]), VARIANCE_BITS);
        let told = session.reveal(CURVE_VARIANCE, &squares, Z64::BITS, drop).await?;
        let told = told.ok_or_else(|| Error::untold(CURVE_VARIANCE))?;
        // DeLong: the variance of a class's shares of pairs, by the number of its rows.
        let part = |at: usize, own: u64, others: u64| {
            let (own, others) = (own as f64, others as f64);
            let sum = told[at].max(0) as f64 * libm::ldexp(1.0, drop as i32);
            sum / (4.0 * others * others * (own - 1.0) * own)
        };
        let variance = (positives > 1 && negatives > 1)
            .then(|| part(0, positives, negatives) + part(1, negatives, positives));
        Ok(Some(Area::new(auc, variance)))
    }
}
