//! What a joint training costs on this machine: three parties and a dealer as processes that meet
//! over QUIC on loopback, against a replay of the same messages without any computation over the
//! same connections in the same run.
//!
//! Usage: bench [--smoke] [--json FILE] [--criterion DIR] [--link FILE]. The last two name figures
//! measured before (by the kernel benches and the link example), which are put beside these. The
//! other arguments are its own, for its child processes.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

mod node;
mod replay;
mod report;
mod shapes;
mod stock;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mpc_net::quic::Identity;
use serde_json::{Value, json};

use node::{be_a_node, key_path, port_path};
use report::{kernels, print, processor};
use shapes::shapes;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const PARTIES: usize = 3;
const NODES: usize = PARTIES + 1;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let smoke = arguments.iter().any(|argument| argument == "--smoke");
    let after = |flag: &str| {
        arguments.iter().position(|argument| argument == flag).map(|at| arguments[at + 1].clone())
    };
    if let Some(node) = after("--node") {
        let folder = after("--folder").ok_or("--folder is missing")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return runtime.block_on(be_a_node(node.parse()?, Path::new(&folder), smoke));
    }
    let mut results = all_nodes(smoke)?;
    if let Some(folder) = after("--criterion") {
        results["kernels"] = kernels(Path::new(&folder))?;
    }
    if let Some(path) = after("--link") {
        let lines = fs::read_to_string(path)?;
        results["network"] =
            lines.lines().map(serde_json::from_str::<Value>).collect::<Result<Value, _>>()?;
    }
    results["processor"] = json!(processor());
    print(&results);
    if let Some(path) = after("--json") {
        fs::write(path, format!("{results:#}\n"))?;
    }
    Ok(())
}

/// Starts the nodes as processes and collects what they measured.
fn all_nodes(smoke: bool) -> Outcome<Value> {
    let folder = tempfile::tempdir()?;
    let sockets = (0..NODES)
        .map(|_| std::net::UdpSocket::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()?;
    for (node, socket) in sockets.iter().enumerate() {
        fs::write(key_path(folder.path(), node), &*Identity::generate()?.to_pkcs8_pem())?;
        fs::write(port_path(folder.path(), node), socket.local_addr()?.port().to_string())?;
    }
    drop(sockets);
    let mut children = (0..NODES)
        .map(|node| {
            let mut command = Command::new(std::env::current_exe()?);
            command.args(["--node", &node.to_string(), "--folder"]).arg(folder.path());
            if smoke {
                command.arg("--smoke");
            }
            Ok(Some(command.stdout(Stdio::piped()).spawn()?))
        })
        .collect::<std::io::Result<Vec<Option<Child>>>>()?;
    let mut nodes = Vec::new();
    let mut failed = None;
    for (node, child) in children.iter_mut().enumerate() {
        let output = child.take().ok_or("a child is there once")?.wait_with_output()?;
        match output.status.success() {
            true => nodes.push(serde_json::from_slice::<Value>(&output.stdout)?),
            false => failed = Some(node),
        }
    }
    if let Some(node) = failed {
        return Err(format!("node {node} failed").into());
    }
    let memory = |node: &Value| node["memory_mb"].clone();
    let shapes = shapes(smoke).into_iter().enumerate().map(|(i, shape)| {
        let mut result = nodes[0]["shapes"][i].clone();
        result["name"] = json!(shape.name);
        result
    });
    Ok(json!({
        "training": shapes.collect::<Vec<_>>(),
        "memory_mb": nodes.iter().map(memory).collect::<Vec<_>>(),
        "cores": std::thread::available_parallelism()?.get(),
    }))
}
