//! A model that one of its recipients lost after the release: another recipient sends it again
//! (docs/protocols.md 0, Recovery). No rows are used, and nothing is computed.

use std::path::Path;

use mpc_ml::artifact::{ClassModel, Model};
use mpc_net::quic::{QuicTransport, Roster, join_until};
use mpc_net::{Due, NetError, PartyId, Tag, Transport};
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::events::join_observer;
use super::give_up::{LAST_WORDS, abort_for};
use super::mesh::{bound, join_options, recipients};
use super::{Event, Events, State, StopSignal, StudyFolder};
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::input;
use crate::output::{Report, create};
use crate::settings::{Overrides, Settings};
use crate::study::{Study, StudyDigest};

const STATUS: Tag = Tag::new("recovery/status");
const MODEL: Tag = Tag::new("recovery/model");

/// Far above any model file.
const MAX_BYTES: u64 = 1 << 28;

/// What a recipient tells the others: the length of its model file, 0 for none, and its SHA-256.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Status {
    length: u64,
    digest: [u8; 32],
}

const STATUS_BYTES: usize = 40;

/// A recipient of a study that is ready to give its model to those who lost it, or to get it.
pub struct Recovery {
    study: Study,
    settings: Settings,
    identity: Identity,
    roster: Roster,
    folder: StudyFolder,
    /// The model file, where this node has it.
    model: Option<Vec<u8>>,
    _state: State,
}

/// What the recipients have, which all of them see alike.
#[derive(Debug, PartialEq, Eq)]
enum Holdings {
    /// Nobody has the model.
    Nobody,
    /// These two have different ones.
    Different(usize, usize),
    /// The first gives it to the others, who lack it.
    Held { by: usize, lacking: Vec<usize> },
}

/// How a recovery ended.
enum Outcome {
    Received(Vec<u8>),
    Had { given: Vec<String>, lacking: usize },
    Failed(Failure),
}

impl Status {
    fn of(model: Option<&[u8]>) -> Self {
        model.map_or(Self { length: 0, digest: [0; 32] }, |bytes| Self {
            length: bytes.len() as u64,
            digest: sha256(bytes),
        })
    }

    fn to_bytes(self) -> Vec<u8> {
        [&self.length.to_le_bytes()[..], &self.digest].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, digest) = bytes.split_at_checked(8)?;
        let length = u64::from_le_bytes(length.try_into().ok()?);
        let digest = digest.try_into().ok()?;
        (length <= MAX_BYTES).then_some(Self { length, digest })
    }
}

impl Holdings {
    fn new(all: &[Status]) -> Self {
        let holders = || (0..all.len()).filter(|&index| all[index].length > 0);
        let Some(by) = holders().next() else { return Self::Nobody };
        if let Some(other) = holders().find(|&index| all[index] != all[by]) {
            return Self::Different(by, other);
        }
        Self::Held { by, lacking: (0..all.len()).filter(|&index| all[index].length == 0).collect() }
    }
}

impl Recovery {
    /// Reads the study, the settings and the key, and what this node has of the result.
    ///
    /// # Errors
    /// What does not fit, for a person. Nothing was sent.
    pub fn prepare(study: &Path, config: &Path, overrides: &Overrides) -> Result<Self, Failure> {
        let path = study;
        let study = Study::read(path).map_err(|error| Failure::from(error).in_file(path))?;
        if study.is_own() || study.scoring().is_some() {
            let what = "what each party receives of this study is its own, and nobody else has it";
            return Err(Failure::new(Exit::Configuration, what).in_file(path).advise(
                "take it from a backup of this node's state directory, or agree with the other parties on a \
                 study with another title",
            ));
        }
        let settings = Settings::read(config, overrides)
            .map_err(|error| Failure::from(error).in_file(config))?;
        let identity = Identity::read(&settings.identity.key)?;
        let roster = recipients(&study, &settings, &identity, config).map_err(|failure| {
            if failure.place.is_none() { failure.in_file(path) } else { failure }
        })?;
        let state = State::lock(&settings.state, &identity)?;
        let folder = StudyFolder::of(&state, study.digest(), &identity);
        let model = if folder.model().exists() {
            Some(own_model(&folder.model(), &study)?)
        } else {
            folder.make()?;
            None
        };
        Ok(Self { study, settings, identity, roster, folder, model, _state: state })
    }

