//! `party studies`: what the store holds.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::approval::ApprovalEntry;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::node::State;
use crate::output::{Report, when, wrapped};
use crate::settings::{Overrides, Settings};
use crate::store::{Contents, Kind, Ledgered, RunEntry, Store, StudyEntry};

/// The store of the node with these settings, to look at it: also beside a node that is at work.
pub(super) fn store(config: &Path) -> Result<Store, Failure> {
    let settings = Settings::read(config, &Overrides::default())
        .map_err(|error| Failure::from(error).in_file(config))?;
    let identity = Identity::read(&settings.identity.key)?;
    memory(&settings, &identity)?.ok_or_else(|| {
        let what = "this node has no memory yet: it took part in nothing, and nothing was approved";
        Failure::new(Exit::Configuration, what)
            .in_file(&settings.state)
            .advise("it begins with the first `party study approve` or `party train`")
    })
}

/// The store of a node; none where it has no memory yet.
pub(super) fn memory(settings: &Settings, identity: &Identity) -> Result<Option<Store>, Failure> {
    if !settings.state.join(crate::store::FILE).exists() {
        return Ok(None);
    }
    // Where nobody is at work the store is opened as a node does, which repairs what a kill left.
    match State::lock(&settings.state, identity) {
        Ok(state) => Ok(Some(state.store().clone())),
        Err(_) => Store::look(&settings.state, &identity.owner()).map(Some),
    }
}

pub(super) fn list(config: &Path) -> Result<Report, Failure> {
    let store = store(config)?;
    let all = store.contents()?;
    let mut approvals: BTreeMap<String, Vec<ApprovalEntry>> = BTreeMap::new();
    for (study, entry) in store.all_approvals()? {
        approvals.entry(study).or_default().push(entry);
    }
    Ok(Report { text: text(&all, &approvals), json: to_json(&all, &approvals) })
}

type Approvals = BTreeMap<String, Vec<ApprovalEntry>>;

fn text(all: &Contents, approvals: &Approvals) -> String {
    let mut text = "Studies\n".to_owned();
    if all.studies.is_empty() {
        text += "  none\n";
    }
    let mut studies: Vec<&(String, StudyEntry)> = all.studies.iter().collect();
    studies.sort_by_key(|(_, entry)| entry.first_seen);
    for (digest, entry) in studies {
        text += &wrapped(&format!("  {}  ", short(digest)), &entry.title);
        let what = format!(
            "{}, of {}; first seen on {}",
            entry.kind,
            entry.parties.join(", "),
            when(entry.first_seen)
        );
        text += &wrapped("      ", &what);
        if let Some(last) = approvals.get(digest).and_then(|all| all.last()) {
            text += &wrapped("      ", &approval(last));
        }
        for (place, run) in all.runs.iter().filter(|(_, run)| run.study == *digest) {
            text += &wrapped(&format!("      run {place}: "), &run_in_words(run, all));
        }
    }
    text += "\nLedger: what was revealed of each data set\n";
    if all.data.is_empty() {
        text += "  nothing\n";
    }
    for (id, entry) in &all.data {
        let what = format!("{}, {} rows, {}", entry.label, entry.rows, entry.path);
        text += &wrapped(&format!("  {}  ", short(id)), &what);
        for (place, run) in all.runs.iter().filter(|(_, run)| run.data == *id) {
            for (kind, name) in [(Kind::Result, "result"), (Kind::Interim, "on the way")] {
                let lines: Vec<&Ledgered> = all
                    .ledger
                    .iter()
                    .filter(|it| it.run == Some(*place) && it.kind == kind)
                    .collect();
                let Some(first) = lines.first() else { continue };
                let label = |line: &&Ledgered| match line.again {
                    true => format!("{} (sent again as recorded)", line.label),
                    false => line.label.clone(),
                };
                let labels: Vec<String> = lines.iter().map(label).collect();
                let title = all.studies.iter().find(|(digest, _)| *digest == run.study);
                let title = title.map_or("", |(_, entry)| entry.title.as_str());
                let what = format!(
                    "{}: {name}, to {}: {} (run {place}, {title})",
                    day(first.at),
                    first.to.join(", "),
                    labels.join(", ")
                );
                text += &wrapped("      ", &what);
            }
        }
    }
    text
}

fn approval(entry: &ApprovalEntry) -> String {
    match entry {
        ApprovalEntry::Given(signed) => format!("approved by {}", signed.in_words()),
        ApprovalEntry::Withdrawn { name, at } => {
            format!("approval taken back by {name} on {}", when(*at))
        }
    }
}

fn run_in_words(run: &RunEntry, all: &Contents) -> String {
    let data = all.data.iter().find(|(id, _)| *id == run.data);
    let data = data.map_or("unknown rows", |(_, entry)| entry.label.as_str());
    let end = match &run.outcome {
        Some(outcome) if outcome.class == Exit::Ok.class() => "came to its end".to_owned(),
        Some(outcome) => format!("{}: {}", outcome.class, outcome.what),
        None => "goes on, or was broken off by a kill or a power cut".to_owned(),
    };
    format!("{}, {} rows of {data}; {end}", when(run.begun), run.rows)
}

/// The beginning of a digest, as folders of studies are called.
fn short(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

fn day(seconds: u64) -> String {
    when(seconds).chars().take(10).collect()
}

fn to_json(all: &Contents, approvals: &Approvals) -> Value {
    let studies = all.studies.iter().map(|(digest, entry)| {
        let mut value = json!({ "study": digest, "approvals": approvals.get(digest) });
        merge(&mut value, json!(entry));
        value
    });
    let runs = all.runs.iter().map(|(place, run)| {
        let mut value = json!({ "run": place });
        // Which run of its study it is has another name here.
        let mut entry = json!(run);
        entry["of_study"] = entry["number"].take();
        merge(&mut value, entry);
        value
    });
    let data = all.data.iter().map(|(id, entry)| {
        let lines: Vec<&Ledgered> =
            all.ledger.iter().filter(|line| line.data.as_ref() == Some(id)).collect();
        let mut value = json!({ "data": id, "ledger": lines });
        merge(&mut value, json!(entry));
        value
    });
    json!({
        "studies": studies.collect::<Vec<_>>(),
        "runs": runs.collect::<Vec<_>>(),
        "data_sets": data.collect::<Vec<_>>(),
    })
}

fn merge(value: &mut Value, more: Value) {
    if let (Value::Object(all), Value::Object(more)) = (value, more) {
        all.extend(more.into_iter().filter(|(name, _)| name != "number"));
    }
}
