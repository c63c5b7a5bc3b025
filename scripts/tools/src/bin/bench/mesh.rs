//! The nodes of a training as processes: what each needs to find the others, and what they tell.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use mpc_net::quic::{
    Identity, JoinOptions, LinkSettings, Mtu, Observer, Peer, QuicTransport, Roster, join,
};
use mpc_net::{Due, PartyId, Tag, Transport};
use serde::de::DeserializeOwned;

use crate::Outcome;
use crate::relay::{Line, Relay};

const BARRIER: Tag = Tag::new("bench/barrier");

/// A product of a large matrix takes its time on a busy machine.
const SILENCE: Duration = Duration::from_secs(300);

fn key_path(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("{node}.key"))
}

/// Where `node` finds each of the nodes, line by line; its own address is where it listens.
fn addresses_path(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("{node}.addresses"))
}

/// Which processes there are, and what lies between them.
pub struct Nodes {
    /// The arguments that tell a process what it is part of.
    pub role: [&'static str; 2],
    pub parties: usize,
    /// Whether a dealer comes after the parties.
    pub dealer: bool,
    pub line: Option<Line>,
}

impl Nodes {
    fn count(&self) -> usize {
        self.parties + usize::from(self.dealer)
    }
}

/// Runs the nodes as processes of their own. Gives what each of them measured, and the datagrams
/// that the line lost.
pub fn run<R: DeserializeOwned>(nodes: &Nodes) -> Outcome<(Vec<R>, u64)> {
    let folder = tempfile::tempdir()?;
    let (line, role, nodes) = (nodes.line, nodes.role, nodes.count());
    let sockets = (0..nodes)
        .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<Vec<_>, _>>()?;
    let listening: Vec<SocketAddr> =
        sockets.iter().map(UdpSocket::local_addr).collect::<Result<_, _>>()?;
    drop(sockets);
    let mut relay = Relay::new();
    for node in 0..nodes {
        fs::write(key_path(folder.path(), node), &*Identity::generate()?.to_pkcs8_pem())?;
        // The node with the lower index dials; what it dials is the line to the other.
        let mut lines = String::new();
        for (peer, &address) in listening.iter().enumerate() {
            let address = match line {
                Some(line) if peer > node => {
                    relay.add(line, address, (node * nodes + peer) as u64)?
                }
                _ => address,
            };
            lines += &format!("{address}\n");
        }
        fs::write(addresses_path(folder.path(), node), lines)?;
    }
    let mut children = Vec::new();
    for node in 0..nodes {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(role).args(["--node", &node.to_string(), "--folder"]);
        children.push(command.arg(folder.path()).stdout(Stdio::piped()).spawn()?);
    }
    // All are waited for before the first failure is told: none is left behind.
    let outputs: Vec<_> = children.into_iter().map(Child::wait_with_output).collect();
    let mut reports = Vec::new();
    for (node, output) in outputs.into_iter().enumerate() {
        let output = output?;
        if !output.status.success() {
            return Err(format!("node {node} failed").into());
        }
        reports.push(serde_json::from_slice(&output.stdout)?);
    }
    Ok((reports, relay.lost()))
}

/// Meets the other nodes.
pub async fn meet(all: &Nodes, me: usize, folder: &Path) -> Outcome<QuicTransport> {
    let addresses = fs::read_to_string(addresses_path(folder, me))?;
    let mut nodes = Vec::new();
    let mut own = None;
    for (node, address) in addresses.lines().enumerate() {
        let key = Arc::new(Identity::from_pkcs8_pem(&fs::read_to_string(key_path(folder, node))?)?);
        nodes.push(Peer {
            name: format!("node {node}"),
            address: Some(address.to_owned()),
            also: Vec::new(),
            key: key.public_key(),
        });
        if node == me {
            own = Some((key, address.parse()?));
        }
    }
    let (key, listen) = own.ok_or("this node has no address")?;
    let roster = Roster { me: PartyId::from_index(me), nodes, dealer: all.dealer };
    let mut options = JoinOptions::new(listen, [1; 32]);
    options.silence_timeout = SILENCE;
    options.link = match all.line {
        None => LinkSettings { mtu: Mtu::Loopback, ..LinkSettings::default() },
        // As an operator would have it who knows nothing of the line.
        Some(_) => LinkSettings { mtu: Mtu::Network, ..LinkSettings::default() },
    };
    let quiet: Observer = Arc::new(|_| {});
    Ok(join(&key, &roster, &options, &quiet).await?)
}

/// Everybody begins together.
pub async fn barrier(channel: &dyn Transport) -> Outcome<()> {
    let peers =
        || (0..channel.nodes()).map(PartyId::from_index).filter(|&peer| peer != channel.id());
    let sends = try_join_all(peers().map(|peer| channel.send(peer, BARRIER, &[])));
    let receives =
        try_join_all(peers().map(|peer| channel.recv(peer, Due::exactly(BARRIER, 0).patiently())));
    tokio::try_join!(sends, receives)?;
    Ok(())
}
