use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;
use crate::correlations::dealer::DealerSource;
use crate::correlations::{CorrelationSource, Correlations, Orders};
use crate::error::Error;
use crate::ideal;
use crate::rand::{MaskSite, Prg, Seed};
use crate::ring::{Ring, Z128};
use crate::session::Session;
use crate::share::Shared;
use crate::testing::{World, bounded_sizes, record_openings, take_openings};

const TOP: f64 = 15.0 / 16.0;

fn settings(order: usize, parties: usize, least: f64) -> InverseSettings {
    InverseSettings {
        order,
        parties: parties as u32,
        sigma: 56,
        diagonal: TOP,
        least,
        start: StartBound::Identity,
        reuse: false,
    }
}

/// Deterministic numbers in [-1, 1).
fn numbers(label: &str, count: usize) -> Vec<f64> {
    let seed = Seed::from_secret("test data", &[label.as_bytes()]);
    let mut stream = Prg::new(&seed, MaskSite::InputShare);
    let words = stream.elements::<Z128>(count, 50);
    words.iter().map(|v| libm::ldexp(v.0 as f64, -49) - 1.0).collect()
}

/// A symmetric matrix with these eigenvalues, at arbitrary axes.
fn matrix(label: &str, spectrum: &[f64]) -> Vec<f64> {
    let d = spectrum.len();
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for row in numbers(label, d * d).chunks(d) {
        let mut row = row.to_vec();
        // Twice is enough.
        for axis in axes.iter().chain(&axes) {
            let along: f64 = row.iter().zip(axis).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(axis).for_each(|(a, b)| *a -= along * b);
        }
        let norm = row.iter().map(|a| a * a).sum::<f64>().sqrt();
        axes.push(row.iter().map(|a| a / norm).collect());
    }
    let entry =
        |i: usize, j: usize| -> f64 { (0..d).map(|k| spectrum[k] * axes[k][i] * axes[k][j]).sum() };
    (0..d * d).map(|at| entry(at / d, at % d)).collect()
}

/// The matrix in fixed point, exactly symmetric, with what its rounding could take from the
/// spectrum added to the diagonal.
fn encode(plan: &InversePlan, g: &[f64]) -> Vec<i128> {
    let d = plan.settings().order;
    let mut all = vec![0; d * d];
    for i in 0..d {
        for j in i..d {
            let value = libm::rint(libm::ldexp(g[i * d + j], plan.fraction() as i32)) as i128;
            all[i * d + j] = value + if i == j { d as i128 } else { 0 };
            all[j * d + i] = all[i * d + j];
        }
    }
    all
}

struct Run {
    x: Vec<f64>,
    residual: f64,
}

/// Inverts jointly, compares cost and meter, and checks every bound.
fn joint_inverse(plan: &InversePlan, g: &[i128], warm: Option<(&InversePlan, &[i128])>) -> Run {
    let (d, parties) = (plan.settings().order, plan.settings().parties as usize);
    record_openings();
    let results = World::new(parties).with_dealer().run(async |mut session| {
        let mut source = DealerSource::start(&mut session)?;
        let share = |values: &[i128], session: &mut Session| {
            let values: Vec<_> = values.iter().map(|&v| Z128::from_i128(v)).collect();
            let owner = parties - 1;
            let mine = (session.me() == owner).then_some(values.as_slice());
            let share = session.share_input(owner, mine, d * d)?;
            share.reshape(d, d)
        };
        let g_share = share(g, &mut session)?;
        let mut correlations = Correlations::new(&mut source)?;
        let mut first = None;
        if let Some((earlier, g)) = warm {
            let g = share(g, &mut session)?;
            let mut orders = Orders::new();
            let (due, _) = earlier.order(&mut orders);
            correlations.demand(orders)?;
            let start = Start::Identity;
            let result = invert(earlier, &g, start, due, &mut correlations, &mut session);
            first = Some(result.await?.x);
        }
        let mut orders = Orders::new();
        let (due, _) = plan.order(&mut orders);
        correlations.demand(orders)?;
        session.meter().enter("inverse");
        let start = first.as_ref().map_or(Start::Identity, Start::Warm);
        let result = invert(plan, &g_share, start, due, &mut correlations, &mut session);
        let result = result.await?;
        let phase = session.meter().phase("inverse");
        assert_eq!(plan.cost(session.me()).rounds, plan.rounds());
        let cost = plan.cost(session.me()).under(session.against(), session.me());
        assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
        correlations.finish().await?;
        Ok::<_, Error>((result.x, result.residual))
    });
    let (x, residual): (Vec<_>, Vec<_>) = results.into_iter().map(|r| r.expect("runs")).unzip();
    within_bounds(parties);
    let real = |values: Vec<Z128>, scale: u32| -> Vec<f64> {
        values.iter().map(|v| libm::ldexp(v.to_signed(128) as f64, -(scale as i32))).collect()
    };
    let x = real(ideal::reconstruct(&x), plan.inverse_fraction());
    for i in 0..d {
        for j in 0..d {
            assert_eq!(x[i * d + j], x[j * d + i], "X is symmetric");
        }
    }
    Run { x, residual: real(ideal::reconstruct(&residual), plan.residual_fraction())[0] }
}

