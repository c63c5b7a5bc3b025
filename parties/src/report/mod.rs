//! `report.html`: what was asked, approved, computed and revealed, on one page for a data-protection officer and for
//! the appendix of a paper. It is made from what a run left at this party, and loads nothing from anywhere.

mod account;
mod asked;
mod described;
mod evaluated;
mod fitted;
mod html;
mod noisy;
mod plots;
mod sites;
mod source;
mod survived;

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::exit::{Exit, Failure};
use html::{Html, count, page};
use source::Source;

/// The page on the runs in these folders, in this order, with the texts of the studies that are given.
///
/// # Errors
/// When a folder is not that of a run, or a file in it is another one than its receipt was signed for.
pub fn report(folders: &[PathBuf], studies: &[PathBuf]) -> Result<String, Failure> {
    let mut sources = Vec::new();
    for folder in folders {
        sources.push(Source::read(folder)?);
    }
    source::with_studies(&mut sources, studies)?;
    of_sources(&sources)
}

/// The page on the run in this folder, whose parties had agreed on this text.
///
/// # Errors
/// As [`report`].
pub fn of_run(folder: &Path, study: &str) -> Result<String, Failure> {
    let mut source = Source::read(folder)?;
    source.study = Some(study.to_owned());
    of_sources(&[source])
}

fn of_sources(sources: &[Source]) -> Result<String, Failure> {
    let Some(last) = sources.last() else {
        return Err(Failure::new(Exit::Usage, "no folder of a run is named"));
    };
    // The last run is what the ones before it led to.
    let title = last.text("title").to_owned();
    let mut body = Html::of("header", Html::of("h1", &title).and(summary(sources)));
    body.add(asked::section(sources));
    body.add(asked::approvals(sources));
    for source in sources {
        body.add(results(source));
    }
    body.add(account::revealed(sources));
    body.add(account::cost(sources));
    body.add(account::receipts(sources));
    body.add(account::studies(sources));
    Ok(page(&title, &body))
}

/// In a sentence or two.
fn summary(sources: &[Source]) -> Html {
    let one = |source: &Source| {
        let rows: u64 =
            source.receipt["rows"].as_array().map_or(0, |rows| match source.receipt["alignment"] {
                // All parties hold columns of the same records.
                Value::String(_) => rows.first().and_then(Value::as_u64).unwrap_or(0),
                _ => rows.iter().filter_map(Value::as_u64).sum(),
            });
        // Of these the receipt does not say it, and the result does.
        let rows = match (&source.result, source.text("protocol")) {
            (Some(result), "describe/1" | "evaluate/1" | "private-tables/1") => rows_of(result),
            _ => rows,
        };
        let parties = source.parties();
        let what = match (&source.model, source.text("protocol")) {
            (_, "describe/1") => "a description".to_owned(),
            (_, "evaluate/1") => "an evaluation".to_owned(),
            (_, "survival/1") => "survival curves".to_owned(),
            (_, "private-tables/1") => "tables with noise".to_owned(),
            (_, "sites/1") => "effects by site".to_owned(),
            (_, "") => "a model".to_owned(),
            (_, other) => other.to_owned(),
        };
        let rows = if rows > 0 { format!(" over {} rows", count(rows)) } else { String::new() };
        Html::of("li", format!("{what} of {parties} parties{rows}, {}", source.text("begun")))
    };
    let party = sources.first().map_or("", |source| source.text("party"));
    let text = format!(
        "Computed jointly on secret shares: no party showed its rows to another. This page was made at {party} \
         from what the computation left there; it holds nothing but what was released."
    );
    Html::of("p", text).and(Html::of("ul", sources.iter().map(one).collect::<Html>()))
}

/// How many rows a description or an evaluation is of.
fn rows_of(result: &Value) -> u64 {
    let groups = items(&result["groups"]).iter().filter_map(|group| group[1].as_u64());
    result["rows"].as_u64().unwrap_or_else(|| groups.sum())
}

/// What a run came to.
fn results(source: &Source) -> Html {
    if let Some(model) = &source.model {
        return fitted::section(source.text("title"), model);
    }
    let title = source.text("title");
    match (&source.result, source.text("protocol")) {
        (Some(result), "describe/1") => described::section(title, result),
        (Some(result), "evaluate/1") => evaluated::section(title, result),
        (Some(result), "survival/1") => survived::section(title, result),
        (Some(result), "sites/1") => sites::section(title, result),
        (Some(result), "private-tables/1") => noisy::section(title, result),
        (Some(result), protocol) => {
            let text = serde_json::to_string_pretty(result).unwrap_or_default();
            Html::section(&format!("Result of {protocol}"), Html::of("pre", text))
        }
        (None, _) => Html::section(
            title,
            Html::of(
                "p",
                "This party did not receive the result, or its file is not in the folder.",
            ),
        ),
    }
}

/// The items of a list; none where it is no list.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The text of a value; empty where it is none.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests;
