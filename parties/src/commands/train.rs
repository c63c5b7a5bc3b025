//! `party train`

use std::path::Path;

use crate::cli::Train;
use crate::describing::{Describing, asks_for};
use crate::exit::{Exit, Failure};
use crate::node::{Completed, Events, Joint, Protocol, StopSignal, Task, Training, terminal};
use crate::output::{Report, print};
use crate::settings::{Overrides, Settings};
use crate::study::{Agreement, is_agreement};

/// Trains, or scores records (`joint`), and prints the result before the wait for the others: whatever becomes of
/// them, it is complete. Who is lost before it has the result is waited for.
pub(super) fn run(config: &Path, options: &Train, (joint, as_json): (bool, bool)) -> Exit {
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return print(&Err(failure), as_json),
    };
    let events = terminal();
    if !joint && let Some(agreement) = description(&options.study) {
        let described = runtime.block_on(describe(&agreement, config, options, as_json, &events));
        return described.unwrap_or_else(|failure| print(&Err(failure), as_json));
    }
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

/// The agreement in this file, if it is one on a description; whoever reads it says what else is wrong.
fn description(path: &Path) -> Option<Agreement> {
    let agreement = is_agreement(path).then(|| Agreement::read(path).ok()).flatten();
    agreement.filter(|agreement| agreement.protocol() == Describing::NAME)
}

/// Describes the rows of all parties together.
async fn describe(
    agreement: &Agreement,
    config: &Path,
    options: &Train,
    as_json: bool,
    events: &Events,
) -> Result<Exit, Failure> {
    let (listen, data) = (options.listen, options.data.clone());
    let overrides = Overrides { listen, data, ..Overrides::default() };
    let settings =
        Settings::read(config, &overrides).map_err(|error| Failure::from(error).in_file(config))?;
    let (threshold, columns) = asks_for(agreement)?;
    let limits = settings.limits.check_description(threshold.least, &columns);
    limits.map_err(|failure| failure.in_file(&options.study))?;
    let mut joint = Joint::<Describing>::new(&options.study, config);
    (joint.overrides, joint.out) = (overrides, options.out.clone());
    let participant = joint.prepare()?;
    let mut stop = StopSignal::install()?;
    let done = |done: Completed<<Describing as Protocol>::Result>| {
        print(&done.copy.clone().map(|()| told(&done)), as_json)
    };
    joint.carry_out(participant, events, &mut stop, done).await
}

/// The end of a description, for people and machines.
fn told(done: &Completed<<Describing as Protocol>::Result>) -> Report {
    let Report { json, .. } = done.report();
    let table = match &done.result {
        Some(description) => description.to_string(),
        None => "The agreement names other parties as recipients.\n".to_owned(),
    };
    let text = format!(
        "{}\n\n{table}\nResult:  {}\nReceipt: {}\n{}",
        done.receipt.title,
        done.folder.result().display(),
        done.folder.receipt().display(),
        done.receipt.phases["total"].told()
    );
    Report { text, json }
}
