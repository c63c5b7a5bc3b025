//! Every mask of the correlations from oblivious transfer and from RLWE, switched off in turn: what
//! the other side sees must then stop looking random, or give way to an attack.

use mpc_core::approx::fit::{Symmetry, Weighting, fit};
use mpc_core::correlations::pairwise::{self, Expansion, PairwiseOt, PhasorPlan};
use mpc_core::correlations::{PhasorMethod, RightRequest};
use mpc_core::rand::MaskSite;
use mpc_core::testing::World;
use mpc_core::{Against, Tag};

/// Everything that all parties received in one step, in one run with fixed inputs.
fn seen(parties: usize, tag: &'static str, method: PhasorMethod, off: Option<MaskSite>) -> Vec<u8> {
    let world = World::new(parties).against(Against::SemiHonest).insecure_without(off);
    let mesh = world.mesh();
    let views: Vec<_> = mesh.iter().map(mpc_net::memory::MemoryTransport::record).collect();
    let series = fit(|z| z, Symmetry::Odd, 5, 3, Weighting::Plain, 16).series;
    let mut request = PhasorPlan::request(&series, parties, 250, (6, 40), (method, 8));
    // Rings of whole bytes, since the bits above another ring are zero.
    request.rounding.as_mut().expect("given").bits.fill(6);
    request.ring = request.ring.next_multiple_of(8);
    world.run_on(mesh, async |mut session| {
        let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
        if tag == "ot/corrections" {
            // One bit of one byte each: every correction is a whole ring element.
            let own = if session.me() < 2 { vec![77; 4000] } else { Vec::new() };
            ot.elementwise((0, 1), (4000, 8), &own).await.expect("runs");
        } else {
            ot.phasors(std::slice::from_ref(&request)).await.expect("runs");
        }
    });
    let all: Vec<u8> =
        views.iter().flat_map(|view| view.payloads(Tag::new(tag)).concat()).collect();
    // Bit i of a product has 8 - i bits of correction; the first ones fill their byte.
    if tag == "ot/corrections" { all.into_iter().step_by(8).collect() } else { all }
}

/// Chi-square over the values of the bytes, in deviations from its mean.
fn surprise(bytes: &[u8]) -> f64 {
    assert!(bytes.len() > 2000, "only {} bytes were seen", bytes.len());
    let mut counts = [0f64; 256];
    bytes.iter().for_each(|&byte| counts[usize::from(byte)] += 1.0);
    let due = bytes.len() as f64 / 256.0;
    let chi: f64 = counts.iter().map(|count| (count - due).powi(2) / due).sum();
    (chi - 255.0) / (2.0 * 255f64).sqrt()
}

#[test]
fn every_mask_is_missed() {
    const STAGE: &str = "ot/one-hot-stage";
    // Level sums look random with their pads and without; who knows the root can tell.
    assert!(!pairwise::level_sums_are_hidden(Some(MaskSite::LevelPad)));
    assert!(pairwise::level_sums_are_hidden(None));
    // A sum of the choices under a public challenge looks random too; who guesses them can tell.
    assert!(!pairwise::choices_are_hidden(Some(MaskSite::OtCheck)));
    assert!(pairwise::choices_are_hidden(None));
    for parties in [2, 3] {
        for (site, tag) in [
            (MaskSite::OtChoice, "ot/choices"),
            (MaskSite::RingPad, "ot/corrections"),
            (MaskSite::OneHotLeaf, STAGE),
        ] {
            let usual = surprise(&seen(parties, tag, PhasorMethod::OneHot, None));
            assert!(usual.abs() < 6.0, "{site:?}: {usual} with the mask");
            let without = surprise(&seen(parties, tag, PhasorMethod::OneHot, Some(site)));
            assert!(without > 30.0, "{site:?}: {without} without the mask");
        }
    }
}

/// A row of a left factor that is opened for a check has multiples of the others in it: without its own
/// mask, of a factor of one row it is a public multiple of that row.
#[test]
fn rows_that_are_given_up_hide_the_others() {
    let found = |off: Option<MaskSite>| {
        let world = World::new(2).insecure_without(off);
        let mesh = world.mesh();
        let view = mesh[0].record();
        let results = world.run_on(mesh, async |mut session| {
            let mut ot = PairwiseOt::establish(&mut session, Expansion::Fast).await.expect("runs");
            let left = ot.left(1, 4, 64).expect("fits").left64().expect("a left factor");
            ot.right(&RightRequest { left: 0, n: 1, last: true }).await.expect("runs");
            left.a.as_slice().iter().map(|a| a.0).collect::<Vec<u64>>()
        });
        let seen = view.payloads(Tag::new("factor/rows")).concat();
        let seen: Vec<u64> =
            seen.as_chunks().0.iter().map(|&word| u64::from_le_bytes(word)).collect();
        assert_eq!(seen.len(), results[1].len());
        let own = &results[1];
        let alike = |i: usize| seen[i].wrapping_mul(own[0]) == seen[0].wrapping_mul(own[i]);
        (1..own.len()).all(alike)
    };
    assert!(!found(None));
    assert!(found(Some(MaskSite::TripleCheck)));
}

/// Without any one of its terms each message gives up its secret; with all of them the same attack
/// fails and the bytes are uniform.
#[test]
fn every_term_of_the_lattice_masks_is_missed() {
    use pairwise::rlwe::views::{Look, input_error, input_secret, key_error};
    use pairwise::rlwe::views::{output_error, output_secret};
    type Attack = fn(Option<MaskSite>) -> Look;
    let attacks: [(MaskSite, Attack); 5] = [
        (MaskSite::RlweKey, key_error),
        (MaskSite::RlweSecret, input_secret),
        (MaskSite::RlweInput, input_error),
        (MaskSite::RlweOutput, output_secret),
        (MaskSite::RlweOutputError, output_error),
    ];
    for (site, attack) in attacks {
        let with = attack(None);
        assert!(!with.found, "{site:?}: the attack succeeds against the mask");
        let usual = surprise(&with.bytes);
        assert!(usual.abs() < 6.0, "{site:?}: {usual} with the mask");
        assert!(attack(Some(site)).found, "{site:?}: the attack fails without the mask");
    }
}

#[test]
fn no_two_lattice_messages_share_a_mask() {
    use pairwise::rlwe::views::{inputs_share_a_mask, outputs_share_a_mask};
    assert!(!outputs_share_a_mask(), "two outputs differ by no mask");
    assert!(!inputs_share_a_mask(), "two inputs differ by no mask");
}
