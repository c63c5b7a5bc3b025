//! `party peer add`

use std::path::Path;

use serde_json::json;
use toml_edit::{ArrayOfTables, DocumentMut, Item, Table, value};

use crate::cli::PeerAdd;
use crate::exit::{Exit, Failure};
use crate::identity::{Fingerprint, Identity};
use crate::input;
use crate::name::{Address, PartyName};
use crate::output::{Report, replace};
use crate::settings::{Settings, SettingsError};

pub(super) fn add(config: &Path, options: &PeerAdd) -> Result<Report, Failure> {
    let name: PartyName = options.name.parse()?;
    let address: Address = options.address.parse()?;
    let fingerprint: Fingerprint = options
        .fingerprint
        .parse()
        .map_err(|error| Failure { exit: Exit::Usage, ..Failure::from(error) })?;
    let in_file = |error: SettingsError| Failure::from(error).in_file(config);
    let text = input::text(config)
        .map_err(|source| in_file(SettingsError::Read { path: config.to_owned(), source }))?;
    let directory = config.parent().unwrap_or(Path::new(""));
    let settings = Settings::from_text(&text, directory).map_err(in_file)?;
    let known = settings.peers.iter().chain(&settings.dealer).find(|peer| peer.name == name);
    let refused = |what: String| Failure::new(Exit::Configuration, what).in_file(config);
    if let Some(peer) = known {
        let what = format!("the node {name} is known already, with {}", peer.fingerprint);
        return Err(refused(what).advise("to change it, edit party.toml yourself"));
    }
    if options.dealer && settings.dealer.is_some() {
        let advice = "a node has one dealer; to change it, edit party.toml yourself";
        return Err(refused("a dealer is known already".to_owned()).advise(advice));
    }
    if Identity::read(&settings.identity.key)?.fingerprint() == fingerprint {
        let what = format!("the fingerprint given for {name} is this node's own");
        return Err(refused(what).advise("ask the other operator for theirs"));
    }

    let mut document: DocumentMut = text.parse().map_err(|error| refused(format!("{error}")))?;
    let mut table = Table::new();
    table["name"] = value(name.as_str());
    table["address"] = value(address.as_str());
    table["fingerprint"] = value(fingerprint.to_string());
    if options.dealer {
        document.insert("dealer", Item::Table(table));
    } else {
        let peers = document.entry("peers").or_insert(Item::ArrayOfTables(ArrayOfTables::new()));
        let Some(peers) = peers.as_array_of_tables_mut() else {
            let advice = "write each peer as a table of its own, [[peers]]";
            return Err(refused("`peers` is not a list of tables".to_owned()).advise(advice));
        };
        peers.push(table);
    }
    let text = document.to_string();
    // The result is read back before it takes the place of the file: the last rules (names and
    // keys are distinct) are those of every later start.
    Settings::from_text(&text, directory).map_err(in_file)?;
    replace(config, text.as_bytes())?;
    let role = if options.dealer { "the dealer" } else { "the peer" };
    Ok(Report {
        text: format!(
            "Added {role} {name} at {address} to {}. Its fingerprint, to be compared by telephone:\n  {fingerprint}\n",
            config.display()
        ),
        json: json!({
            "name": name,
            "address": address,
            "fingerprint": fingerprint.to_string(),
            "dealer": options.dealer,
        }),
    })
}
