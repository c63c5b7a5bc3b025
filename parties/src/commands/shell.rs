//! Completions for shells and manual pages, from the definition of the command line; schemas for editors.

use std::fs;

use clap::CommandFactory;
use serde_json::json;

use crate::cli::{Cli, Completions, Described, Manual, Schema};
use crate::exit::{Exit, Failure};
use crate::output::Report;
use crate::schema;

const NAME: &str = "party";

pub(super) fn completions(options: &Completions) -> Result<Report, Failure> {
    let mut bytes = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), NAME, &mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Report { json: json!({ "completions": text }), text })
}

pub(super) fn schema(options: &Schema) -> Result<Report, Failure> {
    let schema = match options.file {
        Described::Study => schema::study(),
        Described::Party => schema::party(),
        Described::Alignment => schema::alignment(),
    };
    Ok(Report { text: format!("{schema:#}\n"), json: json!({ "schema": schema }) })
}

pub(super) fn manual(options: &Manual) -> Result<Report, Failure> {
    let failed = |error: std::io::Error| {
        let what = format!("the manual pages cannot be written: {error}");
        Failure::new(Exit::Configuration, what).in_file(&options.dir)
    };
    fs::create_dir_all(&options.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &options.dir).map_err(failed)?;
    let at = options.dir.display();
    let text = format!("Wrote the manual pages to {at}; read them with `man {at}/{NAME}.1`.\n");
    Ok(Report { text, json: json!({ "directory": options.dir }) })
}
