//! `party invite`

use std::path::Path;

use serde_json::json;

use crate::cli::Invite as Options;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::invite::{Invite, Words};
use crate::name::Address;
use crate::output::Report;
use crate::settings::{Overrides, Settings};

pub(super) fn run(config: &Path, options: &Options) -> Result<Report, Failure> {
    let settings = Settings::read(config, &Overrides::default())
        .map_err(|error| Failure::from(error).in_file(config))?;
    let given = options.address.as_ref().map(|address| address.parse::<Address>()).transpose()?;
    let identity = Identity::read(&settings.identity.key)?;
    let invite = invitation(&settings, &identity, given, config)?;
    Ok(report(&invite))
}

/// The invitation of a node.
pub(super) fn invitation(
    settings: &Settings,
    identity: &Identity,
    address: Option<Address>,
    config: &Path,
) -> Result<Invite, Failure> {
    let listen = settings.network.listen;
    let told = || {
        let somewhere = !listen.ip().is_unspecified() && listen.port() != 0;
        somewhere.then(|| listen.to_string().parse().ok()).flatten()
    };
    let address = address.or_else(|| settings.network.address.clone()).or_else(told);
    let address = address.ok_or_else(|| {
        let what = "the address under which others reach this node is not known";
        Failure::new(Exit::Configuration, what)
            .in_file(config)
            .advise("give --address HOST:PORT, or write address = \"HOST:PORT\" below [network]")
    })?;
    Ok(Invite {
        name: settings.identity.name.clone(),
        key: identity.fingerprint(),
        addresses: vec![address],
        links: identity.links().clone(),
    })
}

/// The text, for people and machines.
pub(super) fn report(invite: &Invite) -> Report {
    let Invite { name, key, addresses, .. } = invite;
    let words = Words::of(key);
    let at = addresses.iter().map(Address::as_str).collect::<Vec<_>>().join(", ");
    Report {
        text: format!(
            "The invitation of {name} at {at}, for the operators of the other nodes:\n\n{invite}\n\n\
             They run `party join` with it. Read them these six words by telephone:\n  {words}\n"
        ),
        json: json!({
            "name": name,
            "addresses": addresses,
            "fingerprint": key.to_string(),
            "words": words.to_string(),
            "invitation": invite.to_string(),
        }),
    }
}