    /// Meets the other recipients, and gives them the model or gets it from one of them. `events`
    /// hears what happens, and `stop` ends it.
    ///
    /// # Errors
    /// What went wrong, for a person; the peers were told the class of it.
    pub async fn run(self, events: &Events, stop: &mut StopSignal) -> Result<Report, Failure> {
        let network = &self.settings.network;
        let options = join_options(&self.settings, self.context());
        let (title, digest) = (self.study.title().to_owned(), self.study.digest().to_string());
        events(Event::Recovery { title, digest });
        let observer = join_observer(events);
        let stopped = async { stop.stopped().await.into() };
        let key = self.identity.key();
        let transport = join_until(key, &self.roster, &options, &observer, stopped).await?;

        let linger = transport.linger();
        let outcome = match stop.until(self.exchange(&transport)).await {
            Ok(result) => result.and_then(|outcome| self.keep(outcome)),
            Err(stopped) => Err(stopped.into()),
        };
        match outcome {
            Ok(outcome) => {
                let end = stop.until(transport.finish_within(Some(network.silence_timeout))).await;
                if let Ok(Err(error)) = end {
                    events(Event::Note(format!("{error}; this node is done")));
                }
                self.report(outcome)
            }
            Err(failure) => {
                linger.abort(&abort_for(&failure));
                linger.wait(LAST_WORDS).await;
                Err(failure)
            }
        }
    }

    /// Binds study, keys and purpose: a node that trains and one that recovers refuse each other.
    fn context(&self) -> [u8; 32] {
        bound("recovery of a model", self.study.digest().as_bytes(), &self.roster)
    }

    /// Everything between the first message and the last: one round of statuses, one of models.
    async fn exchange(&self, transport: &QuicTransport) -> Result<Outcome, Failure> {
        let me = transport.id().index();
        let own = Status::of(self.model.as_deref());
        let others = || (0..transport.nodes()).filter(move |&node| node != me);
        for node in others() {
            transport.send(PartyId::from_index(node), STATUS, &own.to_bytes()).await?;
        }
        let mut all = vec![own; transport.nodes()];
        for node in others() {
            let due = Due::exactly(STATUS, STATUS_BYTES);
            let bytes = transport.recv(PartyId::from_index(node), due).await?;
            all[node] = Status::parse(&bytes).ok_or_else(|| {
                malformed(transport, node, STATUS, "the length of a model is out of range")
            })?;
        }
        let name = |node: usize| transport.name(PartyId::from_index(node));
        match Holdings::new(&all) {
            Holdings::Nobody => Ok(Outcome::Failed(
                Failure::new(Exit::Configuration, "no recipient of the study has its model").advise(
                    "run `party train` at all nodes: what was recorded of its release is sent again there",
                ),
            )),
            Holdings::Different(first, second) => Ok(Outcome::Failed(
                Failure::new(
                    Exit::PeerMisbehaved,
                    format!("{} and {} have different models of this study", name(first), name(second)),
                )
                .advise("find out which of the files was changed, and take it away there"),
            )),
            Holdings::Held { by, lacking } if by == me => {
                let model = self.model.as_deref().unwrap_or_default();
                for &node in &lacking {
                    transport.send(PartyId::from_index(node), MODEL, model).await?;
                }
                let given = lacking.iter().map(|&node| name(node)).collect();
                Ok(Outcome::Had { given, lacking: lacking.len() })
            }
            Holdings::Held { by, lacking } if lacking.contains(&me) => {
                let length = usize::try_from(all[by].length).unwrap_or(usize::MAX);
                let bytes =
                    transport.recv(PartyId::from_index(by), Due::exactly(MODEL, length)).await?;
                if Status::of(Some(&bytes)) != all[by] {
                    let detail = "it is not the file whose digest was told";
                    return Err(malformed(transport, by, MODEL, detail));
                }
                if !belongs(&bytes, &self.study.digest()) {
                    let detail = "it is no model of this study";
                    return Err(malformed(transport, by, MODEL, detail));
                }
                Ok(Outcome::Received(bytes))
            }
            Holdings::Held { lacking, .. } => {
                Ok(Outcome::Had { given: Vec::new(), lacking: lacking.len() })
            }
        }
    }

