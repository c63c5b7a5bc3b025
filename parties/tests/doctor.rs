//! `party doctor`: staged faults, each of which it has to name, as processes on loopback.

// Helpers outside of test functions; a panic is how a test fails.
#![allow(clippy::unwrap_used)]
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use parties::identity::Identity;
use parties::node::State;
use serde_json::Value;

#[path = "support/clinics.rs"]
mod clinics;
mod support;

use support::relays::{RELAY, hide, relay, start_relay};
use support::{Nodes, Running, free_address};

const OWN: &str = "clinic-0";
const PEER: &str = "clinic-1";

/// Two clinics without a dealer.
fn two() -> Nodes {
    let nodes = clinics::nodes(2, 1);
    for name in nodes.parties() {
        change(&nodes, name, "study.toml", "\"dealer\"", "\"pairwise\"");
    }
    nodes
}

fn change(nodes: &Nodes, name: &str, file: &str, from: &str, to: &str) {
    let path = nodes.dir(name).join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// The address of a peer in the settings of a node.
fn address_of_peer(nodes: &Nodes) -> String {
    let text = fs::read_to_string(nodes.config(OWN)).unwrap();
    let peer = &text[text.find(&format!("name = {PEER:?}")).unwrap()..];
    peer.split("address = \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn doctor(nodes: &Nodes, name: &str, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    command.current_dir(nodes.dir(name)).args(["--json", "doctor", "study.toml"]);
    command.args(["--data", "rows.csv"]).args(options).stdin(Stdio::null());
    command
}

/// What a doctor found: its exit code, and name and kind of all that is wrong.
#[derive(Debug)]
struct Found {
    code: Option<i32>,
    wrong: BTreeSet<(String, String)>,
    json: Value,
}

impl Found {
    fn of(mut command: Command) -> Self {
        let output = command.output().unwrap();
        let json: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        let findings = json["findings"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let wrong = findings.iter().filter(|it| it["state"] == "wrong");
        let wrong = wrong.inspect(|it| assert!(it["what_to_do"].is_string(), "{it}"));
        let wrong = wrong.map(|it| (text(&it["check"]), text(&it["kind"]))).collect();
        assert_eq!(json["exit_code"].as_i64(), output.status.code().map(i64::from));
        Self { code: output.status.code(), wrong, json }
    }

    #[track_caller]
    fn is(&self, code: i32, wrong: &[(&str, &str)]) {
        let due = wrong.iter().map(|(check, kind)| (check.to_string(), kind.to_string())).collect();
        assert_eq!(self.wrong, due, "{:#}", self.json);
        assert_eq!(self.code, Some(code), "{:#}", self.json);
    }
}

/// Doctors at both parties at the same time.
fn both(nodes: &Nodes, own: &[(&str, &str)], peer: &[(&str, &str)]) -> [Found; 2] {
    let start = |name: &str, variables: &[(&str, &str)]| {
        let mut command = doctor(nodes, name, &["--wait", "20"]);
        command.envs(variables.iter().copied());
        command
    };
    let (own, peer) = (start(OWN, own), start(PEER, peer));
    thread::scope(|scope| {
        let other = scope.spawn(|| Found::of(peer));
        [Found::of(own), other.join().unwrap()]
    })
}

#[test]
fn two_doctors_find_each_other_and_what_keeps_them_apart() {
    let nodes = two();
    for found in both(&nodes, &[], &[]) {
        found.is(0, &[]);
        let text = found.json.to_string();
        assert!(
            text.contains("runs `party doctor`") && text.contains("has the same study"),
            "{text}"
        );
        assert!(text.contains("packets that it sends first come here too"), "{text}");
    }
    // A clock.
    let ahead = [("MPC_CLOCK_AHEAD_S", "3600")];
    for (found, word) in both(&nodes, &[], &ahead).iter().zip(["behind", "ahead of"]) {
        found.is(4, &[("clock", "clock")]);
        let text = found.json.to_string();
        let apart = text.contains("by 1h") || text.contains("by 59m");
        assert!(apart && text.contains(&format!("is {word} that of")), "{text}");
    }
    // A program of another version.
    let [own, peer] = both(&nodes, &[], &[("MPC_PROTOCOL", "9")]);
    own.is(4, &[(PEER, "version")]);
    peer.is(4, &[(OWN, "version")]);
    assert!(own.json.to_string().contains("versions 9 to 9 of the protocol"), "{}", own.json);
    // Another study.
    change(&nodes, PEER, "study.toml", "Illness by age", "Illness by Age");
    let [own, peer] = both(&nodes, &[], &[]);
    own.is(4, &[(PEER, "study-differs")]);
    peer.is(4, &[(OWN, "study-differs")]);
}

#[test]
fn keys_that_do_not_fit_are_named_at_both_ends() {
    let nodes = two();
    let key = Identity::read(&nodes.dir(PEER).join("identity.key")).unwrap().fingerprint();
    let other = format!("ed25519:{}", "0b".repeat(32));
    change(&nodes, OWN, "party.toml", &key.to_string(), &other);
    let [own, peer] = both(&nodes, &[], &[]);
    own.is(4, &[(PEER, "wrong-key")]);
    assert!(own.json.to_string().contains(&key.to_string()), "{}", own.json);
    peer.is(4, &[(OWN, "not-pinned")]);
}

#[test]
fn what_does_not_answer_is_told_apart() {
    let wait = ["--wait", "8"];
    // Nothing listens there.
    let closed = || Found::of(doctor(&two(), OWN, &wait)).is(6, &[(PEER, "closed")]);
    // Something is there that never answers, as behind a firewall that drops packets.
    let silent = || {
        let nodes = two();
        let there = address_of_peer(&nodes);
        let _hole = UdpSocket::bind(&there).unwrap();
        let silent = Found::of(doctor(&nodes, OWN, &["--wait", "12"]));
        silent.is(6, &[(PEER, "silent")]);
        assert!(silent.json.to_string().contains(&format!("no packet came back from {there}")));
    };
    let name = || {
        let nodes = two();
        let there = address_of_peer(&nodes);
        change(&nodes, OWN, "party.toml", &there, "no-such-host.invalid:7400");
        Found::of(doctor(&nodes, OWN, &wait)).is(6, &[(PEER, "name")]);
    };
    thread::scope(|scope| {
        scope.spawn(closed);
        scope.spawn(silent);
        scope.spawn(name);
    });
}

#[test]
fn all_that_is_wrong_at_home_is_found_in_one_go() {
    let nodes = two();
    let identity = Identity::read(&nodes.dir(OWN).join("identity.key")).unwrap();
    let state = State::lock(&nodes.dir(OWN).join("state"), &identity).unwrap();
    let settings = fs::read_to_string(nodes.config(OWN)).unwrap();
    let listen = settings.split("listen = \"").nth(1).unwrap().split('"').next().unwrap();
    let taken = UdpSocket::bind(listen).unwrap();
    change(&nodes, OWN, "rows.csv", ",yes", ",perhaps");
    let found = Found::of(doctor(&nodes, OWN, &["--wait", "8", "--least-free", "1000000000"]));
    let all = [
        ("state", "locked"),
        ("port", "port"),
        ("data", "data"),
        ("disk", "disk"),
        (PEER, "closed"),
    ];
    // The first of them decides how it ends.
    found.is(4, &all);
    drop((state, taken));
    change(&nodes, OWN, "rows.csv", ",perhaps", ",yes");

    // A node that is not known, and a column that no study may use.
    let without = settings.split("\n[[peers]]").next().unwrap().to_owned();
    fs::write(
        nodes.config(OWN),
        without.replace("# never_columns = [\"name\"]", "never_columns = [\"age\"]"),
    )
    .unwrap();
    Found::of(doctor(&nodes, OWN, &[])).is(4, &[("study", "limits"), (PEER, "unknown")]);
    fs::write(nodes.config(OWN), &settings).unwrap();

    let key = nodes.dir(OWN).join("identity.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    Found::of(doctor(&nodes, OWN, &[])).is(4, &[("key", "key")]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(nodes.config(OWN), settings.clone() + "\nport = 7\n").unwrap();
    Found::of(doctor(&nodes, OWN, &[])).is(4, &[("settings", "settings")]);
    fs::write(nodes.config(OWN), &settings).unwrap();

    // For people, on 80 columns.
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    command.current_dir(nodes.dir(OWN)).args(["doctor", "--wait", "5"]).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(6));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("WRONG  clinic-1") && text.contains("-> its operator starts"), "{text}");
    for line in text.lines() {
        let word = line.split_whitespace().map(str::len).max().unwrap_or(0);
        assert!(line.chars().count() <= 80 || word > 40, "{line}");
    }
}

/// A proxy that says this to whoever comes; its address.
fn says(answer: &'static str) -> String {
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = proxy.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for client in proxy.incoming() {
            let mut client = client.unwrap();
            let mut request = [0; 1024];
            let _ = client.read(&mut request);
            let _ = client.write_all(answer.as_bytes());
        }
    });
    at
}

