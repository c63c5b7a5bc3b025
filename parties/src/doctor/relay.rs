//! The way to the relay, and through a proxy to it.

use std::sync::Arc;

use mpc_net::quic::{Identity, ProxyFault, RelayFault, RelaySeen, RelaySettings, look_at_relay};

use super::Finding;
use crate::exit::Exit;
use crate::invite::Words;

const CHECK: &str = "relay";

/// Looks at the relay by all ways that may be used, and says what is wrong with it.
pub async fn relay(identity: &Arc<Identity>, settings: &RelaySettings) -> Vec<Finding> {
    findings(settings, &look_at_relay(identity, settings).await)
}

fn findings(settings: &RelaySettings, seen: &RelaySeen) -> Vec<Finding> {
    let address = &settings.address;
    let ways = [("UDP", &seen.udp), ("TCP", &seen.tcp)];
    let tried = || ways.iter().filter_map(|(way, seen)| Some((*way, seen.as_ref()?)));
    let over = |way: &str| match (&settings.proxy, way) {
        (Some(proxy), "TCP") => format!("TCP through the proxy {proxy}"),
        _ => way.to_owned(),
    };
    let works: Vec<String> =
        tried().filter(|(_, it)| it.is_ok()).map(|(way, _)| over(way)).collect();
    if works.is_empty() {
        let mut all: Vec<Finding> = Vec::new();
        for (way, fault) in tried().filter_map(|(way, it)| Some((way, it.as_ref().err()?))) {
            let finding = wrong(address, way, fault);
            // Both ways often fail by the same.
            if !all
                .iter()
                .any(|before| (before.kind, &before.what) == (finding.kind, &finding.what))
            {
                all.push(finding);
            }
        }
        return all;
    }
    let mut all = vec![Finding::well(
        CHECK,
        format!("{address} answers and takes this node, over {}", works.join(" and over ")),
    )];
    for (way, fault) in tried().filter_map(|(way, it)| Some((way, it.as_ref().err()?))) {
        let Finding { kind, what, .. } = wrong(address, way, fault);
        all.push(Finding::note(CHECK, kind, format!("{what}; the other way is used")));
    }
    all
}

fn wrong(address: &str, way: &str, fault: &RelayFault) -> Finding {
    let firewall = format!(
        "is the relay at work (`party relay`)? If it is, a firewall drops packets: allow {way} to {address} out of \
         here, and into the machine there"
    );
    let nobody = "its operator starts `party relay`; if it runs, `listen` or relaying.tcp there has another port than \
                  relay.address here";
    let lost = |kind, what: String, to_do: String| {
        Finding::wrong(CHECK, kind, what, to_do).ending(Exit::PeerLost)
    };
    match fault {
        RelayFault::Name(detail) => lost(
            "relay-name",
            detail.clone(),
            "compare relay.address with what its operator says, and look at the name service (DNS) of this \
             machine"
                .to_owned(),
        ),
        RelayFault::Silent => {
            lost("relay-silent", format!("{address} does not answer over {way}"), firewall)
        }
        RelayFault::Closed => lost(
            "relay-closed",
            format!("nothing listens at the UDP port of {address}"),
            nobody.to_owned(),
        ),
        RelayFault::Tcp { refused: true, detail } => {
            lost("relay-closed", detail.clone(), nobody.to_owned())
        }
        RelayFault::Tcp { detail, .. } => lost("relay-silent", detail.clone(), firewall),
        RelayFault::WrongKey { shown, pinned } => Finding::wrong(
            CHECK,
            "relay-key",
            format!(
                "{address} shows the key {shown} ({}); relay.key is {pinned} ({})",
                Words::of(shown),
                Words::of(pinned)
            ),
            "call its operator and compare `party fingerprint` there with relay.key here; if they are the same, \
             somebody else answers at this address",
        ),
        RelayFault::Unknown { own } => Finding::wrong(
            CHECK,
            "relay-unknown",
            format!("the relay at {address} does not know this node's key {own}"),
            "its operator runs `party join` there with the invitation of this node (`party invite`), and starts the \
             relay again",
        ),
        RelayFault::SmallPackets => lost(
            "relay-packets",
            format!("{fault} ({address})"),
            "allow TCP (relay.via = \"auto\"), or give the tunnel on the way larger packets".to_owned(),
        ),
        RelayFault::Proxy { proxy, fault } => of_proxy(address, proxy, fault),
        other => lost(
            "relay-failed",
            format!("the relay at {address}, over {way}: {other}"),
            "ask its operator what the relay there says".to_owned(),
        ),
    }
}

fn of_proxy(address: &str, proxy: &str, fault: &ProxyFault) -> Finding {
    let what = format!("the proxy {proxy}: {fault}");
    let (kind, to_do, exit) = match fault {
        ProxyFault::Unreached(inner) if matches!(**inner, RelayFault::Name(_)) => (
            "proxy-name",
            "compare relay.proxy with what the operators of your network say".to_owned(),
            Exit::PeerLost,
        ),
        ProxyFault::Unreached(_) => (
            "proxy-silent",
            "compare relay.proxy with what the operators of your network say: is this the address and the port \
             of the proxy, and may this machine use it?"
                .to_owned(),
            Exit::PeerLost,
        ),
        ProxyFault::Denies(_) => (
            "proxy-denies",
            format!("ask the operators of your network to let this machine CONNECT to {address}"),
            Exit::PeerLost,
        ),
        ProxyFault::NeedsPassword(_) => (
            "proxy-password",
            "ask the operators of your network for a name and a password for this node, and write relay.proxy_user \
             and relay.proxy_password_file"
                .to_owned(),
            Exit::Configuration,
        ),
        ProxyFault::WrongPassword(_) => (
            "proxy-password",
            "compare relay.proxy_user, and what is in the file or variable of the password, with what the operators of \
             your network say; it has to take Basic"
                .to_owned(),
            Exit::Configuration,
        ),
        ProxyFault::Login(_) => (
            "proxy-password",
            "correct relay.proxy_password_file or the variable of relay.proxy_password_env".to_owned(),
            Exit::Configuration,
        ),
        _ => (
            "proxy-failed",
            "compare relay.proxy with what the operators of your network say: is this an HTTP proxy?"
                .to_owned(),
            Exit::PeerLost,
        ),
    };
    Finding::wrong(CHECK, kind, what, to_do).ending(exit)
}
