//! `party dealer`

use std::path::Path;

use mpc_core::correlations::dealer::serve;
use mpc_core::{Outputs, Session, SessionOptions};
use mpc_net::Transport;
use mpc_net::quic::{self, DealerOptions, QuicTransport};
use serde_json::json;

use crate::cli::Dealer;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::node::{give_up, link_settings, observer, pinned, say, until_stopped};
use crate::output::Report;
use crate::settings::{Overrides, Settings};

pub(super) fn run(config: &Path, options: &Dealer) -> Result<Report, Failure> {
    let overrides = Overrides { listen: options.listen, ..Overrides::default() };
    let settings =
        Settings::read(config, &overrides).map_err(|error| Failure::from(error).in_file(config))?;
    if settings.peers.len() < 2 {
        return Err(Failure::new(Exit::Configuration, "a dealer serves at least two parties")
            .in_file(config)
            .advise("party peer add NAME ADDRESS FINGERPRINT, once for each party"));
    }
    let identity = Identity::read(&settings.identity.key)?;
    super::runtime()?.block_on(serve_all(&settings, &identity, options.once))
}

async fn serve_all(
    settings: &Settings,
    identity: &Identity,
    once: bool,
) -> Result<Report, Failure> {
    let mut listening = DealerOptions::new(settings.network.listen);
    listening.join_timeout = settings.network.join_timeout;
    listening.silence_timeout = settings.network.silence_timeout;
    listening.link = link_settings(settings);
    let parties = settings.peers.iter().map(pinned).collect();
    let mut dealer = quic::Dealer::listen(identity.key(), parties, listening)?;
    let mut served = 0u64;
    loop {
        let result = match until_stopped(one_study(&mut dealer)).await {
            // Stopping is how a dealer ends.
            Err(_) if !once => return Ok(report(served)),
            Err(stopped) => return Err(stopped.into()),
            Ok(result) => result,
        };
        match result {
            Ok(()) => served += 1,
            Err(failure) if once => return Err(failure),
            Err(failure) => say(&format!("this study ended early: {}", failure.what)),
        }
        if once {
            return Ok(report(served));
        }
    }
}

async fn one_study(dealer: &mut quic::Dealer) -> Result<(), Failure> {
    let (transport, context) = dealer.next_study(&observer()).await?;
    let name: String = context[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    say(&format!("dealing for the study {name}"));
    let result = deal(transport, context).await;
    if result.is_ok() {
        say(&format!("the study {name} is complete"));
    }
    result
}

async fn deal(transport: QuicTransport, context: [u8; 32]) -> Result<(), Failure> {
    let parties = transport.nodes() - 1;
    let options = SessionOptions { parties, context, outputs: Outputs::none() };
    let linger = transport.linger();
    let mut session = match Session::establish(Box::new(transport), options).await {
        Ok(session) => session,
        Err(error) => {
            let failure = error.into();
            give_up(None, linger, &failure).await;
            return Err(failure);
        }
    };
    if let Err(error) = serve(&mut session).await {
        let failure = error.into();
        give_up(Some(&session), linger, &failure).await;
        return Err(failure);
    }
    let finished = session.finish().await.map_err(Failure::from);
    if let Err(failure) = &finished {
        give_up(None, linger, failure).await;
    }
    finished
}

fn report(served: u64) -> Report {
    Report { text: format!("Served {served} studies.\n"), json: json!({ "studies": served }) }
}
