//! A model: coefficients with intervals, ratios, the fit, and what each feature is.

use mpc_ml::artifact::{CoefficientTest, ErrorKind, FitStatistics, JointTest, Model, ModelKind};
use mpc_ml::data::{CategoricalMissing, Feature, FeatureKind, NumericMissing, Scaling, Target};

use super::html::{Html, Table, count, facts, figure, probability};
use super::plots::{Estimated, forest};

/// The confidence of the intervals.
const CONFIDENCE: f64 = 0.95;

pub(super) fn section(title: &str, model: &Model) -> Html {
    let mut inner = Html::of("p", sentence(model));
    let tests = model.tests(CONFIDENCE);
    match &tests {
        Some(tests) => {
            inner.add(Html::of("h3", "Coefficients"));
            inner.add(plot(model, tests));
            inner.add(table(model, tests));
            inner.add(remarks(model));
            inner.add(contrasts(model));
            inner.add(joint(model));
            inner.add(fit(model));
        }
        None => inner.add(estimates(model)),
    }
    inner.add(Html::of("h3", "Features"));
    inner.add(features(model));
    inner.add(facts([
        (
            "Method",
            Some(format!(
                "{}, {} steps",
                model.training().solver.name,
                model.training().iterations
            )),
        ),
        ("Rows used", Some(count(model.training().rows_used))),
    ]));
    let checks = &model.training().checks;
    if !checks.is_empty() {
        let mut table = Table::new(["Checked before the release", "Value", "At most"]);
        for check in checks {
            table.row(&check.what, [figure(check.value), figure(check.bound)]);
        }
        inner.add(table.html());
    }
    Html::section(title, inner)
}

fn sentence(model: &Model) -> String {
    let (rows, parties) =
        (count(model.training().rows_used), model.training().security.parties.len());
    let fitted = format!("fitted to {rows} rows of {parties} parties");
    match model.schema().target() {
        Target::Binary(target) => format!(
            "Logistic regression: the probability that {} is {} and not {}, {fitted}.",
            target.column, target.positive, target.negative
        ),
        Target::Levels(target) => format!("Classes of {}, {fitted}.", target.column),
        Target::Numeric(target) => format!("Linear regression of {}, {fitted}.", target.column),
        Target::Count(target) => {
            let offset = model
                .schema()
                .offset()
                .map_or(String::new(), |offset| format!(" with the offset {}", offset.column));
            format!("Poisson regression of the count {}{offset}, {fitted}.", target.column)
        }
    }
}

/// What the exponential of a coefficient is.
fn ratio(model: &Model) -> Option<&'static str> {
    match model.kind() {
        ModelKind::Logistic => Some("Odds ratio"),
        ModelKind::Poisson => Some("Rate ratio"),
        _ => None,
    }
}

/// What a term is called: a level beside its base, and not as the model file has it.
fn named(model: &Model, term: &str) -> String {
    for feature in model.schema().features() {
        let at = feature.columns().iter().position(|column| column == term);
        let Some(at) = at else { continue };
        return match &feature.kind {
            FeatureKind::Numeric(_) if at == 0 => feature.name.clone(),
            FeatureKind::Numeric(_) => format!("{}: missing", feature.name),
            FeatureKind::Categorical(rule) => match rule.coded_levels().nth(at) {
                Some(level) => format!("{}: {level} (base {})", feature.name, rule.base),
                None => format!("{}: missing (base {})", feature.name, rule.base),
            },
        };
    }
    term.to_owned()
}

/// Coefficients with intervals: of numbers for one standard deviation, so that they can be compared.
fn plot(model: &Model, tests: &[CoefficientTest]) -> Html {
    let ratios = ratio(model).is_some();
    let shown = |value: f64| if ratios { value.exp() } else { value };
    let mut lines = Vec::new();
    for (term, column) in model.original().coefficients.names().zip(model.schema().columns()) {
        let Some(test) = tests.iter().find(|test| test.name == term) else { continue };
        // The coefficient of a scaled column is that of the file times its standard deviation.
        let deviation = deviation(model, &column);
        let scale = deviation.unwrap_or(1.0);
        let name = match deviation {
            Some(deviation) => format!("{} (per {})", named(model, term), figure(deviation)),
            None => named(model, term),
        };
        lines.push(Estimated {
            name: Html::text(&name),
            estimate: shown(test.estimate * scale),
            low: shown(test.low * scale),
            high: shown(test.high * scale),
        });
    }
    if lines.is_empty() {
        return Html::default();
    }
    let what = match ratio(model) {
        Some(ratio) => format!("{ratio}s with 95% intervals, on a logarithmic scale"),
        None => "Coefficients with 95% intervals".to_owned(),
    };
    let caption = format!(
        "{what}. Numbers that were scaled: for one standard deviation, which stands beside them."
    );
    Html::of("figure", forest(&lines, ratios).and(Html::of("figcaption", caption)))
}

