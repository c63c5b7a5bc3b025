//! The dealer's way of meeting: it learns from the parties which study they are in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::checkup::Doing;
use super::door::{Door, Verdict, nonce};
use super::gather::Gather;
use super::hello::{Hello, HelloError, MAX_NODES, Role, short};
use super::identity::{Identity, PublicKey};
use super::join::{JoinEvent, Observer, Peer, judge};
use super::meeting::Judge;
use super::relay::RelaySettings;
use super::settings::{LOST_AFTER, LinkSettings};
use super::transport::QuicTransport;
use crate::{Abort, NetError, PartyId};

/// How a dealer serves.
#[derive(Clone, Debug)]
pub struct DealerOptions {
    /// The UDP address to listen on.
    pub listen: SocketAddr,
    /// This build, for the peers' logs.
    pub build: String,
    /// How long, once all parties have reached the dealer, they may take to reach each other.
    pub join_timeout: Duration,
    /// How long a peer may be silent when something is due from it.
    pub silence_timeout: Duration,
    /// How long a connection may be without any packet until it is lost.
    pub lost_after: Duration,
    /// What is known about the line.
    pub link: LinkSettings,
    /// Through which it can be met as well.
    pub relay: Option<RelaySettings>,
}

impl DealerOptions {
    /// Ten minutes to join, two minutes of silence, twenty seconds without any packet.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            build: env!("CARGO_PKG_VERSION").to_owned(),
            join_timeout: Duration::from_secs(600),
            silence_timeout: Duration::from_secs(120),
            lost_after: LOST_AFTER,
            link: LinkSettings::default(),
            relay: None,
        }
    }
}

/// A dealer node: it keeps its socket and serves one study after the other.
///
/// It knows the keys and names of the parties but no study. The first hello of a pinned party says
/// which study is next and how many nodes it has; parties of another study are told to wait.
pub struct Dealer {
    door: Door,
    identity: PublicKey,
    parties: Vec<Peer>,
    options: DealerOptions,
}

impl Dealer {
    /// Starts listening for the pinned `parties`, whose order means nothing.
    ///
    /// Needs a tokio runtime, like everything of this module.
    ///
    /// # Errors
    /// [`NetError::Configuration`], for example when the address is in use.
    pub fn listen(
        identity: &Arc<Identity>,
        parties: Vec<Peer>,
        options: DealerOptions,
    ) -> Result<Self, NetError> {
        let me = identity.public_key();
        for (index, party) in parties.iter().enumerate() {
            if party.key == me || parties[..index].iter().any(|other| other.key == party.key) {
                let name = &party.name;
                return Err(NetError::Configuration(format!(
                    "{name} has the same key as another node"
                )));
            }
        }
        let keys = parties.iter().map(|party| party.key).collect();
        let relay = (options.relay.as_ref(), keys);
        let DealerOptions { listen, link, lost_after, .. } = options;
        let door = Door::open(identity, listen, link, lost_after, relay)?;
        Ok(Self { door, identity: me, parties, options })
    }

    /// The address that the dealer listens on.
    ///
    /// # Errors
    /// [`NetError::Configuration`].
    pub fn address(&self) -> Result<SocketAddr, NetError> {
        self.door.address()
    }

    /// The key of this dealer.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.identity
    }

    /// Waits, without limit, for all parties of a study and returns the mesh, in which the dealer
    /// is the last node, and the digest of the study.
    ///
    /// To be called again when the mesh before has finished or was dropped.
    ///
    /// # Errors
    /// [`NetError`] when a party is lost at the last moment; the dealer may then try again.
    pub async fn next_study(
        &mut self,
        observer: &Observer,
    ) -> Result<(QuicTransport, [u8; 32]), NetError> {
        self.next_study_until(observer, std::future::pending()).await
    }

    /// The same, unless `leave` is done before; its reason is told to the parties that are there.
    ///
    /// # Errors
    /// As [`next_study`](Self::next_study), and [`NetError::Stopped`] after `leave`.
    pub async fn next_study_until(
        &mut self,
        observer: &Observer,
        leave: impl Future<Output = Abort>,
    ) -> Result<(QuicTransport, [u8; 32]), NetError> {
        self.door.says.now(Doing::Deals, None);
        observer(JoinEvent::Listening { address: self.door.address()? });
        let table = Arc::new(Table {
            parties: self.parties.clone(),
            build: self.options.build.clone(),
            nonce: nonce()?,
            study: Mutex::default(),
        });
        let gather = Gather {
            door: self.door.clone(),
            judge: Arc::clone(&table) as Arc<dyn Judge>,
            observer: Arc::clone(observer),
            patience: None,
            ready_timeout: self.options.join_timeout,
        };
        let meeting = gather.run(leave).await?;
        let study = table
            .study()
            .clone()
            .ok_or_else(|| NetError::Internal("parties met without a study".to_owned()))?;
        let me = usize::from(study.nodes) - 1;
        let mut names: Vec<String> = (0..me).map(|index| table.name(index)).collect();
        names.push("dealer".to_owned());
        let silence = self.options.silence_timeout;
        let transport = meeting.into_transport(PartyId::from_index(me), names, silence);
        Ok((transport, study.context))
    }
}

