//! `party receipt ...`

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::approval::SignedApproval;
use crate::cli::{ReceiptShow, ReceiptVerify};
use crate::exit::{Exit, Failure};
use crate::identity::{Fingerprint, Identity};
use crate::input;
use crate::node::verify as verify_receipt;
use crate::output::{Report, wrapped};
use crate::settings::{Overrides, Settings};

/// A receipt whose signature holds.
struct Verified {
    path: PathBuf,
    value: Value,
    party: String,
    key: Fingerprint,
}

/// What all parties must say alike, wherever they have come to it.
const ALIKE: [(&str, &str); 7] = [
    ("study", "the study"),
    ("nodes", "the nodes and their keys"),
    ("consent", "what the study is for"),
    ("correlations", "where the joint randomness came from"),
    ("approvals", "the approvals"),
    ("rows", "the numbers of rows"),
    ("model_sha256", "the model"),
];

pub(super) fn verify(config: &Path, options: &ReceiptVerify) -> Result<Report, Failure> {
    let pinned = pinned(config)?;
    let mut all: Vec<Verified> = Vec::new();
    for path in &options.files {
        let one = read(path)?;
        check_keys(&one, pinned.as_deref())?;
        check_approvals(&one)?;
        if let Some(first) = all.first()
            && first.value["session"] != one.value["session"]
        {
            let what = format!("this is the receipt of another run than {}", first.path.display());
            return Err(Failure::new(Exit::Usage, what)
                .in_file(path)
                .advise("give the receipts of one run, which have the same session"));
        }
        if let Some(before) = all.iter().find(|before| before.party == one.party) {
            let what = format!("{} is a receipt of {} too", before.path.display(), one.party);
            return Err(Failure::new(Exit::Usage, what)
                .in_file(path)
                .advise("give one of each party"));
        }
        all.push(one);
    }
    for (field, what) in ALIKE {
        compare(&all, what, |value| {
            let said = &value[field];
            let empty = said.is_null() || said.as_array().is_some_and(Vec::is_empty);
            (!empty).then(|| said.to_string())
        })?;
    }
    compare_transcripts(&all)?;
    Ok(report(&all, pinned.is_some()))
}

pub(super) fn show(config: &Path, options: &ReceiptShow) -> Result<Report, Failure> {
    let store = super::studies::store(config)?;
    let Some(text) = store.receipt(options.run)? else {
        let what = format!("the store has no receipt of run {}", options.run);
        return Err(Failure::new(Exit::Usage, what).advise("`party studies` lists the runs"));
    };
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    Ok(Report { text, json: json!({ "run": options.run, "receipt": json }) })
}

