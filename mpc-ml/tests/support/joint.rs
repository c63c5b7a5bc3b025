//! A joint fit in one process, and the same in the clear.
#![allow(clippy::unwrap_used, clippy::print_stdout, dead_code)]

use mpc_core::correlations::Origin;
use mpc_core::testing::{self, World};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Output, Plan, Run, ledger};
use mpc_ml::models::glm::{Glm, GlmFit, GlmPlan, GlmResult, GlmSettings};
use mpc_ml::plaintext::glm as clear;
use mpc_ml::{Agreed, Error, Model, Rows};

/// A study and the rows of its parties.
pub struct Joint {
    pub settings: GlmSettings,
    pub data: Vec<Rows>,
    pub offsets: Vec<Vec<f64>>,
    pub weights: Vec<Vec<f64>>,
    pub groups: Vec<Vec<u64>>,
    /// The features by name, and their columns.
    pub features: Vec<(String, u32)>,
}

impl Joint {
    pub fn new(settings: GlmSettings, data: Vec<Rows>) -> Self {
        let (offsets, weights, groups) = (Vec::new(), Vec::new(), Vec::new());
        Self { settings, data, offsets, weights, groups, features: Vec::new() }
    }

    pub fn facts(&self, origin: Origin) -> Facts {
        let rows: Vec<u64> = self.data.iter().map(|rows| rows.len() as u64).collect();
        let columns = self.data[0].columns();
        let squares = (0..columns).map(|j| {
            let all: usize = self.data.iter().map(Rows::len).sum();
            let sum: f64 = self
                .data
                .iter()
                .flat_map(|rows| (0..rows.len()).map(move |i| rows.row(i)[j].powi(2)))
                .sum();
            sum / all as f64 * 1.01 + 1e-9
        });
        let mut facts = Facts::horizontal(&rows, squares.collect(), origin);
        if !self.offsets.is_empty() {
            facts.offset = Some((-64.0, 64.0));
        }
        if !self.weights.is_empty() {
            facts.weights = Some(8.0);
        }
        facts.groups = !self.groups.is_empty();
        facts.names = (0..columns).map(|j| format!("x{j}")).collect();
        facts.features.clone_from(&self.features);
        facts
    }

    pub fn plan(&self, origin: Origin) -> GlmPlan {
        GlmPlan::new(&self.settings, &self.facts(origin)).unwrap()
    }

    /// Fits jointly; all parties must come to the same.
    pub fn fit(&self, origin: Origin) -> Result<GlmFit, Error> {
        self.result(origin).map(|result| result.fit)
    }

    /// The fit, and all that belongs to it.
    pub fn result(&self, origin: Origin) -> Result<GlmResult, Error> {
        let plan = GlmPlan::new(&self.settings, &self.facts(origin))?;
        let parts = (0..self.data.len()).map(|party| {
            let mut data = Dataset::from(self.data[party].clone());
            if let Some(offsets) = self.offsets.get(party) {
                data = data.with_offset(offsets.as_slice().into())?;
            }
            if let Some(weights) = self.weights.get(party) {
                data = data.with_weights(weights.as_slice().into())?;
            }
            if let Some(groups) = self.groups.get(party) {
                data = data.with_ids(groups.as_slice().into())?;
            }
            Ok(data)
        });
        run(&plan, &plan.outputs(), &parts.collect::<Result<Vec<_>, Error>>()?, origin)
    }

    /// The same where the first party's rows are cut by columns, `widths[j]` of them for party j, and the
    /// target and the offsets are at the party `holder`.
    pub fn fit_on_columns(
        &self,
        widths: &[u32],
        holder: usize,
        origin: Origin,
    ) -> Result<GlmFit, Error> {
        self.fit_on_columns_revealing(widths, holder, origin, |_| true)
    }

    /// The same where nothing but some of the outputs may be revealed.
    pub fn fit_on_columns_revealing(
        &self,
        widths: &[u32],
        holder: usize,
        origin: Origin,
        may: impl Fn(&Output) -> bool,
    ) -> Result<GlmFit, Error> {
        let whole = &self.data[0];
        let most = whole.y().iter().fold(1.0f64, |most, y| most.max(*y));
        let facts = self.facts(origin).by_columns(whole.len() as u64, widths, holder);
        let facts = Facts { target: Some((0.0, most)), ..facts };
        let plan = GlmPlan::new(&self.settings, &facts)?;
        let mut parts = crate::columns::at_parties(whole, widths, holder);
        if let Some(offsets) = self.offsets.first() {
            parts[holder] = parts[holder].clone().with_offset(offsets.as_slice().into())?;
        }
        let outputs: Vec<Output> = plan.outputs().into_iter().filter(may).collect();
        run(&plan, &outputs, &parts, origin).map(|result| result.fit)
    }
}

