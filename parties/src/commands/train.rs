//! `party train`

use std::path::Path;

use crate::cli::Train;
use crate::exit::{Exit, Failure};
use crate::node::{Events, StopSignal, Task, Training, terminal};
use crate::output::print;
use crate::settings::Overrides;

/// Trains, or scores records (`joint`), and prints the result before the wait for the others: whatever becomes of
/// them, it is complete. Who is lost before it has the result is waited for.
pub(super) fn run(config: &Path, options: &Train, (joint, as_json): (bool, bool)) -> Exit {
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return print(&Err(failure), as_json),
    };
    let events = terminal();
    let (listen, data) = (options.listen, options.data.clone());
    let overrides = Overrides { listen, data, ..Overrides::default() };
    let training = Training {
        study: options.study.clone(),
        config: config.to_owned(),
        overrides,
        out: options.out.clone(),
        show_values: options.show_values,
    };
    let trained = runtime.block_on(train(&training, (joint, as_json), &events));
    trained.unwrap_or_else(|failure| print(&Err(failure), as_json))
}

async fn train(
    training: &Training,
    (joint, as_json): (bool, bool),
    events: &Events,
) -> Result<Exit, Failure> {
    let participant = training.prepare()?;
    let usage = |what| Failure::new(Exit::Usage, what).in_file(&training.study);
    match (participant.scores(), joint) {
        (true, false) => {
            return Err(usage("this study asks for scores of records, and fits no model")
                .advise("party predict --joint with the same file"));
        }
        (false, true) => {
            return Err(usage("this study has no [predict]: it fits a model, and scores nothing")
                .advise("docs/study-vertical.md has a study that asks for scores"));
        }
        _ => {}
    }
    // Until here a signal ends the process at once, and nobody waits for it.
    let mut stop = StopSignal::install()?;
    let done = |finished: crate::node::Finished| {
        print(&finished.copy.clone().map(|()| finished.report()), as_json)
    };
    training.carry_out(participant, events, &mut stop, done).await
}
