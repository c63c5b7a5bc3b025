//! One party's own scores, and what it counts and sums of them.

use mpc_core::ring::Z128;
use zeroize::Zeroizing;

use super::calibrate::{DERIVATIVES, Line};
use super::plan::EvaluatePlan;
use super::scales::{FRACTION, SUM_FRACTION, Scores, integers};
use crate::artifact::{Model, ModelKind};
use crate::data::Table;
use crate::error::Error;
use crate::sums;

/// A score is at most so many sizes of the model away from its centre.
const FURTHEST: f64 = 65_536.0;
/// Logarithms of odds, and of expected counts, that are evaluated.
const MOST_ODDS: f64 = 1000.0;
const MOST_COUNT: f64 = 20.0;

/// This party's test rows: **private data**.
pub(super) struct Own {
    kind: ModelKind,
    scores: Zeroizing<Vec<f64>>,
    target: Zeroizing<Vec<f64>>,
    /// Empty where the model has none.
    offset: Zeroizing<Vec<f64>>,
}

impl Own {
    pub(super) fn of(
        plan: &EvaluatePlan,
        model: &Model,
        table: &Table,
        me: usize,
    ) -> Result<Self, Error> {
        let refused = |what: String| Err(Error::Data(what));
        table.check_shape(plan.rows.get(me), model.schema().features().len())?;
        let Some(target) = table.target() else {
            return refused(
                "rows without a target were given, and an evaluation compares with it".into(),
            );
        };
        let scores = model.scores(table).map_err(|error| Error::Data(error.to_string()))?;
        let scores = Zeroizing::new(scores);
        let kind = model.kind();
        let most = match kind {
            ModelKind::Logistic => MOST_ODDS,
            ModelKind::Poisson => MOST_COUNT,
            ModelKind::Linear | ModelKind::Multinomial => f64::INFINITY,
        };
        for (row, score) in scores.iter().enumerate() {
            let far = (score - plan.centre).abs() > FURTHEST * plan.size;
            let wild = if kind == ModelKind::Poisson { *score > most } else { score.abs() > most };
            if !score.is_finite() || far || wild {
                return refused(format!(
                    "row {} (counted from 1, without the header): the model's score of it is further from those of \
                     other rows than can be evaluated: is a cell of it far outside of what the model was fitted \
                     to? Correct the cell, or leave the row out",
                    row + 1
                ));
            }
        }
        Ok(Self {
            kind,
            scores,
            target: Zeroizing::new(target.to_vec()),
            offset: Zeroizing::new(table.offset().unwrap_or_default().to_vec()),
        })
    }

    /// The sums of the scores and of their squares, in sizes of the model about its centre.
    pub(super) fn moments(&self, plan: &EvaluatePlan) -> Result<Vec<Z128>, Error> {
        let mut sums = sums::Vector::new(2);
        for score in self.scores.iter() {
            let t = (score - plan.centre) / plan.size;
            sums.add(&[t, t * t]);
        }
        integers(&sums.values(), FRACTION)
    }

    fn rows(&self) -> impl Iterator<Item = (f64, f64)> {
        self.scores.iter().copied().zip(self.target.iter().copied())
    }

    /// Whether something happened in a row: its class.
    fn is_positive(target: f64) -> bool {
        target > 0.0
    }

    /// The counts of each version: for each group rows in which it happened, and others; of a linear model all rows.
    pub(super) fn counts(&self, plan: &EvaluatePlan, scores: &Scores) -> Zeroizing<Vec<Vec<u64>>> {
        let classes = plan.classes();
        let counted = |cuts: &Vec<usize>| {
            let mut counts = vec![0u64; classes * (cuts.len() + 1)];
            for (score, target) in self.rows() {
                let other = classes == 2 && !Self::is_positive(target);
                counts[classes * scores.group(cuts, score) + usize::from(other)] += 1;
            }
            counts
        };
        Zeroizing::new(plan.versions.iter().map(counted).collect())
    }

