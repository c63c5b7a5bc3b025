use mpc_net::quic::Via;
use proptest::prelude::*;

use super::*;

fn example() -> String {
    let key = |byte: &str| format!("ed25519:{}", byte.repeat(32));
    format!(
        r#"
version = 1
[identity]
name = "bank-a"
key = "identity.key"
[network]
listen = "0.0.0.0:7400"
link = "loopback"
[[peers]]
name = "bank-b"
address = "b.example:7400"
fingerprint = "{}"
[[peers]]
name = "bank-c"
address = "c.example:7400"
fingerprint = "{}"
[dealer]
name = "dealer"
address = "d.example:7400"
fingerprint = "{}"
[data]
path = "rows.csv"
[state]
directory = "/var/lib/party"
"#,
        key("0b"),
        key("0c"),
        key("0d")
    )
}

fn changed(from: &str, to: &str) -> Result<Settings, SettingsError> {
    let text = example();
    assert!(text.contains(from), "{from}");
    Settings::from_text(&text.replacen(from, to, 1), Path::new("/etc/party"))
}

#[test]
fn paths_are_relative_to_the_file() {
    let settings = Settings::from_text(&example(), Path::new("/etc/party")).unwrap();
    assert_eq!(settings.identity.key, Path::new("/etc/party/identity.key"));
    assert_eq!(settings.state, Path::new("/var/lib/party"));
    assert_eq!(settings.data.unwrap().from.path, Path::new("/etc/party/rows.csv"));
    assert_eq!(settings.network.silence_timeout, Duration::from_secs(120));
    assert_eq!(settings.network.lost_after, Duration::from_secs(20));
    assert_eq!(settings.network.join_timeout, Duration::from_secs(600));
    assert_eq!(settings.network.link, LinkProfile::Loopback);
    assert_eq!((settings.peers.len(), settings.dealer.is_some()), (2, true));
    assert_eq!(settings.keep, Keep::Messages);
    let audit = |keep: &str| {
        changed("[state]", &format!("[audit]\nkeep = {keep:?}\n[state]")).map(|it| it.keep)
    };
    assert_eq!(audit("digests").unwrap(), Keep::Digests);
    assert_eq!(audit("nothing").unwrap(), Keep::Nothing);
    assert!(audit("something").unwrap_err().to_string().contains("something"));
}

