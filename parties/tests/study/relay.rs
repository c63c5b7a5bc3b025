//! Studies between nodes that only make outgoing connections: they meet through `party relay`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::clinics::{model, nodes};
use crate::support::{DEALER, Nodes, Running, party};

const RELAY: &str = "relay";

/// Makes a relay that knows the nodes, and starts it; its fingerprint and its UDP and TCP addresses.
fn relay(nodes: &Nodes) -> (Running, String, [String; 2]) {
    let dir = nodes.dir(RELAY);
    let listen = ["--name", RELAY, "--listen", "127.0.0.1:0"];
    party(&[&["init", "--dir", dir.to_str().unwrap()], &listen[..]].concat());
    let config = nodes.config(RELAY);
    let fingerprint = |config: &str| {
        let key = party(&["--config", config, "fingerprint"]).stdout;
        String::from_utf8(key).unwrap().trim().to_owned()
    };
    for name in &nodes.names {
        let key = fingerprint(&nodes.config(name));
        party(&["--config", &config, "peer", "add", name, "-", &key]);
    }
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
fn hide(config: &Path, key: &str, address: &str, via: &str) {
    let text = fs::read_to_string(config).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("address = "));
    let mut text = lines.collect::<Vec<_>>().join("\n");
    text += &format!("\n[relay]\naddress = {address:?}\nkey = {key:?}\nvia = {via:?}\n");
    fs::write(config, text).unwrap();
}

#[test]
fn a_study_between_nodes_that_nobody_can_dial() {
    for (via, word) in [("udp", "over UDP"), ("tcp", "over TCP")] {
        let nodes = nodes(2, 2);
        let (relay, key, [udp, tcp]) = relay(&nodes);
        let address = if via == "udp" { udp } else { tcp };
        for name in &nodes.names {
            hide(Path::new(&nodes.config(name)), &key, &address, via);
        }
        for ended in nodes.start_all().into_iter().map(Running::end) {
            ended.expect(0, &["\"ok\": true"]);
            let told = ended.stderr.lines().filter(|line| line.contains("has joined through"));
            let told: Vec<&str> = told.collect();
            assert_eq!(told.len(), 2, "{}", ended.stderr);
            assert!(told.iter().all(|line| line.ends_with(word)), "{told:?}");
        }
        let models = nodes.parties().iter().map(|name| model(&nodes.results(name)));
        let models: Vec<_> = models.collect();
        assert_eq!(models[0], models[1]);
        let said = fs::read_to_string(nodes.dir(RELAY).join("relay.txt")).unwrap();
        for name in nodes.parties().iter().map(String::as_str).chain([DEALER]) {
            assert!(said.contains(&format!("{name} is here")), "{said}");
        }
        assert!(!said.contains("warning"), "{said}");
        relay.signal("-TERM");
        relay.end().expect(0, &["The relay was stopped"]);
    }
}

#[test]
fn a_relay_wants_nodes_that_may_use_it() {
    let nodes = nodes(2, 1);
    let dir = nodes.dir(RELAY);
    party(&["init", "--dir", dir.to_str().unwrap(), "--name", RELAY]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    let ended = command.args(["--config", &nodes.config(RELAY), "relay"]).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("party peer add NAME - FINGERPRINT"), "{said}");
}
