//! A party's way through a study, from its file to the model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mpc_core::correlations::CorrelationSource;
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::protocols::fit::Weighting;
use mpc_core::{Outputs, Recipients, Session, SessionOptions, Tag};
use mpc_ml::artifact::{Model, ModelParts, SecurityRecord, SigmoidRecord, TrainingRecord};
use mpc_ml::data::{Encoded, Standardisation, encode};
use mpc_ml::solvers::sgd::{self, COEFFICIENTS, Training};
use mpc_ml::{Rows, SgdPlan, SgdSettings, plaintext, standardise};
use mpc_net::quic::{JoinOptions, Roster, join};
use serde_json::json;

use super::progress::Progress;
use super::receipt::now;
use super::{
    PhaseReceipt, Receipt, Revealed, StudyFolder, abort_for, context, link_settings, observer, say,
    until_stopped,
};
use crate::data_file::{DataFile, ReadOptions, read};
use crate::exit::{Exit, Failure};
use crate::identity::Identity;
use crate::output::{Report, create};
use crate::settings::{Overrides, Settings};
use crate::study::{Correlations, SigmoidFit, Study};

const ROWS: Tag = Tag::new("study/rows");

/// How long the last packets may take to reach the peers after a failure.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A party that is ready to take part: everything that it can check alone is checked.
pub struct Participant {
    study: Study,
    settings: Settings,
    identity: Identity,
    roster: Roster,
    data: DataFile,
    folder: StudyFolder,
    out: Option<PathBuf>,
}

/// What a run came to.
pub struct Finished {
    /// The model, for those who receive it.
    pub model: Option<Model>,
    /// The account of the run.
    pub receipt: Receipt,
    /// Where the files are.
    pub folder: StudyFolder,
    /// What concerns this party alone.
    pub own_warnings: Vec<String>,
}

