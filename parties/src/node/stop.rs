//! The operator's wish that a node stops: Ctrl-C, SIGTERM, or the end of its terminal (SIGHUP).

#[cfg(unix)]
use std::future::poll_fn;
#[cfg(unix)]
use std::pin::pin;
use std::sync::Arc;
#[cfg(unix)]
use std::task::Poll;

use mpc_net::{Abort, AbortCode};
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

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
/// two steps of a run; or a program that has the node inside ([`on_call`](Self::on_call)).
#[derive(Debug)]
pub struct StopSignal {
    #[cfg(unix)]
    signals: Vec<Signal>,
    #[cfg(not(unix))]
    signals: bool,
    called: watch::Receiver<bool>,
    heard: bool,
}

/// Stops a node that listens to it. Dropping it stops nothing.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<watch::Sender<bool>>);

impl Stopper {
    /// As if the operator had stopped the node: the others are told.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl StopSignal {
    /// Hears no signal of the system, but the program that has the node inside.
    #[must_use]
    pub fn on_call() -> (Self, Stopper) {
        let (tell, called) = watch::channel(false);
        let signals = Default::default();
        (Self { signals, called, heard: false }, Stopper(Arc::new(tell)))
    }
}

/// Ends when the program says so.
async fn called(called: &mut watch::Receiver<bool>) {
    if called.wait_for(|said| *said).await.is_err() {
        // Nobody is there any more who could say it.
        std::future::pending::<()>().await;
    }
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
        Ok(Self { signals, ..Self::on_call().0 })
    }

    /// Begins to hear Ctrl-C. Needs a tokio runtime.
    ///
    /// # Errors
    /// None.
    #[cfg(not(unix))]
    pub fn install() -> Result<Self, Failure> {
        Ok(Self { signals: true, ..Self::on_call().0 })
    }

    /// Waits until the operator stops the node; at once if that was before.
    #[cfg(unix)]
    pub async fn stopped(&mut self) -> Stopped {
        let Self { signals, called: receiver, heard } = self;
        let mut call = pin!(called(receiver));
        poll_fn(|context| {
            // All are asked, so that each of them wakes this task.
            let ready = |signal: &mut Signal| signal.poll_recv(context) == Poll::Ready(Some(()));
            *heard |= signals.iter_mut().map(ready).fold(false, |any, ready| any | ready);
            *heard = *heard || call.as_mut().poll(context).is_ready();
            if *heard { Poll::Ready(Stopped) } else { Poll::Pending }
        })
        .await
    }

    /// Waits until the operator stops the node; at once if that was before.
    #[cfg(not(unix))]
    pub async fn stopped(&mut self) -> Stopped {
        let Self { signals, called: receiver, heard } = self;
        let pressed = async {
            if !*signals || tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        if !*heard {
            tokio::select! {
                () = pressed => {}
                () = called(receiver) => {}
            }
        }
        *heard = true;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_stops_the_node_that_it_has_inside() {
        let (mut stop, stopper) = StopSignal::on_call();
        assert!(stop.until(async { 1 }).await.is_ok());
        stopper.clone().stop();
        assert!(stop.until(std::future::pending::<()>()).await.is_err());
        // It stays so, also for who asks later.
        drop(stopper);
        assert!(stop.until(std::future::pending::<()>()).await.is_err());
        let (mut stop, stopper) = StopSignal::on_call();
        drop(stopper);
        assert!(stop.until(tokio::task::yield_now()).await.is_ok());
    }
}
