//! `party join`

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::party_file::PartyFile;
use crate::cli::Join;
use crate::exit::{Exit, Failure};
use crate::identity::{Fingerprint, Identity};
use crate::input;
use crate::invite::{Invite, InviteError, Words, table};
use crate::name::Address;
use crate::output::{Report, when, wrapped};
use crate::settings::{MOST_ADDRESSES, Peer};

/// No mail with invitations is longer.
const MOST: u64 = 1 << 20;

/// What an invitation changes.
enum Change {
    /// The node is new.
    New,
    /// Its key before, and when that signed the new one.
    Key(Fingerprint, u64),
    /// Its addresses before, if it had some.
    Address(Vec<Address>),
    /// All was known.
    Nothing,
}

pub(super) fn run(config: &Path, options: &Join) -> Result<Report, Failure> {
    let mut file = PartyFile::read(config)?;
    let own = Identity::read(&file.settings.identity.key)?.fingerprint();
    let mut changes: Vec<(Peer, Change)> = Vec::new();
    let mut others = false;
    for given in &options.invitations {
        for invite in read(given)? {
            if invite.key == own {
                continue;
            }
            others = true;
            let change = change(&file, &invite, options.dealer)?;
            // The same text may be given twice.
            if changes.iter().all(|(peer, _)| peer.fingerprint != invite.key) {
                changes.push(change);
            }
        }
    }
    if !others {
        let what = "this is the invitation of this node itself";
        return Err(Failure::new(Exit::Usage, what).advise("ask the other operators for theirs"));
    }
    let known = |change: &Change| matches!(change, Change::Nothing | Change::Address(_));
    let mut nodes: Vec<(&str, Fingerprint)> =
        changes.iter().map(|(peer, _)| (peer.name.as_str(), peer.fingerprint)).collect();
    let name = file.settings.identity.name.clone();
    nodes.push((name.as_str(), own));
    let words = table(&nodes);
    if !options.yes && !changes.iter().all(|(_, change)| known(change)) {
        ask(&changes, &words)?;
    }
    for (peer, _) in &changes {
        file.put(peer, options.dealer)?;
    }
    file.write()?;
    Ok(report(config, &changes, &words))
}

/// The invitations in an argument: a text, a file, or standard input.
fn read(given: &str) -> Result<Vec<Invite>, Failure> {
    let text = match Invite::find(given) {
        Err(InviteError::None) if given == "-" => {
            let mut text = String::new();
            let read = io::stdin().take(MOST).read_to_string(&mut text);
            read.map_err(|error| {
                let what = format!("standard input cannot be read: {error}");
                Failure::new(Exit::Usage, what)
            })?;
            text
        }
        Err(InviteError::None) => input::text(Path::new(given)).map_err(|error| {
            let what = format!("{given:?} is no invitation, and no file that can be read: {error}");
            Failure::new(Exit::Usage, what)
                .advise("give the whole text that `party invite` printed at the other node")
        })?,
        _ => given.to_owned(),
    };
    Invite::find(&text).map_err(|error| {
        let failure = Failure::new(Exit::Usage, error.to_string());
        if text == given { failure } else { failure.at(given) }
    })
}