fn decoded(plan: &InversePlan, g: &[i128]) -> Vec<f64> {
    g.iter().map(|&v| libm::ldexp(v as f64, -(plan.fraction() as i32))).collect()
}

/// The largest difference, each entry seen beside the diagonal.
fn difference(a: &[f64], b: &[f64], d: usize) -> f64 {
    let scale = |i: usize, j: usize| (b[i * (d + 1)] * b[j * (d + 1)]).abs().sqrt();
    (0..d * d).map(|at| (a[at] - b[at]).abs() / scale(at / d, at % d)).fold(0.0, f64::max)
}

fn geometric(order: usize, condition: f64, trace: f64) -> Vec<f64> {
    let raw: Vec<f64> =
        (0..order).map(|i| libm::pow(condition, -(i as f64) / (order - 1).max(1) as f64)).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|v| v / sum * trace).collect()
}

fn compare(order: usize, condition: f64, parties: usize, tolerance: f64) {
    let spectrum = geometric(order, condition, TOP - 1e-6);
    let least = TOP / (order as f64 * condition);
    let plan = InversePlan::new(settings(order, parties, least)).expect("fits");
    let g = encode(&plan, &matrix("axes", &spectrum));
    let run = joint_inverse(&plan, &g, None);
    let (twin, residual) = ideal::inverse(&plan, &decoded(&plan, &g));
    let off = difference(&run.x, &twin, order);
    println!(
        "order {order}, condition {condition}, {parties} parties: {} rounds, off by {off:.2e}, \
         residual {:.2e}",
        plan.rounds(),
        run.residual
    );
    assert!(off < tolerance, "off by {off}");
    assert!((run.residual - residual).abs() < 1e-3);
    assert!(plan.converged(run.residual));
}

#[test]
fn the_inverse_is_that_of_the_plaintext_twin() {
    for parties in [2, 3, 5] {
        compare(7, 2.2e4, parties, 1e-5);
        compare(4, 10.0, parties, 1e-5);
        compare(1, 1.1, parties, 1e-5);
    }
    compare(30, 1e6, 3, 2e-5);
}

#[test]
fn every_spectrum_stays_within_the_bounds() {
    let config = ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() };
    let strategy = (2usize..7, prop::collection::vec(0.0f64..40.0, 6), 0usize..3, any::<u32>());
    TestRunner::new(config)
        .run(&strategy, |(order, exponents, n, axes)| {
            let parties = [2, 3, 5][n];
            let plan = InversePlan::new(settings(order, parties, 1e-4)).expect("fits");
            let spectrum: Vec<f64> =
                exponents[..order].iter().map(|e| (TOP - 1e-6) * libm::exp2(-e)).collect();
            let g = encode(&plan, &matrix(&axes.to_string(), &spectrum));
            let run = joint_inverse(&plan, &g, None);
            // Never a wrong number: what converged is the inverse.
            if plan.converged(run.residual) {
                let (twin, _) = ideal::inverse(&plan, &decoded(&plan, &g));
                prop_assert!(difference(&run.x, &twin, order) < 1e-3);
            } else {
                prop_assert!(spectrum.iter().any(|&e| e < 1e-4));
            }
            Ok(())
        })
        .expect("all cases hold");
}

