//! Whole fits with every mask switched off in turn (docs/protocols.md 0, the view rule), with a dealer
//! and without one: the law that holds of all openings, and of all that a dealer hands out, must then
//! be broken.
//!
//! The fits are as small as they can be, and nothing here says how many openings there are.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use crate::corrections;
use crate::fits;
use crate::looks;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use fits::Fit;
use looks::{Looks, Run, Verdict, What};
use mpc_core::correlations::Origin;
use mpc_core::rand::MaskSite;
use mpc_core::side_by_side;

/// The masks of a fit, whoever makes its correlations.
const SITES: [MaskSite; 8] = [
    MaskSite::ZeroShareResult,
    MaskSite::ZeroShareBounded,
    MaskSite::BoundedMask,
    MaskSite::ForwardMask,
    MaskSite::TransposedMask,
    MaskSite::AngleMask,
    MaskSite::TripleLeft,
    MaskSite::TripleRight,
];
/// What hides a dealer's corrections and the owners' matrices.
const OF_A_DEALER: [MaskSite; 4] =
    [MaskSite::TripleProduct, MaskSite::OwnedMatrix, MaskSite::OwnedProduct, MaskSite::Phasor];
/// What parties without a dealer send each other is looked at in `mpc-core/tests/pairwise_views.rs`,
/// but for this one.
const OF_PAIRS: [MaskSite; 1] = [MaskSite::OtChoice];

#[test]
fn every_mask_of_a_fit_with_a_dealer_is_needed() {
    side_by_side(fits::all(Origin::Dealer).into_iter(), |fit| {
        let (usual, noticed) = look_at(&fit);
        all_hidden(fit.name, &usual, &noticed);
    });
}

/// Without a dealer a fit takes ten times as long, so each mask is missed in one of them.
#[test]
fn every_mask_of_a_fit_without_a_dealer_is_needed() {
    let all = Mutex::new((BTreeSet::new(), BTreeSet::new()));
    side_by_side(fits::all(Origin::Pairwise).into_iter(), |fit| {
        let (usual, missing) = look_at(&fit);
        let mut all = all.lock().expect("no fit has failed");
        all.0.extend(usual);
        all.1.extend(missing);
    });
    let (looked, noticed) = all.into_inner().expect("no fit has failed");
    all_hidden("any fit", &looked, &noticed);
}

/// All that can be seen of a fit, and what of that notices that a mask is missing.
fn look_at(fit: &Fit) -> (BTreeSet<What>, BTreeSet<What>) {
    let usual = as_usual(fit);
    let noticed = sites(fit, &usual).into_iter().flat_map(|site| missing(fit, site)).collect();
    let seen = usual.into_iter().filter(|it| it.1 == Verdict::Uniform).map(|it| it.0);
    (seen.collect(), noticed)
}

/// Every sum and every correction hides behind a mask; messages are under earlier ones as well.
fn all_hidden(name: &str, looked: &BTreeSet<What>, noticed: &BTreeSet<What>) {
    let single = |what: &What| {
        matches!(what, What::Message { .. } | What::Head { .. } | What::Result { .. })
    };
    let missed: Vec<_> =
        looked.iter().filter(|&what| !single(what) && !noticed.contains(what)).collect();
    assert!(missed.is_empty(), "{name}: nothing hides {missed:?}");
}

/// All looks at a fit with all its masks.
fn as_usual(fit: &Fit) -> BTreeMap<What, Verdict> {
    let (usual, refused) = verdicts(fit, None);
    let name = format!("{}, {:?}", fit.name, fit.origin);
    for verdict in usual.values() {
        if let Verdict::Broken(why) = verdict {
            panic!("{name}, with all masks: {why}");
        }
    }
    assert!(refused.is_none(), "{name}, with all masks: {refused:?}");
    for (what, verdict) in &usual {
        // Single results and the highest bits of small steps are looked at together with others, and
        // the few numbers that come of large factors in other fits.
        let alone = match what {
            What::Result { nth, .. } => nth.is_some(),
            What::Head { .. } => true,
            What::Product(_) => fit.runs == fits::LEAST,
            _ => false,
        };
        assert!(alone || *verdict == Verdict::Uniform, "{name}: {what:?} has too few samples");
    }
    usual
}

/// The looks at a fit that notice that a mask is missing.
fn missing(fit: &Fit, site: MaskSite) -> Vec<What> {
    let broken = |(what, verdict)| matches!(verdict, Verdict::Broken(_)).then_some(what);
    let (verdicts, refused) = verdicts(fit, Some(site));
    let noticed: Vec<What> = verdicts.into_iter().filter_map(broken).collect();
    let name = format!("{}, {:?}", fit.name, fit.origin);
    // With no mask at all a fit is as good as with all of them.
    assert!(refused.is_none(), "{name}, without {site:?}: {refused:?}");
    println!("{name}, without {site:?}: {} looks", noticed.len());
    assert!(!noticed.is_empty(), "{name}: nobody misses {site:?}");
    noticed
}