/// What is known when the coefficients are revealed.
struct Outcome {
    plan: SgdPlan,
    standardisation: Vec<Standardisation>,
    coefficients: Option<Vec<f64>>,
    own_warnings: Vec<String>,
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
        let study =
            Study::read(study_path).map_err(|error| Failure::from(error).in_file(study_path))?;
        let settings = Settings::read(config, overrides)
            .map_err(|error| Failure::from(error).in_file(config))?;
        let identity = Identity::read(&settings.identity.key)?;
        let roster = super::mesh::roster(&study, &settings, &identity, config)?;
        let source = settings.data.as_ref().ok_or_else(|| {
            Failure::new(Exit::Configuration, "party.toml names no data")
                .in_file(config)
                .advise("add [data] with a path, or give --data FILE")
        })?;
        let options =
            ReadOptions { id_column: source.id_column.clone(), with_target: true, show_values };
        let data = read(&source.path, study.schema(), &options)?;
        let folder = StudyFolder::of(&settings.state, study.digest());
        if let Some(out) = out {
            StudyFolder::refuse_existing(out)?;
        }
        folder.open()?;
        StudyFolder::refuse_existing(&folder.model())?;
        StudyFolder::refuse_existing(&folder.receipt())?;
        let out = out.map(Path::to_owned);
        Ok(Self { study, settings, identity, roster, data, folder, out })
    }

    /// Meets the others, runs the study with them, and writes the model and the receipt.
    ///
    /// # Errors
    /// What went wrong, for a person; the peers were told the class of it.
    pub async fn run(self) -> Result<Finished, Failure> {
        let context = context(&self.study, &self.roster);
        let mut options = JoinOptions::new(self.settings.network.listen, context);
        options.join_timeout = self.settings.network.join_timeout;
        options.silence_timeout = self.settings.network.silence_timeout;
        options.link = link_settings(&self.settings);
        say(&format!("{} ({})", self.study.title(), self.study.digest()));

        let key = self.identity.key();
        let transport = until_stopped(join(key, &self.roster, &options, &observer())).await??;
        let linger = transport.linger();
        let outputs = self.outputs();
        let session_options =
            SessionOptions { parties: self.study.parties().len(), context, outputs };
        let started = (now(), Instant::now());
        let mut clock = BTreeMap::new();

        let mut session =
            until_stopped(Session::establish(Box::new(transport), session_options)).await??;
        session.record_releases(Box::new(self.folder.clone()));
        let worked = match until_stopped(self.work(&mut session, &mut clock)).await {
            Ok(result) => result,
            Err(stopped) => Err(stopped.into()),
        };
        let outcome = match worked {
            Ok(outcome) => outcome,
            Err(failure) => {
                session.abort(abort_for(&failure));
                linger.wait(LAST_WORDS).await;
                return Err(failure);
            }
        };
        clock.insert("total", started.1.elapsed().as_secs_f64());
        let finished = self.write(outcome, &session, started.0, &clock)?;
        // The result is safe; a peer that goes now takes nothing away.
        if let Err(error) = until_stopped(session.finish()).await? {
            say(&format!("note: {error}; the result here is complete"));
        }
        Ok(finished)
    }

    fn outputs(&self) -> Outputs {
        let receives = |party: &_| self.study.output().model.contains(party);
        let among = self.study.parties().iter().enumerate();
        let bits = among.filter(|(_, party)| receives(party)).fold(0, |bits, (i, _)| bits | 1 << i);
        standardise::allow(Outputs::none()).allow(COEFFICIENTS, Recipients::Among(bits))
    }

    /// Everything between the first and the last message of the study.
    async fn work(
        &self,
        session: &mut Session,
        clock: &mut BTreeMap<&'static str, f64>,
    ) -> Result<Outcome, Failure> {
        // The number of rows of each party is public.
        session.meter().enter("standardisation");
        let begin = Instant::now();
        let own_rows = self.data.table.rows() as u64;
        let rows = session.announce(ROWS, &own_rows.to_le_bytes()).await?;
        let rows: Vec<u64> = rows
            .iter()
            .map(|bytes| u64::from_le_bytes(bytes.as_slice().try_into().unwrap_or_default()))
            .collect();
        let plan = SgdPlan::new(sgd_settings(&self.study, rows.clone())?)?;
        // Before anything is revealed, all must mean the same computation.
        session.agree("plan", plan.canonical().as_bytes()).await?;
        let columns = self.data.table.joint_columns();
        if !columns.is_empty() {
            self.folder.bind_statistics(&columns, self.data.table.rows())?;
        }
        let standardisation = standardise::joint(&columns, rows.iter().sum(), session).await?;
        let clip = self.study.model().clip;
        let encoded = encode(&self.data.table, &standardisation, clip)
            .map_err(|error| Failure::new(Exit::Configuration, error.to_string()))?;
        clock.insert("standardisation", begin.elapsed().as_secs_f64());

        session.meter().enter("preparation");
        let begin = Instant::now();
        let me = session.me();
        let mut own_warnings = clip_warning(&encoded, clip);
        let own = rows_of(&encoded).ordered(&plan.schedule().own_order(me));
        let mut source = start_source(self.study.security().correlations, session)?;
        let training = Training::begin(&plan, &own, &mut *source, session).await?;
        clock.insert("preparation", begin.elapsed().as_secs_f64());

        session.meter().enter("training");
        let begin = Instant::now();
        let mut progress = Progress::new(plan.iterations(), "training");
        let weights =
            training.run(session, |done, production| progress.at(done, production)).await?;
        progress.finish();
        source.finish().await?;
        clock.insert("training", begin.elapsed().as_secs_f64());

        session.meter().enter("release");
        let begin = Instant::now();
        let coefficients = sgd::release(&plan, &weights, session).await?;
        clock.insert("release", begin.elapsed().as_secs_f64());
        if let Some(coefficients) = &coefficients {
            own_warnings.extend(window_warning(&plan, &own, coefficients));
        }
        Ok(Outcome { plan, standardisation, coefficients, own_warnings })
    }

    /// Writes model and receipt, the receipt last: where it is, everything is.
    fn write(
        &self,
        outcome: Outcome,
        session: &Session,
        started: u64,
        clock: &BTreeMap<&'static str, f64>,
    ) -> Result<Finished, Failure> {
        let model = match &outcome.coefficients {
            Some(coefficients) => Some(self.model(&outcome, coefficients)?),
            None => None,
        };
        if let Some(model) = &model {
            let text = model.to_json()?;
            create(&self.folder.model(), text.as_bytes())?;
            if let Some(out) = &self.out {
                create(out, text.as_bytes())?;
            }
        }
        let receipt = self.receipt(&outcome, session, started, clock);
        let text = serde_json::to_string_pretty(&receipt)
            .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
        create(&self.folder.receipt(), text.as_bytes())?;
        let folder = self.folder.clone();
        Ok(Finished { model, receipt, folder, own_warnings: outcome.own_warnings })
    }

    fn model(&self, outcome: &Outcome, coefficients: &[f64]) -> Result<Model, Failure> {
        let columns = self.study.schema().columns().len();
        let (plan, training) = (&outcome.plan, self.study.training());
        let rows: u64 = plan.settings().rows.iter().sum();
        Ok(Model::new(ModelParts {
            kind: self.study.model().kind,
            title: self.study.title().to_owned(),
            study: self.study.digest().to_string(),
            schema: self.study.schema().clone(),
            standardisation: outcome.standardisation.clone(),
            intercept: coefficients.get(columns).copied(),
            coefficients: coefficients[..columns].to_vec(),
            l2: self.study.model().l2,
            std_errors: None,
            training: TrainingRecord {
                solver: "sgd".to_owned(),
                epochs: training.epochs,
                batch: training.batch,
                iterations: plan.iterations(),
                rows_used: rows - plan.schedule().dropped(),
                rows_dropped: plan.schedule().dropped(),
                learning_rate: training.learning_rate,
                decay: training.decay,
                momentum: training.momentum,
                seed: training.seed,
                clip: self.study.model().clip,
                sigmoid: Some(SigmoidRecord {
                    window: training.sigmoid.window,
                    terms: training.sigmoid.terms,
                    fit: training.sigmoid.fit.to_string(),
                }),
                security: SecurityRecord {
                    parties: self.study.parties().iter().map(ToString::to_string).collect(),
                    correlations: self.study.security().correlations.to_string(),
                },
                release_bits: self.study.output().release_bits,
            },
        })?)
    }

    fn receipt(
        &self,
        outcome: &Outcome,
        session: &Session,
        started: u64,
        clock: &BTreeMap<&'static str, f64>,
    ) -> Receipt {
        let plan = &outcome.plan;
        let everybody: Vec<String> = self.study.parties().iter().map(ToString::to_string).collect();
        let mut revealed = Vec::new();
        if !outcome.standardisation.is_empty() {
            for what in [standardise::MEANS, standardise::DEVIATIONS] {
                revealed.push(Revealed { what: what.to_owned(), to: everybody.clone() });
            }
        }
        let to = self.study.output().model.iter().map(ToString::to_string).collect();
        revealed.push(Revealed { what: COEFFICIENTS.to_owned(), to });
        let mut phases: BTreeMap<String, PhaseReceipt> = session
            .meter()
            .totals()
            .iter()
            .map(|(name, totals)| {
                let seconds = clock.get(name.as_str()).copied().unwrap_or_default();
                (name.clone(), PhaseReceipt::new(totals, seconds))
            })
            .collect();
        let mut total = PhaseReceipt::default();
        for phase in phases.values() {
            total.rounds += phase.rounds;
            total.bytes_sent += phase.bytes_sent;
            total.bytes_received += phase.bytes_received;
        }
        total.seconds = clock.get("total").copied().unwrap_or_default();
        phases.insert("total".to_owned(), total);
        Receipt {
            format: "mpc-receipt",
            version: 1,
            party: self.settings.identity.name.to_string(),
            program: env!("CARGO_PKG_VERSION"),
            title: self.study.title().to_owned(),
            study: self.study.digest().to_string(),
            session: session.id().iter().map(|byte| format!("{byte:02x}")).collect(),
            nodes: self
                .roster
                .nodes
                .iter()
                .map(|node| (node.name.clone(), node.key.to_string()))
                .collect(),
            correlations: self.study.security().correlations.to_string(),
            rows: plan.settings().rows.clone(),
            rows_dropped: plan.schedule().dropped(),
            iterations: plan.iterations(),
            statistical_security_bits: plan.sigma(),
            sigmoid_error: (plan.sigmoid().error_near, plan.sigmoid().error_window),
            revealed,
            started,
            phases,
        }
    }
}

