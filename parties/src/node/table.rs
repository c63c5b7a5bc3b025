//! The result as a person reads it: a table of at most 80 columns.

use std::fmt::Write;

use mpc_ml::artifact::{
    ClassCoefficients, ClassModel, CoefficientTest, Coefficients, ErrorKind, FeatureTest,
    FitStatistics, JointTest, Model, ModelKind, ModelPart, Ratio,
};

use super::finished::CONFIDENCE;
use crate::output::wrapped;

/// Longer names stand on a line of their own.
const LONGEST_NAME: usize = 20;
/// The same beside ratios, which leave more room.
const LONGEST_RATIO_NAME: usize = 40;

/// The coefficients: with tests where there is inference, on both scales where not.
pub(super) fn coefficients(model: &Model) -> String {
    match (model.tests(CONFIDENCE), model.inference()) {
        (Some(tests), Some(inference)) => {
            let (kind, errors, _) = inference.tested();
            let known = errors.intercept.is_some();
            let contrasts = model.contrasts(CONFIDENCE);
            tested(model, &tests, &inference.fit, (kind, known))
                + &combinations(&contrasts)
                + &ratios(model.kind(), &tests, &contrasts)
                + &joint(&model.joint_tests(), &inference.fit)
                + &fit(&inference.fit)
        }
        _ => plain(model),
    }
}

/// The coefficients on the scale of the files and on the common one.
fn plain(model: &Model) -> String {
    let constant = model.has_intercept().then_some("(intercept)");
    both_scales(&model.original(), model.standardised(), constant)
}

/// The same of one party's part of a model, which adds a constant to every score.
pub(super) fn own_part(part: &ModelPart) -> String {
    let mut text = both_scales(&part.original(), part.standardised(), Some("(constant)"));
    text.truncate(text.trim_end().len());
    let intercept = if part.has_intercept() { "; the intercept of the model is in it" } else { "" };
    let told = format!(
        "this party's part of the model, which adds the constant and its own columns to the score of each \
         record{intercept}"
    );
    text + "\n" + &wrapped("  ", &told) + "\n"
}

/// The classes of a model, with the coefficients of each where they fit a screen.
pub(super) fn class_model(model: &ClassModel) -> String {
    /// So many lines are read.
    const MOST_LINES: usize = 60;
    let columns = model.schema().columns().len();
    if (columns + 4) * model.classes().len() > MOST_LINES {
        let levels: Vec<&str> = model.levels().collect();
        let told = format!(
            "{} coefficients and an intercept for each of {} classes ({}), all in the model file",
            columns,
            levels.len(),
            levels.join(", ")
        );
        return "\n".to_owned() + &wrapped("  ", &told) + "\n";
    }
    let class = |class: &ClassCoefficients| {
        let ClassCoefficients { level, intercept, coefficients, standardised } = class;
        let original = Coefficients { intercept: *intercept, coefficients: coefficients.clone() };
        format!(
            "\n  {level}:{}",
            both_scales(&original, standardised, Some("(intercept)")).trim_end()
        )
    };
    model.classes().iter().map(class).collect::<String>() + "\n\n"
}

fn both_scales(
    original: &Coefficients,
    standardised: &Coefficients,
    constant: Option<&str>,
) -> String {
    let names = original.coefficients.names();
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0).max(11);
    let mut text = format!("\n  {:width$}  {:>14}  {:>14}\n", "", "coefficient", "standardised");
    let mut line = |name: &str, own: f64, common: f64| {
        text += &format!("  {name:width$}  {own:>14.6}  {common:>14.6}\n");
    };
    if let Some(name) = constant {
        line(name, original.intercept, standardised.intercept);
    }
    for ((name, own), common) in
        original.coefficients.iter().zip(standardised.coefficients.values())
    {
        line(name, own, common);
    }
    text.push('\n');
    text
}

