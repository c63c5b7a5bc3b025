//! The result, from counts and sums of all parties together.

use serde::{Deserialize, Serialize};

use super::calibrate::Solved;
use super::plan::EvaluatePlan;
use super::scales::Scores;
use crate::artifact::{ModelKind, laws};

/// The confidence of intervals.
const CONFIDENCE: f64 = 0.95;

/// How well a model predicts the test rows of all parties together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The model.
    pub model: ModelName,
    /// Test rows of all parties.
    pub rows: u64,
    /// The mean of the model's scores.
    pub score_mean: f64,
    /// Their standard deviation.
    pub score_deviation: f64,
    /// The confidence of all intervals.
    pub confidence: f64,
    /// Groups of rows by what is predicted of them, ascending; a single one where finer ones have small counts.
    pub groups: Vec<Group>,
    /// Whether finer groups were asked for, and had a small count.
    pub coarsened: bool,
    /// How predictions and outcomes go together over all rows.
    pub calibration: Calibration,
    /// The figures of this kind of model.
    pub figures: Figures,
}

/// Which model was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelName {
    /// Its kind.
    pub kind: ModelKind,
    /// The title of its study.
    pub title: String,
    /// The digest of its study.
    pub study: String,
    /// The SHA-256 of its file, in hexadecimal digits.
    pub sha256: String,
}

/// Rows whose predictions lie between two cuts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The lowest prediction of the group; none for the first one.
    pub low: Option<f64>,
    /// Where the next group begins; none for the last one.
    pub high: Option<f64>,
    /// Its rows.
    pub rows: u64,
    /// Those in which it happened: positive ones, or such with a count above 0; none for a linear model.
    pub positives: Option<u64>,
    /// The mean prediction; none without rows.
    pub predicted: Option<f64>,
    /// The mean outcome: the share of positive rows, the mean count, or the mean value; none without rows.
    pub observed: Option<f64>,
}

/// A number that was estimated, with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

/// The outcome on the model's own score: intercept 0 and slope 1 are those of a model that is right.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The intercept beside the slope; none where there is no such line.
    pub intercept: Option<Estimate>,
    /// The slope: below 1 where predictions are too extreme.
    pub slope: Option<Estimate>,
    /// The intercept where the slope is 1: above 0 where predictions are too low on the whole.
    pub in_the_large: Option<Estimate>,
}

/// The figures of a kind of model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Figures {
    /// Of probabilities.
    Logistic(LogisticFigures),
    /// Of numbers.
    Linear(LinearFigures),
    /// Of counts.
    Poisson(PoissonFigures),
}

/// How well probabilities are predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogisticFigures {
    /// Rows of the positive class.
    pub positives: u64,
    /// Rows of the negative class.
    pub negatives: u64,
    /// The area under the ROC curve; none where a class is empty.
    pub auc: Option<Area>,
    /// The ROC curve at the cuts between groups, from the highest cut to the lowest, without its two ends.
    pub roc: Vec<RocPoint>,
    /// The mean squared error of the probabilities.
    pub brier: f64,
    /// The same if the share of positive rows were predicted of all.
    pub null_brier: f64,
    /// The mean negative logarithm of the probability of the outcome.
    pub log_loss: f64,
    /// The same if the share of positive rows were predicted of all.
    pub null_log_loss: f64,
    /// The deviance: twice the log loss of all rows together.
    pub deviance: f64,
    /// The same if the share of positive rows were predicted of all.
    pub null_deviance: f64,
}

/// A point of the ROC curve: all rows from this probability on are called positive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RocPoint {
    /// The probability.
    pub threshold: f64,
    /// The share of positive rows that are called so.
    pub sensitivity: f64,
    /// The share of negative rows that are not.
    pub specificity: f64,
}

/// The area under the ROC curve, with DeLong's interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// How likely a positive row scores above a negative one, ties counting half.
    pub auc: f64,
    /// Its standard error; none where a class has a single row.
    pub std_error: Option<f64>,
    /// The lower end of the interval, not below 0.
    pub low: Option<f64>,
    /// The upper end of the interval, not above 1.
    pub high: Option<f64>,
}

/// How well numbers are predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinearFigures {
    /// The share of the targets' variance about their own mean that the predictions explain; none where they do not
    /// vary.
    pub r2: Option<f64>,
    /// The root of the mean squared error.
    pub rmse: f64,
    /// The mean absolute error.
    pub mae: f64,
    /// The mean of target less prediction.
    pub bias: f64,
    /// The sum of squared errors.
    pub deviance: f64,
    /// The sum of squared deviations of the targets from their mean.
    pub null_deviance: f64,
}