    /// Writes what was received.
    fn keep(&self, outcome: Outcome) -> Result<Outcome, Failure> {
        if let Outcome::Received(bytes) = &outcome {
            create(&self.folder.model(), bytes)?;
        }
        Ok(outcome)
    }

    fn report(&self, outcome: Outcome) -> Result<Report, Failure> {
        let model = self.folder.model();
        let (text, received, given) = match outcome {
            Outcome::Failed(failure) => return Err(failure),
            Outcome::Received(_) => ("Received the model".to_owned(), true, Vec::new()),
            Outcome::Had { lacking: 0, .. } => {
                ("Every recipient has the model".to_owned(), false, Vec::new())
            }
            Outcome::Had { given, .. } if given.is_empty() => {
                ("Another recipient gave the model".to_owned(), false, given)
            }
            Outcome::Had { given, .. } => {
                (format!("Gave the model to {}", given.join(", ")), false, given)
            }
        };
        Ok(Report {
            text: format!("{text}.\nModel:   {}\n", model.display()),
            json: json!({
                "study": self.study.digest().to_string(),
                "model": model,
                "received": received,
                "given_to": given,
            }),
        })
    }
}

/// The model file of this node, if it is one of this study.
fn own_model(path: &Path, study: &Study) -> Result<Vec<u8>, Failure> {
    let refused = |what: String| Failure::new(Exit::LocalInput, what).in_file(path);
    let bytes =
        input::read(path).map_err(|error| refused(format!("the model cannot be read: {error}")))?;
    if belongs(&bytes, &study.digest()) && bytes.len() as u64 <= MAX_BYTES {
        return Ok(bytes);
    }
    Err(refused("the file is no model of this study".to_owned())
        .advise("move it away to get the model from another recipient"))
}

pub(super) fn belongs(bytes: &[u8], study: &StudyDigest) -> bool {
    let study = study.to_string();
    Model::from_json(bytes).is_ok_and(|model| model.study() == study)
        || ClassModel::from_json(bytes).is_ok_and(|model| model.study() == study)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

fn malformed(transport: &QuicTransport, node: usize, tag: Tag, detail: &str) -> Failure {
    NetError::Malformed {
        peer: transport.name(PartyId::from_index(node)),
        expected: tag.label().to_owned(),
        detail: detail.to_owned(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_see_who_has_the_model_and_who_lacks_it() {
        let (none, one, two) = (Status::of(None), Status::of(Some(b"1")), Status::of(Some(b"2")));
        assert_eq!(Holdings::new(&[none, none]), Holdings::Nobody);
        assert_eq!(Holdings::new(&[none, one, two]), Holdings::Different(1, 2));
        let held = |by, lacking: &[usize]| Holdings::Held { by, lacking: lacking.to_vec() };
        assert_eq!(Holdings::new(&[none, one, none, one]), held(1, &[0, 2]));
        assert_eq!(Holdings::new(&[one, one]), held(0, &[]));
    }

    #[test]
    fn a_status_survives_its_bytes() {
        let status = Status::of(Some(b"model"));
        assert!(Status::parse(&status.to_bytes()) == Some(status));
        assert_eq!(status.to_bytes().len(), STATUS_BYTES);
        let huge = [&u64::MAX.to_le_bytes()[..], &[0; 32]].concat();
        assert!(Status::parse(&huge).is_none() && Status::parse(b"x").is_none());
    }
}
