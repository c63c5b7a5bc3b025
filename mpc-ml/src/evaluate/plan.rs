//! What is counted, summed and revealed, and what of it may be.

use mpc_core::correlations::Origin;
use mpc_core::protocols::threshold::{Gate, ThresholdRule};
use mpc_core::{Cost, Recipients};
use serde::{Deserialize, Serialize};

use super::auc::{CurveShape, MOST_ROWS};
use super::calibrate::DERIVATIVES;
use super::results::ModelName;
use super::scales::Scores;
use crate::artifact::{Model, ModelKind};
use crate::counts;
use crate::error::Error;
use crate::model::{Canonical, Figures, Output, Plan};

/// The figure that says where the scores lie.
pub const SCORES: &str = "evaluate/scores";
/// The figure that says which groups may be told.
pub const WITHHELD: &str = "evaluate/withheld";
/// The output of all counts.
pub const COUNTS: &str = "evaluate/counts";
/// The output of all sums.
pub const SUMS: &str = "evaluate/sums";
/// The output of the area under the ROC curve.
pub const AUC: &str = "evaluate/auc";
/// The output of the two parts of its variance.
pub const CURVE_VARIANCE: &str = "evaluate/auc variance";
/// Steps to the calibration line, at most.
pub const STEPS: usize = 8;

/// The figure of a step to the calibration line, counted from 0.
#[must_use]
pub fn calibration(step: usize) -> String {
    format!("evaluate/calibration {}", step + 1)
}

/// The version of the arithmetic.
const ARITHMETIC: u32 = 1;
/// Cuts between groups, at most.
const MOST_CUTS: usize = 99;
/// Groups that are cut where a normal law of the scores has its tenths.
const BY_LAW: usize = 9;

/// What is asked of an evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EvaluateSettings {
    /// Where groups of rows end, as predictions (probabilities, expected counts, values), ascending; none: nine cuts
    /// that the mean and the deviation of all scores give, for ten groups of about the same size.
    pub cuts: Option<Vec<f64>>,
    /// Which counts are too small to be released.
    pub threshold: ThresholdRule,
}

/// A plan to evaluate: everything that follows from settings, the model and public facts.
#[derive(Clone, Debug)]
pub struct EvaluatePlan {
    settings: EvaluateSettings,
    pub(super) model: ModelName,
    /// The score about which scores are summed, and their unit: of the model alone.
    pub(super) centre: f64,
    pub(super) size: f64,
    /// Cuts on the scale of the score, where the study names them.
    cuts: Option<Vec<f64>>,
    /// Which cuts are kept, version by version; the first that may be is released.
    pub(super) versions: Vec<Vec<usize>>,
    pub(super) rows: Vec<u64>,
    origin: Origin,
    gate: Gate,
}

impl EvaluatePlan {
    /// Plans for parties with `rows[j]` rows each. `sha256` is that of the model's file. All parties receive the
    /// result.
    ///
    /// # Errors
    /// [`Error::Field`] with the setting that does not fit, and what to do.
    pub fn new(
        settings: &EvaluateSettings,
        model: &Model,
        sha256: &str,
        rows: &[u64],
        origin: Origin,
    ) -> Result<Self, Error> {
        let least = u64::from(settings.threshold.least);
        if rows.len() < 2 {
            let rule = "are too few: a joint evaluation has at least two parties";
            return Err(Error::field("parties", rule));
        }
        let total = rows.iter().try_fold(0u64, |sum, &rows| sum.checked_add(rows));
        if total.is_none_or(|total| total > MOST_ROWS) {
            let rule =
                format!("of all parties are more than {MOST_ROWS}: evaluate on a part of them");
            return Err(Error::field("rows", rule));
        }
        if let Some(few) = rows.iter().find(|&&rows| rows < least) {
            let rule = format!(
                "of one party are {few}, below the threshold of {least}: the mean of all scores would tell much \
                 of them"
            );
            return Err(Error::field("rows", rule));
        }
        let kind = model.kind();
        let cuts = settings.cuts.as_ref().map(|cuts| on_scores(kind, cuts)).transpose()?;
        let versions = versions(cuts.as_ref().map_or(BY_LAW, Vec::len));
        let classes = classes(kind);
        let cells = versions.iter().map(|cuts| classes * (cuts.len() + 1)).collect();
        let gate = Gate::new(settings.threshold, rows.len(), cells).map_err(|error| {
            Error::field("threshold", format!("or the cuts do not fit: {error}"))
        })?;
        let common = model.standardised();
        let size: f64 = common.coefficients.values().map(f64::abs).sum();
        let name = ModelName {
            kind,
            title: model.title().to_owned(),
            study: model.study().to_owned(),
            sha256: sha256.to_owned(),
        };
        Ok(Self {
            settings: settings.clone(),
            model: name,
            centre: common.intercept,
            size: if size > 0.0 { size } else { 1.0 },
            cuts,
            versions,
            rows: rows.to_vec(),
            origin,
            gate,
        })
    }