/// How well counts are predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoissonFigures {
    /// The sum of the counts.
    pub events: f64,
    /// The sum of the expected counts.
    pub expected: f64,
    /// The deviance.
    pub deviance: f64,
    /// The same if one rate were predicted of all rows.
    pub null_deviance: f64,
    /// The share of that deviance that the predictions take away; none where nothing happened.
    pub d2: Option<f64>,
    /// The root of the mean squared error.
    pub rmse: f64,
    /// The mean absolute error.
    pub mae: f64,
}

impl Estimate {
    fn new(estimate: f64, std_error: f64, freedom: Option<u64>) -> Self {
        let reach = std_error * laws::quantile_beyond((1.0 - CONFIDENCE) / 2.0, freedom);
        Self { estimate, std_error, low: estimate - reach, high: estimate + reach }
    }

    /// With an interval by the normal law.
    pub(super) fn normal(estimate: f64, std_error: f64) -> Self {
        Self::new(estimate, std_error, None)
    }
}

impl Area {
    pub(super) fn new(auc: f64, variance: Option<f64>) -> Self {
        let interval = variance.map(|variance| Estimate::normal(auc, variance.max(0.0).sqrt()));
        Self {
            auc,
            std_error: interval.map(|of| of.std_error),
            low: interval.map(|of| of.low.max(0.0)),
            high: interval.map(|of| of.high.min(1.0)),
        }
    }
}

/// Positive and negative rows, of counts of both.
pub(super) fn classes(counts: &[u64]) -> (u64, u64) {
    let of = |at: usize| counts.iter().skip(at).step_by(2).sum();
    (of(0), of(1))
}

/// What counts and sums of a version say.
pub(super) fn evaluation(
    plan: &EvaluatePlan,
    scores: &Scores,
    version: usize,
    (counts, sums): (&[u64], &[f64]),
    (line, area): (Option<Solved>, Option<Area>),
) -> Evaluation {
    let (kind, rows) = (plan.model.kind, plan.total_rows());
    let cuts = &plan.versions[version];
    let (by_group, totals) = sums.split_at(plan.group_sums() * (cuts.len() + 1));
    let end = |cut: Option<&usize>| cut.map(|&cut| kind.prediction(scores.cuts[cut]));
    let groups: Vec<Group> = counts
        .chunks_exact(plan.classes())
        .zip(by_group.chunks_exact(plan.group_sums()))
        .enumerate()
        .map(|(at, (counts, sums))| {
            let rows: u64 = counts.iter().sum();
            let positives = (plan.classes() == 2).then(|| counts[0]);
            let mean = |sum: f64| (rows > 0).then(|| sum / rows as f64);
            // Those of a linear model are in deviations.
            let value = |z: f64| scores.mean + z * scores.unit();
            let (predicted, observed) = match kind {
                ModelKind::Logistic => (mean(sums[0]), mean(counts[0] as f64)),
                ModelKind::Poisson => (mean(sums[0]), mean(sums[1])),
                ModelKind::Linear | ModelKind::Multinomial => {
                    (mean(sums[0]).map(value), mean(sums[1]).map(value))
                }
            };
            let low = at.checked_sub(1).and_then(|before| end(cuts.get(before)));
            Group { low, high: end(cuts.get(at)), rows, positives, predicted, observed }
        })
        .collect();
    let total = |of: usize| by_group.iter().skip(of).step_by(plan.group_sums()).sum::<f64>();
    let mut calibration = line.map_or_else(Calibration::default, |line| Calibration {
        intercept: line.intercept,
        slope: line.slope,
        in_the_large: line.in_the_large,
    });
    let figures = match kind {
        ModelKind::Logistic => Figures::Logistic(logistic(&groups, counts, totals, area)),
        ModelKind::Poisson => Figures::Poisson(poisson(rows, (total(0), total(1)), totals)),
        ModelKind::Linear | ModelKind::Multinomial => {
            let (figures, line) = linear(rows, scores, (total(0), total(1)), totals);
            calibration = line;
            Figures::Linear(figures)
        }
    };
    Evaluation {
        model: plan.model.clone(),
        rows,
        score_mean: scores.mean,
        score_deviation: scores.deviation,
        confidence: CONFIDENCE,
        groups,
        coarsened: version > 0,
        calibration,
        figures,
    }
}

