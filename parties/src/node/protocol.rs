//! A protocol of somebody's own, run as a study is: the same meeting, approvals, records, receipts and ledger.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mpc_core::{Against, Session};
use mpc_ml::data::{Schema, Table};
use mpc_ml::model::{Progress, Run, ledger};
use mpc_ml::privacy::Guarantee;
use serde::Serialize;
use serde_json::json;

use super::budget::taking;
use super::own_input::{Input, OwnInput};
use super::participant::Work;
use super::phases::Phases;
use super::receipt::digest_of;
use super::standing::Course;
use super::study_run::Node;
use super::told::Told;
use super::written::result_text;
use super::{BoundRows, Event, Events, Participant, Receipt, StudyFolder, Task, consent, source};
use crate::exit::{Exit, Failure};
use crate::output::{Report, create};
use crate::settings::{Overrides, Settings};
use crate::study::Agreement;

/// A protocol that parties run on inputs of their own. What it reveals stands in the agreement, whose text is
/// the same at all parties; the node does the rest.
///
/// # Security
/// That messages tell no more than the outputs is what its author has to show: openings beside
/// [`Session::reveal`] are the protocol's own. Whatever steers it must be public to all parties.
pub trait Protocol: Sized {
    /// Its name and version in agreements, such as `joint-sum/1`.
    const NAME: &'static str;

    /// What the computation leaves to be released.
    type Shares;

    /// What this party has in the end; it is written to `result.json`.
    type Result: Serialize;

    /// The party in place `place` of the agreement, with the bytes of its data file. No other party is there
    /// yet, and nothing was sent.
    ///
    /// # Errors
    /// What does not fit, for a person, without anything of the input.
    fn read(agreement: &Agreement, place: usize, input: &[u8]) -> Result<Self, Failure> {
        let _ = (agreement, place, input);
        Err(Failure::new(Exit::Internal, "a protocol that reads neither bytes nor rows"))
    }

    /// The columns of the rows that the input is, where it is rows: they are read as `[data]` of `party.toml` says,
    /// and [`of_rows`](Self::of_rows) has them, in place of [`read`](Self::read). By default there are none. They may
    /// follow from files of this node too, such as a model of an earlier study.
    ///
    /// # Errors
    /// What does not fit in the agreement, or is not within this node's limits, for a person.
    fn schema(agreement: &Agreement, node: &Settings) -> Result<Option<Schema>, Failure> {
        let _ = (agreement, node);
        Ok(None)
    }

    /// The same party as that of [`read`](Self::read), with its rows.
    ///
    /// # Errors
    /// What does not fit, for a person, without anything of the rows.
    fn of_rows(
        agreement: &Agreement,
        place: usize,
        rows: Arc<Table>,
        node: &Settings,
    ) -> Result<Self, Failure> {
        let _ = (agreement, place, rows, node);
        Err(Failure::new(Exit::Internal, "a protocol that reads neither bytes nor rows"))
    }

    /// What the agreement promises to the people in the rows, where all that it reveals is differentially private: the
    /// node takes part within its privacy budget then, in covert sessions alone.
    ///
    /// # Errors
    /// When its settings are not those of this protocol.
    fn privacy(agreement: &Agreement) -> Result<Option<Guarantee>, Failure> {
        let _ = agreement;
        Ok(None)
    }

    /// How many records of persons or things the input is of, which `limits.least_rows` is compared with; none
    /// where it is of none.
    fn records(&self) -> Option<u64> {
        None
    }