/// Starts the making of correlations where the study says.
fn start_source(
    correlations: Correlations,
    session: &mut Session,
) -> Result<Box<dyn CorrelationSource>, Failure> {
    Ok(match correlations {
        Correlations::Pairwise => Box::new(PairwiseSource::start(session, Expansion::Fast)?),
        Correlations::Dealer => Box::new(DealerSource::start(session)?),
    })
}

/// The settings of the training that a study describes, for parties with these numbers of rows.
///
/// # Errors
/// When the study has too many columns.
pub fn sgd_settings(study: &Study, rows: Vec<u64>) -> Result<SgdSettings, Failure> {
    let (model, training) = (study.model(), study.training());
    let columns = study.schema().columns().len();
    let columns = u32::try_from(columns)
        .map_err(|_| Failure::new(Exit::Configuration, "the study has too many columns"))?;
    Ok(SgdSettings {
        origin: study.security().correlations.origin(),
        rows,
        columns,
        intercept: model.intercept,
        l2: model.l2,
        clip: model.clip,
        epochs: training.epochs.into(),
        batch: training.batch.into(),
        learning_rate: training.learning_rate,
        decay: training.decay,
        momentum: training.momentum,
        seed: training.seed,
        window: training.sigmoid.window.ilog2(),
        terms: training.sigmoid.terms,
        weighting: match training.sigmoid.fit {
            SigmoidFit::Weighted => Weighting::Weighted,
            SigmoidFit::Plain => Weighting::Plain,
        },
        release_fraction: study.output().release_bits,
    })
}