#[test]
fn singular_matrices_stay_within_the_bounds_and_are_noticed() {
    let order = 6;
    for parties in [2, 5] {
        let plan = InversePlan::new(settings(order, parties, 1e-5)).expect("fits");
        let unit = 1i128 << plan.fraction();
        let zero = vec![0; order * order];
        let ones = vec![unit * 15 / 16 / order as i128; order * order];
        let mut corner = zero.clone();
        corner[0] = unit * 15 / 16;
        // Exactly 15/16 times the identity, but for one zero.
        let mut almost = zero.clone();
        (1..order).for_each(|i| almost[i * (order + 1)] = unit * 15 / 16);
        for g in [zero, ones, corner, almost] {
            let run = joint_inverse(&plan, &g, None);
            assert!(run.residual > 0.99 && !plan.converged(run.residual), "{}", run.residual);
        }
    }
}

#[test]
fn a_warm_start_needs_fewer_steps() {
    let order = 5;
    for parties in [2, 3] {
        let spectrum = geometric(order, 1e3, TOP - 1e-6);
        let earlier = InversePlan::new(settings(order, parties, 1e-4)).expect("fits");
        let g0 = matrix("axes", &spectrum);
        // H = G^(1/2) V G^(1/2) lies between 0.3 G and G: a sum over halves of the data.
        let half = matrix("axes", &[spectrum[0], 0.0, spectrum[2], 0.0, spectrum[4]]);
        let h: Vec<f64> = g0.iter().zip(&half).map(|(g, half)| 0.3 * g + 0.7 * half).collect();
        let warm = InverseSettings {
            least: 0.25,
            start: StartBound::Warm {
                bound: earlier.bound_once_converged(),
                fraction: earlier.inverse_fraction(),
            },
            ..settings(order, parties, 0.0)
        };
        let plan = InversePlan::new(warm).expect("fits");
        assert!(plan.rounds() < earlier.rounds());
        let (g0, h) = (encode(&earlier, &g0), encode(&plan, &h));
        let run = joint_inverse(&plan, &h, Some((&earlier, &g0)));
        assert!(plan.converged(run.residual), "{}", run.residual);
        let long = InversePlan::new(settings(order, parties, 1e-5)).expect("fits");
        let (twin, _) = ideal::inverse(&long, &decoded(&plan, &h));
        assert!(difference(&run.x, &twin, order) < 1e-4);
    }
}

#[test]
fn a_start_that_was_not_planned_is_an_error() {
    let plan = InversePlan::new(settings(2, 2, 0.1)).expect("fits");
    World::new(2).with_dealer().run(async |mut session| {
        let mut source = DealerSource::start(&mut session).expect("starts");
        let x = Shared::zero(2, 2);
        let error = inverse(&plan, &x, Start::Warm(&x), &mut source, &mut session).await;
        assert!(error.expect_err("refused").to_string().contains("planned"));
        let wide = Shared::zero(3, 3);
        let error = inverse(&plan, &wide, Start::Identity, &mut source, &mut session).await;
        assert!(error.is_err());
        source.finish().await.expect("ends");
    });
}

/// Nothing that was opened since recording began was beyond its bound.
fn within_bounds(parties: usize) {
    let sizes = bounded_sizes(&take_openings(), parties);
    assert!(!sizes.is_empty());
    for size in sizes {
        assert!(size.largest < f64::from(size.magnitude), "{size:?}");
    }
}

