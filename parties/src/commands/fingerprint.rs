//! `party fingerprint`

use std::path::Path;

use serde_json::json;

use crate::exit::Failure;
use crate::identity::Identity;
use crate::output::Report;
use crate::settings::{Overrides, Settings};

pub(super) fn run(config: &Path) -> Result<Report, Failure> {
    let settings = Settings::read(config, &Overrides::default())
        .map_err(|error| Failure::from(error).in_file(config))?;
    let fingerprint = Identity::read(&settings.identity.key)?.fingerprint();
    Ok(Report {
        text: format!("{fingerprint}\n"),
        json: json!({ "name": settings.identity.name, "fingerprint": fingerprint.to_string() }),
    })
}
