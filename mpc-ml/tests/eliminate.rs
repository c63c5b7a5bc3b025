//! Linear regression on columns of which the widest block is eliminated by its owner (docs/protocols.md
//! 13.3, The widest block), against the same fit in the clear.
#![allow(clippy::print_stdout)]

use std::collections::BTreeSet;

use mpc_core::correlations::Origin;
use mpc_core::testing::{self, World, bounded_sizes, record_openings, take_openings};
use mpc_ml::data::STANDARDISED;
use mpc_ml::model::{Facts, Run, ledger};
use mpc_ml::models::linear::{Linear, plaintext};
use mpc_ml::{Agreed, LinearPlan, LinearSettings, Model, Plan, Rows};

use crate::columns::at_parties;
use crate::joint_linear::{fit_of, largest, settings, synthetic, try_fit_of};

const TARGET: (f64, f64) = (-150.0, 150.0);

/// Rows of standardised columns, of which each of `close` follows from another one but for so much of its own.
fn table(rows: usize, columns: usize, close: &[(usize, usize, f64)]) -> Rows {
    let whole = synthetic(rows, columns, 1).remove(0);
    let mut x = whole.x().to_vec();
    for row in x.chunks_exact_mut(columns) {
        for &(column, from, rest) in close {
            row[column] = row[from] + rest * row[column];
        }
    }
    for column in 0..columns {
        let values = || x.iter().skip(column).step_by(columns);
        let mean = values().sum::<f64>() / rows as f64;
        let square = values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / rows as f64;
        let deviation = square.sqrt();
        let all = x.iter_mut().skip(column).step_by(columns);
        all.for_each(|v| *v = (*v - mean) / deviation);
    }
    Rows::new(x, whole.y().to_vec(), columns)
}

fn facts(whole: &Rows, (widths, holder): (&[u32], usize), origin: Origin) -> Facts {
    let squares = vec![STANDARDISED; whole.columns()];
    let facts = Facts::vertical(whole.len() as u64, widths, holder, squares, origin);
    let names = (0..whole.columns()).map(|column| format!("c{column}")).collect();
    Facts { target: Some(TARGET), names, ..facts }
}

fn eliminates(plan: &LinearPlan) -> bool {
    plan.figures().precision.iter().any(|line| line.contains("eliminates"))
}

/// Fits, and compares coefficients and standard errors with those in the clear.
fn compare(
    what: &str,
    settings: &LinearSettings,
    (whole, parties): (&Rows, (&[u32], usize)),
    origin: Origin,
) {
    let plan = Linear::plan(settings, &facts(whole, parties, origin)).expect("fits");
    assert!(eliminates(&plan), "{what}");
    let fit = fit_of(&plan, &at_parties(whole, parties.0, parties.1));
    let (expected, inverse) = plaintext::least_squares(&plan, std::slice::from_ref(whole));
    let off: Vec<f64> = fit.coefficients.iter().zip(&expected).map(|(a, b)| a - b).collect();
    let sums = fit.statistics.expect("asked for");
    let errors: Vec<f64> = inverse.iter().map(|v| (v * sums.residual_variance).sqrt()).collect();
    let beside = off.iter().zip(&errors).fold(0.0, |a: f64, (o, e)| a.max((o / e).abs()));
    let got = fit.std_errors;
    let se = got.iter().flatten().zip(&errors);
    let se = se.fold(0.0, |a: f64, (g, e)| a.max((g / e - 1.0).abs()));
    let check = fit.certificate.expect("all receive the model");
    println!(
        "{what}, {:?}, {origin:?}: off by {:.1e} of the largest and {beside:.1e} standard errors, which are \
         off by {se:.1e}; {:.1e} of {:.1e} left",
        parties.0,
        largest(&off) / largest(&expected),
        check.value,
        check.bound,
    );
    assert!(beside <= 0.01 && se <= 0.01, "{what}");
    assert_eq!(got.is_some(), settings.l2 == 0.0);
    let residuals: f64 = (0..whole.len())
        .map(|row| {
            let fitted = whole.row(row).iter().zip(&expected).map(|(x, w)| x * w).sum::<f64>();
            let rest = whole.y()[row] - fitted - expected.get(whole.columns()).unwrap_or(&0.0);
            rest * rest
        })
        .sum();
    let free = (whole.len() - expected.len()) as f64;
    assert!((sums.residual_variance * free / residuals - 1.0).abs() < 1e-3, "{what}");
}

