//! A run from its files to the moment when all others have what they are due too. A party goes back to meeting
//! the others when one of them is lost, so that only who was lost has to be started again
//! (docs/operations.md, When a node is killed).

use std::path::PathBuf;
use std::time::Duration;

use super::participant::Work;
use super::{Closing, Event, Events, Participant, StopSignal, StudyWork};
use crate::exit::{Exit, Failure};
use crate::settings::Overrides;

/// How often a process goes back: who dies again and again at the same place would have all others begin
/// without end, and each run shows figures on the way once more.
const MOST: u32 = 16;

/// A study that a party takes part in, and with what: read again whenever it meets the others.
#[derive(Clone, Debug)]
pub struct Training {
    /// The study file.
    pub study: PathBuf,
    /// The settings.
    pub config: PathBuf,
    /// What flags put in place of them.
    pub overrides: Overrides,
    /// Where a copy of the model goes.
    pub out: Option<PathBuf>,
    /// Whether errors may show values of the data.
    pub show_values: bool,
}

impl Task for Training {
    type Work = StudyWork;

    fn prepare(&self) -> Result<Participant, Failure> {
        let Self { study, config, overrides, out, show_values } = self;
        Participant::prepare(study, config, overrides, out.as_deref(), *show_values)
    }
}

/// What a party takes part in: a study ([`Training`]), or a protocol of somebody's own
/// ([`Joint`](super::Joint)).
#[allow(async_fn_in_trait)] // A node works on one thread.
pub trait Task {
    /// What is done between the first and the last message.
    type Work: Work;

    /// Reads everything, and checks all that can be checked without the others.
    ///
    /// # Errors
    /// What does not fit, for a person. Nothing was sent.
    fn prepare(&self) -> Result<Participant<Self::Work>, Failure>;

    /// All of it: meets the others, runs, gives the result to `done` as soon as it is written, and waits for
    /// the others. Who is lost before it has its result is waited for. `events` hears what happens, and `stop`
    /// ends it: before there is a result that is a failure, and afterwards it takes nothing away.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare) and [`run`](Self::run).
    async fn carry_out<T>(
        &self,
        participant: Participant<Self::Work>,
        events: &Events,
        stop: &mut StopSignal,
        done: impl FnOnce(<Self::Work as Work>::Finished) -> T,
    ) -> Result<T, Failure> {
        let (finished, closing) = self.run(participant, events, stop).await?;
        // Its folder is to be opened again.
        let done = done(finished);
        if let Err(failure) = closing.wait(stop).await {
            events(Event::Note(format!("{}; the result here is complete", failure.what)));
            if failure.exit == Exit::PeerLost {
                self.stay(events, stop).await;
            }
        }
        Ok(done)
    }

    /// Runs the study. When a peer is lost after all have met, this party meets the others anew, for as long
    /// as `network.return_within_s` says, and everything begins again with fresh randomness.
    ///
    /// # Errors
    /// As [`Participant::run`]; a peer that was lost and does not come back in time.
    async fn run(
        &self,
        mut participant: Participant<Self::Work>,
        events: &Events,
        stop: &mut StopSignal,
    ) -> Result<(<Self::Work as Work>::Finished, Closing), Failure> {
        let (mut patience, mut returns) = (None, 0);
        loop {
            let (within, complete) = (participant.return_within(), participant.is_complete());
            let mut met = false;
            let failure = match participant.run_within(patience, &mut met, events, stop).await {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            if complete && !met && failure.exit == Exit::PeerLost {
                let what = "this study was released before, and nobody came to get its result";
                return Err(Failure::new(Exit::Exists, what).advise(
                    "use the model that is here; if another party lost its own, run `party recover` at all \
                     that receive it",
                ));
            }
            if !met || failure.exit != Exit::PeerLost || within.is_zero() || returns == MOST {
                return Err(failure);
            }
            returns += 1;
            events(Event::Note(format!(
                "{}; this node goes back to meeting the others, for {} s at most, and the study goes on: \
                 start only the node that was lost",
                failure.what,
                within.as_secs()
            )));
            patience = Some(within);
            participant = self.prepare()?;
        }
    }

    /// Waits, with the result complete here, for those who may not have theirs, and gives it to them. How it
    /// ends takes nothing away from what is here.
    async fn stay(&self, events: &Events, stop: &mut StopSignal) {
        let tell = |text: String| events(Event::Note(text));
        for _ in 0..MOST {
            let ended = match self.prepare() {
                Ok(participant) => {
                    let within = participant.return_within();
                    if within.is_zero() {
                        return;
                    }
                    tell(format!(
                        "not all have said that they have the result; this node stays for {} s at most and \
                         gives it to who comes back (Ctrl-C ends it: the result here is complete)",
                        within.as_secs()
                    ));
                    give(participant, within, events, stop).await
                }
                Err(failure) => Err(failure),
            };
            match ended {
                Ok(()) => return,
                Err(failure) if failure.exit == Exit::PeerLost => tell(failure.what),
                Err(failure) => {
                    return tell(format!("{}; the result here is complete", failure.what));
                }
            }
        }
    }
}

async fn give<W: Work>(
    participant: Participant<W>,
    within: Duration,
    events: &Events,
    stop: &mut StopSignal,
) -> Result<(), Failure> {
    let mut met = false;
    let (finished, closing) =
        match participant.run_within(Some(within), &mut met, events, stop).await {
            Ok(done) => done,
            // Who does not come any more is not waited for again.
            Err(failure) if !met => return Err(Failure { exit: Exit::Stopped, ..failure }),
            Err(failure) => return Err(failure),
        };
    drop(finished);
    closing.wait(stop).await
}
