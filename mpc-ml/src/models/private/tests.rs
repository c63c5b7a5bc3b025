//! Fits with differential privacy on small made-up rows.

use mpc_core::correlations::Origin;
use mpc_core::noise::NoiseStream;
use mpc_core::rand::{Coins, Seed};
use mpc_core::testing::{self, World};
use ndarray::{Array1, Array2};

use super::*;
use crate::data::{Categorical, CategoricalMissing, Numeric, NumericTarget, Target};
use crate::model::{Plan, ledger};

/// Numbers from -1 to 1 that look random.
fn number(seed: u64) -> f64 {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

/// The model that made-up rows follow, the intercept last.
const TRUE: [f64; 5] = [1.0, -0.7, 0.5, 0.0, 0.3];

/// `rows` rows of a party, by a model of this kind.
pub(super) fn made_up(kind: ModelKind, party: usize, rows: usize) -> Dataset {
    let at = |row: usize, column: usize| (1000 * party as u64 + row as u64) * 16 + column as u64;
    let x = Array2::from_shape_fn((rows, 4), |(row, column)| number(at(row, column)));
    let y = Array1::from_shape_fn(rows, |row| {
        let score: f64 = (0..4).map(|c| x[[row, c]] * TRUE[c]).sum::<f64>() + TRUE[4];
        let chance = (number(at(row, 9)) + 1.0) / 2.0;
        match kind {
            ModelKind::Logistic => f64::from(u8::from(chance < 1.0 / (1.0 + (-2.0 * score).exp()))),
            ModelKind::Linear | ModelKind::Multinomial => 10.0 + 2.0 * score + (chance - 0.5),
            ModelKind::Poisson => (score.exp() + chance).floor().min(10.0),
        }
    });
    Dataset::new(x.view(), y.view()).expect("as many targets as rows")
}

pub(super) fn facts(kind: ModelKind, rows: &[u64]) -> Facts {
    let target = match kind {
        ModelKind::Logistic => (0.0, 1.0),
        ModelKind::Linear | ModelKind::Multinomial => (4.0, 16.0),
        ModelKind::Poisson => (0.0, 10.0),
    };
    let features = (0..4).map(|at| (format!("x{at}"), 1)).collect();
    Facts {
        target: Some(target),
        features,
        ..Facts::horizontal(rows, vec![1.0; 4], Origin::Pairwise)
    }
}

pub(super) fn settings(kind: ModelKind, epsilon: f64) -> PrivateSettings {
    PrivateSettings {
        kind,
        epsilon,
        delta: 1e-6,
        neighbours: Neighbours::Blank,
        persons: 1,
        typical_target: None,
        inference: false,
    }
}

pub(super) fn streams(name: &str, parties: usize) -> Vec<NoiseStream> {
    let coins = |party: usize| {
        Coins::of(Seed::from_secret("test", &[name.as_bytes(), &party.to_le_bytes()]))
    };
    (0..parties).map(|party| NoiseStream::new(&mut coins(party))).collect()
}

#[test]
fn a_run_is_the_rule_on_rows_and_noise_and_costs_what_it_says() {
    use ModelKind::{Linear, Logistic, Poisson};
    let plain = [(Logistic, 2, false), (Linear, 3, false), (Poisson, 3, false)];
    for (kind, parties, inference) in
        plain.into_iter().chain([(Logistic, 2, true), (Linear, 3, true)])
    {
        let settings = |kind, epsilon| PrivateSettings { inference, ..settings(kind, epsilon) };
        let rows = |party: usize| 400 + 50 * party;
        let of_all: Vec<u64> = (0..parties).map(|party| rows(party) as u64).collect();
        let facts = facts(kind, &of_all);
        let plan = Private::plan(&settings(kind, 8.0), &facts).expect("enough rows");
        let world = World::new(parties).outputs(ledger(&plan.outputs()));
        let ran = world.run(async |mut session| {
            let me = session.me();
            let plan = Private::plan(&settings(kind, 8.0), &facts)?;
            let plan = Agreed::among(plan, &mut session).await?;
            let data = made_up(kind, me, rows(me));
            let mut source = testing::source(&mut session, Origin::Pairwise)?;
            session.meter().enter("sums");
            let mut run =
                Run { session: &mut session, source: &mut *source, progress: &mut |_| {} };
            let fitted = Private::fit(&plan, &data, &mut run).await?;
            let noise: Vec<Vec<i64>> = fitted.noise.iter().map(|sum| sum.to_vec()).collect();
            let model = Private::release(&plan, fitted, &data, &mut run).await?;
            testing::assert_cost(run.session, "sums", &plan.cost(me));
            run.source.finish().await?;
            Ok::<_, Error>((noise, model))
        });
        let (mut noises, models): (Vec<_>, Vec<_>) =
            ran.into_iter().map(|party| party.expect("runs")).unzip();
        let data: Vec<_> = (0..parties).map(|party| made_up(kind, party, rows(party))).collect();
        let expected = plaintext::watched(&plan, &data, &mut noises, &mut |_, _, _| {});
        assert_eq!(expected.errors == PrivateErrors::Unasked, !inference);
        for model in models {
            assert_eq!(model.expect("is for everybody"), expected);
        }
        // Each party's noise has the variance that the plan says, and no two are alike.
        let mut squares = (0.0, 0.0);
        for (party, noise) in noises.iter().enumerate() {
            assert!(noises[..party].iter().all(|other| other[0] != noise[0]));
            for (parts, noise) in plan.sums.iter().zip(noise) {
                let mut at = 0;
                for part in parts {
                    let sigma = (part.noise.parameter() as f64).sqrt();
                    for draw in &noise[at..at + part.values] {
                        squares.0 += (*draw as f64 / sigma).powi(2);
                        squares.1 += 1.0;
                    }
                    at += part.values;
                }
            }
        }
        // Below 2^-40: seven deviations and a half of a chi-square, more to the right.
        let z = (squares.0 - squares.1) / (2.0_f64 * squares.1).sqrt();
        assert!((-7.5..11.0).contains(&z), "{kind:?}: {z}");
    }
}

#[test]
fn the_model_is_near_the_one_that_the_rows_follow() {
    for (kind, scale, intercept, tolerance) in [
        (ModelKind::Logistic, 2.0, 0.6, 0.35),
        (ModelKind::Linear, 2.0, 10.6, 0.3),
        (ModelKind::Poisson, 1.0, 0.3, 0.3),
    ] {
        let data = [made_up(kind, 0, 4000), made_up(kind, 1, 4000)];
        let plan = Private::plan(&settings(kind, 8.0), &facts(kind, &[4000, 4000])).expect("plans");
        let model = plaintext::fit(&plan, &data, &mut streams("near", 2)).coefficients;
        for (w, truth) in model.iter().zip(TRUE).take(4) {
            assert!((w - scale * truth).abs() < tolerance, "{kind:?}: {model:?}");
        }
        assert!((model[4] - intercept).abs() < tolerance, "{kind:?}: {model:?}");
    }
}

#[test]
fn rates_of_rare_counts_may_be_small() {
    // Counts of 0 and 1 and few of 2, one in ten rows, more where the first column is large.
    let rows = 6000;
    let facts = Facts { target: Some((0.0, 2.0)), ..facts(ModelKind::Poisson, &[rows, rows]) };
    let data = [0, 1].map(|party: u64| {
        let at = |row: usize, column: u64| (10_000 * party + row as u64) * 16 + column;
        let x = Array2::from_shape_fn((rows as usize, 4), |(row, column)| {
            number(at(row, column as u64))
        });
        let y = Array1::from_shape_fn(rows as usize, |row| {
            let rate = (1.5 * x[[row, 0]] - 2.5).exp();
            let chance = (number(at(row, 11)) + 1.0) / 2.0;
            let above = |least: f64| f64::from(u8::from(chance > least * (-rate).exp()));
            above(1.0) + above(1.0 + rate)
        });
        Dataset::new(x.view(), y.view()).expect("as many targets as rows")
    });
    let plan = Private::plan(&settings(ModelKind::Poisson, 8.0), &facts).expect("plans");
    let model = plaintext::fit(&plan, &data, &mut streams("rare", 2)).coefficients;
    for (w, truth) in model.iter().zip([1.5, 0.0, 0.0, 0.0, -2.5]) {
        assert!((w - truth).abs() < 0.35, "{model:?}");
    }
}

#[test]
fn sums_spend_no_more_than_the_study_says() {
    for (kind, epsilon, persons, neighbours, inference) in [
        (ModelKind::Logistic, 3.0, 1, Neighbours::Blank, false),
        (ModelKind::Linear, 8.0, 3, Neighbours::Replace, false),
        (ModelKind::Poisson, 8.0, 2, Neighbours::Blank, false),
        (ModelKind::Logistic, 8.0, 2, Neighbours::Replace, true),
        (ModelKind::Linear, 3.0, 1, Neighbours::Blank, true),
    ] {
        let settings =
            PrivateSettings { persons, neighbours, inference, ..settings(kind, epsilon) };
        let plan = Private::plan(&settings, &facts(kind, &[40_000, 40_000])).expect("plans");
        let spent: f64 = plan
            .sums
            .iter()
            .flatten()
            .map(|part| {
                let moved = part.bound as f64 * settings.times() as f64;
                moved * moved / (2.0 * part.noise.parameter() as f64)
            })
            .sum();
        assert!(spent <= settings.rho().expect("in range").to_f64());
        assert!(privacy::epsilon(spent, 1e-6) > 0.999 * epsilon, "nothing is wasted: {spent}");
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_would_do() {
    let kind = ModelKind::Logistic;
    let refused = |settings: &PrivateSettings, facts: &Facts| {
        Private::plan(settings, facts).expect_err("refused").to_string()
    };
    let large = PrivateSettings { delta: 1e-3, ..settings(kind, 3.0) };
    assert!(refused(&large, &facts(kind, &[400, 400])).contains("delta is 1.0e-3"));
    let some = Facts { recipients: Recipients::Among(1), ..facts(kind, &[400, 400]) };
    assert!(refused(&settings(kind, 3.0), &some).contains("recipients must be \"all\""));
    let few = facts(kind, &[20, 20]);
    let words = refused(&settings(kind, 1.0), &few);
    // What it says would do does.
    let after = |word: &str| {
        let rest = &words[words.find(word).expect("says it") + word.len()..];
        rest.split([' ', ','])
            .next()
            .and_then(|number| number.parse::<f64>().ok())
            .expect("a number")
    };
    let rows = after("Some ") as u64;
    assert!(Private::plan(&settings(kind, 1.0), &facts(kind, &[rows - 20, 20])).is_ok(), "{words}");
    assert!(Private::plan(&settings(kind, after("or epsilon = ")), &few).is_ok(), "{words}");
    assert!(Private::plan(&settings(kind, 1.0), &facts(kind, &[rows - 30, 20])).is_err());
    for (persons, epsilon, field) in
        [(0, 1.0, "persons"), (1, 0.0, "epsilon"), (101, 1.0, "persons")]
    {
        let wrong = PrivateSettings { persons, ..settings(kind, epsilon) };
        assert!(wrong.validate().expect_err("refused").to_string().starts_with(field));
    }
    let counts = PrivateSettings { inference: true, ..settings(ModelKind::Poisson, 8.0) };
    let words = counts.validate().expect_err("refused").to_string();
    assert!(words.starts_with("inference is not possible for counts"), "{words}");
    let none = Facts { target: None, ..facts(ModelKind::Linear, &[400, 400]) };
    assert!(refused(&settings(ModelKind::Linear, 8.0), &none).starts_with("typical_target"));
}

#[test]
fn nothing_of_an_encoding_depends_on_data() {
    let numeric = |scale, range, missing| {
        let kind = FeatureKind::Numeric(Numeric { range, missing, indicator: false, scale });
        Feature { name: "age".into(), kind }
    };
    let target = Target::Numeric(NumericTarget { column: "y".into(), range: Some((0.0, 1.0)) });
    let suits = |feature| {
        let schema = Schema::new(vec![feature], target.clone()).expect("a schema");
        Private::suits(&settings(ModelKind::Linear, 3.0), &schema, Recipients::All)
    };
    let refused = |feature| suits(feature).expect_err("refused").to_string();
    let (none, refuse) = (None, NumericMissing::Refuse);
    let joint = refused(numeric(Scaling::Joint, none, refuse));
    assert!(joint.starts_with("features.0.scale") && joint.contains("typical = [LOW, HIGH]"));
    assert!(refused(numeric(Scaling::None, none, refuse)).contains("typical"));
    assert!(suits(numeric(Scaling::None, Some((0.0, 1.0)), refuse)).is_ok());
    let constants = Scaling::Constants { mean: 40.0, std: 20.0 };
    assert!(suits(numeric(constants, none, NumericMissing::Mean)).is_ok());
    let levels = vec!["a".to_owned(), "b".to_owned()];
    let missing = CategoricalMissing::Level;
    let kind = FeatureKind::Categorical(Categorical { levels, base: "a".into(), missing });
    assert!(suits(Feature { name: "kind".into(), kind }).is_ok());
}
