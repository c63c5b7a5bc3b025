//! The nodes of a training as processes: what each needs to find the others, and what they tell.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mpc_core::correlations::Origin;
use mpc_net::PartyId;
use mpc_net::quic::{
    Identity, JoinOptions, LinkSettings, Mtu, Observer, Peer, QuicTransport, Roster, join,
};

use crate::Outcome;
use crate::node::Report;
use crate::relay::Relay;
use crate::shapes::Shape;

/// A product of a large matrix takes its time on a busy machine.
const SILENCE: Duration = Duration::from_secs(300);

fn key_path(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("{node}.key"))
}

/// Where `node` finds each of the nodes, line by line; its own address is where it listens.
fn addresses_path(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("{node}.addresses"))
}

/// Runs a training in processes of its own. Gives what each node measured, and the datagrams that
/// the line lost.
pub fn run(shape: &Shape) -> Outcome<(Vec<Report>, u64)> {
    let folder = tempfile::tempdir()?;
    let nodes = shape.nodes();
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
            let address = match shape.line {
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
        command.args(["--training", shape.name, "--node", &node.to_string(), "--folder"]);
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
pub async fn meet(shape: &Shape, me: usize, folder: &Path) -> Outcome<QuicTransport> {
    let addresses = fs::read_to_string(addresses_path(folder, me))?;
    let mut nodes = Vec::new();
    let mut own = None;
    for (node, address) in addresses.lines().enumerate() {
        let key = Arc::new(Identity::from_pkcs8_pem(&fs::read_to_string(key_path(folder, node))?)?);
        nodes.push(Peer {
            name: format!("node {node}"),
            address: Some(address.to_owned()),
            key: key.public_key(),
        });
        if node == me {
            own = Some((key, address.parse()?));
        }
    }
    let (key, listen) = own.ok_or("this node has no address")?;
    let dealer = shape.origin == Origin::Dealer;
    let roster = Roster { me: PartyId::from_index(me), nodes, dealer };
    let mut options = JoinOptions::new(listen, [1; 32]);
    options.silence_timeout = SILENCE;
    options.link = match shape.line {
        None => LinkSettings { mtu: Mtu::Loopback, ..LinkSettings::default() },
        // As an operator would have it who knows nothing of the line.
        Some(_) => LinkSettings { mtu: Mtu::Network, ..LinkSettings::default() },
    };
    let quiet: Observer = Arc::new(|_| {});
    Ok(join(&key, &roster, &options, &quiet).await?)
}