#[test]
fn all_ways_to_hold_columns_give_the_fit_in_the_clear() {
    let whole = table(300, 12, &[]);
    let usual = settings(30.0);
    let parties: [(&[u32], usize); 6] = [
        (&[3, 9], 0),
        (&[3, 9], 1),
        (&[9, 3], 0),
        (&[2, 8, 2], 2),
        (&[2, 0, 7, 1, 2], 1),
        (&[0, 12], 0),
    ];
    for at in parties {
        compare("columns", &usual, (&whole, at), Origin::Dealer);
    }
    compare("columns", &usual, (&whole, (&[3, 9], 0)), Origin::Pairwise);
    compare("columns", &usual, (&whole, (&[2, 8, 2], 1)), Origin::Pairwise);
    compare("columns", &usual, (&whole, (&[2, 0, 7, 1, 2], 0)), Origin::Pairwise);
    compare("all at one", &usual, (&whole, (&[12, 0], 0)), Origin::Dealer);
    let without = LinearSettings { intercept: false, ..usual.clone() };
    compare("no intercept", &without, (&whole, (&[3, 9], 0)), Origin::Dealer);
    let ridge = LinearSettings { l2: 0.3, ..usual };
    compare("a penalty", &ridge, (&whole, (&[3, 9], 0)), Origin::Dealer);
}

/// Columns that nearly follow from others: the owner's own, the others' own, and one of each.
#[test]
fn columns_that_nearly_follow_from_others_are_told_apart() {
    let close = [("own", 5, 4), ("others'", 1, 0), ("either's", 2, 7)];
    for (what, column, from) in close {
        let whole = table(500, 12, &[(column, from, 0.02)]);
        for (parties, origin) in [
            (&[3, 9][..], Origin::Pairwise),
            (&[3, 9], Origin::Dealer),
            (&[2, 9, 1], Origin::Dealer),
        ] {
            compare(what, &settings(200.0), (&whole, (parties, 0)), origin);
        }
    }
}

/// Forty columns at one party, each of a few values.
#[test]
fn many_columns_of_few_values_give_the_fit_in_the_clear() {
    let whole = table(400, 43, &[]);
    let x = whole.x().iter().map(|v| if *v > 0.4 { 1.0 } else { -1.0 }).collect();
    let whole = Rows::new(x, whole.y().iter().map(|y| y / 10.0).collect(), 43);
    compare("few values", &settings(100.0), (&whole, (&[3, 40], 0)), Origin::Pairwise);
}

/// The owner is told which of its columns follows from others, and what it is told to do helps.
#[test]
fn own_columns_that_follow_from_each_other_are_named_before_anything_is_sent() {
    let whole = table(200, 12, &[(7, 5, 1e-4)]);
    let parties: (&[u32], usize) = (&[3, 9], 0);
    let plan = Linear::plan(&settings(100.0), &facts(&whole, parties, Origin::Dealer));
    let plan = plan.expect("fits");
    assert!(eliminates(&plan));
    let ends = try_fit_of(&plan, &at_parties(&whole, parties.0, 0), ledger(&plan.outputs()));
    let why = ends[1].as_ref().expect_err("c7 follows from c5").to_string();
    assert!(why.starts_with("c7 follows from other columns of your own"), "{why}");
    assert!(why.contains("nothing was sent"), "{why}");
    // Left out.
    let x = whole.x().chunks_exact(12).flat_map(|row| [&row[..7], &row[8..]].concat()).collect();
    let less = Rows::new(x, whole.y().to_vec(), 11);
    compare("left out", &settings(100.0), (&less, (&[3, 8], 0)), Origin::Dealer);
}

/// Each party has the coefficients of its own columns alone, those of the whole model.
#[test]
fn each_party_may_receive_its_own_coefficients_of_an_elimination() {
    let whole = table(300, 12, &[]);
    let parties: (&[u32], usize) = (&[2, 8, 2], 2);
    let facts = Facts { own: true, ..facts(&whole, parties, Origin::Dealer) };
    let own = LinearSettings { inference: false, ..settings(30.0) };
    let plan = Linear::plan(&own, &facts).expect("fits");
    assert!(eliminates(&plan));
    let ends = try_fit_of(&plan, &at_parties(&whole, parties.0, 2), ledger(&plan.outputs()));
    let expected = plaintext::least_squares(&plan, std::slice::from_ref(&whole)).0;
    let places = [vec![0, 1], (2..10).collect(), vec![10, 11, 12]];
    for (end, places) in ends.into_iter().zip(places) {
        let fit = end.expect("fits");
        assert_eq!(fit.coefficients.len(), places.len());
        for (got, place) in fit.coefficients.iter().zip(places) {
            assert!((got - expected[place]).abs() < 1e-3 * largest(&expected));
        }
    }
}

/// Joint tests and the whole inverse need the inverse in one piece; the bytes decide about the rest.
#[test]
fn what_is_eliminated_follows_from_what_is_public() {
    let whole = table(100, 12, &[]);
    let facts = facts(&whole, (&[2, 9, 1], 0), Origin::Dealer);
    let with = |settings: &LinearSettings| Linear::plan(settings, &facts).expect("fits");
    let usual = settings(30.0);
    let covariance = with(&LinearSettings { covariance: true, ..usual.clone() });
    assert!(!eliminates(&covariance));
    let eliminating = with(&usual);
    assert!(eliminates(&eliminating));
    assert!(eliminating.training_cost(0).sent() < covariance.training_cost(0).sent());
    let names = |plan: &LinearPlan| {
        let fields = plan.canonical().expect("has a form");
        fields.fields().map(|field| field.0).collect::<Vec<_>>()
    };
    assert!(names(&eliminating).contains(&"elimination that follows"));
    assert!(!names(&covariance).contains(&"elimination that follows"));
}