/// What an invitation changes in the settings.
fn change(file: &PartyFile, invite: &Invite, dealer: bool) -> Result<(Peer, Change), Failure> {
    let Invite { name, key, addresses, links } = invite;
    let settings = &file.settings;
    if addresses.len() > MOST_ADDRESSES {
        let what = format!(
            "the invitation of {name} has {} addresses, and {MOST_ADDRESSES} are the most",
            addresses.len()
        );
        return Err(Failure::new(Exit::Usage, what).advise("ask its operator for one with fewer"));
    }
    // Without one the node dials this one, or is met through a relay.
    let mut all = addresses.iter().cloned();
    let (address, also) = (all.next(), all.collect());
    let peer = Peer { name: name.clone(), address, also, fingerprint: *key };
    let is_dealer = settings.dealer.as_ref().is_some_and(|it| it.name == *name);
    let known = settings.peer(name).or(settings.dealer.as_ref().filter(|_| is_dealer));
    let removed = || format!("`party peer remove {name}` first");
    let Some(known) = known else {
        if let Some(other) = settings.dealer.as_ref().filter(|_| dealer) {
            let what = format!("the dealer is {} already", other.name);
            return Err(file
                .refused(what)
                .advise(format!("`party peer remove {}` first", other.name)));
        }
        return Ok((peer, Change::New));
    };
    if is_dealer != dealer {
        let (is, was) = if dealer { ("the dealer", "a peer") } else { ("a peer", "the dealer") };
        let what = format!("{name} is to be added as {is}, and is known as {was}");
        return Err(file.refused(what).advise(removed()));
    }
    if known.fingerprint == *key {
        let change = if known.addresses().eq(peer.addresses()) {
            Change::Nothing
        } else {
            Change::Address(known.addresses().cloned().collect())
        };
        return Ok((peer, change));
    }
    if let Some(link) = links.follows(&known.fingerprint) {
        return Ok((peer, Change::Key(known.fingerprint, link.at)));
    }
    let what = format!(
        "{name} is known with another key, {}, which did not sign the one of the invitation",
        known.fingerprint
    );
    Err(file.refused(what).advise(format!(
        "ask its operator by telephone whether the node has a new key that was made without \
         `party identity rotate`; if so, {}",
        removed()
    )))
}

/// What the operator is told of a change.
fn told(peer: &Peer, change: &Change) -> String {
    let Peer { name, .. } = peer;
    let somewhere = |all: &[Address]| match all {
        [] => "no address".to_owned(),
        all => all.iter().map(Address::as_str).collect::<Vec<_>>().join(", "),
    };
    let address = somewhere(&peer.addresses().cloned().collect::<Vec<_>>());
    match change {
        Change::New => format!("{name} at {address}"),
        Change::Key(old, at) => format!(
            "{name} at {address}: a new key, signed by the one that is known here ({old}) on {}",
            when(*at)
        ),
        Change::Address(before) => {
            format!("{name} is now at {address}, and was at {}", somewhere(before))
        }
        Change::Nothing => format!("{name} at {address} was known already"),
    }
}

/// Asks whether the words were compared.
fn ask(changes: &[(Peer, Change)], words: &str) -> Result<(), Failure> {
    let stop = |what: &str, advice: &str| Err(Failure::new(Exit::Usage, what).advise(advice));
    if !io::stdin().is_terminal() {
        return stop(
            "nobody is here to say that the words were compared: nothing was added",
            "run it on a terminal, or with --yes, and compare the words that it prints",
        );
    }
    let mut text: String =
        changes.iter().map(|(peer, change)| wrapped("", &told(peer, change))).collect();
    text += "\nCall the operators. Each reads the six words of their own node:\n";
    text += words;
    text += "\nAre they the same as here? Type yes: ";
    let mut answer = String::new();
    let asked = io::stderr()
        .write_all(text.as_bytes())
        .and_then(|()| io::stdin().lock().read_line(&mut answer));
    if asked.is_ok() && answer.trim().eq_ignore_ascii_case("yes") {
        return Ok(());
    }
    stop(
        "the words were not confirmed: nothing was added",
        "if they differ, somebody replaced an invitation on its way: send them another way",
    )
}

fn report(config: &Path, changes: &[(Peer, Change)], words: &str) -> Report {
    let mut text = format!("In {}:\n", config.display());
    text.extend(changes.iter().map(|(peer, change)| wrapped("  ", &told(peer, change))));
    text += "Whoever has not compared these words by telephone does it now:\n";
    text += words;
    let each = |(peer, change): &(Peer, Change)| {
        let (word, before): (&str, Value) = match change {
            Change::New => ("added", Value::Null),
            Change::Key(old, _) => ("key", old.to_string().into()),
            Change::Address(old) => ("address", json!(old.first())),
            Change::Nothing => ("known", Value::Null),
        };
        json!({
            "name": peer.name,
            "address": peer.address,
            "also": peer.also,
            "fingerprint": peer.fingerprint.to_string(),
            "words": Words::of(&peer.fingerprint).to_string(),
            "change": word,
            "before": before,
        })
    };
    Report { text, json: json!({ "nodes": changes.iter().map(each).collect::<Vec<_>>() }) }
}
