//! Dialling a peer until it answers.

use std::time::Duration;

use tokio::time::sleep;

use super::door::{Door, Failed, Joined, Target};
use super::hello::Hello;
use super::join::{JoinEvent, Observer, Peer};
use crate::NetError;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Dials a peer again and again, and tells `observer` what is in the way whenever that changes.
pub(crate) async fn dial_until_joined(
    door: &Door,
    observer: &Observer,
    peer: &Peer,
    hello: &Hello,
) -> Result<Joined, NetError> {
    let mut pause = FIRST_PAUSE;
    let mut told = String::new();
    loop {
        let detail = match dial_once(door, peer, hello).await {
            Ok(joined) => return Ok(joined),
            Err(Failed::Fatal(error)) => return Err(error),
            Err(Failed::Retry(detail)) => detail,
        };
        if detail != told {
            observer(JoinEvent::Unreachable {
                peer: peer.name.clone(),
                address: peer.address.clone().unwrap_or_default(),
                detail: detail.clone(),
            });
            told = detail;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// One attempt at every address of a peer.
async fn dial_once(door: &Door, peer: &Peer, hello: &Hello) -> Result<Joined, Failed> {
    let host = peer.address.as_deref().unwrap_or_default();
    let addresses = tokio::net::lookup_host(host)
        .await
        .map_err(|error| Failed::Retry(format!("the name in {host} does not resolve: {error}")))?;
    let mut last = Failed::Retry(format!("{host} has no address of the right family"));
    let v4_only = door.address().is_ok_and(|address| address.is_ipv4());
    for address in addresses.filter(|address| address.is_ipv4() || !v4_only) {
        let target = Target { name: &peer.name, key: peer.key, address };
        match door.dial(&target, hello).await {
            Err(Failed::Retry(detail)) => last = Failed::Retry(detail),
            done => return done,
        }
    }
    Err(last)
}