/// The table that every statistics program prints.
fn tested(
    model: &Model,
    tests: &[CoefficientTest],
    fit: &FitStatistics,
    (kind, intercept_known): (ErrorKind, bool),
) -> String {
    let statistic = match fit {
        FitStatistics::LeastSquares(_) => "t",
        _ => "z",
    };
    let names = tests.iter().map(|test| name(test).chars().count());
    let width = names.filter(|&length| length <= LONGEST_NAME).max().unwrap_or(0).max(14);
    let mut text = format!(
        "\n  {:width$} {:>9} {:>9} {statistic:>7} {:>6} {:3} {:>19}\n",
        "", "estimate", "std. err.", "p", "", "95% interval"
    );
    let standardised = model.has_intercept() && !intercept_known;
    if standardised {
        let estimate = short(model.original().intercept);
        text += &format!("  {:width$} {estimate:>9}\n", "(intercept)");
    }
    for test in tests {
        text += &line(test, width);
    }
    text += "  *** p < 0.001, ** p < 0.01, * p < 0.05\n";
    let robust = match kind {
        ErrorKind::Hc0 => Some("from squared residuals (HC0)"),
        ErrorKind::Hc1 => Some("from squared residuals (HC1)"),
        ErrorKind::Cluster => Some("from residuals summed over groups of rows"),
        _ => None,
    };
    if let Some(how) = robust {
        let _ = writeln!(
            text,
            "  Standard errors are robust: {how}.\n  {statistic}, p and intervals rest on them; the \
             usual ones are in model.json."
        );
    }
    if kind == ErrorKind::Noise {
        text += "  Standard errors, z, p and intervals count the noise of differential privacy\n  beside \
                 chance.\n";
    }
    if standardised {
        text += "  The standard error of the intercept is known where all columns are at their\n  \
                 means (standardised); elsewhere it needs covariances, which are not known.\n";
    }
    text.push('\n');
    text
}

/// What a row of the table is called: the standardised intercept stands below the other one.
fn name(test: &CoefficientTest) -> &str {
    if test.name == "(intercept, standardised)" { "  standardised" } else { &test.name }
}

/// The linear combinations of coefficients, in the columns of the table above.
fn combinations(contrasts: &[CoefficientTest]) -> String {
    if contrasts.is_empty() {
        return String::new();
    }
    let lines: String = contrasts.iter().map(|test| line(test, 14)).collect();
    format!("  Contrasts:\n{lines}\n")
}

/// The ratios of odds or rates, with their intervals.
fn ratios(kind: ModelKind, tests: &[CoefficientTest], contrasts: &[CoefficientTest]) -> String {
    let what = match kind {
        ModelKind::Logistic => "odds ratio",
        ModelKind::Poisson => "rate ratio",
        _ => return String::new(),
    };
    let all = || tests.iter().chain(contrasts).filter_map(|test| Some((&test.name, test.ratio?)));
    let longest = all().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let width = longest.clamp(14, LONGEST_RATIO_NAME);
    let mut text = format!("  {:width$} {what:>10}  {:>20}\n", "", "95% interval");
    for (name, Ratio { estimate, low, high }) in all() {
        let mut name = name.as_str();
        if name.chars().count() > width {
            let _ = writeln!(text, "  {name}");
            name = "";
        }
        let [estimate, low, high] = [estimate, low, high].map(short);
        let _ = writeln!(text, "  {name:width$} {estimate:>10}  {low:>9}  {high:>9}");
    }
    if longest == 0 { String::new() } else { text + "\n" }
}

/// A line of the table.
fn line(test: &CoefficientTest, width: usize) -> String {
    let mut name = name(test);
    let mut text = String::new();
    if name.chars().count() > width {
        let _ = writeln!(text, "  {name}");
        name = "";
    }
    let _ = writeln!(
        text,
        "  {name:width$} {:>9} {:>9} {:>7} {:>6} {:3} {:>9} {:>9}",
        short(test.estimate),
        short(test.std_error),
        score(test.statistic),
        probability(test.p_value),
        stars(test.p_value),
        short(test.low),
        short(test.high),
    );
    text
}

