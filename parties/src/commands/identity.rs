//! `party identity ...`

use std::path::Path;

use serde_json::Value;

use super::invite::{invitation, report};
use crate::exit::Failure;
use crate::identity::Identity;
use crate::node::{State, now};
use crate::output::{Report, wrapped};
use crate::settings::{Overrides, Settings};

pub(super) fn rotate(config: &Path) -> Result<Report, Failure> {
    let settings = Settings::read(config, &Overrides::default())
        .map_err(|error| Failure::from(error).in_file(config))?;
    let path = &settings.identity.key;
    let old = Identity::read(path)?;
    // What the invitation needs is looked for before anything is changed.
    invitation(&settings, &old, None, config)?;
    // A node at work has the old key, and goes on with it.
    let _state = State::lock(&settings.state, &old)?;
    let (new, kept) = Identity::rotate(path, now())?;
    let mut report = report(&invitation(&settings, &new, None, config)?);
    let text = [
        format!("This node has a new key, in {}, signed by the one before.\n\n", path.display()),
        report.text,
        "\n".to_owned(),
        wrapped(
            "",
            "Until the others have run `party join` with it, they refuse this node. Studies that \
                     were approved here are to be approved again. The memory of this node goes on.",
        ),
        wrapped(
            "",
            &format!(
                "The key before is kept in {}, for audits of runs that were made with it: destroy it when none \
             is wanted any more, or at once if it was stolen, and make new backups of the key.",
                kept.display()
            ),
        ),
    ];
    report.text = text.concat();
    if let Value::Object(fields) = &mut report.json {
        fields.insert("key_before".to_owned(), old.fingerprint().to_string().into());
        fields.insert("kept".to_owned(), kept.display().to_string().into());
    }
    Ok(report)
}
