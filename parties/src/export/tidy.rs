//! Coefficients and statistics of the fit in the columns of R's broom.

use mpc_ml::artifact::{ErrorKind, FitStatistics, LeastSquares, Likelihood, Model};

use super::formula::{Formula, Reads};
use super::rows::Rows;
use super::{Evaluate, Refusal, number};

/// The confidence of the intervals.
const CONFIDENCE: f64 = 0.95;
/// What R calls the intercept.
const INTERCEPT: &str = "(Intercept)";
const TIDY: [&str; 7] =
    ["term", "estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high"];

type Written = Result<(Vec<u8>, Vec<String>), Refusal>;

/// `term, estimate, std.error, statistic, p.value, conf.low, conf.high`, on the scale of the files.
pub(super) fn tidy(model: &Model) -> Written {
    let original = model.original();
    let tests = model.tests(CONFIDENCE).unwrap_or_default();
    // Without one, scaled columns leave a constant on the scale of the files all the same.
    let constant = model.has_intercept() || original.intercept != 0.0;
    let intercept = constant.then_some((INTERCEPT, original.intercept));
    let mut lines = vec![TIDY.map(str::to_owned).to_vec()];
    for (term, estimate) in intercept.into_iter().chain(original.coefficients.iter()) {
        let name = if term == INTERCEPT { "(intercept)" } else { term };
        let mut line = vec![term.to_owned(), number(estimate)];
        match tests.iter().find(|test| test.name == name) {
            Some(test) => {
                let all = [test.std_error, test.statistic, test.p_value, test.low, test.high];
                line.extend(all.map(number));
            }
            None => line.extend(vec![String::new(); 5]),
        }
        lines.push(line);
    }
    let mut remarks = Vec::new();
    match model.inference() {
        None => remarks.push(
            "The study revealed no standard errors (it did not ask for them by output.inference, or with [privacy] a check \
             of the noise failed), so there are estimates alone."
                .to_owned(),
        ),
        Some(inference) => {
            let (kind, errors, _) = inference.tested();
            if model.has_intercept() && errors.intercept.is_none() {
                remarks.push(
                    "The standard error of the intercept needs the covariances of all coefficients, which the study \
                     did not reveal (output.covariance); it is left empty."
                        .to_owned(),
                );
            }
            match kind {
                ErrorKind::Usual => {}
                ErrorKind::Noise => remarks.push(
                    "The standard errors are with the noise: they count that of differential privacy beside chance."
                        .to_owned(),
                ),
                _ => remarks.push("The standard errors are the robust ones of the study.".to_owned()),
            }
        }
    }
    csv(&lines).map(|bytes| (bytes, remarks))
}

/// One row of statistics, in the columns that broom has for this kind of model and that are known.
pub(super) fn glance(model: &Model) -> Written {
    let Some(inference) = model.inference() else {
        return Err(Refusal::of(
            "the study revealed no statistics of the fit; a study with inference = true below [output] does",
        ));
    };
    let (columns, remarks) = match &inference.fit {
        FitStatistics::LeastSquares(fit) => (least_squares(model, fit), Vec::new()),
        FitStatistics::Likelihood(fit) => (likelihood(model, fit), Vec::new()),
        FitStatistics::Rows(fit) | FitStatistics::Noisy(fit) => (
            vec![("df.residual", whole(fit.degrees_of_freedom)), ("nobs", whole(fit.rows))],
            vec![
                "The fit revealed no deviance and no likelihood; these columns are left out."
                    .to_owned(),
            ],
        ),
        _ => return Err(Refusal::of("its statistics are of a kind that is not known here")),
    };
    let known: Vec<_> = columns
        .into_iter()
        .filter_map(|(name, value)| value.map(|value| (name.to_owned(), value)))
        .collect();
    let (names, values) = known.into_iter().unzip();
    csv(&[names, values]).map(|bytes| (bytes, remarks))
}

