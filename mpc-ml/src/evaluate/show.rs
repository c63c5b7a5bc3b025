//! The result as text of 80 columns.

use std::fmt;

use super::results::{
    Area, Calibration, Estimate, Evaluation, Figures, Group, LinearFigures, LogisticFigures,
    PoissonFigures,
};

/// A number with as many digits as people read, in at most eleven characters.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-4..1e7).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = (4 - size.log10().floor() as i32).clamp(0, 7) as usize;
    format!("{value:.digits$}")
}

fn known(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), number)
}

/// A share of something, which is 1 at most.
pub(super) fn share(value: f64) -> String {
    format!("{value:.4}")
}

pub(super) fn figure(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    value: &str,
    beside: &str,
) -> fmt::Result {
    let beside = if beside.is_empty() { String::new() } else { format!("   ({beside})") };
    writeln!(f, "  {name:<22} {value:>11}{beside}")
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.figures {
            Figures::Logistic(of) => logistic(f, self.rows, of)?,
            Figures::Linear(of) => linear(f, self.rows, of)?,
            Figures::Poisson(of) => poisson(f, self.rows, of)?,
        }
        calibration(f, &self.calibration)?;
        groups(f, self)
    }
}

fn logistic(f: &mut fmt::Formatter<'_>, rows: u64, of: &LogisticFigures) -> fmt::Result {
    let beside = format!("{} positive, {} negative", of.positives, of.negatives);
    figure(f, "Test rows", &rows.to_string(), &beside)?;
    match of.auc {
        Some(Area { auc, std_error: Some(error), low: Some(low), high: Some(high) }) => {
            let beside = format!("95% {} to {}, std. err. {error:.4}", share(low), share(high));
            figure(f, "AUC", &share(auc), &beside)?;
        }
        Some(Area { auc, .. }) => figure(f, "AUC", &share(auc), "")?,
        None => figure(f, "AUC", "-", "all rows are of one class")?,
    }
    let null = |value: f64| format!("without features {}", number(value));
    figure(f, "Brier score", &number(of.brier), &null(of.null_brier))?;
    figure(f, "Log loss", &number(of.log_loss), &null(of.null_log_loss))?;
    figure(f, "Deviance", &number(of.deviance), &null(of.null_deviance))
}

fn linear(f: &mut fmt::Formatter<'_>, rows: u64, of: &LinearFigures) -> fmt::Result {
    figure(f, "Test rows", &rows.to_string(), "")?;
    figure(f, "R2", &of.r2.map_or("-".to_owned(), share), "")?;
    figure(f, "Root mean squared error", &number(of.rmse), "")?;
    figure(f, "Mean absolute error", &number(of.mae), "")?;
    let null = format!("without features {}", number(of.null_deviance));
    figure(f, "Squared errors", &number(of.deviance), &null)
}

fn poisson(f: &mut fmt::Formatter<'_>, rows: u64, of: &PoissonFigures) -> fmt::Result {
    figure(f, "Test rows", &rows.to_string(), "")?;
    let expected = format!("expected {}", number(of.expected));
    figure(f, "Events", &number(of.events), &expected)?;
    let null = format!("without features {}", number(of.null_deviance));
    figure(f, "Deviance", &number(of.deviance), &null)?;
    figure(f, "Share of it explained", &of.d2.map_or("-".to_owned(), share), "")?;
    figure(f, "Root mean squared error", &number(of.rmse), "")?;
    figure(f, "Mean absolute error", &number(of.mae), "")
}

fn calibration(f: &mut fmt::Formatter<'_>, of: &Calibration) -> fmt::Result {
    let mut line = |name: &str, estimate: &Option<Estimate>| match estimate {
        Some(of) => {
            let beside = format!("95% from {} to {}", number(of.low), number(of.high));
            figure(f, name, &number(of.estimate), &beside)
        }
        None => figure(f, name, "-", "there is no such line"),
    };
    line("Calibration slope", &of.slope)?;
    line("Calibration intercept", &of.intercept)?;
    line("The same at slope 1", &of.in_the_large)
}

fn groups(f: &mut fmt::Formatter<'_>, of: &Evaluation) -> fmt::Result {
    if of.coarsened {
        writeln!(f, "\n  Finer groups have a small count and were not told.")?;
    }
    let classes = of.groups.iter().any(|group| group.positives.is_some());
    let positives = if classes { "positive" } else { "" };
    writeln!(
        f,
        "\n  {:>15} {:>14} {:>8} {positives:>9} {:>11} {:>11}",
        "predicted", "", "rows", "mean pred.", "observed"
    )?;
    for Group { low, high, rows, positives, predicted, observed } in &of.groups {
        let low = low.map_or("from lowest".to_owned(), |low| format!("from {}", number(low)));
        let high = high.map_or("up".to_owned(), |high| format!("to {}", number(high)));
        let positives = positives.map_or(String::new(), |positives| positives.to_string());
        let (predicted, observed) = (known(*predicted), known(*observed));
        writeln!(
            f,
            "  {low:>15} {high:>14} {rows:>8} {positives:>9} {predicted:>11} {observed:>11}"
        )?;
    }
    let Figures::Logistic(figures) = &of.figures else { return Ok(()) };
    if figures.roc.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n  {:>14} {:>12} {:>12}", "positive from", "sensitivity", "specificity")?;
    for point in &figures.roc {
        let [sensitivity, specificity] = [point.sensitivity, point.specificity].map(share);
        writeln!(f, "  {:>14} {sensitivity:>12} {specificity:>12}", number(point.threshold))?;
    }
    Ok(())
}