fn read(path: &Path) -> Result<Verified, Failure> {
    let refused = |what: String| Failure::new(Exit::LocalInput, what).in_file(path);
    let bytes = input::read(path)
        .map_err(|error| refused(format!("the receipt cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("it is no text".to_owned()))?;
    let (value, key) = verify_receipt(&text).map_err(|what| {
        refused(format!("the receipt does not count: {what}"))
            .advise("get the file from its party again; only what its node wrote can be verified")
    })?;
    let party = value["party"].as_str().unwrap_or_default().to_owned();
    Ok(Verified { path: path.to_owned(), value, party, key })
}

/// The keys that this machine knows, if it has settings.
fn pinned(config: &Path) -> Result<Option<Vec<(String, Fingerprint)>>, Failure> {
    if !config.exists() {
        return Ok(None);
    }
    let settings = Settings::read(config, &Overrides::default())
        .map_err(|error| Failure::from(error).in_file(config))?;
    let peers = settings.peers.iter().chain(&settings.dealer);
    let mut keys: Vec<_> = peers.map(|peer| (peer.name.to_string(), peer.fingerprint)).collect();
    if let Ok(own) = Identity::read(&settings.identity.key) {
        keys.push((settings.identity.name.to_string(), own.fingerprint()));
    }
    Ok(Some(keys))
}

fn check_keys(one: &Verified, pinned: Option<&[(String, Fingerprint)]>) -> Result<(), Failure> {
    let Some(pinned) = pinned else { return Ok(()) };
    for node in one.value["nodes"].as_array().into_iter().flatten() {
        let (name, key) = (node[0].as_str().unwrap_or_default(), node[1].as_str());
        let known = pinned.iter().find(|(known, _)| known == name);
        if let Some((_, known)) = known.filter(|(_, known)| key != Some(&known.to_string())) {
            let key = key.unwrap_or("none");
            let what =
                format!("the receipt names the key {key} for {name}, and here {known} is pinned");
            return Err(Failure::new(Exit::Deviated, what).in_file(&one.path).advise(
                "compare fingerprints with its operator; a receipt of the time before a key was \
                 changed is verified with the party.toml of that time (--config)",
            ));
        }
    }
    Ok(())
}

/// The approvals that a receipt tells of are signed by those who gave them.
fn check_approvals(one: &Verified) -> Result<(), Failure> {
    for consent in one.value["approvals"].as_array().into_iter().flatten() {
        let said = &consent["approved"];
        if said.is_null() {
            continue;
        }
        let signed: Option<SignedApproval> = serde_json::from_value(said.clone()).ok();
        let nodes = one.value["nodes"].as_array().into_iter().flatten();
        let key = nodes.into_iter().find(|node| node[0] == consent["party"]);
        let key = key.and_then(|node| node[1].as_str()?.parse::<Fingerprint>().ok());
        let study = one.value["study"].as_str().and_then(|study| study.strip_prefix("study:"));
        let holds = signed.zip(key).is_some_and(|(signed, key)| {
            signed.holds(&key)
                && Some(signed.approval.study.as_str()) == study
                && consent["party"] == signed.approval.party.as_str()
        });
        if !holds {
            let what = format!("the approval of {} does not carry its signature", consent["party"]);
            return Err(Failure::new(Exit::Deviated, what).in_file(&one.path));
        }
    }
    Ok(())
}

/// All that say something of a matter must say the same.
fn compare(
    all: &[Verified],
    what: &str,
    said: impl Fn(&Value) -> Option<String>,
) -> Result<(), Failure> {
    let mut told = all.iter().filter_map(|one| Some((one, said(&one.value)?)));
    let Some((first, value)) = told.next() else { return Ok(()) };
    match told.find(|(_, other)| *other != value) {
        None => Ok(()),
        Some((other, _)) => Err(Failure::new(
            Exit::Deviated,
            format!("{} and {} signed different things of {what}", first.party, other.party),
        )
        .in_file(&other.path)
        .advise(
            "keep both files: each carries the signature of its party; what the parties signed of their \
             openings and `party audit replay` show who deviated",
        )),
    }
}

/// What was compared as often must be the same.
fn compare_transcripts(all: &[Verified]) -> Result<(), Failure> {
    let numbers = all.iter().filter_map(|one| one.value["transcript"]["number"].as_u64());
    for number in numbers {
        compare(all, "what all parties sent to all", |value| {
            let heard = &value["transcript"];
            (heard["number"] == number).then(|| heard["digest"].to_string())
        })?;
    }
    Ok(())
}

fn report(all: &[Verified], pinned: bool) -> Report {
    let mut text = String::new();
    // Writing to a string does not fail.
    for Verified { value, party, key, .. } in all {
        let word = |field: &str| value[field].as_str().unwrap_or("not recorded").to_owned();
        let outcome = value["outcome"]["what"].as_str().unwrap_or_default();
        let _ = writeln!(text, "{party}: the signature holds");
        text += &wrapped("  Key:     ", &key.to_string());
        text += &wrapped("  Run:     ", &format!("{} to {}", word("begun"), word("ended")));
        text += &wrapped("  Ended:   ", outcome);
        for consent in value["approvals"].as_array().into_iter().flatten() {
            let signed: Option<SignedApproval> =
                serde_json::from_value(consent["approved"].clone()).ok();
            let by = signed.map_or_else(|| "by starting the node".to_owned(), |it| it.in_words());
            let who = consent["party"].as_str().unwrap_or_default();
            text += &wrapped("  Approved ", &format!("at {who}: {by}"));
        }
    }
    let parties = |value: &Value| -> Vec<String> {
        let names = value["approvals"].as_array().into_iter().flatten();
        names.filter_map(|it| Some(it["party"].as_str()?.to_owned())).collect()
    };
    let named = all.iter().map(|one| parties(&one.value)).max_by_key(Vec::len).unwrap_or_default();
    let missing: Vec<String> =
        named.into_iter().filter(|name| !all.iter().any(|one| one.party == *name)).collect();
    let heard: Vec<&Value> =
        all.iter().map(|one| &one.value["transcript"]).filter(|heard| !heard.is_null()).collect();
    let compared = heard.len() > 1 && heard.windows(2).all(|pair| pair[0] == pair[1]);
    if all.len() > 1 {
        text += "They agree on study, keys, approvals, rows and model.\n";
        text += if compared {
            "What all parties sent to all is the same at each of them.\n"
        } else {
            "They did not compare the same part of what was sent to all.\n"
        };
    }
    if !missing.is_empty() {
        text += &wrapped("Not given: ", &format!("the receipts of {}", missing.join(", ")));
    }
    if !pinned {
        text +=
            "The keys are those that the receipts name: compare them with those that you know.\n";
    }
    let each = |one: &Verified| {
        json!({
            "party": one.party, "key": one.key.to_string(), "file": one.path,
            "outcome": one.value["outcome"],
        })
    };
    let receipts: Vec<Value> = all.iter().map(each).collect();
    let session = all.first().map(|one| one.value["session"].clone());
    Report {
        text,
        json: json!({
            "session": session, "receipts": receipts, "missing": missing, "same_transcript": compared,
            "keys_pinned_here": pinned,
        }),
    }
}
