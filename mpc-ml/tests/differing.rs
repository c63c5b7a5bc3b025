//! A party that sends one of the others another number than it should, in each of the outputs of a fit.
//! What the fit goes on from is public integers, so from then on two parties mean different fits: both
//! end with an error that names a node, or all end with the same model.
//!
//! The parts of the result are the exception: nothing follows from them that the others would see.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::testing::World;
use mpc_core::{ReleaseLog, Tag};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Plan, Run, ledger};
use mpc_ml::models::glm::{Family, Glm, GlmFit, GlmPlan, GlmSettings};
use mpc_ml::{Agreed, Error, Model, Rows, synthetic};
use mpc_net::PartyId;
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::memory::MeshOptions;

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dealer"];

/// The labels of what was revealed.
#[derive(Clone, Default)]
struct Labels(Arc<Mutex<Vec<String>>>);

impl ReleaseLog for Labels {
    fn record(&mut self, label: &str, _: &[u8]) -> Result<(), String> {
        self.0.lock().unwrap().push(label.to_owned());
        Ok(())
    }
}

/// Fits, with a fault of bob's, and gives how it ended at each party and what bob revealed.
fn fit(
    plan: &GlmPlan,
    data: &[Rows],
    fault: Option<FaultPlan>,
) -> (Vec<Result<GlmFit, Error>>, Vec<String>) {
    let world = World::new(3)
        .with_dealer()
        .outputs(ledger(&plan.outputs()))
        .deadline(Duration::from_secs(60));
    let mesh = MeshOptions::default().timeout(Duration::from_secs(5)).names(NAMES).mesh(4);
    if let Some(fault) = fault {
        mesh[1].inject(fault);
    }
    let labels = Labels::default();
    let ends = world.run_on(mesh, async |mut session| {
        if session.me() == 1 {
            session.record_releases(Box::new(labels.clone()));
        }
        let mut source = DealerSource::start(&mut session)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let data = Dataset::from(data[session.me()].clone());
        let progress = &mut |_| {};
        let mut run = Run { session: &mut session, source: &mut source, progress };
        let shares = Glm::fit(&plan, &data, &mut run).await?;
        let fit = Glm::release(&plan, shares, &data, &mut run).await?;
        source.finish().await?;
        Ok(fit.unwrap().fit)
    });
    let labels = labels.0.lock().unwrap().clone();
    (ends, labels)
}

/// Whether an error is a refusal of what was revealed, or names a node other than `me`.
fn says_why(error: &Error, me: usize) -> bool {
    let text = error.to_string();
    let others = NAMES.iter().enumerate().filter(|&(node, _)| node != me);
    match error {
        Error::Protocol(_) => others.map(|it| it.1).any(|name| text.contains(name)),
        _ => {
            matches!(error, Error::Unusable(_) | Error::NotConverged(_) | Error::Determined { .. })
        }
    }
}

#[test]
fn a_party_that_differs_is_named_or_all_end_alike() {
    let data = synthetic::logistic(240, 3, 3, 1);
    let facts = Facts::horizontal(&[80; 3], vec![2.0; 3], Origin::Dealer);
    let plan = GlmPlan::new(&GlmSettings::new(Family::Logistic), &facts).unwrap();
    let (ends, labels) = fit(&plan, &data, None);
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    assert!(labels.len() > 8, "{labels:?}");
    // The last model, and what is said of it.
    let result = labels.iter().rposition(|label| label.starts_with("model ")).unwrap();
    let mut failed = 0;
    for nth in 0..labels.len() {
        for (place, mask) in [(0, 1u8), (1, 0x10), (usize::MAX, 0x20)] {
            let change = Arc::new(move |bytes: &mut Vec<u8>| {
                let at = place.min(bytes.len() - 1);
                bytes[at] ^= mask;
            });
            let fault = FaultPlan::new(Fault::Change(change))
                .to(PartyId::from_index(0))
                .in_step(Tag::new("reveal"))
                .at_message(nth as u64);
            let (ends, revealed) = fit(&plan, &data, Some(fault));
            let label = &revealed[nth];
            for (me, end) in ends.iter().enumerate() {
                if let Err(error) = end {
                    assert!(says_why(error, me), "`{label}` changed: {error}");
                }
            }
            let fits: Vec<&GlmFit> = ends.iter().flatten().collect();
            assert!(fits.is_empty() || fits.len() == 3, "`{label}` changed: {ends:?}");
            failed += usize::from(fits.is_empty());
            if let [alice, bob, carol] = fits[..] {
                assert_eq!(bob, carol, "`{label}` changed for alice alone");
                assert!(
                    alice == bob || nth >= result,
                    "`{label}` changed: {alice:?} is not {bob:?}"
                );
            }
        }
    }
    assert!(failed > 4, "only {failed} changes were noticed");
}
