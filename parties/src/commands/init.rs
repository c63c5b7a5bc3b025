//! `party init`

use std::fs;
use std::path::Path;

use serde_json::json;

use super::invite::{Given, invitation, report};
use crate::cli::Init;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::input;
use crate::invite::Words;
use crate::name::PartyName;
use crate::output::{Report, create, exists, wrapped};
use crate::settings::{Overrides, Settings};

const TEMPLATE: &str = include_str!("party.toml");
const KEY: &str = "identity.key";

pub(super) fn run(options: &Init) -> Result<Report, Failure> {
    let name: PartyName = options.name.parse()?;
    let directory = &options.dir;
    let (settings, key) = (directory.join("party.toml"), directory.join(KEY));
    fs::create_dir_all(directory).map_err(|error| {
        let what = format!("the directory cannot be made: {error}");
        Failure::new(Exit::Configuration, what).in_file(directory)
    })?;
    // Both are looked for first, so that a second `init` leaves nothing half done.
    for path in [&settings, &key] {
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
    }
    let given = options.address.as_deref().map(Given::read).transpose()?;
    let hidden = given.as_ref().is_some_and(|Given(all)| all.is_empty());
    let address = given.as_ref().and_then(|Given(all)| all.first()).map_or_else(
        || {
            "# address = \"mpc.bank-a.example:7400\" # where others reach it, for `party invite`"
                .to_owned()
        },
        |address| format!("address = \"{address}\"    # where others reach it, for `party invite`"),
    );
    let data = match &options.data {
        None => "# [data]\n# path = \"rows.csv\"".to_owned(),
        Some(path) => format!("[data]\npath = {}", data_path(path)?),
    };
    let text = TEMPLATE
        .replace("@NAME@", name.as_str())
        .replace("@KEY@", KEY)
        .replace("@ADDRESS@", &address)
        .replace("@DATA@", &data)
        .replace("@LISTEN@", &options.listen.to_string());
    Settings::from_text(&text, directory).map_err(|error| {
        Failure::new(Exit::Internal, format!("the template of party.toml is wrong: {error}"))
    })?;
    let identity = Identity::create(&key)?;
    create(&settings, text.as_bytes())?;
    let read = Settings::read(&settings, &Overrides::default());
    let read = read.map_err(|error| Failure::from(error).in_file(&settings))?;

    let fingerprint = identity.fingerprint();
    let words = Words::of(&fingerprint);
    let given = given.filter(|_| hidden);
    let invite = invitation(&read, &identity, given, &settings).ok();
    let open = if hidden {
        "name the relay in party.toml ([relay])".to_owned()
    } else {
        format!("open UDP port {}", options.listen.port())
    };
    let mut text = format!(
        "Made {} and {} (keep the key to yourself).\n\n",
        settings.display(),
        key.display()
    );
    text += &match &invite {
        Some(invite) => report(invite).text,
        None => format!("This node's six words:\n  {words}\n"),
    };
    let next = if invite.is_some() {
        "add the others with"
    } else {
        "print its invitation with `party invite --address HOST:PORT`, and add the others with"
    };
    let named = if options.data.is_some() { "" } else { "name your data in party.toml, " };
    text += &format!(
        "\n{}",
        wrapped("Next: ", &format!("{open}, {named}{next} `party join INVITATION`."))
    );
    Ok(Report {
        text,
        json: json!({
            "name": name,
            "settings": settings,
            "key": key,
            "fingerprint": fingerprint.to_string(),
            "words": words.to_string(),
            "invitation": invite.map(|invite| invite.to_string()),
        }),
    })
}

/// Where the data are, seen from anywhere, as a string of TOML.
fn data_path(path: &Path) -> Result<String, Failure> {
    let refused = |what: String| Failure::new(Exit::LocalInput, what).in_file(path);
    let whole = std::path::absolute(path).map_err(|error| refused(error.to_string()))?;
    input::open(path).map_err(|error| refused(format!("the data cannot be read: {error}")))?;
    let text = whole.to_str().ok_or_else(|| refused("its path is no UTF-8".to_owned()))?;
    Ok(toml_edit::value(text).to_string())
}
