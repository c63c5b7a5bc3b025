//! What a node sees of the others.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mpc_net::quic::{Answers, Doing, Examiner, Peer, PublicKey, Seen, versions};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Finding;
use super::clocks::clocks;
use crate::exit::Exit;
use crate::identity::Fingerprint;
use crate::invite::Words;
use crate::output::hex;

/// How long to wait between two looks at a node.
const PAUSE: Duration = Duration::from_millis(700);

/// How long to wait for packets of nodes that were seen.
const GRACE: Duration = Duration::from_secs(6);

/// Packets of fewer bytes are told.
const SMALL: u16 = 1280;

/// What this node knows.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its own key.
    pub own: Fingerprint,
    /// The digest of the study, where there is one.
    pub study: Option<[u8; 32]>,
    /// The port that it listens on.
    pub port: u16,
    /// Whether it could listen there.
    pub listens: bool,
}

/// What was seen of a node so far.
#[derive(Default)]
struct Looked {
    /// Whether its names resolve; else one that does not, and why.
    resolved: Option<Result<(), (String, String)>>,
    /// The last look at each of its addresses.
    seen: BTreeMap<SocketAddr, Seen>,
    /// Whether packets of its own came here.
    heard: bool,
    done: bool,
}

/// What was seen so far.
#[derive(Default)]
struct All {
    nodes: Vec<Looked>,
    strangers: Vec<PublicKey>,
}

