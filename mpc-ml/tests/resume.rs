//! Fits that are broken after each of their checkpoints and go on in another session, whose result is that of a fit
//! that was not broken (docs/protocols.md 0, Checkpoints).
#![allow(clippy::unwrap_used)]

use crate::columns;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use mpc_core::correlations::Origin;
use mpc_core::testing::{self, World};
use mpc_core::{Checkpoint, CheckpointLog};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Plan, Progress, Run, ledger};
use mpc_ml::models::glm::{Family, Finish, Glm, GlmPlan, GlmSettings};
use mpc_ml::models::sgd::{Sgd, Sigmoid, SigmoidFit, plaintext};
use mpc_ml::plaintext::glm as clear;
use mpc_ml::{Agreed, Error, Model, Rows, SgdPlan, SgdSettings, synthetic};

const PARTIES: usize = 3;
/// Who fails when it is to keep its checkpoint: the others keep theirs.
const FAILS: usize = 1;

/// What a party keeps, and how often it can.
#[derive(Clone, Default)]
struct Kept {
    all: Arc<Mutex<Vec<Checkpoint>>>,
    most: Option<usize>,
}

impl CheckpointLog for Kept {
    fn keep(&mut self, checkpoint: &Checkpoint) -> Result<(), String> {
        let mut all = self.all.lock().unwrap();
        if self.most.is_some_and(|most| all.len() >= most) {
            return Err("killed".to_owned());
        }
        all.push(checkpoint.clone());
        Ok(())
    }
}

fn kept(most: Option<usize>) -> Vec<Kept> {
    let most = |party| most.filter(|_| party == FAILS);
    (0..PARTIES).map(|party| Kept { most: most(party), ..Kept::default() }).collect()
}

/// The latest checkpoint that all hold, of each party.
fn common(kept: &[Kept]) -> Vec<Checkpoint> {
    let names = |kept: &Kept| -> BTreeSet<_> {
        kept.all.lock().unwrap().iter().map(Checkpoint::name).collect()
    };
    let all = kept.iter().map(names).reduce(|a, b| &a & &b).unwrap();
    let held = |kept: &Kept| {
        let all_of_this = kept.all.lock().unwrap();
        all_of_this.iter().filter(|it| all.contains(&it.name())).max_by_key(|it| it.step()).cloned()
    };
    kept.iter().map(|kept| held(kept).unwrap()).collect()
}

/// What a fit gives a party, and what it told on its way.
struct Ended<F> {
    fit: F,
    /// Where it began, if not at its beginning.
    resumed: Option<u64>,
    /// Steps that it told afterwards.
    steps: u64,
    rounds: u64,
}

/// A fit of a model on rows of three parties.
struct Case<M: Model> {
    settings: M::Settings,
    facts: Facts,
    data: Vec<Dataset>,
}

impl<M: Model> Case<M> {
    fn plan(&self) -> M::Plan {
        M::plan(&self.settings, &self.facts).unwrap()
    }

    /// Fits, from a checkpoint or from the beginning.
    fn run(&self, kept: &[Kept], from: Option<&[Checkpoint]>) -> Vec<Result<Ended<M::Fit>, Error>> {
        let origin = self.facts.origin;
        let world = World::new(PARTIES).origin(origin).outputs(ledger(&self.plan().outputs()));
        world.run(async |mut session| {
            let me = session.me();
            let mut source = testing::source(&mut session, origin)?;
            let plan = Agreed::among(self.plan(), &mut session).await?;
            session.keep_checkpoints(Box::new(kept[me].clone()));
            if let Some(from) = from {
                session.begin_from(from[me].clone());
            }
            let told = Arc::new(Mutex::new((None::<u64>, 0u64)));
            let heard = Arc::clone(&told);
            let mut progress = move |progress| {
                let mut heard = heard.lock().unwrap();
                match progress {
                    Progress::Resumed { done, .. } => heard.0 = Some(done),
                    Progress::Step { .. } => heard.1 += 1,
                    _ => {}
                }
            };
            session.meter().enter("fit");
            let mut run =
                Run { session: &mut session, source: &mut *source, progress: &mut progress };
            let shares = M::fit(&plan, &self.data[me], &mut run).await?;
            let rounds = run.session.meter().phase("fit").rounds;
            let fit = M::release(&plan, shares, &self.data[me], &mut run).await?;
            let (resumed, steps) = *told.lock().unwrap();
            source.finish().await?;
            let fit = fit.expect("everybody receives the model");
            Ok(Ended { fit, resumed, steps, rounds })
        })
    }

