//! A linear regression from the parties' files to the model, phase by phase. What a node does
//! alone, it does while the others wait, beside its floor on the same rows.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{
    Correlation, CorrelationSource, Origin, OwnedMatrix, Production, Request,
};
use mpc_core::{Recipients, Session, SessionOptions};
use mpc_ml::data::{
    Dataset, Feature, FeatureKind, Numeric, NumericMissing, NumericTarget, Scaling, Schema, Target,
    encode,
};
use mpc_ml::model::{Facts, Run as Fitting, ledger};
use mpc_ml::models::linear::{Linear, LinearFit, solve, sums};
use mpc_ml::{Agreed, LinearPlan, LinearSettings, Model, Plan, standardise};
use mpc_net::{BoxFuture, Transport};
use parties::data_file::{ReadOptions, Source, read};
use parties::identity::Identity;
use parties::node::{BoundRows, State, StudyFolder};
use parties::study::StudyDigest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Outcome;
use crate::figures::median;
use crate::mesh::{self, Nodes, barrier, meet};
use crate::shapes::Part;
use crate::usage::{Since, forget_memory, memory_mb};

/// Magnitude of the features.
const RANGE: f64 = 5.0;
/// Magnitude of what the features do not explain.
const NOISE: f64 = 3.0;

/// A regression to measure.
#[derive(Clone, Copy)]
pub struct Shape {
    name: &'static str,
    rows: usize,
    columns: usize,
    parties: usize,
    runs: usize,
}

const LARGE: Shape = Shape { name: "linear", rows: 1_000_000, columns: 50, parties: 3, runs: 3 };
const SMOKE: Shape = Shape { name: "smoke, linear", rows: 3_000, columns: 10, parties: 3, runs: 1 };

/// The regression of these parts, or that of a smoke run.
pub fn of(smoke: bool, parts: &[Part]) -> Option<Shape> {
    if smoke { Some(SMOKE) } else { parts.contains(&Part::Linear).then_some(LARGE) }
}

/// The regression of this name.
pub fn find(name: &str) -> Outcome<Shape> {
    let shape = [LARGE, SMOKE].into_iter().find(|shape| shape.name == name);
    shape.ok_or_else(|| format!("there is no regression called {name}").into())
}

/// What a node has to tell.
#[derive(Serialize, Deserialize)]
struct Report {
    runs: Vec<Run>,
    memory_mb: Option<f64>,
    file_mb: f64,
}

/// One run at one node: seconds, of phases that a node goes through alone those of the processor.
#[derive(Serialize, Deserialize)]
struct Run {
    /// From the file to a table.
    reading: f64,
    /// The file taken apart and its cells made numbers, nothing kept.
    reading_floor: f64,
    /// Processor time for the joint means and deviations, and the digest of what went into them.
    standardising: f64,
    encoding: f64,
    /// Exact sums of products.
    product: f64,
    /// X^T X of the encoded rows in the clear.
    product_floor: f64,
    /// From the sums to the model: preparation and rounds, all parties together.
    protocol: f64,
    /// Processor time of the same.
    protocol_cpu: f64,
    rounds: u64,
    sent: u64,
    /// The largest distance of a coefficient from the law of the data, in standard errors.
    distance: f64,
}

/// One of the figures of a run.
type Figure = fn(&Run) -> f64;

impl Shape {
    fn mesh(&self) -> Nodes {
        let role = ["--linear", self.name];
        Nodes { role, parties: self.parties, dealer: false, line: None }
    }

    fn rows_of(&self, party: usize) -> usize {
        self.rows / self.parties + usize::from(party < self.rows % self.parties)
    }

    /// The law of the data.
    fn coefficients(&self) -> Vec<f64> {
        (0..self.columns).map(|j| ((j % 7) as f64 - 3.0) / 4.0).collect()
    }

    fn target_range(&self) -> f64 {
        let sum: f64 = self.coefficients().iter().map(|w| w.abs()).sum();
        RANGE * sum + NOISE + 1.0
    }

