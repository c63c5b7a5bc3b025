//! From settings and a study to the nodes that meet.

use std::path::Path;

use mpc_net::PartyId;
use mpc_net::quic::{LinkSettings, Mtu, Peer, Roster};

use super::OwnSide;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::settings::{self, LinkProfile, Settings};
use crate::study::{Correlations, Study};

/// A peer of the settings as the network takes it.
#[must_use]
pub fn pinned(peer: &settings::Peer) -> Peer {
    Peer {
        name: peer.name.to_string(),
        address: Some(peer.address.as_str().to_owned()),
        key: peer.fingerprint,
    }
}

/// What is known about the line.
#[must_use]
pub fn link_settings(settings: &Settings) -> LinkSettings {
    let mtu = match settings.network.link {
        LinkProfile::Wan => Mtu::Auto,
        LinkProfile::Loopback => Mtu::Loopback,
    };
    LinkSettings { mtu, ..LinkSettings::default() }
}

/// The nodes of a study in its order, a dealer last.
pub(super) fn roster(
    side: &OwnSide,
    identity: &Identity,
    config: &Path,
) -> Result<Roster, Failure> {
    let OwnSide { study, settings, place: me, .. } = side;
    let unknown = |who: &str, command: String| {
        Failure::new(Exit::Configuration, format!("{who} is not known to this node"))
            .in_file(config)
            .advise(command)
    };
    let mut nodes = Vec::with_capacity(study.parties().len() + 1);
    for (index, name) in study.parties().iter().enumerate() {
        if index == *me {
            let key = identity.fingerprint();
            nodes.push(Peer { name: name.to_string(), address: None, key });
            continue;
        }
        let peer = settings.peer(name).ok_or_else(|| {
            unknown(name.as_str(), format!("party peer add {name} ADDRESS FINGERPRINT"))
        })?;
        nodes.push(pinned(peer));
    }
    let dealer = study.security().correlations == Correlations::Dealer;
    if dealer {
        let peer = settings.dealer.as_ref().ok_or_else(|| {
            let command = "party peer add --dealer NAME ADDRESS FINGERPRINT".to_owned();
            unknown("the dealer", command)
        })?;
        nodes.push(pinned(peer));
    }
    Ok(Roster { me: PartyId::from_index(*me), nodes, dealer })
}

/// The digest that all nodes must agree on: the study, and every node's key in its place.
#[must_use]
pub fn context(study: &Study, roster: &Roster) -> [u8; 32] {
    let digest = study.digest();
    let mut parts: Vec<&[u8]> = vec![digest.as_bytes().as_slice()];
    parts.extend(roster.nodes.iter().map(|node| node.key.as_bytes().as_slice()));
    mpc_core::rand::hash("study and roster", &parts)
}