    /// Breaks the fit after each of its checkpoints, lets it go on, and looks at each result; then looks at it once
    /// more from the last one, where nothing is left to do. `only` are the checkpoints to look at, of all.
    fn is_resumed_anywhere(&self, only: &[usize], good: impl Fn(&M::Fit)) -> Vec<u64> {
        let all = kept(None);
        let whole: Vec<_> = self.run(&all, None).into_iter().map(Result::unwrap).collect();
        whole.iter().for_each(|it| good(&it.fit));
        assert!(whole.iter().all(|it| it.resumed.is_none()));
        let steps: Vec<u64> = all[0].all.lock().unwrap().iter().map(Checkpoint::step).collect();
        assert!(steps.is_sorted() && steps.len() > 1, "{steps:?}");
        for number in only.iter().copied().filter(|&number| number <= steps.len()) {
            // One party cannot keep the next one any more: the others have it.
            let broken = kept(Some(number));
            let ends = self.run(&broken, None);
            // Another run may take a pass more or less than the whole one: its noise is another.
            let last = ends.iter().all(Result::is_ok);
            assert!(!last || number + 1 >= steps.len(), "after {number} of {steps:?}");
            let from = common(&broken);
            assert!(from.iter().all(|it| it.name() == from[0].name()));
            let at = from[0].step();
            assert!(at == steps[number - 1] || last, "{at} after {number} of {steps:?}");
            let again = kept(None);
            let resumed = self.run(&again, Some(&from));
            for ended in resumed.into_iter().map(Result::unwrap) {
                good(&ended.fit);
                assert_eq!(ended.resumed, Some(at));
                assert!(ended.rounds < whole[0].rounds || !last, "{} rounds", ended.rounds);
            }
            // It keeps checkpoints of its own, and none of what was done.
            let more = again[0].all.lock().unwrap();
            assert!(more.iter().all(|it| it.step() > at && it.session() != from[0].session()));
            assert_eq!(more.is_empty(), last);
        }
        // Steps are told once: those before the break by the first run, the others by the second.
        let (from, again) = (common(&all), kept(None));
        let ended = self.run(&again, Some(&from)).swap_remove(0).unwrap();
        good(&ended.fit);
        assert!(ended.steps <= whole[0].steps - steps.len() as u64 + 1);
        steps
    }
}

fn descent(momentum: f64) -> SgdSettings {
    SgdSettings {
        intercept: true,
        l2: 0.01,
        clip: 8.0,
        epochs: 7,
        batch: 1024,
        learning_rate: 0.5,
        decay: 0.1,
        momentum,
        seed: 1,
        sigmoid: Sigmoid { window: 64, terms: 16, fit: SigmoidFit::Plain },
        release_bits: 20,
    }
}

fn trained(momentum: f64, origin: Origin, only: &[usize]) -> Vec<u64> {
    let rows = synthetic::logistic(3 * 1024 + 10, 5, PARTIES, 3);
    let lengths: Vec<u64> = rows.iter().map(|rows| rows.len() as u64).collect();
    let facts = Facts::horizontal(&lengths, vec![1.0; 5], origin);
    let settings = descent(momentum);
    let plan = SgdPlan::new(&settings, &facts).unwrap();
    let ordered: Vec<Rows> = rows
        .iter()
        .enumerate()
        .map(|(party, rows)| rows.ordered(&plan.schedule().own_order(party)))
        .collect();
    let exact = plaintext::train(&plan, &ordered);
    let data = rows.into_iter().map(Dataset::from).collect();
    let case: Case<Sgd> = Case { settings, facts, data };
    let steps = case.is_resumed_anywhere(only, |fit| {
        let off = fit.coefficients.iter().zip(&exact).map(|(a, b)| (a - b).abs());
        let off = off.fold(0.0, f64::max);
        assert!(off < 4e-3, "off by {off}");
    });
    assert_eq!(steps.len() as u64, plan.checkpoints());
    steps
}

/// In the middle of an epoch too: three batches are an epoch, and eight are gone through between two checkpoints.
#[test]
fn a_training_goes_on_where_it_was_broken() {
    assert_eq!(trained(0.0, Origin::Dealer, &[1, 2, 3]), [8, 16, 21]);
    trained(0.0, Origin::Pairwise, &[1]);
}

#[test]
fn a_training_with_momentum_goes_on_where_it_was_broken() {
    trained(0.5, Origin::Dealer, &[1, 2, 3]);
}