    fn schema(&self) -> Outcome<Schema> {
        let features = (0..self.columns).map(|j| {
            let kind = FeatureKind::Numeric(Numeric {
                range: Some((-RANGE, RANGE)),
                missing: NumericMissing::Refuse,
                indicator: false,
                scale: Scaling::Joint,
            });
            Feature { name: format!("x{j}"), kind }
        });
        let range = Some((-self.target_range(), self.target_range()));
        let target = Target::Numeric(NumericTarget { column: "y".to_owned(), range });
        Ok(Schema::new(features.collect(), target)?)
    }

    fn plan(&self, schema: &Schema) -> Outcome<LinearPlan> {
        let clip = 8.0;
        let rows: Vec<u64> = (0..self.parties).map(|party| self.rows_of(party) as u64).collect();
        let settings = LinearSettings {
            intercept: true,
            l2: 0.0,
            clip,
            condition: Some(10.0),
            release_bits: 20,
            inference: true,
            ..LinearSettings::default()
        };
        let facts = Facts::of(schema, clip, &rows, Recipients::All, Origin::Pairwise);
        Ok(LinearPlan::new(&settings, &facts)?)
    }

    /// Writes the file of a party: uniform features with four digits.
    fn write(&self, party: usize, path: &Path) -> Outcome<()> {
        let mut state = party as u64;
        let mut uniform = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        let law = self.coefficients();
        let mut file = BufWriter::new(File::create(path)?);
        for j in 0..self.columns {
            write!(file, "x{j},")?;
        }
        writeln!(file, "y")?;
        for _ in 0..self.rows_of(party) {
            let mut y = NOISE * uniform();
            for w in &law {
                let x = RANGE * uniform();
                y += w * x;
                write!(file, "{x:.4},")?;
            }
            writeln!(file, "{y:.4}")?;
        }
        Ok(file.flush()?)
    }
}

/// One node.
pub async fn run(shape: &Shape, me: usize, folder: &Path) -> Outcome<()> {
    let path = folder.join(format!("{me}.csv"));
    shape.write(me, &path)?;
    let root = meet(&shape.mesh(), me, folder).await?;
    forget_memory();
    let (mut runs, mut memory) = (Vec::new(), None);
    for run in 0..shape.runs {
        let turns = root.fork(&format!("turns {run}"))?;
        let channel = root.fork(&format!("run {run}"))?;
        runs.push(Node { shape, me, path: path.clone(), turns }.run(channel).await?);
        // A node has one run; in a second one the memory that the first gave back is in pieces.
        memory = memory.or_else(memory_mb);
    }
    let file_mb = fs::metadata(&path)?.len() as f64 / 1e6;
    root.finish().await?;
    println!("{}", serde_json::to_string(&Report { runs, memory_mb: memory, file_mb })?);
    Ok(())
}

struct Node<'a> {
    shape: &'a Shape,
    me: usize,
    path: PathBuf,
    /// Who works alone is agreed on here.
    turns: Box<dyn Transport>,
}