#[test]
fn mistakes_are_named() {
    for (from, to, named) in [
        ("version = 1", "version = 2", "version is 2"),
        ("link = ", "links = ", "links"),
        ("\"loopback\"", "\"satellite\"", "satellite"),
        ("link = ", "lost_after_s = 4\nlink = ", "lost_after_s must be"),
        ("link = ", "lost_after_s = 3601\nlink = ", "from 5 to 3600"),
        ("[state]", "[states]", "states"),
        ("name = \"bank-b\"", "name = \"bank-c\"", "bank-c is named twice"),
        ("name = \"bank-b\"", "name = \"bank-a\"", "bank-a has the name of this node itself"),
        ("name = \"bank-b\"", "name = \"bank b\"", "peers[1].name"),
        ("b.example:7400", "b.example", "peers[1].address"),
        ("ed25519:0c", "ed25519:0g", "peers[2].fingerprint"),
        (&"0c".repeat(32), &"0b".repeat(32), "fingerprint of another node"),
        ("link = \"loopback\"", "join_timeout_s = 0", "network.join_timeout_s must be"),
        ("0.0.0.0:7400", "0.0.0.0", "listen"),
    ] {
        let error = changed(from, to).expect_err(to).to_string();
        assert!(error.contains(named), "{to}: {error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = Settings::from_text(&text, Path::new(""));
    }

    #[test]
    fn changed_settings_are_read_or_refused(
        at in any::<prop::sample::Index>(),
        length in 0_usize..30,
        with in "[ -~]{0,6}",
    ) {
        let mut text = example();
        let at = at.index(text.len());
        let end = (at + length).min(text.len());
        text.replace_range(at..end, &with);
        let _ = Settings::from_text(&text, Path::new(""));
    }
}

#[test]
fn a_peer_may_have_several_addresses() {
    let several = changed("\"b.example:7400\"", "[\"b.example:7400\", \"[::1]:7401\"]").unwrap();
    let peer = &several.peers[0];
    let all: Vec<&str> = peer.addresses().map(Address::as_str).collect();
    assert_eq!(all, ["b.example:7400", "[::1]:7401"]);
    assert_eq!(peer.also.len(), 1);
    let none = changed("\"b.example:7400\"", "[]").unwrap();
    assert_eq!(none.peers[0].address, None);
    let many = format!("{:?}", vec!["b.example:7400"; MOST_ADDRESSES + 1]);
    let refused = changed("\"b.example:7400\"", &many).unwrap_err().to_string();
    assert!(refused.contains("peers[1] has 9 addresses"), "{refused}");
}

/// The password is fetched when it is needed, and stands nowhere else.
#[test]
#[cfg(unix)]
fn a_proxy_may_want_a_name_and_a_password() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let key = format!("ed25519:{}", "0e".repeat(32));
    let with = |more: &str| {
        let relay =
            format!("[relay]\naddress = \"r.example:443\"\nkey = \"{key}\"\n{more}\n[state]");
        Settings::from_text(&example().replace("[state]", &relay), folder.path())
    };
    let proxy = "proxy = \"http://p.example:3128\"";
    let file = folder.path().join("word.txt");
    let good = format!("{proxy}\nproxy_user = \"alice\"\nproxy_password_file = \"word.txt\"");
    // Whether it is there does not matter until somebody has to have it.
    let settings = with(&good).unwrap();
    let login = settings.relay.clone().unwrap().login.unwrap();
    assert!(login.header().unwrap_err().contains("word.txt"));
    std::fs::write(&file, "open sesame\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(login.header().unwrap_err().contains("chmod 600"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    // RFC 7617: base64 of alice:open sesame
    assert_eq!(login.header().unwrap().as_str(), "Basic YWxpY2U6b3BlbiBzZXNhbWU=");
    assert!(!format!("{settings:?}").contains("sesame"));
    std::fs::write(&file, "open\nsesame\n").unwrap();
    assert!(login.header().unwrap_err().contains("one line"));
    // Everybody has this one.
    let variable = format!("{proxy}\nproxy_user = \"a\"\nproxy_password_env = \"PATH\"");
    let login = with(&variable).unwrap().relay.unwrap().login.unwrap();
    assert!(login.header().is_ok_and(|header| header.starts_with("Basic YT")));
    for (more, words) in [
        ("proxy_user = \"alice\"", "needs either relay.proxy_password_file"),
        ("proxy_password_file = \"word.txt\"", "relay.proxy_user is missing"),
        ("proxy_user = \"a:b\"\nproxy_password_env = \"X\"", "without a colon"),
        ("proxy_user = \"a\"\nproxy_password_env = \"X\"", "relay.proxy names none"),
    ] {
        let refused = with(more).unwrap_err().to_string();
        assert!(refused.contains(words), "{more}: {refused}");
    }
}

#[test]
fn a_relay_is_checked_field_by_field() {
    let key = format!("ed25519:{}", "0f".repeat(32));
    let with = |relay: &str| changed("[state]", &format!("[relay]\n{relay}\n[state]"));
    let good = format!("address = \"relay.example:443\"\nkey = \"{key}\"");
    let relay = with(&good).unwrap().relay.unwrap();
    assert_eq!((relay.address.as_str(), relay.via), ("relay.example:443", Via::Auto));
    assert_eq!((relay.key.to_string(), relay.proxy), (key.clone(), None));
    let proxied = with(&format!("{good}\nvia = \"tcp\"\nproxy = \"http://proxy:3128/\""));
    let relay = proxied.unwrap().relay.unwrap();
    assert_eq!((relay.via, relay.proxy.as_deref()), (Via::Tcp, Some("proxy:3128")));
    for (wrong, says) in [
        (good.replace(":443", ""), "relay.address"),
        (good.replace("0f0f", "0f"), "relay.key"),
        (
            good.replace(&"0f".repeat(32), &"0b".repeat(32)),
            "relay.key is the fingerprint of a node",
        ),
        (format!("{good}\nvia = \"tls\""), "via"),
        (format!("{good}\nproxy = \"https://proxy:1\""), "must be http://host:port"),
        (format!("{good}\nproxy = \"http://me:secret@proxy:1\""), "password"),
        (format!("{good}\nproxy = \"http://proxy\""), "relay.proxy"),
        (format!("{good}\nvia = \"udp\"\nproxy = \"http://proxy:1\""), "choose one"),
        (format!("{good}\nport = 1"), "port"),
    ] {
        let error = with(&wrong).unwrap_err().to_string();
        assert!(error.contains(says) && !error.contains("secret"), "{wrong}: {error}");
    }
}

#[test]
fn a_node_may_have_no_address_and_be_a_relay() {
    let settings = changed("address = \"b.example:7400\"\n", "").unwrap();
    assert_eq!(settings.peers[0].address, None);
    assert_eq!(settings.relaying.tcp, settings.network.listen);
    let text = "[relaying]\ntcp = \"127.0.0.1:443\"\nbytes_a_second = 1000000\n[state]";
    let relaying = changed("[state]", text).unwrap().relaying;
    assert_eq!((relaying.tcp.port(), relaying.bytes_a_second), (443, Some(1_000_000)));
    assert!(changed("[state]", "[relaying]\nbytes_a_second = 5\n[state]").is_err());
}

/// How rows are written is private to the node; names of columns keep their case.
#[test]
fn data_are_described_in_their_own_words() {
    let base = include_str!("../commands/party.toml")
        .replace("@NAME@", "bank-a")
        .replace("@KEY@", "identity.key")
        .replace("@ADDRESS@", "")
        .replace("@LISTEN@", "0.0.0.0:7400");
    let read =
        |data: &str| Settings::from_text(&base.replace("@DATA@", data), Path::new("/etc/party"));
    let settings = read(
        "[data]\npath = \"rows.csv\"\nrename = { \"Alter (Jahre)\" = \"Age\" }\nmissing = [\"NA\", \"k.A.\"]\n\
         recode = { Sex = { \"1\" = \"M\" } }\nmissing_in = { \"Ein.Kommen\" = [\"-999\"] }",
    )
    .unwrap();
    let from = settings.data.unwrap().from;
    assert_eq!(from.path, Path::new("/etc/party/rows.csv"));
    assert_eq!(from.reading.rename["Alter (Jahre)"], "Age");
    assert_eq!(from.reading.missing, ["NA", "k.A."]);
    assert_eq!(from.reading.recode["Sex"]["1"], "M");
    assert_eq!(from.reading.missing_in["Ein.Kommen"], ["-999"]);
    let settings = read("[data]\ncommand = [\"psql\", \"--csv\", \"-c\", \"select 1\"]").unwrap();
    let from = settings.data.unwrap().from;
    assert_eq!(
        (from.path.as_path(), from.folder.as_path()),
        (Path::new("psql"), Path::new("/etc/party"))
    );
    assert_eq!(from.command.unwrap().len(), 4);
    // Without a place, for rows that flags name.
    let settings = read("[data]\nseparator = \";\"").unwrap();
    assert!(settings.data.is_none() && settings.reading.separator == b';');
    for (data, words) in [
        ("path = \"a\"\ncommand = [\"b\"]", "data.command stands beside data.path"),
        ("command = []", "data.command must be a program"),
        ("id_column = \"id\"", "data.path is missing"),
        ("path = \"a\"\ndecimal = \"x\"", "data.decimal must be"),
        ("path = \"a\"\nseperator = \";\"", "unknown field `seperator`"),
    ] {
        let error = read(&format!("[data]\n{data}")).unwrap_err().to_string();
        assert!(error.contains(words), "{data}: {error}");
    }
}

/// The schema says what the reader of party.toml knows.
#[test]
fn fields_of_party_toml_are_those_of_its_schema() {
    use super::raw::{
        RawAudit, RawIdentity, RawLimits, RawNetwork, RawNodeConsent, RawPeer, RawPrivacyBudget,
        RawState,
    };
    use super::relay::{RawRelay, RawRelaying};
    use super::serve::RawServe;
    use crate::schema::testing::{of_toml, same_fields};

    let schema = crate::schema::party();
    let at = |table: &str| format!("/properties/{table}");
    same_fields::<Raw>(&schema, "");
    same_fields::<RawIdentity>(&schema, &at("identity"));
    same_fields::<RawNetwork>(&schema, &at("network"));
    same_fields::<RawPeer>(&schema, "/$defs/node");
    same_fields::<RawRelay>(&schema, &at("relay"));
    same_fields::<RawRelaying>(&schema, &at("relaying"));
    same_fields::<RawData>(&schema, &at("data"));
    same_fields::<RawState>(&schema, &at("state"));
    same_fields::<RawAudit>(&schema, &at("audit"));
    same_fields::<RawNodeConsent>(&schema, &at("consent"));
    same_fields::<RawPrivacyBudget>(&schema, &at("privacy"));
    same_fields::<RawLimits>(&schema, &at("limits"));
    same_fields::<RawServe>(&schema, &at("serve"));
    let template = include_str!("../commands/party.toml");
    let template =
        template.replace("@NAME@", "a").replace("@ADDRESS@", "").replace("@DATA@", "[data]");
    assert!(of_toml(&schema, &template).is_empty());
}