    /// What the operator should know of the own input before it is used. Nobody else is told.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// The computation on shares. It may reveal the figures and the checks of the agreement.
    ///
    /// # Errors
    /// What the session says, or the protocol. Peers are told the class of it.
    fn compute(&mut self, run: &mut Run<'_>)
    -> impl Future<Output = Result<Self::Shares, Failure>>;

    /// The release, which may reveal the results of the agreement: all parties have signed by then what they
    /// sent before.
    ///
    /// # Errors
    /// As [`compute`](Self::compute).
    fn release(
        &mut self,
        shares: Self::Shares,
        run: &mut Run<'_>,
    ) -> impl Future<Output = Result<Self::Result, Failure>>;
}

/// A protocol that a party takes part in, and with what: read again whenever it meets the others.
#[derive(Debug)]
pub struct Joint<P> {
    /// The agreement.
    pub agreement: PathBuf,
    /// The settings.
    pub config: PathBuf,
    /// What flags put in place of them.
    pub overrides: Overrides,
    /// Where a copy of the result goes.
    pub out: Option<PathBuf>,
    protocol: std::marker::PhantomData<fn() -> P>,
}

/// A protocol that is to be run.
pub struct ProtocolWork<P> {
    agreement: Agreement,
    protocol: P,
    input: Input,
}

/// What a run of a protocol came to.
#[derive(Debug)]
pub struct Completed<R> {
    /// What this party has of it.
    pub result: R,
    /// The account of the run.
    pub receipt: Receipt,
    /// Where the files are.
    pub folder: StudyFolder,
    /// Whether the copy of the result that the operator wanted could be written.
    pub copy: Result<(), Failure>,
}

impl<P: Protocol> Joint<P> {
    /// The protocol of this agreement, with the settings of this node.
    #[must_use]
    pub fn new(agreement: &Path, config: &Path) -> Self {
        Self {
            agreement: agreement.to_owned(),
            config: config.to_owned(),
            overrides: Overrides::default(),
            out: None,
            protocol: std::marker::PhantomData,
        }
    }

    fn ready(&self) -> Result<Participant<ProtocolWork<P>>, Failure> {
        let path = &self.agreement;
        let (agreement, settings, place, own) =
            OwnInput::read(path, &self.config, &self.overrides, &|agreement, settings| {
                if agreement.protocol() == P::NAME {
                    return P::schema(agreement, settings);
                }
                let what = format!(
                    "the agreement is on the protocol {}, and this program runs {}",
                    agreement.protocol(),
                    P::NAME
                );
                Err(Failure::new(Exit::Configuration, what)
                    .advise("use the program that protocol.name stands for"))
            })?;
        let protocol = match &own.input {
            Input::Bytes(bytes) => P::read(&agreement, place, bytes),
            Input::Rows(table) => P::of_rows(&agreement, place, Arc::clone(table), &settings),
        };
        let protocol = protocol.map_err(|failure| {
            let at_input = failure.place.is_none() && failure.exit == Exit::LocalInput;
            if at_input { failure.in_file(&own.source.from.path) } else { failure }
        })?;
        let records = protocol.records();
        if let Some(records) = records {
            settings.limits.check_count(records, &own.source.from.path)?;
        }
        let entry = own.entry(records);
        let terms = (agreement.terms().clone(), settings);
        let (file, rows) = ((&own.digest, entry), own.input.bound());
        let promised = P::privacy(&agreement)?;
        if promised.is_some() && agreement.terms().security().against != Against::Covert {
            let what = "security.against must be \"covert\" with differential privacy: where parties commit to what they \
                        open, a run that breaks off reveals no second draw of the noise";
            return Err(Failure::new(Exit::Configuration, what).in_file(&self.agreement));
        }
        let mut node = Node::ready(terms, place, file, &rows, &self.config)?;
        node.taking = taking(promised, &node.settings)?;
        Ok(Participant::new(node, ProtocolWork { agreement, protocol, input: own.input }))
    }

    /// The same to do a part again that was done before, as an audit does.
    ///
    /// # Errors
    /// As [`prepare`](Task::prepare).
    pub fn again(&self) -> Result<Participant<ProtocolWork<P>>, Failure> {
        self.ready().map(Participant::repeated)
    }
}

impl<P: Protocol> Task for Joint<P> {
    type Work = ProtocolWork<P>;

    fn prepare(&self) -> Result<Participant<Self::Work>, Failure> {
        let mut participant = self.ready()?;
        participant.open(&self.agreement, self.out.as_deref())?;
        participant.reserve()?;
        Ok(participant)
    }
}

impl<P: Protocol> Work for ProtocolWork<P> {
    type Outcome = P::Result;
    type Finished = Completed<P::Result>;

    fn bound(&self) -> BoundRows<'_> {
        self.input.bound()
    }

