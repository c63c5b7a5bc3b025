//! A party's way through a record alignment (docs/protocols.md 11), from its file to the order of its
//! common records.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mpc_core::align::{Aligned, align, outputs};
use mpc_core::{Session, SessionOptions};
use mpc_net::quic::{Roster, join_until};
use serde_json::json;

use super::audit::Keys;
use super::events::join_observer;
use super::give_up::refuse_together;
use super::mesh::{aligning, bound, join_options};
use super::order::Order;
use super::own_side::own_data;
use super::phases::Phases;
use super::receipt::now;
use super::state::make_private;
use super::{Event, Events, PhaseReceipt, State, StopSignal, establish, give_up};
use crate::alignment::{Alignment, OwnIds, read_ids};
use crate::data_file::Source;
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::{Report, check_writable, create, exists, hex, remove_leftovers};
use crate::settings::{Overrides, Settings};

/// A party that is ready for an alignment: its own side is checked.
pub struct Aligning {
    alignment: Alignment,
    settings: Settings,
    identity: Identity,
    roster: Roster,
    data: Source,
    ids: OwnIds,
    out: Option<PathBuf>,
    order: Order,
    /// Held until the node has ended.
    _state: State,
}

impl Aligning {
    /// Reads the alignment, the settings, the key and the own ids, and checks all that can be checked
    /// without the others.
    ///
    /// # Errors
    /// What does not fit, for a person. Nothing was sent.
    pub fn prepare(
        path: &Path,
        config: &Path,
        overrides: &Overrides,
        out: Option<&Path>,
    ) -> Result<Self, Failure> {
        let alignment = Alignment::read(path)?;
        let settings = Settings::read(config, overrides)
            .map_err(|error| Failure::from(error).in_file(config))?;
        let identity = Identity::read(&settings.identity.key)?;
        let roster = aligning(alignment.parties(), &settings, &identity, config)?;
        let least = settings.limits.least_rows;
        if alignment.terms().least < least {
            let what = format!(
                "least is {}, and limits.least_rows of this node is {least}",
                alignment.terms().least
            );
            return Err(Failure::new(Exit::Configuration, what).in_file(path).advise(
                "agree with the other parties on a larger least, or lower limits.least_rows in party.toml if \
                 they may learn so small a list",
            ));
        }
        let data = own_data(&settings, config)?.from;
        out.map_or(Ok(()), check_writable)?;
        let ids = read_ids(&alignment, &data)?;
        let most = alignment.terms().bounds[roster.me.index()];
        if ids.len() as u64 > most {
            let what = format!("there are {} ids, and the alignment allows {most} here", ids.len());
            return Err(Failure::new(Exit::LocalInput, what)
                .in_file(&data.path)
                .advise("agree with the other parties on a larger number in `most`"));
        }
        let _state = State::lock(&settings.state, &identity)?;
        let order = Order::of(_state.directory(), alignment.name(), &identity);
        let folder = order.folder();
        make_private(folder).and_then(|()| remove_leftovers(folder)).map_err(|error| {
            let what = format!("the folder of the alignment cannot be used: {error}");
            Failure::new(Exit::Configuration, what).in_file(folder)
        })?;
        let out = out.map(Path::to_owned);
        Ok(Self { alignment, settings, identity, roster, data, ids, out, order, _state })
    }

    /// What this party should look at before it meets the others.
    #[must_use]
    pub fn report(&self) -> Report {
        self.ids.report(&self.alignment, &self.data.path)
    }

    fn receipt(&self) -> PathBuf {
        self.order.folder().join("receipt.json")
    }

    /// The end of an alignment that was made before: its order is kept, and the rows of the file that
    /// is there now are written in it.
    ///
    /// # Errors
    /// When it was made and there is nothing to write, or the file lacks one of the records.
    pub fn done_before(&self) -> Result<Option<Report>, Failure> {
        let Some(kept) = self.order.open()? else { return Ok(None) };
        let records = self.ids.find(&kept.ids, &self.data.path)?;
        if self.out.is_none() {
            return Err(exists(&self.order.path()).advise(
                "these records were aligned before; give --out FILE to have this party's rows in the order of \
                 then, or align anew under another title",
            ));
        }
        self.write_rows(&records)?;
        Ok(Some(self.written(records.len(), None)))
    }

