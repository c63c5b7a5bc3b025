//! `party train`

use std::path::Path;

use crate::cli::Train;
use crate::exit::Failure;
use crate::node::{Participant, terminal};
use crate::output::Report;
use crate::settings::Overrides;

pub(super) fn run(config: &Path, options: &Train) -> Result<Report, Failure> {
    let overrides = Overrides { listen: options.listen, data: options.data.clone() };
    let participant = Participant::prepare(
        &options.study,
        config,
        &overrides,
        options.out.as_deref(),
        options.show_values,
    )?;
    let finished = super::runtime()?.block_on(participant.run(&terminal()))?;
    Ok(finished.report())
}