    /// What this party's rows add to the sums of a step of the calibration line.
    pub(super) fn derivatives(
        &self,
        plan: &EvaluatePlan,
        line: &Line,
        scores: &Scores,
    ) -> Result<Vec<Z128>, Error> {
        debug_assert!(plan.is_fitted());
        let mut sums = sums::Vector::new(DERIVATIVES);
        for (score, target) in self.rows() {
            let z = scores.standard(score);
            sums.add(&line.derivatives(self.kind, (score, target), z));
        }
        integers(&sums.values(), FRACTION)
    }

    /// The sums of a version: for each group of the predictions, and of the targets where these are no classes; then
    /// the totals of the kind. Those of a linear model are in deviations of the scores about their mean.
    pub(super) fn sums(
        &self,
        plan: &EvaluatePlan,
        scores: &Scores,
        version: usize,
    ) -> Result<Vec<Z128>, Error> {
        let cuts = &plan.versions[version];
        let each = plan.group_sums();
        let groups = each * (cuts.len() + 1);
        let mut sums = sums::Vector::new(groups + plan.totals());
        let mut row = Zeroizing::new(vec![0.0; groups + plan.totals()]);
        for (at, (score, target)) in self.rows().enumerate() {
            row.fill(0.0);
            let group = each * scores.group(cuts, score);
            let totals = &mut row[groups..];
            match self.kind {
                ModelKind::Linear | ModelKind::Multinomial => {
                    let (s, y) = (scores.standard(score), scores.standard(target));
                    totals.copy_from_slice(&[
                        s * s,
                        s * y,
                        y * y,
                        (y - s) * (y - s),
                        (y - s).abs(),
                    ]);
                    (row[group], row[group + 1]) = (s, y);
                }
                ModelKind::Logistic => {
                    let p = self.kind.prediction(score);
                    // ln(1 + e^-s) for the class that it is.
                    let signed = if Self::is_positive(target) { -score } else { score };
                    let loss = signed.max(0.0) + libm::log1p(libm::exp(-signed.abs()));
                    totals.copy_from_slice(&[loss, (p - target) * (p - target)]);
                    row[group] = p;
                }
                ModelKind::Poisson => {
                    let mean = libm::exp(score);
                    let offset = self.offset.get(at).copied().unwrap_or_default();
                    let own = if target > 0.0 { target * libm::log(target) } else { 0.0 };
                    totals.copy_from_slice(&[
                        own - target * score - (target - mean),
                        own - target * offset,
                        libm::exp(offset),
                        (target - mean) * (target - mean),
                        (target - mean).abs(),
                    ]);
                    (row[group], row[group + 1]) = (mean, target);
                }
            }
            sums.add(&row);
        }
        integers(&sums.values(), SUM_FRACTION)
    }

    /// How many positive and how many negative rows lie in each bin.
    pub(super) fn histograms(
        &self,
        scores: &Scores,
        bins: usize,
    ) -> (Zeroizing<Vec<u64>>, Zeroizing<Vec<u64>>) {
        let mut up = Zeroizing::new(vec![0u64; bins]);
        let mut down = Zeroizing::new(vec![0u64; bins]);
        for (score, target) in self.rows() {
            let side = if Self::is_positive(target) { &mut up } else { &mut down };
            side[scores.bin(score, bins)] += 1;
        }
        (up, down)
    }

    /// Twice the pairs of an own positive and an own negative row of which the positive one scores higher; ties
    /// count once.
    pub(super) fn ordered_pairs(&self) -> u64 {
        let mut rows: Vec<(f64, bool)> =
            self.rows().map(|(score, target)| (score + 0.0, Self::is_positive(target))).collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut below, mut pairs) = (0u64, 0u64);
        for tied in rows.chunk_by(|a, b| a.0 == b.0) {
            let positives = tied.iter().filter(|(_, positive)| *positive).count() as u64;
            let negatives = tied.len() as u64 - positives;
            pairs += positives * (2 * below + negatives);
            below += negatives;
        }
        rows.iter_mut().for_each(|row| *row = (0.0, false));
        pairs
    }
}
