//! The studies in the folder, and how each of them stands.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use sha3::{Digest, Sha3_256};

use crate::approval::ApprovalEntry;
use crate::exit::{Exit, Failure};
use crate::node::now;
use crate::output::{hex, when};
use crate::settings::Settings;
use crate::store::{Contents, Store};
use crate::study::{Study, StudyDigest};

const DOMAIN: &[u8] = b"turn of a study/1";

/// A file of the folder.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) file: String,
    pub(super) title: String,
    pub(super) parties: Vec<String>,
    /// None where the file is no study.
    pub(super) digest: Option<StudyDigest>,
    pub(super) standing: Standing,
}

/// How a study stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "is", content = "detail")]
pub(super) enum Standing {
    /// It waits for the others.
    Ready,
    /// Somebody here has to do something first.
    Asks(String),
    /// It would fail again.
    Held(String),
    /// It came to its end.
    Done(String),
    /// It is no study.
    Unreadable(String),
}

/// When the files that a study depends on were changed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks([Option<SystemTime>; 3]);

impl Marks {
    pub(super) fn of(study: &Path, config: &Path, settings: &Settings) -> Self {
        let changed = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
        let data = settings.data.as_ref().and_then(|data| changed(&data.from.path));
        Self([changed(study), changed(config), data])
    }
}

impl Item {
    /// Who is first in a turn: the same at every node.
    pub(super) fn priority(&self, turn: u64) -> [u8; 32] {
        let mut hash = Sha3_256::new();
        hash.update(DOMAIN);
        hash.update(turn.to_le_bytes());
        hash.update(self.digest.map(|digest| *digest.as_bytes()).unwrap_or_default());
        hash.finalize().into()
    }
}

/// All studies of the folder, by the names of their files. A folder that is not there is made.
pub(super) fn read(
    settings: &Settings,
    (store, contents): (&Store, &Contents),
    held: &BTreeMap<StudyDigest, (String, Marks)>,
    marks: impl Fn(&Path) -> Marks,
) -> Result<Vec<Item>, Failure> {
    let folder = &settings.serve.studies;
    let unusable = |error: std::io::Error| {
        let what = format!("the folder of the studies cannot be used: {error}");
        Failure::new(Exit::Configuration, what).in_file(folder)
    };
    fs::create_dir_all(folder).map_err(unusable)?;
    let mut paths = Vec::<PathBuf>::new();
    for entry in fs::read_dir(folder).map_err(unusable)? {
        let path = entry.map_err(unusable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    let ended: Vec<(&str, u64)> = {
        let good = contents.runs.iter().filter(|(_, run)| {
            run.outcome.as_ref().is_some_and(|outcome| outcome.class == Exit::Ok.class())
        });
        good.map(|(_, run)| (run.study.as_str(), run.ended.unwrap_or(run.begun))).collect()
    };
    let mut items: Vec<Item> = Vec::new();
    for path in paths {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let study = match Study::read(&path) {
            Ok(study) => study,
            Err(error) => {
                let standing = Standing::Unreadable(error.to_string());
                let title = String::new();
                items.push(Item { file, title, parties: Vec::new(), digest: None, standing });
                continue;
            }
        };
        let digest = study.digest();
        let name = hex(digest.as_bytes());
        let own = &settings.identity.name;
        let twice = items.iter().find(|item| item.digest == Some(digest));
        // Who has not said that it has its result may come back for it.
        let late = |at: u64| now().saturating_sub(at) > settings.network.return_within.as_secs();
        let finished = store.is_finished(&digest)?;
        let last = ended.iter().rfind(|(study, _)| *study == name);
        let standing = if let Some((_, at)) = last.filter(|(_, at)| finished || late(*at)) {
            Standing::Done(when(*at))
        } else if let Some(other) = twice {
            Standing::Asks(format!("it is the same study as {}: remove one of them", other.file))
        } else if study.position(own).is_none() {
            Standing::Asks(format!("{own}, who is this node, is not among its parties"))
        } else if let Some((why, before)) = held.get(&digest)
            && *before == marks(&path)
        {
            Standing::Held(why.clone())
        } else {
            approved(store.approvals(&digest)?.last(), &path)
        };
        let parties = study.parties().iter().map(ToString::to_string).collect();
        let title = study.title().to_owned();
        items.push(Item { file, title, parties, digest: Some(digest), standing });
    }
    Ok(items)
}

/// Nothing leaves a node that is left alone unless somebody has approved it.
fn approved(last: Option<&ApprovalEntry>, path: &Path) -> Standing {
    let path = path.display();
    let ask = format!(
        "read `party study check {path}`, then run `party study approve {path} --name NAME --role ROLE`"
    );
    match last {
        None => Standing::Asks(format!("nobody here has approved it: {ask}")),
        Some(ApprovalEntry::Withdrawn { name, at }) => {
            Standing::Asks(format!("{name} took the approval back on {}", when(*at)))
        }
        Some(ApprovalEntry::Given(signed)) if signed.is_valid_at(now()) => Standing::Ready,
        Some(ApprovalEntry::Given(signed)) => {
            let expired = when(signed.approval.expires);
            Standing::Asks(format!("its approval has expired on {expired}: {ask}"))
        }
    }
}