    /// The test of the counts.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Rows of all parties.
    #[must_use]
    pub fn total_rows(&self) -> u64 {
        self.rows.iter().sum()
    }

    /// Whether there is a ROC curve, and how fine its histograms are.
    pub(super) fn curve(&self) -> Option<CurveShape> {
        let shape = || CurveShape::new(self.total_rows());
        (self.model.kind == ModelKind::Logistic).then(shape)
    }

    /// Whether the calibration line is found step by step.
    pub(super) fn is_fitted(&self) -> bool {
        self.model.kind != ModelKind::Linear
    }

    /// Cells of a group: rows in which it happened, and others; of a linear model all.
    pub(super) fn classes(&self) -> usize {
        classes(self.model.kind)
    }

    /// Sums of a group: of predictions, and of targets where they do not follow from counts.
    pub(super) fn group_sums(&self) -> usize {
        if self.model.kind == ModelKind::Logistic { 1 } else { 2 }
    }

    /// Sums over all rows.
    pub(super) fn totals(&self) -> usize {
        if self.model.kind == ModelKind::Logistic { 2 } else { 5 }
    }

    /// Where the scores lie, from the revealed sums.
    pub(super) fn scores(&self, sums: &[f64]) -> Scores {
        let rows = self.total_rows() as f64;
        let [sum, squares] = [sums[0], sums[1]].map(|sum| sum / rows);
        let variance = squares - sum * sum;
        // Below it is what rounding leaves of no variance.
        let deviation = if variance > 1e-12 { libm::sqrt(variance) } else { 0.0 };
        Scores::new(self.centre + self.size * sum, self.size * deviation, self.cuts.clone())
    }

    /// Whether these counts cannot be those of all rows.
    pub(super) fn contradicts(&self, counts: &[u64]) -> bool {
        counts.iter().try_fold(0u64, |sum, &count| sum.checked_add(count))
            != Some(self.total_rows())
    }

    /// Why nothing was released, and what may be done about it.
    pub(super) fn withheld(&self) -> String {
        let rule = self.gate.rule();
        let (least, without) = (rule.least, counts::or_without_one(rule, "them"));
        format!(
            "the rows of a class{without} are fewer than the threshold of {least}, so nothing of them was \
             released; which one it is nobody learns. Evaluate on more rows"
        )
    }

    /// What it costs party `me` if the calibration line takes so many steps.
    #[must_use]
    pub fn cost_of(&self, me: usize, steps: usize) -> Cost {
        let parties = self.rows.len();
        let told = |rounds: u64, bytes: usize| {
            Cost::to_all(me, parties, rounds, bytes as u64).results(rounds)
        };
        let groups = self.versions[0].len() + 1;
        let sums = self.group_sums() * groups + self.totals();
        let gate = self.gate.cost(me).unwrap_or_default();
        let curve = self.curve().map(|shape| shape.cost(me, parties)).unwrap_or_default();
        gate + curve
            + told(1, 16 * 2)
            + told(1, 8 * self.classes() * groups)
            + told(1, 16 * sums)
            + told(1, 16 * DERIVATIVES) * steps as u64
    }
}

fn classes(kind: ModelKind) -> usize {
    if kind == ModelKind::Linear { 1 } else { 2 }
}

