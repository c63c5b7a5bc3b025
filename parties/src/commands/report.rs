//! `party report`

use serde_json::json;

use crate::cli::Report as Options;
use crate::exit::Failure;
use crate::output::{Report, check_writable, create, wrapped};
use crate::report::report;

pub(super) fn run(options: &Options) -> Result<Report, Failure> {
    check_writable(&options.out)?;
    let page = report(&options.folders, &options.study)?;
    create(&options.out, page.as_bytes())?;
    let what = format!(
        "Wrote {} ({} kB): one page that loads nothing, for any browser and for printing.",
        options.out.display(),
        page.len().div_ceil(1000)
    );
    Ok(Report {
        text: wrapped("", &what),
        json: json!({ "out": options.out, "runs": options.folders, "bytes": page.len() }),
    })
}
