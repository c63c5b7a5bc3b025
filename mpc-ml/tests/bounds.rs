//! What is opened under bounded masks (docs/protocols.md 3b) stays below its bound, whatever the rows
//! are: singular, all but zero, of one class, a single one, or as large as may be. A larger value would
//! not only be wrong but visible.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use crate::columns;

use std::collections::{BTreeMap, BTreeSet};

use mpc_core::correlations::Origin;
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::testing::{self, World, bounded_sizes, record_openings, take_openings};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Plan, Run, ledger};
use mpc_ml::models::glm::{Family, Finish, Glm, GlmPlan, GlmSettings};
use mpc_ml::models::linear::Linear;
use mpc_ml::{Agreed, Error, LinearSettings, Model, Rows, synthetic};

/// What the settings of the fits share: entries up to 1024 may pass.
fn settings(family: Family, l2: f64) -> GlmSettings {
    GlmSettings { l2, inference: l2 == 0.0, ..GlmSettings::new(family) }
}

/// What becomes of the entries and the target of a party's row.
type Change<'a> = &'a dyn Fn(usize, usize, &mut [f64], &mut f64);

/// The rows of `parties` parties, with entries and targets that are made of the usual ones.
fn made(parties: usize, of: Change<'_>) -> Vec<Rows> {
    let usual = synthetic::logistic(parties * 40, 4, parties, 1).into_iter().enumerate();
    let all = usual.map(|(party, rows)| {
        let (mut x, mut y) = (rows.x().to_vec(), rows.y().to_vec());
        for (row, (x, y)) in x.chunks_exact_mut(4).zip(&mut y).enumerate() {
            of(party, row, x, y);
        }
        Rows::new(x, y, 4)
    });
    all.collect()
}

/// Data that are hard on the bounds, by name.
fn hard(parties: usize, family: Family) -> Vec<(&'static str, Vec<Rows>)> {
    let large = if family == Family::Poisson { 1e6 } else { 1.0 };
    let made = |of: Change<'_>| made(parties, of);
    let mut tiny = made(&|_, _, _, y| *y *= large);
    tiny[parties - 1] = Rows::new(vec![3.0, -3.0, 0.5, 0.0], vec![large], 4);
    vec![
        ("usual", made(&|_, _, _, y| *y *= large)),
        ("singular", made(&|_, _, x, _| (x[1], x[2]) = (x[0], -2.0 * x[0]))),
        (
            "all but zero",
            made(&|_, row, x, _| x.iter_mut().for_each(|x| *x *= f64::from(row == 0))),
        ),
        ("zero", made(&|_, _, x, _| x.fill(0.0))),
        ("one class", made(&|party, _, _, y| *y = if party == 0 { large } else { *y })),
        ("one class a party", made(&|party, _, _, y| *y = if party == 0 { large } else { 0.0 })),
        ("separated", made(&|_, _, x, y| *y = if x[0] > 0.0 { large } else { 0.0 })),
        (
            "as large as may be",
            made(&|_, row, x, y| {
                x.iter_mut()
                    .enumerate()
                    .for_each(|(j, x)| *x = if row >> j & 1 == 0 { 1023.0 } else { -1023.0 });
                *y = if row % 3 == 0 { large } else { 0.0 };
            }),
        ),
        (
            "one large cell",
            made(&|party, row, x, _| {
                x[0] = if (party, row) == (0, 0) { 1000.0 } else { x[0] / 100.0 }
            }),
        ),
        ("a single row", tiny),
    ]
}

