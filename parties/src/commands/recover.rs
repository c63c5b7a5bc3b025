//! `party recover`

use std::path::Path;

use crate::cli::Recover;
use crate::exit::Failure;
use crate::node::{Recovery, StopSignal, terminal};
use crate::output::Report;
use crate::settings::Overrides;

pub(super) fn run(config: &Path, options: &Recover) -> Result<Report, Failure> {
    let overrides = Overrides { listen: options.listen, ..Overrides::default() };
    let recovery = Recovery::prepare(&options.study, config, &overrides)?;
    super::runtime()?.block_on(async {
        let mut stop = StopSignal::install()?;
        recovery.run(&terminal(), &mut stop).await
    })
}
