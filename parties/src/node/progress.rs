//! What an operator sees while a node works: on standard error, and nothing about the data.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mpc_net::quic::{JoinEvent, Observer};

/// Prints one line to standard error.
pub fn say(line: &str) {
    // An operator who closed the terminal does not stop the study.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Tells the operator who is there and who is missing.
#[must_use]
pub fn observer() -> Observer {
    let last: Mutex<Option<(Vec<String>, Instant)>> = Mutex::default();
    Arc::new(move |event| match event {
        JoinEvent::Listening { address } => say(&format!("listening on {address} (UDP)")),
        JoinEvent::Waiting { missing, left } => {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let told = last.as_ref().is_some_and(|(before, when)| {
                *before == missing && now.duration_since(*when) < Duration::from_secs(10)
            });
            if !missing.is_empty() && !told {
                let left =
                    left.map_or_else(String::new, |left| format!(" ({} s left)", left.as_secs()));
                say(&format!("waiting for {}{left}", missing.join(", ")));
                *last = Some((missing, now));
            }
        }
        JoinEvent::Joined { peer, address, .. } => {
            say(&format!("{peer} has joined from {address}"));
        }
        JoinEvent::Left { peer } => say(&format!("{peer} has left again; waiting for it")),
        JoinEvent::Unreachable { peer, address, detail } => {
            tracing::info!(peer, address, detail, "not reachable yet");
        }
        JoinEvent::UnknownKey { key, address } => say(&format!(
            "warning: a node at {address} tried to join with the key {key}, which is not pinned \
             here; if it is one of the parties, check its fingerprint in party.toml"
        )),
        JoinEvent::Refused { error } => say(&format!("refused: {error}")),
        _ => {}
    })
}

/// A bar on a terminal, a line now and then elsewhere.
pub(super) struct Progress {
    bar: ProgressBar,
    total: u64,
    lines: bool,
    next_line: u64,
}

impl Progress {
    pub(super) fn new(total: u64, what: &'static str) -> Self {
        let terminal = io::stderr().is_terminal();
        let target =
            if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        if let Ok(style) = ProgressStyle::with_template(
            "{msg} {bar:40} {pos}/{len} steps, {elapsed} gone, {eta} to go",
        ) {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self { bar, total, lines: !terminal, next_line: total.div_ceil(4) }
    }

    pub(super) fn at(&mut self, done: u64) {
        self.bar.set_position(done);
        if self.lines && done >= self.next_line {
            say(&format!("training: {done} of {} steps", self.total));
            self.next_line += self.total.div_ceil(4);
        }
    }

    pub(super) fn finish(self) {
        self.bar.finish_and_clear();
    }
}
