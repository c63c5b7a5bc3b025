//! What a daemon knows of itself, for its page and its metrics.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mpc_net::quic::JoinEvent;
use serde::Serialize;

use super::queue::{Item, Standing};
use crate::exit::{Exit, Failure};
use crate::node::{Event, Events, now};
use crate::output::hex;
use crate::store::{Contents, Store};

/// Notes that are shown.
const NOTES: usize = 40;
/// Runs whose receipts are shown.
const RECEIPTS: usize = 200;
/// Without a sign of life for so long it is not well.
const ALIVE: Duration = Duration::from_secs(120);

/// Shared between the node at work and the page; clones are the same board.
#[derive(Clone)]
pub struct Board(Arc<Mutex<Known>>);

/// Everything that is known. Nothing of it tells about a row.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) fingerprint: String,
    pub(super) started: u64,
    pub(super) beat: Instant,
    pub(super) trouble: Option<String>,
    pub(super) queue: Vec<Item>,
    pub(super) work: Option<Work>,
    pub(super) contents: Contents,
    pub(super) receipts: BTreeMap<u64, String>,
    pub(super) notes: VecDeque<Note>,
    /// Runs that ended, by the class of their end.
    pub(super) ended: BTreeMap<&'static str, u64>,
    /// Seconds of the last run that came to its end.
    pub(super) last_seconds: Option<f64>,
}

/// The study that the node is at.
#[derive(Clone, Serialize)]
pub(super) struct Work {
    pub(super) title: String,
    pub(super) file: String,
    pub(super) study: String,
    /// The other nodes, and what is known of each.
    pub(super) peers: BTreeMap<String, Reach>,
    pub(super) since: u64,
    /// None until all have met.
    pub(super) phase: Option<&'static str>,
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) made: u64,
    pub(super) ordered: u64,
    #[serde(skip)]
    pub(super) met: Option<Instant>,
}

/// Another node, while all meet.
#[derive(Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "detail")]
pub(super) enum Reach {
    /// Nothing was heard of it.
    Awaited,
    /// Why it is not reached.
    Unreachable(String),
    /// From where it has joined.
    Joined(String),
}

/// Something that happened.
#[derive(Clone, Serialize)]
pub(super) struct Note {
    pub(super) at: u64,
    pub(super) text: String,
}

