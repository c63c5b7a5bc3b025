//! Whole fits with every mask switched off in turn (docs/protocols.md 0, the view rule), with a dealer
//! and without one: the law that holds of all openings, and of all that a dealer hands out, must then
//! be broken.
//!
//! The fits are as small as they can be, and nothing here says how many openings there are. The
//! switch is one for the whole process, so there is one test in this file.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "support/corrections.rs"]
mod corrections;
#[path = "support/fits.rs"]
mod fits;
#[path = "../../mpc-core/tests/support/law.rs"]
mod law;
#[path = "support/looks.rs"]
mod looks;
#[path = "../../mpc-core/tests/support/recording.rs"]
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use fits::{Fit, Run};
use looks::{BOUNDED, Looks, MASKED, Verdict, What};
use mpc_core::correlations::Origin;
use mpc_core::rand::{MaskSite, insecure_switch_off};

/// The masks of a fit, whoever makes its correlations.
const SITES: [MaskSite; 6] = [
    MaskSite::ZeroShareResult,
    MaskSite::ZeroShareBounded,
    MaskSite::BoundedMask,
    MaskSite::AngleMask,
    MaskSite::TripleLeft,
    MaskSite::TripleRight,
];
/// What hides a dealer's corrections and the owners' matrices.
const OF_A_DEALER: [MaskSite; 4] = [
    MaskSite::TripleProduct,
    MaskSite::OwnedMatrix,
    MaskSite::OwnedProduct,
    MaskSite::Phasor,
];
/// What parties without a dealer send each other is looked at in `mpc-core/tests/pairwise_views.rs`,
/// but for this one.
const OF_PAIRS: [MaskSite; 1] = [MaskSite::OtChoice];

#[test]
fn every_mask_of_a_fit_is_needed() {
    for origin in [Origin::Pairwise] {
        for fit in fits::all(origin) {
            let began = Instant::now();
            look_at(&fit);
            let name = fit.name;
            println!("{name}, {origin:?}: {:.1} s", began.elapsed().as_secs_f64());
        }
    }
}

fn look_at(fit: &Fit) {
    let name = format!("{}, {:?}", fit.name, fit.origin);
    let usual = verdicts(fit, None);
    for (what, verdict) in &usual {
        if let Verdict::Broken(why) = verdict {
            panic!("{name}, with all masks: {why}");
        }
        // Single messages of small steps and single results are looked at together, and the few numbers
        // that come of large factors in other fits.
        let alone = match what {
            What::Result { nth, .. } => nth.is_some(),
            What::Head { .. } => true,
            What::Product(_) => fit.runs == fits::LEAST,
            _ => false,
        };
        assert!(alone || *verdict == Verdict::Uniform, "{name}: {what:?} has too few samples");
    }
    let own = if fit.origin == Origin::Dealer { &OF_A_DEALER[..] } else { &OF_PAIRS[..] };
    let sites = SITES.iter().chain(own).copied().filter(|&site| uses(&usual, site));
    let mut missed: BTreeSet<What> = usual.keys().cloned().collect();
    for site in sites {
        let without = verdicts(fit, Some(site));
        let broken = |(what, verdict)| matches!(verdict, Verdict::Broken(_)).then_some(what);
        let noticed: BTreeSet<What> = without.into_iter().filter_map(broken).collect();
        println!("{name}, without {site:?}: {} looks", noticed.len());
        assert!(!noticed.is_empty(), "{name}: nobody misses {site:?}");
        missed.retain(|what| !noticed.contains(what));
    }
    // Every sum and correction hides behind a mask; messages are under earlier ones as well.
    let single = |what: &What| {
        matches!(what, What::Message { .. } | What::Head { .. } | What::Result { .. })
    };
    missed.retain(|what| !single(what) && usual[what] != Verdict::TooFew);
    assert!(missed.is_empty(), "{name}: nothing hides {missed:?}");
}

/// Whether a fit uses a mask, and anybody can miss it there.
fn uses(looks: &BTreeMap<What, Verdict>, site: MaskSite) -> bool {
    let seen: Vec<&What> =
        looks.iter().filter(|(_, verdict)| **verdict != Verdict::TooFew).map(|it| it.0).collect();
    let any = |f: &dyn Fn(&What) -> bool| seen.iter().any(|what| f(what));
    let sum = |kind: u8, step: &'static str| {
        any(&|what| matches!(what, What::Sum { kind: k, step: s, .. } if *k == kind && s.starts_with(step)))
    };
    match site {
        // Own sums are shares of results, and of what inverses begin with. Where all that is opened
        // comes out of products, zero shares are not the only randomness.
        MaskSite::ZeroShareResult => true,
        MaskSite::ZeroShareBounded => sum(BOUNDED, "inverse/start"),
        MaskSite::BoundedMask => sum(BOUNDED, "") || sum(MASKED, "glm/open-coefficients"),
        MaskSite::AngleMask => sum(MASKED, "glm/open-angles"),
        MaskSite::TripleProduct => any(&|what| matches!(what, What::Product(_))),
        MaskSite::Phasor => any(&|what| matches!(what, What::Phasors(_))),
        MaskSite::OwnedMatrix => any(&|what| matches!(what, What::Matrix(_))),
        MaskSite::OwnedProduct => any(&|what| matches!(what, What::Owned(_))),
        _ => true,
    }
}

/// What becomes of all looks at a fit, with a mask switched off.
fn verdicts(fit: &Fit, off: Option<MaskSite>) -> BTreeMap<What, Verdict> {
    // Of some steps there are but a few elements in a run.
    let few = [MaskSite::ZeroShareBounded, MaskSite::BoundedMask, MaskSite::OwnedProduct];
    let all = off.is_none_or(|site| few.contains(&site));
    let count = if all { fit.runs } else { fit.runs.min(4) };
    insecure_switch_off(off);
    let began = Instant::now();
    let runs = fit.run(count);
    print!("{:.2} s ", began.elapsed().as_secs_f64());
    insecure_switch_off(None);
    for run in &runs {
        // With no mask at all a fit is as good as with all of them.
        assert!(run.refused.is_none(), "{} without {off:?}: {:?}", fit.name, run.refused);
    }
    let dealer = fit.origin == Origin::Dealer;
    let more = |run: &Run, looks: &mut Looks| {
        if dealer {
            corrections::matrices(run, looks);
            corrections::corrections(run, looks);
        }
    };
    let began = Instant::now();
    let v = Looks::at(runs, more).verdicts(off.is_none());
    println!("{:.2} s", began.elapsed().as_secs_f64());
    v
}
