//! `party relay`

use std::path::Path;

use mpc_net::quic::{self, RelayOptions};
use serde_json::json;

use crate::cli::Relay;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::node::{StopSignal, pinned, relay_observer};
use crate::output::Report;
use crate::settings::{Overrides, Settings};

pub(super) fn run(config: &Path, options: &Relay) -> Result<Report, Failure> {
    let overrides = Overrides { listen: options.listen, ..Overrides::default() };
    let settings =
        Settings::read(config, &overrides).map_err(|error| Failure::from(error).in_file(config))?;
    let nodes: Vec<_> = settings.peers.iter().chain(&settings.dealer).map(pinned).collect();
    if nodes.len() < 2 {
        return Err(Failure::new(Exit::Configuration, "a relay is for at least two nodes")
            .in_file(config)
            .advise("party peer add NAME - FINGERPRINT, once for each node that may use it"));
    }
    let identity = Identity::read(&settings.identity.key)?;
    let options = RelayOptions {
        udp: settings.network.listen,
        tcp: Some(settings.relaying.tcp),
        bytes_a_second: settings.relaying.bytes_a_second,
    };
    super::runtime()?.block_on(async {
        let mut stop = StopSignal::install()?;
        let relay = quic::Relay::listen(identity.key(), &nodes, &options, &relay_observer())?;
        let stopped = async {
            stop.stopped().await;
        };
        relay.serve_until(stopped).await?;
        Ok(Report { text: "The relay was stopped.\n".to_owned(), json: json!({}) })
    })
}