/// The log loss of a row if this share of positive rows is predicted of all.
pub(super) fn null_log_loss(share: f64) -> f64 {
    let entropy = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    entropy(share) + entropy(1.0 - share)
}

fn logistic(
    groups: &[Group],
    counts: &[u64],
    totals: &[f64],
    auc: Option<Area>,
) -> LogisticFigures {
    let (positives, negatives) = classes(counts);
    let (up, down) = (positives as f64, negatives as f64);
    let all = up + down;
    let mut roc = Vec::new();
    let (mut true_positives, mut false_positives) = (0u64, 0u64);
    for group in groups.iter().rev() {
        let own = group.positives.unwrap_or_default();
        true_positives += own;
        false_positives += group.rows - own;
        if let Some(threshold) = group.low.filter(|_| positives > 0 && negatives > 0) {
            let sensitivity = true_positives as f64 / up;
            let specificity = 1.0 - false_positives as f64 / down;
            roc.push(RocPoint { threshold, sensitivity, specificity });
        }
    }
    let share = up / all;
    let null_log_loss = null_log_loss(share);
    LogisticFigures {
        positives,
        negatives,
        auc,
        roc,
        brier: totals[1] / all,
        null_brier: share * (1.0 - share),
        log_loss: totals[0] / all,
        null_log_loss,
        deviance: 2.0 * totals[0],
        null_deviance: 2.0 * all * null_log_loss,
    }
}

fn poisson(rows: u64, (expected, events): (f64, f64), totals: &[f64]) -> PoissonFigures {
    let rows = rows as f64;
    let [deviance, own, exposure, squares, errors] = *totals else { return PoissonFigures::NONE };
    // One rate for all: events by exposure.
    let null = own - if events > 0.0 { events * (events / exposure).ln() } else { 0.0 };
    let (deviance, null_deviance) = (2.0 * deviance, 2.0 * null.max(0.0));
    PoissonFigures {
        events,
        expected,
        deviance,
        null_deviance,
        d2: (null_deviance > 0.0).then(|| 1.0 - deviance / null_deviance),
        rmse: (squares / rows).max(0.0).sqrt(),
        mae: errors / rows,
    }
}

impl PoissonFigures {
    /// Of sums that are not there.
    const NONE: Self = Self {
        events: f64::NAN,
        expected: f64::NAN,
        deviance: f64::NAN,
        null_deviance: f64::NAN,
        d2: None,
        rmse: f64::NAN,
        mae: f64::NAN,
    };
}

/// The figures, and the least-squares line of the target on the prediction.
fn linear(
    rows: u64,
    scores: &Scores,
    (s, y): (f64, f64),
    totals: &[f64],
) -> (LinearFigures, Calibration) {
    let (n, unit) = (rows as f64, scores.unit());
    let (ss, sy, yy) =
        (totals[0] - s * s / n, totals[1] - s * y / n, (totals[2] - y * y / n).max(0.0));
    let (squares, errors) = (totals[3].max(0.0), totals[4]);
    let figures = LinearFigures {
        r2: (yy > 0.0).then(|| 1.0 - squares / yy),
        rmse: (squares / n).sqrt() * unit,
        mae: errors / n * unit,
        bias: (y - s) / n * unit,
        deviance: squares * unit * unit,
        null_deviance: yy * unit * unit,
    };
    let freedom = rows.saturating_sub(2);
    let mut line = Calibration::default();
    if scores.deviation > 0.0 && ss > 0.0 && freedom > 0 {
        let slope = sy / ss;
        let variance = (yy - slope * sy).max(0.0) / freedom as f64;
        // At the score 0, in deviations from the mean.
        let zero = -scores.mean / unit;
        let at_zero = y / n + slope * (zero - s / n);
        let spread = variance * (1.0 / n + (zero - s / n) * (zero - s / n) / ss);
        let intercept = scores.mean + at_zero * unit;
        line.intercept = Some(Estimate::new(intercept, spread.sqrt() * unit, Some(freedom)));
        line.slope = Some(Estimate::new(slope, (variance / ss).sqrt(), Some(freedom)));
    }
    if rows > 1 {
        let bias = (y - s) / n;
        let variance = (squares - n * bias * bias).max(0.0) / (n - 1.0);
        let error = (variance / n).sqrt() * unit;
        line.in_the_large = Some(Estimate::new(bias * unit, error, Some(rows - 1)));
    }
    (figures, line)
}
