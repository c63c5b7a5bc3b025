//! The result for test records whose columns are at different parties.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::results::null_log_loss;
use super::super::show::{figure, number, share};
use crate::artifact::ModelKind;

/// How well a model in parts predicts test records whose columns are at different parties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnsEvaluation {
    /// The kind of the model.
    pub kind: ModelKind,
    /// The digest of the study that fitted it.
    pub study: String,
    /// Test records.
    pub records: u64,
    /// The figures of this kind of model.
    pub figures: ColumnsFigures,
}

/// The figures of a kind of model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnsFigures {
    /// Of probabilities.
    Logistic(ClassFigures),
    /// Of numbers.
    Linear(NumberFigures),
    /// Of counts.
    Poisson(CountFigures),
}

/// How well probabilities are predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassFigures {
    /// Records of the positive class.
    pub positives: u64,
    /// Records of the negative class.
    pub negatives: u64,
    /// The share of records whose class has a probability of a half at least.
    pub accuracy: f64,
    /// The share of the larger class.
    pub null_accuracy: f64,
    /// What waves make; none where scores are too far apart for them.
    pub curves: Option<CurveFigures>,
}

/// Sums over all records of functions of their scores, each with the noise of the joint randomness in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurveFigures {
    /// The area under the ROC curve, of scores that are told apart as `resolution` says.
    pub auc: f64,
    /// Scores of a positive and a negative record that are closer than this count as between equal and ordered.
    pub resolution: f64,
    /// The mean squared error of the probabilities.
    pub brier: f64,
    /// The same if the share of positive records were predicted of all.
    pub null_brier: f64,
    /// The mean negative logarithm of the probability of the outcome.
    pub log_loss: f64,
    /// The same if the share of positive records were predicted of all.
    pub null_log_loss: f64,
    /// Twice the log loss of all records together.
    pub deviance: f64,
    /// The same if the share of positive records were predicted of all.
    pub null_deviance: f64,
    /// The standard deviation of the noise in the deviance.
    pub noise: f64,
}

/// How well numbers are predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberFigures {
    /// The share of the targets' variance about their own mean that the predictions explain; none where they do not
    /// vary.
    pub r2: Option<f64>,
    /// The root of the mean squared error.
    pub rmse: f64,
    /// The mean of target less prediction.
    pub bias: f64,
    /// The sum of squared errors.
    pub deviance: f64,
    /// The sum of squared deviations of the targets from their mean.
    pub null_deviance: f64,
}

/// How well counts are predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CountFigures {
    /// The sum of the counts.
    pub events: f64,
    /// The deviance if one rate were predicted of all records.
    pub null_deviance: f64,
    /// The sum of the expected counts; none where the largest is too large for the sum.
    pub expected: Option<f64>,
    /// The deviance.
    pub deviance: Option<f64>,
    /// The share of the deviance without features that the predictions take away.
    pub d2: Option<f64>,
    /// The standard deviation of what noise and the series make of the deviance.
    pub noise: Option<f64>,
}

impl ClassFigures {
    /// From what was told, the noise of a row's loss, and the resolution.
    pub(super) fn new(told: &[f64], records: f64, curves: Option<(f64, f64)>) -> Self {
        let positives = told[0].round();
        let part = positives / records;
        let null_log_loss = null_log_loss(part);
        let curves = curves.map(|(noise, resolution)| {
            let pairs = positives * (records - positives);
            CurveFigures {
                auc: (0.5 + told[4] / (2.0 * pairs)).clamp(0.0, 1.0),
                resolution,
                brier: told[3] / records,
                null_brier: part * (1.0 - part),
                log_loss: told[2] / records,
                null_log_loss,
                deviance: 2.0 * told[2],
                null_deviance: 2.0 * records * null_log_loss,
                noise: 2.0 * noise * records.sqrt(),
            }
        });
        Self {
            positives: positives as u64,
            negatives: (records - positives) as u64,
            accuracy: told[1].round() / records,
            null_accuracy: part.max(1.0 - part),
            curves,
        }
    }
}

impl NumberFigures {
    /// From what was told, in units of `unit`.
    pub(super) fn new(told: &[f64], records: f64, unit: f64) -> Self {
        let (squares, about) = (told[0].max(0.0), told[2].max(0.0));
        Self {
            r2: (about > 0.0).then(|| 1.0 - squares / about),
            rmse: (squares / records).sqrt() * unit,
            bias: told[1] / records * unit,
            deviance: squares * unit * unit,
            null_deviance: about * unit * unit,
        }
    }
}

impl CountFigures {
    /// From what was told, and what noise makes of a row's mean.
    pub(super) fn new(told: &[f64], records: f64, noise: Option<f64>) -> Self {
        let null_deviance = told[1].max(0.0);
        let deviance = told.get(3).copied();
        let part = |deviance: f64| 1.0 - deviance / null_deviance;
        Self {
            events: told[0].round(),
            null_deviance,
            expected: told.get(2).copied(),
            deviance,
            d2: deviance.filter(|_| null_deviance > 0.0).map(part),
            noise: noise.map(|noise| 2.0 * noise * records.sqrt()),
        }
    }
}

impl fmt::Display for ColumnsEvaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let null = |value: f64| format!("without features {}", number(value));
        let records = self.records.to_string();
        match &self.figures {
            ColumnsFigures::Linear(of) => {
                figure(f, "Test records", &records, "")?;
                figure(f, "R2", &of.r2.map_or("-".to_owned(), share), "")?;
                figure(f, "Root mean squared error", &number(of.rmse), "")?;
                figure(f, "Mean error", &number(of.bias), "target less prediction")?;
                figure(f, "Squared errors", &number(of.deviance), &null(of.null_deviance))
            }
            ColumnsFigures::Logistic(of) => {
                let beside = format!("{} positive, {} negative", of.positives, of.negatives);
                figure(f, "Test records", &records, &beside)?;
                let larger = format!("of the larger class {}", share(of.null_accuracy));
                figure(f, "Accuracy at a half", &share(of.accuracy), &larger)?;
                let Some(of) = &of.curves else {
                    return writeln!(f, "  No more is told: scores are too far apart.");
                };
                let beside = format!("scores told apart from {} on", number(of.resolution));
                figure(f, "AUC", &share(of.auc), &beside)?;
                figure(f, "Brier score", &number(of.brier), &null(of.null_brier))?;
                figure(f, "Log loss", &number(of.log_loss), &null(of.null_log_loss))?;
                figure(f, "Deviance", &number(of.deviance), &null(of.null_deviance))?;
                figure(f, "Noise in it", &number(of.noise), "standard deviation")
            }
            ColumnsFigures::Poisson(of) => {
                figure(f, "Test records", &records, "")?;
                let expected = of.expected.map(|expected| format!("expected {}", number(expected)));
                figure(f, "Events", &number(of.events), &expected.unwrap_or_default())?;
                let (Some(deviance), Some(noise)) = (of.deviance, of.noise) else {
                    return writeln!(f, "  No more is told: an expected count may be too large.");
                };
                figure(f, "Deviance", &number(deviance), &null(of.null_deviance))?;
                figure(f, "Share of it explained", &of.d2.map_or("-".to_owned(), share), "")?;
                figure(f, "Noise in it", &number(noise), "standard deviation")
            }
        }
    }
}
