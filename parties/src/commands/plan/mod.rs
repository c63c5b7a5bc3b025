//! `party plan`: what a study will take, found out by a rehearsal on invented rows.

mod estimate;
mod invented;
mod rehearsal;
mod tables;

use serde_json::json;

use crate::cli::Plan;
use crate::exit::{Exit, Failure};
use crate::output::{Report, wrapped};
use crate::study::{Study, is_agreement};
pub(super) use estimate::Estimate;

pub(super) fn run(options: &Plan) -> Result<Report, Failure> {
    let path = &options.study;
    if is_agreement(path) {
        return tables::run(options);
    }
    let study = Study::read(path).map_err(|error| Failure::from(error).in_file(path))?;
    let refused = |what: String, advice: &str| {
        Err(Failure::new(Exit::Usage, what).in_file(path).advise(advice))
    };
    if study.scoring().is_some() {
        return refused(
            NOT_REHEARSED.to_owned(),
            "`party study check` tells their rounds and bytes",
        );
    }
    let parties = study.parties().len();
    let rows = &match (&options.rows[..], study.columns()) {
        // All have the same records.
        ([records], Some(_)) => vec![*records; parties],
        (rows, _) => rows.to_vec(),
    };
    if rows.len() != parties {
        return refused(
            format!("--rows has {} numbers, and the study has {parties} parties", rows.len()),
            "name the rows of each party, in the order of the study",
        );
    }
    if study.columns().is_some() && rows.iter().any(|own| *own != rows[0]) {
        return refused(
            "the parties hold columns of the same records, and --rows has several numbers"
                .to_owned(),
            "name the common records that `party align` told: one number",
        );
    }
    options.line.check()?;
    // What cannot be planned is refused before it is rehearsed.
    let planned = study.plan(rows).map_err(|error| Failure::from(error).in_file(path))?;
    let estimate = Estimate::rehearsed(&study, rows)?;
    let mut text = format!("{}\n", study.title());
    text += &estimate.in_words(&study, &options.line);
    if study.privacy().is_some() {
        // What the noise leaves of the signal is what such a study is planned for.
        planned.figures().precision.iter().for_each(|each| text += &wrapped("Precision: ", each));
    }
    let mut json = estimate.json(&study, &options.line);
    json["study"] = json!(study.digest().to_string());
    json["rows"] = json!(options.rows);
    Ok(Report { text, json })
}

/// Why scores are not rehearsed.
pub(super) const NOT_REHEARSED: &str =
    "scores are computed by parts of a model that are here already, and are not rehearsed";
