//! A party that sends another number than the one that it should, to one of the others, in each of the
//! outputs of a fit: the fit ends with an error that names a node, or with the same model at all.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use mpc_core::Tag;
use mpc_core::correlations::CorrelationSource;
use mpc_core::correlations::Origin;
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::testing::World;
use mpc_ml::data::Dataset;
use mpc_ml::model::{Facts, Plan, Run, ledger};
use mpc_ml::models::glm::{Family, Glm, GlmFit, GlmPlan, GlmSettings};
use mpc_ml::{Agreed, Error, Model, Rows, synthetic};
use mpc_net::PartyId;
use mpc_net::fault::{Fault, FaultPlan};
use mpc_net::memory::MeshOptions;

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dealer"];

fn fit(plan: &GlmPlan, data: &[Rows], fault: Option<FaultPlan>) -> Vec<Result<GlmFit, Error>> {
    let world = World::new(3)
        .with_dealer()
        .outputs(ledger(&plan.outputs()))
        .deadline(Duration::from_secs(60));
    let mesh = MeshOptions::default().timeout(Duration::from_secs(2)).names(NAMES).mesh(4);
    if let Some(fault) = fault {
        mesh[1].inject(fault);
    }
    world.run_on(mesh, async |mut session| {
        let mut source = DealerSource::start(&mut session)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let data = Dataset::from(data[session.me()].clone());
        let progress = &mut |_| {};
        let mut run = Run { session: &mut session, source: &mut source, progress };
        let shares = Glm::fit(&plan, &data, &mut run).await?;
        let fit = Glm::release(&plan, shares, &data, &mut run).await?;
        source.finish().await?;
        session.finish().await?;
        Ok(fit.unwrap().fit)
    })
}

#[test]
fn a_party_that_differs_is_named() {
    let data = synthetic::logistic(240, 3, 3, 1);
    let facts = Facts::horizontal(&[80; 3], vec![2.0; 3], Origin::Dealer);
    let plan = GlmPlan::new(&GlmSettings::new(Family::Logistic), &facts).unwrap();
    for ended in fit(&plan, &data, None) {
        ended.unwrap();
    }
    for nth in 0..16 {
        for (place, mask) in [(0, 1u8), (1, 0x10), (usize::MAX, 0x20)] {
            let change = Arc::new(move |bytes: &mut Vec<u8>| {
                let at = place.min(bytes.len() - 1);
                bytes[at] ^= mask;
            });
            let fault = FaultPlan::new(Fault::Change(change))
                .to(PartyId::from_index(0))
                .in_step(Tag::new("reveal"))
                .at_message(nth);
            let ends = fit(&plan, &data, Some(fault));
            println!("-- reveal {nth}, byte {place}");
            for end in ends {
                match end {
                    Ok(fit) => println!(
                        "{:?} {:e} {}",
                        fit.coefficients,
                        fit.distance,
                        fit.inference.is_some()
                    ),
                    Err(error) => println!("{error}"),
                }
            }
        }
    }
}
