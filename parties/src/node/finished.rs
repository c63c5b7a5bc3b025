//! The end of a run, as its operator reads it.

use std::fmt::Write;

use mpc_ml::artifact::{CoefficientTest, FitStatistics, JointTest, Model};
use serde_json::json;

use super::{Receipt, StudyFolder};
use crate::exit::Failure;
use crate::output::Report;

/// The confidence of the intervals that are printed.
const CONFIDENCE: f64 = 0.95;

/// What a run came to.
pub struct Finished {
    /// The model, for those who receive it.
    pub model: Option<Model>,
    /// The account of the run.
    pub receipt: Receipt,
    /// Where the files are.
    pub folder: StudyFolder,
    /// Whether the copy of the model that the operator wanted could be written.
    pub copy: Result<(), Failure>,
    /// What all recipients of the model should know about it.
    pub warnings: Vec<String>,
    /// What concerns this party alone.
    pub own_warnings: Vec<String>,
}

impl Finished {
    /// The end of a run, for people and machines.
    #[must_use]
    pub fn report(&self) -> Report {
        let total = &self.receipt.phases["total"];
        let mut text = format!(
            "{}\n  {} rows of {} parties, {} steps",
            self.receipt.title,
            self.receipt.rows.iter().sum::<u64>(),
            self.receipt.rows.len(),
            self.receipt.iterations,
        );
        text += &match self.receipt.rows_dropped {
            0 => "\n".to_owned(),
            dropped => format!(", {dropped} left out of the last batch\n"),
        };
        if let Some(model) = &self.model {
            text += &coefficients(model);
            text += &format!("Model:   {}\n", self.folder.model().display());
        } else {
            text += "The study names other parties as recipients of the model.\n";
        }
        text += &format!("Receipt: {}\n", self.folder.receipt().display());
        text += &format!(
            "Took {:.2} s and {} rounds; this node sent {:.2} MB.\n",
            total.seconds,
            total.rounds,
            total.bytes_sent as f64 / 1e6
        );
        for warning in &self.warnings {
            text += &format!("warning: {warning}\n");
        }
        for warning in &self.own_warnings {
            text += &format!("warning (told to nobody else): {warning}\n");
        }
        let inference = self.model.as_ref().and_then(Model::inference);
        let json = json!({
            "title": self.receipt.title,
            "study": self.receipt.study,
            "model": self.model.as_ref().map(|_| self.folder.model()),
            "receipt": self.folder.receipt(),
            "iterations": self.receipt.iterations,
            "rows": self.receipt.rows,
            "rows_dropped": self.receipt.rows_dropped,
            "confidence": CONFIDENCE,
            "coefficients": self.model.as_ref().and_then(|model| model.tests(CONFIDENCE)),
            "fit": inference.map(|inference| &inference.fit),
            "phases": self.receipt.phases,
            "warnings": self.warnings.iter().chain(&self.own_warnings).collect::<Vec<_>>(),
        });
        Report { text, json }
    }
}

/// The coefficients: with tests where there is inference, on both scales where not.
fn coefficients(model: &Model) -> String {
    match (model.tests(CONFIDENCE), model.inference()) {
        (Some(tests), Some(inference)) => {
            let intercept_known = inference.std_errors.intercept.is_some();
            tested(model, &tests, &inference.fit, intercept_known) + &fit(&inference.fit)
        }
        _ => plain(model),
    }
}

/// The coefficients on the scale of the files and on the common one.
fn plain(model: &Model) -> String {
    let (original, standardised) = (model.original(), model.standardised());
    let width = width(original.coefficients.names());
    let mut text = format!("\n  {:width$}  {:>14}  {:>14}\n", "", "coefficient", "standardised");
    let mut line = |name: &str, own: f64, common: f64| {
        text += &format!("  {name:width$}  {own:>14.6}  {common:>14.6}\n");
    };
    if model.has_intercept() {
        line("(intercept)", original.intercept, standardised.intercept);
    }
    for ((name, own), common) in
        original.coefficients.iter().zip(standardised.coefficients.values())
    {
        line(name, own, common);
    }
    text.push('\n');
    text
}