/// The study that the parties at the table are in.
#[derive(Clone)]
struct Study {
    context: [u8; 32],
    nodes: u16,
    /// Who sits at which place.
    places: BTreeMap<usize, PublicKey>,
}

struct Table {
    parties: Vec<Peer>,
    build: String,
    nonce: [u8; 32],
    study: Mutex<Option<Study>>,
}

impl Table {
    fn study(&self) -> std::sync::MutexGuard<'_, Option<Study>> {
        self.study.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn party(&self, key: &PublicKey) -> Option<&Peer> {
        self.parties.iter().find(|party| party.key == *key)
    }
}

impl Judge for Table {
    fn peers(&self) -> Vec<Peer> {
        self.parties.clone()
    }

    fn name(&self, index: usize) -> String {
        let study = self.study();
        let key = study.as_ref().and_then(|study| study.places.get(&index));
        key.and_then(|key| self.party(key))
            .map_or_else(|| format!("party {index}"), |party| party.name.clone())
    }

    fn to_dial(&self) -> Vec<(usize, Peer, Hello)> {
        Vec::new()
    }

    fn mesh(&self) -> Option<(usize, usize)> {
        let nodes = usize::from(self.study().as_ref()?.nodes);
        Some((nodes - 1, nodes))
    }

    fn missing(&self, present: &[usize]) -> Vec<String> {
        let nodes = self.study().as_ref().map(|study| usize::from(study.nodes));
        match nodes {
            None => vec!["the parties of the next study".to_owned()],
            Some(nodes) => (0..nodes - 1)
                .filter(|index| !present.contains(index))
                .map(|index| format!("party {index} of {}", nodes - 1))
                .collect(),
        }
    }

    fn judge(&self, key: &PublicKey, hello: &Result<Hello, HelloError>) -> Verdict {
        let Some(party) = self.party(key) else {
            return Verdict::Busy("this key is not pinned".to_owned());
        };
        let (index, nodes, context) = match hello {
            Ok(hello) => (usize::from(hello.index), hello.nodes, hello.context),
            Err(_) => (0, 2, [0; 32]),
        };
        let mut seats = self.study();
        if hello.is_ok()
            && let Some(study) = seats.as_ref()
            && study.context != context
        {
            return Verdict::Busy(format!(
                "the dealer is waiting for the other parties of study {}",
                short(&study.context)
            ));
        }
        // The dealer's own idea of the mesh: the count of the first party, the last place for
        // itself, and for the visitor any place before it that nobody else has.
        let nodes = seats.as_ref().map_or(nodes, |study| study.nodes).clamp(2, MAX_NODES as u16);
        let mine = Hello {
            build: self.build.clone(),
            index: nodes - 1,
            role: Role::Dealer,
            your_index: (index as u16).min(nodes - 2),
            your_role: Role::Party,
            nodes,
            context,
            nonce: self.nonce,
        };
        let taken = seats.as_ref().and_then(|study| study.places.get(&index));
        if taken.is_some_and(|other| other != key) {
            let reason = format!("place {index} of the study is taken by another party");
            let here = NetError::Refused { peer: party.name.clone(), reason: reason.clone() };
            return Verdict::Refuse { to_peer: reason, here };
        }
        if seats.iter().flat_map(|study| &study.places).any(|(at, who)| who == key && *at != index)
        {
            let reason = "the same key stands for two places of the study".to_owned();
            let here = NetError::Refused { peer: party.name.clone(), reason: reason.clone() };
            return Verdict::Refuse { to_peer: reason, here };
        }
        let verdict = judge(&party.name, index, mine, hello);
        if matches!(verdict, Verdict::Welcome { .. }) {
            let places = BTreeMap::new();
            let study = seats.get_or_insert(Study { context, nodes, places });
            study.places.insert(index, *key);
        }
        verdict
    }

    fn left(&self, present: &[usize]) {
        let mut seats = self.study();
        if let Some(study) = seats.as_mut() {
            study.places.retain(|index, _| present.contains(index));
        }
        // The last one has gone: the next study may be another one.
        if present.is_empty() {
            *seats = None;
        }
    }

    fn goes_on_after_refusal(&self) -> bool {
        true
    }
}
