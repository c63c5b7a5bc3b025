//! From settings and a study to the nodes that meet.

use std::path::Path;

use mpc_net::PartyId;
use mpc_net::quic::{JoinOptions, LinkSettings, Mtu, Peer, Roster};

use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::name::PartyName;
use crate::settings::{self, LinkProfile, Settings};
use crate::study::{Correlations, Study, StudyDigest, Terms};

/// A peer of the settings as the network takes it.
#[must_use]
pub fn pinned(peer: &settings::Peer) -> Peer {
    Peer {
        name: peer.name.to_string(),
        address: peer.address.as_ref().map(|address| address.as_str().to_owned()),
        also: peer.also.iter().map(|address| address.as_str().to_owned()).collect(),
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

fn unknown(who: &str, command: String, config: &Path) -> Failure {
    Failure::new(Exit::Configuration, format!("{who} is not known to this node"))
        .in_file(config)
        .advise(command)
}

/// These parties as the network takes them, this node among them.
fn parties<'a>(
    names: impl Iterator<Item = &'a PartyName>,
    settings: &Settings,
    identity: &Identity,
    config: &Path,
) -> Result<Vec<Peer>, Failure> {
    let peer = |name: &PartyName| {
        if *name == settings.identity.name {
            let key = identity.fingerprint();
            return Ok(Peer { name: name.to_string(), address: None, also: Vec::new(), key });
        }
        let command = || format!("party peer add {name} ADDRESS FINGERPRINT");
        settings.peer(name).map(pinned).ok_or_else(|| unknown(name.as_str(), command(), config))
    };
    names.map(peer).collect()
}

/// The nodes of a run in the order of its parties, a dealer last.
pub(super) fn roster(
    (terms, me): (&Terms, usize),
    settings: &Settings,
    identity: &Identity,
    config: &Path,
) -> Result<Roster, Failure> {
    let mut nodes = parties(terms.parties().iter(), settings, identity, config)?;
    let dealer = terms.security().correlations == Correlations::Dealer;
    if dealer {
        let peer = settings.dealer.as_ref().ok_or_else(|| {
            let command = "party peer add --dealer NAME ADDRESS FINGERPRINT".to_owned();
            unknown("the dealer", command, config)
        })?;
        nodes.push(pinned(peer));
    }
    Ok(Roster { me: PartyId::from_index(me), nodes, dealer })
}

/// The parties of a record alignment, in its order.
pub(super) fn aligning(
    names: &[PartyName],
    settings: &Settings,
    identity: &Identity,
    config: &Path,
) -> Result<Roster, Failure> {
    let me = names.iter().position(|name| *name == settings.identity.name).ok_or_else(|| {
        let own = &settings.identity.name;
        let what = format!("this node is {own}, who is not among the parties of the alignment");
        Failure::new(Exit::Configuration, what)
            .in_file(config)
            .advise("use the same name in the alignment and in party.toml")
    })?;
    let nodes = parties(names.iter(), settings, identity, config)?;
    Ok(Roster { me: PartyId::from_index(me), nodes, dealer: false })
}

/// Those who receive the model of a study, in its order.
pub(super) fn recipients(
    study: &Study,
    settings: &Settings,
    identity: &Identity,
    config: &Path,
) -> Result<Roster, Failure> {
    let refused = |what: &str| Err(Failure::new(Exit::Configuration, what));
    let recipients = study.receivers();
    let Some(me) = recipients.iter().position(|name| *name == settings.identity.name) else {
        return refused("the study names other parties as recipients of its model");
    };
    if recipients.len() < 2 {
        return refused("nobody else receives the model of this study");
    }
    let nodes = parties(recipients.iter(), settings, identity, config)?;
    Ok(Roster { me: PartyId::from_index(me), nodes, dealer: false })
}

/// The digest that all nodes must agree on: the study, and every node's key in its place.
#[must_use]
pub fn context(study: &StudyDigest, roster: &Roster) -> [u8; 32] {
    bound("study and roster", study.as_bytes(), roster)
}

/// A digest of what the nodes meet for, and of every node's key in its place. `purpose` keeps those who
/// meet for something else apart.
pub(super) fn bound(purpose: &str, digest: &[u8; 32], roster: &Roster) -> [u8; 32] {
    let mut parts: Vec<&[u8]> = vec![digest.as_slice()];
    parts.extend(roster.nodes.iter().map(|node| node.key.as_bytes().as_slice()));
    mpc_core::rand::hash(purpose, &parts)
}

/// How this node meets others that hold the same `context`.
pub(super) fn join_options(settings: &Settings, context: [u8; 32]) -> JoinOptions {
    let network = &settings.network;
    let mut options = JoinOptions::new(network.listen, context);
    options.join_timeout = network.join_timeout;
    options.silence_timeout = network.silence_timeout;
    options.lost_after = network.lost_after;
    options.link = link_settings(settings);
    options.relay.clone_from(&settings.relay);
    options
}
