//! Kaplan-Meier, Greenwood and log-rank of counts: what R's `survfit` and `survdiff` print for the rows.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

use crate::describe::stats::Test;

/// How intervals of a survival curve are computed (`conf.type` of R's `survfit`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Interval {
    /// From the logarithm of the curve.
    #[default]
    Log,
    /// From the logarithm of its negative logarithm.
    LogLog,
    /// From the curve itself.
    Plain,
}

/// The rows of a group at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Rows at risk: seen up to this time at least.
    pub at_risk: u64,
    /// Of them, those with the event at this time.
    pub events: u64,
    /// Of them, those of which nothing is known after this time, without the event.
    pub censored: u64,
}

/// The curve after a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The share that survives.
    pub survival: f64,
    /// The standard error of it, by Greenwood; none where nobody is left.
    pub error: Option<f64>,
    /// The interval; none where nobody is left.
    pub interval: Option<(f64, f64)>,
    /// What the curve would be if within each interval of time those who leave left before the first event.
    pub least: f64,
}

/// The curve of a group at its times.
#[must_use]
pub fn kaplan_meier(steps: &[Step], kind: Interval, confidence: f64) -> Vec<Estimate> {
    let z = quantile(confidence);
    let (mut survival, mut least, mut greenwood) = (1.0, 1.0, 0.0);
    let step = |of: &Step| {
        let Step { at_risk, events, censored } = *of;
        if events > 0 {
            let (n, d) = (at_risk as f64, events as f64);
            survival *= (n - d) / n;
            greenwood += d / (n * (n - d));
            least *= 1.0 - d / (n - censored as f64);
        }
        let spread = greenwood.is_finite().then(|| greenwood.sqrt());
        let interval = spread.and_then(|spread| bounds(survival, z * spread, kind));
        let error = spread.map(|spread| spread * survival);
        Estimate { survival, error, interval, least }
    };
    steps.iter().map(step).collect()
}

/// The normal deviate of a two-sided interval.
fn quantile(confidence: f64) -> f64 {
    Normal::new(0.0, 1.0).map_or(f64::NAN, |law| law.inverse_cdf(0.5 + confidence / 2.0))
}

/// The ends of the interval, from the deviation of the logarithm of the curve.
fn bounds(survival: f64, deviation: f64, kind: Interval) -> Option<(f64, f64)> {
    if survival <= 0.0 {
        return None;
    }
    Some(match kind {
        Interval::Log => {
            let log = survival.ln();
            ((log - deviation).exp(), (log + deviation).exp().min(1.0))
        }
        Interval::LogLog if survival >= 1.0 => (1.0, 1.0),
        Interval::LogLog => {
            let log = survival.ln();
            let (double, deviation) = ((-log).ln(), deviation / log);
            ((-(double - deviation).exp()).exp(), (-(double + deviation).exp()).exp())
        }
        Interval::Plain => {
            let deviation = deviation * survival;
            ((survival - deviation).max(0.0), (survival + deviation).min(1.0))
        }
    })
}

/// The first time at which a curve is at or below one half; where it stays at one half, the middle between that time
/// and the one at which it falls on, as R has it. None where it does not come down.
#[must_use]
pub fn median(times: &[f64], curve: &[Option<f64>]) -> Option<f64> {
    const TOLERANCE: f64 = 1.5e-8;
    let below: Vec<(f64, f64)> = times
        .iter()
        .zip(curve)
        .filter_map(|(&time, &value)| value.map(|value| (time, value)))
        .filter(|&(_, value)| value < 0.5 + TOLERANCE)
        .collect();
    let &(time, first) = below.first()?;
    let next = below.iter().find(|&&(_, value)| value < first - TOLERANCE);
    match next {
        Some(&(next, _)) if (first - 0.5).abs() < TOLERANCE => Some((time + next) / 2.0),
        _ => Some(time),
    }
}

/// The log-rank test of whether groups survive alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LogRank {
    /// Events of each group.
    pub observed: Vec<u64>,
    /// Events of each group that were to be expected if all survive alike.
    pub expected: Vec<f64>,
    /// Chi squared, its degrees of freedom and p value; none where nothing can be compared.
    pub test: Option<Test>,
}

/// The log-rank test (`survdiff` of R): `groups[g][i]` is the group's step at time i. None with fewer than two groups.
#[must_use]
pub fn log_rank(groups: &[Vec<Step>]) -> Option<LogRank> {
    let k = groups.len();
    if k < 2 {
        return None;
    }
    let times = groups.iter().map(Vec::len).min().unwrap_or(0);
    let mut expected = vec![0.0; k];
    let mut variance = vec![vec![0.0; k]; k];
    for time in 0..times {
        let at: Vec<f64> = groups.iter().map(|group| group[time].at_risk as f64).collect();
        let events: f64 = groups.iter().map(|group| group[time].events as f64).sum();
        let all: f64 = at.iter().sum();
        if events == 0.0 {
            continue;
        }
        for i in 0..k {
            expected[i] += events * at[i] / all;
        }
        if all > 1.0 {
            let scale = events * (all - events) / (all * all * (all - 1.0));
            for i in 0..k {
                for j in 0..k {
                    let own = if i == j { all } else { 0.0 };
                    variance[i][j] += scale * at[i] * (own - at[j]);
                }
            }
        }
    }
    let observed: Vec<u64> =
        groups.iter().map(|group| group.iter().map(|step| step.events).sum()).collect();
    // One group is determined by the others.
    let used: Vec<usize> = (0..k).filter(|&i| expected[i] > 0.0).skip(1).collect();
    let test = chi_squared(&observed, &expected, &variance, &used);
    Some(LogRank { observed, expected, test })
}

fn chi_squared(
    observed: &[u64],
    expected: &[f64],
    variance: &[Vec<f64>],
    used: &[usize],
) -> Option<Test> {
    if used.is_empty() {
        return None;
    }
    let distance: Vec<f64> = used.iter().map(|&i| observed[i] as f64 - expected[i]).collect();
    let matrix: Vec<f64> =
        used.iter().flat_map(|&i| used.iter().map(move |&j| variance[i][j])).collect();
    let solved = crate::plaintext::solve_symmetric(&matrix, &distance)?;
    let statistic: f64 = distance.iter().zip(&solved).map(|(a, b)| a * b).sum();
    let freedom = used.len() as f64;
    let p_value = ChiSquared::new(freedom).ok()?.sf(statistic);
    Some(Test { statistic, freedom, denominator: None, p_value })
}
