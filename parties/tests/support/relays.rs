//! Relays as processes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Nodes, Running, party};

pub const RELAY: &str = "relay";

fn fingerprint(config: &str) -> String {
    let key = party(&["--config", config, "fingerprint"]).stdout;
    String::from_utf8(key).unwrap().trim().to_owned()
}

/// Makes a relay that knows the nodes, and starts it; its fingerprint and its UDP and TCP addresses.
pub fn relay(nodes: &Nodes) -> (Running, String, [String; 2]) {
    let dir = nodes.dir(RELAY);
    let listen = ["--name", RELAY, "--listen", "127.0.0.1:0"];
    party(&[&["init", "--dir", dir.to_str().unwrap()], &listen[..]].concat());
    let config = nodes.config(RELAY);
    for name in &nodes.names {
        let key = fingerprint(&nodes.config(name));
        party(&["--config", &config, "peer", "add", name, "-", &key]);
    }
    start_relay(nodes)
}

/// Starts the relay that was made before.
pub fn start_relay(nodes: &Nodes) -> (Running, String, [String; 2]) {
    let (dir, config) = (nodes.dir(RELAY), nodes.config(RELAY));
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    command.args(["--config", &config, "relay"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let log = dir.join("relay.txt");
    command.stderr(fs::File::create(&log).unwrap());
    // `spawn` looks for the log of the last command.
    drop(nodes.new_log(RELAY));
    let running = nodes.spawn(RELAY, &mut command);
    running.wait_for_word(&log, "(TCP)");
    let said = fs::read_to_string(&log).unwrap();
    let mut addresses = said.split(' ').filter(|word| word.starts_with("127.0.0.1:"));
    let addresses = [(); 2].map(|()| addresses.next().unwrap().to_owned());
    (running, fingerprint(&config), addresses)
}

/// Takes all addresses of others out of the settings of a node, and gives it the relay.
pub fn hide(config: &Path, key: &str, address: &str, via: &str) {
    let text = fs::read_to_string(config).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("address = "));
    let mut text = lines.collect::<Vec<_>>().join("\n");
    text += &format!("\n[relay]\naddress = {address:?}\nkey = {key:?}\nvia = {via:?}\n");
    fs::write(config, text).unwrap();
}