/// Solves jointly for c = A^(1/2) u with |u| = `norm`, and checks every bound.
fn joint_solution(plan: &SolutionPlan, inverted: &InversePlan, g: &[i128], c: &[f64]) -> Vec<f64> {
    let (d, parties) = (inverted.settings().order, inverted.settings().parties as usize);
    let scale = plan.right_fraction() as i32;
    let c: Vec<_> =
        c.iter().map(|&c| Z128::from_i128(libm::rint(libm::ldexp(c, scale)) as i128)).collect();
    let g: Vec<_> = g.iter().map(|&v| Z128::from_i128(v)).collect();
    record_openings();
    let results = World::new(parties).with_dealer().run(async |mut session| {
        let mut source = DealerSource::start(&mut session)?;
        let mine = session.me() == 1;
        let g = session.share_input(1, mine.then_some(g.as_slice()), d * d)?;
        let g = g.reshape(d, d)?;
        let c = session.share_input(1, mine.then_some(c.as_slice()), d)?;
        let mut correlations = Correlations::new(&mut source)?;
        let mut orders = Orders::new();
        let (due, kept) = inverted.order(&mut orders);
        let rest = plan.order(kept.expect("the matrix is used again"), &mut orders);
        correlations.demand(orders)?;
        let start = Start::Identity;
        let result = invert(inverted, &g, start, due, &mut correlations, &mut session);
        let inverse = result.await?;
        session.meter().enter("solution");
        let w = solve(plan, &inverse, &c, rest, &mut correlations, &mut session).await?;
        assert_eq!(plan.cost(session.me()).rounds, plan.rounds());
        let phase = session.meter().phase("solution");
        let cost = plan.cost(session.me()).under(session.against(), session.me());
        assert_eq!((phase.rounds, phase.sent()), (cost.rounds, cost.sent()));
        correlations.finish().await?;
        Ok::<_, Error>(w)
    });
    let shares: Vec<_> = results.into_iter().map(|r| r.expect("runs")).collect();
    within_bounds(parties);
    let real = |v: &Z128| libm::ldexp(v.to_signed(128) as f64, -(plan.fraction() as i32));
    ideal::reconstruct(&shares).iter().map(real).collect()
}

#[test]
fn solutions_are_refined() {
    for (order, condition, parties) in [(7, 2.2e4, 2), (7, 2.2e4, 3), (3, 50.0, 5), (20, 1e4, 3)] {
        let spectrum = geometric(order, condition, TOP - 1e-6);
        let least = TOP / (order as f64 * condition);
        let reuse = InverseSettings { reuse: true, ..settings(order, parties, least) };
        let inverted = InversePlan::new(reuse).expect("fits");
        let exact = matrix("axes", &spectrum);
        let g = encode(&inverted, &exact);
        let w: Vec<f64> = numbers("w", order);
        let times = |v: &[f64]| -> Vec<f64> {
            exact.chunks(order).map(|row| row.iter().zip(v).map(|(a, b)| a * b).sum()).collect()
        };
        let c = times(&w);
        // c = G^(1/2) u with |u|^2 = w' G w.
        let norm = w.iter().zip(&c).map(|(w, c)| w * c).sum::<f64>().sqrt() * 1.001;
        let mut errors = Vec::new();
        for refinements in 0..=2 {
            let plan = SolutionPlan::new(&inverted, order as u64, norm, refinements).expect("fits");
            let got = joint_solution(&plan, &inverted, &g, &c);
            errors.push(w.iter().zip(&got).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max));
        }
        println!("order {order}, condition {condition}, {parties} parties: {errors:?}");
        assert!(errors[1] < 1e-5, "{errors:?}");
    }
}

#[test]
fn solutions_of_extreme_matrices_stay_within_the_bounds() {
    let order = 4;
    let reuse = InverseSettings { reuse: true, ..settings(order, 3, 1e-3) };
    let inverted = InversePlan::new(reuse).expect("fits");
    for exponent in [0.0, 3.0, 8.0, 11.0, 14.0, 17.0, 21.0, 25.0] {
        let least = TOP * libm::exp2(-exponent);
        let mut g = vec![0.0; order * order];
        (0..order).for_each(|i| g[i * (order + 1)] = least);
        // u = e_1 and c = G^(1/2) u: the solution is as large as it can be.
        let mut c = vec![0.0; order];
        c[0] = least.sqrt();
        let plan = SolutionPlan::new(&inverted, order as u64, 1.0, 2).expect("fits");
        joint_solution(&plan, &inverted, &encode(&inverted, &g), &c);
    }
}

/// The study of the design: 101 coefficients, a condition of 20,000.
#[test]
#[ignore = "some seconds; for the figures of docs/protocols.md 7.2"]
fn the_inverse_of_the_design() {
    for (order, condition) in [(101, 2e4), (101, 1e6)] {
        compare(order, condition, 3, 1e-4);
    }
}
