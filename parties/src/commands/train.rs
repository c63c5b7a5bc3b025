//! `party train`

use std::path::Path;

use crate::cli::Train;
use crate::describing::Describing;
use crate::evaluating::{self, Evaluating};
use crate::exit::{Exit, Failure};
use crate::node::{Completed, Events, Joint, Protocol, StopSignal, Task, Training, terminal};
use crate::output::{Report, print};
use crate::private_tables::PrivateTables;
use crate::settings::Overrides;
use crate::siting::{self, Siting};
use crate::study::{Agreement, is_agreement};
use crate::surviving::Surviving;
use crate::tabled::shown;

/// Trains, or scores records (`joint`), and prints the result before the wait for the others: whatever becomes of
/// them, it is complete. Who is lost before it has the result is waited for.
pub(super) fn run(config: &Path, options: &Train, (joint, as_json): (bool, bool)) -> Exit {
    let runtime = match super::runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return print(&Err(failure), as_json),
    };
    let events = terminal();
    if !joint {
        let how = (config, options, as_json, &events);
        let done = match protocol(&options.study).as_deref() {
            Some(Describing::NAME) => Some(runtime.block_on(tables::<Describing>(how, shown))),
            Some(Surviving::NAME) => Some(runtime.block_on(tables::<Surviving>(how, shown))),
            Some(PrivateTables::NAME) => {
                Some(runtime.block_on(tables::<PrivateTables>(how, shown)))
            }
            Some(Evaluating::NAME) => {
                Some(runtime.block_on(tables::<Evaluating>(how, evaluating::shown)))
            }
            Some(Siting::NAME) => Some(runtime.block_on(tables::<Siting>(how, siting::shown))),
            _ => None,
        };
        if let Some(done) = done {
            return done.unwrap_or_else(|failure| print(&Err(failure), as_json));
        }
    }
    let (listen, data) = (options.listen, options.data.clone());
    let report = options.report;
    let overrides = Overrides { listen, data, report, ..Overrides::default() };
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
            return Err(usage(
                "this study has no [predict]: it tells no scores; party train runs it",
            )
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

/// The protocol that the agreement in this file is on, if it is one; whoever reads it says what else is wrong.
fn protocol(path: &Path) -> Option<String> {
    let agreement = is_agreement(path).then(|| Agreement::read(path).ok()).flatten()?;
    Some(agreement.protocol().to_owned())
}

/// Releases tables of the rows of all parties together.
async fn tables<P: Protocol>(
    (config, options, as_json, events): (&Path, &Train, bool, &Events),
    shown: fn(&P::Result) -> String,
) -> Result<Exit, Failure> {
    let (listen, data) = (options.listen, options.data.clone());
    let report = options.report;
    let overrides = Overrides { listen, data, report, ..Overrides::default() };
    let mut joint = Joint::<P>::new(&options.study, config);
    (joint.overrides, joint.out) = (overrides, options.out.clone());
    let participant = joint.prepare()?;
    let mut stop = StopSignal::install()?;
    let done = |done: Completed<P::Result>| {
        print(&done.copy.clone().map(|()| told(&done, &shown(&done.result))), as_json)
    };
    joint.carry_out(participant, events, &mut stop, done).await
}

/// The end of a run, for people and machines.
fn told<R: serde::Serialize>(done: &Completed<R>, shown: &str) -> Report {
    let Report { json, .. } = done.report();
    let text = format!(
        "{}\n\n{shown}\n{}{}",
        done.receipt.title,
        done.files(),
        done.receipt.phases["total"].told()
    );
    Report { text, json }
}