type Column = (&'static str, Option<String>);

fn whole(value: u64) -> Option<String> {
    Some(value.to_string())
}

fn least_squares(model: &Model, fit: &LeastSquares) -> Vec<Column> {
    let rows = fit.rows as f64;
    // Of weighted rows the likelihood depends on the weights, which nobody revealed.
    let weighted = model.case_weights().is_some();
    let log_likelihood = (!weighted).then(|| {
        let variance = fit.residual_sum_of_squares / rows;
        -0.5 * rows * ((std::f64::consts::TAU * variance).ln() + 1.0)
    });
    let log_likelihood = log_likelihood.filter(|value| value.is_finite());
    // The variance is a parameter too.
    let parameters = (fit.rows - fit.degrees_of_freedom + 1) as f64;
    let criterion = |each: f64| log_likelihood.map(|of| number(each * parameters - 2.0 * of));
    let test = fit.f_test.as_ref();
    vec![
        ("r.squared", fit.r2.map(number)),
        ("adj.r.squared", fit.adjusted_r2.map(number)),
        ("sigma", Some(number(fit.residual_variance.sqrt()))),
        ("statistic", test.map(|test| number(test.statistic))),
        ("p.value", test.map(|test| number(test.p_value))),
        ("df", test.and_then(|test| whole(test.degrees_of_freedom))),
        ("logLik", log_likelihood.map(number)),
        ("AIC", criterion(2.0)),
        ("BIC", criterion(rows.ln())),
        ("deviance", Some(number(fit.residual_sum_of_squares))),
        ("df.residual", whole(fit.degrees_of_freedom)),
        ("nobs", whole(fit.rows)),
    ]
}

fn likelihood(model: &Model, fit: &Likelihood) -> Vec<Column> {
    vec![
        ("null.deviance", Some(number(fit.null_deviance))),
        ("df.null", whole(fit.rows - u64::from(model.has_intercept()))),
        ("logLik", fit.log_likelihood.map(number)),
        ("AIC", fit.aic.map(number)),
        ("BIC", fit.bic.map(number)),
        ("deviance", Some(number(fit.deviance))),
        ("df.residual", whole(fit.degrees_of_freedom)),
        ("nobs", whole(fit.rows)),
    ]
}

fn csv(lines: &[Vec<String>]) -> Result<Vec<u8>, Refusal> {
    let failed = |error: &dyn std::fmt::Display| Refusal::of(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    for line in lines {
        writer.write_record(line).map_err(|error| failed(&error))?;
    }
    writer.into_inner().map_err(|error| failed(&error))
}

/// The estimates of a table that was read: weights on the scale of the files.
pub(super) struct Read<'a> {
    formula: &'a Formula,
    intercept: f64,
    weights: Vec<f64>,
}

pub(super) fn read<'a>(bytes: &[u8], formula: &'a Formula) -> Result<Read<'a>, String> {
    let mut table = csv::Reader::from_reader(bytes);
    let (mut intercept, mut weights) = (0.0, Vec::new());
    for (at, line) in table.records().enumerate() {
        let line = line.map_err(|error| error.to_string())?;
        let estimate: f64 =
            line.get(1).and_then(|cell| cell.parse().ok()).ok_or("an estimate is no number")?;
        let term = line.get(0).unwrap_or_default();
        if formula.terms.get(weights.len()).is_some_and(|due| due.name == term) {
            weights.push(estimate);
        } else if at == 0 && term == INTERCEPT {
            intercept = estimate;
        } else {
            return Err(format!("the term {term:?} is not due"));
        }
    }
    if weights.len() != formula.terms.len() {
        return Err("a term is missing".to_owned());
    }
    Ok(Read { formula, intercept, weights })
}

impl Evaluate for Read<'_> {
    fn predict(&self, rows: &Rows<'_>) -> Result<Vec<f64>, String> {
        let score = |row: usize| {
            let mut score = self.intercept;
            for (term, weight) in self.formula.terms.iter().zip(&self.weights) {
                let (cell, word) = (rows.number(&term.column, row), rows.word(&term.column, row));
                let value = match &term.reads {
                    Reads::Number { fill, .. } => cell.or(*fill).ok_or("a cell is empty")?,
                    Reads::Missing => f64::from(u8::from(cell.is_none() && word.is_none())),
                    Reads::Level(level) => f64::from(u8::from(word == Some(level))),
                };
                score += weight * value;
            }
            if let Some(offset) = &self.formula.offset {
                score += rows.number(offset, row).ok_or("an offset is empty")?;
            }
            Ok(self.formula.kind.prediction(score))
        };
        (0..rows.count).map(score).collect()
    }
}
