use mpc_core::correlations::{Origin, Request};
use mpc_core::protocols::truncate::BoundedOpening;
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
    SgdPlan::new(&settings, &facts).map(|_| ()).expect_err("refused").to_string()
}

#[test]
fn the_study_of_the_design_has_the_bytes_of_the_design() {
    let plan = plan(&settings());
    assert_eq!(plan.iterations(), 390);
    assert_eq!(plan.schedule().dropped(), 16);
    // 36 + 7 bits of a weight, and a ring of 36 + 7 + s' bits, s' = 4 + 8.
    assert_eq!(*plan.weights_opened(), Opening::Uniform(43));
    assert_eq!(*plan.residuals_opened(), Opening::Uniform(55));
    assert_eq!(plan.weights_opened().bytes(101), 6 * 101);
    assert_eq!(plan.residuals_opened().bytes(43), 7 * 43);
    assert_eq!(plan.training_cost(0).rounds, 1170);
    // eta / B = 2^-8 is exact.
    assert_eq!(plan.steps().multiplier(0), 1);
    let step = libm::ldexp(plan.steps().multiplier(0) as f64, -(plan.steps().exponent() as i32));
    assert!((step - 0.5 / 128.0).abs() < 1e-18);
}

fn bounded(opening: &Opening) -> BoundedOpening {
    match opening {
        Opening::Bounded(spec) => *spec,
        Opening::Uniform(bits) => panic!("uniform mod 2^{bits}"),
    }
}

#[test]
fn the_penalty_bounds_the_weights() {
    let mut with = settings();
    with.epochs = 1000;
    with.l2 = 0.01;
    with.intercept = false;
    let plan = plan(&with);
    // A weight is shrunk by 560 bits, so it is lifted. 2 x_max e_max / l2 = 1,700: 11 bits beside the
    // 24 of the fraction.
    let weights = bounded(plan.weights_opened());
    assert!(weights.magnitude - weights.drop <= 24 + 12);
    assert!(element_bytes(plan.residuals_opened().ring()) <= 11);
}

#[test]
fn only_momentum_and_long_shrinking_take_bounded_masks() {
    let uniform = |change: &dyn Fn(&mut SgdSettings)| {
        let mut settings = settings();
        change(&mut settings);
        let plan = plan(&settings);
        let both = [plan.weights_opened(), plan.residuals_opened()];
        let uniform = both.map(|opening| matches!(opening, Opening::Uniform(_)));
        assert_eq!(uniform[0], uniform[1]);
        uniform[0]
    };
    assert!(uniform(&|_| ()));
    assert!(uniform(&|s| s.learning_rate = 0.3));
    assert!(uniform(&|s| s.epochs = 1000));
    assert!(uniform(&|s| s.l2 = 0.01));
    assert!(uniform(&|s| (s.l2, s.epochs) = (0.001, 50)));
    assert!(!uniform(&|s| (s.l2, s.epochs) = (0.01, 100)));
    assert!(!uniform(&|s| s.momentum = 0.9));
}

/// Where steps are no powers of two they get the bits that cost nothing.
#[test]
fn steps_are_as_exact_as_their_bytes_allow() {
    let mut odd = settings();
    (odd.learning_rate, odd.batch) = (0.3, 100);
    let plan = plan(&odd);
    let step = libm::ldexp(plan.steps().multiplier(0) as f64, -(plan.steps().exponent() as i32));
    assert!((step / 0.003 - 1.0).abs() < libm::ldexp(1.0, -8));
    assert_eq!(plan.residuals_opened().ring() % 8, 0);
}

/// What is left of a weight, and hence every public factor, is what the schedule makes of it.
#[test]
fn weights_that_are_not_touched_shrink_as_the_schedule_says() {
    let mut with = settings();
    (with.l2, with.decay, with.epochs) = (0.02, 0.3, 4);
    let plan = plan(&with);
    let (steps, batches) = (plan.steps(), plan.schedule().batches() as u64);
    let mut left = 1.0;
    for epoch in (0..4).rev() {
        for step in (0..batches).rev() {
            let size = with.step_size(epoch) / 128.0 * left;
            let applied = steps.shrunk_multiplier(epoch, step) as f64;
            let applied = libm::ldexp(applied, -(steps.exponent() as i32));
            assert!((applied / size - 1.0).abs() < libm::ldexp(1.0, -8), "{epoch} {step}");
            left *= 1.0 - with.step_size(epoch) * with.l2;
            let growth = libm::ldexp(steps.growth(epoch, step, 12) as f64, -12);
            assert!((growth * left - 1.0).abs() < libm::ldexp(1.0, -12), "{epoch} {step}");
        }
    }
    assert_eq!(steps.shrunk_multiplier(3, batches - 1), steps.multiplier(3));
}

/// The ring holds the largest weight that any rows can give, and more than 64 bits where it must.
#[test]
fn the_ring_holds_every_weight_there_can_be() {
    let mut large = settings();
    (large.learning_rate, large.epochs, large.sigmoid.window) = (64.0, 4000, 8);
    let plan = plan(&large);
    let bound = 64.0 * 8.0 * f64::from(4000 * 78);
    let range = plan.model_ring() - plan.wide_fraction() - 1;
    assert!(libm::ldexp(1.0, range as i32) > bound && plan.residuals_opened().ring() > 55);
    assert!(plan.residuals_opened().ring() >= plan.model_ring());
}

#[test]
fn what_could_wrap_is_refused_with_the_numbers() {
    let why = refused(|s, _| {
        s.learning_rate = 1000.0;
        s.epochs = 100_000;
        s.clip = 60_000.0;
        s.momentum = 0.9;
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
        assert!((66..=96).contains(&plan.matrix_shapes()[0].wire_bits()));
        assert!(plan.requests(&[0], 0).iter().all(|request| match request {
            Request::OwnedProduct(it) => it.mask_bits > 64,
            _ => true,
        }));
    }
}
