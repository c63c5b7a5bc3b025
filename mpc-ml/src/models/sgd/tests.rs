use mpc_core::correlations::Origin;
use mpc_core::ring::wire::element_bytes;

use super::*;

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
        release_bits: 16,
    }
}

fn facts(rows: &[u64], columns: usize) -> Facts {
    Facts::horizontal(rows, vec![1.0; columns], Origin::Dealer)
}

fn plan(settings: &SgdSettings) -> SgdPlan {
    SgdPlan::new(settings, &facts(&[4000, 3500, 2500], 100)).expect("fits")
}

fn refused(change: impl FnOnce(&mut SgdSettings, &mut Facts)) -> String {
    let (mut settings, mut facts) = (settings(), facts(&[4000, 3500, 2500], 100));
    change(&mut settings, &mut facts);
    SgdPlan::new(&settings, &facts).expect_err("refused").to_string()
}

#[test]
fn the_study_of_the_design_has_the_bytes_of_the_design() {
    let plan = plan(&settings());
    assert_eq!(plan.iterations(), 390);
    assert_eq!(plan.schedule().dropped(), 16);
    // 14 to 15 bytes a weight, 10 to 11 a residual.
    assert!((14..=15).contains(&element_bytes(plan.weights_opened().ring)));
    assert!((10..=11).contains(&element_bytes(plan.residuals_opened().ring)));
    assert_eq!(plan.training_cost(0).rounds, 1170);
    // eta / B = 2^-8 is exact.
    let step = libm::ldexp(plan.steps().multiplier(0) as f64, -(plan.steps().exponent() as i32));
    assert!((step - 0.5 / 128.0).abs() < 1e-18);
}

#[test]
fn the_penalty_bounds_the_weights() {
    let mut with = settings();
    with.epochs = 1000;
    with.l2 = 0.01;
    with.intercept = false;
    let plan = plan(&with);
    // 2 x_max e_max / l2 = 1,700: 11 bits beside the 24 of the fraction.
    assert!(plan.weights_opened().magnitude - plan.weights_opened().drop <= 24 + 12);
}

#[test]
fn what_could_wrap_is_refused_with_the_numbers() {
    let why = refused(|s, _| {
        s.learning_rate = 1000.0;
        s.epochs = 100_000;
        s.clip = 60_000.0;
    });
    assert!(why.contains("ring of") && why.contains("128"), "{why}");
    let why = refused(|s, _| s.learning_rate = f64::NAN);
    assert!(why.contains("learning_rate"), "{why}");
    let why = refused(|s, _| {
        s.learning_rate = 10.0;
        s.l2 = 1.0;
    });
    assert!(why.contains("overshoot"), "{why}");
    let why = refused(|s, _| s.batch = 100_000);
    assert!(why.contains("less than one batch"), "{why}");
    let why = refused(|_, facts| *facts = self::facts(&[4000], 100));
    assert!(why.contains("two parties"), "{why}");
}

#[test]
fn a_decaying_rate_keeps_every_multiplier_large() {
    let mut decaying = settings();
    decaying.decay = 0.7;
    decaying.epochs = 40;
    let plan = plan(&decaying);
    assert!((0..40).all(|epoch| plan.steps().multiplier(epoch) >= 128));
    assert!(plan.steps().multiplier(39) < plan.steps().multiplier(0));
}

#[test]
fn small_studies_fit_the_source_too() {
    for clip in [1.0, 8.0] {
        let mut small = settings();
        (small.batch, small.epochs, small.clip) = (10, 1, clip);
        let plan = SgdPlan::new(&small, &facts(&[40, 60], 3)).expect("fits");
        assert!((66..=96).contains(&plan.matrix_shape().wire_bits()));
        assert!(plan.residuals_opened().mask_bits() > 64);
    }
}
