//! Tables with differential privacy: what is promised, every figure with its noise (docs/privacy.md).

use serde_json::Value;

use super::html::{Html, Table, count, figure};
use super::{items, text};

/// Groups beside each other; more stand in a table below.
const BESIDE: usize = 6;

pub(super) fn section(title: &str, result: &Value) -> Html {
    let mut inner = Html::default();
    if let Some(promise) = result["promise"].as_str() {
        inner.add(Html::of("p", format!("These figures are {promise}.")));
        inner.add(Html::of(
            "p",
            "After \u{b1} stands by how much the noise puts a figure off at most in 95 of 100. Chance, which rows there \
             are, comes on top. A count below 0 is one of few rows. There are no tests and no p values: those of exact \
             counts do not hold for noisy ones.",
        ));
    }
    let noise: Html = items(&result["noise"]).iter().map(|it| Html::of("li", text(it))).collect();
    if !noise.is_empty() {
        inner.add(Html::of("ul", noise));
    }
    if let Some(rows) = result["rows"].as_u64() {
        let rows = format!("Rows of all parties: {} (public, without noise).", count(rows));
        inner.add(Html::of("p", rows));
    }
    inner.add(items(&result["tables"]).iter().map(table).collect::<Html>());
    inner.add(items(&result["means"]).iter().map(means).collect::<Html>());
    inner.add(items(&result["histograms"]).iter().map(histogram).collect::<Html>());
    Html::section(title, inner)
}

fn whole(value: &Value) -> String {
    let told = value.as_i64().map(|value| {
        let sign = if value < 0 { "\u{2212}" } else { "" };
        format!("{sign}{}", count(value.unsigned_abs()))
    });
    told.unwrap_or_else(|| "\u{2013}".to_owned())
}

fn number(value: &Value) -> String {
    value.as_f64().map_or_else(|| "\u{2013}".to_owned(), figure)
}

/// A figure and its noise.
fn off(value: &Value) -> String {
    match (value["value"].as_f64(), value["within"].as_f64()) {
        (Some(value), Some(within)) => format!("{} \u{b1} {}", figure(value), figure(within)),
        _ => "too noisy".to_owned(),
    }
}

/// What the noise of each count of a table is.
fn noise(of: &Value) -> Html {
    let (Some(deviation), Some(within)) = (of["deviation"].as_f64(), of["within"].as_u64()) else {
        return Html::default();
    };
    let words = format!(
        "Noise of each count: standard deviation {}; off by at most {within} rows in 95 of 100.",
        figure(deviation)
    );
    Html::classed("p", "soft", words)
}

fn intervals(ends: &[Value]) -> impl Iterator<Item = String> {
    ends.windows(2).map(|ends| format!("{} to {}", number(&ends[0]), number(&ends[1])))
}

fn table(of: &Value) -> Html {
    let (names, levels, counts) = (&of["names"], items(&of["levels"]), items(&of["counts"]));
    let Some(first) = levels.first().map(items) else { return Html::default() };
    let cell = |at: usize, place: usize| {
        let within = of["within"].as_u64().unwrap_or(0);
        format!("{} \u{b1} {within}", whole(&counts.get(at).unwrap_or(&Value::Null)[place]))
    };
    let Some(second) = levels.get(1).map(items) else {
        let mut table = Table::new([text(&names[0]), "Rows"]);
        for (at, level) in first.iter().enumerate() {
            table.row(text(level), [cell(at, 0)]);
        }
        return Html::of("h3", text(&names[0])).and(table.html()).and(noise(of));
    };
    let mut html = Html::of("h3", format!("{} by {}", text(&names[1]), text(&names[0])));
    let across: Vec<usize> = (0..first.len()).collect();
    for part in across.chunks(BESIDE) {
        let mut table = Table::new([""].into_iter().chain(part.iter().map(|&at| text(&first[at]))));
        for (place, level) in second.iter().enumerate() {
            table.row(text(level), part.iter().map(|&at| cell(at, place)));
        }
        html.add(table.html());
    }
    html.and(noise(of))
}

fn means(of: &Value) -> Html {
    let cut = items(&of["cut"]);
    let cut = match cut {
        [low, high] => format!(", cut to {} and {}", number(low), number(high)),
        _ => String::new(),
    };
    let mut table = Table::new(["Group", "Mean", "SD"]);
    for (at, group) in items(&of["groups"]).iter().enumerate() {
        table.row(text(group), [off(&of["means"][at]), off(&of["deviations"][at])]);
    }
    Html::of("h3", format!("{}{cut}", text(&of["name"]))).and(table.html())
}

fn histogram(of: &Value) -> Html {
    let (ends, groups) = (items(&of["ends"]), items(&of["groups"]));
    let counts = items(&of["counts"]);
    let mut html = Html::of("h3", format!("{}: rows in intervals", text(&of["name"])));
    let all: Vec<usize> = (0..groups.len()).collect();
    for part in all.chunks(BESIDE) {
        let heads = part.iter().map(|&at| text(&groups[at]));
        let mut table = Table::new([""].into_iter().chain(heads));
        let mut rows: Vec<String> = intervals(ends).collect();
        if counts.iter().any(|counts| items(counts).len() > rows.len()) {
            rows.push("missing".to_owned());
        }
        let of_group = |at: usize| counts.get(at).unwrap_or(&Value::Null);
        for (place, name) in rows.iter().enumerate() {
            table.row(name, part.iter().map(|&at| whole(&of_group(at)[place])));
        }
        for (quartile, name) in ["Lower quartile", "Median", "Upper quartile"].iter().enumerate() {
            let between = |&at: &usize| match items(&of["quartiles"][at][quartile]) {
                [low, high] => format!("{} to {}", number(low), number(high)),
                _ => "too noisy".to_owned(),
            };
            table.row(*name, part.iter().map(between));
        }
        html.add(table.html());
    }
    html.and(noise(of)).and(separation(of, ends))
}

/// How well the column tells two groups apart.
fn separation(of: &Value, ends: &[Value]) -> Html {
    let apart = &of["separation"];
    if !apart.is_object() {
        return Html::default();
    }
    let group = text(&apart["of"]);
    let heading = format!("{}: how well it tells {group} from the other group", text(&of["name"]));
    let mut table = Table::new(["", ""]);
    table.row("Area under the ROC curve", [off(&apart["auc"])]);
    if apart["auc"].is_object() {
        table.row("off by intervals, at most", [number(&apart["ties"])]);
        if apart["brier"].is_object() {
            table.row("Brier score", [off(&apart["brier"])]);
        }
        for (interval, share) in intervals(ends).zip(items(&apart["shares"])) {
            table.row(format!("Share of {group}, {interval}"), [off(share)]);
        }
    }
    Html::of("h4", heading).and(table.html())
}