/// Cuts of predictions as cuts of scores.
fn on_scores(kind: ModelKind, cuts: &[f64]) -> Result<Vec<f64>, Error> {
    let (low, high) = match kind {
        ModelKind::Logistic => (0.0, 1.0),
        ModelKind::Poisson => (0.0, f64::INFINITY),
        ModelKind::Linear | ModelKind::Multinomial => (f64::NEG_INFINITY, f64::INFINITY),
    };
    let within = cuts.iter().all(|&cut| cut > low && cut < high);
    if !within || cuts.is_empty() || cuts.len() > MOST_CUTS || !cuts.is_sorted_by(|a, b| a < b) {
        let ends = match kind {
            ModelKind::Logistic => "probabilities between 0 and 1",
            ModelKind::Poisson => "expected counts above 0",
            ModelKind::Linear | ModelKind::Multinomial => "predicted values",
        };
        return Err(Error::field("cuts", format!("must be 1 to {MOST_CUTS} {ends}, ascending")));
    }
    let score = |&cut: &f64| match kind {
        ModelKind::Logistic => libm::log(cut / (1.0 - cut)),
        ModelKind::Poisson => libm::log(cut),
        ModelKind::Linear | ModelKind::Multinomial => cut,
    };
    Ok(cuts.iter().map(score).collect())
}

/// All cuts, every second one, every fourth, .., none.
fn versions(cuts: usize) -> Vec<Vec<usize>> {
    let strides = (0..).map(|power| 1usize << power).take_while(|&stride| stride <= cuts);
    let kept = strides.map(|stride| (stride - 1..cuts).step_by(stride).collect());
    kept.chain([Vec::new()]).collect()
}

impl Plan for EvaluatePlan {
    fn outputs(&self) -> Vec<Output> {
        let below = counts::below(self.gate.rule());
        let mut list = vec![
            Output::figure(
                SCORES,
                "the mean and the standard deviation of the model's scores of all test rows",
                "groups end, and histograms begin, where they say; with two parties each knows the other's",
            ),
            Output::figure(
                WITHHELD,
                format!(
                    "which of {} sets of groups, from the finest to all rows together, is the first without a \
                     count {below}",
                    self.versions.len()
                ),
                "counts are released whole or not at all; that a finer set is not tells that it has some small \
                 count",
            ),
        ];
        if self.is_fitted() {
            list.extend((0..STEPS).map(|step| {
                Output::figure(
                    calibration(step),
                    "seven sums over all test rows: the gradient and the curvature of the likelihood of the \
                     calibration line at the line so far",
                    "the next line follows from it; not revealed any more once the line is found",
                )
            }));
        }
        let counted = match self.model.kind {
            ModelKind::Linear | ModelKind::Multinomial => {
                "the number of test rows in each group of predictions"
            }
            ModelKind::Logistic => {
                "the positive and the negative test rows in each group of predictions"
            }
            ModelKind::Poisson => {
                "the test rows with and without events in each group of predictions"
            }
        };
        list.push(Output::result(
            COUNTS,
            Recipients::All,
            counted,
            "the ROC curve and the calibration by groups follow from it; no count is released before all were \
             tested",
        ));
        let summed = match self.model.kind {
            ModelKind::Linear | ModelKind::Multinomial => {
                "in each group the sums of predictions and targets; over all rows those of their squares and \
                 products, and of errors and their squares"
            }
            ModelKind::Logistic => {
                "in each group the sum of the predicted probabilities; over all rows the log loss and the squared \
                 errors"
            }
            ModelKind::Poisson => {
                "in each group the sums of expected and counted events; over all rows the deviance, that without \
                 features, the sum of exposures, errors and their squares"
            }
        };
        list.push(Output::result(
            SUMS,
            Recipients::All,
            summed,
            "how well the model predicts follows from them. With two parties each knows the other's sums",
        ));
        if self.curve().is_some() {
            list.push(Output::result(
                AUC,
                Recipients::All,
                "the area under the ROC curve, to 24 bits",
                "one number, made of a fine histogram of the scores that nobody sees",
            ));
            list.push(Output::result(
                CURVE_VARIANCE,
                Recipients::All,
                "the two parts of its variance (DeLong), to 26 bits",
                "its interval follows from them",
            ));
        }
        list
    }

    fn canonical(&self) -> Result<Canonical, Error> {
        Canonical::new("evaluate", ARITHMETIC)
            .with(&self.settings)?
            .field("model", &self.model)?
            .field("rows", &self.rows)?
            .field("origin", &self.origin)
    }

    /// With all steps to the calibration line.
    fn cost(&self, me: usize) -> Cost {
        self.cost_of(me, if self.is_fitted() { STEPS } else { 0 })
    }

    fn figures(&self) -> Figures {
        Figures {
            precision: vec![
                "counts are exact; sums are rounded to 2^-20 once a party; ties of rows of two parties within a \
                 bin count half in the area under the curve"
                    .to_owned(),
            ],
            ..Figures::default()
        }
    }
}
