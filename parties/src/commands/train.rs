//! `party train`

use std::path::Path;

use crate::cli::Train;
use crate::exit::{Exit, Failure};
use crate::node::{Closing, Events, Finished, Participant, StopSignal, terminal};
use crate::output::print;
use crate::settings::Overrides;

/// Trains, and prints the result before the wait for the others: whatever becomes of them, it is
/// complete.
pub(super) fn run(config: &Path, options: &Train, as_json: bool) -> Exit {
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return print(&Err(failure), as_json),
    };
    runtime.block_on(async {
        let events = terminal();
        match train(config, options, &events).await {
            Ok((finished, closing, mut stop)) => {
                let exit = print(&finished.copy.clone().map(|()| finished.report()), as_json);
                closing.wait_with_note(&events, &mut stop).await;
                exit
            }
            Err(failure) => print(&Err(failure), as_json),
        }
    })
}

async fn train(
    config: &Path,
    options: &Train,
    events: &Events,
) -> Result<(Finished, Closing, StopSignal), Failure> {
    let overrides = Overrides { listen: options.listen, data: options.data.clone() };
    let participant = Participant::prepare(
        &options.study,
        config,
        &overrides,
        options.out.as_deref(),
        options.show_values,
    )?;
    // Until here a signal ends the process at once, and nobody waits for it.
    let mut stop = StopSignal::install()?;
    let (finished, closing) = participant.run(events, &mut stop).await?;
    Ok((finished, closing, stop))
}
