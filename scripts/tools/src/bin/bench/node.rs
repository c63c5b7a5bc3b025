//! One node: it joins the others, goes through the steps of a training, and tells what it used.

use std::path::Path;

use mpc_core::correlations::dealer::{DealerSource, serve};
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::{Session, SessionOptions};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Run, ledger};
use mpc_ml::models::sgd::{Sgd, Training};
use mpc_ml::{Agreed, Model, Plan, SgdPlan};
use mpc_net::Transport;
use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::mesh::{barrier, meet};
use crate::replay::replay;
use crate::shapes::{REQUESTS, Shape, Step};
use crate::stock::{Ahead, Stock};
use crate::usage::{Since, Used, forget_memory, memory_mb};

/// What a node has to tell.
#[derive(Serialize, Deserialize)]
pub struct Report {
    pub records: Vec<Record>,
    pub memory_mb: Option<f64>,
    /// The revealed coefficients.
    pub model: Option<Vec<f64>>,
}

/// One thing that was measured.
#[derive(Serialize, Deserialize)]
pub struct Record {
    pub what: String,
    pub run: usize,
    pub used: Used,
}

pub async fn run(shape: &Shape, me: usize, folder: &Path) -> Outcome<()> {
    let plan = shape.plan()?;
    let own = shape.data().into_iter().nth(me).map(Dataset::from);
    let root = meet(&shape.mesh(), me, folder).await?;
    forget_memory();
    let mut node = Node { shape, plan: &plan, own, me, records: Vec::new(), model: None };
    for run in 0..shape.runs {
        for &step in shape.steps {
            let name = format!("{step:?} {run}");
            barrier(&*root.fork(&format!("barrier {name}"))?).await?;
            node.step(step, run, root.fork(&name)?).await?;
        }
    }
    let Node { records, model, .. } = node;
    let report = Report { records, memory_mb: memory_mb(), model };
    root.finish().await?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

struct Node<'a> {
    shape: &'a Shape,
    plan: &'a SgdPlan,
    /// The dealer has none.
    own: Option<Dataset>,
    me: usize,
    records: Vec<Record>,
    model: Option<Vec<f64>>,
}

impl Node<'_> {
    async fn step(&mut self, step: Step, run: usize, channel: Box<dyn Transport>) -> Outcome<()> {
        match step {
            Step::Replay => {
                let since = Since::now(channel.meter())?;
                if self.own.is_some() {
                    replay(self.plan, self.me, &*channel).await?;
                }
                self.record("replay", run, since.used(channel.meter())?);
            }
            Step::Whole => self.train(Ahead::Nothing, run, channel).await?,
            Step::Apart => self.train(Ahead::Everything, run, channel).await?,
            Step::Only(kind) => self.train(Ahead::Only(kind), run, channel).await?,
        }
        Ok(())
    }

    fn record(&mut self, what: &str, run: usize, used: Used) {
        self.records.push(Record { what: what.to_owned(), run, used });
    }

    async fn train(
        &mut self,
        ahead: Ahead,
        run: usize,
        channel: Box<dyn Transport>,
    ) -> Outcome<()> {
        let first = match ahead {
            Ahead::Nothing => "whole",
            Ahead::Everything => "preparation",
            Ahead::Only(kind) => REQUESTS[kind],
        };
        let mut since = Since::now(channel.meter())?;
        let outputs = ledger(&self.plan.outputs());
        let options = SessionOptions::new(self.shape.parties, [1; 32]).outputs(outputs);
        let mut session = Session::establish(channel, options).await?;
        let Some(own) = self.own.take() else {
            serve(&mut session).await?;
            self.record(first, run, since.used(session.meter())?);
            return Ok(());
        };
        let source: Box<dyn CorrelationSource> = match self.shape.origin {
            Origin::Dealer => Box::new(DealerSource::start(&mut session)?),
            Origin::Pairwise => Box::new(PairwiseSource::start(&mut session, Expansion::Fast)?),
        };
        let mut source = Stock::new(source, self.plan, ahead);
        session.meter().enter("preparation");
        let plan = Agreed::among(self.plan.clone(), &mut session).await?;
        let (source, progress) = (&mut source, &mut |_| {});
        let mut run_on = Run { session: &mut session, source, progress };
        let training = Training::begin(&plan, &own, &mut run_on).await?;
        let session = &mut *run_on.session;
        if ahead != Ahead::Nothing {
            self.record(first, run, since.used(session.meter())?);
            // Everybody begins together.
            session.agree("beginning of the measurement", &[]).await?;
            since = Since::now(session.meter())?;
        }
        if let Ahead::Only(_) = ahead {
            drop(training);
        } else {
            session.meter().enter("training");
            let shares = training.run(&mut run_on).await?;
            run_on.session.meter().enter("release");
            let fit = Sgd::release(&plan, shares, &own, &mut run_on).await?;
            let model = fit.map(|fit| fit.coefficients);
            let session = &mut *run_on.session;
            let what = if ahead == Ahead::Nothing { first } else { "online" };
            self.record(what, run, since.used(session.meter())?);
            if !model.iter().flatten().any(|w| w.abs() > 0.01) {
                return Err("the model has learned nothing".into());
            }
            self.model = model;
        }
        run_on.source.finish().await?;
        self.own = Some(own);
        Ok(())
    }
}