impl Node<'_> {
    /// Works when the others wait.
    async fn alone<T>(&self, work: impl AsyncFnOnce() -> Outcome<T>) -> Outcome<T> {
        let mut work = Some(work);
        let mut done = None;
        for turn in 0..self.shape.parties {
            barrier(&*self.turns).await?;
            if let Some(work) = work.take_if(|_| turn == self.me) {
                done = Some(work().await?);
            }
        }
        barrier(&*self.turns).await?;
        done.ok_or_else(|| "it was never this node's turn".into())
    }

    async fn run(&self, channel: Box<dyn Transport>) -> Outcome<Run> {
        let schema = self.shape.schema()?;
        let options = ReadOptions { with_target: true, ..ReadOptions::default() };
        let (table, reading, reading_floor) = self
            .alone(async || {
                let reading_floor = seconds(|| parse_only(&self.path))?.1;
                let (file, reading) =
                    seconds(|| Ok(read(&Source::file(&self.path), &schema, &options)?))?;
                Ok((file.table, reading, reading_floor))
            })
            .await?;

        let plan = self.shape.plan(&schema)?;
        let parties = self.shape.parties;
        let names: Vec<String> = schema.columns();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut outputs = standardise::outputs(&names, parties);
        outputs.extend(plan.outputs());
        let outputs = ledger(&outputs);
        let options = SessionOptions::new(parties, [1; 32]).outputs(outputs);
        let mut session = Session::establish(channel, options).await?;
        let plan = Agreed::among(plan, &mut session).await?;
        let since = Since::now(session.meter())?;
        let columns = table.joint_columns();
        let digest = StudyDigest::of(self.path.to_string_lossy().as_bytes());
        // Apart from the key that the node is known by; made in the first run.
        let sealing = self.path.with_extension("seal");
        let key = Identity::read(&sealing).or_else(|_| Identity::create(&sealing))?;
        let memory = self.path.with_extension("state");
        let state = State::lock(&memory, &key).map_err(|failure| failure.what)?;
        let own = StudyFolder::of(&state, digest, &key);
        own.open(true).map_err(|failure| failure.what)?;
        own.bind_rows(&BoundRows::new(&table)).map_err(|failure| failure.what)?;
        let statistics = standardise::joint(&columns, plan.total_rows(), &mut session).await?;
        let standardising = since.used(session.meter())?.cpu;

        let mut source = Later {
            source: Box::new(PairwiseSource::start(&mut session, Expansion::Fast)?),
            requests: Vec::new(),
        };
        let (data, encoding, product_floor) = self
            .alone(async || {
                let clip = plan.settings().clip;
                let (encoded, encoding) = seconds(|| Ok(encode(&table, &statistics, clip)?))?;
                let product_floor = seconds(|| Ok(black_box(encoded.x.t().dot(&encoded.x))))?.1;
                Ok((Dataset::encoded(encoded)?, encoding, product_floor))
            })
            .await?;
        drop(columns);
        drop(table);
        source.demand(plan.requests())?;
        let (own, product) = self
            .alone(async || {
                let begin = Instant::now();
                let own = sums(&plan, &data, self.me).await?;
                Ok((own, begin.elapsed().as_secs_f64()))
            })
            .await?;

        let since = Since::now(session.meter())?;
        source.order()?;
        let (source, progress) = (&mut source, &mut |_| {});
        let mut run = Fitting { session: &mut session, source, progress };
        let shares = solve(&plan, own, &mut run).await?;
        let fit = Linear::release(&plan, shares, &data, &mut run).await?.ok_or("no model")?;
        let used = since.used(run.session.meter())?;
        run.source.finish().await?;
        let stds: Vec<f64> = statistics.iter().map(|column| column.std).collect();
        Ok(Run {
            reading,
            reading_floor,
            standardising,
            encoding,
            product,
            product_floor,
            protocol: used.seconds,
            protocol_cpu: used.cpu,
            rounds: used.rounds.values().copied().max().unwrap_or(0),
            sent: used.sent.values().flatten().sum(),
            distance: self.distance(&fit, &stds)?,
        })
    }

    /// How far the model is from the law of the data, in standard errors: about the largest of as
    /// many normal numbers as there are columns.
    fn distance(&self, fit: &LinearFit, stds: &[f64]) -> Outcome<f64> {
        let errors = fit.std_errors.as_ref().ok_or("no standard errors")?;
        let law = self.shape.coefficients();
        let all = fit.coefficients.iter().zip(errors).zip(law.iter().zip(stds));
        let off = all.map(|((got, error), (law, std))| ((got - law * std) / error).abs());
        let distance = off.fold(0.0, f64::max);
        if distance.is_finite() && distance < 6.0 {
            return Ok(distance);
        }
        Err(format!("a coefficient is {distance} standard errors from the law of the data").into())
    }
}