/// Fits, and gives for each step how many bits below its bound the largest value was.
fn margins(
    settings: &GlmSettings,
    data: &[Rows],
    origin: Origin,
) -> Option<(BTreeMap<&'static str, f64>, String)> {
    let rows: Vec<u64> = data.iter().map(|rows| rows.len() as u64).collect();
    let (columns, total) = (data[0].columns(), rows.iter().sum::<u64>() as f64);
    let square = |j: usize| -> f64 {
        let all = data.iter().flat_map(|rows| rows.x().iter().skip(j).step_by(columns));
        all.map(|x| x * x).sum::<f64>() / total * 1.01 + 1e-9
    };
    let facts = Facts::horizontal(&rows, (0..columns).map(square).collect(), origin);
    // What is refused before anything is sent opens nothing.
    let plan = GlmPlan::new(settings, &facts).ok()?;
    let world = World::new(data.len()).origin(origin).outputs(ledger(&plan.outputs()));
    record_openings();
    let ends = world.run(async |mut session| {
        let mut source = testing::source(&mut session, origin)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let data = Dataset::from(data[session.me()].clone());
        let progress = &mut |_| {};
        let mut run = Run { session: &mut session, source: &mut *source, progress };
        let shares = Glm::fit(&plan, &data, &mut run).await?;
        Glm::release(&plan, shares, &data, &mut run).await
    });
    // All refuse for the same reason; who hears of it last may find the others gone.
    let mut refused = String::new();
    let mut lost = None;
    for end in ends {
        match end {
            Ok(fit) => assert!(fit.is_some()),
            Err(Error::Protocol(mpc_core::Error::Net(error))) => lost = Some(error),
            Err(Error::Protocol(error)) => panic!("{error}"),
            Err(error) => refused = error.to_string(),
        }
    }
    assert!(lost.is_none() || !refused.is_empty(), "{lost:?}");
    let mut margins = BTreeMap::new();
    let openings = take_openings();
    for seen in &openings {
        let Some(hidden) = &seen.hidden else { continue };
        assert!(hidden.mask_bits >= hidden.magnitude + plan.sigma(), "{}", seen.step);
        let most = hidden.mask.iter().copied().max().unwrap_or_default();
        assert!(most >> hidden.mask_bits == 0, "{}: a mask beyond its bits", seen.step);
    }
    for size in bounded_sizes(&openings, data.len()) {
        let margin = f64::from(size.magnitude) - size.largest;
        let least = margins.entry(size.step).or_insert(f64::INFINITY);
        *least = margin.min(*least);
    }
    Some((margins, refused))
}

/// Fits all data, and gives the steps that opened something.
fn check(settings: &GlmSettings, parties: usize, origin: Origin) -> BTreeSet<&'static str> {
    let mut steps = BTreeSet::new();
    for (name, data) in hard(parties, settings.family) {
        let what = format!("{:?}, l2 {}, {parties} parties, {name}", settings.family, settings.l2);
        steps.extend(within(&what, settings, &data, origin));
    }
    steps
}

/// Nothing of a fit is beyond its bound.
fn within(
    what: &str,
    settings: &GlmSettings,
    data: &[Rows],
    origin: Origin,
) -> BTreeSet<&'static str> {
    let Some((margins, refused)) = margins(settings, data, origin) else {
        println!("{what}: no plan");
        return BTreeSet::new();
    };
    println!("{what}: {margins:.1?} {refused:.60}");
    for (step, margin) in &margins {
        assert!(*margin > 0.0, "{what}: {step} is {margin} bits beyond its bound");
    }
    margins.into_keys().collect()
}

/// The openings of an inverse, and with a penalty of residuals and of steps.
fn all(l2: f64) -> BTreeSet<&'static str> {
    let inverse = ["inverse/start", "inverse/truncate-gx", "inverse/truncate-x"];
    let lifted = ["glm/open-residuals", "glm/lift"];
    inverse.into_iter().chain(lifted.into_iter().filter(|_| l2 > 0.0)).collect()
}

#[test]
fn logistic_openings_are_within_their_bounds() {
    for parties in [2, 3, 5] {
        for l2 in [0.0, 1e-3, 0.1, 10.0] {
            let steps = check(&settings(Family::Logistic, l2), parties, Origin::Dealer);
            assert_eq!(steps, all(l2));
        }
    }
}

#[test]
fn openings_of_rates_are_within_their_bounds() {
    for parties in [2, 3] {
        for l2 in [0.0, 0.1, 1.0] {
            let steps = check(&settings(Family::Poisson, l2), parties, Origin::Dealer);
            assert_eq!(steps, all(l2));
        }
    }
}

#[test]
fn openings_without_a_dealer_are_within_their_bounds() {
    for (family, l2) in [(Family::Logistic, 0.0), (Family::Logistic, 0.01), (Family::Poisson, 0.1)]
    {
        assert_eq!(check(&settings(family, l2), 3, Origin::Pairwise), all(l2));
    }
}

