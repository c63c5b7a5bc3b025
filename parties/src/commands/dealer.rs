//! `party dealer`

use std::path::Path;
use std::sync::Arc;

use mpc_core::SessionOptions;
use mpc_core::correlations::dealer::serve;
use mpc_net::quic::{self, DealerOptions, Observer, QuicTransport};
use mpc_net::record::Transcript;
use mpc_net::{AbortCode, PartyId, Transport};
use serde_json::json;

use crate::cli::Dealer;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::node::{
    Closing, Keys, StopSignal, establish, give_up, link_settings, observer, pinned, say,
};
use crate::output::{Report, hex};
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

pub(super) async fn serve_all(
    settings: &Settings,
    identity: &Identity,
    once: bool,
) -> Result<Report, Failure> {
    let mut listening = DealerOptions::new(settings.network.listen);
    listening.join_timeout = settings.network.join_timeout;
    listening.silence_timeout = settings.network.silence_timeout;
    listening.lost_after = settings.network.lost_after;
    listening.link = link_settings(settings);
    listening.relay.clone_from(&settings.relay);
    let parties = settings.peers.iter().map(pinned).collect();
    let mut dealer = quic::Dealer::listen(identity.key(), parties, listening)?;
    let mut stop = StopSignal::install()?;
    let observer = observer();
    let mut served = 0u64;
    // Where only one study is served, parties that were lost may come back for it so long.
    let within = settings.network.return_within;
    let mut lost: Option<Failure> = None;
    loop {
        let serving = one_study(&mut dealer, (settings, identity), &observer, &mut stop);
        let ended = match lost.take() {
            None => serving.await,
            Some(failure) => match tokio::time::timeout(within, serving).await {
                Ok(ended) => ended,
                Err(_) => return Err(failure),
            },
        };
        match ended {
            Ok(()) => served += 1,
            Err(failure) if once && failure.exit == Exit::PeerLost && !within.is_zero() => {
                say(&format!(
                    "{}; waiting {} s for all to come back",
                    failure.what,
                    within.as_secs()
                ));
                lost = Some(failure);
                continue;
            }
            Err(failure) if once => return Err(failure),
            // Stopping is how a dealer ends.
            Err(failure) if failure.exit == Exit::Stopped => return Ok(report(served)),
            Err(failure) => say(&format!("this study ended early: {}", failure.what)),
        }
        if once {
            return Ok(report(served));
        }
    }
}

async fn one_study(
    dealer: &mut quic::Dealer,
    own: (&Settings, &Identity),
    observer: &Observer,
    stop: &mut StopSignal,
) -> Result<(), Failure> {
    let stopped = async { stop.stopped().await.into() };
    let (transport, context) = dealer.next_study_until(observer, stopped).await?;
    transport.tell_of_work();
    let name = hex(&context[..8]);
    say(&format!("dealing for the study {name}"));
    let result = deal(transport, context, own, stop).await;
    if result.is_ok() {
        say(&format!("the study {name} is complete"));
    }
    result
}

async fn deal(
    transport: QuicTransport,
    context: [u8; 32],
    (settings, identity): (&Settings, &Identity),
    stop: &mut StopSignal,
) -> Result<(), Failure> {
    let parties = transport.nodes() - 1;
    // The parties that have met are pinned, and so have their keys in the settings.
    let name = |node| transport.name(PartyId::from_index(node));
    let pinned = |node| settings.peers.iter().find(|peer| peer.name.as_str() == name(node));
    let mut keys: Vec<_> = (0..parties).filter_map(pinned).map(|peer| peer.fingerprint).collect();
    keys.push(identity.fingerprint());
    let transcript = Arc::new(Transcript::new(parties + 1));
    transport.record_with(transcript.clone());
    let options = SessionOptions::new(parties, context)
        .signatory(Arc::new(Keys::new(identity, keys)))
        .transcript(transcript);
    let (mut session, linger) = establish(transport, options, stop).await?;
    let served = match stop.until(serve(&mut session)).await {
        Ok(served) => served.map_err(Failure::from),
        Err(stopped) => Err(stopped.into()),
    };
    if let Err(failure) = served {
        give_up(&session, linger, &failure).await;
        return Err(failure);
    }
    // The parties have all that they need, and little left to do. One that has gone already takes
    // nothing away; one that signed something else than it sent is told.
    for (_, said) in session.attest(true).await? {
        match said {
            Err(error) if error.code() == AbortCode::PeerMisbehaved => {
                let failure = Failure::from(error);
                give_up(&session, linger, &failure).await;
                return Err(failure);
            }
            Err(error) => say(&error.to_string()),
            Ok(_) => {}
        }
    }
    Closing::new(session, linger, settings.network.silence_timeout).wait(stop).await
}

fn report(served: u64) -> Report {
    Report { text: format!("Served {served} studies.\n"), json: json!({ "studies": served }) }
}
