//! What the nodes see of a fit to the optimum: the dealer shapes alone; everybody the same tags and
//! lengths whatever the data are; a coalition nothing but uniform messages.
#![allow(clippy::unwrap_used)]

#[path = "../../mpc-core/tests/support/law.rs"]
mod law;

use std::collections::BTreeMap;

use law::{Runs, uniform, words};
use mpc_core::correlations::dealer::DealerSource;
use mpc_core::correlations::{CorrelationSource, Origin};
use mpc_core::ring::wire::element_bytes;
use mpc_core::testing::World;
use mpc_core::{Outputs, Recipients};
use mpc_ml::plan::optimum::{Family, GlmSettings, OptimumPlan};
use mpc_ml::solvers::optimum;
use mpc_ml::{Agreed, Error, Rows, synthetic};
use mpc_net::PartyId;
use mpc_net::fault::View;
use mpc_net::memory::MemoryTransport;

const PARTIES: usize = 3;
const OWN: usize = 60;
const COLUMNS: usize = 15;

fn plan(l2: f64) -> OptimumPlan {
    let settings = GlmSettings {
        family: Family::logistic(0.5),
        rows: vec![OWN as u64; PARTIES],
        columns: COLUMNS as u32,
        intercept: true,
        offset: false,
        l2,
        clip: 8.0,
        mean_square: 64.0,
        trace: 960.0,
        condition: 20.0,
        tolerance: 0.01,
        largest_eigenvalue: None,
        inference: l2 == 0.0,
        release_fraction: 20,
    };
    OptimumPlan::new(&settings, Origin::Dealer).unwrap()
}

/// Usual data; all zero with one label; all beyond the clip with the other. The last two have no
/// optimum, and their fits are refused.
fn data_sets() -> Vec<Vec<Rows>> {
    let all =
        |x: f64, y: f64| vec![Rows::new(vec![x; OWN * COLUMNS], vec![y; OWN], COLUMNS); PARTIES];
    vec![synthetic::logistic(PARTIES * OWN, COLUMNS, PARTIES, 1), all(0.0, 0.0), all(-1e6, 1.0)]
}

/// Fits, and gives the views of all nodes, the dealer last, and whether a model came of it.
fn views(plan: &OptimumPlan, data: &[Rows]) -> (Vec<View>, bool) {
    let outputs = optimum::outputs(plan, Outputs::none(), Recipients::All);
    let world = World::new(PARTIES).with_dealer().outputs(outputs);
    let mesh = world.mesh();
    let views = mesh.iter().map(MemoryTransport::record).collect();
    let results = world.run_on(mesh, async |mut session| {
        let me = session.me();
        let mut source = DealerSource::start(&mut session)?;
        let plan = Agreed::among(plan.clone(), &mut session).await?;
        let fit = optimum::run(&plan, &data[me], &[], &mut source, &mut session, |_, _| {}).await;
        match fit {
            // What is still on order is of no use; the node aborts.
            Err(Error::NotConverged(_)) => Ok(None),
            Err(other) => Err(other),
            Ok(fit) => {
                source.finish().await?;
                Ok(fit)
            }
        }
    });
    let fitted = results.into_iter().all(|result| result.unwrap().is_some());
    (views, fitted)
}

/// Step and length of each message by sender and channel.
type Shape = BTreeMap<(PartyId, String), Vec<(&'static str, usize)>>;

fn shape(view: &View) -> Shape {
    let mut shape = Shape::new();
    for seen in view.messages() {
        let link = (seen.from, seen.channel.clone());
        shape.entry(link).or_default().push((seen.step, seen.bytes.len()));
    }
    shape
}

#[test]
fn what_is_sent_does_not_depend_on_the_data() {
    let plan = plan(0.1);
    let sets = data_sets();
    let all: Vec<(Vec<View>, bool)> = sets.iter().map(|data| views(&plan, data)).collect();
    assert!(all[0].1, "usual data have an optimum");
    let commands = |view: &View| -> Vec<Vec<u8>> {
        let orders = |seen: &mpc_net::fault::Seen| seen.step == "dealer/command";
        let from = PartyId(0);
        let all = view.messages().into_iter().filter(|seen| orders(seen) && seen.from == from);
        all.map(|seen| seen.bytes).collect()
    };
    for (other, fitted) in &all[1..] {
        // A refusal is public, and ends the run before the outputs that would follow.
        let upto = |shape: Shape| -> Shape {
            shape
                .into_iter()
                .map(|(link, steps)| {
                    let reveals = steps.iter().position(|(step, _)| *step == "reveal");
                    let whole = *fitted || reveals.is_none();
                    let end = if whole { steps.len() } else { reveals.unwrap_or(0) };
                    (link, steps[..end].to_vec())
                })
                .collect()
        };
        for (node, view) in other.iter().enumerate().take(PARTIES) {
            let (a, b) = (upto(shape(&all[0].0[node])), upto(shape(view)));
            for (link, steps) in &b {
                assert!(a[link].starts_with(steps) || steps == &a[link], "node {node}, {link:?}");
            }
        }
        let (a, b) = (commands(&all[0].0[PARTIES]), commands(&other[PARTIES]));
        // Two matrices, and one order for all passes.
        assert!(b.len() >= 3 && a.starts_with(&b), "the dealer sees shapes");
    }
}

/// What party 2 receives from party 0 in sixty fits on the same data.
#[test]
fn a_whole_fit_looks_uniform_to_a_coalition() {
    for l2 in [0.0, 0.1] {
        let plan = plan(l2);
        let data = &data_sets()[0];
        let residuals = plan.residuals_opened().ring;
        let order = COLUMNS + 1;
        let product = (order * order + order) * element_bytes(128);
        let mut openings: BTreeMap<&str, Runs> = BTreeMap::new();
        for _ in 0..60 {
            let (views, fitted) = views(&plan, data);
            assert!(fitted);
            let messages = |step: &str| -> Vec<Vec<u8>> {
                let seen = views[2].messages().into_iter();
                seen.filter(|seen| seen.from == PartyId(0) && seen.step == step)
                    .map(|seen| seen.bytes)
                    .collect()
            };
            let mut push = |step, bits, bytes: Vec<Vec<u8>>| {
                let words = bytes.iter().map(|bytes| words(bytes, bits)).collect();
                openings.entry(step).or_default().push(words);
            };
            push("optimum/open-weights", 64, messages("optimum/open-weights"));
            push("optimum/open-delta", 24, messages("optimum/open-delta"));
            // Residuals, then weights of the Hessian, at the rows of party 2.
            let cut = OWN * element_bytes(residuals);
            let both = messages("optimum/open-residuals");
            push("residuals", residuals, both.iter().map(|m| m[..cut].to_vec()).collect());
            let weights = residuals - 1;
            let rest = both.iter().map(|m| m[cut..cut + OWN * element_bytes(weights)].to_vec());
            push("weights", weights, rest.collect());
            let steps = messages("product").into_iter().filter(|m| m.len() == product);
            push("product", 128, steps.collect());
        }
        for (step, bits) in [
            ("optimum/open-weights", 64),
            ("optimum/open-delta", 24),
            ("residuals", residuals),
            ("weights", residuals - 1),
            ("product", 128),
        ] {
            // What the first pass sums over the rows every owner knows.
            let passes = plan.passes() - usize::from(step != "product");
            assert_eq!(openings[step][0].len(), passes, "{step}");
            uniform(step, bits, &openings[step]).unwrap();
        }
    }
}
