//! What happens while a node works, for whoever watches it: a terminal, a log, another program.

use std::sync::Arc;

use mpc_core::correlations::Production;
use mpc_net::quic::{JoinEvent, Observer};
use tokio::sync::mpsc;

/// Something that happened at this node. Nothing of it tells about the data.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A study begins.
    Study {
        /// Its title.
        title: String,
        /// Its digest.
        digest: String,
    },
    /// Records are aligned.
    Alignment {
        /// The title of the alignment.
        title: String,
        /// Its digest.
        digest: String,
    },
    /// The model of a released study is given to the recipients that lost it.
    Recovery {
        /// The title of the study.
        title: String,
        /// Its digest.
        digest: String,
    },
    /// Nodes meet.
    Join(JoinEvent),
    /// A phase of the study begins; its name is that of the receipt.
    Phase(&'static str),
    /// A step of the fit has ended.
    Step {
        /// Steps done.
        done: u64,
        /// Steps of the fit, as far as is known.
        total: u64,
        /// How far the production of correlations is.
        production: Production,
    },
    /// The fit has ended, and its release.
    Fitted,
    /// Something that the operator should know, in a sentence.
    Note(String),
}

/// Who hears of events. Called in the middle of the work, so it should not take long.
pub type Events = Arc<dyn Fn(Event) + Send + Sync>;

/// The events of a node one after another, for a program that wants to wait for them.
#[derive(Debug)]
pub struct EventStream(mpsc::UnboundedReceiver<Event>);

/// Who hears of events, and where they come out.
#[must_use]
pub fn event_stream() -> (Events, EventStream) {
    let (tell, told) = mpsc::unbounded_channel();
    // Who does not listen any more has heard enough.
    let events: Events = Arc::new(move |event| drop(tell.send(event)));
    (events, EventStream(told))
}

impl EventStream {
    /// The next event; none when the node has ended.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }
}

/// Hears of nodes that meet, for the transport.
pub(super) fn join_observer(events: &Events) -> Observer {
    let events = Arc::clone(events);
    Arc::new(move |event| events(Event::Join(event)))
}
