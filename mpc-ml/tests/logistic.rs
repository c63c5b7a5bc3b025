//! Joint training against the same training in the clear.

use crate::columns;

use mpc_core::correlations::Origin;
use mpc_core::testing::{self, World};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Progress, Run, ledger};
use mpc_ml::models::sgd::{Sgd, Sigmoid, SigmoidFit, plaintext};
use mpc_ml::{Agreed, Error, Model, Plan, Rows, SgdPlan, SgdSettings, synthetic};

const ACCURATE: Sigmoid = Sigmoid { window: 64, terms: 16, fit: SigmoidFit::Plain };

fn settings() -> SgdSettings {
    SgdSettings {
        intercept: true,
        l2: 0.0,
        clip: 8.0,
        epochs: 5,
        batch: 128,
        learning_rate: 0.5,
        decay: 0.0,
        momentum: 0.0,
        seed: 1,
        sigmoid: Sigmoid { window: 128, terms: 12, fit: SigmoidFit::Weighted },
        release_bits: 20,
    }
}

fn plan(settings: &SgdSettings, data: &[Rows], origin: Origin) -> SgdPlan {
    let rows: Vec<u64> = data.iter().map(|rows| rows.len() as u64).collect();
    let facts = Facts::horizontal(&rows, vec![1.0; data[0].columns()], origin);
    Sgd::plan(settings, &facts).expect("the plan fits")
}

