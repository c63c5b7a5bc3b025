//! The phases of a run, with the seconds that each took.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use mpc_core::Session;

use super::{Event, Events, PhaseReceipt};

/// A stopwatch that is moved from phase to phase together with the meter of the session.
pub struct Phases {
    begun: Instant,
    current: Option<(&'static str, Instant)>,
    seconds: BTreeMap<&'static str, f64>,
    events: Events,
}

impl Phases {
    pub(super) fn begin(events: &Events) -> Self {
        let (seconds, events) = (BTreeMap::new(), Arc::clone(events));
        Self { begun: Instant::now(), current: None, seconds, events }
    }

    /// Ends the phase that runs and begins another.
    pub(super) fn enter(&mut self, name: &'static str, session: &Session) {
        session.meter().enter(name);
        self.turn(name);
    }

    /// The same for the stopwatch alone.
    pub(super) fn turn(&mut self, name: &'static str) {
        self.close();
        self.current = Some((name, Instant::now()));
        (self.events)(Event::Phase(name));
    }

    /// Ends the phase that runs.
    pub(super) fn close(&mut self) {
        if let Some((name, since)) = self.current.take() {
            *self.seconds.entry(name).or_default() += since.elapsed().as_secs_f64();
        }
    }

    /// What the meter counted in each phase and in all together.
    pub(super) fn receipts(&self, session: &Session) -> BTreeMap<String, PhaseReceipt> {
        let mut phases: BTreeMap<String, PhaseReceipt> = session
            .meter()
            .totals()
            .iter()
            .map(|(name, totals)| {
                let seconds = self.seconds.get(name.as_str()).copied().unwrap_or_default();
                (name.clone(), PhaseReceipt::new(totals, seconds))
            })
            .collect();
        let mut total =
            PhaseReceipt { seconds: self.begun.elapsed().as_secs_f64(), ..Default::default() };
        for phase in phases.values() {
            total.rounds += phase.rounds;
            total.bytes_sent += phase.bytes_sent;
            total.bytes_received += phase.bytes_received;
        }
        phases.insert("total".to_owned(), total);
        phases
    }
}
