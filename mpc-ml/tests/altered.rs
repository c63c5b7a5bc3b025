//! A party that changes what it should send, alike to all the others: one share of a value of a pass,
//! and its shares of a model and of the distance that is told of it.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::testing::{Labels, World};
use mpc_core::{Against, Tag};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Plan, Run, ledger};
use mpc_ml::models::glm::{Family, Glm, GlmFit, GlmPlan, GlmSettings};
use mpc_ml::{Agreed, Error, Model, Rows, synthetic};
use mpc_net::PartyId;
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::memory::MeshOptions;

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dealer"];
const COLUMNS: usize = 3;

/// Sums that faults keep.
type Sums = Arc<Mutex<Vec<i64>>>;

/// A fit whose messages are changed, by sender; how it ended at each party, and what was revealed.
fn fit(
    plan: &GlmPlan,
    data: &[Rows],
    faults: Vec<(usize, FaultPlan)>,
) -> (Vec<Result<GlmFit, Error>>, Vec<String>) {
    let world =
        World::new(3).against(Against::SemiHonest).with_dealer().outputs(ledger(&plan.outputs()));
    let mesh = MeshOptions::default().timeout(Duration::from_secs(5)).names(NAMES).mesh(4);
    for (from, fault) in faults {
        mesh[from].inject(fault);
    }
    let labels = Labels::default();
    let ends = world.run_on(mesh, async |mut session| {
        if session.me() == 1 {
            session.record_releases(Box::new(labels.clone()));
        }
        let mut source = DealerSource::start(&mut session)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let data = Dataset::from(data[session.me()].clone());
        let progress = &mut |_| {};
        let mut run = Run { session: &mut session, source: &mut source, progress };
        let shares = Glm::fit(&plan, &data, &mut run).await?;
        let fit = Glm::release(&plan, shares, &data, &mut run).await?;
        source.finish().await?;
        Ok(fit.unwrap().fit)
    });
    (ends, labels.all())
}

fn study(tolerance: f64) -> (GlmPlan, Vec<Rows>) {
    let facts = Facts::horizontal(&[200; 3], vec![2.0; COLUMNS], Origin::Dealer);
    let mut settings = GlmSettings::new(Family::Logistic);
    (settings.tolerance, settings.inference) = (tolerance, false);
    let plan = GlmPlan::new(&settings, &facts).unwrap();
    (plan, synthetic::logistic(600, COLUMNS, 3, 1))
}

/// Adds `value` to the element `at` of `elements` in a message.
fn adding(value: i128, at: usize, elements: usize) -> Fault {
    Fault::Change(Arc::new(move |bytes: &mut Vec<u8>| {
        let width = bytes.len() / elements;
        let element = &mut bytes[at * width..(at + 1) * width];
        let mut word = [0; 16];
        word[..width].copy_from_slice(element);
        let sum = u128::from_le_bytes(word).wrapping_add(value as u128);
        element.copy_from_slice(&sum.to_le_bytes()[..width]);
    }))
}

/// Bob's share of an output, changed for all: also in the sum that bob sees.
fn bent(nth: usize, fault: &Fault) -> impl Iterator<Item = (usize, FaultPlan)> {
    [(1, 0), (1, 2), (0, 1)].into_iter().map(move |(from, to)| {
        let plan = FaultPlan::new(fault.clone())
            .to(PartyId::from_index(to))
            .in_step(Tag::new("reveal"))
            .at_message(nth as u64);
        (from, plan)
    })
}

/// What the parties sent of an output, added up: the low 40 bits of its elements, as the upper ones.
fn sums(nth: usize, elements: usize) -> (Sums, Vec<(usize, FaultPlan)>) {
    let sums = Arc::new(Mutex::new(vec![0i64; elements]));
    let keep = |(from, to): (usize, usize)| {
        let sums = Arc::clone(&sums);
        let change = move |bytes: &mut Vec<u8>| {
            let width = bytes.len() / elements;
            for (sum, element) in sums.lock().unwrap().iter_mut().zip(bytes.chunks(width)) {
                let mut low = [0; 8];
                low[3..].copy_from_slice(&element[..5]);
                *sum = sum.wrapping_add(i64::from_le_bytes(low));
            }
        };
        let plan = FaultPlan::new(Fault::Change(Arc::new(change)))
            .to(PartyId::from_index(to))
            .in_step(Tag::new("reveal"))
            .at_message(nth as u64);
        (from, plan)
    };
    let plans = [(0, 1), (1, 0), (2, 0)].map(keep).to_vec();
    (sums, plans)
}