#[test]
fn hidden_fits_open_nothing_beyond_its_bound() {
    for l2 in [0.0, 0.01] {
        let settings = settings(Family::Logistic, l2);
        let hidden = GlmSettings { finish: Finish::Hidden, inference: false, ..settings };
        assert_eq!(check(&hidden, 3, Origin::Dealer), all(l2));
    }
}

/// Steps that the owners' own inverses make, of rows of which one party's are of one class.
#[test]
fn steps_of_many_columns_are_within_their_bounds() {
    let mut data = synthetic::logistic(2 * 520, 256, 2, 1);
    data[0] = Rows::new(data[0].x().to_vec(), vec![1.0; 520], 256);
    for l2 in [0.02, 1.0] {
        let settings = settings(Family::Logistic, l2);
        let steps = within("many columns", &settings, &data, Origin::Dealer);
        assert_eq!(steps, BTreeSet::from(["glm/open-residuals", "glm/lift"]));
    }
}

/// Sums of products of columns at different parties, which are opened to be lifted: of equal columns that are
/// as large as may be they come near their bound, and beyond it never.
#[test]
fn sums_of_columns_at_different_parties_are_bounded() {
    const WIDTHS: [u32; 3] = [1, 2, 1];
    let table = |of: &dyn Fn(usize, usize) -> f64, y: &dyn Fn(usize) -> f64| {
        let x = (0..120).flat_map(|row| (0..4).map(move |j| (row, j))).map(|(row, j)| of(row, j));
        Rows::new(x.collect(), (0..120).map(y).collect(), 4)
    };
    let alternating = |row: usize| if row.is_multiple_of(2) { 1.0 } else { -1.0 };
    let tables = [
        ("equal", table(&|row, _| 8.0 * alternating(row), &alternating)),
        ("opposite", table(&|row, j| 8.0 * alternating(row + j), &|row| -alternating(row))),
        ("zero", table(&|_, _| 0.0, &alternating)),
        ("one row", table(&|row, _| if row == 0 { 8.0 } else { 0.0 }, &alternating)),
    ];
    let mut least = f64::INFINITY;
    for (name, whole) in tables {
        let square = |j: usize| {
            whole.x().iter().skip(j).step_by(4).map(|x| x * x).sum::<f64>() / 120.0 + 1e-9
        };
        let squares = (0..4).map(square).map(|square| square.min(64.0)).collect();
        let facts = Facts::vertical(120, &WIDTHS, 2, squares, Origin::Dealer);
        let facts = Facts { target: Some((-1.0, 1.0)), ..facts };
        let settings =
            LinearSettings { l2: 0.5, condition: Some(20.0), ..LinearSettings::default() };
        let plan = Linear::plan(&settings, &facts).unwrap();
        let data = columns::at_parties(&whole, &WIDTHS, 2);
        let world = World::new(3).with_dealer().outputs(ledger(&plan.outputs()));
        record_openings();
        let ends = world.run(async |mut session| {
            let mut source = DealerSource::start(&mut session)?;
            let plan = Agreed::among(plan.clone(), &mut session).await?;
            let data = data[session.me()].clone();
            let (source, progress) = (&mut source, &mut |_| {});
            let mut run = Run { session: &mut session, source, progress };
            let shares = Linear::fit(&plan, &data, &mut run).await?;
            Linear::release(&plan, shares, &data, &mut run).await
        });
        for end in ends {
            assert!(end.unwrap().is_some(), "{name}");
        }
        let openings = take_openings();
        let lifted = openings.iter().filter(|seen| seen.step == "linear/lift-sums");
        assert!(lifted.count() >= 2 * 3, "{name}: entries and targets of three parties");
        for size in bounded_sizes(&openings, 3) {
            let margin = f64::from(size.magnitude) - size.largest;
            assert!(margin >= 0.0, "{name}, {}: {margin} bits", size.step);
            if size.step == "linear/lift-sums" {
                least = least.min(margin);
            }
        }
    }
    assert!(least < 2.5, "the bound is {least} bits above the largest that there is");
}
