//! One node: it joins the others, trains, and tells what it measured.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use mpc_core::correlations::CorrelationSource;
use mpc_core::correlations::dealer::{DealerSource, serve};
use mpc_core::{Outputs, Recipients, Session, SessionOptions};
use mpc_ml::solvers::sgd::{self, COEFFICIENTS, Training};
use mpc_ml::{Rows, SgdPlan, plaintext};
use mpc_net::quic::{Identity, JoinOptions, Mtu, Peer, Roster, join};
use mpc_net::{PartyId, Transport};
use serde_json::{Value, json};

use crate::replay::replay;
use crate::shapes::shapes;
use crate::stock::Stock;
use crate::{NODES, Outcome, PARTIES};

pub fn key_path(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("{node}.key"))
}

pub fn port_path(folder: &Path, node: usize) -> PathBuf {
    folder.join(format!("{node}.port"))
}

pub async fn be_a_node(me: usize, folder: &Path, smoke: bool) -> Outcome<()> {
    let mut keys = Vec::new();
    let mut nodes = Vec::new();
    for node in 0..NODES {
        let key = Arc::new(Identity::from_pkcs8_pem(&fs::read_to_string(key_path(folder, node))?)?);
        let port = fs::read_to_string(port_path(folder, node))?;
        nodes.push(Peer {
            name: format!("node {node}"),
            address: Some(format!("127.0.0.1:{port}")),
            key: key.public_key(),
        });
        keys.push(key);
    }
    let listen = nodes[me].address.clone().unwrap_or_default().parse()?;
    let roster = Roster { me: PartyId::from_index(me), nodes, dealer: true };
    let mut options = JoinOptions::new(listen, [1; 32]);
    options.link.mtu = Mtu::Loopback;
    let quiet: mpc_net::quic::Observer = Arc::new(|_| {});
    let root = join(&keys[me], &roster, &options, &quiet).await?;
    let mut results = Vec::new();
    for (i, shape) in shapes(smoke).into_iter().enumerate() {
        let data = shape.data();
        let plan = shape.plan(&data)?;
        let mut measured = Vec::new();
        for run in 0..shape.runs {
            for (what, ahead) in [("ahead", true), ("along", false)] {
                let channel = root.fork(&format!("{i} {run} {what}"))?;
                if me == PARTIES {
                    let mut session = Session::establish(channel, session_options()).await?;
                    serve(&mut session).await?;
                } else {
                    measured.push(train(&plan, &data[me], channel, ahead).await?);
                }
            }
            let channel = root.fork(&format!("{i} {run} replay"))?;
            if me != PARTIES {
                let begin = Instant::now();
                replay(&plan, me, &*channel).await?;
                let seconds = begin.elapsed().as_secs_f64();
                if let Some(last) = measured.last_mut() {
                    last.replay = seconds;
                }
            }
        }
        if me != PARTIES {
            results.push(summary(&plan, &data, &measured, me == 0));
        }
    }
    root.finish().await?;
    println!("{}", json!({ "shapes": results, "memory_mb": memory_mb() }));
    Ok(())
}

fn session_options() -> SessionOptions {
    let outputs = Outputs::none().allow(COEFFICIENTS, Recipients::All);
    SessionOptions { parties: PARTIES, context: [1; 32], outputs }
}

struct Measured {
    ahead: bool,
    online: f64,
    total: f64,
    replay: f64,
    sent_online: u64,
    sent_preparation: u64,
    rounds: u64,
}

async fn train(
    plan: &SgdPlan,
    rows: &Rows,
    channel: Box<dyn Transport>,
    ahead: bool,
) -> Outcome<Measured> {
    let mut session = Session::establish(channel, session_options()).await?;
    let own = rows.ordered(&plan.schedule().own_order(session.me()));
    let source = DealerSource::start(&mut session)?;
    let mut source = Stock { source, plan, ahead, stock: VecDeque::new() };
    session.meter().enter("preparation");
    // All channels of a mesh count together, so what was there before is taken off.
    let so_far = |session: &Session, phase| {
        let totals = session.meter().phase(phase);
        (totals.sent_framed(), totals.rounds)
    };
    let (preparation, training_before) =
        (so_far(&session, "preparation"), so_far(&session, "training"));
    let begin = Instant::now();
    let training = Training::begin(plan, &own, &mut source, &mut session).await?;
    // Everybody begins together.
    session.agree("beginning of the measurement", &[]).await?;
    session.meter().enter("training");
    let online = Instant::now();
    let weights = training.run(&mut session, |_, _| {}).await?;
    let online = online.elapsed();
    session.meter().enter("release");
    let model = sgd::release(plan, &weights, &mut session).await?;
    let total = begin.elapsed();
    source.finish().await?;
    if !model.is_some_and(|model| model.iter().any(|w| w.abs() > 0.01)) {
        return Err("the model has learned nothing".into());
    }
    let training_after = so_far(&session, "training");
    Ok(Measured {
        ahead,
        online: online.as_secs_f64(),
        total: total.as_secs_f64(),
        replay: 0.0,
        sent_online: training_after.0 - training_before.0,
        sent_preparation: so_far(&session, "preparation").0 - preparation.0,
        rounds: training_after.1 - training_before.1,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn summary(plan: &SgdPlan, data: &[Rows], measured: &[Measured], with_plaintext: bool) -> Value {
    let of = |ahead: bool| measured.iter().filter(move |m| m.ahead == ahead);
    // The replay of a run comes after both its trainings and is noted with the second.
    let replays: Vec<f64> = of(false).map(|m| m.replay).collect();
    let ratios = of(true).zip(&replays).map(|(m, replay)| m.online / replay).collect();
    let plaintext = with_plaintext.then(|| {
        let ordered: Vec<Rows> = data
            .iter()
            .enumerate()
            .map(|(party, rows)| rows.ordered(&plan.schedule().own_order(party)))
            .collect();
        let begin = Instant::now();
        std::hint::black_box(plaintext::train(plan, &ordered));
        begin.elapsed().as_secs_f64()
    });
    json!({
        "online_s": median(of(true).map(|m| m.online).collect()),
        "replay_s": median(replays.clone()),
        "online_over_replay": median(ratios),
        "total_s": median(of(false).map(|m| m.total).collect()),
        "plaintext_s": plaintext,
        "sent_online_mb": measured[0].sent_online as f64 / 1e6,
        "sent_preparation_mb": measured[0].sent_preparation as f64 / 1e6,
        "rounds": measured[0].rounds,
    })
}

/// The largest resident memory of this process so far.
fn memory_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
