//! `party invite`

use std::path::Path;

use serde_json::json;

use crate::cli::Invite as Options;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::invite::{Invite, Words};
use crate::name::Address;
use crate::output::Report;
use crate::settings::{MOST_ADDRESSES, Overrides, Settings};

pub(super) fn run(config: &Path, options: &Options) -> Result<Report, Failure> {
    let settings = Settings::read(config, &Overrides::default())
        .map_err(|error| Failure::from(error).in_file(config))?;
    let given = Given::of_all(&options.address)?;
    let identity = Identity::read(&settings.identity.key)?;
    let invite = invitation(&settings, &identity, given, config)?;
    Ok(report(&invite))
}

/// An address as it is given: `-` where nobody can dial the node.
pub(super) struct Given(pub(super) Vec<Address>);

impl Given {
    pub(super) fn read(text: &str) -> Result<Self, Failure> {
        Ok(Self(if text == "-" { Vec::new() } else { vec![text.parse()?] }))
    }

    /// Several of them; none where none is given.
    fn of_all(texts: &[String]) -> Result<Option<Self>, Failure> {
        if texts.is_empty() {
            return Ok(None);
        }
        let mut all = Vec::new();
        for text in texts {
            all.extend(Self::read(text)?.0);
        }
        if all.len() > MOST_ADDRESSES || all.len() + 1 == texts.len() && !all.is_empty() {
            let what = format!("--address may be given {MOST_ADDRESSES} times, and - stands alone");
            return Err(Failure::new(Exit::Usage, what));
        }
        Ok(Some(Self(all)))
    }
}

/// The invitation of a node.
pub(super) fn invitation(
    settings: &Settings,
    identity: &Identity,
    given: Option<Given>,
    config: &Path,
) -> Result<Invite, Failure> {
    let listen = settings.network.listen;
    let told = || {
        let somewhere = !listen.ip().is_unspecified() && listen.port() != 0;
        somewhere.then(|| listen.to_string().parse().ok()).flatten()
    };
    let unknown = given.is_none() && settings.relay.is_none();
    let addresses = match given {
        Some(Given(addresses)) => addresses,
        None => settings.network.address.clone().or_else(told).into_iter().collect(),
    };
    if addresses.is_empty() && unknown {
        let what = "the address under which others reach this node is not known";
        return Err(Failure::new(Exit::Configuration, what).in_file(config).advise(
            "give --address HOST:PORT, or write address = \"HOST:PORT\" below [network]; where \
             nobody can dial it, --address -",
        ));
    }
    Ok(Invite {
        name: settings.identity.name.clone(),
        key: identity.fingerprint(),
        addresses,
        links: identity.links().clone(),
    })
}

/// The text, for people and machines.
pub(super) fn report(invite: &Invite) -> Report {
    let Invite { name, key, addresses, .. } = invite;
    let words = Words::of(key);
    let at = match addresses.as_slice() {
        [] => "with no address".to_owned(),
        all => format!("at {}", all.iter().map(Address::as_str).collect::<Vec<_>>().join(", ")),
    };
    Report {
        text: format!(
            "The invitation of {name} {at}, for the operators of the other nodes:\n\n{invite}\n\n\
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