fn seconds<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(T, f64)> {
    let begin = Instant::now();
    let done = work()?;
    Ok((done, begin.elapsed().as_secs_f64()))
}

/// The floor of reading: what the libraries take for the cells alone.
fn parse_only(path: &Path) -> Outcome<()> {
    let mut reader = csv::Reader::from_reader(File::open(path)?);
    let mut record = csv::ByteRecord::new();
    let mut sum = 0.0;
    while reader.read_byte_record(&mut record)? {
        for cell in &record {
            sum += std::str::from_utf8(cell)?.parse::<f64>()?;
        }
    }
    black_box(sum);
    Ok(())
}

/// A source that orders when it is told to, so that nothing runs beside what is measured.
struct Later {
    source: Box<dyn CorrelationSource>,
    requests: Vec<Request>,
}

impl Later {
    fn order(&mut self) -> Result<(), mpc_core::Error> {
        self.source.demand(std::mem::take(&mut self.requests))
    }
}

impl CorrelationSource for Later {
    fn register(&mut self, matrix: OwnedMatrix) -> BoxFuture<'_, Result<u32, mpc_core::Error>> {
        self.source.register(matrix)
    }

    fn demand(&mut self, requests: Vec<Request>) -> Result<(), mpc_core::Error> {
        self.requests.extend(requests);
        Ok(())
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, mpc_core::Error>> {
        self.source.take()
    }

    fn production(&self) -> Production {
        self.source.production()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), mpc_core::Error>> {
        self.source.finish()
    }
}

/// Runs the regression and works out its figures: of what a node does alone the sum over the
/// parties, of the protocol the slowest node; of several runs, the median.
pub fn figures(shape: &Shape) -> Outcome<Value> {
    let (reports, _): (Vec<Report>, u64) = mesh::run(&shape.mesh())?;
    let mut figures = Map::new();
    let Shape { name, rows, columns, parties, .. } = shape;
    let mut put = |name: &str, value: Value| figures.insert(name.to_owned(), value);
    put("title", json!(format!("{name}: {rows} x {columns}, {parties} parties, files to model")));
    let over_runs = |of: &dyn Fn(usize) -> f64| median((0..shape.runs).map(of).collect());
    let sum = |run: usize, of: Figure| -> f64 {
        reports.iter().filter_map(|report| report.runs.get(run)).map(of).sum()
    };
    let most = |run: usize, of: Figure| -> f64 {
        let all = reports.iter().filter_map(|report| report.runs.get(run)).map(of);
        all.fold(0.0, f64::max)
    };
    let sums: [(&str, Figure); 7] = [
        ("reading_s", |run| run.reading),
        ("reading_floor_s", |run| run.reading_floor),
        ("standardising_s", |run| run.standardising),
        ("encoding_s", |run| run.encoding),
        ("product_s", |run| run.product),
        ("product_floor_s", |run| run.product_floor),
        ("protocol_cpu_s", |run| run.protocol_cpu),
    ];
    for (name, of) in sums {
        put(name, json!(over_runs(&|run| sum(run, of))));
    }
    let ratios: [(&str, Figure, Figure); 2] = [
        ("reading_over_floor", |run| run.reading, |run| run.reading_floor),
        ("product_over_floor", |run| run.product, |run| run.product_floor),
    ];
    for (name, of, floor) in ratios {
        put(name, json!(over_runs(&|run| sum(run, of) / sum(run, floor))));
    }
    put("protocol_s", json!(over_runs(&|run| most(run, |run| run.protocol))));
    put("rounds", json!(most(0, |run| run.rounds as f64)));
    put("protocol_mb", json!(over_runs(&|run| most(run, |run| run.sent as f64 / 1e6))));
    put("distance", json!(most(0, |run| run.distance)));
    put("memory_mb", json!(reports.iter().map(|report| report.memory_mb).collect::<Vec<_>>()));
    put("file_mb", json!(reports.iter().map(|report| report.file_mb).collect::<Vec<_>>()));
    Ok(Value::Object(figures))
}
