//! A node that is left alone: it takes the approved studies of a folder one after another, and shows on a
//! page of this machine what it does.
//!
//! Several studies may wait for the same nodes, and each node knows only its own. So that two nodes do not
//! wait for each other with different studies for ever, all go by the clock: time is cut into turns, and in
//! each turn every node waits with the study that a hash of the turn's number and the study puts first. Two
//! nodes with the same two studies meet at once; with others beside them they meet after some turns.

mod board;
mod http;
mod metrics;
mod page;
mod queue;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use board::Board;
pub use http::listen;
use queue::{Item, Marks, Standing};

use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::node::{Events, Participant, State, StopSignal, now};
use crate::settings::{Overrides, ServeSettings, Settings};
use crate::study::StudyDigest;

/// How often the folder is looked at while there is nothing to do.
const LOOK: Duration = Duration::from_secs(5);

/// A study waits for so many turns where no other does.
const ALONE: u32 = 5;

/// The rest of a turn that is not worth a beginning.
const SHORT: Duration = Duration::from_secs(3);

/// A daemon.
pub struct Server {
    config: PathBuf,
    board: Board,
    events: Events,
    /// Studies that would fail again, why, and how the files were then.
    held: BTreeMap<StudyDigest, (String, Marks)>,
}

impl Server {
    /// For the node with these settings; `events` hears what it does beside the board.
    #[must_use]
    pub fn new(config: &Path, board: Board, events: &Events) -> Self {
        let events = board.hearing(events);
        Self { config: config.to_owned(), board, events, held: BTreeMap::new() }
    }

    /// Works until it is stopped.
    ///
    /// # Errors
    /// When its settings or its key cannot be read at the start.
    pub async fn run(mut self, stop: &mut StopSignal) -> Result<(), Failure> {
        self.settings()?;
        loop {
            let next = self.look();
            let pause = match next {
                Err(failure) => {
                    self.board.trouble(Some(failure.to_string()));
                    Some(LOOK)
                }
                Ok((None, _)) => {
                    self.board.trouble(None);
                    Some(LOOK)
                }
                Ok((Some((item, wait)), _)) if wait < SHORT => {
                    self.board.chosen(&item);
                    Some(wait)
                }
                Ok((Some((item, wait)), settings)) => {
                    self.board.trouble(None);
                    if self.take_part(&item, wait, &settings, stop).await.is_err() {
                        return Ok(());
                    }
                    None
                }
            };
            if let Some(pause) = pause
                && stop.until(tokio::time::sleep(pause)).await.is_err()
            {
                return Ok(());
            }
        }
    }

    fn settings(&self) -> Result<(Settings, Identity), Failure> {
        let settings = Settings::read(&self.config, &Overrides::default())
            .map_err(|error| Failure::from(error).in_file(&self.config))?;
        let identity = Identity::read(&settings.identity.key)?;
        Ok((settings, identity))
    }

    /// What there is to do: the study of this turn, and how long it has.
    fn look(&mut self) -> Result<(Option<(Item, Duration)>, ServeSettings), Failure> {
        let (settings, identity) = self.settings()?;
        self.board.beat();
        let Some(state) = State::unless_busy(&settings.state, &identity)? else {
            let what = "another node is at work with this state directory";
            return Err(Failure::new(Exit::Configuration, what).in_file(&settings.state));
        };
        let store = state.store();
        let marks = |study: &Path| Marks::of(study, &self.config, &settings);
        let contents = store.contents()?;
        let items = queue::read(&settings, (store, &contents), &self.held, marks)?;
        // Whoever changed something wants it to be tried again.
        self.held.retain(|digest, _| {
            let held = |item: &Item| matches!(item.standing, Standing::Held(_));
            items.iter().any(|item| item.digest == Some(*digest) && held(item))
        });
        self.board.knows(&items, store, contents)?;
        drop(state);
        let turn = settings.serve.turn;
        let ready = || items.iter().filter(|item| item.standing == Standing::Ready);
        let since = Duration::from_secs(now());
        let number = since.as_secs() / turn.as_secs();
        let left = turn.saturating_sub(since.saturating_sub(turn * number as u32));
        let first = ready().min_by_key(|item| item.priority(number)).cloned();
        let wait = if ready().count() > 1 { left } else { left + turn * (ALONE - 1) };
        Ok((first.map(|item| (item, wait)), settings.serve))
    }

    /// Waits for the others with a study and runs it; an error when the operator stops the node.
    async fn take_part(
        &mut self,
        item: &Item,
        wait: Duration,
        settings: &ServeSettings,
        stop: &mut StopSignal,
    ) -> Result<(), Stopped> {
        self.board.begins(item);
        let path = settings.studies.join(&item.file);
        // The signature is the only sign that somebody has read the study.
        let overrides = Overrides { approval: true, ..Overrides::default() };
        let prepared = Participant::prepare(&path, &self.config, &overrides, None, false);
        let ended = match prepared {
            Err(failure) => Err(failure),
            Ok(participant) => participant.waiting_at_most(wait).run(&self.events, stop).await,
        };
        match ended {
            Ok((finished, closing)) => {
                self.board.ends(item, Ok(()));
                drop(finished);
                // Whatever becomes of the others, the result here is complete.
                let _ = closing.wait(stop).await;
            }
            Err(failure) => {
                let met = self.board.ends(item, Err(&failure));
                match failure.exit {
                    Exit::Stopped => return Err(Stopped),
                    // Somebody else's turn; and whoever was lost may come back.
                    Exit::PeerLost => {}
                    _ => self.hold(item, &failure, &path, met),
                }
            }
        }
        Ok(())
    }

    fn hold(&mut self, item: &Item, failure: &Failure, path: &Path, met: bool) {
        let Some(digest) = item.digest else { return };
        tracing::warn!(study = %digest, met, %failure, "a study is held");
        if let Ok((settings, _)) = self.settings() {
            let marks = Marks::of(path, &self.config, &settings);
            self.held.insert(digest, (failure.to_string(), marks));
        }
    }
}

/// The operator stopped the node.
struct Stopped;