/// A hundred thousand rows of 30 and 300 columns: the condition is that of 31 columns, not of 331.
#[test]
fn wide_blocks_have_bits_for_a_large_condition() {
    let squares = vec![STANDARDISED; 330];
    for origin in [Origin::Dealer, Origin::Pairwise] {
        let facts = Facts::vertical(100_000, &[30, 300], 0, squares.clone(), origin);
        let facts = Facts { target: Some((0.0, 1.0)), ..facts };
        let usual = LinearSettings { inference: true, ..LinearSettings::default() };
        let plan = Linear::plan(&usual, &facts).expect("fits");
        println!("{origin:?}: condition {}, {:?}", plan.condition(), plan.cost(0));
        // A dealer's masked matrices take some bits.
        let least = if origin == Origin::Dealer { 50.0 } else { 250.0 };
        assert!(eliminates(&plan) && plan.condition() >= least, "{}", plan.condition());
    }
}

/// Whatever the columns are: of others that follow from the owner's or from each other, of none that varies, and of a
/// target that follows from any.
#[test]
fn openings_of_an_elimination_are_within_their_bounds() {
    const WIDTHS: [u32; 3] = [2, 9, 1];
    let usual = table(80, 12, &[]);
    let made = |of: &dyn Fn(usize, &mut [f64], &mut f64)| {
        let (mut x, mut y) = (usual.x().to_vec(), usual.y().to_vec());
        for (row, (x, y)) in x.chunks_exact_mut(12).zip(&mut y).enumerate() {
            of(row, x, y);
        }
        Rows::new(x, y, 12)
    };
    // Which of them are singular without a penalty.
    let tables = [
        ("usual", false, made(&|_, _, _| {})),
        ("either's follow", true, made(&|_, x, _| (x[0], x[11]) = (x[3], x[4]))),
        ("the others' follow", true, made(&|_, x, _| (x[1], x[11]) = (x[0], -x[0]))),
        ("nothing varies", true, made(&|_, x, _| (x[0], x[1], x[11]) = (0.0, 0.0, 0.0))),
        ("the owner's give the target", false, made(&|_, x, y| *y = 60.0 * x[4])),
        ("others' give the target", false, made(&|_, x, y| *y = 60.0 * x[0])),
        ("extreme", false, made(&|_, x, y| *y = if x[2] > 0.0 { 150.0 } else { -150.0 })),
        (
            "one row",
            false,
            made(&|row, x, _| {
                let cell = if row == 7 { 8.0 } else { 0.0 };
                (x[0], x[2]) = (cell, x[2] / 8.0 + cell / 4.0);
            }),
        ),
    ];
    let mut steps = BTreeSet::new();
    for (name, singular, whole) in &tables {
        for (l2, origin) in [(0.0, Origin::Dealer), (0.0, Origin::Pairwise), (0.5, Origin::Dealer)]
        {
            let square = |j: usize| {
                let all = whole.x().iter().skip(j).step_by(12);
                all.map(|x| x * x).sum::<f64>() / 80.0 * (1.0 + 1e-9) + 1e-9
            };
            let squares = (0..12).map(square).collect();
            let facts = Facts::vertical(80, &WIDTHS, 0, squares, origin);
            let facts = Facts { target: Some(TARGET), ..facts };
            let settings = LinearSettings { l2, ..settings(25.0) };
            let plan = Linear::plan(&settings, &facts).expect("fits");
            assert!(eliminates(&plan));
            record_openings();
            // A design that is singular is refused, or its result; the bounds hold all the same.
            let data = at_parties(whole, &WIDTHS, 0);
            let world = World::new(3).origin(origin).outputs(ledger(&plan.outputs()));
            let ends = world.run(async |mut session| {
                let mut source = testing::source(&mut session, origin)?;
                let plan = Agreed::among(plan.clone(), &mut session).await?;
                let data = data[session.me()].clone();
                let (source, progress) = (&mut *source, &mut |_| {});
                let mut run = Run { session: &mut session, source, progress };
                let shares = Linear::fit(&plan, &data, &mut run).await?;
                Linear::release(&plan, shares, &data, &mut run).await
            });
            let refused = *singular && l2 == 0.0;
            assert_eq!(ends.iter().any(Result::is_err), refused, "{name}, {l2}");
            for size in bounded_sizes(&take_openings(), 3) {
                let margin = f64::from(size.magnitude) - size.largest;
                assert!(margin >= 0.0, "{name}, {l2}, {}: {margin} bits", size.step);
                steps.insert(size.step);
            }
        }
    }
    for step in ["linear/lift-sums", "linear/lift-owned", "linear/lift-square"] {
        assert!(steps.contains(step), "{step}");
    }
}
