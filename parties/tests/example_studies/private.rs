//! Fits of the example studies with differential privacy, by parties with sessions of their own, beside the simulation from which the figures of
//! docs/privacy.md are.

use std::sync::Arc;
use std::time::Instant;

use mpc_core::correlations::Origin;
use mpc_core::noise::NoiseStream;
use mpc_core::rand::{Coins, Master, Seed};
use mpc_core::testing::{self, World};
use mpc_ml::artifact::ModelKind;
use mpc_ml::data::{Dataset, Table, encode};
use mpc_ml::metrics::{CountScores, NumberScores, Scores};
use mpc_ml::model::{Facts, Run, ledger};
use mpc_ml::models::private::{Private, PrivateSettings, plaintext};
use mpc_ml::{Agreed, Model as _, Plan as _};
use parties::study::Study;

use super::{data, rows};

const EPSILONS: [f64; 3] = [1.0, 3.0, 8.0];

/// Rows and rounds of a study's fit, what it takes, and how well it predicts.
struct Measured<'a> {
    study: &'a Study,
    parties: Vec<Dataset>,
    test: Table,
}

impl Measured<'_> {
    fn metric(&self, model: &[f64]) -> f64 {
        let (intercept, weights) = model.split_last().unwrap();
        let x = encode(&self.test, &[], 1.0).unwrap().x;
        let kind = self.study.kind();
        let score = |row: usize| {
            intercept + x.row(row).iter().zip(weights).map(|(x, w)| x * w).sum::<f64>()
        };
        let predictions: Vec<f64> = (0..x.nrows()).map(|row| kind.prediction(score(row))).collect();
        let outcomes = self.test.target().unwrap();
        match kind {
            ModelKind::Logistic => Scores::new(&predictions, outcomes).unwrap().auc.unwrap(),
            ModelKind::Linear => NumberScores::new(&predictions, outcomes).unwrap().r2.unwrap(),
            _ => {
                let scores = CountScores::new(&predictions, outcomes).unwrap();
                1.0 - scores.mean_deviance / scores.null_mean_deviance
            }
        }
    }

    fn facts(&self) -> Facts {
        let counts: Vec<u64> = self.parties.iter().map(|party| party.len() as u64).collect();
        let (schema, recipients) = (self.study.schema(), self.study.recipients());
        Facts::of(schema, 1.0, &counts, recipients, Origin::Pairwise)
    }

    /// The model of parties that meet, each with its own coins; the rounds, bytes and seconds of a party.
    fn fitted(&self, settings: &PrivateSettings, run: u64) -> (Vec<f64>, u64, u64, f64) {
        let parties = self.parties.len();
        let facts = self.facts();
        let plan = Private::plan(settings, &facts).unwrap();
        let master = |party: usize| {
            let mut bytes = [0; Master::BYTES];
            bytes[..8].copy_from_slice(&run.to_le_bytes());
            bytes[8..16].copy_from_slice(&settings.epsilon.to_le_bytes());
            bytes[16] = party as u8;
            Arc::new(Master::from_bytes(&bytes))
        };
        let world = World::new(parties).outputs(ledger(&plan.outputs()));
        let world = world.masters((0..parties).map(master).collect());
        let ends = world.run(async |mut session| {
            let me = session.me();
            let plan = Private::plan(settings, &facts).unwrap();
            let plan = Agreed::among(plan, &mut session).await.unwrap();
            let mut source = testing::source(&mut session, Origin::Pairwise).unwrap();
            session.meter().enter("sums");
            let mut run =
                Run { session: &mut session, source: &mut *source, progress: &mut |_| {} };
            let start = Instant::now();
            let fitted = Private::fit(&plan, &self.parties[me], &mut run).await.unwrap();
            let model = Private::release(&plan, fitted, &self.parties[me], &mut run).await.unwrap();
            let seconds = start.elapsed().as_secs_f64();
            let spent = run.session.meter().phase("sums");
            let (rounds, sent) = (spent.rounds, spent.sent());
            run.source.finish().await.unwrap();
            (model.unwrap().coefficients, rounds, sent, seconds)
        });
        let first = ends[0].clone();
        assert!(ends.iter().all(|end| end.0 == first.0), "all have one model");
        first
    }

    /// The model of the same rule in one place.
    fn simulated(&self, settings: &PrivateSettings, run: u64) -> Vec<f64> {
        let plan = Private::plan(settings, &self.facts()).unwrap();
        let epsilon = settings.epsilon.to_le_bytes();
        let coins = |party: usize| {
            let parts = [&run.to_le_bytes()[..], &epsilon, &[party as u8]];
            Coins::of(Seed::from_secret("simulated", &parts))
        };
        let mut streams: Vec<NoiseStream> =
            (0..self.parties.len()).map(|party| NoiseStream::new(&mut coins(party))).collect();
        plaintext::fit(&plan, &self.parties, &mut streams).coefficients
    }
}

fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / (count - 1.0)).sqrt())
}

/// The coins are fixed, so this has one outcome.
#[test]
#[ignore = "minutes: nine times fifty fits and two hundred simulations"]
fn private_fits_agree_with_their_simulation() {
    for path in ["credit_status", "diabetes_progression", "doctor_visits_count"] {
        let path = format!("{path}/private.toml");
        let study = Study::read(&data().join(&path)).unwrap();
        let settings = study.privacy().unwrap();
        let parties = ["party1.csv", "party2.csv", "party3.csv"].map(|name| {
            let encoded = encode(&rows(&study, &path, name), &[], 1.0).unwrap();
            Dataset::new(encoded.x.view(), encoded.y[..].into()).unwrap()
        });
        let test = rows(&study, &path, "test.csv");
        let measured = Measured { study: &study, parties: parties.into(), test };
        for epsilon in EPSILONS {
            let settings = PrivateSettings { epsilon, ..settings.clone() };
            let (mut fits, mut cost) = (Vec::new(), (0, 0, 0.0_f64));
            for run in 0..50 {
                let (model, rounds, sent, seconds) = measured.fitted(&settings, run);
                fits.push(measured.metric(&model));
                cost = (rounds, sent, cost.2.max(seconds));
            }
            let simulated = |run| measured.metric(&measured.simulated(&settings, run));
            let simulations: Vec<f64> = (0..200).map(simulated).collect();
            let ((a, s), (b, t)) = (moments(&fits), moments(&simulations));
            let error = (s * s / 50.0 + t * t / 200.0).sqrt();
            let (apart, ratio) = ((a - b) / error, s / t);
            #[allow(clippy::print_stdout, reason = "a measurement")]
            {
                println!(
                    "{path} epsilon {epsilon}: {a:.4} +- {s:.4}, simulated {b:.4} +- {t:.4}: {apart:.2} standard errors, deviations \
                     {ratio:.2}; {} rounds, {} bytes, at most {:.2} s",
                    cost.0, cost.1, cost.2
                );
            }
            assert!(apart.abs() < 2.0, "{path}, epsilon {epsilon}: {apart} standard errors apart");
            assert!((0.75..1.25).contains(&ratio), "{path}, epsilon {epsilon}: {ratio}");
            let most = if path.starts_with("credit_status") { 25 } else { 30 };
            assert!(cost.0 <= most && cost.1 < 1_000_000, "{cost:?}");
        }
    }
}
