//! Who is there and over which connection, and who has signed for which connections.
//!
//! A node that has met everybody gives each peer a sign that lists *all* its connections, and may
//! begin when it holds the signs of all, and the two ends of every pair list the same connection.
//! A sign cannot be taken back by a word, because a peer may have acted on it: it is taken back by
//! closing the connection that it was given on. Why no two nodes can begin with different
//! connections unnoticed: docs/protocols.md, section 0, Meeting.

use std::collections::BTreeMap;

use quinn::{Connection, SendStream, VarInt};

use super::closing;
use super::door::Joined;
use super::hello::{ConnectionId, Ready};

/// A peer that has joined.
struct Link {
    joined: Joined,
    /// The sign that it gave.
    sign: Option<Ready>,
    /// Whether this node's own sign was sent.
    told: bool,
}

/// Where this node's sign is to be given to a peer.
pub(crate) struct Pen {
    pub(crate) index: usize,
    pub(crate) id: ConnectionId,
    pub(crate) stream: SendStream,
}

/// The peers that have joined, by their places.
#[derive(Default)]
pub(crate) struct Links {
    links: BTreeMap<usize, Link>,
    /// Whether this node has given its sign for them.
    signed: bool,
}

impl Links {
    pub(crate) fn present(&self) -> Vec<usize> {
        self.links.keys().copied().collect()
    }

    pub(crate) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.links.values().map(|link| &link.joined.connection)
    }

    pub(crate) fn into_joined(self) -> BTreeMap<usize, Joined> {
        self.links.into_iter().map(|(index, link)| (index, link.joined)).collect()
    }

    pub(crate) fn insert(&mut self, index: usize, joined: Joined) {
        self.links.insert(index, Link { joined, sign: None, told: false });
    }

    pub(crate) fn remove(&mut self, index: usize) -> Option<Joined> {
        self.links.remove(&index).map(|link| link.joined)
    }

    /// Closes the connection `id` of a peer, if it is still the peer's.
    pub(crate) fn close(&self, index: usize, id: &ConnectionId) {
        if let Some(link) = self.links.get(&index).filter(|link| link.joined.id == *id) {
            link.joined.connection.close(VarInt::from_u32(closing::GONE), b"");
        }
    }

    /// Removes the connections that are closed.
    pub(crate) fn take_closed(&mut self) -> BTreeMap<usize, Joined> {
        let closed = |_: &usize, link: &mut Link| link.joined.connection.close_reason().is_some();
        self.links.extract_if(.., closed).map(|(index, link)| (index, link.joined)).collect()
    }

    /// The connections have changed: takes back the signs that this node gave for them, and gives
    /// the places of the peers that have to meet it anew for that.
    pub(crate) fn withdraw(&mut self, why: &str) -> Vec<usize> {
        if !std::mem::take(&mut self.signed) {
            return Vec::new();
        }
        let code = VarInt::from_u32(closing::MEETS_ANEW);
        let links = std::mem::take(&mut self.links);
        for link in links.values() {
            link.joined.connection.close(code, why.as_bytes());
        }
        links.into_keys().collect()
    }

    /// This node's sign for its connections, in a mesh of `nodes`, and on which to give it; once.
    pub(crate) fn sign(&mut self, nodes: usize) -> Option<(Ready, Vec<Pen>)> {
        if std::mem::replace(&mut self.signed, true) {
            return None;
        }
        let own = |index| self.links.get(&index).map_or([0; 16], |link| link.joined.id);
        let ready = Ready { connections: (0..nodes).map(own).collect() };
        let pens = self.links.iter_mut().filter_map(|(index, link)| {
            let stream = link.joined.send.take()?;
            Some(Pen { index: *index, id: link.joined.id, stream })
        });
        Some((ready, pens.collect()))
    }

    /// This node's own sign was sent on the connection `id`.
    pub(crate) fn told(&mut self, index: usize, id: &ConnectionId) {
        if let Some(link) = self.links.get_mut(&index).filter(|link| link.joined.id == *id) {
            link.told = true;
        }
    }

    /// Takes the sign that a peer gave on the connection `id`; gives what is wrong with it.
    pub(crate) fn signed_by(
        &mut self,
        index: usize,
        id: &ConnectionId,
        (me, nodes): (usize, usize),
        ready: Ready,
    ) -> Result<(), &'static str> {
        let Some(link) = self.links.get_mut(&index).filter(|link| link.joined.id == *id) else {
            // A connection that was replaced meanwhile.
            return Ok(());
        };
        if ready.connections.len() != nodes {
            return Err("it lists another number of connections than the mesh has");
        }
        if ready.connections[me] != *id {
            return Err("it is not for the connection that it came on");
        }
        link.sign = Some(ready);
        Ok(())
    }

    /// The places of those who have not met everybody yet, as far as they have said, or were not told
    /// that this node has.
    pub(crate) fn unready(&self, me: usize, nodes: usize) -> Vec<usize> {
        let signs = |index: &usize| self.links.get(index).and_then(|link| link.sign.as_ref());
        let others = || (0..nodes).filter(|index| *index != me);
        let silent: Vec<usize> = others()
            .filter(|index| {
                self.links.get(index).is_none_or(|link| link.sign.is_none() || !link.told)
            })
            .collect();
        if !silent.is_empty() {
            return silent;
        }
        // Two ends that speak of different connections: one of them is about to notice.
        let differs = |one: usize| {
            others().filter(|other| *other != one).any(|other| {
                let said = |a: usize, b: usize| signs(&a).map(|sign| sign.connections[b]);
                said(one, other) != said(other, one)
            })
        };
        others().filter(|index| differs(*index)).collect()
    }
}
