//! A node's line to its relay: made, kept, and made again when it breaks.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::Endpoint;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{interval, sleep};

use super::super::identity::{Identity, PublicKey};
use super::connect::{Connector, RelaySettings};
use super::frame::{ECHO, Frame};
use super::line::{Over, PING, Reader, Writer};
use super::socket::{Packets, address_of};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What is known of the relay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// What carries the packets; `None` while there is no line.
    pub(crate) over: Option<Over>,
    /// Why there is none, as soon as that is known.
    pub(crate) reason: Option<String>,
    /// The peers that are at the relay too and have named this node, by their numbers.
    here: BTreeSet<u16>,
}

/// How a peer is reached through the relay.
pub(crate) enum Reached {
    /// At this address of the endpoint.
    At(SocketAddr),
    /// Not now.
    Not(String),
    /// Nothing is known yet.
    Unknown,
}

/// The line to the relay, as long as this lives.
pub(crate) struct RelayClient {
    settings: RelaySettings,
    peers: Vec<PublicKey>,
    status: watch::Receiver<Status>,
    task: AbortHandle,
}

impl RelayClient {
    /// Begins to connect. The packets of the peers are those of their addresses, in this order.
    pub(crate) fn start(
        identity: &Arc<Identity>,
        settings: RelaySettings,
        peers: Vec<PublicKey>,
        packets: Arc<Packets>,
    ) -> Self {
        let (told, status) = watch::channel(Status::default());
        let connector = Connector::new(Arc::clone(identity), settings.clone());
        let line = Line { connector, peers: peers.clone(), packets, told };
        let task = tokio::spawn(line.keep()).abort_handle();
        Self { settings, peers, status, task }
    }

    /// The relay's address as the settings have it.
    pub(crate) fn address(&self) -> &str {
        &self.settings.address
    }

    /// The relay for people, with what carries the packets.
    pub(crate) fn describe(&self) -> String {
        let address = &self.settings.address;
        match self.status.borrow().over {
            Some(Over::Tcp) if self.settings.proxy.is_some() => {
                format!("{address}, over TCP and the proxy")
            }
            Some(over) => format!("{address}, over {over}"),
            None => address.clone(),
        }
    }

    /// Whether and how the peer with this key can be reached now.
    pub(crate) fn reach(&self, key: &PublicKey) -> Reached {
        let number = self.peers.iter().position(|peer| peer == key);
        let Some(number) = number.and_then(|number| u16::try_from(number).ok()) else {
            return Reached::Unknown;
        };
        let status = self.status.borrow();
        match (&status.over, &status.reason) {
            (Some(_), _) if status.here.contains(&number) => Reached::At(address_of(number)),
            (Some(_), _) => {
                let address = &self.settings.address;
                Reached::Not(format!("not at the relay {address}, or it does not know this node"))
            }
            (None, Some(reason)) => Reached::Not(reason.clone()),
            (None, None) => Reached::Unknown,
        }
    }

    /// Waits until something changes, but no longer than so long.
    pub(crate) async fn changed(&self, limit: Duration) {
        let mut status = self.status.clone();
        status.mark_unchanged();
        let _ = tokio::time::timeout(limit, status.changed()).await;
    }
}

impl Drop for RelayClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Line {
    connector: Connector,
    peers: Vec<PublicKey>,
    packets: Arc<Packets>,
    told: watch::Sender<Status>,
}

impl Line {
    /// Keeps a line to the relay, for ever.
    async fn keep(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let reason = match self.connector.connect().await {
                Ok((ends, endpoint)) => {
                    pause = FIRST_PAUSE;
                    self.run(ends, endpoint.as_ref()).await
                }
                Err(fault) => {
                    format!("the relay at {}: {fault}", self.connector.settings.address)
                }
            };
            tracing::debug!(reason, "there is no line to the relay");
            self.told.send_replace(Status { reason: Some(reason), ..Status::default() });
            // Nobody takes these, and those who send are not to wait.
            self.packets.out.clear();
            let waits = sleep(pause);
            tokio::pin!(waits);
            loop {
                tokio::select! {
                    () = &mut waits => break,
                    () = self.packets.out.changed() => self.packets.out.clear(),
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Carries packets until the line breaks, and says why it did.
    async fn run(
        &self,
        (reader, writer): (Reader, Writer),
        _endpoint: Option<&Endpoint>,
    ) -> String {
        let over = writer.over();
        let end = tokio::select! {
            end = self.receive(reader, over) => end,
            end = self.send(writer) => end,
        };
        let address = &self.connector.settings.address;
        match end {
            Ok(()) => format!("the relay at {address} does not keep to the protocol"),
            Err(error) => format!("the line to the relay at {address} broke: {error}"),
        }
    }

    async fn receive(&self, mut reader: Reader, over: Over) -> std::io::Result<()> {
        self.told.send_replace(Status { over: Some(over), ..Status::default() });
        loop {
            match reader.next().await? {
                Frame::Packet { number: ECHO, .. } | Frame::Ping => {}
                Frame::Packet { number, packet } => {
                    if usize::from(number) < self.peers.len() {
                        self.packets.received(number, packet);
                    }
                }
                Frame::Presence { number, here } => {
                    if usize::from(number) >= self.peers.len() {
                        return Ok(());
                    }
                    self.told.send_modify(|status| {
                        if here {
                            status.here.insert(number);
                        } else {
                            status.here.remove(&number);
                        }
                    });
                }
                Frame::Hello { .. } | Frame::Peer { .. } => return Ok(()),
            }
        }
    }

    async fn send(&self, mut writer: Writer) -> std::io::Result<()> {
        for (number, key) in self.peers.iter().enumerate() {
            writer.control(&Frame::Peer { number: number as u16, key: *key }).await?;
        }
        let mut ping = interval(PING);
        loop {
            let packets = self.packets.out.take();
            if !packets.is_empty() {
                writer.packets(packets).await?;
                continue;
            }
            tokio::select! {
                () = self.packets.out.changed() => {}
                _ = ping.tick() => {
                    if writer.over() == Over::Tcp {
                        writer.control(&Frame::Ping).await?;
                    }
                }
            }
        }
    }
}
