//! What an operator sees while a node works: on standard error, and nothing about the data.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mpc_core::correlations::Production;
use mpc_net::quic::{JoinEvent, Observer, RelayEvent, RelayObserver};

use super::strangers::Strangers;
use super::{Event, Events};

/// When a reason why a peer is not reached is told again.
const REASON_AGAIN: Duration = Duration::from_secs(60);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints one line to standard error.
pub fn say(line: &str) {
    // An operator who closed the terminal does not stop the study.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Prints what happens.
#[must_use]
pub fn terminal() -> Events {
    let (observer, progress) = (observer(), Mutex::<Option<Bars>>::default());
    Arc::new(move |event| {
        let mut progress = lock(&progress);
        match event {
            Event::Study { title, digest } => say(&format!("{title} ({digest})")),
            Event::Alignment { title, digest } => say(&format!("{title} ({digest})")),
            Event::Recovery { title, digest } => say(&format!("recovery of {title} ({digest})")),
            Event::Join(event) => observer(event),
            Event::Step { done, total, production } => {
                let bars = progress.get_or_insert_with(|| Bars::new(total, "training"));
                bars.at(done, total, production);
            }
            Event::Fitted => {
                if let Some(bars) = progress.take() {
                    bars.finish();
                }
            }
            Event::Note(text) => say(&format!("note: {text}")),
            Event::Phase(name) => tracing::info!(name, "a phase begins"),
        }
    })
}

/// Tells the operator who is there and who is missing.
#[must_use]
pub fn observer() -> Observer {
    let last: Mutex<Option<(String, Instant)>> = Mutex::default();
    let strangers: Mutex<Strangers> = Mutex::default();
    // Since when all have joined this node.
    let complete: Mutex<Option<Instant>> = Mutex::default();
    let reasons: Mutex<HashMap<(String, String), Instant>> = Mutex::default();
    // For whom this node waits; again after a while.
    let wait = move |what: String, left: Option<Duration>| {
        let mut last = lock(&last);
        let now = Instant::now();
        let told = last.as_ref().is_some_and(|(before, when)| {
            *before == what && now.duration_since(*when) < Duration::from_secs(10)
        });
        if !told {
            let left =
                left.map_or_else(String::new, |left| format!(" ({} s left)", left.as_secs()));
            say(&format!("waiting {what}{left}"));
            *last = Some((what, now));
        }
    };
    Arc::new(move |event| match event {
        JoinEvent::Listening { address } => say(&format!("listening on {address} (UDP)")),
        JoinEvent::Waiting { missing, left } => {
            *lock(&complete) = None;
            wait(format!("for {}", missing.join(", ")), left);
        }
        JoinEvent::Unready { peers, left } => {
            // As a rule the others are ready in the same moment.
            let since = *lock(&complete).get_or_insert_with(Instant::now);
            if since.elapsed() >= Duration::from_secs(1) {
                wait(format!("until {} and all others have met", peers.join(", ")), left);
            }
        }
        JoinEvent::Anew { lost } => {
            say(&format!("{} was lost at the last moment: meeting all anew", lost.join(", ")));
        }
        JoinEvent::Joined { peer, relay: Some(relay), .. } => {
            say(&format!("{peer} has joined through the relay {relay}"));
        }
        JoinEvent::Joined { peer, address, .. } => {
            say(&format!("{peer} has joined from {address}"));
        }
        JoinEvent::Left { peer } => say(&format!("{peer} has left again; waiting for it")),
        JoinEvent::Unreachable { peer, address, detail } => {
            tracing::info!(peer, address, detail, "not reachable yet");
            // Once in a while for each reason.
            let mut reasons = lock(&reasons);
            let now = Instant::now();
            reasons.retain(|_, told| now.duration_since(*told) < REASON_AGAIN);
            if let Entry::Vacant(entry) = reasons.entry((peer, detail)) {
                let (peer, detail) = entry.key();
                say(&format!("{peer}: {detail}"));
                entry.insert(now);
            }
        }
        JoinEvent::UnknownKey { key, address } => {
            let what = format!("a node at {address} tried to join with the key {key}");
            warn_of(&strangers, &what);
        }
        JoinEvent::Examined { peer } => {
            say(&format!("{peer} has looked whether it reaches this node (party doctor)"));
        }
        JoinEvent::Refused { error } => say(&format!("refused: {error}")),
        _ => {}
    })
}

/// Somebody showed a key that is not known.
fn warn_of(strangers: &Mutex<Strangers>, what: &str) {
    if let Some(hidden) = lock(strangers).tell(Instant::now()) {
        let more = match hidden {
            0 => String::new(),
            hidden => format!(" ({hidden} more such attempts since the last line)"),
        };
        say(&format!(
            "warning: {what}, which is not pinned here; if it is one of the parties, check its \
             fingerprint in party.toml{more}"
        ));
    }
}

/// Tells the operator of a relay who comes and goes.
#[must_use]
pub fn relay_observer() -> RelayObserver {
    let strangers: Mutex<Strangers> = Mutex::default();
    Arc::new(move |event| match event {
        RelayEvent::Listening { udp, tcp } => {
            let tcp = tcp.map_or_else(String::new, |tcp| format!(" and {tcp} (TCP)"));
            say(&format!("listening on {udp} (UDP){tcp}"));
        }
        RelayEvent::Came { name, address, over } => {
            say(&format!("{name} is here, from {address} over {over}"));
        }
        RelayEvent::Left { name, packets, bytes, dropped } => {
            let mut line = format!("{name} has left; {packets} packets of it, {bytes} bytes");
            if dropped > 0 {
                line += &format!(", and {dropped} that nobody could take");
            }
            say(&line);
        }
        RelayEvent::UnknownKey { key, address } => {
            let what = format!("a node at {address} came with the key {key}");
            warn_of(&strangers, &what);
        }
        _ => {}
    })
}

/// Two bars on a terminal (preparation runs ahead of the training), a line now and then elsewhere.
struct Bars {
    steps: ProgressBar,
    made: ProgressBar,
    total: u64,
    lines: bool,
    next_line: u64,
}

impl Bars {
    fn new(total: u64, what: &'static str) -> Self {
        let terminal = io::stderr().is_terminal();
        let target =
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bars = MultiProgress::with_draw_target(target);
        let bar = |length, what: &'static str, template| {
            let bar = bars.add(ProgressBar::new(length));
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.with_message(what)
        };
        Self {
            made: bar(0, "preparation", "{msg:11} {bar:40} {pos}/{len} random items"),
            steps: bar(
                total,
                what,
                "{msg:11} {bar:40} {pos}/{len} steps, {elapsed} gone, {eta} to go",
            ),
            total,
            lines: !terminal,
            next_line: total.div_ceil(4),
        }
    }

    /// How far the training is, and the preparation of what it needs.
    fn at(&mut self, done: u64, total: u64, production: Production) {
        if total != self.total {
            // Passes ended before there were as many as there may be.
            self.total = total;
            self.steps.set_length(total);
            self.next_line = self.next_line.min(total);
        }
        self.steps.set_position(done);
        // Sums and federated rounds need none.
        if production.ordered > 0 {
            self.made.set_length(production.ordered);
            self.made.set_position(production.made);
        }
        if self.lines && done >= self.next_line {
            let Production { made, ordered } = production;
            let prepared = match ordered {
                0 => String::new(),
                _ => format!("; preprocessing: {made} of {ordered} random items ordered"),
            };
            say(&format!("training: {done} of {} steps{prepared}", self.total));
            self.next_line += self.total.div_ceil(4);
        }
    }

    fn finish(self) {
        self.made.finish_and_clear();
        self.steps.finish_and_clear();
    }
}
