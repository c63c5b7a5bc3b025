//! A study, run by all its nodes in this process on rows that nobody has.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::LocalSet;
use toml_edit::DocumentMut;

use super::super::dealer::serve_all;
use super::invented::{record, rows};
use crate::alignment::Alignment;
use crate::exit::{Exit, Failure};
use crate::identity::{Fingerprint, Identity};
use crate::node::{Events, Participant, PhaseReceipt, StopSignal, keep_as_aligned};
use crate::output::create;
use crate::settings::{Overrides, Settings};
use crate::study::{Correlations, Study};

/// What a party spent.
pub(super) struct Spent {
    /// By phase, as receipts have it.
    pub(super) phases: BTreeMap<String, PhaseReceipt>,
    /// Steps, or passes.
    pub(super) steps: u64,
}

struct Node {
    name: String,
    folder: PathBuf,
    address: SocketAddr,
    key: Fingerprint,
}

const DEALER: &str = "the-dealer";

/// Runs a study on this machine alone, with so many rows at each party.
pub(super) fn rehearse(study: &Study, counts: &[u64]) -> Result<Vec<Spent>, Failure> {
    let failed = |error: std::io::Error| {
        let what = format!("the rehearsal cannot be set up: {error}");
        Failure::new(Exit::Configuration, what)
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let mut names: Vec<String> = study.parties().iter().map(ToString::to_string).collect();
    if study.security().correlations == Correlations::Dealer {
        names.push(DEALER.to_owned());
    }
    // All are held until all are chosen, so that none is given twice.
    let sockets = names.iter().map(|_| UdpSocket::bind("127.0.0.1:0"));
    let sockets = sockets.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let mut nodes = Vec::new();
    for (name, socket) in names.into_iter().zip(&sockets) {
        let folder = folder.path().join(&name);
        fs::create_dir(&folder).map_err(failed)?;
        let key = Identity::create(&folder.join("identity.key"))?.fingerprint();
        nodes.push(Node { name, folder, address: socket.local_addr().map_err(failed)?, key });
    }
    drop(sockets);
    let alignment = study.columns().map(|_| alignment(study, counts)).transpose()?;
    let text = alone(study, alignment.as_ref())?;
    for (place, node) in nodes.iter().enumerate() {
        create(&node.folder.join("party.toml"), settings(node, &nodes).as_bytes())?;
        create(&node.folder.join("study.toml"), text.as_bytes())?;
        if let Some(&count) = counts.get(place) {
            let path = node.folder.join("rows.csv");
            create(&path, rows(study, place, count).as_bytes())?;
            if let Some(alignment) = &alignment {
                keep_as_aligned(&node.folder.join("party.toml"), alignment, &path)?;
            }
        }
    }
    let runtime = super::super::runtime()?;
    LocalSet::new().block_on(&runtime, together(&nodes))
}

/// An alignment of records that all parties have.
fn alignment(study: &Study, counts: &[u64]) -> Result<Alignment, Failure> {
    let names: Vec<&str> = study.parties().iter().map(crate::name::PartyName::as_str).collect();
    let text = format!(
        "version = 1\ntitle = \"a rehearsal\"\nparties = {names:?}\nmost = {counts:?}\nleast = 1\n\
         [[id]]\ncolumn = {:?}\n",
        record(study)
    );
    Alignment::from_bytes(text.as_bytes()).map_err(|error| Failure::new(Exit::Internal, error))
}

/// The study without the approvals that it asks for, and with its own alignment: nobody's rows are used.
fn alone(study: &Study, alignment: Option<&Alignment>) -> Result<String, Failure> {
    let mut document: DocumentMut = study
        .text()
        .parse()
        .map_err(|error: toml_edit::TomlError| Failure::new(Exit::Internal, error.to_string()))?;
    document.remove("consent");
    if let Some(alignment) = alignment {
        document["alignment"] = toml_edit::value(alignment.name().to_string());
    }
    Ok(document.to_string())
}

fn settings(own: &Node, nodes: &[Node]) -> String {
    let mut text = format!(
        "version = 1\n[identity]\nname = {:?}\nkey = \"identity.key\"\n[network]\nlisten = \"{}\"\n\
         link = \"loopback\"\n[state]\ndirectory = \"state\"\n[limits]\nleast_rows = 0\nleast_cells = 0\n\
         [audit]\nkeep = \"nothing\"\n",
        own.name, own.address
    );
    if own.name != DEALER {
        text += "[data]\npath = \"rows.csv\"\n";
        // Nobody's rows have the largest budget.
        text += "[privacy]\nsource = \"invented rows\"\nepsilon = 50\ndelta = 0.01\n";
    }
    for node in nodes.iter().filter(|node| node.name != own.name) {
        let head = if node.name == DEALER { "[dealer]" } else { "[[peers]]" };
        let Node { name, address, key, .. } = node;
        text +=
            &format!("{head}\nname = {name:?}\naddress = \"{address}\"\nfingerprint = \"{key}\"\n");
    }
    text
}

/// All nodes at the same time, on the one thread that each of them works on.
async fn together(nodes: &[Node]) -> Result<Vec<Spent>, Failure> {
    let quiet: Events = Arc::new(|_| {});
    let mut parties = Vec::new();
    let mut dealer = None;
    for node in nodes {
        let config = node.folder.join("party.toml");
        if node.name == DEALER {
            let settings = Settings::read(&config, &Overrides::default())?;
            let identity = Identity::read(&settings.identity.key)?;
            dealer = Some(tokio::task::spawn_local(async move {
                serve_all(&settings, &identity, true).await
            }));
            continue;
        }
        let study = node.folder.join("study.toml");
        let party = Participant::prepare(&study, &config, &Overrides::default(), None, false)?;
        let quiet = Arc::clone(&quiet);
        parties.push(tokio::task::spawn_local(async move {
            let mut stop = StopSignal::install()?;
            let (finished, closing) = party.run(&quiet, &mut stop).await?;
            closing.wait(&mut stop).await?;
            Ok::<_, Failure>(finished)
        }));
    }
    let broken = |error: tokio::task::JoinError| Failure::new(Exit::Internal, error.to_string());
    let mut all = Vec::new();
    for party in parties {
        let receipt = party.await.map_err(broken)??.receipt;
        all.push(Spent { phases: receipt.phases, steps: receipt.iterations.unwrap_or_default() });
    }
    if let Some(dealer) = dealer {
        dealer.await.map_err(broken)??;
    }
    Ok(all)
}
