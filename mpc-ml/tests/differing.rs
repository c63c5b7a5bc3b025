//! A party that sends one of the others another number than it should, in each of the outputs of a fit:
//! it is named, and no honest party ends with a model.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::testing::{Labels, World};
use mpc_core::{Session, Tag};
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Plan, Run, ledger};
use mpc_ml::models::glm::{Family, Glm, GlmFit, GlmPlan, GlmSettings};
use mpc_ml::{Agreed, Error, Model, Rows, synthetic};
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::memory::MeshOptions;
use mpc_net::{Abort, PartyId};

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dealer"];

/// Fits, with a fault of bob's, and gives how it ended at each party and what bob revealed.
fn fit(
    plan: &GlmPlan,
    data: &[Rows],
    fault: Option<FaultPlan>,
) -> (Vec<Result<GlmFit, Error>>, Vec<String>) {
    let world = World::new(3).with_dealer().outputs(ledger(&plan.outputs()));
    let mesh = MeshOptions::default().timeout(Duration::from_secs(5)).names(NAMES).mesh(4);
    if let Some(fault) = fault {
        mesh[1].inject(fault);
    }
    let labels = Labels::default();
    let ends = world.run_on(mesh, async |mut session| {
        if session.me() == 1 {
            session.record_releases(Box::new(labels.clone()));
        }
        let end = part(plan, &data[session.me()], &mut session).await;
        if let Err(error) = &end {
            // As a node does, so that the others learn who is meant.
            session.abort(Abort::new(error.code(), error.to_string()));
        }
        end
    });
    (ends, labels.all())
}

/// One party's way to the model, and to the certainty that the others hold the same.
async fn part(plan: &GlmPlan, rows: &Rows, session: &mut Session) -> Result<GlmFit, Error> {
    let mut source = DealerSource::start(session)?;
    let plan = Agreed::among(plan.clone(), session).await?;
    let data = Dataset::from(rows.clone());
    let progress = &mut |_| {};
    let mut run = Run { session, source: &mut source, progress };
    let shares = Glm::fit(&plan, &data, &mut run).await?;
    let fit = Glm::release(&plan, shares, &data, &mut run).await?;
    source.finish().await?;
    session.compare().await?;
    Ok(fit.unwrap().fit)
}

#[test]
fn a_party_that_differs_is_named() {
    let data = synthetic::logistic(240, 3, 3, 1);
    let facts = Facts::horizontal(&[80; 3], vec![2.0; 3], Origin::Dealer);
    let plan = GlmPlan::new(&GlmSettings::new(Family::Logistic), &facts).unwrap();
    let (ends, labels) = fit(&plan, &data, None);
    assert!(ends.iter().all(Result::is_ok), "{ends:?}");
    assert!(labels.len() > 8, "{labels:?}");
    for nth in 0..labels.len() {
        // In the share, and in the nonce behind it.
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
            let error = ends[0].as_ref().expect_err(label).to_string();
            assert!(error.contains("bob"), "`{label}` changed: {error}");
            // Who hears of it from alice hears of bob; the dealer, which stops, may come first.
            let error = ends[2].as_ref().expect_err(label).to_string();
            let named = ["bob", "dealer"].iter().any(|name| error.contains(name));
            assert!(named, "`{label}` changed: {error}");
        }
    }
}