/// Gradient and curvature of all rows.
fn derivatives(data: &[Rows], w: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let (mut gradient, mut curvature) = (vec![0.0; w.len()], vec![vec![0.0; w.len()]; w.len()]);
    for rows in data {
        for row in 0..rows.len() {
            let x: Vec<f64> = rows.row(row).iter().copied().chain([1.0]).collect();
            let mean = Family::Logistic.mean(x.iter().zip(w).map(|(x, w)| x * w).sum());
            for (i, xi) in x.iter().enumerate() {
                gradient[i] += xi * (rows.y()[row] - mean);
                for (j, xj) in x.iter().enumerate() {
                    curvature[i][j] += mean * (1.0 - mean) * xi * xj;
                }
            }
        }
    }
    (gradient, curvature)
}

/// The squared distance g^T H^-1 g of a model from the optimum: eliminated from H with g beside it.
fn squared_distance(data: &[Rows], w: &[f64]) -> f64 {
    let (mut g, mut h) = derivatives(data, w);
    let mut square = 0.0;
    for k in 0..g.len() {
        square += g[k] * g[k] / h[k][k];
        let pivot = h[k].clone();
        for i in k + 1..g.len() {
            let factor = h[i][k] / pivot[k];
            h[i].iter_mut().zip(&pivot).for_each(|(entry, p)| *entry -= factor * p);
            g[i] -= factor * g[k];
        }
    }
    square
}

/// Bob moves the model by one standard error, and the distance that is told of it to zero. (It knows
/// how far the model is; who sends its share last does.)
#[test]
fn a_model_that_was_moved_ends_the_study_at_all() {
    let tolerance = 0.1;
    let (plan, data) = study(tolerance);
    let (ends, labels) = fit(&plan, &data, Vec::new());
    assert!(ends.iter().all(|end| end.as_ref().unwrap().gradient.unwrap() < 1.0));
    let place = |label: &str| labels.iter().position(|it| it == label).unwrap();

    let (first, watched) = sums(place("model 0"), COLUMNS + 1);
    fit(&plan, &data, watched);
    let bits = plan.settings().release_bits;
    let unit = f64::from(1u32 << bits);
    let mut model: Vec<f64> =
        first.lock().unwrap().iter().map(|w| (w >> 24) as f64 / unit).collect();
    let (_, curvature) = derivatives(&data, &model);
    let moved = (unit / curvature[1][1].sqrt()).round();
    model[1] += moved / unit;
    let square = squared_distance(&data, &model);
    assert!(square > 0.5, "{square}");
    let unit = (64.0 / (tolerance * tolerance)).log2().ceil().exp2();
    let faults = bent(place("model 0"), &adding(moved as i128, 1, COLUMNS + 1))
        .chain(bent(place("distance 0"), &adding(-((square * unit).round() as i128), 0, 1)))
        .collect();
    let (ends, _) = fit(&plan, &data, faults);
    for end in ends {
        match end {
            Err(Error::Uncertified(why)) => assert!(why.contains("audited"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
}

/// A value of a pass that was changed on its way to the owner of the row moves the model that the
/// passes end at, and not the one that is made from it in the clear.
#[test]
fn a_value_of_a_pass_that_was_changed_moves_no_result() {
    let (plan, data) = study(0.001);
    let (ends, _) = fit(&plan, &data, Vec::new());
    let honest = ends.into_iter().next().unwrap().unwrap();
    // Three times the largest residual, at the scale of values.
    let fault = FaultPlan::new(adding(3 << 14, 7, 200))
        .to(PartyId::from_index(0))
        .in_step(Tag::new("glm/open-residuals"))
        .at_message(0);
    let (ends, _) = fit(&plan, &data, vec![(1, fault)]);
    for end in ends {
        let fit = end.unwrap();
        let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-3;
        assert!(fit.coefficients.iter().zip(&honest.coefficients).all(near), "{fit:?}");
        assert!(fit.gradient.unwrap() < 1.0);
    }
}
