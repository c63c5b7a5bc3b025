//! `party align`

use std::path::Path;

use crate::cli::Align;
use crate::exit::Failure;
use crate::node::{Aligning, StopSignal, terminal};
use crate::output::Report;
use crate::settings::Overrides;

pub(super) fn run(config: &Path, options: &Align) -> Result<Report, Failure> {
    let (listen, data) = (options.listen, options.data.clone());
    let overrides = Overrides { listen, data, ..Overrides::default() };
    let out = options.out.as_deref();
    let aligning = Aligning::prepare(&options.alignment, config, &overrides, out)?;
    if options.check {
        return Ok(aligning.report());
    }
    if let Some(done) = aligning.done_before()? {
        return Ok(done);
    }
    super::runtime()?.block_on(async {
        let mut stop = StopSignal::install()?;
        aligning.run(&terminal(), &mut stop).await
    })
}