fn run(
    plan: &GlmPlan,
    outputs: &[Output],
    parts: &[Dataset],
    origin: Origin,
) -> Result<GlmResult, Error> {
    let world = World::new(parts.len()).origin(origin).outputs(ledger(outputs));
    let fits = world.run(async |mut session| {
        let me = session.me();
        let mut source = testing::source(&mut session, origin)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let data = &parts[me];
        session.meter().enter("fit");
        let mut progress = |_| {};
        let mut run = Run { session: &mut session, source: &mut *source, progress: &mut progress };
        let shares = Glm::fit(&plan, data, &mut run).await?;
        let fit = Glm::release(&plan, shares, data, &mut run).await?;
        let phase = session.meter().phase("fit");
        source.finish().await?;
        Ok::<_, Error>((fit, phase.rounds, phase.sent()))
    });
    let mut first: Option<GlmResult> = None;
    for result in fits {
        let (result, rounds, sent) = result?;
        let result = result.unwrap();
        let fit = &result.fit;
        match &first {
            Some(first) => assert_eq!(first, &result, "all parties learn the same model"),
            None => println!(
                "{} passes, {} models, distance {:.1e}, {rounds} rounds, {sent} bytes online",
                fit.passes, fit.revealed, fit.distance
            ),
        }
        first = Some(result);
    }
    Ok(first.unwrap())
}

/// The fit of the pooled rows in the clear.
pub fn reference(joint: &Joint) -> clear::Fit {
    try_reference(joint).unwrap()
}

pub fn try_reference(joint: &Joint) -> Result<clear::Fit, clear::NoFit> {
    with_pooled(joint, clear::fit)
}

/// Robust standard errors of the pooled rows.
pub fn robust(joint: &Joint, exact: &clear::Fit, kind: clear::Robust<'_>) -> Vec<f64> {
    let order = exact.coefficients.len();
    let covariance = with_pooled(joint, |data| exact.robust(data, kind));
    (0..order).map(|j| covariance[j * (order + 1)].sqrt()).collect()
}

fn with_pooled<T>(joint: &Joint, then: impl FnOnce(&clear::Data<'_>) -> T) -> T {
    let x: Vec<f64> = joint.data.iter().flat_map(|rows| rows.x().to_vec()).collect();
    let target: Vec<f64> = joint.data.iter().flat_map(|rows| rows.y().to_vec()).collect();
    let offsets = joint.offsets.concat();
    let weights = joint.weights.concat();
    then(&clear::Data {
        family: joint.settings.family,
        x: &x,
        columns: joint.data[0].columns(),
        intercept: joint.settings.intercept,
        target: &target,
        offsets: &offsets,
        weights: &weights,
        l2: joint.settings.l2,
    })
}

/// Compares coefficients, in standard errors, and what describes the fit.
pub fn compare(fit: &GlmFit, exact: &clear::Fit, in_std_errors: f64) {
    let off = fit
        .coefficients
        .iter()
        .zip(&exact.coefficients)
        .zip(&exact.std_errors)
        .map(|((a, b), se)| (a - b).abs() / se)
        .fold(0.0, f64::max);
    println!("off by {off:.1e} standard errors");
    assert!(off <= in_std_errors, "{off} standard errors");
    if let Some(inference) = &fit.inference {
        for (got, exact) in inference.std_errors.iter().zip(&exact.std_errors) {
            assert!((got / exact - 1.0).abs() < 1e-4, "{got} instead of {exact}");
        }
        for (got, exact) in [
            (inference.deviance, exact.deviance),
            (inference.null_deviance, exact.null_deviance),
            (inference.log_likelihood, exact.log_likelihood),
            (inference.aic, exact.aic),
        ] {
            assert!((got / exact - 1.0).abs() < 1e-6, "{got} instead of {exact}");
        }
    }
}