    async fn work(
        &mut self,
        node: &Node,
        session: &mut Session,
        phases: &mut Phases,
        events: &Events,
        told: &mut Told,
    ) -> Result<P::Result, Failure> {
        // Nobody has a result that is another one's too: what is lost is computed again, and what all had
        // recorded is sent as it was.
        let (course, _, budgets) = node.consented(&[], session, events, told).await?;
        if let Course::Fit(again) = course {
            session.resend(again);
        }
        told.outputs = self.agreement.outputs().to_vec();
        consent::of_this_list(&told.consents, &self.agreement.disclosure_digest())?;
        let input = self.input.clone();
        let bind = move |folder: &StudyFolder| folder.bind_rows(&input.bound());
        node.remember(bind, session, events, told).await?;

        self.protocol.remarks().into_iter().for_each(|remark| events(Event::Note(remark)));
        phases.enter("computation", session);
        let outputs = told.outputs.clone();
        let (before, results): (Vec<_>, Vec<_>) =
            outputs.iter().partition(|output| output.kind.is_repeatable());
        session.allow(ledger(before))?;
        let mut source = source::start(node.terms.security().correlations, session)?;
        let mut heard = |progress| {
            if let Progress::Step { done, total, production } = progress {
                events(Event::Step { done, total, production });
            }
        };
        let mut run = Run { session, source: &mut *source, progress: &mut heard };
        let computed = self.protocol.compute(&mut run).await;
        let computed = computed.inspect_err(|_| events(Event::Fitted))?;

        phases.enter("release", session);
        told.before_the_result(session).await?;
        session.allow(ledger(results))?;
        let mut run = Run { session, source: &mut *source, progress: &mut heard };
        node.spend(told)?;
        let result = self.protocol.release(computed, &mut run).await;
        events(Event::Fitted);
        let result = result?;
        node.heard_spent(&budgets, run.session)?;
        if let Err(error) = source.finish().await {
            events(Event::Note(error.to_string()));
        }
        told.compare(session, events).await?;
        Ok(result)
    }

    fn write(
        &self,
        node: &Node,
        result: P::Result,
        (told, session, phases, kept): (&Told, &Session, &Phases, u64),
    ) -> Result<Completed<P::Result>, Failure> {
        let of = (node.terms.title(), node.terms.digest().to_string());
        let text = result_text(of, Some(P::NAME), &result)?;
        #[cfg(feature = "test-faults")]
        crate::fault::die_at("model");
        node.create_once(&node.folder.result(), text.as_bytes())?;
        let receipt = node.account((told, session, phases, kept), |receipt| {
            receipt.result_sha256 = Some(digest_of(text.as_bytes()));
        })?;
        let copy = match &node.out {
            Some(out) => create(out, text.as_bytes()).map_err(|failure| {
                let own = node.folder.result();
                failure.advise(format!("the run is complete; its result is {}", own.display()))
            }),
            None => Ok(()),
        };
        Ok(Completed { result, receipt, folder: node.folder.clone(), copy })
    }
}

impl<R> Completed<R> {
    /// Where the files of the run are, a line each.
    #[must_use]
    pub fn files(&self) -> String {
        let page = self.folder.written_report();
        let page = page.map(|page| format!("Report:  {}\n", page.display())).unwrap_or_default();
        let (result, receipt) = (self.folder.result(), self.folder.receipt());
        format!("Result:  {}\nReceipt: {}\n{page}", result.display(), receipt.display())
    }
}

impl<R: Serialize> Completed<R> {
    /// The end of a run, for people and machines.
    #[must_use]
    pub fn report(&self) -> Report {
        let total = &self.receipt.phases["total"];
        let value = serde_json::to_value(&self.result).unwrap_or_default();
        let text = format!("{}\n  {value:#}\n{}{}", self.receipt.title, self.files(), total.told());
        let json = json!({
            "title": self.receipt.title,
            "study": self.receipt.study,
            "protocol": self.receipt.protocol,
            "result": value,
            "file": self.folder.result(),
            "receipt": self.folder.receipt(),
            "report": self.folder.written_report(),
            "phases": self.receipt.phases,
        });
        Report { text, json }
    }
}
