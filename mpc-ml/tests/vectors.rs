//! Golden vectors of everything public that all parties of a study must work out alike.
#![allow(clippy::unwrap_used)]

use crate::golden;

use mpc_core::correlations::Origin;
use mpc_ml::model::Facts;
use mpc_ml::models::sgd::schedule::Schedule;
use mpc_ml::models::sgd::{Sigmoid, SigmoidFit, plaintext};
use mpc_ml::{Rows, SgdPlan, SgdSettings};
use serde_json::{Value, json};

fn check(name: &str, now: &Value) {
    golden::check("vectors/logistic.json", include_str!("vectors/logistic.json"), name, now);
}

const ROWS: [u64; 3] = [4, 3, 5];

fn settings() -> SgdSettings {
    SgdSettings {
        intercept: true,
        l2: 0.01,
        clip: 8.0,
        epochs: 1,
        batch: 12,
        learning_rate: 0.5,
        decay: 0.0,
        momentum: 0.0,
        seed: 7,
        sigmoid: Sigmoid { window: 128, terms: 12, fit: SigmoidFit::Weighted },
        release_bits: 16,
    }
}

fn plan(settings: &SgdSettings) -> SgdPlan {
    SgdPlan::new(settings, &Facts::horizontal(&ROWS, vec![1.0; 3], Origin::Dealer)).unwrap()
}

/// Of a fit every bit counts, because the coefficients multiply shares.
#[test]
fn fitted_sigmoids() {
    let coefficients = |window, terms, fit| {
        let sigmoid = Sigmoid { window, terms, fit };
        let plan = plan(&SgdSettings { sigmoid, ..settings() });
        let series = &plan.sigmoid().series;
        let terms: Vec<_> = series.terms.iter().map(|t| json!([t.k, t.sine, t.cosine])).collect();
        json!({ "period": series.period, "fraction": series.fraction, "terms": terms })
    };
    check("sigmoid P=128 K=12 weighted", &coefficients(128, 12, SigmoidFit::Weighted));
    check("sigmoid P=64 K=16 plain", &coefficients(64, 16, SigmoidFit::Plain));
}

#[test]
fn schedules() {
    let schedule = Schedule::new(&[11, 2, 7], 6, 20_240_229).unwrap();
    let parts: Vec<_> = (0..schedule.batches()).map(|batch| schedule.parts(batch)).collect();
    check("schedule parts", &json!(parts));
    let own: Vec<_> = (0..3).map(|party| schedule.own_order(party)).collect();
    check("schedule own orders", &json!(own));
    let long = Schedule::new(&[50, 50], 5, 1).unwrap();
    let orders: Vec<_> = (0..2).map(|epoch| long.order(epoch)).collect();
    check("schedule batch orders", &json!(orders));
}

#[test]
fn step_sizes() {
    let decaying = SgdSettings { epochs: 4, decay: 0.3, momentum: 0.9, ..settings() };
    let plan = plan(&decaying);
    let steps = plan.steps();
    let epochs: Vec<_> =
        (0..4).map(|epoch| json!([steps.multiplier(epoch), steps.decay(epoch)])).collect();
    let momentum = steps.momentum();
    check("steps", &json!({ "h": steps.exponent(), "momentum": momentum, "epochs": epochs }));
}

/// One iteration in the clear, from weights that are not zero: two epochs of one batch.
#[test]
fn iterations_in_the_clear() {
    let data: Vec<Rows> = ROWS
        .iter()
        .enumerate()
        .map(|(party, &rows)| {
            let value = |i: usize| ((i * 37 + party * 11) % 23) as f64 / 4.0 - 2.75;
            let x = (0..rows as usize * 3).map(value).collect();
            let y = (0..rows as usize).map(|row| f64::from((row + party) % 3 == 0)).collect();
            Rows::new(x, y, 3)
        })
        .collect();
    for epochs in [1, 2] {
        let plan = plan(&SgdSettings { epochs, ..settings() });
        assert_eq!(plan.iterations(), epochs);
        // The shortest decimal that stands for exactly this double.
        let weights: Vec<String> =
            plaintext::train(&plan, &data).iter().map(|w| format!("{w:e}")).collect();
        check(&format!("weights after iteration {epochs}"), &json!(weights));
    }
}