    /// Meets the others and aligns. `events` hears what happens, and `stop` ends it.
    ///
    /// # Errors
    /// What went wrong, for a person; the peers were told the class of it.
    pub async fn run(self, events: &Events, stop: &mut StopSignal) -> Result<Report, Failure> {
        let context = bound("alignment and roster", self.alignment.name().as_bytes(), &self.roster);
        let options = join_options(&self.settings, context);
        let (title, digest) =
            (self.alignment.title().to_owned(), self.alignment.name().to_string());
        events(Event::Alignment { title, digest });
        let observer = join_observer(events);
        let stopped = async { stop.stopped().await.into() };
        let key = self.identity.key();
        let transport = join_until(key, &self.roster, &options, &observer, stopped).await?;
        transport.tell_of_work();
        let keys = self.roster.nodes.iter().map(|node| node.key).collect();
        let options = SessionOptions::new(self.roster.nodes.len(), context)
            .outputs(outputs())
            .signatory(Arc::new(Keys::new(&self.identity, keys)));
        let started = now();
        let mut phases = Phases::begin(events);
        let (mut session, linger) = establish(transport, options, stop).await?;
        let worked = stop.until(self.work(&mut session, &mut phases)).await;
        let worked = worked.unwrap_or_else(|stopped| Err(stopped.into()));
        phases.close();
        let phases = phases.receipts(&session);
        let told = worked.and_then(|aligned| self.keep(aligned, &session, started, &phases));
        match told {
            Ok(report) => {
                let end =
                    stop.until(session.finish_within(self.settings.network.silence_timeout)).await;
                if let Ok(Err(error)) = end {
                    events(Event::Note(format!("{error}; the result here is complete")));
                }
                Ok(report)
            }
            Err(failure) => {
                if failure.seen_by_all {
                    refuse_together(&mut session).await;
                }
                give_up(&session, linger, &failure).await;
                Err(failure)
            }
        }
    }

    async fn work(&self, session: &mut Session, phases: &mut Phases) -> Result<Aligned, Failure> {
        phases.enter("alignment", session);
        session.agree("encoding of the test ids", &self.alignment.encoded_test_ids()).await?;
        Ok(align(self.ids.iter(), self.alignment.terms(), session).await?)
    }

    /// Keeps the order, writes rows and receipt.
    fn keep(
        &self,
        aligned: Aligned,
        session: &Session,
        started: u64,
        phases: &BTreeMap<String, PhaseReceipt>,
    ) -> Result<Report, Failure> {
        let Aligned::Records(records) = aligned else { return Err(self.too_few()) };
        let receipt = json!({
            "format": "mpc-alignment",
            "version": 1,
            "party": self.settings.identity.name,
            "program": env!("CARGO_PKG_VERSION"),
            "title": self.alignment.title(),
            "alignment": self.alignment.name().to_string(),
            "session": hex(&session.id()),
            "nodes": self.roster.nodes.iter().map(|node| (&node.name, node.key.to_string())).collect::<Vec<_>>(),
            "most": self.alignment.terms().bounds,
            "least": self.alignment.terms().least,
            "records": records.len(),
            "started": started,
            "phases": phases,
        });
        let ids = self.ids.chosen(&records);
        self.order.keep(session.id(), &self.alignment, &ids)?;
        // One that was aligned, failed to keep the order and comes again has a receipt already.
        if !self.receipt().exists() {
            create(&self.receipt(), format!("{receipt:#}").as_bytes())?;
        }
        self.write_rows(&records)?;
        Ok(self.written(records.len(), Some(phases)))
    }

    fn too_few(&self) -> Failure {
        let least = self.alignment.terms().least;
        let what = format!("fewer than {least} records are common to all parties");
        let failure = Failure { seen_by_all: true, ..Failure::new(Exit::Configuration, what) };
        failure.advise(
            "nothing else was told to anybody but the party with the fewest ids; compare how the ids are \
             written (`party align --check` at every party), or agree on a smaller least",
        )
    }

    fn write_rows(&self, records: &[usize]) -> Result<(), Failure> {
        let Some(out) = &self.out else { return Ok(()) };
        self.ids.write(records, &self.alignment, &self.data, out)
    }

    /// The end, for people and machines.
    fn written(&self, records: usize, phases: Option<&BTreeMap<String, PhaseReceipt>>) -> Report {
        let parties = self.alignment.parties().len();
        let mut text = format!(
            "{}\n  {records} records are common to all {parties} parties, of {} ids here\n",
            self.alignment.title(),
            self.ids.len()
        );
        text += &format!("  {}\n", self.alignment.name());
        match &self.out {
            Some(out) => text += &format!("Rows:    {}\n", out.display()),
            None => text += "The order is kept; --out FILE writes this party's rows in it.\n",
        }
        text += &format!("Receipt: {}\n", self.receipt().display());
        text += &phases.map(|phases| phases["total"].told()).unwrap_or_default();
        let json = json!({
            "title": self.alignment.title(),
            "alignment": self.alignment.name().to_string(),
            "records": records,
            "ids": self.ids.len(),
            "rows": self.out,
            "receipt": self.receipt(),
            "phases": phases,
        });
        Report { text, json }
    }
}
