//! A description: table one, tables of two columns, histograms, correlations (docs/describe.md).

use serde_json::Value;

use super::html::{Html, Table, count, figure, probability};
use super::plots::Axes;
use super::{items, text};

/// Groups beside each other; more stand in a table below.
const BESIDE: usize = 6;

pub(super) fn section(title: &str, result: &Value) -> Html {
    let mut inner = Html::default();
    for what in items(&result["left_out"]) {
        inner.add(Html::of(
            "p",
            format!("Left out, because some count is too small: {}.", text(what)),
        ));
    }
    let groups = items(&result["groups"]);
    let all: Vec<usize> = (0..groups.len()).collect();
    for part in all.chunks(BESIDE) {
        inner.add(table_one(result, groups, part));
    }
    inner.add(items(&result["tables"]).iter().map(crossed).collect::<Html>());
    let histograms: Html = items(&result["histograms"]).iter().map(histogram).collect();
    if !histograms.is_empty() {
        inner.add(Html::of("h3", "Distributions"));
        inner.add(Html::classed("div", "plots", histograms));
    }
    inner.add(quartiles(result));
    inner.add(items(&result["kept"]).iter().map(kept).collect::<Html>());
    inner.add(correlations(&result["correlations"]));
    Html::section(title, inner)
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn number(value: &Value) -> String {
    value.as_f64().map_or("\u{2013}".to_owned(), figure)
}

fn table_one(result: &Value, groups: &[Value], part: &[usize]) -> Html {
    let by = result["group"].as_str();
    let name = |&at: &usize| match by {
        Some(_) => text(&groups[at][0]).to_owned(),
        None => "All rows".to_owned(),
    };
    let heads = part.iter().map(name);
    let mut table = Table::new(
        [by.unwrap_or_default().to_owned()].into_iter().chain(heads).chain(["p".to_owned()]),
    );
    let rows = part.iter().map(|&at| count(whole(&groups[at][1])));
    table.row("Rows", rows.chain([String::new()]));
    for column in items(&result["columns"]) {
        let measured = &column["measured"];
        if measured.is_object() {
            let cell = |&at: &usize| {
                let of = &measured["groups"][at];
                format!("{} ({})", number(&of["mean"]), number(&of["deviation"]))
            };
            let p = test_p(&measured["test"]);
            table.row(
                format!("{}, mean (SD)", text(&measured["name"])),
                part.iter().map(cell).chain([p]),
            );
            if whole(&measured["all"]["missing"]) > 0 {
                let missing =
                    part.iter().map(|&at| count(whole(&measured["groups"][at]["missing"])));
                table.below("missing", missing.chain([String::new()]));
            }
            continue;
        }
        let of = &column["categories"];
        let empty = part.iter().map(|_| String::new());
        table.row(text(&of["name"]), empty.chain([test_p(&of["test"])]));
        for (level, name) in items(&of["levels"]).iter().enumerate() {
            let cell = |&at: &usize| {
                let total: u64 = items(&of["counts"][at]).iter().map(whole).sum();
                let here = whole(&of["counts"][at][level]);
                if total == 0 {
                    return count(here);
                }
                format!("{} ({:.1}%)", count(here), 100.0 * here as f64 / total as f64)
            };
            table.below(text(name), part.iter().map(cell).chain([String::new()]));
        }
        if items(&of["missing"]).iter().any(|missing| whole(missing) > 0) {
            let missing = part.iter().map(|&at| count(whole(&of["missing"][at])));
            table.below("missing", missing.chain([String::new()]));
        }
    }
    let tests = "p: Welch's t test for two groups and analysis of variance for more; for words Pearson's \u{3c7}\u{b2}, or \
                 Fisher's exact test of two by two cells. Missing cells are counted and not compared.";
    let tests = if by.is_some() { Html::classed("p", "soft", tests) } else { Html::default() };
    table.html().and(tests)
}

/// The p value of a test of whether groups differ; of Fisher's test, where there is one.
fn test_p(test: &Value) -> String {
    let p = [
        &test["welch"][0]["p_value"],
        &test["anova"]["p_value"],
        &test["chi_squared"][1],
        &test["chi_squared"][0]["p_value"],
    ];
    p.into_iter().find_map(Value::as_f64).map_or(String::new(), probability)
}

fn crossed(table: &Value) -> Html {
    let names = format!("{} by {}", text(&table["names"][0]), text(&table["names"][1]));
    let across = items(&table["levels"][1]).iter().map(text);
    let mut rows = Table::new([""].into_iter().chain(across));
    for (name, counts) in items(&table["levels"][0]).iter().zip(items(&table["counts"])) {
        rows.row(text(name), items(counts).iter().map(|value| count(whole(value))));
    }
    let p = test_p(&table["test"]);
    let p =
        if p.is_empty() { Html::default() } else { Html::of("p", format!("Independent: p {p}")) };
    Html::of("h3", names).and(rows.html()).and(p)
}

fn histogram(of: &Value) -> Html {
    let ends: Vec<f64> = items(&of["ends"]).iter().filter_map(Value::as_f64).collect();
    let counts: Vec<u64> = items(&of["counts"]).iter().map(whole).collect();
    let (Some(&first), Some(&last)) = (ends.first(), ends.last()) else { return Html::default() };
    if ends.len() != counts.len() + 1 || last <= first {
        return Html::default();
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let name = text(&of["name"]);
    let mut axes = Axes::new((first, last), (0.0, 1.05 * most), (name, "Rows"));
    for (ends, &count) in ends.windows(2).zip(&counts) {
        axes.bar((ends[0], ends[1]), count as f64);
    }
    axes.figure(&format!(
        "{name}: {} rows in {} intervals",
        count(counts.iter().sum()),
        counts.len()
    ))
}

/// Medians and quartiles, each with the interval in which it lies, by group.
fn quartiles(result: &Value) -> Html {
    let columns = items(&result["quartiles"]);
    if columns.is_empty() {
        return Html::default();
    }
    let head = ["Column", "Group", "Lower quartile", "Median", "Upper quartile"];
    let mut table = Table::new(head);
    let between = |of: &Value| match (of[0].as_f64(), of[1].as_f64()) {
        (Some(low), Some(high)) => format!("{} to {}", figure(low), figure(high)),
        _ => "\u{2013}".to_owned(),
    };
    for of in columns {
        for (at, group) in items(&of["groups"]).iter().enumerate() {
            let named = Some(text(&result["groups"][at][0])).filter(|name| !name.is_empty());
            let cells = (0..3_usize).map(|quartile| between(&group[quartile]));
            let named = named.unwrap_or("All rows").to_owned();
            table.row(text(&of["name"]), [named].into_iter().chain(cells));
        }
    }
    Html::of("h3", "Quartiles").and(table.html())
}

/// A list of which some counts are kept back.
fn kept(of: &Value) -> Html {
    let mut table = Table::new([text(&of["name"]), "Rows"]);
    for level in items(&of["levels"]) {
        let rows = level[1].as_u64().map_or("kept back".to_owned(), count);
        table.row(text(&level[0]), [rows]);
    }
    let together = format!("Kept back together: {} rows.", count(whole(&of["together"])));
    table.html().and(Html::classed("p", "soft", together))
}

fn correlations(of: &Value) -> Html {
    let names = items(&of["names"]);
    if names.is_empty() {
        return Html::default();
    }
    let mut table = Table::new([""].into_iter().chain(names.iter().map(text)));
    for (name, row) in names.iter().zip(items(&of["matrix"])) {
        let cell =
            |value: &Value| value.as_f64().map_or("\u{2013}".to_owned(), |r| format!("{r:.3}"));
        table.row(text(name), items(row).iter().map(cell));
    }
    let rows = format!(
        "Over the {} rows that have all numbers; {} have not.",
        count(whole(&of["rows"][0])),
        count(whole(&of["rows"][1]))
    );
    Html::of("h3", "Correlations").and(table.html()).and(Html::classed("p", "soft", rows))
}