/// The standard deviation by which a column was scaled.
fn deviation(model: &Model, column: &str) -> Option<f64> {
    let feature = model.schema().features().iter().find(|feature| feature.name == column)?;
    let FeatureKind::Numeric(rule) = &feature.kind else { return None };
    match rule.scale {
        Scaling::None => None,
        Scaling::Constants { std, .. } => Some(std),
        Scaling::Joint => {
            model.standardisation().iter().find(|each| each.name == column).map(|each| each.std)
        }
    }
}

fn table(model: &Model, tests: &[CoefficientTest]) -> Html {
    let ratio = ratio(model);
    let statistic = match model.inference().map(|inference| &inference.fit) {
        Some(FitStatistics::LeastSquares(_)) => "t",
        _ => "z",
    };
    let head = ["", "Estimate", "Std. error", statistic, "p"].into_iter();
    let mut table = Table::new(head.chain([ratio.unwrap_or("95% interval")]));
    if model.has_intercept() && !tests.iter().any(|test| test.name == "(intercept)") {
        let estimate = [figure(model.original().intercept)];
        table.row("Intercept", estimate.into_iter().chain(vec![String::new(); 4]));
    }
    for test in tests {
        let (name, is_intercept) = match test.name.as_str() {
            "(intercept)" => ("Intercept".to_owned(), true),
            "(intercept, standardised)" => {
                ("Intercept where all numbers are at their means".to_owned(), true)
            }
            term => (named(model, term), false),
        };
        let interval = match ratio {
            Some(_) if is_intercept => String::new(),
            Some(_) => {
                let [at, low, high] =
                    [test.estimate, test.low, test.high].map(|of| figure(of.exp()));
                format!("{at} ({low} to {high})")
            }
            None => format!("{} to {}", figure(test.low), figure(test.high)),
        };
        let numbers = [test.estimate, test.std_error, test.statistic].map(figure);
        table.row(name, numbers.into_iter().chain([probability(test.p_value), interval]));
    }
    table.html()
}

fn remarks(model: &Model) -> Html {
    let mut text = "Estimates are on the scale of the files, for one unit of a number.".to_owned();
    if let Some(inference) = model.inference() {
        let (kind, errors, _) = inference.tested();
        text += match kind {
            ErrorKind::Hc0 => " Standard errors are robust (HC0).",
            ErrorKind::Hc1 => " Standard errors are robust (HC1).",
            ErrorKind::Cluster => " Standard errors are robust, by groups of rows.",
            ErrorKind::Noise => {
                " Standard errors, p values and intervals are with the noise: they count that of differential privacy \
                 beside chance."
            }
            _ => "",
        };
        if model.has_intercept() && errors.intercept.is_none() {
            text += " The standard error of the intercept itself needs covariances, which were not revealed.";
        }
    }
    Html::classed("p", "soft", text)
}

fn contrasts(model: &Model) -> Html {
    let mut table = Table::new(["Contrast", "Estimate", "Std. error", "p", "95% interval"]);
    for test in model.contrasts(CONFIDENCE) {
        let numbers = [test.estimate, test.std_error].map(figure);
        let interval = format!("{} to {}", figure(test.low), figure(test.high));
        table.row(&test.name, numbers.into_iter().chain([probability(test.p_value), interval]));
    }
    table.html()
}

fn joint(model: &Model) -> Html {
    let Some(inference) = model.inference() else { return Html::default() };
    let law = match &inference.fit {
        FitStatistics::LeastSquares(_) => "F",
        _ => "Chi squared",
    };
    let mut table =
        Table::new(["All coefficients of a feature are 0", law, "Degrees of freedom", "p"]);
    for test in &inference.tests {
        table.row(&test.feature, told(&test.joint));
    }
    table.html()
}