fn width<'a>(names: impl Iterator<Item = &'a str>) -> usize {
    names.map(|name| name.chars().count()).max().unwrap_or(0).max(11)
}

/// The table that every statistics program prints.
fn tested(
    model: &Model,
    tests: &[CoefficientTest],
    fit: &FitStatistics,
    intercept_known: bool,
) -> String {
    let statistic = match fit {
        FitStatistics::LeastSquares(_) => "t",
        _ => "z",
    };
    let width = width(tests.iter().map(|test| test.name.as_str()));
    let mut text = format!(
        "\n  {:width$}  {:>12} {:>11} {statistic:>8} {:>9} {:>3}  {:>25}\n",
        "", "estimate", "std. error", "p", "", "95% interval"
    );
    if model.has_intercept() && !intercept_known {
        let estimate = model.original().intercept;
        text += &format!("  {:width$}  {:>12}\n", "(intercept)", figure(estimate));
    }
    for test in tests {
        let _ = writeln!(
            text,
            "  {:width$}  {:>12} {:>11} {:>8.3} {:>9} {:3}  {:>12} {:>12}",
            test.name,
            figure(test.estimate),
            figure(test.std_error),
            test.statistic,
            probability(test.p_value),
            stars(test.p_value),
            figure(test.low),
            figure(test.high),
        );
    }
    text += "  *** p < 0.001, ** p < 0.01, * p < 0.05\n";
    if model.has_intercept() && !intercept_known {
        text += "  The standard error of the intercept is known where all columns are at their means \
                 (standardised);\n  elsewhere it needs correlations between coefficients, which are \
                 not revealed.\n";
    }
    text.push('\n');
    text
}

/// How well the model fits, in a line or two.
fn fit(fit: &FitStatistics) -> String {
    let test = |name: &str, test: &Option<JointTest>, beyond: String| match test {
        Some(test) => format!(
            "  {name} = {} on {}{beyond} degrees of freedom, p {}\n",
            figure(test.statistic),
            test.degrees_of_freedom,
            probability(test.p_value)
        ),
        None => String::new(),
    };
    let share = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{share:.4}"));
    match fit {
        FitStatistics::LeastSquares(fit) => format!(
            "  Residual standard error {} on {} degrees of freedom, R2 {}, adjusted {}\n{}\n",
            figure(fit.residual_variance.max(0.0).sqrt()),
            fit.degrees_of_freedom,
            share(fit.r2),
            share(fit.adjusted_r2),
            test("F", &fit.f_test, format!(" and {}", fit.degrees_of_freedom)),
        ),
        FitStatistics::Likelihood(fit) => format!(
            "  Deviance {} on {} degrees of freedom, without features {}\n{}\n",
            figure(fit.deviance),
            fit.degrees_of_freedom,
            figure(fit.null_deviance),
            test("Likelihood ratio: chi2", &fit.likelihood_ratio_test, String::new()),
        ),
        _ => String::new(),
    }
}

/// Six digits, in the form that is shorter.
fn figure(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e7).contains(&size) {
        let before = if size >= 1.0 { size.log10().floor() as usize + 1 } else { 1 };
        format!("{value:.*}", 7_usize.saturating_sub(before).min(6))
    } else {
        format!("{value:.4e}")
    }
}

fn probability(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

fn stars(p: f64) -> &'static str {
    match p {
        p if p < 0.001 => "***",
        p if p < 0.01 => "**",
        p if p < 0.05 => "*",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_matter() {
        for (value, text) in [
            (0.0, "0.000000"),
            (12.345_678_9, "12.34568"),
            (-1_234_567.8, "-1234568"),
            (0.000_123_4, "0.000123"),
            (0.000_012_34, "1.2340e-5"),
            (3.5e9, "3.5000e9"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!((probability(0.049_9), stars(0.049_9)), ("0.0499".into(), "*"));
        assert_eq!((probability(1e-9), stars(1e-9)), ("< 0.0001".into(), "***"));
    }
}
