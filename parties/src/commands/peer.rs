//! `party peer ...`

use std::path::Path;

use serde_json::json;

use super::party_file::PartyFile;
use crate::cli::{PeerAdd, PeerRemove};
use crate::exit::{Exit, Failure};
use crate::identity::{Fingerprint, Identity};
use crate::invite::Words;
use crate::name::{Address, PartyName};
use crate::output::Report;
use crate::settings::{Overrides, Peer, Settings};

pub(super) fn add(config: &Path, options: &PeerAdd) -> Result<Report, Failure> {
    let name: PartyName = options.name.parse()?;
    // A node that only makes outgoing connections has none.
    let address: Option<Address> = match options.address.as_str() {
        "-" => None,
        text => Some(text.parse()?),
    };
    let fingerprint: Fingerprint = options
        .fingerprint
        .parse()
        .map_err(|error| Failure { exit: Exit::Usage, ..Failure::from(error) })?;
    let mut file = PartyFile::read(config)?;
    let settings = &file.settings;
    let known = settings.peers.iter().chain(&settings.dealer).find(|peer| peer.name == name);
    if let Some(peer) = known {
        let what = format!("the node {name} is known already, with {}", peer.fingerprint);
        return Err(file.refused(what).advise(format!("`party peer remove {name}` first")));
    }
    if options.dealer
        && let Some(dealer) = &settings.dealer
    {
        let advice = format!("a node has one dealer; `party peer remove {}` first", dealer.name);
        return Err(file.refused("a dealer is known already").advise(advice));
    }
    if Identity::read(&settings.identity.key)?.fingerprint() == fingerprint {
        let what = format!("the fingerprint given for {name} is this node's own");
        return Err(file.refused(what).advise("ask the other operator for theirs"));
    }
    file.put(
        &Peer { name: name.clone(), address: address.clone(), also: Vec::new(), fingerprint },
        options.dealer,
    )?;
    file.write()?;
    let at = address.as_ref().map_or_else(String::new, |address| format!(" at {address}"));
    let role = if options.dealer { "the dealer" } else { "the peer" };
    let words = Words::of(&fingerprint);
    Ok(Report {
        text: format!(
            "Added {role} {name}{at} to {}.\nIts fingerprint and its six words, to be \
             compared by telephone:\n  {fingerprint}\n  {words}\n",
            config.display()
        ),
        json: json!({
            "name": name,
            "address": address,
            "fingerprint": fingerprint.to_string(),
            "words": words.to_string(),
            "dealer": options.dealer,
        }),
    })
}

pub(super) fn list(config: &Path) -> Result<Report, Failure> {
    let settings = Settings::read(config, &Overrides::default())
        .map_err(|error| Failure::from(error).in_file(config))?;
    let own = Identity::read(&settings.identity.key)?.fingerprint();
    let name = &settings.identity.name;
    let own_address = settings.network.address.as_ref();
    let mut text = entry(name, "this node", own_address.into_iter(), &own);
    let mut all = Vec::new();
    let nodes = settings.peers.iter().map(|peer| (peer, false));
    for (peer, dealer) in nodes.chain(settings.dealer.iter().map(|dealer| (dealer, true))) {
        let role = if dealer { "dealer" } else { "peer" };
        text += &entry(&peer.name, role, peer.addresses(), &peer.fingerprint);
        all.push(json!({
            "name": peer.name,
            "address": peer.address,
            "also": peer.also,
            "fingerprint": peer.fingerprint.to_string(),
            "words": Words::of(&peer.fingerprint).to_string(),
            "dealer": dealer,
        }));
    }
    if all.is_empty() {
        text += "No other node is known: `party join INVITATION` adds one.\n";
    }
    let own = json!({
        "name": name,
        "address": own_address,
        "fingerprint": own.to_string(),
        "words": Words::of(&own).to_string(),
    });
    Ok(Report { text, json: json!({ "this_node": own, "peers": all }) })
}

fn entry<'a>(
    name: &PartyName,
    role: &str,
    addresses: impl Iterator<Item = &'a Address>,
    key: &Fingerprint,
) -> String {
    let at: String = addresses.map(|address| format!(", {address}")).collect();
    format!("{name} ({role}{at})\n  {key}\n  {}\n", Words::of(key))
}

pub(super) fn remove(config: &Path, options: &PeerRemove) -> Result<Report, Failure> {
    let name: PartyName = options.name.parse()?;
    let mut file = PartyFile::read(config)?;
    let mut known = file.settings.peers.iter().chain(&file.settings.dealer);
    let Some(peer) = known.find(|peer| peer.name == name).cloned() else {
        let what = format!("no node called {name} is known");
        return Err(file.refused(what).advise("`party peer list` shows those that are"));
    };
    file.remove(&peer)?;
    file.write()?;
    let Peer { name, fingerprint, .. } = peer;
    Ok(Report {
        text: format!("Removed {name} from {}. Its key was\n  {fingerprint}\n", config.display()),
        json: json!({ "removed": name, "fingerprint": fingerprint.to_string() }),
    })
}
