//! What is opened under bounded masks (docs/protocols.md 3b) stays below its bound, whatever the rows
//! are: singular, all but zero, of one class, a single one, or as large as may be. A larger value would
//! not only be wrong but visible.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::time::Duration;

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::testing::{World, bounded_sizes, record_openings, take_openings};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Plan, Run, ledger};
use mpc_ml::models::glm::{Family, Finish, Glm, GlmPlan, GlmSettings};
use mpc_ml::{Agreed, Error, Model, Rows, synthetic};

/// What the settings of the fits share: entries up to 1024 may pass.
fn settings(family: Family, l2: f64) -> GlmSettings {
    GlmSettings { l2, inference: l2 == 0.0, ..GlmSettings::new(family) }
}

/// The rows of `parties` parties, with entries and targets that are made of the usual ones.
fn made(parties: usize, of: impl Fn(usize, usize, &mut [f64], &mut f64)) -> Vec<Rows> {
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
    let made = |of: &dyn Fn(usize, usize, &mut [f64], &mut f64)| made(parties, of);
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
    let world =
        World::new(data.len()).outputs(ledger(&plan.outputs())).deadline(Duration::from_secs(300));
    let world = if origin == Origin::Dealer { world.with_dealer() } else { world };
    record_openings();
    let ends = world.run(async |mut session| {
        let mut source: Box<dyn CorrelationSource> = match origin {
            Origin::Dealer => Box::new(DealerSource::start(&mut session)?),
            Origin::Pairwise => Box::new(PairwiseSource::start(&mut session, Expansion::Fast)?),
        };
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let data = Dataset::from(data[session.me()].clone());
        let progress = &mut |_| {};
        let mut run = Run { session: &mut session, source: &mut *source, progress };
        let shares = Glm::fit(&plan, &data, &mut run).await?;
        Glm::release(&plan, shares, &data, &mut run).await
    });
    let mut refused = String::new();
    for end in ends {
        match end {
            Ok(fit) => assert!(fit.is_some()),
            Err(Error::Protocol(error)) => panic!("{error}"),
            Err(error) => refused = error.to_string(),
        }
    }
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

fn check(settings: &GlmSettings, parties: usize, origin: Origin) -> BTreeMap<&'static str, f64> {
    let mut all = BTreeMap::new();
    for (name, data) in hard(parties, settings.family) {
        let what = format!("{:?} l2 {} {parties} parties {name}", settings.family, settings.l2);
        let Some((margins, refused)) = margins(settings, &data, origin) else {
            println!("{what}: no plan");
            continue;
        };
        println!("{what}: {margins:.1?} {refused:.60}");
        for (step, margin) in margins {
            assert!(margin > 0.0, "{what}: {step} is {margin} bits beyond its bound");
            let least = all.entry(step).or_insert(f64::INFINITY);
            *least = margin.min(*least);
        }
    }
    all
}

#[test]
fn logistic_openings_are_within_their_bounds() {
    for parties in [2, 3, 5] {
        for l2 in [0.0, 1e-4, 0.1, 10.0] {
            check(&settings(Family::Logistic, l2), parties, Origin::Dealer);
        }
    }
}

#[test]
fn openings_of_rates_are_within_their_bounds() {
    for parties in [2, 3] {
        for l2 in [0.0, 1e-3, 1.0] {
            check(&settings(Family::Poisson, l2), parties, Origin::Dealer);
        }
    }
}

#[test]
fn openings_without_a_dealer_are_within_their_bounds() {
    for (family, l2) in [(Family::Logistic, 0.0), (Family::Logistic, 1e-3), (Family::Poisson, 0.1)]
    {
        check(&settings(family, l2), 3, Origin::Pairwise);
    }
}

#[test]
fn hidden_fits_open_nothing_beyond_its_bound() {
    for l2 in [0.0, 0.01] {
        let hidden = GlmSettings {
            finish: Finish::Hidden,
            inference: false,
            ..settings(Family::Logistic, l2)
        };
        check(&hidden, 3, Origin::Dealer);
    }
}
