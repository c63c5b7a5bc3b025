//! Survival curves (docs/survival.md).

use serde_json::Value;

use super::html::{Html, Table, count, facts, figure, probability};
use super::plots::{Axes, STROKES, legend};
use super::{items, text};

pub(super) fn section(title: &str, result: &Value) -> Html {
    let event = &result["event"];
    let event = event.as_str().map_or_else(
        || items(event).iter().map(text).collect::<Vec<_>>().join(" = "),
        str::to_owned,
    );
    let mut inner = Html::of("p", format!("{} until {event}.", text(&result["time"])));
    let curves = items(&result["curves"]);
    inner.add(Html::classed("div", "plots", plot(result, curves)));
    if curves.len() > 1 {
        inner.add(legend(curves.iter().map(name)));
    }
    let mut table = Table::new(["", "Rows", "Events", "Missing", "Median (95% interval)"]);
    for curve in curves {
        let whole = |field: &str| count(curve[field].as_u64().unwrap_or(0));
        let number = |value: &Value| value.as_f64().map_or("\u{2013}".to_owned(), figure);
        let interval = &curve["median_interval"];
        let median = format!(
            "{} ({} to {})",
            number(&curve["median"]),
            number(&interval[0]),
            number(&interval[1])
        );
        table.row(name(curve), [whole("rows"), whole("events"), whole("missing"), median]);
    }
    inner.add(table.html());
    inner.add(at_risk(result, curves));
    let test = &result["log_rank"]["test"];
    let log_rank = test["p_value"].as_f64().map(|p| {
        let statistic = test["statistic"].as_f64().map_or(String::new(), figure);
        let freedom = test["freedom"].as_f64().map_or(String::new(), |of| format!("{of:.0}"));
        format!("\u{3c7}\u{b2} {statistic} on {freedom} degrees of freedom, p {}", probability(p))
    });
    let coarsened = result["coarsened"].as_u64().filter(|&grids| grids > 0);
    inner.add(facts([
        ("Log-rank test", log_rank),
        (
            "Finer grids not released",
            coarsened.map(|grids| format!("{grids}, because of small counts")),
        ),
        ("Intervals", result["interval"].as_str().map(str::to_owned)),
    ]));
    Html::section(title, inner)
}

fn name(curve: &Value) -> &str {
    Some(text(&curve["name"])).filter(|name| !name.is_empty()).unwrap_or("All")
}

/// The corners of a step function that is 1 before the first of its points.
fn steps(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut corners = vec![(0.0, 1.0)];
    let mut height = 1.0;
    for &(time, value) in points {
        corners.extend([(time, height), (time, value)]);
        height = value;
    }
    corners
}

fn of_points(curve: &Value, field: &str) -> Vec<(f64, f64)> {
    let points = items(&curve["points"]).iter();
    points.map_while(|point| Some((point["time"].as_f64()?, point[field].as_f64()?))).collect()
}

fn plot(result: &Value, curves: &[Value]) -> Html {
    let last = items(&result["grid"]).iter().filter_map(Value::as_f64).fold(0.0, f64::max);
    if last <= 0.0 {
        return Html::default();
    }
    let mut axes =
        Axes::new((0.0, last), (0.0, 1.0), (text(&result["time"]), "Share without the event"));
    for (curve, stroke) in curves.iter().zip(STROKES.iter().cycle()) {
        let mut band = steps(&of_points(curve, "low"));
        band.extend(steps(&of_points(curve, "high")).into_iter().rev());
        axes.area(&band, stroke.0);
        axes.line(&steps(&of_points(curve, "survival")), *stroke);
    }
    axes.figure("Kaplan-Meier curves with 95% intervals")
}

/// How many are left at each point of the grid, at most some eight points.
fn at_risk(result: &Value, curves: &[Value]) -> Html {
    let grid = items(&result["grid"]);
    let every = grid.len().div_ceil(8).max(1);
    let shown = || (0..grid.len()).step_by(every);
    let head = shown().map(|at| grid[at].as_f64().map_or(String::new(), figure));
    let mut table = Table::new(["At risk before".to_owned()].into_iter().chain(head));
    for curve in curves {
        let points = items(&curve["points"]);
        let cell = |at: usize| {
            points
                .get(at)
                .and_then(|point| point["at_risk"].as_u64())
                .map(count)
                .unwrap_or_default()
        };
        table.row(name(curve), shown().map(cell));
    }
    table.html()
}
