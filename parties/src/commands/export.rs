//! `party export`

use std::path::Path;

use serde_json::json;

use super::predict::{none_scored, source, the_model};
use crate::cli::Export;
use crate::data_file::{ReadOptions, read};
use crate::exit::{Exit, Failure};
use crate::export::{ExportError, Exported, export};
use crate::output::{Report, check_writable, create, wrapped};

pub(super) fn run(config: &Path, options: &Export) -> Result<Report, Failure> {
    check_writable(&options.out)?;
    let model = the_model(&options.model)?;
    let file = match &options.data {
        Some(data) => {
            // As `party predict` reads them: rows that cannot be scored are no test.
            let read_options = ReadOptions { lenient: true, ..ReadOptions::default() };
            let file = read(&source(config, data)?, model.schema(), &read_options)?;
            if file.table.rows() == 0 {
                return Err(none_scored(&file.left).in_file(data));
            }
            Some(file)
        }
        None => None,
    };
    let table = file.as_ref().map(|file| &file.table);
    let exported = export(&model, options.form, table).map_err(failed)?;
    let Exported { bytes, remarks, tested } = &exported;
    create(&options.out, bytes)?;
    let mut text = wrapped("", &format!("Wrote {} to {}.", options.form, options.out.display()));
    if let Some(tested) = tested {
        let rows = match tested.rows {
            0 => String::new(),
            rows => format!(" and on {rows} rows of the data"),
        };
        let what = format!(
            "Self-test passed: on {} invented rows{rows} the predictions of what was written equal the model's; the \
             largest difference is {:.1e}.",
            tested.invented, tested.largest_difference
        );
        text += &wrapped("", &what);
    }
    for remark in remarks {
        text += &wrapped("", remark);
    }
    let left_out = file.as_ref().map_or(0, |file| file.left.out.len());
    if left_out > 0 {
        let what = format!("{left_out} rows of the data cannot be scored, and were not compared.");
        text += &wrapped("", &what);
    }
    Ok(Report {
        text,
        json: json!({
            "out": options.out,
            "as": options.form,
            "self_test": tested,
            "remarks": remarks,
            "not_scored": left_out,
        }),
    })
}

fn failed(error: ExportError) -> Failure {
    let what = error.to_string();
    match error {
        ExportError::Refused { .. } => Failure::new(Exit::LocalInput, what)
            .advise("choose another format with --as; docs/export.md says what each can hold"),
        ExportError::Model(error) => Failure::from(error),
        ExportError::SelfTest { .. } => Failure::new(Exit::Internal, what),
    }
}
