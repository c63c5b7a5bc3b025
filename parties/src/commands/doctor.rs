//! `party doctor`

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mpc_net::quic::{ExamineOptions, Examiner, Peer};
use serde_json::json;

use crate::cli::Doctor;
use crate::doctor::{Asked, Finding, Known, Own, exit, in_words, look, own, relay};
use crate::exit::Exit;
use crate::identity::Identity;
use crate::node::{link_settings, pinned, say};
use crate::output::print;
use crate::settings::{Overrides, Settings};
use crate::study::{Correlations, Study};

pub(super) fn run(config: &Path, options: &Doctor, as_json: bool) -> Exit {
    let data = options.data.clone();
    let overrides = Overrides { listen: options.listen, data, ..Overrides::default() };
    let asked = Asked {
        study: options.study.clone(),
        rows: options.rows.clone(),
        least_free: options.least_free,
        overrides,
    };
    let Own { settings, identity, study, mut findings } = own(config, &asked);
    if let (Some(settings), Some(identity)) = (&settings, &identity) {
        let peers = peers(settings, study.as_ref(), &mut findings);
        let runtime = match super::runtime() {
            Ok(runtime) => runtime,
            Err(failure) => return print(&Err(failure), as_json),
        };
        if let Some(way) = &settings.relay {
            say(&format!("looking at the relay {}", way.address));
            findings.extend(runtime.block_on(relay(identity.key(), way)));
        }
        if !peers.is_empty() {
            let wait = Duration::from_secs(options.wait);
            let study = study.as_ref().map(|study| *study.digest().as_bytes());
            runtime.block_on(others((settings, identity), peers, study, wait, &mut findings));
        }
    }
    let exit = exit(&findings);
    let text = if as_json {
        let json = json!({
            "ok": exit == Exit::Ok,
            "exit_code": exit.code(),
            "class": exit.class(),
            "findings": findings,
        });
        format!("{json:#}\n")
    } else {
        in_words(&findings)
    };
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Exit::Internal,
        _ => exit,
    }
}

/// The nodes to look at: those of the study, or all that are known.
fn peers(settings: &Settings, study: Option<&Study>, findings: &mut Vec<Finding>) -> Vec<Peer> {
    let Some(study) = study else {
        let all: Vec<Peer> = settings.peers.iter().chain(&settings.dealer).map(pinned).collect();
        if all.is_empty() {
            let to_do = "add the others: `party join INVITATION`";
            findings.push(Finding::wrong("peers", "unknown", "no other node is known", to_do));
        }
        return all;
    };
    let mut all = Vec::new();
    for name in study.parties().iter().filter(|name| **name != settings.identity.name) {
        match settings.peer(name) {
            Some(peer) => all.push(pinned(peer)),
            None => {
                let to_do = format!("`party join` with the invitation of {name}");
                let what = "it is not known to this node";
                findings.push(Finding::wrong(name.as_str(), "unknown", what, to_do));
            }
        }
    }
    if study.security().correlations == Correlations::Dealer {
        match &settings.dealer {
            Some(dealer) => all.push(pinned(dealer)),
            None => {
                let to_do = "`party join --dealer` with its invitation";
                let what = "it is not known to this node";
                findings.push(Finding::wrong("dealer", "unknown", what, to_do));
            }
        }
    }
    all
}

async fn others(
    (settings, identity): (&Settings, &Identity),
    peers: Vec<Peer>,
    subject: Option<[u8; 32]>,
    wait: Duration,
    findings: &mut Vec<Finding>,
) {
    let listen = settings.network.listen;
    let options = ExamineOptions { listen, link: link_settings(settings), subject };
    let (opened, listens) = match Examiner::open(identity.key(), peers.clone(), &options) {
        Ok(examiner) => {
            findings.push(Finding::well("port", format!("{listen} (UDP) can be listened on")));
            (Ok(examiner), true)
        }
        Err(error) => {
            let to_do = "a node that is at work uses it: wait for its end; otherwise choose another port below \
                         [network], and tell the others";
            findings.push(Finding::wrong("port", "port", error.to_string(), to_do));
            // Looking at the others does not need this port.
            let listen = SocketAddr::new(listen.ip(), 0);
            let options = ExamineOptions { listen, ..options };
            (Examiner::open(identity.key(), peers.clone(), &options), false)
        }
    };
    let examiner = match opened {
        Ok(examiner) => Arc::new(examiner),
        Err(_) => return,
    };
    let names: Vec<&str> = peers.iter().map(|peer| peer.name.as_str()).collect();
    say(&format!(
        "looking at {} for {} s at most; let them run `party doctor` too",
        names.join(", "),
        wait.as_secs()
    ));
    let known = Known { own: identity.fingerprint(), study: subject, port: listen.port(), listens };
    findings.extend(look(examiner, peers, known, wait).await);
}