/// Encoded rows as a model takes them.
#[must_use]
pub fn rows_of(encoded: &Encoded) -> Rows {
    Rows::new(encoded.x.iter().copied().collect(), encoded.y.clone(), encoded.columns.len())
}

/// Clip counts stay at their party.
fn clip_warning(encoded: &Encoded, clip: f64) -> Vec<String> {
    if encoded.clipped == 0 {
        return Vec::new();
    }
    vec![format!(
        "{} of this party's encoded values were cut to +-{clip} (model.clip)",
        encoded.clipped
    )]
}

/// Outside its window the sigmoid bends back; only the owner of a row may know that it left.
fn window_warning(plan: &SgdPlan, own: &Rows, coefficients: &[f64]) -> Vec<String> {
    let edge = libm::ldexp(1.0, plan.settings().window as i32 - 2);
    let outside = (0..own.len())
        .filter(|&row| plaintext::score(coefficients, own.row(row)).abs() > edge)
        .count();
    if outside == 0 {
        return Vec::new();
    }
    vec![format!(
        "{outside} of this party's {} rows have scores beyond +-{edge}, where the sigmoid of this \
         study is not exact: use a larger training.sigmoid.window",
        own.len()
    )]
}

impl Finished {
    /// The end of a run, for people and machines.
    #[must_use]
    pub fn report(&self) -> Report {
        let total = &self.receipt.phases["total"];
        let mut text = format!(
            "{}\n  {} rows of {} parties, {} steps, {} left out of the last batch\n",
            self.receipt.title,
            self.receipt.rows.iter().sum::<u64>(),
            self.receipt.rows.len(),
            self.receipt.iterations,
            self.receipt.rows_dropped,
        );
        if let Some(model) = &self.model {
            text += &table(model);
            text += &format!("Model:   {}\n", self.folder.model().display());
        } else {
            text += "The study names other parties as recipients of the model.\n";
        }
        text += &format!("Receipt: {}\n", self.folder.receipt().display());
        text += &format!(
            "Took {:.2} s and {} rounds; this node sent {:.2} MB.\n",
            total.seconds,
            total.rounds,
            total.bytes_sent as f64 / 1e6
        );
        for warning in &self.own_warnings {
            text += &format!("warning (told to nobody else): {warning}\n");
        }
        let json = json!({
            "title": self.receipt.title,
            "study": self.receipt.study,
            "model": self.model.as_ref().map(|_| self.folder.model()),
            "receipt": self.folder.receipt(),
            "iterations": self.receipt.iterations,
            "rows": self.receipt.rows,
            "rows_dropped": self.receipt.rows_dropped,
            "phases": self.receipt.phases,
            "warnings": self.own_warnings,
        });
        Report { text, json }
    }
}

/// The coefficients, on the scale of the files and on the common one.
fn table(model: &Model) -> String {
    let (original, standardised) = (model.original(), model.standardised());
    let width = original.coefficients.names().map(str::len).max().unwrap_or(0).max(11);
    let mut text = format!("\n  {:width$}  {:>14}  {:>14}\n", "", "coefficient", "standardised");
    let mut line = |name: &str, own: f64, common: f64| {
        text += &format!("  {name:width$}  {own:>14.6}  {common:>14.6}\n");
    };
    line("(intercept)", original.intercept, standardised.intercept);
    for ((name, own), common) in
        original.coefficients.iter().zip(standardised.coefficients.values())
    {
        line(name, own, common);
    }
    text.push('\n');
    text
}