impl Board {
    /// For the node of this name and fingerprint.
    #[must_use]
    pub fn new(name: String, fingerprint: String) -> Self {
        Self(Arc::new(Mutex::new(Known {
            name,
            fingerprint,
            started: now(),
            beat: Instant::now(),
            trouble: None,
            queue: Vec::new(),
            work: None,
            contents: Contents::default(),
            receipts: BTreeMap::new(),
            notes: VecDeque::new(),
            ended: BTreeMap::new(),
            last_seconds: None,
        })))
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn beat(&self) {
        self.known().beat = Instant::now();
    }

    /// Why it cannot work now, if so.
    pub(super) fn trouble(&self, what: Option<String>) {
        let mut known = self.known();
        if let Some(what) = what.as_ref().filter(|what| known.trouble.as_ref() != Some(what)) {
            tracing::warn!(%what, "the node cannot work");
        }
        known.trouble = what;
    }

    /// What the folder and the store hold.
    pub(super) fn knows(
        &self,
        queue: &[Item],
        store: &Store,
        contents: Contents,
    ) -> Result<(), Failure> {
        let mut receipts = BTreeMap::new();
        for (place, _) in contents.runs.iter().rev().take(RECEIPTS) {
            if let Some(receipt) = store.receipt(*place)? {
                receipts.insert(*place, receipt);
            }
        }
        let mut known = self.known();
        (known.queue, known.contents, known.receipts) = (queue.to_vec(), contents, receipts);
        known.work = None;
        Ok(())
    }

    pub(super) fn chosen(&self, item: &Item) {
        tracing::debug!(file = item.file, "the next turn begins soon");
        self.trouble(None);
    }

    pub(super) fn begins(&self, item: &Item) {
        let mut known = self.known();
        let others = item.parties.iter().filter(|party| **party != known.name);
        let peers = others.map(|party| (party.clone(), Reach::Awaited)).collect();
        known.work = Some(Work {
            title: item.title.clone(),
            file: item.file.clone(),
            study: item.digest.map(|it| hex(it.as_bytes())).unwrap_or_default(),
            peers,
            since: now(),
            phase: None,
            done: 0,
            total: 0,
            made: 0,
            ordered: 0,
            met: None,
        });
    }

    /// The work has ended; whether the nodes had met.
    pub(super) fn ends(&self, item: &Item, how: Result<(), &Failure>) -> bool {
        let mut known = self.known();
        let work = known.work.take();
        let met = work.and_then(|work| work.met);
        let class = match how {
            Ok(()) => Exit::Ok,
            Err(failure) => failure.exit,
        };
        // That nobody came in this turn is nothing to tell.
        if met.is_some() || !matches!(class, Exit::PeerLost | Exit::Stopped) {
            *known.ended.entry(class.class()).or_default() += 1;
            let text = match how {
                Ok(()) => format!("{}: came to its end", item.title),
                Err(failure) => format!("{}: {failure}", item.title),
            };
            tracing::info!(class = class.class(), text, "a study has ended");
            known.note(text);
        }
        if let (Ok(()), Some(met)) = (how, met) {
            known.last_seconds = Some(met.elapsed().as_secs_f64());
        }
        // Until the folder is looked at again.
        let standing = match how {
            Ok(()) => Standing::Done("just now".to_owned()),
            Err(_) => Standing::Ready,
        };
        if let Some(own) = known.queue.iter_mut().find(|own| own.file == item.file) {
            own.standing = standing;
        }
        met.is_some()
    }

    /// Events go to the board, to the log, and on to `events`.
    pub(super) fn hearing(&self, events: &Events) -> Events {
        let (board, events) = (self.clone(), Arc::clone(events));
        Arc::new(move |event| {
            board.hear(&event);
            events(event);
        })
    }

    fn hear(&self, event: &Event) {
        let mut known = self.known();
        known.beat = Instant::now();
        match event {
            Event::Note(text) => {
                tracing::info!(text, "note");
                known.note(text.clone());
            }
            Event::Join(JoinEvent::UnknownKey { key, address }) => {
                known.note(format!("a node at {address} came with a key that is not known: {key}"));
            }
            _ => {}
        }
        let Some(work) = &mut known.work else { return };
        match event {
            Event::Join(JoinEvent::Joined { peer, address, relay, .. }) => {
                let by = relay.as_ref().map(|relay| format!("the relay {relay}"));
                let by = by.unwrap_or_else(|| address.to_string());
                work.peers.insert(peer.clone(), Reach::Joined(by));
            }
            Event::Join(JoinEvent::Left { peer }) => {
                work.peers.insert(peer.clone(), Reach::Awaited);
            }
            Event::Join(JoinEvent::Unreachable { peer, detail, .. }) => {
                work.peers.insert(peer.clone(), Reach::Unreachable(detail.clone()));
            }
            Event::Phase(name) => {
                tracing::info!(study = work.study, phase = name, "a phase begins");
                work.phase = Some(name);
                work.met.get_or_insert_with(Instant::now);
            }
            Event::Step { done, total, production } => {
                (work.done, work.total) = (*done, *total);
                (work.made, work.ordered) = (production.made, production.ordered);
            }
            _ => {}
        }
    }
}

impl Known {
    fn note(&mut self, text: String) {
        self.notes.push_front(Note { at: now(), text });
        self.notes.truncate(NOTES);
    }

    /// Whether it looks after its studies: a run may take its time.
    pub(super) fn is_well(&self) -> bool {
        let met = self.work.as_ref().is_some_and(|work| work.met.is_some());
        self.trouble.is_none() && (met || self.work.is_some() || self.beat.elapsed() < ALIVE)
    }
}