/// Trains jointly, checks rounds and bytes against the plan, and gives the coefficients.
fn train(plan: &SgdPlan, data: &[Dataset]) -> Vec<f64> {
    let origin = plan.facts().origin;
    let world = World::new(data.len()).origin(origin).outputs(ledger(&plan.outputs()));
    let results = world.run(async |mut session| {
        let me = session.me();
        let data = data[me].clone();
        let mut source = testing::source(&mut session, origin)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let mut steps = 0;
        let mut heard = |progress| {
            if let Progress::Step { done, total, .. } = progress {
                assert_eq!((done, total), (steps + 1, plan.iterations()));
                steps = done;
            }
        };
        let mut run = Run { session: &mut session, source: &mut *source, progress: &mut heard };
        run.session.meter().enter("training");
        let fitted = Sgd::fit(&plan, &data, &mut run).await?;
        let phase = run.session.meter().phase("training");
        assert_eq!(plan.training_cost(me).rounds, 3 * plan.iterations());
        let cost = plan.training_cost(me).under(run.session.against(), me);
        assert_eq!(phase.rounds, cost.rounds);
        for peer in 0..plan.parties() {
            assert_eq!(phase.peers[peer].sent, cost.bytes[peer], "bytes to {peer}");
        }
        let framing = phase.sent_framed() as f64 / phase.sent() as f64 - 1.0;
        assert!(plan.settings().batch < 128 || framing < 0.15, "framing is {framing}");
        run.session.meter().enter("release");
        let fit = Sgd::release(&plan, fitted, &data, &mut run).await?;
        let cost = plan.release_cost(me).under(session.against(), me);
        assert_eq!(session.meter().phase("release").sent(), cost.sent());
        source.finish().await?;
        Ok::<_, Error>(fit.expect("everybody receives the model").coefficients)
    });
    let models: Vec<_> = results.into_iter().map(|r| r.expect("trains")).collect();
    assert!(models.windows(2).all(|pair| pair[0] == pair[1]), "all parties learn the same model");
    models[0].clone()
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn compare(settings: &SgdSettings, data: &[Rows], origin: Origin, bound: f64) {
    let plan = plan(settings, data, origin);
    let own: Vec<Dataset> = data.iter().cloned().map(Dataset::from).collect();
    let joint = train(&plan, &own);
    let ordered: Vec<_> = data
        .iter()
        .enumerate()
        .map(|(party, rows)| rows.ordered(&plan.schedule().own_order(party)))
        .collect();
    agree(&joint, &plaintext::train(&plan, &ordered), bound);
}

fn agree(joint: &[f64], clear: &[f64], bound: f64) {
    let difference = largest_difference(joint, clear);
    assert!(difference <= bound, "largest difference {difference} above {bound}");
    assert!(clear.iter().any(|w| w.abs() > 0.1), "the model is not trivial");
}

/// The same for parties of which `widths` says how many columns each has; `holder` has the labels.
fn compare_columns(
    settings: &SgdSettings,
    whole: &Rows,
    (widths, holder): (&[u32], usize),
    origin: Origin,
    bound: f64,
) {
    let squares = vec![2.0; whole.columns()];
    let facts = Facts::vertical(whole.len() as u64, widths, holder, squares, origin);
    let plan = Sgd::plan(settings, &facts).expect("the plan fits");
    let joint = train(&plan, &columns::at_parties(whole, widths, holder));
    let ordered = whole.ordered(&plan.own_order(holder));
    agree(&joint, &plaintext::train(&plan, &[ordered]), bound);
}

/// A party may have no columns, also the one that has the labels.
#[test]
fn parties_that_hold_columns_train_the_same_model() {
    let whole = synthetic::logistic(2_000, 20, 1, 1).remove(0);
    let accurate = SgdSettings { sigmoid: ACCURATE, epochs: 3, ..settings() };
    let ways: [(&[u32], usize); 4] =
        [(&[7, 13], 0), (&[20, 0], 1), (&[3, 0, 17], 2), (&[4, 5, 2, 0, 9], 3)];
    for (at, way) in ways.into_iter().enumerate() {
        let l2 = if at % 2 == 0 { 0.0 } else { 0.01 };
        let settings = SgdSettings { l2, ..accurate.clone() };
        compare_columns(&settings, &whole, way, Origin::Dealer, 5e-4);
        compare_columns(&settings, &whole, way, Origin::Pairwise, 4e-3);
    }
}

#[test]
fn parties_that_hold_columns_train_with_momentum_or_without_an_intercept() {
    let whole = synthetic::logistic(600, 7, 1, 3).remove(0);
    let base =
        SgdSettings { batch: 50, epochs: 8, sigmoid: ACCURATE, learning_rate: 0.1, ..settings() };
    let momentum = SgdSettings { momentum: 0.9, l2: 0.01, decay: 0.1, ..base.clone() };
    let way: (&[u32], usize) = (&[2, 4, 1], 1);
    compare_columns(&momentum, &whole, way, Origin::Dealer, 1e-3);
    compare_columns(&momentum, &whole, way, Origin::Pairwise, 2e-2);
    let free = SgdSettings { intercept: false, ..base };
    compare_columns(&free, &whole, way, Origin::Dealer, 1e-3);
}

#[test]
fn the_study_of_the_design_with_the_default_window() {
    for parties in [2, 3, 5] {
        for l2 in [0.0, 0.01] {
            let data = synthetic::logistic(10_000, 100, parties, 1);
            compare(&SgdSettings { l2, ..settings() }, &data, Origin::Dealer, 4e-3);
        }
    }
}

#[test]
fn the_study_of_the_design_with_an_accurate_sigmoid() {
    for parties in [2, 3, 5] {
        for l2 in [0.0, 0.01] {
            let data = synthetic::logistic(10_000, 100, parties, 1);
            let accurate = SgdSettings { l2, sigmoid: ACCURATE, ..settings() };
            compare(&accurate, &data, Origin::Dealer, 5e-4);
        }
    }
}

/// Without a dealer the phasors have a few bits, and noise without a mean in place of the others.
#[test]
fn the_study_of_the_design_without_a_dealer() {
    let data = synthetic::logistic(10_000, 100, 3, 1);
    compare(&settings(), &data, Origin::Pairwise, 4e-3);
    for parties in [2, 5] {
        let data = synthetic::logistic(2_000, 20, parties, 1);
        let accurate = SgdSettings { sigmoid: ACCURATE, l2: 0.01, ..settings() };
        compare(&accurate, &data, Origin::Pairwise, 4e-3);
    }
}

#[test]
fn momentum_decay_and_uneven_owners() {
    // The second owner has fewer rows than there are batches.
    let whole = synthetic::logistic(1200, 7, 1, 3).remove(0);
    let part = |from: usize, to: usize| whole.ordered(&(from..to).collect::<Vec<_>>());
    let data = [part(0, 700), part(700, 705), part(705, 1200)];
    let base =
        SgdSettings { batch: 50, epochs: 8, sigmoid: ACCURATE, learning_rate: 0.1, ..settings() };
    let momentum = SgdSettings { momentum: 0.9, l2: 0.01, ..base.clone() };
    let decay = SgdSettings { decay: 0.3, learning_rate: 0.7, ..base.clone() };
    compare(&momentum, &data, Origin::Dealer, 1e-3);
    compare(&decay, &data, Origin::Dealer, 1e-3);
    compare(&SgdSettings { intercept: false, ..base }, &data, Origin::Dealer, 1e-3);
    compare(&momentum, &data, Origin::Pairwise, 2e-2);
    compare(&decay, &data, Origin::Pairwise, 1e-2);
}

#[test]
fn parties_with_different_plans_learn_what_differs() {
    let differ = |change: &dyn Fn(&mut SgdSettings, &mut Facts)| {
        let results = World::new(2).run(async |mut session| {
            let mut own = SgdSettings { batch: 10, ..settings() };
            let mut facts = Facts::horizontal(&[50, 50], vec![1.0; 3], Origin::Dealer);
            if session.me() == 1 {
                change(&mut own, &mut facts);
            }
            let plan = Sgd::plan(&own, &facts).expect("fits");
            let error = Agreed::among(plan, &mut session).await.err();
            Ok::<_, Error>(error.map(|e| e.to_string()))
        });
        let mut errors = results.into_iter().map(|result| result.expect("runs").expect("refused"));
        let error = errors.next().expect("two parties");
        // Both say the same of each other.
        let what = |error: &str| error.split_once(" has ").map(|(_, what)| what.to_owned());
        assert!(errors.all(|other| what(&other) == what(&error)));
        error
    };
    let error = differ(&|settings, _| settings.learning_rate += 0.1);
    assert!(error.contains("another plan (learning_rate)"), "{error}");
    let error = differ(&|settings, _| settings.sigmoid.terms = 11);
    assert!(error.contains("another plan (sigmoid)"), "{error}");
    let error = differ(&|_, facts| facts.mean_squares[1] = 0.5);
    assert!(error.contains("another plan (mean_squares)"), "{error}");
    let error = differ(&|_, facts| facts.origin = Origin::Pairwise);
    assert!(error.contains("another plan (origin)"), "{error}");
}
