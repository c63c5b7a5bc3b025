//! An evaluation: ROC curve, calibration and figures (docs/evaluation.md).

use serde_json::Value;

use super::html::{Html, Table, count, facts, figure};
use super::plots::{Axes, STROKES};
use super::{items, text};

pub(super) fn section(title: &str, result: &Value) -> Html {
    let rows = count(result["rows"].as_u64().unwrap_or(0));
    let mut inner = Html::of(
        "p",
        format!("{}, on {rows} test rows of all parties.", text(&result["model"]["title"])),
    );
    if result["coarsened"] == true {
        inner.add(Html::of("p", "Finer groups had a small count, and were not released."));
    }
    let figures = &result["figures"];
    let plots = roc(&figures["logistic"]).and(calibration(result));
    inner.add(Html::classed("div", "plots", plots));
    inner.add(all_figures(figures));
    inner.add(line(&result["calibration"]));
    inner.add(groups(result));
    Html::section(title, inner)
}

fn number(value: &Value) -> Option<String> {
    value.as_f64().map(figure)
}

/// An estimate with its interval.
fn interval(of: &Value, field: &str) -> Option<String> {
    let estimate = number(&of[field])?;
    Some(match (number(&of["low"]), number(&of["high"])) {
        (Some(low), Some(high)) => format!("{estimate} (95% interval {low} to {high})"),
        _ => estimate,
    })
}

fn all_figures(figures: &Value) -> Html {
    let beside = |of: &Value, field: &str, null: &str| {
        Some(format!("{} (without features {})", number(&of[field])?, number(&of[null])?))
    };
    let (logistic, linear, poisson) =
        (&figures["logistic"], &figures["linear"], &figures["poisson"]);
    facts([
        ("AUC", interval(&logistic["auc"], "auc")),
        ("Positive rows", logistic["positives"].as_u64().map(count)),
        ("Negative rows", logistic["negatives"].as_u64().map(count)),
        ("Brier score", beside(logistic, "brier", "null_brier")),
        ("Log loss", beside(logistic, "log_loss", "null_log_loss")),
        ("R\u{b2}", number(&linear["r2"])),
        ("Root mean squared error", number(&linear["rmse"]).or_else(|| number(&poisson["rmse"]))),
        ("Mean absolute error", number(&linear["mae"]).or_else(|| number(&poisson["mae"]))),
        ("Mean of target less prediction", number(&linear["bias"])),
        ("Events", number(&poisson["events"])),
        ("Events expected", number(&poisson["expected"])),
        ("Deviance", beside(poisson, "deviance", "null_deviance")),
        ("Share of the deviance explained", number(&poisson["d2"])),
    ])
}

fn line(of: &Value) -> Html {
    facts([
        ("Calibration slope", interval(&of["slope"], "estimate")),
        ("Calibration intercept", interval(&of["intercept"], "estimate")),
        ("Intercept at slope 1", interval(&of["in_the_large"], "estimate")),
    ])
}

fn roc(of: &Value) -> Html {
    let mut points = vec![(0.0, 0.0)];
    for point in items(&of["roc"]) {
        if let (Some(sensitivity), Some(specificity)) =
            (point["sensitivity"].as_f64(), point["specificity"].as_f64())
        {
            points.push((1.0 - specificity, sensitivity));
        }
    }
    if points.len() < 2 {
        return Html::default();
    }
    points.push((1.0, 1.0));
    let mut axes = Axes::new((0.0, 1.0), (0.0, 1.0), ("1 \u{2212} specificity", "Sensitivity"));
    axes.guide((0.0, 0.0), (1.0, 1.0));
    axes.line(&points, STROKES[0]);
    points[1..points.len() - 1].iter().for_each(|point| axes.dot(*point, 3.0));
    let area = interval(&of["auc"], "auc").map_or(String::new(), |area| format!(", AUC {area}"));
    axes.figure(&format!("ROC curve at the ends of the groups{area}"))
}

fn calibration(result: &Value) -> Html {
    let groups: Vec<(f64, f64, f64)> = items(&result["groups"])
        .iter()
        .filter_map(|group| {
            let rows = group["rows"].as_f64().unwrap_or(0.0);
            Some((group["predicted"].as_f64()?, group["observed"].as_f64()?, rows))
        })
        .collect();
    let all = || groups.iter().flat_map(|(predicted, observed, _)| [*predicted, *observed]);
    let (mut low, mut high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
    if high <= low {
        return Html::default();
    }
    let reach = 0.06 * (high - low);
    // Shares and counts begin at 0.
    low = if low >= 0.0 { 0.0 } else { low - reach };
    high += reach;
    if result["figures"]["logistic"].is_object() {
        high = high.min(1.0);
    }
    let most = groups.iter().map(|(_, _, rows)| *rows).fold(1.0, f64::max);
    let mut axes = Axes::new((low, high), (low, high), ("Predicted", "Observed"));
    axes.guide((low, low), (high, high));
    for (predicted, observed, rows) in &groups {
        axes.dot((*predicted, *observed), 2.5 + 5.0 * (rows / most).sqrt());
    }
    axes.figure("Calibration: mean prediction and outcome by group; larger points have more rows")
}

fn groups(result: &Value) -> Html {
    let mut table =
        Table::new(["Predicted from", "to", "Rows", "Positive", "Mean prediction", "Observed"]);
    for group in items(&result["groups"]) {
        let number = |field: &str| number(&group[field]).unwrap_or_default();
        let whole = |field: &str| group[field].as_u64().map(count).unwrap_or_default();
        table.row(
            number("low"),
            [
                number("high"),
                whole("rows"),
                whole("positives"),
                number("predicted"),
                number("observed"),
            ],
        );
    }
    table.html()
}