/// The joint tests of features.
fn joint(tests: &[FeatureTest], fit: &FitStatistics) -> String {
    if tests.is_empty() {
        return String::new();
    }
    let mut text = "  All coefficients of a feature are 0 (Wald):\n".to_owned();
    let (law, free) = match fit {
        FitStatistics::LeastSquares(fit) => ("F", format!(" and {}", fit.degrees_of_freedom)),
        _ => ("chi2", String::new()),
    };
    for FeatureTest { feature, joint } in tests {
        let _ = writeln!(
            text,
            "  {feature:14} {law} {} on {}{free} degrees of freedom, p {}",
            figure(joint.statistic),
            joint.degrees_of_freedom,
            probability(joint.p_value)
        );
    }
    text + "\n"
}

/// How well the model fits, in a line or two.
fn fit(fit: &FitStatistics) -> String {
    let test = |name: &str, test: &Option<JointTest>, beyond: String| match test {
        Some(test) => format!(
            "  {name} = {} on {}{beyond} degrees of freedom, p {}\n",
            figure(test.statistic),
            test.degrees_of_freedom,
            if test.p_value < 1e-4 { "< 0.0001".to_owned() } else { probability(test.p_value) }
        ),
        None => String::new(),
    };
    let share = |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{share:.4}"));
    match fit {
        FitStatistics::LeastSquares(fit) => format!(
            "  Residual standard error {} on {} degrees of freedom\n  R2 {}, adjusted {}\n{}\n",
            figure(fit.residual_variance.max(0.0).sqrt()),
            fit.degrees_of_freedom,
            share(fit.r2),
            share(fit.adjusted_r2),
            test("F", &fit.f_test, format!(" and {}", fit.degrees_of_freedom)),
        ),
        FitStatistics::Likelihood(fit) => {
            let mut text = format!(
                "  Deviance {} on {} degrees of freedom, without features {}\n{}",
                figure(fit.deviance),
                fit.degrees_of_freedom,
                figure(fit.null_deviance),
                test("Likelihood ratio: chi2", &fit.likelihood_ratio_test, String::new()),
            );
            if let (Some(likelihood), Some(aic), Some(bic)) = (fit.log_likelihood, fit.aic, fit.bic)
            {
                let all = [likelihood, aic, bic].map(figure);
                let _ =
                    writeln!(text, "  Log-likelihood {}, AIC {}, BIC {}", all[0], all[1], all[2]);
            }
            if let Some(rows) = fit.certain_rows {
                let _ = writeln!(text, "  Rows that are all but certain: {rows} of {}", fit.rows);
            }
            text + "\n"
        }
        _ => String::new(),
    }
}

/// Seven digits, in the form that is shorter.
fn figure(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-4..1e7).contains(&size) {
        let before = if size >= 1.0 { size.log10().floor() as usize + 1 } else { 1 };
        format!("{value:.*}", 7_usize.saturating_sub(before).min(6))
    } else {
        format!("{value:.4e}")
    }
}

/// Five digits in at most nine characters.
fn short(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..999_999.5).contains(&size) {
        let before = if size >= 1.0 { size.log10().floor() as usize + 1 } else { 0 };
        format!("{value:.*}", 6_usize.saturating_sub(before).min(6))
    } else if (1e-9..1e10).contains(&size) {
        format!("{value:.3e}")
    } else {
        format!("{value:.2e}")
    }
}

/// A statistic of a test in at most seven characters.
fn score(value: f64) -> String {
    match value.abs() {
        size if size < 99.9995 => format!("{value:.3}"),
        size if size < 9_999.95 => format!("{value:.1}"),
        _ => format!("{value:.0e}"),
    }
}

fn probability(p: f64) -> String {
    if p < 1e-4 { "< 1e-4".to_owned() } else { format!("{p:.4}") }
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
mod tests;