fn told(test: &JointTest) -> [String; 3] {
    [figure(test.statistic), count(test.degrees_of_freedom), probability(test.p_value)]
}

fn fit(model: &Model) -> Html {
    let Some(inference) = model.inference() else { return Html::default() };
    let test = |test: &Option<JointTest>| {
        test.as_ref().map(|test| {
            let [statistic, freedom, p] = told(test);
            format!("{statistic} on {freedom} degrees of freedom, p {p}")
        })
    };
    let facts = match &inference.fit {
        FitStatistics::LeastSquares(fit) => facts([
            ("R\u{b2}", fit.r2.map(|share| format!("{share:.4}"))),
            ("R\u{b2}, adjusted", fit.adjusted_r2.map(|share| format!("{share:.4}"))),
            ("Residual standard error", Some(figure(fit.residual_variance.max(0.0).sqrt()))),
            ("F", test(&fit.f_test)),
            ("Residual degrees of freedom", Some(count(fit.degrees_of_freedom))),
        ]),
        FitStatistics::Likelihood(fit) => facts([
            (
                "Deviance",
                Some(format!(
                    "{} (without features {})",
                    figure(fit.deviance),
                    figure(fit.null_deviance)
                )),
            ),
            ("Likelihood ratio \u{3c7}\u{b2}", test(&fit.likelihood_ratio_test)),
            ("Log-likelihood", fit.log_likelihood.map(figure)),
            ("AIC", fit.aic.map(figure)),
            ("BIC", fit.bic.map(figure)),
            ("Residual degrees of freedom", Some(count(fit.degrees_of_freedom))),
        ]),
        FitStatistics::Rows(fit) | FitStatistics::Noisy(fit) => facts([
            ("Rows", Some(count(fit.rows))),
            ("Residual degrees of freedom", Some(count(fit.degrees_of_freedom))),
        ]),
        _ => Html::default(),
    };
    Html::of("h3", "Fit").and(facts)
}

/// Coefficients on both scales, where there is no inference.
fn estimates(model: &Model) -> Html {
    let (own, common) = (model.original(), model.standardised());
    let mut table = Table::new(["", "Coefficient", "On the common scale"]);
    if model.has_intercept() {
        table.row("Intercept", [own.intercept, common.intercept].map(figure));
    }
    for ((name, own), common) in own.coefficients.iter().zip(common.coefficients.values()) {
        table.row(named(model, name), [own, common].map(figure));
    }
    let failed = model.training().checks.iter().any(|check| check.value > check.bound);
    let none = if failed {
        "There are no standard errors: a check of the released sums, below, says that the noise is too large for them."
    } else {
        "The study revealed no standard errors."
    };
    table.html().and(Html::classed("p", "soft", none))
}

fn features(model: &Model) -> Html {
    let mut table = Table::new(["Column", "Holds", "A missing cell", "Joint mean (SD)"]).of_words();
    for Feature { name, kind } in model.schema().features() {
        let joint = model.standardisation().iter().find(|each| each.name == *name);
        let joint =
            joint.map_or(String::new(), |of| format!("{} ({})", figure(of.mean), figure(of.std)));
        let (holds, missing) = match kind {
            FeatureKind::Numeric(rule) => {
                let holds = rule.range.map_or("a number".to_owned(), |(low, high)| {
                    format!("a number from {low} to {high}")
                });
                let missing = match rule.missing {
                    NumericMissing::Refuse => "is refused".to_owned(),
                    NumericMissing::Mean => "becomes the mean".to_owned(),
                    NumericMissing::Value(value) => format!("becomes {value}"),
                };
                let indicator = if rule.indicator { ", and is marked" } else { "" };
                (holds, missing + indicator)
            }
            FeatureKind::Categorical(rule) => {
                let missing = match rule.missing {
                    CategoricalMissing::Refuse => "is refused".to_owned(),
                    CategoricalMissing::Base => format!("becomes {}", rule.base),
                    CategoricalMissing::Level => "is a level of its own".to_owned(),
                };
                (rule.levels.join(", "), missing)
            }
        };
        table.row(name, [holds, missing, joint]);
    }
    table.html()
}