#[test]
fn what_is_in_the_way_to_the_relay_is_named() {
    let nodes = two();
    let (relay, key, [udp, tcp]) = relay(&nodes);
    let settings = fs::read_to_string(nodes.config(OWN)).unwrap();
    // The peer is not there in any of these, and has no address: only the relay can be wrong.
    let look = |address: &str, key: &str, more: &str| {
        fs::write(nodes.config(OWN), &settings).unwrap();
        hide(Path::new(&nodes.config(OWN)), key, address, "auto");
        let mut text = fs::read_to_string(nodes.config(OWN)).unwrap();
        text = text.replace("\nvia = \"auto\"", &format!("\n{more}"));
        fs::write(nodes.config(OWN), text).unwrap();
        Found::of(doctor(&nodes, OWN, &["--wait", "1"]))
    };
    let [over_udp, over_tcp] = ["via = \"udp\"", "via = \"tcp\""];
    let well = look(&udp, &key, over_udp);
    well.is(0, &[]);
    assert!(well.json.to_string().contains("answers and takes this node, over UDP"));
    look(&tcp, &key, over_tcp).is(0, &[]);
    look("no-such-host.invalid:443", &key, over_udp).is(6, &[(RELAY, "relay-name")]);
    let hole = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = hole.local_addr().unwrap().to_string();
    look(&silent, &key, over_udp).is(6, &[(RELAY, "relay-silent")]);
    look(&free_address(), &key, over_tcp).is(6, &[(RELAY, "relay-closed")]);
    let other = format!("ed25519:{}", "0b".repeat(32));
    look(&udp, &other, over_udp).is(4, &[(RELAY, "relay-key")]);
    let proxy = |at: &str, more: &str| format!("via = \"tcp\"\nproxy = \"http://{at}\"\n{more}");
    look(&tcp, &key, &proxy(&free_address(), "")).is(6, &[(RELAY, "proxy-silent")]);
    let denies = says("HTTP/1.1 403 Forbidden\r\n\r\n");
    look(&tcp, &key, &proxy(&denies, "")).is(6, &[(RELAY, "proxy-denies")]);
    let wants = says("HTTP/1.1 407 Who are you\r\n\r\n");
    let found = look(&tcp, &key, &proxy(&wants, ""));
    found.is(4, &[(RELAY, "proxy-password")]);
    assert!(found.json.to_string().contains("which this node does not give"));
    // The password is nowhere in what is told.
    let file = nodes.dir(OWN).join("proxy.txt");
    fs::write(&file, "open sesame\n").unwrap();
    let login = proxy(&wants, "proxy_user = \"alice\"\nproxy_password_file = \"proxy.txt\"");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let found = look(&tcp, &key, &login);
    found.is(4, &[(RELAY, "proxy-password")]);
    assert!(found.json.to_string().contains("chmod 600"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let found = look(&tcp, &key, &login);
    found.is(4, &[(RELAY, "proxy-password")]);
    let text = found.json.to_string();
    assert!(text.contains("does not take the name") && !text.contains("sesame"), "{text}");
    // A relay that has not this node's key.
    let own = Identity::read(&nodes.dir(OWN).join("identity.key")).unwrap().fingerprint();
    relay.signal("-TERM");
    relay.end().expect(0, &[]);
    change(&nodes, RELAY, "party.toml", &own.to_string(), &other);
    let (relay, _, [udp, _]) = start_relay(&nodes);
    look(&udp, &key, over_udp).is(4, &[(RELAY, "relay-unknown")]);
    relay.signal("-TERM");
    relay.end().expect(0, &[]);
}

/// A node that waits for a study is found and compared, and meets the other afterwards as if nothing had been.
#[test]
fn a_waiting_node_is_looked_at_and_not_disturbed() {
    let nodes = two();
    let waiting = nodes.start(PEER);
    let found = Found::of(doctor(&nodes, OWN, &["--wait", "20"]));
    found.is(0, &[]);
    let text = found.json.to_string();
    assert!(text.contains("waits for the others") && text.contains("has the same study"), "{text}");
    // Also by a doctor with another study, which a hello would end.
    let path: PathBuf = nodes.dir(OWN).join("other.toml");
    let study = fs::read_to_string(nodes.dir(OWN).join("study.toml")).unwrap();
    fs::write(&path, study.replace("Illness", "Health")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_party"));
    command.current_dir(nodes.dir(OWN)).args(["--json", "doctor", "other.toml", "--wait", "20"]);
    command.args(["--data", "rows.csv"]).stdin(Stdio::null());
    Found::of(command).is(4, &[(PEER, "study-differs")]);
    let own = nodes.start(OWN);
    for ended in [own, waiting].map(Running::end) {
        ended.expect(0, &["\"ok\": true"]);
    }
    // Nobody is there any more.
    assert!(free_address() != address_of_peer(&nodes));
}
