//! Evaluations on shares of scores against the same in the clear.

use mpc_core::rand::MaskSite;
use mpc_core::testing::{self, World};

use super::*;
use crate::artifact::ModelParts;
use crate::data::testing::numeric;
use crate::data::{BinaryTarget, CountTarget, NumericMissing, NumericTarget, Scaling};
use crate::evaluate::tests::training;
use crate::model::ledger;

/// Records, each a party's part of the score in tenths of a thousandth, and the target of each.
struct Records {
    parts: Vec<Vec<f64>>,
    scores: Vec<f64>,
    targets: Vec<f64>,
}

#[cfg(feature = "insecure-test-masks")]
fn without(off: Option<MaskSite>, world: World) -> World {
    world.insecure_without(off)
}

#[cfg(not(feature = "insecure-test-masks"))]
fn without(_: Option<MaskSite>, world: World) -> World {
    world
}

/// Numbers between -1 and 1 that are as random as tests need them.
fn draws(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

const INTERCEPT: f64 = -0.7;

fn records(kind: ModelKind, parties: usize, rows: usize, wide: f64) -> Records {
    let mut draw = draws(rows as u64 + parties as u64);
    let mut made = Records { parts: vec![Vec::new(); parties], scores: vec![], targets: vec![] };
    for _ in 0..rows {
        let mut score = INTERCEPT;
        for part in &mut made.parts {
            let own = ((draw() + draw()) * wide * 1e4).round() / 1e4;
            part.push(own);
            score += own;
        }
        made.scores.push(score);
        let uniform = (draw() + 1.0) / 2.0;
        made.targets.push(match kind {
            ModelKind::Logistic => f64::from(u8::from(uniform < 1.0 / (1.0 + (-score).exp()))),
            ModelKind::Poisson => {
                let (mut count, mut left) = (0.0, uniform - (-score.exp()).exp());
                let mut term = (-score.exp()).exp();
                while left > 0.0 && count < 90.0 {
                    count += 1.0;
                    term *= score.exp() / count;
                    left -= term;
                }
                count
            }
            ModelKind::Linear | ModelKind::Multinomial => ((score + draw()) * 1e4).round() / 1e4,
        });
    }
    made
}

fn schema(kind: ModelKind) -> Schema {
    let column = "y".to_owned();
    let target = match kind {
        ModelKind::Logistic => {
            Target::Binary(BinaryTarget { column, positive: "1".into(), negative: "0".into() })
        }
        ModelKind::Poisson => Target::Count(CountTarget { column, range: (0.0, 99.0) }),
        ModelKind::Linear | ModelKind::Multinomial => {
            Target::Numeric(NumericTarget { column, range: Some((-40.0, 40.0)) })
        }
    };
    let own = numeric("x", NumericMissing::Refuse, Scaling::None);
    Schema::new(vec![own], target).expect("a schema")
}

fn part(kind: ModelKind, holds: bool) -> ModelPart {
    let parts = ModelParts {
        kind,
        title: "A study".into(),
        study: "study:00".into(),
        standardisation: Vec::new(),
        schema: schema(kind),
        intercept: holds.then_some(INTERCEPT),
        coefficients: vec![1.0],
        l2: 0.0,
        inference: None,
        training: training(),
    };
    ModelPart::new(parts, "a").expect("a part")
}

/// The last party has the target.
fn evaluated(
    kind: ModelKind,
    how: (usize, Origin),
    of: &Records,
) -> Vec<Result<ColumnsEvaluation, Error>> {
    evaluated_without(None, kind, how, of)
}

/// The same with a mask switched off.
fn evaluated_without(
    off: Option<MaskSite>,
    kind: ModelKind,
    (parties, origin): (usize, Origin),
    of: &Records,
) -> Vec<Result<ColumnsEvaluation, Error>> {
    let records = of.scores.len() as u64;
    let plan = ColumnsPlan::new((kind, &schema(kind)), records, (origin, parties)).expect("fits");
    let world = World::new(parties).origin(origin).outputs(ledger(&plan.outputs()));
    let world = without(off, world);
    world.run(async |mut session| {
        let me = session.me();
        let holds = me + 1 == parties;
        let mut source = testing::source(&mut session, origin)?;
        let mut table = if holds {
            Table::builder(schema(kind))
        } else {
            Table::builder_without_target(schema(kind))
        };
        for (row, own) in of.parts[me].iter().enumerate() {
            let cells = [own.to_string(), of.targets[row].to_string()];
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            table.push_row(if holds { &cells } else { &cells[..1] }).expect("fits");
        }
        session.meter().enter("evaluate");
        let progress = &mut |_| {};
        let mut run = Run { session: &mut session, source: &mut *source, progress };
        let tested = compute(&plan, &part(kind, holds), &table.finish(), &mut run).await?;
        let scores = tested.scores;
        let result = release(&plan, tested, &mut run).await?;
        testing::assert_cost(run.session, "evaluate", &plan.cost_at(me, scores));
        run.source.finish().await?;
        Ok(result)
    })
}

#[track_caller]
fn close(what: &str, got: f64, due: f64, most: f64) {
    println!("{what}: {got} for {due}");
    assert!((got - due).abs() <= most, "{what}: {got} instead of {due}");
}

const WAYS: [(usize, Origin); 4] =
    [(2, Origin::Dealer), (2, Origin::Pairwise), (3, Origin::Pairwise), (5, Origin::Dealer)];

#[test]
fn classes_are_predicted_as_in_the_clear() {
    for ((parties, origin), rows, wide) in WAYS
        .into_iter()
        .zip([400, 300, 200, 400])
        .zip([1.0, 0.2, 2.0, 1.5])
        .map(|((a, b), c)| (a, b, c))
    {
        let of = records(ModelKind::Logistic, parties, rows, wide);
        let n = rows as f64;
        let pairs = of.scores.iter().zip(&of.targets);
        let mean = |z: f64| 1.0 / (1.0 + (-z).exp());
        let sum = |f: &dyn Fn(f64, f64) -> f64| pairs.clone().map(|(&z, &y)| f(z, y)).sum::<f64>();
        let loss = sum(&|z, y| z.max(0.0) + (-z.abs()).exp().ln_1p() - y * z) / n;
        let brier = sum(&|z, y| (mean(z) - y).powi(2)) / n;
        let right = sum(&|z, y| f64::from(u8::from((z >= 0.0) == (y == 1.0)))) / n;
        let positives = of.targets.iter().sum::<f64>();
        let rank = |z: f64, y: f64| {
            let below =
                pairs.clone().filter(|&(&other, &class)| y == 1.0 && class == 0.0 && other < z);
            below.count() as f64
        };
        let auc = sum(&rank) / (positives * (n - positives));
        for result in evaluated(ModelKind::Logistic, (parties, origin), &of) {
            let result = result.expect("is evaluated");
            let ColumnsFigures::Logistic(of) = &result.figures else { panic!("{result:?}") };
            assert_eq!((of.positives, of.accuracy), (positives as u64, right));
            let curves = of.curves.as_ref().expect("scores are close enough");
            println!("{parties} {origin:?}: {result}");
            close("log loss", curves.log_loss, loss, 1e-3);
            close("deviance", curves.deviance, 2.0 * n * loss, 4.0 * curves.noise + 2e-4 * n);
            close("brier", curves.brier, brier, 5e-4);
            let few = positives.min(n - positives);
            close("auc", curves.auc, auc, 0.15 / (few * (n - few)).sqrt() + 1e-3);
        }
    }
}

/// Two scores further apart than the resolution, and ties.
#[test]
fn scores_of_few_values_are_ranked() {
    let mut of = records(ModelKind::Logistic, 2, 120, 1.0);
    for row in 0..120 {
        let step = [0.0, 0.0, 3.0, 5.0][row % 4];
        (of.parts[0][row], of.parts[1][row]) = (step, 0.25);
        of.targets[row] = f64::from(u8::from((row / 4) % 3 < [1, 1, 2, 2][row % 4]));
        of.scores[row] = step;
    }
    let of_class = |class: f64| {
        let rows = of.scores.iter().zip(&of.targets);
        rows.filter(move |(_, y)| **y == class).map(|(z, _)| *z).collect::<Vec<f64>>()
    };
    let (up, down) = (of_class(1.0), of_class(0.0));
    let each = up.iter().flat_map(|z| down.iter().map(move |other| (z - other).signum()));
    let ranks = each.map(|sign| if sign.is_nan() { 0.0 } else { sign });
    let tied = up.iter().flat_map(|z| down.iter().filter(move |other| *other == z)).count() as f64;
    let pairs = (up.len() * down.len()) as f64;
    // A difference of 0 has a sign too.
    let auc = 0.5 + (ranks.sum::<f64>() - tied) / (2.0 * pairs);
    for result in evaluated(ModelKind::Logistic, (2, Origin::Dealer), &of) {
        let ColumnsFigures::Logistic(of) = result.expect("is evaluated").figures else { panic!() };
        close("auc", of.curves.expect("close enough").auc, auc, 2e-3);
    }
}

#[test]
fn numbers_are_predicted_as_in_the_clear() {
    for (parties, origin) in WAYS {
        let of = records(ModelKind::Linear, parties, 150, 4.0);
        let n = of.scores.len() as f64;
        let errors = of.scores.iter().zip(&of.targets).map(|(z, y)| y - z);
        let squares: f64 = errors.clone().map(|e| e * e).sum();
        let mean = of.targets.iter().sum::<f64>() / n;
        let about: f64 = of.targets.iter().map(|y| (y - mean) * (y - mean)).sum();
        for result in evaluated(ModelKind::Linear, (parties, origin), &of) {
            let ColumnsFigures::Linear(of) = result.expect("is evaluated").figures else {
                panic!()
            };
            close("r2", of.r2.expect("targets vary"), 1.0 - squares / about, 1e-5);
            close("rmse", of.rmse, (squares / n).sqrt(), 1e-3);
            close("bias", of.bias, errors.clone().sum::<f64>() / n, 1e-5);
        }
    }
}

#[test]
fn counts_are_predicted_as_in_the_clear() {
    for (parties, origin) in WAYS {
        let of = records(ModelKind::Poisson, parties, 300, 1.2 / parties as f64);
        let rows = of.scores.iter().zip(&of.targets);
        let log = |y: f64| if y > 0.0 { y * y.ln() - y } else { 0.0 };
        let deviance: f64 = rows.map(|(z, y)| 2.0 * (log(*y) - y * z + z.exp())).sum();
        let expected: f64 = of.scores.iter().map(|z| z.exp()).sum();
        for result in evaluated(ModelKind::Poisson, (parties, origin), &of) {
            let ColumnsFigures::Poisson(found) = result.expect("is evaluated").figures else {
                panic!()
            };
            assert_eq!(found.events, of.targets.iter().sum::<f64>());
            let noise = 4.0 * found.noise.expect("is told") + 1e-3 * deviance;
            close("expected", found.expected.expect("is told"), expected, noise);
            close("deviance", found.deviance.expect("is told"), deviance, noise);
        }
    }
}

#[test]
fn few_records_and_few_of_a_class_are_refused() {
    let schema = schema(ModelKind::Logistic);
    let plan = |records| {
        ColumnsPlan::new((ModelKind::Logistic, &schema), records, (Origin::Dealer, 2)).map(drop)
    };
    assert!(plan(LEAST - 1).is_err() && plan(MOST + 1).is_err() && plan(LEAST).is_ok());
    let mut of = records(ModelKind::Logistic, 2, 40, 1.0);
    of.targets = (0..40).map(|row| f64::from(u8::from(row < 4))).collect();
    let results = evaluated(ModelKind::Logistic, (2, Origin::Dealer), &of);
    let said = results[1].as_ref().expect_err("is refused").to_string();
    assert!(said.contains("fewer than 5 of a class"), "{said}");
}

/// What all see of records is uniform, and without the mask that hides it, it is not.
#[cfg(feature = "insecure-test-masks")]
#[test]
fn openings_on_the_way_are_uniform_and_need_their_masks() {
    use std::collections::BTreeMap;

    use mpc_core::testing::{record_openings, take_openings};

    const SIXTEENTHS: usize = 16;
    // For each step, how far the highest four bits of what is opened are from uniform: a chi square of 15 degrees of
    // freedom.
    let looked = |off: Option<MaskSite>| {
        let of = records(ModelKind::Logistic, 2, 500, 1.0);
        record_openings();
        let results = evaluated_without(off, ModelKind::Logistic, (2, Origin::Dealer), &of);
        assert!(results.iter().all(Result::is_ok), "{off:?}");
        let mut counts: BTreeMap<&str, [f64; SIXTEENTHS]> = BTreeMap::new();
        let openings = take_openings();
        for opening in openings.iter().filter(|it| it.party == 0 && it.bits >= 8) {
            for sum in opening.sum.iter().flatten() {
                let top = (sum >> (opening.bits - 4)) as usize % SIXTEENTHS;
                counts.entry(opening.step).or_insert([0.0; SIXTEENTHS])[top] += 1.0;
            }
        }
        let distance = |counts: [f64; SIXTEENTHS]| {
            let due = counts.iter().sum::<f64>() / SIXTEENTHS as f64;
            counts.iter().map(|count| (count - due) * (count - due) / due).sum::<f64>()
        };
        counts
            .into_iter()
            .map(|(step, counts)| (step, distance(counts)))
            .collect::<BTreeMap<_, _>>()
    };
    // Beyond 60 with a probability of 10^-6.
    let usual = looked(None);
    for step in ["glm/open-angles", "product", "product/fixed", "compare/open"] {
        assert!(usual[step] < 60.0, "{step}: {}", usual[step]);
    }
    for (site, step) in [
        (MaskSite::AngleMask, "glm/open-angles"),
        (MaskSite::TripleLeft, "product"),
        (MaskSite::TripleRight, "product"),
        (MaskSite::TripleLeft, "product/fixed"),
        (MaskSite::RandomBit, "compare/open"),
    ] {
        let seen = looked(Some(site));
        println!("without {site:?}: {step} {}", seen[step]);
        assert!(seen[step] > 60.0, "nobody misses {site:?} in {step}: {}", seen[step]);
    }
}
