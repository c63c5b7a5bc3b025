//! `party init`

use std::fs;

use serde_json::json;

use crate::cli::Init;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::name::PartyName;
use crate::output::{Report, create, exists};
use crate::settings::Settings;

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
    let text = TEMPLATE
        .replace("@NAME@", name.as_str())
        .replace("@KEY@", KEY)
        .replace("@LISTEN@", &options.listen.to_string());
    Settings::from_text(&text, directory).map_err(|error| {
        Failure::new(Exit::Internal, format!("the template of party.toml is wrong: {error}"))
    })?;
    let fingerprint = Identity::create(&key)?.fingerprint();
    create(&settings, text.as_bytes())?;

    let port = options.listen.port();
    let host = if options.listen.ip().is_unspecified() || options.listen.ip().is_loopback() {
        "YOUR-ADDRESS:".to_owned() + &port.to_string()
    } else {
        options.listen.to_string()
    };
    let command = format!("party peer add {name} {host} {fingerprint}");
    Ok(Report {
        text: format!(
            "Made {} and {} (keep the key to yourself).\n\n\
             This node's fingerprint:\n  {fingerprint}\n\n\
             Send this line to the operators of the other nodes, with the address under which they \
             reach you,\nand let them compare the fingerprint with you by telephone:\n  {command}\n\n\
             Next: open UDP port {port}, name your data in {}, and add the others with `party peer add`.\n",
            settings.display(),
            key.display(),
            settings.display(),
        ),
        json: json!({
            "name": name,
            "settings": settings,
            "key": key,
            "fingerprint": fingerprint.to_string(),
            "peer_add": command,
        }),
    })
}
