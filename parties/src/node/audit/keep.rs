//! What is kept while a study runs.

use std::sync::Arc;

use mpc_core::rand::Master;
use mpc_core::session::Signed;
use mpc_core::{Checkpoint, Session, SessionOptions};
use mpc_net::PartyId;
use mpc_net::quic::{QuicTransport, Roster};
use mpc_net::record::{Direction, Transcript};

use super::super::StudyFolder;
use super::super::rows_digest::SALTED;
use super::messages::{Written, begin};
use super::record::{AuditRecord, Files, RunName, size};
use crate::exit::{Exit, Failure};
use crate::settings::Keep;
use crate::study::StudyDigest;

/// The master, transcript and files of a run.
pub(in crate::node) struct Kept {
    files: Files,
    keep: Keep,
    master: Arc<Master>,
    transcript: Arc<Transcript>,
    written: Option<Written>,
    record: Option<AuditRecord>,
    /// What the others said under their signatures.
    pub(in crate::node) statements: Vec<Signed>,
}

impl Kept {
    /// Draws the master, and removes what was kept of the run before.
    pub(in crate::node) fn begin(
        folder: &StudyFolder,
        keep: Keep,
        roster: &Roster,
    ) -> Result<Self, Failure> {
        let files = Files::of(folder);
        files.forget()?;
        let nodes = roster.nodes.len();
        let (transcript, written) = if keep == Keep::Messages {
            let path = files.messages();
            let (writer, written) = begin(&path).map_err(|error| {
                let what = format!("the messages of this run cannot be kept: {error}");
                Failure::new(Exit::Configuration, what).in_file(&path)
            })?;
            (Transcript::keeping(nodes, Box::new(writer)), Some(written))
        } else {
            (Transcript::new(nodes), None)
        };
        Ok(Self {
            files,
            keep,
            master: Arc::new(Master::fresh()?),
            transcript: Arc::new(transcript),
            written,
            record: None,
            statements: Vec::new(),
        })
    }

    /// Keeps nothing of a run, and what was kept of the run before.
    pub(in crate::node) fn nothing(folder: &StudyFolder, roster: &Roster) -> Result<Self, Failure> {
        Ok(Self {
            files: Files::of(folder),
            keep: Keep::Nothing,
            master: Arc::new(Master::fresh()?),
            transcript: Arc::new(Transcript::new(roster.nodes.len())),
            written: None,
            record: None,
            statements: Vec::new(),
        })
    }

    /// Records the messages of `transport` from here on.
    pub(in crate::node) fn record(&self, transport: &QuicTransport) {
        transport.record_with(self.transcript.clone());
    }

    /// A session with the kept master, whose nodes sign what is recorded.
    pub(in crate::node) fn session(&self, options: SessionOptions) -> SessionOptions {
        options.master(Arc::clone(&self.master)).transcript(Arc::clone(&self.transcript))
    }

    /// Keeps the seed of the coins before anything is made of it that matters.
    pub(in crate::node) fn established(
        &mut self,
        session: &Session,
        (study, context): (StudyDigest, [u8; 32]),
        roster: &Roster,
        (rows, started, consent, checkpoints): ([u8; SALTED], u64, &[u8], Vec<Checkpoint>),
    ) -> Result<(), Failure> {
        if self.keep == Keep::Nothing {
            return Ok(());
        }
        let nodes = roster.nodes.iter().map(|node| (node.name.clone(), *node.key.as_bytes()));
        let run = RunName {
            study: *study.as_bytes(),
            context,
            session: session.id(),
            nodes: nodes.collect(),
            commitments: session.coin_commitments().to_vec(),
        };
        let digest = (rows.to_vec(), consent.to_vec());
        let record = AuditRecord::new(run, session.me(), started, digest, checkpoints);
        self.files.write(&record, &self.master)?;
        self.record = Some(record);
        Ok(())
    }

    /// Keeps the rest when no more messages come. Gives the bytes that all of it takes.
    pub(in crate::node) fn end(self, complete: bool) -> Result<u64, Failure> {
        let Self { files, master, transcript, written, record, statements, .. } = self;
        let Some(record) = record else { return Ok(0) };
        let nodes = || (0..record.run.nodes.len()).map(PartyId::from_index);
        let lines = |direction| nodes().map(|node| transcript.entries(node, direction)).collect();
        let (sent, received) = (lines(Direction::Sent), lines(Direction::Received));
        let record = AuditRecord { sent, received, complete, statements, ..record };
        files.write(&record, &master)?;
        // The session may still hold the transcript, and with it the writer.
        transcript.close();
        drop(transcript);
        let path = files.messages();
        if let Some(written) = written {
            written.wait().map_err(|error| {
                let what = format!("the messages of this run are not kept: {error}");
                Failure::new(Exit::Configuration, what).in_file(&path)
            })?;
        }
        Ok(size(&files.record()) + size(&path))
    }
}
