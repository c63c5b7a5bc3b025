//! One party's part of a run once more, compared with what the others received.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use mpc_core::Checkpoint;
use mpc_core::rand::Master;
use mpc_net::PartyId;
use mpc_net::record::{Difference, Direction, Transcript, differences};
use mpc_net::replay::Replay;

use super::super::checkpoints::{Checkpoints, Named};
use super::super::consent::Said;
use super::super::context;
use super::super::participant::{Participant, StudyWork, Work};
use super::messages::Reader;
use super::record::{AuditRecord, Files, Lines, covers};
use super::{Exported, Keys};
use crate::exit::{Exit, Failure};
use crate::settings::Overrides;

/// How what a party sends now fits what another node received from it then.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Who received it.
    pub by: String,
    /// How many messages it received.
    pub messages: usize,
    /// How many of them stand under the signature of the audited party.
    pub signed: u64,
    /// The first difference of each channel.
    pub differences: Vec<Difference>,
}

impl Verdict {
    /// Whether the audited party signed that it sent the message that differs: then it can be proven to
    /// anybody that it did not follow the protocol.
    #[must_use]
    pub fn proven(&self, difference: &Difference, exported: &Exported) -> bool {
        let said = exported.statement().map(|signed| &signed.statement.reached);
        let said =
            said.and_then(|said| said.iter().find(|said| said.channel == difference.channel));
        difference.recorded.is_some() && said.is_some_and(|said| difference.number < said.messages)
    }
}

/// A party's part of a run that is about to be done again.
pub struct Again<W = StudyWork> {
    participant: Participant<W>,
    record: AuditRecord,
    master: Arc<Master>,
    messages: Reader,
}

impl Again {
    /// Reads the study, the settings, key and rows of the audited party, and [its record](Self::of).
    ///
    /// # Errors
    /// What does not fit, for a person.
    pub fn prepare(study: &Path, config: &Path, overrides: &Overrides) -> Result<Self, Failure> {
        Self::of(Participant::again(study, config, overrides)?)
    }
}

impl<W: Work> Again<W> {
    /// Reads the record of the audited party, and checks everything that can be checked before: that this is
    /// the run of this study and these nodes, that seed and rows are those of it, and that the messages that
    /// it received are those that their senders signed.
    ///
    /// # Errors
    /// What does not fit, for a person.
    pub fn of(participant: Participant<W>) -> Result<Self, Failure> {
        let node = participant.node();
        let files = Files::of(&node.folder);
        let (record, master) = files.read()?;
        let wrong = |what: &str| Failure::new(Exit::LocalInput, what).in_file(&files.record());
        let roster = &node.roster;
        let nodes: Vec<_> =
            roster.nodes.iter().map(|node| (node.name.clone(), *node.key.as_bytes())).collect();
        let context = context(&node.terms.digest(), roster);
        if record.run.study != *node.terms.digest().as_bytes()
            || record.run.nodes != nodes
            || record.run.context != context
            || usize::from(record.me) != roster.me.index()
        {
            return Err(wrong("the record is of another study, or of other nodes or keys")
                .advise(
                    "use the study and the party.toml of that run; if this node has a new key since, set \
                     PARTY__IDENTITY__KEY=identity.key.1, where `party identity rotate` keeps the one before",
                ));
        }
        if record.program != env!("CARGO_PKG_VERSION") {
            return Err(wrong(&format!(
                "the run was made by version {} of the program, and this is {}",
                record.program,
                env!("CARGO_PKG_VERSION")
            ))
            .advise("replay it with the program that made it"));
        }
        if record.run.commitments.get(roster.me.index()) != Some(&master.commitment()) {
            return Err(deviated(
                "the seed in the record is not the one that this party committed to",
            ));
        }
        let named = Said::parse(&record.consent).map(|said| said.standing.checkpoints);
        let held: Vec<Named> = record.checkpoints.iter().map(Named::of).collect();
        let read = |it: &Checkpoint| it.to_bytes().ok().and_then(|bytes| Checkpoint::parse(&bytes));
        let whole = record.checkpoints.iter().all(|it| read(it).as_ref() == Some(it));
        if named != Some(held) || !whole {
            return Err(deviated(
                "the state that the run could go on from is not the one that this party committed to",
            ));
        }
        if !participant.bound().are(&record.rows) {
            let what = "these are not the rows of that run";
            return Err(Failure::new(Exit::LocalInput, what)
                .advise("give the data file as it was then, with --data FILE if it has moved"));
        }
        let path = files.messages();
        let messages = Reader::open(&path).map_err(|error| {
            let what = format!("the messages that this party received cannot be read: {error}");
            Failure::new(Exit::Configuration, what).in_file(&path).advise(
                "[audit] keep = \"messages\" in party.toml keeps them; without them a part \
                 cannot be done again",
            )
        })?;
        let keys = roster.nodes.iter().map(|node| node.key).collect();
        let keys = Keys::new(&node.identity, keys);
        for (node, lines) in record.received.iter().enumerate() {
            check_received(&record, node, lines, &messages, &keys)
                .map_err(|what| Failure::new(Exit::LocalInput, what).in_file(&path))?;
        }
        Ok(Self { participant, record, master: Arc::new(master), messages })
    }

    /// The record of the run.
    #[must_use]
    pub fn record(&self) -> &AuditRecord {
        &self.record
    }

