//! Effects by site: a forest plot, and what the sites say together (docs/sites.md).

use serde_json::Value;

use super::html::{Html, Table, count, figure, probability};
use super::plots::{Estimated, forest};
use super::{items, text};

pub(super) fn section(title: &str, result: &Value) -> Html {
    let mut inner = Html::of(
        "p",
        format!(
            "{}, fitted by each party to its own rows alone. These are figures of single parties, which the \
             agreement releases.",
            text(&result["model"]["title"])
        ),
    );
    let ratios = text(&result["model"]["kind"]) != "linear";
    for effect in items(&result["effects"]) {
        inner.add(Html::of("h3", text(&effect["name"])));
        inner.add(plot(result, effect, ratios));
        inner.add(table(effect));
    }
    Html::section(title, inner)
}

fn estimated(name: &str, of: &Value, ratios: bool) -> Option<Estimated> {
    let number = |field: &str| of[field].as_f64().map(|it| if ratios { it.exp() } else { it });
    Some(Estimated {
        name: Html::text(name),
        estimate: number("estimate")?,
        low: number("low")?,
        high: number("high")?,
    })
}

fn plot(result: &Value, effect: &Value, ratios: bool) -> Html {
    let (parties, rows) = (items(&result["parties"]), items(&result["rows"]));
    let mut lines = Vec::new();
    let mut without = Vec::new();
    for ((party, rows), site) in parties.iter().zip(rows).zip(items(&effect["sites"])) {
        let name = format!("{} ({} rows)", text(party), count(rows.as_u64().unwrap_or(0)));
        match estimated(&name, site, ratios) {
            Some(line) => lines.push(line),
            None => without.push(text(party)),
        }
    }
    let combined = &effect["combined"];
    lines.extend(estimated("One effect for all", &combined["fixed"], ratios));
    lines.extend(estimated("Effects that differ", &combined["random"], ratios));
    let what = match text(&result["model"]["kind"]) {
        "logistic" => "Odds ratios",
        "poisson" => "Rate ratios",
        _ => "Coefficients",
    };
    let mut caption =
        format!("{what} by site with 95% intervals; the last two lines are all sites together.");
    if !without.is_empty() {
        caption += &format!(" Without a fit on their rows alone: {}.", without.join(", "));
    }
    Html::of("figure", forest(&lines, ratios).and(Html::of("figcaption", caption)))
}

fn table(effect: &Value) -> Html {
    let of = &effect["combined"];
    let Some(q) = of["q"].as_f64() else {
        return Html::of("p", "Fewer than two sites have an estimate.");
    };
    let number = |field: &str| of[field].as_f64().unwrap_or(f64::NAN);
    let mut table = Table::new([
        "Do sites differ?",
        "Q",
        "Degrees of freedom",
        "p",
        "I\u{b2}",
        "\u{3c4}\u{b2}",
    ]);
    let freedom = of["freedom"].as_u64().unwrap_or(0);
    table.row(
        "DerSimonian and Laird",
        [
            figure(q),
            count(freedom),
            probability(number("p_value")),
            format!("{:.1}%", 100.0 * number("i2")),
            figure(number("tau2")),
        ],
    );
    table.html()
}