/// Rows of which the first party's own fit tells nothing of the joint one, so that there are passes.
fn turned(columns: usize) -> Vec<Rows> {
    let mut all = synthetic::logistic(PARTIES * 60, columns, PARTIES, 1);
    let y = all[0].y().iter().enumerate().map(|(i, y)| if i % 2 == 0 { 1.0 - y } else { *y });
    all[0] = Rows::new(all[0].x().to_vec(), y.collect(), columns);
    all
}

fn optimum(settings: GlmSettings, origin: Origin, only: &[usize], in_std_errors: f64) -> GlmPlan {
    let rows = turned(4);
    let lengths: Vec<u64> = rows.iter().map(|rows| rows.len() as u64).collect();
    let facts = Facts::horizontal(&lengths, vec![2.0; 4], origin);
    let x: Vec<f64> = rows.iter().flat_map(|rows| rows.x().to_vec()).collect();
    let target: Vec<f64> = rows.iter().flat_map(|rows| rows.y().to_vec()).collect();
    let exact = clear::fit(&clear::Data {
        family: settings.family,
        x: &x,
        columns: 4,
        intercept: settings.intercept,
        target: &target,
        offsets: &[],
        weights: &[],
        l2: settings.l2,
    })
    .unwrap();
    let plan = GlmPlan::new(&settings, &facts).unwrap();
    let data = rows.into_iter().map(Dataset::from).collect();
    let case: Case<Glm> = Case { settings, facts, data };
    case.is_resumed_anywhere(only, |result| {
        let off = result.fit.coefficients.iter().zip(&exact.coefficients).zip(&exact.std_errors);
        let off = off.map(|((a, b), se)| (a - b).abs() / se).fold(0.0, f64::max);
        assert!(off < in_std_errors, "off by {off} standard errors");
    });
    plan
}

#[test]
fn a_fit_to_the_optimum_goes_on_where_it_was_broken() {
    let settings = GlmSettings::new(Family::Logistic);
    optimum(settings.clone(), Origin::Dealer, &[1, 2, 3, 4], 1e-3);
    optimum(settings, Origin::Pairwise, &[1], 1e-3);
}

/// With a penalty steps are lifted by a bound that goes with the state; a hidden fit ends by the rule alone.
#[test]
fn lifted_and_hidden_fits_go_on_where_they_were_broken() {
    let settings = GlmSettings { l2: 0.05, inference: false, ..GlmSettings::new(Family::Logistic) };
    optimum(settings, Origin::Dealer, &[1, 2], 1e-3);
    let settings = GlmSettings {
        finish: Finish::Hidden,
        inference: false,
        ..GlmSettings::new(Family::Logistic)
    };
    let plan = optimum(settings, Origin::Dealer, &[1, 2, 3], 2e-2);
    assert_eq!(plan.finish(), Finish::Hidden);
}

/// Of columns at different parties, too: a state is the steps so far, of which the next point is a combination. In the last
/// one nothing of the passes is left to do, and standard errors are computed all the same.
#[test]
fn a_fit_on_columns_goes_on_where_it_was_broken() {
    const WIDTHS: [u32; PARTIES] = [2, 1, 2];
    let whole = synthetic::logistic(400, 5, 1, 3).remove(0);
    let exact = clear::fit(&clear::Data {
        family: Family::Logistic,
        x: whole.x(),
        columns: 5,
        intercept: true,
        target: whole.y(),
        offsets: &[],
        weights: &[],
        l2: 0.0,
    })
    .unwrap();
    let data = columns::at_parties(&whole, &WIDTHS, 1);
    let fits = |origin, inference, only: &[usize]| {
        let settings = GlmSettings { inference, ..GlmSettings::new(Family::Logistic) };
        let facts = Facts::vertical(400, &WIDTHS, 1, vec![2.0; 5], origin);
        let case: Case<Glm> = Case { settings, facts, data: data.clone() };
        let steps = case.is_resumed_anywhere(only, |result| {
            let all = result.fit.coefficients.iter().zip(&exact.coefficients);
            let off = all.zip(&exact.std_errors).map(|((a, b), se)| (a - b).abs() / se);
            let off = off.fold(0.0, f64::max);
            assert!(off < 2e-2, "off by {off} standard errors");
        });
        assert!(steps.iter().copied().eq(1..=steps.len() as u64), "{steps:?}");
        steps.len()
    };
    let passes = fits(Origin::Dealer, true, &[1, 3]);
    fits(Origin::Dealer, true, &[passes]);
    fits(Origin::Pairwise, false, &[2]);
}