/// The masks that are switched off in a fit: those that it uses and that anybody can miss there.
fn sites(fit: &Fit, looks: &BTreeMap<What, Verdict>) -> Vec<MaskSite> {
    if fit.origin == Origin::Dealer {
        let all = SITES.into_iter().chain(OF_A_DEALER);
        return all.filter(|&site| uses(looks, site)).collect();
    }
    match fit.name {
        fits::LOGISTIC => {
            let all = SITES.into_iter().filter(|&site| site != MaskSite::BoundedMask);
            all.chain(OF_PAIRS).collect()
        }
        fits::DESCENT | fits::COLUMNS => {
            vec![MaskSite::ForwardMask, MaskSite::TransposedMask, MaskSite::AngleMask]
        }
        fits::MOMENTUM | fits::COLUMNS_MOMENTUM => {
            vec![MaskSite::ForwardMask, MaskSite::TransposedMask]
        }
        fits::PENALISED => vec![MaskSite::BoundedMask, MaskSite::TransposedMask],
        fits::WIDE => vec![MaskSite::BoundedMask],
        fits::OPTIMUM_COLUMNS => vec![
            MaskSite::ForwardMask,
            MaskSite::TransposedMask,
            MaskSite::AngleMask,
            MaskSite::BoundedMask,
        ],
        fits::LINEAR_COLUMNS => vec![MaskSite::BoundedMask, MaskSite::TransposedMask],
        fits::LINEAR_ELIMINATED => vec![
            MaskSite::BoundedMask,
            MaskSite::TransposedMask,
            MaskSite::TripleLeft,
            MaskSite::TripleRight,
        ],
        fits::LINEAR => vec![MaskSite::BoundedMask, MaskSite::TripleLeft, MaskSite::TripleRight],
        _ => vec![MaskSite::ZeroShareResult],
    }
}

fn uses(looks: &BTreeMap<What, Verdict>, site: MaskSite) -> bool {
    let seen = looks.iter().filter(|(_, verdict)| **verdict != Verdict::TooFew);
    let seen: Vec<&What> = seen.map(|it| it.0).collect();
    let sum = |step: &str| {
        seen.iter().any(|what| matches!(what, What::Sum { step: it, .. } if *it == step))
    };
    let any = |f: &dyn Fn(&What) -> bool| seen.iter().any(|what| f(what));
    match site {
        // Own sums are what inverses begin with. Where all that is opened comes out of products, zero
        // shares are not the only randomness.
        MaskSite::ZeroShareBounded => sum("inverse/start") && !sum("linear/open-sums"),
        // Gradient descent multiplies nothing but rows, and inverts nothing.
        MaskSite::ZeroShareResult
        | MaskSite::BoundedMask
        | MaskSite::TripleLeft
        | MaskSite::TripleRight => !sum("logistic/open-weights"),
        MaskSite::AngleMask => sum("glm/open-angles") || sum("logistic/open-delta"),
        MaskSite::ForwardMask => sum("glm/open-coefficients") || sum("logistic/open-weights"),
        MaskSite::TransposedMask => {
            let steps = ["glm/open-residuals", "logistic/open-residuals"];
            steps.into_iter().any(sum) || sum("linear/open-columns") || sum("linear/open-sums")
        }
        MaskSite::TripleProduct => any(&|what| matches!(what, What::Product(_))),
        MaskSite::Phasor => any(&|what| matches!(what, What::Phasors(_))),
        MaskSite::OwnedMatrix => any(&|what| matches!(what, What::Matrix(_))),
        MaskSite::OwnedProduct => any(&|what| matches!(what, What::Owned(_))),
        _ => true,
    }
}

/// What becomes of all looks at a fit with a mask switched off, and why no model came of it.
fn verdicts(fit: &Fit, off: Option<MaskSite>) -> (BTreeMap<What, Verdict>, Option<String>) {
    // Of some steps there are but a few elements in a run.
    let all = match off {
        None | Some(MaskSite::ZeroShareBounded | MaskSite::BoundedMask) => true,
        Some(MaskSite::ForwardMask | MaskSite::TransposedMask) => true,
        Some(site) => site == MaskSite::OwnedProduct,
    };
    let few = if fit.origin == Origin::Dealer { 4 } else { 3 };
    let runs = fit.run(if all { fit.runs } else { fit.runs.min(few) }, off);
    let refused = runs.iter().find_map(|run| run.refused.clone());
    let dealer = fit.origin == Origin::Dealer;
    let more = |run: &Run, looks: &mut Looks| {
        if dealer {
            corrections::matrices(run, looks);
            corrections::corrections(run, looks);
        }
    };
    (Looks::at(runs, more).verdicts(off.is_none()), refused)
}
