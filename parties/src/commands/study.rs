//! `party study check`

use std::fmt::Write;
use std::path::Path;

use serde_json::json;

use crate::cli::StudyCheck;
use crate::data_file::{DataFile, ReadOptions, read};
use crate::exit::{Exit, Failure};
use crate::name::PartyName;
use crate::output::Report;
use crate::settings::{Overrides, Settings};
use crate::study::{Correlations, Study};

pub(super) fn check(config: &Path, options: &StudyCheck) -> Result<Report, Failure> {
    let study = Study::read(&options.study)
        .map_err(|error| Failure::from(error).in_file(&options.study))?;
    let overrides = Overrides { data: options.data.clone(), ..Overrides::default() };
    let settings =
        Settings::read(config, &overrides).map_err(|error| Failure::from(error).in_file(config))?;
    let own = &settings.identity.name;
    if study.position(own).is_none() {
        let what = format!("this node is {own}, who is not among the parties of the study");
        return Err(Failure::new(Exit::Configuration, what)
            .in_file(&options.study)
            .advise("use the same name in the study and in party.toml"));
    }
    let data = settings.data.as_ref().ok_or_else(|| {
        Failure::new(Exit::Configuration, "party.toml names no data")
            .in_file(config)
            .advise("add [data] with a path, or give --data FILE")
    })?;
    let options = ReadOptions {
        id_column: data.id_column.clone(),
        with_target: true,
        show_values: options.show_values,
    };
    let file = read(&data.path, study.schema(), &options)?;
    let to_do = to_do(&study, &settings);
    Ok(Report {
        text: text(&study, &data.path, &file, &to_do),
        json: json!({
            "study": study.digest().to_string(),
            "title": study.title(),
            "parties": study.parties(),
            "this_party": own,
            "disclosure": study.disclosure(),
            "encoded_columns": study.schema().columns(),
            "data": {
                "path": data.path,
                "rows": file.table.rows(),
                "unused_columns": file.unused_columns,
                "missing": missing(&study, &file).into_iter().collect::<std::collections::BTreeMap<_, _>>(),
            },
            "to_do": to_do,
        }),
    })
}

/// What this node still lacks before it can take part.
fn to_do(study: &Study, settings: &Settings) -> Vec<String> {
    let others = study.parties().iter().filter(|name| **name != settings.identity.name);
    let mut to_do: Vec<String> = others
        .filter(|name| settings.peer(name).is_none())
        .map(|name| format!("{name} is not known yet: party peer add {name} ADDRESS FINGERPRINT"))
        .collect();
    if study.security().correlations == Correlations::Dealer && settings.dealer.is_none() {
        let line = "the dealer is not known yet: party peer add --dealer NAME ADDRESS FINGERPRINT";
        to_do.push(line.to_owned());
    }
    to_do
}

fn missing<'a>(study: &'a Study, file: &DataFile) -> Vec<(&'a str, usize)> {
    let names = study.schema().features().iter().map(|feature| feature.name.as_str());
    names.zip(file.table.missing()).filter(|(_, count)| *count > 0).collect()
}

fn text(study: &Study, path: &Path, file: &DataFile, to_do: &[String]) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut line = |line: std::fmt::Arguments<'_>| {
        let _ = writeln!(text, "{line}");
    };
    let parties: Vec<&str> = study.parties().iter().map(PartyName::as_str).collect();
    line(format_args!("{}", study.title()));
    line(format_args!("  {}", study.digest()));
    line(format_args!("  Parties: {}\n", parties.join(", ")));

    line(format_args!("What will be revealed"));
    for (index, each) in study.disclosure().iter().enumerate() {
        line(format_args!("  {}. What:    {}", index + 1, each.what));
        line(format_args!("     To whom: {}", each.to_whom));
        line(format_args!("     Why:     {}", each.why));
    }
    line(format_args!(
        "  Nothing else is revealed to anyone, provided that every node follows the protocol.\n"
    ));

    line(format_args!("My data (these lines stay on this machine)"));
    line(format_args!("  {}: {} rows", path.display(), file.table.rows()));
    let missing: Vec<String> =
        missing(study, file).iter().map(|(name, count)| format!("{name} {count}")).collect();
    let missing = if missing.is_empty() { "none".to_owned() } else { missing.join(", ") };
    line(format_args!("  Missing cells: {missing}"));
    if !file.unused_columns.is_empty() {
        line(format_args!(
            "  Columns that the study does not use: {}",
            file.unused_columns.join(", ")
        ));
    }
    let columns = study.schema().columns();
    line(format_args!("  Encoded as {} columns: {}\n", columns.len(), columns.join(", ")));

    if to_do.is_empty() {
        line(format_args!("Everything fits; the nodes of all parties are known."));
    } else {
        line(format_args!("The study and the data fit. Before training:"));
        to_do.iter().for_each(|each| line(format_args!("  {each}")));
    }
    text
}
