//! A party that is ready for a run, of a study or of a protocol of somebody's own.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mpc_core::{Session, SessionOptions};
use mpc_ml::artifact::ModelPart;
use mpc_ml::data::Table;
use mpc_net::replay::Replay;

use super::budget::taking;
use super::checkpoints::Checkpoints;
use super::consent::Said;
use super::phases::Phases;
use super::study_run::Node;
use super::told::Told;
use super::{Aligned, BoundRows, Closing, Events, OwnSide, StopSignal};
use crate::data_file::DataFile;
use crate::exit::{Exit, Failure};
use crate::settings::Overrides;
use crate::study::Study;

/// What a run is of: a study, or a protocol of somebody's own. The frame around it is the same.
#[allow(async_fn_in_trait)] // Nobody outside implements it.
pub trait Work: Sized {
    /// What is known when the last message was sent.
    type Outcome;
    /// What is left of it when everything is written.
    type Finished;

    /// The rows, or the input, that the run is of.
    fn bound(&self) -> BoundRows<'_>;

    /// Everything between the first and the last message.
    async fn work(
        &mut self,
        node: &Node,
        session: &mut Session,
        phases: &mut Phases,
        events: &Events,
        told: &mut Told,
    ) -> Result<Self::Outcome, Failure>;

    /// Writes what came of it, the receipt last.
    fn write(
        &self,
        node: &Node,
        outcome: Self::Outcome,
        run: (&Told, &Session, &Phases, u64),
    ) -> Result<Self::Finished, Failure>;
}

/// A party that is ready to take part: everything that it can check alone is checked.
pub struct Participant<W = StudyWork> {
    node: Node,
    work: W,
}

/// A study that is to be run.
pub struct StudyWork {
    pub(super) study: Study,
    /// The rows, which are kept no longer than until they are encoded.
    pub(super) table: Option<Arc<Table>>,
    /// Lines of the data file that the settings call no rows.
    pub(super) passed_over: u64,
    /// How they came into their order, where the parties hold columns of the same records.
    pub(super) aligned: Option<Aligned>,
    /// This party's part of the model, where scores are asked for.
    pub(super) part: Option<ModelPart>,
}

impl Participant {
    /// Reads study, settings, key and data, and checks all that can be checked without the others.
    ///
    /// # Errors
    /// What does not fit, for a person. Nothing was sent.
    pub fn prepare(
        study_path: &Path,
        config: &Path,
        overrides: &Overrides,
        out: Option<&Path>,
        show_values: bool,
    ) -> Result<Self, Failure> {
        let side = OwnSide::read(study_path, config, overrides, show_values)?;
        let mut participant = Self::ready(side, config)?;
        participant.open(study_path, out)?;
        participant.node.reserve()?;
        Ok(participant)
    }

    /// Reads study, settings, key and data to do a part again that was done before: the state directory
    /// stays as it is.
    pub(super) fn again(
        study_path: &Path,
        config: &Path,
        overrides: &Overrides,
    ) -> Result<Self, Failure> {
        let side = OwnSide::read(study_path, config, overrides, false)?;
        Self::ready(side, config).map(Participant::repeated)
    }

    fn ready(side: OwnSide, config: &Path) -> Result<Self, Failure> {
        let entry = side.data_entry();
        let OwnSide { study, settings, place, data, aligned, part, .. } = side;
        let DataFile { table, digest, passed_over, .. } = data;
        let taking = taking(study.guarantee(), &settings)?;
        let terms = (study.terms().clone(), settings);
        let mut node =
            Node::ready(terms, place, (&digest, entry), &BoundRows::new(&table), config)?;
        node.taking = taking;
        let table = Some(Arc::new(table));
        Ok(Self { node, work: StudyWork { study, table, passed_over, aligned, part } })
    }

    /// Whether the study asks for scores of records, and fits no model.
    #[must_use]
    pub fn scores(&self) -> bool {
        self.work.study.scoring().is_some_and(|scoring| !scoring.evaluates())
    }
}

impl<W: Work> Participant<W> {
    /// A party of a node that is ready for this work.
    pub(super) fn new(node: Node, work: W) -> Self {
        Self { node, work }
    }

    /// The same for a part that was done before, of which nothing is written.
    pub(super) fn repeated(mut self) -> Self {
        self.node.again = true;
        self
    }

    /// As [`Node::open`].
    pub(super) fn open(&mut self, path: &Path, out: Option<&Path>) -> Result<(), Failure> {
        self.node.open(path, out)
    }

    /// As [`Node::reserve`].
    pub(super) fn reserve(&self) -> Result<(), Failure> {
        self.node.reserve()
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }

    /// The rows, or the input, that it takes part with.
    pub(super) fn bound(&self) -> BoundRows<'_> {
        self.work.bound()
    }

    /// Does the part of a run again on a transport that gives what was received then.
    pub(super) async fn replay(
        self,
        transport: Replay,
        options: SessionOptions,
        (due, started, consent): ([u8; 32], u64, Vec<u8>),
        checkpoints: Checkpoints,
    ) -> Result<(), Failure> {
        let Self { mut node, mut work } = self;
        let mut session = Session::establish(Box::new(transport), options).await?;
        if session.id() != due {
            let what = "the messages of the handshake are those of another session";
            return Err(Failure::new(Exit::LocalInput, what));
        }
        let quiet: Events = Arc::new(|_| {});
        let mut phases = Phases::begin(&quiet);
        let mut told = Told { started, consent, ..Told::default() };
        if let Some(said) = Said::parse(&told.consent) {
            node.holding = node.folder.holding()?.at_that_time(&said.standing);
        }
        node.checkpoints = checkpoints;
        work.work(&node, &mut session, &mut phases, &quiet, &mut told).await.map(drop)
    }

    /// It waits for the others no longer than this, whatever `network.join_timeout_s` says.
    #[must_use]
    pub fn waiting_at_most(mut self, time: Duration) -> Self {
        let network = &mut self.node.settings.network;
        network.join_timeout = network.join_timeout.min(time);
        self
    }

    /// Meets the others, runs the study with them, and writes the result and the receipt. The others
    /// may not be done yet: the [`Closing`] waits for them. `events` hears what happens, and `stop`
    /// ends the run.
    ///
    /// # Errors
    /// What went wrong, for a person; the peers were told the class of it.
    pub async fn run(
        self,
        events: &Events,
        stop: &mut StopSignal,
    ) -> Result<(W::Finished, Closing), Failure> {
        self.run_within(None, &mut false, events, stop).await
    }

    /// The same; the others are waited for `patience`, or as the settings say. `met` tells whether all nodes
    /// had met.
    pub(super) async fn run_within(
        self,
        patience: Option<Duration>,
        met: &mut bool,
        events: &Events,
        stop: &mut StopSignal,
    ) -> Result<(W::Finished, Closing), Failure> {
        self.node.run(self.work, (patience, met), events, stop).await
    }

    /// Whether this node has what it is due.
    pub(super) fn is_complete(&self) -> bool {
        self.node.folder.is_complete()
    }

    /// How long this node waits for a peer that was lost.
    pub(super) fn return_within(&self) -> Duration {
        self.node.settings.network.return_within
    }
}
