//! Studies between nodes that only make outgoing connections: they meet through `party relay`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::clinics::{model, nodes};
use crate::support::relays::{RELAY, hide, relay};
use crate::support::{DEALER, Running, party};

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
