//! The operator's wish that a node stops: Ctrl-C, SIGTERM, or the end of its terminal (SIGHUP).

use std::future::poll_fn;
use std::task::Poll;

use mpc_net::{Abort, AbortCode};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Failure};

/// The operator stopped the node.
#[derive(Clone, Copy, Debug)]
pub struct Stopped;

impl From<Stopped> for Failure {
    fn from(_: Stopped) -> Self {
        Self::new(Exit::Stopped, "stopped by the operator")
    }
}

impl From<Stopped> for Abort {
    fn from(_: Stopped) -> Self {
        Self::new(AbortCode::Stopped, "its operator stopped it")
    }
}

/// Hears signals from its making on, for as long as the process lives, so that none is lost between
/// two steps of a run.
#[derive(Debug)]
pub struct StopSignal {
    #[cfg(unix)]
    signals: Vec<Signal>,
    heard: bool,
}

impl StopSignal {
    /// Begins to hear. Needs a tokio runtime. A SIGHUP that the node was started to ignore, as by
    /// `nohup`, goes on being ignored.
    ///
    /// # Errors
    /// When the system gives no signals.
    #[cfg(unix)]
    pub fn install() -> Result<Self, Failure> {
        let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
        if !ignores_hangup() {
            kinds.push(SignalKind::hangup());
        }
        let signals = kinds.into_iter().map(signal).collect::<Result<_, _>>().map_err(|error| {
            Failure::new(Exit::Internal, format!("the system gives no signals: {error}"))
        })?;
        Ok(Self { signals, heard: false })
    }

    /// Begins to hear Ctrl-C. Needs a tokio runtime.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn install() -> Result<Self, Failure> {
        Ok(Self { heard: false })
    }

    /// Waits until the operator stops the node; at once if that was before.
    #[cfg(unix)]
    pub async fn stopped(&mut self) -> Stopped {
        let Self { signals, heard } = self;
        poll_fn(|context| {
            // All are asked, so that each of them wakes this task.
            let ready = |signal: &mut Signal| signal.poll_recv(context) == Poll::Ready(Some(()));
            *heard |= signals.iter_mut().map(ready).fold(false, |any, ready| any | ready);
            if *heard { Poll::Ready(Stopped) } else { Poll::Pending }
        })
        .await
    }

    /// Waits until the operator stops the node; at once if that was before.
    #[cfg(not(unix))]
    pub async fn stopped(&mut self) -> Stopped {
        if !self.heard && tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.heard = true;
        Stopped
    }

    /// Runs `work` to its end, or until the operator stops the node.
    ///
    /// # Errors
    /// [`Stopped`]; the work was dropped where it was.
    pub async fn until<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            stopped = self.stopped() => Err(stopped),
            done = work => Ok(done),
        }
    }
}

/// Whether this process was started with SIGHUP ignored, as Linux tells it: bit 0 of a mask.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}