fn all(shared: &Mutex<All>) -> MutexGuard<'_, All> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Looks at all nodes, and answers those that look at this one, until all have been seen and heard, for so
/// long at most.
pub async fn look(
    examiner: Arc<Examiner>,
    peers: Vec<Peer>,
    known: Known,
    wait: Duration,
) -> Vec<Finding> {
    let nodes = peers.iter().map(|_| Looked::default()).collect();
    let shared = Arc::new(Mutex::new(All { nodes, strangers: Vec::new() }));
    let mut tasks = JoinSet::new();
    for (index, peer) in peers.iter().cloned().enumerate() {
        let (examiner, shared) = (Arc::clone(&examiner), Arc::clone(&shared));
        tasks.spawn(async move { watch(&examiner, &peer, index, &shared).await });
    }
    let heard = {
        let shared = Arc::clone(&shared);
        move |who: Result<usize, PublicKey>| {
            let mut all = all(&shared);
            match who {
                Ok(index) => {
                    if let Some(node) = all.nodes.get_mut(index) {
                        node.heard = true;
                    }
                }
                Err(key) if !all.strangers.contains(&key) => all.strangers.push(key),
                Err(_) => {}
            }
        }
    };
    let enough = async {
        let mut seen_all = None;
        loop {
            sleep(Duration::from_millis(100)).await;
            let all = all(&shared);
            if all.nodes.iter().all(|node| node.done) {
                let since = *seen_all.get_or_insert_with(Instant::now);
                let heard = all.nodes.iter().all(|node| node.heard || !node.may_look());
                if heard || since.elapsed() > GRACE {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = examiner.answer(heard) => {}
        _ = timeout(wait, enough) => {}
    }
    tasks.shutdown().await;
    if let Some(examiner) = Arc::into_inner(examiner) {
        examiner.leave().await;
    }
    let all = all(&shared);
    let mut findings = Vec::new();
    for (peer, node) in peers.iter().zip(&all.nodes) {
        findings.extend(node.findings(peer, &known));
    }
    let told = peers
        .iter()
        .zip(&all.nodes)
        .filter_map(|(peer, node)| Some((peer.name.as_str(), node.answers()?.1.ahead)));
    findings.extend(clocks(&told.collect::<Vec<_>>()));
    for key in &all.strangers {
        let what = format!(
            "a node with the key {key} ({}) came and was refused: it is not pinned here",
            Words::of(key)
        );
        findings.push(Finding::note("strangers", "stranger", what));
    }
    findings
}

/// Looks at one node again and again until it answers, or another one does.
async fn watch(examiner: &Examiner, peer: &Peer, index: usize, shared: &Mutex<All>) {
    let v4_only = examiner.address().is_ok_and(|address| address.is_ipv4());
    let fits = |address: &SocketAddr| address.is_ipv4() || !v4_only;
    if peer.address.is_none() {
        all(shared).nodes[index].done = true;
        return;
    }
    loop {
        let (mut found, mut failed) = (Vec::new(), None);
        for host in peer.addresses() {
            match tokio::net::lookup_host(host).await {
                Ok(addresses) => found.extend(addresses.filter(fits)),
                Err(error) => failed = Some((host.to_owned(), error.to_string())),
            }
        }
        // One name that resolves is enough to look.
        let resolved = failed.filter(|_| found.is_empty()).map_or(Ok(()), Err);
        all(shared).nodes[index].resolved = Some(resolved);
        let mut done = false;
        for address in found {
            if let Ok(seen) = examiner.look(peer, address).await {
                done |= is_definite(&seen);
                all(shared).nodes[index].seen.insert(address, seen);
            }
        }
        if done {
            all(shared).nodes[index].done = true;
            return;
        }
        sleep(PAUSE).await;
    }
}

/// Whether a later look would show nothing else.
fn is_definite(seen: &Seen) -> bool {
    matches!(
        seen,
        Seen::Answers(_) | Seen::WrongKey(_) | Seen::NotPinned | Seen::Version(_) | Seen::Older
    )
}

impl Looked {
    fn answers(&self) -> Option<(&SocketAddr, &Answers)> {
        self.seen.iter().find_map(|(address, seen)| match seen {
            Seen::Answers(answers) => Some((address, answers)),
            _ => None,
        })
    }

    /// Whether it may be looking at this node too.
    fn may_look(&self) -> bool {
        self.answers().is_none_or(|_| self.speaks())
    }

    /// Whether it dials this node now.
    fn speaks(&self) -> bool {
        self.answers().is_some_and(|(_, it)| matches!(it.doing, Doing::Examines | Doing::Waits))
    }

    fn findings(&self, peer: &Peer, known: &Known) -> Vec<Finding> {
        if let Some((address, answers)) = self.answers() {
            return self.of_answers(peer, address, answers, known);
        }
        let name = &peer.name;
        let Some(host) = peer.address.as_deref() else {
            return vec![if self.heard {
                Finding::well(name, "has no address here, and its own packets come here")
            } else {
                let what = "has no address here, so it was not looked at: it has to reach this node, or the relay";
                Finding::note(name, "no-address", what)
            }];
        };
        let lost = |finding: Finding| finding.ending(Exit::PeerLost);
        match &self.resolved {
            None => {
                let what = format!("the name in {host} was not looked up in time");
                let to_do = "look at the name service (DNS) of this machine";
                return vec![lost(Finding::wrong(name, "name", what, to_do))];
            }
            Some(Err((host, error))) => {
                let what = format!("the name in {host} does not resolve: {error}");
                let to_do = format!(
                    "compare it with what the operator of {name} says, and look at the name service (DNS) of \
                     this machine; `party join` with a new invitation changes the address"
                );
                return vec![lost(Finding::wrong(name, "name", what, to_do))];
            }
            Some(Ok(())) if self.seen.is_empty() => {
                let what = format!("no look at {host} came to an end in time");
                let to_do = "give it longer: --wait SECONDS";
                return vec![lost(Finding::wrong(name, "silent", what, to_do))];
            }
            Some(Ok(())) => {}
        }
        self.seen.iter().map(|(address, seen)| unseen(peer, *address, seen, known)).collect()
    }

    fn of_answers(
        &self,
        peer: &Peer,
        address: &SocketAddr,
        answers: &Answers,
        known: &Known,
    ) -> Vec<Finding> {
        let name = &peer.name;
        let doing = match answers.doing {
            Doing::Examines => "runs `party doctor`",
            Doing::Waits => "waits for the others",
            Doing::Works => "is in the middle of a run",
            Doing::Deals => "waits for the parties of a study",
            _ => "is at work",
        };
        let heard = if self.heard { "; packets that it sends first come here too" } else { "" };
        let what = format!(
            "answers at {address} and {doing}; round trip {:.1} ms, packets of {} bytes{heard}",
            answers.round_trip.as_secs_f64() * 1e3,
            answers.packet
        );
        let mut findings = vec![Finding::well(name, what)];
        match (answers.subject, known.study) {
            (Some(theirs), Some(own)) if theirs != own => {
                let what = format!(
                    "its study is {}.., the one here is {}..: they differ",
                    hex(&theirs[..8]),
                    hex(&own[..8])
                );
                let to_do = "all parties need the same file, byte by byte: send it anew";
                findings.push(Finding::wrong(name, "study-differs", what, to_do));
            }
            (Some(_), Some(_)) => findings.push(Finding::well(name, "has the same study")),
            (None, Some(_)) if answers.doing == Doing::Examines => {
                let what = "runs `party doctor` without the study, so it was not compared";
                findings.push(Finding::note(name, "study-unknown", what));
            }
            _ => {}
        }
        if answers.build != env!("CARGO_PKG_VERSION") {
            let what = format!(
                "its program is version {}, this one {}; they speak the same protocol",
                answers.build,
                env!("CARGO_PKG_VERSION")
            );
            findings.push(Finding::note(name, "build", what));
        }
        if answers.packet < SMALL {
            let what =
                "only small packets come through, as in some tunnels (VPN): it works, slower";
            findings.push(Finding::note(name, "packets", what));
        }
        if self.speaks() && !self.heard && known.listens {
            let what = format!(
                "no packet that it sends first came here: UDP port {} may not be open here, or its party.toml has \
                 another address of this node. One direction is enough",
                known.port
            );
            findings.push(Finding::note(name, "one-way", what));
        }
        findings
    }
}

/// What is wrong at an address where the node does not answer.
fn unseen(peer: &Peer, address: SocketAddr, seen: &Seen, known: &Known) -> Finding {
    let (name, port) = (&peer.name, address.port());
    let run = "its operator starts `party doctor` or `party train` there at the same time";
    let (kind, what, to_do, exit) = match seen {
        Seen::Answers(_) => return Finding::well(name, "answers"),
        Seen::WrongKey(key) => (
            "wrong-key",
            format!(
                "another key answers at {address}: {key} ({}); pinned is {} ({})",
                Words::of(key),
                peer.key,
                Words::of(&peer.key)
            ),
            format!(
                "call its operator and compare the words. If the node has a new key, run `party join` with \
                 its new invitation; if not, {address} is the address of another node, or of somebody \
                 between you"
            ),
            Exit::Configuration,
        ),
        Seen::NotPinned => (
            "not-pinned",
            format!("it answers at {address}, and does not know this node's key {}", known.own),
            format!(
                "its operator runs `party join` with the invitation of this node (`party invite`); a node that \
                 waits for a study knows the parties of that study only, so compare those of {name} too"
            ),
            Exit::Configuration,
        ),
        Seen::Version(theirs) => {
            let own = versions();
            (
                "version",
                format!(
                    "it speaks versions {} to {} of the protocol, this node {} to {}",
                    theirs.0, theirs.1, own.0, own.1
                ),
                "install the same version of the program at both (`party --version`)".to_owned(),
                Exit::Configuration,
            )
        }
        Seen::Older => (
            "version",
            format!("the program at {address} is older, and does not know `party doctor`"),
            "install the same version of the program at both (`party --version`)".to_owned(),
            Exit::Configuration,
        ),
        Seen::Closed => (
            "closed",
            format!(
                "port closed: the machine at {address} says that nothing listens at UDP port {port}"
            ),
            format!(
                "{run}; if it does, `listen` below [network] there has another port than {port}"
            ),
            Exit::PeerLost,
        ),
        Seen::Unreachable(error) => (
            "unreachable",
            format!("no packet gets to {address}: {error}"),
            "look at the network of this machine, and at rules of a firewall for outgoing UDP"
                .to_owned(),
            Exit::PeerLost,
        ),
        Seen::Silent => (
            "silent",
            format!("no packet came back from {address}"),
            format!(
                "{run}; if it does, a firewall drops them: allow UDP to port {port} out of here, and into \
                 the machine there"
            ),
            Exit::PeerLost,
        ),
        Seen::FellSilent => (
            "fell-silent",
            format!("something answers at {address}, but the handshake does not come to its end"),
            "try again; if it stays so, something on the way drops packets of 1200 bytes, or QUIC"
                .to_owned(),
            Exit::PeerLost,
        ),
        Seen::Failed(error) => (
            "failed",
            format!("the connection with {address} failed: {error}"),
            "ask its operator what the node there says".to_owned(),
            Exit::PeerLost,
        ),
        _ => (
            "failed",
            format!("the connection with {address} failed"),
            "look at the log of that node".to_owned(),
            Exit::PeerLost,
        ),
    };
    Finding::wrong(name, kind, what, to_do).ending(exit)
}