    /// Checks what another node exported: that it is of this run and about this party, and that this
    /// party signed it.
    ///
    /// # Errors
    /// What does not fit, for a person.
    pub fn check(&self, exported: &Exported, path: &Path) -> Result<(), Failure> {
        let wrong = |what: &str| Err(Failure::new(Exit::LocalInput, what).in_file(path));
        if exported.run != self.record.run {
            return wrong("this was exported of another run");
        }
        if exported.about != self.record.me || exported.from == self.record.me {
            return wrong("this is not about the messages of the party that is audited");
        }
        let keys = self.keys();
        for signed in &exported.statements {
            let statement = &signed.statement;
            let fits = statement.session == self.record.run.session
                && (statement.from, statement.to) == (exported.about, exported.from);
            if !fits || !signed.holds(&keys) {
                return wrong("a signature of the audited party does not hold");
            }
        }
        let Some(last) = exported.statement() else { return Ok(()) };
        // What was received after the statement stands under no signature.
        for said in &last.statement.reached {
            let entries = exported.received.get(&said.channel).map_or(&[][..], Vec::as_slice);
            let arrived = mpc_net::record::reached(&said.channel, entries, said.messages);
            if arrived.as_ref().is_some_and(|arrived| arrived != said) {
                return wrong("these are not the messages that the audited party signed");
            }
        }
        Ok(())
    }

    fn keys(&self) -> Keys {
        let node = self.participant.node();
        Keys::new(&node.identity, node.roster.nodes.iter().map(|node| node.key).collect())
    }

    /// Does the party's part again, and compares what it sends with what the others received. Nothing
    /// is written but to the log.
    ///
    /// # Errors
    /// When the run cannot be done again as far as it went.
    pub async fn run(self, exported: &[Exported]) -> Result<Vec<Verdict>, Failure> {
        let Self { participant, record, master, messages } = self;
        let nodes = record.run.nodes.len();
        let sent = Arc::new(Transcript::new(nodes));
        let names = record.run.nodes.iter().map(|(name, _)| name.clone()).collect();
        let me = PartyId(record.me);
        let transport = Replay::new(me, names, Box::new(messages), Arc::clone(&sent));
        let options = participant.node().options(record.run.context).master(master);
        let due = (record.run.session, record.started, record.consent.clone());
        let checkpoints = Checkpoints::recorded(record.checkpoints.clone());
        let ended = participant.replay(transport, options, due, checkpoints).await;
        // A run that ended early ends early again, where nothing more was received.
        if let (Err(failure), true) = (&ended, record.complete) {
            tracing::info!(%failure, "the part that is done again did not come to its end");
        }
        let lines = |to: usize| sent.entries(PartyId::from_index(to), Direction::Sent);
        let mut verdicts = Vec::new();
        for exported in exported {
            let again = lines(exported.from.into());
            let signed = exported.statement().map_or(0, |signed| {
                signed.statement.reached.iter().map(|reached| reached.messages).sum()
            });
            verdicts.push(Verdict {
                by: exported.name().to_owned(),
                messages: exported.received.values().map(Vec::len).sum(),
                signed,
                differences: differences(&exported.received, &again, !exported.complete),
            });
        }
        // Also what nobody exported: the party's own record of what it sent.
        for (to, recorded) in record.sent.iter().enumerate() {
            let own = to == usize::from(record.me);
            if own || exported.iter().any(|exported| usize::from(exported.from) == to) {
                continue;
            }
            verdicts.push(Verdict {
                by: format!("{} (by the record of this party alone)", record.name(to)),
                messages: recorded.values().map(Vec::len).sum(),
                signed: 0,
                differences: differences(recorded, &lines(to), !record.complete),
            });
        }
        let differs = verdicts.iter().any(|verdict| !verdict.differences.is_empty());
        match ended {
            // It says what is wrong, and that the run stopped follows from it.
            Err(_) if differs => Ok(verdicts),
            Err(failure) if record.complete => Err(failure),
            _ => Ok(verdicts),
        }
    }
}

impl<W> fmt::Debug for Again<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Again").field("me", &self.record.me).finish_non_exhaustive()
    }
}

/// The failure of an audit.
pub(super) fn deviated(what: &str) -> Failure {
    Failure::new(Exit::Deviated, what)
}

/// Whether the kept messages of `node` are those that it signed.
fn check_received(
    record: &AuditRecord,
    node: usize,
    lines: &Lines,
    messages: &Reader,
    keys: &Keys,
) -> Result<(), String> {
    let name = record.name(node);
    for (channel, entries) in lines {
        let digests = messages.digests(node as u16, channel);
        let same = digests.len() == entries.len()
            && digests.iter().zip(entries).all(|(digest, entry)| *digest == entry.digest);
        if !same {
            return Err(format!("the messages of {name} are not those of the record"));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    let Some(signed) = record.statement(node) else {
        return Err(format!(
            "{name} has signed nothing of what it sent: the run ended before, and what was \
             received in it could have been made up"
        ));
    };
    let statement = &signed.statement;
    let fits = statement.session == record.run.session && statement.to == record.me;
    if !fits || !signed.holds(keys) {
        return Err(format!("the signature of {name} does not hold"));
    }
    if !covers(signed, lines) {
        return Err(format!("{name} has signed other messages than those that were kept"));
    }
    Ok(())
}
