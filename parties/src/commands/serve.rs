//! `party serve`

use std::path::Path;

use serde_json::json;

use crate::exit::Failure;
use crate::identity::Identity;
use crate::node::{StopSignal, say, terminal};
use crate::output::Report;
use crate::serve::{Board, Server, listen};
use crate::settings::{Overrides, Settings};

/// Takes approved studies one after another until it is stopped.
pub(super) fn run(config: &Path) -> Result<Report, Failure> {
    let settings = Settings::read(config, &Overrides::default())
        .map_err(|error| Failure::from(error).in_file(config))?;
    let identity = Identity::read(&settings.identity.key)?;
    let fingerprint = identity.fingerprint().to_string();
    let board = Board::new(settings.identity.name.to_string(), fingerprint);
    let page = listen(settings.serve.status, board.clone())?;
    say(&format!(
        "{} serves the studies in {}; its page is http://{page}/",
        settings.identity.name,
        settings.serve.studies.display()
    ));
    let runtime = super::runtime()?;
    runtime.block_on(async {
        let mut stop = StopSignal::install()?;
        Server::new(config, board, &terminal()).run(&mut stop).await
    })?;
    let text = "stopped\n".to_owned();
    Ok(Report { text, json: json!({ "stopped": true }) })
}
